//! Why an output cannot be made.

use std::fmt;

use super::Format;
use crate::model::Arch;
use crate::stub::{EncodeError, Shape};

/// Why an output cannot be made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Error {
    kind: Kind,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Kind {
    NoStubs(Arch),
    NoTable(Arch),
    WrongArch {
        shape: Shape,
        arch: Arch,
    },
    Relocation {
        format: Format,
        shape: Shape,
        symbol: String,
    },
    Encode {
        service: String,
        error: EncodeError,
    },
    #[cfg(feature = "json")]
    Json(String),
}

impl Error {
    pub(super) const fn no_stubs(arch: Arch) -> Self {
        Self { kind: Kind::NoStubs(arch) }
    }

    pub(super) const fn no_table(arch: Arch) -> Self {
        Self { kind: Kind::NoTable(arch) }
    }

    pub(super) const fn wrong_arch(shape: Shape, arch: Arch) -> Self {
        Self { kind: Kind::WrongArch { shape, arch } }
    }

    pub(super) fn relocation(format: Format, shape: Shape, symbol: &str) -> Self {
        Self { kind: Kind::Relocation { format, shape, symbol: symbol.to_owned() } }
    }

    pub(super) fn encode(service: &str, error: EncodeError) -> Self {
        Self { kind: Kind::Encode { service: service.to_owned(), error } }
    }

    #[cfg(feature = "json")]
    pub(super) fn json(error: &serde_json::Error) -> Self {
        Self { kind: Kind::Json(error.to_string()) }
    }

    /// Whether other options would do: an architecture, shape or format that do not go together.
    #[must_use]
    pub fn is_options(&self) -> bool {
        matches!(self.kind, Kind::NoStubs(_) | Kind::NoTable(_) | Kind::WrongArch { .. } | Kind::Relocation { .. })
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.kind {
            Kind::NoStubs(arch) => write!(f, "there are no stubs for {arch} yet"),
            Kind::NoTable(arch) => write!(f, "there are no tables for {arch} yet"),
            Kind::WrongArch { shape, arch } => {
                write!(f, "the shape {shape} is for {}, not {arch}", shape.arch())
            }
            Kind::Relocation { format, shape, symbol } => write!(
                f,
                "the format {format} cannot hold the shape {shape}: its stubs refer to {symbol}, which only a linker can find"
            ),
            Kind::Encode { service, error } => write!(f, "the stub of {service}: {error}"),
            #[cfg(feature = "json")]
            Kind::Json(message) => f.write_str(message),
        }
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match &self.kind {
            Kind::Encode { error, .. } => Some(error),
            _ => None,
        }
    }
}
