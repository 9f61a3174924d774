//! The small services: the vectors 2Ah to 2Dh, and the system services that the kernel implements itself when a session
//! runs.

use iced_x86::code_asm::{al, byte_ptr, dword_ptr, dx, eax, ebp, ebx, ecx, edi, edx, esi, esp, word_ptr};

use super::assembly::{Asm, KernelAsm, Routine};
use super::bugcheck::leave;
use super::data::{kernel, request};
use super::layout::{port, selector, shared, status, trap_frame, vector};
use super::report::print_literal;

/// The routine of a service that the kernel implements in a session.
pub(crate) fn builtin(name: &str) -> Option<Routine> {
    Some(match name {
        "NtCallbackReturn" => Routine::NtCallbackReturn,
        "NtContinue" => Routine::NtContinue,
        "NtQueueApcThread" => Routine::NtQueueApcThread,
        "NtRaiseException" => Routine::NtRaiseException,
        "NtTerminateProcess" => Routine::NtTerminateProcess,
        "NtTestAlert" => Routine::NtTestAlert,
        _ => return None,
    })
}

/// What a debugger can be asked for by `int 2Dh` (`BREAKPOINT_PRINT`, ReactOS `sdk/include/reactos/wine/debug.h` and
/// `ntoskrnl/ke/i386/traphdlr.c`): ECX = text, EDX = its length.
const BREAKPOINT_PRINT: u32 = 1;

/// Emits all of this file.
pub(crate) fn emit(k: &mut KernelAsm<'_>) -> Asm {
    tick_count(k)?;
    callback_return(k)?;
    event_pair(k)?;
    debug_service(k)?;
    debug_print(k)?;
    dump(k)?;
    terminate(k)
}

/// `int 2Ah`: EAX = milliseconds since the start.
fn tick_count(k: &mut KernelAsm<'_>) -> Asm {
    k.begin(Routine::KiGetTickCountHandler)?;
    let field = if k.profile.counts_ticks_at_320() { shared::TICK_COUNT } else { shared::TICK_COUNT_LOW };
    k.a.mov(eax, dword_ptr(k.profile.shared_kernel + field))?;
    k.a.mul(dword_ptr(k.profile.shared_kernel + shared::TICK_COUNT_MULTIPLIER))?;
    k.a.shrd(eax, edx, 24)?;
    k.a.mov(dword_ptr(ebp + trap_frame::EAX), eax)?;
    k.jmp(Routine::Kei386EoiHelper)
}

/// `int 2Bh`: NtCallbackReturn(ECX, EDX, EAX). It comes back only if there is no callback.
fn callback_return(k: &mut KernelAsm<'_>) -> Asm {
    k.begin(Routine::KiCallbackReturnHandler)?;
    k.a.push(dword_ptr(ebp + trap_frame::EAX))?;
    k.a.push(dword_ptr(ebp + trap_frame::EDX))?;
    k.a.push(dword_ptr(ebp + trap_frame::ECX))?;
    k.call(Routine::NtCallbackReturn)?;
    k.a.mov(dword_ptr(ebp + trap_frame::EAX), eax)?;
    k.jmp(Routine::Kei386EoiHelper)
}

/// `int 2Ch` before Server 2003: for a thread without an event pair.
fn event_pair(k: &mut KernelAsm<'_>) -> Asm {
    k.begin(Routine::KiSetLowWaitHighThreadHandler)?;
    k.a.mov(dword_ptr(ebp + trap_frame::EAX), status::NO_EVENT_PAIR)?;
    k.jmp(Routine::Kei386EoiHelper)
}

/// `int 2Dh`, of both rings.
fn debug_service(k: &mut KernelAsm<'_>) -> Asm {
    k.begin(Routine::KiDebugServiceHandler)?;
    // Compilers put an `int 3` behind `int 2Dh`; it is skipped.
    k.a.inc(dword_ptr(ebp + trap_frame::EIP))?;
    k.a.mov(eax, dword_ptr(ebp + trap_frame::EAX))?;
    let session = &mut k.a.create_label();
    k.a.cmp(k.var(kernel::PROOF), 0)?;
    k.a.je(*session)?;
    for (service, routine) in [(request::REPORT, Routine::NtgateReport), (request::NEXT_SET, Routine::NtgateNextSet)] {
        k.a.cmp(eax, service)?;
        k.je(routine)?;
    }
    // The program of a session is a stranger: what only the harness may ask for is no service to it.
    k.a.set_label(session)?;
    k.a.cmp(eax, request::DUMP)?;
    k.je(Routine::NtgateDump)?;
    k.a.cmp(eax, BREAKPOINT_PRINT)?;
    k.je(Routine::KiDebugPrint)?;
    // No debugger is there to prompt or to load symbols: the breakpoint is ring 3's own.
    k.a.dec(dword_ptr(ebp + trap_frame::EIP))?;
    k.a.mov(ebx, vector::DEBUG_SERVICE)?;
    k.a.test(byte_ptr(ebp + trap_frame::SEG_CS), selector::MODE_MASK)?;
    k.je(Routine::KeBugCheck)?;
    k.a.cmp(k.var(kernel::PROOF), 0)?;
    k.jne(Routine::KiUserFault)?;
    k.jmp(Routine::KiUserException)
}

/// DbgPrint: the text goes to the log, a byte at a time, as far as ring 3 has it.
fn debug_print(k: &mut KernelAsm<'_>) -> Asm {
    let next = &mut k.a.create_label();
    let kernel_text = &mut k.a.create_label();
    let write = &mut k.a.create_label();
    let done = &mut k.a.create_label();
    k.begin(Routine::KiDebugPrint)?;
    k.a.mov(ebx, dword_ptr(ebp + trap_frame::ECX))?;
    k.a.movzx(edx, word_ptr(ebp + trap_frame::EDX))?;
    k.a.set_label(next)?;
    k.a.xor(eax, eax)?;
    k.a.test(edx, edx)?;
    k.a.je(*done)?;
    k.a.dec(edx)?;
    k.a.test(byte_ptr(ebp + trap_frame::SEG_CS), selector::MODE_MASK)?;
    k.a.je(*kernel_text)?;
    k.a.mov(esi, ebx)?;
    k.a.mov(edi, k.data(kernel::SCRATCH))?;
    k.a.mov(ecx, 1)?;
    k.call(Routine::KiCopyFromUser)?;
    k.a.test(eax, eax)?;
    k.a.jne(*done)?;
    k.a.mov(eax, k.var(kernel::SCRATCH))?;
    k.a.jmp(*write)?;
    k.a.set_label(kernel_text)?;
    k.a.movzx(eax, byte_ptr(ebx))?;
    k.a.set_label(write)?;
    k.a.out(port::DEBUG_CONSOLE, al)?;
    k.a.inc(ebx)?;
    k.a.jmp(*next)?;
    k.a.set_label(done)?;
    k.a.mov(dword_ptr(ebp + trap_frame::EAX), eax)?;
    k.jmp(Routine::Kei386EoiHelper)
}

/// `d` and EDX dwords from ECX on, as far as ring 3 has them: how a program shows what it found. EAX = status.
fn dump(k: &mut KernelAsm<'_>) -> Asm {
    let next = &mut k.a.create_label();
    let done = &mut k.a.create_label();
    k.begin(Routine::NtgateDump)?;
    k.a.mov(dx, port::DEBUG_CONSOLE)?;
    k.a.mov(al, b'd' as u32)?;
    k.a.out(dx, al)?;
    k.a.mov(esi, dword_ptr(ebp + trap_frame::ECX))?;
    k.a.mov(ebx, dword_ptr(ebp + trap_frame::EDX))?;
    k.a.set_label(next)?;
    k.a.xor(eax, eax)?;
    k.a.test(ebx, ebx)?;
    k.a.je(*done)?;
    k.a.dec(ebx)?;
    k.a.push(esi)?;
    k.a.mov(edi, k.data(kernel::SCRATCH))?;
    k.a.mov(ecx, 4)?;
    k.call(Routine::KiCopyFromUser)?;
    k.a.pop(esi)?;
    k.a.test(eax, eax)?;
    k.a.jne(*done)?;
    k.a.mov(al, b' ' as u32)?;
    k.a.out(port::DEBUG_CONSOLE, al)?;
    k.a.mov(eax, k.var(kernel::SCRATCH))?;
    k.call(Routine::NtgatePrintHex)?;
    k.a.add(esi, 4)?;
    k.a.jmp(*next)?;
    k.a.set_label(done)?;
    k.a.mov(dword_ptr(ebp + trap_frame::EAX), eax)?;
    k.a.mov(al, b'\n' as u32)?;
    k.a.out(port::DEBUG_CONSOLE, al)?;
    k.jmp(Routine::Kei386EoiHelper)
}

/// NtTerminateProcess(Process, Status): `exit status`, and the run is over.
fn terminate(k: &mut KernelAsm<'_>) -> Asm {
    k.begin(Routine::NtTerminateProcess)?;
    k.a.mov(ebx, dword_ptr(esp + 8))?;
    print_literal(k, "exit ")?;
    k.a.mov(eax, ebx)?;
    k.call(Routine::NtgatePrintHex)?;
    print_literal(k, "\n")?;
    k.a.xor(eax, eax)?;
    leave(k)
}
