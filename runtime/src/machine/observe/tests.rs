//! What an observer sees, against the manual's order of checks.

use super::super::core::msr;
use super::super::fault::{Fault, Vector};
use super::super::machine::Register;
use super::super::testing::*;
use super::*;

/// Runs one instruction of ring `cpl` under observation.
fn observed(world: &mut World, cpl: u8, code: &[u8]) -> Vec<Event> {
    world.ring(cpl);
    world.poke(CODE, code);
    world.core().ip = u64::from(CODE);
    world.machine.observe();
    assert_eq!(world.machine.step(), Ok(()));
    world.machine.events().to_vec()
}

/// The checks of a trace, as text: what is compared, and whether it holds.
fn checks(events: &[Event]) -> Vec<(Rule, u64, u64, bool)> {
    let check = |event: &Event| match event {
        Event::Check(Check { rule, left, right, holds }) => Some((*rule, *left, *right, *holds)),
        _ => None,
    };
    events.iter().filter_map(check).collect()
}

fn accesses(events: &[Event]) -> Vec<(What, bool, u64, u64)> {
    let access = |event: &Event| match event {
        Event::Memory(access) => Some((access.what, access.write, access.address, access.value)),
        _ => None,
    };
    events.iter().filter_map(access).collect()
}

/// A world whose gate 2Eh ring 3 may use.
fn world() -> World {
    let mut world = World::new();
    world.idt(0x2E, gate(0xEE, CODE_0, handler(0x2E), 0));
    world
}

#[test]
fn an_interrupt_from_ring_3_makes_the_checks_of_the_manual_in_its_order() {
    use Rule::{
        CodeDpl, CodeLimit, CodeType, GateDpl, GatePresent, GateType, IdtLimit, NotNull, Present, StackDpl, StackRoom,
        StackRpl, StackType, TableLimit, TssLimit,
    };

    let mut world = world();
    let esp = u64::from(STACK_3);
    world.ring(3);
    let idt = u64::from(world.machine.tables().1.limit);
    let gdt = u64::from(world.machine.tables().0.limit);
    let eflags = u64::from(world.machine.flags().get());
    let events = observed(&mut world, 3, &[0xCD, 0x2E]);
    // SDM vol. 2, INT n: the IDT's limit, the gate's type, its DPL, its P; the code's selector and descriptor; the TSS's
    // limit; the stack's selector and descriptor; room on the stack; EIP.
    let tss = u64::from(world.machine.segment(super::super::SegmentRegister::Tr).limit);
    let code = u64::from(CODE_0);
    let data = u64::from(DATA_0);
    let expected = [
        (IdtLimit, 0x177, idt, true),
        (GateType, 0xE, 0, true),
        (GateDpl, 3, 3, true),
        (GatePresent, 0x2E, 0, true),
        (NotNull, code, 0, true),
        (TableLimit, code + 7, gdt, true),
        (CodeType, 0x1B, 0, true),
        (CodeDpl, 0, 3, true),
        (Present, code, 0, true),
        (TssLimit, 9, tss, true),
        (NotNull, data, 0, true),
        (TableLimit, data + 7, gdt, true),
        (StackRpl, 0, 0, true),
        (StackDpl, 0, 0, true),
        (StackType, 0x13, 0, true),
        (Present, data, 0, true),
        (StackRoom, 20, u64::from(STACK_0), true),
        (CodeLimit, u64::from(handler(0x2E)), 0xFFFF_FFFF, true),
    ];
    assert_eq!(checks(&events), expected);
    let [gdt, idt, tss, stack] = [GDT, IDT, TSS, STACK_0].map(u64::from);
    let descriptor = |world: &mut World, selector: u16| {
        let bytes = world.machine.read_linear(GDT + u32::from(selector), 8).unwrap_or_default();
        bytes.iter().rev().fold(0, |value, byte| value << 8 | u64::from(*byte))
    };
    let push = |n: u64, value: u64| (What::Push, true, stack - 4 * n, value);
    let expected = [
        (What::Gate { vector: 0x2E }, false, idt + 0x170, gate(0xEE, CODE_0, handler(0x2E), 0)),
        (What::Descriptor { selector: CODE_0 }, false, gdt + code, descriptor(&mut world, CODE_0)),
        (What::Tss { offset: 4 }, false, tss + 4, stack | data << 32),
        (What::Descriptor { selector: DATA_0 }, false, gdt + data, descriptor(&mut world, DATA_0)),
        push(1, u64::from(DATA_3)),
        push(2, esp),
        push(3, eflags),
        push(4, u64::from(CODE_3)),
        push(5, u64::from(CODE + 2)),
    ];
    assert_eq!(accesses(&events), expected);
}

#[test]
fn a_return_to_ring_3_makes_the_checks_of_the_manual_in_its_order() {
    use Rule::{
        CodeLimit, CodeType, NotNull, Present, ReturnDpl, ReturnRpl, StackDpl, StackRpl, StackType, TableLimit,
    };

    let mut world = World::new();
    world.stack(&[CODE, CODE_3.into(), 0x202, STACK_3, DATA_3.into()]);
    let esp = world.register(Register::Esp);
    let gdt = u64::from(world.machine.tables().0.limit);
    world.poke(CODE, &[0xCF]);
    world.core().ip = u64::from(CODE);
    world.machine.observe();
    assert_eq!(world.machine.step(), Ok(()));
    let (code, data) = (u64::from(CODE_3), u64::from(DATA_3));
    // SDM vol. 2, IRET: the code's selector and descriptor, with the type first; then those of the stack; EIP.
    let expected = [
        (NotNull, code, 0, true),
        (TableLimit, (code & !7) + 7, gdt, true),
        (CodeType, 0x1B, 0, true),
        (ReturnRpl, 0, 3, true),
        (ReturnDpl, 3, 3, true),
        (Present, code, 0, true),
        (NotNull, data, 0, true),
        (TableLimit, (data & !7) + 7, gdt, true),
        (StackRpl, 3, 3, true),
        (StackType, 0x13, 0, true),
        (StackDpl, 3, 3, true),
        (Present, data, 0, true),
        (CodeLimit, u64::from(CODE), 0xFFFF_FFFF, true),
    ];
    assert_eq!(checks(world.machine.events()), expected);
    assert_eq!((world.machine.cpl(), world.register(Register::Esp)), (3, STACK_3));
    let slots = accesses(world.machine.events()).into_iter().filter(|access| access.0 == What::Operand);
    let slots: Vec<u64> = slots.map(|access| access.2).collect();
    assert_eq!(slots, [0, 4, 8, 12, 16].map(|offset| u64::from(esp) + offset));
}

#[test]
fn a_null_selector_fails_its_check() {
    for (name, code, stack) in [
        ("iretd", &[0xCF][..], &[CODE, 0, 0x202][..]),
        ("iretd to a null stack", &[0xCF], &[CODE, CODE_3 as u32, 0x202, STACK_3, 0]),
        ("pop ss", &[0x17], &[0]),
        ("jmp far", &[0xEA, 0, 0, 0, 0, 0, 0], &[]),
    ] {
        let mut world = World::new();
        world.stack(stack);
        world.poke(CODE, code);
        world.core().ip = u64::from(CODE);
        world.machine.observe();
        assert_eq!(world.machine.step(), Ok(()), "{name}");
        let events = world.machine.events();
        let end = events.iter().position(|event| matches!(event, Event::Exception(_))).expect(name);
        let made = checks(&events[..end]);
        assert_eq!(made.last(), Some(&(Rule::NotNull, 0, 0, false)), "{name}");
    }
}

#[test]
fn a_check_that_fails_is_the_last_and_the_exception_follows() {
    let mut world = World::new();
    // A gate of DPL 0.
    let events = observed(&mut world, 3, &[0xCD, 0x2E]);
    let fault = Fault { vector: Vector::GeneralProtection, code: 0x2E * 8 + 2 };
    let at = events.iter().position(|event| *event == Event::Exception(fault)).expect("#GP");
    let before = checks(&events[..at]);
    assert_eq!(before.last(), Some(&(Rule::GateDpl, 3, 0, false)));
    assert!(before.iter().rev().skip(1).all(|check| check.3));
    // An exception asks for no privilege.
    let after = checks(&events[at..]);
    assert!(after.iter().all(|check| check.3 && check.0 != Rule::GateDpl), "{after:?}");
    assert!(accesses(&events[at..]).contains(&(What::Push, true, u64::from(STACK_0 - 24), 0x172)));
}

#[test]
fn every_fault_of_a_segment_load_has_its_check() {
    for (name, selector, rights, rule) in [
        ("beyond the table", 0x7F8, None, Rule::TableLimit),
        ("code that cannot be read", FREE | 3, Some(0xF8), Rule::DataType),
        ("privilege", FREE | 3, Some(0x92), Rule::DataDpl),
        ("not present", FREE | 3, Some(0x72), Rule::Present),
    ] {
        let mut world = World::new();
        if let Some(rights) = rights {
            world.gdt(FREE, flat(rights));
        }
        world.machine.set_register(Register::Eax, u32::from(selector));
        let events = observed(&mut world, 3, &[0x8E, 0xD8]);
        let end = events.iter().position(|event| matches!(event, Event::Exception(_))).expect(name);
        let last = checks(&events[..end]).last().copied().expect(name);
        assert_eq!((last.0, last.3), (rule, false), "{name}");
    }
}

#[test]
fn operands_are_seen_with_their_values_in_order() {
    let mut world = World::new();
    world.poke32(DATA, 0x1122_3344);
    world.machine.set_register(Register::Eax, 1);
    world.machine.set_register(Register::Ebx, DATA);
    // add [ebx],eax
    let events = observed(&mut world, 0, &[0x01, 0x03]);
    let [before, after] = [0x1122_3344, 0x1122_3345];
    let at = u64::from(DATA);
    assert_eq!(accesses(&events), [(What::Operand, false, at, before), (What::Operand, true, at, after)]);
    world.machine.clear_events();
    // rep movsd of three.
    world.machine.set_register(Register::Esi, DATA);
    world.machine.set_register(Register::Edi, DATA + 0x100);
    world.machine.set_register(Register::Ecx, 3);
    world.poke(CODE, &[0xF3, 0xA5]);
    world.core().ip = u64::from(CODE);
    assert_eq!(world.machine.step(), Ok(()));
    let seen = accesses(world.machine.events());
    assert_eq!(seen.iter().map(|access| access.1).collect::<Vec<_>>(), [false, true, false, true, false, true]);
    assert_eq!(seen[5].2, at + 0x108);
}

#[test]
fn sysenter_reads_three_registers_and_no_memory() {
    let mut world = World::new();
    let msrs = &mut world.core().msrs;
    (msrs.sysenter_cs, msrs.sysenter_esp, msrs.sysenter_eip) = (CODE_0.into(), STACK_0.into(), handler(0x40).into());
    let events = observed(&mut world, 3, &[0x0F, 0x34]);
    let msr = |number, value: u32| Event::ReadMsr { number, value: value.into() };
    let check = Event::Check(Check { rule: Rule::SysenterCs, left: CODE_0.into(), right: 0, holds: true });
    let expected = [
        msr(msr::SYSENTER_CS, CODE_0.into()),
        check,
        msr(msr::SYSENTER_ESP, STACK_0),
        msr(msr::SYSENTER_EIP, handler(0x40)),
    ];
    assert_eq!(events, expected);
    // Without a selector it ends with the check.
    let mut world = World::new();
    let events = observed(&mut world, 3, &[0x0F, 0x34]);
    assert!(matches!(events[1], Event::Check(Check { rule: Rule::SysenterCs, holds: false, .. })), "{events:?}");
    assert!(matches!(events[2], Event::Exception(Fault { vector: Vector::GeneralProtection, code: 0 })));
}

#[test]
fn what_nobody_observes_leaves_no_events_and_the_state_is_the_same() {
    let code = [0xCD, 0x2E];
    let mut plain = world();
    plain.ring(3);
    plain.poke(CODE, &code);
    plain.core().ip = u64::from(CODE);
    assert_eq!(plain.machine.step(), Ok(()));
    assert_eq!(plain.machine.events(), []);
    let mut seen = world();
    let events = observed(&mut seen, 3, &code);
    assert!(!events.is_empty());
    let state = |world: &mut World| {
        (
            world.core().regs,
            world.core().ip,
            world.core().segs.map(|s| (s.selector, s.descriptor, s.base, s.limit)),
            world.core().cpl,
        )
    };
    assert_eq!(state(&mut plain), state(&mut seen));
    assert_eq!(plain.machine.read_physical(0, 0x9000), seen.machine.read_physical(0, 0x9000));
    seen.machine.unobserve();
    assert_eq!(seen.machine.events(), []);
}
