//! Faults of ring 3 in a proof: recorded, and the harness goes on at its recovery point.
//!
//! A proof does not let NT deliver them (as `exception` does it): a broken stub may have ruined ring 3's stack or ntdll itself,
//! and the proof is to say so for every call and go on with the next. A variable of the image chooses.

use iced_x86::code_asm::{
    cr2, ds, dword_ptr, eax, ebx, ecx, es, fs, gs, qword_ptr, r12, r13, r14, r15, rax, rbx, rcx, word_ptr,
};

use super::assembly::{Asm, KernelAsm, Routine};
use super::data::harness;
use super::entry::field;
use super::layout::{eflags, selector, trap_frame, vector};
use super::record::fact;

/// Records a fault of ring 3 and lets the harness go on. EBX = vector.
pub(crate) fn emit(k: &mut KernelAsm<'_>) -> Asm {
    let not_paging = &mut k.a.create_label();
    let block = |f: usize| qword_ptr(saved(k.profile.user_data, f));
    k.begin(Routine::KiUserFault)?;
    k.a.lea(eax, rbx + 1)?;
    k.a.mov(k.fact(fact::FAULT_VECTOR), eax)?;
    k.a.movzx(eax, word_ptr(field(trap_frame::ERROR_CODE)))?;
    k.a.mov(k.fact(fact::FAULT_ERROR), eax)?;
    k.a.mov(rax, qword_ptr(field(trap_frame::RIP)))?;
    k.a.mov(k.fact(fact::FAULT_RIP), rax)?;
    k.a.xor(ecx, ecx)?;
    k.a.cmp(ebx, vector::PAGE_FAULT)?;
    k.a.jne(*not_paging)?;
    k.a.mov(rcx, cr2)?;
    k.a.set_label(not_paging)?;
    k.a.mov(k.fact(fact::FAULT_CR2), rcx)?;

    for (offset, f) in [
        (trap_frame::RAX, fact::RAX),
        (trap_frame::RCX, fact::RCX),
        (trap_frame::RDX, fact::RDX),
        (trap_frame::RBX, fact::RBX),
        (trap_frame::RSI, fact::RSI),
        (trap_frame::RDI, fact::RDI),
        (trap_frame::RBP, fact::RBP),
        (trap_frame::R8, fact::R8),
        (trap_frame::R9, fact::R9),
        (trap_frame::R10, fact::R10),
        (trap_frame::R11, fact::R11),
        (trap_frame::RSP, fact::RSP),
    ] {
        k.a.mov(rax, qword_ptr(field(offset)))?;
        k.a.mov(block(f), rax)?;
    }
    for (register, f) in [(r12, fact::R12), (r13, fact::R13), (r14, fact::R14), (r15, fact::R15)] {
        k.a.mov(block(f), register)?;
    }
    for (offset, f) in [(trap_frame::EFLAGS, fact::RFLAGS), (trap_frame::MXCSR, fact::MXCSR)] {
        k.a.mov(eax, dword_ptr(field(offset)))?;
        k.a.mov(dword_ptr(saved(k.profile.user_data, f)), eax)?;
    }
    k.a.movzx(eax, word_ptr(field(trap_frame::SEG_SS)))?;
    k.a.shl(eax, 16)?;
    k.a.mov(iced_x86::code_asm::ax, word_ptr(field(trap_frame::SEG_CS)))?;
    k.a.mov(dword_ptr(saved(k.profile.user_data, fact::CS_SS)), eax)?;
    for (low, high, f) in [(ds, es, fact::DS_ES), (fs, gs, fact::FS_GS)] {
        k.a.mov(ecx, high)?;
        k.a.mov(eax, low)?;
        k.a.shl(ecx, 16)?;
        k.a.or(eax, ecx)?;
        k.a.mov(dword_ptr(saved(k.profile.user_data, f)), eax)?;
    }
    recover(k)
}

/// A fact's address in the block of ring 3's harness, which is below 2 GB.
fn saved(user_data: u64, f: usize) -> u64 {
    user_data + u64::from(harness::save(f))
}

/// The frame becomes that of the harness at its recovery point.
fn recover(k: &mut KernelAsm<'_>) -> Asm {
    k.a.mov(eax, selector::R3_DATA)?;
    k.a.mov(ds, eax)?;
    k.a.mov(es, eax)?;
    for (offset, value) in [
        (trap_frame::RIP, k.user.recovery),
        (trap_frame::RSP, k.profile.user_stack),
        (trap_frame::SEG_CS, selector::R3_CODE.into()),
        (trap_frame::SEG_SS, selector::R3_DATA.into()),
        (trap_frame::EFLAGS, (eflags::ALWAYS | eflags::IF).into()),
    ] {
        k.a.mov(rax, value)?;
        k.a.mov(qword_ptr(field(offset)), rax)?;
    }
    k.jmp(Routine::KiTrapExit)
}
