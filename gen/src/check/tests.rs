//! Tests of numbering and of what a checked list holds; `gen/tests/diagnostics.rs` has the mistakes.

use super::*;
use crate::model::Arch;

fn read(text: &str) -> Read {
    read_list("test.lst", text.as_bytes()).unwrap_or_else(|diagnostics| panic!("{diagnostics}"))
}

fn errors(text: &str) -> Vec<(usize, usize, Code)> {
    let diagnostics = read_list("test.lst", text.as_bytes()).expect_err("it has errors");
    diagnostics.iter().map(|item| (item.label().line(), item.label().column(), item.code())).collect()
}

#[test]
fn numbers_go_on_from_an_explicit_one() {
    let list = read("NtA 1\nNtB 2 @0x55\nNtC 3\n").list;
    let numbers: Vec<_> = list.services().map(Service::number).collect();
    assert_eq!(numbers, [0, 0x55, 0x56]);
    let table = list.primary();
    assert_eq!((table.len(), table.limit(), table.rows().count()), (3, 0x57, 0x57));
    assert_eq!(table.rows().flatten().count(), 3);
}

#[test]
fn tables_have_numbers_of_their_own() {
    let list = read("NtA 1\n#! table win32k base=0x1000\nNtB 2\nNtC 2 @0x1005\n").list;
    let tables: Vec<_> = list.tables().iter().map(|table| (table.name(), table.base(), table.limit())).collect();
    assert_eq!(tables, [("main", 0, 1), ("win32k", 0x1000, 6)]);
    assert_eq!(list.tables()[1].by_name("NtB").map(Service::number), Some(0x1000));
}

#[test]
fn the_first_table_may_be_named() {
    let list = read("# head\n#! table win32k base=4096\nNtB 2\n").list;
    assert_eq!((list.tables().len(), list.primary().name(), list.primary().base()), (1, "win32k", 0x1000));
}

#[test]
fn counts_differ_by_architecture() {
    let list = read("NtA 5/4 (A a, B b, C c, ULONGLONG d)\nNtB 010\n").list;
    let service = &list.primary().services()[0];
    assert_eq!((service.args(Arch::I386), service.args(Arch::Amd64)), (5, 4));
    assert_eq!((service.arg_bytes(Arch::I386), service.arg_bytes(Arch::Amd64)), (20, 32));
    assert_eq!(service.signature().map(<[_]>::len), Some(4));
    assert_eq!(list.primary().services()[1].args(Arch::I386), 10);
}

#[test]
fn a_mistake_does_not_make_others() {
    let seen = errors("NtA\nNtB 1 @1\nNtC x\nNtD 1 @0x3\nnope 1\nNtE 1 @5\n");
    let codes: Vec<_> = seen.iter().map(|&(_, _, code)| code).collect();
    assert_eq!(codes, [Code::MissingCount, Code::BadCount, Code::NoNtPrefix]);
}

#[test]
fn a_line_can_have_several_mistakes() {
    let seen = errors("Foo x @y (int] z\n");
    let expected =
        [(1, 1, Code::NoNtPrefix), (1, 5, Code::BadCount), (1, 8, Code::BadNumber), (1, 10, Code::BadSignature)];
    assert_eq!(seen, expected);
}

#[test]
fn a_full_table_is_reported_once() {
    let text: String = (0..5000).map(|index| format!("NtS{index} 1\n")).collect();
    assert_eq!(errors(&text), [(4097, 1, Code::TooManyServices)]);
    let exact: String = (0..4096).map(|index| format!("NtS{index} 1\n")).collect();
    assert_eq!(read(&exact).list.primary().limit(), 4096);
}

#[test]
fn docs_are_one_line_of_text() {
    let list = read("NtA 1 #\nNtB 1 #  two\x1b words \n").list;
    let docs: Vec<_> = list.services().map(Service::doc).collect();
    assert_eq!(docs, [None, Some("two  words")]);
}

#[test]
fn long_lines_are_lines() {
    let filler = "x".repeat(1 << 20);
    let list = read(&format!("NtA 1 # {filler}\nNtB{} 2\n", "b".repeat(300))).list;
    assert_eq!(list.primary().len(), 2);
    assert_eq!(errors(&format!("NtA 1 ({filler}\n")), [(1, 7, Code::BadSignature)]);
}

#[test]
fn warnings_do_not_refuse_a_list() {
    let read = read("NtA 010\nNtB 20\n");
    let codes: Vec<_> = read.warnings.iter().map(Diagnostic::code).collect();
    assert_eq!(codes, [Code::OctalCount, Code::TooManyForAmd64]);
    assert_eq!(read.warnings.error_count(), 0);
}

#[test]
fn many_marks_in_one_long_line_take_no_time() {
    // The first line is pointed at by every other.
    let text = format!("{}NtA 1\n", " ".repeat(1 << 20)) + &"NtA 1\n".repeat(20_000);
    let diagnostics = read_list("test.lst", text.as_bytes()).expect_err("it has duplicates");
    // Every line but the first, and one for the full table.
    assert_eq!(diagnostics.error_count(), 20_001);
    let related = diagnostics.iter().find_map(|item| item.related_labels().first());
    assert_eq!(related.map(Label::column), Some((1 << 20) + 1));
}
