//! Copies between the kernel and ring 3.
//!
//! The one place where the kernel touches memory that ring 3 may have taken away: a page fault in it becomes the routine's
//! result. RDI, RSI and RCX are destination, source and bytes; EAX is the status, these registers are used up and no others.

use iced_x86::code_asm::{eax, rax, rcx, rdi, rsi};

use super::assembly::{Asm, KernelAsm, Routine};
use super::data::kernel;
use super::layout::status;

/// Emits all of this file.
pub(crate) fn emit(k: &mut KernelAsm<'_>) -> Asm {
    k.begin(Routine::KiCopyFromUser)?;
    k.a.mov(rax, rsi)?;
    k.jmp(Routine::KiCopyProbe)?;

    k.begin(Routine::KiCopyToUser)?;
    k.a.mov(rax, rdi)?;

    // All of it has to lie below MmUserProbeAddress, where the kernel's own memory never is.
    k.begin(Routine::KiCopyProbe)?;
    let refused = k.at(Routine::KiCopyFault);
    k.a.add(rax, rcx)?;
    k.a.jc(refused)?;
    k.a.cmp(rax, k.var(kernel::USER_PROBE_ADDRESS))?;
    k.a.ja(refused)?;
    // KiPageFault knows this address.
    k.begin(Routine::KiCopyBytes)?;
    k.a.rep().movsb()?;
    k.a.xor(eax, eax)?;
    k.a.ret()?;

    k.begin(Routine::KiCopyFault)?;
    k.a.mov(eax, status::ACCESS_VIOLATION)?;
    k.a.ret()
}
