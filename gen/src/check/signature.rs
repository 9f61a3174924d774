//! Typed signatures.

use super::counts::Counts;
use super::{Checker, label, plural};
use crate::diag::{Code, quoted};
use crate::model::{Param, is_annotation};
use crate::syntax::{Line, Word};

impl<'a> Checker<'a> {
    pub(super) fn check_signature(
        &mut self,
        line: Line<'a>,
        text: Word<'a>,
        counts: Option<Counts>,
    ) -> Option<Vec<Param>> {
        let params = match parse_params(text.text) {
            Ok(params) => params,
            Err(bad) => {
                let start = offset_in(text, bad.text);
                let label = label(line, start..start + bad.text.len(), "");
                let message = match bad.text {
                    "" => "a parameter is empty".to_owned(),
                    param => format!("the parameter {} {}", quoted(param), bad.why),
                };
                let help = "a parameter is a type and a name, as in `(HANDLE Handle, PVOID *Base)`";
                self.say(Code::BadSignature, message, label, help);
                return None;
            }
        };
        let Counts { i386, wide } = counts?;
        if params.len() != usize::from(wide) {
            let found = plural(params.len(), "parameter");
            let message = format!("the signature has {found}, the count says {wide}");
            let help = if (1..usize::from(wide)).contains(&params.len()) {
                format!("if parameters take more than one dword on i386, write `{i386}/{}`", params.len())
            } else {
                format!("the count would be `{}`", params.len())
            };
            self.say(Code::SignatureMismatch, message, label(line, text.span(), found), help);
        }
        Some(params)
    }
}

/// Where `part`, a piece of `word.text`, starts in the line.
fn offset_in(word: Word<'_>, part: &str) -> usize {
    word.start + (part.as_ptr() as usize).saturating_sub(word.text.as_ptr() as usize)
}

/// Why a signature cannot be read: words for people, and the parameter's text.
pub(crate) struct BadParam<'a> {
    pub(crate) why: &'static str,
    pub(super) text: &'a str,
}

/// Reads what stands between the parentheses of a signature.
pub(super) fn parse_params(text: &str) -> Result<Vec<Param>, BadParam<'_>> {
    let whole = text.trim();
    if whole.is_empty() || whole.eq_ignore_ascii_case("void") {
        return Ok(Vec::new());
    }
    split_top_level(text).map(parse_param).collect()
}

/// Splits at the commas that stand in no parentheses. The grammar allows one level of them.
fn split_top_level(text: &str) -> impl Iterator<Item = &str> {
    let mut inside = false;
    text.split(move |c| {
        match c {
            '(' => inside = true,
            ')' => inside = false,
            _ => {}
        }
        c == ',' && !inside
    })
}

/// Reads a type and perhaps a name.
pub(crate) fn parse_param(text: &str) -> Result<Param, BadParam<'_>> {
    let bad = |why| BadParam { why, text: text.trim() };
    let tokens = tokens(text).ok_or_else(|| bad("is not a type and a name"))?;
    let words = tokens.iter().filter(|token| is_type_word(token)).count();
    let (ty, name) = match tokens.split_last() {
        None => return Err(bad("")),
        Some((last, _)) if last.ends_with(')') && !is_annotation(last) => {
            return Err(bad("ends with a parenthesis, not with a type or a name"));
        }
        // With one word there is no name: `HANDLE` and `PVOID *` are types.
        Some((last, before)) if words > 1 && is_type_word(last) && !C_WORDS.contains(last) => (before, Some(*last)),
        Some(_) => (&tokens[..], None),
    };
    if words == 0 {
        return Err(bad("has no type"));
    }
    Ok(Param { ty: ty.join(" ").replace("* *", "**").replace("* *", "**"), name: name.map(str::to_owned) })
}

/// Words that are part of a type and never a parameter's name.
const C_WORDS: [&str; 12] =
    ["const", "volatile", "unsigned", "signed", "int", "long", "short", "char", "void", "float", "double", "OPTIONAL"];

/// Whether a word may be a type or a name: no star, no annotation. What has arguments is a macro, and so an annotation too,
/// known or not.
fn is_type_word(token: &str) -> bool {
    token != "*" && !token.ends_with(')') && !is_annotation(token)
}

/// Identifiers (an annotation with its argument counts as one) and stars; `None` if there is anything else.
fn tokens(text: &str) -> Option<Vec<&str>> {
    let mut tokens = Vec::new();
    let mut rest = text.trim_start();
    while let Some(first) = rest.chars().next() {
        let length = match first {
            '*' => 1,
            _ if first.is_ascii_alphabetic() || first == '_' => word_length(rest),
            _ => return None,
        };
        let (token, after) = rest.split_at(length);
        tokens.push(token);
        rest = after.trim_start();
    }
    Some(tokens)
}

fn word_length(text: &str) -> usize {
    let word = text.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(text.len());
    if text[word..].starts_with('(') { text.find(')').map_or(word, |at| at + 1) } else { word }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn params(text: &str) -> Vec<String> {
        let params = parse_params(text).unwrap_or_else(|bad| panic!("{:?} {}", bad.text, bad.why));
        params.iter().map(|param| format!("{}|{}", param.ty(), param.name().unwrap_or("-"))).collect()
    }

    #[test]
    fn parameters_are_types_and_names() {
        assert_eq!(params("HANDLE Handle"), ["HANDLE|Handle"]);
        assert_eq!(params(" IN HANDLE,PVOID  * *Base "), ["IN HANDLE|-", "PVOID **|Base"]);
        assert_eq!(
            params("_Out_writes_(a, b) const WCHAR *Text, unsigned int"),
            ["_Out_writes_(a, b) const WCHAR *|Text", "unsigned int|-"]
        );
        assert_eq!(params("__int64 x, _GUID *g, __in_opt PVOID"), ["__int64|x", "_GUID *|g", "__in_opt PVOID|-"]);
        assert!(params("").is_empty() && params(" VOID ").is_empty());
    }

    #[test]
    fn what_is_no_parameter_is_refused() {
        for text in ["HANDLE a,", "HANDLE a[4]", "...", "*", "HANDLE é", "_In_", "HANDLE a(b)", "FOO(x)"] {
            assert!(parse_params(text).is_err(), "{text}");
        }
    }
}
