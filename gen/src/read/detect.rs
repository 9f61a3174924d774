//! What a file is, by its content.
//!
//! Each format has something that no other has; the first line that shows one decides. A file that shows none is taken
//! for a list, whose reader then says what is wrong with it.

use super::InputFormat;
use crate::syntax::columns::parse_columns;
use crate::syntax::text::{text_lines, without_comments};

/// The first line of a lock file, without the version.
pub(crate) const LOCK_MARK: &str = "# ntgate lock ";

pub(super) fn detect(text: &str, is_utf16: bool) -> InputFormat {
    if text.starts_with(LOCK_MARK) {
        return InputFormat::Lock;
    }
    if text.trim_start().starts_with(['{', '[']) {
        return InputFormat::Json;
    }
    // Only the first line: prose in a comment has commas and parentheses too.
    let first = text_lines(text).map(|line| line.text.trim()).find(|line| !line.is_empty());
    if first.is_some_and(is_csv_header) {
        return InputFormat::Csv;
    }
    // What a comment of C has in it is no row.
    let (clean, _) = without_comments(text);
    text_lines(&clean)
        .zip(text_lines(text))
        .find_map(|(clean, line)| by_c_line(clean.text.trim()).or_else(|| by_line(line.text.trim())))
        .or_else(|| by_three_columns(text))
        .or_else(|| is_tsv(text, is_utf16).then_some(InputFormat::Tsv))
        .unwrap_or(InputFormat::List)
}

/// What one line shows that has no comments.
fn by_c_line(line: &str) -> Option<InputFormat> {
    if line.starts_with("SVC_(") || line.starts_with("SVC2_(") || line.starts_with("SVC_ (") {
        return Some(InputFormat::Svc);
    }
    let is_define = |line: &str| line.strip_prefix('#').is_some_and(|rest| rest.trim_start().starts_with("define "));
    let is_entry = line.starts_with("SYSCALL_ENTRY") || (is_define(line) && line.contains("SYSCALL_ENTRY("));
    is_entry.then_some(InputFormat::SyscallEntry)
}

/// What any other line shows.
fn by_line(line: &str) -> Option<InputFormat> {
    is_spec_line(line).then_some(InputFormat::Spec)
}

/// `@ stdcall ...`, `12 stub ...`
fn is_spec_line(line: &str) -> bool {
    let mut words = line.split_ascii_whitespace();
    let is_ordinal = |word: &str| word == "@" || word.bytes().all(|byte| byte.is_ascii_digit());
    let kinds = super::spec::KINDS;
    words.next().is_some_and(is_ordinal) && words.next().is_some_and(|word| kinds.contains(&word))
}

/// Words, a comma and the name of a system; or a service, a comma and a number, which is a table without its header.
fn is_csv_header(line: &str) -> bool {
    let Some((first, rest)) = line.split_once(',') else {
        return false;
    };
    let name = first.trim_matches('"');
    let is_word = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b' ' | b'_');
    // A signature of a list has its commas within parentheses.
    let is_plain = name.starts_with(|c: char| c.is_ascii_alphabetic()) && name.bytes().all(is_word);
    is_plain && (name.eq_ignore_ascii_case("system call") || rest.contains('(') || rest.trim_start().starts_with("0x"))
}

/// `NtClose ZwClose 1`
fn by_three_columns(text: &str) -> Option<InputFormat> {
    let mut rows = text_lines(text).map(|line| parse_columns(line.text)).filter(|words| !words.is_empty());
    let first = rows.next()?;
    let is_three = first.len() >= 2 && first[1].text.starts_with("Zw");
    is_three.then(|| super::columns::three_kind(text))
}

/// Names and numbers with a tab between them are a list too: there the numbers are counts. Counts are small and come
/// again; numbers do neither.
fn is_tsv(text: &str, is_utf16: bool) -> bool {
    let mut numbers = Vec::new();
    for line in text_lines(text).filter(|line| !line.text.trim().is_empty()) {
        let Some((name, number)) = line.text.split_once('\t') else {
            return false;
        };
        let Ok(number) = number.trim().parse::<u32>() else {
            return false;
        };
        if name.trim().contains([' ', '\t']) {
            return false;
        }
        numbers.push(number);
    }
    let highest = numbers.iter().copied().max();
    let count = numbers.len();
    numbers.sort_unstable();
    numbers.dedup();
    let are_counts = highest.is_none_or(|highest| highest <= u32::from(crate::model::limits::ARGS_I386));
    count > 0 && numbers.len() == count && (is_utf16 || !are_counts)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_format_is_told_by_a_line() {
        for (text, format) in [
            ("NtClose 1\n", InputFormat::List),
            ("", InputFormat::List),
            ("# x\nNtFoo 2 (HANDLE a, PVOID b)\n", InputFormat::List),
            ("NtA\t5\nNtB\t6\n", InputFormat::List),
            ("NtA\t64\nNtB\t65\n", InputFormat::Tsv),
            ("NtA\t64\nNtB\t64\n", InputFormat::List),
            ("// x\n#ifdef A\n\tSVC_(Close, 1)\n", InputFormat::Svc),
            ("#if A\nSVC2_(Close, 1)\n#endif\n", InputFormat::Svc),
            ("# x\n@ stdcall NtClose(long)\n", InputFormat::Spec),
            ("12 stub NtClose\n", InputFormat::Spec),
            ("/* x */\n#define ALL_SYSCALLS32 \\\n SYSCALL_ENTRY( 0, NtA, 4 )\n", InputFormat::SyscallEntry),
            ("#define ALL SYSCALL_ENTRY( 0, NtA, 4 )\n", InputFormat::SyscallEntry),
            ("# like SYSCALL_ENTRY(0, NtClose, 4)\nNtClose 1\n", InputFormat::List),
            ("/*\nSYSCALL_ENTRY(0, NtClose, 4) is Wine's.\n*/\n// SYSCALL_ENTRY(\nSVC_(Close, 1)\n", InputFormat::Svc),
            ("/* SVC_(\nSVC_(Close, 1) */\nSYSCALL_ENTRY( 0, NtA, 4 )\n", InputFormat::SyscallEntry),
            ("# see http://x and /* y\n@ stdcall NtClose(long)\n", InputFormat::Spec),
            ("NtA ZwA 4\nNtB ZwB 8\nNtC ZwC 20\nNtD ZwD 64\n", InputFormat::NtZwBytes),
            ("# x\nNtA ZwA 4\nNtB ZwB 7\n", InputFormat::NtZwCount),
            ("/*\n Copyright 2004, who wrote it (and others)\n*/\nSVC_(Close, 1)\n", InputFormat::Svc),
            ("\nSystem call,Windows XP (SP1)\n", InputFormat::Csv),
            ("name,Windows XP (SP1)\n", InputFormat::Csv),
            ("NtClose,0x0019\n", InputFormat::Csv),
            (" {\"a\": 1}", InputFormat::Json),
            ("# ntgate lock 1\n", InputFormat::Lock),
        ] {
            assert_eq!(detect(text, false), format, "{text}");
        }
        assert_eq!(detect("NtA\t5\nNtB\t6\n", true), InputFormat::Tsv);
    }
}
