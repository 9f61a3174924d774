//! Tests of the shapes: the bytes that systems have, and what can be done to a stub.

use super::*;
use crate::read_list;

/// A service with number 98h and this many arguments.
fn service(args: u8) -> Service {
    let text = format!("NtFoo {args} @0x98\n");
    let read = read_list("test.lst", text.as_bytes()).expect("the list is right");
    read.list.primary().services()[0].clone()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02X}")).collect::<Vec<_>>().join(" ")
}

fn code(shape: Shape, args: u8, encoding: Encoding) -> Code {
    build(shape, &service(args), encoding).encode().expect("a built stub encodes")
}

/// Shape, encoding, the bytes with nine arguments, the bytes without.
const BYTES: [(Shape, Encoding, &str, &str); 9] = [
    (
        Shape::Int2eFrame,
        Encoding::Gnu,
        "55 89 E5 B8 98 00 00 00 8D 55 08 CD 2E 5D C2 24 00",
        "55 89 E5 B8 98 00 00 00 8D 55 08 CD 2E 5D C3",
    ),
    (
        Shape::Int2eFrame,
        Encoding::Msvc,
        "55 8B EC B8 98 00 00 00 8D 55 08 CD 2E 5D C2 24 00",
        "55 8B EC B8 98 00 00 00 8D 55 08 CD 2E 5D C3",
    ),
    (Shape::Int2e, Encoding::Msvc, "B8 98 00 00 00 8D 54 24 04 CD 2E C2 24 00", "B8 98 00 00 00 8D 54 24 04 CD 2E C3"),
    (
        Shape::SharedCallEdx,
        Encoding::Msvc,
        "B8 98 00 00 00 BA 00 03 FE 7F FF D2 C2 24 00",
        "B8 98 00 00 00 BA 00 03 FE 7F FF D2 C3",
    ),
    (
        Shape::SharedEdx,
        Encoding::Msvc,
        "B8 98 00 00 00 BA 00 03 FE 7F FF 12 C2 24 00",
        "B8 98 00 00 00 BA 00 03 FE 7F FF 12 C3",
    ),
    (
        Shape::SharedEcx,
        Encoding::Msvc,
        "B8 98 00 00 00 B9 00 03 FE 7F FF 11 C2 24 00",
        "B8 98 00 00 00 B9 00 03 FE 7F FF 11 C3",
    ),
    (
        Shape::Sysenter,
        Encoding::Msvc,
        "B8 98 00 00 00 E8 03 00 00 00 C2 24 00 8B D4 0F 34 C3",
        "B8 98 00 00 00 E8 01 00 00 00 C3 8B D4 0F 34 C3",
    ),
    (
        Shape::Sysenter,
        Encoding::Gnu,
        "B8 98 00 00 00 E8 03 00 00 00 C2 24 00 89 E2 0F 34 C3",
        "B8 98 00 00 00 E8 01 00 00 00 C3 89 E2 0F 34 C3",
    ),
    (
        Shape::Zw,
        Encoding::Msvc,
        "B8 98 00 00 00 8D 54 24 04 9C 6A 08 E8 00 00 00 00 C2 24 00",
        "B8 98 00 00 00 8D 54 24 04 9C 6A 08 E8 00 00 00 00 C3",
    ),
];

#[test]
fn shapes_have_the_bytes_of_their_systems() {
    for (shape, encoding, nine, none) in BYTES {
        assert_eq!(hex(&code(shape, 9, encoding).bytes), nine, "{shape} {encoding}");
        assert_eq!(hex(&code(shape, 0, encoding).bytes), none, "{shape} {encoding}");
    }
}

#[test]
fn the_shared_shapes_have_one_encoding() {
    for shape in [Shape::Int2e, Shape::SharedCallEdx, Shape::SharedEdx, Shape::SharedEcx, Shape::Zw] {
        assert_eq!(code(shape, 9, Encoding::Msvc), code(shape, 9, Encoding::Gnu), "{shape}");
    }
}

#[test]
fn bytes_do_not_depend_on_the_address_without_relocations() {
    for shape in Shape::ALL.into_iter().filter(|&shape| shape != Shape::Zw) {
        let stub = build(shape, &service(9), Encoding::Msvc);
        let at = stub.encode_at(0x7c90_0000, &|_| None).expect("there is nothing to resolve");
        assert_eq!(at, stub.encode().expect("a built stub encodes").bytes, "{shape}");
    }
}

#[test]
fn a_kernel_stub_calls_ki_system_service() {
    let stub = build(Shape::Zw, &service(1), Encoding::Msvc);
    assert_eq!(stub.symbols, ["_ZwFoo@4"]);
    let relocation = CodeRelocation { offset: 13, symbol: "_KiSystemService".to_owned(), kind: RelocationKind::Rel32 };
    assert_eq!(stub.encode().expect("a built stub encodes").relocations, [relocation]);

    let bytes = stub.encode_at(0x8010_0000, &|_| Some(0x8000_0000)).expect("the symbol is known");
    // 80000000h - 80100011h
    assert_eq!(bytes[13..17], 0xffef_ffef_u32.to_le_bytes());
    let error = stub.encode_at(0x8010_0000, &|_| None);
    assert_eq!(error, Err(EncodeError::UnknownSymbol { symbol: "_KiSystemService".to_owned() }));
}

#[test]
fn user_stubs_have_both_names() {
    let stub = build(Shape::SharedEdx, &service(63), Encoding::Msvc);
    assert_eq!(stub.symbols, ["_NtFoo@252", "_ZwFoo@252"]);
    assert_eq!((stub.number, stub.args), (0x98, 63));
}

#[test]
fn a_branch_stays_with_its_target_when_the_stub_is_changed() {
    let mut stub = build(Shape::Sysenter, &service(9), Encoding::Msvc);
    stub.instructions[2] = Instruction::with(iced_x86::Code::Retnd);
    let code = stub.encode().expect("it still encodes");
    assert_eq!(hex(&code.bytes), "B8 98 00 00 00 E8 01 00 00 00 C2 24 00 8B D4 0F 34 C3".replace("C2 24 00", "C3"));
    stub.remove(3);
    assert_eq!(stub.encode(), Err(EncodeError::BranchTarget { index: 1 }));
}

#[test]
fn a_relocation_stays_with_its_instruction_when_another_is_removed() {
    let mut stub = build(Shape::Zw, &service(0), Encoding::Msvc);
    stub.remove(2);
    stub.remove(100);
    let code = stub.encode().expect("it still encodes");
    assert_eq!(code.relocations[0].offset, 12);
    stub.remove(3);
    assert!(stub.encode().expect("it still encodes").relocations.is_empty());
}

#[test]
fn text_has_names_for_addresses() {
    let sysenter = build(Shape::Sysenter, &service(1), Encoding::Msvc);
    let expected = ["mov eax,98h", "call 1f", "ret 4", "1: mov edx,esp", "sysenter", "ret"];
    assert_eq!(sysenter.text(Syntax::Intel), expected);
    let zw = build(Shape::Zw, &service(0), Encoding::Msvc);
    let expected = ["mov $0x98,%eax", "lea 4(%esp),%edx", "pushfl", "push $8", "call _KiSystemService", "ret"];
    assert_eq!(zw.text(Syntax::Gas), expected);
}
