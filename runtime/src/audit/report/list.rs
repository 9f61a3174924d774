//! The services of an audit as a list, which can be proven.

use std::fmt;

use ntgate_gen::emit::{Error, Format, Options, emit};
use ntgate_gen::model::limits;
use ntgate_gen::{Diagnostics, read_list};

use super::super::{Audit, Class, Export};
use super::against::distinct;

/// Why an audit is no list.
#[derive(Debug)]
#[non_exhaustive]
pub enum ListError {
    /// There are no services.
    Nothing,
    /// The argument counts of this many services are not known, as of the first that is named.
    Counts {
        /// How many.
        count: usize,
        /// The first.
        first: String,
    },
    /// A name or count is none that a list may have.
    Refused(Diagnostics),
    /// The list cannot be written.
    Emit(Error),
}

impl fmt::Display for ListError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Nothing => {
                f.write_str("it has no services with Nt names and numbers, so that there is nothing to list")
            }
            Self::Counts { count, first } => write!(
                f,
                "the argument count of {first} is not known, nor of {} others: stubs of amd64 do not have it; \
                 --counts FILE takes counts from another file",
                count - 1
            ),
            Self::Refused(diagnostics) => diagnostics.fmt(f),
            Self::Emit(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for ListError {}

/// The names that [`list`] leaves out though they are services, or were before something was put into their place: those
/// that do not begin with `Nt`, those whose number another has, and hooked ones.
#[must_use]
pub fn left_out(audit: &Audit) -> Vec<&str> {
    let found = distinct(audit);
    let is_listed =
        |export: &Export| found.iter().any(|(_, name, of)| std::ptr::eq(*of, export) && name.starts_with("Nt"));
    let is_gone = |export: &&Export| match export.class {
        Class::Service => !is_listed(export),
        Class::Hooked => true,
        _ => false,
    };
    audit.exports.iter().filter(is_gone).map(|export| export.name.as_str()).collect()
}

/// The services as a list. Those whose name does not begin with `Nt` (of kernel stubs `Zw`) cannot be in one.
///
/// # Errors
/// If there are none, or an argument count is not known.
pub fn list(audit: &Audit) -> Result<String, ListError> {
    let found = distinct(audit);
    let named: Vec<(u32, &str, Option<u8>)> = found
        .iter()
        .filter(|(_, name, _)| name.starts_with("Nt"))
        .map(|(number, name, export)| (*number, name.as_str(), export.args))
        .collect();
    let unknown: Vec<&str> = named.iter().filter(|row| row.2.is_none()).map(|row| row.1).collect();
    if let Some(first) = unknown.first() {
        return Err(ListError::Counts { count: unknown.len(), first: (*first).to_owned() });
    }
    if named.is_empty() {
        return Err(ListError::Nothing);
    }
    let mut text = String::new();
    let mut table = 0;
    for (number, name, args) in &named {
        let base = number / limits::SERVICES_PER_TABLE * limits::SERVICES_PER_TABLE;
        if base != table {
            table = base;
            text.push_str(&match base {
                0x1000 => format!("#! table win32k base={base:#x}\n"),
                _ => format!("#! table table{} base={base:#x}\n", base / limits::SERVICES_PER_TABLE),
            });
        }
        text.push_str(&format!("{name} {} @{number:#x}\n", args.unwrap_or_default()));
    }
    // What is read back is written as lists are: numbers only where they do not follow from the place.
    let read = read_list("audit", text.as_bytes()).map_err(ListError::Refused)?;
    let bytes = emit(&read.list, &Options::new(audit.arch, Format::List)).map_err(ListError::Emit)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}
