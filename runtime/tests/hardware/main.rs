//! Ordinary integer instructions, one at a time and several, against the processor that the test runs on.
//!
//! `generate` makes cases from the rows of `table`; `host` executes them in ring 3 on the real processor and `machine` on
//! the bundled one; everything that an instruction may change is compared, but for flags that the manual leaves
//! undefined. `vectors` keeps a few results of the real processor in text files, for a plain `cargo test` on any host.

mod case;
mod generate;
mod host;
mod machine;
mod random;
mod table;
mod vectors;

use std::collections::BTreeMap;
use std::fmt::Write;

use case::{Case, FLAGS, Outcome};
use random::Random;

/// How many cases each row of the table gives.
const PER_ROW: usize = 250;
/// How many sequences of instructions there are, for each case of a row.
const SEQUENCES: usize = 80;

/// Both sides' outcomes without what is undefined, or what kept them from having one.
fn compare(case: &Case, host: &Outcome, machine: Result<Outcome, String>) -> Option<String> {
    let defined = |outcome: &Outcome| {
        let mut outcome = outcome.clone();
        outcome.after.flags &= FLAGS & !case.undefined;
        outcome
    };
    let describe = |outcome: &Outcome| {
        let changes = outcome.after.difference(&case.before);
        format!("{} at +{}{changes}", if outcome.faulted { "fault" } else { "went on" }, outcome.went)
    };
    let machine = match machine {
        Ok(machine) if defined(&machine) == defined(host) => return None,
        Ok(machine) => describe(&machine),
        Err(text) => text,
    };
    let mut text = format!("{}: {} at {:x}\n", case::hex(&case.code), case.disassembly(), case.code_at);
    let undefined = case::flag_names(case.undefined);
    let _ = writeln!(text, "  before {}, undefined {undefined}", case.before.difference(&case::State::zero()));
    let _ = writeln!(text, "  processor {}\n  machine   {machine}", describe(host));
    Some(text)
}

/// A number from the environment, to try more or others than the usual cases.
fn setting(name: &str, usual: usize) -> usize {
    std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(usual)
}

/// Runs all cases on both; the test fails with a report by name.
fn judge(cases: &[Case], name: impl Fn(&Case) -> &'static str) {
    let mut wrong: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    for (case, outcome) in cases.iter().zip(host::run(cases)) {
        let found = match outcome {
            Ok(outcome) => compare(case, &outcome, machine::run(case)),
            Err(text) => Some(text),
        };
        wrong.entry(name(case)).or_default().extend(found);
    }
    let mut report = String::new();
    for (name, found) in wrong.iter().filter(|(_, found)| !found.is_empty()) {
        let _ = writeln!(report, "{name}: {} differ, such as", found.len());
        report.extend(found.iter().take(3).map(String::as_str));
    }
    assert!(report.is_empty(), "of {} cases\n{report}", cases.len());
}

#[test]
#[ignore = "needs gcc -m32 and an x86 host"]
fn the_machine_agrees_with_the_processor_it_runs_on() {
    let per_row = setting("NTGATE_HARDWARE_CASES", PER_ROW);
    let (rows, mut random) = (table::rows(), Random(setting("NTGATE_HARDWARE_SEED", 1) as u64));
    let cases: Vec<Case> = rows
        .iter()
        .enumerate()
        .flat_map(|(i, row)| (0..per_row).map(move |_| (i, row)))
        .map(|(i, row)| generate::case(&mut random, i, row, false))
        .collect();
    judge(&cases, |case| rows[case.row].name);
}

#[test]
#[ignore = "needs gcc -m32 and an x86 host"]
fn it_agrees_on_sequences_of_instructions() {
    let count = SEQUENCES * setting("NTGATE_HARDWARE_CASES", PER_ROW);
    let (rows, mut random) = (table::rows(), Random(setting("NTGATE_HARDWARE_SEED", 3) as u64));
    let cases: Vec<Case> = (0..count).map(|_| generate::sequence(&mut random, 0, &rows)).collect();
    judge(&cases, |_| "sequences");
}
