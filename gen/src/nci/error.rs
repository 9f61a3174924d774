//! Why the old formats cannot hold a list.

use std::fmt;

use crate::model::{Service, ServiceTable};

/// Why the old formats cannot hold a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Error {
    message: String,
}

impl Error {
    fn new(message: String) -> Self {
        Self { message }
    }

    pub(super) fn tables(file: &str, second: &ServiceTable) -> Self {
        Self::new(format!(
            "{file} has a second table, {}; nci takes one of each list: put it into the other list",
            second.name()
        ))
    }

    pub(super) fn base(file: &str, base: u32, expected: u32) -> Self {
        Self::new(format!("{file} starts at {base:#x}; nci has {expected:#x} there"))
    }

    pub(super) fn hole(file: &str, service: &Service, next: u32) -> Self {
        Self::new(format!(
            "{file}, line {}: {} has the number {:#x}, not {next:#x}; the tables of nci have no holes: use `ntgate gen --emit table`",
            service.line(),
            service.name(),
            service.number()
        ))
    }

    pub(super) fn args(service: &Service, args: u8, most: u32) -> Self {
        Self::new(format!(
            "line {}: {} takes {args} arguments, over the {most} whose bytes fit a UCHAR of the argument table",
            service.line(),
            service.name()
        ))
    }

    pub(super) fn twice(service: &Service) -> Self {
        Self::new(format!("w32ksvc.db, line {}: {} is in sysfuncs.lst, too", service.line(), service.name()))
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Error {}
