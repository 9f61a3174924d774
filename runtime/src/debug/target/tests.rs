use iced_x86::code_asm::{CodeAssembler, eax, ecx, edi, esi};

use super::*;
use crate::debug::Watched;
use crate::host::NtStatus;

/// A program that counts in ECX up to `rounds`, closes handle 5, and ends with what the call returned.
fn target(profile: &str, rounds: u32) -> Target {
    let builder = host::Machine::builder().profile(profile).prover_values().program(move |places| {
        let mut a = CodeAssembler::new(places.bits())?;
        let mut round = a.create_label();
        a.xor(ecx, ecx)?;
        a.set_label(&mut round)?;
        a.inc(ecx)?;
        a.cmp(ecx, rounds)?;
        a.jne(round)?;
        a.push(5)?;
        a.call(places.stub("NtClose")?)?;
        a.push(eax)?;
        a.push(-1)?;
        a.call(places.stub("NtTerminateProcess")?)?;
        Ok(a.assemble(places.start())?)
    });
    Target::boot(builder).expect("it boots")
}

fn state(target: &Target) -> (u64, u64, Vec<Option<u64>>) {
    let registers = (0..8).map(|number| target.machine().register64(number)).collect();
    (target.now(), target.machine().rip(), registers)
}

#[test]
fn every_step_can_be_taken_back() {
    let mut target = target("winxp", 3);
    assert_eq!(target.step_back(), Stop::Beginning);
    let mut states = vec![state(&target)];
    while target.step() == Stop::Step {
        states.push(state(&target));
    }
    assert!(matches!(target.end(), Some(End::Exit(_))), "{:?}", target.end());
    assert!(states.len() > 100, "{} steps", states.len());
    for before in states.iter().rev() {
        assert_eq!(target.step_back(), Stop::Step);
        assert_eq!(state(&target), *before);
        assert_eq!(target.end(), None);
    }
    assert_eq!(target.step_back(), Stop::Beginning);
    let end = target.go(1_000_000, &|| false);
    assert!(matches!(end, Stop::End(End::Exit(NtStatus(status))) if status != 0), "{end:?}");
}

#[test]
fn breakpoints_stop_it_in_both_directions() {
    // Far more rounds than a snapshot lasts.
    let mut target = target("srv2003", 100_000);
    let start = state(&target);
    let entry = target.symbols().address("nt!KiFastCallEntry").unwrap();
    assert!(target.set_breakpoint(entry) && !target.set_breakpoint(entry));
    assert_eq!(target.go(10_000_000, &|| false), Stop::Breakpoint(entry));
    let first = state(&target);
    assert_eq!(target.go(10_000_000, &|| false), Stop::Breakpoint(entry), "NtTerminateProcess");
    assert_eq!(target.go_back(&|| false), Stop::Breakpoint(entry));
    assert_eq!(state(&target), first);
    assert_eq!(target.go_back(&|| false), Stop::Beginning);
    assert_eq!(state(&target), start);
    assert!(target.clear_breakpoint(entry) && !target.clear_breakpoint(entry));
    assert!(matches!(target.go(10_000_000, &|| false), Stop::End(_)));
    assert!(target.travel(first.0));
    assert_eq!(state(&target), first);
}

/// A target that stands at the first instruction of this program.
fn running(
    profile: &str,
    clock: bool,
    code: impl FnOnce(&mut CodeAssembler, &Places) -> Result<(), host::BoxError> + 'static,
) -> Target {
    let builder = host::Machine::builder().profile(profile).prover_values().program(move |places| {
        let mut a = CodeAssembler::new(places.bits())?;
        code(&mut a, places)?;
        Ok(a.assemble(places.start())?)
    });
    Target::boot(if clock { builder.clock() } else { builder }).expect("it boots")
}

/// Every moment from here to the end, or to some later one.
fn moments(target: &mut Target, most: usize) -> Vec<(u64, u64, Vec<Option<u64>>)> {
    let mut states = vec![state(target)];
    while states.len() < most && target.step() == Stop::Step {
        states.push(state(target));
    }
    states
}

#[test]
fn rounds_of_a_repeated_instruction_are_one_step() {
    let mut target = running("srv2003", false, |a, places| {
        a.mov(edi, places.data() as u32)?;
        a.mov(ecx, 1000)?;
        a.xor(eax, eax)?;
        a.rep().stosd()?;
        // More than one portion of the machine's: the same instruction again.
        a.mov(esi, places.start() as u32)?;
        a.mov(ecx, 9000)?;
        a.rep().lodsb()?;
        a.hlt()?;
        Ok(())
    });
    let states = moments(&mut target, 20);
    assert!(states.iter().any(|(time, ..)| *time > states[0].0 + 4000), "the rounds count");
    for before in states.iter().rev().skip(1) {
        assert_eq!(target.step_back(), Stop::Step);
        assert_eq!(state(&target), *before);
    }
    assert_eq!(target.step_back(), Stop::Beginning);
}

#[test]
fn the_way_back_is_the_way_forth_with_a_clock_and_a_counter() {
    let mut target = running("winxp", true, |a, _| {
        let mut round = a.create_label();
        a.xor(esi, esi)?;
        a.set_label(&mut round)?;
        a.rdtsc()?;
        a.add(esi, eax)?;
        a.imul_3(esi, esi, 0x1_0003)?;
        a.jmp(round)?;
        Ok(())
    });
    // No breakpoint, so that it may run as fast as it likes.
    assert_eq!(target.go(300_000, &|| false), Stop::Budget);
    let end = state(&target);
    for _ in 0..3 {
        assert_eq!(target.step_back(), Stop::Step);
    }
    let before = state(&target);
    assert!(before.0 < end.0);
    while target.now() < end.0 {
        assert_eq!(target.step(), Stop::Step);
    }
    assert_eq!(state(&target), end);
    assert!(target.travel(before.0));
    assert_eq!(state(&target), before);
}

#[test]
fn a_watchpoint_stops_behind_an_access_and_backwards_before_it() {
    for profile in ["nt4", "srv2003", "win7-x64"] {
        let mut target = running(profile, false, |a, places| {
            let at = places.data() as i32;
            for value in [7u32, 7, 8] {
                a.nop()?;
                a.mov(iced_x86::code_asm::dword_ptr(u64::from(at as u32)), value)?;
            }
            a.mov(ecx, iced_x86::code_asm::dword_ptr(u64::from(at as u32)))?;
            a.nop()?;
            a.push(-1)?;
            a.push(-1)?;
            a.call(places.stub("NtTerminateProcess")?)?;
            Ok(())
        });
        let data = target.places().data();
        let point = |offset, length, on| Watchpoint { address: data + offset, length, on };
        let write = point(1, 2, Watched::Write);
        assert!(target.set_watchpoint(write) && !target.set_watchpoint(write));
        assert!(!target.set_watchpoint(point(0, 0, Watched::Read)));
        let start = state(&target);
        let mut after = Vec::new();
        for _ in 0..3 {
            assert_eq!(target.go(1_000, &|| false), Stop::Watchpoint(write), "{profile}");
            after.push(state(&target));
        }
        assert_eq!(target.memory().read_linear64(data, 1), Some(vec![8]));
        assert!(target.clear_watchpoint(&write) && !target.clear_watchpoint(&write));
        let read = point(0, 4, Watched::Read);
        let any = point(0, 1, Watched::Access);
        target.set_watchpoint(read);
        assert_eq!(target.step(), Stop::Watchpoint(read), "{profile}: a step tells it too");
        assert_eq!(target.step(), Stop::Step);
        assert_eq!(target.go_back(&|| false), Stop::Watchpoint(read));
        assert_eq!(state(&target), after[2]);
        target.set_watchpoint(any);
        for index in [1, 0] {
            assert_eq!(target.go_back(&|| false), Stop::Watchpoint(any), "{profile}");
            // Before the access, and behind a NOP.
            assert_eq!(target.now(), after[index].0 + 1);
        }
        assert_eq!(target.memory().read_linear64(data, 1), Some(vec![7]));
        assert_eq!(target.go_back(&|| false), Stop::Watchpoint(any));
        assert_eq!(target.memory().read_linear64(data, 1), Some(vec![0]));
        assert_eq!(target.go_back(&|| false), Stop::Beginning);
        assert_eq!(state(&target), start);
        assert_eq!(target.step(), Stop::Step);
        assert_eq!(target.step(), Stop::Watchpoint(any));
        assert_eq!(target.step_back(), Stop::Watchpoint(any));
    }
}

#[test]
fn what_the_processor_pushes_is_a_write() {
    let mut target = target("nt4", 3);
    let entry = target.symbols().address("nt!KiSystemService").expect("it has one");
    target.set_breakpoint(entry);
    assert_eq!(target.go(1_000_000, &|| false), Stop::Breakpoint(entry));
    // The gate pushed EIP, CS, EFLAGS, ESP and SS.
    let stack = target.machine().register64(4).expect("it has one");
    let pushed = Watchpoint { address: stack, length: 4, on: Watched::Write };
    target.set_watchpoint(pushed);
    assert_eq!(target.go_back(&|| false), Stop::Watchpoint(pushed));
    assert_eq!(target.machine().cpl(), 3);
    // What travelling has seen does not count.
    let time = target.now();
    assert!(target.travel(time + 40) && target.travel(time - 1));
    assert_eq!(target.step(), Stop::Step);
    assert_eq!(target.go(1, &|| false), Stop::Watchpoint(pushed));
    assert_eq!((target.machine().cpl(), target.machine().rip()), (0, entry));
}

#[test]
fn small_steps_back_from_afar_do_not_start_afar_each_time() {
    let mut target = target("winxp", 1_000_000);
    assert_eq!(target.go(1_000_000, &|| false), Stop::Budget);
    let end = target.now();
    assert_eq!(target.step_back(), Stop::Step);
    let near = |target: &Target| end - target.history.last_before(end);
    assert!(near(&target) <= 4_097, "{}", near(&target));
    for back in 2..50 {
        assert_eq!(target.step_back(), Stop::Step);
        assert_eq!(target.now(), end - back);
    }
}

#[test]
fn a_run_ends_with_its_budget_or_when_it_is_asked_to() {
    let mut target = target("win7", u32::MAX);
    assert_eq!(target.go(1_000, &|| false), Stop::Budget);
    assert_eq!(target.go(u64::MAX, &|| true), Stop::Interrupted);
    target.set_breakpoint(0);
    assert_eq!(target.go(1_000, &|| false), Stop::Budget);
    assert_eq!(target.go(u64::MAX, &|| true), Stop::Interrupted);
}

#[test]
fn what_was_changed_is_where_going_back_ends() {
    let mut target = target("nt4", 10);
    target.step();
    target.change().set_register64(1, 7).unwrap();
    let changed = state(&target);
    target.step();
    assert_eq!(target.step_back(), Stop::Step);
    assert_eq!(state(&target), changed);
    assert_eq!(target.step_back(), Stop::Beginning);
}
