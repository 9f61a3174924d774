//! Argument counts: `5`, or `5/4` where they differ between 32 and 64 bits.

use super::number::{hex_digits, parse_decimal};
use super::{Checker, label, plural};
use crate::diag::{Code, quoted};
use crate::model::limits;
use crate::syntax::{Line, RawEntry, Word};

/// Argument slots of one service.
#[derive(Clone, Copy)]
pub(super) struct Counts {
    /// Dwords on i386.
    pub(super) i386: u8,
    /// Parameters on 64-bit systems.
    pub(super) wide: u8,
}

/// What is true of one of the two counts.
struct Kind {
    limit: u8,
    service: &'static str,
    /// Why there is such a limit.
    reason: &'static str,
}

const I386: Kind = Kind {
    limit: limits::ARGS_I386,
    service: "an i386 service",
    reason: "the kernel's argument table has one byte for 4 times the count; is this number bytes, not arguments?",
};

const AMD64: Kind = Kind {
    limit: limits::ARGS_AMD64,
    service: "an amd64 service",
    reason: "four arguments are in registers, and the kernel's table has four bits for the others",
};

impl<'a> Checker<'a> {
    pub(super) fn check_counts(&mut self, line: Line<'a>, raw: &RawEntry<'a>) -> Option<Counts> {
        let Some(word) = raw.count else {
            let end = raw.name.span().end;
            let message = format!("{} has no argument count", quoted(raw.name.text));
            let help = "write how many arguments it takes after the name, 0 if none";
            self.say(Code::MissingCount, message, label(line, end..end, "count missing"), help);
            return None;
        };
        let counts = match word.text.split_once('/') {
            None => {
                let count = self.check_count(line, word, &I386)?;
                Counts { i386: count, wide: count }
            }
            Some((first, second)) => {
                let second = Word { text: second, start: word.start + first.len() + 1 };
                let i386 = self.check_count(line, Word { text: first, ..word }, &I386);
                let wide = self.check_count(line, second, &AMD64);
                Counts { i386: i386?, wide: wide? }
            }
        };
        self.check_both(line, word, counts).then_some(counts)
    }

    /// Checks the counts against each other.
    fn check_both(&mut self, line: Line<'a>, word: Word<'a>, counts: Counts) -> bool {
        let Counts { i386, wide } = counts;
        // Only made when something is wrong: most lists are right.
        let label = || label(line, word.span(), "");
        if wide > i386 {
            let (params, dwords) = (plural(wide.into(), "parameter"), plural(i386.into(), "dword"));
            let help = "in `5/4` the dwords on i386 come first, then the parameters on amd64, each of a dword or more";
            self.say(Code::FewerDwords, format!("{params} do not fit into {dwords}"), label(), help);
            return false;
        }
        if wide > limits::ARGS_AMD64 {
            let message = format!("{wide} arguments are more than the {} of an amd64 service", limits::ARGS_AMD64);
            let help = "nothing to do if the list is for i386 alone";
            self.say(Code::TooManyForAmd64, message, label(), help);
        }
        true
    }

    fn check_count(&mut self, line: Line<'a>, word: Word<'a>, kind: &Kind) -> Option<u8> {
        let shown = || quoted(word.text);
        let label = || label(line, word.span(), "");
        if word.text.is_empty() {
            let message = "a count is missing beside the `/`";
            let help = "write the dwords on i386, `/`, and the parameters on amd64, as in `5/4`";
            self.say(Code::BadCount, message, label(), help);
            return None;
        }
        if let Some(digits) = hex_digits(word.text) {
            let help = u32::from_str_radix(digits, 16).map_or_else(
                |_| "counts are decimal".to_owned(),
                |count| format!("counts are decimal: write `{count}`"),
            );
            self.say(Code::HexCount, format!("the count {} is hexadecimal", shown()), label(), help);
            return None;
        }
        if !word.text.bytes().all(|byte| byte.is_ascii_digit()) {
            let help = "write how many arguments the service takes in decimal, 0 if none";
            self.say(Code::BadCount, format!("the count {} is not a number", shown()), label(), help);
            return None;
        }
        // Digits that do not fit a number are over every limit.
        let count = parse_decimal(word.text).and_then(|count| u8::try_from(count).ok());
        let Some(count) = count.filter(|&count| count <= kind.limit) else {
            let message =
                format!("the count {} is over the limit of {} arguments for {}", shown(), kind.limit, kind.service);
            self.say(Code::TooManyArguments, message, label(), kind.reason);
            return None;
        };
        if word.text.len() > 1 && word.text.starts_with('0') {
            let message = format!("the count {} is read as {count}, not as octal", shown());
            let help = format!("write `{count}`: other tools take a leading 0 for octal");
            self.say(Code::OctalCount, message, label(), help);
        }
        Some(count)
    }
}
