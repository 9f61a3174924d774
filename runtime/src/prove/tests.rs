//! Whole runs on the bundled machine, of plans that are broken on purpose.

use ntgate_gen::{ServiceList, Shape, read_list};

use super::run::{self, Ground, Wrong};
use super::*;
use crate::backend::End;
use crate::nt::record::PAST_END;
use crate::nt::{Plan, SystemCallForm};

fn list() -> ServiceList {
    read_list("three.lst", b"NtNone 0\nNtThree 3\nNtNine 9\n").expect("the list is right").list
}

/// Runs a plan after `change`, judged by what it was before.
fn run_changed(shapes: &[Shape], cpu: &str, change: impl Fn(&mut Plan)) -> (Plan, Vec<Wrong>) {
    let list = list();
    let kernel = Kernel::new(&SRV2003).expect("it assembles");
    let reference = plan(list.primary(), shapes);
    let mut changed = reference.clone();
    change(&mut changed);
    let cpu = Cpu::by_name(cpu).expect("there is such a model");
    let ground = Ground { profile: &SRV2003, kernel: &kernel, reference: &reference };
    let wrong = run::run(ground, &changed, &cpu, false, None).expect("it boots");
    (reference, wrong)
}

fn whats(wrong: &Wrong) -> Vec<What> {
    wrong.findings.iter().map(|finding| finding.what).collect()
}

#[test]
fn nothing_is_wrong_with_a_right_plan() {
    for cpu in Cpu::all() {
        assert_eq!(run_changed(&Shape::ALL, cpu.name, |_| {}).1, [], "{}", cpu.name);
    }
}

#[test]
fn a_broken_stub_is_found_and_the_others_are_right() {
    let (_, wrong) = run_changed(&[Shape::SharedEdx, Shape::Int2e], "pentium2", |plan| {
        let stub = &mut plan.sets[1].stubs[2];
        *stub = Mutation::ReturnMinus.of_stub(stub).expect("it can be broken so");
    });
    let [wrong] = &wrong[..] else { panic!("one call is wrong: {wrong:?}") };
    assert_eq!((wrong.set, wrong.call), (1, Some(2)));
    assert_eq!(wrong.findings, [Finding::dword(What::StackAfter, 0x0012_FFF0, 0x0012_FFEC)]);
}

#[test]
fn a_stub_that_stops_the_machine_does_not_hide_the_next_ones() {
    let (_, wrong) = run_changed(&[Shape::Zw, Shape::Int2e], "pentium", |plan| {
        for stub in [0, 2] {
            let stub = &mut plan.sets[0].stubs[stub];
            *stub = Mutation::NoPushfd.of_stub(stub).expect("it can be broken so");
        }
    });
    assert_eq!(wrong.iter().map(|wrong| wrong.call).collect::<Vec<_>>(), [Some(0), Some(2)]);
    for wrong in &wrong {
        assert_eq!(whats(wrong), [What::Record]);
        assert!(wrong.findings[0].seen.to_string().starts_with("bug check "), "{wrong:?}");
    }
}

#[test]
fn a_table_that_is_too_short_is_found_by_the_call_past_its_end() {
    // The guest's table has one row more than the list.
    let (_, wrong) = run_changed(&[Shape::SharedEdx], "core2", |plan| {
        plan.ssdt.push(0);
        plan.sspt.push(0);
    });
    let [wrong] = &wrong[..] else { panic!("one call is wrong: {wrong:?}") };
    assert_eq!(wrong.call, Some(PAST_END));
    assert!(whats(wrong).contains(&What::Handler) && whats(wrong).contains(&What::Status));
}

#[test]
fn an_argument_table_of_zeroes_is_found() {
    // Nothing is copied, nor is there a service to call with a bad pointer: the calls of services tell.
    let (reference, wrong) = run_changed(&[Shape::Int2e], "486", |plan| plan.sspt.fill(0));
    assert_eq!(reference.sspt, [0, 12, 36]);
    let calls: Vec<_> = wrong.iter().map(|wrong| wrong.call).collect();
    assert_eq!(calls, [Some(1), Some(2)]);
    assert!(whats(&wrong[0]).contains(&What::BytesCopied));
}

#[test]
fn mutants_of_a_small_list_are_all_rejected() {
    let options = Options { mutate: true, ..Options::default() };
    let report = prove(&list(), "three.lst", &options, &|_, _| {}).expect("it boots");
    let mutants = report.mutants.as_ref().expect("there are mutants");
    assert_eq!(mutants.survivors, []);
    assert_eq!(mutants.total, mutants.rejected);
    // 8 of stubs and 2 of bytes in 7 shapes of 3 services, 2 of vectors in 2 shapes, 1 of SYSENTER, 2 of Zw, less the
    // plain `ret` of NtNone, which is one already; and 2 pairs of neighbours, swapped in 2 ways, in 7 shapes.
    let of_services = 3 * (7 * (8 + 2) + 2 * 2 + 1 + 2) - 7;
    assert_eq!(mutants.total, of_services + 7 * 2 * 2);
    let [same] = &mutants.equivalent[..] else { panic!("one group is its original: {:?}", mutants.equivalent) };
    assert_eq!((same.mutation, same.shapes.len()), (Mutation::ReturnPlain, 7));
    assert_eq!(same.services, ["NtNone"]);
    assert!(report.holds());
}

#[test]
fn a_mutant_of_another_shape_is_not_run() {
    let options = Options { mutate: true, shapes: vec![Shape::Sysenter], ..Options::default() };
    let report = prove(&list(), "three.lst", &options, &|_, _| {}).expect("it boots");
    // Only two of the five models have SYSENTER.
    assert_eq!(report.runs.iter().map(|run| run.cpu).collect::<Vec<_>>(), ["pentium2", "core2"]);
    let kinds: Vec<_> = report.mutants.expect("there are mutants").kinds.iter().map(|kind| kind.mutation).collect();
    assert!(kinds.contains(&Mutation::GateForSysenter) && !kinds.contains(&Mutation::VectorPlus));
}

#[test]
fn logs_are_compared_line_by_line() {
    let boot = |text: &str| Boot { console: text.as_bytes().to_vec(), end: End::Exit(0) };
    let cpu = Cpu::by_name("pentium").expect("there is such a model");
    assert_eq!(difference(&cpu, &boot("a\nb\n"), &boot("a\nb\n")), None);
    let found = difference(&cpu, &boot("a\nb\nc\n"), &boot("a\nx\nc\n")).expect("they differ");
    assert_eq!((found.line, found.bundled.as_str(), found.qemu.as_str()), (2, "b", "x"));
    let found = difference(&cpu, &boot("a\n"), &boot("a\nb\n")).expect("they differ");
    assert_eq!((found.line, found.bundled.as_str(), found.qemu.as_str()), (2, "", "b"));
}

/// The report on a plan after `change`.
fn report_changed(shapes: &[Shape], cpus: &[&str], change: impl Fn(&mut Plan)) -> Report {
    let mut report = Report::new("three.lst", 3);
    for cpu in cpus {
        let (reference, wrong) = run_changed(shapes, cpu, &change);
        let image = Kernel::new(&SRV2003).and_then(|kernel| kernel.image(&reference)).expect("it fits");
        report.add_runs(&reference, &image, shapes, &Cpu::by_name(cpu).expect("there is such a model"), &wrong);
    }
    report.sort_runs(shapes);
    report
}

/// A report with something of everything, its time set to nothing.
fn bad_report() -> Report {
    let mut report = report_changed(&[Shape::Int2e, Shape::Sysenter, Shape::Zw], &["486", "pentium2"], |plan| {
        let stub = &mut plan.sets[0].stubs[1];
        *stub = Mutation::NumberPlus.of_stub(stub).expect("it can be broken so");
        let stub = &mut plan.sets[2].stubs[2];
        *stub = Mutation::NoPushCs.of_stub(stub).expect("it can be broken so");
    });
    report.notes.push("something was left out".to_owned());
    let (bundled, qemu) = ("c 00000000".to_owned(), "c 00000001".to_owned());
    report.differences.push(Difference { cpu: "pentium2", line: 4, bundled, qemu });
    report
}

#[test]
fn a_set_that_must_not_run_is_in_the_report() {
    let shapes = [Shape::Int2e, Shape::Sysenter];
    let report = report_changed(&shapes, &["pentium"], |plan| plan.sets[1].needs_sysenter = false);
    assert!(!report.holds());
    let [_, run] = &report.runs[..] else { panic!("two shapes: {:?}", report.runs) };
    assert_eq!((run.shape, run.entry, run.proven, run.total), (Shape::Sysenter, Entry::Sysenter, 0, 3));
    assert_eq!((run.failures[0].what, run.failures[0].seen.as_str()), (What::SetRuns, "run"));
}

#[test]
fn nothing_of_a_set_is_proven_that_is_wrong_as_a_whole() {
    // The page holds a pointer where the stubs want code, and the calls happen to be right: they do not look there.
    let report = report_changed(&[Shape::Int2e], &["core2"], |plan| plan.sets[0].form = SystemCallForm::Code);
    let [run] = &report.runs[..] else { panic!("one run: {:?}", report.runs) };
    assert_eq!((run.failures[0].service.as_str(), run.failures[0].what), ("(the set)", What::SharedEntry));
    assert!(run.failures.iter().all(|failure| failure.service.starts_with('(')), "{:?}", run.failures);
    assert_eq!((run.proven, run.total, run.refusals.proven, report.holds()), (0, 3, 0, false));
}

#[test]
fn a_report_shows_what_is_wrong() {
    let report = bad_report();
    assert!(!report.holds());
    insta::assert_snapshot!(report.render(false));
}

#[test]
fn a_report_is_json_for_programs() {
    insta::assert_snapshot!(bad_report().to_json());
}

#[test]
fn survivors_are_shown() {
    let mut report = Report::new("three.lst", 3);
    let survivor = Mutant { mutation: Mutation::ReturnPlus, shape: Shape::Zw, service: "NtNine".to_owned() };
    let kind =
        Kind { mutation: Mutation::ReturnPlus, total: 1, rejected: 0, equivalent: 0, gave_away: Default::default() };
    report.mutants = Some(Mutants { total: 1, survivors: vec![survivor], kinds: vec![kind], ..Mutants::default() });
    assert!(!report.holds());
    let text = report.render(false);
    assert!(text.contains("survived: ret+4 of zw, NtNine\n1 mutant, 0 rejected, 1 survived"), "{text}");
}

#[test]
fn colour_is_only_on_demand() {
    let report = bad_report();
    assert!(!report.render(false).contains('\u{1b}'));
    assert!(report.render(true).contains("\u{1b}[1;31mNOT PROVEN\u{1b}[0m"));
}

#[test]
fn a_list_of_another_table_is_refused() {
    let read = read_list("w", b"#! table win32k base=0x1000\nNtGdi 2\n").expect("the list is right");
    let error = prove(&read.list, "w", &Options::default(), &|_, _| {}).expect_err("it cannot be proven");
    assert!(error.is_input() && !error.is_outside());
    assert!(error.to_string().contains("base 0x1000"), "{error}");
}

#[test]
#[ignore = "needs qemu-system-i386"]
fn both_machines_give_the_same_verdict() {
    let options = Options { machine: MachineKind::Qemu, ..Options::default() };
    let report = prove(&list(), "three.lst", &options, &|_, _| {}).expect("it boots");
    assert!(report.holds(), "{}", report.render(false));
    assert_eq!(report.differences, []);
    let cpus: std::collections::BTreeSet<_> = report.runs.iter().map(|run| run.cpu).collect();
    assert_eq!(cpus.len(), 4);
}
