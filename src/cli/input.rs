//! Lists, and files in general.

use std::fs;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use ntgate_gen::{ServiceList, read_list};

use super::{Failure, output};

/// What most subcommands start from.
#[derive(Debug, clap::Args)]
pub(super) struct ListArg {
    /// The list of services: `NtName count` on each line; `-` is standard input, none is the built-in list
    #[arg(value_name = "LIST")]
    list: Option<PathBuf>,
}

/// A list and what messages call it.
pub(super) struct Input {
    pub(super) name: String,
    pub(super) list: ServiceList,
}

impl ListArg {
    /// Reads and checks the list; tells standard error what is wrong with it.
    pub(super) fn read(&self) -> Result<Input, Failure> {
        let (name, bytes) = match &self.list {
            None => ("sysfuncs.lst".to_owned(), ntgate::SYSFUNCS.to_vec()),
            Some(path) if output::is_standard(path) => ("<stdin>".to_owned(), read_file(path)?),
            Some(path) => (output::shown(path), read_file(path)?),
        };
        match read_list(&name, &bytes) {
            Ok(read) => {
                if !read.warnings.is_empty() {
                    output::complain(&read.warnings.render(output::stderr_has_color()));
                }
                Ok(Input { name, list: read.list })
            }
            Err(diagnostics) => {
                output::complain(&diagnostics.render(output::stderr_has_color()));
                Err(Failure::silent(Failure::INPUT))
            }
        }
    }
}

fn read_stdin() -> Result<Vec<u8>, Failure> {
    let mut bytes = Vec::new();
    let result = io::stdin().lock().read_to_end(&mut bytes);
    result.map_err(|error| Failure::input(format!("cannot read standard input: {error}")))?;
    Ok(bytes)
}

/// The bytes of a file; `-` is standard input.
pub(super) fn read_file(path: &Path) -> Result<Vec<u8>, Failure> {
    if output::is_standard(path) {
        return read_stdin();
    }
    fs::read(path).map_err(|error| Failure::input(format!("cannot read {}: {error}", output::shown(path))))
}
