//! Copies between the kernel and ring 3.
//!
//! The one place where the kernel touches memory that ring 3 may have taken away: a page fault in it becomes the routine's
//! result. EDI, ESI and ECX are destination, source and bytes; EAX is the status, the registers are used up.

use iced_x86::code_asm::{eax, ecx, edi, esi};

use super::assembly::{Asm, KernelAsm, Routine};
use super::data::kernel;
use super::layout::status;

/// Emits all of this file.
pub(crate) fn emit(k: &mut KernelAsm<'_>) -> Asm {
    k.begin(Routine::KiCopyFromUser)?;
    k.a.mov(eax, esi)?;
    k.jmp(Routine::KiCopyProbe)?;

    k.begin(Routine::KiCopyToUser)?;
    k.a.mov(eax, edi)?;

    // All of it has to lie below MmUserProbeAddress, where the kernel's own memory never is.
    k.begin(Routine::KiCopyProbe)?;
    let refused = k.at(Routine::KiCopyFault);
    k.a.add(eax, ecx)?;
    k.a.jc(refused)?;
    k.a.cmp(eax, k.var(kernel::USER_PROBE_ADDRESS))?;
    k.a.ja(refused)?;
    // KiTrap0E knows this address.
    k.begin(Routine::KiCopyBytes)?;
    k.a.rep().movsb()?;
    k.a.xor(eax, eax)?;
    k.a.ret()?;

    k.begin(Routine::KiCopyFault)?;
    k.a.mov(eax, status::ACCESS_VIOLATION)?;
    k.a.ret()
}
