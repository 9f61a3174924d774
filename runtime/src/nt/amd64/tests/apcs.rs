//! User APCs: delivered in order when a service is left, with the context to go back to.

use iced_x86::IcedError;
use iced_x86::code_asm::{
    CodeAssembler, eax, ecx, qword_ptr, r8, r9, r12, r15, rax, rbp, rbx, rcx, rdi, rdx, rsi, rsp, xmm7, xmmword_ptr,
};

use super::boots::{Boot, bundled, qemu};
use super::session::{Case, Program, stack, ways};
use super::*;

on_both_machines! {
    apcs_run_in_order_when_the_thread_looks
    a_service_that_queues_an_apc_returns_behind_it
    an_apc_has_its_context_on_the_stack
    an_apc_may_queue_another
    the_queue_ends
    an_apc_without_a_stack_ends_the_program
}

/// The routine, by its place.
const ROUTINE: usize = 1;
/// Where it counts, and where it notes its arguments.
const RUNS: u32 = 0x10;
/// The handle of the current thread.
const THREAD: u64 = u64::MAX - 1;

/// An APC routine that notes its three arguments, and spoils what it may not keep and what it may.
fn routine(p: &mut Program) -> Result<(), IcedError> {
    p.mark(ROUTINE)?;
    p.a.imul_3(rax, p.note(RUNS), 24)?;
    let notes = p.note_at(RUNS + 1);
    for (index, register) in [rcx, rdx, r8].into_iter().enumerate() {
        p.a.mov(qword_ptr(rax + (notes as u32 + 8 * index as u32)), register)?;
    }
    p.a.inc(p.note(RUNS))?;
    for register in [rax, rcx, rdx, rbx, rsi, rdi, rbp, r12, r15] {
        p.a.mov(register, 0xBADu64)?;
    }
    p.a.pxor(xmm7, xmm7)?;
    p.a.ret()
}

/// Fills the registers that a call has to keep.
fn fill(p: &mut Program) -> Result<(), IcedError> {
    for (register, value) in [(rbx, 0xB2u64), (rsi, 0x52), (rdi, 0xD2), (rbp, 0xE2), (r12, 0x12), (r15, 0x15)] {
        p.a.mov(register, value)?;
    }
    let data = p.profile.user_data + 0x800;
    p.a.mov(qword_ptr(data), 0x77)?;
    p.a.movups(xmm7, xmmword_ptr(data))
}

/// Notes them, and the stack.
fn keep_registers(p: &mut Program, first: u32) -> Result<(), IcedError> {
    for (note, register) in [(0, rax), (1, rbx), (2, rsi), (3, rdi), (4, rbp), (5, r12), (6, r15), (7, rsp)] {
        p.keep(first + note, register)?;
    }
    let data = p.profile.user_data + 0x800;
    p.a.movups(xmmword_ptr(data), xmm7)?;
    p.a.mov(rax, qword_ptr(data))?;
    p.keep(first + 8, rax)
}

/// What [`keep_registers`] notes when all is well.
fn kept(profile: &Profile, status: u64) -> [u64; 9] {
    [status, 0xB2, 0x52, 0xD2, 0xE2, 0x12, 0x15, stack(profile), 0x77]
}

pub(super) fn apcs_run_in_order_when_the_thread_looks(boot: Boot) {
    for (profile, way) in ways() {
        let mut case = Case::new(profile, |p| {
            fill(p)?;
            for n in [1u64, 2, 3] {
                let place = p.place(ROUTINE);
                p.call("NtQueueApcThread", &[THREAD, place, n, n << 8, n << 40])?;
            }
            p.keep(9, rax)?;
            // A service that is not alertable does not deliver.
            p.call("NtOther", &[0])?;
            p.a.mov(rax, p.note(RUNS))?;
            p.keep(10, rax)?;
            p.call("NtTestAlert", &[])?;
            keep_registers(p, 0)?;
            // Nothing is left.
            p.call("NtTestAlert", &[])?;
            p.end()?;
            routine(p)
        });
        case.system_call = way;
        let notes = case.run(boot);
        let name = profile.name;
        assert_eq!(notes[9..11], [0, 0], "{name}");
        assert_eq!(notes[..9], kept(profile, 0), "{name}");
        let runs = &notes[RUNS as usize..][..10];
        assert_eq!(runs, [3, 1, 0x100, 1 << 40, 2, 0x200, 2 << 40, 3, 0x300, 3 << 40], "{name}");
    }
}

/// A service that queues an APC and has it delivered. Its first argument is the routine, its second the status.
fn queues(a: &mut CodeAssembler, symbol: &dyn Fn(&str) -> u64) -> Result<(), IcedError> {
    a.push(rdx)?;
    a.mov(ecx, ecx)?;
    a.mov(rdx, 0xA0u64)?;
    a.mov(r8, 0xA1u64)?;
    a.mov(r9, 0xA2u64)?;
    a.call(symbol("nt!NtgateQueueUserApc"))?;
    a.call(symbol("nt!KeTestAlertThread"))?;
    a.pop(rax)?;
    a.ret()
}

pub(super) fn a_service_that_queues_an_apc_returns_behind_it(boot: Boot) {
    for (profile, way) in ways() {
        let mut case = Case::new(profile, |p| {
            fill(p)?;
            let place = p.place(ROUTINE);
            p.call("NtTest", &[place, 0x1234_5678])?;
            keep_registers(p, 0)?;
            p.end()?;
            routine(p)
        })
        .service("NtTest", queues);
        case.system_call = way;
        let notes = case.run(boot);
        assert_eq!(notes[..9], kept(profile, 0x1234_5678), "{}", profile.name);
        assert_eq!(notes[RUNS as usize..][..4], [1, 0xA0, 0xA1, 0xA2], "{}", profile.name);
    }
}

pub(super) fn an_apc_has_its_context_on_the_stack(boot: Boot) {
    use layout::user_context as context;
    for (profile, way) in ways() {
        let mut case = Case::new(profile, |p| {
            fill(p)?;
            // A stack that is not at a multiple of 16.
            p.a.sub(rsp, 0x4D)?;
            let place = p.place(ROUTINE);
            p.call("NtTest", &[place, 0x77])?;
            p.mark(2)?;
            keep_registers(p, 0)?;
            p.a.add(rsp, 0x4D)?;
            p.end()?;
            p.mark(ROUTINE)?;
            p.keep(0x10, rsp)?;
            p.keep(0x11, r9)?;
            for (index, field) in [
                context::RIP,
                context::RSP,
                context::RAX,
                context::RBX,
                context::RCX,
                context::R8 + 16,
                context::R12,
                context::XMM0,
                context::XMM0 + 0x70,
                context::SIZE,
                context::SIZE + 0x18,
            ]
            .into_iter()
            .enumerate()
            {
                p.a.mov(rax, qword_ptr(r9 + field))?;
                p.keep(0x12 + index as u32, rax)?;
            }
            p.a.mov(eax, iced_x86::code_asm::dword_ptr(r9 + context::FLAGS))?;
            p.keep(0x1E, rax)?;
            p.a.ret()
        })
        .service("NtTest", queues);
        case.system_call = way;
        let (notes, _) = case.run_with_places(boot);
        let name = profile.name;
        let (image, _) = case.build();
        // Inside the stub, behind the return address of its caller.
        let at_call = stack(profile) - 0x4D;
        let wanted = [0x77, 0xB2, 0x52, 0xD2, 0xE2, 0x12, 0x15, at_call, 0x77];
        assert_eq!(notes[..9], wanted, "{name}");
        let at = (at_call - 8 - 0x4F8) & !0xF;
        assert_eq!(notes[0x10..0x12], [at - 8, at], "{name}: called with an aligned stack and the context");
        let stub = address(&image, "ntdll!NtTest");
        assert!((stub..stub + 0x20).contains(&notes[0x12]), "{name}: {:x}", notes[0x12]);
        assert_eq!(notes[0x13..0x16], [at_call - 8, 0x77, 0xB2], "{name}");
        assert_eq!(notes[0x16..0x19], [0, 0, 0x12], "{name}: what a system call does not keep is zero");
        assert_eq!(notes[0x19..0x1B], [0, 0x77], "{name}");
        assert_eq!(notes[0x1B..0x1D], [notes[0x12], at_call - 8], "{name}: the machine frame");
        assert_eq!(notes[0x1E], 0x10_001F, "{name}");
    }
}

pub(super) fn an_apc_may_queue_another(boot: Boot) {
    for profile in Profile::ALL {
        let case = Case::new(profile, |p| {
            let place = p.place(ROUTINE);
            p.call("NtQueueApcThread", &[THREAD, place, 5, 0, 0])?;
            p.call("NtTestAlert", &[])?;
            p.keep(0, rax)?;
            p.keep(1, rsp)?;
            p.end()?;
            let last = &mut p.a.create_label();
            p.mark(ROUTINE)?;
            p.a.inc(p.note(RUNS))?;
            // Before NtContinue takes it: ring 3's stack must not grow from one to the next.
            let notes = p.note_at(RUNS);
            p.a.mov(qword_ptr(rcx * 8 + notes as u32), rsp)?;
            p.a.dec(rcx)?;
            p.a.je(*last)?;
            p.a.sub(rsp, 0x38)?;
            p.a.mov(r8, rcx)?;
            p.a.mov(rdx, p.place(ROUTINE))?;
            p.a.mov(rcx, THREAD)?;
            p.a.mov(qword_ptr(rsp + 0x20), 0)?;
            let stub = p.at("ntdll!NtQueueApcThread");
            p.call_at(stub)?;
            p.a.add(rsp, 0x38)?;
            p.a.set_label(last)?;
            p.a.ret()
        });
        let notes = case.run(boot);
        assert_eq!(notes[..2], [0, stack(profile)], "{}", profile.name);
        let runs = &notes[RUNS as usize..][..6];
        assert_eq!(runs[0], 5);
        assert!(runs[1..].iter().all(|stack| *stack == runs[1]), "{}: {runs:x?}", profile.name);
    }
}

pub(super) fn the_queue_ends(boot: Boot) {
    let case = Case::new(&WIN7_X64, |p| {
        let place = p.place(ROUTINE);
        for n in 0..17u32 {
            p.call("NtQueueApcThread", &[THREAD, place, n.into(), 0, 0])?;
            p.keep(n % 2, rax)?;
        }
        p.call("NtTestAlert", &[])?;
        // And has room again.
        p.call("NtQueueApcThread", &[THREAD, place, 0, 0, 0])?;
        p.keep(2, rax)?;
        // Of another thread it knows nothing.
        p.call("NtQueueApcThread", &[0x44, place, 0, 0, 0])?;
        p.keep(3, rax)?;
        p.end()?;
        p.mark(ROUTINE)?;
        p.a.inc(p.note(RUNS))?;
        p.a.ret()
    });
    let notes = case.run(boot);
    assert_eq!(notes[..4], [0xC000_009A, 0, 0, 0xC000_0008]);
    assert_eq!(notes[RUNS as usize], 16);
}

pub(super) fn an_apc_without_a_stack_ends_the_program(boot: Boot) {
    for profile in Profile::ALL {
        let case = Case::new(profile, |p| {
            let place = p.place(ROUTINE);
            p.a.mov(rcx, place)?;
            p.a.mov(iced_x86::code_asm::r10, rcx)?;
            p.a.mov(rsp, 0x100u64)?;
            // NtTest, without the stub, which would need a stack.
            p.a.mov(eax, 7)?;
            p.a.syscall()?;
            p.mark(ROUTINE)?;
            p.a.ud2()
        })
        .service("NtTest", queues);
        let (image, places) = case.build();
        let (log, exit) = boot(&image);
        assert_eq!(exit, 2, "{log}");
        assert!(log.ends_with(&format!("\nunhandled c0000005 at {:016x}\n", places[ROUTINE])), "{log}");
    }
}
