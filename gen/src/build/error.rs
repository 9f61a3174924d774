//! Why a build script cannot go on.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use crate::diag::{Diagnostics, printable};
use crate::emit;

/// Why a build script cannot go on.
#[derive(Debug)]
pub struct Error {
    kind: Kind,
}

#[derive(Debug)]
enum Kind {
    /// The list has mistakes.
    List(Diagnostics),
    /// An output cannot be made of it.
    Emit { list: PathBuf, error: emit::Error },
    /// A file or directory cannot be used: what for, its name, why.
    File { verb: &'static str, path: PathBuf, error: io::Error },
    /// Something was not said and cannot be found out, or was said and cannot be meant.
    Unknown(String),
}

impl Error {
    pub(super) fn list(diagnostics: Diagnostics) -> Self {
        Self { kind: Kind::List(diagnostics) }
    }

    pub(super) fn emit(list: &Path, error: emit::Error) -> Self {
        Self { kind: Kind::Emit { list: list.to_owned(), error } }
    }

    pub(super) fn file(verb: &'static str, path: &Path, error: io::Error) -> Self {
        Self { kind: Kind::File { verb, path: path.to_owned(), error } }
    }

    /// An output would take the place of something else.
    pub(super) fn same_file(path: &Path, what: &str) -> Self {
        Self::unknown(format!("{} is {what}; give the output another name with `.emit_to(..)`", shown(path)))
    }

    pub(super) fn unknown(message: impl Into<String>) -> Self {
        Self { kind: Kind::Unknown(message.into()) }
    }

    /// What is wrong with the list, if that is what is wrong.
    #[must_use]
    pub fn diagnostics(&self) -> Option<&Diagnostics> {
        match &self.kind {
            Kind::List(diagnostics) => Some(diagnostics),
            _ => None,
        }
    }

    /// Whether a file could not be read or written.
    #[must_use]
    pub fn is_io(&self) -> bool {
        matches!(self.kind, Kind::File { .. })
    }

    /// One line for each thing that is wrong, with file, line and column where there are such.
    pub(super) fn lines(&self) -> Vec<String> {
        match &self.kind {
            Kind::List(diagnostics) => lines(diagnostics),
            _ => self.to_string().lines().map(str::to_owned).collect(),
        }
    }
}

/// The most diagnostics that Cargo is told; who has more mends these first.
const TOLD: usize = 50;

/// Each diagnostic as one line: where, what, and what to do.
pub(super) fn lines(diagnostics: &Diagnostics) -> Vec<String> {
    let line = |item| {
        let help = crate::diag::Diagnostic::help_text(item).map(|help| format!("; {help}")).unwrap_or_default();
        diagnostics.headline(item) + &help
    };
    let mut lines: Vec<_> = diagnostics.iter().take(TOLD).map(line).collect();
    if let Some(more) = diagnostics.len().checked_sub(TOLD).filter(|&more| more > 0) {
        lines.push(format!("... and {more} more"));
    }
    lines
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.kind {
            Kind::List(diagnostics) => diagnostics.fmt(f),
            Kind::Emit { list, error } => write!(f, "{}: {error}", shown(list)),
            Kind::File { verb, path, error } => write!(f, "cannot {verb} {}: {error}", shown(path)),
            Kind::Unknown(message) => f.write_str(message),
        }
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match &self.kind {
            Kind::List(diagnostics) => Some(diagnostics),
            Kind::Emit { error, .. } => Some(error),
            Kind::File { error, .. } => Some(error),
            Kind::Unknown(_) => None,
        }
    }
}

/// A path for a message: one line.
fn shown(path: &Path) -> String {
    printable(&path.to_string_lossy())
}
