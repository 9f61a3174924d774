//! The end of a kernel: what stops it, and what it tells.

use iced_x86::code_asm::{byte_ptr, dword_ptr, eax, ebx, ecx, esp};

use super::boots::{Boot, bundled, qemu};
use super::session::{CPU, Case, dwords, notes};
use super::*;
use crate::nt::layout::{kpcr, tss};

on_both_machines! {
    a_fault_in_a_service_is_reported_with_frame_and_stack
    a_service_has_to_leave_the_level_and_apcs_as_they_were
    a_fast_call_on_a_stack_that_is_not_the_threads_stops_the_system
}

fn a_service_has_to_leave_the_level_and_apcs_as_they_were(boot: Boot) {
    for profile in Profile::ALL {
        let thread = profile.thread;
        for (way, code, parameters) in [(0, 0x4A, [2, 0, 0]), (1, 1, [0, 0xFFFF_FFFF, 0]), (2, 1, [1, 0, 0])] {
            let case = Case::new(profile, |p| {
                p.call("NtTest", &[0, 0])?;
                p.keep(0)?;
                p.end()
            })
            .service("NtTest", |a, _| {
                a.mov(ecx, dword_ptr(kpcr::CURRENT_THREAD).fs())?;
                match way {
                    0 => a.mov(byte_ptr(kpcr::IRQL).fs(), 2)?,
                    1 => a.dec(dword_ptr(ecx + thread.apc_disable))?,
                    _ => a.mov(byte_ptr(ecx + thread.apc_state_index), 1)?,
                }
                a.mov(eax, 0x66)?;
                a.ret_1(8)
            });
            let (image, _) = case.build();
            let (log, exit) = boot(&image, CPU);
            if !profile.checks_exit {
                assert_eq!((exit, notes(&log)[0]), (0, 0x66), "{}", profile.name);
                continue;
            }
            assert_eq!((exit, dwords(&log, "bugcheck")[0]), (1, code), "{}: {log}", profile.name);
            let seen = dwords(&log, "parameters");
            assert_eq!((seen[0], &seen[1..]), (address(&image, "nt!NtTest"), &parameters[..]), "{}", profile.name);
            assert_eq!(dwords(&log, "trap")[0x6C / 4], 0x1B, "{}: ring 3's frame", profile.name);
        }
    }
}

fn a_fault_in_a_service_is_reported_with_frame_and_stack(boot: Boot) {
    let case = Case::new(&SRV2003, |p| p.call("NtTest", &[0x11, 0x22]));
    // A write through a pointer into nowhere, with something to see on the stack.
    let case = case.service("NtTest", |a, _| {
        a.mov(ebx, 0xC000_2000u32)?;
        a.push(0x5555)?;
        a.mov(byte_ptr(ebx), 1)
    });
    let (image, _) = case.build();
    let (log, exit) = boot(&image, CPU);
    assert_eq!(exit, 1, "{log}");
    let routine = address(&image, "nt!NtTest");
    let eip = routine + 10;
    let bugcheck = dwords(&log, "bugcheck");
    assert_eq!(bugcheck[..5], [0x50, 0xE, 2, eip, 0xC000_2000]);
    assert_eq!(dwords(&log, "parameters"), [0xC000_2000, 1, eip, 0]);
    let trap = dwords(&log, "trap");
    assert_eq!(trap.len(), 35);
    assert_eq!((trap[0x68 / 4], trap[0x6C / 4], trap[0x5C / 4]), (eip, 8, 0xC000_2000));
    let stack = dwords(&log, "stack");
    // What was pushed, the return into the dispatcher, the two arguments, and then the frame of ring 3.
    assert_eq!((stack[0], stack[2], stack[3]), (0x5555, 0x11, 0x22));
    assert_eq!(stack.len(), 16);
    assert_eq!(bugcheck[5], SRV2003.base_frame() - 0x10);

    // The registers at a double fault are in the task segment.
    let case = case.service("NtTest", |a, _| {
        a.mov(esp, 0xA000_0000u32)?;
        a.push(eax)
    });
    let (image, _) = case.build();
    let (log, exit) = boot(&image, CPU);
    assert_eq!(exit, 1, "{log}");
    assert_eq!(dwords(&log, "bugcheck")[..2], [0x7F, 8]);
    assert_eq!(dwords(&log, "parameters"), [8, 0x8004_2000, 0, 0]);
    let trap = dwords(&log, "trap");
    let eip = address(&image, "nt!NtTest") + 5;
    assert_eq!((trap[0x68 / 4], trap[0x6C / 4], trap[0x74 / 4]), (eip, 8, 0xA000_0000));
    assert_eq!(trap[0x60 / 4], SRV2003.base_frame(), "EBP");

    // No address of the kernel: not a page that ought to be there, but an exception that nobody handles.
    let case = case.service("NtTest", |a, _| {
        a.xor(ebx, ebx)?;
        a.mov(byte_ptr(ebx + 0x10), 1)
    });
    let (image, _) = case.build();
    let (log, exit) = boot(&image, CPU);
    assert_eq!(exit, 1, "{log}");
    assert_eq!(dwords(&log, "bugcheck")[..2], [0x1E, 0xE]);
    assert_eq!(dwords(&log, "parameters"), [0xC000_0005, address(&image, "nt!NtTest") + 2, 1, 0x10]);

    // int 29h in the kernel has a code of its own.
    let case = Case { profile: &profile::WIN8, ..case };
    let case = case.service("NtTest", |a, _| {
        a.mov(ecx, 5)?;
        a.int(0x29)
    });
    let (log, exit) = boot(&case.build().0, CPU);
    assert_eq!(exit, 1, "{log}");
    let parameters = dwords(&log, "parameters");
    assert_eq!((dwords(&log, "bugcheck")[0], parameters[0]), (0x139, 5));
    assert!(parameters[1] > 0x8000_0000 && parameters[2] > 0x8000_0000, "{log}");
}

fn a_fast_call_on_a_stack_that_is_not_the_threads_stops_the_system(boot: Boot) {
    let case = Case::new(&SRV2003, |p| {
        p.call("NtTest", &[0, 0])?;
        p.call("NtTest", &[0, 0])?;
        p.end()
    })
    .service("NtTest", |a, _| {
        a.mov(ecx, dword_ptr(kpcr::TSS).fs())?;
        a.sub(dword_ptr(ecx + tss::ESP0), 0x10)?;
        a.ret_1(8)
    });
    let (image, _) = case.build();
    let (log, exit) = boot(&image, CPU);
    assert_eq!(exit, 1, "{log}");
    let bugcheck = dwords(&log, "bugcheck");
    assert_eq!((bugcheck[0], bugcheck[1]), (0x7F, 6));
    assert_eq!(bugcheck[3], address(&image, "nt!KiFastCallEntryBadStack"));
}
