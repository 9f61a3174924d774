//! The architectures of the old tool.

use std::fmt;
use std::str::FromStr;

use crate::model::{Arch, Service, UnknownName};

/// What the old tool's `-arch` takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Target {
    /// 32-bit x86, the default.
    I386,
    /// 64-bit x86.
    Amd64,
    /// 32-bit PowerPC.
    Powerpc,
    /// 32-bit MIPS.
    Mips,
    /// 32-bit ARM.
    Arm,
}

impl Target {
    /// All of them, in the old tool's order.
    pub const ALL: [Self; 5] = [Self::I386, Self::Amd64, Self::Powerpc, Self::Mips, Self::Arm];

    /// The old tool's name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::I386 => "i386",
            Self::Amd64 => "amd64",
            Self::Powerpc => "powerpc",
            Self::Mips => "mips",
            Self::Arm => "arm",
        }
    }

    /// The architecture whose argument counts it has: those of a 32-bit system are dwords.
    pub(super) const fn counts(self) -> Arch {
        match self {
            Self::Amd64 => Arch::Amd64,
            _ => Arch::I386,
        }
    }

    /// A service's symbol in assembler text. GNU as takes an `@` in quotes only when it makes ELF.
    pub(super) fn symbol(self, name: &str, service: &Service) -> String {
        match self {
            Self::I386 => format!("\"_{name}@{}\"", service.arg_bytes(Arch::I386)),
            _ => name.to_owned(),
        }
    }

    /// What was wrong in the old text, and is not here.
    pub(super) const fn note(self) -> Option<&'static str> {
        match self {
            Self::Amd64 => Some(
                "amd64 stubs end in `ret`, not in the old tool's `ret 4*n`, which takes what is the caller's off the stack",
            ),
            Self::Mips => Some("mips stubs load the service number into $2 (v0); the old tool's loaded none"),
            _ => None,
        }
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for Target {
    type Err = UnknownName;

    fn from_str(text: &str) -> Result<Self, UnknownName> {
        let found = Self::ALL.into_iter().find(|target| target.name() == text);
        found.ok_or_else(|| UnknownName::new("nci architecture", text, Self::ALL.map(Self::name).join(", ")))
    }
}
