//! SYSENTER and SYSEXIT.

use super::super::core::seg;
use super::super::cpuid::Model;
use super::super::flags::{self, TF};
use super::super::machine::Register;
use super::super::testing::*;

const SYSENTER: [u8; 2] = [0x0F, 0x34];
const SYSEXIT: [u8; 2] = [0x0F, 0x35];

fn world(cs: u32) -> World {
    let mut world = World::new();
    world.core().msrs.sysenter_cs = cs;
    world.core().msrs.sysenter_esp = u64::from(STACK_1);
    world.core().msrs.sysenter_eip = u64::from(CODE + 0x20);
    world.poke(CODE + 0x20, &[0x0F, 0x0B]);
    world
}

#[test]
fn entry_and_exit_by_the_msrs() {
    let mut world = world(0x10B);
    world.ring(3);
    world.core().flags.set(flags::IF | flags::DF | flags::NT | 1);
    let seen = world.seen(&SYSENTER);
    // The handler's UD2: its frame lies on the stack of MSR 175h.
    assert_eq!((seen.vector, seen.eip, seen.cs), (6, CODE + 0x20, 0x108));
    assert_eq!(seen.eflags & !flags::RF, flags::DF | flags::NT | 3, "IF cleared, the rest kept");
    assert_eq!(world.register(Register::Esp), STACK_1 - 12);
    let ss = world.core().segs[seg::SS as usize];
    assert_eq!((ss.selector.0, ss.base, ss.limit, ss.descriptor.dpl()), (0x110, 0, u32::MAX, 0));

    let mut world = World::new();
    world.core().msrs.sysenter_cs = 8;
    world.machine.set_register(Register::Edx, CODE + 0x20);
    world.machine.set_register(Register::Ecx, STACK_3);
    world.poke(CODE + 0x20, &[0x0F, 0x0B]);
    world.core().flags.set(flags::IF);
    let seen = world.seen(&SYSEXIT);
    assert_eq!((seen.eip, seen.cs, seen.eflags), (CODE + 0x20, 0x1B, 0x202 | flags::RF));
    assert_eq!((world.peek32(STACK_0 - 8), world.peek32(STACK_0 - 4)), (STACK_3, 0x23));
    assert_eq!(world.core().segs[seg::DS as usize].selector.0, DATA_0, "the data segments stay");
}

#[test]
fn without_a_selector_both_fault() {
    for (cpl, code) in [(3, SYSENTER), (0, SYSENTER), (0, SYSEXIT)] {
        let mut world = world(3);
        world.ring(cpl);
        let seen = world.seen(&code);
        assert_eq!((seen.vector, seen.code, seen.eip), (13, 0, CODE));
    }
    let mut world = world(8);
    world.ring(3);
    assert_eq!(world.seen(&SYSEXIT).vector, 13, "SYSEXIT at CPL 3");
}

#[test]
fn a_single_step_over_sysenter_traps_before_the_handlers_first_instruction() {
    let mut world = world(8);
    world.ring(3);
    world.core().flags.set(TF | flags::IF);
    let seen = world.seen(&SYSENTER);
    assert_eq!((seen.vector, seen.eip, seen.cs), (1, CODE + 0x20, 8));
    assert_eq!(seen.eflags & (TF | flags::IF), TF);
    assert_eq!(world.register(Register::Esp), STACK_1 - 12);
}

#[test]
fn processors_without_it() {
    for name in ["486", "pentium", "pentium-pro"] {
        let mut world = World::of(Model::by_name(name).unwrap());
        world.ring(3);
        assert_eq!(world.seen(&SYSENTER).vector, 6, "{name}");
    }
}
