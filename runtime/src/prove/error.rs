//! Why there is no verdict.

use std::fmt;

use ntgate_gen::table::REGISTER_ARGS;
use ntgate_gen::{Arch, Service, Shape};

use super::finding::Finding;
use super::guest::Services;
use crate::backend::BackendError;
use crate::nt::BuildError;

/// Why there is no verdict.
#[derive(Debug)]
#[non_exhaustive]
pub enum ProveError {
    /// The list's first table is not the kernel's own.
    Base {
        /// The table's name.
        table: String,
        /// The number of its first row.
        base: u32,
    },
    /// There is no guest of this architecture.
    Arch {
        /// The architecture.
        arch: Arch,
    },
    /// None of the shapes is of one of the architectures.
    NoShape,
    /// There is no profile of this name.
    Profile {
        /// The name.
        name: String,
        /// Those that there are.
        known: Vec<&'static str>,
    },
    /// A system is of another architecture.
    ArchOfProfile {
        /// The profile.
        profile: &'static str,
        /// The architecture that was asked for.
        arch: Arch,
    },
    /// A system had no stubs of this shape.
    ShapeOfProfile {
        /// The shape.
        shape: Shape,
        /// The profile.
        profile: &'static str,
        /// The shapes that it had.
        known: Vec<Shape>,
    },
    /// A service has more parameters than the 64-bit kernel copies.
    TooManyArguments {
        /// Its name.
        service: String,
        /// Its line in the list.
        line: usize,
        /// How many it may have.
        max: u32,
    },
    /// The code that a stub is said to have cannot be proven.
    Code {
        /// The service.
        service: String,
        /// Why.
        why: String,
    },
    /// There is no image of the plan.
    Build(BuildError),
    /// A machine did not boot it.
    Backend(BackendError),
    /// The guest did not get as far as its first set.
    NoBoot {
        /// The CPU model.
        cpu: &'static str,
        /// How it ended.
        why: String,
    },
    /// The guest found another CPU than it was to run on.
    WrongCpu {
        /// The CPU model.
        cpu: &'static str,
        /// What it found.
        finding: Box<Finding>,
    },
}

impl ProveError {
    /// Why there is no image of a list's plan, with the name of the service.
    pub(super) fn build(error: BuildError, services: &Services<'_>) -> Self {
        match error {
            BuildError::TooManyStackArguments { service, max } if service < services.len() => {
                let service = services.iter().nth(service);
                let line = service.map_or(0, Service::line);
                let service = service.map_or_else(String::new, |service| service.name().to_string());
                Self::TooManyArguments { service, line, max: REGISTER_ARGS + max }
            }
            error => Self::Build(error),
        }
    }

    /// Whether the list or the options are to blame.
    #[must_use]
    pub fn is_input(&self) -> bool {
        matches!(
            self,
            Self::Base { .. }
                | Self::Arch { .. }
                | Self::NoShape
                | Self::Profile { .. }
                | Self::ArchOfProfile { .. }
                | Self::ShapeOfProfile { .. }
                | Self::TooManyArguments { .. }
                | Self::Code { .. }
                | Self::Build(_)
        )
    }

    /// Whether a program other than this one is to blame.
    #[must_use]
    pub fn is_outside(&self) -> bool {
        use BackendError as Backend;
        matches!(self, Self::Backend(Backend::Missing { .. } | Backend::Io { .. } | Backend::Failed { .. }))
    }
}

impl fmt::Display for ProveError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Base { table, base } => {
                write!(f, "the first table, {table}, has base {base:#x}; put the kernel's own, with base 0, first")
            }
            Self::Arch { arch } => {
                write!(f, "stubs of {arch} cannot be proven: there is no machine that runs them; i386 and amd64 can")
            }
            Self::Profile { name, known } => write!(f, "there is no profile `{name}`; known: {}", known.join(", ")),
            Self::ArchOfProfile { profile, arch } => write!(f, "{profile} is not a system of {arch}"),
            Self::ShapeOfProfile { shape, profile, known } => {
                let known: Vec<&str> = known.iter().map(|shape| shape.name()).collect();
                write!(f, "{profile} has no stubs of shape {shape}; it has {}", known.join(", "))
            }
            Self::NoShape => f.write_str("none of the shapes is of that architecture"),
            Self::TooManyArguments { service, line, max } => write!(
                f,
                "line {line}: {service} has more parameters than the {max} that a 64-bit kernel takes; the list is for i386 alone"
            ),
            Self::Code { service, why } => write!(f, "the code of {service}: {why}"),
            Self::Build(error) => write!(f, "there is no image: {error}"),
            Self::Backend(error) => error.fmt(f),
            Self::NoBoot { cpu, why } => write!(f, "the guest did not boot on {cpu}: {why}"),
            Self::WrongCpu { cpu, finding } => {
                write!(f, "the guest on {cpu} found another CPU: {} instead of {}", finding.seen, finding.expected)
            }
        }
    }
}

impl std::error::Error for ProveError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Build(error) => Some(error),
            Self::Backend(error) => Some(error),
            _ => None,
        }
    }
}

impl From<BuildError> for ProveError {
    fn from(error: BuildError) -> Self {
        Self::Build(error)
    }
}

impl From<BackendError> for ProveError {
    fn from(error: BackendError) -> Self {
        Self::Backend(error)
    }
}
