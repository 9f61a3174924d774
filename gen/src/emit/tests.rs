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
    assert!(error.to_string().contains("_KiSystemService"), "{error}");
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
fn format_names_are_read_back() {
    for format in Format::ALL {
        assert_eq!(format.name().parse(), Ok(*format));
    }
    assert!("elf".parse::<Format>().is_err());
}
