//! Files of services in any format that is read.

use std::path::Path;

use clap::builder::{PossibleValuesParser, TypedValueParser};
use ntgate_gen::read::{InputFormat, Options, Reading, read};
use ntgate_gen::{Arch, Diagnostics};

use super::input::read_file;
use super::{Failure, output};

/// How such files are read.
#[derive(Debug, clap::Args)]
pub(super) struct SourceArgs {
    /// Define a macro for the conditions of C headers; _WIN32_WINNT is the version for .spec files too
    #[arg(short = 'D', long = "define", value_name = "NAME=VALUE", value_parser = parse_define)]
    define: Vec<(String, String)>,
    /// The architecture that conditions and -arch= are about, i386 if none is given; what is compared or written is of it
    #[arg(long)]
    pub(super) arch: Option<Arch>,
    /// The first number of a file that has none of 0x1000 or more: 0x1000 for win32k
    #[arg(long, value_name = "NUMBER", value_parser = parse_base)]
    base: Option<u32>,
}

fn parse_define(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once('=').unwrap_or((text, "1"));
    let is_name = name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
    if is_name { Ok((name.to_owned(), value.to_owned())) } else { Err("a macro is NAME or NAME=VALUE".to_owned()) }
}

fn parse_base(text: &str) -> Result<u32, String> {
    let number = match text.strip_prefix("0x") {
        Some(digits) => u32::from_str_radix(digits, 16).ok(),
        None => text.parse().ok(),
    };
    number.filter(|&number| Options::is_base(number)).ok_or_else(|| "a base is 0, 0x1000, 0x2000 or 0x3000".to_owned())
}

pub(super) fn format_parser() -> impl TypedValueParser<Value = InputFormat> {
    let names = InputFormat::ALL.iter().map(|format| format.name());
    PossibleValuesParser::new(names).try_map(|name| name.parse::<InputFormat>())
}

impl SourceArgs {
    /// Reads a file, or the built-in list if there is no path; tells standard error what is wrong with it.
    pub(super) fn read(
        &self,
        path: Option<&Path>,
        format: Option<InputFormat>,
        system: Option<&str>,
    ) -> Result<Reading, Failure> {
        let (name, bytes) = match path {
            None => ("sysfuncs.lst".to_owned(), ntgate::SYSFUNCS.to_vec()),
            Some(path) if output::is_standard(path) => ("<stdin>".to_owned(), read_file(path)?),
            Some(path) => (output::shown(path), read_file(path)?),
        };
        let mut options = Options::default();
        options.format = format;
        options.defines.clone_from(&self.define);
        options.arch = self.arch;
        options.system = system.map(str::to_owned);
        options.base = self.base;
        let reading = read(&name, &bytes, &options).map_err(|diagnostics| refused(&diagnostics))?;
        complain(reading.warnings());
        Ok(reading)
    }
}

/// Whoever names a system thinks that it has been chosen: each has to be for a file that has systems, one alone for any.
pub(super) fn check_systems(subcommand: &str, systems: usize, formats: &[InputFormat]) -> Result<(), Failure> {
    let mut has_systems = formats.iter().map(|format| format.has_systems());
    let is_meant = match systems {
        0 => true,
        1 => has_systems.any(|has| has),
        _ => has_systems.all(|has| has),
    };
    if is_meant {
        return Ok(());
    }
    let mut kinds: Vec<_> = formats.iter().filter(|format| !format.has_systems()).map(|format| format.name()).collect();
    kinds.dedup();
    let message = format!("the argument '--system <SYSTEM>' cannot be used with a file of format {}", kinds.join(", "));
    Err(Failure::usage_tip(subcommand, message, "there are systems to choose from in csv and json; leave it out"))
}

/// Shows what is wrong with a file.
pub(super) fn complain(diagnostics: &Diagnostics) {
    if !diagnostics.is_empty() {
        output::complain(&diagnostics.render(output::stderr_has_color()));
    }
}

/// Shows what is wrong with a file, and ends.
pub(super) fn refused(diagnostics: &Diagnostics) -> Failure {
    complain(diagnostics);
    Failure::silent(Failure::INPUT)
}
