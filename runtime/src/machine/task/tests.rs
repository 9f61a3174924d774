//! Task switches: what is saved, what is loaded, busy bits and links, and whose a fault is.

use super::super::core::seg;
use super::super::fault::Exit;
use super::super::flags::{NT, RF};
use super::super::machine::Register;
use super::super::testing::*;

fn far(opcode: u8, selector: u16) -> [u8; 7] {
    let [low, high] = selector.to_le_bytes();
    [opcode, 0, 0, 0, 0, low, high]
}

#[test]
fn jump_saves_loads_and_hands_over_the_busy_bit() {
    let mut world = World::new();
    for r in 0..8u8 {
        if r != 4 {
            world.core().set_reg(r, 0x1000 + u32::from(r));
        }
        world.poke32(OTHER_TSS + 0x28 + 4 * u32::from(r), if r == 4 { OTHER_STACK } else { 0x2000 + u32::from(r) });
    }
    assert_eq!(world.run(&far(0xEA, OTHER_TASK)), Exit::Halted);
    assert_eq!(world.machine.eip(), handler(8));
    assert_eq!((world.gdt_of(TASK) >> 40 & 0xFF, world.gdt_of(OTHER_TASK) >> 40 & 0xFF), (0x89, 0x8B));
    assert_eq!(world.peek32(TSS + 0x20), CODE + 7);
    assert_eq!((world.peek32(TSS + 0x2C), world.peek32(TSS + 0x38)), (0x1001, STACK_0));
    assert_eq!((world.peek32(TSS + 0x4C), world.peek32(TSS + 0x50)), (u32::from(CODE_0), u32::from(DATA_0)));
    assert_eq!((world.register(Register::Ecx), world.register(Register::Esp)), (0x2001, OTHER_STACK));
    assert_eq!(world.machine.flags().get(), 2);
    assert_eq!(world.core().segs[seg::TR as usize].selector.0, OTHER_TASK);
    assert_eq!(world.core().cr0 & 8, 8, "CR0.TS");
    assert_eq!(world.peek32(OTHER_TSS), 0, "no backlink");
}

#[test]
fn call_nests_and_iret_comes_back() {
    let mut world = World::new();
    world.poke(CODE + 0x40, &[0xCF]);
    world.poke32(OTHER_TSS + 0x20, CODE + 0x40);
    let mut code = far(0x9A, OTHER_TASK).to_vec();
    code.extend([0x0F, 0x0B]);
    let seen = world.seen(&code);
    assert_eq!((seen.vector, seen.eip, seen.eflags & NT), (6, CODE + 7, 0));
    assert_eq!(world.peek32(OTHER_TSS) & 0xFFFF, u32::from(TASK), "backlink");
    assert_eq!((world.gdt_of(TASK) >> 40 & 0xFF, world.gdt_of(OTHER_TASK) >> 40 & 0xFF), (0x8B, 0x89));
    assert_eq!(world.peek32(OTHER_TSS + 0x20), CODE + 0x41, "goes on after its IRET the next time");
    assert_eq!(world.peek32(OTHER_TSS + 0x24) & NT, 0, "IRET saves EFLAGS with NT clear");
}

#[test]
fn a_fault_of_a_task_that_begins_at_address_0_is_its_own() {
    let mut world = World::new();
    world.poke32(OTHER_TSS + 0x20, 0);
    world.poke32(OTHER_TSS + 0x54, 0xF8); // DS, beyond the GDT
    let mut code = vec![0x90; 3];
    code.extend(far(0xEA, OTHER_TASK));
    let seen = world.seen(&code);
    assert_eq!((seen.vector, seen.code, seen.eip), (10, 0xF8, 0));
}

#[test]
fn iret_checks_the_backlink() {
    for (link, error) in [(0u16, 0u32), (0x84, 0x84), (0x80, 0x80), (OTHER_TASK, 0x30), (DATA_0, 0x10)] {
        let mut world = World::new();
        world.core().flags.set(NT);
        world.poke32(TSS, u32::from(link));
        let seen = world.seen(&[0xCF]);
        assert_eq!((seen.vector, seen.code, seen.eip), (10, error, CODE), "{link:X}");
    }
}

#[test]
fn a_double_fault_through_a_task_gate_has_its_own_stack() {
    // As in NT: ring 3 runs, the ring 0 stack is not mapped, #PF in delivery, #DF on the task's stack.
    let mut world = World::new();
    world.idt(8, gate(0x85, OTHER_TASK, 0, 0));
    world.ring(3);
    world.page(STACK_3 - 0x1000);
    world.map(STACK_0 - 0x1000, 0);
    world.poke32(TSS + 0x1C, world.machine.control(3).unwrap());
    assert_eq!(world.run(&[0xA1, 0, 0, 0, 0]), Exit::Halted);
    assert_eq!((world.machine.eip(), world.machine.cpl()), (handler(8), 0));
    assert_eq!(world.register(Register::Esp), OTHER_STACK - 4);
    assert_eq!(world.peek32(OTHER_STACK - 4), 0, "its error code");
    assert_eq!((world.peek32(TSS + 0x20), world.peek32(TSS + 0x4C)), (CODE, u32::from(CODE_3)));
    assert_eq!(world.peek32(TSS + 0x38), STACK_3);
    assert_eq!(world.core().cr2, u64::from(STACK_0 - 4));
    assert_eq!(world.machine.flags().get() & NT, NT);
    assert_eq!(world.peek32(OTHER_TSS) & 0xFFFF, u32::from(TASK));
}

#[test]
fn faults_before_the_switch_are_the_old_tasks() {
    type Prepare = fn(&mut World);
    let cases: &[(&str, Prepare, u8, u32)] = &[
        ("not present", |w| w.gdt(OTHER_TASK, system(0x09, OTHER_TSS, 0x67)), 11, 0x31),
        ("too short", |w| w.gdt(OTHER_TASK, system(0x89, OTHER_TSS, 0x40)), 10, 0x31),
        ("busy", |w| w.gdt(OTHER_TASK, system(0x8B, OTHER_TSS, 0x67)), 13, 0x31),
        ("no TSS", |w| w.gdt(OTHER_TASK, flat(0x93)), 13, 0x31),
    ];
    for (what, prepare, vector, error) in cases {
        let mut world = World::new();
        world.idt(6, gate(0x85, OTHER_TASK, 0, 0));
        prepare(&mut world);
        let seen = world.seen(&[0x0F, 0x0B]);
        assert_eq!((seen.vector, seen.code, seen.eip), (*vector, *error, CODE), "{what}");
        assert_eq!(world.core().segs[seg::TR as usize].selector.0, TASK);
    }
}

#[test]
fn faults_after_the_switch_are_the_new_tasks() {
    let user = u32::from(DATA_3);
    // Field of the TSS of a ring 3 task, value, vector, error code.
    let cases = [
        (0x60, 0x0C, 10, 0x0C),
        (0x60, 0x10, 10, 0x10),
        (0x4C, 0x83, 10, 0x80),
        (0x4C, 0x0B, 10, 0x08),
        (0x50, 3, 10, 0),
        (0x50, 0x1B, 10, 0x18),
        (0x50, 0x20, 10, 0x20),
        (0x54, 0x80, 10, 0x80),
        (0x54, 0x1B, 6, 0),
        (0x58, 0x10, 10, 0x10),
        (0x48, u32::from(FREE), 11, 0x50),
    ];
    for (field, value, vector, error) in cases {
        let mut world = World::new();
        world.gdt(FREE, flat(0x73));
        let task = [
            (4, OTHER_STACK),
            (8, 0x10),
            (0x20, CODE + 0x40),
            (0x38, STACK_3),
            (0x48, user),
            (0x4C, 0x1B),
            (0x50, user),
        ];
        for (at, value) in task.into_iter().chain([(0x54, user), (0x58, 0), (0x5C, user), (field, value)]) {
            world.poke32(OTHER_TSS + at, value);
        }
        world.poke(CODE + 0x40, &[0x0F, 0x0B]);
        // A nop first, so that the far jump is not where its block begins.
        let mut code = vec![0x90];
        code.extend(far(0xEA, OTHER_TASK));
        let seen = world.seen(&code);
        assert_eq!((seen.vector, seen.code, seen.eip), (vector, error, CODE + 0x40), "{field:X} = {value:X}");
        assert_eq!(seen.eflags & RF, RF);
        assert_eq!(world.register(Register::Esp), OTHER_STACK - if vector == 6 { 20 } else { 24 });
    }
}

#[test]
fn the_trap_bit_of_a_task() {
    let mut world = World::new();
    world.poke32(OTHER_TSS + 0x64, 0x0068_0001);
    let seen = world.seen(&far(0xEA, OTHER_TASK));
    assert_eq!((seen.vector, seen.eip, seen.eflags & RF), (1, handler(8), 0));
    assert_eq!(world.core().dr[6] & 0x8000, 0x8000);
}

#[test]
fn what_is_not_there_says_so() {
    let mut world = World::new();
    world.gdt(FREE, system(0x81, OTHER_TSS, 0x67));
    assert!(matches!(world.run(&far(0xEA, FREE)), Exit::Unsupported { .. }));
    let mut world = World::new();
    world.poke32(OTHER_TSS + 0x24, 0x2_0002);
    assert!(matches!(world.run(&far(0xEA, OTHER_TASK)), Exit::Unsupported { .. }));
}
