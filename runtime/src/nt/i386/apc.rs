//! User APCs: queued to the thread, delivered when a frame of ring 3 is left (ReactOS `ntoskrnl/ke/apc.c`,
//! `ntoskrnl/ke/i386/usercall.c`).

use iced_x86::code_asm::{byte_ptr, dword_ptr, eax, ebp, ebx, ecx, edi, edx, esi, esp, word_ptr};

use super::assembly::{Asm, KernelAsm, Routine};
use super::data::kernel;
use super::exception::user_segments;
use super::layout::{
    apc, apc_frame, exception_record, irql, kpcr, mode, selector, status, trap_frame, user_context as context,
};

/// The handle that stands for the current thread.
const CURRENT_THREAD: u32 = 0xFFFF_FFFE;

/// The handle that stands for no object: its status (`STATUS_INVALID_HANDLE`).
const INVALID_HANDLE: u32 = 0xC000_0008;

/// Emits all of this file.
pub(crate) fn emit(k: &mut KernelAsm<'_>) -> Asm {
    deliver_apc(k)?;
    initialize_user_apc(k)?;
    queue(k)?;
    queue_service(k)?;
    test_alert(k)
}

/// Emits the look for APCs at the exit of the frame at EBP, with interrupts off: after each the exit begins `again`.
/// `service`: EAX is a status that has to survive, and the frame has no segments but FS yet. EBX is used up.
pub(crate) fn deliver(k: &mut KernelAsm<'_>, again: Routine, service: bool) -> Asm {
    let thread = k.profile.thread;
    let none = &mut k.a.create_label();
    k.a.test(byte_ptr(ebp + trap_frame::SEG_CS), selector::MODE_MASK)?;
    k.a.je(*none)?;
    k.a.mov(ebx, dword_ptr(kpcr::CURRENT_THREAD).fs())?;
    k.a.mov(byte_ptr(ebx + thread.alerted), 0)?;
    k.a.cmp(byte_ptr(ebx + thread.user_apc_pending), 0)?;
    k.a.je(*none)?;
    if service {
        k.a.mov(dword_ptr(ebp + trap_frame::EAX), eax)?;
        for (field, value) in [
            (trap_frame::SEG_FS, selector::R3_TEB),
            (trap_frame::SEG_DS, selector::R3_DATA),
            (trap_frame::SEG_ES, selector::R3_DATA),
            (trap_frame::SEG_GS, 0),
        ] {
            k.a.mov(dword_ptr(ebp + field), value)?;
        }
    }
    k.a.mov(byte_ptr(kpcr::IRQL).fs(), irql::APC)?;
    k.a.sti()?;
    k.call(Routine::KiDeliverApc)?;
    k.a.cli()?;
    k.a.mov(byte_ptr(kpcr::IRQL).fs(), irql::PASSIVE)?;
    if service {
        k.a.mov(eax, dword_ptr(ebp + trap_frame::EAX))?;
    }
    k.jmp(again)?;
    k.a.set_label(none)?;
    k.a.nop()
}

/// KiDeliverApc: takes the first user APC of the thread at EBX, if there is one, to the frame at EBP.
fn deliver_apc(k: &mut KernelAsm<'_>) -> Asm {
    let thread = k.profile.thread;
    let empty = &mut k.a.create_label();
    k.begin(Routine::KiDeliverApc)?;
    k.a.mov(byte_ptr(ebx + thread.user_apc_pending), 0)?;
    k.a.lea(ecx, dword_ptr(ebx + thread.apc_state + apc::USER_QUEUE))?;
    k.a.mov(esi, dword_ptr(ecx))?;
    k.a.cmp(esi, ecx)?;
    k.a.je(*empty)?;
    k.a.mov(eax, dword_ptr(esi))?;
    k.a.mov(edx, dword_ptr(esi + 4))?;
    k.a.mov(dword_ptr(edx), eax)?;
    k.a.mov(dword_ptr(eax + 4), edx)?;
    k.a.sub(esi, apc::LIST_ENTRY)?;
    k.a.mov(byte_ptr(esi + apc::INSERTED), 0)?;
    k.call(Routine::KiInitializeUserApc)?;
    k.a.set_label(empty)?;
    k.a.ret()
}

/// KiInitializeUserApc: the APC at ESI begins where the frame of ring 3 at EBP goes on.
fn initialize_user_apc(k: &mut KernelAsm<'_>) -> Asm {
    // The arguments stand before the context as they have to on ring 3's stack.
    let staging = kernel::CONTEXT - apc_frame::CONTEXT;
    let good = &mut k.a.create_label();
    k.begin(Routine::KiInitializeUserApc)?;
    for (to, from) in [
        (apc_frame::NORMAL_ROUTINE, apc::NORMAL_ROUTINE),
        (apc_frame::NORMAL_CONTEXT, apc::NORMAL_CONTEXT),
        (apc_frame::SYSTEM_ARGUMENT_1, apc::SYSTEM_ARGUMENT_1),
        (apc_frame::SYSTEM_ARGUMENT_2, apc::SYSTEM_ARGUMENT_2),
    ] {
        k.a.mov(eax, dword_ptr(esi + from))?;
        k.a.mov(k.var(staging + to), eax)?;
    }
    k.call(Routine::KeTrapFrameToContext)?;
    k.a.mov(edi, k.var(kernel::CONTEXT + context::ESP))?;
    k.a.and(edi, !3)?;
    k.a.sub(edi, 8 + apc_frame::SIZE)?;
    k.a.mov(edx, edi)?;
    k.a.mov(esi, k.data(staging))?;
    k.a.mov(ecx, apc_frame::SIZE)?;
    k.call(Routine::KiCopyToUser)?;
    k.a.test(eax, eax)?;
    k.a.je(*good)?;
    // Ring 3 has no stack to run it on: that is an access violation which it can't be told of.
    k.a.mov(k.var(kernel::EXCEPTION_RECORD), eax)?;
    k.a.mov(eax, dword_ptr(ebp + trap_frame::EIP))?;
    k.a.mov(k.var(kernel::EXCEPTION_RECORD + exception_record::ADDRESS), eax)?;
    k.jmp(Routine::KiUnhandledException)?;
    k.a.set_label(good)?;
    k.a.mov(dword_ptr(ebp + trap_frame::HARDWARE_ESP), edx)?;
    k.a.mov(eax, k.var(kernel::APC_DISPATCHER))?;
    k.a.mov(dword_ptr(ebp + trap_frame::EIP), eax)?;
    user_segments(k)?;
    k.a.ret()
}

/// NtgateQueueUserApc(Routine, Context, Argument1, Argument2): queues an APC to the thread; its status.
fn queue(k: &mut KernelAsm<'_>) -> Asm {
    let thread = k.profile.thread;
    let next = &mut k.a.create_label();
    let found = &mut k.a.create_label();
    k.begin(Routine::NtgateQueueUserApc)?;
    k.a.mov(edx, k.data(kernel::APCS))?;
    k.a.set_label(next)?;
    k.a.cmp(byte_ptr(edx + apc::INSERTED), 0)?;
    k.a.je(*found)?;
    k.a.add(edx, apc::SIZE)?;
    k.a.cmp(edx, k.data(kernel::APCS_END))?;
    k.a.jb(*next)?;
    k.a.mov(eax, status::INSUFFICIENT_RESOURCES)?;
    k.a.ret_1(0x10)?;

    k.a.set_label(found)?;
    k.a.mov(word_ptr(edx + apc::TYPE), apc::OBJECT)?;
    k.a.mov(word_ptr(edx + apc::LENGTH), apc::SIZE)?;
    k.a.mov(byte_ptr(edx + apc::MODE), mode::USER)?;
    k.a.mov(byte_ptr(edx + apc::INSERTED), 1)?;
    for (argument, field) in [
        (0x04, apc::NORMAL_ROUTINE),
        (0x08, apc::NORMAL_CONTEXT),
        (0x0C, apc::SYSTEM_ARGUMENT_1),
        (0x10, apc::SYSTEM_ARGUMENT_2),
    ] {
        k.a.mov(eax, dword_ptr(esp + argument))?;
        k.a.mov(dword_ptr(edx + field), eax)?;
    }
    // The last of the queue, which is a ring with its head.
    k.a.mov(eax, dword_ptr(kpcr::CURRENT_THREAD).fs())?;
    k.a.mov(dword_ptr(edx + apc::THREAD), eax)?;
    k.a.add(eax, thread.apc_state + apc::USER_QUEUE)?;
    k.a.mov(ecx, dword_ptr(eax + 4))?;
    k.a.add(edx, apc::LIST_ENTRY)?;
    k.a.mov(dword_ptr(edx), eax)?;
    k.a.mov(dword_ptr(edx + 4), ecx)?;
    k.a.mov(dword_ptr(ecx), edx)?;
    k.a.mov(dword_ptr(eax + 4), edx)?;
    k.a.xor(eax, eax)?;
    k.a.ret_1(0x10)
}

/// NtQueueApcThread(Thread, Routine, Context, Argument1, Argument2), for the current thread.
fn queue_service(k: &mut KernelAsm<'_>) -> Asm {
    let current = &mut k.a.create_label();
    k.begin(Routine::NtQueueApcThread)?;
    k.a.cmp(dword_ptr(esp + 4), CURRENT_THREAD)?;
    k.a.je(*current)?;
    k.a.mov(eax, INVALID_HANDLE)?;
    k.a.ret_1(0x14)?;
    k.a.set_label(current)?;
    // Each push moves the next argument to the same place.
    for _ in 0..4 {
        k.a.push(dword_ptr(esp + 0x14))?;
    }
    k.call(Routine::NtgateQueueUserApc)?;
    k.a.ret_1(0x14)
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
    k.a.mov(edx, dword_ptr(kpcr::CURRENT_THREAD).fs())?;
    // Alerted[UserMode].
    k.a.cmp(byte_ptr(edx + thread.alerted + mode::USER), 0)?;
    k.a.je(*not_alerted)?;
    k.a.mov(byte_ptr(edx + thread.alerted + mode::USER), 0)?;
    k.a.mov(eax, status::ALERTED)?;
    k.a.ret()?;
    k.a.set_label(not_alerted)?;
    k.a.lea(ecx, dword_ptr(edx + thread.apc_state + apc::USER_QUEUE))?;
    k.a.cmp(dword_ptr(ecx), ecx)?;
    k.a.je(*empty)?;
    k.a.mov(byte_ptr(edx + thread.user_apc_pending), 1)?;
    k.a.set_label(empty)?;
    k.a.xor(eax, eax)?;
    k.a.ret()
}
