//! An object of the whole list: ntgate makes it of the list; GNU as of the same stubs as text; gcc calls the preprocessor
//! and as, which is how builds assemble `.S` files. Whole processes, taken in turn, as ratios:
//! `cargo bench --bench beside_as`. Where there is valgrind, the instructions of ntgate and as too, which do not hang on how
//! busy the machine is. Says so and ends well where there is no GNU as or gcc.

// A benchmark's output is what it prints.
#![allow(clippy::print_stdout)]

use std::path::Path;
use std::process::{Command, ExitCode, Stdio};
use std::time::{Duration, Instant};

const NTGATE: &str = env!("CARGO_BIN_EXE_ntgate");

/// Each measurement is the middle one of this many, taken in turn, so that a busy machine is busy for both.
const REPEATS: usize = 41;

fn main() -> ExitCode {
    for (program, package) in [("as", "binutils"), ("gcc", "gcc")] {
        if Command::new(program).arg("--version").stdout(Stdio::null()).status().is_err() {
            println!("beside_as: no {program} on PATH (package {package}); nothing to compare with");
            return ExitCode::SUCCESS;
        }
    }
    let directory = tempfile::tempdir().expect("a temporary directory");
    let at = directory.path();
    println!("{:<6} {:<5} {:>9} {:>9} {:>9} {:>7} {:>7}", "arch", "form", "ntgate", "as", "gcc -c", "as/", "gcc/");
    for (arch, as_option, gcc_option) in [("i386", "--32", "-m32"), ("amd64", "--64", "-m64")] {
        run(at, NTGATE, &["gen", "--arch", arch, "--emit", "gas", "-o", "stubs.S"]);
        for form in ["coff", "elf"] {
            let commands: [(&str, &[&str]); 3] = [
                (NTGATE, &["gen", "--arch", arch, "--emit", form, "-o", "out.o"]),
                ("as", &[as_option, "-o", "out.o", "stubs.S"]),
                ("gcc", &[gcc_option, "-c", "-o", "out.o", "stubs.S"]),
            ];
            let mut times = [const { Vec::new() }; 3];
            for _ in 0..REPEATS {
                for (times, (program, args)) in times.iter_mut().zip(commands) {
                    // An output that is there already, and right, would not be written.
                    let _ = std::fs::remove_file(at.join("out.o"));
                    times.push(run(at, program, args));
                }
            }
            let [ours, theirs, gcc] = times.map(milliseconds);
            let (as_ratio, gcc_ratio) = (theirs / ours, gcc / ours);
            println!(
                "{arch:<6} {form:<5} {ours:>6.2} ms {theirs:>6.2} ms {gcc:>6.2} ms {as_ratio:>7.2} {gcc_ratio:>7.2}"
            );
            if let [Some(ours), Some(theirs), _] = commands.map(|(program, args)| instructions(at, program, args)) {
                let (ours, theirs) = (ours / 1e6, theirs / 1e6);
                println!("{:<12} {ours:>5.2} mill {theirs:>5.2} mill {:>17.2}", "instructions", theirs / ours);
            }
        }
    }
    ExitCode::SUCCESS
}

/// How many instructions a process takes in user mode, if valgrind is there to count them.
fn instructions(directory: &Path, program: &str, args: &[&str]) -> Option<f64> {
    let _ = std::fs::remove_file(directory.join("out.o"));
    let mut valgrind = Command::new("valgrind");
    valgrind.args(["--tool=callgrind", "--callgrind-out-file=/dev/null", program]).args(args);
    let output = valgrind.current_dir(directory).output().ok()?;
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    let (_, count) = told.rsplit_once("refs:")?;
    count.trim().replace(',', "").parse().ok()
}

/// How long a process takes.
fn run(directory: &Path, program: &str, args: &[&str]) -> Duration {
    let start = Instant::now();
    let status = Command::new(program).args(args).current_dir(directory).status().expect("it runs");
    let time = start.elapsed();
    assert!(status.success(), "{program} {args:?}");
    time
}

/// The middle one of some times, in milliseconds.
fn milliseconds(mut times: Vec<Duration>) -> f64 {
    times.sort_unstable();
    times[times.len() / 2].as_secs_f64() * 1e3
}
