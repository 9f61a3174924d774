//! Exceptions of ring 3 in a session, and the end of a kernel.

use iced_x86::IcedError;
use iced_x86::code_asm::{dword_ptr, eax, ebp, ebx, ecx, edi, edx, esi, esp};

use super::boots::{Boot, bundled, code, qemu, records};
use super::profile::Vector29;
use super::session::{CPU, Case, Program, notes};
use super::*;
use crate::nt::layout::{exception_record as record, user_context as context};
use crate::nt::record::fact;

on_both_machines! {
    a_program_runs_and_ends_under_every_profile
    every_exception_reaches_the_handler_with_its_record
    ints_of_the_kernel_are_protection_faults
    every_vector_has_the_privilege_that_nt_gives_it
    the_context_is_the_state_at_the_fault_and_comes_back
    nt_continue_keeps_ring_3_in_ring_3
    an_exception_that_nobody_takes_ends_the_program
    an_exception_without_a_stack_ends_the_program
    raised_exceptions_arrive_as_they_were_raised
    a_program_sees_no_memory_of_the_kernel_and_nothing_of_the_proof
    security_checks_are_vector_29_where_there_is_one
    the_old_vector_2c_belongs_to_event_pairs
}

/// Where the handler is, and the first of its notes: how often it ran, then eleven dwords of what it saw the last time.
const HANDLER: usize = 0;
const RAN: u32 = 0x20;

/// Puts the handler into the chain of handlers.
fn install(p: &mut Program) -> Result<(), IcedError> {
    p.a.push(p.place(HANDLER))?;
    p.a.push(dword_ptr(0).fs())?;
    p.a.mov(dword_ptr(0).fs(), esp)
}

/// A handler that notes the record and the context's EIP, ESP and EFLAGS, and goes on at EDI.
fn handler(p: &mut Program) -> Result<(), IcedError> {
    p.mark(HANDLER)?;
    p.a.mov(eax, dword_ptr(esp + 4))?;
    p.a.mov(ecx, dword_ptr(esp + 0xC))?;
    p.a.inc(dword_ptr(p.note(RAN)))?;
    for (index, field) in
        [record::CODE, record::FLAGS, record::ADDRESS, record::PARAMETER_COUNT].into_iter().enumerate()
    {
        p.a.mov(edx, dword_ptr(eax + field))?;
        p.a.mov(dword_ptr(p.note(RAN + 1 + index as u32)), edx)?;
    }
    for index in 0..3 {
        p.a.mov(edx, dword_ptr(eax + record::PARAMETERS + 4 * index))?;
        p.a.mov(dword_ptr(p.note(RAN + 5 + index)), edx)?;
    }
    for (index, field) in [context::EIP, context::ESP, context::EFLAGS].into_iter().enumerate() {
        p.a.mov(edx, dword_ptr(ecx + field))?;
        p.a.mov(dword_ptr(p.note(RAN + 8 + index as u32)), edx)?;
    }
    p.a.mov(edx, dword_ptr(ecx + context::EDI))?;
    p.a.mov(dword_ptr(ecx + context::EIP), edx)?;
    p.a.xor(eax, eax)?;
    p.a.ret()
}

fn a_program_runs_and_ends_under_every_profile(boot: Boot) {
    for profile in Profile::ALL {
        let case = Case::new(profile, |p| {
            p.call("NtOther", &[5])?;
            p.keep(0)?;
            // DbgPrint.
            let text = p.note(1);
            p.a.mov(dword_ptr(text), u32::from_le_bytes(*b"hi!\n"))?;
            p.a.mov(eax, 1)?;
            p.a.mov(ecx, text)?;
            p.a.mov(edx, 4)?;
            p.a.int(0x2D)?;
            p.a.int3()?;
            p.keep(2)?;
            p.a.mov(eax, esp)?;
            p.keep(3)?;
            p.end()
        });
        let (image, _) = case.build();
        let (log, exit) = boot(&image, CPU);
        assert_eq!(exit, 0, "{log}");
        assert!(log.starts_with(&format!("ntgate 1 session {}\ncpu cpuid 1 family 6", profile.name)), "{log}");
        assert!(log.contains("\nhi!\n") && log.ends_with("\nexit 00000000\n"), "{log}");
        let notes = notes(&log);
        assert_eq!((notes[0], notes[2], notes[3]), (0xC000_0002, 0, profile.user_stack), "{}", profile.name);
    }
}

/// A fault of ring 3: the instruction, and what the handler sees. Addresses are relative to the instruction.
struct Fault {
    bytes: &'static [u8],
    code: u32,
    flags: u32,
    address: u32,
    eip: u32,
    parameters: &'static [u32],
}

const fn fault(bytes: &'static [u8], code: u32, parameters: &'static [u32]) -> Fault {
    Fault { bytes, code, flags: 0, address: 0, eip: 0, parameters }
}

/// What the handler sees of each.
fn check_faults(boot: Boot, profile: &Profile, faults: &[Fault]) {
    for expected in faults {
        let case = Case::new(profile, |p| {
            install(p)?;
            p.a.mov(edi, p.place(2))?;
            p.a.mov(ecx, 0xC0C0)?;
            p.a.mov(edx, 0xD0D0)?;
            p.a.mov(eax, 3)?;
            p.a.xor(ebx, ebx)?;
            p.a.mov(ebp, 0x7F8)?;
            p.mark(1)?;
            p.a.db(expected.bytes)?;
            p.mark(2)?;
            p.a.mov(eax, esp)?;
            p.keep(0)?;
            p.end()?;
            handler(p)
        });
        let (image, places) = case.build();
        let (log, exit) = boot(&image, CPU);
        let bytes = expected.bytes;
        assert_eq!(exit, 0, "{bytes:02x?}: {log}");
        let notes = notes(&log);
        let seen = &notes[RAN as usize..];
        assert_eq!(seen[0], 1, "{bytes:02x?}");
        let count = expected.parameters.len();
        assert_eq!(
            (seen[1], seen[2], seen[3], seen[4], &seen[5..5 + count]),
            (expected.code, expected.flags, places[1] + expected.address, count as u32, expected.parameters),
            "{bytes:02x?}"
        );
        assert_eq!(seen[8], places[1] + expected.eip, "{bytes:02x?}");
        assert_eq!((seen[9], notes[0]), (profile.user_stack - 8, profile.user_stack - 8), "{bytes:02x?}: the stack");
    }
}

fn every_exception_reaches_the_handler_with_its_record(boot: Boot) {
    const VIOLATION: u32 = 0xC000_0005;
    const PRIVILEGED: u32 = 0xC000_0096;
    check_faults(
        boot,
        &SRV2003,
        &[
            fault(&[0xF7, 0xF3], 0xC000_0094, &[]),
            Fault { address: 0, eip: 0, ..fault(&[0xCC], 0x8000_0003, &[0, 0xC0C0, 0xD0D0]) },
            fault(&[0x0F, 0x0B], 0xC000_001D, &[]),
            // The address is in the instruction, the context behind it.
            Fault { address: 1, eip: 2, ..fault(&[0xCD, 0x04], 0xC000_0095, &[]) },
            fault(&[0xCD, 0x2C], 0xC000_0420, &[]),
            // Service 3, load symbols: no debugger does it, so it is a breakpoint behind the instruction.
            Fault { address: 2, eip: 2, ..fault(&[0xCD, 0x2D, 0xCC], 0x8000_0003, &[3, 0xC0C0, 0xD0D0]) },
            fault(&[0xF4], PRIVILEGED, &[]),
            fault(&[0xFA], PRIVILEGED, &[]),
            fault(&[0xE4, 0x60], PRIVILEGED, &[]),
            fault(&[0x66, 0x6F], PRIVILEGED, &[]),
            fault(&[0x0F, 0x22, 0xC0], PRIVILEGED, &[]),
            fault(&[0x0F, 0x30], PRIVILEGED, &[]),
            fault(&[0x0F, 0x00, 0xD8], PRIVILEGED, &[]),
            fault(&[0x0F, 0x01, 0xF0], PRIVILEGED, &[]),
            fault(&[0x0F, 0x35], PRIVILEGED, &[]),
            // mov eax,[200000h]; mov [7FFE0000h],eax.
            fault(&[0xA1, 0, 0, 0x20, 0], VIOLATION, &[0, 0x20_0000]),
            fault(&[0xA3, 0, 0, 0xFE, 0x7F], VIOLATION, &[1, 0x7FFE_0000]),
            // mov ds,bp, which is beyond the table: a selector's fault has no address.
            fault(&[0x8E, 0xDD], VIOLATION, &[0, u32::MAX]),
            // popfd with NT set, then iretd: there is no task to return to.
            Fault { address: 6, eip: 6, ..fault(&[0x68, 2, 0x40, 0, 0, 0x9D, 0xCF], VIOLATION, &[0, u32::MAX]) },
            // or eax,-1; dec eax; bound eax,[esp]: -2 is below -1, the end of the chain of handlers.
            Fault { address: 4, eip: 4, ..fault(&[0x83, 0xC8, 0xFF, 0x48, 0x62, 0x04, 0x24], 0xC000_008C, &[]) },
        ],
    );
}

fn ints_of_the_kernel_are_protection_faults(boot: Boot) {
    for profile in [&SRV2003, &profile::WIN8] {
        let unknown = |vector: u8| Fault { ..fault(Box::leak(Box::new([0xCD, vector])), 0xC000_0005, &[0, u32::MAX]) };
        // #GP(n * 8 + 2), so it is no privileged instruction.
        check_faults(boot, profile, &[unknown(0x00), unknown(0x01), unknown(0x0E), unknown(0x2F), unknown(0x30)]);
    }
    check_faults(boot, &SRV2003, &[fault(&[0xCD, 0x29], 0xC000_0005, &[0, u32::MAX])]);
}

fn every_vector_has_the_privilege_that_nt_gives_it(boot: Boot) {
    for profile in [&SRV2003, &profile::WIN8] {
        let open = |vector: u32| {
            matches!(vector, 3 | 4 | 0x2A..=0x2E) || vector == 0x29 && profile.vector_29 != Vector29::Reserved
        };
        let closed: Vec<u32> = (0..=0xFF).filter(|vector| !open(*vector)).collect();
        let list: String = closed.iter().map(|vector| format!("NtVector{vector} 0\n")).collect();
        // The proof's own recovery shows the error code itself.
        let mut plan = plan(&list, &[Shape::Int2e]);
        for (stub, vector) in plan.sets[0].stubs.iter_mut().zip(&closed) {
            *stub = code(stub, |a| a.int(*vector));
        }
        let (log, exit) = boot(&build(profile, &plan).expect("it builds"), CPU);
        assert_eq!(exit, 0, "{log}");
        for (record, vector) in records(&log).iter().zip(&closed) {
            let seen = (record[fact::FAULT_VECTOR], record[fact::FAULT_ERROR]);
            assert_eq!(seen, (0xE, vector * 8 + 2), "vector {vector:#x}");
        }
    }
}

fn security_checks_are_vector_29_where_there_is_one(boot: Boot) {
    let check = Fault { flags: 1, ..fault(&[0xCD, 0x29], 0xC000_0409, &[0xC0C0]) };
    check_faults(boot, &profile::REACTOS, &[check]);
    // Windows asks no handler.
    let case = Case::new(&profile::WIN8, |p| {
        install(p)?;
        p.a.mov(ecx, 2)?;
        p.mark(1)?;
        p.a.int(0x29)?;
        p.end()?;
        handler(p)
    });
    let (image, places) = case.build();
    let (log, exit) = boot(&image, CPU);
    assert_eq!(exit, 2, "{log}");
    assert!(log.ends_with(&format!("\nunhandled c0000409 at {:08x}\n", places[1])), "{log}");
}

fn the_old_vector_2c_belongs_to_event_pairs(boot: Boot) {
    for profile in Profile::ALL {
        let old = profile.vector_2c == profile::Vector2c::EventPair;
        if !old {
            check_faults(boot, profile, &[fault(&[0xCD, 0x2C], 0xC000_0420, &[])]);
            continue;
        }
        let case = Case::new(profile, |p| {
            p.a.int(0x2C)?;
            p.keep(0)?;
            // And vector 2Bh without a callback.
            p.a.int(0x2B)?;
            p.keep(1)?;
            p.end()
        });
        assert_eq!(case.run(boot, CPU)[..2], [0xC000_014E, 0xC000_0258], "{}", profile.name);
    }
}

pub(super) fn the_context_is_the_state_at_the_fault_and_comes_back(boot: Boot) {
    let case = Case::new(&SRV2003, |p| {
        install(p)?;
        for (register, value) in [(ebx, 0xB), (ecx, 0xC), (edx, 0xD), (esi, 0x51), (edi, 0xD1), (ebp, 0xEB), (eax, 0xA)]
        {
            p.a.mov(register, value)?;
        }
        p.a.stc()?;
        p.a.std()?;
        p.mark(1)?;
        p.a.ud2()?;
        // The handler has left everything as it was but EIP and EBX.
        for (note, register) in [(0, ebx), (1, ecx), (2, edx), (3, esi), (4, edi), (5, ebp), (6, eax), (7, esp)] {
            p.a.mov(dword_ptr(p.note(note)), register)?;
        }
        p.a.pushfd()?;
        p.a.cld()?;
        p.a.pop(eax)?;
        p.keep(8)?;
        p.end()?;
        p.mark(HANDLER)?;
        p.a.mov(ecx, dword_ptr(esp + 0xC))?;
        p.a.mov(eax, dword_ptr(ecx + context::FLAGS))?;
        p.keep(0x10)?;
        for (index, field) in [
            context::EDI,
            context::ESI,
            context::EBX,
            context::EDX,
            context::ECX,
            context::EAX,
            context::EBP,
            context::EIP,
            context::SEG_CS,
            context::EFLAGS,
            context::ESP,
            context::SEG_SS,
            context::SEG_DS,
            context::SEG_ES,
            context::SEG_FS,
            context::SEG_GS,
        ]
        .into_iter()
        .enumerate()
        {
            p.a.mov(eax, dword_ptr(ecx + field))?;
            p.keep(0x11 + index as u32)?;
        }
        p.a.mov(eax, ecx)?;
        p.keep(0x30)?;
        p.a.add(dword_ptr(ecx + context::EIP), 2)?;
        p.a.mov(dword_ptr(ecx + context::EBX), 0xBB)?;
        p.a.xor(eax, eax)?;
        p.a.ret()
    });
    let (image, places) = case.build();
    let (log, exit) = boot(&image, CPU);
    assert_eq!(exit, 0, "{log}");
    let notes = notes(&log);
    let stack = SRV2003.user_stack - 8;
    assert_eq!(notes[..9], [0xBB, 0xC, 0xD, 0x51, 0xD1, 0xEB, 0xA, stack, notes[8]]);
    assert_eq!(notes[8] & 0x601, 0x601, "IF, DF and CF");
    assert_eq!(notes[0x10], 0x1_0017);
    assert_eq!(notes[0x11..0x19], [0xD1, 0x51, 0xB, 0xD, 0xC, 0xA, 0xEB, places[1]]);
    assert_eq!(notes[0x19], 0x1B);
    assert_eq!(notes[0x1A] & 0x1_0601, 0x601, "the flags, RF not");
    assert_eq!(notes[0x1B..0x21], [stack, 0x23, 0x23, 0x23, 0x3B, 0]);
    assert_eq!(notes[0x30], (stack & !3) - 0x2CC, "the context is right below the stack");
}

fn nt_continue_keeps_ring_3_in_ring_3(boot: Boot) {
    let case = Case::new(&SRV2003, |p| {
        // A context in which everything is forbidden: kernel segments, IOPL 3, IF clear, VM.
        let at = p.profile.user_data + 0x800;
        for (field, value) in [
            (context::FLAGS, 0x1_0007),
            (context::SEG_CS, 8),
            (context::SEG_SS, 0x10),
            (context::SEG_DS, 0x10),
            (context::SEG_ES, 0x30),
            (context::SEG_FS, 0x3B),
            (context::SEG_GS, 0x10),
            (context::EFLAGS, 0x2_3CD5),
            (context::EIP, p.place(1)),
            (context::ESP, p.profile.user_stack - 0x40),
            (context::EAX, 0xAAAA),
        ] {
            p.a.mov(dword_ptr(at + field), value)?;
        }
        p.call("NtContinue", &[at, 0])?;
        p.a.ud2()?;
        p.mark(1)?;
        p.a.pushfd()?;
        // DS is null now; SS is not.
        for (index, register) in [(0, eax), (2, esp)] {
            p.a.mov(dword_ptr(p.note(index)).ss(), register)?;
        }
        p.a.pop(dword_ptr(p.note(1)).ss())?;
        p.a.mov(eax, iced_x86::code_asm::cs)?;
        p.a.mov(dword_ptr(p.note(3)).ss(), eax)?;
        for (note, register) in [
            (4, iced_x86::code_asm::ss),
            (5, iced_x86::code_asm::ds),
            (6, iced_x86::code_asm::es),
            (7, iced_x86::code_asm::fs),
            (8, iced_x86::code_asm::gs),
        ] {
            p.a.mov(eax, register)?;
            p.a.mov(dword_ptr(p.note(note)).ss(), eax)?;
        }
        p.a.mov(eax, 0x23)?;
        p.a.mov(iced_x86::code_asm::ds, eax)?;
        p.a.mov(iced_x86::code_asm::es, eax)?;
        p.a.cld()?;
        // A pointer into the kernel is no context.
        p.call("NtContinue", &[0x8000_0000, 0])?;
        p.keep(9)?;
        p.call("NtContinue", &[p.profile.user_unmapped, 0])?;
        p.keep(10)?;
        p.end()
    });
    let notes = case.run(boot, CPU);
    assert_eq!(notes[0], 0xAAAA);
    assert_eq!(notes[1], 0xED7 | 0x200 & !0x3000, "IOPL and VM are not taken, IF is set");
    assert_eq!(notes[2], SRV2003.user_stack - 0x44);
    assert_eq!(notes[3..9], [0x1B, 0x23, 0, 0, 0x3B, 0]);
    assert_eq!(notes[9..11], [0xC000_0005, 0xC000_0005]);
}

fn an_exception_that_nobody_takes_ends_the_program(boot: Boot) {
    for profile in [&SRV2003, &profile::NT4, &profile::WIN8] {
        let case = Case::new(profile, |p| {
            p.mark(1)?;
            p.a.ud2()
        });
        let (image, places) = case.build();
        let (log, exit) = boot(&image, CPU);
        assert_eq!(exit, 2, "{log}");
        assert!(log.ends_with(&format!("\nunhandled c000001d at {:08x}\n", places[1])), "{log}");
    }
}

fn an_exception_without_a_stack_ends_the_program(boot: Boot) {
    for stack in [0, 0x100, SRV2003.user_unmapped, 0x8000_0000, SRV2003.shared_user + 0x800] {
        let case = Case::new(&SRV2003, |p| {
            p.a.mov(esp, stack)?;
            p.mark(1)?;
            p.a.ud2()
        });
        let (image, places) = case.build();
        let (log, exit) = boot(&image, CPU);
        assert_eq!(exit, 2, "{stack:x}: {log}");
        assert!(log.ends_with(&format!("\nunhandled c000001d at {:08x}\n", places[1])), "{log}");
    }
}

fn raised_exceptions_arrive_as_they_were_raised(boot: Boot) {
    let case = Case::new(&SRV2003, |p| {
        install(p)?;
        let (at, about) = (p.profile.user_data + 0x800, p.profile.user_data + 0xC00);
        for (field, value) in [
            (context::FLAGS, 0x1_0003),
            (context::EIP, 0x1234),
            (context::EDI, p.place(2)),
            (context::ESP, p.profile.user_stack - 8),
        ] {
            p.a.mov(dword_ptr(at + field), value)?;
        }
        for (field, value) in [
            (record::CODE, 0xE06D_7363u32),
            (record::ADDRESS, 0x77),
            (record::PARAMETER_COUNT, 3),
            (record::PARAMETERS, 1),
            (record::PARAMETERS + 4, 2),
            (record::PARAMETERS + 8, 3),
        ] {
            p.a.mov(dword_ptr(about + field), value)?;
        }
        p.a.mov(dword_ptr(about + record::PARAMETER_COUNT), 16)?;
        p.call("NtRaiseException", &[about, at, 1])?;
        p.keep(0)?;
        p.a.mov(dword_ptr(about + record::PARAMETER_COUNT), 3)?;
        p.call("NtRaiseException", &[about, at, 1])?;
        p.mark(2)?;
        p.end()?;
        handler(p)
    });
    let notes = case.run(boot, CPU);
    assert_eq!(notes[0], 0xC000_000D, "sixteen parameters are too many");
    assert_eq!(notes[RAN as usize..][..9], [1, 0xE06D_7363, 0, 0x77, 3, 1, 2, 3, 0x1234]);
}

fn a_program_sees_no_memory_of_the_kernel_and_nothing_of_the_proof(boot: Boot) {
    let case = Case::new(&SRV2003, |p| {
        for (index, at) in [p.profile.kernel_data, p.profile.user_unmapped].into_iter().enumerate() {
            p.a.mov(eax, crate::nt::request::DUMP)?;
            p.a.mov(ecx, at)?;
            p.a.mov(edx, 4)?;
            p.a.int(0x2D)?;
            p.a.int3()?;
            p.keep(index as u32)?;
        }
        p.end()
    });
    assert_eq!(case.run(boot, CPU)[..2], [0xC000_0005, 0xC000_0005]);
    for request in [crate::nt::request::REPORT, crate::nt::request::NEXT_SET] {
        let case = Case::new(&SRV2003, |p| {
            p.a.mov(eax, request)?;
            p.a.int(0x2D)?;
            p.a.int3()
        });
        let (log, exit) = boot(&case.build().0, CPU);
        assert_eq!(exit, 2, "{log}");
        assert!(log.contains("\nunhandled 80000003 at "), "{log}");
    }
}
