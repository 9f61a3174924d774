//! Why there is no verdict.

use std::fmt;

use ntgate_gen::Shape;

use super::finding::Finding;
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
    /// The guest cannot run stubs of this shape: it is of another architecture.
    Shape {
        /// The shape.
        shape: Shape,
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
    /// Whether the list or the options are to blame.
    #[must_use]
    pub fn is_input(&self) -> bool {
        matches!(self, Self::Base { .. } | Self::Shape { .. } | Self::Build(_))
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
            Self::Shape { shape } => write!(f, "the {} shape {shape} cannot be proven yet", shape.arch()),
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
