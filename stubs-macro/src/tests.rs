//! Tests of what the macro refuses; what it expands to is used in `stubs-macro/tests`.

use proc_macro2::TokenStream;

use super::expand_stubs;

fn expand(input: &str) -> String {
    let input: TokenStream = input.parse().expect("the input is tokens");
    expand_stubs(input).to_string()
}

/// The messages of the compile errors that an input expands to.
fn errors(input: &str) -> Vec<String> {
    let expanded = expand(input);
    let parts = expanded.split("compile_error !").skip(1);
    parts.map(|part| part.split('"').nth(1).unwrap_or_default().to_owned()).collect()
}

#[test]
fn every_mistake_of_a_list_is_a_compile_error() {
    let errors = errors(r#"list = "tests/bad.lst", arch = "i386""#);
    assert_eq!(errors.len(), 3, "{errors:?}");
    assert!(errors[0].starts_with("tests/bad.lst:2:4: error: `NtB` has no argument count [E001]"), "{}", errors[0]);
    assert!(errors[1].starts_with("tests/bad.lst:3:1: error: `NtA` is in the list already [E002]"), "{}", errors[1]);
    assert!(errors[2].starts_with("tests/bad.lst:4:1: error: `Foo` does not start with `Nt` [E007]"), "{}", errors[2]);
}

#[test]
fn a_list_with_mistakes_is_watched_too() {
    assert!(expand(r#"list = "tests/bad.lst", arch = "i386""#).contains("include_bytes !"));
}

#[test]
fn warnings_are_deprecations() {
    let expanded = expand(r#"list = "tests/octal.lst", arch = "x86""#);
    assert!(expanded.contains("deprecated") && expanded.contains("[W001]"), "{expanded}");
    assert!(!expanded.contains("compile_error"), "{expanded}");
}

#[test]
fn wrong_arguments_are_told() {
    for (input, message) in [
        ("", "`list = "),
        (r#"list = "tests/small.lst""#, "`arch = "),
        (r#"list = "no/such.lst", arch = "i386""#, "cannot read "),
        (r#"list = "tests", arch = "i386""#, "cannot read "),
        (r#"list = "tests/small.lst", arch = "vax""#, "unknown architecture "),
        (r#"list = "tests/small.lst", arch = "i386", shape = "int2f""#, "unknown i386 shape "),
        (r#"list = "tests/small.lst", arch = "i386", encoding = "masm""#, "unknown encoding "),
        (r#"shape = "sysenter", list = "tests/small.lst", arch = "amd64""#, "unknown amd64 shape "),
        (r#"list = "tests/small.lst", arch = "arm64", shape = "zw""#, "unknown arm64 shape "),
        (r#"list = "a", list = "b""#, "`list` is given twice"),
        (r#"lists = "a""#, "`lists` is unknown"),
    ] {
        let errors = errors(input);
        assert_eq!(errors.len(), 1, "{input}: {errors:?}");
        let text = errors[0].replace('\\', "");
        assert!(text.starts_with(message.trim_end_matches('"')), "{input}: {text}");
    }
}
