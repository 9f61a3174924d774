//! Whole runs on the bundled machine, of plans that are broken on purpose.

use ntgate_gen::{ServiceList, Shape, read_list};

use super::group::{Group, difference};
use super::i386::I386;
use super::run::{self, Ground, Wrong};
use super::*;
use crate::backend::{Boot, End};
use crate::nt::profile::SRV2003;
use crate::nt::record::PAST_END;
use crate::nt::{Plan, SystemCallForm};

fn list() -> ServiceList {
    read_list("three.lst", b"NtNone 0\nNtThree 3\nNtNine 9\n").expect("the list is right").list
}

fn cpu(name: &str) -> Cpu {
    Cpu::by_name(name).expect("there is such a model")
}

/// The shapes of i386 as they should be, and what is wrong with a CPU's boot after `change`.
fn run_changed<'a>(
    services: &'a Services<'a>,
    shapes: &[Shape],
    name: &str,
    change: impl Fn(&mut Plan),
) -> (Group<'a, I386>, Vec<Wrong>) {
    let group = Group::new(I386::new(&SRV2003).expect("it assembles"), services, shapes).expect("it fits");
    let mut changed = group.plan.clone();
    change(&mut changed);
    let ground = Ground { guest: &group.guest, reference: &group.plan };
    let wrong = run::run(ground, &changed, &cpu(name), false, None).expect("it boots");
    (group, wrong)
}

/// What is wrong after `change`, for the list of three.
fn wrong_with(shapes: &[Shape], name: &str, change: impl Fn(&mut Plan)) -> Vec<Wrong> {
    let list = list();
    let services = Services::new(list.primary(), None);
    run_changed(&services, shapes, name, change).1
}

fn only_i386() -> Options {
    Options { archs: vec![Arch::I386], ..Options::default() }
}

fn whats(wrong: &Wrong) -> Vec<&'static str> {
    wrong.findings.iter().map(|finding| finding.what.name()).collect()
}

#[test]
fn nothing_is_wrong_with_a_right_plan() {
    for cpu in Cpu::of(Arch::I386) {
        assert_eq!(wrong_with(Shape::of(Arch::I386), cpu.name, |_| {}), [], "{}", cpu.name);
    }
}

#[test]
fn a_broken_stub_is_found_and_the_others_are_right() {
    let wrong = wrong_with(&[Shape::SharedEdx, Shape::Int2e], "pentium2", |plan| {
        let stub = &mut plan.sets[1].stubs[2];
        *stub = Mutation::ReturnMinus.of_stub(stub).expect("it can be broken so");
    });
    let [wrong] = &wrong[..] else { panic!("one call is wrong: {wrong:?}") };
    assert_eq!((wrong.set, wrong.call), (1, Some(2)));
    let [finding] = &wrong.findings[..] else { panic!("one fact is wrong: {wrong:?}") };
    assert_eq!((finding.what.name(), finding.what.condition()), ("stack-after", 3));
    assert_eq!((finding.expected.to_string().as_str(), finding.seen.to_string().as_str()), ("0012fff0", "0012ffec"));
}

#[test]
fn a_stub_that_stops_the_machine_does_not_hide_the_next_ones() {
    let wrong = wrong_with(&[Shape::Zw, Shape::Int2e], "pentium", |plan| {
        for stub in [0, 2] {
            let stub = &mut plan.sets[0].stubs[stub];
            *stub = Mutation::NoPushf.of_stub(stub).expect("it can be broken so");
        }
    });
    assert_eq!(wrong.iter().map(|wrong| wrong.call).collect::<Vec<_>>(), [Some(0), Some(2)]);
    for wrong in &wrong {
        assert_eq!(whats(wrong), ["record"]);
        assert!(wrong.findings[0].seen.to_string().starts_with("bug check "), "{wrong:?}");
    }
}

#[test]
fn a_table_that_is_too_short_is_found_by_the_call_past_its_end() {
    // The guest's table has one row more than the list.
    let wrong = wrong_with(&[Shape::SharedEdx], "core2", |plan| {
        plan.ssdt.push(0);
        plan.sspt.push(0);
    });
    let [wrong] = &wrong[..] else { panic!("one call is wrong: {wrong:?}") };
    assert_eq!(wrong.call, Some(PAST_END));
    assert!(whats(wrong).contains(&"handler") && whats(wrong).contains(&"status"));
}

#[test]
fn an_argument_table_of_zeroes_is_found() {
    // Nothing is copied, nor is there a service to call with a bad pointer: the calls of services tell.
    let list = list();
    let services = Services::new(list.primary(), None);
    let (group, wrong) = run_changed(&services, &[Shape::Int2e], "486", |plan| plan.sspt.fill(0));
    assert_eq!(group.plan.sspt, [0, 12, 36]);
    let calls: Vec<_> = wrong.iter().map(|wrong| wrong.call).collect();
    assert_eq!(calls, [Some(1), Some(2)]);
    assert!(whats(&wrong[0]).contains(&"bytes-copied"));
}

#[test]
fn mutants_of_a_small_list_are_all_rejected() {
    let options = Options { mutate: true, ..only_i386() };
    let report = prove(&list(), "three.lst", &options, &|_, _| {}).expect("it boots");
    let mutants = report.mutants.as_ref().expect("there are mutants");
    assert_eq!(mutants.survivors, []);
    assert_eq!(mutants.total, mutants.rejected);
    // 9 of stubs and 2 of bytes in 7 shapes of 3 services, 2 of vectors in 2 shapes, 1 of SYSENTER, 2 of Zw, less the
    // plain `ret` of NtNone, which is one already; and 2 pairs of neighbours, swapped in 2 ways, in 7 shapes.
    let of_services = 3 * (7 * (9 + 2) + 2 * 2 + 1 + 2) - 7;
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
    let cpu = cpu("pentium");
    assert_eq!(difference(&cpu, &boot("a\nb\n"), &boot("a\nb\n")), None);
    let found = difference(&cpu, &boot("a\nb\nc\n"), &boot("a\nx\nc\n")).expect("they differ");
    assert_eq!((found.line, found.bundled.as_str(), found.qemu.as_str()), (2, "b", "x"));
    let found = difference(&cpu, &boot("a\n"), &boot("a\nb\n")).expect("they differ");
    assert_eq!((found.line, found.bundled.as_str(), found.qemu.as_str()), (2, "", "b"));
}

/// The report on a plan after `change`.
fn report_changed(shapes: &[Shape], cpus: &[&str], change: impl Fn(&mut Plan)) -> Report {
    let list = list();
    let services = Services::new(list.primary(), None);
    let mut report = Report::new("three.lst", 3);
    for name in cpus {
        let (group, wrong) = run_changed(&services, shapes, name, &change);
        report.runs.extend(group.runs(&cpu(name), &wrong));
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
    assert_eq!((run.failures[0].what.name(), run.failures[0].seen.as_str()), ("set-runs", "run"));
}

#[test]
fn nothing_of_a_set_is_proven_that_is_wrong_as_a_whole() {
    // The page holds a pointer where the stubs want code, and the calls happen to be right: they do not look there.
    let report = report_changed(&[Shape::Int2e], &["core2"], |plan| plan.sets[0].form = SystemCallForm::Code);
    let [run] = &report.runs[..] else { panic!("one run: {:?}", report.runs) };
    assert_eq!((run.failures[0].service.as_str(), run.failures[0].what.name()), ("(the set)", "shared-entry"));
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
#[cfg(feature = "picture")]
fn a_page_opens_up_each_failure() {
    let mut report = bad_report();
    let page = report.to_html();
    let calls: usize = report.runs.iter().map(|run| run.failures.chunk_by(|a, b| a.service == b.service).count()).sum();
    assert!(calls > 2 && page.matches("<details open>").count() == calls, "{calls}");
    for run in &report.runs {
        for failure in &run.failures {
            let fact = format!("<code>{}</code></td><td class=\"bad\"><code>{}</code>", failure.expected, failure.seen);
            assert!(page.contains(&fact), "{fact}");
            assert!(failure.stub.iter().all(|line| page.contains(line)));
        }
    }
    // Each cell that is wrong leads to what is.
    for place in (0..report.runs.len()).filter(|place| !report.runs[*place].failures.is_empty()) {
        assert!(page.contains(&format!("href=\"#run-{place}\"")) && page.contains(&format!("id=\"run-{place}\"")));
    }
    // A name from a list is text, whatever it has in it.
    report.list = "<script>".to_owned();
    assert!(!report.to_html().contains("<script"));
}

#[test]
fn survivors_are_shown() {
    let mut report = Report::new("three.lst", 3);
    let survivor = Mutant { mutation: Mutation::ReturnPlus, shape: Shape::Zw, service: "NtNine".to_owned() };
    let (arch, mutation, gave_away) = (Arch::I386, Mutation::ReturnPlus, Default::default());
    let kind = Kind { arch, mutation, total: 1, rejected: 0, equivalent: 0, gave_away };
    report.mutants = Some(Mutants { total: 1, survivors: vec![survivor], kinds: vec![kind], ..Mutants::default() });
    assert!(!report.holds());
    let text = report.render(false);
    assert!(text.contains("survived: ret+4 of i386 zw, NtNine\n1 mutant, 0 rejected, 1 survived"), "{text}");
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
fn an_architecture_that_no_machine_runs_is_refused() {
    let read = read_list("t", b"NtA 1\n").expect("the list is right");
    for options in [
        Options { archs: vec![Arch::Arm64], ..Options::default() },
        Options { shapes: vec![Shape::Svc], ..Options::default() },
    ] {
        let error = prove(&read.list, "t", &options, &|_, _| {}).expect_err("it cannot be proven");
        assert!(error.is_input() && error.to_string().contains("arm64"), "{error}");
    }
    let options = Options { shapes: vec![Shape::Syscall], ..only_i386() };
    let error = prove(&read.list, "t", &options, &|_, _| {}).expect_err("it is none");
    assert!(matches!(error, ProveError::NoShape) && error.is_input());
}

#[test]
fn a_service_that_64_bit_windows_does_not_copy_is_named() {
    let read = read_list("t", b"NtA 18\nNtB 19\n").expect("the list is right");
    let amd64 = Options { archs: ARCHS.to_vec(), ..Options::default() };
    let error = prove(&read.list, "t", &amd64, &|_, _| {}).expect_err("it does not fit");
    assert!(
        error.is_input() && error.to_string().starts_with("line 2: NtB has more parameters than the 18 "),
        "{error}"
    );
    // Who does not ask for amd64 gets what there is, and is told.
    let report = prove(&read.list, "t", &Options::default(), &|_, _| {}).expect("it boots");
    assert!(report.holds() && report.runs.iter().all(|run| run.shape.arch() == Arch::I386));
    let note = "amd64 is left out: line 2: NtB has more parameters than the 18 that a 64-bit kernel takes";
    assert_eq!(report.notes, [note]);
    let shapes = Options { shapes: vec![Shape::Syscall], ..Options::default() };
    assert!(prove(&read.list, "t", &shapes, &|_, _| {}).is_err());
}

#[test]
fn shapes_come_in_the_order_of_their_architectures() {
    let all = shapes(&[], &[]).expect("there are some");
    assert_eq!(all.len(), Shape::of(Arch::I386).len() + Shape::of(Arch::Amd64).len());
    let asked = [Shape::ZwAmd64, Shape::Syscall, Shape::Zw, Shape::Syscall];
    assert_eq!(shapes(&[], &asked).expect("there are some"), [Shape::Zw, Shape::Syscall, Shape::ZwAmd64]);
    assert_eq!(shapes(&[Arch::Amd64], &asked).expect("there are some"), [Shape::Syscall, Shape::ZwAmd64]);
}

#[test]
#[ignore = "needs qemu-system-i386 and qemu-system-x86_64"]
fn both_machines_give_the_same_verdict() {
    let options = Options { machine: MachineKind::Qemu, ..Options::default() };
    let report = prove(&list(), "three.lst", &options, &|_, _| {}).expect("it boots");
    assert!(report.holds(), "{}", report.render(false));
    assert_eq!(report.differences, []);
    let cpus: std::collections::BTreeSet<_> = report.runs.iter().map(|run| run.cpu).collect();
    assert_eq!(
        cpus.into_iter().collect::<Vec<_>>(),
        ["core2", "core2duo", "nehalem", "pentium", "pentium-pro", "pentium2"]
    );
}
