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
const BYTES_I386: [(Shape, Encoding, &str, &str); 9] = [
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
    for (shape, encoding, nine, none) in BYTES_I386 {
        assert_eq!(hex(&code(shape, 9, encoding).bytes), nine, "{shape} {encoding}");
        assert_eq!(hex(&code(shape, 0, encoding).bytes), none, "{shape} {encoding}");
    }
}

/// Shape, encoding, the bytes with nine arguments.
const BYTES_AMD64: [(Shape, Encoding, &str); 12] = [
    (Shape::Syscall, Encoding::Msvc, "4C 8B D1 B8 98 00 00 00 0F 05 C3"),
    (Shape::Syscall, Encoding::Gnu, "49 89 CA B8 98 00 00 00 0F 05 C3"),
    (Shape::SyscallReactos, Encoding::Msvc, "B8 98 00 00 00 4C 8B D1 0F 05 C3"),
    (Shape::SyscallReactos, Encoding::Gnu, "B8 98 00 00 00 49 89 CA 0F 05 C3"),
    (
        Shape::SyscallHome,
        Encoding::Msvc,
        "48 89 4C 24 08 48 89 54 24 10 4C 89 44 24 18 4C 89 4C 24 20 4C 8B D1 B8 98 00 00 00 0F 05 C3",
    ),
    (
        Shape::SyscallHome,
        Encoding::Gnu,
        "48 89 4C 24 08 48 89 54 24 10 4C 89 44 24 18 4C 89 4C 24 20 49 89 CA B8 98 00 00 00 0F 05 C3",
    ),
    (Shape::SyscallOrInt2e, Encoding::Msvc, "4C 8B D1 B8 98 00 00 00 F6 04 25 08 03 FE 7F 01 75 03 0F 05 C3 CD 2E C3"),
    (Shape::SyscallOrInt2e, Encoding::Gnu, "49 89 CA B8 98 00 00 00 F6 04 25 08 03 FE 7F 01 75 03 0F 05 C3 CD 2E C3"),
    (
        Shape::ZwAmd64,
        Encoding::Msvc,
        "48 8B C4 FA 48 83 EC 10 50 9C 6A 10 48 8D 05 00 00 00 00 50 B8 98 00 00 00 E9 00 00 00 00",
    ),
    (
        Shape::ZwAmd64,
        Encoding::Gnu,
        "48 89 E0 FA 48 83 EC 10 50 9C 6A 10 48 8D 05 00 00 00 00 50 B8 98 00 00 00 E9 00 00 00 00",
    ),
    (Shape::ZwReactos, Encoding::Msvc, "48 8D 05 00 00 00 00 49 C7 C2 48 00 00 00 E9 00 00 00 00"),
    (Shape::ZwReactos, Encoding::Gnu, "48 8D 05 00 00 00 00 49 C7 C2 48 00 00 00 E9 00 00 00 00"),
];

#[test]
fn amd64_shapes_have_the_bytes_of_their_systems() {
    for (shape, encoding, nine) in BYTES_AMD64 {
        assert_eq!(hex(&code(shape, 9, encoding).bytes), nine, "{shape} {encoding}");
        // The caller owns its arguments: no user stub depends on how many there are.
        let none = if shape == Shape::ZwReactos { nine.replace("C2 48", "C2 00") } else { nine.to_owned() };
        assert_eq!(hex(&code(shape, 0, encoding).bytes), none, "{shape} {encoding}");
    }
}

#[test]
fn every_shape_builds_and_encodes() {
    for shape in Arch::ALL.into_iter().flat_map(Shape::of).copied() {
        for encoding in Encoding::ALL {
            let stub = build(shape, &service(9), encoding);
            assert_eq!((stub.shape, stub.arch), (shape, shape.arch()));
            let code = stub.encode().unwrap_or_else(|error| panic!("{shape}: {error}"));
            assert!(!code.bytes.is_empty(), "{shape}");
            let at = stub.encode_at(0xffff_f800_0000_1000, &|_| Some(0xffff_f800_0010_0000));
            if shape.arch() != Arch::I386 || !shape.is_kernel() {
                assert_eq!(at.map(|bytes| bytes.len()), Ok(code.bytes.len()), "{shape}");
            }
        }
    }
}

#[test]
fn amd64_kernel_stubs_refer_to_the_kernel() {
    let stub = build(Shape::ZwAmd64, &service(1), Encoding::Msvc);
    assert_eq!(stub.symbols, ["ZwFoo"]);
    let relocation =
        |offset, symbol: &str| CodeRelocation { offset, symbol: symbol.to_owned(), kind: RelocationKind::Rel32 };
    let relocations = [relocation(15, "KiServiceLinkage"), relocation(26, "KiServiceInternal")];
    assert_eq!(stub.encode().expect("a built stub encodes").relocations, relocations);

    let bytes = stub.encode_at(0x1000, &|symbol| Some(if symbol == "KiServiceLinkage" { 0x1100 } else { 0x800 }));
    let bytes = bytes.expect("the symbols are known");
    // 1100h - 1013h and 800h - 101Eh
    assert_eq!((&bytes[15..19], &bytes[26..30]), (&[0xed, 0, 0, 0][..], &[0xe2, 0xf7, 0xff, 0xff][..]));
    let far = stub.encode_at(0, &|_| Some(0x1_0000_0000)).expect_err("that is over 2 GiB away");
    assert!(matches!(far, EncodeError::Instruction { index: 6, .. }), "{far}");

    let stub = build(Shape::ZwReactos, &service(1), Encoding::Gnu);
    let relocations = [relocation(3, "NtFoo"), relocation(15, "KiZwSystemService")];
    assert_eq!(stub.encode().expect("a built stub encodes").relocations, relocations);
}

#[test]
fn counts_are_those_of_the_architecture() {
    let read = read_list("test.lst", b"NtWide 5/4\n").expect("the list is right");
    let service = &read.list.primary().services()[0];
    let i386 = build(Shape::SharedEdx, service, Encoding::Msvc);
    assert_eq!((i386.symbols[0].as_str(), i386.args), ("_NtWide@20", 5));
    let amd64 = build(Shape::ZwReactos, service, Encoding::Gnu);
    assert_eq!(amd64.args, 4);
    assert_eq!(amd64.encode().expect("a built stub encodes").bytes[7..14], [0x49, 0xc7, 0xc2, 32, 0, 0, 0]);
    assert_eq!(build(Shape::Syscall, service, Encoding::Msvc).symbols, ["NtWide", "ZwWide"]);
}

#[test]
fn an_arm64_stub_follows_from_its_number() {
    let mut stub = build(Shape::Svc, &service(9), Encoding::Msvc);
    assert_eq!(stub.symbols, ["NtFoo", "ZwFoo"]);
    assert_eq!(hex(&stub.encode().expect("it encodes").bytes), "01 13 00 D4 C0 03 5F D6");
    assert_eq!(stub.text(Syntax::Gas), ["svc #0x98", "ret"]);
    stub.number = 0x1_0000;
    assert_eq!(stub.encode(), Err(EncodeError::Number { number: 0x1_0000 }));
}

#[test]
fn the_shared_shapes_have_one_encoding() {
    for shape in [Shape::Int2e, Shape::SharedCallEdx, Shape::SharedEdx, Shape::SharedEcx, Shape::Zw] {
        assert_eq!(code(shape, 9, Encoding::Msvc), code(shape, 9, Encoding::Gnu), "{shape}");
    }
}

#[test]
fn bytes_do_not_depend_on_the_address_without_relocations() {
    for shape in Shape::of(Arch::I386).iter().copied().filter(|&shape| shape != Shape::Zw) {
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

#[test]
fn amd64_text_has_names_for_addresses() {
    let stub = build(Shape::SyscallOrInt2e, &service(1), Encoding::Msvc);
    let expected = [
        "mov r10,rcx",
        "mov eax,98h",
        "test byte ptr [7FFE0308h],1",
        "jne short 1f",
        "syscall",
        "ret",
        "1: int 2Eh",
        "ret",
    ];
    assert_eq!(stub.text(Syntax::Intel), expected);
    let zw = build(Shape::ZwReactos, &service(1), Encoding::Gnu);
    assert_eq!(zw.text(Syntax::Gas), ["lea NtFoo(%rip),%rax", "mov $8,%r10", "jmp KiZwSystemService"]);
    assert_eq!(zw.text(Syntax::Intel)[0], "lea rax,[rip+NtFoo]");
}
