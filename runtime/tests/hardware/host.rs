//! The processor that the test runs on, reached through `runner.c`.

use std::path::Path;
use std::process::Command;

use super::case::{CODE_SIZE, Case, DATA_SIZE, FLAGS, Outcome, STACK_SIZE, State};

const RESULT: usize = 4 * 12 + DATA_SIZE + STACK_SIZE;

/// The vectors that Linux passes on with a signal: the breakpoint after the instruction, and a case that went astray.
const BREAKPOINT: u32 = 3;
const PAGE_FAULT: u32 = 14;

fn record(case: &Case) -> Vec<u8> {
    let words = case.before.registers.iter().chain([&case.before.flags, &case.code_at]);
    let mut bytes: Vec<u8> = words.flat_map(|word| word.to_le_bytes()).collect();
    bytes.extend(&case.code);
    bytes.resize(40 + CODE_SIZE, 0xCC);
    bytes.extend(case.before.data);
    bytes.extend(case.before.stack);
    bytes
}

fn outcome(case: &Case, bytes: &[u8]) -> Result<Outcome, String> {
    let word = |i: usize| u32::from_le_bytes([bytes[4 * i], bytes[4 * i + 1], bytes[4 * i + 2], bytes[4 * i + 3]]);
    let (eip, trap, stray) = (word(9), word(10), word(11));
    if stray != 0 || trap == PAGE_FAULT {
        return Err(format!("the case itself is wrong (trap {trap}, stray {stray}): {}", case.disassembly()));
    }
    let mut after = State::zero();
    for (i, register) in after.registers.iter_mut().enumerate() {
        *register = word(i);
    }
    after.flags = word(8) & FLAGS;
    after.data.copy_from_slice(&bytes[48..48 + DATA_SIZE]);
    after.stack.copy_from_slice(&bytes[48 + DATA_SIZE..RESULT]);
    let faulted = trap != BREAKPOINT;
    // The breakpoint is one byte long and EIP is behind it.
    let went = eip.wrapping_sub(case.code_at) as i32 - i32::from(!faulted);
    Ok(Outcome { after, went, faulted })
}

fn succeed(command: &mut Command, help: &str) {
    let status = command.status().unwrap_or_else(|error| panic!("{command:?}: {error}; {help}"));
    assert!(status.success(), "{command:?}: {status}; {help}");
}

/// Runs all cases. An error is a case that the generator should not have made.
pub(crate) fn run(cases: &[Case]) -> Vec<Result<Outcome, String>> {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR"));
    // Tests of this file run side by side.
    let name = format!("{:?}", std::thread::current().id()).replace(['(', ')'], "-");
    let path = |what: &str| folder.join(format!("{name}{what}"));
    let (program, given, seen) = (path("runner"), path("cases"), path("results"));
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/hardware/runner.c");
    let mut gcc = Command::new("gcc");
    gcc.args(["-m32", "-O1", "-D_GNU_SOURCE", "-o"]).arg(&program).arg(&source);
    succeed(&mut gcc, "install gcc-multilib");
    let records: Vec<u8> = cases.iter().flat_map(record).collect();
    std::fs::write(&given, records).expect("the target folder is writable");
    let low = "it needs memory at 4000h: see sysctl vm.mmap_min_addr";
    succeed(Command::new(&program).arg(&given).arg(&seen), low);
    let results = std::fs::read(&seen).expect("the runner has written it");
    assert_eq!(results.len(), cases.len() * RESULT);
    cases.iter().zip(results.chunks(RESULT)).map(|(case, bytes)| outcome(case, bytes)).collect()
}
