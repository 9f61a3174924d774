//! Proofs through the library: lists of every kind hold, on every CPU, every way.

use std::sync::atomic::{AtomicUsize, Ordering};

use ntgate::ntgate_gen::{Shape, read_list};
use ntgate::ntgate_runtime::prove::{Entry, Options, Report, prove};

fn proven(name: &str, list: &[u8]) -> Report {
    let read = read_list(name, list).expect("the list is right");
    let report = prove(&read.list, name, &Options::default(), &|_, _| {}).expect("the guest boots");
    assert!(report.holds(), "{}", report.render(false));
    report
}

#[test]
fn the_built_in_list_holds_in_every_cell() {
    let report = proven("sysfuncs.lst", ntgate::SYSFUNCS);
    assert_eq!(report.services, 298);
    // Seven shapes on five CPUs, less `sysenter` on the three that do not have it.
    assert_eq!(report.runs.len(), 7 * 5 - 3);
    for run in &report.runs {
        assert_eq!((run.proven, run.total), (298, 298), "{} on {}", run.shape, run.cpu);
        let bad_calls = if run.shape.is_kernel() { 2 } else { 3 };
        assert_eq!((run.refusals.proven, run.refusals.total), (bad_calls, bad_calls));
        let modern = matches!(run.cpu, "pentium2" | "core2");
        let entry = match run.shape {
            Shape::Int2e | Shape::Int2eFrame => Entry::Int2e,
            Shape::Zw => Entry::Zw,
            _ if modern => Entry::Sysenter,
            _ => Entry::Int2e,
        };
        assert_eq!(run.entry, entry, "{} on {}", run.shape, run.cpu);
    }
}

#[test]
fn the_shortest_list_holds() {
    let report = proven("one", b"NtA 0\n");
    // Without arguments no argument pointer can be bad: one call has to fail, the one past the end.
    assert!(report.runs.iter().all(|run| run.refusals.total == 1));
}

#[test]
fn a_table_with_gaps_holds_up_to_its_last_number() {
    let report = proven("gaps", b"NtA 3\nNtB 0 @0x55\nNtC 63 @4095\n");
    // No number is past the end of a full table.
    assert!(
        report.runs.iter().all(|run| run.total == 3 && run.refusals.total == if run.shape.is_kernel() { 1 } else { 2 })
    );
}

#[test]
fn further_tables_are_left_out_and_that_is_said() {
    let report = proven("two", b"NtA 3\n#! table win32k base=0x1000\nNtGdiA 2\nNtGdiB 2\n");
    assert_eq!(report.services, 1);
    assert_eq!(report.notes, ["the table win32k (2 services) is not proven: the guest has no such table"]);
}

#[test]
fn whoever_waits_is_told_how_far_it_is() {
    let read = read_list("t", b"NtA 1\n").expect("the list is right");
    let calls = AtomicUsize::new(0);
    let progress = |done: usize, total: usize| {
        assert!(done <= total && total == 5);
        calls.fetch_add(1, Ordering::Relaxed);
    };
    prove(&read.list, "t", &Options::default(), &progress).expect("the guest boots");
    assert_eq!(calls.into_inner(), 5);
}
