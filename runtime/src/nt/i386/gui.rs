//! Threads become GUI threads with their first call of a win32k service: they get a larger kernel stack and the table that
//! has those services (ReactOS `ntoskrnl/ps/win32.c`, `ntoskrnl/ke/i386/ctxswitch.S`).

use iced_x86::code_asm::{byte_ptr, dword_ptr, eax, ebp, ebx, ecx, edi, edx, esi, esp};

use super::assembly::{Asm, KernelAsm, Routine};
use super::data::kernel;
use super::layout::{PAGE, kpcr, selector, status, teb, trap_frame, tss};

/// Value of [`kernel::GUI_STACK`] where there is a GUI but no memory for the stack.
pub(crate) const NO_MEMORY: u32 = 1;

/// Emits all of this file.
pub(crate) fn emit(k: &mut KernelAsm<'_>) -> Asm {
    convert(k)?;
    flush_user_batch(k)
}

/// KeGdiFlushUserBatch: there is nothing to draw on, so all that happens is that the batch is empty again. ECX is used up.
fn flush_user_batch(k: &mut KernelAsm<'_>) -> Asm {
    k.begin(Routine::KeGdiFlushUserBatch)?;
    k.a.mov(ecx, dword_ptr(kpcr::TEB).fs())?;
    k.a.mov(dword_ptr(ecx + teb::GDI_BATCH_COUNT), 0)?;
    k.a.ret()
}

/// PsConvertToGuiThread: EAX = status. EBP = frame of the call that asks; on success everything from ESP up is on another
/// stack, EBP's frame too.
fn convert(k: &mut KernelAsm<'_>) -> Asm {
    let thread = k.profile.thread;
    let base_frame = k.profile.initial_stack - k.profile.base_frame();
    let failed = &mut k.a.create_label();
    k.begin(Routine::PsConvertToGuiThread)?;
    k.a.mov(ebx, dword_ptr(kpcr::CURRENT_THREAD).fs())?;
    k.a.mov(eax, status::ALREADY_WIN32)?;
    k.a.cmp(dword_ptr(ebx + thread.service_table), k.data(kernel::DESCRIPTOR_TABLE_SHADOW))?;
    k.a.je(*failed)?;
    k.a.mov(eax, status::ACCESS_DENIED)?;
    k.a.mov(ecx, k.var(kernel::GUI_STACK))?;
    k.a.test(ecx, ecx)?;
    k.a.je(*failed)?;
    // What is on the stack must not be pointed to from elsewhere: the call came from ring 3, and not out of a callback.
    k.a.mov(eax, status::UNSUCCESSFUL)?;
    k.a.test(byte_ptr(ebp + trap_frame::SEG_CS), selector::MODE_MASK)?;
    k.a.je(*failed)?;
    k.a.cmp(dword_ptr(ebx + thread.callback_stack), 0)?;
    k.a.jne(*failed)?;
    k.a.mov(eax, status::NO_MEMORY)?;
    k.a.cmp(ecx, NO_MEMORY)?;
    k.a.je(*failed)?;

    // KeSwitchKernelStack.
    k.a.cli()?;
    k.a.mov(eax, dword_ptr(ebx + thread.initial_stack))?;
    k.a.sub(eax, esp)?;
    k.a.mov(esi, esp)?;
    k.a.mov(edi, ecx)?;
    k.a.sub(edi, eax)?;
    k.a.mov(edx, edi)?;
    k.a.mov(ecx, eax)?;
    k.a.shr(ecx, 2)?;
    k.a.rep().movsd()?;
    k.a.mov(esp, edx)?;
    k.a.mov(ecx, k.var(kernel::GUI_STACK))?;
    k.a.mov(dword_ptr(ebx + thread.initial_stack), ecx)?;
    k.a.mov(dword_ptr(kpcr::STACK_BASE).fs(), ecx)?;
    k.a.lea(eax, dword_ptr(ecx - k.profile.gui_stack_pages * PAGE))?;
    k.a.mov(dword_ptr(ebx + thread.stack_limit), eax)?;
    k.a.mov(dword_ptr(kpcr::STACK_LIMIT).fs(), eax)?;
    k.a.sub(ecx, base_frame - trap_frame::V86_ES)?;
    k.a.mov(eax, dword_ptr(kpcr::TSS).fs())?;
    k.a.mov(dword_ptr(eax + tss::ESP0), ecx)?;
    k.a.mov(dword_ptr(ebx + thread.service_table), k.data(kernel::DESCRIPTOR_TABLE_SHADOW))?;
    k.a.sti()?;
    k.a.xor(eax, eax)?;
    k.a.set_label(failed)?;
    k.a.ret()
}
