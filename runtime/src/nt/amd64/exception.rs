//! Exceptions of ring 3, delivered as NT does it: a context, a record and a machine frame on ring 3's stack, and on to
//! `ntdll!KiUserExceptionDispatcher` (ReactOS `ntoskrnl/ke/amd64/trap.S`, `ntoskrnl/ke/amd64/except.c`).

use iced_x86::code_asm::{
    AsmMemoryOperand, CodeLabel, al, cr2, dword_ptr, eax, ebx, ecx, edx, qword_ptr, r8, r9d, rax, rbx, rcx, rdi, rdx,
    rsi, rsp, word_ptr,
};

use super::assembly::{Asm, KernelAsm, Routine};
use super::bugcheck::leave;
use super::context::{generate_exception_frame, restore_exception_frame};
use super::data::kernel;
use super::entry::field;
use super::layout::{
    eflags, exception_record, kpcr, machine_frame, selector, status, trap_frame, user_context as context,
    user_exception, vector,
};
use super::report::print_literal;

/// SIMD floating-point error.
pub(crate) const XMM_EXCEPTION: u32 = 0x13;

/// `STATUS_FLOAT_MULTIPLE_FAULTS`: the SSE unit found something; which, MXCSR tells.
const FLOAT_MULTIPLE_FAULTS: u32 = 0xC000_02B4;

/// Exceptions without parameters: the vector, the code, and how far back from RIP the address is that is reported.
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

/// Faults of segments that ring 3 brings upon itself, #TS, #NP and #SS: access violations without an address, as the
/// instruction used a selector that it may not use, or a stack at an address that is not canonical.
const SEGMENT_FAULTS: [u32; 3] = [0x0A, 0x0B, 0x0C];

/// Prefixes, as ranges of bytes; with REX.
const PREFIXES: [(u32, u32); 8] =
    [(0x26, 0x26), (0x2E, 0x2E), (0x36, 0x36), (0x3E, 0x3E), (0x40, 0x4F), (0x64, 0x67), (0xF0, 0xF0), (0xF2, 0xF3)];

/// Instructions that ring 3 may not execute: HLT; CLI, STI, and the port instructions, as IOPL is always 0.
const PRIVILEGED: [(u32, u32); 5] = [(0xF4, 0xF4), (0xFA, 0xFB), (0xE4, 0xE7), (0xEC, 0xEF), (0x6C, 0x6F)];

/// The same behind 0Fh: CLTS, SYSRET, INVD, WBINVD, moves of control and debug registers, WRMSR, RDMSR, RDPMC, SYSEXIT.
const PRIVILEGED_0F: [(u32, u32); 5] = [(0x06, 0x09), (0x20, 0x23), (0x30, 0x30), (0x32, 0x33), (0x35, 0x35)];

/// Emits all of this file.
pub(crate) fn emit(k: &mut KernelAsm<'_>) -> Asm {
    user_exception_entry(k)?;
    page_fault(k)?;
    protection_fault(k)?;
    fetch_byte(k)?;
    dispatch(k)?;
    instrumentation(k)?;
    unhandled(k)
}

/// A dword of the record in the making.
fn record(k: &KernelAsm<'_>, offset: u32) -> AsmMemoryOperand {
    k.var32(kernel::EXCEPTION_RECORD + offset)
}

/// A parameter of the record in the making.
fn parameter(k: &KernelAsm<'_>, index: u32) -> AsmMemoryOperand {
    k.var(kernel::EXCEPTION_RECORD + exception_record::PARAMETERS + 8 * index)
}

/// KiUserException: EBX = vector, RBP into the frame of ring 3.
fn user_exception_entry(k: &mut KernelAsm<'_>) -> Asm {
    let violation = k.at(Routine::KiUserProtectionFault);
    k.begin(Routine::KiUserException)?;
    k.a.sti()?;
    k.a.and(record(k, exception_record::FLAGS), 0)?;
    k.a.and(k.var(kernel::EXCEPTION_RECORD + exception_record::RECORD), 0)?;
    for (number, back) in [(vector::RAISE_ASSERTION, 2), (vector::SECURITY_CHECK, 2), (vector::BREAKPOINT, 1)] {
        let other = &mut k.a.create_label();
        k.a.cmp(ebx, number)?;
        k.a.jne(*other)?;
        // These report, and go on at, the instruction itself.
        k.a.sub(qword_ptr(field(trap_frame::RIP)), back)?;
        k.a.set_label(other)?;
        k.a.nop()?;
    }
    k.a.mov(r8, qword_ptr(field(trap_frame::RIP)))?;
    k.a.xor(edx, edx)?;
    k.a.cmp(ebx, vector::PAGE_FAULT)?;
    k.je(Routine::KiUserPageFault)?;
    for number in SEGMENT_FAULTS.into_iter().chain([vector::GENERAL_PROTECTION]) {
        k.a.cmp(ebx, number)?;
        k.a.je(violation)?;
    }
    breakpoints(k)?;
    security_check(k)?;
    xmm_exception(k)?;
    for (number, code, back) in PLAIN {
        let other = &mut k.a.create_label();
        k.a.cmp(ebx, number)?;
        k.a.jne(*other)?;
        if number == vector::DEBUG {
            // Or the handler itself would be traced.
            k.a.and(qword_ptr(field(trap_frame::EFLAGS)), !(eflags::TF as i32))?;
        }
        k.a.sub(r8, back as i32)?;
        k.a.mov(ecx, code)?;
        k.jmp(Routine::KiRaiseException)?;
        k.a.set_label(other)?;
        k.a.nop()?;
    }
    // No instruction of ring 3 leads to any other vector.
    k.jmp(Routine::KeBugCheck)?;

    // ECX = code, R8 = address, EDX = number of parameters.
    k.begin(Routine::KiRaiseException)?;
    k.a.mov(record(k, exception_record::CODE), ecx)?;
    k.a.mov(k.var(kernel::EXCEPTION_RECORD + exception_record::ADDRESS), r8)?;
    k.a.mov(record(k, exception_record::PARAMETER_COUNT), edx)?;
    generate_exception_frame(k)?;
    k.a.mov(iced_x86::code_asm::r12, rsp)?;
    k.call(Routine::KiDispatchException)?;
    restore_exception_frame(k)?;
    k.jmp(Routine::KiTrapExit)
}

/// `int 3`, with one parameter that says so, and what `int 2Dh` leaves over: what is asked of the debugger, and its arguments.
fn breakpoints(k: &mut KernelAsm<'_>) -> Asm {
    let other = &mut k.a.create_label();
    k.a.cmp(ebx, vector::BREAKPOINT)?;
    k.a.jne(*other)?;
    k.a.and(parameter(k, 0), 0)?;
    k.a.inc(edx)?;
    k.a.mov(ecx, status::BREAKPOINT)?;
    k.jmp(Routine::KiRaiseException)?;
    k.a.set_label(other)?;
    let other = &mut k.a.create_label();
    k.a.cmp(ebx, vector::DEBUG_SERVICE)?;
    k.a.jne(*other)?;
    for (index, from) in [trap_frame::RAX, trap_frame::RCX, trap_frame::RDX].into_iter().enumerate() {
        k.a.mov(rax, qword_ptr(field(from)))?;
        k.a.mov(parameter(k, index as u32), rax)?;
    }
    k.a.mov(edx, 3)?;
    k.a.mov(ecx, status::BREAKPOINT)?;
    k.jmp(Routine::KiRaiseException)?;
    k.a.set_label(other)?;
    k.a.nop()
}

/// `int 29h`: nobody may go on, and ECX says what is wrong. Ring 3 is not asked: the program is over, as under Windows.
fn security_check(k: &mut KernelAsm<'_>) -> Asm {
    let other = &mut k.a.create_label();
    k.a.cmp(ebx, vector::SECURITY_CHECK)?;
    k.a.jne(*other)?;
    k.a.mov(record(k, exception_record::CODE), status::STACK_BUFFER_OVERRUN)?;
    k.a.mov(record(k, exception_record::FLAGS), exception_record::NONCONTINUABLE)?;
    k.a.mov(k.var(kernel::EXCEPTION_RECORD + exception_record::ADDRESS), r8)?;
    k.a.mov(eax, dword_ptr(field(trap_frame::RCX)))?;
    k.a.mov(parameter(k, 0), rax)?;
    k.a.mov(record(k, exception_record::PARAMETER_COUNT), 1)?;
    k.jmp(Routine::KiUnhandledException)?;
    k.a.set_label(other)?;
    k.a.nop()
}

/// #XM: zero, and MXCSR.
fn xmm_exception(k: &mut KernelAsm<'_>) -> Asm {
    let other = &mut k.a.create_label();
    k.a.cmp(ebx, XMM_EXCEPTION)?;
    k.a.jne(*other)?;
    k.a.and(parameter(k, 0), 0)?;
    k.a.mov(eax, dword_ptr(field(trap_frame::MXCSR)))?;
    k.a.mov(parameter(k, 1), rax)?;
    k.a.mov(edx, 2)?;
    k.a.mov(ecx, FLOAT_MULTIPLE_FAULTS)?;
    k.jmp(Routine::KiRaiseException)?;
    k.a.set_label(other)?;
    k.a.nop()
}

/// #PF: 0 read, 1 write, 8 execution, and the address. R8 = RIP.
fn page_fault(k: &mut KernelAsm<'_>) -> Asm {
    let fetch = &mut k.a.create_label();
    k.begin(Routine::KiUserPageFault)?;
    k.a.mov(rax, cr2)?;
    k.a.mov(parameter(k, 1), rax)?;
    k.a.mov(qword_ptr(field(trap_frame::FAULT_ADDRESS)), rax)?;
    k.a.mov(eax, dword_ptr(field(trap_frame::ERROR_CODE)))?;
    // Bit 4 of the error code: a fetch. Else bit 1: a write (Intel SDM volume 3, 4.7).
    k.a.test(eax, 0x10)?;
    k.a.mov(ecx, 8)?;
    k.a.jne(*fetch)?;
    k.a.mov(ecx, eax)?;
    k.a.shr(ecx, 1)?;
    k.a.and(ecx, 1)?;
    k.a.set_label(fetch)?;
    k.a.mov(parameter(k, 0), rcx)?;
    k.a.mov(edx, 2)?;
    k.a.mov(ecx, status::ACCESS_VIOLATION)?;
    k.jmp(Routine::KiRaiseException)
}

/// #GP. With an error code it is a selector or a gate. Without, the instruction tells: privileged, with too many prefixes,
/// or one that used memory in a way that has no address. R8 = RIP.
fn protection_fault(k: &mut KernelAsm<'_>) -> Asm {
    let violation = &mut k.a.create_label();
    let privileged = &mut k.a.create_label();
    let next = &mut k.a.create_label();
    let prefix = &mut k.a.create_label();
    let two_bytes = &mut k.a.create_label();
    k.begin(Routine::KiUserProtectionFault)?;
    k.a.cmp(ebx, vector::GENERAL_PROTECTION)?;
    k.a.jne(*violation)?;
    k.a.cmp(word_ptr(field(trap_frame::ERROR_CODE)), 0)?;
    k.a.jne(*violation)?;
    k.a.mov(rbx, r8)?;
    k.a.xor(r9d, r9d)?;
    k.a.set_label(next)?;
    k.call(Routine::KiFetchByte)?;
    ranges(k, &PREFIXES, prefix)?;
    k.a.cmp(al, 0x0F)?;
    k.a.je(*two_bytes)?;
    ranges(k, &PRIVILEGED, privileged)?;
    k.a.jmp(*violation)?;
    k.a.set_label(prefix)?;
    k.a.inc(r9d)?;
    k.a.cmp(r9d, 15)?;
    k.a.jb(*next)?;
    k.a.xor(edx, edx)?;
    k.a.mov(ecx, status::ILLEGAL_INSTRUCTION)?;
    k.jmp(Routine::KiRaiseException)?;

    k.a.set_label(two_bytes)?;
    k.call(Routine::KiFetchByte)?;
    ranges(k, &PRIVILEGED_0F, privileged)?;
    // LLDT and LTR are 0F00 /2 and /3; LGDT, LIDT, LMSW and INVLPG or SWAPGS 0F01 /2, /3, /6 and /7.
    for (opcode, extensions) in [(0x00, &[2, 3][..]), (0x01, &[2, 3, 6, 7])] {
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
        k.a.jmp(*violation)?;
        k.a.set_label(other)?;
        k.a.nop()?;
    }
    k.a.jmp(*violation)?;

    k.a.set_label(privileged)?;
    k.a.xor(edx, edx)?;
    k.a.mov(ecx, status::PRIVILEGED_INSTRUCTION)?;
    k.jmp(Routine::KiRaiseException)?;
    k.a.set_label(violation)?;
    k.a.and(parameter(k, 0), 0)?;
    k.a.or(parameter(k, 1), -1)?;
    k.a.mov(edx, 2)?;
    k.a.mov(ecx, status::ACCESS_VIOLATION)?;
    k.jmp(Routine::KiRaiseException)
}

/// AL = byte of ring 3 at RBX, and on to the next. A byte that is gone reads as zero.
fn fetch_byte(k: &mut KernelAsm<'_>) -> Asm {
    k.begin(Routine::KiFetchByte)?;
    k.a.and(k.var(kernel::SCRATCH), 0)?;
    k.a.mov(rsi, rbx)?;
    k.lea_data(rdi, kernel::SCRATCH)?;
    k.a.mov(ecx, 1)?;
    k.a.inc(rbx)?;
    k.call(Routine::KiCopyFromUser)?;
    k.a.mov(eax, k.var32(kernel::SCRATCH))?;
    k.a.ret()
}

/// Goes to `target` if AL lies in one of the ranges. ECX is used up.
fn ranges(k: &mut KernelAsm<'_>, ranges: &[(u32, u32)], target: &CodeLabel) -> Asm {
    for (low, high) in ranges {
        k.a.movzx(ecx, al)?;
        k.a.sub(ecx, *low as i32)?;
        k.a.cmp(ecx, high - low)?;
        k.a.jbe(*target)?;
    }
    Ok(())
}

/// Emits the `MACHINE_FRAME` behind the buffer's context: what an interrupt of that context would have pushed. RAX is used up.
pub(crate) fn machine_frame_of_context(k: &mut KernelAsm<'_>) -> Asm {
    let to = |offset: u32| kernel::CONTEXT + context::SIZE + offset;
    for (from, offset) in [(context::RIP, machine_frame::RIP), (context::RSP, machine_frame::RSP)] {
        k.a.mov(rax, k.var(kernel::CONTEXT + from))?;
        k.a.mov(k.var(to(offset)), rax)?;
    }
    k.a.mov(eax, k.var32(kernel::CONTEXT + context::EFLAGS))?;
    k.a.mov(k.var(to(machine_frame::EFLAGS)), rax)?;
    for (offset, value) in [(machine_frame::SEG_CS, selector::R3_CODE), (machine_frame::SEG_SS, selector::R3_DATA)] {
        k.a.mov(k.var(to(offset)), value as i32)?;
    }
    Ok(())
}

/// KiDispatchException: makes the frame of ring 3 that RBP points into one that goes on in KiUserExceptionDispatcher, with the
/// context, the record and the machine frame on ring 3's stack, at a multiple of 16. R12 = exception frame.
fn dispatch(k: &mut KernelAsm<'_>) -> Asm {
    let lost = k.at(Routine::KiUnhandledException);
    let first = context::SIZE + k.profile.context_ex;
    k.begin(Routine::KiDispatchException)?;
    k.a.cmp(k.var(kernel::EXCEPTION_DISPATCHER), 0)?;
    k.a.je(lost)?;
    k.call(Routine::KeTrapFrameToContext)?;
    machine_frame_of_context(k)?;
    k.a.mov(rdx, qword_ptr(field(trap_frame::RSP)))?;
    k.a.sub(rdx, (first + user_exception::SIZE) as i32)?;
    k.a.and(rdx, -16)?;
    for (offset, from, size) in [
        (0, kernel::CONTEXT, context::SIZE),
        (first + user_exception::RECORD, kernel::EXCEPTION_RECORD, exception_record::SIZE),
        (first + user_exception::MACHINE_FRAME, kernel::CONTEXT + context::SIZE, machine_frame::SIZE),
    ] {
        k.a.lea(rdi, rdx + offset)?;
        k.lea_data(rsi, from)?;
        k.a.mov(ecx, size)?;
        k.call(Routine::KiCopyToUser)?;
        k.a.test(eax, eax)?;
        k.a.jne(lost)?;
    }
    k.a.mov(qword_ptr(field(trap_frame::RSP)), rdx)?;
    k.a.mov(qword_ptr(field(trap_frame::RDX)), rdx)?;
    k.a.lea(rax, rdx + (first + user_exception::RECORD))?;
    k.a.mov(qword_ptr(field(trap_frame::RCX)), rax)?;
    k.a.mov(rax, k.var(kernel::EXCEPTION_DISPATCHER))?;
    k.a.mov(qword_ptr(field(trap_frame::RIP)), rax)?;
    user_segments(k)?;
    k.jmp(Routine::KiSetupForInstrumentationReturn)
}

/// Gives the frame that RBP points into the segments that a dispatcher of ntdll begins with.
pub(crate) fn user_segments(k: &mut KernelAsm<'_>) -> Asm {
    k.a.mov(word_ptr(field(trap_frame::SEG_CS)), selector::R3_CODE)?;
    k.a.mov(word_ptr(field(trap_frame::SEG_SS)), selector::R3_DATA)
}

/// KiSetupForInstrumentationReturn: what goes on in ring 3 elsewhere than where it was is seen by the process's instrumentation
/// callback first; R10 says where to. RAX and RCX are used up.
fn instrumentation(k: &mut KernelAsm<'_>) -> Asm {
    let none = &mut k.a.create_label();
    let thread = k.profile.thread;
    k.begin(Routine::KiSetupForInstrumentationReturn)?;
    k.a.mov(rcx, qword_ptr(kpcr::CURRENT_THREAD).gs())?;
    k.a.mov(rcx, qword_ptr(rcx + thread.process))?;
    k.a.mov(rcx, qword_ptr(rcx + thread.instrumentation_callback))?;
    k.a.test(rcx, rcx)?;
    k.a.je(*none)?;
    k.a.mov(rax, qword_ptr(field(trap_frame::RIP)))?;
    k.a.mov(qword_ptr(field(trap_frame::R10)), rax)?;
    k.a.mov(qword_ptr(field(trap_frame::RIP)), rcx)?;
    k.a.set_label(none)?;
    k.a.ret()
}

/// `unhandled code at address`: nobody in ring 3 takes the exception, or it cannot be told of it. The program is over.
fn unhandled(k: &mut KernelAsm<'_>) -> Asm {
    k.begin(Routine::KiUnhandledException)?;
    k.a.cld()?;
    print_literal(k, "unhandled ")?;
    k.a.mov(eax, record(k, exception_record::CODE))?;
    k.call(Routine::NtgatePrintHex)?;
    print_literal(k, " at ")?;
    k.a.mov(rax, k.var(kernel::EXCEPTION_RECORD + exception_record::ADDRESS))?;
    k.call(Routine::NtgatePrintQword)?;
    print_literal(k, "\n")?;
    k.a.mov(al, 2)?;
    leave(k)
}
