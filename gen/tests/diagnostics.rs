//! Every mistake that a list can have: one file of `inputs/bad` each, and how it is shown.
#![cfg(feature = "render")]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use ntgate_gen::{Code, Diagnostics, Severity, read_list};

/// The lists of a directory, by name.
fn lists(directory: &str) -> Vec<(String, Vec<u8>)> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/inputs").join(directory);
    let entries = fs::read_dir(path).expect("the directory is there");
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.expect("it can be read").path()).collect();
    paths.sort();
    assert!(!paths.is_empty(), "{directory} has no lists");
    let name = |path: &PathBuf| path.file_stem().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    paths.iter().map(|path| (name(path), fs::read(path).expect("it can be read"))).collect()
}

/// Everything that is said of a list, be it taken or not.
fn said(name: &str, bytes: &[u8]) -> Diagnostics {
    match read_list(&format!("{name}.lst"), bytes) {
        Ok(read) => read.warnings,
        Err(diagnostics) => diagnostics,
    }
}

#[test]
fn bad_lists_are_refused_and_shown() {
    for (name, bytes) in lists("bad") {
        let diagnostics = read_list(&format!("{name}.lst"), &bytes).expect_err(&name);
        assert!(diagnostics.error_count() > 0, "{name}");
        insta::assert_snapshot!(name, diagnostics.render(false));
    }
}

#[test]
fn every_code_has_a_list() {
    let seen: BTreeSet<Code> = lists("bad")
        .iter()
        .flat_map(|(name, bytes)| said(name, bytes).iter().map(|item| item.code()).collect::<Vec<_>>())
        .collect();
    // Those of other formats than the list have files of their own.
    let of_lists = Code::ALL.iter().filter(|code| code.text() <= "E025" || ["W001", "W002"].contains(&code.text()));
    let missing: Vec<_> = of_lists.filter(|code| !seen.contains(code)).collect();
    assert!(missing.is_empty(), "{missing:?}");
}

#[test]
fn each_list_is_named_after_a_code_that_it_shows() {
    let camel = |name: &str| -> String { name.split('_').map(|word| word[..1].to_uppercase() + &word[1..]).collect() };
    for (name, bytes) in lists("bad") {
        let wanted = Code::ALL.iter().find(|code| format!("{code:?}") == camel(&name));
        if let Some(wanted) = wanted {
            assert!(said(&name, &bytes).iter().any(|item| item.code() == *wanted), "{name}");
        }
    }
}

#[test]
fn the_first_line_is_for_editors() {
    for (name, bytes) in lists("bad") {
        let diagnostics = said(&name, &bytes);
        let text = diagnostics.render(false);
        let heads: Vec<_> = text
            .lines()
            .filter(|line| line.starts_with(&format!("{name}.lst:")) && !line.contains(": ... and "))
            .collect();
        assert_eq!(heads.len(), diagnostics.len().min(50), "{name}");
        for (head, item) in heads.iter().zip(&diagnostics) {
            let severity = match item.severity() {
                Severity::Error => "error",
                Severity::Warning => "warning",
            };
            let (line, column) = (item.label().line(), item.label().column());
            assert!(head.starts_with(&format!("{name}.lst:{line}:{column}: {severity}: ")), "{head}");
        }
    }
}

#[test]
fn nothing_of_a_list_reaches_the_terminal_as_a_control() {
    for (name, bytes) in lists("bad") {
        let diagnostics = read_list("evil\u{1b}]0;\u{7}\n.lst", &bytes).expect_err(&name);
        let text = diagnostics.render(false);
        assert!(!text.contains(|c: char| c.is_control() && c != '\n' || c == '\u{202e}'), "{name}");
        // With colour there are the renderer's own escapes, of one form.
        let coloured = diagnostics.render(true);
        for part in coloured.split('\u{1b}').skip(1) {
            let end = part.find('m').expect("an escape sets a colour");
            assert!(part[1..end].bytes().all(|byte| byte.is_ascii_digit() || byte == b';'), "{name}");
        }
    }
}

#[test]
fn the_issue_example_has_its_three_errors() {
    let diagnostics = read_list("-", b"NtA 1\nNtB\nNtA 2\nFoo 3\n").expect_err("it has errors");
    let seen: Vec<_> = diagnostics.iter().map(|item| (item.label().line(), item.code())).collect();
    assert_eq!(seen, [(2, Code::MissingCount), (3, Code::DuplicateName), (4, Code::NoNtPrefix)]);
}

#[test]
fn good_lists_have_nothing_to_say() {
    for (name, bytes) in lists("good") {
        let diagnostics = said(&name, &bytes);
        assert!(diagnostics.is_empty(), "{diagnostics}");
    }
}
