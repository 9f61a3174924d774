//! Text of other formats than the list: any encoding that they come in, lines that go on, comments of C.

use std::borrow::Cow;
use std::ops::Range;

/// One line of a file as it stands there, without its line end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct TextLine<'a> {
    /// Counted from 1.
    pub(crate) number: usize,
    pub(crate) text: &'a str,
}

/// A part of a line, to point at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Spot<'a> {
    pub(crate) line: TextLine<'a>,
    /// In bytes of the line.
    pub(crate) start: usize,
    pub(crate) end: usize,
}

impl<'a> Spot<'a> {
    pub(crate) fn new(line: TextLine<'a>, range: Range<usize>) -> Self {
        let end = range.end.min(line.text.len());
        Self { line, start: range.start.min(end), end }
    }

    /// The whole line but for the blanks around it.
    pub(crate) fn line(line: TextLine<'a>) -> Self {
        let start = line.text.len() - line.text.trim_start().len();
        Self::new(line, start..line.text.trim_end().len().max(start))
    }

    /// The place behind it.
    pub(crate) fn after(self) -> Self {
        Self { start: self.end, ..self }
    }
}

/// The bytes of a file as text.
pub(crate) struct Decoded<'a> {
    /// What is no text in the file is U+FFFD here.
    pub(crate) text: Cow<'a, str>,
    /// Where the first byte is that is no text, in bytes of `text`.
    pub(crate) invalid: Option<usize>,
    pub(crate) is_utf16: bool,
}

/// Takes UTF-8, and UTF-16 that begins with a byte order mark.
pub(crate) fn decode(bytes: &[u8]) -> Decoded<'_> {
    let wide = match bytes {
        [0xff, 0xfe, rest @ ..] => Some((rest, u16::from_le_bytes as fn([u8; 2]) -> u16)),
        [0xfe, 0xff, rest @ ..] => Some((rest, u16::from_be_bytes as fn([u8; 2]) -> u16)),
        _ => None,
    };
    if let Some((bytes, unit)) = wide {
        return decode_utf16(bytes, unit);
    }
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    match str::from_utf8(bytes) {
        Ok(text) => Decoded { text: Cow::Borrowed(text), invalid: None, is_utf16: false },
        Err(error) => {
            let text = String::from_utf8_lossy(bytes);
            Decoded { text, invalid: Some(error.valid_up_to()), is_utf16: false }
        }
    }
}

fn decode_utf16(bytes: &[u8], unit: fn([u8; 2]) -> u16) -> Decoded<'static> {
    let mut text = String::with_capacity(bytes.len() / 2);
    let mut invalid = None;
    let (pairs, odd) = bytes.as_chunks::<2>();
    for decoded in char::decode_utf16(pairs.iter().map(|&pair| unit(pair))) {
        let c = decoded.unwrap_or_else(|_| {
            invalid = invalid.or(Some(text.len()));
            char::REPLACEMENT_CHARACTER
        });
        text.push(c);
    }
    if !odd.is_empty() {
        invalid = invalid.or(Some(text.len()));
        text.push(char::REPLACEMENT_CHARACTER);
    }
    Decoded { text: Cow::Owned(text), invalid, is_utf16: true }
}

/// The lines of a text. They end in LF or CR LF.
pub(crate) fn text_lines(text: &str) -> impl Iterator<Item = TextLine<'_>> {
    text.split('\n')
        .enumerate()
        .map(|(index, line)| TextLine { number: index + 1, text: line.strip_suffix('\r').unwrap_or(line) })
}

/// One or more lines that are read as one: all but the last end in a backslash.
pub(crate) struct Logical<'r, 'a> {
    pub(crate) text: Cow<'r, str>,
    /// The lines as they stand in the file, and where each begins in `text`. Never empty.
    parts: Vec<(usize, TextLine<'a>)>,
}

impl<'a> Logical<'_, 'a> {
    /// Where a part of `text` stands in the file; of one that goes over a line's end, what stands in the first line.
    pub(crate) fn spot(&self, range: Range<usize>) -> Spot<'a> {
        let part = self.parts.partition_point(|&(start, _)| start <= range.start).saturating_sub(1);
        let (start, line) = self.parts[part];
        Spot::new(line, range.start.saturating_sub(start)..range.end.saturating_sub(start))
    }
}

/// The lines of `read`, joined where one ends in a backslash. `shown` is the text as it stands in the file: the same
/// bytes in the same places, but for comments, which `read` need not have.
pub(crate) fn logical_lines<'r, 'a>(read: &'r str, shown: &'a str) -> impl Iterator<Item = Logical<'r, 'a>> {
    let mut lines = text_lines(read).zip(text_lines(shown));
    std::iter::from_fn(move || {
        let (first, line) = lines.next()?;
        let mut logical = Logical { text: Cow::Borrowed(first.text), parts: vec![(0, line)] };
        let mut last = first.text;
        while let Some(before) = last.trim_end().strip_suffix('\\') {
            // The backslash stays as a blank: words on both sides of it are two words.
            let mut text = logical.text.into_owned();
            text.truncate(text.len() - last.len() + before.len());
            text.push(' ');
            let next = lines.next();
            if let Some((next, line)) = next {
                logical.parts.push((text.len(), line));
                text.push_str(next.text);
            }
            logical.text = Cow::Owned(text);
            last = next.map_or("", |(next, _)| next.text);
        }
        Some(logical)
    })
}

/// A text without C's comments: each byte of one is a blank, line ends stay. And where a comment begins that has no end.
pub(crate) fn without_comments(text: &str) -> (String, Option<usize>) {
    let mut clean = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('/') {
        let (before, comment) = rest.split_at(at);
        clean.push_str(before);
        let length = if comment.starts_with("//") {
            comment.find('\n').unwrap_or(comment.len())
        } else if let Some(body) = comment.strip_prefix("/*") {
            match body.find("*/") {
                Some(end) => end + 4,
                None => {
                    let start = clean.len();
                    push_blanks(&mut clean, comment);
                    return (clean, Some(start));
                }
            }
        } else {
            clean.push('/');
            rest = &comment[1..];
            continue;
        };
        push_blanks(&mut clean, &comment[..length]);
        rest = &comment[length..];
    }
    clean.push_str(rest);
    (clean, None)
}

fn push_blanks(clean: &mut String, comment: &str) {
    clean.extend(comment.bytes().map(|byte| if matches!(byte, b'\n' | b'\r') { char::from(byte) } else { ' ' }));
}

/// The spot of one byte of a text.
pub(crate) fn spot_at(text: &str, at: usize) -> Spot<'_> {
    let at = at.min(text.len());
    let before = &text.as_bytes()[..at];
    let start = before.iter().rposition(|&byte| byte == b'\n').map_or(0, |end| end + 1);
    let number = 1 + before.iter().filter(|&&byte| byte == b'\n').count();
    let line = text[start..].split('\n').next().unwrap_or_default();
    let line = TextLine { number, text: line.strip_suffix('\r').unwrap_or(line) };
    Spot::new(line, at - start..at - start + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn encodings_are_told_by_their_marks() {
        let le: Vec<u8> = [0xfeff, 0x4e, 0x74, 0xd800, 0x41].iter().flat_map(|unit: &u16| unit.to_le_bytes()).collect();
        let be: Vec<u8> = le.chunks(2).flat_map(|pair| [pair[1], pair[0]]).collect();
        for bytes in [&le, &be] {
            let decoded = decode(bytes);
            assert_eq!((&*decoded.text, decoded.invalid, decoded.is_utf16), ("Nt\u{fffd}A", Some(2), true));
        }
        assert_eq!(decode(&le[..le.len() - 5]).invalid, Some(1), "an odd byte");
        let decoded = decode(b"\xef\xbb\xbfNt\xff");
        assert_eq!((&*decoded.text, decoded.invalid, decoded.is_utf16), ("Nt\u{fffd}", Some(2), false));
    }

    #[test]
    fn lines_go_on_after_a_backslash() {
        let text = "one \\\r\n  two\\\nthree\nfour\\";
        let lines: Vec<_> = logical_lines(text, text).collect();
        let texts: Vec<_> = lines.iter().map(|line| (line.parts[0].1.number, &*line.text)).collect();
        assert_eq!(texts, [(1, "one    two three"), (4, "four ")]);
        for (word, number, start) in [("one", 1, 0), ("two", 2, 2), ("three", 3, 0)] {
            let at = lines[0].text.find(word).expect("it is there");
            let spot = lines[0].spot(at..at + word.len());
            assert_eq!((spot.line.number, spot.start, &spot.line.text[spot.start..spot.end]), (number, start, word));
        }
    }

    #[test]
    fn comments_become_blanks() {
        let (clean, open) = without_comments("a // é\nb /* c\n d */ e / f /* g");
        assert_eq!((clean.as_str(), open), ("a      \nb     \n      e / f     ", Some(27)));
        assert_eq!(without_comments("/* // */x").0, "        x");
        assert_eq!(without_comments("// /*\nx").0, "     \nx");
        assert_eq!(without_comments("/*/"), ("   ".to_owned(), Some(0)));
    }

    #[test]
    fn a_byte_has_a_line() {
        let spot = spot_at("ab\ncd\r\ne", 4);
        assert_eq!((spot.line.number, spot.line.text, spot.start), (2, "cd", 1));
        assert_eq!(spot_at("ab", 99).line.number, 1);
    }
}
