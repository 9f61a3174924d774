//! Lines of .spec files.

use pest::Parser;
use pest::iterators::Pair;

use super::Word;

#[derive(pest_derive::Parser)]
#[grammar = "syntax/spec.pest"]
struct SpecParser;

/// What a line of a .spec file has in it.
#[derive(Debug, Default)]
pub(crate) struct SpecLine<'a> {
    pub(crate) entry: Option<RawSpec<'a>>,
    /// What does not belong to the entry.
    pub(crate) rest: Option<Word<'a>>,
}

/// An export as its line spells it.
#[derive(Debug)]
pub(crate) struct RawSpec<'a> {
    pub(crate) ordinal: Word<'a>,
    /// `stdcall`, say.
    pub(crate) kind: Option<Word<'a>>,
    pub(crate) flags: Vec<Word<'a>>,
    pub(crate) name: Option<Word<'a>>,
    /// The words between the parentheses, if there are parentheses.
    pub(crate) arguments: Option<Vec<Word<'a>>>,
}

pub(crate) fn parse_spec_line(text: &str) -> SpecLine<'_> {
    let mut line = SpecLine::default();
    // The grammar takes every line.
    let Ok(mut pairs) = SpecParser::parse(Rule::line, text) else {
        return SpecLine { rest: Some(Word { text, start: 0 }), ..line };
    };
    for pair in pairs.next().into_iter().flat_map(Pair::into_inner) {
        match pair.as_rule() {
            Rule::entry => line.entry = Some(parse_entry(pair)),
            Rule::rest => line.rest = Some(word(&pair)),
            _ => {}
        }
    }
    line
}

fn parse_entry(pair: Pair<'_, Rule>) -> RawSpec<'_> {
    let start = pair.as_span().start();
    let mut entry =
        RawSpec { ordinal: Word { text: "", start }, kind: None, flags: Vec::new(), name: None, arguments: None };
    for part in pair.into_inner() {
        match part.as_rule() {
            Rule::ordinal => entry.ordinal = word(&part),
            Rule::kind => entry.kind = Some(word(&part)),
            Rule::flag => entry.flags.push(word(&part)),
            Rule::name => entry.name = Some(word(&part)),
            Rule::arguments => entry.arguments = Some(part.into_inner().map(|argument| word(&argument)).collect()),
            _ => {}
        }
    }
    entry
}

fn word<'a>(pair: &Pair<'a, Rule>) -> Word<'a> {
    Word { text: pair.as_str().trim_end(), start: pair.as_span().start() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(text: &str) -> String {
        let line = parse_spec_line(text);
        let rest = line.rest.map_or(String::new(), |rest| format!(" rest {}", rest.text));
        let texts = |words: &[Word<'_>]| words.iter().map(|word| word.text.to_owned()).collect::<Vec<_>>().join(" ");
        let entry = line.entry.map_or("-".to_owned(), |entry| {
            let text = |word: Option<Word<'_>>| word.map_or("-", |word| word.text).to_owned();
            let arguments = entry.arguments.as_deref().map_or("-".to_owned(), texts);
            let (ordinal, kind, name) = (entry.ordinal.text, text(entry.kind), text(entry.name));
            format!("{ordinal} {kind} [{}] {name} ({arguments})", texts(&entry.flags))
        });
        format!("{entry}{rest}")
    }

    #[test]
    fn entries_have_their_parts() {
        for (text, parts) in [
            ("@ stdcall NtClose(long)", "@ stdcall [] NtClose (long)"),
            (
                "12 stdcall -syscall=0x1 -arch=win64 NtA( ptr, long ) # x",
                "12 stdcall [-syscall=0x1 -arch=win64] NtA (ptr long)",
            ),
            ("@ stub NtB ; later", "@ stub [] NtB (-)"),
            ("@\tcdecl\t-private NtC() ntdll.NtC", "@ cdecl [-private] NtC ()"),
            ("@ stdcall ??2@YAPAXI@Z(long)", "@ stdcall [] ??2@YAPAXI@Z (long)"),
            ("# @ stub NtD", "-"),
            ("", "-"),
            ("@ stdcall NtE(long", "@ stdcall [] NtE (-) rest (long"),
            ("@ stdcall", "@ stdcall [] - (-)"),
            ("@", "@ - [] - (-)"),
            ("NtF 1", "- rest NtF 1"),
            ("@ stdcall NtG(long) a b", "@ stdcall [] NtG (long) rest b"),
        ] {
            assert_eq!(said(text), parts, "{text}");
        }
    }
}
