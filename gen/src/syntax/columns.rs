//! Lines of tables of columns.

use pest::Parser;
use pest::iterators::Pair;

use super::Word;

#[derive(pest_derive::Parser)]
#[grammar = "syntax/columns.pest"]
struct ColumnsParser;

/// The words of a line; those of a comment do not count.
pub(crate) fn parse_columns(text: &str) -> Vec<Word<'_>> {
    // The grammar takes every line.
    let pairs = ColumnsParser::parse(Rule::line, text).ok().and_then(|mut pairs| pairs.next());
    let parts = pairs.into_iter().flat_map(Pair::into_inner).filter(|pair| pair.as_rule() == Rule::word);
    parts.map(|pair| Word { text: pair.as_str(), start: pair.as_span().start() }).collect()
}
