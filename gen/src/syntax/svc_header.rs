//! Lines of headers of `SVC_(Name, count)` rows.

use pest::Parser;
use pest::iterators::Pair;

#[derive(pest_derive::Parser)]
#[grammar = "syntax/svc_header.pest"]
struct SvcHeaderParser;

use super::Word;

/// What a line of such a header has in it.
#[derive(Debug, Default)]
pub(crate) struct SvcLine<'a> {
    pub(crate) directive: Option<RawDirective<'a>>,
    pub(crate) entries: Vec<RawSvc<'a>>,
    /// What belongs to none of them.
    pub(crate) rest: Option<Word<'a>>,
}

/// `#if`, say, and what follows it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RawDirective<'a> {
    /// Where the line's `#` is: a directive need not have a keyword.
    pub(crate) whole: Word<'a>,
    pub(crate) keyword: Option<Word<'a>>,
    pub(crate) text: Option<Word<'a>>,
}

/// A row as its line spells it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RawSvc<'a> {
    pub(crate) whole: Word<'a>,
    pub(crate) name: Option<Word<'a>>,
    pub(crate) has_comma: bool,
    pub(crate) count: Option<Word<'a>>,
    pub(crate) is_closed: bool,
}

pub(crate) fn parse_svc_line(text: &str) -> SvcLine<'_> {
    let mut line = SvcLine::default();
    // The grammar takes every line.
    let Ok(mut pairs) = SvcHeaderParser::parse(Rule::line, text) else {
        return SvcLine { rest: Some(Word { text, start: 0 }), ..line };
    };
    for pair in pairs.next().into_iter().flat_map(Pair::into_inner) {
        match pair.as_rule() {
            Rule::directive => line.directive = Some(parse_directive(pair)),
            Rule::entry => line.entries.push(parse_entry(pair)),
            Rule::rest => line.rest = Some(word(&pair)),
            _ => {}
        }
    }
    line
}

fn parse_directive(pair: Pair<'_, Rule>) -> RawDirective<'_> {
    let mut directive = RawDirective { whole: word(&pair), keyword: None, text: None };
    for part in pair.into_inner() {
        match part.as_rule() {
            Rule::keyword => directive.keyword = Some(word(&part)),
            _ => directive.text = Some(word(&part)),
        }
    }
    directive
}

fn parse_entry(pair: Pair<'_, Rule>) -> RawSvc<'_> {
    let mut entry = RawSvc { whole: word(&pair), name: None, has_comma: false, count: None, is_closed: false };
    for part in pair.into_inner() {
        match part.as_rule() {
            Rule::name => entry.name = Some(word(&part)),
            Rule::comma => entry.has_comma = true,
            Rule::count => entry.count = Some(word(&part)),
            Rule::close => entry.is_closed = true,
            _ => {}
        }
    }
    entry
}

fn word<'a>(pair: &Pair<'a, Rule>) -> Word<'a> {
    Word { text: pair.as_str().trim_end(), start: pair.as_span().start() }
}
