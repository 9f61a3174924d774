//! Faults of ring 3 in a proof: recorded, and the harness goes on at its recovery point.
//!
//! A proof does not let NT deliver them (as `exception` does it): a broken stub may have ruined ring 3's stack or ntdll itself,
//! and the proof is to say so for every call and go on with the next. A variable of the image chooses.

use iced_x86::code_asm::{ax, cr2, dword_ptr, eax, ebp, ebx, ecx, word_ptr};

use super::assembly::{Asm, KernelAsm, Routine};
use super::data::harness;
use super::layout::{eflags, selector, trap_frame, vector};
use super::record::fact;

/// Emits the routine. It records a fault of ring 3 and lets the harness go on. EBX = vector, EBP = frame.
pub(crate) fn emit(k: &mut KernelAsm<'_>) -> Asm {
    let not_paging = &mut k.a.create_label();
    let block = k.profile.user_data;
    k.begin(Routine::KiUserFault)?;
    k.a.lea(eax, dword_ptr(ebx + 1))?;
    k.a.mov(k.fact(fact::FAULT_VECTOR), eax)?;
    k.a.movzx(eax, word_ptr(ebp + trap_frame::ERR_CODE))?;
    k.a.mov(k.fact(fact::FAULT_ERROR), eax)?;
    k.a.mov(eax, dword_ptr(ebp + trap_frame::EIP))?;
    k.a.mov(k.fact(fact::FAULT_EIP), eax)?;
    k.a.xor(ecx, ecx)?;
    k.a.cmp(ebx, vector::PAGE_FAULT)?;
    k.a.jne(*not_paging)?;
    k.a.mov(ecx, cr2)?;
    k.a.set_label(not_paging)?;
    k.a.mov(k.fact(fact::FAULT_CR2), ecx)?;

    for (field, register) in [
        (trap_frame::EAX, fact::EAX),
        (trap_frame::ECX, fact::ECX),
        (trap_frame::EDX, fact::EDX),
        (trap_frame::EBX, fact::EBX),
        (trap_frame::ESI, fact::ESI),
        (trap_frame::EDI, fact::EDI),
        (trap_frame::EBP, fact::EBP),
        (trap_frame::HARDWARE_ESP, fact::ESP),
        (trap_frame::EFLAGS, fact::EFLAGS),
    ] {
        k.a.mov(eax, dword_ptr(ebp + field))?;
        k.a.mov(dword_ptr(block + harness::save(register)), eax)?;
    }
    for (low, high, pair) in [
        (trap_frame::SEG_CS, trap_frame::HARDWARE_SEG_SS, fact::CS_SS),
        (trap_frame::SEG_DS, trap_frame::SEG_ES, fact::DS_ES),
        (trap_frame::SEG_FS, trap_frame::SEG_GS, fact::FS_GS),
    ] {
        k.a.movzx(eax, word_ptr(ebp + high))?;
        k.a.shl(eax, 16)?;
        k.a.mov(ax, word_ptr(ebp + low))?;
        k.a.mov(dword_ptr(block + harness::save(pair)), eax)?;
    }
    for (field, value) in [
        (trap_frame::EIP, k.user.recovery),
        (trap_frame::HARDWARE_ESP, k.profile.user_stack),
        (trap_frame::SEG_CS, selector::R3_CODE),
        (trap_frame::HARDWARE_SEG_SS, selector::R3_DATA),
        (trap_frame::EFLAGS, eflags::ALWAYS | eflags::IF),
        (trap_frame::SEG_DS, selector::R3_DATA),
        (trap_frame::SEG_ES, selector::R3_DATA),
        (trap_frame::SEG_FS, selector::R3_TEB),
        (trap_frame::SEG_GS, 0),
    ] {
        k.a.mov(dword_ptr(ebp + field), value)?;
    }
    k.jmp(Routine::Kei386EoiHelper)
}
