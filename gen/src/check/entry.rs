//! Lines that are services.

use std::collections::hash_map::Entry;

use super::number::parse_number;
use super::{Checker, Place, label};
use crate::diag::{Code, Diagnostic, quoted};
use crate::model::{Service, ServiceName, limits};
use crate::syntax::{Line, RawEntry, Word};

impl<'a> Checker<'a> {
    pub(super) fn check_entry(&mut self, line: Line<'a>, raw: &RawEntry<'a>) {
        let name = self.check_name(line, raw.name);
        let counts = self.check_counts(line, raw);
        let signature = raw.signature.and_then(|text| self.check_signature(line, text, counts));
        if let Some(rest) = raw.rest {
            self.report_rest(line, rest);
        }
        let number = self.check_number(line, raw);
        // With any error there will be no list, and so it does not matter that this service is not in it.
        if let (Some(name), Some(counts), Some(number)) = (name, counts, number) {
            let service = Service {
                name,
                number,
                line: line.number,
                args_i386: counts.i386,
                args_64: counts.wide,
                doc: raw.doc.and_then(|doc| doc_text(doc.text)),
                signature,
            };
            self.current_table(line).services.push(service);
        }
    }

    fn check_name(&mut self, line: Line<'a>, name: Word<'a>) -> Option<ServiceName> {
        let place = Place::word(line, name);
        let mistake = name_mistake(name.text);
        let checked = mistake.is_none().then(|| ServiceName::new(name.text));
        if let Some((code, message, help)) = mistake {
            self.say(code, message, place.label(""), help);
        }
        match self.names.entry(name.text) {
            Entry::Vacant(vacant) => {
                vacant.insert(place);
            }
            Entry::Occupied(first) => {
                let message = format!("{} is in the list already", quoted(name.text));
                let first = first.get().label("first here");
                self.report(
                    Diagnostic::new(Code::DuplicateName, message, place.label("again here"))
                        .related(first)
                        .help("take one of the two lines out, or mend its name"),
                );
            }
        }
        checked
    }

    fn report_rest(&mut self, line: Line<'a>, rest: Word<'a>) {
        let text = rest.text.trim_end();
        let label = label(line, rest.start..rest.start + text.len(), "");
        if text.starts_with('(') {
            let message = "the signature has no closing parenthesis";
            let help = "a signature is `(HANDLE Handle)`; one pair of parentheses may stand within it";
            return self.say(Code::BadSignature, message, label, help);
        }
        let message = format!("{} does not belong here", quoted(text));
        let help = match parse_number(text) {
            Some(_) => format!("a service number is written `@{text}`; a comment starts with `#`"),
            None => "after the count there may be `@number`, `(signature)` and `# comment`".to_owned(),
        };
        self.say(Code::UnexpectedText, message, label, help);
    }
}

/// What is wrong with a name: code, message, help.
fn name_mistake(name: &str) -> Option<(Code, String, String)> {
    let identifier = name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
    if !identifier || name.len() > limits::NAME_CHARS || name == "Nt" {
        let message = format!("{} is not the name of a service", quoted(name));
        let help = format!("a name is `Nt`, then letters, digits and `_`, at most {} characters", limits::NAME_CHARS);
        return Some((Code::BadName, message, help));
    }
    let meant = |stem: &str| quoted(&format!("Nt{stem}"));
    let help = match name.split_at_checked(2) {
        Some(("Nt", _)) => return None,
        Some(("Zw", stem)) => format!("write {}; its Zw twin is derived", meant(stem)),
        Some((prefix, stem)) if prefix.eq_ignore_ascii_case("nt") => format!("write {}", meant(stem)),
        _ => format!("is it {}?", meant(name)),
    };
    Some((Code::NoNtPrefix, format!("{} does not start with `Nt`", quoted(name)), help))
}

/// A comment as a doc comment: one line of plain text.
pub(crate) fn doc_text(comment: &str) -> Option<String> {
    let text: String = comment.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    let text = text.trim();
    (!text.is_empty()).then(|| text.to_owned())
}
