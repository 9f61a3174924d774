//! The guest's steps between calls: opening and closing sets, choosing the way in, and the harness in ring 0.

use iced_x86::code_asm::{
    AsmMemoryOperand, byte_ptr, dword_ptr, eax, ecx, edx, ptr, qword_ptr, r11, rax, rbp, rbx, rcx, rdi, rdx, rsi, rsp,
    ss,
};

use super::assembly::{Asm, KernelAsm, Routine};
use super::bugcheck::leave;
use super::data::{harness as block, head, kernel, set};
use super::harness;
use super::layout::{kpcr, mode, msr, selector, shared, trap_frame};
use super::record::FILL;
use super::report::{KERNEL_FILLED, clear_record, fill_for_user, print_literal, print_text};

/// Bytes below the frame of ring 3 at which the kernel harness starts each call: return address, seven registers, trap
/// frame, and what the alignment takes.
pub(crate) const KERNEL_STACK_USED: u32 = 0x50;

/// Emits all of this file.
pub(crate) fn emit(k: &mut KernelAsm<'_>) -> Asm {
    next_set(k)?;
    set_up(k)?;
    run_kernel_set(k)?;
    direct_call(k)?;
    done(k)
}

/// `int 2Dh` from the harness. RBP points into the frame of ring 3.
fn next_set(k: &mut KernelAsm<'_>) -> Asm {
    let first = &mut k.a.create_label();
    let in_kernel = &mut k.a.create_label();
    let (tables, user) = (k.profile.user_tables, k.profile.user_data);

    k.begin(Routine::NtgateNextSet)?;
    k.a.mov(rbx, k.var(kernel::CURRENT_SET))?;
    k.a.test(rbx, rbx)?;
    k.a.je(*first)?;
    print_text(k, set::END_TEXT)?;
    k.a.add(rbx, set::SIZE as i32)?;
    k.jmp(Routine::NtgateNextSetLoop)?;
    k.a.set_label(first)?;
    k.a.mov(rbx, qword_ptr(tables + u64::from(head::SETS)))?;

    k.begin(Routine::NtgateNextSetLoop)?;
    k.a.cmp(rbx, qword_ptr(tables + u64::from(head::SETS_END)))?;
    k.jae(Routine::NtgateDone)?;
    k.a.mov(k.var(kernel::CURRENT_SET), rbx)?;
    k.call(Routine::NtgateSetUp)?;
    clear_record(k)?;
    k.a.mov(rax, qword_ptr(rbx + set::ENTRIES))?;
    k.a.mov(rcx, qword_ptr(rbx + set::ENTRIES_END))?;
    k.a.cmp(dword_ptr(rbx + set::KERNEL), 0)?;
    k.a.jne(*in_kernel)?;
    k.a.mov(qword_ptr(user + u64::from(block::ENTRY)), rax)?;
    k.a.mov(qword_ptr(user + u64::from(block::ENTRY_END)), rcx)?;
    fill_for_user(k)?;
    k.jmp(Routine::KiTrapExit)?;

    k.a.set_label(in_kernel)?;
    k.a.mov(k.var(kernel::HARNESS + block::ENTRY), rax)?;
    k.a.mov(k.var(kernel::HARNESS + block::ENTRY_END), rcx)?;
    k.call(Routine::NtgateRunKernelSet)?;
    k.jmp(Routine::NtgateNextSet)
}

/// Prepares SharedUserData, MSRs, thread and process for the set at RBX, prints its first line. RBX and RBP stay.
fn set_up(k: &mut KernelAsm<'_>) -> Asm {
    let packed = &mut k.a.create_label();
    let no_callback = &mut k.a.create_label();
    let thread = k.profile.thread;
    k.begin(Routine::NtgateSetUp)?;
    k.a.mov(rcx, k.profile.shared_kernel)?;
    k.a.mov(eax, dword_ptr(rbx + set::SYSTEM_CALL))?;
    k.a.mov(dword_ptr(rcx + shared::SYSTEM_CALL), eax)?;

    k.lea(rax, Routine::KiSystemCall64)?;
    k.a.cmp(dword_ptr(rbx + set::POINTERS), 0)?;
    k.a.je(*packed)?;
    k.lea(rax, Routine::RosKiSystemCallEntry64)?;
    k.a.set_label(packed)?;
    k.a.mov(rdx, rax)?;
    k.a.shr(rdx, 32)?;
    k.a.mov(ecx, msr::LSTAR)?;
    k.a.wrmsr()?;

    k.a.xor(eax, eax)?;
    k.a.cmp(dword_ptr(rbx + set::CALLBACK), 0)?;
    k.a.je(*no_callback)?;
    k.a.mov(rax, k.user.callback)?;
    k.a.set_label(no_callback)?;
    k.a.mov(k.var(kernel::PROCESS + thread.instrumentation_callback), rax)?;
    // The first call of a win32k service makes the thread a GUI thread, in each set.
    k.a.mov(rcx, qword_ptr(kpcr::CURRENT_THREAD).gs())?;
    k.a.and(dword_ptr(rcx + thread.flags), !(thread.gui_thread as i32))?;
    if let Some(table) = thread.service_table {
        k.lea_data(rax, kernel::POINTER_TABLE)?;
        k.a.mov(qword_ptr(rcx + table), rax)?;
    }

    print_text(k, set::BEGIN_TEXT)?;
    k.a.mov(ecx, msr::LSTAR)?;
    k.a.rdmsr()?;
    k.a.push(rax)?;
    k.a.mov(eax, edx)?;
    k.call(Routine::NtgatePrintHex)?;
    k.a.pop(rax)?;
    k.call(Routine::NtgatePrintHex)?;
    print_literal(k, " shared ")?;
    k.a.mov(rcx, k.profile.shared_kernel)?;
    k.a.mov(eax, dword_ptr(rcx + shared::SYSTEM_CALL))?;
    k.call(Routine::NtgatePrintHex)?;
    print_literal(k, "\n")?;
    direct_way(k)?;
    k.a.ret()
}

/// The refusals enter the kernel where the stubs of the set at RBX do.
fn direct_way(k: &mut KernelAsm<'_>) -> Asm {
    let by_syscall = &mut k.a.create_label();
    let user = k.profile.user_data;
    k.a.mov(rax, k.user.direct_syscall)?;
    k.a.cmp(dword_ptr(rbx + set::SYSTEM_CALL), 0)?;
    k.a.je(*by_syscall)?;
    k.a.mov(rax, k.user.direct_int)?;
    k.a.set_label(by_syscall)?;
    k.a.mov(qword_ptr(user + u64::from(block::DIRECT)), rax)
}

/// Runs the harness in ring 0 for the kernel's stubs: inside a service of ring 3, as most Zw calls are made. So there is
/// a trap frame to link to, and the previous mode is UserMode before each call.
fn run_kernel_set(k: &mut KernelAsm<'_>) -> Asm {
    use iced_x86::code_asm::{r12, r13, r14, r15};
    let thread = k.profile.thread;
    let kept = [rbx, rbp, r12, r13, r14, r15];
    k.begin(Routine::NtgateRunKernelSet)?;
    for register in kept {
        k.a.push(register)?;
    }
    k.a.mov(rcx, qword_ptr(kpcr::CURRENT_THREAD).gs())?;
    k.a.push(qword_ptr(rcx + thread.trap_frame))?;
    k.a.sub(rsp, (KERNEL_STACK_USED - 8 * (kept.len() as u32 + 2)) as i32)?;
    k.a.lea(rax, rbp - trap_frame::RBP_BIAS)?;
    k.a.mov(qword_ptr(rcx + thread.trap_frame), rax)?;
    k.a.mov(byte_ptr(rcx + thread.previous_mode), mode::USER)?;
    k.a.mov(k.var(kernel::HARNESS + block::STACK), rsp)?;
    // As behind `syscall`; the trap left null.
    k.a.mov(eax, selector::R0_DATA)?;
    k.a.mov(ss, eax)?;
    k.a.sti()?;
    fill_below(k)?;
    let write = k.at(Routine::NtgateWriteRecord);
    let address = k.data(kernel::HARNESS);
    let at = |offset: u32| -> AsmMemoryOperand {
        AsmMemoryOperand::from(iced_x86::Register::RIP) + (address + u64::from(offset))
    };
    let recovery = &mut k.a.create_label();
    harness::emit(&mut k.a, &at, kpcr::SELF, recovery, &mut |a| {
        a.lea(rsi, ptr(at(0)))?;
        a.call(write)?;
        fill_code(a)
    })?;
    k.a.cli()?;
    k.a.add(rsp, (KERNEL_STACK_USED - 8 * (kept.len() as u32 + 2)) as i32)?;
    k.a.mov(rcx, qword_ptr(kpcr::CURRENT_THREAD).gs())?;
    k.a.pop(qword_ptr(rcx + thread.trap_frame))?;
    for register in kept.into_iter().rev() {
        k.a.pop(register)?;
    }
    k.a.ret()
}

fn fill_below(k: &mut KernelAsm<'_>) -> Asm {
    fill_code(&mut k.a)
}

/// Fills the stack below RSP.
fn fill_code(a: &mut iced_x86::code_asm::CodeAssembler) -> Asm {
    a.lea(rdi, rsp - KERNEL_FILLED)?;
    a.mov(ecx, KERNEL_FILLED / 8)?;
    a.mov(rax, FILL)?;
    a.rep().stosq()
}

/// A kernel call without a stub, for the refusals: EAX = number. What a stub does, with another RSP in the frame.
fn direct_call(k: &mut KernelAsm<'_>) -> Asm {
    k.begin(Routine::NtgateDirect)?;
    k.a.mov(k.var(kernel::HARNESS + block::SAVED_RSP), rsp)?;
    k.a.mov(r11, k.var(kernel::HARNESS + block::POINTER))?;
    k.a.cli()?;
    k.a.sub(rsp, 0x10)?;
    k.a.push(r11)?;
    k.a.pushfq()?;
    k.a.push(selector::R0_CODE as i32)?;
    k.lea(r11, Routine::KiServiceLinkage)?;
    k.a.push(r11)?;
    k.jmp(Routine::KiServiceInternal)?;

    // What stands at the pointer has this for its return address.
    k.begin(Routine::NtgateDirectReturn)?;
    k.a.mov(rsp, k.var(kernel::HARNESS + block::SAVED_RSP))?;
    k.a.ret()
}

/// The last line, then exit port value zero.
fn done(k: &mut KernelAsm<'_>) -> Asm {
    k.begin(Routine::NtgateDone)?;
    print_literal(k, "done ")?;
    k.a.mov(eax, k.var32(kernel::RECORDS))?;
    k.call(Routine::NtgatePrintHex)?;
    print_literal(k, "\n")?;
    k.a.xor(eax, eax)?;
    leave(k)
}
