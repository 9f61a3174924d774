//! Faults in ring 0 that are no surprise: the trap of a single-stepping user at the first instruction behind `sysenter`,
//! which leaves TF alone, and page faults in the copies from and to ring 3.

use iced_x86::code_asm::{byte_ptr, dword_ptr, ebp, ebx, ecx};

use super::assembly::{Asm, KernelAsm, Routine};
use super::layout::{eflags, selector, status, trap_frame, vector};

/// Emits all of this file: EBX = vector, EBP = frame from ring 0. What is not expected stops the system.
pub(crate) fn emit(k: &mut KernelAsm<'_>) -> Asm {
    traced_entry(k)?;
    copies(k)
}

/// #DB at the first instruction of a fast entry. Another entry goes on, which gives the user TF back.
fn traced_entry(k: &mut KernelAsm<'_>) -> Asm {
    k.begin(Routine::KiTrapKernel)?;
    k.a.cmp(ebx, vector::DEBUG)?;
    k.jne(Routine::KiTrapKernelPageFault)?;
    for (entry, traced) in [
        (Routine::KiFastCallEntry, Routine::KiFastCallEntryWithSingleStep),
        (Routine::KiFastCallEntryRtm, Routine::KiFastCallEntryRtmWithSingleStep),
    ] {
        let other = &mut k.a.create_label();
        let (entry, traced) = (k.address(entry), k.address(traced));
        k.a.cmp(dword_ptr(ebp + trap_frame::EIP), entry)?;
        k.a.jne(*other)?;
        k.a.mov(dword_ptr(ebp + trap_frame::EIP), traced)?;
        k.a.and(dword_ptr(ebp + trap_frame::EFLAGS), !eflags::TF)?;
        k.jmp(Routine::Kei386EoiHelper)?;
        k.a.set_label(other)?;
        k.a.nop()?;
    }
    k.jmp(Routine::KeBugCheck)
}

/// Page faults. In the argument copy they give the service its status, in the other copies the routine's result.
fn copies(k: &mut KernelAsm<'_>) -> Asm {
    let arguments = &mut k.a.create_label();
    let (copy, bytes) = (k.address(Routine::KiSystemServiceCopyArguments), k.address(Routine::KiCopyBytes));
    let (back, failed) = (k.address(Routine::KiSystemServiceReturn), k.address(Routine::KiCopyFault));
    k.begin(Routine::KiTrapKernelPageFault)?;
    k.a.cmp(ebx, vector::PAGE_FAULT)?;
    k.jne(Routine::KeBugCheck)?;
    k.a.cmp(dword_ptr(ebp + trap_frame::EIP), copy)?;
    k.a.je(*arguments)?;
    k.a.cmp(dword_ptr(ebp + trap_frame::EIP), bytes)?;
    k.jne(Routine::KeBugCheck)?;
    k.a.mov(dword_ptr(ebp + trap_frame::EIP), failed)?;
    k.jmp(Routine::Kei386EoiHelper)?;

    k.a.set_label(arguments)?;
    // EBP of the interrupted code is the service's own frame.
    k.a.mov(ecx, dword_ptr(ebp + trap_frame::EBP))?;
    k.a.test(byte_ptr(ecx + trap_frame::SEG_CS), selector::MODE_MASK)?;
    k.je(Routine::KeBugCheck)?;
    k.a.mov(dword_ptr(ebp + trap_frame::EIP), back)?;
    k.a.mov(dword_ptr(ebp + trap_frame::EAX), status::ACCESS_VIOLATION)?;
    k.jmp(Routine::Kei386EoiHelper)
}
