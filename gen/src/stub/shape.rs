//! The names of the shapes, and what is true of each whatever the service.

use std::fmt;
use std::str::FromStr;

use crate::model::{Arch, UnknownName};

/// Which of the two encodings of a move between registers a stub has.
///
/// Both execute alike. Microsoft's assembler and compilers write opcode 8Bh (`mov r, r/m`), GNU as and LLVM write 89h
/// (`mov r/m, r`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Encoding {
    /// `mov edx,esp` is `8B D4`.
    Msvc,
    /// `mov edx,esp` is `89 E2`.
    Gnu,
}

impl Encoding {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Msvc, Self::Gnu];

    /// The name used in every interface.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Msvc => "msvc",
            Self::Gnu => "gnu",
        }
    }
}

impl fmt::Display for Encoding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for Encoding {
    type Err = UnknownName;

    fn from_str(text: &str) -> Result<Self, UnknownName> {
        let found = Self::ALL.into_iter().find(|encoding| encoding.name() == text);
        found.ok_or_else(|| UnknownName::new("encoding", text, Self::ALL.map(Self::name).join(", ")))
    }
}

/// How a stub gets into the kernel. Each variant's instructions are in one file of this module and nowhere else.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Shape {
    /// `int 2Eh` within an `ebp` frame: ReactOS, 2002 to 2004.
    Int2eFrame,
    /// `lea edx,[esp+4]; int 2Eh`: NT 3.5 to Windows 2000, ReactOS until 2002.
    Int2e,
    /// Calls the code in the shared page: Windows XP to SP1, Server 2003 without service pack.
    SharedCallEdx,
    /// Calls what the shared page points to, through `edx`: Windows XP SP2 to 7, ReactOS today.
    SharedEdx,
    /// Calls what the shared page points to, through `ecx`: ReactOS, 2005 to 2010.
    SharedEcx,
    /// Carries its own `mov edx,esp; sysenter`: Windows 8 and later, 32-bit.
    Sysenter,
    /// Kernel mode: pushes flags and CS and calls KiSystemService.
    Zw,
}

impl Shape {
    /// All shapes.
    pub const ALL: [Self; 7] = [
        Self::Int2eFrame,
        Self::Int2e,
        Self::SharedCallEdx,
        Self::SharedEdx,
        Self::SharedEcx,
        Self::Sysenter,
        Self::Zw,
    ];

    /// The name used in every interface.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Int2eFrame => "int2e-frame",
            Self::Int2e => "int2e",
            Self::SharedCallEdx => "shared-call-edx",
            Self::SharedEdx => "shared-edx",
            Self::SharedEcx => "shared-ecx",
            Self::Sysenter => "sysenter",
            Self::Zw => "zw",
        }
    }

    /// The architecture whose instructions it has.
    #[must_use]
    pub const fn arch(self) -> Arch {
        Arch::I386
    }

    /// The shape to take when none is asked for: that of the systems in longest use. `None` if there is none yet.
    #[must_use]
    pub const fn default_for(arch: Arch) -> Option<Self> {
        match arch {
            Arch::I386 => Some(Self::SharedEdx),
            Arch::Amd64 | Arch::Arm64 => None,
        }
    }

    /// Whether the stub is for callers in the kernel. Otherwise its Nt and Zw names are one body.
    #[must_use]
    pub const fn is_kernel(self) -> bool {
        matches!(self, Self::Zw)
    }

    /// The encoding of the system that the shape is known from.
    #[must_use]
    pub const fn default_encoding(self) -> Encoding {
        match self {
            // ReactOS had GNU as assemble it.
            Self::Int2eFrame => Encoding::Gnu,
            _ => Encoding::Msvc,
        }
    }
}

impl fmt::Display for Shape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for Shape {
    type Err = UnknownName;

    fn from_str(text: &str) -> Result<Self, UnknownName> {
        let found = Self::ALL.into_iter().find(|shape| shape.name() == text);
        found.ok_or_else(|| UnknownName::new("shape", text, Self::ALL.map(Self::name).join(", ")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_back() {
        for shape in Shape::ALL {
            assert_eq!(shape.name().parse(), Ok(shape));
        }
        for encoding in Encoding::ALL {
            assert_eq!(encoding.name().parse(), Ok(encoding));
        }
        assert!("int2f".parse::<Shape>().is_err());
    }
}
