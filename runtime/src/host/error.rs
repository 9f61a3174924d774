//! What can be wrong with a machine that is to be built.

use std::error::Error;
use std::fmt;

use crate::machine::LoadError;
use crate::nt;

/// An error of the caller's own closures.
pub type BoxError = Box<dyn Error + Send + Sync>;

/// Why there is no machine.
#[derive(Debug)]
#[non_exhaustive]
pub enum BuildError {
    /// There is no profile of this name.
    UnknownProfile {
        /// The name.
        name: String,
        /// The one that looks most like it.
        nearest: Option<String>,
        /// All that there are.
        known: Vec<&'static str>,
    },
    /// The machine has no CPU model of this name.
    UnknownCpu {
        /// The name.
        name: String,
        /// The one that looks most like it, of those on which the system runs.
        nearest: Option<String>,
        /// Those on which the system runs.
        known: Vec<&'static str>,
    },
    /// The system does not run on this CPU model.
    CpuOfProfile {
        /// The CPU model.
        cpu: &'static str,
        /// The profile.
        profile: &'static str,
        /// Those on which it runs.
        known: Vec<&'static str>,
    },
    /// The list has no service of this name.
    UnknownService {
        /// The name.
        name: String,
        /// The one that looks most like it.
        nearest: Option<String>,
    },
    /// No list was given, and the profile has none of its own.
    NoList {
        /// The profile.
        profile: &'static str,
    },
    /// The list's first table is not the kernel's own, with base 0.
    Base {
        /// The table's name.
        table: String,
        /// The number of its first row.
        base: u32,
    },
    /// No program was given.
    NoProgram,
    /// The closure that makes the program, or the code of a service, failed.
    Code {
        /// `program`, or the service's name.
        what: String,
        /// What it says.
        error: BoxError,
    },
    /// There is no image of it.
    Image(nt::BuildError),
    /// The image does not fit into the machine.
    Load(LoadError),
}

impl BuildError {
    /// A service that is not among these.
    pub(crate) fn unknown_service<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> Self {
        Self::UnknownService { name: name.to_owned(), nearest: nearest(name, known) }
    }
}

/// The name that looks most like this one, if one does.
pub(crate) fn nearest<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> Option<String> {
    // Names of services are long and begin alike.
    const ALIKE: f64 = 0.8;
    let alike = |known: &'a str| (strsim::jaro_winkler(&name.to_lowercase(), &known.to_lowercase()), known);
    let best = known.into_iter().map(alike).max_by(|a, b| a.0.total_cmp(&b.0));
    best.filter(|(score, _)| *score >= ALIKE).map(|(_, name)| name.to_owned())
}

/// `; did you mean `x`?`
fn hint(f: &mut fmt::Formatter<'_>, nearest: Option<&String>) -> fmt::Result {
    nearest.map_or(Ok(()), |nearest| write!(f, "; did you mean `{nearest}`?"))
}

impl fmt::Display for BuildError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::UnknownProfile { name, nearest, known } => {
                write!(f, "there is no profile `{name}`; known: {}", known.join(", "))?;
                hint(f, nearest.as_ref())
            }
            Self::UnknownCpu { name, nearest, known } => {
                write!(f, "there is no CPU model `{name}`; the system runs on {}", known.join(", "))?;
                hint(f, nearest.as_ref())
            }
            Self::CpuOfProfile { cpu, profile, known } => {
                write!(f, "{profile} does not run on {cpu}; it runs on {}", known.join(", "))
            }
            Self::UnknownService { name, nearest } => {
                write!(f, "the list has no service `{}`", name.escape_debug())?;
                hint(f, nearest.as_ref())
            }
            Self::NoList { profile } => write!(f, "{profile} has no list of its own; give one"),
            Self::Base { table, base } => {
                write!(f, "the first table, {table}, has base {base:#x}; put the kernel's own, with base 0, first")
            }
            Self::NoProgram => f.write_str("there is no program to run"),
            Self::Code { what, error } => write!(f, "the code of {what}: {error}"),
            Self::Image(error) => write!(f, "there is no image: {error}"),
            Self::Load(error) => write!(f, "the image cannot be loaded: {error}"),
        }
    }
}

impl Error for BuildError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Code { error, .. } => Some(&**error),
            Self::Image(error) => Some(error),
            Self::Load(error) => Some(error),
            _ => None,
        }
    }
}

impl From<nt::BuildError> for BuildError {
    fn from(error: nt::BuildError) -> Self {
        Self::Image(error)
    }
}

impl From<LoadError> for BuildError {
    fn from(error: LoadError) -> Self {
        Self::Load(error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_name_is_one_that_looks_alike() {
        let known = ["NtClose", "NtWriteFile", "NtWriteFileGather", "NtReadFile"];
        assert_eq!(nearest("NtWritFile", known).as_deref(), Some("NtWriteFile"));
        assert_eq!(nearest("ntclose", known).as_deref(), Some("NtClose"));
        assert_eq!(nearest("quite another", known), None);
        assert_eq!(nearest("NtClose", []), None);
    }
}
