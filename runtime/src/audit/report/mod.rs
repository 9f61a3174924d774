//! Audits as text and for programs.

mod against;
mod csv;
mod json;
mod list;
mod sarif;
mod table;

pub use against::{Against, against, services};
pub use csv::csv;
pub use json::json;
pub use list::{ListError, left_out, list};
pub use sarif::sarif;
pub use table::{Style, table};

use super::Audit;
use super::contract::Verdict;

/// A file, with what is to be told of it.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Audited {
    /// As it was named.
    pub path: String,
    /// Whether that is a path, at which results may point; standard input is none.
    pub is_file: bool,
    /// What it does.
    pub audit: Audit,
    /// What others count on, if that was asked.
    pub contracts: Vec<Verdict>,
    /// How it differs from what was expected, if that was asked.
    pub against: Option<Against>,
}

impl Audited {
    /// A file of which nothing more is asked.
    #[must_use]
    pub fn new(path: impl Into<String>, audit: Audit) -> Self {
        Self { path: path.into(), is_file: true, audit, contracts: Vec::new(), against: None }
    }

    /// Whether all of it is as it should be: nothing hooked, nothing found, no contract broken, nothing else than expected.
    #[must_use]
    pub fn holds(&self) -> bool {
        self.audit.is_clean()
            && self.contracts.iter().all(Verdict::holds)
            && self.against.as_ref().is_none_or(Against::holds)
    }
}

/// A number as lists and debuggers write it.
fn hex(number: u32) -> String {
    format!("{number:X}h")
}
