//! The ways into the kernel.

use std::fmt;

/// The way into the kernel.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Entry {
    /// Gate 2Eh.
    Int2e,
    /// The SYSENTER MSRs.
    Sysenter,
    /// The SYSCALL MSRs.
    Syscall,
    /// A call, or a jump, from within the kernel.
    Zw,
}

impl Entry {
    /// The name used in every interface.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Int2e => "int2e",
            Self::Sysenter => "sysenter",
            Self::Syscall => "syscall",
            Self::Zw => "zw",
        }
    }
}

impl fmt::Display for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}
