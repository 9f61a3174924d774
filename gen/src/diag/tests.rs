//! Tests of what diagnostics keep of a line.

use super::*;

#[test]
fn columns_count_characters() {
    let label = Label::new(3, "Ünt\tX".as_bytes(), 5..6, "here");
    assert_eq!((label.line(), label.column()), (3, 5));
    assert_eq!(label.excerpt(), "Ünt X");
    assert_eq!(&label.excerpt[label.mark.clone()], "X");
}

#[test]
fn a_long_line_is_cut_around_the_mark() {
    let mut line = "a".repeat(1 << 20);
    line.push_str("HERE");
    line.push_str(&"b".repeat(1 << 20));
    let label = Label::new(1, line.as_bytes(), (1 << 20)..(1 << 20) + 4, "");
    assert_eq!(label.column(), (1 << 20) + 1);
    assert_eq!(label.excerpt().chars().count(), EXCERPT_CHARS);
    assert_eq!(&label.excerpt[label.mark.clone()], "HERE");
}

#[test]
fn a_mark_outside_the_line_is_pulled_in() {
    let label = Label::new(1, b"abc", 10..20, "");
    assert_eq!((label.column(), label.mark), (4, 3..3));
}

#[test]
fn nothing_reaches_the_terminal_that_it_would_act_on() {
    let dirty = "a\u{1b}[31m\u{9b}\u{202e}\u{7f}\0b";
    assert!(!printable(dirty).chars().any(|c| c.is_control() || c == '\u{202e}'));
    assert_eq!(printable(dirty).chars().count(), dirty.chars().count());
    assert_eq!(quoted(&"x".repeat(50)), format!("`{}...`", "x".repeat(40)));
    assert_eq!(Diagnostics::new("a\nb\u{1b}").file(), "a\u{240a}b\u{241b}");
}

#[test]
fn very_many_are_counted_but_not_kept() {
    let mut diagnostics = Diagnostics::new("x.lst");
    for line in 1..=KEPT + 5 {
        let label = Label::new(line, b"NtA 010", 4..7, "");
        diagnostics.push(Diagnostic::new(Code::OctalCount, "octal", label));
    }
    diagnostics.push(Diagnostic::new(Code::Nul, "nul", Label::new(KEPT + 6, b"", 0..0, "")));
    assert_eq!((diagnostics.len(), diagnostics.error_count()), (KEPT + 6, 1));
    assert_eq!(diagnostics.iter().count(), KEPT + 1);
    #[cfg(feature = "render")]
    {
        let text = diagnostics.render(false);
        assert!(text.contains(": error: nul [E020]"), "{text}");
        assert!(text.ends_with(&format!("x.lst: ... and {} more\n", KEPT + 6 - 50)), "{text}");
    }
}
