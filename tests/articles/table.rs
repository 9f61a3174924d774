//! The table of the docs names every test, and no other.

/// The articles' files.
const FILES: [(&str, &str); 5] = [
    ("a000_two_ways", include_str!("a000_two_ways.rs")),
    ("a001_stubs_and_kernel", include_str!("a001_stubs_and_kernel.rs")),
    ("a002_syscall", include_str!("a002_syscall.rs")),
    ("a003_fast_call_entry", include_str!("a003_fast_call_entry.rs")),
    ("a004_interrupt_gate", include_str!("a004_interrupt_gate.rs")),
];

/// The rows of a file's section: test and verdict.
fn rows<'a>(docs: &'a str, file: &str) -> Vec<(&'a str, &'a str)> {
    let heading = format!("`tests/articles/{file}.rs`");
    let section = docs.split("\n## ").find(|section| section.contains(&heading));
    let section = section.unwrap_or_else(|| panic!("the docs do not name {heading}"));
    let row = |line: &'a str| {
        let [_, _, test, verdict, _] = line.split('|').map(str::trim).collect::<Vec<_>>()[..] else { return None };
        Some((test.strip_prefix('`')?.strip_suffix('`')?, verdict))
    };
    section.lines().filter_map(row).collect()
}

#[test]
fn the_docs_name_every_test_and_its_verdict() {
    let docs = include_str!("../../docs/articles.md");
    for (file, code) in FILES {
        let mut tests: Vec<_> =
            code.split("#[test]\nfn ").skip(1).filter_map(|test| Some(test.split_once('(')?.0)).collect();
        let rows = rows(docs, file);
        assert!(rows.iter().all(|(_, verdict)| ["right", "corrected"].contains(verdict)), "{file}: {rows:?}");
        let mut named: Vec<_> = rows.into_iter().map(|(test, _)| test).collect();
        tests.sort_unstable();
        named.sort_unstable();
        named.dedup();
        assert_eq!(named, tests, "{file}");
    }
}
