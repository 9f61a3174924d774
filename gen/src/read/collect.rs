//! Rows to services: names, duplicates, numbers, limits.

use std::collections::HashMap;

use super::say::Say;
use super::services::{Counts, Detail, Entry, Services, is_service};
use super::{InputFormat, Options, Reading};
use crate::check::{hex_digits, parse_decimal, parse_number};
use crate::diag::{Code, Diagnostics, quoted};
use crate::model::limits;
use crate::syntax::text::{Spot, TextLine};

/// The first number that no table has.
const NUMBERS_END: u32 = limits::TABLES as u32 * limits::SERVICES_PER_TABLE;

/// The most rows that are kept: more than there are numbers, and so the others can only be wrong.
const KEPT: usize = 1 << 16;

/// What a count is of.
pub(super) struct Unit {
    limit: u8,
    what: &'static str,
    /// Why there is such a limit.
    reason: &'static str,
}

/// Arguments of 4 bytes.
pub(super) const ARGUMENTS: Unit = Unit {
    limit: limits::ARGS_I386,
    what: "arguments",
    reason: "the kernel's argument table has one byte for 4 times the count; is this number bytes, not arguments?",
};

/// Parameters of a 64-bit service.
pub(super) const PARAMETERS: Unit = Unit {
    limit: limits::ARGS_AMD64,
    what: "parameters of an amd64 service",
    reason: "four arguments are in registers, and the kernel's table has four bits for the others",
};

/// Bytes of arguments.
pub(super) const BYTES: Unit =
    Unit { limit: 4 * limits::ARGS_I386, what: "bytes", reason: "the kernel's argument table has one byte for them" };

/// What has been seen of a file so far.
pub(super) struct Collector<'a> {
    pub(super) say: Say,
    format: InputFormat,
    rows: Vec<Row<'a>>,
    /// How many rows there were, those with mistakes included.
    places: u32,
    names: HashMap<String, Spot<'a>>,
    numbers: HashMap<u32, Spot<'a>>,
}

struct Row<'a> {
    name: String,
    spot: Spot<'a>,
    number: Option<u32>,
    counts: Counts,
    detail: Detail,
}

impl<'a> Collector<'a> {
    pub(super) fn new(name: &str, format: InputFormat) -> Self {
        Self {
            say: Say::new(name),
            format,
            rows: Vec::new(),
            places: 0,
            names: HashMap::new(),
            numbers: HashMap::new(),
        }
    }

    /// Takes a row. `number` is that of the file, and where it stands; in a file in which the place is the number it is
    /// left to this. A row with a mistake has a place all the same.
    pub(super) fn add(&mut self, name: &str, spot: Spot<'a>, number: Option<(u32, Spot<'a>)>, counts: Counts) {
        self.add_with(name, spot, number, counts, Detail::default());
    }

    /// The same where the file says more.
    pub(super) fn add_with(
        &mut self,
        name: &str,
        spot: Spot<'a>,
        number: Option<(u32, Spot<'a>)>,
        counts: Counts,
        detail: Detail,
    ) {
        let place = self.places;
        self.places += 1;
        let number = if self.format.numbers_by_place() {
            self.check_place(place, spot)
        } else {
            number.and_then(|(number, spot)| self.check_number(number, spot))
        };
        if self.check_name(name, spot) && self.rows.len() < KEPT {
            self.rows.push(Row { name: name.to_owned(), spot, number, counts, detail });
        }
    }

    /// The number of the next row, in a file in which the place is the number.
    pub(super) fn next_place(&self) -> u32 {
        self.places
    }

    fn check_place(&mut self, place: u32, spot: Spot<'a>) -> Option<u32> {
        if place == limits::SERVICES_PER_TABLE {
            let help = format!("a table has {} numbers, from 0 to {:#x}", place, place - 1);
            self.say.say(Code::TooManyServices, "the table has no number for this service", spot, help);
        }
        (place < limits::SERVICES_PER_TABLE).then_some(place)
    }

    fn check_number(&mut self, number: u32, spot: Spot<'a>) -> Option<u32> {
        if number >= NUMBERS_END {
            let message = format!("the number {number:#x} is not one of any table");
            let help = format!("service numbers go from 0 to {:#x}", NUMBERS_END - 1);
            self.say.say(Code::NumberOutsideTable, message, spot, help);
            return None;
        }
        if let Some(&first) = self.numbers.get(&number) {
            let message = format!("the number {number:#x} is taken");
            let help = "no two services have one number";
            self.say.say_two(Code::DuplicateNumber, message, (spot, "again here"), (first, "first here"), help);
            return None;
        }
        self.numbers.insert(number, spot);
        Some(number)
    }

    fn check_name(&mut self, name: &str, spot: Spot<'a>) -> bool {
        let identifier = name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
            && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
        if !identifier || name.len() > limits::NAME_CHARS {
            let message = match name {
                "" => "there is no name of a service".to_owned(),
                name => format!("{} is not the name of a service", quoted(name)),
            };
            let help = format!("a name is letters, digits and `_`, at most {} characters", limits::NAME_CHARS);
            self.say.say(Code::BadName, message, spot, help);
            return false;
        }
        if let Some(&first) = self.names.get(name) {
            let message = format!("{} is in the file already", quoted(name));
            let help = "take one of the two out, or mend its name";
            self.say.say_two(Code::DuplicateName, message, (spot, "again here"), (first, "first here"), help);
            return false;
        }
        self.names.insert(name.to_owned(), spot);
        if !is_service(name) {
            let message = format!("{} does not start with `Nt`", quoted(name));
            let help = "it keeps its number, but a list of services will not have it";
            self.say.say(Code::NotService, message, spot, help);
        }
        true
    }

    /// Reads an argument count.
    pub(super) fn count(&mut self, text: &str, spot: Spot<'a>, unit: &Unit) -> Option<u8> {
        if let Some(digits) = hex_digits(text) {
            let help = u32::from_str_radix(digits, 16).map_or_else(
                |_| "counts are decimal".to_owned(),
                |count| format!("counts are decimal: write `{count}`"),
            );
            self.say.say(Code::HexCount, format!("the count {} is hexadecimal", quoted(text)), spot, help);
            return None;
        }
        if text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_digit()) {
            let help = "write how many arguments the service takes in decimal, 0 if none";
            self.say.say(Code::BadCount, format!("the count {} is not a number", quoted(text)), spot, help);
            return None;
        }
        let count = parse_decimal(text).and_then(|count| u8::try_from(count).ok()).filter(|&count| count <= unit.limit);
        if count.is_none() {
            let message = format!("the count {} is over the limit of {} {}", quoted(text), unit.limit, unit.what);
            self.say.say(Code::TooManyArguments, message, spot, unit.reason);
        } else if text.len() > 1 && text.starts_with('0') {
            let message = format!("the count {} is read as decimal, not as octal", quoted(text));
            self.say.say(Code::OctalCount, message, spot, "other tools take a leading 0 for octal: leave it out");
        }
        count
    }

    /// Reads a service number: decimal or `0x` hexadecimal.
    pub(super) fn number(&mut self, text: &str, spot: Spot<'a>) -> Option<u32> {
        let number = parse_number(text);
        if number.is_none() {
            let message = format!("{} is not a service number", quoted(text));
            self.say.say(Code::BadNumber, message, spot, "write the number in hexadecimal or decimal, as in `0x55`");
        }
        number
    }

    /// Says that a line is no entry.
    pub(super) fn say_bad_entry(&mut self, message: impl Into<String>, spot: Spot<'a>) {
        self.say.say(Code::BadEntry, message, spot, self.format.example());
    }

    /// The services, or what is wrong.
    pub(super) fn finish(mut self, options: &Options) -> Result<Reading, Diagnostics> {
        if self.rows.is_empty() && self.say.diags.error_count() == 0 {
            let spot = Spot::new(TextLine { number: 1, text: "" }, 0..0);
            self.say.say(Code::NoServices, "the file has no services", spot, self.format.example());
        }
        if self.say.diags.error_count() > 0 {
            self.say.diags.sort();
            return Err(self.say.diags);
        }
        let is_low = self.rows.iter().all(|row| row.number.is_none_or(|number| number < limits::SERVICES_PER_TABLE));
        let base = options.base.filter(|&base| is_low && Options::is_base(base)).unwrap_or(0);
        let entries = std::mem::take(&mut self.rows).into_iter().map(|row| {
            let label = self.say.label(row.spot, "");
            let number = row.number.map(|number| base + number);
            Entry { name: row.name, number, counts: row.counts, detail: row.detail, label }
        });
        let entries = entries.collect();
        let mut warnings = self.say.diags;
        warnings.sort();
        let services = Services::new(warnings.file(), entries);
        Ok(Reading { format: self.format, services, warnings, list: None })
    }
}

/// Checks both counts against each other and against their limits; says nothing where one is not known.
pub(super) fn check_counts<'a>(collector: &mut Collector<'a>, counts: Counts, spot: Spot<'a>) {
    let Counts { i386, wide: Some(wide) } = counts else { return };
    if let Some(i386) = i386.filter(|&i386| wide > i386) {
        let message = format!("{wide} parameters do not fit into {i386} dwords");
        collector.say.say(Code::FewerDwords, message, spot, "each parameter takes a dword or more on i386");
    }
    if wide > limits::ARGS_AMD64 {
        let message = format!("{wide} arguments are more than the {} of an amd64 service", limits::ARGS_AMD64);
        collector.say.say(Code::TooManyForAmd64, message, spot, "nothing to do if the file is for i386 alone");
    }
}
