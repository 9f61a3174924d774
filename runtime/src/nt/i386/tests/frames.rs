//! What entries from ring 3 leave in the trap frame and in the thread, and how ring 3 gets its flags and debug registers back.

use iced_x86::IcedError;
use iced_x86::code_asm::{CodeAssembler, byte_ptr, dr0, dr7, dword_ptr, eax, ebx, ecx, edx, esp};

use super::boots::{Boot, bundled, qemu};
use super::session::{CPU, Case, Program};
use super::*;
use crate::nt::layout::{eflags, kpcr, user_context as context};

on_both_machines! {
    flags_that_ring_3_left_set_do_no_harm
    single_steps_go_over_every_way_in
    frames_chain_and_modes_are_those_of_the_callers
    debug_registers_are_ring_3s_own
    a_thread_that_is_not_debugged_has_no_debug_registers_saved
}

/// Where the handler is, and where it counts and notes.
const HANDLER: usize = 0;
const STEPS: u32 = 0x10;

/// Calls `NtTest` with the chosen flags set; notes its status, and then what the flags are.
fn call_with_flags(p: &mut Program, flags: u32, note: u32) -> Result<(), IcedError> {
    p.a.push(0)?;
    p.a.push(0)?;
    p.a.pushfd()?;
    p.a.or(dword_ptr(esp), flags)?;
    p.a.popfd()?;
    let stub = p.at("ntdll!NtTest");
    p.a.call(u64::from(stub))?;
    p.a.pushfd()?;
    p.a.push(2)?;
    p.a.popfd()?;
    p.keep(note)?;
    p.a.pop(eax)?;
    p.keep(note + 1)
}

/// A service that returns its flags.
fn flags(a: &mut CodeAssembler, _: &dyn Fn(&str) -> u32) -> Result<(), IcedError> {
    a.pushfd()?;
    a.pop(eax)?;
    a.ret_1(8)
}

fn flags_that_ring_3_left_set_do_no_harm(boot: Boot) {
    for profile in Profile::ALL {
        let case = Case::new(profile, |p| {
            call_with_flags(p, eflags::NT, 0)?;
            call_with_flags(p, eflags::DF, 2)?;
            call_with_flags(p, eflags::NT | eflags::DF | 1, 4)?;
            p.end()
        })
        .service("NtTest", flags);
        for cpu in ["pentium", CPU].into_iter().filter(|cpu| profile.cpus.contains(cpu)) {
            let notes = case.run(boot, cpu);
            for call in 0..3 {
                let [inside, after] = [notes[2 * call], notes[2 * call + 1]];
                assert_eq!(inside & 0x4700, eflags::IF, "{} {cpu}: only IF is set in the kernel", profile.name);
                let wanted = [eflags::NT, eflags::DF, eflags::NT | eflags::DF][call];
                assert_eq!(after & 0x4700, wanted | eflags::IF, "{} {cpu}: as ring 3 left them", profile.name);
            }
        }
    }
}

/// A handler that notes where every step is, and asks for the next one until ten are done.
fn stepper(p: &mut Program) -> Result<(), IcedError> {
    let last = &mut p.a.create_label();
    p.mark(HANDLER)?;
    p.a.mov(ecx, dword_ptr(esp + 0xC))?;
    p.a.mov(edx, dword_ptr(p.note(STEPS)))?;
    p.a.mov(eax, dword_ptr(ecx + context::EIP))?;
    p.a.mov(dword_ptr(edx * 4 + p.note(STEPS + 1)), eax)?;
    p.a.inc(dword_ptr(p.note(STEPS)))?;
    p.a.cmp(edx, 10)?;
    p.a.jae(*last)?;
    p.a.or(dword_ptr(ecx + context::EFLAGS), eflags::TF)?;
    p.a.set_label(last)?;
    p.a.xor(eax, eax)?;
    p.a.ret()
}

/// Puts the handler into the chain of handlers.
fn install(p: &mut Program) -> Result<(), IcedError> {
    p.a.push(p.place(HANDLER))?;
    p.a.push(dword_ptr(0).fs())?;
    p.a.mov(dword_ptr(0).fs(), esp)
}

fn single_steps_go_over_every_way_in(boot: Boot) {
    for profile in Profile::ALL {
        let case = Case::new(profile, |p| {
            install(p)?;
            p.a.mov(edx, p.at("ntdll!NtTest"))?;
            p.a.push(0)?;
            p.a.push(0)?;
            p.a.pushfd()?;
            p.a.or(dword_ptr(esp), eflags::TF)?;
            p.a.popfd()?;
            p.a.call(edx)?;
            p.mark(1)?;
            p.a.nop()?;
            p.keep(0)?;
            p.a.nop()?;
            p.a.nop()?;
            p.a.nop()?;
            p.a.nop()?;
            p.a.nop()?;
            p.end()?;
            stepper(p)
        })
        .service("NtTest", flags);
        for cpu in ["pentium", CPU].into_iter().filter(|cpu| profile.cpus.contains(cpu)) {
            let (image, places) = case.build();
            let (log, exit) = boot(&image, cpu);
            assert_eq!(exit, 0, "{} {cpu}: {log}", profile.name);
            let notes = super::session::notes(&log);
            assert_eq!(notes[0] & 0x700, eflags::IF, "the service is not traced");
            let steps = &notes[STEPS as usize + 1..][..11];
            let stub = address(&image, "ntdll!NtTest");
            assert_eq!(steps[..2], [stub, stub + 5], "{} {cpu}: {steps:x?}", profile.name);
            let back = steps.iter().position(|step| *step == places[1]).expect("it comes back");
            // The last step before is the stub's `ret 8`, and what went before lies in ring 3.
            assert!((stub..stub + 0x20).contains(&steps[back - 1]), "{} {cpu}: {steps:x?}", profile.name);
            assert!(steps.iter().all(|step| *step < 0x8000_0000), "{} {cpu}: {steps:x?}", profile.name);
            assert_eq!(steps[back + 1], places[1] + 1);
        }
    }
}

pub(super) fn frames_chain_and_modes_are_those_of_the_callers(boot: Boot) {
    for profile in Profile::ALL {
        let thread = profile.thread;
        let note = |index: u32| profile.user_data + 4 * index;
        // The thread's frame, that frame's link and saved mode, the thread's mode.
        let look = |a: &mut CodeAssembler, first: u32| {
            a.mov(ecx, dword_ptr(kpcr::CURRENT_THREAD).fs())?;
            a.mov(edx, dword_ptr(ecx + thread.trap_frame))?;
            a.mov(dword_ptr(note(first)), edx)?;
            a.mov(eax, dword_ptr(edx + layout::trap_frame::EDX))?;
            a.mov(dword_ptr(note(first + 1)), eax)?;
            a.mov(eax, dword_ptr(edx + layout::trap_frame::PREVIOUS_PREVIOUS_MODE))?;
            a.mov(dword_ptr(note(first + 2)), eax)?;
            a.movzx(eax, byte_ptr(ecx + thread.previous_mode))?;
            a.mov(dword_ptr(note(first + 3)), eax)
        };
        let zw = {
            let plan = plan(super::session::SERVICES, &[profile.shapes[0], Shape::Zw]);
            let kernel = Kernel::new(profile).expect("the profile is right");
            address(&kernel.session(&plan, &Session::default()).expect("it builds"), "nt!ZwOther")
        };
        let case = Case::new(profile, |p| {
            p.call("NtTest", &[1, 2])?;
            p.keep(0)?;
            p.end()
        })
        .service("NtTest", |a, _| {
            look(a, 4)?;
            a.push(0x77)?;
            a.call(u64::from(zw))?;
            a.push(eax)?;
            look(a, 12)?;
            a.pop(eax)?;
            a.ret_1(8)
        })
        .service("NtOther", |a, _| {
            look(a, 8)?;
            a.mov(eax, dword_ptr(esp + 4))?;
            a.ret_1(4)
        });
        let notes = case.run(boot, CPU);
        assert_eq!(notes[0], 0x77, "{}", profile.name);
        let outer = profile.base_frame();
        assert_eq!(notes[4..8], [outer, 0, 1, 1], "{}", profile.name);
        assert_eq!(notes[9..12], [outer, 1, 0], "{}: called by the kernel", profile.name);
        assert!(notes[8] < outer && notes[8] > outer - 0x200, "{}: on the same stack", profile.name);
        assert_eq!(notes[12..16], [outer, 0, 1, 1], "{}: all is as before", profile.name);
    }
}

/// Gives the thread a breakpoint at place 1, through NtContinue, and goes on behind.
fn set_breakpoint(p: &mut Program, dr7_value: u32, next: usize) -> Result<(), IcedError> {
    let at = p.profile.user_data + 0x800;
    for (field, value) in [
        (context::FLAGS, context::I386 | context::DEBUG | context::CONTROL),
        (context::EIP, p.place(next)),
        (context::ESP, p.profile.user_stack - 8),
        (context::EFLAGS, eflags::IF),
        (context::DR0, p.place(1)),
        // A breakpoint in the kernel is not taken.
        (context::DR0 + 4, 0x8080_1000),
        (context::DR6, 0),
        (context::DR7, dr7_value),
    ] {
        p.a.mov(dword_ptr(at + field), value)?;
    }
    p.call("NtContinue", &[at, 0])
}

pub(super) fn debug_registers_are_ring_3s_own(boot: Boot) {
    for profile in Profile::ALL {
        let case = Case::new(profile, |p| {
            install(p)?;
            set_breakpoint(p, 0x2001, 2)?;
            p.mark(2)?;
            p.a.mov(eax, 0)?;
            p.mark(1)?;
            p.a.inc(eax)?;
            p.keep(0)?;
            // A service has the kernel's, and gives these back.
            p.call("NtTest", &[0, 0])?;
            p.keep(1)?;
            p.a.cmp(dword_ptr(p.note(STEPS)), 1)?;
            let once = &mut p.a.create_label();
            p.a.jne(*once)?;
            p.a.xor(eax, eax)?;
            p.a.push(p.place(1))?;
            p.a.ret()?;
            p.a.set_label(once)?;
            // Without it nothing happens any more.
            set_breakpoint(p, 0, 3)?;
            p.mark(3)?;
            p.a.mov(ecx, 2)?;
            p.call("NtTest", &[0, 0])?;
            p.keep(2)?;
            p.end()?;
            breakpoint_handler(p)
        })
        .service("NtTest", |a, _| {
            // Dr7 now, Dr0 now, and Dr7 in the frame.
            a.mov(eax, dr7)?;
            a.and(eax, 0xFF)?;
            a.mov(ecx, dr0)?;
            a.or(eax, ecx)?;
            a.mov(ecx, dword_ptr(kpcr::CURRENT_THREAD).fs())?;
            a.mov(ecx, dword_ptr(ecx + profile.thread.trap_frame))?;
            a.push(ebx)?;
            a.mov(ebx, dword_ptr(ecx + layout::trap_frame::DR7))?;
            a.and(ebx, 0x3FF)?;
            a.shl(ebx, 16)?;
            a.or(eax, ebx)?;
            a.pop(ebx)?;
            a.ret_1(8)
        });
        let (image, places) = case.build();
        let (log, exit) = boot(&image, CPU);
        assert_eq!(exit, 0, "{}: {log}", profile.name);
        let notes = super::session::notes(&log);
        assert_eq!(notes[0], 1, "{}: the instruction ran once each time", profile.name);
        assert_eq!(notes[1], 0x1_0000, "{}: the kernel had none, the frame had ring 3's", profile.name);
        assert_eq!(notes[2], 0, "{}: and then neither", profile.name);
        let seen = &notes[STEPS as usize..];
        assert_eq!(seen[0], 2, "{}: it stopped twice", profile.name);
        // Code, address, Dr6, Dr0, Dr1, Dr7.
        assert_eq!(seen[1..4], [0x8000_0004, places[1], 1], "{}", profile.name);
        assert_eq!((seen[4], seen[5], seen[6] & 0xFF), (places[1], 0, 1), "{}", profile.name);
    }
}

/// Notes the exception and lets the instruction pass.
fn breakpoint_handler(p: &mut Program) -> Result<(), IcedError> {
    p.mark(HANDLER)?;
    p.a.inc(dword_ptr(p.note(STEPS)))?;
    p.a.mov(eax, dword_ptr(esp + 4))?;
    p.a.mov(ecx, dword_ptr(eax))?;
    p.a.mov(dword_ptr(p.note(STEPS + 1)), ecx)?;
    p.a.mov(ecx, dword_ptr(eax + layout::exception_record::ADDRESS))?;
    p.a.mov(dword_ptr(p.note(STEPS + 2)), ecx)?;
    p.a.mov(ecx, dword_ptr(esp + 0xC))?;
    p.a.mov(eax, dword_ptr(ecx + context::DR6))?;
    p.a.and(eax, 0xF)?;
    p.keep(STEPS + 3)?;
    for (index, field) in [context::DR0, context::DR0 + 4, context::DR7].into_iter().enumerate() {
        p.a.mov(eax, dword_ptr(ecx + field))?;
        p.keep(STEPS + 4 + index as u32)?;
    }
    // RF: the breakpoint does not count for the next instruction. Dr6 is the handler's to clear.
    p.a.or(dword_ptr(ecx + context::EFLAGS), eflags::RF)?;
    p.a.mov(dword_ptr(ecx + context::DR6), 0)?;
    p.a.xor(eax, eax)?;
    p.a.ret()
}

fn a_thread_that_is_not_debugged_has_no_debug_registers_saved(boot: Boot) {
    let case = Case::new(&SRV2003, |p| {
        p.call("NtTest", &[0, 0])?;
        p.keep(0)?;
        p.end()
    })
    .service("NtTest", |a, _| {
        a.mov(ecx, dword_ptr(kpcr::CURRENT_THREAD).fs())?;
        a.mov(eax, dword_ptr(ecx + SRV2003.thread.trap_frame))?;
        a.mov(eax, dword_ptr(eax + layout::trap_frame::DR7))?;
        a.ret_1(8)
    });
    assert_eq!(case.run(boot, CPU)[0], 0);
}
