//! Macros in the conditions of C headers, replaced by their texts (C11 6.10.1, 6.10.3.4).

use std::collections::{HashMap, HashSet};

use crate::syntax::condition::{BadCondition, LENGTH};

/// What a macro is.
#[derive(Clone, Debug)]
pub(super) enum Macro {
    /// Its replacement; may be empty.
    Text(String),
    /// It has parameters, and is not replaced here.
    WithParameters,
}

/// The words of macros that are read for the conditions of one file: far more than any header has. What a condition of
/// four letters stands for may be long, and there may be many.
pub(super) const WORDS: usize = 1 << 18;

/// A condition in which every macro has been replaced.
#[derive(Debug, Default)]
pub(super) struct Expanded {
    pub(super) text: String,
    pieces: Vec<Piece>,
}

/// A piece of the text, and where it comes from.
#[derive(Debug)]
struct Piece {
    start: usize,
    /// In bytes of the condition: where the piece stands, or the macro that it comes from.
    from: usize,
    is_macro: bool,
}

impl Expanded {
    /// The place in the condition that a place in the text comes from.
    pub(super) fn origin(&self, at: usize) -> usize {
        let piece = self.pieces.partition_point(|piece| piece.start <= at).checked_sub(1);
        piece.map_or(at, |index| {
            let Piece { start, from, is_macro } = self.pieces[index];
            if is_macro { from } else { from + (at - start) }
        })
    }

    /// Whether a macro was replaced.
    pub(super) fn has_macros(&self) -> bool {
        self.pieces.iter().any(|piece| piece.is_macro)
    }

    fn push(&mut self, text: &str, from: usize, is_macro: bool) {
        self.pieces.push(Piece { start: self.text.len(), from, is_macro });
        self.text.push_str(text);
    }
}

/// The condition, or the replacement of a macro, as far as it has been read.
struct Level<'a> {
    rest: &'a str,
    /// The macro. Until its replacement has been read it is not replaced again.
    name: Option<&'a str>,
}

/// Whether the next name is that of `defined`, which is not replaced.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Defined {
    No,
    Name,
    Parenthesis,
}

/// Replaces the macros of a condition. `words` is how many may still be read.
pub(super) fn expand(
    condition: &str,
    macros: &HashMap<String, Macro>,
    words: &mut usize,
) -> Result<Expanded, BadCondition> {
    let mut out = Expanded::default();
    let mut levels = vec![Level { rest: condition, name: None }];
    let mut active = HashSet::new();
    let mut defined = Defined::No;
    // Where the word of the condition stands that is being replaced.
    let mut from = 0;
    while let Some(level) = levels.last_mut() {
        if level.rest.is_empty() {
            if let Some(name) = levels.pop().and_then(|level| level.name) {
                active.remove(name);
                // Two words that meet here are two words.
                out.push(" ", from, true);
            }
            continue;
        }
        let (word, rest) = level.rest.split_at(word_length(level.rest));
        if level.name.is_none() {
            from = condition.len() - level.rest.len();
        }
        level.rest = rest;
        let is_macro = level.name.is_some();
        if is_macro {
            let why = "is one of too many with long macros";
            *words = words.checked_sub(1).ok_or(BadCondition::new(why, from))?;
        }
        match macros.get(word).filter(|_| defined == Defined::No && !active.contains(word)) {
            Some(Macro::Text(text)) => {
                active.insert(word);
                levels.push(Level { rest: text, name: Some(word) });
                out.push(" ", from, true);
            }
            Some(Macro::WithParameters) if is_call(&levels) => {
                return Err(BadCondition::new("calls a macro with parameters, which are not replaced here", from));
            }
            _ => {
                defined = defined.after(word);
                out.push(word, from, is_macro);
            }
        }
        if out.text.len() > LENGTH && out.has_macros() {
            return Err(BadCondition::new("is longer than 4096 characters with its macros replaced", from));
        }
    }
    Ok(out)
}

impl Defined {
    fn after(self, word: &str) -> Self {
        match (self, word) {
            (Self::No, "defined") => Self::Name,
            (Self::Name, "(") => Self::Parenthesis,
            (Self::Name | Self::Parenthesis, _) if word.trim().is_empty() => self,
            _ => Self::No,
        }
    }
}

/// Whether the next word is a parenthesis: without one the name of a macro with parameters is only a name.
fn is_call(levels: &[Level<'_>]) -> bool {
    let next = levels.iter().rev().map(|level| level.rest.trim_start()).find(|rest| !rest.is_empty());
    next.is_some_and(|rest| rest.starts_with('('))
}

/// How long the first word of a text is: a name, a number, or one character of anything else.
fn word_length(text: &str) -> usize {
    let is_part = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let first = text.chars().next();
    match first {
        Some(first) if is_part(first) => text.find(|c| !is_part(c)).unwrap_or(text.len()),
        Some(first) => first.len_utf8(),
        None => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn macros(pairs: &[(&str, &str)]) -> HashMap<String, Macro> {
        pairs.iter().map(|&(name, text)| (name.to_owned(), Macro::Text(text.to_owned()))).collect()
    }

    fn words(text: &str) -> String {
        text.split_ascii_whitespace().collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn macros_are_texts() {
        let macros =
            macros(&[("A", "1 + 1"), ("B", "A * A"), ("E", ""), ("H", "defined(A)"), ("S", "S + T"), ("T", "S")]);
        for (condition, text) in [
            ("A * 2", "1 + 1 * 2"),
            ("(B)==A2", "( 1 + 1 * 1 + 1 )==A2"),
            ("-A", "- 1 + 1"),
            ("E", ""),
            ("0xA", "0xA"),
            ("defined A && defined ( A ) && A", "defined A && defined ( A ) && 1 + 1"),
            ("H || defined B", "defined(A) || defined B"),
            // Within its own replacement a macro is only a name.
            ("S", "S + S"),
            ("T", "S + T"),
        ] {
            let expanded = expand(condition, &macros, &mut WORDS.clone()).expect(condition);
            assert_eq!(words(&expanded.text), text, "{condition}");
        }
    }

    #[test]
    fn a_place_has_an_origin() {
        let expanded = expand("x == BAD + 1", &macros(&[("BAD", "2 $ 3")]), &mut WORDS.clone()).expect("it is short");
        let origin = |text| expanded.origin(expanded.text.find(text).expect("it is there"));
        assert_eq!((origin("x"), origin("$"), origin("3"), origin("1")), (0, 5, 5, 11));
        assert!(expanded.has_macros());
        assert_eq!(expanded.origin(expanded.text.len()), 12);
    }

    #[test]
    fn a_chain_may_be_long_and_a_text_may_not() {
        let chain: Vec<_> = (1..2000).map(|level| (format!("A{level}"), format!("A{}", level - 1))).collect();
        let mut chain: HashMap<_, _> = chain.into_iter().map(|(name, text)| (name, Macro::Text(text))).collect();
        chain.insert("A0".to_owned(), Macro::Text("7".to_owned()));
        assert_eq!(words(&expand("A1999", &chain, &mut WORDS.clone()).expect("it ends").text), "7");
        let pair = |level: u32| (format!("A{level}"), Macro::Text(format!("A{0} A{0}", level - 1)));
        let wide: HashMap<_, _> = (1..40).map(pair).chain([("A0".to_owned(), Macro::Text(String::new()))]).collect();
        let bad = expand("1 && A39", &wide, &mut WORDS.clone()).expect_err("it is huge");
        assert_eq!((bad.why, bad.at), ("is longer than 4096 characters with its macros replaced", 5));
        let bad = expand("1 && A5", &wide, &mut 10).expect_err("there are more words");
        assert_eq!((bad.why, bad.at), ("is one of too many with long macros", 5));
    }

    #[test]
    fn parameters_are_told() {
        let mut macros = macros(&[("G", "F")]);
        macros.insert("F".to_owned(), Macro::WithParameters);
        for (condition, at) in [("1 + F (2)", 4), ("G(1)", 0)] {
            let bad = expand(condition, &macros, &mut WORDS.clone()).expect_err(condition);
            assert!(bad.why.starts_with("calls a macro with parameters") && bad.at == at, "{bad:?}");
        }
        for condition in ["F + (1)", "defined(F)", "defined F && F"] {
            assert_eq!(expand(condition, &macros, &mut WORDS.clone()).expect(condition).text, condition);
        }
    }
}
