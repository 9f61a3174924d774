//! Headers of `SYSCALL_ENTRY( id, Name, bytes )` rows. There are two definitions, one for 32 and one for 64 bits.

use std::collections::HashMap;

use super::Options;
use super::collect::{Collector, check_counts};
use super::services::Counts;
use crate::check::parse_number;
use crate::diag::{Code, plural, quoted};
use crate::model::{Arch, limits};
use crate::syntax::Word;
use crate::syntax::entries::{RawSyscallEntry, parse_entry_line};
use crate::syntax::text::{Spot, TextLine, spot_at, text_lines, without_comments};

/// The size of an argument slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Width {
    Dword,
    Qword,
}

impl Width {
    fn of(arch: Arch) -> Self {
        if arch == Arch::I386 { Self::Dword } else { Self::Qword }
    }

    fn bytes(self) -> u32 {
        match self {
            Self::Dword => 4,
            Self::Qword => 8,
        }
    }
}

struct Row<'a> {
    /// `None` where no definition with a width in its name is about.
    width: Option<Width>,
    name: String,
    spot: Spot<'a>,
    number: Option<(u32, Spot<'a>)>,
    args: Option<u8>,
}

pub(super) fn read<'a>(text: &'a str, options: &Options, collector: &mut Collector<'a>) {
    let (clean, open) = without_comments(text);
    if let Some(at) = open {
        let help = "write `*/` where it ends";
        collector.say.say(Code::Unclosed, "the comment has no end", spot_at(text, at), help);
    }
    let mut rows = Vec::new();
    let mut width = None;
    for (clean, line) in text_lines(&clean).zip(text_lines(text)) {
        let parsed = parse_entry_line(clean.text);
        if let Some(define) = parsed.define {
            width = width_of(define.text);
        }
        for entry in &parsed.entries {
            let default = width.unwrap_or(Width::of(options.arch()));
            rows.extend(read_entry(collector, line, entry, default).map(|row| Row { width, ..row }));
        }
        if let Some(rest) = parsed.rest {
            let rest = Word { text: rest.text.trim_end_matches(['\\', ' ', '\t']), ..rest };
            let message = format!("{} is not an entry", quoted(rest.text));
            collector.say_bad_entry(message, Spot::new(line, rest.span()));
        }
        if !parsed.goes_on {
            width = None;
        }
    }
    add_rows(&rows, options, collector);
}

/// `ALL_SYSCALLS32` and `ALL_SYSCALLS64`.
fn width_of(define: &str) -> Option<Width> {
    if define.ends_with("64") {
        Some(Width::Qword)
    } else if define.ends_with("32") {
        Some(Width::Dword)
    } else {
        None
    }
}

fn read_entry<'a>(
    collector: &mut Collector<'a>,
    line: TextLine<'a>,
    entry: &RawSyscallEntry<'_>,
    width: Width,
) -> Option<Row<'a>> {
    let whole = Spot::new(line, entry.whole.span());
    if !entry.is_closed {
        collector.say_bad_entry("the entry has no closing parenthesis", whole.after());
        return None;
    }
    let [id, name, bytes] = entry.fields.as_slice() else {
        collector.say_bad_entry(format!("the entry has {}, not 3", plural(entry.fields.len(), "part")), whole);
        return None;
    };
    let id_spot = Spot::new(line, id.span());
    let number = collector.number(id.text, id_spot).map(|number| (number, id_spot));
    let args = read_bytes(collector, bytes.text, Spot::new(line, bytes.span()), width);
    Some(Row { width: None, name: name.text.to_owned(), spot: Spot::new(line, name.span()), number, args })
}

fn read_bytes<'a>(collector: &mut Collector<'a>, text: &str, spot: Spot<'a>, width: Width) -> Option<u8> {
    let Some(bytes) = parse_number(text) else {
        let message = format!("{} is not a number of bytes", quoted(text));
        collector.say.say(Code::BadBytes, message, spot, "write the bytes of the arguments in decimal, 0 if none");
        return None;
    };
    let size = width.bytes();
    if !bytes.is_multiple_of(size) {
        let message = format!("{bytes} bytes are not a whole number of arguments");
        collector.say.say(Code::BadBytes, message, spot, format!("an argument is {size} bytes here"));
        return None;
    }
    let args = u8::try_from(bytes / size).ok().filter(|&args| args <= limits::ARGS_I386);
    if args.is_none() {
        let message =
            format!("the {} arguments of {bytes} bytes are over the limit of {}", bytes / size, limits::ARGS_I386);
        let help = "the kernel's argument table has one byte for 4 times the count";
        collector.say.say(Code::TooManyArguments, message, spot, help);
    }
    args
}

/// Takes the rows of the architecture, with the counts of both.
fn add_rows<'a>(rows: &[Row<'a>], options: &Options, collector: &mut Collector<'a>) {
    let counts: HashMap<(Option<Width>, &str), u8> =
        rows.iter().filter_map(|row| Some(((row.width, row.name.as_str()), row.args?))).collect();
    let has = |width| rows.iter().any(|row| row.width.is_none() || row.width == Some(width));
    let wanted = match options.arch {
        None if !has(Width::Dword) => Width::Qword,
        arch => Width::of(arch.unwrap_or(Arch::I386)),
    };
    if let Some(first) = rows.first().filter(|_| !has(wanted)) {
        let message = format!("the header has no entries for {}", options.arch());
        let help = "the definition whose name ends in 32 has those of i386, the one in 64 those of amd64 and arm64";
        return collector.say.say(Code::NoServices, message, first.spot, help);
    }
    for row in rows.iter().filter(|row| row.width.is_none_or(|width| width == wanted)) {
        let width = row.width.unwrap_or(wanted);
        let of = |other: Width| {
            let own = row.args.filter(|_| other == width);
            own.or_else(|| counts.get(&(Some(other), row.name.as_str())).copied())
        };
        let counts = Counts { i386: of(Width::Dword), wide: of(Width::Qword) };
        check_counts(collector, counts, row.spot);
        collector.add(&row.name, row.spot, row.number, counts);
    }
}
