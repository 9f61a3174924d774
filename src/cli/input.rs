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
    /// A list that was named.
    pub(super) fn of(path: &Path) -> Self {
        Self { list: Some(path.to_owned()) }
    }

    /// The built-in list.
    pub(super) fn built_in() -> Self {
        Self { list: None }
    }

    /// The file that the list is read from, if it is one.
    pub(super) fn file(&self) -> Option<&Path> {
        self.list.as_deref().filter(|path| !output::is_standard(path))
    }

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

/// The most that is read of a file: far more than any list or image, far less than would hurt.
const MOST_BYTES: u64 = 256 << 20;

/// The bytes of a file; `-` is standard input.
pub(super) fn read_file(path: &Path) -> Result<Vec<u8>, Failure> {
    if output::is_standard(path) {
        return read_all("standard input", io::stdin().lock());
    }
    let name = output::shown(path);
    match fs::File::open(path) {
        Ok(file) => read_all(&name, file),
        Err(error) => Err(Failure::input(format!("cannot read {name}: {error}"))),
    }
}

fn read_all(name: &str, from: impl Read) -> Result<Vec<u8>, Failure> {
    let mut bytes = Vec::new();
    let result = from.take(MOST_BYTES + 1).read_to_end(&mut bytes);
    result.map_err(|error| Failure::input(format!("cannot read {name}: {error}")))?;
    if bytes.len() as u64 > MOST_BYTES {
        return Err(Failure::input(format!("{name} is larger than {} MiB; is it the right file?", MOST_BYTES >> 20)));
    }
    Ok(bytes)
}
