//! The debug registers of a thread that is being debugged.
//!
//! They are the thread's only while it is in ring 3: every entry from there saves them in the frame, and the kernel runs without;
//! every exit loads them again where the frame's Dr7 says so. Threads without (`DebugActive` clear) pay one comparison.

use iced_x86::code_asm::{AsmRegisterDr, dr0, dr1, dr2, dr3, dr6, dr7, eax, qword_ptr, rax, rcx, word_ptr};

use super::assembly::{Asm, KernelAsm, Routine};
use super::entry::field;
use super::layout::trap_frame;

/// The registers, in the order that frames and contexts have.
const REGISTERS: [AsmRegisterDr; 6] = [dr0, dr1, dr2, dr3, dr6, dr7];

/// Emits the two routines. RBP points into the frame.
pub(crate) fn emit(k: &mut KernelAsm<'_>) -> Asm {
    // RAX is used up.
    k.begin(Routine::KiSaveDebugRegisterState)?;
    for (index, register) in REGISTERS.into_iter().enumerate() {
        k.a.mov(rax, register)?;
        k.a.mov(qword_ptr(field(trap_frame::DR0 + 8 * index as u32)), rax)?;
    }
    k.a.xor(eax, eax)?;
    k.a.mov(dr7, rax)?;
    k.a.ret()?;

    // RCX is used up.
    k.begin(Routine::KiRestoreDebugRegisterState)?;
    for (index, register) in REGISTERS.into_iter().enumerate() {
        k.a.mov(rcx, qword_ptr(field(trap_frame::DR0 + 8 * index as u32)))?;
        k.a.mov(register, rcx)?;
    }
    k.a.ret()
}

/// Emits the loading of ring 3's registers from the frame that RBP points into, if there are any. RCX is used up.
pub(crate) fn restore(k: &mut KernelAsm<'_>) -> Asm {
    let skip = &mut k.a.create_label();
    k.a.cmp(word_ptr(field(trap_frame::DR7)), 0)?;
    k.a.je(*skip)?;
    k.call(Routine::KiRestoreDebugRegisterState)?;
    k.a.set_label(skip)?;
    k.a.nop()
}
