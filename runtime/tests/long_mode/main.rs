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

#[test]
#[ignore = "needs qemu-system-x86_64"]
fn qemu_agrees_but_for_what_it_is_known_to_do_otherwise() {
    let cases: Vec<_> = cases::all().into_iter().filter(|case| case.in_qemu).collect();
    let image = case::image(&cases, false).expect("it assembles");
    let wrong = differences(&cases, &qemu(&image, "Nehalem,+rdtscp", 0), false);
    assert!(wrong.is_empty(), "{wrong}");
}
