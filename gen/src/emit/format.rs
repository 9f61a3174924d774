//! The names of the formats.

use std::fmt;
use std::str::FromStr;

use crate::model::UnknownName;

/// An output format.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Format {
    /// Stubs for GNU as, AT&T syntax. What it assembles to is what [`Bin`](Self::Bin) is, byte for byte.
    Gas,
    /// The code of the stubs, one after another, each at a multiple of 16 bytes; bytes CCh (`int3`) between them on
    /// x86, zeros on arm64.
    Bin,
    /// The stubs as data: numbers, counts, symbols, code, relocations.
    #[cfg(feature = "json")]
    Json,
    /// The list itself in canonical form.
    List,
    /// The dispatch table and the argument table as C.
    Table,
}

impl Format {
    /// All formats.
    pub const ALL: &[Self] = &[
        Self::Gas,
        Self::Bin,
        #[cfg(feature = "json")]
        Self::Json,
        Self::List,
        Self::Table,
    ];

    /// The name used in every interface.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Gas => "gas",
            Self::Bin => "bin",
            #[cfg(feature = "json")]
            Self::Json => "json",
            Self::List => "list",
            Self::Table => "table",
        }
    }

    /// Whether the output is bytes that are no text.
    #[must_use]
    pub const fn is_binary(self) -> bool {
        matches!(self, Self::Bin)
    }
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for Format {
    type Err = UnknownName;

    fn from_str(text: &str) -> Result<Self, UnknownName> {
        let found = Self::ALL.iter().copied().find(|format| format.name() == text);
        found.ok_or_else(|| {
            let names: Vec<_> = Self::ALL.iter().map(|format| format.name()).collect();
            UnknownName::new("format", text, names.join(", "))
        })
    }
}
