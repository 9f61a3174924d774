//! The system instructions themselves: operands, results, and each fault that they can raise.

use super::super::super::core::seg;
use super::super::super::cpuid::Model;
use super::super::super::fault::Exit;
use super::super::super::flags::{AC, ID, ZF};
use super::super::super::machine::Register::{Eax, Ebx, Ecx, Edx, Esi, Esp};
use super::super::super::segment::Selector;
use super::super::super::testing::*;

const UD2: [u8; 2] = [0x0F, 0x0B];

/// Runs `code` and then `UD2`, which shows that it went through.
pub(super) fn passes(world: &mut World, code: &[u8]) {
    let seen = world.seen(&[code, &UD2].concat());
    assert_eq!((seen.vector, seen.eip), (6, CODE + code.len() as u32), "{code:02X?}");
}

#[test]
fn privileged_instructions_need_ring_0() {
    let cases: &[&[u8]] = &[
        &[0xF4],             // hlt
        &[0x0F, 0x06],       // clts
        &[0x0F, 0x08],       // invd
        &[0x0F, 0x09],       // wbinvd
        &[0x0F, 0x01, 0x38], // invlpg [eax]
        &[0x0F, 0x01, 0x10], // lgdt [eax]
        &[0x0F, 0x01, 0x18], // lidt [eax]
        &[0x0F, 0x00, 0xD0], // lldt ax
        &[0x0F, 0x00, 0xD8], // ltr ax
        &[0x0F, 0x01, 0xF0], // lmsw ax
        &[0x0F, 0x20, 0xC0], // mov eax, cr0
        &[0x0F, 0x22, 0xD8], // mov cr3, eax
        &[0x0F, 0x22, 0xE0], // mov cr4, eax
        &[0x0F, 0x21, 0xC0], // mov eax, dr0
        &[0x0F, 0x23, 0xF8], // mov dr7, eax
        &[0x0F, 0x32],       // rdmsr
        &[0x0F, 0x30],       // wrmsr
        &[0x0F, 0x33],       // rdpmc
    ];
    for code in cases {
        let mut world = World::new();
        world.ring(3);
        world.machine.set_register(Ecx, 0x174);
        let seen = world.seen(code);
        assert_eq!((seen.vector, seen.code, seen.eip), (13, 0, CODE), "{code:02X?}");
    }
}

#[test]
fn undefined_instructions() {
    // ud2, ud1, ud0, mov cs, mov from cr1, lgdt of a register, an AVX instruction
    let cases: [&[u8]; 6] =
        [&UD2, &[0x0F, 0xB9, 0xC0], &[0x0F, 0xFF, 0xC0], &[0x8E, 0xC8], &[0x0F, 0x20, 0xC8], &[0x0F, 0x01, 0xD0]];
    for code in cases {
        let seen = World::new().seen(code);
        assert_eq!((seen.vector, seen.eip), (6, CODE), "{code:02X?}");
    }
}

#[test]
fn what_the_model_lacks_is_undefined_and_what_the_machine_lacks_ends_the_run() {
    let cases: &[(&str, &[u8], bool)] = &[
        ("486", &[0x0F, 0xA2], false),           // cpuid
        ("486", &[0x0F, 0x31], false),           // rdtsc
        ("486", &[0x0F, 0x20, 0xE0], false),     // mov eax, cr4
        ("486", &[0x0F, 0xC7, 0x0B], false),     // cmpxchg8b [ebx]
        ("pentium", &[0x0F, 0x40, 0xC0], false), // cmovo
        ("pentium2", &[0x0F, 0x40, 0xC0], true),
        ("pentium", &[0x0F, 0xA2], true),
    ];
    for (model, code, there) in cases {
        let mut world = World::of(Model::by_name(model).unwrap());
        world.machine.set_register(Ebx, DATA);
        let seen = world.seen(&[code, &UD2[..]].concat());
        assert_eq!(seen.eip, CODE + if *there { code.len() as u32 } else { 0 }, "{model} {code:02X?}");
    }
    // fld1; emms; addps
    for (model, code, there) in [
        ("486", &[0xD9, 0xE8][..], true),
        ("486", &[0x0F, 0x77], false),
        ("core2", &[0x0F, 0x77], true),
        ("pentium2", &[0x0F, 0x58, 0xC0], false),
        ("core2", &[0x0F, 0x58, 0xC0], true),
    ] {
        let mut world = World::of(Model::by_name(model).unwrap());
        let exit = world.run(code);
        assert_eq!(matches!(exit, Exit::Unsupported { address: 0x9000, .. }), there, "{model} {code:02X?}: {exit:?}");
    }
}

#[test]
fn performance_counters_are_not_made_up() {
    let mut world = World::new();
    assert!(matches!(world.run(&[0x0F, 0x33]), Exit::Unsupported { address: 0x9000, .. }));
}

#[test]
fn loads_of_segment_registers_check_everything() {
    type Prepare = fn(&mut World);
    // DS, with the selector; prepared as ring 3.
    let cases: &[(&str, Prepare, u32, u8, u32)] = &[
        ("null", |_| (), 3, 6, 0),
        ("beyond the GDT", |_| (), 0x83, 13, 0x80),
        ("no LDT", |_| (), 0x07, 13, 0x04),
        ("a TSS", |_| (), 0x2B, 13, 0x28),
        ("inner data", |_| (), 0x10, 13, 0x10),
        ("RPL above DPL", |w| w.gdt(FREE, flat(0xB3)), 0x53, 13, 0x50),
        ("execute-only code", |w| w.gdt(FREE, flat(0xF9)), 0x53, 13, 0x50),
        ("readable code", |w| w.gdt(FREE, flat(0xFB)), 0x53, 6, 0),
        ("inner readable code", |_| (), 8, 13, 8),
        ("inner conforming code", |_| (), u32::from(CONFORMING) | 3, 6, 0),
        ("not present", |w| w.gdt(FREE, flat(0x73)), 0x53, 11, 0x50),
        ("rights before presence", |w| w.gdt(FREE, flat(0x13)), 0x53, 13, 0x50),
        ("read-only data", |w| w.gdt(FREE, flat(0xF0)), 0x53, 6, 0),
    ];
    for (what, prepare, selector, vector, error) in cases {
        for code in [&[0x8E, 0xD8, 0x0F, 0x0B][..], &[0x1F, 0x0F, 0x0B], &[0xC5, 0x1D, 0, 0xA0, 0, 0, 0x0F, 0x0B]] {
            let mut world = World::new();
            world.ring(3);
            prepare(&mut world);
            world.machine.set_register(Eax, *selector);
            world.stack(&[*selector]);
            world.poke32(DATA + 4, *selector);
            let sp = world.register(Esp);
            let seen = world.seen(code);
            assert_eq!((seen.vector, seen.code), (*vector, *error), "{what} {code:02X?}");
            let popped = if code[0] == 0x1F && *vector == 6 { 4 } else { 0 };
            let at = world.register(Esp);
            let saved_esp = world.peek32(at + if *vector == 6 { 12 } else { 16 });
            assert_eq!(saved_esp, sp + popped, "{what}: ESP");
            let loaded = world.core().segs[seg::DS as usize].selector.0;
            assert_eq!(loaded, if *vector == 6 { *selector as u16 } else { DATA_3 }, "{what}");
        }
    }
}

#[test]
fn loads_of_ss_check_everything() {
    type Prepare = fn(&mut World);
    let cases: &[(&str, Prepare, u32, u8, u32)] = &[
        ("null", |_| (), 0, 13, 0),
        ("beyond the GDT", |_| (), 0x83, 13, 0x80),
        ("RPL", |_| (), 0x20, 13, 0x20),
        ("DPL", |_| (), 0x13, 13, 0x10),
        ("code", |_| (), 0x1B, 13, 0x18),
        ("read-only", |w| w.gdt(FREE, flat(0xF1)), 0x53, 13, 0x50),
        ("not present", |w| w.gdt(FREE, flat(0x73)), 0x53, 12, 0x50),
        ("fine", |w| w.gdt(FREE, flat(0xF2)), 0x53, 6, 0),
    ];
    for (what, prepare, selector, vector, error) in cases {
        let mut world = World::new();
        world.ring(3);
        prepare(&mut world);
        world.machine.set_register(Eax, *selector);
        let seen = world.seen(&[0x8E, 0xD0, 0x0F, 0x0B]);
        assert_eq!((seen.vector, seen.code), (*vector, *error), "{what}");
        if *vector == 6 {
            assert_eq!(world.gdt_of(FREE), flat(0xF3), "accessed bit");
        }
    }
}

#[test]
fn segment_registers_are_read_with_zeroes_above() {
    let mut world = World::new();
    for register in [Eax, Ebx] {
        world.machine.set_register(register, u32::MAX);
    }
    world.poke32(DATA, u32::MAX);
    // mov eax, ds; mov bx, ds; mov [DATA], ds; push ds; push fs (16 bits)
    passes(&mut world, &[0x8C, 0xD8, 0x66, 0x8C, 0xDB, 0x8C, 0x1D, 0, 0xA0, 0, 0, 0x1E, 0x66, 0x0F, 0xA0]);
    assert_eq!((world.register(Eax), world.register(Ebx)), (0x10, 0xFFFF_0010));
    assert_eq!((world.peek32(DATA), world.peek32(STACK_0 - 4)), (0xFFFF_0010, 0x10));
    assert_eq!(world.register(Esp), STACK_0 - 6 - 12);
}

#[test]
fn a_new_base_is_seen_by_the_next_instruction_of_the_same_block() {
    let mut world = World::new();
    world.gdt(FREE, system(0x93, DATA, 0xFFF) | 1 << 54);
    world.poke32(DATA + 8, 0x1234_5678);
    world.machine.set_register(Eax, u32::from(FREE));
    // mov ds, ax; mov ecx, [8]
    passes(&mut world, &[0x8E, 0xD8, 0x8B, 0x0D, 8, 0, 0, 0]);
    assert_eq!(world.register(Ecx), 0x1234_5678);
}

#[test]
fn tables_are_loaded_and_stored() {
    let mut world = World::new();
    world.poke32(DATA, 0xA000_01FF);
    world.poke32(DATA + 4, 0x1234);
    // sgdt [DATA+16]; lidt [DATA]; sidt [DATA+32]; 16 bits: lidt [DATA]; sidt [DATA+48]
    let code = [
        &[0x0F, 0x01, 0x05, 0x10, 0xA0, 0, 0][..],
        &[0x0F, 0x01, 0x1D, 0x00, 0xA0, 0, 0],
        &[0x0F, 0x01, 0x0D, 0x20, 0xA0, 0, 0],
        &[0x66, 0x0F, 0x01, 0x1D, 0x00, 0xA0, 0, 0],
        &[0xE6, 0xF4],
    ];
    assert_eq!(world.run(&code.concat()), Exit::Port(0));
    assert_eq!((world.peek32(DATA + 16), world.peek32(DATA + 20)), (0x1000_007F, 0));
    assert_eq!((world.peek32(DATA + 32), world.peek32(DATA + 36)), (0xA000_01FF, 0x1234));
    assert_eq!(world.machine.tables().1.base, 0x0034_A000 & 0x00FF_FFFF);
    // In ring 3 SGDT and SIDT are allowed, and fault as a whole.
    let mut world = World::new();
    world.ring(3);
    world.page(STACK_3 - 0x1000);
    world.poke32(0xAFFC, 0x5555_5555);
    world.map(0xB000, 0);
    let seen = world.seen(&[0x0F, 0x01, 0x05, 0xFC, 0xAF, 0, 0]);
    assert_eq!((seen.vector, seen.code, world.peek32(0xAFFC)), (14, 6, 0x5555_5555));
}

#[test]
fn lldt_and_ltr_check_their_descriptors() {
    let ldt = system(0x82, DATA, 0xF);
    let cases: &[(&str, u8, u64, u32, u8, u32)] = &[
        ("lldt null", 0xD0, 0, 0, 6, 0),
        ("lldt local", 0xD0, ldt, 0x54, 13, 0x54),
        ("lldt beyond", 0xD0, ldt, 0x80, 13, 0x80),
        ("lldt of a TSS", 0xD0, system(0x89, 0, 0x67), 0x50, 13, 0x50),
        ("lldt not present", 0xD0, system(0x02, DATA, 0xF), 0x50, 11, 0x50),
        ("lldt", 0xD0, ldt, 0x50, 6, 0),
        ("ltr null", 0xD8, 0, 0, 13, 0),
        ("ltr local", 0xD8, ldt, 0x54, 13, 0x54),
        ("ltr beyond", 0xD8, ldt, 0x80, 13, 0x80),
        ("ltr of an LDT", 0xD8, ldt, 0x50, 13, 0x50),
        ("ltr busy", 0xD8, system(0x8B, OTHER_TSS, 0x67), 0x50, 13, 0x50),
        ("ltr not present", 0xD8, system(0x09, OTHER_TSS, 0x67), 0x50, 11, 0x50),
        ("ltr", 0xD8, system(0x89, OTHER_TSS, 0x67), 0x50, 6, 0),
    ];
    for (what, modrm, descriptor, selector, vector, error) in cases {
        let mut world = World::new();
        world.gdt(FREE, *descriptor);
        world.machine.set_register(Eax, *selector);
        let seen = world.seen(&[0x0F, 0x00, *modrm, 0x0F, 0x0B]);
        assert_eq!((seen.vector, seen.code), (*vector, *error), "{what}");
        if *vector == 6 && *modrm == 0xD8 {
            assert_eq!(world.gdt_of(FREE) >> 40 & 0xFF, 0x8B, "busy");
        }
    }
    // A selector of the LDT is then usable; sldt and str give them back.
    let mut world = World::new();
    world.gdt(FREE, ldt);
    world.poke(DATA + 8, &flat(0x93).to_le_bytes());
    world.machine.set_register(Eax, 0x50);
    world.machine.set_register(Ebx, 0x0C);
    passes(&mut world, &[0x0F, 0x00, 0xD0, 0x8E, 0xEB, 0x0F, 0x00, 0xC1, 0x0F, 0x00, 0xCA]);
    assert_eq!((world.register(Ecx), world.register(Edx)), (0x50, u32::from(TASK)));
    assert_eq!(world.core().segs[seg::GS as usize].selector, Selector(0x0C));
}

/// Whether ZF is set after `code`, and EAX, which begins as 5555_5555h.
fn query(world: &mut World, code: &[u8], selector: u32) -> (bool, u32) {
    world.machine.set_register(Eax, 0x5555_5555);
    world.machine.set_register(Ebx, selector);
    let seen = world.seen(&[code, &UD2].concat());
    assert_eq!((seen.vector, seen.eip), (6, CODE + code.len() as u32), "{code:02X?} {selector:X}");
    (seen.eflags & ZF != 0, world.register(Eax))
}

#[test]
fn lar_lsl_verr_and_verw() {
    const NO: u32 = 0x5555_5555;
    /// Selector, CPL, descriptor at FREE: LAR and LSL (NO where ZF stays clear), VERR, VERW.
    type Case = (&'static str, u32, u8, u64, u32, u32, bool, bool);
    let cases: &[Case] = &[
        ("null", 3, 0, 0, NO, NO, false, false),
        ("beyond", 0x80, 0, 0, NO, NO, false, false),
        ("data", 0x50, 0, flat(0x93), 0x00C0_9300, u32::MAX, true, true),
        ("read-only", 0x50, 0, flat(0x91), 0x00C0_9100, u32::MAX, true, false),
        ("bytes", 0x50, 0, system(0x93, 0, 0x1234) | 1 << 54, 0x0040_9300, 0x1234, true, true),
        ("code", 0x50, 0, flat(0x9B), 0x00C0_9B00, u32::MAX, true, false),
        ("execute-only", 0x50, 0, flat(0x99), 0x00C0_9900, u32::MAX, false, false),
        ("inner, from ring 3", 0x50, 3, flat(0x93), NO, NO, false, false),
        ("RPL", 0x53, 0, flat(0x93), NO, NO, false, false),
        ("conforming, from ring 3", 0x53, 3, flat(0x9F), 0x00C0_9F00, u32::MAX, true, false),
        ("not present", 0x50, 0, flat(0x13), 0x00C0_1300, u32::MAX, true, true),
        ("TSS", 0x50, 0, system(0x89, 0, 0x67), 0x8900, 0x67, false, false),
        ("LDT", 0x50, 0, system(0x82, 0, 0xF), 0x8200, 0xF, false, false),
        ("call gate", 0x50, 0, gate(0x8C, 8, 0, 0), 0x8C00, NO, false, false),
        ("task gate", 0x50, 0, gate(0x85, 8, 0, 0), 0x8500, NO, false, false),
        ("interrupt gate", 0x50, 0, gate(0x8E, 8, 0, 0), NO, NO, false, false),
        ("type 0", 0x50, 0, system(0x80, 0, 0), NO, NO, false, false),
    ];
    for (what, selector, cpl, descriptor, rights, limit, readable, writable) in cases {
        let of = |code: &[u8]| {
            let mut world = World::new();
            world.gdt(FREE, *descriptor);
            world.ring(*cpl);
            query(&mut world, code, *selector)
        };
        assert_eq!(of(&[0x0F, 0x02, 0xC3]), (*rights != NO, *rights), "lar: {what}");
        assert_eq!(of(&[0x0F, 0x03, 0xC3]), (*limit != NO, *limit), "lsl: {what}");
        assert_eq!(of(&[0x0F, 0x00, 0xE3]).0, *readable, "verr: {what}");
        assert_eq!(of(&[0x0F, 0x00, 0xEB]).0, *writable, "verw: {what}");
    }
}

#[test]
fn arpl_raises_the_rpl() {
    for (a, b, after, zf) in [(0x50, 3, 0x53, true), (0x53, 0, 0x53, false), (0x52, 2, 0x52, false)] {
        let mut world = World::new();
        world.machine.set_register(Ecx, a);
        assert_eq!(query(&mut world, &[0x63, 0xD9], b).0, zf);
        assert_eq!(world.register(Ecx), after);
        let mut world = World::new();
        world.poke32(DATA, a | 0x7777_0000);
        assert_eq!(query(&mut world, &[0x63, 0x1D, 0, 0xA0, 0, 0], b).0, zf);
        assert_eq!(world.peek32(DATA), after | 0x7777_0000);
    }
}

#[test]
fn control_registers() {
    // mov cr0, eax: what is refused.
    for (value, vector) in [(0x8000_0010u32, 13), (0x2000_0011, 13), (0x11, 6), (0x0005_003F, 6)] {
        let mut world = World::new();
        world.machine.set_register(Eax, value);
        assert_eq!(world.seen(&[0x0F, 0x22, 0xC0, 0x0F, 0x0B]).vector, vector, "{value:X}");
    }
    let mut world = World::new();
    world.machine.set_register(Eax, 0x10);
    // The address is the instruction's, wherever its block begins.
    let exit = world.run(&[0x90, 0x0F, 0x22, 0xC0]);
    let instruction = "leaving protected mode".to_owned();
    assert_eq!(exit, Exit::Unsupported { address: u64::from(CODE) + 1, instruction });
    // mov cr4, eax by model.
    for (model, value, vector) in [
        ("pentium", 0x10, Some(6)),
        ("pentium", 0x14, Some(6)),
        ("pentium", 0x20, Some(13)),
        ("pentium2", 0x20, None),
        ("pentium2", 0x400, Some(13)),
        ("core2", 0x400, None),
        ("core2", 0x8000_0000, Some(13)),
    ] {
        let mut world = World::of(Model::by_name(model).unwrap());
        world.machine.set_register(Eax, value);
        let exit = world.run(&[0x0F, 0x22, 0xE0, 0x0F, 0x0B]);
        assert_eq!(world.frame().map(|seen| seen.vector), vector, "{model} {value:X}: {exit:?}");
    }
    // mov cr2, ebx; mov ecx, cr2; smsw edx; lmsw ax can't clear PE; clts
    let mut world = World::new();
    world.machine.set_register(Ebx, 0x1234_5678);
    world.machine.set_register(Eax, 8);
    passes(&mut world, &[0x0F, 0x22, 0xD3, 0x0F, 0x20, 0xD1, 0x0F, 0x01, 0xF0, 0x0F, 0x01, 0xE2]);
    assert_eq!((world.register(Ecx), world.register(Edx)), (0x1234_5678, 0x19));
    let mut world = World::new();
    world.core().cr0 |= 8;
    passes(&mut world, &[0x0F, 0x06]);
    assert_eq!(world.machine.control(0), Some(0x11));
}

#[test]
fn paging_is_switched_on_under_the_next_instruction() {
    let mut world = World::new();
    world.page(0);
    world.core().cr0 = 0x11;
    world.core().flush_tlb();
    world.machine.set_register(Eax, 0x8001_0011);
    // mov cr0, eax; mov ebx, [0]: not mapped
    let seen = world.seen(&[0x0F, 0x22, 0xC0, 0x8B, 0x1D, 0, 0, 0, 0]);
    assert_eq!((seen.vector, seen.code, seen.eip), (14, 0, CODE + 3));
}

#[test]
fn invlpg_and_cr3_make_a_new_mapping_seen() {
    for flush in [&[0x0F, 0x01, 0x3D, 0, 0xA0, 0, 0][..], &[0x0F, 0x20, 0xDA, 0x0F, 0x22, 0xDA]] {
        let mut world = World::new();
        world.page(0);
        world.poke32(DATA, 1);
        world.poke32(DATA + 0x1000, 2);
        let entry = 0x1_1000 + (DATA >> 12) * 4;
        world.machine.set_register(Eax, DATA + 0x1003);
        // mov ebx, [DATA]; mov [entry], eax; flush; mov ecx, [DATA]
        let [a, b, c, d] = entry.to_le_bytes();
        let code = [&[0x8B, 0x1D, 0, 0xA0, 0, 0, 0xA3, a, b, c, d][..], flush, &[0x8B, 0x0D, 0, 0xA0, 0, 0]];
        passes(&mut world, &code.concat());
        assert_eq!((world.register(Ebx), world.register(Ecx)), (1, 2));
    }
}

#[test]
fn debug_registers() {
    let mut world = World::new();
    world.machine.set_register(Eax, 0x1234);
    world.machine.set_register(Ebx, 0);
    // mov dr1, eax; mov ecx, dr1; mov dr7, ebx; mov edx, dr5; mov dr6, ebx; mov esi, dr4
    let code = [
        [0x0F, 0x23, 0xC8],
        [0x0F, 0x21, 0xC9],
        [0x0F, 0x23, 0xFB],
        [0x0F, 0x21, 0xEA],
        [0x0F, 0x23, 0xF3],
        [0x0F, 0x21, 0xE6],
    ];
    passes(&mut world, &code.concat());
    let values = [Ecx, Edx, Esi].map(|r| world.register(r));
    assert_eq!(values, [0x1234, 0x400, 0xFFFF_0FF0]);
    let mut world = World::new();
    // A breakpoint on writes.
    world.machine.set_register(Eax, 0x1_0001);
    assert!(matches!(world.run(&[0x0F, 0x23, 0xF8]), Exit::Unsupported { .. }));
}

#[test]
fn model_specific_registers() {
    for (number, model, there) in [
        (0x174, "pentium2", true),
        (0x175, "pentium-pro", true),
        (0x176, "core2", true),
        (0x174, "pentium", false),
        (0x1B, "core2", false),
        (0xC000_0080, "core2", false),
    ] {
        let mut world = World::of(Model::by_name(model).unwrap());
        world.machine.set_register(Ecx, number);
        world.machine.set_register(Eax, 0x1234_5678);
        world.machine.set_register(Edx, 0);
        // wrmsr; xor eax, eax; rdmsr
        let seen = world.seen(&[0x0F, 0x30, 0x31, 0xC0, 0x0F, 0x32, 0x0F, 0x0B]);
        assert_eq!(seen.vector, if there { 6 } else { 13 }, "{number:X} on {model}");
        if there {
            assert_eq!((world.register(Eax), world.register(Edx)), (0x1234_5678, 0));
        }
    }
}

#[test]
fn the_time_stamp_goes_on() {
    let mut world = World::new();
    // rdtsc; mov ebx, eax; nop; nop; rdtsc
    passes(&mut world, &[0x0F, 0x31, 0x89, 0xC3, 0x90, 0x90, 0x0F, 0x31]);
    assert!(world.register(Eax) > world.register(Ebx));
    let mut world = World::new();
    world.ring(3);
    world.core().cr4 = 4;
    assert_eq!(world.seen(&[0x0F, 0x31]).vector, 13, "CR4.TSD");
}

#[test]
fn the_id_flag_says_whether_there_is_cpuid() {
    for (model, there) in [("486", false), ("pentium", true)] {
        let mut world = World::of(Model::by_name(model).unwrap());
        world.stack(&[ID | AC | 2]);
        let seen = world.seen(&[0x9D, 0x0F, 0x0B]);
        assert_eq!(seen.eflags & (ID | AC), AC | if there { ID } else { 0 }, "{model}");
    }
}

#[test]
fn alignment_is_checked_when_it_is_switched_on() {
    let mut world = World::new();
    world.ring(3);
    world.core().cr0 |= 1 << 18;
    world.core().flush_tlb();
    world.stack(&[AC | 2]);
    // mov eax, [DATA+1]; popfd; mov eax, [DATA+1]
    let load = [0xA1, 1, 0xA0, 0, 0];
    let seen = world.seen(&[&load[..], &[0x9D], &load].concat());
    assert_eq!((seen.vector, seen.code, seen.eip), (17, 0, CODE + 6));
}

#[test]
fn cli_and_sti_by_iopl() {
    for (iopl, cpl, vector) in [(0, 3, 13), (3, 3, 6), (1, 1, 6), (0, 1, 13), (0, 0, 6)] {
        for code in [0xFA, 0xFB] {
            let mut world = World::new();
            world.ring(cpl);
            world.core().flags.set(iopl << 12);
            assert_eq!(world.seen(&[code, 0x0F, 0x0B]).vector, vector, "IOPL {iopl}, CPL {cpl}");
        }
    }
}

#[test]
fn a_halt_stays_a_halt() {
    let mut world = World::new();
    assert_eq!(world.run(&[0xFB, 0xF4]), Exit::Halted);
    assert_eq!(world.machine.run(10), Exit::Halted);
    assert_eq!(world.machine.eip(), CODE + 1);
}

#[test]
fn pushfd_shows_neither_rf_nor_vm() {
    let mut world = World::new();
    world.poke(CODE + 0x20, &[0x9C, 0x0F, 0x0B]);
    world.stack(&[CODE + 0x20, 8, 0x0001_0046]);
    let seen = world.seen(&[0xCF]);
    assert_eq!(seen.vector, 6);
    let sp = world.register(Esp);
    assert_eq!(world.peek32(sp + 12), 0x46);
}
