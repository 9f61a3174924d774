//! `#!` lines.

use super::number::parse_number;
use super::{Checker, Place, Table, label};
use crate::diag::{Code, Diagnostic, quoted};
use crate::model::limits;
use crate::syntax::{Line, Word};

const TABLE_HELP: &str = "a table is started by `#! table win32k base=0x1000`";

impl<'a> Checker<'a> {
    pub(super) fn check_directive(&mut self, line: Line<'a>, words: &[Word<'a>]) {
        match words {
            [keyword, rest @ ..] if keyword.text == "table" => self.check_table(line, rest),
            _ => {
                let message = words.first().map_or_else(
                    || "there is no directive after `#!`".to_owned(),
                    |word| format!("{} is not a directive", quoted(word.text)),
                );
                let span = words.first().map_or(0..line.bytes.len(), Word::span);
                self.report(
                    Diagnostic::new(Code::UnknownDirective, message, label(line, span, "unknown"))
                        .help(format!("{TABLE_HELP}; a comment starts with `# `")),
                );
            }
        }
    }

    fn check_table(&mut self, line: Line<'a>, words: &[Word<'a>]) {
        let place = Place::line(line);
        if self.tables.len() == limits::TABLES {
            let message = format!("there are more than {} tables", limits::TABLES);
            self.report(
                Diagnostic::new(Code::TooManyTables, message, place.label("one too many"))
                    .help("bits 12 and 13 of a service number choose the table"),
            );
        }
        let table = match parse_table(line, words) {
            Ok((name, base)) => {
                if let Some(diagnostic) = self.find_overlap(name, base, place) {
                    self.report(diagnostic);
                }
                Table::new(name, base, place)
            }
            Err(diagnostic) => {
                self.report(*diagnostic);
                // A table with a mistake is a table nevertheless: its services must not become another's.
                Table::unreadable(place)
            }
        };
        self.tables.push(table);
    }

    fn find_overlap(&self, name: &str, base: u32, place: Place<'a>) -> Option<Diagnostic> {
        // The names become parts of identifiers with another case, `Win32kSSDT`.
        let same_name = |other: &&Table<'_>| other.name.eq_ignore_ascii_case(name);
        let mut known = self.tables.iter().filter(|table| table.is_readable);
        let other = known.find(|other| other.base == base || same_name(other))?;
        let message = if same_name(&other) {
            format!("there is another table {}", quoted(other.name))
        } else {
            format!("table {} has the numbers from {base:#x} on already", quoted(other.name))
        };
        Some(
            Diagnostic::new(Code::TableOverlap, message, place.label("second"))
                .related(other.place.label("first"))
                .help("each table has a name and a base of its own; services before any `#! table` are in table `main` at base 0"),
        )
    }
}

fn parse_table<'a>(line: Line<'a>, words: &[Word<'a>]) -> Result<(&'a str, u32), Box<Diagnostic>> {
    let bad = |span, message: String| {
        let diagnostic = Diagnostic::new(Code::BadTable, message, label(line, span, ""));
        Box::new(diagnostic.help(TABLE_HELP))
    };
    let whole = 0..line.bytes.len();
    let [name, options @ ..] = words else {
        return Err(bad(whole, "the table has no name".to_owned()));
    };
    if !is_table_name(name.text) {
        return Err(bad(name.span(), format!("{} is not a name for a table", quoted(name.text))));
    }
    let [base] = options else {
        return Err(match options {
            [_, extra, ..] => bad(extra.span(), format!("{} does not belong here", quoted(extra.text))),
            _ => bad(whole, "the table has no base".to_owned()),
        });
    };
    let number = base.text.strip_prefix("base=").and_then(parse_number);
    let step = limits::SERVICES_PER_TABLE;
    match number {
        Some(number) if number % step == 0 && number / step < limits::TABLES as u32 => Ok((name.text, number)),
        Some(_) => Err(bad(base.span(), "the base is not one of 0, 0x1000, 0x2000 and 0x3000".to_owned())),
        None => Err(bad(base.span(), format!("{} is not a base", quoted(base.text)))),
    }
}

/// Table names become parts of C identifiers.
pub(crate) fn is_table_name(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_alphabetic())
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
        && text.len() <= limits::NAME_CHARS
}
