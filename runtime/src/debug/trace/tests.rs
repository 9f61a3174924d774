//! Traces, against what is known of the calls.

use super::*;
use crate::host::Entry;
use crate::machine::{Check, MemoryAccess, Rule, What};
use crate::nt::{amd64, i386};

/// A call of NtWriteFile with arguments that tell each other apart.
fn write_file(options: impl FnOnce(Options) -> Options) -> Call {
    let arguments = [0x11, 0x22, 0x33, 0x44, 0x55, 0x66, 0x77, 0x88, 0x99];
    let call = call(&options(Options::new("NtWriteFile", &arguments))).expect("the system has it");
    assert_eq!(call.arguments, arguments);
    assert_eq!(call.status, 0);
    call
}

/// The step that goes from one ring to another.
fn change(call: &Call, from: u8, to: u8) -> &Step {
    let changes = |step: &&Step| (step.ring, step.ring_after) == (from, to);
    call.trace.steps.iter().find(changes).expect("the ring changes")
}

fn accesses(step: &Step) -> Vec<MemoryAccess> {
    let access = |event: &Event| match event {
        Event::Memory(access) => Some(*access),
        _ => None,
    };
    step.events.iter().filter_map(access).collect()
}

fn routines(call: &Call) -> Vec<&str> {
    call.trace.visits.iter().map(|visit| visit.routine.as_str()).collect()
}

#[test]
fn an_interrupt_costs_a_gate_two_descriptors_a_stack_and_five_pushes() {
    let call = write_file(|options| options.entry(Entry::Int2e));
    assert_eq!((call.profile, call.cpu, call.entry, call.number), ("srv2003", "pentium", Entry::Int2e, 0x11C));
    let int = change(&call, 3, 0);
    assert_eq!((&int.bytes[..], &*int.text), (&[0xCD, 0x2E][..], "int     2Eh"));
    let what: Vec<What> = accesses(int).iter().map(|access| access.what).collect();
    let push = What::Push;
    let expected = [
        What::Gate { vector: 0x2E },
        What::Descriptor { selector: 8 },
        What::Tss { offset: 4 },
        What::Descriptor { selector: 0x10 },
        push,
        push,
        push,
        push,
        push,
    ];
    assert_eq!(what, expected);
    let asked = Event::Check(Check { rule: Rule::GateDpl, left: 3, right: 3, holds: true });
    assert!(int.events.contains(&asked));
    // What the processor pushes is the upper end of the trap frame.
    let names: Vec<_> = accesses(int)[4..].iter().filter_map(|access| call.names.of(access.address)).collect();
    let fields = ["HardwareSegSs", "HardwareEsp", "EFlags", "SegCs", "Eip"].map(|field| format!("KTRAP_FRAME.{field}"));
    assert_eq!(names, fields);
    assert_eq!(change(&call, 0, 3).text, "iretd");
    assert_eq!((call.counts.gates, call.counts.pushes, call.counts.tss, call.counts.msrs), (1, 5, 1, 0));
}

#[test]
fn a_fast_call_costs_registers_and_no_memory_of_the_processors() {
    let call = write_file(|options| options.entry(Entry::Sysenter));
    assert_eq!((call.cpu, call.entry), ("pentium2", Entry::Sysenter));
    let sysenter = change(&call, 3, 0);
    assert_eq!(accesses(sysenter), []);
    let numbers = sysenter.events.iter().filter_map(|event| match event {
        Event::ReadMsr { number, .. } => Some(*number),
        _ => None,
    });
    assert_eq!(numbers.collect::<Vec<_>>(), [0x174, 0x175, 0x176]);
    assert_eq!(change(&call, 0, 3).text, "sysexit");
    let counts = &call.counts;
    assert_eq!((counts.gates, counts.pushes, counts.tss, counts.msrs), (0, 0, 0, 4));
    // The other way in is the article's comparison: fewer instructions, but more work for the processor.
    let other = call.other.as_deref().expect("srv2003 has both");
    assert_eq!((other.entry, other.cpu), (Entry::Int2e, "pentium"));
    assert!(other.counts.processor > counts.processor && other.counts.descriptors > counts.descriptors);
    assert!(other.counts.checks > counts.checks);
    assert_eq!(other.counts.phases[Phase::Dispatch as usize], counts.phases[Phase::Dispatch as usize]);
}

#[test]
fn the_dispatch_reads_the_row_and_copies_the_arguments() {
    let call = write_file(|options| options);
    let named: Vec<(String, bool, u64)> = (call.trace.steps.iter())
        .flat_map(accesses)
        .filter_map(|access| Some((call.names.of(access.address)?, access.write, access.value)))
        .collect();
    let routine = call.trace.visits.iter().find(|visit| visit.routine == "nt!NtWriteFile").expect("it ran").start;
    for (name, value) in [("KiArgumentTable[11Ch]", 9 * 4), ("KiServiceTable[11Ch]", routine)] {
        assert!(named.contains(&(name.to_owned(), false, value)), "{name}");
    }
    for (number, value) in (1..).zip(&call.arguments) {
        assert!(named.contains(&(format!("argument {number}"), false, *value)));
        assert!(named.contains(&(format!("copied argument {number}"), true, *value)));
    }
}

#[test]
fn a_call_of_64_bits_takes_either_way() {
    let syscall = write_file(|options| options.entry(Entry::Syscall));
    assert_eq!((syscall.profile, syscall.bits), ("win7-x64", 64));
    assert_eq!(accesses(change(&syscall, 3, 0)), []);
    assert_eq!(change(&syscall, 0, 3).text, "sysretq");
    assert!(syscall.other.is_none(), "Windows 7 has one way only");
    let int2e = write_file(|options| options.profile("win10-x64").entry(Entry::Int2e));
    assert_eq!(change(&int2e, 3, 0).text, "int     2Eh");
    // A gate of 64 bits has two halves; the stack has no descriptor.
    assert_eq!((int2e.counts.gates, int2e.counts.pushes), (1, 5));
    assert_eq!(int2e.other.as_deref().map(|other| other.entry), Some(Entry::Syscall));
}

#[test]
fn the_kernel_calls_itself_without_a_change_of_rings() {
    for profile in ["srv2003", "nt4", "win7-x64", "win10-x64"] {
        let call = write_file(|options| options.profile(profile).entry(Entry::Zw));
        assert_eq!(call.entry, Entry::Zw, "{profile}");
        assert!(call.trace.steps.iter().all(|step| (step.ring, step.ring_after) == (0, 0)), "{profile}");
        assert_eq!(routines(&call)[0], "nt!ZwWriteFile", "{profile}");
        assert!(call.other.is_none());
    }
}

#[test]
fn every_system_can_be_called() {
    let all = i386::Profile::ALL.map(|profile| profile.name).into_iter();
    let all = all.chain(amd64::Profile::ALL.map(|profile| profile.name));
    for profile in all.filter(|profile| !profile.starts_with("reactos")) {
        let call = write_file(|options| options.profile(profile));
        assert_eq!(call.profile, profile);
        let first = routines(&call)[0];
        assert_eq!(first, "ntdll!NtWriteFile", "{profile}");
        assert!(call.trace.visits.last().is_some_and(|visit| visit.ring == 3), "{profile}");
    }
}

#[test]
fn what_cannot_be_called_is_told() {
    let error = |options: Options| call(&options).expect_err("it is wrong").to_string();
    let new = Options::new;
    assert_eq!(error(new("NtClose", &[])), "NtClose takes 1 argument, not 0");
    assert_eq!(error(new("NtClos", &[1])), "the list has no service `NtClos`; did you mean `NtClose`?");
    let wide = error(new("NtClose", &[1 << 32]));
    assert_eq!(wide, "argument 1, 100000000, does not fit into 32 bits; --arch amd64 has 64");
    let int2e = error(new("NtClose", &[1]).profile("win8").entry(Entry::Int2e));
    assert_eq!(int2e, "win8 has no int2e; its calls take sysenter");
    let syscall = error(new("NtClose", &[1]).profile("nt4").entry(Entry::Syscall));
    assert_eq!(syscall, "nt4 has no syscall; its calls take int2e");
    let unknown = error(new("NtClose", &[1]).profile("winxp-sp4"));
    assert!(unknown.contains("did you mean `winxp-sp2`?"), "{unknown}");
    let arch = error(Options { arch: Some(ntgate_gen::Arch::Amd64), ..new("NtClose", &[1]).profile("nt4") });
    assert_eq!(arch, "nt4 is no system of amd64");
}

#[test]
fn a_call_that_is_traced_is_the_one_that_is_not() {
    // Observing changes nothing: the same instructions, the same registers at the end.
    let builder = || super::super::program::usual(Some("srv2003"), None);
    let mut plain = Target::boot(builder()).expect("it boots");
    let mut seen = Target::boot(builder()).expect("it boots");
    let (trace, stop) = Trace::record(&mut seen, 10_000, &mut |_| false);
    let mut count = 0;
    let end = loop {
        count += 1;
        match plain.step() {
            Stop::Step => {}
            stop => break stop,
        }
    };
    assert_eq!((trace.steps.len(), stop), (count, end));
    let registers = |target: &Target| (0..8).map(|number| target.machine().register64(number)).collect::<Vec<_>>();
    assert_eq!(registers(&plain), registers(&seen));
    assert_eq!(plain.now(), seen.now());
}

#[test]
fn traces_read_as_they_are_written() {
    for (name, options) in [
        ("int2e", Options::new("NtClose", &[0x1234]).entry(Entry::Int2e)),
        ("sysenter", Options::new("NtClose", &[0x1234]).entry(Entry::Sysenter)),
        ("syscall", Options::new("NtClose", &[0x1234]).entry(Entry::Syscall)),
        ("int2e_64", Options::new("NtClose", &[0x1234]).profile("win10-x64").entry(Entry::Int2e)),
        ("zw", Options::new("NtClose", &[0x1234]).entry(Entry::Zw)),
        ("zw_64", Options::new("NtClose", &[0x1234]).profile("win7-x64").entry(Entry::Zw)),
    ] {
        insta::assert_snapshot!(name, call(&options).expect("the system has it").to_text());
    }
}
