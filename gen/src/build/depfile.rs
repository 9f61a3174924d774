//! Depfiles: what an output was made of, for make and ninja.

use std::io;
use std::path::Path;

/// A rule in the syntax of makefiles that tells which files outputs depend on: `out.s: sysfuncs.lst`.
///
/// Blanks, `#`, `$`, `:` and, in outputs, `%` are escaped as GNU make reads them. Ninja reads the same, but for the `%`.
///
/// # Errors
///
/// If a name has a line break in it, which a makefile cannot say.
pub fn depfile(outputs: &[&Path], inputs: &[&Path]) -> io::Result<Vec<u8>> {
    let mut rule = Vec::new();
    for (index, output) in outputs.iter().enumerate() {
        if index > 0 {
            rule.push(b' ');
        }
        push(&mut rule, output, true)?;
    }
    rule.push(b':');
    for input in inputs {
        rule.push(b' ');
        push(&mut rule, input, false)?;
    }
    rule.push(b'\n');
    Ok(rule)
}

fn push(rule: &mut Vec<u8>, path: &Path, is_target: bool) -> io::Result<()> {
    let bytes = path.as_os_str().as_encoded_bytes();
    if bytes.iter().any(|byte| matches!(byte, b'\n' | b'\r')) {
        let message = format!("a depfile cannot name {path:?}: there is a line break in it");
        return Err(io::Error::new(io::ErrorKind::InvalidInput, message));
    }
    let mut backslashes = 0;
    for (index, &byte) in bytes.iter().enumerate() {
        let is_escaped = match byte {
            b' ' | b'\t' | b'#' => true,
            b':' => !is_drive(bytes, index),
            b'%' => is_target,
            _ => false,
        };
        if is_escaped {
            // Before what is escaped, and only there, a backslash has to be escaped too.
            rule.extend(std::iter::repeat_n(b'\\', backslashes + 1));
        }
        if byte == b'$' {
            rule.push(b'$');
        }
        rule.push(byte);
        backslashes = if byte == b'\\' { backslashes + 1 } else { 0 };
    }
    Ok(())
}

/// Whether a colon is that of `C:\` or `C:/`, which make and ninja know on Windows.
fn is_drive(bytes: &[u8], colon: usize) -> bool {
    colon == 1 && bytes[0].is_ascii_alphabetic() && matches!(bytes.get(2), Some(b'\\' | b'/'))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rule(outputs: &[&str], inputs: &[&str]) -> String {
        let paths = |names: &[&'static str]| names.iter().map(|&name| Path::new(name)).collect::<Vec<_>>();
        let leak = |names: &[&str]| names.iter().map(|name| &*name.to_string().leak()).collect::<Vec<_>>();
        let bytes = depfile(&paths(&leak(outputs)), &paths(&leak(inputs))).expect("it can be said");
        String::from_utf8(bytes).expect("it is text")
    }

    #[test]
    fn plain_names_stay() {
        assert_eq!(rule(&["out.s"], &["sysfuncs.lst"]), "out.s: sysfuncs.lst\n");
        assert_eq!(rule(&["a.s", "dir/b.s"], &["x.lst", "y.lst"]), "a.s dir/b.s: x.lst y.lst\n");
        assert_eq!(rule(&["out.s"], &[]), "out.s:\n");
        assert_eq!(rule(&[r"C:\out.s"], &["C:/list"]), "C:\\out.s: C:/list\n");
    }

    #[test]
    fn what_make_would_take_for_something_else_is_escaped() {
        assert_eq!(rule(&["a b"], &["c#d$e"]), "a\\ b: c\\#d$$e\n");
        assert_eq!(rule(&["50%"], &["50%"]), "50\\%: 50%\n");
        assert_eq!(rule(&["a:b"], &["c:d"]), "a\\:b: c\\:d\n");
        assert_eq!(rule(&["o"], &[r"a\ b\c"]), "o: a\\\\\\ b\\c\n");
    }

    #[test]
    fn a_line_break_is_refused() {
        assert!(depfile(&[Path::new("a\nb")], &[]).is_err());
        assert!(depfile(&[Path::new("a")], &[Path::new("b\r")]).is_err());
    }
}
