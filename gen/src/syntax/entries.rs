//! Lines of headers of `SYSCALL_ENTRY( id, Name, bytes )` rows.

use pest::Parser;
use pest::iterators::Pair;

use super::Word;

#[derive(pest_derive::Parser)]
#[grammar = "syntax/entries.pest"]
struct EntriesParser;

/// What a line of such a header has in it.
#[derive(Debug, Default)]
pub(crate) struct EntryLine<'a> {
    /// The macro that the line begins to define.
    pub(crate) define: Option<Word<'a>>,
    pub(crate) entries: Vec<RawSyscallEntry<'a>>,
    /// What belongs to none of them.
    pub(crate) rest: Option<Word<'a>>,
    /// Whether the definition goes on in the next line.
    pub(crate) goes_on: bool,
}

/// A row as its line spells it.
#[derive(Debug)]
pub(crate) struct RawSyscallEntry<'a> {
    pub(crate) whole: Word<'a>,
    /// What stands between the commas, without the blanks around it. Three of them are right.
    pub(crate) fields: Vec<Word<'a>>,
    pub(crate) is_closed: bool,
}

pub(crate) fn parse_entry_line(text: &str) -> EntryLine<'_> {
    let mut line = EntryLine { goes_on: text.trim_end().ends_with('\\'), ..EntryLine::default() };
    // The grammar takes every line.
    let Ok(mut pairs) = EntriesParser::parse(Rule::line, text) else {
        return EntryLine { rest: Some(Word { text, start: 0 }), ..line };
    };
    for pair in pairs.next().into_iter().flat_map(Pair::into_inner) {
        match pair.as_rule() {
            Rule::define => {
                for part in pair.into_inner() {
                    match part.as_rule() {
                        Rule::name => line.define = Some(word(&part)),
                        _ => line.entries.push(parse_entry(part)),
                    }
                }
            }
            Rule::entry => line.entries.push(parse_entry(pair)),
            Rule::rest => line.rest = Some(word(&pair)),
            _ => {}
        }
    }
    line
}

fn parse_entry(pair: Pair<'_, Rule>) -> RawSyscallEntry<'_> {
    let mut entry = RawSyscallEntry { whole: word(&pair), fields: Vec::new(), is_closed: false };
    for part in pair.into_inner() {
        match part.as_rule() {
            Rule::field => entry.fields.push(word(&part)),
            _ => entry.is_closed = true,
        }
    }
    entry
}

/// The part without the blanks around it.
fn word<'a>(pair: &Pair<'a, Rule>) -> Word<'a> {
    let text = pair.as_str();
    let start = pair.as_span().start() + (text.len() - text.trim_start().len());
    Word { text: text.trim(), start }
}
