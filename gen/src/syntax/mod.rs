//! The text of a list as lines of words, and of the other formats that services come in: a grammar each, beside the code
//! that walks it.
//!
//! Only this module knows of pest. It reads line by line, so that one bad line does not hide the next, and never
//! fails: what a line does wrong is said by [`check`](crate::check).

#[cfg(feature = "readers")]
pub(crate) mod columns;
#[cfg(feature = "readers")]
pub(crate) mod condition;
#[cfg(feature = "readers")]
pub(crate) mod entries;
mod plain;
mod source;
#[cfg(feature = "readers")]
pub(crate) mod spec;
#[cfg(feature = "readers")]
pub(crate) mod svc_header;
#[cfg(feature = "readers")]
pub(crate) mod text;

use std::ops::Range;

use pest::Parser;
use pest::iterators::Pair;

pub(crate) use source::{Line, lines, not_text};

#[derive(pest_derive::Parser)]
#[grammar = "syntax/sysfuncs.pest"]
struct SysfuncsParser;

/// What a line turned out to be.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) enum RawLine<'a> {
    /// Nothing, or a comment.
    #[default]
    Blank,
    /// `#!` and its words.
    Directive(Vec<Word<'a>>),
    /// A service.
    Entry(RawEntry<'a>),
}

/// A service as its line spells it.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct RawEntry<'a> {
    pub(crate) name: Word<'a>,
    pub(crate) count: Option<Word<'a>>,
    /// What follows `@`; may be empty.
    pub(crate) number: Option<Word<'a>>,
    /// What stands between the parentheses.
    pub(crate) signature: Option<Word<'a>>,
    /// What follows `#`.
    pub(crate) doc: Option<Word<'a>>,
    /// What does not belong to any of them.
    pub(crate) rest: Option<Word<'a>>,
}

/// A part of a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Word<'a> {
    pub(crate) text: &'a str,
    /// Where it starts, in bytes of the line.
    pub(crate) start: usize,
}

impl<'a> Word<'a> {
    fn of(pair: &Pair<'a, Rule>) -> Self {
        Self { text: pair.as_str(), start: pair.as_span().start() }
    }

    /// Where it stands, in bytes of the line.
    pub(crate) fn span(&self) -> Range<usize> {
        self.start..self.start + self.text.len()
    }
}

/// Reads one line, which has no line end.
pub(crate) fn parse_line(text: &str) -> RawLine<'_> {
    plain::parse(text).unwrap_or_else(|| parse_any_line(text))
}

/// Reads any line, by the grammar.
fn parse_any_line(text: &str) -> RawLine<'_> {
    // The grammar takes every line, so the error is never seen; were it seen, the line's words would be reported.
    let Ok(mut pairs) = SysfuncsParser::parse(Rule::line, text) else {
        return RawLine::Directive(Vec::new());
    };
    let mut line = RawLine::Blank;
    for pair in pairs.next().into_iter().flat_map(Pair::into_inner) {
        match pair.as_rule() {
            Rule::directive => line = RawLine::Directive(pair.into_inner().map(|word| Word::of(&word)).collect()),
            Rule::entry => line = parse_entry(pair).map_or(RawLine::Blank, RawLine::Entry),
            Rule::comment => {
                if let RawLine::Entry(entry) = &mut line {
                    entry.doc = inner(pair);
                }
            }
            _ => {}
        }
    }
    line
}

fn parse_entry<'a>(pair: Pair<'a, Rule>) -> Option<RawEntry<'a>> {
    let mut parts = pair.into_inner();
    let name = Word::of(&parts.next()?);
    let mut entry = RawEntry { name, count: None, number: None, signature: None, doc: None, rest: None };
    for part in parts {
        let word = Some(Word::of(&part));
        match part.as_rule() {
            Rule::count => entry.count = word,
            // A second `@` is not a number but text too much.
            Rule::number if entry.number.is_some() => entry.rest = entry.rest.or(word),
            Rule::number => entry.number = inner(part),
            Rule::signature => entry.signature = inner(part),
            Rule::rest => entry.rest = entry.rest.or(word),
            _ => {}
        }
    }
    Some(entry)
}

/// The part within a part: what follows `@` or `#`, what stands between parentheses.
fn inner(pair: Pair<'_, Rule>) -> Option<Word<'_>> {
    pair.into_inner().next().map(|inner| Word::of(&inner))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(text: &str) -> RawEntry<'_> {
        match parse_line(text) {
            RawLine::Entry(entry) => entry,
            other => panic!("{text:?} is {other:?}"),
        }
    }

    fn text(word: Option<Word<'_>>) -> &str {
        word.map_or("-", |word| word.text)
    }

    #[test]
    fn an_entry_has_parts_in_either_order() {
        for line in [
            "NtFoo\t5/4  @0x55 (HANDLE H, _Out_(x, y) PVOID P)\t# doc",
            "\tNtFoo 5/4(HANDLE H, _Out_(x, y) PVOID P)@0x55# doc",
        ] {
            let entry = entry(line);
            assert_eq!(entry.name.text, "NtFoo");
            assert_eq!(text(entry.count), "5/4");
            assert_eq!(text(entry.number), "0x55");
            assert_eq!(text(entry.signature), "HANDLE H, _Out_(x, y) PVOID P");
            assert_eq!(text(entry.doc), " doc");
            assert_eq!(entry.rest, None);
        }
    }

    #[test]
    fn parts_may_be_missing() {
        assert_eq!(parse_line(""), RawLine::Blank);
        assert_eq!(parse_line(" \t"), RawLine::Blank);
        assert_eq!(parse_line("  # NtFoo 1"), RawLine::Blank);
        let entry = entry("NtFoo");
        assert_eq!((entry.count, entry.number, entry.rest), (None, None, None));
    }

    #[test]
    fn what_does_not_belong_is_kept() {
        assert_eq!(text(entry("NtFoo 1 2 # x").rest), "2 ");
        assert_eq!(text(entry("NtFoo 1 (HANDLE").rest), "(HANDLE");
        assert_eq!(text(entry("NtFoo 1 @1 (x) @2").rest), "@2");
        assert_eq!(text(entry("NtFoo 1 @1 @2").rest), "@2");
        assert_eq!(text(entry("NtFoo @").number), "");
    }

    #[test]
    fn a_directive_is_words() {
        let RawLine::Directive(words) = parse_line("#!  table win32k base=0x1000 ") else { panic!("no directive") };
        let words: Vec<_> = words.iter().map(|word| (word.text, word.start)).collect();
        assert_eq!(words, [("table", 4), ("win32k", 10), ("base=0x1000", 17)]);
        assert_eq!(parse_line("#!"), RawLine::Directive(Vec::new()));
    }

    #[test]
    fn a_long_line_is_a_line() {
        let line = format!("NtFoo 1 {}", "(".repeat(1 << 20));
        assert_eq!(entry(&line).rest.map(|rest| rest.text.len()), Some(1 << 20));
    }
}
