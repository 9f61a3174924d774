//! The same image on two machines: the bundled one, and QEMU as a second opinion.
//!
//! Both give a [`Boot`]: what the guest wrote to its debug console, and how it ended.

pub mod bundled;
pub mod qemu;

use std::fmt;

use crate::machine::LoadError;

/// What a machine is asked to boot.
#[derive(Debug, Clone, Copy)]
pub struct Image<'a> {
    /// A multiboot-1 ELF file.
    pub elf: &'a [u8],
    /// The CPU model, named as in [`machine::cpuid`](crate::machine::cpuid).
    pub cpu: &'a str,
    /// Instructions after which the bundled machine gives up.
    pub budget: u64,
}

/// One boot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Boot {
    /// What the guest wrote to its debug console.
    pub console: Vec<u8>,
    /// How it ended.
    pub end: End,
}

/// How a boot ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum End {
    /// The guest wrote this value to its exit port (QEMU keeps the low seven bits).
    Exit(u32),
    /// Anything else, in words.
    Stopped(String),
}

impl fmt::Display for End {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exit(value) => write!(f, "the guest wrote {value} to its exit port"),
            Self::Stopped(why) => f.write_str(why),
        }
    }
}

/// Why there was no boot.
#[derive(Debug)]
#[non_exhaustive]
pub enum BackendError {
    /// The machine has no such CPU model.
    NoSuchCpu {
        /// The model.
        cpu: String,
    },
    /// The bundled machine cannot load the image.
    Load(LoadError),
    /// A program is not there.
    Missing {
        /// The program.
        program: &'static str,
        /// The package that has it, as Debian and its derivatives call it.
        package: &'static str,
    },
    /// A program could not be run, or not be talked to.
    Io {
        /// The program.
        program: &'static str,
        /// Why.
        error: std::io::Error,
    },
    /// A program ended before the guest ran, or did not end at all.
    Failed {
        /// The program.
        program: &'static str,
        /// What it said.
        message: String,
    },
}

impl fmt::Display for BackendError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoSuchCpu { cpu } => write!(f, "there is no CPU model `{cpu}`"),
            Self::Load(error) => write!(f, "the image cannot be loaded: {error}"),
            Self::Missing { program, package } => {
                write!(f, "{program} is not on the PATH; install the package {package}")
            }
            Self::Io { program, error } => write!(f, "{program} cannot be run: {error}"),
            Self::Failed { program, message } => write!(f, "{program} failed: {message}"),
        }
    }
}

impl std::error::Error for BackendError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Load(error) => Some(error),
            Self::Io { error, .. } => Some(error),
            _ => None,
        }
    }
}
