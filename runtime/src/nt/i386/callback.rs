//! Calls from the kernel into ring 3 and back (ReactOS `ntoskrnl/ke/i386/usercall.c`, `usercall_asm.S`).
//!
//! A callback gets a kernel stack of its own below what its caller has in use: a callout frame that tells how to come back,
//! then a base frame as every kernel stack has one. Until it comes back, entries from ring 3 use that.
//!
//! ```text
//! InitialStack          FX save area
//!                       base frame: the service that calls back
//!                       ... the service's own stack
//! CallbackStack ->      callout frame
//! new InitialStack      FX save area
//!                       base frame of the callback, at first a copy
//! ```

use iced_x86::code_asm::{CodeLabel, byte_ptr, dword_ptr, eax, ebp, ebx, ecx, edi, edx, esi, esp};

use super::assembly::{Asm, KernelAsm, Routine};
use super::data::kernel;
use super::layout::{callback_frame, callout, kpcr, selector, status, teb, trap_frame, tss};

/// Bytes that the callback's own services may use below its base frame, at least.
const ROOM: u32 = 0x600;

/// Dwords of a frame that a callback which is given up hands to its caller: from FS to SS.
const POPPED: u32 = (trap_frame::V86_ES - trap_frame::SEG_FS) / 4;

/// Arguments of KeUserModeCallback, from EBP on.
const INDEX: u32 = 0x08;
const ARGUMENT: u32 = 0x0C;
const LENGTH: u32 = 0x10;
const RESULT: u32 = 0x14;
const RESULT_LENGTH: u32 = 0x18;

/// Its locals, below EBP: three saved registers, then these.
const OLD_STACK: u32 = 0x10;
const OLD_LIST: u32 = 0x14;
const NEW_STACK: u32 = 0x18;

/// Emits all of this file.
pub(crate) fn emit(k: &mut KernelAsm<'_>) -> Asm {
    user_mode_callback(k)?;
    call_user_mode(k)?;
    callback_return(k)
}

/// KeUserModeCallback(Index, Argument, Length, Result, ResultLength): calls a function of ring 3's table, with a copy of the
/// argument on its stack. Its status; where the result lies in ring 3, and its length, go to the last two.
fn user_mode_callback(k: &mut KernelAsm<'_>) -> Asm {
    let thread = k.profile.thread;
    let leave = &mut k.a.create_label();
    let popped = &mut k.a.create_label();
    k.begin(Routine::KeUserModeCallback)?;
    k.a.push(ebp)?;
    k.a.mov(ebp, esp)?;
    k.a.push(ebx)?;
    k.a.push(esi)?;
    k.a.push(edi)?;
    k.a.sub(esp, 0xC)?;
    k.a.mov(ebx, dword_ptr(kpcr::CURRENT_THREAD).fs())?;
    k.a.mov(ebx, dword_ptr(ebx + thread.trap_frame))?;
    // Only a service that ring 3 asked for has a ring 3 to call.
    k.a.mov(eax, status::UNSUCCESSFUL)?;
    k.a.test(byte_ptr(ebx + trap_frame::SEG_CS), selector::MODE_MASK)?;
    k.a.je(*leave)?;
    fill_stack(k, leave)?;

    k.a.mov(edx, dword_ptr(kpcr::TEB).fs())?;
    k.a.mov(eax, dword_ptr(edx + teb::EXCEPTION_LIST))?;
    k.a.mov(dword_ptr(ebp - OLD_LIST), eax)?;
    k.a.mov(eax, dword_ptr(ebp - NEW_STACK))?;
    k.a.mov(dword_ptr(ebx + trap_frame::HARDWARE_ESP), eax)?;
    k.a.push(dword_ptr(ebp + RESULT_LENGTH))?;
    k.a.push(dword_ptr(ebp + RESULT))?;
    k.call(Routine::KiCallUserMode)?;

    k.a.cmp(eax, status::CALLBACK_POP_STACK)?;
    k.a.je(*popped)?;
    k.a.mov(edx, dword_ptr(kpcr::TEB).fs())?;
    k.a.mov(ecx, dword_ptr(ebp - OLD_LIST))?;
    k.a.mov(dword_ptr(edx + teb::EXCEPTION_LIST), ecx)?;
    drawn(k)?;
    k.a.mov(ecx, dword_ptr(ebp - OLD_STACK))?;
    k.a.mov(dword_ptr(ebx + trap_frame::HARDWARE_ESP), ecx)?;
    k.a.set_label(popped)?;
    k.a.nop()?;
    k.a.set_label(leave)?;
    k.a.lea(esp, dword_ptr(ebp - 0xC))?;
    k.a.pop(edi)?;
    k.a.pop(esi)?;
    k.a.pop(ebx)?;
    k.a.pop(ebp)?;
    k.a.ret_1(0x14)
}

/// Puts the argument and the dispatcher's frame on ring 3's stack: EBX = frame. If that fails it leaves with a status.
fn fill_stack(k: &mut KernelAsm<'_>, leave: &CodeLabel) -> Asm {
    k.a.mov(edi, dword_ptr(ebx + trap_frame::HARDWARE_ESP))?;
    k.a.mov(dword_ptr(ebp - OLD_STACK), edi)?;
    k.a.mov(ecx, dword_ptr(ebp + LENGTH))?;
    k.a.mov(esi, dword_ptr(ebp + ARGUMENT))?;
    k.a.sub(edi, ecx)?;
    k.a.and(edi, !3)?;
    k.a.mov(dword_ptr(ebp - NEW_STACK), edi)?;
    k.call(Routine::KiCopyToUser)?;
    k.a.test(eax, eax)?;
    k.a.jne(*leave)?;

    // The dispatcher's frame, made here and copied.
    k.a.mov(edi, dword_ptr(ebp - NEW_STACK))?;
    k.a.push(0)?;
    k.a.push(0)?;
    k.a.push(dword_ptr(ebp + LENGTH))?;
    k.a.push(edi)?;
    k.a.push(dword_ptr(ebp + INDEX))?;
    k.a.push(0)?;
    k.a.sub(edi, callback_frame::SIZE)?;
    k.a.mov(dword_ptr(ebp - NEW_STACK), edi)?;
    k.a.mov(esi, esp)?;
    k.a.mov(ecx, callback_frame::SIZE)?;
    k.call(Routine::KiCopyToUser)?;
    k.a.add(esp, callback_frame::SIZE)?;
    k.a.test(eax, eax)?;
    k.a.jne(*leave)
}

/// What the callback wanted drawn is drawn, with ring 3's stack (EBX = frame) out of the way of its result. The status in EAX
/// stays.
fn drawn(k: &mut KernelAsm<'_>) -> Asm {
    let empty = &mut k.a.create_label();
    k.a.mov(edx, dword_ptr(kpcr::TEB).fs())?;
    k.a.cmp(dword_ptr(edx + teb::GDI_BATCH_COUNT), 0)?;
    k.a.je(*empty)?;
    k.a.sub(dword_ptr(ebx + trap_frame::HARDWARE_ESP), 0x100)?;
    k.call(Routine::KeGdiFlushUserBatch)?;
    k.a.set_label(empty)?;
    k.a.nop()
}

/// KiCallUserMode(Result, ResultLength): leaves to ring 3 on a stack of its own. It is NtCallbackReturn that comes back.
fn call_user_mode(k: &mut KernelAsm<'_>) -> Asm {
    let thread = k.profile.thread;
    let base_frame = k.profile.initial_stack - k.profile.base_frame();
    let no_room = &mut k.a.create_label();
    k.begin(Routine::KiCallUserMode)?;
    k.a.push(ebp)?;
    k.a.push(ebx)?;
    k.a.push(esi)?;
    k.a.push(edi)?;
    k.a.mov(ebx, dword_ptr(kpcr::CURRENT_THREAD).fs())?;
    k.a.mov(esi, dword_ptr(ebx + thread.trap_frame))?;
    k.a.push(dword_ptr(ebx + thread.callback_stack))?;
    k.a.push(esi)?;
    k.a.push(dword_ptr(ebx + thread.initial_stack))?;
    k.a.mov(edx, esp)?;
    k.a.mov(ecx, esp)?;
    k.a.and(ecx, !0xF)?;
    k.a.lea(edi, dword_ptr(ecx - base_frame))?;
    k.a.lea(eax, dword_ptr(edi - ROOM))?;
    k.a.cmp(eax, dword_ptr(ebx + thread.stack_limit))?;
    k.a.jb(*no_room)?;

    k.a.cli()?;
    k.a.mov(dword_ptr(ebx + thread.callback_stack), edx)?;
    k.a.mov(dword_ptr(ebx + thread.initial_stack), ecx)?;
    k.a.mov(esp, edi)?;
    k.a.mov(ebp, edi)?;
    k.a.mov(ecx, trap_frame::SIZE / 4)?;
    k.a.rep().movsd()?;
    k.a.mov(eax, k.var(kernel::CALLBACK_DISPATCHER))?;
    k.a.mov(dword_ptr(ebp + trap_frame::EIP), eax)?;
    // The kernel's list waits in the frame of the callback: its next entry saves it again, and the return finds it there.
    k.a.mov(eax, dword_ptr(kpcr::EXCEPTION_LIST).fs())?;
    k.a.mov(dword_ptr(ebp + trap_frame::EXCEPTION_LIST), eax)?;
    k.a.mov(eax, dword_ptr(kpcr::TSS).fs())?;
    k.a.lea(ecx, dword_ptr(ebp + trap_frame::V86_ES))?;
    k.a.mov(dword_ptr(eax + tss::ESP0), ecx)?;
    k.a.xor(eax, eax)?;
    k.jmp(Routine::KiServiceExit)?;

    k.a.set_label(no_room)?;
    k.a.mov(eax, status::STACK_OVERFLOW)?;
    k.a.add(esp, callout::EDI)?;
    k.a.pop(edi)?;
    k.a.pop(esi)?;
    k.a.pop(ebx)?;
    k.a.pop(ebp)?;
    k.a.ret_1(8)
}

/// NtCallbackReturn(Result, Length, Status): KiCallUserMode returns the status. EBP = frame of this call.
fn callback_return(k: &mut KernelAsm<'_>) -> Asm {
    let thread = k.profile.thread;
    let active = &mut k.a.create_label();
    let same_stack = &mut k.a.create_label();
    k.begin(Routine::NtCallbackReturn)?;
    k.a.mov(ebx, dword_ptr(kpcr::CURRENT_THREAD).fs())?;
    k.a.mov(edx, dword_ptr(ebx + thread.callback_stack))?;
    k.a.test(edx, edx)?;
    k.a.jne(*active)?;
    k.a.mov(eax, status::NO_CALLBACK_ACTIVE)?;
    k.a.ret_1(0xC)?;

    k.a.set_label(active)?;
    k.a.mov(eax, dword_ptr(ebp + trap_frame::EXCEPTION_LIST))?;
    k.a.mov(dword_ptr(kpcr::EXCEPTION_LIST).fs(), eax)?;
    for (field, argument) in [(callout::RESULT, 4), (callout::RESULT_LENGTH, 8)] {
        k.a.mov(ecx, dword_ptr(edx + field))?;
        k.a.mov(eax, dword_ptr(esp + argument))?;
        k.a.mov(dword_ptr(ecx), eax)?;
    }
    k.a.mov(eax, dword_ptr(esp + 0xC))?;
    k.a.cli()?;
    k.a.mov(esi, dword_ptr(edx + callout::TRAP_FRAME))?;
    k.a.cmp(eax, status::CALLBACK_POP_STACK)?;
    k.a.jne(*same_stack)?;
    for index in 0..POPPED {
        k.a.mov(ecx, dword_ptr(ebp + trap_frame::SEG_FS + 4 * index))?;
        k.a.mov(dword_ptr(esi + trap_frame::SEG_FS + 4 * index), ecx)?;
    }
    k.a.set_label(same_stack)?;
    // The debug registers are what ring 3 last had, also if it changed them in the callback.
    for index in 0..6 {
        k.a.mov(ecx, dword_ptr(ebp + trap_frame::DR0 + 4 * index))?;
        k.a.mov(dword_ptr(esi + trap_frame::DR0 + 4 * index), ecx)?;
    }
    k.a.mov(ecx, dword_ptr(kpcr::TSS).fs())?;
    k.a.lea(edi, dword_ptr(esi + trap_frame::V86_ES))?;
    k.a.mov(dword_ptr(ecx + tss::ESP0), edi)?;
    for (from, to) in [
        (callout::INITIAL_STACK, thread.initial_stack),
        (callout::TRAP_FRAME, thread.trap_frame),
        (callout::CALLBACK_STACK, thread.callback_stack),
    ] {
        k.a.mov(ecx, dword_ptr(edx + from))?;
        k.a.mov(dword_ptr(ebx + to), ecx)?;
    }
    k.a.lea(esp, dword_ptr(edx + callout::EDI))?;
    k.a.sti()?;
    k.a.pop(edi)?;
    k.a.pop(esi)?;
    k.a.pop(ebx)?;
    k.a.pop(ebp)?;
    k.a.ret_1(8)
}
