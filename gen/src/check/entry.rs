//! Lines that are services.

use super::number::{hex_digits, parse_decimal, parse_number};
use super::signature::parse_params;
use super::{Checker, Place, label};
use crate::diag::{Code, Diagnostic, quoted};
use crate::model::{Param, Service, ServiceName, limits};
use crate::syntax::{Line, RawEntry, Word};

/// Argument slots: dwords on i386, parameters on 64-bit systems.
#[derive(Clone, Copy)]
struct Counts {
    i386: u8,
    wide: u8,
}

impl<'a> Checker<'a> {
    pub(super) fn check_entry(&mut self, line: Line<'a>, raw: &RawEntry<'a>) {
        let name = self.check_name(line, raw.name);
        let counts = self.check_counts(line, raw);
        let signature = raw
            .signature
            .map(|text| self.check_signature(line, text, raw.count, counts));
        if let Some(rest) = raw.rest {
            self.report_rest(line, rest);
        }
        let number = self.check_number(line, raw);
        // With any error there will be no list, and so it does not matter that this service is not in it.
        if let (Some(name), Some(counts), Some(number)) = (name, counts, number) {
            let service = Service {
                name,
                number,
                args_i386: counts.i386,
                args_64: counts.wide,
                doc: raw.doc.and_then(|doc| doc_text(doc.text)),
                signature: signature.flatten(),
            };
            self.current_table(line).services.push(service);
        }
    }

    fn check_name(&mut self, line: Line<'a>, name: Word<'a>) -> Option<ServiceName> {
        let place = Place::word(line, name);
        let mistake = name_mistake(name.text);
        let checked = mistake.is_none().then(|| ServiceName::new(name.text));
        if let Some((code, message, help)) = mistake {
            self.report(Diagnostic::new(code, message, place.label("")).help(help));
        }
        if let Some(first) = self.names.get(name.text) {
            let message = format!("{} is in the list already", quoted(name.text));
            let first = first.label("first here");
            self.report(
                Diagnostic::new(Code::DuplicateName, message, place.label("again here"))
                    .related(first)
                    .help("take one of the two lines out; every later number of the table depends on it"),
            );
        } else {
            self.names.insert(name.text, place);
        }
        checked
    }

    fn check_counts(&mut self, line: Line<'a>, raw: &RawEntry<'a>) -> Option<Counts> {
        let Some(word) = raw.count else {
            let end = raw.name.span().end;
            let message = format!("{} has no argument count", quoted(raw.name.text));
            self.report(
                Diagnostic::new(
                    Code::MissingCount,
                    message,
                    label(line, end..end, "count missing"),
                )
                .help("write how many arguments it takes after the name, 0 if none"),
            );
            return None;
        };
        let (i386, wide) = match word.text.split_once('/') {
            None => (
                self.check_count(line, word, limits::ARGS_I386, "an i386 service")?,
                None,
            ),
            Some((i386, wide)) => {
                let wide = Word {
                    text: wide,
                    start: word.start + i386.len() + 1,
                };
                let i386 = self.check_count(
                    line,
                    Word { text: i386, ..word },
                    limits::ARGS_I386,
                    "an i386 service",
                );
                let wide = self.check_count(line, wide, limits::ARGS_AMD64, "an amd64 service");
                (i386?, Some(wide?))
            }
        };
        self.check_both_counts(
            line,
            word,
            Counts {
                i386,
                wide: wide.unwrap_or(i386),
            },
        )
    }

    fn check_both_counts(
        &mut self,
        line: Line<'a>,
        word: Word<'a>,
        counts: Counts,
    ) -> Option<Counts> {
        let Counts { i386, wide } = counts;
        if wide > i386 {
            let message = format!("{wide} parameters do not fit into {i386} dwords");
            self.report(
                Diagnostic::new(Code::FewerDwords, message, label(line, word.span(), ""))
                    .help("dwords on i386 come first, then parameters on amd64, as in `5/4`; every parameter takes a dword or more"),
            );
            return None;
        }
        if wide > limits::ARGS_AMD64 {
            let message = format!(
                "{wide} arguments are too many for an amd64 service, which takes {}",
                limits::ARGS_AMD64
            );
            self.report(
                Diagnostic::new(Code::TooManyForAmd64, message, label(line, word.span(), ""))
                    .help("nothing to do if the list is for i386 alone"),
            );
        }
        Some(counts)
    }

    fn check_count(
        &mut self,
        line: Line<'a>,
        word: Word<'a>,
        limit: u8,
        whose: &str,
    ) -> Option<u8> {
        let report = |code, message: String, help: String| {
            Diagnostic::new(code, message, label(line, word.span(), "")).help(help)
        };
        if let Some(digits) = hex_digits(word.text) {
            let decimal = u32::from_str_radix(digits, 16)
                .map_or_else(|_| "it in decimal".to_owned(), |n| format!("`{n}`"));
            let message = format!("the count {} is hexadecimal", quoted(word.text));
            self.report(report(
                Code::HexCount,
                message,
                format!("counts are decimal: write {decimal}"),
            ));
            return None;
        }
        let digits = word.text.trim_start_matches('0');
        if word.text.is_empty() || !word.text.bytes().all(|byte| byte.is_ascii_digit()) {
            let message = format!("the count {} is not a number", quoted(word.text));
            self.report(report(
                Code::BadCount,
                message,
                "write how many arguments the service takes in decimal, 0 if none".to_owned(),
            ));
            return None;
        }
        let count = if digits.is_empty() {
            Some(0)
        } else {
            parse_decimal(digits)
        };
        let Some(count) = count
            .and_then(|count| u8::try_from(count).ok())
            .filter(|&count| count <= limit)
        else {
            let message = format!(
                "the count {} is over the limit of {limit} arguments for {whose}",
                quoted(word.text)
            );
            let help = if limit == limits::ARGS_I386 {
                "the kernel's argument table has one byte for 4 times the count; is this number bytes, not arguments?"
            } else {
                "the kernel's table has four bits for the arguments on the stack, which come after the four in registers"
            };
            self.report(report(Code::TooManyArguments, message, help.to_owned()));
            return None;
        };
        if word.text.len() > 1 && word.text.starts_with('0') {
            let message = format!(
                "the count {} is read as {count}, not as octal",
                quoted(word.text)
            );
            self.report(report(
                Code::OctalCount,
                message,
                format!("write `{count}`: other tools take a leading 0 for octal"),
            ));
        }
        Some(count)
    }

    fn check_signature(
        &mut self,
        line: Line<'a>,
        text: Word<'a>,
        count: Option<Word<'a>>,
        counts: Option<Counts>,
    ) -> Option<Vec<Param>> {
        let params = match parse_params(text.text) {
            Ok(params) => params,
            Err(bad) => {
                let message = format!("the parameter {} {}", quoted(bad.text), bad.why);
                let start = offset_in(text, bad.text);
                self.report(
                    Diagnostic::new(
                        Code::BadSignature,
                        message,
                        label(line, start..start + bad.text.len(), ""),
                    )
                    .help("a parameter is a type and a name, as in `(HANDLE Handle, PVOID *Base)`"),
                );
                return None;
            }
        };
        let (Some(count), Some(counts)) = (count, counts) else {
            return None;
        };
        if params.len() != usize::from(counts.wide) {
            let message = format!(
                "the signature has {}, the count says {}",
                plural(params.len()),
                counts.wide
            );
            let help = if params.len() < usize::from(counts.wide) {
                format!(
                    "if parameters take more than one dword on i386, write `{}/{}`",
                    counts.i386,
                    params.len()
                )
            } else {
                format!("the count would be `{}`", params.len())
            };
            self.report(
                Diagnostic::new(
                    Code::SignatureMismatch,
                    message,
                    label(line, text.span(), plural(params.len())),
                )
                .related(label(line, count.span(), "the count"))
                .help(help),
            );
        }
        Some(params)
    }

    fn report_rest(&mut self, line: Line<'a>, rest: Word<'a>) {
        let trimmed = rest.text.trim_end();
        let span = rest.start..rest.start + trimmed.len();
        let diagnostic = if trimmed.starts_with('(') {
            Diagnostic::new(Code::BadSignature, "the signature has no closing parenthesis", label(line, span, ""))
                .help("a signature is `(HANDLE Handle)`; in it, one pair of parentheses may stand in another")
        } else {
            let help = match parse_number(trimmed) {
                Some(_) => {
                    format!("a service number is written `@{trimmed}`; a comment starts with `#`")
                }
                None => "after the count there may be `@number`, `(signature)` and `# comment`"
                    .to_owned(),
            };
            let message = format!("{} does not belong here", quoted(trimmed));
            Diagnostic::new(Code::UnexpectedText, message, label(line, span, "")).help(help)
        };
        self.report(diagnostic);
    }

    /// Gives the service its number: the one after `@`, or the next of the table.
    fn check_number(&mut self, line: Line<'a>, raw: &RawEntry<'a>) -> Option<u32> {
        let explicit = raw.number.and_then(|word| self.check_at(line, word));
        let place = Place::word(line, raw.name);
        let table = self.current_table(line);
        let number = explicit.unwrap_or(table.next);
        if number < table.end() {
            table.next = number + 1;
            table.taken.push((number, place));
            return Some(number);
        }
        if !std::mem::replace(&mut table.full, true) {
            let message = format!(
                "table {} has no number for this service",
                quoted(table.name)
            );
            let diagnostic = Diagnostic::new(
                Code::TooManyServices,
                message,
                place.label("the first one too many"),
            )
            .help(format!(
                "a table has {} numbers; a number holds 12 bits of index",
                limits::SERVICES_PER_TABLE
            ));
            self.report(diagnostic);
        }
        None
    }

    /// Checks the number after `@` against the table and the numbers before.
    fn check_at(&mut self, line: Line<'a>, word: Word<'a>) -> Option<u32> {
        let place = Place::word(line, word);
        let Some(number) = parse_number(word.text) else {
            let message = format!("{} is not a service number", quoted(word.text));
            self.report(
                Diagnostic::new(Code::BadNumber, message, place.label(""))
                    .help("write the number after `@` in hexadecimal or decimal, as in `@0x55`"),
            );
            return None;
        };
        let table = self.current_table(line);
        if !table.is_readable {
            return None;
        }
        let (base, end, next) = (table.base, table.end(), table.next);
        if !(base..end).contains(&number) {
            let message = format!(
                "the number {number:#x} is not one of table {}",
                quoted(table.name)
            );
            let help = format!("its numbers go from {base:#x} to {:#x}", end - 1);
            self.report(
                Diagnostic::new(Code::NumberOutsideTable, message, place.label("")).help(help),
            );
            return None;
        }
        if number >= next {
            return Some(number);
        }
        let at = table.taken.partition_point(|&(taken, _)| taken < number);
        let other = table
            .taken
            .get(at)
            .map(|&(taken, other)| (taken, other.label(format!("this is number {taken:#x}"))));
        let (code, message) = if other.as_ref().is_some_and(|&(taken, _)| taken == number) {
            (
                Code::DuplicateNumber,
                format!("the number {number:#x} is taken"),
            )
        } else {
            (
                Code::BackwardNumber,
                format!("the number {number:#x} comes too late"),
            )
        };
        let help = format!("services stand in number order; the next free number is {next:#x}");
        let diagnostic = Diagnostic::new(code, message, place.label("")).help(help);
        self.report(match other {
            Some((_, other)) => diagnostic.related(other),
            None => diagnostic,
        });
        None
    }
}

/// What is wrong with a name: code, message, help.
fn name_mistake(name: &str) -> Option<(Code, String, String)> {
    let identifier = name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && name
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
    let shown = quoted(name);
    if !identifier || name.len() > limits::NAME_CHARS || name == "Nt" {
        let help = format!(
            "a name is `Nt`, then letters, digits and `_`, at most {} characters",
            limits::NAME_CHARS
        );
        return Some((
            Code::BadName,
            format!("{shown} is not the name of a service"),
            help,
        ));
    }
    if name.starts_with("Nt") {
        return None;
    }
    let help = match name.get(..2) {
        Some("Zw") => format!(
            "write {}; the Zw twin is derived from it",
            quoted(&format!("Nt{}", &name[2..]))
        ),
        Some(prefix) if prefix.eq_ignore_ascii_case("nt") => {
            format!("write {}", quoted(&format!("Nt{}", &name[2..])))
        }
        _ => format!("is it {}?", quoted(&format!("Nt{name}"))),
    };
    Some((
        Code::NoNtPrefix,
        format!("{shown} does not start with `Nt`"),
        help,
    ))
}

/// A comment as a doc comment: one line of plain text.
fn doc_text(comment: &str) -> Option<String> {
    let text: String = comment
        .chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .collect();
    let text = text.trim();
    (!text.is_empty()).then(|| text.to_owned())
}

/// Where `part`, a piece of `word.text`, starts in the line.
fn offset_in(word: Word<'_>, part: &str) -> usize {
    word.start + (part.as_ptr() as usize).saturating_sub(word.text.as_ptr() as usize)
}

fn plural(params: usize) -> String {
    match params {
        1 => "1 parameter".to_owned(),
        more => format!("{more} parameters"),
    }
}
