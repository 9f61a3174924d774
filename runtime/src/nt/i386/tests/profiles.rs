//! The profiles: each builds, boots on the CPUs that its system runs on, and its stubs take the way that they took there.

use super::boots::{Boot, bundled, expected_under, qemu, records};
use super::*;
use crate::machine::cpuid::{MODELS, Model};
use crate::nt::record::fact;

on_both_machines! {
    every_shape_runs_under_every_profile_that_used_it
    a_system_of_int_2eh_leaves_sysenter_alone
    a_system_of_sysenter_refuses_a_cpu_without
    two_or_four_tables_are_told_apart
}

#[test]
fn profiles_have_names_of_their_own() {
    for profile in Profile::ALL {
        assert!(Profile::by_name(profile.name).is_some_and(|found| found == profile));
        assert!(!profile.cpus.is_empty() && profile.cpus.iter().all(|cpu| Model::by_name(cpu).is_some()));
        assert!(profile.thread.size <= 0x200 && profile.thread.service_table < profile.thread.size);
        assert_eq!(profile.shapes.first().map(|shape| shape.name()), Some(profile.ntdll_set));
    }
    assert!(Profile::by_name("win9").is_none());
    let names: Vec<_> = Profile::ALL.iter().map(|profile| profile.name).collect();
    assert_eq!(names, ["nt4", "win2000", "winxp", "srv2003", "winxp-sp2", "win7", "win8", "reactos"]);
}

/// What public sources say of each system, beside what the profiles have. The gate of 29h is DPL 3 since Windows 8 and in
/// ReactOS; 2Bh is the callback's way back, and 2Ch an event pair's, before Server 2003.
#[test]
fn systems_differ_as_they_did() {
    use super::super::profile::{CallbackReturn, SystemCallWay, Vector2c, Vector29};
    use SystemCallWay::{Interrupt, SharedCode, SharedPointer, Sysenter};
    for (name, way, mask, is_old, vector_29) in [
        ("nt4", Interrupt, 0x30, true, Vector29::Reserved),
        ("win2000", Interrupt, 0x30, true, Vector29::Reserved),
        ("winxp", SharedCode, 0x30, true, Vector29::Reserved),
        ("winxp-sp2", SharedPointer, 0x30, true, Vector29::Reserved),
        ("srv2003", SharedPointer, 0x10, false, Vector29::Reserved),
        ("win7", SharedPointer, 0x10, false, Vector29::Reserved),
        ("win8", Sysenter, 0x10, false, Vector29::FailFast),
        ("reactos", SharedPointer, 0x10, false, Vector29::Exception),
    ] {
        let profile = Profile::by_name(name).expect("it is a profile");
        assert_eq!((profile.way, profile.table_mask, profile.vector_29), (way, mask, vector_29), "{name}");
        assert_eq!(profile.callback_return == CallbackReturn::Interrupt, is_old, "{name}");
        assert_eq!(profile.vector_2c == Vector2c::EventPair, is_old, "{name}");
        assert_eq!(profile.checks_exit, matches!(name, "win7" | "win8"), "{name}");
    }
}

/// ReactOS `sdk/include/ndk/tests/win2003_x86.c`, `win7_x86.c` and `win8_x86.c`; for XP what debuggers show, for Windows 2000
/// `w2k_def.h`. Windows 8 has no callback stack.
#[test]
fn threads_have_the_published_offsets() {
    for (name, offsets) in [
        ("win2000", [0x2C, 0x18, 0xDC, 0x128, 0x134, 0x120, 0x20]),
        ("winxp", [0x2C, 0x18, 0xE0, 0x134, 0x140, 0x12C, 0x20]),
        ("winxp-sp2", [0x2C, 0x18, 0xE0, 0x134, 0x140, 0x12C, 0x20]),
        ("srv2003", [0x03, 0x18, 0x118, 0x110, 0xD7, 0x114, 0x74]),
        ("reactos", [0x03, 0x18, 0x118, 0x110, 0xD7, 0x114, 0x74]),
        ("win7", [0x03, 0x28, 0xBC, 0x128, 0x13A, 0x130, 0x88]),
        ("win8", [0x03, 0x20, 0x3C, 0x6C, 0x15A, 0x1E8, 0xA8]),
    ] {
        let t = Profile::by_name(name).expect("it is a profile").thread;
        let seen =
            [t.debug_active, t.initial_stack, t.service_table, t.trap_frame, t.previous_mode, t.callback_stack, t.teb];
        assert_eq!(seen, offsets, "{name}");
    }
    for (name, offsets) in [
        ("srv2003", [0x5E, 0x70, 0x11C, 0x3E]),
        ("win7", [0x3A, 0x84, 0x134, 0x56]),
        ("win8", [0x56, 0x13C, 0x166, 0x86]),
    ] {
        let t = Profile::by_name(name).expect("it is a profile").thread;
        assert_eq!([t.alerted, t.apc_disable, t.apc_state_index, t.user_apc_pending], offsets, "{name}");
    }
}

#[test]
fn fields_of_a_thread_do_not_overlap() {
    for profile in Profile::ALL {
        let t = profile.thread;
        let mut fields = [
            (t.debug_active, 1),
            (t.initial_stack, 4),
            (t.stack_limit, 4),
            // Two queues, and then the process and the three flags, of which one is named by itself.
            (t.apc_state, 0x17),
            (t.apc_disable, 4),
            (t.apc_state_index, 1),
            (t.alerted, 2),
            (t.teb, 4),
            (t.previous_mode, 1),
            (t.trap_frame, 4),
            (t.callback_stack, 4),
            (t.service_table, 4),
            (t.size, 0),
        ];
        assert_eq!(t.user_apc_pending, t.apc_state + 0x16, "{}", profile.name);
        fields.sort_unstable();
        for pair in fields.windows(2) {
            assert!(pair[0].0 + pair[0].1 <= pair[1].0, "{}: {pair:x?}", profile.name);
        }
    }
}

#[test]
fn every_shape_of_the_architecture_belongs_to_a_profile() {
    for (shape, name) in [
        (Shape::Int2eFrame, "reactos"),
        (Shape::Int2e, "nt4"),
        (Shape::SharedCallEdx, "winxp"),
        (Shape::SharedEdx, "srv2003"),
        (Shape::SharedEcx, "reactos"),
        (Shape::Sysenter, "win8"),
        (Shape::Zw, "srv2003"),
    ] {
        assert_eq!(Profile::of_shape(shape).map(|profile| profile.name), Some(name), "{shape:?}");
    }
    assert!(Profile::of_shape(Shape::Syscall).is_none());
}

#[test]
fn every_profile_takes_the_whole_list_in_every_shape() {
    for profile in Profile::ALL {
        let image = build(profile, &plan(LIST, Shape::of(Arch::I386)))
            .unwrap_or_else(|error| panic!("{}: {error}", profile.name));
        let own =
            Shape::of(Arch::I386).iter().position(|shape| shape.name() == profile.ntdll_set).expect("it is a shape");
        assert_eq!(image.sets[own].stub_addresses[0], profile.ntdll_stubs, "{}: they stand in ntdll", profile.name);
    }
}

fn every_shape_runs_under_every_profile_that_used_it(boot: Boot) {
    for profile in Profile::ALL {
        let shapes: Vec<_> = profile.shapes.iter().copied().chain([Shape::Zw]).collect();
        let plan = plan("NtA 1\nNtB 0\nNtC 17\n", &shapes);
        let image = build(profile, &plan).expect("it builds");
        // QEMU has no 486 without CPUID, and its names are not all ours.
        for cpu in ["pentium", "pentium2", "core2"].into_iter().filter(|cpu| profile.cpus.contains(cpu)) {
            let sysenter = profile.uses_sysenter() && cpu != "pentium";
            let (log, exit) = boot(&image, cpu);
            assert_eq!(exit, 0, "{} {cpu}: {log}", profile.name);
            assert!(log.starts_with(&format!("ntgate 1 profile {} ", profile.name)));
            let records = records(&log);
            let calls = |set: usize| plan.services.len() + 1 + image.sets[set].refusals.len();
            assert_eq!(records.len(), (0..shapes.len()).map(calls).sum::<usize>());
            let mut first = 0;
            for set in 0..shapes.len() {
                for call in 0..plan.services.len() {
                    for (fact, value) in expected_under(profile, &plan, &image, set, call, sysenter) {
                        let seen = records[first + call][fact];
                        assert_eq!(seen, value, "{} {cpu}, set {set}, call {call}, fact {fact}", profile.name);
                    }
                }
                first += calls(set);
            }
        }
    }
}

#[test]
fn nt4_runs_on_a_486() {
    for profile in Profile::ALL.into_iter().filter(|profile| profile.cpus.contains(&"486")) {
        let image = build(profile, &plan("NtA 1\n", &[Shape::Int2e])).expect("it builds");
        let (log, exit) = bundled(&image, "486");
        assert_eq!((exit, records(&log).len()), (0, 4), "{log}");
    }
    let runs = |profile: &Profile| MODELS.iter().filter(|model| profile.runs_on(model)).count();
    assert_eq!((runs(&profile::NT4), runs(&profile::WINXP), runs(&profile::WIN8)), (5, 4, 2));
}

fn a_system_of_int_2eh_leaves_sysenter_alone(boot: Boot) {
    for profile in [&profile::NT4, &profile::WIN2000] {
        let image = build(profile, &plan("NtA 1\n", &[Shape::Sysenter, Shape::Int2e])).expect("it builds");
        let (log, exit) = boot(&image, "core2");
        assert_eq!(exit, 0);
        assert!(log.contains(" sep 1 sysenter 0\nset 0 sysenter skipped\n"), "{log}");
        // What XP has at SharedUserData+300h is not there.
        assert!(log.contains("\nset 1 int2e entry 00000000 return 00000000\n"), "{log}");
    }
}

fn a_system_of_sysenter_refuses_a_cpu_without(boot: Boot) {
    let image = build(&profile::WIN8, &plan("NtA 1\n", &[Shape::Sysenter])).expect("it builds");
    let (log, exit) = boot(&image, "pentium");
    assert_eq!(exit, 1);
    assert!(log.lines().last().is_some_and(|line| line.starts_with("bugcheck 0000005d ")), "{log}");
    // On one that has it, SharedUserData+300h stays what Windows 8 has there.
    let (log, exit) = boot(&image, "pentium2");
    assert_eq!(exit, 0);
    let back = profile::WIN8.fast_system_call_ret();
    assert!(log.contains(&format!("\nset 0 sysenter entry 00000000 return {back:08x}\n")), "{log}");
}

fn two_or_four_tables_are_told_apart(boot: Boot) {
    for profile in Profile::ALL.into_iter().filter(|profile| *profile != &profile::WIN8) {
        let mut plan = plan("NtA 1\n", &[Shape::Int2e]);
        let stub = &mut plan.sets[0].stubs[0];
        // Table 2, service 0: where one bit selects the table, that is service 0 of table 0.
        stub.number = 0x2000;
        stub.instructions[0].set_immediate32(0x2000);
        let image = build(profile, &plan).expect("it builds");
        let (log, exit) = boot(&image, "pentium");
        assert_eq!(exit, 0, "{log}");
        let four = profile.table_mask == 0x30;
        assert_eq!(records(&log)[0][fact::EAX] == 0xC000_001C, four, "{}", profile.name);
        assert_eq!(records(&log)[0][fact::HANDLER_RUNS], u32::from(!four), "{}", profile.name);
    }
}
