//! Exceptions and the other interrupt vectors.
//!
//! Every vector has its own routine with NT's name; each builds a complete `KTRAP_FRAME`. What follows is decided
//! once: a small service of its own (`services`), an exception of ring 3 (`exception`, in a proof `recovery`), a fault in
//! ring 0 that was to be expected (`expected`), or a bug check.
//!
//! Left out is KiTrap13, which NT puts at vector 13h where the processor has SSE: it stays KiTrap0F's, as in the table that
//! the system begins with. Nothing raises it, since CR4.OSXMMEXCPT is never set.

use iced_x86::code_asm::{
    bx, byte_ptr, cx, ds, dword_ptr, eax, ebp, ebx, ecx, edi, edx, es, esi, esp, fs, gs, word_ptr,
};

use super::apc;
use super::assembly::{Asm, KernelAsm, Routine};
use super::clock;
use super::data::kernel;
use super::debug;
use super::dispatch::debug_header;
use super::layout::{kpcr, mode, selector, trap_frame, vector};
use super::profile::{Profile, Vector2c, Vector29};

/// Vectors whose error code the CPU pushes (Intel SDM volume 3, table 6-1); #DF has a task of its own.
const WITH_ERROR_CODE: [u32; 6] = [0x0A, 0x0B, 0x0C, 0x0D, 0x0E, 0x11];

/// How a vector is reached (ReactOS `ntoskrnl/ke/i386/trap.s`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Gate {
    /// Interrupt gate to a routine, with the lowest privilege that may use it by `int n`.
    Interrupt { routine: Routine, dpl: u32 },
    /// Task gate.
    Task { selector: u32 },
}

/// The gate of a vector.
pub(crate) fn gate(profile: &Profile, number: u32) -> Gate {
    let system = |routine| Gate::Interrupt { routine, dpl: 3 };
    match number {
        vector::NMI => Gate::Task { selector: selector::NMI_TSS },
        vector::DOUBLE_FAULT => Gate::Task { selector: selector::DF_TSS },
        vector::SECURITY_CHECK if profile.vector_29 != Vector29::Reserved => {
            system(Routine::KiRaiseSecurityCheckFailure)
        }
        vector::GET_TICK_COUNT => system(Routine::KiGetTickCount),
        vector::CALLBACK_RETURN => system(Routine::KiCallbackReturn),
        vector::RAISE_ASSERTION => system(match profile.vector_2c {
            Vector2c::Assertion => Routine::KiRaiseAssertion,
            Vector2c::EventPair => Routine::KiSetLowWaitHighThread,
        }),
        vector::DEBUG_SERVICE => system(Routine::KiDebugService),
        vector::SYSTEM_SERVICE => system(Routine::KiSystemService),
        0x03 | 0x04 => system(Routine::KiTrap(number as u8)),
        0x00..=0x11 => Gate::Interrupt { routine: Routine::KiTrap(number as u8), dpl: 0 },
        0x12..=0x2F => Gate::Interrupt { routine: Routine::KiTrap(0x0F), dpl: 0 },
        _ => Gate::Interrupt { routine: Routine::KiUnexpectedInterrupt((number - 0x30) as u8), dpl: 0 },
    }
}

/// Emits all of this file.
pub(crate) fn emit(k: &mut KernelAsm<'_>) -> Asm {
    for number in 0..vector::COUNT {
        match gate(k.profile, number) {
            Gate::Interrupt { routine: Routine::KiSystemService, .. } => {}
            // Many vectors share KiTrap0F, which reports itself.
            Gate::Interrupt { routine: Routine::KiTrap(0x0F), .. } if number != 0x0F => {}
            Gate::Interrupt { routine, .. } => vector_entry(k, routine, number)?,
            Gate::Task { .. } => task_entry(k, number)?,
        }
    }
    trap_entry(k)?;
    trap_exit(k)
}

/// The routine that a gate names: error code, EBP, and the vector in EBP for the common part.
fn vector_entry(k: &mut KernelAsm<'_>, routine: Routine, number: u32) -> Asm {
    k.begin(routine)?;
    if !WITH_ERROR_CODE.contains(&number) {
        k.a.push(0)?;
    }
    k.a.push(ebp)?;
    k.a.mov(ebp, number)?;
    k.jmp(Routine::KiTrapEntry)
}

/// Builds the rest of the frame. On the stack: EBP, error code, and what the CPU pushed.
fn trap_entry(k: &mut KernelAsm<'_>) -> Asm {
    k.begin(Routine::KiTrapEntry)?;
    k.a.push(ebx)?;
    k.a.push(esi)?;
    k.a.push(edi)?;
    k.a.push(fs)?;
    k.a.mov(ebx, selector::R0_PCR)?;
    k.a.mov(fs, bx)?;
    k.a.push(dword_ptr(kpcr::EXCEPTION_LIST).fs())?;
    k.a.mov(dword_ptr(kpcr::EXCEPTION_LIST).fs(), kpcr::EXCEPTION_CHAIN_END)?;
    k.a.push(mode::NONE)?;
    k.a.push(eax)?;
    k.a.push(ecx)?;
    k.a.push(edx)?;
    k.a.push(ds)?;
    k.a.push(es)?;
    k.a.push(gs)?;
    k.a.sub(esp, trap_frame::SEG_GS)?;
    k.a.mov(esi, ebp)?; // the vector
    k.a.mov(ebp, esp)?;
    k.a.mov(ecx, selector::R3_DATA)?;
    k.a.mov(ds, cx)?;
    k.a.mov(es, cx)?;
    k.a.cld()?;
    k.a.and(dword_ptr(ebp + trap_frame::DR7), 0)?;
    k.a.xor(edx, edx)?;
    k.a.mov(eax, esi)?;
    k.a.mov(esi, dword_ptr(kpcr::CURRENT_THREAD).fs())?;
    debug::save(k)?;
    debug_header(k, edx)?;
    k.a.mov(ebx, eax)?;

    k.a.cmp(ebx, vector::DEBUG_SERVICE)?;
    k.je(Routine::KiDebugServiceHandler)?;
    k.a.cmp(ebx, clock::CLOCK)?;
    k.je(Routine::KeUpdateSystemTime)?;
    k.a.cmp(ebx, vector::GET_TICK_COUNT)?;
    k.je(Routine::KiGetTickCountHandler)?;
    k.a.test(byte_ptr(ebp + trap_frame::SEG_CS), selector::MODE_MASK)?;
    k.je(Routine::KiTrapKernel)?;
    k.a.cmp(ebx, vector::CALLBACK_RETURN)?;
    k.je(Routine::KiCallbackReturnHandler)?;
    if k.profile.vector_2c == Vector2c::EventPair {
        k.a.cmp(ebx, vector::RAISE_ASSERTION)?;
        k.je(Routine::KiSetLowWaitHighThreadHandler)?;
    }
    k.a.cmp(k.var(kernel::PROOF), 0)?;
    k.jne(Routine::KiUserFault)?;
    k.jmp(Routine::KiUserException)
}

/// Leaves a trap: everything comes back from the frame at EBP.
fn trap_exit(k: &mut KernelAsm<'_>) -> Asm {
    let from_kernel = &mut k.a.create_label();
    k.begin(Routine::Kei386EoiHelper)?;
    k.a.cli()?;
    apc::deliver(k, Routine::Kei386EoiHelper, false)?;
    debug::restore(k)?;
    k.a.mov(edx, dword_ptr(ebp + trap_frame::EXCEPTION_LIST))?;
    k.a.mov(dword_ptr(kpcr::EXCEPTION_LIST).fs(), edx)?;
    k.a.mov(eax, dword_ptr(ebp + trap_frame::EAX))?;
    k.a.mov(edx, dword_ptr(ebp + trap_frame::EDX))?;
    k.a.mov(ecx, dword_ptr(ebp + trap_frame::ECX))?;
    k.a.test(byte_ptr(ebp + trap_frame::SEG_CS), selector::MODE_MASK)?;
    k.a.je(*from_kernel)?;
    k.a.mov(gs, word_ptr(ebp + trap_frame::SEG_GS))?;
    k.a.mov(es, word_ptr(ebp + trap_frame::SEG_ES))?;
    k.a.mov(ds, word_ptr(ebp + trap_frame::SEG_DS))?;
    k.a.set_label(from_kernel)?;
    k.a.lea(esp, dword_ptr(ebp + trap_frame::SEG_FS))?;
    k.a.pop(fs)?;
    k.a.pop(edi)?;
    k.a.pop(esi)?;
    k.a.pop(ebx)?;
    k.a.pop(ebp)?;
    k.a.add(esp, 4)?;
    k.a.iretd()
}

/// Double fault and NMI run as tasks of their own, on a stack that can't be the broken one.
fn task_entry(k: &mut KernelAsm<'_>, number: u32) -> Asm {
    k.begin(Routine::KiTrap(number as u8))?;
    k.a.mov(ebx, number)?;
    k.jmp(Routine::KiTrapTask)
}
