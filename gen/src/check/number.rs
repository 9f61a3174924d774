//! Service numbers: the next of the table, or the one after `@`.

use super::{Checker, Place};
use crate::diag::{Code, Diagnostic, quoted};
use crate::model::limits;
use crate::syntax::{Line, RawEntry, Word};

impl<'a> Checker<'a> {
    /// Gives the service its number. A number that is wrong is as if it were not there.
    pub(super) fn check_number(&mut self, line: Line<'a>, raw: &RawEntry<'a>) -> Option<u32> {
        let explicit = raw.number.and_then(|word| self.check_at(line, word));
        let place = Place::word(line, raw.name);
        let table = self.current_table(line);
        let number = explicit.unwrap_or(table.next);
        if number < table.end() {
            table.next = number + 1;
            table.taken.push((number, place));
            return Some(number);
        }
        if !std::mem::replace(&mut table.is_full, true) {
            let message = format!("table {} has no number for this service", quoted(table.name));
            let help = format!(
                "a table has {} numbers, from {:#x} to {:#x}",
                limits::SERVICES_PER_TABLE,
                table.base,
                table.end() - 1
            );
            self.say(Code::TooManyServices, message, place.label("the first one too many"), help);
        }
        None
    }

    /// Checks the number after `@` against the table and the numbers before.
    fn check_at(&mut self, line: Line<'a>, word: Word<'a>) -> Option<u32> {
        let place = Place::word(line, word);
        let Some(number) = parse_number(word.text) else {
            let message = match word.text {
                "" => "there is no number after `@`".to_owned(),
                text => format!("{} is not a service number", quoted(text)),
            };
            let help = "write the number in hexadecimal or decimal, as in `@0x55`";
            self.say(Code::BadNumber, message, place.label(""), help);
            return None;
        };
        let table = self.current_table(line);
        if !table.is_readable {
            return None;
        }
        let (base, end, next) = (table.base, table.end(), table.next);
        if !(base..end).contains(&number) {
            let message = format!("the number {number:#x} is not one of table {}", quoted(table.name));
            let help = format!("its numbers go from {base:#x} to {:#x}", end - 1);
            self.say(Code::NumberOutsideTable, message, place.label(""), help);
            return None;
        }
        if number >= next {
            return Some(number);
        }
        let at = table.taken.partition_point(|&(taken, _)| taken < number);
        let other = table.taken.get(at).copied();
        self.report_not_forward(number, next, place, other);
        None
    }

    /// `other` is the service that has the number, or else the first that has a higher one.
    fn report_not_forward(&mut self, number: u32, next: u32, place: Place<'a>, other: Option<(u32, Place<'a>)>) {
        let (code, message) = if other.is_some_and(|(taken, _)| taken == number) {
            (Code::DuplicateNumber, format!("the number {number:#x} is taken"))
        } else {
            (Code::BackwardNumber, format!("the number {number:#x} comes too late"))
        };
        let help = format!("services stand in number order; the next free number is {next:#x}");
        let mut diagnostic = Diagnostic::new(code, message, place.label("")).help(help);
        if let Some((taken, other)) = other {
            diagnostic = diagnostic.related(other.label(format!("this is number {taken:#x}")));
        }
        self.report(diagnostic);
    }
}

/// Reads decimal or `0x` hexadecimal. `None` if the text is neither or does not fit.
pub(crate) fn parse_number(text: &str) -> Option<u32> {
    match hex_digits(text) {
        Some(digits) => u32::from_str_radix(digits, 16).ok(),
        None => parse_decimal(text),
    }
}

/// Reads decimal digits, nothing else: `str::parse` would take a sign.
pub(crate) fn parse_decimal(text: &str) -> Option<u32> {
    if text.bytes().all(|byte| byte.is_ascii_digit()) { text.parse().ok() } else { None }
}

/// The digits of `0x1f`, if the text is hexadecimal.
pub(crate) fn hex_digits(text: &str) -> Option<&str> {
    let digits = text.strip_prefix("0x").or_else(|| text.strip_prefix("0X"))?;
    (!digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_hexdigit())).then_some(digits)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_decimal_or_hexadecimal() {
        for (text, number) in [("0", 0), ("010", 10), ("0x55", 0x55), ("0XfF", 0xff)] {
            assert_eq!(parse_number(text), Some(number), "{text}");
        }
        for text in ["", "x", "+1", "-1", "0x", "0x+1", "1_000", "4294967296", "0x100000000", "١"] {
            assert_eq!(parse_number(text), None, "{text}");
        }
    }
}
