//! Decoded code must never be seen to be decoded.

use super::super::super::core::seg;
use super::super::super::fault::Exit;
use super::super::super::machine::Register;
use super::super::super::segment::{Descriptor, Segment, Selector};
use super::super::super::testing::{CODE, DATA, World, flat};
use super::{descriptor, load_data, with};

const RET: u8 = 0xC3;
const HLT: u8 = 0xF4;

/// `call`s to these addresses, then `hlt`.
fn calls(targets: &[u32]) -> Vec<u8> {
    let mut code = Vec::new();
    for target in targets {
        let next = CODE + code.len() as u32 + 5;
        code.extend(with(&[0xE8], target.wrapping_sub(next), &[]));
    }
    code.push(HLT);
    code
}

#[test]
fn a_store_into_the_next_instruction_takes_effect_at_once() {
    let mut world = World::new();
    // mov byte [next + 1], 5; next: mov al, 1; hlt
    let code = with(&[0xC6, 0x05], CODE + 8, &[5, 0xB0, 1, HLT]);
    for _ in 0..3 {
        assert_eq!(world.run(&code), Exit::Halted);
        assert_eq!(world.register(Register::Eax) & 0xFF, 5);
    }
}

#[test]
fn stores_of_every_kind_are_noticed() {
    // Each of them writes B3h, MOV BL, over a MOV AL that follows at once.
    let at = |after: &[u8]| after.len() as u32;
    let tail = [0xB0, 7, HLT];
    let cases: [(&str, Vec<u8>); 7] = [
        ("mov [reg]", vec![0x88, 0x16]),
        ("xchg", vec![0x86, 0x16]),
        ("or", vec![0x80, 0x0E, 0xB3]),
        ("stosb", vec![0x88, 0xD0, 0xAA]),
        ("rep stosb", vec![0x88, 0xD0, 0xF3, 0xAA]),
        ("movsb", vec![0x89, 0xEE, 0xA4]),
        ("rep movsb", vec![0x89, 0xEE, 0xF3, 0xA4]),
    ];
    for (name, store) in cases {
        let mut world = World::new();
        world.poke(DATA, &[0xB3]);
        let target = CODE + at(&store);
        let registers = [
            (Register::Eax, 0),
            (Register::Ecx, 1),
            (Register::Edx, 0xB3),
            (Register::Ebx, 0),
            (Register::Ebp, DATA),
            (Register::Esi, target),
            (Register::Edi, target),
        ];
        for (register, value) in registers {
            world.machine.set_register(register, value);
        }
        let code = [store.as_slice(), &tail].concat();
        assert_eq!(world.run(&code), Exit::Halted, "{name}");
        assert_eq!(world.register(Register::Ebx) & 0xFF, 7, "{name}");
    }
}

#[test]
fn a_push_into_the_next_instruction_takes_effect_at_once() {
    let mut world = World::new();
    // mov esp, target + 4; push 0F4xx07B3h; target: mov al, 7; hlt; nop
    let target = CODE + 10;
    let mut code = with(&[0xBC], target + 4, &[]);
    code.extend(with(&[0x68], u32::from_le_bytes([0xB3, 7, HLT, 0x90]), &[0xB0, 7, HLT, 0x90]));
    world.machine.set_register(Register::Ebx, 0);
    assert_eq!(world.run(&code), Exit::Halted);
    assert_eq!(world.register(Register::Ebx) & 0xFF, 7);
}

#[test]
fn a_routine_in_another_page_can_be_rewritten_between_calls() {
    let mut world = World::new();
    let routine = DATA + 0x500;
    world.poke(routine, &[0xB0, 1, RET]);
    // call; mov bl, al; mov byte [routine + 1], 9; call; hlt
    let mut code = with(&[0xE8], routine.wrapping_sub(CODE + 5), &[0x88, 0xC3]);
    code.extend(with(&[0xC6, 0x05], routine + 1, &[9]));
    let next = CODE + code.len() as u32 + 5;
    code.extend(with(&[0xE8], routine.wrapping_sub(next), &[HLT]));
    for _ in 0..2 {
        world.poke(routine + 1, &[1]);
        assert_eq!(world.run(&code), Exit::Halted);
        assert_eq!((world.register(Register::Ebx) & 0xFF, world.register(Register::Eax) & 0xFF), (1, 9));
    }
}

#[test]
fn a_store_through_another_linear_address_is_noticed() {
    let mut world = World::new();
    world.page(0);
    let (routine, alias) = (DATA + 0x500, 0x2_0000);
    world.map(alias, DATA | 7);
    world.poke(routine, &[0xB0, 1, RET]);
    // mov [alias], ecx (so that a translation for writing is there); call; mov byte [alias + 501h], 9; call; hlt
    let mut code = with(&[0x89, 0x0D], alias, &[]);
    code.extend(with(&[0xE8], routine.wrapping_sub(CODE + 11), &[]));
    code.extend(with(&[0xC6, 0x05], alias + 0x501, &[9]));
    let next = CODE + code.len() as u32 + 5;
    code.extend(with(&[0xE8], routine.wrapping_sub(next), &[HLT]));
    assert_eq!(world.run(&code), Exit::Halted);
    assert_eq!(world.register(Register::Eax) & 0xFF, 9);
}

#[test]
fn an_instruction_across_two_pages_sees_changes_in_both() {
    let mut world = World::new();
    // mov eax, imm32 with two bytes of it in the next page; ret
    let routine = DATA + 0xFFD;
    for value in [0x1122_3344u32, 0x5566_7788] {
        world.poke(routine, &with(&[0xB8], value, &[RET]));
        assert_eq!(world.run(&calls(&[routine])), Exit::Halted);
        assert_eq!(world.register(Register::Eax), value);
        // The second page alone.
        world.poke(DATA + 0x1000, &[0xEE]);
        assert_eq!(world.run(&calls(&[routine])), Exit::Halted);
        assert_eq!(world.register(Register::Eax), value & 0xFF00_FFFF | 0xEE_0000);
    }
}

#[test]
fn remapping_a_page_changes_what_is_executed() {
    let mut world = World::new();
    world.page(0);
    let linear = 0x2_0000;
    world.poke(DATA, &[0xB0, 1, RET]);
    world.poke(DATA + 0x1000, &[0xB0, 2, RET]);
    for (frame, value) in [(DATA, 1), (DATA + 0x1000, 2), (DATA, 1)] {
        world.map(linear, frame | 7);
        assert_eq!(world.run(&calls(&[linear])), Exit::Halted);
        assert_eq!(world.register(Register::Eax) & 0xFF, value);
    }
}

/// A block decoded for flat data segments and decoded again for others: neither may be taken for something else later.
#[test]
fn code_that_runs_under_different_segments_stays_itself() {
    let mut world = World::new();
    let (first, second) = (DATA + 0x100, DATA + 0x200);
    // mov al, [0A800h]; ret, in flat segments and in one of base 100h
    world.poke(first, &[0xA0, 0x00, 0xA8, 0, 0, RET]);
    world.poke(second, &[0xB0, 0x77, RET]);
    world.poke(DATA + 0x800, &[1]);
    world.poke(DATA + 0x900, &[2]);
    let based = descriptor(0x93, 0xC, 0x100, 0xF_FFFF);
    for _ in 0..3 {
        load_data(&mut world, seg::DS, flat(0x93));
        assert_eq!(world.run(&calls(&[first])), Exit::Halted);
        assert_eq!(world.register(Register::Eax) & 0xFF, 1);
        load_data(&mut world, seg::DS, based);
        assert_eq!(world.run(&calls(&[first])), Exit::Halted);
        assert_eq!(world.register(Register::Eax) & 0xFF, 2);
        assert_eq!(world.run(&calls(&[second])), Exit::Halted);
        assert_eq!(world.register(Register::Eax) & 0xFF, 0x77);
        load_data(&mut world, seg::DS, flat(0x93));
        assert_eq!(world.run(&calls(&[first])), Exit::Halted);
        assert_eq!(world.register(Register::Eax) & 0xFF, 1);
    }
}

/// The same code at two linear addresses, each under its own segments.
#[test]
fn a_block_that_was_decoded_anew_is_forgotten_at_every_address() {
    let mut world = World::new();
    world.page(0);
    let (first, alias, second) = (DATA + 0x100, 0x2_0100, DATA + 0x200);
    world.map(0x2_0000, DATA | 7);
    world.poke(first, &[0xB0, 0x11, HLT]);
    world.poke(second, &[0xB0, 0x22, HLT]);
    let based = descriptor(0x93, 0xC, 0x100, 0xF_FFFF);
    let order = [(flat(0x93), first, 0x11), (based, alias, 0x11), (based, second, 0x22), (flat(0x93), first, 0x11)];
    for (segment, routine, value) in order {
        load_data(&mut world, seg::DS, segment);
        world.core().ip = u64::from(routine);
        assert_eq!(world.machine.run(10), Exit::Halted);
        assert_eq!(world.register(Register::Eax) & 0xFF, value);
    }
}

#[test]
fn an_instruction_beyond_the_limit_is_a_good_one_under_another_limit() {
    let mut world = World::new();
    world.page(0);
    let alias = 0x2_0000;
    world.map(alias, CODE | 7);
    world.poke(CODE, &[0xB8, 1, 0, 0, 0, HLT]);
    for _ in 0..2 {
        world.core().set_cs(Segment::new(Selector(0x50), Descriptor(descriptor(0x9B, 4, 0, alias + 2))), 0);
        world.core().ip = u64::from(alias);
        assert_eq!(world.machine.run(10), Exit::Halted);
        assert_eq!(world.frame().map(|seen| (seen.vector, seen.code, seen.eip)), Some((13, 0, alias)));
        world.ring(0);
        assert_eq!(world.machine.run(10), Exit::Halted);
        assert_eq!(world.machine.eip(), CODE + 5);
        world.core().ip = u64::from(alias);
        assert_eq!(world.machine.run(10), Exit::Halted);
        assert_eq!(world.machine.eip(), alias + 5);
    }
}

#[test]
fn completed_instructions_are_counted_one_by_one() {
    let count = |code: &[u8], registers: &[(Register, u32)]| {
        let mut world = World::new();
        for &(register, value) in registers {
            world.machine.set_register(register, value);
        }
        let before = world.machine.retired();
        world.poke(CODE, code);
        world.core().ip = u64::from(CODE);
        assert_eq!(world.machine.run(100_000), Exit::Halted);
        world.machine.retired() - before
    };
    assert_eq!(count(&[HLT], &[]), 0);
    assert_eq!(count(&[0x40, 0x40, HLT], &[]), 2);
    // A branch in the middle of a block: not taken; taken.
    assert_eq!(count(&[0x31, 0xC0, 0x75, 1, 0x40, 0x40, HLT], &[]), 4);
    assert_eq!(count(&[0x31, 0xC0, 0x74, 1, 0x40, 0x40, HLT], &[]), 3);
    // loop, three times
    assert_eq!(count(&[0xE2, 0xFE, HLT], &[(Register::Ecx, 3)]), 3);
    // A repeated instruction counts as its elements.
    for elements in [1, 5, 4096, 5000] {
        let registers = [(Register::Ecx, elements), (Register::Edi, DATA)];
        assert_eq!(count(&[0xF3, 0xAA, HLT], &registers), u64::from(elements));
    }
    assert_eq!(count(&[0xF3, 0xAA, HLT], &[(Register::Ecx, 0)]), 1);
}

#[test]
fn a_budget_ends_an_endless_loop_and_a_long_repetition() {
    let mut world = World::new();
    world.poke(CODE, &[0xEB, 0xFE]);
    world.core().ip = u64::from(CODE);
    assert_eq!(world.machine.run(1000), Exit::Budget);
    assert!((1000..1100).contains(&world.machine.retired()));
    // rep lodsb of 4 GiB - 1
    world.poke(CODE, &[0xF3, 0xAC]);
    world.machine.set_register(Register::Ecx, u32::MAX);
    let before = world.machine.retired();
    assert_eq!(world.machine.run(10_000), Exit::Budget);
    assert_eq!(world.machine.eip(), CODE);
    let done = u64::from(u32::MAX - world.register(Register::Ecx));
    assert_eq!(world.machine.retired() - before, done);
    assert!((10_000..20_000).contains(&done));
}

#[test]
fn an_instruction_of_more_than_15_bytes_is_a_general_protection_fault() {
    let mut world = World::new();
    let mut code = vec![0x66; 14];
    code.extend([0x90, HLT]);
    assert_eq!(world.run(&code), Exit::Halted);
    assert_eq!(world.machine.eip(), CODE + 15);
    let mut code = vec![0x66; 15];
    code.extend([0x90, HLT]);
    let seen = world.seen(&code);
    assert_eq!((seen.vector, seen.code, seen.eip), (13, 0, CODE));
}

#[test]
fn a_16_bit_code_segment_has_16_bit_operands_and_addresses() {
    let mut world = World::new();
    world.gdt(0x58, descriptor(0x9B, 0, 0, 0xFFFF));
    let there = DATA + 0x100;
    world.poke(DATA + 0x40, &[0x78, 0x56]);
    // mov ax, 1234h; mov ecx, 9ABCDEF0h; mov bx, 0A040h; mov dx, [bx]; push ax; pop si; hlt
    world
        .poke(there, &[0xB8, 0x34, 0x12, 0x66, 0xB9, 0xF0, 0xDE, 0xBC, 0x9A, 0xBB, 0x40, 0xA0, 0x8B, 0x17, 0x50, 0x5E]);
    world.poke(there + 16, &[HLT]);
    for register in [Register::Eax, Register::Ebx, Register::Edx, Register::Esi] {
        world.machine.set_register(register, 0xFFFF_0000);
    }
    // jmp far 58h:there
    let code = with(&[0xEA], there, &[0x58, 0]);
    assert_eq!(world.run(&code), Exit::Halted);
    assert_eq!(world.machine.eip(), there + 16);
    let seen = [Register::Eax, Register::Ecx, Register::Ebx, Register::Edx, Register::Esi].map(|r| world.register(r));
    assert_eq!(seen, [0xFFFF_1234, 0x9ABC_DEF0, 0xFFFF_A040, 0xFFFF_5678, 0xFFFF_1234]);
}
