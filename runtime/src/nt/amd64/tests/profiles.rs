//! The profiles: each builds, boots, and its stubs take the way that they took there.

use super::boots::{Boot, bundled, judge, qemu};
use super::*;
use crate::machine::cpuid::Model;

on_both_machines! {
    every_shape_runs_under_every_profile_that_used_it
}

#[test]
fn profiles_have_names_of_their_own() {
    for profile in Profile::ALL {
        assert!(Profile::by_name(profile.name).is_some_and(|found| found == profile));
        assert!(!profile.cpus.is_empty() && profile.cpus.iter().all(|cpu| Model::by_name(cpu).is_some()));
        assert!(profile.runs_on(Model::by_name("core2duo").expect("it is there")));
        assert!(!profile.runs_on(Model::by_name("pentium2").expect("it is there")));
        assert_eq!(profile.shapes.first().map(|shape| shape.name()), Some(profile.ntdll_set));
    }
    assert!(Profile::by_name("win9-x64").is_none());
    let names: Vec<_> = Profile::ALL.iter().map(|profile| profile.name).collect();
    assert_eq!(names, ["win7-x64", "win10-x64", "reactos-amd64"]);
}

#[test]
fn every_shape_of_the_architecture_belongs_to_a_profile() {
    for (shape, name) in [
        (Shape::Syscall, "win7-x64"),
        (Shape::SyscallHome, "win7-x64"),
        (Shape::SyscallOrInt2e, "win10-x64"),
        (Shape::ZwAmd64, "win7-x64"),
        (Shape::SyscallReactos, "reactos-amd64"),
        (Shape::ZwReactos, "reactos-amd64"),
    ] {
        assert_eq!(Profile::of_shape(shape).map(|profile| profile.name), Some(name), "{shape:?}");
    }
    assert!(Profile::of_shape(Shape::Int2e).is_none());
}

#[test]
fn the_threads_fields_do_not_overlap() {
    for profile in Profile::ALL {
        let t = profile.thread;
        let mut fields = vec![
            (t.initial_stack, 8),
            (t.stack_limit, 8),
            (t.flags, 4),
            (t.alerted, 2),
            (t.apc_state, 0x20),
            (t.process, 8),
            (t.user_apc_pending, 1),
            (t.combined_apc_disable, 4),
            (t.apc_state_index, 1),
            (t.teb, 8),
            (t.system_call_number, 4),
            (t.first_argument, 8),
            (t.trap_frame, 8),
            (t.previous_mode, 1),
            (t.callback_stack, 8),
        ];
        fields.extend(t.service_table.map(|table| (table, 8)));
        fields.sort_unstable();
        assert!(fields.windows(2).all(|pair| pair[0].0 + pair[0].1 <= pair[1].0), "{}", profile.name);
        assert!(fields.last().is_some_and(|(field, size)| field + size <= data::kernel::PROCESS), "{}", profile.name);
        assert!(t.instrumentation_callback + 8 <= data::kernel::DESCRIPTOR_TABLE - data::kernel::PROCESS);
        // `KAPC_STATE`: two queues, the process, then three bytes of which the last is this.
        assert_eq!((t.process - t.apc_state, t.user_apc_pending - t.apc_state), (0x20, 0x2A), "{}", profile.name);
    }
}

fn every_shape_runs_under_every_profile_that_used_it(boot: Boot) {
    for profile in Profile::ALL {
        judge(boot, profile, &plan("NtA 1\nNtB 0\nNtC 16\n", profile.shapes));
    }
}
