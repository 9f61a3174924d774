//! The debug registers of a thread that is being debugged.
//!
//! They are the thread's only while it is in ring 3: every entry from there saves them in the frame and loads the kernel's,
//! every exit loads them again where the frame's Dr7 says so. Threads without (`DebugActive` clear) pay one comparison.

use iced_x86::code_asm::{AsmRegisterDr, byte_ptr, dr0, dr1, dr2, dr3, dr6, dr7, dword_ptr, ebp, ebx, edi, esi};

use super::assembly::{Asm, KernelAsm, Routine};
use super::layout::{kpcr, selector, trap_frame};

/// The registers, in the order that frames and contexts have.
const REGISTERS: [AsmRegisterDr; 6] = [dr0, dr1, dr2, dr3, dr6, dr7];

/// What does not count in `DebugActive` since Windows Vista: a thread of a user-mode scheduler.
const SCHEDULED: u32 = 0x20;

/// Saves, if the thread at ESI is being debugged, ring 3's registers in the frame at EBP. EBX and EDI are free.
pub(crate) fn save(k: &mut KernelAsm<'_>) -> Asm {
    let skip = &mut k.a.create_label();
    k.a.test(byte_ptr(esi + k.profile.thread.debug_active), 0xFF & !SCHEDULED)?;
    k.a.je(*skip)?;
    k.a.test(byte_ptr(ebp + trap_frame::SEG_CS), selector::MODE_MASK)?;
    k.a.je(*skip)?;
    k.call(Routine::KiSaveDebugRegisters)?;
    k.a.set_label(skip)?;
    k.a.nop()
}

/// Loads ring 3's registers from the frame at EBP, if there are any. EBX is free.
pub(crate) fn restore(k: &mut KernelAsm<'_>) -> Asm {
    let skip = &mut k.a.create_label();
    k.a.test(dword_ptr(ebp + trap_frame::DR7), !trap_frame::DR7_RESERVED)?;
    k.a.je(*skip)?;
    k.a.test(byte_ptr(ebp + trap_frame::SEG_CS), selector::MODE_MASK)?;
    k.a.je(*skip)?;
    k.call(Routine::KiRestoreDebugRegisters)?;
    k.a.set_label(skip)?;
    k.a.nop()
}

/// Emits the two routines.
pub(crate) fn emit(k: &mut KernelAsm<'_>) -> Asm {
    k.begin(Routine::KiSaveDebugRegisters)?;
    for (index, register) in REGISTERS.into_iter().enumerate() {
        k.a.mov(ebx, register)?;
        k.a.mov(dword_ptr(ebp + trap_frame::DR0 + 4 * index as u32), ebx)?;
    }
    // None of ring 3's may match while the others change.
    k.a.xor(ebx, ebx)?;
    k.a.mov(dr7, ebx)?;
    k.a.mov(edi, dword_ptr(kpcr::PRCB).fs())?;
    for (index, register) in REGISTERS.into_iter().enumerate() {
        k.a.mov(ebx, dword_ptr(edi + kpcr::PRCB_KERNEL_DR0 + 4 * index as u32))?;
        k.a.mov(register, ebx)?;
    }
    k.a.ret()?;

    k.begin(Routine::KiRestoreDebugRegisters)?;
    k.a.xor(ebx, ebx)?;
    k.a.mov(dr7, ebx)?;
    for (index, register) in REGISTERS.into_iter().enumerate() {
        k.a.mov(ebx, dword_ptr(ebp + trap_frame::DR0 + 4 * index as u32))?;
        k.a.mov(register, ebx)?;
    }
    k.a.ret()
}
