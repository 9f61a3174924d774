//! Round trips into the kernel on the bundled machine and under QEMU's TCG, the same images in one run, as a ratio:
//! `cargo bench -p ntgate-runtime --bench beside_qemu`. Says so and ends well where there is no QEMU.

// A benchmark's output is what it prints.
#![allow(clippy::print_stdout)]

mod support;

use std::path::Path;
use std::process::{Command, ExitCode, Stdio};
use std::time::{Duration, Instant};

use ntgate_runtime::machine::{Exit, Machine, cpuid};

/// Round trips timed; enough that QEMU's start does not matter.
const ROUNDS: u32 = 2_000_000;
/// Each measurement is the least of this many.
const REPEATS: usize = 3;

fn main() -> ExitCode {
    if Command::new("qemu-system-i386").arg("--version").stdout(Stdio::null()).status().is_err() {
        println!("beside_qemu: no qemu-system-i386 on PATH (package qemu-system-x86); nothing to compare with");
        return ExitCode::SUCCESS;
    }
    let directory = tempfile::tempdir().expect("a temporary directory");
    let path = directory.path().join("image.elf");
    println!("{:<10} {:>12} {:>12} {:>8}", "way in", "ntgate", "QEMU TCG", "ratio");
    for (name, shape, form) in support::WAYS {
        let few = support::image(shape, form, 1).elf;
        let many = support::image(shape, form, ROUNDS + 1).elf;
        let ours = least(|| bundled(&many).saturating_sub(bundled(&few)));
        let theirs = least(|| qemu(&path, &many).saturating_sub(qemu(&path, &few)));
        let (ours, theirs) = (per_round(ours), per_round(theirs));
        println!("{name:<10} {ours:>9.1} ns {theirs:>9.1} ns {:>8.2}", ours / theirs);
    }
    ExitCode::SUCCESS
}

fn least(mut measure: impl FnMut() -> Duration) -> Duration {
    (0..REPEATS).map(|_| measure()).min().unwrap_or_default()
}

fn per_round(time: Duration) -> f64 {
    time.as_secs_f64() * 1e9 / f64::from(ROUNDS)
}

fn bundled(elf: &[u8]) -> Duration {
    let start = Instant::now();
    let mut machine = Machine::new(cpuid::Model::by_name("pentium2").expect("it is there"), 64 << 20);
    machine.load(elf).expect("it is an image");
    assert_eq!(machine.run(u64::MAX), Exit::Port(0));
    start.elapsed()
}

fn qemu(path: &Path, elf: &[u8]) -> Duration {
    std::fs::write(path, elf).expect("it can be written");
    let start = Instant::now();
    let status = Command::new("qemu-system-i386")
        .args(["-display", "none", "-no-reboot", "-nodefaults", "-cpu", "pentium2", "-m", "64"])
        .args(["-device", "isa-debug-exit,iobase=0xf4,iosize=4", "-kernel"])
        .arg(path)
        .status()
        .expect("it runs");
    assert_eq!(status.code(), Some(1), "the image did not end as it should");
    start.elapsed()
}
