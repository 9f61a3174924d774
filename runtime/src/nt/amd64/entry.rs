//! The ways into the 64-bit kernel: `syscall`, `int 2Eh`, and the jump of the kernel's own stubs.
//!
//! The order of the steps is that of KiSystemCall64 from Windows 7 on, as public disassemblies show it.

use iced_x86::code_asm::{
    AsmMemoryOperand, byte_ptr, dil, dword_ptr, eax, qword_ptr, r8, r9, r10, r11, rax, rbp, rbx, rcx, rdi, rdx, rsi,
    rsp, word_ptr,
};

use super::assembly::{Asm, KernelAsm, Routine};
use super::layout::{dispatcher_header, kpcr, mode, selector, trap_frame};
use super::record::fact;
use super::report;

/// Emits all of this file.
pub(crate) fn emit(k: &mut KernelAsm<'_>) -> Asm {
    system_call(k)?;
    system_call_32(k)?;
    system_service(k)?;
    service_user(k)?;
    service_internal(k)
}

/// A field of the frame that RBP points into.
pub(crate) fn field(offset: u32) -> AsmMemoryOperand {
    rbp + (offset as i32 - trap_frame::RBP_BIAS as i32)
}

/// Bytes below the fields that the entry code pushes: from RBP's down to the frame's start.
const BELOW_RBP: u32 = trap_frame::RBP;

/// What the registers held that the CPU and the stub use to get here. Changes nothing.
pub(crate) fn entry_registers(k: &mut KernelAsm<'_>) -> Asm {
    k.a.mov(k.fact(fact::R10_AT_ENTRY), r10)?;
    k.a.mov(k.fact(fact::RCX_AT_ENTRY), rcx)?;
    k.a.mov(k.fact(fact::R11_AT_ENTRY), r11)
}

/// The frame below what the CPU, or code in its place, has pushed; RBP into it; the registers that the path uses.
fn frame(k: &mut KernelAsm<'_>, entry: u32) -> Asm {
    k.a.sub(rsp, 8)?; // ErrorCode
    k.a.push(rbp)?;
    k.a.sub(rsp, BELOW_RBP as i32)?;
    k.a.lea(rbp, rsp + trap_frame::RBP_BIAS)?;
    k.a.mov(qword_ptr(field(trap_frame::RBX)), rbx)?;
    k.a.mov(qword_ptr(field(trap_frame::RDI)), rdi)?;
    k.a.mov(qword_ptr(field(trap_frame::RSI)), rsi)?;
    k.a.mov(byte_ptr(field(trap_frame::LOGGING)), entry)
}

/// KiSystemCall64: `syscall` from 64-bit code. Nothing is saved, the stack is still the user's.
fn system_call(k: &mut KernelAsm<'_>) -> Asm {
    k.begin(Routine::KiSystemCall64)?;
    k.a.swapgs()?;
    k.a.mov(qword_ptr(kpcr::USER_RSP).gs(), rsp)?;
    k.a.mov(rsp, qword_ptr(kpcr::RSP_BASE).gs())?;
    k.a.push(selector::R3_DATA as i32)?;
    k.a.push(qword_ptr(kpcr::USER_RSP).gs())?;
    k.a.push(r11)?;
    k.a.push(selector::R3_CODE as i32)?;
    k.a.push(rcx)?;
    entry_registers(k)?;
    k.a.mov(rcx, r10)?;
    frame(k, trap_frame::BY_SYSTEM_CALL)?;
    k.jmp(Routine::KiSystemServiceUser)
}

/// KiSystemCall32: `syscall` from 32-bit code, on AMD's processors. There is no such code here.
fn system_call_32(k: &mut KernelAsm<'_>) -> Asm {
    k.begin(Routine::KiSystemCall32)?;
    k.a.swapgs()?;
    k.a.mov(rsp, qword_ptr(kpcr::RSP_BASE).gs())?;
    k.a.ud2()
}

/// KiSystemService: `int 2Eh` from ring 3. The CPU has pushed what KiSystemCall64 pushes.
fn system_service(k: &mut KernelAsm<'_>) -> Asm {
    let from_kernel = &mut k.a.create_label();
    k.begin(Routine::KiSystemService)?;
    k.a.test(byte_ptr(rsp + 8), selector::MODE_MASK as i32)?;
    k.a.je(*from_kernel)?;
    k.a.swapgs()?;
    entry_registers(k)?;
    k.a.mov(rcx, r10)?;
    frame(k, trap_frame::BY_SYSTEM_SERVICE)?;
    k.jmp(Routine::KiSystemServiceUser)?;

    // The kernel has stubs of its own; nobody comes this way from there.
    k.a.set_label(from_kernel)?;
    k.a.push(0)?;
    k.a.push(rbp)?;
    k.a.mov(iced_x86::code_asm::ebp, super::layout::vector::SYSTEM_SERVICE)?;
    k.jmp(Routine::KiTrapEntry)
}

/// What both ways from ring 3 have in common.
fn service_user(k: &mut KernelAsm<'_>) -> Asm {
    let quiet = &mut k.a.create_label();
    let saved = &mut k.a.create_label();
    let thread = k.profile.thread;
    k.begin(Routine::KiSystemServiceUser)?;
    k.a.mov(byte_ptr(field(trap_frame::EXCEPTION_ACTIVE)), trap_frame::SERVICE)?;
    k.a.mov(rbx, qword_ptr(kpcr::CURRENT_THREAD).gs())?;
    k.a.stmxcsr(dword_ptr(field(trap_frame::MXCSR)))?;
    k.a.ldmxcsr(dword_ptr(kpcr::MXCSR).gs())?;
    k.a.cmp(byte_ptr(rbx + dispatcher_header::DEBUG_ACTIVE), 0)?;
    k.a.mov(word_ptr(field(trap_frame::DR7)), 0)?;
    k.a.je(*quiet)?;
    save_arguments(k)?;
    k.a.test(byte_ptr(rbx + dispatcher_header::DEBUG_ACTIVE), dispatcher_header::DEBUG_REGISTERS as i32)?;
    k.a.je(*saved)?;
    k.call(Routine::KiSaveDebugRegisterState)?;
    report::refill(k)?;
    k.a.set_label(saved)?;
    restore_arguments(k)?;
    k.a.set_label(quiet)?;
    k.a.sti()?;
    k.a.mov(qword_ptr(rbx + thread.first_argument), rcx)?;
    k.a.mov(dword_ptr(rbx + thread.system_call_number), eax)?;
    k.jmp(Routine::KiSystemServiceStart)
}

/// KiServiceInternal: a kernel stub has made the frame of an interrupt that comes from itself.
fn service_internal(k: &mut KernelAsm<'_>) -> Asm {
    let thread = k.profile.thread;
    k.begin(Routine::KiServiceInternal)?;
    entry_registers(k)?;
    frame(k, trap_frame::BY_SERVICE_INTERNAL)?;
    k.a.sti()?;
    k.a.mov(rbx, qword_ptr(kpcr::CURRENT_THREAD).gs())?;
    k.a.mov(dil, byte_ptr(rbx + thread.previous_mode))?;
    k.a.mov(byte_ptr(field(trap_frame::PREVIOUS_MODE)), dil)?;
    k.a.mov(byte_ptr(rbx + thread.previous_mode), mode::KERNEL)?;
    k.a.mov(rdi, qword_ptr(rbx + thread.trap_frame))?;
    k.a.mov(qword_ptr(field(trap_frame::TRAP_FRAME)), rdi)?;
    k.jmp(Routine::KiSystemServiceStart)?;

    // Where a kernel stub's frame says that it comes from.
    k.begin(Routine::KiServiceLinkage)?;
    k.a.ret()
}

/// Keeps number and register arguments in the frame.
pub(crate) fn save_arguments(k: &mut KernelAsm<'_>) -> Asm {
    k.a.mov(qword_ptr(field(trap_frame::RAX)), rax)?;
    k.a.mov(qword_ptr(field(trap_frame::RCX)), rcx)?;
    k.a.mov(qword_ptr(field(trap_frame::RDX)), rdx)?;
    k.a.mov(qword_ptr(field(trap_frame::R8)), r8)?;
    k.a.mov(qword_ptr(field(trap_frame::R9)), r9)
}

/// Gets number and register arguments back. The flags stay.
pub(crate) fn restore_arguments(k: &mut KernelAsm<'_>) -> Asm {
    k.a.mov(rax, qword_ptr(field(trap_frame::RAX)))?;
    k.a.mov(rcx, qword_ptr(field(trap_frame::RCX)))?;
    k.a.mov(rdx, qword_ptr(field(trap_frame::RDX)))?;
    k.a.mov(r8, qword_ptr(field(trap_frame::R8)))?;
    k.a.mov(r9, qword_ptr(field(trap_frame::R9)))
}
