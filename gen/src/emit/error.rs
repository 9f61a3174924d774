//! Why an output cannot be made.

use std::fmt;

use super::Format;
use crate::model::{Arch, Service, ServiceList};
use crate::stub::{EncodeError, Shape};

/// Why an output cannot be made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Error {
    kind: Kind,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Kind {
    NoTable(Arch),
    WrongFormat {
        format: Format,
        arch: Arch,
    },
    Args {
        format: Format,
        /// The most that the format can hold.
        limit: u32,
        services: Vec<TooMany>,
    },
    WrongArch {
        shape: Shape,
        arch: Arch,
    },
    Relocation {
        format: Format,
        shape: Shape,
        symbol: String,
    },
    /// The format is of user mode, the shape of the kernel.
    #[cfg(feature = "object")]
    KernelShape {
        format: Format,
        shape: Shape,
    },
    /// What the library that writes object files says.
    #[cfg(feature = "object")]
    Object(String),
    Encode {
        service: String,
        error: EncodeError,
    },
    #[cfg(feature = "json")]
    Json(String),
}

/// A service with too many arguments.
#[derive(Clone, Debug, PartialEq, Eq)]
struct TooMany {
    line: usize,
    name: String,
    args: u8,
}

/// How many services a message names; with more than these the count or the architecture is wrong, not a line.
const NAMED: usize = 10;

impl Error {
    pub(super) const fn no_table(arch: Arch) -> Self {
        Self { kind: Kind::NoTable(arch) }
    }

    pub(super) const fn wrong_format(format: Format, arch: Arch) -> Self {
        Self { kind: Kind::WrongFormat { format, arch } }
    }

    /// Checks that no service takes more arguments on amd64 than a format can hold.
    pub(super) fn check_args(list: &ServiceList, format: Format, limit: u32) -> Result<(), Self> {
        let args = |service: &Service| service.args(Arch::Amd64);
        let too_many = list.services().filter(|&service| u32::from(args(service)) > limit);
        let services: Vec<_> = too_many
            .map(|service| TooMany { line: service.line(), name: service.name().to_string(), args: args(service) })
            .collect();
        if services.is_empty() { Ok(()) } else { Err(Self { kind: Kind::Args { format, limit, services } }) }
    }

    pub(super) const fn wrong_arch(shape: Shape, arch: Arch) -> Self {
        Self { kind: Kind::WrongArch { shape, arch } }
    }

    pub(super) fn relocation(format: Format, shape: Shape, symbol: &str) -> Self {
        Self { kind: Kind::Relocation { format, shape, symbol: symbol.to_owned() } }
    }

    #[cfg(feature = "object")]
    pub(super) const fn kernel_shape(format: Format, shape: Shape) -> Self {
        Self { kind: Kind::KernelShape { format, shape } }
    }

    #[cfg(feature = "object")]
    pub(super) fn object(error: impl fmt::Display) -> Self {
        Self { kind: Kind::Object(error.to_string()) }
    }

    pub(super) fn encode(service: &str, error: EncodeError) -> Self {
        Self { kind: Kind::Encode { service: service.to_owned(), error } }
    }

    #[cfg(feature = "json")]
    pub(super) fn json(error: &serde_json::Error) -> Self {
        Self { kind: Kind::Json(error.to_string()) }
    }

    /// Whether the options contradict each other, whatever the list is.
    #[must_use]
    pub fn is_contradiction(&self) -> bool {
        self.is_options() && !matches!(self.kind, Kind::Args { .. })
    }

    /// Whether other options would do: an architecture, shape or format that do not go together, or not with the list.
    #[must_use]
    pub fn is_options(&self) -> bool {
        match self.kind {
            Kind::NoTable(_)
            | Kind::WrongFormat { .. }
            | Kind::Args { .. }
            | Kind::WrongArch { .. }
            | Kind::Relocation { .. } => true,
            #[cfg(feature = "object")]
            Kind::KernelShape { .. } => true,
            _ => false,
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.kind {
            Kind::NoTable(arch) => write!(f, "there are no tables for {arch} yet"),
            Kind::WrongFormat { format, arch } => {
                if *format == Format::PackedTable {
                    return write!(f, "the format {format} is for amd64, not {arch}");
                }
                write!(f, "the format {format} is for i386 and amd64, not {arch}; {} can", Format::Gas)
            }
            Kind::Args { format, limit, services } => {
                for TooMany { line, name, args } in services.iter().take(NAMED) {
                    writeln!(f, "line {line}: {name} takes {args} arguments, over the {limit} of the format {format}")?;
                }
                if let Some(more) = services.len().checked_sub(NAMED).filter(|&more| more > 0) {
                    writeln!(f, "... and {more} more")?;
                }
                let help = "if the count is of dwords on i386, write the parameters on amd64 after it, as in `20/10`";
                write!(f, "help: {help}")
            }
            Kind::WrongArch { shape, arch } => {
                write!(f, "the shape {shape} is for {}, not {arch}", shape.arch())
            }
            Kind::Relocation { format, shape, symbol } => write!(
                f,
                "the format {format} cannot hold the shape {shape}: its stubs refer to {symbol}, which only a linker can find; \
                 {} can",
                Format::Gas
            ),
            #[cfg(feature = "object")]
            Kind::KernelShape { format, shape } => {
                let arch = shape.arch();
                let names: Vec<_> =
                    Shape::of(arch).iter().filter(|shape| !shape.is_kernel()).map(|shape| shape.name()).collect();
                write!(
                    f,
                    "the format {format} is an ntdll.dll, of user mode, and the stubs of the shape {shape} are for callers in \
                     the kernel; ask for --shape {}, or for the format coff, elf or archive",
                    names.join(", ")
                )
            }
            #[cfg(feature = "object")]
            Kind::Object(message) => write!(f, "the object file cannot be written: {message}"),
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
