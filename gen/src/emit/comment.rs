//! Docs of services in the comments of languages.

use crate::model::Service;

/// The doc of a service as text for a `/* */` comment of C: nothing in it opens or ends a comment.
pub(super) fn c_comment(text: &str) -> String {
    visible(text).replace("*/", "* /").replace("/*", "/ *")
}

/// Text in which no character turns the direction of what follows, which compilers refuse in comments.
pub(super) fn visible(text: &str) -> String {
    let turns = |c: char| matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{200e}' | '\u{200f}');
    text.chars().map(|c| if turns(c) { c.escape_unicode().to_string() } else { c.to_string() }).collect()
}

/// `NtClose: Closes a handle.`, if there is a doc.
pub(super) fn with_name(service: &Service) -> Option<String> {
    service.doc().map(|doc| format!("{}: {doc}", service.name()))
}

/// No more than winebuild and `ml` have room for: lines of 512 bytes.
pub(super) fn shortened(text: &str) -> String {
    const CHARS: usize = 120;
    match text.char_indices().nth(CHARS) {
        Some((at, _)) => format!("{} ...", &text[..at]),
        None => text.to_owned(),
    }
}

/// What stands above a service in a format that has no place for numbers: the number if it does not follow from the one
/// before, and the doc. `next` is the number that would follow.
pub(super) fn above(service: &Service, next: &mut u32) -> Vec<String> {
    let jump = (service.number() != *next).then(|| format!("from {:#06x}", service.number()));
    *next = service.number() + 1;
    jump.into_iter().chain(with_name(service)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_comment_ends_where_it_should() {
        assert_eq!(c_comment("a */ b /* c */*"), "a * / b / * c * / *");
        assert!(!c_comment("*/*/").contains("*/") && !c_comment("/*/").contains("/*/"));
        assert_eq!(visible("a\u{202e}b"), "a\\u{202e}b");
        assert_eq!(shortened(&"ß".repeat(120)), "ß".repeat(120));
        assert_eq!(shortened(&"ß".repeat(121)), format!("{} ...", "ß".repeat(120)));
    }
}
