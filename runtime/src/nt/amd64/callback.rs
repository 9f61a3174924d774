//! Calls from the kernel into ring 3 and back (ReactOS `ntoskrnl/ke/amd64/usercall.c`, and the frames in
//! `sdk/include/ndk/amd64/ketypes.h`).
//!
//! A callback gets a kernel stack of its own below what its caller has in use: an exception frame that tells how to come back,
//! then a frame as every kernel stack has one at its end. Until it comes back, entries from ring 3 use that.
//!
//! ```text
//! InitialStack          frame: the service that calls back
//!                       ... the service's own stack
//! CallbackStack ->      exception frame
//! new InitialStack      frame of the callback, at first a copy
//! ```
//!
//! A callback that is given up by an unwinding in ring 3 (`STATUS_CALLBACK_POP_STACK`) is not told from one that returns that
//! status: unwinding would need the unwind data of ntdll, which there is not.

use iced_x86::code_asm::{
    byte_ptr, dword_ptr, eax, ebx, ecx, edx, qword_ptr, r8d, r9, r10, r11, r12d, r13d, r14d, r15d, rax, rbp, rbx, rcx,
    rdi, rdx, rsi, rsp,
};

use super::assembly::{Asm, KernelAsm, Routine};
use super::context::{generate_exception_frame, restore_exception_frame};
use super::data::kernel;
use super::entry::field;
use super::layout::{callout_frame, exception_frame, kpcr, machine_frame, selector, status, trap_frame, tss};

/// Bytes that the callback's own services may use below its frame, at least.
const ROOM: u32 = 0x800;

/// Emits all of this file.
pub(crate) fn emit(k: &mut KernelAsm<'_>) -> Asm {
    user_mode_callback(k)?;
    call_user_mode(k)?;
    callback_return(k)
}

/// KeUserModeCallback(Index, Argument, Length, Result, ResultLength): calls a function of ring 3's table, with a copy of the
/// argument on its stack. Its status; where the result lies in ring 3, and its length, go to the last two.
fn user_mode_callback(k: &mut KernelAsm<'_>) -> Asm {
    /// On the stack: room for a call, the dispatcher's frame in the making, and two locals.
    const FRAME: u32 = 0x20;
    const OLD_STACK: u32 = FRAME + callout_frame::SIZE;
    const RESULT: u32 = OLD_STACK + 8;
    const LOCALS: u32 = RESULT + 8;
    const PUSHED: u32 = 4 * 8;
    const RESULT_LENGTH: u32 = LOCALS + PUSHED + 0x28;
    const MACHINE: u32 = FRAME + callout_frame::MACHINE_FRAME;

    let thread = k.profile.thread;
    let leave = &mut k.a.create_label();
    k.begin(Routine::KeUserModeCallback)?;
    for register in [rbp, rbx, rsi, rdi] {
        k.a.push(register)?;
    }
    k.a.sub(rsp, LOCALS as i32)?;
    k.a.mov(rax, qword_ptr(kpcr::CURRENT_THREAD).gs())?;
    k.a.mov(rbp, qword_ptr(rax + thread.trap_frame))?;
    k.a.add(rbp, trap_frame::RBP_BIAS as i32)?;
    // Only a service that ring 3 asked for has a ring 3 to call.
    k.a.mov(eax, status::UNSUCCESSFUL)?;
    k.a.test(byte_ptr(field(trap_frame::SEG_CS)), selector::MODE_MASK as i32)?;
    k.a.je(*leave)?;
    k.a.mov(qword_ptr(rsp + RESULT), r9)?;
    k.a.mov(ebx, ecx)?;
    k.a.mov(rdi, qword_ptr(field(trap_frame::RSP)))?;
    k.a.mov(qword_ptr(rsp + OLD_STACK), rdi)?;
    k.a.mov(rsi, rdx)?;
    k.a.mov(ecx, r8d)?;
    k.a.sub(rdi, rcx)?;
    k.a.and(rdi, -16)?;
    k.a.sub(rdi, 8)?;
    k.a.mov(r9, rdi)?;
    k.call(Routine::KiCopyToUser)?;
    k.a.test(eax, eax)?;
    k.a.jne(*leave)?;

    // The dispatcher's frame, made here and copied.
    for home in 0..4 {
        k.a.mov(qword_ptr(rsp + (FRAME + 8 * home)), 0)?;
    }
    k.a.mov(qword_ptr(rsp + (FRAME + callout_frame::BUFFER)), r9)?;
    k.a.mov(dword_ptr(rsp + (FRAME + callout_frame::LENGTH)), r8d)?;
    k.a.mov(dword_ptr(rsp + (FRAME + callout_frame::API_NUMBER)), ebx)?;
    for (to, from) in [
        (machine_frame::RIP, trap_frame::RIP),
        (machine_frame::EFLAGS, trap_frame::EFLAGS),
        (machine_frame::RSP, trap_frame::RSP),
    ] {
        k.a.mov(rax, qword_ptr(field(from)))?;
        k.a.mov(qword_ptr(rsp + (MACHINE + to)), rax)?;
    }
    k.a.mov(qword_ptr(rsp + (MACHINE + machine_frame::SEG_CS)), selector::R3_CODE as i32)?;
    k.a.mov(qword_ptr(rsp + (MACHINE + machine_frame::SEG_SS)), selector::R3_DATA as i32)?;
    k.a.sub(r9, callout_frame::SIZE as i32)?;
    k.a.mov(rdi, r9)?;
    k.a.lea(rsi, rsp + FRAME)?;
    k.a.mov(ecx, callout_frame::SIZE)?;
    k.call(Routine::KiCopyToUser)?;
    k.a.test(eax, eax)?;
    k.a.jne(*leave)?;

    k.a.mov(qword_ptr(field(trap_frame::RSP)), r9)?;
    k.a.mov(rcx, qword_ptr(rsp + RESULT))?;
    k.a.mov(rdx, qword_ptr(rsp + RESULT_LENGTH))?;
    k.call(Routine::KiCallUserMode)?;
    k.a.mov(rcx, qword_ptr(rsp + OLD_STACK))?;
    k.a.mov(qword_ptr(field(trap_frame::RSP)), rcx)?;
    k.a.set_label(leave)?;
    k.a.add(rsp, LOCALS as i32)?;
    for register in [rdi, rsi, rbx, rbp] {
        k.a.pop(register)?;
    }
    k.a.ret()
}

/// KiCallUserMode(Result, ResultLength): leaves to ring 3 on a stack of its own. It is NtCallbackReturn that comes back.
fn call_user_mode(k: &mut KernelAsm<'_>) -> Asm {
    let thread = k.profile.thread;
    let no_room = &mut k.a.create_label();
    k.begin(Routine::KiCallUserMode)?;
    generate_exception_frame(k)?;
    k.a.mov(qword_ptr(rsp + exception_frame::OUTPUT_BUFFER), rcx)?;
    k.a.mov(qword_ptr(rsp + exception_frame::OUTPUT_LENGTH), rdx)?;
    k.a.mov(rbx, qword_ptr(kpcr::CURRENT_THREAD).gs())?;
    for (field, to) in KEPT_OF_THREAD {
        k.a.mov(rax, qword_ptr(rbx + field(&thread)))?;
        k.a.mov(qword_ptr(rsp + to), rax)?;
    }
    k.a.mov(rsi, qword_ptr(rbx + thread.trap_frame))?;
    k.a.mov(rcx, rsp)?;
    k.a.and(rcx, -16)?;
    k.a.lea(rdi, rcx - trap_frame::SIZE)?;
    k.a.lea(rax, rdi - ROOM)?;
    k.a.cmp(rax, qword_ptr(rbx + thread.stack_limit))?;
    k.a.jb(*no_room)?;

    k.a.cli()?;
    k.a.mov(qword_ptr(rbx + thread.callback_stack), rsp)?;
    k.a.mov(qword_ptr(rbx + thread.initial_stack), rcx)?;
    stack_top(k)?;
    k.a.mov(rsp, rdi)?;
    k.a.lea(rbp, rdi + trap_frame::RBP_BIAS)?;
    k.a.mov(ecx, trap_frame::SIZE / 8)?;
    k.a.rep().movsq()?;
    k.a.mov(rax, k.var(kernel::CALLBACK_DISPATCHER))?;
    k.a.mov(qword_ptr(field(trap_frame::RIP)), rax)?;
    k.a.mov(qword_ptr(rbx + thread.trap_frame), rsp)?;
    // Nothing of the kernel's goes along.
    for register in [r12d, r13d, r14d, r15d] {
        k.a.xor(register, register)?;
    }
    k.a.xor(eax, eax)?;
    k.jmp(Routine::KiSystemServiceExit)?;

    k.a.set_label(no_room)?;
    k.a.mov(eax, status::STACK_OVERFLOW)?;
    restore_exception_frame(k)?;
    k.a.ret()
}

/// A field of `KTHREAD`, by its layout.
type ThreadField = fn(&super::profile::ThreadLayout) -> u32;

/// What a callback changes in the thread, and where its exception frame keeps it.
const KEPT_OF_THREAD: [(ThreadField, u32); 3] = [
    (|thread| thread.initial_stack, exception_frame::INITIAL_STACK),
    (|thread| thread.trap_frame, exception_frame::TRAP_FRAME),
    (|thread| thread.callback_stack, exception_frame::CALLBACK_STACK),
];

/// Emits the stores that make entries from ring 3 begin at RCX. RAX is used up.
pub(crate) fn stack_top(k: &mut KernelAsm<'_>) -> Asm {
    k.a.mov(qword_ptr(kpcr::RSP_BASE).gs(), rcx)?;
    k.a.mov(rax, qword_ptr(kpcr::TSS).gs())?;
    k.a.mov(qword_ptr(rax + tss::RSP0), rcx)
}

/// NtCallbackReturn(Result, Length, Status): KiCallUserMode returns the status.
fn callback_return(k: &mut KernelAsm<'_>) -> Asm {
    let thread = k.profile.thread;
    let active = &mut k.a.create_label();
    k.begin(Routine::NtCallbackReturn)?;
    k.a.mov(r10, qword_ptr(kpcr::CURRENT_THREAD).gs())?;
    k.a.mov(r11, qword_ptr(r10 + thread.callback_stack))?;
    k.a.test(r11, r11)?;
    k.a.jne(*active)?;
    k.a.mov(eax, status::NO_CALLBACK_ACTIVE)?;
    k.a.ret()?;

    k.a.set_label(active)?;
    k.a.mov(rax, qword_ptr(r11 + exception_frame::OUTPUT_BUFFER))?;
    k.a.mov(qword_ptr(rax), rcx)?;
    k.a.mov(rax, qword_ptr(r11 + exception_frame::OUTPUT_LENGTH))?;
    k.a.mov(dword_ptr(rax), edx)?;
    k.a.cli()?;
    // The debug registers are what ring 3 last had, also if it changed them in the callback.
    k.a.mov(rsi, qword_ptr(r10 + thread.trap_frame))?;
    k.a.mov(rdi, qword_ptr(r11 + exception_frame::TRAP_FRAME))?;
    for index in 0..6 {
        k.a.mov(rax, qword_ptr(rsi + (trap_frame::DR0 + 8 * index)))?;
        k.a.mov(qword_ptr(rdi + (trap_frame::DR0 + 8 * index)), rax)?;
    }
    for (field, from) in KEPT_OF_THREAD {
        k.a.mov(rcx, qword_ptr(r11 + from))?;
        k.a.mov(qword_ptr(r10 + field(&thread)), rcx)?;
    }
    k.a.mov(rcx, qword_ptr(r10 + thread.initial_stack))?;
    stack_top(k)?;
    k.a.mov(rsp, r11)?;
    k.a.mov(eax, r8d)?;
    restore_exception_frame(k)?;
    k.a.sti()?;
    k.a.ret()
}
