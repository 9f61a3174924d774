//! An object of the whole list: ntgate makes it of the list, GNU as of the same stubs as text; whole processes, in turn,
//! as a ratio: `cargo bench --bench beside_as`. Says so and ends well where there is no GNU as.

// A benchmark's output is what it prints.
#![allow(clippy::print_stdout)]

use std::path::Path;
use std::process::{Command, ExitCode, Stdio};
use std::time::{Duration, Instant};

/// Each measurement is the middle one of this many, taken in turn, so that a busy machine is busy for both.
const REPEATS: usize = 41;

fn main() -> ExitCode {
    if Command::new("as").arg("--version").stdout(Stdio::null()).status().is_err() {
        println!("beside_as: no GNU as on PATH (package binutils); nothing to compare with");
        return ExitCode::SUCCESS;
    }
    let directory = tempfile::tempdir().expect("a temporary directory");
    let at = directory.path();
    println!("{:<8} {:<6} {:>12} {:>12} {:>8}", "arch", "form", "ntgate", "GNU as", "ratio");
    for (arch, option) in [("i386", "--32"), ("amd64", "--64")] {
        run(at, env!("CARGO_BIN_EXE_ntgate"), &["gen", "--arch", arch, "--emit", "gas", "-o", "stubs.s"]);
        for form in ["coff", "elf"] {
            let (mut ours, mut theirs) = (Vec::new(), Vec::new());
            for _ in 0..REPEATS {
                // Neither finds its output there: an unchanged one would not be written.
                let _ = std::fs::remove_file(at.join("ours.o"));
                let _ = std::fs::remove_file(at.join("theirs.o"));
                let gen_args = ["gen", "--arch", arch, "--emit", form, "-o", "ours.o"];
                ours.push(run(at, env!("CARGO_BIN_EXE_ntgate"), &gen_args));
                theirs.push(run(at, "as", &[option, "-o", "theirs.o", "stubs.s"]));
            }
            let (ours, theirs) = (middle(ours), middle(theirs));
            let ratio = theirs.as_secs_f64() / ours.as_secs_f64();
            println!(
                "{arch:<8} {form:<6} {:>9.2} ms {:>9.2} ms {ratio:>8.2}",
                milliseconds(ours),
                milliseconds(theirs)
            );
        }
    }
    ExitCode::SUCCESS
}

/// How long a process takes.
fn run(directory: &Path, program: &str, args: &[&str]) -> Duration {
    let start = Instant::now();
    let status = Command::new(program).args(args).current_dir(directory).status().expect("it runs");
    let time = start.elapsed();
    assert!(status.success(), "{program} {args:?}");
    time
}

fn middle(mut times: Vec<Duration>) -> Duration {
    times.sort_unstable();
    times[times.len() / 2]
}

fn milliseconds(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}
