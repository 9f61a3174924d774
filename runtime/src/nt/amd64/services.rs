//! The small services: `int 2Dh`, and the system services that the kernel implements itself when a session runs.

use iced_x86::code_asm::{
    al, byte_ptr, dword_ptr, dx, eax, ebx, ecx, edx, qword_ptr, r8, r9d, r10, rax, rbx, rcx, rdi, rsi,
};

use super::assembly::{Asm, KernelAsm, Routine};
use super::bugcheck::leave;
use super::data::{kernel, request};
use super::entry::field;
use super::layout::{kpcr, port, selector, trap_frame};
use super::report::print_literal;

/// The routine of a service that the kernel implements in a session.
pub(crate) fn builtin(name: &str) -> Option<Routine> {
    Some(match name {
        "NtCallbackReturn" => Routine::NtCallbackReturn,
        "NtContinue" => Routine::NtContinue,
        "NtQueueApcThread" => Routine::NtQueueApcThread,
        "NtRaiseException" => Routine::NtRaiseException,
        "NtSetInformationProcess" => Routine::NtSetInformationProcess,
        "NtTerminateProcess" => Routine::NtTerminateProcess,
        "NtTestAlert" => Routine::NtTestAlert,
        _ => return None,
    })
}

/// What a debugger can be asked for by `int 2Dh` (`BREAKPOINT_PRINT`, ReactOS `sdk/include/reactos/wine/debug.h`): RCX = text,
/// EDX = its length.
const BREAKPOINT_PRINT: u32 = 1;

/// `ProcessInstrumentationCallback` (phnt, `ntpsapi.h`).
const INSTRUMENTATION_CALLBACK: i32 = 40;

/// `STATUS_INVALID_INFO_CLASS`.
const INVALID_INFO_CLASS: u32 = 0xC000_0003;

/// `STATUS_INFO_LENGTH_MISMATCH`.
const INFO_LENGTH_MISMATCH: u32 = 0xC000_0004;

/// Emits all of this file.
pub(crate) fn emit(k: &mut KernelAsm<'_>) -> Asm {
    debug_service(k)?;
    debug_print(k)?;
    dump(k)?;
    set_information(k)?;
    terminate(k)
}

/// `int 2Dh`, of both rings. RBP into the frame.
fn debug_service(k: &mut KernelAsm<'_>) -> Asm {
    k.begin(Routine::KiDebugServiceHandler)?;
    // Compilers put an `int 3` behind `int 2Dh`; it is skipped.
    k.a.inc(qword_ptr(field(trap_frame::RIP)))?;
    k.a.mov(eax, dword_ptr(field(trap_frame::RAX)))?;
    for (service, routine) in [
        (request::REPORT, Routine::NtgateReport),
        (request::NEXT_SET, Routine::NtgateNextSet),
        (request::DUMP, Routine::NtgateDump),
        (BREAKPOINT_PRINT, Routine::KiDebugPrint),
    ] {
        k.a.cmp(eax, service)?;
        k.je(routine)?;
    }
    // No debugger is there to prompt or to load symbols: the breakpoint is ring 3's own.
    k.a.dec(qword_ptr(field(trap_frame::RIP)))?;
    k.a.test(byte_ptr(field(trap_frame::SEG_CS)), selector::MODE_MASK as i32)?;
    k.je(Routine::KeBugCheck)?;
    k.a.cmp(k.var32(kernel::PROOF), 0)?;
    k.jne(Routine::KiUserFault)?;
    k.jmp(Routine::KiUserException)
}

/// DbgPrint: the text goes to the log, a byte at a time, as far as ring 3 has it.
fn debug_print(k: &mut KernelAsm<'_>) -> Asm {
    let next = &mut k.a.create_label();
    let in_kernel = &mut k.a.create_label();
    let write = &mut k.a.create_label();
    let done = &mut k.a.create_label();
    k.begin(Routine::KiDebugPrint)?;
    k.a.mov(rbx, qword_ptr(field(trap_frame::RCX)))?;
    k.a.movzx(edx, iced_x86::code_asm::word_ptr(field(trap_frame::RDX)))?;
    k.a.set_label(next)?;
    k.a.xor(eax, eax)?;
    k.a.test(edx, edx)?;
    k.a.je(*done)?;
    k.a.dec(edx)?;
    k.a.test(byte_ptr(field(trap_frame::SEG_CS)), selector::MODE_MASK as i32)?;
    k.a.je(*in_kernel)?;
    k.a.mov(rsi, rbx)?;
    k.lea_data(rdi, kernel::SCRATCH)?;
    k.a.mov(ecx, 1)?;
    k.call(Routine::KiCopyFromUser)?;
    k.a.test(eax, eax)?;
    k.a.jne(*done)?;
    k.a.mov(eax, k.var32(kernel::SCRATCH))?;
    k.a.jmp(*write)?;
    k.a.set_label(in_kernel)?;
    k.a.movzx(eax, byte_ptr(rbx))?;
    k.a.set_label(write)?;
    k.a.out(port::DEBUG_CONSOLE, al)?;
    k.a.inc(rbx)?;
    k.a.jmp(*next)?;
    k.a.set_label(done)?;
    k.a.mov(qword_ptr(field(trap_frame::RAX)), rax)?;
    k.jmp(Routine::KiTrapExit)
}

/// `d` and EDX qwords from RCX on: how a program of ring 3 shows what it found. Only a program of ours asks for it, so the
/// pointer is believed.
fn dump(k: &mut KernelAsm<'_>) -> Asm {
    k.begin(Routine::NtgateDump)?;
    k.a.mov(dx, port::DEBUG_CONSOLE)?;
    k.a.mov(al, b'd' as u32)?;
    k.a.out(dx, al)?;
    k.a.mov(rsi, qword_ptr(field(trap_frame::RCX)))?;
    k.a.mov(ebx, dword_ptr(field(trap_frame::RDX)))?;
    k.call(Routine::NtgatePrintQwords)?;
    k.jmp(Routine::KiTrapExit)
}

/// NtSetInformationProcess(Process, Class, Information, Length), for the instrumentation callback of the current process: the
/// address alone, as Windows 7 has it, or behind a version, as Windows 10 has it.
fn set_information(k: &mut KernelAsm<'_>) -> Asm {
    let known = &mut k.a.create_label();
    let bare = &mut k.a.create_label();
    let versioned = &mut k.a.create_label();
    let done = &mut k.a.create_label();
    let thread = k.profile.thread;
    k.begin(Routine::NtSetInformationProcess)?;
    if k.profile.has_instrumentation {
        k.a.cmp(edx, INSTRUMENTATION_CALLBACK)?;
        k.a.je(*known)?;
    }
    k.a.mov(eax, INVALID_INFO_CLASS)?;
    k.a.ret()?;
    k.a.set_label(known)?;
    k.a.cmp(r9d, 8)?;
    k.a.je(*bare)?;
    k.a.cmp(r9d, 16)?;
    k.a.je(*versioned)?;
    k.a.mov(eax, INFO_LENGTH_MISMATCH)?;
    k.a.ret()?;
    k.a.set_label(versioned)?;
    k.a.add(r8, 8)?;
    k.a.set_label(bare)?;
    k.a.push(rsi)?;
    k.a.push(rdi)?;
    k.a.mov(rsi, r8)?;
    k.lea_data(rdi, kernel::SCRATCH)?;
    k.a.mov(ecx, 8)?;
    k.call(Routine::KiCopyFromUser)?;
    k.a.pop(rdi)?;
    k.a.pop(rsi)?;
    k.a.test(eax, eax)?;
    k.a.jne(*done)?;
    k.a.mov(rcx, k.var(kernel::SCRATCH))?;
    k.a.mov(r10, qword_ptr(kpcr::CURRENT_THREAD).gs())?;
    k.a.mov(r10, qword_ptr(r10 + thread.process))?;
    k.a.mov(qword_ptr(r10 + thread.instrumentation_callback), rcx)?;
    k.a.set_label(done)?;
    k.a.ret()
}

/// NtTerminateProcess(Process, Status): `exit status`, and the run is over.
fn terminate(k: &mut KernelAsm<'_>) -> Asm {
    k.begin(Routine::NtTerminateProcess)?;
    k.a.mov(ebx, edx)?;
    print_literal(k, "exit ")?;
    k.a.mov(eax, ebx)?;
    k.call(Routine::NtgatePrintHex)?;
    print_literal(k, "\n")?;
    k.a.xor(eax, eax)?;
    leave(k)
}
