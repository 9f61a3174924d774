//! Delivery and return, against what a real processor was measured to do and what the manual says.

use super::super::core::seg;
use super::super::fault::Exit;
use super::super::flags::{self, NT, RF, TF, VM};
use super::super::gate::Gate;
use super::super::machine::Register;
use super::super::segment::Selector;
use super::super::testing::*;

/// The GDT of a 64-bit Linux, in which the faults of [`MEASURED`] were taken.
fn linux_tables(world: &mut World) {
    world.gdt(0x10, flat(0x9B));
    world.gdt(0x18, flat(0x93));
    world.gdt(0x20, flat(0xFB));
    world.gdt(0x28, flat(0xF3));
    for register in [seg::ES, seg::DS, seg::FS, seg::GS, seg::SS] {
        world.core().segs[register as usize].selector.0 = 0x2B;
    }
    world.core().segs[seg::CS as usize].selector.0 = 0x23;
    // The kernel's own frames: handlers run on CS 10 and SS 18.
    for vector in 0..=255 {
        world.idt(vector, gate(0x8E, 0x10, handler(vector), 0));
    }
    world.poke32(TSS + 8, 0x18);
    world.idt(3, gate(0xEE, 0x10, handler(3), 0));
}

/// Code, dwords on the stack, vector, error code.
type Measured = (&'static str, &'static [u8], &'static [u32], u8, u32);

/// What an Intel processor of family 6 was seen to deliver from ring 3.
const MEASURED: &[Measured] = &[
    ("int 30h, gate of DPL 0", &[0xCD, 0x30], &[], 13, 0x182),
    ("int 2Eh, gate of DPL 0", &[0xCD, 0x2E], &[], 13, 0x172),
    ("int 0Dh", &[0xCD, 0x0D], &[], 13, 0x6A),
    ("int FFh", &[0xCD, 0xFF], &[], 13, 0x7FA),
    ("hlt", &[0xF4], &[], 13, 0),
    ("cli", &[0xFA], &[], 13, 0),
    ("in al, 60h", &[0xE4, 0x60], &[], 13, 0),
    ("rdmsr", &[0x0F, 0x32], &[], 13, 0),
    ("wrmsr", &[0x0F, 0x30], &[], 13, 0),
    ("lidt [eax]", &[0x0F, 0x01, 0x18], &[], 13, 0),
    ("ltr ax", &[0x0F, 0x00, 0xD8], &[], 13, 0),
    ("mov cr0, eax", &[0x0F, 0x22, 0xC0], &[], 13, 0),
    ("sysexit", &[0x0F, 0x35], &[], 13, 0),
    ("syscall", &[0x0F, 0x05], &[], 6, 0),
    ("swapgs", &[0x0F, 0x01, 0xF8], &[], 6, 0),
    ("mov ds, 0; mov eax, [edi]", &[0x31, 0xC0, 0x8E, 0xD8, 0x8B, 0x07], &[], 13, 0),
    ("read of a page that is not there", &[0xA1, 0, 0, 0, 0], &[], 14, 4),
    ("write to it", &[0xA3, 0, 0, 0, 0], &[], 14, 6),
    ("iretd to CS 10", &[0xCF], &[CODE, 0x10, 0x202], 13, 0x10),
    ("iretd to CS 3", &[0xCF], &[CODE, 3, 0x202], 13, 0),
    ("iretd to a data segment", &[0xCF], &[CODE, 0x2B, 0x202], 13, 0x28),
    ("iretd beyond the table", &[0xCF], &[CODE, 0x7FB, 0x202], 13, 0x7F8),
    ("jmp far 3:0", &[0xEA, 0, 0, 0, 0, 3, 0], &[], 13, 0),
    ("call far 10:0", &[0x9A, 0, 0, 0, 0, 0x10, 0], &[], 13, 0x10),
    ("mov ds, 18h", &[0xB8, 0x18, 0, 0, 0, 0x8E, 0xD8], &[], 13, 0x18),
    ("mov ds, 7F8h", &[0xB8, 0xF8, 7, 0, 0, 0x8E, 0xD8], &[], 13, 0x7F8),
    ("mov ss, 0", &[0x31, 0xC0, 0x8E, 0xD0], &[], 13, 0),
    ("mov ss, 28h", &[0xB8, 0x28, 0, 0, 0, 0x8E, 0xD0], &[], 13, 0x28),
];

#[test]
fn faults_measured_on_a_processor() {
    for (what, code, stack, vector, error) in MEASURED {
        let mut world = World::new();
        world.ring(3);
        linux_tables(&mut world);
        world.page(STACK_3 - 0x1000);
        world.stack(stack);
        let seen = world.seen(code);
        assert_eq!((seen.vector, seen.code), (*vector, *error), "{what}");
        assert_eq!(seen.eflags & RF, RF, "{what}: RF in the image");
        assert_eq!(seen.cs, 0x23, "{what}");
        // The faulting instruction is the last of each.
        let last = code.len() as u32 - instruction_len(code);
        assert_eq!(seen.eip, CODE + last, "{what}: saved EIP");
        assert_eq!(world.register(Register::Esp), STACK_0 - if *vector == 6 { 20 } else { 24 }, "{what}");
        assert_eq!(world.machine.flags().get() & (TF | NT | RF | VM | flags::IF), 0, "{what}");
    }
}

/// Length of the last instruction of `code`.
fn instruction_len(code: &[u8]) -> u32 {
    let mut decoder = iced_x86::Decoder::new(32, code, iced_x86::DecoderOptions::NONE);
    decoder.iter().last().map_or(0, |instruction| instruction.len() as u32)
}

#[test]
fn every_measured_fault_follows_the_check_that_failed() {
    use super::super::observe::{Check, Event};

    for (what, code, stack, vector, _) in MEASURED {
        // No check of the protection mechanism: what does not exist, and what paging says.
        if [6, 14].contains(vector) {
            continue;
        }
        let mut world = World::new();
        world.ring(3);
        linux_tables(&mut world);
        world.page(STACK_3 - 0x1000);
        world.stack(stack);
        world.poke(CODE, code);
        world.core().ip = u64::from(CODE);
        world.machine.observe();
        let events = loop {
            assert_eq!(world.machine.step(), Ok(()), "{what}");
            let events = world.machine.events();
            if let Some(end) = events.iter().position(|event| matches!(event, Event::Exception(_))) {
                break events[..end].to_vec();
            }
        };
        let failed = |event: &Event| matches!(event, Event::Check(Check { holds: false, .. }));
        assert!(events.last().is_some_and(failed), "{what}: {events:?}");
        assert_eq!(events.iter().filter(|event| failed(event)).count(), 1, "{what}");
    }
}

#[test]
fn traps_save_the_next_instruction_and_no_rf() {
    for (what, code, vector) in [("int3", [0xCC, 0x90], 3), ("int1", [0xF1, 0x90], 1), ("int 3", [0xCD, 3], 3)] {
        let mut world = World::new();
        world.idt(3, gate(0xEE, CODE_0, handler(3), 0));
        world.ring(3);
        let seen = world.seen(&code);
        assert_eq!(seen.vector, vector, "{what}");
        assert_eq!(seen.eip, CODE + instruction_len(&code[..1]).max(u32::from(code[0] == 0xCD) * 2), "{what}");
        assert_eq!(seen.eflags & RF, 0, "{what}");
    }
}

#[test]
fn into_and_bound() {
    let mut world = World::new();
    world.idt(4, gate(0xEE, CODE_0, handler(4), 0));
    world.ring(3);
    // mov al, 7Fh; inc al; into
    let seen = world.seen(&[0xB0, 0x7F, 0xFE, 0xC0, 0xCE]);
    assert_eq!((seen.vector, seen.eip, seen.eflags & RF), (4, CODE + 5, 0));
    // xor al, al; into; ud2: goes on.
    let mut world = World::new();
    assert_eq!(world.seen(&[0x30, 0xC0, 0xCE, 0x0F, 0x0B]).vector, 6);
    for (index, vector) in [(-2i32, 5), (-1, 6), (7, 6), (8, 5)] {
        let mut world = World::new();
        world.ring(3);
        world.poke32(DATA, -1i32 as u32);
        world.poke32(DATA + 4, 7);
        world.machine.set_register(Register::Eax, index as u32);
        // bound eax, [DATA]; ud2
        let seen = world.seen(&[0x62, 0x05, 0, 0xA0, 0, 0, 0x0F, 0x0B]);
        assert_eq!((seen.vector, seen.eflags & RF), (vector, RF), "{index}");
    }
}

/// Each check of a gate, in the manual's order: what is put into the tables, what `int 80h` from ring 3 then gives.
#[test]
fn the_checks_of_a_gate() {
    type Prepare = fn(&mut World);
    const INT: u32 = 0x80 * 8 + 2;
    let cases: &[(&str, Prepare, u8, u32)] = &[
        ("beyond the IDT", |w| w.core().idtr.limit = 0x3FF, 13, INT),
        ("no gate type", |w| w.idt(0x80, gate(0xE2, CODE_0, 0, 0)), 13, INT),
        ("a segment's type", |w| w.idt(0x80, gate(0xFE, CODE_0, 0, 0)), 13, INT),
        ("DPL", |w| w.idt(0x80, gate(0x8E, CODE_0, 0, 0)), 13, INT),
        ("DPL before presence", |w| w.idt(0x80, gate(0x0E, CODE_0, 0, 0)), 13, INT),
        ("not present", |w| w.idt(0x80, gate(0x6E, CODE_0, 0, 0)), 11, INT),
        ("null CS", |w| w.idt(0x80, gate(0xEE, 3, 0, 0)), 13, 0),
        ("CS beyond the GDT", |w| w.idt(0x80, gate(0xEE, 0x83, 0, 0)), 13, 0x80),
        ("CS in no LDT", |w| w.idt(0x80, gate(0xEE, 0x0F, 0, 0)), 13, 0x0C),
        ("CS is data", |w| w.idt(0x80, gate(0xEE, DATA_0, 0, 0)), 13, 0x10),
        ("CS not present", |w| free_code(w, flat(0x1B)), 11, 0x50),
        ("task too short", |w| w.core().segs[seg::TR as usize].limit = 0x10, 10, 0x28),
        ("null SS", |w| w.poke32(TSS + 0x10, 2), 10, 0),
        ("SS beyond the GDT", |w| w.poke32(TSS + 0x10, 0x81), 10, 0x80),
        ("RPL of SS", |w| w.poke32(TSS + 0x10, 0x40), 10, 0x40),
        ("DPL of SS", |w| w.poke32(TSS + 0x10, 0x11), 10, 0x10),
        ("SS is code", |w| w.poke32(TSS + 0x10, 0x39), 10, 0x38),
        ("SS can't be written", |w| w.gdt(DATA_1, flat(0xB1)), 10, 0x40),
        ("SS not present", |w| w.gdt(DATA_1, flat(0x33)), 12, 0x40),
        ("no room on the stack", |w| w.gdt(DATA_1, system(0xB3, 0, STACK_1 - 8) | 1 << 54), 12, 0x40),
        ("EIP beyond CS", |w| free_code(w, system(0xBB, 0, 0xFF) | 1 << 54), 13, 0),
    ];
    for (what, prepare, vector, error) in cases {
        let mut world = World::new();
        // By default a gate to ring 1, so that a fault in it still finds the ring 0 stack in order.
        world.idt(0x80, gate(0xEE, CODE_1, CODE, 0));
        world.ring(3);
        prepare(&mut world);
        let seen = world.seen(&[0xCD, 0x80]);
        assert_eq!((seen.vector, seen.code), (*vector, *error), "{what}");
        assert_eq!((seen.eip, seen.eflags & RF), (CODE, RF), "{what}");
    }
}

fn free_code(world: &mut World, descriptor: u64) {
    world.gdt(FREE, descriptor);
    world.idt(0x80, gate(0xEE, FREE, 0x1000, 0));
}

#[test]
fn a_conforming_handler_runs_at_the_level_it_was_called_from() {
    let mut world = World::new();
    world.idt(0x80, gate(0xEE, CONFORMING, CODE + 8, 0));
    world.ring(3);
    // int 80h; at CODE + 8: ud2
    let seen = world.seen(&[0xCD, 0x80, 0x90, 0x90, 0x90, 0x90, 0x90, 0x90, 0x0F, 0x0B]);
    assert_eq!((seen.vector, seen.eip, seen.cs), (6, CODE + 8, u32::from(CONFORMING) | 3));
    assert_eq!(world.peek32(STACK_3 - 12), CODE + 2);
}

#[test]
fn interrupt_gates_clear_if_and_trap_gates_do_not() {
    for (kind, kept) in [(0xEE, 0), (0xEF, flags::IF)] {
        let mut world = World::new();
        world.idt(0x80, gate(kind, CODE_0, handler(0x80), 0));
        world.ring(3);
        world.core().flags.set(flags::IF | flags::DF | flags::AC | 1);
        let seen = world.seen(&[0xCD, 0x80]);
        assert_eq!(seen.eflags, flags::IF | flags::DF | flags::AC | 3);
        assert_eq!(world.machine.flags().get(), kept | flags::DF | flags::AC | 3);
    }
}

#[test]
fn a_16_bit_gate_pushes_words() {
    let mut world = World::new();
    world.idt(0x80, gate(0xE6, CODE_0, handler(0x80) | 0xFFFF_0000, 0));
    world.ring(3);
    assert_eq!(world.run(&[0xCD, 0x80]), Exit::Halted);
    assert_eq!(world.register(Register::Esp), STACK_0 - 10);
    assert_eq!(world.peek32(STACK_0 - 10), (CODE + 2) | (u32::from(CODE_3) << 16));
    assert_eq!(world.peek32(STACK_0 - 4), STACK_3 | u32::from(DATA_3) << 16);
}

#[test]
fn a_fault_in_delivery_has_ext_and_leaves_no_half_frame() {
    // #UD, but the stack of ring 1 lies on a page that is not there: #PF with supervisor rights, then nothing is changed.
    let mut world = World::new();
    world.idt(6, gate(0x8E, CODE_1, handler(6), 0));
    world.ring(3);
    world.page(STACK_3 - 0x1000);
    world.map(STACK_1 - 0x800, 0);
    world.poke32(TSS + 0xC, STACK_1 - 0x800 + 8);
    world.poke32(STACK_1 - 0x800, 0x5555_5555);
    let seen = world.seen(&[0x0F, 0x0B]);
    assert_eq!((seen.vector, seen.code, seen.eip, seen.cs), (14, 2, CODE, u32::from(CODE_3)));
    assert_eq!(world.core().cr2, u64::from(STACK_1 - 0x800 + 4), "the first push");
    assert_eq!(world.peek32(STACK_1 - 0x800), 0x5555_5555);
    // A gate that is not there: #NP with EXT.
    let mut world = World::new();
    world.idt(6, 0x0000_0E00_0008_0000);
    world.ring(3);
    let seen = world.seen(&[0x0F, 0x0B]);
    assert_eq!((seen.vector, seen.code), (11, 6 * 8 + 2 + 1));
}

#[test]
fn double_and_triple_faults() {
    let not_there = 0x0000_0E00_0008_0000;
    /// Vectors without a gate, code to run, expected vector.
    type Case = (&'static str, &'static [u8], &'static [u8], Option<u8>);
    let cases: &[Case] = &[
        ("#GP, then #NP", &[13], &[0xF4], Some(8)),
        ("#DE, then #NP", &[0], &[0xF6, 0xF1], Some(8)),
        ("#UD is benign", &[6], &[0x0F, 0x0B], Some(11)),
        ("INT n is benign", &[0x80], &[0xCD, 0x80], Some(13)),
        ("#PF, then #NP", &[14], &[0xA1, 0, 0, 0, 0], Some(8)),
        ("#UD, #NP, #NP", &[6, 11], &[0x0F, 0x0B], Some(8)),
        ("#DF has none either", &[13, 8], &[0xF4], None),
    ];
    for (what, missing, code, vector) in cases {
        let mut world = World::new();
        world.ring(3);
        world.page(STACK_3 - 0x1000);
        for vector in *missing {
            world.idt(*vector, not_there);
        }
        let exit = world.run(code);
        match vector {
            Some(vector) => {
                let seen = world.frame().unwrap();
                assert_eq!((exit, seen.vector, seen.eip), (Exit::Halted, *vector, CODE), "{what}");
                assert_eq!(
                    seen.code,
                    if *vector == 11 {
                        6 * 8 + 3
                    } else if *vector == 13 {
                        0x402
                    } else {
                        0
                    },
                    "{what}"
                );
            }
            None => assert_eq!(exit, Exit::TripleFault { address: u64::from(CODE) }, "{what}"),
        }
    }
}

#[test]
fn a_contributory_fault_then_a_page_fault_is_served_in_turn() {
    let mut world = World::new();
    world.idt(13, gate(0x8E, CODE_1, handler(13), 0));
    world.ring(3);
    world.page(STACK_3 - 0x1000);
    world.poke32(TSS + 0xC, 8); // ESP1: its page is not there
    let seen = world.seen(&[0xF4]);
    assert_eq!((seen.vector, seen.code), (14, 2));
}

#[test]
fn a_single_step_follows_each_instruction_and_none_follows_an_interrupt() {
    // popfd sets TF; the trap comes after the nop that follows it.
    let mut world = World::new();
    world.stack(&[TF | 2]);
    let seen = world.seen(&[0x9D, 0x90, 0x90]);
    assert_eq!((seen.vector, seen.eip, seen.eflags & (TF | RF)), (1, CODE + 2, TF));
    assert_eq!(world.core().dr[6] & 0x4000, 0x4000);
    // A repeated instruction is stepped element by element; RF tells the traps between them from the last.
    let mut world = World::new();
    world.core().flags.set(TF);
    world.machine.set_register(Register::Edi, DATA);
    world.machine.set_register(Register::Ecx, 2);
    let seen = world.seen(&[0xF3, 0xAA]);
    assert_eq!((seen.vector, seen.eip, seen.eflags & (TF | RF)), (1, CODE, TF | RF));
    assert_eq!((world.register(Register::Ecx), world.machine.flags().get() & RF), (1, 0));
    world.core().flags.set(TF);
    let seen = world.seen(&[0xF3, 0xAA]);
    assert_eq!((seen.vector, seen.eip, seen.eflags & (TF | RF)), (1, CODE + 2, TF));
    // int 80h with TF set: the handler's first instruction is not stepped.
    let mut world = World::new();
    world.idt(0x80, gate(0xEE, CODE_0, handler(0x80), 0));
    world.core().flags.set(TF);
    let seen = world.seen(&[0xCD, 0x80]);
    assert_eq!((seen.vector, seen.eflags & TF), (0x80, TF));
    // mov ss holds the trap back by one instruction.
    let mut world = World::new();
    world.core().flags.set(TF);
    world.core().regs[0] = u64::from(DATA_0);
    assert_eq!(world.seen(&[0x8E, 0xD0, 0x90, 0x90]).eip, CODE + 3);
}

#[test]
fn iretd_flags_measured_in_ring_3() {
    // IRETD, then a fault that shows EFLAGS (and sets RF in the image).
    let mut world = World::new();
    world.ring(3);
    world.core().flags.set(0x202);
    let there = CODE + 0x10;
    world.poke(there, &[0x0F, 0x0B]);
    world.stack(&[there, u32::from(CODE_3), 0x003F_7ED7]);
    let seen = world.seen(&[0xCF]);
    assert_eq!((seen.vector, seen.eip), (6, there));
    assert_eq!(seen.eflags & !RF, 0x0024_4ED7, "IOPL, VM, VIF and VIP ignored; IF stays");
    // With TF: the trap after the first instruction shows it.
    let mut world = World::new();
    world.ring(3);
    world.core().flags.set(0x202);
    world.poke(there, &[0x90]);
    world.stack(&[there, u32::from(CODE_3), 0x003F_7FD7]);
    let seen = world.seen(&[0xCF]);
    assert_eq!((seen.vector, seen.eip, seen.eflags), (1, there + 1, 0x0024_4FD7));
}

#[test]
fn popfd_flags_by_privilege() {
    // IOPL before, CPL, image -> flags read back.
    let cases = [
        (0, 3, 0x003F_7ED7, 0x0024_4ED7),
        (0, 3, 0x0000_3000, 0x0000_0202),
        (3, 3, 0x0000_0000, 0x0000_3002),
        (0, 0, 0x003F_7ED7, 0x0024_7ED7),
        (0, 0, 0, 2),
    ];
    for (iopl, cpl, image, expected) in cases {
        let mut world = World::new();
        world.ring(cpl);
        world.core().flags.set(0x202 | iopl << 12);
        world.stack(&[image]);
        let seen = world.seen(&[0x9D, 0x0F, 0x0B]);
        assert_eq!(seen.eflags & !RF, expected, "IOPL {iopl}, CPL {cpl}, image {image:08X}");
    }
}

#[test]
fn the_checks_of_iretd() {
    type Prepare = fn(&mut World);
    let user = u32::from(CODE_3);
    let data = u32::from(DATA_3);
    // From ring 0: EIP, CS, EFLAGS, ESP, SS.
    let cases: &[(&str, Prepare, [u32; 5], u8, u32)] = &[
        ("to an inner level is no return", |w| w.ring(1), [CODE, 8, 2, 0, 0], 13, 8),
        ("CS not present", |w| w.gdt(CODE_3, flat(0x7B)), [CODE, user, 2, 0, data], 11, 0x18),
        ("RPL is not DPL", |_| (), [CODE, 0x1A, 2, 0, data], 13, 0x18),
        ("conforming, DPL above RPL", |w| w.gdt(FREE, flat(0xFF)), [CODE, 0x51, 2, 0, data], 13, 0x50),
        ("null SS", |_| (), [CODE, user, 2, STACK_3, 3], 13, 0),
        ("SS beyond the GDT", |_| (), [CODE, user, 2, STACK_3, 0x83], 13, 0x80),
        ("RPL of SS", |_| (), [CODE, user, 2, STACK_3, 0x20], 13, 0x20),
        ("DPL of SS", |_| (), [CODE, user, 2, STACK_3, 0x13], 13, 0x10),
        ("SS is code", |_| (), [CODE, user, 2, STACK_3, user], 13, 0x18),
        ("SS read-only", |w| w.gdt(DATA_3, flat(0xF1)), [CODE, user, 2, STACK_3, data], 13, 0x20),
        ("SS not present", |w| w.gdt(DATA_3, flat(0x73)), [CODE, user, 2, STACK_3, data], 12, 0x20),
        (
            "EIP beyond the limit",
            |w| w.gdt(CODE_3, system(0xFB, 0, 0xFFF) | 1 << 54),
            [CODE, user, 2, STACK_3, data],
            13,
            0,
        ),
        ("the same, at this level", |w| w.gdt(FREE, system(0x9B, 0, 0xFFF) | 1 << 54), [CODE, 0x50, 2, 0, 0], 13, 0),
    ];
    for (what, prepare, stack, vector, error) in cases {
        let mut world = World::new();
        prepare(&mut world);
        world.stack(stack);
        let seen = world.seen(&[0xCF]);
        assert_eq!((seen.vector, seen.code, seen.eip), (*vector, *error, CODE), "{what}");
    }
}

#[test]
fn iretd_looks_at_cs_before_it_pops_the_outer_stack() {
    let mut world = World::new();
    world.page(0x7000);
    world.map(STACK_0, 0);
    world.stack(&[CODE, 0x83, 2]);
    let seen = world.seen(&[0xCF]);
    assert_eq!((seen.vector, seen.code, seen.eip), (13, 0x80, CODE));
}

#[test]
fn iretd_outward_drops_inner_segments_and_takes_the_flags_of_ring_0() {
    let mut world = World::new();
    let user = world.core().segs[seg::CS as usize];
    world.core().set_data_segment(seg::FS, user); // readable code of DPL 0
    world.gdt(FREE, flat(0xF3));
    world.core().load_segment(seg::GS, super::Selector(FREE)).unwrap();
    let conforming = u32::from(CONFORMING);
    world.core().load_segment(seg::ES, super::Selector(conforming as u16)).unwrap();
    world.poke(CODE + 0x10, &[0x0F, 0x0B]);
    world.stack(&[CODE + 0x10, u32::from(CODE_3), 0x3202, STACK_3, u32::from(DATA_3)]);
    let seen = world.seen(&[0xCF]);
    assert_eq!((seen.vector, seen.cs, seen.eflags), (6, u32::from(CODE_3), 0x3202 | RF));
    let selectors = [seg::ES, seg::DS, seg::FS, seg::GS].map(|s| world.core().segs[s as usize].selector.0);
    assert_eq!(selectors, [CONFORMING, 0, 0, FREE]);
    assert_eq!(world.peek32(STACK_0 - 8), STACK_3);
}

#[test]
fn iret_of_16_bits() {
    let mut world = World::new();
    world.stack(&[(CODE + 0x10) | (8 << 16), 0x0246]);
    world.poke(CODE + 0x10, &[0x0F, 0x0B]);
    let seen = world.seen(&[0x66, 0xCF]);
    assert_eq!((seen.eip, seen.eflags), (CODE + 0x10, 0x246 | RF));
    assert_eq!(world.register(Register::Esp), STACK_0 - 2 - 12);
}

#[test]
fn virtual_8086_mode_is_not_there() {
    let mut world = World::new();
    world.stack(&[0, 0, VM | 2, 0, 0, 0, 0, 0, 0]);
    assert!(matches!(world.run(&[0xCF]), Exit::Unsupported { address: 0x9000, .. }));
}

#[test]
fn a_stack_that_is_too_small_is_a_stack_fault() {
    // Ring 0, SS of 16 bytes above DATA: the third push does not fit. The #SS finds a task of its own.
    let mut world = World::new();
    world.idt(12, gate(0x85, OTHER_TASK, 0, 0));
    world.gdt(FREE, system(0x93, DATA, 15) | 1 << 54);
    world.core().load_segment(seg::SS, super::Selector(FREE)).unwrap();
    world.machine.set_register(Register::Esp, 8);
    assert_eq!(world.run(&[0x50, 0x50, 0x50]), Exit::Halted);
    assert_eq!(world.peek32(OTHER_STACK - 4), 0);
    assert_eq!(world.peek32(TSS + 0x20), CODE + 2, "EIP saved in the old task");
    assert_eq!(world.peek32(TSS + 0x24) & RF, RF);
}

#[test]
fn accessed_bits_are_set_by_delivery() {
    let mut world = World::new();
    world.gdt(CODE_1, flat(0xBA));
    world.gdt(DATA_1, flat(0xB2));
    world.idt(0x80, gate(0xEE, CODE_1, CODE + 2, 0));
    world.ring(3);
    world.seen(&[0xCD, 0x80, 0x0F, 0x0B]);
    assert_eq!((world.gdt_of(CODE_1), world.gdt_of(DATA_1)), (flat(0xBB), flat(0xB3)));
}

#[test]
fn the_bytes_of_a_gate_say_what_it_is() {
    // A published dump of entry 2Eh of a Windows 2000 IDT.
    let gate = Gate(u64::from_le_bytes([0xC0, 0x62, 0x08, 0x00, 0x00, 0xEE, 0x46, 0x80]));
    assert_eq!((gate.offset(), gate.selector(), gate.dpl(), gate.count()), (0x8046_62C0, Selector(8), 3, 0));
    assert!(gate.present() && gate.wide() && gate.is_interrupt() && !gate.is_trap() && !gate.is_task());
    let task = Gate(0x0000_8500_0050_0000);
    assert!(task.present() && task.is_task() && !task.is_interrupt() && !task.is_trap());
    assert_eq!((task.selector(), task.dpl()), (Selector(0x50), 0));
    let trap = Gate(0x0001_6F00_0008_2345);
    assert!(!trap.present() && trap.is_trap() && !trap.is_interrupt());
    assert_eq!((trap.offset(), trap.dpl()), (0x0001_2345, 3));
}
