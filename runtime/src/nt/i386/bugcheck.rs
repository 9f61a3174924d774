//! The end of a kernel that cannot go on.
//!
//! ```text
//! bugcheck code vector error eip cr2 esp cs eflags
//! parameters p1 p2 p3 p4                              these three not in a proof, whose log ends with the first line
//! trap 0 1 2 ... 34                                   the dwords of the trap frame
//! stack 0 1 2 ... 15                                  of the interrupted kernel code
//! ```

use iced_x86::code_asm::{al, ax, byte_ptr, cr2, dword_ptr, eax, ebp, ebx, ecx, edi, edx, esi, esp, word_ptr};

use super::assembly::{Asm, KernelAsm, Routine};
use super::data::kernel;
use super::layout::{bugcheck, eflags, exception_record, kpcr, port, selector, status, trap_frame, tss, vector};
use super::report::print_literal;

/// Emits all of this file.
pub(crate) fn emit(k: &mut KernelAsm<'_>) -> Asm {
    task_fault(k)?;
    bug_check(k)?;
    print_report(k)?;
    print_dwords(k)
}

/// What the frame of an interrupted task has of the KTSS.
const FRAME_OF_TASK: [(u32, u32); 15] = [
    (trap_frame::EAX, tss::EAX),
    (trap_frame::ECX, tss::ECX),
    (trap_frame::EDX, tss::EDX),
    (trap_frame::EBX, tss::EBX),
    (trap_frame::EBP, tss::EBP),
    (trap_frame::ESI, tss::ESI),
    (trap_frame::EDI, tss::EDI),
    (trap_frame::SEG_GS, tss::GS),
    (trap_frame::SEG_FS, tss::FS),
    (trap_frame::SEG_ES, tss::ES),
    (trap_frame::SEG_DS, tss::DS),
    (trap_frame::EIP, tss::EIP),
    (trap_frame::SEG_CS, tss::CS),
    (trap_frame::EFLAGS, tss::EFLAGS),
    (trap_frame::HARDWARE_ESP, tss::ESP),
];

/// The CPU has put the interrupted code's registers into the KTSS. EBX = vector.
fn task_fault(k: &mut KernelAsm<'_>) -> Asm {
    let interrupted = k.profile.tss;
    k.begin(Routine::KiTrapTask)?;
    k.a.mov(k.var(kernel::BUGCHECK), bugcheck::UNEXPECTED_KERNEL_MODE_TRAP)?;
    k.a.mov(k.var(kernel::BUGCHECK + 4), ebx)?;
    k.a.mov(k.var(kernel::BUGCHECK + 8), 0)?;
    k.a.mov(eax, cr2)?;
    k.a.mov(k.var(kernel::BUGCHECK + 16), eax)?;
    for (slot, field) in [(12, tss::EIP), (20, tss::ESP), (24, tss::CS), (28, tss::EFLAGS)] {
        k.a.mov(eax, dword_ptr(interrupted + field))?;
        if field == tss::CS {
            k.a.movzx(eax, ax)?;
        }
        k.a.mov(k.var(kernel::BUGCHECK + slot), eax)?;
    }
    // A frame as a trap would have made it.
    k.a.sub(esp, trap_frame::SIZE)?;
    k.a.mov(ebp, esp)?;
    k.a.mov(edi, esp)?;
    k.a.mov(ecx, trap_frame::SIZE / 4)?;
    k.a.xor(eax, eax)?;
    k.a.cld()?;
    k.a.rep().stosd()?;
    for (to, from) in FRAME_OF_TASK {
        k.a.mov(eax, dword_ptr(interrupted + from))?;
        k.a.mov(dword_ptr(ebp + to), eax)?;
    }
    k.a.movzx(eax, word_ptr(interrupted + tss::SS))?;
    k.a.mov(dword_ptr(ebp + trap_frame::HARDWARE_SEG_SS), eax)?;
    let nmi = &mut k.a.create_label();
    let print = &mut k.a.create_label();
    k.a.cmp(ebx, vector::NMI)?;
    k.a.je(*nmi)?;
    // The vector, and the task segment of what was interrupted.
    k.a.mov(k.var(kernel::PARAMETERS), ebx)?;
    k.a.mov(k.var(kernel::PARAMETERS + 4), interrupted)?;
    k.a.jmp(*print)?;
    k.a.set_label(nmi)?;
    k.a.mov(k.var(kernel::BUGCHECK), bugcheck::NMI_HARDWARE_FAILURE)?;
    k.a.set_label(print)?;
    k.jmp(Routine::KeBugCheckPrint)
}

/// EAX = code of an exception in ring 0, with its parameters stored. EBX = vector, EBP = frame.
fn code_and_parameters(k: &mut KernelAsm<'_>) -> Asm {
    let known = &mut k.a.create_label();
    let not_paging = &mut k.a.create_label();
    let not_security = &mut k.a.create_label();
    let parameter = |k: &KernelAsm<'_>, n: u32| k.var(kernel::PARAMETERS + 4 * n);
    k.a.cmp(ebx, vector::PAGE_FAULT)?;
    k.a.jne(*not_paging)?;
    let nonpaged = &mut k.a.create_label();
    k.a.mov(eax, cr2)?;
    k.a.mov(ecx, dword_ptr(ebp + trap_frame::ERR_CODE))?;
    k.a.shr(ecx, 1)?;
    k.a.and(ecx, 1)?;
    k.a.mov(edx, dword_ptr(ebp + trap_frame::EIP))?;
    k.a.cmp(eax, k.var(kernel::USER_PROBE_ADDRESS))?;
    k.a.jae(*nonpaged)?;
    // The status, the instruction, whether it was a write, the address.
    k.a.mov(parameter(k, 0), status::ACCESS_VIOLATION)?;
    k.a.mov(parameter(k, 1), edx)?;
    k.a.mov(parameter(k, 2), ecx)?;
    k.a.mov(parameter(k, 3), eax)?;
    k.a.mov(eax, bugcheck::KMODE_EXCEPTION_NOT_HANDLED)?;
    k.a.jmp(*known)?;
    k.a.set_label(nonpaged)?;
    // The address, whether it was a write, the instruction.
    k.a.mov(parameter(k, 0), eax)?;
    k.a.mov(parameter(k, 1), ecx)?;
    k.a.mov(parameter(k, 2), edx)?;
    k.a.mov(eax, bugcheck::PAGE_FAULT_IN_NONPAGED_AREA)?;
    k.a.jmp(*known)?;
    k.a.set_label(not_paging)?;
    k.a.cmp(ebx, vector::SECURITY_CHECK)?;
    k.a.jne(*not_security)?;
    // What is wrong, the frame, and the record of the exception.
    let field = |k: &KernelAsm<'_>, offset: u32| k.var(kernel::EXCEPTION_RECORD + offset);
    k.a.mov(eax, dword_ptr(ebp + trap_frame::ECX))?;
    k.a.mov(parameter(k, 0), eax)?;
    k.a.mov(parameter(k, 1), ebp)?;
    k.a.mov(parameter(k, 2), k.data(kernel::EXCEPTION_RECORD))?;
    k.a.mov(field(k, exception_record::PARAMETERS), eax)?;
    k.a.mov(eax, dword_ptr(ebp + trap_frame::EIP))?;
    k.a.mov(field(k, exception_record::ADDRESS), eax)?;
    for (offset, value) in [
        (exception_record::CODE, status::STACK_BUFFER_OVERRUN),
        (exception_record::FLAGS, 1),
        (exception_record::PARAMETER_COUNT, 1),
    ] {
        k.a.mov(field(k, offset), value)?;
    }
    k.a.mov(eax, bugcheck::KERNEL_SECURITY_CHECK_FAILURE)?;
    k.a.jmp(*known)?;
    k.a.set_label(not_security)?;
    k.a.mov(parameter(k, 0), ebx)?;
    k.a.mov(eax, bugcheck::UNEXPECTED_KERNEL_MODE_TRAP)?;
    k.a.set_label(known)?;
    k.a.nop()
}

/// `bugcheck code vector error eip cr2 esp cs eflags`, then the exit port. EBX = vector, EBP = frame in ring 0.
fn bug_check(k: &mut KernelAsm<'_>) -> Asm {
    let proof = &mut k.a.create_label();
    k.begin(Routine::KeBugCheck)?;
    code_and_parameters(k)?;
    // EAX = code. What is not an exception has no vector; EBX is zero.
    k.begin(Routine::KeBugCheckWithFrame)?;
    k.a.mov(k.var(kernel::BUGCHECK), eax)?;
    k.a.mov(k.var(kernel::BUGCHECK + 4), ebx)?;
    k.a.movzx(eax, word_ptr(ebp + trap_frame::ERR_CODE))?;
    k.a.mov(k.var(kernel::BUGCHECK + 8), eax)?;
    k.a.mov(eax, dword_ptr(ebp + trap_frame::EIP))?;
    k.a.mov(k.var(kernel::BUGCHECK + 12), eax)?;
    k.a.mov(eax, cr2)?;
    k.a.mov(k.var(kernel::BUGCHECK + 16), eax)?;
    let inner = &mut k.a.create_label();
    // Without a change of privilege the interrupted stack goes on above the frame.
    k.a.lea(eax, dword_ptr(ebp + trap_frame::HARDWARE_ESP))?;
    k.a.test(byte_ptr(ebp + trap_frame::SEG_CS), selector::MODE_MASK)?;
    k.a.je(*inner)?;
    k.a.mov(eax, dword_ptr(eax))?;
    k.a.set_label(inner)?;
    k.a.mov(k.var(kernel::BUGCHECK + 20), eax)?;
    k.a.movzx(eax, word_ptr(ebp + trap_frame::SEG_CS))?;
    k.a.mov(k.var(kernel::BUGCHECK + 24), eax)?;
    k.a.mov(eax, dword_ptr(ebp + trap_frame::EFLAGS))?;
    k.a.mov(k.var(kernel::BUGCHECK + 28), eax)?;

    k.begin(Routine::KeBugCheckPrint)?;
    // Emulators differ in the RF they save for faults.
    k.a.and(k.var(kernel::BUGCHECK + 28), !eflags::RF)?;
    k.a.cld()?;
    print_literal(k, "bugcheck")?;
    k.a.mov(esi, k.data(kernel::BUGCHECK))?;
    k.a.mov(ebx, 8)?;
    k.call(Routine::NtgatePrintDwords)?;
    k.a.cmp(k.var(kernel::PROOF), 0)?;
    k.a.jne(*proof)?;
    k.call(Routine::KeBugCheckReport)?;
    k.a.set_label(proof)?;
    k.a.mov(al, 1)?;
    leave(k)
}

/// The lines behind the first: EBP = frame, null if there is none.
fn print_report(k: &mut KernelAsm<'_>) -> Asm {
    let thread = k.profile.thread;
    let done = &mut k.a.create_label();
    let short = &mut k.a.create_label();
    k.begin(Routine::KeBugCheckReport)?;
    print_literal(k, "parameters")?;
    print_block(k, kernel::PARAMETERS, 4)?;
    k.a.test(ebp, ebp)?;
    k.a.je(*done)?;
    // Emulators differ in the RF they save for faults.
    k.a.and(dword_ptr(ebp + trap_frame::EFLAGS), !eflags::RF)?;
    print_literal(k, "trap")?;
    k.a.mov(esi, ebp)?;
    k.a.mov(ebx, trap_frame::SIZE / 4)?;
    k.call(Routine::NtgatePrintDwords)?;
    // As much as there is up to the end of the stack; a pointer that is not into it shows nothing.
    k.a.mov(esi, k.var(kernel::BUGCHECK + 20))?;
    k.a.mov(edi, dword_ptr(kpcr::CURRENT_THREAD).fs())?;
    k.a.cmp(esi, dword_ptr(edi + thread.stack_limit))?;
    k.a.jb(*done)?;
    k.a.mov(ebx, dword_ptr(edi + thread.initial_stack))?;
    k.a.sub(ebx, esi)?;
    k.a.jbe(*done)?;
    k.a.shr(ebx, 2)?;
    k.a.cmp(ebx, 16)?;
    k.a.jbe(*short)?;
    k.a.mov(ebx, 16)?;
    k.a.set_label(short)?;
    k.a.push(esi)?;
    print_literal(k, "stack")?;
    k.a.pop(esi)?;
    k.call(Routine::NtgatePrintDwords)?;
    k.a.set_label(done)?;
    k.a.ret()
}

/// Prints dwords of the kernel's variables.
fn print_block(k: &mut KernelAsm<'_>, offset: u32, count: u32) -> Asm {
    k.a.mov(esi, k.data(offset))?;
    k.a.mov(ebx, count)?;
    k.call(Routine::NtgatePrintDwords)
}

/// NtgatePrintDwords: EBX dwords from ESI on, a space before each, and the end of the line.
fn print_dwords(k: &mut KernelAsm<'_>) -> Asm {
    let next = &mut k.a.create_label();
    let done = &mut k.a.create_label();
    k.begin(Routine::NtgatePrintDwords)?;
    k.a.cld()?;
    k.a.set_label(next)?;
    k.a.test(ebx, ebx)?;
    k.a.je(*done)?;
    k.a.mov(al, b' ' as u32)?;
    k.a.out(port::DEBUG_CONSOLE, al)?;
    k.a.mov(eax, dword_ptr(esi))?;
    k.call(Routine::NtgatePrintHex)?;
    k.a.add(esi, 4)?;
    k.a.dec(ebx)?;
    k.a.jmp(*next)?;
    k.a.set_label(done)?;
    k.a.mov(al, b'\n' as u32)?;
    k.a.out(port::DEBUG_CONSOLE, al)?;
    k.a.ret()
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
