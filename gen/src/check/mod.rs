//! Lines to a checked list: numbers, limits, duplicates, signatures.
//!
//! Every mistake of a list is reported, in one run. A service with a mistake in it keeps its place in the table, so
//! that the mistake does not make others.

mod counts;
mod directive;
mod entry;
mod number;
mod signature;
#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::ops::Range;

use crate::diag::{Code, Diagnostic, Diagnostics, Label, column, plural, quoted};
use crate::model::{Service, ServiceList, ServiceTable, limits};
use crate::syntax::{Line, RawLine, Word, lines, not_text, parse_line};

#[cfg(feature = "readers")]
pub(crate) use directive::is_table_name;
#[cfg(feature = "readers")]
pub(crate) use entry::doc_text;
#[cfg(feature = "readers")]
pub(crate) use number::{hex_digits, parse_decimal, parse_number};
#[cfg(feature = "readers")]
pub(crate) use signature::parse_param;

/// The name of the table that a list without `#! table` makes.
const DEFAULT_TABLE: &str = "main";

/// A list without errors.
#[derive(Clone, Debug)]
pub struct Read {
    /// What the list says.
    pub list: ServiceList,
    /// What it perhaps does not mean.
    pub warnings: Diagnostics,
}

/// Reads the text of a list. `name` is what messages call it.
///
/// # Errors
///
/// All errors and warnings of the list, if there is at least one error.
pub fn read_list(name: &str, bytes: &[u8]) -> Result<Read, Diagnostics> {
    let mut checker = Checker::new(name, bytes);
    if let Some(why) = not_text(bytes) {
        checker.report_not_text(bytes, why);
    } else {
        for line in lines(bytes) {
            checker.check_line(line);
        }
        checker.check_whole();
    }
    checker.finish()
}

/// What has been seen of a list so far.
struct Checker<'a> {
    diags: Diagnostics,
    tables: Vec<Table<'a>>,
    /// Every name, and where it was first.
    names: HashMap<&'a str, Place<'a>>,
    /// Whether a line that is not text has been reported; one report is enough.
    seen_invalid: bool,
    seen_nul: bool,
}

/// A part of the list, kept so that a later message can point at it.
#[derive(Clone, Copy)]
struct Place<'a> {
    line: Line<'a>,
    start: usize,
    end: usize,
    column: usize,
}

impl<'a> Place<'a> {
    fn word(line: Line<'a>, word: Word<'a>) -> Self {
        let Range { start, end } = word.span();
        Self { line, start, end, column: column(line.bytes, start) }
    }

    fn line(line: Line<'a>) -> Self {
        Self { line, start: 0, end: line.bytes.len(), column: 1 }
    }

    fn label(&self, text: impl Into<String>) -> Label {
        let Line { number, bytes } = self.line;
        Label::at(number, bytes, self.start..self.end, self.column, text)
    }
}

/// A table while its services are read.
struct Table<'a> {
    name: &'a str,
    base: u32,
    place: Place<'a>,
    services: Vec<Service>,
    /// The number that the next service gets.
    next: u32,
    /// The numbers so far, rising, and where their services are.
    taken: Vec<(u32, Place<'a>)>,
    /// Whether its line could be read. If not, its name and base are made up.
    is_readable: bool,
    /// Whether a service beyond the last index has been reported; one report is enough.
    is_full: bool,
}

fn label(line: Line<'_>, span: Range<usize>, text: impl Into<String>) -> Label {
    Label::new(line.number, line.bytes, span, text)
}

impl<'a> Checker<'a> {
    fn new(name: &str, bytes: &[u8]) -> Self {
        // Most lines are services. A file may have very many lines, and then nothing is right about it.
        let lines = bytes.iter().filter(|&&byte| byte == b'\n').count();
        let services = limits::TABLES * limits::SERVICES_PER_TABLE as usize;
        Self {
            diags: Diagnostics::new(name),
            tables: Vec::new(),
            names: HashMap::with_capacity(lines.min(services)),
            seen_invalid: false,
            seen_nul: false,
        }
    }

    /// Reports something that is wrong in one place.
    fn say(&mut self, code: Code, message: impl Into<String>, label: Label, help: impl Into<String>) {
        self.report(Diagnostic::new(code, message, label).help(help));
    }

    fn report(&mut self, diagnostic: Diagnostic) {
        self.diags.push(diagnostic);
    }

    fn check_line(&mut self, line: Line<'a>) {
        let text = match str::from_utf8(line.bytes) {
            Ok(text) => text,
            Err(error) => return self.report_invalid_utf8(line, error.valid_up_to()),
        };
        if let Some(at) = text.find('\0') {
            return self.report_nul(line, at);
        }
        match parse_line(text) {
            RawLine::Blank => {}
            RawLine::Directive(words) => self.check_directive(line, &words),
            RawLine::Entry(raw) => self.check_entry(line, &raw),
        }
    }

    /// The table that a service of this line belongs to.
    fn current_table(&mut self, line: Line<'a>) -> &mut Table<'a> {
        if self.tables.is_empty() {
            self.tables.push(Table::new(DEFAULT_TABLE, 0, Place::line(line)));
        }
        let last = self.tables.len() - 1;
        &mut self.tables[last]
    }

    fn check_whole(&mut self) {
        if self.tables.iter().all(|table| table.taken.is_empty()) && self.diags.error_count() == 0 {
            let label = Label::new(1, b"", 0..0, "");
            let help = "a service is a line like `NtClose 1`: its name and how many arguments it takes";
            return self.report(Diagnostic::new(Code::NoServices, "the list has no services", label).help(help));
        }
        // A table that could not be read has been reported, and its services may be meant for another.
        let empty: Vec<_> = self
            .tables
            .iter()
            .filter(|table| table.is_readable && table.taken.is_empty())
            .map(|t| (t.name, t.place))
            .collect();
        for (name, place) in empty {
            let message = format!("table {} has no services", quoted(name));
            self.report(
                Diagnostic::new(Code::EmptyTable, message, place.label("this table"))
                    .help("write its services below this line, or take the line out"),
            );
        }
    }

    fn report_not_text(&mut self, bytes: &[u8], why: &str) {
        let start = &bytes[..bytes.len().min(64)];
        let label = Label::new(1, start.split(|&byte| byte == b'\n').next().unwrap_or_default(), 0..0, "");
        let help = "a list is UTF-8 text with lines like `NtClose 1`";
        self.report(Diagnostic::new(Code::NotText, format!("{why}, not a list of services"), label).help(help));
    }

    fn report_invalid_utf8(&mut self, line: Line<'a>, at: usize) {
        if !std::mem::replace(&mut self.seen_invalid, true) {
            let label = label(line, at..at + 1, "not UTF-8 from here");
            self.report(
                Diagnostic::new(Code::InvalidUtf8, "the line is not UTF-8", label)
                    .help("save the list as UTF-8; other lines that are not UTF-8 are not reported"),
            );
        }
    }

    fn report_nul(&mut self, line: Line<'a>, at: usize) {
        if !std::mem::replace(&mut self.seen_nul, true) {
            let label = label(line, at..at + 1, "here");
            self.report(
                Diagnostic::new(Code::Nul, "the line has a NUL character", label)
                    .help("take it out; other lines with NUL are not reported"),
            );
        }
    }

    fn finish(mut self) -> Result<Read, Diagnostics> {
        self.diags.sort();
        if self.diags.error_count() > 0 {
            return Err(self.diags);
        }
        let tables = self.tables.into_iter().map(Table::finish).collect();
        match ServiceList::new(tables) {
            Some(list) => Ok(Read { list, warnings: self.diags }),
            // `check_whole` has reported a list without tables, so this arm has errors to return.
            None => Err(self.diags),
        }
    }
}

impl<'a> Table<'a> {
    fn new(name: &'a str, base: u32, place: Place<'a>) -> Self {
        Self {
            name,
            base,
            place,
            services: Vec::new(),
            next: base,
            taken: Vec::new(),
            is_readable: true,
            is_full: false,
        }
    }

    fn unreadable(place: Place<'a>) -> Self {
        Self { is_readable: false, ..Self::new("?", 0, place) }
    }

    /// The first number that is not the table's any more.
    fn end(&self) -> u32 {
        self.base + limits::SERVICES_PER_TABLE
    }

    fn finish(self) -> ServiceTable {
        ServiceTable::new(self.name.to_owned(), self.base, self.services)
    }
}
