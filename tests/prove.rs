//! Proofs through the library: lists of every kind hold, on every CPU, every way.

use std::sync::atomic::{AtomicUsize, Ordering};

use ntgate::ntgate_gen::{Arch, Shape, read_list};
use ntgate::ntgate_runtime::machine::cpuid::Model;
use ntgate::ntgate_runtime::machine::{Exit, Machine};
use ntgate::ntgate_runtime::prove::{Entry, Options, Report, image, profiles, prove};

fn proven(name: &str, list: &[u8]) -> Report {
    proven_on(name, list, &[])
}

/// Proves a list for some architectures; none means all.
fn proven_on(name: &str, list: &[u8], archs: &[Arch]) -> Report {
    let read = read_list(name, list).expect("the list is right");
    let mut options = Options::default();
    options.archs = archs.to_vec();
    let report = prove(&read.list, name, &options, &|_, _| {}).expect("the guest boots");
    assert!(report.holds(), "{}", report.render(false));
    report
}

#[test]
fn the_built_in_list_holds_in_every_cell() {
    let report = proven("sysfuncs.lst", ntgate::SYSFUNCS);
    assert_eq!(report.services, 298);
    // Of i386, Windows NT 4.0 and 2000 with two shapes on five CPUs, three systems with two and ReactOS with five on the four
    // from the Pentium on, Windows XP with two, Windows 8 with two on the two that have SYSENTER. Of amd64, seven shapes of three
    // systems on two CPUs, one of them with two ways in.
    let i386 = 2 * 2 * 5 + (1 + 3) * 2 * 4 + 5 * 4 + 2 * 2;
    assert_eq!(report.runs.len(), i386 + 8 * 2);
    for run in &report.runs {
        assert_eq!((run.proven, run.total), (298, 298), "{} on {}", run.shape, run.cpu);
        let bad_calls = match run.shape {
            // It has neither a number nor an argument pointer.
            Shape::ZwReactos => 0,
            shape if shape.is_kernel() => 2,
            _ => 3,
        };
        assert_eq!((run.refusals.proven, run.refusals.total), (bad_calls, bad_calls));
        let modern = matches!(run.cpu, "pentium2" | "core2") && !matches!(run.profile, "nt4" | "win2000");
        let entry = match run.shape {
            Shape::Int2e | Shape::Int2eFrame => Entry::Int2e,
            shape if shape.is_kernel() => Entry::Zw,
            // Both ways, one after the other.
            Shape::SyscallOrInt2e => run.entry,
            shape if shape.arch() == Arch::Amd64 => Entry::Syscall,
            _ if modern => Entry::Sysenter,
            _ => Entry::Int2e,
        };
        assert_eq!(run.entry, entry, "{} on {}", run.shape, run.cpu);
    }
    for cpu in ["core2duo", "nehalem"] {
        let both = report.runs.iter().filter(|run| run.shape == Shape::SyscallOrInt2e && run.cpu == cpu);
        let ways: Vec<_> = both.map(|run| (run.entry, run.profile)).collect();
        assert_eq!(ways, [(Entry::Syscall, "win10-x64"), (Entry::Int2e, "win10-x64")]);
    }
}

#[test]
fn a_profile_is_proven_alone() {
    let read = read_list("t", b"NtClose 1\nNtYieldExecution 0\nNtCreateKeyTransacted 8\nNtNew 1\n")
        .expect("the list is right");
    let mut options = Options::default();
    options.profile = Some("winxp-sp2".to_owned());
    let report = prove(&read.list, "t", &options, &|_, _| {}).expect("the guest boots");
    assert!(report.holds() && report.runs.iter().all(|run| run.profile == "winxp-sp2"));
    assert_eq!(report.runs.len(), 2 * 4);
    let notes = [
        "winxp-sp2 did not have 2 services: NtCreateKeyTransacted, NtNew",
        "2 services had another number in winxp-sp2",
    ];
    assert_eq!(report.notes, notes);
    // A shape that it did not have, and a system that there was not.
    options.shapes = vec![Shape::Sysenter];
    let error = prove(&read.list, "t", &options, &|_, _| {}).expect_err("it had none");
    assert_eq!(error.to_string(), "winxp-sp2 has no stubs of shape sysenter; it has shared-edx, zw");
    options.shapes.clear();
    options.archs = vec![Arch::Amd64];
    let error = prove(&read.list, "t", &options, &|_, _| {}).expect_err("it is none");
    assert_eq!(error.to_string(), "winxp-sp2 is not a system of amd64");
    options.profile = Some("win9".to_owned());
    let error = prove(&read.list, "t", &options, &|_, _| {}).expect_err("there was none");
    assert!(error.is_input() && error.to_string().starts_with("there is no profile `win9`; known: nt4, "), "{error}");
    assert_eq!(profiles().len(), 11);
}

#[test]
fn the_shortest_list_holds() {
    let report = proven("one", b"NtA 0\n");
    // Without arguments no argument pointer can be bad: one call has to fail, the one past the end.
    assert!(report.runs.iter().all(|run| run.refusals.total == usize::from(run.shape != Shape::ZwReactos)));
}

#[test]
fn a_table_with_gaps_holds_up_to_its_last_number() {
    // No number is past the end of a full table.
    let bad_calls = |shape: Shape| if shape.is_kernel() { 1 } else { 2 };
    let report = proven_on("gaps", b"NtA 3\nNtB 0 @0x55\nNtC 63 @4095\n", &[Arch::I386]);
    assert!(report.runs.iter().all(|run| run.total == 3 && run.refusals.total == bad_calls(run.shape)));
    let report = proven_on("gaps", b"NtA 3\nNtB 0 @0x55\nNtC 18 @4095\n", &[Arch::Amd64]);
    let numbered = report.runs.iter().filter(|run| run.shape != Shape::ZwReactos);
    assert!(numbered.clone().all(|run| run.total == 3 && run.refusals.total == bad_calls(run.shape)));
    assert_eq!(numbered.count(), 7 * 2);
}

#[test]
fn the_tables_of_the_kernel_and_of_win32k_are_proven() {
    let report = proven("two", b"NtA 3\n#! table win32k base=0x1000\nNtGdiA 2\nNtGdiB 12\n");
    assert_eq!(report.services, 3);
    assert!(report.runs.iter().all(|run| run.total == 3));
    assert!(report.notes.is_empty());
}

#[test]
fn further_tables_are_left_out_and_that_is_said() {
    let report = proven("iis", b"NtA 3\n#! table spud base=0x2000\nNtSpudA 2\nNtSpudB 2\n");
    assert_eq!(report.services, 1);
    assert_eq!(report.notes, ["the table spud (2 services) is not proven: the guest has no table at 0x2000"]);
}

#[test]
fn whoever_waits_is_told_how_far_it_is() {
    let read = read_list("t", b"NtA 1\n").expect("the list is right");
    let calls = AtomicUsize::new(0);
    let progress = |done: usize, total: usize| {
        // Of i386 two systems on five CPUs, five on four and one on two; of amd64 three on two.
        assert!(done <= total && total == 2 * 5 + 5 * 4 + 2 + 3 * 2);
        calls.fetch_add(1, Ordering::Relaxed);
    };
    prove(&read.list, "t", &Options::default(), &progress).expect("the guest boots");
    assert_eq!(calls.into_inner(), 38);
}

#[test]
fn a_whole_proof_runs_the_same_way_under_an_observers_eyes() {
    let read = read_list("two.lst", b"NtClose 1\nNtReadFile 9\n").expect("the list is right");
    for (arch, cpu) in [(Arch::I386, "pentium"), (Arch::I386, "core2"), (Arch::Amd64, "core2duo")] {
        let image = image(&read.list, arch, &[]).expect("it fits the guest");
        let boot = |observed: bool| {
            let mut machine = Machine::new(Model::by_name(cpu).expect("there is such a model"), 16 << 20);
            machine.load(&image).expect("it is a multiboot image");
            if observed {
                machine.observe();
            }
            let mut events = 0;
            let exit = loop {
                // Little by little: what was noted is kept until it is cleared.
                let exit = machine.run(10_000);
                events += machine.events().len();
                machine.clear_events();
                if exit != Exit::Budget || machine.retired() > 50_000_000 {
                    break exit;
                }
            };
            (exit, machine.retired(), machine.take_console(), events)
        };
        let (plain, seen) = (boot(false), boot(true));
        assert_eq!(plain.0, Exit::Port(0), "{cpu}");
        assert_eq!((&plain.0, plain.1, &plain.2), (&seen.0, seen.1, &seen.2), "{cpu}");
        assert!(plain.3 == 0 && seen.3 > 10_000, "{cpu}: {} events", seen.3);
    }
}
