//! The text files in `tests/vectors`: results of a real processor.
//!
//! A line is `bytes ; before => after`, after a comment with the disassembly. `before` names the registers, flags and
//! memory that are not zero; `after` those that have changed, `eip=+n` if it went elsewhere than to the next instruction,
//! `fault`, and `undefined=` the flags that the manual leaves open.
//!
//! To write them anew, run the test that compares them with this processor, with `NTGATE_WRITE_VECTORS=1` in the
//! environment: `cargo test -p ntgate-runtime --test hardware -- --ignored --exact vectors::they_are_what_a_processor_gives`.

use std::fmt::Write;
use std::path::PathBuf;

use super::case::{Case, FLAGS, State, flag_names, flags_from, from_hex, hex};
use super::random::Random;
use super::{generate, host, machine, table};

const FAMILIES: [&str; 9] = ["alu", "bcd", "bits", "branch", "moves", "muldiv", "shift", "stack", "strings"];
/// Lines from each row of the table.
const PER_ROW: usize = 4;

fn path(family: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/vectors").join(format!("{family}.txt"))
}

#[test]
#[ignore = "needs gcc -m32 and an x86 host"]
fn they_are_what_a_processor_gives() {
    let write = std::env::var_os("NTGATE_WRITE_VECTORS").is_some();
    let (rows, mut random) = (table::rows(), Random(2));
    for family in FAMILIES {
        let wanted = rows.iter().enumerate().filter(|(_, row)| row.family == family);
        let cases: Vec<Case> = wanted
            .flat_map(|(i, row)| (0..PER_ROW).map(move |_| (i, row)))
            .map(|(i, row)| generate::case(&mut random, i, row, true))
            .collect();
        let mut text =
            String::from("# Taken from a processor by tests/hardware (see vectors.rs there), not written by hand.\n");
        for (case, outcome) in cases.iter().zip(host::run(&cases)) {
            let outcome = outcome.expect("the generator makes no case that touches other memory");
            let _ = writeln!(text, "# {}", case.disassembly());
            let before = case.before.difference(&State::zero());
            let _ = write!(text, "{} @{:x} ;{before} =>", hex(&case.code), case.code_at);
            let mut after = outcome.after;
            after.flags = after.flags & !case.undefined | case.before.flags & case.undefined;
            let _ = write!(text, "{}", after.difference(&case.before));
            if outcome.faulted {
                let _ = write!(text, " fault");
            } else {
                let _ = write!(text, " eip={:+}", outcome.went);
            }
            if case.undefined != 0 {
                let _ = write!(text, " undefined={}", flag_names(case.undefined));
            }
            text.push('\n');
        }
        if write {
            std::fs::write(path(family), text).expect("tests/vectors is there and writable");
            continue;
        }
        let stored = std::fs::read_to_string(path(family)).expect("the file is there");
        let differs = stored.lines().zip(text.lines()).find(|(stored, now)| stored != now);
        assert_eq!(differs, None, "{family}.txt has another line than this processor gives");
        assert_eq!(stored.len(), text.len(), "{family}.txt");
    }
}

/// Checks a line; says what is wrong with it or with the machine.
fn check(line: &str) -> Result<(), String> {
    let (code, rest) = line.split_once(" ;").ok_or("no `;`")?;
    let (code, at) = code.split_once(" @").ok_or("no address")?;
    let (before, after) = rest.split_once("=>").ok_or("no `=>`")?;
    let mut state = State::zero();
    state.apply(before)?;
    let (mut expected, mut words) = (state.clone(), Vec::new());
    let (mut fault, mut went, mut undefined) = (false, 0, 0);
    for word in after.split_whitespace() {
        match word.split_once('=') {
            None if word == "fault" => fault = true,
            Some(("eip", offset)) => went = offset.parse().map_err(|_| "bad offset")?,
            Some(("undefined", names)) => undefined = flags_from(names).ok_or("bad flags")?,
            _ => words.push(word),
        }
    }
    expected.apply(&words.join(" "))?;
    let code_at = u32::from_str_radix(at, 16).map_err(|_| "bad address")?;
    let code = from_hex(code).ok_or("bad bytes")?;
    let case = Case { row: 0, code_at, code, before: state, undefined };
    let outcome = machine::run(&case)?;
    let mut seen = outcome.after;
    for state in [&mut expected, &mut seen] {
        state.flags &= FLAGS & !undefined;
    }
    let difference = seen.difference(&expected);
    if !difference.is_empty() {
        return Err(format!("expected{}, but got{difference}", expected.difference(&seen)));
    }
    if (outcome.faulted, if fault { 0 } else { outcome.went }) != (fault, went) {
        return Err(format!("went to +{}, fault {}", outcome.went, outcome.faulted));
    }
    Ok(())
}

#[test]
fn the_machine_does_what_a_processor_did() {
    let mut wrong = Vec::new();
    for family in FAMILIES {
        let text = std::fs::read_to_string(path(family)).expect("the vectors are in the repository");
        let lines = text.lines().filter(|line| !line.starts_with('#'));
        assert!(lines.clone().count() > 10, "{family}");
        wrong.extend(lines.filter_map(|line| Some(format!("{family}: {line}\n  {}", check(line).err()?))));
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
