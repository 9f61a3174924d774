//! Small things that files as a whole do not show; what tools read of those is in the root package's `tests/objects`.

use iced_x86::{Code, Instruction, Register};

use super::archive::{self, Index, Member};
use super::unwind;
use crate::model::Arch;
use crate::stub::{self, Shape};
use crate::{Encoding, read_list};

fn member(name: &str, bytes: &[u8], symbols: &[&str]) -> Member {
    Member {
        name: name.to_owned(),
        bytes: bytes.to_vec(),
        symbols: symbols.iter().map(|&symbol| symbol.to_owned()).collect(),
    }
}

#[test]
fn an_archive_byte_for_byte() {
    let members = [member("fifteen_chars.o", b"odd", &["b", "a"]), member("sixteen_chars..o", b"even", &[])];
    let header = |name: &str, mode: &str, length: usize| {
        format!("{name:16}0           0     0     {mode:8}{length:<10}`\n").into_bytes()
    };
    let first = archive::encode(Index::First, &members).expect("it is small");
    let expected = [
        b"!<arch>\n".to_vec(),
        header("/", "0", 16),
        // Two symbols, both in the member at A2h.
        vec![0, 0, 0, 2, 0, 0, 0, 0xa2, 0, 0, 0, 0xa2],
        b"b\0a\0".to_vec(),
        header("//", "0", 18),
        b"sixteen_chars..o/\n".to_vec(),
        header("fifteen_chars.o/", "100644", 3),
        b"odd\n".to_vec(),
        header("/0", "100644", 4),
        b"even".to_vec(),
    ];
    assert_eq!(first, expected.concat());
    // Microsoft's: a second index, sorted, and names that end with a zero.
    let both = archive::encode(Index::Both, &members).expect("it is small");
    let second = [
        header("/", "0", 24),
        // Two members, at F6h and at 136h; two symbols, both in the first.
        vec![2, 0, 0, 0, 0xf6, 0, 0, 0, 0x36, 1, 0, 0, 2, 0, 0, 0, 1, 0, 1, 0],
        b"a\0b\0".to_vec(),
        header("//", "0", 17),
        b"sixteen_chars..o\0\n".to_vec(),
    ];
    assert_eq!(both[8 + 60 + 16..0xf6], second.concat());
}

/// What unwinding undoes at an instruction is what the stub has done to RSP until then, as iced knows it.
#[test]
fn a_caller_is_found_from_every_instruction() {
    let read = read_list("test.lst", b"NtClose 1\n").expect("the list is right");
    let service = read.list.primary().by_name("NtClose").expect("it is there");
    for &shape in Shape::of(Arch::Amd64) {
        let stub = stub::build(shape, service, shape.default_encoding());
        let info = unwind::info(&stub).unwrap_or_else(|| vec![1, 0, 0, 0]);
        let codes: Vec<(u64, i32)> = info[4..4 + 2 * usize::from(info[2])]
            .chunks(2)
            .map(|code| match code[1] & 0xf {
                0 => (code[0].into(), 8),
                2 => (code[0].into(), 8 * i32::from(code[1] >> 4) + 8),
                other => panic!("there is no operation {other}"),
            })
            .collect();
        // As long as the stub returns nowhere.
        let mut moved = 0;
        for instruction in &stub.instructions {
            let undone: i32 =
                codes.iter().filter(|(offset, _)| *offset <= instruction.ip()).map(|(_, bytes)| bytes).sum();
            assert_eq!(undone, moved, "{shape} at {:#x}", instruction.ip());
            moved -= match instruction.code() {
                Code::Retnq => 0,
                Code::Sub_rm64_imm8 if instruction.op0_register() == Register::RSP => {
                    -(instruction.immediate(1) as i32)
                }
                _ => instruction.stack_pointer_increment(),
            };
        }
        assert_eq!(moved != 0, shape == Shape::ZwAmd64, "{shape}");
    }
}

#[test]
fn a_saved_register_is_told_from_room() {
    let read = read_list("test.lst", b"NtClose 1\n").expect("the list is right");
    let service = read.list.primary().by_name("NtClose").expect("it is there");
    let mut stub = stub::build(Shape::ZwAmd64, service, Encoding::Msvc);
    assert_eq!(stub.arch, Arch::Amd64);
    // As a stub of a shape to come might do: `push rsi` in the place of `push rax`, the fourth instruction, at 8.
    let ip = stub.instructions[3].ip();
    stub.instructions[3] = Instruction::with1(Code::Push_r64, Register::RSI).expect("it is one");
    stub.instructions[3].set_ip(ip);
    let info = unwind::info(&stub).expect("it moves the stack");
    // RSI is register 6; UWOP_PUSH_NONVOL is 0; the next instruction is at 9.
    assert_eq!(info[10..12], [9, 0x60]);
    assert_eq!(info[12..14], [8, 0x12]);
}
