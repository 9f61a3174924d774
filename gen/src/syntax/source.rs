//! The bytes of a list as lines.

/// One line of a list, without its line end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Line<'a> {
    /// Counted from 1.
    pub(crate) number: usize,
    pub(crate) bytes: &'a [u8],
}

/// The lines of a list. They end in LF or CR LF; a byte order mark before the first is left out.
pub(crate) fn lines(bytes: &[u8]) -> impl Iterator<Item = Line<'_>> {
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    bytes
        .split(|&byte| byte == b'\n')
        .enumerate()
        .map(|(index, line)| Line { number: index + 1, bytes: line.strip_suffix(b"\r").unwrap_or(line) })
}

/// Bytes that no text has, below which a file counts as text with mistakes in it.
const STRAY_BYTES: usize = 16;

/// Why the bytes are no text at all, if they are not: then one message is worth more than one for each line.
pub(crate) fn not_text(bytes: &[u8]) -> Option<&'static str> {
    if bytes.starts_with(b"\xff\xfe") || bytes.starts_with(b"\xfe\xff") {
        return Some("the file is UTF-16");
    }
    let controls = bytes.iter().filter(|&&byte| byte < 0x20 && !matches!(byte, b'\t' | b'\n' | b'\r' | 0x0c)).count();
    let invalid: usize = match str::from_utf8(bytes) {
        Ok(_) => 0,
        Err(_) => bytes.utf8_chunks().map(|chunk| chunk.invalid().len()).sum(),
    };
    let stray = controls + invalid;
    (stray >= STRAY_BYTES && stray > bytes.len() / 10).then_some("the file is binary")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_end_in_lf_or_crlf() {
        let texts: Vec<_> = lines(b"\xef\xbb\xbfa\r\n\nb\rc\n").map(|line| (line.number, line.bytes)).collect();
        assert_eq!(texts, [(1, &b"a"[..]), (2, b""), (3, b"b\rc"), (4, b"")]);
    }

    #[test]
    fn binary_is_told_from_text_with_mistakes() {
        assert_eq!(not_text(b"NtA 1\0\n"), None);
        assert_eq!(not_text("NtA 1 # größer\n".repeat(40).as_bytes()), None);
        assert_eq!(not_text(b"\x7fELF\x01\x01\x01\0\0\0\0\0\0\0\0\0\x02\0\x03\0"), Some("the file is binary"));
        assert_eq!(not_text(b"\xff\xfeN\0t\0"), Some("the file is UTF-16"));
    }
}
