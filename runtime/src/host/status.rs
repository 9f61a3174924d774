//! `NTSTATUS`.

use std::fmt;

use crate::nt::layout::status;

/// A status as services return it: bits 31 and 30 are the severity (`[MS-ERREF]` 2.3).
///
/// ```
/// use ntgate_runtime::host::NtStatus;
///
/// assert!(NtStatus::ACCESS_VIOLATION.is_error());
/// assert_eq!(NtStatus::ACCESS_VIOLATION.to_string(), "STATUS_ACCESS_VIOLATION");
/// assert_eq!(NtStatus(0xC000_1234).to_string(), "C0001234h");
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
#[must_use]
pub struct NtStatus(pub u32);

/// The constants, and their names for `Display`.
macro_rules! names {
    ($($(#[$doc:meta])* $name:ident = $value:expr;)*) => {
        impl NtStatus {
            $($(#[$doc])* pub const $name: Self = Self($value);)*

            /// The name in the headers, `STATUS_ACCESS_VIOLATION`, of those that have a constant here.
            #[must_use]
            pub const fn name(self) -> Option<&'static str> {
                $(if self.0 == Self::$name.0 {
                    return Some(concat!("STATUS_", stringify!($name)));
                })*
                None
            }
        }
    };
}

names! {
    /// Done.
    SUCCESS = status::SUCCESS;
    /// Begun; the end will be told of.
    PENDING = 0x0000_0103;
    /// Not everything fitted, and what did was written.
    BUFFER_OVERFLOW = 0x8000_0005;
    /// Data that is not at a multiple of its size.
    DATATYPE_MISALIGNMENT = status::DATATYPE_MISALIGNMENT;
    /// `int 3`, and what a debugger is asked for.
    BREAKPOINT = status::BREAKPOINT;
    /// One instruction was executed, or a debug register matched.
    SINGLE_STEP = status::SINGLE_STEP;
    /// No particular reason.
    UNSUCCESSFUL = status::UNSUCCESSFUL;
    /// The service is not there.
    NOT_IMPLEMENTED = status::NOT_IMPLEMENTED;
    /// A class of information that the service does not have.
    INVALID_INFO_CLASS = 0xC000_0003;
    /// The buffer is not as long as that information is.
    INFO_LENGTH_MISMATCH = 0xC000_0004;
    /// Memory that may not be used so.
    ACCESS_VIOLATION = status::ACCESS_VIOLATION;
    /// No such handle.
    INVALID_HANDLE = 0xC000_0008;
    /// An argument that makes no sense.
    INVALID_PARAMETER = status::INVALID_PARAMETER;
    /// The file ends before.
    END_OF_FILE = 0xC000_0011;
    /// No memory.
    NO_MEMORY = status::NO_MEMORY;
    /// The service number is out of range.
    INVALID_SYSTEM_SERVICE = status::INVALID_SYSTEM_SERVICE;
    /// An instruction that does not exist.
    ILLEGAL_INSTRUCTION = status::ILLEGAL_INSTRUCTION;
    /// It may not be done.
    ACCESS_DENIED = status::ACCESS_DENIED;
    /// The result does not fit, and nothing was written.
    BUFFER_TOO_SMALL = 0xC000_0023;
    /// The object is of another kind.
    OBJECT_TYPE_MISMATCH = 0xC000_0024;
    /// No object has this name.
    OBJECT_NAME_NOT_FOUND = 0xC000_0034;
    /// Division by zero.
    INTEGER_DIVIDE_BY_ZERO = status::INTEGER_DIVIDE_BY_ZERO;
    /// An instruction of ring 0 in ring 3.
    PRIVILEGED_INSTRUCTION = status::PRIVILEGED_INSTRUCTION;
    /// More than there may be.
    INSUFFICIENT_RESOURCES = status::INSUFFICIENT_RESOURCES;
    /// What was asked for is not supported.
    NOT_SUPPORTED = 0xC000_00BB;
    /// The stack is used up.
    STACK_OVERFLOW = status::STACK_OVERFLOW;
}

impl NtStatus {
    /// Success or information, as `NT_SUCCESS` has it.
    #[must_use]
    pub const fn is_success(self) -> bool {
        self.0 >> 31 == 0
    }

    /// An error, as `NT_ERROR` has it; a warning is neither.
    #[must_use]
    pub const fn is_error(self) -> bool {
        self.0 >> 30 == 3
    }
}

impl fmt::Display for NtStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.name() {
            Some(name) => f.pad(name),
            None => write!(f, "{:08X}h", self.0),
        }
    }
}

impl std::error::Error for NtStatus {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn severities_are_those_of_the_upper_bits() {
        for (status, success, error) in [
            (NtStatus::SUCCESS, true, false),
            (NtStatus::PENDING, true, false),
            (NtStatus(0x4000_001B), true, false),
            (NtStatus::BUFFER_OVERFLOW, false, false),
            (NtStatus::ACCESS_VIOLATION, false, true),
        ] {
            assert_eq!((status.is_success(), status.is_error()), (success, error), "{status}");
        }
    }
}
