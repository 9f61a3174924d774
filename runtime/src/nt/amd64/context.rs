//! `CONTEXT` and the kernel's frames: each made from the other, and the services that give a thread another context.
//!
//! A thread's state is in two frames: the trap frame, which every entry builds, and the exception frame with the registers that
//! routines keep, which is built only where the whole state is wanted. There is one buffer for a context in the kernel's data:
//! there is one thread, and nothing that interrupts it uses the buffer too.

use iced_x86::code_asm::{
    AsmMemoryOperand, AsmRegister64, AsmRegisterXmm, bl, byte_ptr, cl, dword_ptr, eax, ecx, edx, ptr, qword_ptr, r8,
    r12, r13, r14, r15, rax, rbp, rbx, rcx, rdi, rdx, rsi, rsp, word_ptr, xmm0, xmm6, xmm7, xmm8, xmm9, xmm10, xmm11,
    xmm12, xmm13, xmm14, xmm15, xmmword_ptr,
};

use super::assembly::{Asm, KernelAsm, Routine};
use super::data::kernel;
use super::entry::field;
use super::layout::{
    dispatcher_header, eflags, exception_frame, exception_record, kpcr, selector, status, trap_frame,
    user_context as context,
};

/// General registers of a trap frame, as offsets in the context and in the frame.
const INTEGER: [(u32, u32); 11] = [
    (context::RAX, trap_frame::RAX),
    (context::RCX, trap_frame::RCX),
    (context::RDX, trap_frame::RDX),
    (context::RBX, trap_frame::RBX),
    (context::RBP, trap_frame::RBP),
    (context::RSI, trap_frame::RSI),
    (context::RDI, trap_frame::RDI),
    (context::R8, trap_frame::R8),
    (context::R8 + 8, trap_frame::R9),
    (context::R8 + 16, trap_frame::R10),
    (context::R8 + 24, trap_frame::R11),
];

/// R12 to R15, in that order in both structures.
const KEPT: u32 = 4;

/// Selectors: what ring 3 always has.
const SELECTORS: [(u32, u32); 6] = [
    (context::SEG_CS, selector::R3_CODE),
    (context::SEG_DS, selector::R3_DATA),
    (context::SEG_ES, selector::R3_DATA),
    (context::SEG_FS, selector::R3_CMTEB),
    (context::SEG_GS, selector::R3_DATA),
    (context::SEG_SS, selector::R3_DATA),
];

/// The general registers of an exception frame.
const NON_VOLATILE: [(u32, AsmRegister64); 8] = [
    (exception_frame::RBP, rbp),
    (exception_frame::RBX, rbx),
    (exception_frame::RDI, rdi),
    (exception_frame::RSI, rsi),
    (exception_frame::R12, r12),
    (exception_frame::R12 + 8, r13),
    (exception_frame::R12 + 16, r14),
    (exception_frame::R12 + 24, r15),
];

/// Its SSE registers.
const NON_VOLATILE_XMM: [AsmRegisterXmm; 10] = [xmm6, xmm7, xmm8, xmm9, xmm10, xmm11, xmm12, xmm13, xmm14, xmm15];

/// Emits all of this file.
pub(crate) fn emit(k: &mut KernelAsm<'_>) -> Asm {
    from_frames(k)?;
    to_frames(k)?;
    take_context(k)?;
    complete_frame(k)?;
    continue_service(k)?;
    raise_exception(k)
}

/// Emits the building of an exception frame at RSP. The return address of the routine that does so is its last field.
pub(crate) fn generate_exception_frame(k: &mut KernelAsm<'_>) -> Asm {
    k.a.sub(rsp, exception_frame::RETURN as i32)?;
    for (offset, register) in NON_VOLATILE {
        k.a.mov(qword_ptr(rsp + offset), register)?;
    }
    for (index, register) in NON_VOLATILE_XMM.into_iter().enumerate() {
        k.a.movups(xmmword_ptr(rsp + (exception_frame::XMM6 + 16 * index as u32)), register)?;
    }
    Ok(())
}

/// Emits the opposite. RAX and the volatile registers stay.
pub(crate) fn restore_exception_frame(k: &mut KernelAsm<'_>) -> Asm {
    for (offset, register) in NON_VOLATILE {
        k.a.mov(register, qword_ptr(rsp + offset))?;
    }
    for (index, register) in NON_VOLATILE_XMM.into_iter().enumerate() {
        k.a.movups(register, xmmword_ptr(rsp + (exception_frame::XMM6 + 16 * index as u32)))?;
    }
    k.a.add(rsp, exception_frame::RETURN as i32)
}

/// A field of the context in the buffer, without a size.
fn at(k: &KernelAsm<'_>, offset: u32) -> AsmMemoryOperand {
    AsmMemoryOperand::from(iced_x86::Register::RIP) + k.data(kernel::CONTEXT + offset)
}

/// KeTrapFrameToContext: the frame of ring 3 that RBP points into and the exception frame at R12 become the context in the
/// buffer. RAX and XMM0 are used up.
fn from_frames(k: &mut KernelAsm<'_>) -> Asm {
    k.begin(Routine::KeTrapFrameToContext)?;
    k.a.mov(dword_ptr(at(k, context::FLAGS)), context::ALL)?;
    for (to, from) in INTEGER.into_iter().chain([(context::RIP, trap_frame::RIP), (context::RSP, trap_frame::RSP)]) {
        k.a.mov(rax, qword_ptr(field(from)))?;
        k.a.mov(qword_ptr(at(k, to)), rax)?;
    }
    for index in 0..KEPT {
        k.a.mov(rax, qword_ptr(r12 + (exception_frame::R12 + 8 * index)))?;
        k.a.mov(qword_ptr(at(k, context::R12 + 8 * index)), rax)?;
    }
    k.a.mov(eax, dword_ptr(field(trap_frame::EFLAGS)))?;
    k.a.mov(dword_ptr(at(k, context::EFLAGS)), eax)?;
    for (to, value) in SELECTORS {
        k.a.mov(word_ptr(at(k, to)), value)?;
    }
    // What is of the FPU comes from itself; the kernel leaves it alone.
    k.a.fxsave(ptr(at(k, context::FLT_SAVE)))?;
    k.a.mov(eax, dword_ptr(field(trap_frame::MXCSR)))?;
    k.a.mov(dword_ptr(at(k, context::MXCSR)), eax)?;
    k.a.mov(dword_ptr(at(k, context::FLT_MXCSR)), eax)?;
    for (to, from) in xmm_in_frames() {
        k.a.movups(xmm0, xmmword_ptr(from))?;
        k.a.movups(xmmword_ptr(at(k, to)), xmm0)?;
    }
    // The debug registers are in the frame if the thread has any.
    for index in 0..6 {
        let skip = &mut k.a.create_label();
        k.a.xor(eax, eax)?;
        k.a.cmp(word_ptr(field(trap_frame::DR7)), 0)?;
        k.a.je(*skip)?;
        k.a.mov(rax, qword_ptr(field(trap_frame::DR0 + 8 * index)))?;
        k.a.set_label(skip)?;
        k.a.mov(qword_ptr(at(k, context::DR0 + 8 * index)), rax)?;
    }
    k.a.ret()
}

/// Where the context has the XMM registers, and where the frames have them.
fn xmm_in_frames() -> impl Iterator<Item = (u32, AsmMemoryOperand)> {
    (0..16).map(|index| {
        let frame = if index < 6 {
            field(trap_frame::XMM0 + 16 * index)
        } else {
            r12 + (exception_frame::XMM6 + 16 * (index - 6))
        };
        (context::XMM0 + 16 * index, frame)
    })
}

/// KeContextToTrapFrame: the buffer's context goes into the frame of ring 3 that RBP points into and the exception frame at R12,
/// as far as its flags say. Nothing that ring 3 could not have itself gets in: it keeps its code and stack segment, IF is set
/// and IOPL clear. RAX, RCX, RDX and XMM0 are used up.
fn to_frames(k: &mut KernelAsm<'_>) -> Asm {
    k.begin(Routine::KeContextToTrapFrame)?;
    part(k, context::CONTROL, |k| {
        k.a.mov(eax, dword_ptr(at(k, context::EFLAGS)))?;
        k.a.and(eax, context::USER_EFLAGS)?;
        k.a.or(eax, eflags::IF)?;
        k.a.mov(qword_ptr(field(trap_frame::EFLAGS)), rax)?;
        k.a.mov(rax, qword_ptr(at(k, context::RSP)))?;
        k.a.mov(qword_ptr(field(trap_frame::RSP)), rax)?;
        // IRETQ to an address that is not canonical would fault in the kernel; made canonical, it faults in ring 3.
        k.a.mov(rax, qword_ptr(at(k, context::RIP)))?;
        k.a.shl(rax, 16)?;
        k.a.sar(rax, 16)?;
        k.a.mov(qword_ptr(field(trap_frame::RIP)), rax)?;
        k.a.mov(word_ptr(field(trap_frame::SEG_CS)), selector::R3_CODE)?;
        k.a.mov(word_ptr(field(trap_frame::SEG_SS)), selector::R3_DATA)
    })?;
    part(k, context::INTEGER, |k| {
        for (from, to) in INTEGER {
            k.a.mov(rax, qword_ptr(at(k, from)))?;
            k.a.mov(qword_ptr(field(to)), rax)?;
        }
        for index in 0..KEPT {
            k.a.mov(rax, qword_ptr(at(k, context::R12 + 8 * index)))?;
            k.a.mov(qword_ptr(r12 + (exception_frame::R12 + 8 * index)), rax)?;
        }
        Ok(())
    })?;
    part(k, context::FLOATING_POINT, |k| {
        k.a.mov(eax, dword_ptr(at(k, context::MXCSR)))?;
        // Any other bit would be a fault in the kernel.
        k.a.and(eax, k.var32(kernel::MXCSR_MASK))?;
        k.a.mov(dword_ptr(field(trap_frame::MXCSR)), eax)?;
        for (from, to) in xmm_in_frames() {
            k.a.movups(xmm0, xmmword_ptr(at(k, from)))?;
            k.a.movups(xmmword_ptr(to), xmm0)?;
        }
        Ok(())
    })?;
    part(k, context::DEBUG, debug_part)?;
    k.a.ret()
}

/// Emits what is done if the context has a part.
fn part(k: &mut KernelAsm<'_>, flag: u32, emit: impl FnOnce(&mut KernelAsm<'_>) -> Asm) -> Asm {
    let skip = &mut k.a.create_label();
    k.a.test(dword_ptr(at(k, context::FLAGS)), flag)?;
    k.a.je(*skip)?;
    emit(k)?;
    k.a.set_label(skip)?;
    k.a.nop()
}

/// The debug registers, and with them whether the thread is being debugged. Breakpoints lie in ring 3's memory.
fn debug_part(k: &mut KernelAsm<'_>) -> Asm {
    let passive = &mut k.a.create_label();
    for index in 0..4 {
        let user = &mut k.a.create_label();
        k.a.mov(rax, qword_ptr(at(k, context::DR0 + 8 * index)))?;
        k.a.cmp(rax, k.var(kernel::USER_PROBE_ADDRESS))?;
        k.a.jb(*user)?;
        k.a.xor(eax, eax)?;
        k.a.set_label(user)?;
        k.a.mov(qword_ptr(field(trap_frame::DR0 + 8 * index)), rax)?;
    }
    k.a.mov(eax, dword_ptr(at(k, context::DR6)))?;
    // The bits that tell what matched: B0 to B3, BS, BT.
    k.a.and(eax, 0xE00F)?;
    k.a.mov(qword_ptr(field(trap_frame::DR6)), rax)?;
    k.a.mov(eax, dword_ptr(at(k, context::DR7)))?;
    k.a.and(eax, context::USER_DR7)?;
    k.a.xor(ecx, ecx)?;
    k.a.test(eax, context::ACTIVE_DR7)?;
    k.a.mov(edx, 0)?;
    k.a.cmove(eax, edx)?;
    k.a.je(*passive)?;
    k.a.inc(ecx)?;
    k.a.set_label(passive)?;
    k.a.mov(qword_ptr(field(trap_frame::DR7)), rax)?;
    k.a.mov(rdx, qword_ptr(kpcr::CURRENT_THREAD).gs())?;
    k.a.and(byte_ptr(rdx + dispatcher_header::DEBUG_ACTIVE), !1)?;
    k.a.or(byte_ptr(rdx + dispatcher_header::DEBUG_ACTIVE), cl)
}

/// NtgateTakeContext: RBP into the frame of the call, the context at RCX in the buffer; EAX = status. RCX, RDX, RSI and RDI are
/// used up.
fn take_context(k: &mut KernelAsm<'_>) -> Asm {
    let from_user = &mut k.a.create_label();
    let aligned = &mut k.a.create_label();
    k.begin(Routine::NtgateTakeContext)?;
    k.a.mov(rdx, qword_ptr(kpcr::CURRENT_THREAD).gs())?;
    k.a.mov(rbp, qword_ptr(rdx + k.profile.thread.trap_frame))?;
    k.a.add(rbp, trap_frame::RBP_BIAS as i32)?;
    k.a.test(byte_ptr(field(trap_frame::SEG_CS)), selector::MODE_MASK as i32)?;
    k.a.jne(*from_user)?;
    // A context of ring 0 would be a jump within the kernel, for which nothing here has a use.
    k.a.mov(eax, status::NOT_IMPLEMENTED)?;
    k.a.ret()?;
    k.a.set_label(from_user)?;
    k.a.test(cl, 0xF)?;
    k.a.je(*aligned)?;
    k.a.mov(eax, status::DATATYPE_MISALIGNMENT)?;
    k.a.ret()?;
    k.a.set_label(aligned)?;
    k.a.mov(rsi, rcx)?;
    k.lea_data(rdi, kernel::CONTEXT)?;
    k.a.mov(ecx, context::SIZE)?;
    k.jmp(Routine::KiCopyFromUser)
}

/// NtgateCompleteFrame: what the way in of a system call did not save is zero in its frame, so that nothing of the kernel's can
/// get into a context. RBP into the frame. RAX and XMM0 are used up.
fn complete_frame(k: &mut KernelAsm<'_>) -> Asm {
    k.begin(Routine::NtgateCompleteFrame)?;
    k.a.xor(eax, eax)?;
    for offset in [trap_frame::RCX, trap_frame::RDX, trap_frame::R8, trap_frame::R9, trap_frame::R10, trap_frame::R11] {
        k.a.mov(qword_ptr(field(offset)), rax)?;
    }
    k.a.pxor(xmm0, xmm0)?;
    for index in 0..6 {
        k.a.movups(xmmword_ptr(field(trap_frame::XMM0 + 16 * index)), xmm0)?;
    }
    k.a.ret()
}

/// Registers of the caller that the two services use before they know whether they return.
const PUSHED: [AsmRegister64; 4] = [rbx, rbp, rsi, rdi];

/// The buffer's context is in the frames: RBP into the trap frame, R12 = RSP = exception frame. ReactOS unlinks the frame of a
/// call that it leaves.
fn replace_frames(k: &mut KernelAsm<'_>) -> Asm {
    let linked = &mut k.a.create_label();
    k.call(Routine::NtgateCompleteFrame)?;
    generate_exception_frame(k)?;
    k.a.mov(r12, rsp)?;
    k.call(Routine::KeContextToTrapFrame)?;
    k.a.cmp(byte_ptr(field(trap_frame::LOGGING)), trap_frame::BY_SYSTEM_CALL_ENTRY as i32)?;
    k.a.jne(*linked)?;
    k.a.mov(rcx, qword_ptr(kpcr::CURRENT_THREAD).gs())?;
    k.a.mov(rax, qword_ptr(field(trap_frame::TRAP_FRAME)))?;
    k.a.mov(qword_ptr(rcx + k.profile.thread.trap_frame), rax)?;
    k.a.set_label(linked)?;
    k.a.nop()
}

/// NtContinue(Context, TestAlert): goes on in ring 3 as the context says, with IRETQ, as SYSRET could not load all of it. A bad
/// pointer is the only way to return.
fn continue_service(k: &mut KernelAsm<'_>) -> Asm {
    let good = &mut k.a.create_label();
    let done = &mut k.a.create_label();
    k.begin(Routine::NtContinue)?;
    for register in PUSHED {
        k.a.push(register)?;
    }
    k.a.mov(rbx, rdx)?;
    k.call(Routine::NtgateTakeContext)?;
    k.a.test(eax, eax)?;
    k.a.je(*good)?;
    for register in PUSHED.into_iter().rev() {
        k.a.pop(register)?;
    }
    k.a.ret()?;
    k.a.set_label(good)?;
    replace_frames(k)?;
    k.a.test(bl, bl)?;
    k.a.je(*done)?;
    k.call(Routine::KeTestAlertThread)?;
    k.a.set_label(done)?;
    restore_exception_frame(k)?;
    k.jmp(Routine::KiTrapExit)
}

/// NtRaiseException(ExceptionRecord, Context, FirstChance): the exception is raised where the context says. One that had its
/// chance ends the program.
fn raise_exception(k: &mut KernelAsm<'_>) -> Asm {
    let failed = &mut k.a.create_label();
    let fits = &mut k.a.create_label();
    let record = |k: &KernelAsm<'_>, offset: u32| k.var32(kernel::EXCEPTION_RECORD + offset);
    k.begin(Routine::NtRaiseException)?;
    for register in PUSHED {
        k.a.push(register)?;
    }
    k.a.push(r8)?;
    k.a.push(rdx)?;
    k.a.mov(rbx, rcx)?;
    k.a.mov(rsi, rcx)?;
    k.lea_data(rdi, kernel::EXCEPTION_RECORD)?;
    k.a.mov(ecx, exception_record::PARAMETERS)?;
    k.call(Routine::KiCopyFromUser)?;
    k.a.test(eax, eax)?;
    k.a.jne(*failed)?;
    k.a.mov(ecx, record(k, exception_record::PARAMETER_COUNT))?;
    k.a.cmp(ecx, exception_record::MAX_PARAMETERS)?;
    k.a.jbe(*fits)?;
    k.a.mov(eax, status::INVALID_PARAMETER)?;
    k.a.jmp(*failed)?;
    k.a.set_label(fits)?;
    k.a.lea(rsi, rbx + exception_record::PARAMETERS)?;
    k.lea_data(rdi, kernel::EXCEPTION_RECORD + exception_record::PARAMETERS)?;
    k.a.shl(ecx, 3)?;
    k.call(Routine::KiCopyFromUser)?;
    k.a.test(eax, eax)?;
    k.a.jne(*failed)?;
    k.a.mov(rcx, qword_ptr(rsp))?;
    k.a.mov(rbx, qword_ptr(rsp + 8))?;
    k.call(Routine::NtgateTakeContext)?;
    k.a.test(eax, eax)?;
    k.a.jne(*failed)?;
    replace_frames(k)?;
    k.a.test(bl, bl)?;
    k.je(Routine::KiUnhandledException)?;
    k.call(Routine::KiDispatchException)?;
    restore_exception_frame(k)?;
    k.jmp(Routine::KiTrapExit)?;

    k.a.set_label(failed)?;
    k.a.add(rsp, 16)?;
    for register in PUSHED.into_iter().rev() {
        k.a.pop(register)?;
    }
    k.a.ret()
}
