//! Far transfers: every kind of target, every check, and what a call gate leaves on the two stacks.

use super::super::core::seg;
use super::super::fault::Exit;
use super::super::flags::RF;
use super::super::machine::Register;
use super::super::testing::*;

fn jmp(selector: u16) -> [u8; 7] {
    transfer(0xEA, selector)
}

fn call(selector: u16) -> [u8; 7] {
    transfer(0x9A, selector)
}

/// To `selector`:`CODE + 10h`.
fn transfer(opcode: u8, selector: u16) -> [u8; 7] {
    let [a, b, c, d] = (CODE + 0x10).to_le_bytes();
    let [low, high] = selector.to_le_bytes();
    [opcode, a, b, c, d, low, high]
}

/// `UD2` where the transfers go.
fn world() -> World {
    let mut world = World::new();
    world.poke(CODE + 0x10, &[0x0F, 0x0B]);
    world
}

#[test]
fn the_checks_of_jumps_and_calls() {
    type Prepare = fn(&mut World);
    let cases: &[(&str, Prepare, u16, u8, u32)] = &[
        ("null", |_| (), 3, 13, 0),
        ("beyond the GDT", |_| (), 0x80, 13, 0x80),
        ("data", |_| (), DATA_0, 13, 0x10),
        ("inner", |w| w.ring(3), CODE_0, 13, 8),
        ("outer", |_| (), 0x18, 13, 0x18),
        ("RPL above CPL", |_| (), CODE_0 | 1, 13, 8),
        ("not present", |w| w.gdt(FREE, flat(0x1B)), FREE, 11, 0x50),
        ("beyond the limit", |w| w.gdt(FREE, system(0x9B, 0, 0xFFF) | 1 << 54), FREE, 13, 0),
        ("conforming, outer", |w| w.gdt(FREE, flat(0xFF)), FREE, 13, 0x50),
        ("LDT", |w| w.gdt(FREE, system(0x82, 0, 7)), FREE, 13, 0x50),
        ("interrupt gate", |w| w.gdt(FREE, gate(0x8E, CODE_0, 0, 0)), FREE, 13, 0x50),
        (
            "call gate, DPL",
            |w| {
                w.gdt(FREE, gate(0x8C, CODE_0, 0, 0));
                w.ring(3)
            },
            FREE,
            13,
            0x50,
        ),
        ("call gate, RPL", |w| w.gdt(FREE, gate(0x8C, CODE_0, 0, 0)), FREE | 1, 13, 0x50),
        ("call gate, not present", |w| w.gdt(FREE, gate(0x0C, CODE_0, 0, 0)), FREE, 11, 0x50),
        ("call gate to null", |w| w.gdt(FREE, gate(0x8C, 0, 0, 0)), FREE, 13, 0),
        ("call gate beyond the GDT", |w| w.gdt(FREE, gate(0x8C, 0x80, 0, 0)), FREE, 13, 0x80),
        ("call gate to data", |w| w.gdt(FREE, gate(0x8C, DATA_0, 0, 0)), FREE, 13, 0x10),
        ("call gate outward", |w| w.gdt(FREE, gate(0x8C, CODE_3, 0, 0)), FREE, 13, 0x18),
        ("busy TSS", |_| (), TASK, 13, 0x28),
        ("TSS, DPL", |w| w.ring(3), OTHER_TASK, 13, 0x30),
        ("TSS, not present", |w| w.gdt(FREE, system(0x09, OTHER_TSS, 0x67)), FREE, 11, 0x50),
        ("TSS too short", |w| w.gdt(FREE, system(0x89, OTHER_TSS, 0x66)), FREE, 10, 0x50),
        (
            "task gate, DPL",
            |w| {
                w.gdt(FREE, gate(0x85, OTHER_TASK, 0, 0));
                w.ring(3)
            },
            FREE,
            13,
            0x50,
        ),
        ("task gate, not present", |w| w.gdt(FREE, gate(0x05, OTHER_TASK, 0, 0)), FREE, 11, 0x50),
        ("task gate to null", |w| w.gdt(FREE, gate(0x85, 0, 0, 0)), FREE, 13, 0),
        ("task gate to an LDT selector", |w| w.gdt(FREE, gate(0x85, 0x34, 0, 0)), FREE, 13, 0x34),
        ("task gate to a busy TSS", |w| w.gdt(FREE, gate(0x85, TASK, 0, 0)), FREE, 13, 0x28),
    ];
    for (what, prepare, selector, vector, error) in cases {
        for code in [jmp(*selector), call(*selector)] {
            let mut world = world();
            prepare(&mut world);
            let seen = world.seen(&code);
            assert_eq!((seen.vector, seen.code, seen.eip), (*vector, *error, CODE), "{what}, {:02X}", code[0]);
        }
    }
}

#[test]
fn direct_transfers_at_the_same_level() {
    for (code, pushed) in [(jmp(CODE_0), 0), (call(CODE_0), 8), (call(CONFORMING), 8)] {
        let mut world = world();
        let seen = world.seen(&code);
        assert_eq!((seen.vector, seen.eip), (6, CODE + 0x10));
        assert_eq!(world.register(Register::Esp), STACK_0 - pushed - 12);
        if pushed != 0 {
            assert_eq!((world.peek32(STACK_0 - 8), world.peek32(STACK_0 - 4)), (CODE + 7, u32::from(CODE_0)));
        }
    }
}

#[test]
fn conforming_code_keeps_the_level() {
    let mut world = world();
    world.ring(3);
    let seen = world.seen(&jmp(CONFORMING));
    assert_eq!((seen.vector, seen.cs), (6, u32::from(CONFORMING) | 3));
}

#[test]
fn indirect_transfers() {
    for (modrm, pushed) in [(0x2D, 0), (0x1D, 8)] {
        let mut world = world();
        world.poke32(DATA, CODE + 0x10);
        world.poke32(DATA + 4, u32::from(CODE_0));
        let seen = world.seen(&[0xFF, modrm, 0x00, 0xA0, 0x00, 0x00]);
        assert_eq!((seen.vector, seen.eip), (6, CODE + 0x10));
        assert_eq!(world.register(Register::Esp), STACK_0 - pushed - 12);
    }
}

#[test]
fn a_call_gate_copies_parameters_and_retf_takes_them_from_both_stacks() {
    let mut world = world();
    world.gdt(FREE, gate(0xEC, CODE_0, CODE + 0x20, 3));
    world.ring(3);
    world.stack(&[0x11, 0x22, 0x33]);
    world.poke(CODE + 0x20, &[0xCA, 12, 0]); // retf 12
    world.poke(CODE + 7, &[0x0F, 0x0B]);
    let seen = world.seen(&call(FREE | 3));
    assert_eq!((seen.vector, seen.eip, seen.cs), (6, CODE + 7, u32::from(CODE_3)));
    let frame: Vec<u32> = (1..=7).map(|i| world.peek32(STACK_0 - 4 * i)).collect();
    // The #UD has overwritten the two highest; SS, ESP, parameters, CS, EIP before that.
    assert_eq!(frame[1], STACK_3, "ESP after the return: the parameters are gone");
    assert_eq!(frame[6], CODE + 7);
}

#[test]
fn a_call_gate_inward_checks_the_new_stack() {
    type Prepare = fn(&mut World);
    let cases: &[(&str, Prepare, u8, u32)] = &[
        ("null SS", |w| w.poke32(TSS + 0x10, 0), 10, 0),
        ("SS of another level", |w| w.poke32(TSS + 0x10, 0x10), 10, 0x10),
        ("SS not present", |w| w.gdt(DATA_1, flat(0x33)), 12, 0x40),
        ("no room", |w| w.gdt(DATA_1, system(0xB3, 0, STACK_1 - 8) | 1 << 54), 12, 0x40),
        ("code not present", |w| w.gdt(CODE_1, flat(0x3B)), 11, 0x38),
        ("beyond the limit", |w| w.gdt(CODE_1, system(0xBB, 0, 0xFF) | 1 << 54), 13, 0),
    ];
    for (what, prepare, vector, error) in cases {
        let mut world = world();
        world.gdt(FREE, gate(0xEC, CODE_1, CODE + 0x10, 2));
        world.ring(3);
        prepare(&mut world);
        let seen = world.seen(&call(FREE | 3));
        assert_eq!((seen.vector, seen.code, seen.eip), (*vector, *error, CODE), "{what}");
    }
    // A jump through the same gate can't go inward.
    let mut world = world();
    world.gdt(FREE, gate(0xEC, CODE_1, CODE + 0x10, 2));
    world.ring(3);
    assert_eq!((world.seen(&jmp(FREE | 3)).vector, world.register(Register::Esp)), (13, STACK_0 - 24));
}

#[test]
fn a_call_through_a_gate_to_the_same_level_pushes_in_the_gates_width() {
    let mut world = world();
    world.gdt(FREE, gate(0x84, CODE_0, CODE + 0x10, 0)); // 16-bit
    world.seen(&call(FREE));
    assert_eq!(world.register(Register::Esp), STACK_0 - 4 - 12);
    assert_eq!(world.peek32(STACK_0 - 4), (CODE + 7) | (u32::from(CODE_0) << 16));
}

#[test]
fn far_returns() {
    // retf to the same level, with parameters; outward; the checks are those of IRET.
    let mut world = world();
    world.stack(&[CODE + 0x10, 8, 0xAA, 0xBB]);
    world.seen(&[0xCA, 8, 0]);
    assert_eq!(world.register(Register::Esp), STACK_0 - 12);
    let mut outward = World::new();
    outward.poke(CODE + 0x10, &[0x0F, 0x0B]);
    outward.stack(&[CODE + 0x10, u32::from(CODE_3), 0xAA, STACK_3 - 0x20, u32::from(DATA_3)]);
    let seen = outward.seen(&[0xCA, 4, 0]);
    assert_eq!((seen.vector, seen.cs, seen.eflags & RF), (6, u32::from(CODE_3), RF));
    assert_eq!(outward.peek32(STACK_0 - 8), STACK_3 - 0x1C, "the outer stack drops them too");
    assert_eq!(outward.core().segs[seg::DS as usize].selector.0, 0);
    for (selector, error) in [(0, 0), (3, 0), (0x83, 0x80), (0x10, 0x10)] {
        let mut bad = World::new();
        bad.stack(&[CODE + 0x10, selector, STACK_3, u32::from(DATA_3)]);
        assert_eq!(bad.seen(&[0xCB]).code, error);
    }
}

#[test]
fn a_task_that_was_never_loaded_can_not_be_left() {
    let mut world = world();
    world.core().segs[seg::TR as usize] = super::super::segment::Segment::default();
    assert!(matches!(world.run(&jmp(OTHER_TASK)), Exit::Unsupported { .. }));
}
