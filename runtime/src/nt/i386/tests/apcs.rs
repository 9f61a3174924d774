//! User APCs: delivered in order when a service is left, with the context to go back to.

use iced_x86::IcedError;
use iced_x86::code_asm::{CodeAssembler, dword_ptr, eax, ebp, ebx, ecx, edi, edx, esi, esp};

use super::boots::{Boot, bundled, qemu};
use super::session::{CPU, Case, Program};
use super::*;

on_both_machines! {
    apcs_run_in_order_when_the_thread_looks
    a_service_that_queues_an_apc_returns_behind_it
    an_apc_has_its_context_on_the_stack
    an_apc_may_queue_another
    the_queue_ends
    an_apc_without_a_stack_ends_the_program
}

/// The routine, by its place.
const ROUTINE: usize = 1;
/// Where it counts, and where it notes its arguments.
const RUNS: u32 = 0x10;

/// An APC routine that notes its three arguments.
fn routine(p: &mut Program) -> Result<(), IcedError> {
    p.mark(ROUTINE)?;
    p.a.imul_3(ecx, dword_ptr(p.note(RUNS)), 12)?;
    for offset in [0, 4, 8] {
        p.a.mov(eax, dword_ptr(esp + 4 + offset))?;
        p.a.mov(dword_ptr(ecx + p.note(RUNS + 1) + offset), eax)?;
    }
    p.a.inc(dword_ptr(p.note(RUNS)))?;
    for register in [eax, ecx, edx, ebx, esi, ebp] {
        p.a.mov(register, 0xBAD)?;
    }
    p.a.ret_1(0xC)
}

/// Fills the registers that a call has to keep.
fn fill(p: &mut Program) -> Result<(), IcedError> {
    for (register, value) in [(ebx, 0xB2), (esi, 0x52), (edi, 0xD2), (ebp, 0xE2)] {
        p.a.mov(register, value)?;
    }
    Ok(())
}

/// Notes them, and the stack.
fn keep_registers(p: &mut Program, first: u32) -> Result<(), IcedError> {
    p.keep(first)?;
    for (note, register) in [(1, ebx), (2, esi), (3, edi), (4, ebp), (5, esp)] {
        p.a.mov(dword_ptr(p.note(first + note)), register)?;
    }
    Ok(())
}

pub(super) fn apcs_run_in_order_when_the_thread_looks(boot: Boot) {
    for profile in Profile::ALL {
        let case = Case::new(profile, |p| {
            fill(p)?;
            for n in [1u32, 2, 3] {
                let place = p.place(ROUTINE);
                p.call("NtQueueApcThread", &[0xFFFF_FFFE, place, n, n << 8, n << 16])?;
            }
            p.keep(6)?;
            // A service that is not alertable does not deliver.
            p.call("NtOther", &[0])?;
            p.a.mov(eax, dword_ptr(p.note(RUNS)))?;
            p.keep(7)?;
            p.call("NtTestAlert", &[])?;
            keep_registers(p, 0)?;
            p.a.mov(eax, dword_ptr(0).fs())?;
            p.keep(8)?;
            // Nothing is left.
            p.call("NtTestAlert", &[])?;
            p.end()?;
            routine(p)
        });
        for cpu in ["pentium", CPU].into_iter().filter(|cpu| profile.cpus.contains(cpu)) {
            let notes = case.run(boot, cpu);
            let name = profile.name;
            assert_eq!(notes[6..9], [0, 0, u32::MAX], "{name} {cpu}");
            assert_eq!(notes[..6], [0, 0xB2, 0x52, 0xD2, 0xE2, profile.user_stack], "{name} {cpu}");
            let runs = &notes[RUNS as usize..][..10];
            assert_eq!(runs, [3, 1, 0x100, 0x1_0000, 2, 0x200, 0x2_0000, 3, 0x300, 0x3_0000], "{name} {cpu}");
        }
    }
}

/// A service that queues an APC and has it delivered. Its first argument is the routine, its second the status.
fn queues(a: &mut CodeAssembler, symbol: &dyn Fn(&str) -> u32) -> Result<(), IcedError> {
    a.mov(eax, dword_ptr(esp + 4))?;
    a.push(0xA2)?;
    a.push(0xA1)?;
    a.push(0xA0)?;
    a.push(eax)?;
    a.call(u64::from(symbol("nt!NtgateQueueUserApc")))?;
    a.call(u64::from(symbol("nt!KeTestAlertThread")))?;
    a.mov(eax, dword_ptr(esp + 8))?;
    a.ret_1(8)
}

pub(super) fn a_service_that_queues_an_apc_returns_behind_it(boot: Boot) {
    for profile in Profile::ALL {
        let case = Case::new(profile, |p| {
            fill(p)?;
            p.a.push(0x1234_5678)?;
            p.a.push(p.place(ROUTINE))?;
            let stub = p.at("ntdll!NtTest");
            p.a.call(u64::from(stub))?;
            keep_registers(p, 0)?;
            p.end()?;
            routine(p)
        })
        .service("NtTest", queues);
        let notes = case.run(boot, CPU);
        assert_eq!(notes[..6], [0x1234_5678, 0xB2, 0x52, 0xD2, 0xE2, profile.user_stack], "{}", profile.name);
        assert_eq!(notes[RUNS as usize..][..4], [1, 0xA0, 0xA1, 0xA2], "{}", profile.name);
    }
}

pub(super) fn an_apc_has_its_context_on_the_stack(boot: Boot) {
    use layout::user_context as context;
    let case = Case::new(&SRV2003, |p| {
        fill(p)?;
        // int 2Eh with a stack that is not at a multiple of four.
        p.a.sub(esp, 0x4D)?;
        p.a.mov(dword_ptr(p.note(0x30)), p.place(ROUTINE))?;
        p.a.mov(dword_ptr(p.note(0x31)), 0x77)?;
        p.a.mov(edx, p.note(0x30))?;
        p.a.mov(eax, 6)?;
        p.a.int(0x2E)?;
        p.mark(2)?;
        keep_registers(p, 0)?;
        p.a.mov(esp, p.profile.user_stack)?;
        p.end()?;
        p.mark(ROUTINE)?;
        p.a.mov(dword_ptr(p.note(6)), esp)?;
        // The context is behind the return address and the three arguments.
        for (index, field) in
            [context::FLAGS, context::EIP, context::ESP, context::EAX, context::EBX, context::SEG_CS, context::SEG_DS]
                .into_iter()
                .enumerate()
        {
            p.a.mov(eax, dword_ptr(esp + 0x10 + field))?;
            p.keep(RUNS + index as u32)?;
        }
        p.a.ret_1(0xC)
    })
    .service("NtTest", queues);
    let (image, places) = case.build();
    let (log, exit) = boot(&image, "pentium");
    assert_eq!(exit, 0, "{log}");
    let notes = super::session::notes(&log);
    let stack = SRV2003.user_stack - 0x4D;
    assert_eq!(notes[..6], [0x77, 0xB2, 0x52, 0xD2, 0xE2, stack]);
    assert_eq!(notes[6], (stack & !3) - 8 - 0x2DC, "what was pushed is popped again");
    assert_eq!(notes[RUNS as usize..][..7], [0x1_0017, places[2], stack, 0x77, 0xB2, 0x1B, 0x23]);
}

fn an_apc_may_queue_another(boot: Boot) {
    let case = Case::new(&SRV2003, |p| {
        let place = p.place(ROUTINE);
        p.call("NtQueueApcThread", &[0xFFFF_FFFE, place, 5, 0, 0])?;
        p.call("NtTestAlert", &[])?;
        p.keep(0)?;
        p.a.mov(eax, esp)?;
        p.keep(1)?;
        p.end()?;
        let last = &mut p.a.create_label();
        p.mark(ROUTINE)?;
        p.a.inc(dword_ptr(p.note(RUNS)))?;
        p.a.mov(ecx, dword_ptr(esp + 4))?;
        // Before NtContinue takes it: ring 3's stack must not grow from one to the next.
        p.a.mov(dword_ptr(ecx * 4 + p.note(RUNS)), esp)?;
        p.a.dec(ecx)?;
        p.a.je(*last)?;
        for value in [0, 0] {
            p.a.push(value)?;
        }
        p.a.push(ecx)?;
        p.a.push(p.place(ROUTINE))?;
        p.a.push(0xFFFF_FFFEu32 as i32)?;
        let stub = p.at("ntdll!NtQueueApcThread");
        p.a.call(u64::from(stub))?;
        p.a.set_label(last)?;
        p.a.ret_1(0xC)
    });
    let notes = case.run(boot, CPU);
    assert_eq!(notes[..2], [0, SRV2003.user_stack]);
    let runs = &notes[RUNS as usize..][..6];
    assert_eq!(runs[0], 5);
    assert!(runs[1..].iter().all(|stack| *stack == runs[1]), "{runs:x?}");
}

fn the_queue_ends(boot: Boot) {
    let case = Case::new(&SRV2003, |p| {
        let place = p.place(ROUTINE);
        for n in 0..17u32 {
            p.call("NtQueueApcThread", &[0xFFFF_FFFE, place, n, 0, 0])?;
            p.keep(n % 2)?;
        }
        p.call("NtTestAlert", &[])?;
        // And has room again.
        p.call("NtQueueApcThread", &[0xFFFF_FFFE, place, 0, 0, 0])?;
        p.keep(2)?;
        // Of another thread it knows nothing.
        p.call("NtQueueApcThread", &[0x44, place, 0, 0, 0])?;
        p.keep(3)?;
        p.end()?;
        p.mark(ROUTINE)?;
        p.a.inc(dword_ptr(p.note(RUNS)))?;
        p.a.ret_1(0xC)
    });
    let notes = case.run(boot, CPU);
    assert_eq!(notes[..4], [0xC000_009A, 0, 0, 0xC000_0008]);
    assert_eq!(notes[RUNS as usize], 16);
}

fn an_apc_without_a_stack_ends_the_program(boot: Boot) {
    let case = Case::new(&SRV2003, |p| {
        p.a.mov(esp, 0x100)?;
        p.a.mov(dword_ptr(p.note(0x30)), p.place(ROUTINE))?;
        p.a.mov(edx, p.note(0x30))?;
        p.a.mov(eax, 6)?;
        p.a.int(0x2E)?;
        p.mark(ROUTINE)?;
        p.a.ud2()
    })
    .service("NtTest", queues);
    let (image, places) = case.build();
    let (log, exit) = boot(&image, CPU);
    assert_eq!(exit, 2, "{log}");
    assert!(log.ends_with(&format!("\nunhandled c0000005 at {:08x}\n", places[ROUTINE])), "{log}");
}
