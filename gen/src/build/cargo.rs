//! What a build script tells Cargo ("Build Scripts", in the Cargo book): lines of standard output.

use std::io::{self, Write};
use std::path::Path;

use super::Error;

/// Lines for Cargo. A directive is one line; what would break it is left out.
pub(super) struct Directives<'a> {
    out: &'a mut dyn Write,
}

impl<'a> Directives<'a> {
    pub(super) fn new(out: &'a mut dyn Write) -> Self {
        Self { out }
    }

    /// Run the script again when this file changes.
    pub(super) fn rerun_if_changed(&mut self, path: &Path) -> Result<(), Error> {
        self.line("rerun-if-changed", &path.to_string_lossy())
    }

    /// Something that is perhaps not meant.
    pub(super) fn warning(&mut self, text: &str) -> Result<(), Error> {
        self.line("warning", text)
    }

    /// Something that ends the build.
    pub(super) fn error(&mut self, text: &str) -> Result<(), Error> {
        self.line("error", text)
    }

    /// Link this static library, which is in that directory.
    #[cfg(feature = "object")]
    pub(super) fn link(&mut self, directory: &Path, library: &str) -> Result<(), Error> {
        self.line("rustc-link-search", &format!("native={}", directory.to_string_lossy()))?;
        self.line("rustc-link-lib", &format!("static={library}"))
    }

    fn line(&mut self, key: &str, value: &str) -> Result<(), Error> {
        let value = value.replace(['\n', '\r'], " ");
        writeln!(self.out, "cargo::{key}={value}").map_err(told)
    }
}

fn told(error: io::Error) -> Error {
    Error::file("write to", Path::new("standard output"), error)
}
