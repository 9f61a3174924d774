//! What is wrong with a list: collected while it is read, shown afterwards.
//!
//! This module says; [`render`] shows. Nothing else formats a caret. A diagnostic owns the part of the line that it
//! talks about, so the list's text need not live as long.

mod code;
#[cfg(feature = "render")]
mod render;
#[cfg(test)]
mod tests;

use std::fmt;
use std::ops::Range;

pub use code::{Code, Severity};

/// The most characters of a line that a diagnostic keeps: a list may have lines of any length.
const EXCERPT_CHARS: usize = 120;

/// How many characters of a line are kept before the place that is marked.
const EXCERPT_LEAD: usize = 40;

/// The most characters of a list that a message quotes.
const QUOTE_CHARS: usize = 40;

/// The most errors, and the most warnings, that are kept of one list. The others are counted.
const KEPT: usize = 10_000;

/// Everything that is wrong with one list, in the order of its lines.
///
/// Of a list with very many mistakes the first 10000 errors and the first 10000 warnings are here, and the number of
/// the others.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Diagnostics {
    file: String,
    items: Vec<Diagnostic>,
    errors: usize,
    warnings: usize,
}

impl Diagnostics {
    pub(crate) fn new(file: &str) -> Self {
        Self { file: printable(file), items: Vec::new(), errors: 0, warnings: 0 }
    }

    pub(crate) fn push(&mut self, diagnostic: Diagnostic) {
        let count = match diagnostic.severity() {
            Severity::Error => &mut self.errors,
            Severity::Warning => &mut self.warnings,
        };
        *count += 1;
        if *count <= KEPT {
            self.items.push(diagnostic);
        }
    }

    /// Whether another one would only be counted. If so, it is counted: it need not be made.
    #[cfg(feature = "readers")]
    pub(crate) fn counts_only(&mut self, severity: Severity) -> bool {
        let count = match severity {
            Severity::Error => &mut self.errors,
            Severity::Warning => &mut self.warnings,
        };
        let is_full = *count >= KEPT;
        *count += usize::from(is_full);
        is_full
    }

    pub(crate) fn sort(&mut self) {
        self.items.sort_by_key(|item| (item.primary.line, item.primary.column, item.code));
    }

    /// The name of the list, without control characters.
    #[must_use]
    pub fn file(&self) -> &str {
        &self.file
    }

    /// The diagnostics, in the order of the lines.
    pub fn iter(&self) -> std::slice::Iter<'_, Diagnostic> {
        self.items.iter()
    }

    /// How many there are, warnings included, and those that [`iter`](Self::iter) leaves out.
    #[must_use]
    pub fn len(&self) -> usize {
        self.errors + self.warnings
    }

    /// Whether nothing is wrong.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.items.is_empty()
    }

    /// How many of them are errors.
    #[must_use]
    pub fn error_count(&self) -> usize {
        self.errors
    }

    /// The first line of a diagnostic, as editors and build tools parse it:
    /// `file:line:column: error: message [E001]`.
    #[must_use]
    pub fn headline(&self, item: &Diagnostic) -> String {
        let Label { line, column, .. } = item.primary;
        format!("{}:{line}:{column}: {}: {} [{}]", self.file, item.severity(), item.message, item.code)
    }
}

impl<'a> IntoIterator for &'a Diagnostics {
    type Item = &'a Diagnostic;
    type IntoIter = std::slice::Iter<'a, Diagnostic>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

impl fmt::Display for Diagnostics {
    /// The first lines only; [`Diagnostics::render`] shows the list's lines as well.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, item) in self.iter().enumerate() {
            if index > 0 {
                f.write_str("\n")?;
            }
            f.write_str(&self.headline(item))?;
        }
        Ok(())
    }
}

impl std::error::Error for Diagnostics {}

/// One thing that is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Diagnostic {
    code: Code,
    message: String,
    primary: Label,
    related: Vec<Label>,
    help: Option<String>,
}

impl Diagnostic {
    pub(crate) fn new(code: Code, message: impl Into<String>, primary: Label) -> Self {
        Self { code, message: message.into(), primary, related: Vec::new(), help: None }
    }

    #[must_use]
    pub(crate) fn related(mut self, label: Label) -> Self {
        self.related.push(label);
        self
    }

    #[must_use]
    pub(crate) fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    /// What is wrong, to match on.
    #[must_use]
    pub fn code(&self) -> Code {
        self.code
    }

    /// How bad it is.
    #[must_use]
    pub fn severity(&self) -> Severity {
        self.code.severity()
    }

    /// What is wrong, for people: one line without control characters.
    #[must_use]
    pub fn message(&self) -> &str {
        &self.message
    }

    /// Where it is wrong.
    #[must_use]
    pub fn label(&self) -> &Label {
        &self.primary
    }

    /// Other places that have to do with it.
    #[must_use]
    pub fn related_labels(&self) -> &[Label] {
        &self.related
    }

    /// What to do about it.
    #[must_use]
    pub fn help_text(&self) -> Option<&str> {
        self.help.as_deref()
    }
}

/// A marked place in a line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Label {
    line: usize,
    column: usize,
    /// The line, or the part of it around the mark, without control characters.
    excerpt: String,
    /// The mark, in bytes of `excerpt`.
    mark: Range<usize>,
    text: String,
}

impl Label {
    /// Marks the bytes `mark` of `line_text`, which is line `line`.
    pub(crate) fn new(line: usize, line_text: &[u8], mark: Range<usize>, text: impl Into<String>) -> Self {
        let column = column(line_text, mark.start);
        Self::at(line, line_text, mark, column, text)
    }

    /// As [`new`](Self::new), where the mark's column is known: to count it anew for each mark of a line of megabytes
    /// would take long.
    pub(crate) fn at(
        line: usize,
        line_text: &[u8],
        mark: Range<usize>,
        column: usize,
        text: impl Into<String>,
    ) -> Self {
        let start = mark.start.min(line_text.len());
        let before = &line_text[start.saturating_sub(4 * EXCERPT_LEAD)..start];
        let before = String::from_utf8_lossy(before);
        let lead = tail(&before, EXCERPT_LEAD);
        let end = mark.end.clamp(start, line_text.len());
        // A mark of many megabytes need not be decoded: four bytes a character are the most.
        let marked_bytes = &line_text[start..end.min(start + 4 * EXCERPT_CHARS)];
        let marked: String = String::from_utf8_lossy(marked_bytes).chars().take(EXCERPT_CHARS).collect();
        let room = EXCERPT_CHARS.saturating_sub(lead.chars().count() + marked.chars().count());
        let after = String::from_utf8_lossy(&line_text[end..line_text.len().min(end + 4 * room)]);
        let after: String = after.chars().take(room).collect();

        let mut excerpt = printable(lead);
        let mark_start = excerpt.len();
        excerpt.push_str(&printable(&marked));
        let mark_end = excerpt.len();
        excerpt.push_str(&printable(&after));
        Self { line, column, excerpt, mark: mark_start..mark_end, text: text.into() }
    }

    /// Whether the excerpt begins where the line does.
    #[cfg(feature = "render")]
    fn is_whole(&self) -> bool {
        self.excerpt[..self.mark.start].chars().count() + 1 == self.column
    }

    /// The line, counted from 1.
    #[must_use]
    pub fn line(&self) -> usize {
        self.line
    }

    /// The column of the mark's first character, in characters and counted from 1.
    #[must_use]
    pub fn column(&self) -> usize {
        self.column
    }

    /// What the mark says; may be empty.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The line, or the part of it around the mark, without control characters.
    #[must_use]
    pub fn excerpt(&self) -> &str {
        &self.excerpt
    }
}

/// The column of the character at a byte of a line, counted from 1.
pub(crate) fn column(line_text: &[u8], at: usize) -> usize {
    let before = &line_text[..at.min(line_text.len())];
    // In UTF-8 every character has one byte that is not 10xxxxxxb.
    1 + before.iter().filter(|&&byte| byte & 0xc0 != 0x80).count()
}

/// The last `chars` characters of `text`.
fn tail(text: &str, chars: usize) -> &str {
    let start = text.char_indices().rev().take(chars).last().map_or(text.len(), |(at, _)| at);
    &text[start..]
}

/// `1 dword`, `2 dwords`.
pub(crate) fn plural(count: usize, noun: &str) -> String {
    let ending = if count == 1 { "" } else { "s" };
    format!("{count} {noun}{ending}")
}

/// `text` in quotes for a message: short, and nothing in it that a terminal would act on.
pub(crate) fn quoted(text: &str) -> String {
    let mut short: String = text.chars().take(QUOTE_CHARS).map(printable_char).collect();
    if text.chars().nth(QUOTE_CHARS).is_some() {
        short.push_str("...");
    }
    format!("`{short}`")
}

/// `text` with nothing in it that a terminal would act on, character for character.
pub(crate) fn printable(text: &str) -> String {
    text.chars().map(printable_char).collect()
}

fn printable_char(c: char) -> char {
    match c {
        '\t' => ' ',
        // The "control pictures" block shows the C0 controls in the order of their codes.
        '\0'..='\x1f' => char::from_u32(0x2400 + u32::from(c)).unwrap_or(char::REPLACEMENT_CHARACTER),
        '\x7f' => '\u{2421}',
        '\u{80}'..='\u{9f}' => char::REPLACEMENT_CHARACTER,
        // Marks that reorder or hide text: the line would not show what the list says.
        '\u{ad}'
        | '\u{61c}'
        | '\u{200b}'..='\u{200f}'
        | '\u{2028}'..='\u{202e}'
        | '\u{2060}'..='\u{206f}'
        | '\u{feff}' => char::REPLACEMENT_CHARACTER,
        _ => c,
    }
}
