//! The devices by themselves, and how the processor takes their interrupts.

use super::super::core::seg;
use super::super::fault::Exit;
use super::super::flags::IF;
use super::super::machine::Register::{Eax, Ecx, Esp};
use super::super::testing::*;
use super::*;

/// Sets up the first controller for vectors from 30h on, with only the timer let through.
fn set_up(devices: &mut Devices) {
    for (port, value) in [(0x20, 0x11), (0x21, 0x30), (0x21, 4), (0x21, 1), (0x21, 0xFE)] {
        devices.write(port, value, 0).unwrap();
    }
}

/// A timer that ends a round every `count` ticks.
fn periodic(devices: &mut Devices, count: u16, now: u64) {
    devices.write(0x43, 0x34, now).unwrap();
    for byte in count.to_le_bytes() {
        devices.write(0x40, byte, now).unwrap();
    }
}

#[test]
fn nothing_interrupts_before_it_is_set_up() {
    let mut devices = Devices::default();
    periodic(&mut devices, 10, 0);
    assert_eq!(devices.next_event(), u64::MAX);
    devices.advance(1_000);
    assert!(!devices.is_pending());
    assert_eq!((devices.read(0x21, 0), devices.read(0xA1, 0), devices.read(0x61, 0)), (Some(0xFF), Some(0xFF), None));
    // A mask alone, as a kernel that wants no interrupts writes it.
    devices.write(0x21, 0, 0).unwrap();
    assert!(!devices.is_pending());
}

#[test]
fn rounds_of_the_timer_ask_one_after_the_other() {
    let mut devices = Devices::default();
    set_up(&mut devices);
    periodic(&mut devices, 10, 100);
    assert_eq!(devices.next_event(), 180);
    devices.advance(179);
    assert!(!devices.is_pending());
    devices.advance(180);
    assert!(devices.is_pending());
    assert_eq!(devices.next_event(), 260);
    assert_eq!((devices.acknowledge(), devices.is_pending()), (0x30, false));
    // Until the end of the first, the second has to wait.
    devices.advance(270);
    assert!(!devices.is_pending());
    assert_eq!(devices.read(0x20, 270), Some(1), "requested");
    devices.write(0x20, 0x0B, 270).unwrap();
    assert_eq!(devices.read(0x20, 270), Some(1), "in service");
    devices.write(0x20, 0x20, 270).unwrap();
    assert!(devices.is_pending());
    assert_eq!((devices.acknowledge(), devices.read(0x20, 270)), (0x30, Some(1)));
    devices.write(0x20, 0x60, 270).unwrap();
    assert_eq!(devices.read(0x20, 270), Some(0));
    // Without a request it is the seventh.
    assert_eq!(devices.acknowledge(), 0x37);
}

#[test]
fn the_counter_can_be_read() {
    let mut devices = Devices::default();
    periodic(&mut devices, 0x1234, 0);
    let both = |devices: &mut Devices, now| {
        let low = devices.read(0x40, now).unwrap();
        u16::from_le_bytes([low, devices.read(0x40, now).unwrap()])
    };
    assert_eq!(both(&mut devices, 8 * 0x34), 0x1200);
    devices.write(0x43, 0x00, 8).unwrap();
    assert_eq!(both(&mut devices, 800), 0x1233, "latched");
    assert_eq!(both(&mut devices, 8), 0x1233);
    assert_eq!(both(&mut devices, 8 * 0x1234), 0x1234, "from the start");
    // Once, with the low byte only.
    devices.write(0x43, 0x10, 0).unwrap();
    devices.write(0x40, 5, 0).unwrap();
    set_up(&mut devices);
    assert_eq!(devices.next_event(), 40);
    devices.advance(50);
    assert_eq!((devices.is_pending(), devices.next_event()), (true, u64::MAX));
    assert_eq!(devices.read(0x40, 48), Some(0xFF));
    // Mode 3 counts by two.
    devices.write(0x43, 0x36, 0).unwrap();
    for byte in 0x1000u16.to_le_bytes() {
        devices.write(0x40, byte, 0).unwrap();
    }
    assert_eq!(both(&mut devices, 8), 0xFFE);
    assert_eq!(both(&mut devices, 8 * 0x7FF), 2);
    assert_eq!(both(&mut devices, 8 * 0x801), 0xFFE);
    // A count of 0 is the largest.
    periodic(&mut devices, 0, 0);
    assert_eq!(devices.next_event(), 8 << 16);
}

#[test]
fn another_count_begins_when_the_round_is_over() {
    let mut devices = Devices::default();
    set_up(&mut devices);
    periodic(&mut devices, 10, 100);
    for byte in [3, 0] {
        devices.write(0x40, byte, 140).unwrap();
    }
    assert_eq!((devices.next_event(), devices.read(0x40, 164)), (180, Some(2)));
    devices.advance(180);
    assert!(devices.is_pending());
    assert_eq!((devices.acknowledge(), devices.next_event()), (0x30, 204));
    // No operation.
    devices.write(0x20, 0x40, 180).unwrap();
    devices.write(0x20, 0x0B, 180).unwrap();
    assert_eq!(devices.read(0x20, 180), Some(1), "still in service");
}

#[test]
fn what_is_not_there_is_said() {
    for (port, value) in
        [(0x20, 0x19), (0x20, 0x13), (0x20, 0x0C), (0x20, 0x68), (0x20, 0x80), (0x43, 0x31), (0x43, 0x32), (0x43, 0xC2)]
    {
        assert!(Devices::default().write(port, value, 0).is_err(), "{port:x} {value:x}");
    }
    let mut devices = Devices::default();
    for value in [0x11, 0x30, 4] {
        devices.write(0x20 + u16::from(value != 0x11), value, 0).unwrap();
    }
    assert!(devices.write(0x21, 3, 0).is_err(), "automatic end of interrupt");
    let mut world = World::new();
    // mov al, 0C2h; out 43h, al
    let exit = world.run(&[0xB0, 0xC2, 0xE6, 0x43]);
    assert!(matches!(exit, Exit::Unsupported { ref instruction, .. } if instruction.contains("read-back")), "{exit:?}");
}

/// A world whose timer ends a round after `count` ticks.
fn world(count: u16) -> World {
    let mut world = World::new();
    set_up(&mut world.core().devices);
    periodic(&mut world.core().devices, count, 0);
    world
}

/// Address behind the handler's frame, what it holds of EIP, CS and EFLAGS, for a handler of the same ring.
fn frame(world: &mut World) -> [u32; 3] {
    let sp = world.register(Esp);
    [0, 4, 8].map(|offset| world.peek32(sp + offset))
}

#[test]
fn an_interrupt_comes_between_two_instructions_when_if_is_set() {
    // sti; again: inc ecx; jmp again
    let mut interrupted = world(10);
    assert_eq!(interrupted.run(&[0xFB, 0x41, 0xEB, 0xFD]), Exit::Halted);
    assert_eq!(interrupted.machine.eip(), handler(0x30));
    let [eip, cs, eflags] = frame(&mut interrupted);
    assert!((CODE + 1..=CODE + 2).contains(&eip), "{eip:x}");
    assert_eq!((cs, eflags & IF), (u32::from(CODE_0), IF));
    assert_eq!(interrupted.core().flags.system() & IF, 0, "the handler is not interrupted");
    let rounds = interrupted.register(Ecx);
    assert!((30..=45).contains(&rounds), "{rounds}");

    // The same without `sti`: nothing comes. mov ecx,100; again: dec ecx; jnz again; hlt
    let mut deaf = world(10);
    assert_eq!(deaf.run(&[0xB9, 100, 0, 0, 0, 0x49, 0x75, 0xFD, 0xF4]), Exit::Halted);
    assert_eq!(deaf.machine.eip(), CODE + 8);
}

#[test]
fn sti_and_loads_of_ss_hold_an_interrupt_back_for_one_instruction() {
    for (code, eip) in [
        // sti; inc eax; inc eax
        (&[0xFB, 0x40, 0x40][..], 2),
        // popfd with IF set takes effect at once: push 202h; popfd; inc eax
        (&[0x68, 2, 2, 0, 0, 0x9D, 0x40], 6),
        // sti; sti does not hold it back any longer
        (&[0xFB, 0xFB, 0x40], 2),
    ] {
        let mut world = world(1);
        // The round ends before anything else.
        world.core().retired = 100;
        assert_eq!(world.run(code), Exit::Halted);
        assert_eq!(frame(&mut world)[0], CODE + eip, "{code:02X?}");
    }
}

#[test]
fn a_load_of_ss_holds_back_the_next_instruction_only() {
    // mov ss,cx; jmp +0; inc eax... The round ends with the jump, or with the load.
    for instructions in [78, 79] {
        let mut world = world(10);
        world.poke(CODE, &[0x8E, 0xD1, 0xEB, 0, 0x40, 0x40, 0x40, 0x40]);
        world.machine.set_register(Ecx, DATA_0.into());
        world.core().retired = instructions;
        world.core().ip = u64::from(CODE);
        world.core().flags.set(IF);
        assert_eq!(world.machine.run(1_000), Exit::Halted);
        assert_eq!(frame(&mut world)[0], CODE + 4, "{instructions}");
    }
}

#[test]
fn sti_holds_back_an_interrupt_that_is_asked_for_right_after_it() {
    // As the last of a page, one instruction at a time because there are breakpoints, and within a block.
    for (what, dr7, at) in [("page", 0, CODE + 0xFFF), ("breakpoint", 0x401, CODE), ("block", 0, CODE)] {
        // The round ends after 80 instructions.
        for instructions in 78..82 {
            let mut world = world(10);
            world.poke(at, &[0xFB, 0x40, 0x40, 0x40, 0x40, 0x40, 0x40]);
            world.core().dr[0] = u64::from(DATA);
            world.core().dr[7] = dr7;
            world.core().retired = instructions;
            world.core().ip = u64::from(at);
            assert_eq!(world.machine.run(1_000), Exit::Halted);
            assert_eq!(world.machine.eip(), handler(0x30));
            let eip = frame(&mut world)[0];
            assert!(eip != at + 1, "{what}, {instructions}: {eip:x}");
        }
    }
}

#[test]
fn hlt_waits_for_the_timer() {
    let mut waiting = world(1000);
    waiting.poke(CODE, &[0xFB, 0xF4, 0x40]);
    waiting.core().ip = u64::from(CODE);
    assert_eq!(waiting.machine.run(100_000), Exit::Halted);
    assert_eq!((waiting.machine.eip(), frame(&mut waiting)[0]), (handler(0x30), CODE + 2));
    assert!(waiting.machine.retired() >= 8000);
    // Beyond the budget it does not wait.
    let mut late = world(0);
    late.poke(CODE, &[0xFB, 0xF4]);
    late.core().ip = u64::from(CODE);
    assert_eq!(late.machine.run(1000), Exit::Budget);
    // With IF clear, or the timer masked, nothing will come.
    assert_eq!(world(1000).run(&[0xF4]), Exit::Halted);
    let mut masked = world(1000);
    assert_eq!(masked.run(&[0xB0, 0xFF, 0xE6, 0x21, 0xFB, 0xF4]), Exit::Halted);
    assert_eq!(masked.machine.eip(), CODE + 5);
}

#[test]
fn an_interrupt_of_ring_3_switches_stacks() {
    let mut world = world(10);
    world.ring(3);
    world.core().flags.set(IF);
    assert_eq!(world.run(&[0x40, 0xEB, 0xFD]), Exit::Halted);
    assert_eq!(world.core().segs[seg::SS as usize].selector.0, DATA_0);
    assert_eq!(world.register(Esp), STACK_0 - 20);
    assert!(world.register(Eax) > 10);
}
