//! Limits and types on data accesses (SDM vol. 3, 5.3 to 5.5).

use super::super::super::core::seg;
use super::super::super::fault::Exit;
use super::super::super::machine::Register;
use super::super::super::segment::{Segment, Selector};
use super::super::super::testing::{CODE, DATA, World, flat};
use super::{descriptor, load_data, load_stack, with};

/// Flags of a descriptor: D/B.
const BIG: u64 = 4;

/// The vector that an access of `size` bytes at an offset in DS raises.
fn vector(segment: u64, offset: u32, size: u32, write: bool) -> Option<u8> {
    let mut world = World::new();
    load_data(&mut world, seg::DS, segment);
    let opcode: &[u8] = match (size, write) {
        (1, false) => &[0xA0],
        (1, true) => &[0xA2],
        (2, false) => &[0x66, 0xA1],
        (2, true) => &[0x66, 0xA3],
        (_, false) => &[0xA1],
        (_, true) => &[0xA3],
    };
    assert_eq!(world.run(&with(opcode, offset, &[0xF4])), Exit::Halted);
    world.frame().map(|seen| {
        assert_eq!((seen.code, seen.eip), (0, CODE));
        seen.vector
    })
}

#[test]
fn the_last_byte_of_an_operand_must_be_inside_the_limit() {
    let segment = descriptor(0x93, BIG, DATA, 0xFFF);
    for write in [false, true] {
        for size in [1, 2, 4] {
            assert_eq!(vector(segment, 0x1000 - size, size, write), None);
            assert_eq!(vector(segment, 0x1001 - size, size, write), Some(13));
            assert_eq!(vector(segment, 0xFFFF_FFFF, size, write), Some(13));
        }
    }
}

#[test]
fn an_expand_down_segment_is_what_lies_above_its_limit() {
    let big = descriptor(0x97, BIG, 0, 0x9FFF);
    assert_eq!(vector(big, 0x9FFF, 1, false), Some(13));
    assert_eq!(vector(big, 0xA000, 4, true), None);
    // Without B it ends at FFFFh.
    let small = descriptor(0x97, 0, 0, 0x9FFF);
    assert_eq!(vector(small, 0xFFFC, 4, true), None);
    assert_eq!(vector(small, 0xFFFD, 4, true), Some(13));
    assert_eq!(vector(small, 0x1_0000, 1, false), Some(13));
}

#[test]
fn the_type_says_what_may_be_done() {
    let (read_only, code, execute_only) = (flat(0x91), flat(0x9B), flat(0x99));
    assert_eq!(vector(read_only, DATA, 4, false), None);
    assert_eq!(vector(read_only, DATA, 4, true), Some(13));
    assert_eq!(vector(code, DATA, 4, false), None);
    assert_eq!(vector(code, DATA, 4, true), Some(13));
    assert_eq!(vector(execute_only, DATA, 4, false), Some(13));
}

#[test]
fn nothing_is_reached_through_a_null_selector() {
    let mut world = World::new();
    world.core().set_data_segment(seg::DS, Segment::null(Selector(0)));
    let seen = world.seen(&with(&[0xA1], DATA, &[0xF4]));
    assert_eq!((seen.vector, seen.code), (13, 0));
    // The addresses of instructions that only compute them are not looked at.
    world.core().set_data_segment(seg::DS, Segment::null(Selector(0)));
    assert_eq!(world.run(&with(&[0x8D, 0x05], 0xFFFF_FFFE, &[0xF4])), Exit::Halted);
    assert_eq!(world.register(Register::Eax), 0xFFFF_FFFE);
}

/// Runs code on a stack segment of one page; what it ends in, before the stack is switched back to a usable one, can only
/// be seen from ring 3.
fn on_small_stack(code: &[u8], esp: u32, ebp: u32) -> Option<(u8, u32)> {
    let mut world = World::new();
    world.ring(3);
    load_stack(&mut world, descriptor(0xF3, BIG, DATA, 0xFFF));
    world.machine.set_register(Register::Esp, esp);
    world.machine.set_register(Register::Ebp, ebp);
    assert_eq!(world.run(code), Exit::Halted);
    world.frame().filter(|seen| seen.vector != 13).map(|seen| {
        assert_eq!(seen.eip, CODE);
        (seen.vector, seen.code)
    })
}

#[test]
fn beyond_the_stack_segment_it_is_a_stack_fault() {
    let outside = Some((12, 0));
    // push eax; pop eax; mov eax, [ebp]; mov eax, ss:[1000h]; pusha; leave; enter 0, 0; enter 200h, 0; call +0; ret
    let codes: [(&[u8], u32, u32); 10] = [
        (&[0x50, 0xF4], 0x1004, 0x100),
        (&[0x58, 0xF4], 0xFFD, 0x100),
        (&[0x8B, 0x45, 0, 0xF4], 0x100, 0x1000),
        (&[0x36, 0xA1, 0, 0x10, 0, 0, 0xF4], 0x100, 0x100),
        (&[0x60, 0xF4], 0x1C, 0x100),
        (&[0xC9, 0xF4], 0x100, 0xFFE),
        (&[0xC8, 0, 0, 0, 0xF4], 2, 0x100),
        (&[0xC8, 0, 2, 0, 0xF4], 0x100, 0x100),
        (&[0xE8, 0, 0, 0, 0, 0xF4], 2, 0x100),
        (&[0xC3, 0xF4], 0x1000, 0x100),
    ];
    for (code, esp, ebp) in codes {
        assert_eq!(on_small_stack(code, esp, ebp), outside, "{code:02X?}");
        assert_eq!(on_small_stack(&code[..code.len() - 1], esp, ebp), outside, "{code:02X?}");
    }
    assert_eq!(on_small_stack(&[0x50, 0xF4], 0x1000, 0x100), None);
    // DS reaches the same address: not the stack's business.
    assert_eq!(on_small_stack(&with(&[0xA1], 0x1000, &[0xF4]), 0x100, 0x100), None);
}

#[test]
fn a_16_bit_stack_wraps_and_keeps_the_upper_half_of_esp() {
    let mut world = World::new();
    load_stack(&mut world, descriptor(0x93, 0, 0x1_8000, 0xFFFF));
    world.machine.set_register(Register::Esp, 0x1234_0002);
    world.machine.set_register(Register::Eax, 0xAABB_CCDD);
    // push ax; push ax; push eax; hlt
    assert_eq!(world.run(&[0x66, 0x50, 0x66, 0x50, 0x50, 0xF4]), Exit::Halted);
    assert_eq!(world.register(Register::Esp), 0x1234_FFFA);
    assert_eq!(world.peek32(0x1_8000) & 0xFFFF, 0xCCDD);
    assert_eq!(world.peek32(0x2_7FFA), 0xAABB_CCDD);
    // pop ecx; pop cx; pop cx; hlt
    assert_eq!(world.run(&[0x59, 0x66, 0x59, 0x66, 0x59, 0xF4]), Exit::Halted);
    assert_eq!(world.register(Register::Esp), 0x1234_0002);
    assert_eq!(world.register(Register::Ecx), 0xAABB_CCDD);
    // enter 10h, 0; hlt: EBP gets all of ESP.
    world.machine.set_register(Register::Esp, 0x1234_8000);
    assert_eq!(world.run(&[0xC8, 0x10, 0, 0, 0xF4]), Exit::Halted);
    assert_eq!((world.register(Register::Ebp), world.register(Register::Esp)), (0x1234_7FFC, 0x1234_7FEC));
}

#[test]
fn a_branch_beyond_the_code_segment_faults_at_the_branch() {
    let mut world = World::new();
    let code = descriptor(0x9B, BIG, 0, 0xFFFF);
    let segment = Segment::new(Selector(8), super::Descriptor(code));
    world.core().set_cs(segment, 0);
    // The handlers are inside, and CS is loaded anew on the way to them.
    for branch in [with(&[0xE9], 0x1_0000, &[]), with(&[0xE8], 0x1_0000, &[]), vec![0x31, 0xC0, 0x0F, 0x84, 0, 0, 1, 0]]
    {
        let start = if branch[0] == 0x31 { CODE + 2 } else { CODE };
        let esp = world.register(Register::Esp);
        let seen = world.seen(&branch);
        assert_eq!((seen.vector, seen.code, seen.eip), (13, 0, start));
        assert_eq!(world.register(Register::Esp), esp - 16);
        world.core().set_cs(segment, 0);
    }
}
