//! The end of a kernel that cannot go on.
//!
//! ```text
//! bugcheck code vector error rip cr2 rsp cs rflags
//! parameters p1 p2 p3 p4                              these three not in a proof, whose log ends with the first line
//! trap 0 1 2 ... 49                                   the qwords of the trap frame
//! stack 0 1 2 ... 15                                  of the interrupted kernel code
//! ```

use iced_x86::code_asm::{al, cr2, dword_ptr, eax, ebp, ebx, qword_ptr, rax, rbp, rbx, rdi, rsi, word_ptr};

use super::assembly::{Asm, KernelAsm, Routine};
use super::data::kernel;
use super::entry::field;
use super::layout::{bugcheck, eflags, kpcr, port, trap_frame, vector};
use super::report::print_literal;

/// Emits all of this file.
pub(crate) fn emit(k: &mut KernelAsm<'_>) -> Asm {
    bug_check(k)?;
    print_report(k)
}

/// What a bug check prints: slot and whether it has sixteen digits.
const BUGCHECK_SLOTS: [bool; 8] = [false, false, false, true, true, true, false, false];

/// EAX = code of an exception in ring 0, with its parameters stored. EBX = vector, RBP into the frame.
fn code_and_parameters(k: &mut KernelAsm<'_>) -> Asm {
    let known = &mut k.a.create_label();
    let not_paging = &mut k.a.create_label();
    let not_security = &mut k.a.create_label();
    let parameter = |k: &KernelAsm<'_>, n: u32| k.var(kernel::PARAMETERS + 8 * n);
    k.a.cmp(ebx, vector::PAGE_FAULT)?;
    k.a.jne(*not_paging)?;
    // The address, whether it was a write, the instruction.
    k.a.mov(rax, cr2)?;
    k.a.mov(parameter(k, 0), rax)?;
    k.a.mov(eax, dword_ptr(field(trap_frame::ERROR_CODE)))?;
    k.a.shr(eax, 1)?;
    k.a.and(eax, 1)?;
    k.a.mov(parameter(k, 1), rax)?;
    k.a.mov(rax, qword_ptr(field(trap_frame::RIP)))?;
    k.a.mov(parameter(k, 2), rax)?;
    k.a.mov(eax, bugcheck::PAGE_FAULT_IN_NONPAGED_AREA)?;
    k.a.jmp(*known)?;
    k.a.set_label(not_paging)?;
    if k.profile.has_vector_29 {
        k.a.cmp(ebx, vector::SECURITY_CHECK)?;
        k.a.jne(*not_security)?;
        // What is wrong, and the frame.
        k.a.mov(eax, dword_ptr(field(trap_frame::RCX)))?;
        k.a.mov(parameter(k, 0), rax)?;
        k.a.lea(rax, field(0))?;
        k.a.mov(parameter(k, 1), rax)?;
        k.a.mov(eax, bugcheck::KERNEL_SECURITY_CHECK_FAILURE)?;
        k.a.jmp(*known)?;
        k.a.set_label(not_security)?;
    }
    k.a.mov(parameter(k, 0), rbx)?;
    k.a.mov(eax, bugcheck::UNEXPECTED_KERNEL_MODE_TRAP)?;
    k.a.set_label(known)
}

/// `bugcheck code vector error rip cr2 rsp cs rflags`, then the exit port. EBX = vector.
fn bug_check(k: &mut KernelAsm<'_>) -> Asm {
    let proof = &mut k.a.create_label();
    let slot = |index: u32| kernel::BUGCHECK + 8 * index;
    k.begin(Routine::KeBugCheck)?;
    code_and_parameters(k)?;
    k.a.mov(k.var(slot(0)), rax)?;
    k.a.mov(k.var(slot(1)), rbx)?;
    k.a.movzx(eax, word_ptr(field(trap_frame::ERROR_CODE)))?;
    k.a.mov(k.var(slot(2)), rax)?;
    k.a.mov(rax, cr2)?;
    k.a.mov(k.var(slot(4)), rax)?;
    for (index, offset) in [(3, trap_frame::RIP), (5, trap_frame::RSP), (7, trap_frame::EFLAGS)] {
        k.a.mov(rax, qword_ptr(field(offset)))?;
        k.a.mov(k.var(slot(index)), rax)?;
    }
    k.a.movzx(eax, word_ptr(field(trap_frame::SEG_CS)))?;
    k.a.mov(k.var(slot(6)), rax)?;
    // Emulators differ in the RF they save for faults.
    k.a.and(k.var(slot(7)), !(eflags::RF as i32))?;

    k.begin(Routine::KeBugCheckPrint)?;
    k.a.cld()?;
    print_literal(k, "bugcheck")?;
    for (index, long) in BUGCHECK_SLOTS.into_iter().enumerate() {
        k.a.mov(al, b' ' as u32)?;
        k.a.out(port::DEBUG_CONSOLE, al)?;
        if long {
            k.a.mov(eax, k.var32(slot(index as u32) + 4))?;
            k.call(Routine::NtgatePrintHex)?;
        }
        k.a.mov(eax, k.var32(slot(index as u32)))?;
        k.call(Routine::NtgatePrintHex)?;
    }
    print_literal(k, "\n")?;
    k.a.cmp(k.var32(kernel::PROOF), 0)?;
    k.a.jne(*proof)?;
    k.call(Routine::KeBugCheckReport)?;
    k.a.set_label(proof)?;
    k.a.mov(al, 1)?;
    leave(k)
}

/// Stops because the guest itself is not as it has to be. Nothing but the code is known.
pub(crate) fn stop(k: &mut KernelAsm<'_>, code: u32) -> Asm {
    k.a.mov(k.var32(kernel::BUGCHECK), code)?;
    k.a.xor(ebp, ebp)?;
    k.jmp(Routine::KeBugCheckPrint)
}

/// Ends the run with the value in AL. On a machine without an exit port the processor stops.
pub(crate) fn leave(k: &mut KernelAsm<'_>) -> Asm {
    let stop = &mut k.a.create_label();
    k.a.out(port::EXIT, al)?;
    k.a.set_label(stop)?;
    k.a.cli()?;
    k.a.hlt()?;
    k.a.jmp(*stop)
}

/// The lines behind the first: RBP into the frame, null if there is none.
fn print_report(k: &mut KernelAsm<'_>) -> Asm {
    let thread = k.profile.thread;
    let done = &mut k.a.create_label();
    let short = &mut k.a.create_label();
    let rsp_slot = kernel::BUGCHECK + 8 * 5;
    k.begin(Routine::KeBugCheckReport)?;
    print_literal(k, "parameters")?;
    k.lea_data(rsi, kernel::PARAMETERS)?;
    k.a.mov(ebx, 4)?;
    k.call(Routine::NtgatePrintQwords)?;
    k.a.test(rbp, rbp)?;
    k.a.je(*done)?;
    // Emulators differ in the RF they save for faults.
    k.a.and(qword_ptr(field(trap_frame::EFLAGS)), !(eflags::RF as i32))?;
    print_literal(k, "trap")?;
    k.a.lea(rsi, field(0))?;
    k.a.mov(ebx, trap_frame::SIZE / 8)?;
    k.call(Routine::NtgatePrintQwords)?;
    // As much as there is up to the end of the stack; a pointer that is not into it shows nothing.
    k.a.mov(rsi, k.var(rsp_slot))?;
    k.a.mov(rdi, qword_ptr(kpcr::CURRENT_THREAD).gs())?;
    k.a.cmp(rsi, qword_ptr(rdi + thread.stack_limit))?;
    k.a.jb(*done)?;
    k.a.mov(rbx, qword_ptr(rdi + thread.initial_stack))?;
    k.a.sub(rbx, rsi)?;
    k.a.jbe(*done)?;
    k.a.shr(rbx, 3)?;
    k.a.cmp(rbx, 16)?;
    k.a.jbe(*short)?;
    k.a.mov(ebx, 16)?;
    k.a.set_label(short)?;
    print_literal(k, "stack")?;
    k.a.mov(rsi, k.var(rsp_slot))?;
    k.call(Routine::NtgatePrintQwords)?;
    k.a.set_label(done)?;
    k.a.ret()
}
