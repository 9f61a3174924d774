//! Headers of `SVC_(Name, count)` rows, whose conditions are resolved. The place of a row is the number.

use super::collect::{ARGUMENTS, Collector, check_counts};
use super::macros::{BadMacros, Defined};
use super::services::Counts;
use super::{Options, say::Say};
use crate::check::parse_number;
use crate::diag::{Code, quoted};
use crate::model::limits;
use crate::syntax::Word;
use crate::syntax::condition::Names;
use crate::syntax::svc_header::{RawDirective, RawSvc, parse_svc_line};
use crate::syntax::text::{Logical, Spot, logical_lines, spot_at, without_comments};

/// How deep `#if` may nest. C compilers must take 63 levels (C11 5.2.4.1).
const DEPTH: usize = 256;

pub(super) fn read<'a>(text: &'a str, options: &Options, collector: &mut Collector<'a>) {
    let (clean, open) = without_comments(text);
    if let Some(at) = open {
        let help = "write `*/` where it ends";
        collector.say.say(Code::Unclosed, "the comment has no end", spot_at(text, at), help);
    }
    let mut reader = Reader { collector, defined: Defined::new(options), open: Vec::new(), is_too_deep: false };
    // The cleaned text lives only here, and what is kept are spots of the text itself.
    for line in logical_lines(&clean, text) {
        reader.read_line(&line);
    }
    reader.finish();
}

struct Reader<'c, 'a> {
    collector: &'c mut Collector<'a>,
    defined: Defined,
    /// Every `#if` that has no `#endif` yet.
    open: Vec<If<'a>>,
    is_too_deep: bool,
}

/// An `#if` and its branches.
struct If<'a> {
    spot: Spot<'a>,
    /// Whether the rows of this branch count.
    is_live: bool,
    /// Whether a branch has been taken, so that no other is; also if all of it is within one that is not.
    is_done: bool,
    has_else: bool,
}

impl<'a> Reader<'_, 'a> {
    fn is_live(&self) -> bool {
        self.open.iter().all(|branch| branch.is_live)
    }

    fn read_line(&mut self, line: &Logical<'_, 'a>) {
        let parsed = parse_svc_line(&line.text);
        if let Some(directive) = parsed.directive {
            return self.read_directive(line, directive);
        }
        if !self.is_live() {
            return;
        }
        for entry in &parsed.entries {
            self.read_entry(line, entry);
        }
        // What follows a row without its parenthesis is of that row.
        let is_cut = parsed.entries.last().is_some_and(|entry| !entry.is_closed);
        if let Some(rest) = parsed.rest.filter(|_| !is_cut) {
            self.say_rest(line, rest, parsed.entries.is_empty());
        }
    }

    fn say_rest(&mut self, line: &Logical<'_, 'a>, rest: Word<'_>, is_all: bool) {
        let spot = line.spot(rest.span());
        if is_all {
            self.collector.say_bad_entry(format!("{} is not an SVC_ row", quoted(rest.text)), spot);
        } else {
            let message = format!("{} does not belong here", quoted(rest.text));
            self.collector.say.say(Code::UnexpectedText, message, spot, "a row is `SVC_(Close, 1)`; take the rest out");
        }
    }

    fn read_entry(&mut self, line: &Logical<'_, 'a>, entry: &RawSvc<'_>) {
        let whole = line.spot(entry.whole.span());
        let Some(name) = entry.name else {
            return self.collector.say_bad_entry("the row has no name", whole);
        };
        let name_spot = line.spot(name.span());
        let mut counts = Counts::default();
        // One message a row: what is missing first makes the others.
        match entry.count {
            None if entry.is_closed || entry.has_comma => {
                let message = format!("{} has no argument count", quoted(name.text));
                let row = quoted(&format!("SVC_({}, n)", name.text));
                let help = format!("write {row} with how many arguments it takes, 0 if none");
                self.collector.say.say(Code::MissingCount, message, name_spot.after(), help);
            }
            None => self.collector.say_bad_entry("the row ends before its count and its parenthesis", whole.after()),
            Some(_) if !entry.has_comma => {
                let message = format!("there is no comma after {}", quoted(name.text));
                self.collector.say_bad_entry(message, name_spot.after());
            }
            Some(count) => {
                let spot = line.spot(count.span());
                if let Some(count) = self.collector.count(count.text, spot, &ARGUMENTS) {
                    counts = Counts::both(count);
                    check_counts(self.collector, counts, spot);
                }
                if !entry.is_closed {
                    self.collector.say_bad_entry("the row has no closing parenthesis", whole.after());
                }
            }
        }
        self.check_comment(line, entry);
        self.collector.add(&service_name(name.text), name_spot, None, counts);
    }

    /// Headers may say a row's number in a comment beside it, `// 0x10bd`.
    fn check_comment(&mut self, line: &Logical<'_, 'a>, entry: &RawSvc<'_>) {
        let spot = line.spot(entry.whole.span());
        let after = &spot.line.text[spot.end..];
        let Some(comment) = after.trim_start().strip_prefix("//").or_else(|| after.trim_start().strip_prefix("/*"))
        else {
            return;
        };
        let Some(word) = comment.split_ascii_whitespace().next().filter(|word| word.starts_with("0x")) else {
            return;
        };
        let place = self.collector.next_place();
        let Some(number) = parse_number(word) else { return };
        if number % limits::SERVICES_PER_TABLE != place {
            let start = spot.line.text.len() - comment.len() + comment.find(word).unwrap_or(0);
            let message = format!("the comment says {number:#x}, the row's place says {place:#x}");
            let help = "rows are numbered by their places; is one missing above, or one too much?";
            let spot = Spot::new(spot.line, start..start + word.len());
            self.collector.say.say(Code::CommentNumber, message, spot, help);
        }
    }

    fn read_directive(&mut self, line: &Logical<'_, 'a>, directive: RawDirective<'_>) {
        let Some(keyword) = directive.keyword else {
            // A lone `#` is a directive that does nothing.
            return;
        };
        let whole = line.spot(directive.whole.span());
        match keyword.text {
            "if" | "ifdef" | "ifndef" => self.open_if(line, directive, keyword.text, whole),
            "elif" | "else" | "endif" => self.go_on(line, directive, keyword.text, whole),
            _ if !self.is_live() => {}
            "define" => self.define(directive, whole),
            "undef" => {
                let name = self.macro_name(directive, "undef", whole);
                self.defined.undefine(name);
            }
            "include" => {
                let help = "rows of the other header are not here; join the two, or read it by itself";
                self.collector.say.say(Code::Include, "the header that is included is not read", whole, help);
            }
            "error" => {
                let text = directive.text.map_or("", |text| text.text);
                let help = "the header does not want to be read with these macros; -D NAME=VALUE defines others";
                self.collector.say.say(Code::BadDirective, format!("the header says {}", quoted(text)), whole, help);
            }
            "pragma" | "warning" | "line" => {}
            other => {
                let message = format!("{} is not a directive", quoted(&format!("#{other}")));
                let help =
                    "known are #if, #ifdef, #ifndef, #elif, #else, #endif, #define, #undef, #include and #pragma";
                self.collector.say.say(Code::BadDirective, message, whole, help);
            }
        }
    }

    fn open_if(&mut self, line: &Logical<'_, 'a>, directive: RawDirective<'_>, keyword: &str, spot: Spot<'a>) {
        if self.open.len() >= DEPTH {
            if !std::mem::replace(&mut self.is_too_deep, true) {
                let message = format!("#if nests deeper than {DEPTH} levels");
                self.collector.say.say(Code::BadDirective, message, spot, "close the others with #endif first");
            }
            return;
        }
        let is_outside_live = self.is_live();
        let holds = is_outside_live && self.holds(line, directive, keyword, spot);
        self.open.push(If { spot, is_live: holds, is_done: holds || !is_outside_live, has_else: false });
    }

    fn go_on(&mut self, line: &Logical<'_, 'a>, directive: RawDirective<'_>, keyword: &str, spot: Spot<'a>) {
        let Some(branch) = self.open.last() else {
            // Those of an #if that was too deep have none either.
            if !self.is_too_deep {
                let message = format!("#{keyword} has no #if");
                self.collector.say.say(Code::BadDirective, message, spot, "take it out, or write the #if above it");
            }
            return;
        };
        if keyword == "endif" {
            self.open.pop();
            return;
        }
        if branch.has_else {
            let (message, first) = (format!("#{keyword} after #else"), branch.spot);
            let help = "an #if has one #else, after all #elif";
            self.collector.say.say_two(Code::BadDirective, message, (spot, ""), (first, "this #if"), help);
            return;
        }
        let is_open = !branch.is_done;
        let holds = is_open && (keyword == "else" || self.holds(line, directive, "if", spot));
        if let Some(branch) = self.open.last_mut() {
            branch.is_live = holds;
            branch.is_done |= holds;
            branch.has_else = keyword == "else";
        }
    }

    fn holds(&mut self, line: &Logical<'_, 'a>, directive: RawDirective<'_>, keyword: &str, spot: Spot<'a>) -> bool {
        if keyword != "if" {
            let name = self.macro_name(directive, keyword, spot);
            return self.defined.is_defined(name) == (keyword == "ifdef");
        }
        let text = directive.text.unwrap_or(Word { text: "", start: directive.whole.span().end });
        let holds = self.defined.holds(text.text.trim_end());
        for name in self.defined.take_missing() {
            say_missing(&mut self.collector.say, &name, line.spot(text.span()));
        }
        holds.unwrap_or_else(|BadMacros { bad, expanded }| {
            let at = text.start + bad.at;
            let kinds = "a condition is made of numbers, macros, defined(), comparisons, && and ||";
            let help = match expanded.as_deref() {
                Some("") => format!("with its macros replaced nothing is left of it; {kinds}"),
                Some(text) => format!("with its macros replaced it is {}; {kinds}", quoted(text)),
                None => kinds.to_owned(),
            };
            let message = format!("the condition {}", bad.why);
            self.collector.say.say(Code::BadDirective, message, line.spot(at..at + 1), help);
            false
        })
    }

    /// The macro that a directive is about; says so if there is none.
    fn macro_name<'d>(&mut self, directive: RawDirective<'d>, keyword: &str, spot: Spot<'a>) -> &'d str {
        let text = directive.text.map_or("", |text| text.text);
        let length = text.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(text.len());
        if length == 0 || text.starts_with(|c: char| c.is_ascii_digit()) {
            let message = format!("there is no macro after #{keyword}");
            let help = format!("write its name, as in {}", quoted(&format!("#{keyword} _WIN64")));
            self.collector.say.say(Code::BadDirective, message, spot, help);
            return "";
        }
        &text[..length]
    }

    fn define(&mut self, directive: RawDirective<'_>, spot: Spot<'a>) {
        let name = self.macro_name(directive, "define", spot);
        if name.is_empty() {
            return;
        }
        let value = directive.text.map_or("", |text| &text.text[name.len()..]);
        if value.starts_with('(') {
            self.defined.define_with_parameters(name);
        } else {
            self.defined.define(name, value.trim());
        }
    }

    fn finish(self) {
        for branch in &self.open {
            self.collector.say.say(Code::Unclosed, "the #if has no #endif", branch.spot, "write #endif where it ends");
        }
    }
}

fn say_missing(say: &mut Say, name: &str, spot: Spot<'_>) {
    let message = format!("{} is not defined and taken for 0", quoted(name));
    let example = if name == "NTDDI_VERSION" { "NTDDI_WS03SP2" } else { "1" };
    say.say(Code::UndefinedMacro, message, spot, format!("-D {name}={example} defines it"));
}

/// Rows have the name without `Nt`.
fn service_name(stem: &str) -> String {
    format!("Nt{stem}")
}
