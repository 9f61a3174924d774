//! Lines that have a name and a count and nothing else, or nothing but a comment: nearly all of them, and so they are
//! worth a shorter way.
//!
//! What is taken here the grammar takes in the same way; the test says so of all lines that are like one.

use super::{RawEntry, RawLine, Word};

/// What a line such as `NtClose 1` or `# comment` is; `None` if it is not as plain as that.
pub(super) fn parse(text: &str) -> Option<RawLine<'_>> {
    let is_comment = text.strip_prefix('#').is_some_and(|comment| !comment.starts_with('!'));
    if text.is_empty() || is_comment { Some(RawLine::Blank) } else { parse_entry(text).map(RawLine::Entry) }
}

fn parse_entry(text: &str) -> Option<RawEntry<'_>> {
    let name_end = text.bytes().position(|byte| !is_name(byte)).filter(|&end| end > 0)?;
    let count_start =
        name_end + text[name_end..].bytes().position(|byte| !is_blank(byte)).filter(|&blanks| blanks > 0)?;
    let digits = text[count_start..].bytes().take_while(u8::is_ascii_digit).count();
    let count_end = count_start + digits;
    if digits == 0 || !text[count_end..].bytes().all(is_blank) {
        return None;
    }
    Some(RawEntry {
        name: Word { text: &text[..name_end], start: 0 },
        count: Some(Word { text: &text[count_start..count_end], start: count_start }),
        number: None,
        signature: None,
        doc: None,
        rest: None,
    })
}

const fn is_name(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_'
}

const fn is_blank(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t')
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::parse_any_line;
    use super::*;

    #[test]
    fn plain_lines_are_taken_and_others_are_not() {
        for line in ["NtClose 1", "NtClose\t \t17", "NtClose 1 \t", "1 1", "_ 010", "", "#", "# NtClose 1", "##!"] {
            assert!(parse(line).is_some(), "{line:?}");
        }
        for line in
            [" ", " # x", "NtClose", "NtClose ", " NtClose 1", "NtClose 1 # x", "NtClose 1/2", "#! 1", "NtClose 1\r"]
        {
            assert!(parse(line).is_none(), "{line:?}");
        }
    }

    /// Lines that are plain more often than chance would have it.
    fn plainish() -> impl Strategy<Value = String> {
        let part = prop_oneof![
            4 => "[A-Za-z0-9_]{1,6}",
            4 => "[ \t]{1,2}",
            3 => "[0-9]{1,3}",
            1 => "[/#@()!é\u{a0}]",
        ];
        proptest::collection::vec(part, 0..6).prop_map(|parts| parts.concat())
    }

    proptest! {
        #[test]
        fn the_grammar_takes_it_in_the_same_way(line in plainish()) {
            if let Some(plain) = parse(&line) {
                prop_assert_eq!(plain, parse_any_line(&line));
            }
        }
    }
}
