//! `CONTEXT` and trap frame: each made from the other, and the services that give a thread another context.
//!
//! There is one buffer for a context in the kernel's data: there is one thread, and nothing interrupts it between the two
//! uses of it.

use iced_x86::code_asm::{
    AsmRegister32, ax, byte_ptr, cl, dword_ptr, eax, ebp, ebx, ecx, edi, edx, esi, esp, word_ptr,
};

use super::assembly::{Asm, KernelAsm, Routine};
use super::data::kernel;
use super::layout::{eflags, exception_record, kpcr, selector, status, trap_frame, user_context as context};

/// General registers, as offsets in the context and in the frame.
const INTEGER: [(u32, u32); 6] = [
    (context::EDI, trap_frame::EDI),
    (context::ESI, trap_frame::ESI),
    (context::EBX, trap_frame::EBX),
    (context::EDX, trap_frame::EDX),
    (context::ECX, trap_frame::ECX),
    (context::EAX, trap_frame::EAX),
];

/// What every frame from ring 3 has of the control part.
const CONTROL: [(u32, u32); 4] = [
    (context::EBP, trap_frame::EBP),
    (context::EIP, trap_frame::EIP),
    (context::EFLAGS, trap_frame::EFLAGS),
    (context::ESP, trap_frame::HARDWARE_ESP),
];

/// Selectors, of which 16 bits count.
const SELECTORS: [(u32, u32); 6] = [
    (context::SEG_CS, trap_frame::SEG_CS),
    (context::SEG_SS, trap_frame::HARDWARE_SEG_SS),
    (context::SEG_GS, trap_frame::SEG_GS),
    (context::SEG_FS, trap_frame::SEG_FS),
    (context::SEG_ES, trap_frame::SEG_ES),
    (context::SEG_DS, trap_frame::SEG_DS),
];

/// Emits all of this file.
pub(crate) fn emit(k: &mut KernelAsm<'_>) -> Asm {
    from_frame(k)?;
    to_frame(k)?;
    continue_service(k)?;
    raise_exception(k)?;
    service_exit_2(k)
}

/// KeTrapFrameToContext: the frame of ring 3 at EBP becomes the context in the kernel's buffer. EAX and ECX are used up.
fn from_frame(k: &mut KernelAsm<'_>) -> Asm {
    let field = |k: &KernelAsm<'_>, offset: u32| k.var(kernel::CONTEXT + offset);
    k.begin(Routine::KeTrapFrameToContext)?;
    k.a.mov(field(k, context::FLAGS), context::ALL)?;
    for (to, from) in INTEGER.into_iter().chain(CONTROL) {
        k.a.mov(eax, dword_ptr(ebp + from))?;
        k.a.mov(field(k, to), eax)?;
    }
    for (to, from) in SELECTORS {
        k.a.movzx(eax, word_ptr(ebp + from))?;
        k.a.mov(field(k, to), eax)?;
    }
    // Emulators differ in the RF that they save for faults.
    k.a.and(field(k, context::EFLAGS), !eflags::RF)?;
    for index in 0..6 {
        let skip = &mut k.a.create_label();
        k.a.xor(eax, eax)?;
        k.a.test(dword_ptr(ebp + trap_frame::DR7), !trap_frame::DR7_RESERVED)?;
        k.a.je(*skip)?;
        k.a.mov(eax, dword_ptr(ebp + trap_frame::DR0 + 4 * index))?;
        k.a.set_label(skip)?;
        k.a.mov(field(k, context::DR0 + 4 * index), eax)?;
    }
    k.a.ret()
}

/// KeContextToTrapFrame: the buffer's context goes into the frame of ring 3 at EBP, as far as its flags say. Nothing that
/// ring 3 could not have itself gets in: it keeps its code and stack segment, IF is set and IOPL clear, and selectors that it
/// may not load become null. EAX, ECX and EDX are used up.
fn to_frame(k: &mut KernelAsm<'_>) -> Asm {
    let field = |k: &KernelAsm<'_>, offset: u32| k.var(kernel::CONTEXT + offset);
    k.begin(Routine::KeContextToTrapFrame)?;
    part(k, context::CONTROL, |k| {
        for (from, to) in CONTROL {
            k.a.mov(eax, field(k, from))?;
            if to == trap_frame::EFLAGS {
                k.a.and(eax, context::USER_EFLAGS)?;
                k.a.or(eax, eflags::IF)?;
            }
            k.a.mov(dword_ptr(ebp + to), eax)?;
        }
        k.a.mov(dword_ptr(ebp + trap_frame::SEG_CS), selector::R3_CODE)?;
        k.a.mov(dword_ptr(ebp + trap_frame::HARDWARE_SEG_SS), selector::R3_DATA)
    })?;
    part(k, context::INTEGER, |k| {
        for (from, to) in INTEGER {
            k.a.mov(eax, field(k, from))?;
            k.a.mov(dword_ptr(ebp + to), eax)?;
        }
        Ok(())
    })?;
    part(k, context::SEGMENTS, |k| {
        for (from, to) in SELECTORS.into_iter().skip(3) {
            let readable = &mut k.a.create_label();
            k.a.movzx(eax, word_ptr(k.data(kernel::CONTEXT + from)))?;
            k.a.or(eax, selector::R3_CODE & 3)?;
            k.a.verr(ax)?;
            k.a.je(*readable)?;
            k.a.xor(eax, eax)?;
            k.a.set_label(readable)?;
            k.a.mov(dword_ptr(ebp + to), eax)?;
        }
        k.a.and(dword_ptr(ebp + trap_frame::SEG_GS), 0)
    })?;
    part(k, context::DEBUG, debug_part)?;
    k.a.ret()
}

/// Emits what is done if the context has a part.
fn part(k: &mut KernelAsm<'_>, flag: u32, emit: impl FnOnce(&mut KernelAsm<'_>) -> Asm) -> Asm {
    let skip = &mut k.a.create_label();
    k.a.test(k.var(kernel::CONTEXT + context::FLAGS), flag)?;
    k.a.je(*skip)?;
    emit(k)?;
    k.a.set_label(skip)?;
    k.a.nop()
}

/// The debug registers, and with them whether the thread is being debugged. Breakpoints lie in ring 3's memory.
fn debug_part(k: &mut KernelAsm<'_>) -> Asm {
    let active = &mut k.a.create_label();
    let probe = k.var(kernel::USER_PROBE_ADDRESS);
    for index in 0..4 {
        let user = &mut k.a.create_label();
        k.a.mov(eax, k.var(kernel::CONTEXT + context::DR0 + 4 * index))?;
        k.a.cmp(eax, probe)?;
        k.a.jb(*user)?;
        k.a.xor(eax, eax)?;
        k.a.set_label(user)?;
        k.a.mov(dword_ptr(ebp + trap_frame::DR0 + 4 * index), eax)?;
    }
    k.a.mov(eax, k.var(kernel::CONTEXT + context::DR6))?;
    // The bits that tell what matched: B0 to B3, BS, BT.
    k.a.and(eax, 0xE00F)?;
    k.a.mov(dword_ptr(ebp + trap_frame::DR6), eax)?;
    k.a.mov(eax, k.var(kernel::CONTEXT + context::DR7))?;
    k.a.and(eax, context::USER_DR7)?;
    k.a.mov(dword_ptr(ebp + trap_frame::DR7), eax)?;
    k.a.mov(edx, dword_ptr(kpcr::CURRENT_THREAD).fs())?;
    k.a.xor(ecx, ecx)?;
    k.a.test(eax, context::ACTIVE_DR7)?;
    k.a.je(*active)?;
    k.a.inc(ecx)?;
    k.a.set_label(active)?;
    k.a.mov(byte_ptr(edx + k.profile.thread.debug_active), cl)
}

/// Copies `size` bytes of ring 3 at `from` to the kernel's data at `to`, and leaves the service at EBP if that fails.
fn fetch(k: &mut KernelAsm<'_>, from: AsmRegister32, to: u32, size: u32) -> Asm {
    let good = &mut k.a.create_label();
    k.a.mov(esi, from)?;
    k.a.mov(edi, k.data(to))?;
    k.a.mov(ecx, size)?;
    k.call(Routine::KiCopyFromUser)?;
    k.a.test(eax, eax)?;
    k.a.je(*good)?;
    k.jmp(Routine::KiSystemServiceReturn)?;
    k.a.set_label(good)?;
    k.a.nop()
}

/// What both services begin with: ring 3 only, the context fetched and in the frame, the service itself forgotten. EBP =
/// frame of the call; the context's address is in EDX. EBX stays.
fn take_context(k: &mut KernelAsm<'_>) -> Asm {
    let from_user = &mut k.a.create_label();
    k.a.test(byte_ptr(ebp + trap_frame::SEG_CS), selector::MODE_MASK)?;
    k.a.jne(*from_user)?;
    // A context of ring 0 would be a jump within the kernel, for which nothing here has a use.
    k.a.mov(eax, status::NOT_IMPLEMENTED)?;
    k.jmp(Routine::KiSystemServiceReturn)?;
    k.a.set_label(from_user)?;
    fetch(k, edx, kernel::CONTEXT, context::SIZE)
}

/// Forgets the call: its frame is no longer the thread's. ECX is used up.
fn unlink(k: &mut KernelAsm<'_>) -> Asm {
    k.a.mov(esp, ebp)?;
    k.a.mov(eax, dword_ptr(ebp + trap_frame::EDX))?;
    k.a.mov(ecx, dword_ptr(kpcr::CURRENT_THREAD).fs())?;
    k.a.mov(dword_ptr(ecx + k.profile.thread.trap_frame), eax)?;
    k.a.mov(eax, dword_ptr(ebp + trap_frame::EXCEPTION_LIST))?;
    k.a.mov(dword_ptr(kpcr::EXCEPTION_LIST).fs(), eax)
}

/// NtContinue(Context, TestAlert): goes on in ring 3 as the context says. A bad pointer is the only way to return.
fn continue_service(k: &mut KernelAsm<'_>) -> Asm {
    let done = &mut k.a.create_label();
    k.begin(Routine::NtContinue)?;
    k.a.mov(edx, dword_ptr(esp + 4))?;
    k.a.mov(ebx, dword_ptr(esp + 8))?;
    take_context(k)?;
    unlink(k)?;
    k.call(Routine::KeContextToTrapFrame)?;
    k.a.test(ebx, 0xFF)?;
    k.a.je(*done)?;
    k.call(Routine::KeTestAlertThread)?;
    k.a.set_label(done)?;
    k.jmp(Routine::KiServiceExit2)
}

/// NtRaiseException(ExceptionRecord, Context, FirstChance): the exception is raised where the context says. One that had its
/// chance ends the program.
fn raise_exception(k: &mut KernelAsm<'_>) -> Asm {
    let fits = &mut k.a.create_label();
    k.begin(Routine::NtRaiseException)?;
    k.a.mov(edx, dword_ptr(esp + 4))?;
    k.a.push(dword_ptr(esp + 8))?;
    k.a.mov(ebx, dword_ptr(esp + 0x10))?;
    fetch(k, edx, kernel::EXCEPTION_RECORD, exception_record::PARAMETERS)?;
    let count = k.var(kernel::EXCEPTION_RECORD + exception_record::PARAMETER_COUNT);
    k.a.cmp(count, exception_record::MAX_PARAMETERS)?;
    k.a.jbe(*fits)?;
    k.a.mov(eax, status::INVALID_PARAMETER)?;
    k.jmp(Routine::KiSystemServiceReturn)?;
    k.a.set_label(fits)?;
    let good = &mut k.a.create_label();
    k.a.mov(esi, dword_ptr(esp + 8))?;
    k.a.add(esi, exception_record::PARAMETERS)?;
    k.a.mov(edi, k.data(kernel::EXCEPTION_RECORD + exception_record::PARAMETERS))?;
    k.a.mov(ecx, count)?;
    k.a.shl(ecx, 2)?;
    k.call(Routine::KiCopyFromUser)?;
    k.a.test(eax, eax)?;
    k.a.je(*good)?;
    k.jmp(Routine::KiSystemServiceReturn)?;
    k.a.set_label(good)?;
    k.a.pop(edx)?;
    take_context(k)?;
    unlink(k)?;
    k.call(Routine::KeContextToTrapFrame)?;
    k.a.test(ebx, 0xFF)?;
    k.je(Routine::KiUnhandledException)?;
    k.call(Routine::KiDispatchException)?;
    k.jmp(Routine::KiServiceExit2)
}

/// KiServiceExit2: a service's frame was replaced, so everything comes back from it, EAX too. EBP = frame.
fn service_exit_2(k: &mut KernelAsm<'_>) -> Asm {
    k.begin(Routine::KiServiceExit2)?;
    k.a.cli()?;
    k.a.mov(ecx, dword_ptr(ebp + trap_frame::PREVIOUS_PREVIOUS_MODE))?;
    k.a.mov(esi, dword_ptr(kpcr::CURRENT_THREAD).fs())?;
    k.a.mov(byte_ptr(esi + k.profile.thread.previous_mode), cl)?;
    k.jmp(Routine::Kei386EoiHelper)
}
