//! A fault leaves everything as it was before the instruction; a repeated one as it was before the element.

use super::super::super::core::CR0_WP;
use super::super::super::fault::Exit;
use super::super::super::machine::Register;
use super::super::super::testing::{CODE, DATA, STACK_0, World};

const REGISTERS: [Register; 8] = [
    Register::Eax,
    Register::Ecx,
    Register::Edx,
    Register::Ebx,
    Register::Esp,
    Register::Ebp,
    Register::Esi,
    Register::Edi,
];

/// Ring 3, with the page at `DATA` present or read-only and the next one missing.
fn world(writable: bool) -> World {
    let mut world = World::new();
    world.page(0x7000);
    world.map(DATA, DATA | if writable { 7 } else { 5 });
    world.map(DATA + 0x1000, 0);
    assert!(world.core().cr0 & CR0_WP != 0);
    world.ring(3);
    world
}

#[test]
fn instructions_that_write_fault_as_writes_and_change_nothing() {
    let cases: [(&str, &[u8]); 32] = [
        ("mov", &[0x89, 0x06]),
        ("add [esi], eax", &[0x01, 0x06]),
        ("add byte [esi], 1", &[0x80, 0x06, 1]),
        ("inc", &[0xFF, 0x06]),
        ("neg", &[0xF7, 0x1E]),
        ("not", &[0xF6, 0x16]),
        ("xchg", &[0x87, 0x06]),
        ("xadd", &[0x0F, 0xC1, 0x06]),
        ("cmpxchg, equal", &[0x0F, 0xB1, 0x1E]),
        ("cmpxchg, unequal", &[0x0F, 0xB0, 0x5E, 4]),
        ("cmpxchg8b", &[0x0F, 0xC7, 0x0E]),
        ("bts", &[0x0F, 0xAB, 0x06]),
        ("btr by immediate", &[0x0F, 0xBA, 0x36, 3]),
        ("shl by 1", &[0xD1, 0x26]),
        ("rol by cl", &[0xD3, 0x06]),
        ("rcr by immediate", &[0xC0, 0x1E, 3]),
        ("shld", &[0x0F, 0xA4, 0x06, 3]),
        ("arpl that raises", &[0x63, 0x0E]),
        ("setcc", &[0x0F, 0x94, 0x06]),
        ("stosd", &[0xAB]),
        ("movsb", &[0xA4]),
        ("movsb, overlapping", &[0x66, 0xA5]),
        ("pop [esi]", &[0x8F, 0x06]),
        ("mov moffs", &[0xA2, 0x10, 0xA0, 0, 0]),
        ("mov imm", &[0xC7, 0x06, 1, 2, 3, 4]),
        ("push", &[0x89, 0xF4, 0x50]),
        ("pusha", &[0x89, 0xF4, 0x60]),
        ("call", &[0x89, 0xF4, 0xE8, 0, 0, 0, 0]),
        ("enter", &[0x89, 0xF4, 0xC8, 8, 0, 1]),
        ("push imm", &[0x89, 0xF4, 0x6A, 1]),
        ("push [mem]", &[0x89, 0xF4, 0xFF, 0x36]),
        ("pushf", &[0x89, 0xF4, 0x9C]),
    ];
    for (name, code) in cases {
        let mut world = world(false);
        for (i, register) in REGISTERS.into_iter().enumerate() {
            if register != Register::Esp {
                world.machine.set_register(register, 0x1111_1111 * i as u32);
            }
        }
        world.machine.set_register(Register::Eax, 0);
        world.machine.set_register(Register::Esi, DATA + 0x40);
        world.machine.set_register(Register::Edi, DATA + 0x40);
        // The stack cases begin with MOV ESP, ESI.
        let moved = code[0] == 0x89 && code[1] == 0xF4;
        let mut before = REGISTERS.map(|register| world.register(register));
        if moved {
            before[4] = DATA + 0x40;
        }
        let flags = world.machine.flags().get();
        let seen = world.seen(code);
        assert_eq!((seen.vector, seen.code), (14, 7), "{name}");
        assert_eq!(seen.eip, if moved { CODE + 2 } else { CODE }, "{name}");
        assert_eq!(seen.eflags & 0xCD5, flags & 0xCD5, "{name}");
        // ESP of ring 3 is in the frame, above EFLAGS.
        let mut after = REGISTERS.map(|register| world.register(register));
        after[4] = world.peek32(world.register(Register::Esp) + 16);
        assert_eq!(after, before, "{name}");
        assert!((0..16).all(|i| world.peek32(DATA + 4 * i) == 0), "{name}");
    }
}

#[test]
fn instructions_that_only_read_do_not_fault_on_a_read_only_page() {
    // cmp, test, bt by register, bt by immediate, push [esi], imul, movzx, cmovne, lodsd, scasb, cmpsb, arpl that does not raise
    let cases: [&[u8]; 12] = [
        &[0x39, 0x06],
        &[0x85, 0x06],
        &[0x0F, 0xA3, 0x06],
        &[0x0F, 0xBA, 0x26, 3],
        &[0xFF, 0x36],
        &[0x0F, 0xAF, 0x06],
        &[0x0F, 0xB6, 0x06],
        &[0x0F, 0x45, 0x06],
        &[0xAD],
        &[0xAE],
        &[0xA6],
        &[0x63, 0x06],
    ];
    for code in cases {
        let mut world = world(false);
        world.machine.set_register(Register::Esi, DATA + 0x40);
        world.machine.set_register(Register::Edi, DATA + 0x40);
        let seen = world.seen(&[code, &[0xF4]].concat());
        assert_eq!((seen.vector, seen.eip), (13, CODE + code.len() as u32), "{code:02X?}");
    }
}

#[test]
fn a_conditional_move_reads_its_operand_whatever_the_condition() {
    let mut world = world(true);
    world.machine.set_register(Register::Esi, DATA + 0x1000);
    // cmovc eax, [esi], with CF clear
    let seen = world.seen(&[0x0F, 0x42, 0x06]);
    assert_eq!((seen.vector, seen.code), (14, 4));
}

#[test]
fn a_repeated_instruction_stops_where_the_page_ends() {
    /// Name, instruction; bytes an element, error code; whether ESI and EDI move.
    type Repeated = (&'static str, &'static [u8], u32, u32, bool, bool);
    let cases: [Repeated; 7] = [
        ("rep movsd", &[0xF3, 0xA5], 4, 6, true, true),
        ("rep movsb", &[0xF3, 0xA4], 1, 6, true, true),
        ("rep stosw", &[0x66, 0xF3, 0xAB], 2, 6, false, true),
        ("rep stosd", &[0xF3, 0xAB], 4, 6, false, true),
        ("repe scasb", &[0xF3, 0xAE], 1, 4, false, true),
        ("repe cmpsd", &[0xF3, 0xA7], 4, 4, true, true),
        ("rep lodsb", &[0xF3, 0xAC], 1, 4, true, false),
    ];
    for (name, code, size, error, source, destination) in cases {
        let mut world = world(true);
        let (count, done) = (100, 10);
        let (from, to) = (DATA + 0x800, DATA + 0x1000 - done * size);
        let esi = if destination { from } else { to };
        world.machine.set_register(Register::Esi, esi);
        world.machine.set_register(Register::Edi, to);
        world.machine.set_register(Register::Ecx, count);
        world.machine.set_register(Register::Eax, 0);
        let seen = world.seen(code);
        assert_eq!((seen.vector, seen.code, seen.eip), (14, error, CODE), "{name}");
        assert_eq!(world.core().cr2, u64::from(DATA + 0x1000), "{name}");
        assert_eq!(world.register(Register::Ecx), count - done, "{name}");
        let moved = |on: bool| if on { done * size } else { 0 };
        assert_eq!(world.register(Register::Esi), esi + moved(source), "{name}");
        assert_eq!(world.register(Register::Edi), to + moved(destination), "{name}");
    }
}

#[test]
fn a_repeated_instruction_downwards_stops_where_the_page_begins() {
    let mut world = world(true);
    world.map(DATA - 0x1000, DATA - 0x1000 | 7);
    world.map(DATA, 0);
    world.map(DATA + 0x1000, DATA + 0x1000 | 7);
    world.poke(CODE, &[0xFD, 0xF3, 0xAA]);
    world.machine.set_register(Register::Edi, DATA + 0x1004);
    world.machine.set_register(Register::Ecx, 50);
    let seen = world.seen(&[0xFD, 0xF3, 0xAA]);
    assert_eq!((seen.vector, seen.code, seen.eip), (14, 6, CODE + 1));
    assert_eq!(world.core().cr2, u64::from(DATA + 0xFFF));
    assert_eq!((world.register(Register::Ecx), world.register(Register::Edi)), (45, DATA + 0xFFF));
}

#[test]
fn a_zero_count_touches_no_memory() {
    let mut world = world(true);
    world.machine.set_register(Register::Edi, 0xDEAD_0000);
    world.machine.set_register(Register::Ecx, 0);
    let seen = world.seen(&[0xF3, 0xAB, 0xF3, 0xA6, 0xF4]);
    assert_eq!((seen.vector, seen.eip), (13, CODE + 4));
    assert_eq!(world.register(Register::Edi), 0xDEAD_0000);
}

#[test]
fn a_repeated_comparison_that_faults_restores_the_flags() {
    for (code, first) in [([0xF3, 0xAE], 0), ([0xF2, 0xA6], 1)] {
        let mut world = world(true);
        world.core().flags.set(0x8D7);
        world.poke(DATA + 0xFF0, &[first; 16]);
        world.machine.set_register(Register::Esi, CODE + 0x800);
        world.machine.set_register(Register::Edi, DATA + 0xFF0);
        world.machine.set_register(Register::Ecx, 100);
        world.machine.set_register(Register::Eax, 0);
        let seen = world.seen(&code);
        assert_eq!((seen.vector, seen.eip, seen.eflags & 0x8D7), (14, CODE, 0x8D7));
        assert_eq!(world.register(Register::Ecx), 84);
    }
}

#[test]
fn where_both_operands_of_a_string_instruction_fault_one_is_first() {
    let (source, destination) = (DATA + 0x1100, DATA + 0x1200);
    for (code, first) in [(0xA6, destination), (0xA4, source)] {
        let mut world = world(true);
        world.machine.set_register(Register::Esi, source);
        world.machine.set_register(Register::Edi, destination);
        let seen = world.seen(&[code]);
        assert_eq!((seen.vector, seen.code), (14, 4));
        assert_eq!(world.core().cr2, u64::from(first));
    }
}

#[test]
fn enter_tries_a_write_at_the_end_of_its_frame() {
    let mut world = world(true);
    let esp = DATA + 0x2010;
    world.machine.set_register(Register::Esp, esp);
    world.machine.set_register(Register::Ebp, 0x1234);
    let seen = world.seen(&[0xC8, 0, 1, 0]);
    assert_eq!((seen.vector, seen.code, seen.eip), (14, 6, CODE));
    assert_eq!(world.core().cr2, u64::from(esp - 4 - 0x100));
    assert_eq!(world.register(Register::Ebp), 0x1234);
    assert_eq!(world.peek32(STACK_0 - 8), esp, "ESP as it was");
}

#[test]
fn pops_that_fault_leave_esp() {
    // pop eax; popa; ret; leave; pop [esi] with the store failing
    let cases: [(&[u8], u32, u32, u32); 5] = [
        (&[0x58], DATA + 0x1000, DATA, 4),
        (&[0x61], DATA + 0x1000 - 12, DATA, 4),
        (&[0xC3], DATA + 0xFFE, DATA, 4),
        (&[0xC9], DATA + 0x10, DATA + 0xFFE, 4),
        (&[0x8F, 0x06], DATA + 0x10, DATA, 6),
    ];
    for (code, esp, ebp, error) in cases {
        let mut world = world(true);
        world.machine.set_register(Register::Esp, esp);
        world.machine.set_register(Register::Ebp, ebp);
        world.machine.set_register(Register::Esi, DATA + 0x1000);
        let seen = world.seen(code);
        assert_eq!((seen.vector, seen.code, seen.eip), (14, error, CODE), "{code:02X?}");
        assert_eq!(world.peek32(world.register(Register::Esp) + 16), esp, "{code:02X?}");
        assert_eq!(world.register(Register::Ebp), ebp, "{code:02X?}");
    }
}

#[test]
fn divide_errors_point_at_the_instruction() {
    // div cl; idiv ecx; aam 0; and a quotient that does not fit
    for code in [&[0xF6, 0xF1][..], &[0xF7, 0xF9], &[0xD4, 0]] {
        let mut world = World::new();
        world.machine.set_register(Register::Ecx, 0);
        let seen = world.seen(code);
        assert_eq!((seen.vector, seen.eip), (0, CODE), "{code:02X?}");
    }
    let mut world = World::new();
    world.machine.set_register(Register::Eax, 0x8000_0000);
    world.machine.set_register(Register::Edx, 0xFFFF_FFFF);
    world.machine.set_register(Register::Ecx, 0xFFFF_FFFF);
    assert_eq!(world.seen(&[0xF7, 0xF9]).vector, 0);
    assert_eq!(world.register(Register::Eax), 0x8000_0000);
}

#[test]
fn what_is_no_instruction_is_an_invalid_opcode() {
    // ud2; lock add eax, ecx; lock mov; lea of a register; mov cs, ax; an unknown opcode
    let codes: [&[u8]; 6] =
        [&[0x0F, 0x0B], &[0xF0, 0x01, 0xC8], &[0xF0, 0x89, 0x06], &[0x8D, 0xC0], &[0x8E, 0xC8], &[0x0F, 0x04]];
    for code in codes {
        let mut world = World::new();
        let seen = world.seen(code);
        assert_eq!((seen.vector, seen.eip), (6, CODE), "{code:02X?}");
    }
    let mut world = World::new();
    assert_eq!(world.run(&[0x90, 0xF4]), Exit::Halted);
    assert!(world.frame().is_none());
}
