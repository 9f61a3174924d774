//! Calls from the kernel into ring 3: arguments, results, nesting, and what is put back.

use iced_x86::IcedError;
use iced_x86::code_asm::{
    CodeAssembler, eax, ecx, qword_ptr, r8, r9, r12, r13, rax, rbp, rbx, rcx, rdi, rdx, rsi, rsp, xmm8, xmmword_ptr,
};

use super::boots::{Boot, bundled, qemu};
use super::session::{Case, Program, stack, ways};
use super::*;
use crate::nt::amd64::layout::{callout_frame, kpcr, tss};

on_both_machines! {
    a_callback_gets_its_argument_and_its_status_comes_back
    results_come_back_by_address_and_length
    callbacks_nest
    callbacks_stop_where_the_kernel_stack_ends
    a_callback_without_a_stack_is_refused
    an_exception_in_a_callback_reaches_the_handler
    an_apc_in_a_callback_finds_its_way_back
}

/// The callback, by its place.
const CALLBACK: usize = 1;

/// A service that calls back number 0 with its own two arguments as the argument. It checks that its registers come back, and
/// returns the callback's status; where the result is in RCX, and its length in RDX.
fn calls_back(a: &mut CodeAssembler, symbol: &dyn Fn(&str) -> u64) -> Result<(), IcedError> {
    let kept = [(rbx, 0xB1u64), (rsi, 0x51), (rdi, 0xD1), (rbp, 0xE1), (r12, 0x12), (r13, 0x13)];
    let good = &mut a.create_label();
    let bad = &mut a.create_label();
    for (register, _) in kept {
        a.push(register)?;
    }
    a.sub(rsp, 0x48)?;
    a.mov(qword_ptr(rsp + 0x38), rcx)?;
    a.mov(qword_ptr(rsp + 0x40), rdx)?;
    for (register, value) in kept {
        a.mov(register, value)?;
    }
    a.xor(ecx, ecx)?;
    a.lea(rdx, rsp + 0x38)?;
    a.mov(r8, 0x10u64)?;
    a.lea(r9, rsp + 0x28)?;
    a.lea(rax, rsp + 0x30)?;
    a.mov(qword_ptr(rax), 0)?;
    a.mov(qword_ptr(rsp + 0x20), rax)?;
    a.call(symbol("nt!KeUserModeCallback"))?;
    for (register, value) in kept {
        a.cmp(register, value as i32)?;
        a.jne(*bad)?;
    }
    a.jmp(*good)?;
    a.set_label(bad)?;
    a.ud2()?;
    a.set_label(good)?;
    a.mov(rcx, qword_ptr(rsp + 0x28))?;
    a.mov(rdx, qword_ptr(rsp + 0x30))?;
    a.add(rsp, 0x48)?;
    for (register, _) in kept.into_iter().rev() {
        a.pop(register)?;
    }
    a.ret()
}

/// A service that notes, from note `first` on, what callbacks change for a while.
fn look(a: &mut CodeAssembler, profile: &Profile, first: u32) -> Result<(), IcedError> {
    let note = |index: u32| qword_ptr(profile.user_data + u64::from(8 * index));
    a.mov(rcx, qword_ptr(kpcr::CURRENT_THREAD).gs())?;
    let thread = profile.thread;
    for (index, field) in [thread.initial_stack, thread.callback_stack].into_iter().enumerate() {
        a.mov(rax, qword_ptr(rcx + field))?;
        a.mov(note(first + index as u32), rax)?;
    }
    a.mov(rax, qword_ptr(kpcr::RSP_BASE).gs())?;
    a.mov(note(first + 2), rax)?;
    a.mov(rcx, qword_ptr(kpcr::TSS).gs())?;
    a.mov(rax, qword_ptr(rcx + tss::RSP0))?;
    a.mov(note(first + 3), rax)?;
    // The frame of this very call, from RSP: a slot that was leaked would move it.
    a.mov(note(first + 4), rsp)?;
    a.xor(eax, eax)?;
    a.ret()
}

/// What [`look`] notes when no callback is active, but the last.
fn at_rest(profile: &Profile) -> [u64; 4] {
    [profile.initial_stack, 0, profile.initial_stack, profile.initial_stack]
}

pub(super) fn a_callback_gets_its_argument_and_its_status_comes_back(boot: Boot) {
    for (profile, way) in ways() {
        let mut case = Case::new(profile, |p| {
            let kept = [(rbx, 0xB2u64), (rsi, 0x52), (rdi, 0xD2), (rbp, 0xE2), (r12, 0x21), (r13, 0x31)];
            p.call("NtOther", &[0])?;
            p.a.mov(rax, p.note(0x14))?;
            p.keep(0x16, rax)?;
            for (register, value) in kept {
                p.a.mov(register, value)?;
            }
            p.a.mov(rax, 0x88u64)?;
            p.a.mov(qword_ptr(p.profile.user_data + 0x800), rax)?;
            p.a.movups(xmm8, xmmword_ptr(p.profile.user_data + 0x800))?;
            p.call("NtTest", &[0x1234, 0x5678_0000_0001])?;
            p.keep(0, rax)?;
            for (index, (register, _)) in kept.into_iter().enumerate() {
                p.keep(1 + index as u32, register)?;
            }
            p.keep(7, rsp)?;
            p.a.movups(xmmword_ptr(p.profile.user_data + 0x800), xmm8)?;
            p.a.mov(rax, qword_ptr(p.profile.user_data + 0x800))?;
            p.keep(8, rax)?;
            p.call("NtOther", &[0])?;
            p.end()?;

            p.mark(CALLBACK)?;
            // Every register may be used up.
            p.keep(9, rcx)?;
            p.a.mov(rax, qword_ptr(rcx))?;
            p.keep(10, rax)?;
            p.a.mov(rax, qword_ptr(rcx + 8))?;
            p.keep(11, rax)?;
            p.keep(12, rdx)?;
            p.keep(13, rsp)?;
            // The dispatcher's frame: where the thread was.
            for (note, field) in [(14, callout_frame::MACHINE_FRAME + 0x18), (15, callout_frame::BUFFER)] {
                p.a.mov(rax, qword_ptr(rsp + (8 + field)))?;
                p.keep(note, rax)?;
            }
            for register in [rbx, rsi, rdi, rbp, r12, r13] {
                p.a.mov(register, 0xBADu64)?;
            }
            p.a.pxor(xmm8, xmm8)?;
            p.a.mov(eax, 0x4455)?;
            p.a.ret()
        })
        .service("NtTest", calls_back)
        .service("NtOther", |a, _| look(a, profile, 0x10));
        case.callbacks = &[CALLBACK];
        case.system_call = way;
        let notes = case.run(boot);
        let name = profile.name;
        assert_eq!(notes[..7], [0x4455, 0xB2, 0x52, 0xD2, 0xE2, 0x21, 0x31], "{name}");
        assert_eq!(notes[7..9], [stack(profile), 0x88], "{name}");
        // The argument is below ring 3's stack, where the stub's caller has its return address; the frame below that.
        let argument = ((stack(profile) - 8 - 0x10) & !0xF) - 8;
        assert_eq!(notes[9..13], [argument, 0x1234, 0x5678_0000_0001, 0x10], "{name}");
        assert_eq!(notes[13], argument - 0x58 - 8, "{name}");
        assert_eq!(notes[14..16], [stack(profile) - 8, argument], "{name}");
        assert_eq!(notes[0x10..0x14], at_rest(profile), "{name}");
        assert_eq!(notes[0x14], notes[0x16], "{name}: the kernel's stack is as it was");
    }
}

pub(super) fn results_come_back_by_address_and_length(boot: Boot) {
    for (profile, way) in ways() {
        let mut case = Case::new(profile, |p| {
            p.call("NtTest", &[0, 0])?;
            p.keep(0, rax)?;
            p.call("NtCallbackReturn", &[1, 2, 3])?;
            p.keep(1, rax)?;
            p.end()?;
            p.mark(CALLBACK)?;
            p.a.sub(rsp, 0x28)?;
            p.call("NtCallbackReturn", &[0x1111, 0x22, 0x3300_0000])?;
            p.a.ud2()
        })
        .service("NtTest", |a, symbol| {
            let inner = &mut a.create_label();
            a.sub(rsp, 8)?;
            a.call(*inner)?;
            a.add(rsp, 8)?;
            a.or(rax, rcx)?;
            a.shl(rdx, 16)?;
            a.or(rax, rdx)?;
            a.ret()?;
            a.set_label(inner)?;
            calls_back(a, symbol)
        });
        case.callbacks = &[CALLBACK];
        case.system_call = way;
        let notes = case.run(boot);
        assert_eq!(notes[..2], [0x3322_1111, 0xC000_0258], "{}", profile.name);
    }
}

/// A program that goes `depth` callbacks deep.
fn nests(p: &mut Program, depth: u64) -> Result<(), IcedError> {
    let leaf = &mut p.a.create_label();
    p.call("NtOther", &[0])?;
    p.a.mov(rax, p.note(0x14))?;
    p.keep(0x16, rax)?;
    p.call("NtTest", &[depth, 0x77])?;
    p.keep(0, rax)?;
    p.call("NtOther", &[0])?;
    p.end()?;

    p.mark(CALLBACK)?;
    p.a.mov(rcx, qword_ptr(rcx))?;
    p.a.inc(p.note(1))?;
    p.a.mov(eax, 0x100)?;
    p.a.jrcxz(*leaf)?;
    p.a.dec(rcx)?;
    p.a.sub(rsp, 0x28)?;
    p.a.mov(rdx, 0x77u64)?;
    let stub = p.at("ntdll!NtTest");
    p.call_at(stub)?;
    p.a.add(rsp, 0x28)?;
    p.a.inc(eax)?;
    p.a.set_label(leaf)?;
    p.a.ret()
}

/// A case of it.
fn nesting(profile: &Profile, depth: u64) -> Case<'_> {
    let mut case = Case::new(profile, move |p| nests(p, depth))
        .service("NtTest", calls_back)
        .service("NtOther", |a, _| look(a, profile, 0x10));
    case.callbacks = &[CALLBACK];
    case
}

pub(super) fn callbacks_nest(boot: Boot) {
    for (profile, way) in ways() {
        for depth in [1, 8, 9] {
            let mut case = nesting(profile, depth);
            case.system_call = way;
            let notes = case.run(boot);
            assert_eq!(notes[..2], [0x100 + depth, depth + 1], "{}", profile.name);
            assert_eq!(notes[0x10..0x14], at_rest(profile), "{}", profile.name);
            assert_eq!(notes[0x14], notes[0x16], "{}: the kernel's stack is as it was", profile.name);
        }
    }
}

pub(super) fn callbacks_stop_where_the_kernel_stack_ends(boot: Boot) {
    let notes = nesting(&WIN7_X64, 100).run(boot);
    let calls = notes[1];
    assert!((10..30).contains(&calls), "{calls}");
    // The last that could be called found no stack for the next; each before it has added one.
    assert_eq!(notes[0], 0xC000_00FD + calls);
    assert_eq!(notes[0x10..0x14], at_rest(&WIN7_X64));
}

pub(super) fn a_callback_without_a_stack_is_refused(boot: Boot) {
    for profile in [&WIN7_X64, &profile::REACTOS_AMD64] {
        for stack in [0x1000u64, profile.user_unmapped + 0x800, profile.initial_stack] {
            let mut case = Case::new(profile, |p| {
                p.a.mov(rbx, rsp)?;
                // NtTest, without the stub, which would need a stack.
                p.a.mov(rsp, stack)?;
                p.a.mov(eax, 7)?;
                p.a.syscall()?;
                p.a.mov(rsp, rbx)?;
                p.keep(0, rax)?;
                p.call("NtOther", &[0])?;
                p.end()?;
                p.mark(CALLBACK)?;
                p.a.ud2()
            })
            .service("NtTest", calls_back)
            .service("NtOther", |a, _| look(a, profile, 0x10));
            case.callbacks = &[CALLBACK];
            let notes = case.run(boot);
            assert_eq!(notes[0], 0xC000_0005, "{} {stack:x}", profile.name);
            assert_eq!(notes[0x10..0x14], at_rest(profile));
        }
    }
}

pub(super) fn an_exception_in_a_callback_reaches_the_handler(boot: Boot) {
    const HANDLER: usize = 2;
    for profile in Profile::ALL {
        let mut case = Case::new(profile, |p| {
            p.install(HANDLER)?;
            p.call("NtTest", &[0, 0])?;
            p.keep(0, rax)?;
            p.keep(2, rsp)?;
            p.end()?;
            p.mark(CALLBACK)?;
            p.a.ud2()?;
            p.a.mov(eax, 0x99)?;
            p.a.ret()?;
            p.mark(HANDLER)?;
            p.a.mov(rdx, qword_ptr(rcx + 8))?;
            p.a.add(qword_ptr(rdx + layout::user_context::RIP), 2)?;
            p.a.inc(p.note(1))?;
            p.a.mov(eax, -1)?;
            p.a.ret()
        })
        .service("NtTest", calls_back);
        case.callbacks = &[CALLBACK];
        assert_eq!(case.run(boot)[..3], [0x99, 1, stack(profile)], "{}", profile.name);
    }
}

pub(super) fn an_apc_in_a_callback_finds_its_way_back(boot: Boot) {
    const ROUTINE: usize = 2;
    for (profile, way) in ways() {
        let mut case = Case::new(profile, |p| {
            p.call("NtTest", &[0, 0])?;
            p.keep(0, rax)?;
            p.keep(2, rsp)?;
            p.call("NtOther", &[0])?;
            p.end()?;
            p.mark(CALLBACK)?;
            p.a.sub(rsp, 0x38)?;
            let place = p.place(ROUTINE);
            p.call("NtQueueApcThread", &[u64::MAX - 1, place, 7, 8, 9])?;
            p.call("NtTestAlert", &[])?;
            p.a.add(rsp, 0x38)?;
            p.a.mov(rax, p.note(1))?;
            p.a.ret()?;
            p.mark(ROUTINE)?;
            p.keep(1, rcx)?;
            p.a.ret()
        })
        .service("NtTest", calls_back)
        .service("NtOther", |a, _| look(a, profile, 0x10));
        case.callbacks = &[CALLBACK];
        case.system_call = way;
        let notes = case.run(boot);
        assert_eq!(notes[..3], [7, 7, stack(profile)], "{}", profile.name);
        assert_eq!(notes[0x10..0x14], at_rest(profile), "{}", profile.name);
    }
}
