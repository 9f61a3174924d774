//! The processor architectures that stubs are made for.

use std::fmt;
use std::str::FromStr;

/// A processor architecture.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Arch {
    /// 32-bit x86.
    I386,
    /// 64-bit x86.
    Amd64,
    /// 64-bit ARM.
    Arm64,
}

impl Arch {
    /// All architectures.
    pub const ALL: [Self; 3] = [Self::I386, Self::Amd64, Self::Arm64];

    /// The name used in every interface.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::I386 => "i386",
            Self::Amd64 => "amd64",
            Self::Arm64 => "arm64",
        }
    }

    /// The size of an argument slot and of a pointer, in bytes.
    #[must_use]
    pub const fn word_bytes(self) -> u32 {
        match self {
            Self::I386 => 4,
            Self::Amd64 | Self::Arm64 => 8,
        }
    }
}

impl fmt::Display for Arch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for Arch {
    type Err = UnknownName;

    /// Takes the spellings of ReactOS, Wine, GNU and Windows for the same thing.
    fn from_str(text: &str) -> Result<Self, UnknownName> {
        match text.to_ascii_lowercase().as_str() {
            "i386" | "i686" | "x86" | "win32" | "ia32" => Ok(Self::I386),
            "amd64" | "x86_64" | "x86-64" | "x64" | "win64" => Ok(Self::Amd64),
            "arm64" | "aarch64" => Ok(Self::Arm64),
            _ => Err(UnknownName::new("architecture", text, Self::ALL.map(Self::name).join(", "))),
        }
    }
}

/// A name that stands for no architecture, shape, encoding or format.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnknownName {
    kind: &'static str,
    text: String,
    known: String,
}

impl UnknownName {
    pub(crate) fn new(kind: &'static str, text: &str, known: String) -> Self {
        Self { kind, text: text.to_owned(), known }
    }
}

impl fmt::Display for UnknownName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // `{:?}` escapes control characters: the text may come from anywhere.
        write!(f, "unknown {} {:?}; known: {}", self.kind, self.text, self.known)
    }
}

impl std::error::Error for UnknownName {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn aliases_mean_the_same_architecture() {
        for (alias, arch) in
            [("x86", Arch::I386), ("win32", Arch::I386), ("X64", Arch::Amd64), ("aarch64", Arch::Arm64)]
        {
            assert_eq!(alias.parse(), Ok(arch));
        }
        for arch in Arch::ALL {
            assert_eq!(arch.to_string().parse(), Ok(arch));
        }
    }

    #[test]
    fn an_unknown_name_lists_the_known_ones() {
        let error = "vax\u{1b}".parse::<Arch>().expect_err("there is no such architecture");
        assert_eq!(error.to_string(), "unknown architecture \"vax\\u{1b}\"; known: i386, amd64, arm64");
    }
}
