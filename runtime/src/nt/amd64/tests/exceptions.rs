//! Exceptions of ring 3 in a session, and the end of a kernel.

use iced_x86::IcedError;
use iced_x86::code_asm::{
    byte_ptr, dword_ptr, eax, ecx, qword_ptr, r8, r9, r10, r11, r12, r13, r14, r15, rax, rbp, rbx, rcx, rdi, rdx, rsi,
    rsp, xmm0, xmm5, xmm6, xmm15, xmmword_ptr,
};

use super::boots::{Boot, bundled, code, qemu, records};
use super::session::{Case, Program, notes, numbers, stack, ways};
use super::*;
use crate::nt::amd64::layout::{exception_record as record, machine_frame, user_context as context};
use crate::nt::amd64::record::fact;

on_both_machines! {
    a_program_runs_and_ends_under_every_profile
    every_exception_reaches_the_handler_with_its_record
    ints_of_the_kernel_are_protection_faults
    the_context_is_the_state_at_the_fault_and_comes_back
    nt_continue_keeps_ring_3_in_ring_3
    an_exception_that_nobody_takes_ends_the_program
    an_exception_without_a_stack_ends_the_program
    raised_exceptions_arrive_as_they_were_raised
    a_fault_in_a_service_is_reported_with_frame_and_stack
    a_security_check_ends_the_program
}

/// Where the handler is, and the first of its notes: how often it ran, then eleven qwords of what it saw the last time.
const HANDLER: usize = 0;
const RAN: u32 = 0x20;

/// A handler that notes the record and the context's RIP, RSP and RFLAGS, and goes on at RDI.
fn handler(p: &mut Program) -> Result<(), IcedError> {
    p.mark(HANDLER)?;
    p.a.mov(rax, qword_ptr(rcx))?;
    p.a.mov(rdx, qword_ptr(rcx + 8))?;
    p.a.inc(p.note(RAN))?;
    for (index, field) in [record::CODE, record::FLAGS, record::PARAMETER_COUNT].into_iter().enumerate() {
        p.a.mov(ecx, dword_ptr(rax + field))?;
        p.keep(RAN + 1 + index as u32, rcx)?;
    }
    for (index, field) in
        [record::ADDRESS, record::PARAMETERS, record::PARAMETERS + 8, record::PARAMETERS + 16].into_iter().enumerate()
    {
        p.a.mov(rcx, qword_ptr(rax + field))?;
        p.keep(RAN + 4 + index as u32, rcx)?;
    }
    for (index, field) in [context::RIP, context::RSP].into_iter().enumerate() {
        p.a.mov(rcx, qword_ptr(rdx + field))?;
        p.keep(RAN + 8 + index as u32, rcx)?;
    }
    p.a.mov(rcx, qword_ptr(rdx + context::RDI))?;
    p.a.mov(qword_ptr(rdx + context::RIP), rcx)?;
    p.a.mov(eax, -1)?;
    p.a.ret()
}

pub(super) fn a_program_runs_and_ends_under_every_profile(boot: Boot) {
    for (profile, way) in ways() {
        let mut case = Case::new(profile, |p| {
            p.call("NtOther", &[5])?;
            p.keep(0, rax)?;
            // DbgPrint.
            let text = p.note_at(1);
            p.a.mov(rcx, text)?;
            p.a.mov(dword_ptr(rcx), u32::from_le_bytes(*b"hi!\n"))?;
            p.a.mov(eax, 1)?;
            p.a.mov(iced_x86::code_asm::edx, 4)?;
            p.a.int(0x2D)?;
            p.a.int3()?;
            p.keep(2, rax)?;
            p.keep(3, rsp)?;
            p.end()
        });
        case.system_call = way;
        let (image, _) = case.build();
        let (log, exit) = boot(&image);
        assert_eq!(exit, 0, "{log}");
        assert!(log.starts_with(&format!("ntgate 1 session {}\ncpu family 6", profile.name)), "{log}");
        assert!(log.contains("\nhi!\n") && log.ends_with("\nexit 00000000\n"), "{log}");
        let notes = notes(&log);
        assert_eq!((notes[0], notes[2], notes[3]), (0xC000_0002, 0, stack(profile)), "{}", profile.name);
    }
}

/// A fault of ring 3: the instruction, and what the handler sees. Addresses are relative to the instruction.
struct Fault {
    bytes: &'static [u8],
    code: u32,
    address: u64,
    rip: u64,
    parameters: &'static [u64],
}

const fn fault(bytes: &'static [u8], code: u32, parameters: &'static [u64]) -> Fault {
    Fault { bytes, code, address: 0, rip: 0, parameters }
}

/// What the handler sees of each.
fn check_faults(boot: Boot, profile: &Profile, faults: &[Fault]) {
    for expected in faults {
        let case = Case::new(profile, |p| {
            p.install(HANDLER)?;
            p.a.mov(rdi, p.place(2))?;
            p.a.mov(ecx, 0xC0C0)?;
            p.a.mov(iced_x86::code_asm::edx, 0xD0D0)?;
            p.a.mov(eax, 3)?;
            p.a.xor(iced_x86::code_asm::ebx, iced_x86::code_asm::ebx)?;
            p.a.mov(iced_x86::code_asm::ebp, 0x7F8)?;
            p.a.mov(r9, 0x8000_0000_0000_0000u64)?;
            p.mark(1)?;
            p.a.db(expected.bytes)?;
            p.mark(2)?;
            p.keep(0, rsp)?;
            p.end()?;
            handler(p)
        });
        let (notes, places) = case.run_with_places(boot);
        let bytes = expected.bytes;
        let seen = &notes[RAN as usize..];
        assert_eq!(seen[0], 1, "{bytes:02x?}");
        let count = expected.parameters.len();
        assert_eq!(
            (seen[1], seen[2], seen[3], seen[4], &seen[5..5 + count]),
            (expected.code.into(), 0, count as u64, places[1] + expected.address, expected.parameters),
            "{bytes:02x?}"
        );
        assert_eq!(seen[8], places[1] + expected.rip, "{bytes:02x?}");
        assert_eq!((seen[9], notes[0]), (stack(profile), stack(profile)), "{bytes:02x?}: the stack");
    }
}

const VIOLATION: u32 = 0xC000_0005;

pub(super) fn every_exception_reaches_the_handler_with_its_record(boot: Boot) {
    const PRIVILEGED: u32 = 0xC000_0096;
    let faults = [
        fault(&[0xF7, 0xF3], 0xC000_0094, &[]),
        fault(&[0xCC], 0x8000_0003, &[0]),
        fault(&[0x0F, 0x0B], 0xC000_001D, &[]),
        // Instructions that 64-bit code does not have: into, push cs.
        fault(&[0xCE], 0xC000_001D, &[]),
        // The address is in the instruction, the context behind it.
        Fault { address: 1, rip: 2, ..fault(&[0xCD, 0x04], 0xC000_0095, &[]) },
        fault(&[0xCD, 0x2C], 0xC000_0420, &[]),
        // Service 3, load symbols: no debugger does it, so it is a breakpoint behind the instruction.
        Fault { address: 2, rip: 2, ..fault(&[0xCD, 0x2D, 0xCC], 0x8000_0003, &[3, 0xC0C0, 0xD0D0]) },
        fault(&[0xF4], PRIVILEGED, &[]),
        fault(&[0xFA], PRIVILEGED, &[]),
        fault(&[0xE4, 0x60], PRIVILEGED, &[]),
        fault(&[0x66, 0x6F], PRIVILEGED, &[]),
        // mov cr0,r8, with REX; wrmsr; ltr; lmsw; sysret; swapgs.
        fault(&[0x41, 0x0F, 0x22, 0xC0], PRIVILEGED, &[]),
        fault(&[0x0F, 0x30], PRIVILEGED, &[]),
        fault(&[0x0F, 0x00, 0xD8], PRIVILEGED, &[]),
        fault(&[0x0F, 0x01, 0xF0], PRIVILEGED, &[]),
        fault(&[0x48, 0x0F, 0x07], PRIVILEGED, &[]),
        fault(&[0x0F, 0x01, 0xF8], PRIVILEGED, &[]),
        // mov eax,[62000000h]; mov [7FFE0000h],eax; mov rax,[r9], which is not canonical.
        fault(&[0x8B, 0x04, 0x25, 0, 0, 0, 0x62], VIOLATION, &[0, 0x6200_0000]),
        fault(&[0x89, 0x04, 0x25, 0, 0, 0xFE, 0x7F], VIOLATION, &[1, 0x7FFE_0000]),
        fault(&[0x49, 0x8B, 0x01], VIOLATION, &[0, u64::MAX]),
        // mov ds,bp, which is beyond the table: a selector's fault has no address.
        fault(&[0x8E, 0xDD], VIOLATION, &[0, u64::MAX]),
    ];
    for profile in Profile::ALL {
        check_faults(boot, profile, &faults);
    }
}

pub(super) fn ints_of_the_kernel_are_protection_faults(boot: Boot) {
    let unknown = |vector: u8| fault(Box::leak(Box::new([0xCD, vector])), VIOLATION, &[0, u64::MAX]);
    // #GP(n * 8 + 2), so it is no privileged instruction.
    check_faults(boot, &WIN7_X64, &[unknown(0x00), unknown(0x0E), unknown(0x29), unknown(0x2B), unknown(0x30)]);
}

#[test]
fn every_vector_has_the_privilege_that_nt_gives_it() {
    check_privileges(bundled, 8);
}

/// QEMU's code counts by the sixteen bytes of a gate, where the manual has a selector's index (Intel SDM volume 3, 6.13).
#[test]
#[ignore = "needs qemu-system-x86_64"]
fn qemu_agrees_on_the_privileges() {
    check_privileges(qemu, 16);
}

/// A #GP for every vector that ring 3 may not use. `step` is what the error code has for each vector.
fn check_privileges(boot: Boot, step: u32) {
    for profile in Profile::ALL {
        let open = |vector: u32| matches!(vector, 3 | 4 | 0x2C..=0x2E) || vector == 0x29 && profile.has_vector_29;
        let closed: Vec<u32> = (0..=0xFF).filter(|vector| !open(*vector)).collect();
        let list: String = closed.iter().map(|vector| format!("NtVector{vector} 0\n")).collect();
        // The proof's own recovery shows the error code itself.
        let mut plan = plan(&list, &[Shape::Syscall]);
        for (stub, vector) in plan.sets[0].stubs.iter_mut().zip(&closed) {
            *stub = code(stub, |a| a.int(*vector));
        }
        let (log, exit) = boot(&build(profile, &plan).expect("it builds"));
        assert_eq!(exit, 0, "{log}");
        for (record, vector) in records(&log).iter().zip(&closed) {
            let seen = (record[fact::FAULT_VECTOR], record[fact::FAULT_ERROR]);
            assert_eq!(seen, (0xE, u64::from(vector * step + 2)), "vector {vector:#x}");
        }
    }
}

pub(super) fn a_security_check_ends_the_program(boot: Boot) {
    let case = Case::new(&WIN10_X64, |p| {
        p.install(HANDLER)?;
        p.a.mov(ecx, 5)?;
        p.mark(1)?;
        p.a.int(0x29)?;
        // Nobody is asked.
        handler(p)
    });
    let (image, places) = case.build();
    let (log, exit) = boot(&image);
    assert_eq!(exit, 2, "{log}");
    assert!(log.ends_with(&format!("\nunhandled c0000409 at {:016x}\n", places[1])), "{log}");
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

pub(super) fn an_exception_that_nobody_takes_ends_the_program(boot: Boot) {
    for (profile, way) in ways() {
        let mut case = Case::new(profile, |p| {
            p.mark(1)?;
            p.a.ud2()
        });
        case.system_call = way;
        let (image, places) = case.build();
        let (log, exit) = boot(&image);
        assert_eq!(exit, 2, "{log}");
        assert!(log.ends_with(&format!("\nunhandled c000001d at {:016x}\n", places[1])), "{log}");
    }
}

pub(super) fn an_exception_without_a_stack_ends_the_program(boot: Boot) {
    let profile = &WIN7_X64;
    let stacks = [0, 0x100, profile.user_unmapped, profile.initial_stack, profile.shared_user + 0x800, 1 << 63];
    for stack in stacks {
        let case = Case::new(profile, |p| {
            p.a.mov(rsp, stack)?;
            p.mark(1)?;
            p.a.ud2()
        });
        let (image, places) = case.build();
        let (log, exit) = boot(&image);
        assert_eq!(exit, 2, "{stack:x}: {log}");
        assert!(log.ends_with(&format!("\nunhandled c000001d at {:016x}\n", places[1])), "{log}");
    }
}

pub(super) fn raised_exceptions_arrive_as_they_were_raised(boot: Boot) {
    for profile in Profile::ALL {
        let case = Case::new(profile, |p| {
            p.install(HANDLER)?;
            let (at, about) = (p.profile.user_data + 0x800, p.profile.user_data + 0xE00);
            let fields = [(context::RIP, 0x1234), (context::RDI, p.place(2)), (context::RSP, stack(&p.profile))];
            fill_context(p, at, 0x10_0003, &fields)?;
            p.a.mov(rdx, about)?;
            for (field, value) in [
                (record::CODE, 0xE06D_7363u64),
                (record::ADDRESS, 0x77),
                (record::PARAMETER_COUNT, 16),
                (record::PARAMETERS, 1),
                (record::PARAMETERS + 8, 2),
                (record::PARAMETERS + 16, 3),
            ] {
                p.a.mov(rax, value)?;
                p.a.mov(qword_ptr(rdx + field), rax)?;
            }
            p.call("NtRaiseException", &[about, at, 1])?;
            p.keep(0, rax)?;
            p.a.mov(dword_ptr(about + u64::from(record::PARAMETER_COUNT)), 3)?;
            p.call("NtRaiseException", &[about, at, 1])?;
            p.mark(2)?;
            p.end()?;
            handler(p)
        });
        let notes = case.run(boot);
        assert_eq!(notes[0], 0xC000_000D, "sixteen parameters are too many");
        assert_eq!(notes[RAN as usize..][..9], [1, 0xE06D_7363, 0, 3, 0x77, 1, 2, 3, 0x1234], "{}", profile.name);
    }
}

pub(super) fn a_fault_in_a_service_is_reported_with_frame_and_stack(boot: Boot) {
    const NOWHERE: u64 = 0xFFFF_8000_0000_2000;
    let case = Case::new(&WIN7_X64, |p| p.call("NtTest", &[0x11, 0x22]));
    // A write through a pointer into nowhere, with something to see on the stack.
    let case = case.service("NtTest", |a, _| {
        a.mov(rbx, NOWHERE)?;
        a.push(0x5555)?;
        a.mov(byte_ptr(rbx), 1)
    });
    let (image, _) = case.build();
    let (log, exit) = boot(&image);
    assert_eq!(exit, 1, "{log}");
    let rip = address(&image, "nt!NtTest") + 15;
    let bugcheck = numbers(&log, "bugcheck");
    assert_eq!(bugcheck[..5], [0x50, 0xE, 2, rip, NOWHERE]);
    assert_eq!(numbers(&log, "parameters"), [NOWHERE, 1, rip, 0]);
    let trap = numbers(&log, "trap");
    assert_eq!(trap.len(), 50);
    assert_eq!((trap[0x168 / 8], trap[0x170 / 8] & 0xFFFF, trap[0x140 / 8]), (rip, 0x10, NOWHERE));
    let stack = numbers(&log, "stack");
    // What was pushed, the return into the dispatcher, and then the frame of ring 3 with its homes and RBX.
    assert_eq!(stack[0], 0x5555);
    assert_eq!(stack.len(), 16);
    assert_eq!(bugcheck[5], WIN7_X64.base_frame() - 0x10);

    // A double fault has its own stack, and is told of too.
    let case = case.service("NtTest", |a, _| {
        a.mov(rsp, 0x1000u64)?;
        a.push(rax)
    });
    let (log, exit) = boot(&case.build().0);
    assert_eq!(exit, 1, "{log}");
    assert_eq!(numbers(&log, "bugcheck")[..2], [0x7F, 8]);
    assert_eq!(numbers(&log, "parameters"), [8, 0, 0, 0]);

    // int 29h in the kernel has a code of its own.
    let case = Case { profile: &WIN10_X64, ..case };
    let case = case.service("NtTest", |a, _| {
        a.mov(ecx, 5)?;
        a.int(0x29)
    });
    let (log, exit) = boot(&case.build().0);
    assert_eq!(exit, 1, "{log}");
    assert_eq!((numbers(&log, "bugcheck")[0], numbers(&log, "parameters")[0]), (0x139, 5));
}
