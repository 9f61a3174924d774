//! Ports: who may use them, what answers, and runs of bytes to the console.

use super::super::super::super::core::seg;
use super::super::super::super::fault::Exit;
use super::super::super::super::machine::Register::{Eax, Ecx, Edi, Edx, Esi};
use super::super::super::super::testing::*;
use super::super::tests::passes;

#[test]
fn ports_by_iopl_and_by_the_tasks_map() {
    // Map at 68h of a TSS that ends at 68h + 30h: ports 0 to 17Fh less one byte.
    for (limit, byte, port, size, vector) in [
        (0x98, 0x00, 0x60, 1, 6),
        (0x98, 0x01, 0x60, 1, 13),
        (0x98, 0x02, 0x60, 1, 6),
        (0x98, 0x02, 0x60, 2, 13),
        (0x98, 0x80, 0x67, 1, 13),
        (0x98, 0x00, 0x67, 4, 6),
        (0x74, 0x00, 0x60, 1, 13),
        (0x75, 0x00, 0x60, 1, 6),
        (0x67, 0x00, 0x60, 1, 13),
    ] {
        let mut world = World::new();
        world.ring(3);
        world.core().segs[seg::TR as usize].limit = limit;
        world.poke(TSS + 0x68 + 0x0C, &[byte, 0]);
        world.machine.set_register(Edx, port);
        let code: &[u8] = match size {
            1 => &[0xEC, 0x0F, 0x0B],
            2 => &[0x66, 0xED, 0x0F, 0x0B],
            _ => &[0xED, 0x0F, 0x0B],
        };
        assert_eq!(world.seen(code).vector, vector, "limit {limit:X}, map {byte:X}, port {port:X}, {size}");
    }
    let mut world = World::new();
    world.ring(3);
    world.core().flags.set(0x3000);
    passes(&mut world, &[0xE4, 0x60]);
    assert_eq!(world.register(Eax), 0xFF);
}

#[test]
fn ports_answer_as_qemus_do() {
    for (port, code, value) in [
        (0xE9, &[0xEC][..], 0x5555_55E9),
        (0xE9, &[0x66, 0xED], 0x5555_0000),
        (0xE9, &[0xED], 0),
        (0xF4, &[0xED], 0),
        (0xF7, &[0xEC], 0x5555_5500),
        (0x1234, &[0xED], u32::MAX),
    ] {
        let mut world = World::new();
        world.machine.set_register(Edx, port);
        world.machine.set_register(Eax, 0x5555_5555);
        passes(&mut world, code);
        assert_eq!(world.register(Eax), value, "{port:X} {code:02X?}");
    }
    let mut world = World::new();
    world.machine.set_register(Eax, 0x4443_4241);
    // out E9h, ax and eax are ignored; al is printed; out F4h, eax ends the run with all of it.
    assert_eq!(world.run(&[0x66, 0xE7, 0xE9, 0xE7, 0xE9, 0xE6, 0xE9, 0xE7, 0xF4]), Exit::Port(0x4443_4241));
    assert_eq!(world.machine.console(), b"A");
    assert_eq!(Exit::Port(3).status(), Some(7));
}

#[test]
fn the_run_goes_on_behind_the_exit_port() {
    let mut world = World::new();
    let before = world.machine.retired();
    // mov al, 1; out F4h, al; inc eax; out F4h, eax; hlt
    assert_eq!(world.run(&[0xB0, 1, 0xE6, 0xF4, 0x40, 0xE7, 0xF4, 0xF4]), Exit::Port(1));
    assert_eq!((world.machine.eip(), world.machine.retired() - before), (CODE + 4, 2));
    // What the host changes meanwhile counts.
    world.machine.set_register(Eax, 0x41);
    assert_eq!(world.machine.run(0), Exit::Budget);
    assert_eq!(world.machine.run(100), Exit::Port(0x42));
    assert_eq!(world.machine.run(100), Exit::Halted);
    assert_eq!(world.machine.retired() - before, 4, "HLT is not over");
}

#[test]
fn a_string_of_exits_is_one_for_each_element() {
    let mut world = World::new();
    world.poke(DATA, &[5, 6, 7]);
    world.machine.set_register(Esi, DATA);
    world.machine.set_register(Ecx, 3);
    world.machine.set_register(Edx, 0xF4);
    assert_eq!(world.run(&[0xF3, 0x6E, 0xF4]), Exit::Port(5));
    for (value, left) in [(6, 1), (7, 0)] {
        assert_eq!(world.machine.run(100), Exit::Port(value));
        assert_eq!((world.register(Esi), world.register(Ecx)), (DATA + 3 - left, left));
    }
    assert_eq!(world.machine.run(100), Exit::Halted);
}

#[test]
fn a_traced_exit_is_followed_by_the_trap() {
    let mut world = World::new();
    // pushfd; or byte [esp+1], 1; popfd; out F4h, al
    let code = [0x9C, 0x80, 0x4C, 0x24, 1, 1, 0x9D, 0xE6, 0xF4];
    world.machine.set_register(Eax, 9);
    assert_eq!(world.run(&code), Exit::Port(9));
    assert_eq!(world.machine.run(100), Exit::Halted);
    let seen = world.frame().expect("the trap was taken");
    assert_eq!((seen.vector, seen.eip), (1, CODE + code.len() as u32));
}

#[test]
fn strings_of_output() {
    // 10,000 bytes from ring 3's data, over pages, one of which is not mapped at the end.
    let mut world = World::new();
    world.page(0);
    let text: Vec<u8> = (0..10_000u32).map(|i| (i % 251) as u8).collect();
    world.poke(DATA + 3, &text);
    world.machine.set_register(Esi, DATA + 3);
    world.machine.set_register(Ecx, 10_000);
    world.machine.set_register(Edx, 0xE9);
    let before = world.machine.retired();
    world.poke(CODE, &[0xF3, 0x6E, 0x0F, 0x0B]);
    assert_eq!(world.machine.run(100), Exit::Budget, "a portion counts as what it moves");
    assert_eq!(world.machine.run(100_000), Exit::Halted);
    assert_eq!(world.machine.console(), text);
    assert_eq!((world.register(Esi), world.register(Ecx)), (DATA + 10_003, 0));
    assert_eq!(world.machine.retired() - before, 10_001);
    // A fault in the middle: what is printed is counted.
    let mut world = World::new();
    world.page(0);
    world.map(DATA + 0x1000, 0);
    world.machine.set_register(Esi, DATA + 0xFFE);
    world.machine.set_register(Ecx, 8);
    world.machine.set_register(Edx, 0xE9);
    let seen = world.seen(&[0xF3, 0x6E]);
    assert_eq!((seen.vector, seen.eip), (14, CODE));
    assert_eq!((world.register(Esi), world.register(Ecx), world.machine.console().len()), (DATA + 0x1000, 6, 2));
    // Words, backwards, no count, and nothing at all with a count of 0.
    let mut world = World::new();
    world.machine.set_register(Esi, DATA);
    world.machine.set_register(Edx, 0x80);
    passes(&mut world, &[0xFD, 0x66, 0x6F, 0x31, 0xC9, 0xF3, 0x6E]);
    assert_eq!(world.register(Esi), DATA - 2);
}

#[test]
fn strings_of_input() {
    let mut world = World::new();
    world.machine.set_register(Edi, DATA);
    world.machine.set_register(Ecx, 3);
    world.machine.set_register(Edx, 0xE9);
    world.poke32(DATA, 0);
    passes(&mut world, &[0xF3, 0x6C]);
    assert_eq!((world.peek32(DATA), world.register(Edi), world.register(Ecx)), (0x00E9_E9E9, DATA + 3, 0));
}
