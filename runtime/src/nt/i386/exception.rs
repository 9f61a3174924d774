//! Exceptions of ring 3, delivered as NT does it: a record and a context on ring 3's stack, and on to
//! `ntdll!KiUserExceptionDispatcher` (ReactOS `ntoskrnl/ke/i386/traphdlr.c`, `ntoskrnl/ke/i386/exp.c`).

use iced_x86::code_asm::{
    AsmMemoryOperand, CodeLabel, al, cr2, dword_ptr, eax, ebp, ebx, ecx, edi, edx, esi, esp, word_ptr,
};

use super::assembly::{Asm, KernelAsm, Routine};
use super::bugcheck::leave;
use super::data::kernel;
use super::layout::{eflags, exception_record, selector, status, trap_frame, user_context as context, vector};
use super::profile::Vector29;
use super::report::print_literal;

/// Exceptions without parameters: the vector, the code, and how far back from EIP the address is that is reported.
const PLAIN: [(u32, u32, u32); 9] = [
    (0x00, status::INTEGER_DIVIDE_BY_ZERO, 0),
    (vector::DEBUG, status::SINGLE_STEP, 0),
    (0x04, status::INTEGER_OVERFLOW, 1),
    (0x05, status::ARRAY_BOUNDS_EXCEEDED, 0),
    (0x06, status::ILLEGAL_INSTRUCTION, 0),
    // There is no FPU that could be switched to.
    (0x07, status::ILLEGAL_INSTRUCTION, 0),
    (0x10, status::ILLEGAL_INSTRUCTION, 0),
    (0x11, status::DATATYPE_MISALIGNMENT, 0),
    (vector::RAISE_ASSERTION, status::ASSERTION_FAILURE, 0),
];

/// Prefixes, as ranges of bytes.
const PREFIXES: [(u32, u32); 7] =
    [(0x26, 0x26), (0x2E, 0x2E), (0x36, 0x36), (0x3E, 0x3E), (0x64, 0x67), (0xF0, 0xF0), (0xF2, 0xF3)];

/// Instructions that ring 3 may not execute: HLT; CLI, STI, and the port instructions, as IOPL is always 0.
const PRIVILEGED: [(u32, u32); 5] = [(0xF4, 0xF4), (0xFA, 0xFB), (0xE4, 0xE7), (0xEC, 0xEF), (0x6C, 0x6F)];

/// The same behind 0Fh: CLTS, INVD, WBINVD, moves of control and debug registers, WRMSR, RDPMC, SYSEXIT.
const PRIVILEGED_0F: [(u32, u32); 6] =
    [(0x06, 0x06), (0x08, 0x09), (0x20, 0x26), (0x30, 0x30), (0x33, 0x33), (0x35, 0x35)];

/// Faults of tasks, segments and stacks that ring 3 brings upon itself. They are access violations, as a general-protection
/// fault with an error code is: the instruction used a selector that it may not use.
const SELECTOR_FAULTS: [u32; 3] = [0x0A, 0x0B, 0x0C];

/// Emits all of this file.
pub(crate) fn emit(k: &mut KernelAsm<'_>) -> Asm {
    user_exception(k)?;
    page_fault(k)?;
    protection_fault(k)?;
    dispatch(k)?;
    unhandled(k)
}

/// A field of the record in the making.
fn record(k: &KernelAsm<'_>, offset: u32) -> AsmMemoryOperand {
    k.var(kernel::EXCEPTION_RECORD + offset)
}

/// A parameter of the record in the making.
fn parameter(k: &KernelAsm<'_>, index: u32) -> AsmMemoryOperand {
    record(k, exception_record::PARAMETERS + 4 * index)
}

/// KiUserException: EBX = vector, EBP = frame of ring 3.
fn user_exception(k: &mut KernelAsm<'_>) -> Asm {
    k.begin(Routine::KiUserException)?;
    k.a.sti()?;
    k.a.and(record(k, exception_record::FLAGS), 0)?;
    k.a.and(record(k, exception_record::RECORD), 0)?;
    for (number, back) in [(vector::RAISE_ASSERTION, 2), (vector::SECURITY_CHECK, 2), (vector::BREAKPOINT, 1)] {
        let other = &mut k.a.create_label();
        k.a.cmp(ebx, number)?;
        k.a.jne(*other)?;
        // These report, and go on at, the instruction itself.
        k.a.sub(dword_ptr(ebp + trap_frame::EIP), back)?;
        k.a.set_label(other)?;
        k.a.nop()?;
    }
    k.a.mov(eax, dword_ptr(ebp + trap_frame::EIP))?;
    k.a.xor(ecx, ecx)?;
    k.a.cmp(ebx, vector::PAGE_FAULT)?;
    k.je(Routine::KiUserPageFault)?;
    k.a.cmp(ebx, vector::GENERAL_PROTECTION)?;
    k.je(Routine::KiUserProtectionFault)?;
    for number in SELECTOR_FAULTS {
        k.a.cmp(ebx, number)?;
        k.je(Routine::KiUserSelectorFault)?;
    }
    breakpoints(k)?;
    security_check(k)?;
    for (number, code, back) in PLAIN {
        let other = &mut k.a.create_label();
        k.a.cmp(ebx, number)?;
        k.a.jne(*other)?;
        if number == vector::DEBUG {
            // Or the handler itself would be traced.
            k.a.and(dword_ptr(ebp + trap_frame::EFLAGS), !eflags::TF)?;
        }
        k.a.sub(eax, back)?;
        k.a.mov(edx, code)?;
        k.jmp(Routine::KiRaiseException)?;
        k.a.set_label(other)?;
        k.a.nop()?;
    }
    // No instruction of ring 3 leads to any other vector.
    k.jmp(Routine::KeBugCheck)?;

    // EDX = code, EAX = address, ECX = number of parameters.
    k.begin(Routine::KiRaiseException)?;
    k.a.mov(record(k, exception_record::CODE), edx)?;
    k.a.mov(record(k, exception_record::ADDRESS), eax)?;
    k.a.mov(record(k, exception_record::PARAMETER_COUNT), ecx)?;
    k.call(Routine::KiDispatchException)?;
    k.jmp(Routine::Kei386EoiHelper)
}

/// `int 3` and what `int 2Dh` leaves over: what is asked of the debugger, and its two arguments.
fn breakpoints(k: &mut KernelAsm<'_>) -> Asm {
    for (number, service) in [(vector::BREAKPOINT, None), (vector::DEBUG_SERVICE, Some(trap_frame::EAX))] {
        let other = &mut k.a.create_label();
        k.a.cmp(ebx, number)?;
        k.a.jne(*other)?;
        k.a.xor(edx, edx)?;
        if let Some(field) = service {
            k.a.mov(edx, dword_ptr(ebp + field))?;
        }
        k.a.mov(parameter(k, 0), edx)?;
        for (index, field) in [(1, trap_frame::ECX), (2, trap_frame::EDX)] {
            k.a.mov(edx, dword_ptr(ebp + field))?;
            k.a.mov(parameter(k, index), edx)?;
        }
        k.a.mov(ecx, 3)?;
        k.a.mov(edx, status::BREAKPOINT)?;
        k.jmp(Routine::KiRaiseException)?;
        k.a.set_label(other)?;
        k.a.nop()?;
    }
    Ok(())
}

/// `int 29h`: nobody may go on, and ECX says what is wrong.
fn security_check(k: &mut KernelAsm<'_>) -> Asm {
    let other = &mut k.a.create_label();
    k.a.cmp(ebx, vector::SECURITY_CHECK)?;
    k.a.jne(*other)?;
    k.a.mov(record(k, exception_record::FLAGS), exception_record::NONCONTINUABLE)?;
    k.a.mov(edx, dword_ptr(ebp + trap_frame::ECX))?;
    k.a.mov(parameter(k, 0), edx)?;
    k.a.inc(ecx)?;
    k.a.mov(edx, status::STACK_BUFFER_OVERRUN)?;
    if k.profile.vector_29 == Vector29::FailFast {
        k.a.mov(record(k, exception_record::CODE), edx)?;
        k.a.mov(record(k, exception_record::ADDRESS), eax)?;
        k.jmp(Routine::KiUnhandledException)?;
    }
    k.jmp(Routine::KiRaiseException)?;
    k.a.set_label(other)?;
    k.a.nop()
}

/// #PF: 0 read, 1 write, 8 execution, and the address.
fn page_fault(k: &mut KernelAsm<'_>) -> Asm {
    let not_code = &mut k.a.create_label();
    k.begin(Routine::KiUserPageFault)?;
    k.a.mov(edx, cr2)?;
    k.a.mov(parameter(k, 1), edx)?;
    k.a.mov(edx, dword_ptr(ebp + trap_frame::ERR_CODE))?;
    // Bit 4 of the error code: a fetch. Else bit 1: a write (Intel SDM volume 3, 4.7).
    k.a.test(edx, 0x10)?;
    k.a.mov(ecx, 8)?;
    k.a.jne(*not_code)?;
    k.a.mov(ecx, edx)?;
    k.a.shr(ecx, 1)?;
    k.a.and(ecx, 1)?;
    k.a.set_label(not_code)?;
    k.a.mov(parameter(k, 0), ecx)?;
    k.a.mov(ecx, 2)?;
    k.a.mov(edx, status::ACCESS_VIOLATION)?;
    k.jmp(Routine::KiRaiseException)
}

/// #GP. With an error code it is a selector or a gate. Without, the instruction tells: privileged, with too many prefixes,
/// or one that used memory in a way that has no address.
fn protection_fault(k: &mut KernelAsm<'_>) -> Asm {
    let violation = k.at(Routine::KiUserSelectorFault);
    let privileged = &mut k.a.create_label();
    let next = &mut k.a.create_label();
    let prefix = &mut k.a.create_label();
    let two_bytes = &mut k.a.create_label();
    k.begin(Routine::KiUserProtectionFault)?;
    k.a.cmp(word_ptr(ebp + trap_frame::ERR_CODE), 0)?;
    k.a.jne(violation)?;
    k.a.mov(ebx, dword_ptr(ebp + trap_frame::EIP))?;
    k.a.xor(edx, edx)?;
    k.a.set_label(next)?;
    k.call(Routine::KiFetchByte)?;
    ranges(k, &PREFIXES, prefix)?;
    k.a.cmp(al, 0x0F)?;
    k.a.je(*two_bytes)?;
    ranges(k, &PRIVILEGED, privileged)?;
    k.a.jmp(violation)?;
    k.a.set_label(prefix)?;
    k.a.inc(edx)?;
    k.a.cmp(edx, 15)?;
    k.a.jb(*next)?;
    k.a.mov(edx, status::ILLEGAL_INSTRUCTION)?;
    raise_here(k)?;

    k.a.set_label(two_bytes)?;
    two_byte_opcode(k, privileged)?;
    k.a.jmp(violation)?;

    k.a.set_label(privileged)?;
    k.a.mov(edx, status::PRIVILEGED_INSTRUCTION)?;
    raise_here(k)?;
    k.begin(Routine::KiUserSelectorFault)?;
    k.a.mov(parameter(k, 0), 0)?;
    k.a.mov(parameter(k, 1), u32::MAX)?;
    k.a.mov(eax, dword_ptr(ebp + trap_frame::EIP))?;
    k.a.mov(ecx, 2)?;
    k.a.mov(edx, status::ACCESS_VIOLATION)?;
    k.jmp(Routine::KiRaiseException)?;

    // AL = byte of ring 3 at EBX, and on to the next. A byte that is gone reads as zero. EDX stays.
    k.begin(Routine::KiFetchByte)?;
    k.a.mov(k.var(kernel::SCRATCH), 0)?;
    k.a.mov(esi, ebx)?;
    k.a.mov(edi, k.data(kernel::SCRATCH))?;
    k.a.mov(ecx, 1)?;
    k.a.inc(ebx)?;
    k.call(Routine::KiCopyFromUser)?;
    k.a.mov(eax, k.var(kernel::SCRATCH))?;
    k.a.ret()
}

/// Goes to `privileged` if the opcode behind 0Fh, at EBX, is one that ring 3 may not execute.
fn two_byte_opcode(k: &mut KernelAsm<'_>, privileged: &CodeLabel) -> Asm {
    let done = &mut k.a.create_label();
    k.call(Routine::KiFetchByte)?;
    ranges(k, &PRIVILEGED_0F, privileged)?;
    // LLDT and LTR are 0F00 /2 and /3, LGDT, LIDT and LMSW are 0F01 /2, /3 and /6.
    for (opcode, extensions) in [(0x00, &[2, 3][..]), (0x01, &[2, 3, 6])] {
        let other = &mut k.a.create_label();
        k.a.cmp(al, opcode)?;
        k.a.jne(*other)?;
        k.call(Routine::KiFetchByte)?;
        k.a.shr(eax, 3)?;
        k.a.and(eax, 7)?;
        for extension in extensions {
            k.a.cmp(eax, *extension)?;
            k.a.je(*privileged)?;
        }
        k.a.jmp(*done)?;
        k.a.set_label(other)?;
        k.a.nop()?;
    }
    k.a.set_label(done)?;
    k.a.nop()
}

/// Raises the exception in EDX at EIP, without parameters.
fn raise_here(k: &mut KernelAsm<'_>) -> Asm {
    k.a.mov(eax, dword_ptr(ebp + trap_frame::EIP))?;
    k.a.xor(ecx, ecx)?;
    k.jmp(Routine::KiRaiseException)
}

/// Goes to `target` if AL lies in one of the ranges. ECX is used up.
fn ranges(k: &mut KernelAsm<'_>, ranges: &[(u32, u32)], target: &CodeLabel) -> Asm {
    for (low, high) in ranges {
        k.a.movzx(ecx, al)?;
        k.a.sub(ecx, *low)?;
        k.a.cmp(ecx, high - low)?;
        k.a.jbe(*target)?;
    }
    Ok(())
}

/// KiDispatchException: makes the frame of ring 3 at EBP one that goes on in KiUserExceptionDispatcher, with the record and
/// the frame's context on ring 3's stack:
///
/// ```text
/// ESP   address of the record      record, as long as it has parameters
/// +4    address of the context     context, up to where ESP was (at a multiple of four)
/// ```
fn dispatch(k: &mut KernelAsm<'_>) -> Asm {
    let lost = k.at(Routine::KiUnhandledException);
    k.begin(Routine::KiDispatchException)?;
    // Another stack segment than that of ring 3 has a stack that nobody can write to.
    k.a.cmp(word_ptr(ebp + trap_frame::HARDWARE_SEG_SS), selector::R3_DATA)?;
    k.a.jne(lost)?;
    k.a.cmp(k.var(kernel::EXCEPTION_DISPATCHER), 0)?;
    k.a.je(lost)?;
    k.call(Routine::KeTrapFrameToContext)?;
    k.a.mov(edx, dword_ptr(ebp + trap_frame::HARDWARE_ESP))?;
    k.a.and(edx, !3)?;
    k.a.sub(edx, context::SIZE)?;
    k.a.mov(ebx, record(k, exception_record::PARAMETER_COUNT))?;
    k.a.lea(ebx, dword_ptr(ebx * 4 + exception_record::PARAMETERS))?;
    k.a.mov(ecx, edx)?;
    k.a.sub(ecx, ebx)?;
    k.a.push(edx)?;
    k.a.push(ecx)?;

    k.a.mov(edi, edx)?;
    k.a.mov(ecx, context::SIZE)?;
    k.a.mov(esi, k.data(kernel::CONTEXT))?;
    k.call(Routine::KiCopyToUser)?;
    k.a.test(eax, eax)?;
    k.a.jne(lost)?;
    k.a.mov(edi, dword_ptr(esp))?;
    k.a.mov(ecx, ebx)?;
    k.a.mov(esi, k.data(kernel::EXCEPTION_RECORD))?;
    k.call(Routine::KiCopyToUser)?;
    k.a.test(eax, eax)?;
    k.a.jne(lost)?;
    // The two addresses stand on this stack as they have to on ring 3's.
    k.a.mov(edi, dword_ptr(esp))?;
    k.a.sub(edi, 8)?;
    k.a.mov(esi, esp)?;
    k.a.mov(ecx, 8)?;
    k.call(Routine::KiCopyToUser)?;
    k.a.test(eax, eax)?;
    k.a.jne(lost)?;
    k.a.pop(edx)?;
    k.a.sub(edx, 8)?;
    k.a.add(esp, 4)?;
    k.a.mov(dword_ptr(ebp + trap_frame::HARDWARE_ESP), edx)?;
    k.a.mov(eax, k.var(kernel::EXCEPTION_DISPATCHER))?;
    k.a.mov(dword_ptr(ebp + trap_frame::EIP), eax)?;
    user_segments(k)?;
    k.a.ret()
}

/// Gives the frame at EBP the segments that a dispatcher of ntdll begins with.
pub(crate) fn user_segments(k: &mut KernelAsm<'_>) -> Asm {
    for (field, value) in [
        (trap_frame::SEG_CS, selector::R3_CODE),
        (trap_frame::HARDWARE_SEG_SS, selector::R3_DATA),
        (trap_frame::SEG_DS, selector::R3_DATA),
        (trap_frame::SEG_ES, selector::R3_DATA),
        (trap_frame::SEG_FS, selector::R3_TEB),
        (trap_frame::SEG_GS, 0),
    ] {
        k.a.mov(dword_ptr(ebp + field), value)?;
    }
    Ok(())
}

/// `unhandled code at address`: nobody in ring 3 takes the exception, or it cannot be told of it. The program is over.
fn unhandled(k: &mut KernelAsm<'_>) -> Asm {
    k.begin(Routine::KiUnhandledException)?;
    print_literal(k, "unhandled ")?;
    k.a.mov(eax, record(k, exception_record::CODE))?;
    k.call(Routine::NtgatePrintHex)?;
    print_literal(k, " at ")?;
    k.a.mov(eax, record(k, exception_record::ADDRESS))?;
    k.call(Routine::NtgatePrintHex)?;
    print_literal(k, "\n")?;
    k.a.mov(al, 2)?;
    leave(k)
}
