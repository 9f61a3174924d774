//! Lock files: the numbering that `ntgate diff --lock` guards.

use super::collect::{ARGUMENTS, Collector, PARAMETERS, check_counts};
use super::detect::LOCK_MARK;
use super::services::Counts;
use crate::check::parse_decimal;
use crate::diag::{Code, plural, quoted};
use crate::syntax::Word;
use crate::syntax::columns::parse_columns;
use crate::syntax::text::{Spot, TextLine, decode, text_lines};

/// The version of the format that is read and written.
pub(crate) const LOCK_VERSION: u32 = 1;

/// Reads `0x001b NtClose 1` lines.
pub(super) fn read<'a>(text: &'a str, collector: &mut Collector<'a>) {
    for line in text_lines(text) {
        if line.number == 1 && !check_version(line, collector) {
            return;
        }
        let words = parse_columns(line.text);
        match words.as_slice() {
            [] => {}
            [number, name, count] => {
                let place = Spot::new(line, number.span());
                let number = collector.number(number.text, place).map(|number| (number, place));
                let counts = read_counts(collector, line, *count);
                collector.add(name.text, Spot::new(line, name.span()), number, counts);
            }
            _ => {
                let message = format!("the line has {}, not 3", plural(words.len(), "column"));
                let help = "a line is `0x001b NtClose 1`: number, name, count; --update writes the file anew";
                collector.say.say(Code::BadLock, message, Spot::line(line), help);
            }
        }
    }
}

/// The version of a lock file, 0 if it is no number; `None` of what is no lock file. The marks of a merge may stand before
/// the first line.
pub(crate) fn lock_version(bytes: &[u8]) -> Option<u32> {
    let text = decode(bytes).text;
    let first = text.lines().find(|line| !line.starts_with("<<<<<<<"))?;
    version(first).map(|version| version.unwrap_or(0))
}

/// The version that a first line names: a number, or what is none. `None` if it does not say that this is a lock file.
fn version(line: &str) -> Option<Result<u32, &str>> {
    let version = line.strip_prefix(LOCK_MARK)?.trim();
    let is_number = !version.is_empty() && version.bytes().all(|byte| byte.is_ascii_digit());
    // One beyond all numbers here is a later one all the same.
    Some(is_number.then(|| parse_decimal(version).unwrap_or(u32::MAX)).ok_or(version))
}

/// Tells what is wrong with the first line. `false` is that the others are not to be read.
fn check_version<'a>(line: TextLine<'a>, collector: &mut Collector<'a>) -> bool {
    let anew = format!("the first line is `{LOCK_MARK}{LOCK_VERSION}`; --update writes the file anew");
    let (message, help) = match version(line.text) {
        Some(Ok(LOCK_VERSION)) => return true,
        Some(Ok(newer)) if newer > LOCK_VERSION => {
            let newer = if newer == u32::MAX { "a later version".to_owned() } else { format!("version {newer}") };
            let message = format!("the lock file has {newer}, and this ntgate knows none after {LOCK_VERSION}");
            (message, "a newer ntgate has written the file: use that one".to_owned())
        }
        Some(Ok(older)) => (format!("the version {older} is not known"), anew),
        Some(Err(text)) => (format!("the version {} is not known", quoted(text)), anew),
        None => ("the first line does not say that this is a lock file".to_owned(), anew),
    };
    collector.say.say(Code::BadLock, message, Spot::line(line), help);
    !matches!(version(line.text), Some(Ok(_)))
}

/// `5`, or `5/4` as in a list; `-` where the count is not known.
fn read_counts<'a>(collector: &mut Collector<'a>, line: TextLine<'a>, word: Word<'_>) -> Counts {
    let spot = Spot::new(line, word.span());
    if word.text == "-" {
        return Counts::default();
    }
    let (first, second) = word.text.split_once('/').unwrap_or((word.text, word.text));
    let i386 = collector.count(first, spot, &ARGUMENTS);
    let wide = if first == second { i386 } else { collector.count(second, spot, &PARAMETERS) };
    let counts = Counts { i386, wide };
    // The list that was locked has been warned of long ago: only what cannot be is told.
    if i386.is_some() && wide.is_some() && i386 < wide {
        check_counts(collector, counts, spot);
    }
    counts
}
