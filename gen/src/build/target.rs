//! The machine that is built for, as Cargo tells a build script.

use std::env;
use std::path::PathBuf;

use super::Error;
use crate::model::Arch;

/// A variable of Cargo's.
fn variable(name: &str, instead: &str) -> Result<String, Error> {
    env::var(name).map_err(|_| Error::unknown(format!("{name} is not set: call this in a build script, or {instead}")))
}

/// The architecture.
pub(super) fn arch() -> Result<Arch, Error> {
    let name = variable("CARGO_CFG_TARGET_ARCH", "say which architecture with `.arch(..)`")?;
    name.parse().map_err(|error| Error::unknown(format!("the target's architecture: {error}")))
}

/// Where outputs go.
pub(super) fn out_dir() -> Result<PathBuf, Error> {
    variable("OUT_DIR", "say where outputs go with `.out_dir(..)`").map(PathBuf::from)
}

/// The static library that the target's linker takes.
#[cfg(feature = "object")]
pub(super) fn archive() -> Result<crate::emit::Format, Error> {
    use crate::emit::Format;

    let system = variable("CARGO_CFG_TARGET_OS", "choose an output with `.emit(..)`")?;
    match system.as_str() {
        "windows" | "uefi" | "cygwin" => Ok(Format::Archive),
        "macos" | "ios" | "tvos" | "watchos" | "visionos" | "aix" => Err(Error::unknown(format!(
            "there is no object format for {system}; choose an output with `.emit(..)` and link it yourself"
        ))),
        _ => Ok(Format::ElfArchive),
    }
}
