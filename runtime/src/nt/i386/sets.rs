//! The guest's steps between calls: opening and closing sets, choosing the way in, and the harness in ring 0.

use iced_x86::code_asm::{CodeLabel, byte_ptr, dword_ptr, eax, ebp, ebx, ecx, edx, esi, esp};

use super::assembly::{Asm, KernelAsm, Routine};
use super::bugcheck::leave;
use super::data::{harness as block, kernel, set};
use super::layout::{kpcr, mode, msr, selector, shared};
use super::report::{clear_record, print_literal};
use super::{SystemCallForm, harness};

/// Bytes below the frame of ring 3 at which the kernel harness starts each call: return address, PUSHAD, trap frame.
pub(crate) const KERNEL_STACK_USED: u32 = 4 + 32 + 4;

/// Emits all of this file.
pub(crate) fn emit(k: &mut KernelAsm<'_>) -> Asm {
    next_set(k)?;
    set_up(k)?;
    shared_call(k)?;
    run_kernel_set(k)?;
    direct_call(k)?;
    done(k)
}

/// `int 2Dh` from the harness. EBP = frame of ring 3.
fn next_set(k: &mut KernelAsm<'_>) -> Asm {
    let first = &mut k.a.create_label();
    let advance = &mut k.a.create_label();
    let usable = &mut k.a.create_label();
    let in_kernel = &mut k.a.create_label();
    let user = k.profile.user_data;

    k.begin(Routine::NtgateNextSet)?;
    k.a.mov(ebx, k.var(kernel::CURRENT_SET))?;
    k.a.test(ebx, ebx)?;
    k.a.je(*first)?;
    print_text(k, set::END_TEXT)?;
    k.a.set_label(advance)?;
    k.a.add(ebx, set::SIZE)?;
    k.jmp(Routine::NtgateNextSetLoop)?;
    k.a.set_label(first)?;
    k.a.mov(ebx, k.var(kernel::SETS))?;

    k.begin(Routine::NtgateNextSetLoop)?;
    k.a.cmp(ebx, k.var(kernel::SETS_END))?;
    k.jae(Routine::NtgateDone)?;
    k.a.mov(k.var(kernel::CURRENT_SET), ebx)?;
    k.a.cmp(dword_ptr(ebx + set::NEEDS_SYSENTER), 0)?;
    k.a.je(*usable)?;
    k.a.cmp(k.var(kernel::FAST_SYSTEM_CALL_DISABLE), 0)?;
    k.a.je(*usable)?;
    print_text(k, set::SKIP_TEXT)?;
    k.a.jmp(*advance)?;

    k.a.set_label(usable)?;
    k.call(Routine::NtgateSetUp)?;
    clear_record(k)?;
    k.a.mov(eax, dword_ptr(ebx + set::ENTRIES))?;
    k.a.mov(ecx, dword_ptr(ebx + set::ENTRIES_END))?;
    k.a.cmp(dword_ptr(ebx + set::KERNEL), 0)?;
    k.a.jne(*in_kernel)?;
    k.a.mov(dword_ptr(user + block::ENTRY), eax)?;
    k.a.mov(dword_ptr(user + block::ENTRY_END), ecx)?;
    k.jmp(Routine::Kei386EoiHelper)?;

    k.a.set_label(in_kernel)?;
    k.a.mov(k.var(kernel::HARNESS + block::ENTRY), eax)?;
    k.a.mov(k.var(kernel::HARNESS + block::ENTRY_END), ecx)?;
    k.call(Routine::NtgateRunKernelSet)?;
    k.jmp(Routine::NtgateNextSet)
}

/// Prints the text whose address and length are in the set at EBX.
fn print_text(k: &mut KernelAsm<'_>, field: u32) -> Asm {
    k.a.mov(esi, dword_ptr(ebx + field))?;
    k.a.mov(ecx, dword_ptr(ebx + field + 4))?;
    k.call(Routine::NtgatePrint)
}

/// Prepares SharedUserData and the entry for the set at EBX, prints its first line. EBX and EBP stay.
fn set_up(k: &mut KernelAsm<'_>) -> Asm {
    k.begin(Routine::NtgateSetUp)?;
    k.call(Routine::NtgateSharedCall)?;
    k.a.push(ecx)?;
    print_text(k, set::BEGIN_TEXT)?;
    k.a.mov(eax, dword_ptr(k.profile.shared_kernel + shared::SYSTEM_CALL))?;
    k.call(Routine::NtgatePrintHex)?;
    print_literal(k, " return ")?;
    k.a.pop(eax)?;
    k.call(Routine::NtgatePrintHex)?;
    print_literal(k, "\n")?;
    direct_way(k)?;
    k.a.mov(dword_ptr(k.profile.user_data + block::STACK), k.profile.user_stack)?;
    k.a.ret()
}

/// NtgateSharedCall: what the set at EBX expects at SharedUserData+300h, and the fast entry that fits it. Gives ECX = where
/// that returns to.
fn shared_call(k: &mut KernelAsm<'_>) -> Asm {
    let no_fast = &mut k.a.create_label();
    k.begin(Routine::NtgateSharedCall)?;
    shared_fields(k)?;
    k.a.cmp(k.var(kernel::FAST_SYSTEM_CALL_DISABLE), 0)?;
    k.a.jne(*no_fast)?;
    k.a.push(ecx)?;
    k.a.mov(eax, edx)?;
    k.a.mov(ecx, msr::SYSENTER_EIP)?;
    k.a.xor(edx, edx)?;
    k.a.wrmsr()?;
    k.a.pop(ecx)?;
    k.a.set_label(no_fast)?;
    k.a.ret()
}

/// Fills the fields. Gives EDX = the fast entry that fits, ECX = where it returns to.
fn shared_fields(k: &mut KernelAsm<'_>) -> Asm {
    let code = &mut k.a.create_label();
    let pointer_int = &mut k.a.create_label();
    let code_int = &mut k.a.create_label();
    let done = &mut k.a.create_label();
    let call = dword_ptr(k.profile.shared_kernel + shared::SYSTEM_CALL);
    let back = dword_ptr(k.profile.shared_kernel + shared::SYSTEM_CALL_RETURN);
    let pushed = dword_ptr(k.profile.system_call_return());
    let keep_call = &mut k.a.create_label();
    let keep_int = &mut k.a.create_label();
    let user = k.user;

    k.a.cmp(dword_ptr(ebx + set::FORM), SystemCallForm::Code as u32)?;
    k.a.je(*code)?;
    k.a.mov(edx, k.address(Routine::KiFastCallEntry))?;
    k.a.cmp(k.var(kernel::FAST_SYSTEM_CALL_DISABLE), 0)?;
    k.a.jne(*pointer_int)?;
    unless_foreign(k, keep_call)?;
    k.a.mov(call, k.profile.fast_system_call)?;
    k.a.set_label(keep_call)?;
    k.a.mov(ecx, k.profile.fast_system_call_ret())?;
    k.a.mov(pushed, ecx)?;
    k.a.jmp(*done)?;
    k.a.set_label(pointer_int)?;
    // NT leaves SystemCallReturn alone when nobody will read it.
    k.a.xor(ecx, ecx)?;
    unless_foreign(k, keep_int)?;
    k.a.mov(call, k.profile.int_system_call)?;
    k.a.mov(back, ecx)?;
    k.a.set_label(keep_int)?;
    k.a.nop()?;
    k.a.jmp(*done)?;

    k.a.set_label(code)?;
    k.a.mov(edx, k.address(Routine::KiFastCallEntryRtm))?;
    k.a.mov(ecx, k.profile.shared_code_return())?;
    k.a.cmp(k.var(kernel::FAST_SYSTEM_CALL_DISABLE), 0)?;
    k.a.jne(*code_int)?;
    k.a.mov(call, user.shared_fast[0])?;
    k.a.mov(back, user.shared_fast[1])?;
    k.a.jmp(*done)?;
    k.a.set_label(code_int)?;
    k.a.mov(call, user.shared_int[0])?;
    k.a.mov(back, user.shared_int[1])?;
    k.a.set_label(done)
}

/// A set that does not use SharedUserData+300h leaves alone what a system without a system call there has there.
fn unless_foreign(k: &mut KernelAsm<'_>, keep: &mut CodeLabel) -> Asm {
    if k.profile.has_shared_system_call() {
        return Ok(());
    }
    k.a.cmp(dword_ptr(ebx + set::FORM), SystemCallForm::Unused as u32)?;
    k.a.je(*keep)
}

/// The refusals enter the kernel where the stubs of the set at EBX do.
fn direct_way(k: &mut KernelAsm<'_>) -> Asm {
    let by_int = &mut k.a.create_label();
    let done = &mut k.a.create_label();
    k.a.cmp(k.var(kernel::FAST_SYSTEM_CALL_DISABLE), 0)?;
    k.a.jne(*by_int)?;
    k.a.mov(eax, k.user.direct_fast)?;
    k.a.cmp(dword_ptr(ebx + set::FORM), SystemCallForm::Unused as u32)?;
    k.a.jne(*done)?;
    k.a.cmp(dword_ptr(ebx + set::NEEDS_SYSENTER), 0)?;
    k.a.jne(*done)?;
    k.a.set_label(by_int)?;
    k.a.mov(eax, k.user.direct_int)?;
    k.a.set_label(done)?;
    k.a.mov(dword_ptr(k.profile.user_data + block::DIRECT), eax)
}

/// Runs the harness in ring 0 for the kernel's stubs: inside a service of ring 3, as most Zw calls are made. So there is
/// a trap frame to link to, the previous mode is UserMode before each call, and a list of exception handlers to restore.
fn run_kernel_set(k: &mut KernelAsm<'_>) -> Asm {
    let thread = k.profile.thread;
    let registration = k.data(kernel::REGISTRATION);
    let block_address = k.data(kernel::HARNESS);
    k.begin(Routine::NtgateRunKernelSet)?;
    k.a.pushad()?;
    k.a.mov(ecx, dword_ptr(kpcr::CURRENT_THREAD).fs())?;
    k.a.push(dword_ptr(ecx + thread.trap_frame))?;
    k.a.mov(dword_ptr(ecx + thread.trap_frame), ebp)?;
    k.a.mov(byte_ptr(ecx + thread.previous_mode), mode::USER)?;
    k.a.mov(dword_ptr(kpcr::EXCEPTION_LIST).fs(), registration)?;
    k.a.mov(k.var(kernel::HARNESS + block::STACK), esp)?;
    k.a.sti()?;
    let write = k.at(Routine::NtgateWriteRecord);
    let recovery = &mut k.a.create_label();
    harness::emit(&mut k.a, block_address, recovery, &mut |a| {
        a.mov(eax, dword_ptr(kpcr::EXCEPTION_LIST).fs())?;
        a.mov(esi, block_address)?;
        a.call(write)
    })?;
    k.a.cli()?;
    k.a.mov(dword_ptr(kpcr::EXCEPTION_LIST).fs(), kpcr::EXCEPTION_CHAIN_END)?;
    k.a.mov(ecx, dword_ptr(kpcr::CURRENT_THREAD).fs())?;
    k.a.pop(dword_ptr(ecx + thread.trap_frame))?;
    k.a.popad()?;
    k.a.ret()
}

/// A kernel call without a stub, for the refusals: EAX and EDX are set.
fn direct_call(k: &mut KernelAsm<'_>) -> Asm {
    k.begin(Routine::NtgateDirect)?;
    k.a.pushfd()?;
    k.a.push(selector::R0_CODE)?;
    k.call(Routine::KiSystemService)?;
    k.a.ret()
}

/// The last line, then exit port value zero.
fn done(k: &mut KernelAsm<'_>) -> Asm {
    k.begin(Routine::NtgateDone)?;
    print_literal(k, "done ")?;
    k.a.mov(eax, k.var(kernel::RECORDS))?;
    k.call(Routine::NtgatePrintHex)?;
    print_literal(k, "\n")?;
    k.a.xor(eax, eax)?;
    leave(k)
}
