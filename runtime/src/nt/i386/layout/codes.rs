//! Numbers with names: `NTSTATUS` values and bug-check codes.

/// `NTSTATUS` values (ReactOS `sdk/include/psdk/ntstatus.h`).
pub mod status {
    /// Done.
    pub const SUCCESS: u32 = 0;
    /// The thread was alerted.
    pub const ALERTED: u32 = 0x0000_0101;
    /// Conversion of a thread that is a GUI thread already.
    pub const ALREADY_WIN32: u32 = 0x4000_001B;
    /// Data that is not at a multiple of its size.
    pub const DATATYPE_MISALIGNMENT: u32 = 0x8000_0002;
    /// `int 3`, and what a debugger is asked for.
    pub const BREAKPOINT: u32 = 0x8000_0003;
    /// One instruction was executed, or a debug register matched.
    pub const SINGLE_STEP: u32 = 0x8000_0004;
    /// No particular reason.
    pub const UNSUCCESSFUL: u32 = 0xC000_0001;
    /// Call of an unimplemented service.
    pub const NOT_IMPLEMENTED: u32 = 0xC000_0002;
    /// Memory that may not be used so; as a service's status: an argument pointer was refused, or the copy of the arguments
    /// faulted.
    pub const ACCESS_VIOLATION: u32 = 0xC000_0005;
    /// An argument that makes no sense.
    pub const INVALID_PARAMETER: u32 = 0xC000_000D;
    /// No memory, as for the stack of a GUI thread.
    pub const NO_MEMORY: u32 = 0xC000_0017;
    /// Service number out of range.
    pub const INVALID_SYSTEM_SERVICE: u32 = 0xC000_001C;
    /// An instruction that does not exist.
    pub const ILLEGAL_INSTRUCTION: u32 = 0xC000_001D;
    /// Conversion to a GUI thread where there is no GUI.
    pub const ACCESS_DENIED: u32 = 0xC000_0022;
    /// `BOUND` found an index out of bounds.
    pub const ARRAY_BOUNDS_EXCEEDED: u32 = 0xC000_008C;
    /// Division by zero.
    pub const INTEGER_DIVIDE_BY_ZERO: u32 = 0xC000_0094;
    /// `into` with OF set.
    pub const INTEGER_OVERFLOW: u32 = 0xC000_0095;
    /// An instruction of ring 0 in ring 3.
    pub const PRIVILEGED_INSTRUCTION: u32 = 0xC000_0096;
    /// More than there may be.
    pub const INSUFFICIENT_RESOURCES: u32 = 0xC000_009A;
    /// The stack is used up.
    pub const STACK_OVERFLOW: u32 = 0xC000_00FD;
    /// The thread has no event pair.
    pub const NO_EVENT_PAIR: u32 = 0xC000_014E;
    /// KiCallbackReturn without a callback.
    pub const NO_CALLBACK_ACTIVE: u32 = 0xC000_0258;
    /// `int 29h`.
    pub const STACK_BUFFER_OVERRUN: u32 = 0xC000_0409;
    /// `int 2Ch`.
    pub const ASSERTION_FAILURE: u32 = 0xC000_0420;
    /// A callback's stack is given up.
    pub const CALLBACK_POP_STACK: u32 = 0xC000_0423;
}

/// Bug-check codes (Microsoft, "Bug Check Code Reference").
pub mod bugcheck {
    /// `APC_INDEX_MISMATCH`: APCs are still disabled at the end of a system call.
    pub const APC_INDEX_MISMATCH: u32 = 0x01;
    /// `KMODE_EXCEPTION_NOT_HANDLED`: the kernel used an address that is not the kernel's, as a null pointer is.
    pub const KMODE_EXCEPTION_NOT_HANDLED: u32 = 0x1E;
    /// `IRQL_GT_ZERO_AT_SYSTEM_SERVICE`: the interrupt level is raised at the end of a system call.
    pub const IRQL_GT_ZERO_AT_SYSTEM_SERVICE: u32 = 0x4A;
    /// `PAGE_FAULT_IN_NONPAGED_AREA`.
    pub const PAGE_FAULT_IN_NONPAGED_AREA: u32 = 0x50;
    /// `UNSUPPORTED_PROCESSOR`.
    pub const UNSUPPORTED_PROCESSOR: u32 = 0x5D;
    /// `UNEXPECTED_KERNEL_MODE_TRAP`.
    pub const UNEXPECTED_KERNEL_MODE_TRAP: u32 = 0x7F;
    /// `NMI_HARDWARE_FAILURE`.
    pub const NMI_HARDWARE_FAILURE: u32 = 0x80;
    /// `KERNEL_SECURITY_CHECK_FAILURE`.
    pub const KERNEL_SECURITY_CHECK_FAILURE: u32 = 0x139;
}
