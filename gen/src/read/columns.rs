//! Tables of columns: the list with Nt and Zw names that ReactOS had from 1998 to 2005, and names with numbers.

use super::collect::{ARGUMENTS, BYTES, Collector, check_counts};
use super::services::Counts;
use super::{InputFormat, Options};
use crate::diag::{Code, quoted};
use crate::model::limits;
use crate::syntax::Word;
use crate::syntax::columns::parse_columns;
use crate::syntax::text::{Spot, TextLine, text_lines};

/// Rows with arguments that must agree before a column is taken for bytes without a word.
const SURE: usize = 4;

/// Whether the third column holds counts or bytes: the largest count that there has been is 17, and of a list's counts
/// most are no multiples of 4.
pub(super) fn three_kind(text: &str) -> InputFormat {
    let numbers: Vec<u32> = third_column(text).filter(|&number| number != 0).collect();
    let are_multiples = numbers.iter().all(|number| number % 4 == 0);
    if are_multiples && (numbers.len() >= SURE || numbers.iter().any(|&number| number > u32::from(limits::ARGS_I386))) {
        InputFormat::NtZwBytes
    } else {
        InputFormat::NtZwCount
    }
}

fn third_column(text: &str) -> impl Iterator<Item = u32> {
    text_lines(text).filter_map(|line| parse_columns(line.text).get(2).and_then(|word| word.text.parse().ok()))
}

/// Reads `NtClose ZwClose 1`.
pub(super) fn read_three<'a>(text: &'a str, format: InputFormat, options: &Options, collector: &mut Collector<'a>) {
    // Who has named the format knows what the column is.
    let numbers: Vec<u32> = third_column(text).filter(|&number| number != 0).collect();
    let mut is_doubtful = options.format.is_none()
        && format == InputFormat::NtZwCount
        && !numbers.is_empty()
        && numbers.iter().all(|number| number % 4 == 0);
    for line in text_lines(text) {
        let words = parse_columns(line.text);
        let (name, zw, third) = match words.as_slice() {
            [] => continue,
            [name, zw, third, rest @ ..] => {
                if let Some(extra) = rest.first() {
                    let message = format!("{} does not belong here", quoted(extra.text));
                    let help = "a line has the Nt name, the Zw name and a number; a comment starts with `#`";
                    collector.say.say(Code::UnexpectedText, message, spot(line, *extra), help);
                }
                (*name, *zw, *third)
            }
            [name, ..] => {
                let message = format!("{} has {} of 3 columns", quoted(name.text), words.len());
                collector.say_bad_entry(message, Spot::line(line).after());
                collector.add(name.text, spot(line, *name), None, Counts::default());
                continue;
            }
        };
        check_twins(collector, line, name, zw);
        if std::mem::take(&mut is_doubtful) {
            let help = "--from nt-zw-count says that they are counts, --from nt-zw-bytes that they are bytes";
            let message = "the third column could hold bytes, and is taken for counts";
            collector.say.say(Code::CountsOrBytes, message, spot(line, third), help);
        }
        let counts = third_counts(collector, line, third, format);
        collector.add(name.text, spot(line, name), None, counts);
    }
}

fn check_twins<'a>(collector: &mut Collector<'a>, line: TextLine<'a>, nt: Word<'_>, zw: Word<'_>) {
    let stem = nt.text.strip_prefix("Nt").unwrap_or(nt.text);
    if zw.text.strip_prefix("Zw") != Some(stem) {
        let message = format!("{} is not the twin of {}", quoted(zw.text), quoted(nt.text));
        let help = format!("the twin is {}", quoted(&format!("Zw{stem}")));
        collector.say.say(Code::TwinMismatch, message, spot(line, zw), help);
    }
}

fn third_counts<'a>(collector: &mut Collector<'a>, line: TextLine<'a>, third: Word<'_>, format: InputFormat) -> Counts {
    let place = spot(line, third);
    let is_bytes = format == InputFormat::NtZwBytes;
    let unit = if is_bytes { &BYTES } else { &ARGUMENTS };
    let Some(number) = collector.count(third.text, place, unit) else {
        return Counts::default();
    };
    if is_bytes && number % 4 != 0 {
        let message = format!("{number} bytes are not a whole number of arguments");
        let help = "an argument is 4 bytes; --from nt-zw-count says that the column holds counts";
        collector.say.say(Code::BadBytes, message, place, help);
        return Counts::default();
    }
    let counts = Counts::both(if is_bytes { number / 4 } else { number });
    check_counts(collector, counts, place);
    counts
}

/// Reads a name, a tab and a number. The file has no counts.
pub(super) fn read_tsv<'a>(text: &'a str, collector: &mut Collector<'a>) {
    for line in text_lines(text) {
        let words = parse_columns(line.text);
        match words.as_slice() {
            [] => {}
            [name, number] => {
                let place = spot(line, *number);
                let number = collector.number(number.text, place);
                let number = number.map(|number| (number, place));
                collector.add(name.text, spot(line, *name), number, Counts::default());
            }
            [name] => {
                let message = format!("{} has no number", quoted(name.text));
                collector.say_bad_entry(message, spot(line, *name).after());
            }
            [_, _, extra, ..] => {
                let message = format!("{} does not belong here", quoted(extra.text));
                let help = "a line has a name and a number";
                collector.say.say(Code::UnexpectedText, message, spot(line, *extra), help);
            }
        }
    }
}

fn spot<'a>(line: TextLine<'a>, word: Word<'_>) -> Spot<'a> {
    Spot::new(line, word.span())
}
