//! The way out of a system call: APCs, instrumentation callback, and `sysretq`, `iretq` or a return to ring 0.

use iced_x86::code_asm::{
    AsmRegisterXmm, byte_ptr, cl, cr8, dl, dword_ptr, ecx, edx, qword_ptr, r8, r9, r10, r10d, r11, rax, rbp, rbx, rcx,
    rdi, rdx, rsi, rsp, word_ptr, xmm0, xmm1, xmm2, xmm3, xmm4, xmm5,
};

use super::assembly::{Asm, KernelAsm, Routine};
use super::entry::field;
use super::layout::{bugcheck, kpcr, selector, trap_frame};
use super::record::{exit, fact};
use super::{apc, bugcheck as stop, debug};

/// The volatile SSE registers.
pub(crate) const VOLATILE_XMM: [AsmRegisterXmm; 6] = [xmm0, xmm1, xmm2, xmm3, xmm4, xmm5];

/// Emits all of this file.
pub(crate) fn emit(k: &mut KernelAsm<'_>) -> Asm {
    user_exit(k)?;
    return_to_user(k)?;
    kernel_exit(k)
}

/// EAX = status, RBP = into the frame.
fn user_exit(k: &mut KernelAsm<'_>) -> Asm {
    let no_apc = &mut k.a.create_label();
    let again = &mut k.a.create_label();
    let level_is_low = &mut k.a.create_label();
    let thread = k.profile.thread;
    k.begin(Routine::KiSystemServiceExit)?;
    k.a.mov(rbx, qword_ptr(field(trap_frame::RBX)))?;
    k.a.mov(rdi, qword_ptr(field(trap_frame::RDI)))?;
    k.a.mov(rsi, qword_ptr(field(trap_frame::RSI)))?;
    k.a.mov(r11, qword_ptr(kpcr::CURRENT_THREAD).gs())?;
    k.a.test(byte_ptr(field(trap_frame::SEG_CS)), selector::MODE_MASK as i32)?;
    k.je(Routine::KiSystemServiceExitKernel)?;
    k.a.mov(rcx, cr8)?;
    k.a.test(ecx, ecx)?;
    k.a.je(*level_is_low)?;
    stop::stop(k, bugcheck::IRQL_GT_ZERO_AT_SYSTEM_SERVICE)?;
    k.a.set_label(level_is_low)?;
    k.a.mov(cl, byte_ptr(r11 + thread.apc_state_index))?;
    k.a.or(ecx, dword_ptr(r11 + thread.combined_apc_disable))?;
    k.a.je(*again)?;
    stop::stop(k, bugcheck::APC_INDEX_MISMATCH)?;
    // A pending APC is delivered, then everything is looked at again.
    k.a.set_label(again)?;
    k.a.cli()?;
    k.a.mov(rcx, qword_ptr(kpcr::CURRENT_THREAD).gs())?;
    k.a.cmp(byte_ptr(rcx + thread.user_apc_pending), 0)?;
    k.a.je(*no_apc)?;
    k.a.mov(qword_ptr(field(trap_frame::RAX)), rax)?;
    k.call(Routine::NtgateCompleteFrame)?;
    apc::deliver(k)?;
    k.a.mov(rax, qword_ptr(field(trap_frame::RAX)))?;
    k.a.jmp(*again)?;
    k.a.set_label(no_apc)
}

/// No APC is pending, interrupts are off.
fn return_to_user(k: &mut KernelAsm<'_>) -> Asm {
    let no_callback = &mut k.a.create_label();
    let thread = k.profile.thread;
    k.a.ldmxcsr(dword_ptr(field(trap_frame::MXCSR)))?;
    k.a.xor(r10d, r10d)?;
    debug::restore(k)?;
    // The process may want to see all returns: its callback is what goes on, and R10 says where to go from there.
    k.a.mov(rcx, qword_ptr(kpcr::CURRENT_THREAD).gs())?;
    k.a.mov(rcx, qword_ptr(rcx + thread.process))?;
    k.a.mov(rcx, qword_ptr(rcx + thread.instrumentation_callback))?;
    k.a.test(rcx, rcx)?;
    k.a.je(*no_callback)?;
    k.a.cmp(word_ptr(field(trap_frame::SEG_CS)), selector::R3_CODE as i32)?;
    k.a.jne(*no_callback)?;
    k.a.mov(r10, qword_ptr(field(trap_frame::RIP)))?;
    k.a.mov(qword_ptr(field(trap_frame::RIP)), rcx)?;
    k.a.set_label(no_callback)?;

    // Nothing of the kernel's stays in a register.
    k.a.mov(r8, qword_ptr(field(trap_frame::RSP)))?;
    k.a.mov(r9, qword_ptr(field(trap_frame::RBP)))?;
    k.a.xor(edx, edx)?;
    for register in VOLATILE_XMM {
        k.a.pxor(register, register)?;
    }
    k.a.mov(rcx, qword_ptr(field(trap_frame::RIP)))?;
    k.a.mov(r11, qword_ptr(field(trap_frame::EFLAGS)))?;
    k.a.cmp(byte_ptr(field(trap_frame::LOGGING)), trap_frame::BY_SYSTEM_SERVICE as i32)?;
    k.je(Routine::KiSystemServiceExitInterrupt)?;
    k.a.mov(k.fact(fact::EXIT), exit::SYSRET)?;
    k.a.mov(rbp, r9)?;
    k.a.mov(rsp, r8)?;
    k.a.swapgs()?;
    k.a.sysretq()?;

    // Who came through the gate leaves by the frame that it made, and sees the same registers.
    k.begin(Routine::KiSystemServiceExitInterrupt)?;
    k.a.mov(k.fact(fact::EXIT), exit::IRET)?;
    k.a.lea(rsp, field(trap_frame::RIP))?;
    k.a.mov(rbp, r9)?;
    k.a.swapgs()?;
    k.a.iretq()
}

/// R11 = thread. The stub's caller is where the stub's own RSP pointed.
fn kernel_exit(k: &mut KernelAsm<'_>) -> Asm {
    let thread = k.profile.thread;
    k.begin(Routine::KiSystemServiceExitKernel)?;
    k.a.mov(rdx, qword_ptr(field(trap_frame::TRAP_FRAME)))?;
    k.a.mov(qword_ptr(r11 + thread.trap_frame), rdx)?;
    k.a.mov(dl, byte_ptr(field(trap_frame::PREVIOUS_MODE)))?;
    k.a.mov(byte_ptr(r11 + thread.previous_mode), dl)?;
    k.a.mov(k.fact(fact::EXIT), exit::RET)?;
    k.a.cli()?;
    k.a.mov(rsp, rbp)?;
    k.a.mov(rbp, qword_ptr(field(trap_frame::RBP)))?;
    k.a.mov(rsp, qword_ptr(rsp + (trap_frame::RSP - trap_frame::RBP_BIAS)))?;
    k.a.sti()?;
    k.a.ret()
}
