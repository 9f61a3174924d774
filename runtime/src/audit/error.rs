//! Why a file cannot be audited.

use std::fmt;

use super::image::Kind;

/// Why a file cannot be audited: what it is, and what could be done.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum AuditError {
    /// It is no image, object or archive.
    NotAuditable {
        /// What it is, or seems to be.
        what: String,
    },
    /// It is no PE image, and was said to be one as it lies in memory.
    NotMapped {
        /// What it is, or seems to be.
        what: String,
    },
    /// It is a PE image, and its exports are where they are in the other of the two forms.
    OtherForm {
        /// The form that it has.
        kind: Kind,
    },
    /// It is one, and of a processor that the machine is not.
    Architecture {
        /// The form.
        kind: Kind,
        /// The processor.
        machine: String,
    },
    /// It is damaged, or wants what no loader would give it.
    Damaged {
        /// The form.
        kind: Kind,
        /// What is wrong, and where.
        what: String,
    },
    /// It has nothing that could be called.
    Nothing {
        /// The form.
        kind: Kind,
        /// What it has none of.
        what: &'static str,
    },
    /// The machine could not be started.
    Machine(String),
}

impl AuditError {
    pub(super) fn not(what: impl Into<String>) -> Self {
        Self::NotAuditable { what: what.into() }
    }

    pub(super) fn damaged(kind: Kind, what: impl Into<String>) -> Self {
        Self::Damaged { kind, what: what.into() }
    }
}

impl fmt::Display for AuditError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotAuditable { what } => {
                write!(
                    f,
                    "{what}: not a PE image, a COFF or ELF object, or an archive of objects with system-call stubs"
                )
            }
            Self::NotMapped { what } => {
                write!(f, "{what}: only PE images lie in memory; what is as it was on disk is audited without --mapped")
            }
            Self::OtherForm { kind: Kind::Mapped } => {
                f.write_str("a PE image as it lies in memory, not as it is on disk: it is audited with --mapped")
            }
            Self::OtherForm { kind } => {
                write!(
                    f,
                    "{} as it is on disk, not as it lies in memory: it is audited without --mapped",
                    article(*kind)
                )
            }
            Self::Architecture { kind, machine } => {
                write!(f, "{} for {machine}: only i386 and amd64 are executed here", article(*kind))
            }
            Self::Damaged { kind, what } => write!(f, "{}, but {what}", article(*kind)),
            Self::Nothing { kind, what } => write!(f, "{} without {what}", article(*kind)),
            Self::Machine(what) => write!(f, "the machine does not start: {what}"),
        }
    }
}

impl std::error::Error for AuditError {}

pub(super) fn article(kind: Kind) -> &'static str {
    match kind {
        Kind::Pe => "a PE image",
        Kind::Mapped => "a PE image as it lies in memory",
        Kind::Coff => "a COFF object",
        Kind::Elf => "an ELF object",
        Kind::Archive => "an archive",
    }
}
