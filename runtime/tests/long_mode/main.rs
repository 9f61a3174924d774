//! Long mode, on the bundled machine and (`--ignored`) under QEMU: a multiboot image switches itself over and tries what
//! faults and what does not. Each case prints a line; the lines that are expected here are the manual's.

mod case;
mod cases;
mod image;
mod program;

use std::process::Command;

use ntgate_runtime::machine::cpuid::Model;
use ntgate_runtime::machine::{Exit, Machine};

use case::Case;

/// What an image prints on the bundled machine, if it ends as it should.
fn bundled(image: &[u8], model: &str, budget: u64, end: &Exit) -> String {
    let model = Model::by_name(model).expect("it is built in");
    let mut machine = Machine::new(model, 4 << 20);
    machine.load(image).expect("it is a multiboot image");
    let exit = machine.run(budget);
    let text = String::from_utf8_lossy(machine.console()).into_owned();
    assert_eq!(&exit, end, "at {:x}, after\n{text}", machine.rip());
    text
}

/// What it prints under QEMU, if it writes this to the exit port.
fn qemu(image: &[u8], model: &str, status: u32) -> String {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let (path, log) = (directory.path().join("image"), directory.path().join("log"));
    std::fs::write(&path, image).expect("it can be written");
    let mut qemu = Command::new("qemu-system-x86_64");
    qemu.args(["-cpu", model, "-display", "none", "-no-reboot", "-debugcon"]).arg(format!("file:{}", log.display()));
    qemu.args(["-device", "isa-debug-exit,iobase=0xf4,iosize=4", "-kernel"]).arg(&path);
    let exit = qemu.status().expect("QEMU is installed");
    let text = std::fs::read_to_string(&log).unwrap_or_default();
    assert_eq!(exit.code(), Some((status << 1 | 1) as i32), "after\n{text}");
    text
}

/// The cases whose line is not the expected one.
fn differences(cases: &[Case], text: &str, exact: bool) -> String {
    let mut lines = text.lines();
    let mut wrong = String::new();
    for case in cases {
        let expected = case.expected(exact);
        let count = expected.lines().count();
        let line = lines.by_ref().take(count).collect::<Vec<_>>().join("\n");
        if line != expected {
            wrong += &format!("{}\n  expected {expected}\n  came     {line}\n", case.name);
        }
    }
    wrong
}

#[test]
fn faults_and_transfers_are_those_of_the_manual() {
    let cases = cases::all();
    let image = case::image(&cases, true).expect("it assembles");
    let wrong = differences(&cases, &bundled(&image, "nehalem", 1_000_000, &Exit::Port(0)), true);
    assert!(wrong.is_empty(), "{wrong}");
}

/// Any bytes at all, as 64-bit code of ring 0 with any registers: the machine says what it does not have, and goes on or
/// stops, whatever comes.
#[test]
fn no_code_is_too_much_for_the_machine() {
    let model = Model::by_name("nehalem").expect("it is built in");
    let mut image = image::Image::new().expect("it assembles");
    // Faults that are not triple ones: every vector leads to more of the same.
    for vector in 0..32 {
        image.gate(vector, image::KERNEL + 0x40 * u64::from(vector), 3, u64::from(vector) & 3);
    }
    let mut state = 0x9E37_79B9_7F4A_7C15u64;
    let mut any = move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state
    };
    for _ in 0..400 {
        let code: Vec<u8> = (0..0x200).flat_map(|_| opcode(any()).to_le_bytes()).collect();
        image.put(image::KERNEL, &code);
        let mut machine = Machine::new(model, 2 << 20);
        machine.load(image.bytes()).expect("it is a multiboot image");
        machine.run(40);
        for number in 0..16 {
            let value = any();
            // Small, near the ends of the address space, in the image, or anything.
            let value = match value >> 61 {
                0 => value & 0xFFF,
                1 => (value & 0xFFF).wrapping_neg(),
                2 => 0x0000_7FFF_FFFF_F000 | value & 0xFFF,
                3 | 4 => 0x10_0000 + (value & 0x7_FFFF),
                _ => value,
            };
            machine.set_register64(number, value);
        }
        machine.run(3_000);
    }
}

/// Eight bytes of code; many of them begin with a prefix or an escape that long mode gives a meaning to.
fn opcode(any: u64) -> u64 {
    match any >> 60 {
        0..=3 => any & !0xFF | 0x48,
        4..=6 => any & !0xFFFF | 0x0F48,
        7 => any & !0xFF_FFFF | 0x0F_4C66,
        8 => any & !0xFFFF | 0x010F,
        _ => any,
    }
}

#[test]
#[ignore = "needs qemu-system-x86_64"]
fn qemu_agrees_but_for_what_it_is_known_to_do_otherwise() {
    let cases: Vec<_> = cases::all().into_iter().filter(|case| case.in_qemu).collect();
    let image = case::image(&cases, false).expect("it assembles");
    let wrong = differences(&cases, &qemu(&image, "Nehalem,+rdtscp", 0), false);
    assert!(wrong.is_empty(), "{wrong}");
}
