//! Round trips into the kernel on the bundled machine and under QEMU's TCG, the same images in one run, as a ratio:
//! `cargo bench -p ntgate-runtime --bench beside_qemu`. Says so and ends well where there is no QEMU.

// A benchmark's output is what it prints.
#![allow(clippy::print_stdout)]

mod support;

use std::path::Path;
use std::process::{Command, ExitCode, Stdio};
use std::time::{Duration, Instant};

use ntgate_runtime::machine::{Exit, Machine, cpuid};
use support::Way;

/// Round trips timed; enough that QEMU's start does not matter.
const ROUNDS: u32 = 2_000_000;
/// Each measurement is the least of this many.
const REPEATS: usize = 3;

fn main() -> ExitCode {
    for way in &support::WAYS {
        let program = way.qemu.0;
        if Command::new(program).arg("--version").stdout(Stdio::null()).status().is_err() {
            println!("beside_qemu: no {program} on PATH (package qemu-system-x86); nothing to compare with");
            return ExitCode::SUCCESS;
        }
    }
    let directory = tempfile::tempdir().expect("a temporary directory");
    let path = directory.path().join("image.elf");
    println!("{:<12} {:>12} {:>12} {:>8}", "way in", "ntgate", "QEMU TCG", "ratio");
    for way in support::WAYS {
        let few = (way.image)(1);
        let many = (way.image)(ROUNDS + 1);
        let ours = least(|| bundled(&way, &many).saturating_sub(bundled(&way, &few)));
        let theirs = least(|| qemu(&way, &path, &many).saturating_sub(qemu(&way, &path, &few)));
        let (ours, theirs) = (per_round(ours), per_round(theirs));
        println!("{:<12} {ours:>9.1} ns {theirs:>9.1} ns {:>8.2}", way.name, ours / theirs);
    }
    ExitCode::SUCCESS
}

fn least(mut measure: impl FnMut() -> Duration) -> Duration {
    (0..REPEATS).map(|_| measure()).min().unwrap_or_default()
}

fn per_round(time: Duration) -> f64 {
    time.as_secs_f64() * 1e9 / f64::from(ROUNDS)
}

fn bundled(way: &Way, elf: &[u8]) -> Duration {
    let start = Instant::now();
    let mut machine = Machine::new(cpuid::Model::by_name(way.cpu).expect("it is there"), 64 << 20);
    machine.load(elf).expect("it is an image");
    assert_eq!(machine.run(u64::MAX), Exit::Port(0));
    start.elapsed()
}

fn qemu(way: &Way, path: &Path, elf: &[u8]) -> Duration {
    std::fs::write(path, elf).expect("it can be written");
    let start = Instant::now();
    let status = Command::new(way.qemu.0)
        .args(["-display", "none", "-no-reboot", "-nodefaults", "-cpu", way.qemu.1, "-m", "64"])
        .args(["-device", "isa-debug-exit,iobase=0xf4,iosize=4", "-kernel"])
        .arg(path)
        .status()
        .expect("it runs");
    assert_eq!(status.code(), Some(1), "the image did not end as it should");
    start.elapsed()
}
