//! Exceptions of ring 3 in a session, and the end of a kernel.

use iced_x86::IcedError;
use iced_x86::code_asm::{byte_ptr, dword_ptr, eax, ecx, qword_ptr, r9, rax, rbx, rcx, rdi, rdx, rsp};

use super::boots::{Boot, bundled, code, qemu, records};
use super::contexts::fill_context;
use super::session::{Case, Program, notes, numbers, stack, ways};
use super::*;
use crate::nt::amd64::layout::{exception_record as record, user_context as context};
use crate::nt::amd64::record::fact;

on_both_machines! {
    a_program_runs_and_ends_under_every_profile
    every_exception_reaches_the_handler_with_its_record
    ints_of_the_kernel_are_protection_faults
    an_exception_that_nobody_takes_ends_the_program
    an_exception_without_a_stack_ends_the_program
    raised_exceptions_arrive_as_they_were_raised
    a_fault_in_a_service_is_reported_with_frame_and_stack
    a_security_check_ends_the_program
}

/// Where the handler is, and the first of its notes: how often it ran, then eleven qwords of what it saw the last time.
pub(super) const HANDLER: usize = 0;
pub(super) const RAN: u32 = 0x20;

/// A handler that notes the record and the context's RIP, RSP and RFLAGS, and goes on at RDI.
pub(super) fn handler(p: &mut Program) -> Result<(), IcedError> {
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

pub(super) const VIOLATION: u32 = 0xC000_0005;

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
