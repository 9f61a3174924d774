//! What entries from ring 3 leave in the trap frame and in the thread, and how ring 3 gets its flags and debug registers back.

use iced_x86::IcedError;
use iced_x86::code_asm::{
    CodeAssembler, byte_ptr, dr7, dword_ptr, eax, ecx, qword_ptr, r8, r9, r10, rax, rcx, rdx, rsp, word_ptr,
};

use super::boots::{Boot, bundled, qemu};
use super::contexts::fill_context;
use super::session::{Case, Program, stack, ways};
use super::*;
use crate::nt::amd64::layout::{eflags, exception_record as record, kpcr, trap_frame, user_context as context};

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
    let stub = p.at("ntdll!NtTest");
    p.a.mov(rdx, stub)?;
    p.a.pushfq()?;
    p.a.or(qword_ptr(rsp), flags as i32)?;
    p.a.popfq()?;
    p.a.call(rdx)?;
    p.a.pushfq()?;
    p.a.push(2)?;
    p.a.popfq()?;
    p.keep(note, rax)?;
    p.a.pop(rax)?;
    p.keep(note + 1, rax)
}

/// A service that returns its flags.
fn flags(a: &mut CodeAssembler, _: &dyn Fn(&str) -> u64) -> Result<(), IcedError> {
    a.pushfq()?;
    a.pop(rax)?;
    a.ret()
}

pub(super) fn flags_that_ring_3_left_set_do_no_harm(boot: Boot) {
    for (profile, way) in ways() {
        let mut case = Case::new(profile, |p| {
            call_with_flags(p, eflags::NT, 0)?;
            call_with_flags(p, eflags::DF, 2)?;
            call_with_flags(p, eflags::NT | eflags::DF | 1, 4)?;
            // An exception with NT set: IRETQ must not mind.
            p.install(HANDLER)?;
            p.a.pushfq()?;
            p.a.or(qword_ptr(rsp), (eflags::NT | eflags::DF) as i32)?;
            p.a.popfq()?;
            p.a.ud2()?;
            p.a.pushfq()?;
            p.a.cld()?;
            p.a.pop(rax)?;
            p.keep(6, rax)?;
            p.end()?;
            p.mark(HANDLER)?;
            p.a.mov(rdx, qword_ptr(rcx + 8))?;
            p.a.add(qword_ptr(rdx + context::RIP), 2)?;
            p.a.mov(eax, -1)?;
            p.a.ret()
        })
        .service("NtTest", flags);
        case.system_call = way;
        let notes = case.run(boot);
        for call in 0..3 {
            let [inside, after] = [notes[2 * call] as u32, notes[2 * call + 1] as u32];
            let wanted = [eflags::NT, eflags::DF, eflags::NT | eflags::DF][call];
            assert_eq!(inside & 0x4300, eflags::IF, "{}: no NT and no TF in the kernel", profile.name);
            assert_eq!(inside & eflags::DF, 0, "{}: nor DF", profile.name);
            assert_eq!(after & 0x4700, wanted | eflags::IF, "{}: as ring 3 left them", profile.name);
        }
        assert_eq!(notes[6] as u32 & 0x4700, eflags::NT | eflags::DF | eflags::IF, "{}", profile.name);
    }
}

/// A handler that notes where every step is, and asks for the next one until twelve are done.
fn stepper(p: &mut Program) -> Result<(), IcedError> {
    let last = &mut p.a.create_label();
    p.mark(HANDLER)?;
    p.a.mov(rcx, qword_ptr(rcx + 8))?;
    p.a.mov(rdx, p.note(STEPS))?;
    p.a.mov(rax, qword_ptr(rcx + context::RIP))?;
    let notes = p.note_at(STEPS + 1);
    p.a.mov(qword_ptr(rdx * 8 + notes as u32), rax)?;
    p.a.inc(p.note(STEPS))?;
    p.a.cmp(rdx, 12)?;
    p.a.jae(*last)?;
    p.a.or(dword_ptr(rcx + context::EFLAGS), eflags::TF as i32)?;
    p.a.set_label(last)?;
    p.a.mov(eax, -1)?;
    p.a.ret()
}

pub(super) fn single_steps_go_over_every_way_in(boot: Boot) {
    for (profile, way) in ways() {
        let mut case = Case::new(profile, |p| {
            p.install(HANDLER)?;
            p.a.mov(rdx, p.at("ntdll!NtTest"))?;
            p.a.pushfq()?;
            p.a.or(qword_ptr(rsp), eflags::TF as i32)?;
            p.a.popfq()?;
            p.a.call(rdx)?;
            p.mark(1)?;
            p.a.nop()?;
            p.keep(0, rax)?;
            for _ in 0..8 {
                p.a.nop()?;
            }
            p.end()?;
            stepper(p)
        })
        .service("NtTest", flags);
        case.system_call = way;
        let (image, places) = case.build();
        let notes = case.run(boot);
        let name = profile.name;
        assert_eq!(notes[0] & 0x700, u64::from(eflags::IF), "{name}: the service is not traced");
        let steps = &notes[STEPS as usize + 1..][..12];
        let stub = address(&image, "ntdll!NtTest");
        assert_eq!(steps[0], stub, "{name}: {steps:x?}");
        let back = steps.iter().position(|step| *step == places[1]).expect("it comes back");
        // All before are the stub's instructions, the last its `ret`.
        assert!(steps[..back].iter().all(|step| (stub..stub + 0x20).contains(step)), "{name}: {steps:x?}");
        assert!(back >= 4, "{name}: {steps:x?}");
        assert_eq!(steps[back + 1], places[1] + 1, "{name}");
    }
}

pub(super) fn frames_chain_and_modes_are_those_of_the_callers(boot: Boot) {
    for profile in Profile::ALL {
        let thread = profile.thread;
        let reactos = thread.service_table.is_some();
        let note = |index: u32| profile.user_data + u64::from(8 * index);
        // The thread's frame, that frame's link, CS, RIP, RSP and saved mode, the thread's mode. R8 to R10 are used up.
        let look = |a: &mut CodeAssembler, first: u32| {
            a.mov(r8, qword_ptr(kpcr::CURRENT_THREAD).gs())?;
            a.mov(r9, qword_ptr(r8 + thread.trap_frame))?;
            a.mov(qword_ptr(note(first)), r9)?;
            for (index, field) in
                [trap_frame::TRAP_FRAME, trap_frame::RIP, trap_frame::RSP, trap_frame::RDX].into_iter().enumerate()
            {
                a.mov(r10, qword_ptr(r9 + field))?;
                a.mov(qword_ptr(note(first + 1 + index as u32)), r10)?;
            }
            a.movzx(eax, word_ptr(r9 + trap_frame::SEG_CS))?;
            a.mov(qword_ptr(note(first + 5)), rax)?;
            a.movzx(eax, byte_ptr(r9 + trap_frame::PREVIOUS_MODE))?;
            a.mov(qword_ptr(note(first + 6)), rax)?;
            a.movzx(eax, byte_ptr(r8 + thread.previous_mode))?;
            a.mov(qword_ptr(note(first + 7)), rax)
        };
        let zw = {
            let plan = plan(super::session::SERVICES, profile.shapes);
            let kernel = Kernel::new(profile).expect("the profile is right");
            address(&kernel.session(&plan, &Session::default()).expect("it builds"), "nt!ZwOther")
        };
        let case = Case::new(profile, |p| {
            p.call("NtTest", &[1, 2])?;
            p.keep(0, rax)?;
            p.end()
        })
        .service("NtTest", |a, _| {
            look(a, 0x10)?;
            a.mov(ecx, 0x77)?;
            a.sub(rsp, 0x28)?;
            a.mov(rax, zw)?;
            a.call(rax)?;
            a.add(rsp, 0x28)?;
            a.push(rax)?;
            look(a, 0x20)?;
            a.pop(rax)?;
            a.ret()
        })
        .service("NtOther", |a, _| {
            look(a, 0x18)?;
            a.mov(rax, rcx)?;
            a.ret()
        });
        let (image, _) = case.build();
        let notes = case.run(boot);
        let name = profile.name;
        assert_eq!(notes[0], 0x77, "{name}");
        let outer = profile.base_frame();
        let stub = address(&image, "ntdll!NtTest");
        assert_eq!((notes[0x10], notes[0x13]), (outer, stack(profile) - 8), "{name}");
        assert!((stub..stub + 0x20).contains(&notes[0x12]), "{name}");
        assert_eq!((notes[0x15], notes[0x17]), (0x33, 1), "{name}");
        // Called by the kernel: on the same stack, linked, trusted.
        assert!(notes[0x18] < outer && notes[0x18] > outer - 0x400, "{name}");
        let link = if reactos { notes[0x1C] } else { notes[0x19] };
        assert_eq!((link, notes[0x1D], notes[0x1E], notes[0x1F]), (outer, 0x10, 1, 0), "{name}");
        // And all is as before.
        assert_eq!((notes[0x20], notes[0x25], notes[0x27]), (outer, 0x33, 1), "{name}");
    }
}

/// Gives the thread a breakpoint at place 1, through NtContinue, and goes on behind.
fn set_breakpoint(p: &mut Program, dr7_value: u64, next: usize) -> Result<(), IcedError> {
    let at = p.profile.user_data + 0x800;
    let fields = [
        (context::RIP, p.place(next)),
        (context::RSP, stack(&p.profile)),
        (context::DR0, p.place(1)),
        // A breakpoint in the kernel is not taken.
        (context::DR0 + 8, p.profile.kernel_text),
        (context::DR6, 0),
        (context::DR7, dr7_value),
    ];
    fill_context(p, at, context::AMD64 | context::DEBUG | context::CONTROL, &fields)?;
    p.call("NtContinue", &[at, 0])
}

pub(super) fn debug_registers_are_ring_3s_own(boot: Boot) {
    for (profile, way) in ways() {
        let mut case = Case::new(profile, |p| {
            p.install(HANDLER)?;
            set_breakpoint(p, 0x2001, 2)?;
            p.mark(2)?;
            p.a.xor(eax, eax)?;
            p.mark(1)?;
            p.a.inc(eax)?;
            p.keep(0, rax)?;
            // A service has the kernel's, and gives these back.
            p.call("NtTest", &[0, 0])?;
            p.keep(1, rax)?;
            p.a.cmp(p.note(STEPS), 1)?;
            let once = &mut p.a.create_label();
            p.a.jne(*once)?;
            p.a.mov(rcx, p.place(1))?;
            p.a.xor(eax, eax)?;
            p.a.jmp(rcx)?;
            p.a.set_label(once)?;
            // Without it nothing happens any more.
            set_breakpoint(p, 0, 3)?;
            p.mark(3)?;
            p.call("NtTest", &[0, 0])?;
            p.keep(2, rax)?;
            p.end()?;
            breakpoint_handler(p)
        })
        .service("NtTest", |a, _| {
            // Dr7 now, and Dr7 in the frame, if the thread is debugged.
            a.mov(rax, dr7)?;
            a.and(eax, 0xFF)?;
            a.mov(rcx, qword_ptr(kpcr::CURRENT_THREAD).gs())?;
            a.mov(rcx, qword_ptr(rcx + profile.thread.trap_frame))?;
            a.mov(ecx, dword_ptr(rcx + trap_frame::DR7))?;
            a.and(ecx, 0x3FF)?;
            a.shl(ecx, 16)?;
            a.or(eax, ecx)?;
            a.ret()
        });
        case.system_call = way;
        let (notes, places) = case.run_with_places(boot);
        let name = profile.name;
        assert_eq!(notes[0], 1, "{name}: the instruction ran once each time");
        assert_eq!(notes[1], 0x1_0000, "{name}: the kernel had none, the frame had ring 3's");
        assert_eq!(notes[2], 0, "{name}: and then neither");
        let seen = &notes[STEPS as usize..];
        assert_eq!(seen[0], 2, "{name}: it stopped twice");
        // Code, address, Dr6, Dr0, Dr1, Dr7.
        assert_eq!(seen[1..4], [0x8000_0004, places[1], 1], "{name}");
        assert_eq!((seen[4], seen[5], seen[6] & 0xFF), (places[1], 0, 1), "{name}");
    }
}

/// Notes the exception and lets the instruction pass.
fn breakpoint_handler(p: &mut Program) -> Result<(), IcedError> {
    p.mark(HANDLER)?;
    p.a.inc(p.note(STEPS))?;
    p.a.mov(rdx, qword_ptr(rcx))?;
    p.a.mov(rcx, qword_ptr(rcx + 8))?;
    p.a.mov(eax, dword_ptr(rdx + record::CODE))?;
    p.keep(STEPS + 1, rax)?;
    p.a.mov(rax, qword_ptr(rdx + record::ADDRESS))?;
    p.keep(STEPS + 2, rax)?;
    p.a.mov(rax, qword_ptr(rcx + context::DR6))?;
    p.a.and(eax, 0xF)?;
    p.keep(STEPS + 3, rax)?;
    for (index, field) in [context::DR0, context::DR0 + 8, context::DR7].into_iter().enumerate() {
        p.a.mov(rax, qword_ptr(rcx + field))?;
        p.keep(STEPS + 4 + index as u32, rax)?;
    }
    // RF: the breakpoint does not count for the next instruction. Dr6 is the handler's to clear.
    p.a.or(dword_ptr(rcx + context::EFLAGS), eflags::RF as i32)?;
    p.a.mov(qword_ptr(rcx + context::DR6), 0)?;
    p.a.mov(eax, -1)?;
    p.a.ret()
}

pub(super) fn a_thread_that_is_not_debugged_has_no_debug_registers_saved(boot: Boot) {
    for (profile, way) in ways() {
        let mut case = Case::new(profile, |p| {
            p.call("NtTest", &[0, 0])?;
            p.keep(0, rax)?;
            p.end()
        })
        .service("NtTest", |a, _| {
            a.mov(rcx, qword_ptr(kpcr::CURRENT_THREAD).gs())?;
            a.mov(rax, qword_ptr(rcx + profile.thread.trap_frame))?;
            a.movzx(eax, word_ptr(rax + trap_frame::DR7))?;
            a.ret()
        });
        case.system_call = way;
        assert_eq!(case.run(boot)[0], 0, "{}", profile.name);
    }
}
