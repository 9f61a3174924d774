//! Tests of what emitting refuses; what it writes is in `gen/tests/emit.rs`.

use super::*;
use crate::read_list;

fn list() -> ServiceList {
    read_list("test.lst", b"NtClose 1\nNtYieldExecution 0\n").expect("the list is right").list
}

#[test]
fn stubs_start_at_multiples_of_sixteen() {
    let options = Options::new(Arch::I386, Format::Bin).shape(Shape::Sysenter);
    let bytes = emit(&list(), &options).expect("it has no relocations");
    assert_eq!(bytes.len(), 32 + 16);
    assert_eq!(bytes[18..33], [[0xcc; 14].as_slice(), &[0xb8]].concat());
}

#[test]
fn what_a_linker_must_find_is_refused_in_bin() {
    let options = Options::new(Arch::I386, Format::Bin).shape(Shape::Zw);
    let error = emit(&list(), &options).expect_err("it has relocations");
    assert!(error.is_options());
    let text = error.to_string();
    assert!(text.contains("_KiSystemService") && text.ends_with("; gas can"), "{error}");
}

#[test]
fn what_does_not_go_together_is_refused() {
    let error = emit(&list(), &Options::new(Arch::Arm64, Format::Table)).expect_err("there are none yet");
    assert!(error.is_options(), "{error}");
    let options = Options::new(Arch::Arm64, Format::Gas).shape(Shape::Zw);
    let error = emit(&list(), &options).expect_err("it is for i386");
    assert_eq!(error.to_string(), "the shape zw is for i386, not arm64");
    assert!(emit(&list(), &Options::new(Arch::Arm64, Format::List)).is_ok());
}

#[test]
fn what_a_table_cannot_count_is_told_with_its_line() {
    let list = |text: &str| read_list("test.lst", text.as_bytes()).expect("the list is right").list;
    let most = list("NtA 19\nNtB 63/19\n");
    assert!(emit(&most, &Options::new(Arch::Amd64, Format::PackedTable)).is_ok());

    let over = list("# two lines\n\nNtA 20\nNtB 5\nNtC 21\n");
    let error = emit(&over, &Options::new(Arch::Amd64, Format::PackedTable)).expect_err("the entry has four bits");
    assert!(error.is_options());
    let expected = "\
line 3: NtA takes 20 arguments, over the 19 of the format packed-table
line 5: NtC takes 21 arguments, over the 19 of the format packed-table
help: if the count is of dwords on i386, write the parameters on amd64 after it, as in `20/10`";
    assert_eq!(error.to_string(), expected);
    assert!(emit(&over, &Options::new(Arch::Amd64, Format::Table)).is_ok());
    assert!(emit(&over, &Options::new(Arch::I386, Format::Table)).is_ok());

    let long: String = (0..12).map(|index| format!("NtA{index} 32\n")).collect();
    let error = emit(&list(&long), &Options::new(Arch::Amd64, Format::Table)).expect_err("256 bytes are no byte");
    let text = error.to_string();
    let lines: Vec<_> = text.lines().collect();
    assert_eq!((lines.len(), lines[10]), (12, "... and 2 more"), "{text}");
}

#[test]
fn a_packed_table_is_for_amd64() {
    for arch in [Arch::I386, Arch::Arm64] {
        let error = emit(&list(), &Options::new(arch, Format::PackedTable)).expect_err("it has none");
        assert!(error.is_options(), "{error}");
    }
}

#[test]
fn format_names_are_read_back() {
    for format in Format::ALL {
        assert_eq!(format.name().parse(), Ok(*format));
    }
    assert!("cobol".parse::<Format>().is_err());
}
