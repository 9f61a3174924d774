//! SharedUserData: what ring 3 reads there, and the clock.

use iced_x86::code_asm::{dword_ptr, eax, qword_ptr, rax, rcx, rdx};

use super::boots::{Boot, bundled, qemu};
use super::session::{Case, stack};
use super::*;
use crate::nt::amd64::layout::shared;

on_both_machines! {
    the_page_says_which_system_it_is
    ring_3_may_only_read_it
    the_clock_counts
    a_session_without_a_clock_has_no_time
}

fn the_page_says_which_system_it_is(boot: Boot) {
    for profile in Profile::ALL {
        let case = Case::new(profile, |p| {
            let page = p.profile.shared_user;
            for (note, field) in [
                shared::TICK_COUNT_MULTIPLIER,
                shared::IMAGE_NUMBER_LOW,
                shared::NT_SYSTEM_ROOT,
                shared::NT_BUILD_NUMBER,
                shared::NT_PRODUCT_TYPE,
                shared::NT_MAJOR_VERSION,
                shared::NT_MINOR_VERSION,
                shared::RESERVED_1,
                shared::RESERVED_3,
                shared::SUITE_MASK,
                shared::NX_SUPPORT_POLICY - 1,
                shared::TEST_RET_INSTRUCTION,
                shared::QPC_FREQUENCY,
                shared::SYSTEM_CALL,
                shared::PRODUCT_TYPE_IS_VALID,
            ]
            .into_iter()
            .enumerate()
            {
                p.a.mov(eax, dword_ptr(page + u64::from(field)))?;
                p.keep(note as u32, rax)?;
            }
            for qword in 0..2 {
                p.a.mov(rax, qword_ptr(page + u64::from(shared::PROCESSOR_FEATURES + 8 * qword)))?;
                p.keep(0x10 + qword, rax)?;
            }
            p.a.mov(eax, dword_ptr(page + u64::from(shared::COOKIE)))?;
            p.keep(0x12, rax)?;
            p.end()
        });
        let notes = case.run(boot);
        let name = profile.name;
        let windows_10 = profile.major_version == 10;
        let root = u64::from(b'C') | u64::from(b':') << 16;
        assert_eq!(notes[..3], [0x0FA0_0000, 0x8664_8664, root], "{name}");
        assert_eq!(notes[3], if windows_10 { 10586 } else { 0 }, "{name}");
        let version = [profile.product_type, profile.major_version, profile.minor_version].map(u64::from);
        assert_eq!(notes[4..7], version, "{name}");
        assert_eq!(notes[7..10], [0x7FFE_FFFF, 0x8000_0000, 0x110], "{name}");
        assert_eq!(notes[10] & 0xFFFF, 0x200, "{name}: no debugger, NX by choice");
        assert_eq!(notes[11..13], [0xC3, if windows_10 { 10_000_000 } else { 0 }], "{name}");
        assert_eq!(notes[13], 0, "{name}");
        assert_eq!(notes[14] & 1, 1, "{name}");
        // CMPXCHG8B and SSE (the bundled machine has no MMX); RDTSC, PAE, SSE2.
        assert_eq!(notes[0x10] & 0x00FF_0000_00FF_0000, 0x0001_0000_0001_0000, "{name}");
        assert_eq!(notes[0x11] & 0x00FF_FFFF, 0x01_0101, "{name}");
        assert_eq!(notes[0x11] >> 32 & 1, 1, "{name}: NX");
        assert_ne!(notes[0x12], 0, "{name}");
    }
}

fn ring_3_may_only_read_it(boot: Boot) {
    let case = Case::new(&WIN7_X64, |p| {
        p.mark(1)?;
        p.a.inc(dword_ptr(p.profile.shared_user + 0x320))
    });
    let (image, places) = case.build();
    let (log, exit) = boot(&image);
    assert_eq!(exit, 2, "{log}");
    assert!(log.ends_with(&format!("unhandled c0000005 at {:016x}\n", places[1])), "{log}");
}

fn the_clock_counts(boot: Boot) {
    for profile in Profile::ALL {
        let mut case = Case::new(profile, |p| {
            let page = p.profile.shared_user;
            let wait = &mut p.a.create_label();
            let again = &mut p.a.create_label();
            p.a.mov(rax, qword_ptr(page + u64::from(shared::SYSTEM_TIME)))?;
            p.keep(4, rax)?;
            p.a.mov(rdx, 0x1234_5678_9ABC_DEF0u64)?;
            p.a.mov(rcx, 3u64)?;
            // A service in between, so that some interrupts come in the kernel.
            p.a.set_label(wait)?;
            p.call("NtOther", &[0])?;
            p.a.cmp(qword_ptr(page + u64::from(shared::TICK_COUNT)), 3)?;
            p.a.jb(*wait)?;
            p.a.set_label(again)?;
            p.a.mov(rax, qword_ptr(page + u64::from(shared::TICK_COUNT)))?;
            p.keep(0, rax)?;
            p.a.mov(rax, qword_ptr(page + u64::from(shared::INTERRUPT_TIME)))?;
            p.keep(1, rax)?;
            p.a.mov(rax, qword_ptr(page + u64::from(shared::SYSTEM_TIME)))?;
            p.keep(2, rax)?;
            // The three belong together if no tick came between.
            p.a.mov(rax, qword_ptr(page + u64::from(shared::TICK_COUNT)))?;
            p.a.cmp(rax, p.note(0))?;
            p.a.jne(*again)?;
            p.a.mov(eax, dword_ptr(page + u64::from(shared::SYSTEM_TIME + shared::system_time::HIGH_2)))?;
            p.keep(3, rax)?;
            p.keep(5, iced_x86::code_asm::rsp)?;
            p.end()
        });
        case.session.clock = true;
        let notes = case.run(boot);
        let name = profile.name;
        let ticks = notes[0];
        assert!((3..1000).contains(&ticks), "{name}: {ticks}");
        assert_eq!(notes[1], ticks * 156_250, "{name}");
        // It may have ticked before the first look at it.
        let started = 0x01CA_8A75_5C6E_0000;
        assert_eq!(notes[2] - started, ticks * 156_250, "{name}");
        assert!((notes[4] - started).is_multiple_of(156_250), "{name}");
        assert_eq!(notes[3], notes[2] >> 32, "{name}");
        assert_eq!(notes[5], stack(profile), "{name}");
    }
}

fn a_session_without_a_clock_has_no_time(boot: Boot) {
    let case = Case::new(&WIN7_X64, |p| {
        let wait = &mut p.a.create_label();
        p.a.mov(rcx, 300_000u64)?;
        p.a.set_label(wait)?;
        p.a.dec(rcx)?;
        p.a.jne(*wait)?;
        p.a.mov(rax, qword_ptr(p.profile.shared_user + u64::from(shared::TICK_COUNT)))?;
        p.keep(0, rax)?;
        p.end()
    });
    assert_eq!(case.run(boot)[0], 0);
}
