//! User APCs: queued to the thread, delivered when a frame of ring 3 is left (ReactOS `ntoskrnl/ke/apc.c`,
//! `ntoskrnl/ke/amd64/usercall.c`).

use iced_x86::code_asm::{
    byte_ptr, cr8, eax, ecx, qword_ptr, r8, r9, r10, r11, r12, rax, rbx, rcx, rdi, rdx, rsi, rsp, word_ptr,
};

use super::assembly::{Asm, KernelAsm, Routine};
use super::context::{generate_exception_frame, restore_exception_frame};
use super::data::kernel;
use super::entry::field;
use super::exception::{machine_frame_of_context, user_segments};
use super::layout::{
    apc, exception_record, irql, kpcr, machine_frame, mode, status, trap_frame, user_context as context,
};

/// The handle that stands for the current thread.
const CURRENT_THREAD: i32 = -2;

/// The handle that stands for no object: its status (`STATUS_INVALID_HANDLE`).
const INVALID_HANDLE: u32 = 0xC000_0008;

/// Bytes that KiUserApcDispatcher finds on ring 3's stack: the context and a `MACHINE_FRAME`.
const FRAME: u32 = context::SIZE + machine_frame::SIZE;

/// Emits all of this file.
pub(crate) fn emit(k: &mut KernelAsm<'_>) -> Asm {
    initiate_user_apc(k)?;
    initialize_user_apc(k)?;
    queue(k)?;
    queue_service(k)?;
    test_alert(k)
}

/// Emits the delivery of what is pending, with interrupts off before and behind it. RAX is used up.
pub(crate) fn deliver(k: &mut KernelAsm<'_>) -> Asm {
    k.a.mov(eax, irql::APC)?;
    k.a.mov(cr8, rax)?;
    k.a.sti()?;
    k.call(Routine::KiInitiateUserApc)?;
    k.a.cli()?;
    k.a.xor(eax, eax)?;
    k.a.mov(cr8, rax)
}

/// KiInitiateUserApc: takes the first user APC of the thread, if there is one, to the frame that RBP points into. The registers
/// that the frame does not have are still ring 3's. The volatile registers are used up.
fn initiate_user_apc(k: &mut KernelAsm<'_>) -> Asm {
    let thread = k.profile.thread;
    let empty = &mut k.a.create_label();
    k.begin(Routine::KiInitiateUserApc)?;
    generate_exception_frame(k)?;
    k.a.mov(r12, rsp)?;
    k.a.mov(rbx, qword_ptr(kpcr::CURRENT_THREAD).gs())?;
    k.a.mov(byte_ptr(rbx + thread.user_apc_pending), 0)?;
    k.a.lea(rcx, rbx + (thread.apc_state + apc::USER_QUEUE))?;
    k.a.mov(rsi, qword_ptr(rcx))?;
    k.a.cmp(rsi, rcx)?;
    k.a.je(*empty)?;
    k.a.mov(rax, qword_ptr(rsi))?;
    k.a.mov(rdx, qword_ptr(rsi + 8))?;
    k.a.mov(qword_ptr(rdx), rax)?;
    k.a.mov(qword_ptr(rax + 8), rdx)?;
    k.a.sub(rsi, apc::LIST_ENTRY as i32)?;
    k.a.mov(byte_ptr(rsi + apc::INSERTED), 0)?;
    k.call(Routine::KiInitializeUserApc)?;
    k.a.set_label(empty)?;
    restore_exception_frame(k)?;
    k.a.ret()
}

/// KiInitializeUserApc: the APC at RSI begins where the frame of ring 3 goes on. R12 = exception frame.
fn initialize_user_apc(k: &mut KernelAsm<'_>) -> Asm {
    let good = &mut k.a.create_label();
    k.begin(Routine::KiInitializeUserApc)?;
    k.call(Routine::KeTrapFrameToContext)?;
    for (index, from) in [apc::NORMAL_CONTEXT, apc::SYSTEM_ARGUMENT_1, apc::SYSTEM_ARGUMENT_2, apc::NORMAL_ROUTINE]
        .into_iter()
        .enumerate()
    {
        k.a.mov(rax, qword_ptr(rsi + from))?;
        k.a.mov(k.var(kernel::CONTEXT + context::P1_HOME + 8 * index as u32), rax)?;
    }
    machine_frame_of_context(k)?;
    k.a.mov(rdi, k.var(kernel::CONTEXT + context::RSP))?;
    k.a.sub(rdi, FRAME as i32)?;
    k.a.and(rdi, -16)?;
    k.a.mov(rdx, rdi)?;
    k.lea_data(rsi, kernel::CONTEXT)?;
    k.a.mov(ecx, FRAME)?;
    k.call(Routine::KiCopyToUser)?;
    k.a.test(eax, eax)?;
    k.a.je(*good)?;
    // Ring 3 has no stack to run it on: that is an access violation which it can't be told of.
    k.a.mov(k.var32(kernel::EXCEPTION_RECORD), eax)?;
    k.a.mov(rax, qword_ptr(field(trap_frame::RIP)))?;
    k.a.mov(k.var(kernel::EXCEPTION_RECORD + exception_record::ADDRESS), rax)?;
    k.jmp(Routine::KiUnhandledException)?;
    k.a.set_label(good)?;
    k.a.mov(qword_ptr(field(trap_frame::RSP)), rdx)?;
    k.a.mov(rax, k.var(kernel::APC_DISPATCHER))?;
    k.a.mov(qword_ptr(field(trap_frame::RIP)), rax)?;
    user_segments(k)?;
    k.a.ret()
}

/// NtgateQueueUserApc(Routine, Context, Argument1, Argument2): queues an APC to the thread; its status. Volatile registers only.
fn queue(k: &mut KernelAsm<'_>) -> Asm {
    let thread = k.profile.thread;
    let next = &mut k.a.create_label();
    let found = &mut k.a.create_label();
    k.begin(Routine::NtgateQueueUserApc)?;
    k.lea_data(r10, kernel::APCS)?;
    k.lea_data(r11, kernel::APCS_END)?;
    k.a.set_label(next)?;
    k.a.cmp(byte_ptr(r10 + apc::INSERTED), 0)?;
    k.a.je(*found)?;
    k.a.add(r10, apc::SIZE as i32)?;
    k.a.cmp(r10, r11)?;
    k.a.jb(*next)?;
    k.a.mov(eax, status::INSUFFICIENT_RESOURCES)?;
    k.a.ret()?;

    k.a.set_label(found)?;
    k.a.mov(word_ptr(r10 + apc::TYPE), apc::OBJECT)?;
    k.a.mov(word_ptr(r10 + apc::LENGTH), apc::SIZE)?;
    k.a.mov(byte_ptr(r10 + apc::MODE), mode::USER)?;
    k.a.mov(byte_ptr(r10 + apc::INSERTED), 1)?;
    for (register, field) in [
        (rcx, apc::NORMAL_ROUTINE),
        (rdx, apc::NORMAL_CONTEXT),
        (r8, apc::SYSTEM_ARGUMENT_1),
        (r9, apc::SYSTEM_ARGUMENT_2),
    ] {
        k.a.mov(qword_ptr(r10 + field), register)?;
    }
    // The last of the queue, which is a ring with its head.
    k.a.mov(rax, qword_ptr(kpcr::CURRENT_THREAD).gs())?;
    k.a.mov(qword_ptr(r10 + apc::THREAD), rax)?;
    k.a.add(rax, (thread.apc_state + apc::USER_QUEUE) as i32)?;
    k.a.mov(rcx, qword_ptr(rax + 8))?;
    k.a.add(r10, apc::LIST_ENTRY as i32)?;
    k.a.mov(qword_ptr(r10), rax)?;
    k.a.mov(qword_ptr(r10 + 8), rcx)?;
    k.a.mov(qword_ptr(rcx), r10)?;
    k.a.mov(qword_ptr(rax + 8), r10)?;
    k.a.xor(eax, eax)?;
    k.a.ret()
}

/// NtQueueApcThread(Thread, Routine, Context, Argument1, Argument2), for the current thread.
fn queue_service(k: &mut KernelAsm<'_>) -> Asm {
    let current = &mut k.a.create_label();
    k.begin(Routine::NtQueueApcThread)?;
    k.a.cmp(rcx, CURRENT_THREAD)?;
    k.a.je(*current)?;
    k.a.mov(eax, INVALID_HANDLE)?;
    k.a.ret()?;
    k.a.set_label(current)?;
    k.a.mov(rcx, rdx)?;
    k.a.mov(rdx, r8)?;
    k.a.mov(r8, r9)?;
    k.a.mov(r9, qword_ptr(rsp + 0x28))?;
    k.jmp(Routine::NtgateQueueUserApc)
}

/// KeTestAlertThread(UserMode), and the service that is no more than that: what is queued gets delivered at the exit.
fn test_alert(k: &mut KernelAsm<'_>) -> Asm {
    let thread = k.profile.thread;
    let not_alerted = &mut k.a.create_label();
    let empty = &mut k.a.create_label();
    k.begin(Routine::NtTestAlert)?;
    // Two labels cannot stand at one instruction.
    k.a.nop()?;
    k.begin(Routine::KeTestAlertThread)?;
    k.a.mov(rdx, qword_ptr(kpcr::CURRENT_THREAD).gs())?;
    // Alerted[UserMode].
    k.a.cmp(byte_ptr(rdx + (thread.alerted + mode::USER)), 0)?;
    k.a.je(*not_alerted)?;
    k.a.mov(byte_ptr(rdx + (thread.alerted + mode::USER)), 0)?;
    k.a.mov(eax, status::ALERTED)?;
    k.a.ret()?;
    k.a.set_label(not_alerted)?;
    k.a.lea(rcx, rdx + (thread.apc_state + apc::USER_QUEUE))?;
    k.a.cmp(qword_ptr(rcx), rcx)?;
    k.a.je(*empty)?;
    k.a.mov(byte_ptr(rdx + thread.user_apc_pending), 1)?;
    k.a.set_label(empty)?;
    k.a.xor(eax, eax)?;
    k.a.ret()
}
