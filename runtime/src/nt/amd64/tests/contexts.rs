//! The context of a thread: as an exception shows it, as it comes back, and what NtContinue takes of one.

use iced_x86::IcedError;
use iced_x86::code_asm::{
    dword_ptr, eax, qword_ptr, r8, r9, r10, r11, r12, r13, r14, r15, rax, rbp, rbx, rcx, rdi, rdx, rsi, rsp, xmm0,
    xmm5, xmm6, xmm15, xmmword_ptr,
};

use super::boots::{Boot, bundled, qemu};
use super::exceptions::{HANDLER, RAN, VIOLATION, handler};
use super::session::{Case, Program, stack, ways};
use super::*;
use crate::nt::amd64::layout::{machine_frame, user_context as context};

on_both_machines! {
    the_context_is_the_state_at_the_fault_and_comes_back
    nt_continue_keeps_ring_3_in_ring_3
}

/// Every general register but RSP, with a value of its own.
const REGISTERS: [(iced_x86::code_asm::AsmRegister64, u32); 15] = [
    (rax, context::RAX),
    (rcx, context::RCX),
    (rdx, context::RDX),
    (rbx, context::RBX),
    (rbp, context::RBP),
    (rsi, context::RSI),
    (rdi, context::RDI),
    (r8, context::R8),
    (r9, context::R8 + 8),
    (r10, context::R8 + 16),
    (r11, context::R8 + 24),
    (r12, context::R12),
    (r13, context::R12 + 8),
    (r14, context::R12 + 16),
    (r15, context::R12 + 24),
];

/// The value of a register of [`REGISTERS`].
const fn value(index: usize) -> u64 {
    0xA5A5_0000_1111_0000 + index as u64
}

pub(super) fn the_context_is_the_state_at_the_fault_and_comes_back(boot: Boot) {
    for profile in Profile::ALL {
        let case = Case::new(profile, |p| {
            p.install(HANDLER)?;
            let data = p.profile.user_data;
            for (index, register) in [xmm0, xmm5, xmm6, xmm15].into_iter().enumerate() {
                p.a.mov(rax, 0x5151_0000_0000_0000 + index as u64)?;
                p.a.mov(qword_ptr(data + 0x800), rax)?;
                p.a.movups(register, xmmword_ptr(data + 0x800))?;
            }
            p.a.mov(dword_ptr(data + 0x800), 0x5F80)?;
            p.a.ldmxcsr(dword_ptr(data + 0x800))?;
            for (index, (register, _)) in REGISTERS.into_iter().enumerate() {
                p.a.mov(register, value(index))?;
            }
            p.a.stc()?;
            p.a.std()?;
            p.mark(1)?;
            p.a.ud2()?;
            // The handler has left everything as it was but RIP, RBX, R14, XMM6 and XMM0.
            for (index, (register, _)) in REGISTERS.into_iter().enumerate() {
                p.keep(index as u32, register)?;
            }
            p.keep(15, rsp)?;
            p.a.pushfq()?;
            p.a.cld()?;
            p.a.pop(rax)?;
            p.keep(16, rax)?;
            for (index, register) in [xmm0, xmm5, xmm6, xmm15].into_iter().enumerate() {
                p.a.movups(xmmword_ptr(data + 0x800), register)?;
                p.a.mov(rax, qword_ptr(data + 0x800))?;
                p.keep(17 + index as u32, rax)?;
            }
            p.a.stmxcsr(dword_ptr(data + 0x800))?;
            p.a.mov(eax, dword_ptr(data + 0x800))?;
            p.keep(21, rax)?;
            p.end()?;

            p.mark(HANDLER)?;
            p.a.mov(r8, qword_ptr(rcx))?;
            p.a.mov(rdx, qword_ptr(rcx + 8))?;
            for (index, (_, field)) in REGISTERS.into_iter().enumerate() {
                p.a.mov(rax, qword_ptr(rdx + field))?;
                p.keep(0x18 + index as u32, rax)?;
            }
            // The record and the machine frame behind the context.
            p.a.sub(r8, rdx)?;
            p.keep(0x28, r8)?;
            p.keep(0x29, rdx)?;
            let machine = context::SIZE + p.profile.context_ex + 0xA0;
            for (index, field) in [
                context::RIP,
                context::RSP,
                machine + machine_frame::RIP,
                machine + machine_frame::RSP,
                machine + machine_frame::SEG_CS,
                machine + machine_frame::SEG_SS,
                machine + machine_frame::EFLAGS,
                context::XMM0,
                context::XMM0 + 0x50,
                context::XMM0 + 0x60,
                context::XMM0 + 0xF0,
            ]
            .into_iter()
            .enumerate()
            {
                p.a.mov(rax, qword_ptr(rdx + field))?;
                p.keep(0x2A + index as u32, rax)?;
            }
            for (index, field) in
                [context::FLAGS, context::EFLAGS, context::MXCSR, context::FLT_MXCSR].into_iter().enumerate()
            {
                p.a.mov(eax, dword_ptr(rdx + field))?;
                p.keep(0x38 + index as u32, rax)?;
            }
            for (index, field) in
                [context::SEG_CS, context::SEG_DS, context::SEG_ES, context::SEG_FS, context::SEG_GS, context::SEG_SS]
                    .into_iter()
                    .enumerate()
            {
                p.a.movzx(eax, iced_x86::code_asm::word_ptr(rdx + field))?;
                p.keep(0x3C + index as u32, rax)?;
            }
            p.a.add(qword_ptr(rdx + context::RIP), 2)?;
            p.a.mov(qword_ptr(rdx + context::RBX), 0xBB)?;
            p.a.mov(qword_ptr(rdx + (context::R12 + 16)), 0xEE)?;
            p.a.mov(qword_ptr(rdx + context::XMM0), 0x99)?;
            p.a.mov(qword_ptr(rdx + (context::XMM0 + 0x60)), 0x66)?;
            for register in [rbx, rsi, rdi, rbp, r12, r13, r14, r15] {
                p.a.mov(register, 0xBADu64)?;
            }
            p.a.mov(eax, -1)?;
            p.a.ret()
        });
        let (notes, places) = case.run_with_places(boot);
        let name = profile.name;
        for (index, (_, field)) in REGISTERS.into_iter().enumerate() {
            let wanted = match field {
                context::RBX => 0xBB,
                field if field == context::R12 + 16 => 0xEE,
                _ => value(index),
            };
            assert_eq!(notes[index], wanted, "{name}: register {index} comes back");
            assert_eq!(notes[0x18 + index], value(index), "{name}: register {index} in the context");
        }
        let stack = stack(profile);
        assert_eq!(notes[15], stack);
        assert_eq!(notes[16] & 0x601, 0x601, "{name}: IF, DF and CF");
        assert_eq!(notes[17..21], [0x99, 0x5151_0000_0000_0001, 0x66, 0x5151_0000_0000_0003], "{name}");
        assert_eq!(notes[21], 0x5F80, "{name}");
        let record = 0x4D0 + u64::from(profile.context_ex);
        assert_eq!(notes[0x28], record, "{name}");
        assert_eq!(notes[0x29], (stack - record - 0xC8) & !0xF, "{name}: right below the stack");
        assert_eq!(notes[0x2A..0x2E], [places[1], stack, places[1], stack], "{name}");
        assert_eq!(notes[0x2E..0x30], [0x33, 0x2B], "{name}");
        assert_eq!(notes[0x30] & 0x601, 0x601, "{name}");
        assert_eq!(notes[0x31..0x35], [0, 1, 2, 3].map(|n| 0x5151_0000_0000_0000 + n), "{name}");
        assert_eq!(notes[0x38], 0x10_001F, "{name}");
        assert_eq!(notes[0x39] & 0x601, 0x601, "{name}");
        assert_eq!(notes[0x3A..0x3C], [0x5F80, 0x5F80], "{name}");
        assert_eq!(notes[0x3C..0x42], [0x33, 0x2B, 0x2B, 0x53, 0x2B, 0x2B], "{name}");
    }
}

/// Fills a context in the program's data, which is at a multiple of 16.
pub(super) fn fill_context(p: &mut Program, at: u64, flags: u32, fields: &[(u32, u64)]) -> Result<(), IcedError> {
    p.a.mov(rdx, at)?;
    p.a.mov(dword_ptr(rdx + context::FLAGS), flags)?;
    for (field, value) in fields {
        p.a.mov(rax, *value)?;
        p.a.mov(qword_ptr(rdx + *field), rax)?;
    }
    Ok(())
}

pub(super) fn nt_continue_keeps_ring_3_in_ring_3(boot: Boot) {
    for (profile, way) in ways() {
        let mut case = Case::new(profile, |p| {
            // A context in which everything is forbidden: kernel segments, IOPL 3, IF clear, VM, bits that MXCSR has not.
            let at = p.profile.user_data + 0x800;
            let fields = [
                // MXCSR is above the flags; RFLAGS above GS and SS.
                (context::FLAGS, 0xFFFF_1F80_0010_000F),
                (context::SEG_CS, 0x0010_0018_0018_0010),
                (context::SEG_GS, 0x0002_3CD5_0018_0010),
                (context::RIP, p.place(1)),
                (context::RSP, stack(&p.profile) - 0x40),
                (context::RAX, 0xAAAA),
                (context::R12, 0xCCCC),
                (context::XMM0 + 0x60, 0x6666),
            ];
            fill_context(p, at, 0x10_000F, &fields)?;
            p.call("NtContinue", &[at, 0])?;
            p.a.ud2()?;
            p.mark(1)?;
            p.a.pushfq()?;
            p.keep(0, rax)?;
            p.keep(2, rsp)?;
            p.a.pop(p.note(1))?;
            p.keep(3, r12)?;
            for (note, register) in [
                (4, iced_x86::code_asm::cs),
                (5, iced_x86::code_asm::ss),
                (6, iced_x86::code_asm::fs),
                (7, iced_x86::code_asm::gs),
            ] {
                p.a.mov(eax, register)?;
                p.keep(note, rax)?;
            }
            p.a.movups(xmmword_ptr(p.profile.user_data + 0xE00), xmm6)?;
            p.a.mov(rax, qword_ptr(p.profile.user_data + 0xE00))?;
            p.keep(8, rax)?;
            // GS is still the TEB.
            p.a.mov(rax, qword_ptr(0x30).gs())?;
            p.keep(9, rax)?;
            p.a.cld()?;
            // A pointer into the kernel is no context, nor is one that is not there, or not at a multiple of 16.
            for (note, pointer) in
                [(10, 0xFFFF_F800_0000_0000), (11, p.profile.user_unmapped), (12, p.profile.user_data + 0x808)]
            {
                p.call("NtContinue", &[pointer, 0])?;
                p.keep(note, rax)?;
            }
            // What is not in the context stays, or is zero where a system call does not keep it.
            fill_context(p, at, 0x10_0001, &[(context::RIP, p.place(2)), (context::RSP, stack(&p.profile))])?;
            p.a.mov(r13, 0x1313u64)?;
            p.call("NtContinue", &[at, 0])?;
            p.mark(2)?;
            p.keep(13, r13)?;
            for (note, register) in [(14, rcx), (15, rdx), (16, r8), (17, r9), (18, r10), (19, r11)] {
                p.keep(note, register)?;
            }
            // An address that is not canonical faults in ring 3.
            p.install(HANDLER)?;
            p.a.mov(rdi, p.place(3))?;
            let fields = [(context::RIP, 0x0001_0000_0000_0000), (context::RSP, stack(&p.profile))];
            fill_context(p, at, 0x10_0001, &fields)?;
            p.call("NtContinue", &[at, 0])?;
            p.mark(3)?;
            p.end()?;
            handler(p)
        });
        case.system_call = way;
        let notes = case.run(boot);
        let name = profile.name;
        assert_eq!(notes[0], 0xAAAA, "{name}");
        assert_eq!(notes[1], 0xED7 | 0x200 & !0x3000, "{name}: IOPL and VM are not taken, IF is set");
        assert_eq!(notes[2..4], [stack(profile) - 0x48, 0xCCCC], "{name}");
        assert_eq!(notes[4..8], [0x33, 0x2B, 0x53, 0x2B], "{name}");
        assert_eq!(notes[8..10], [0x6666, profile.teb], "{name}");
        assert_eq!(notes[10..13], [0xC000_0005, 0xC000_0005, 0x8000_0002], "{name}");
        assert_eq!(notes[13..20], [0x1313, 0, 0, 0, 0, 0, 0], "{name}");
        assert_eq!(notes[RAN as usize..][..2], [1, u64::from(VIOLATION)], "{name}");
    }
}
