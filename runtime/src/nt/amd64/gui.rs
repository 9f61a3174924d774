//! Threads become GUI threads with their first call of a win32k service: they get a larger kernel stack and the table that
//! has those services (ReactOS `ntoskrnl/ps/win32.c`, `ntoskrnl/ke/amd64/ctxswitch.S`).

use iced_x86::code_asm::{byte_ptr, dword_ptr, eax, qword_ptr, r8, r10, rax, rbp, rbx, rcx, rdi, rdx, rsi, rsp};

use super::assembly::{Asm, KernelAsm, Routine};
use super::callback::stack_top;
use super::data::kernel;
use super::layout::{PAGE, selector, service_table, status, teb, trap_frame};

/// Value of [`kernel::GUI_STACK`] where there is a GUI but no memory for the stack.
pub(crate) const NO_MEMORY: u64 = 1;

/// Emits all of this file.
pub(crate) fn emit(k: &mut KernelAsm<'_>) -> Asm {
    let failed = &mut k.a.create_label();
    // RSP is the frame's address. RBP follows it to another stack.
    k.begin(Routine::KiConvertToGuiThread)?;
    k.call(Routine::PsConvertToGuiThread)?;
    k.a.test(eax, eax)?;
    k.a.jne(*failed)?;
    k.a.lea(rbp, rsp + (8 + trap_frame::RBP_BIAS))?;
    k.a.set_label(failed)?;
    k.a.ret()?;
    convert(k)?;

    // Nobody draws here: the batch is thrown away. Arguments, RAX and R10 stay.
    k.begin(Routine::KeGdiFlushUserBatch)?;
    k.a.mov(dword_ptr(iced_x86::code_asm::r11 + teb::GDI_BATCH_COUNT), 0)?;
    k.a.ret()
}

/// PsConvertToGuiThread: makes the thread at RBX one that can call win32k, if there is a win32k; EAX = status. On success in a
/// session everything from RSP up is on another stack. The volatile registers are used up.
fn convert(k: &mut KernelAsm<'_>) -> Asm {
    let thread = k.profile.thread;
    let failed = &mut k.a.create_label();
    let session = &mut k.a.create_label();
    let done = &mut k.a.create_label();
    k.begin(Routine::PsConvertToGuiThread)?;
    k.a.mov(eax, status::ALREADY_WIN32)?;
    k.a.test(dword_ptr(rbx + thread.flags), thread.gui_thread)?;
    k.a.jne(*failed)?;
    k.a.mov(eax, status::ACCESS_DENIED)?;
    k.a.cmp(k.var32(kernel::PROOF), 0)?;
    k.a.je(*session)?;
    // In a proof the thread's stack is never too small.
    k.lea_data(r10, kernel::DESCRIPTOR_TABLE_SHADOW + service_table::TEST)?;
    k.a.cmp(dword_ptr(r10 + service_table::LIMIT), 0)?;
    k.a.je(*failed)?;
    k.a.jmp(*done)?;

    k.a.set_label(session)?;
    k.a.mov(rcx, k.var(kernel::GUI_STACK))?;
    k.a.test(rcx, rcx)?;
    k.a.je(*failed)?;
    // What is on the stack must not be pointed to from elsewhere: the call came from ring 3, and not out of a callback.
    k.a.mov(eax, status::UNSUCCESSFUL)?;
    k.a.mov(rdx, qword_ptr(rbx + thread.trap_frame))?;
    k.a.test(byte_ptr(rdx + trap_frame::SEG_CS), selector::MODE_MASK as i32)?;
    k.a.je(*failed)?;
    k.a.cmp(qword_ptr(rbx + thread.callback_stack), 0)?;
    k.a.jne(*failed)?;
    k.a.mov(eax, status::NO_MEMORY)?;
    k.a.cmp(rcx, NO_MEMORY as i32)?;
    k.a.je(*failed)?;
    switch_stack(k)?;

    k.a.set_label(done)?;
    k.a.or(dword_ptr(rbx + thread.flags), thread.gui_thread)?;
    if let Some(table) = thread.service_table {
        k.lea_data(rax, kernel::POINTER_TABLE_SHADOW)?;
        k.a.mov(qword_ptr(rbx + table), rax)?;
    }
    k.a.xor(eax, eax)?;
    k.a.set_label(failed)?;
    k.a.ret()
}

/// KeSwitchKernelStack: RCX = end of the new stack.
fn switch_stack(k: &mut KernelAsm<'_>) -> Asm {
    let thread = k.profile.thread;
    k.a.push(rsi)?;
    k.a.push(rdi)?;
    k.a.cli()?;
    k.a.mov(r8, rcx)?;
    k.a.mov(rcx, qword_ptr(rbx + thread.initial_stack))?;
    k.a.sub(rcx, rsp)?;
    k.a.mov(rsi, rsp)?;
    k.a.mov(rdi, r8)?;
    k.a.sub(rdi, rcx)?;
    k.a.mov(rdx, rdi)?;
    k.a.shr(rcx, 3)?;
    k.a.rep().movsq()?;
    k.a.mov(rsp, rdx)?;
    // The frame moved as far as the stack's end did.
    k.a.mov(rcx, r8)?;
    k.a.sub(rcx, qword_ptr(rbx + thread.initial_stack))?;
    k.a.add(qword_ptr(rbx + thread.trap_frame), rcx)?;
    k.a.mov(rcx, r8)?;
    k.a.mov(qword_ptr(rbx + thread.initial_stack), rcx)?;
    stack_top(k)?;
    k.a.sub(rcx, (k.profile.gui_stack_pages * PAGE) as i32)?;
    k.a.mov(qword_ptr(rbx + thread.stack_limit), rcx)?;
    k.a.sti()?;
    k.a.pop(rdi)?;
    k.a.pop(rsi)
}
