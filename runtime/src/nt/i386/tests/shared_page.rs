//! SharedUserData: every field that there is, both addresses, and the clock.

use iced_x86::code_asm::{byte_ptr, dword_ptr, eax, ebp, ebx, ecx, edi, edx, esi, esp};

use super::boots::{Boot, bundled, qemu};
use super::session::{CPU, Case, dwords, notes};
use super::*;
use crate::nt::layout::{eflags, shared};

on_both_machines! {
    the_page_has_what_the_system_has
    both_addresses_show_the_same_page
    the_clock_counts_while_ring_3_runs
    the_clock_counts_while_a_service_runs
    calls_and_interrupts_do_not_get_into_each_others_way
    without_a_clock_no_time_passes
    ring_3_can_use_what_the_page_promises
}

/// The dwords from 7FFE0000h to 340h.
fn page(boot: Boot, profile: &Profile, cpu: &str) -> Vec<u32> {
    let case = Case::new(profile, |p| {
        p.a.mov(eax, crate::nt::request::DUMP)?;
        p.a.mov(ecx, p.profile.shared_user)?;
        p.a.mov(edx, shared::END / 4)?;
        p.a.int(0x2D)?;
        p.a.int3()?;
        p.call("NtTerminateProcess", &[u32::MAX, 0])
    });
    let (log, exit) = boot(&case.build().0, cpu);
    assert_eq!(exit, 0, "{log}");
    dwords(&log, "d")
}

fn the_page_has_what_the_system_has(boot: Boot) {
    for profile in Profile::ALL {
        let page = page(boot, profile, CPU);
        let at = |offset: u32| page[offset as usize / 4];
        let name = profile.name;
        let root: Vec<u8> = page[0xC..0x82].iter().flat_map(|dword| dword.to_le_bytes()).collect();
        let root: Vec<u16> = root.chunks_exact(2).map(|unit| u16::from_le_bytes([unit[0], unit[1]])).collect();
        let end = root.iter().position(|unit| *unit == 0).expect("it ends");
        assert_eq!(String::from_utf16_lossy(&root[..end]), profile.system_root, "{name}");
        for (offset, value) in [
            (0x000, 0),
            (0x004, 0x0A03_AFB7),
            (0x008, 0),
            (0x018, 0x01C8_4C09),
            (0x01C, 0x01C8_4C09),
            (0x02C, 0x014C_014C),
            (0x238, 0),
            (0x264, profile.product_type),
            (0x268, 1),
            (0x26C, profile.major_version),
            (0x270, profile.minor_version),
            (0x2B4, 0x7FFE_FFFF),
            (0x2B8, 0x8000_0000),
            (0x2F8, 0xC3),
            (0x320, 0),
        ] {
            assert_eq!(at(offset), value, "{name} +{offset:03x}");
        }
        let new = profile.build >= 3790;
        assert_eq!(at(0x244), if new { 0x40_0000 } else { 0 }, "{name}");
        assert_eq!(at(0x2E0), if new { u32::MAX } else { 0 }, "{name}");
        let cookie = !matches!(profile.name, "nt4" | "win2000" | "winxp");
        assert_eq!((at(0x330) != 0, at(0x2D4) >> 8 & 0xFF == 2), (cookie, cookie), "{name}");
        // CMPXCHG8B and RDTSC; no PAE in use.
        let features: Vec<u8> = page[0x9D..0xAD].iter().flat_map(|dword| dword.to_le_bytes()).collect();
        assert_eq!((features[2], features[8], features[9]), (1, 1, 0), "{name}");
        // A Pentium II has no SSE. The bundled machine does not have MMX either, which is for the test below.
        assert_eq!((features[6], features[10], features[3] & !1), (0, 0, 0), "{name}");
        let suites = match profile.name {
            "nt4" | "win2000" => 0,
            "srv2003" | "reactos" => 0x110,
            _ => 0x100,
        };
        assert_eq!(at(0x2D0), suites, "{name}");
        assert!(at(0x2E8) >= 0x800, "{name}: pages of memory");
        let (call, back) = match profile.way {
            profile::SystemCallWay::SharedPointer => (profile.fast_system_call, profile.fast_system_call_ret()),
            profile::SystemCallWay::SharedCode => (0x340F_D48B, 0xC3),
            _ => (0, 0),
        };
        assert_eq!((at(0x300), at(0x304)), (call, back), "{name}");
        if profile.way == profile::SystemCallWay::SharedPointer && profile.cpus.contains(&"pentium") {
            let page = self::page(boot, profile, "pentium");
            assert_eq!((page[0xC0], page[0xC1]), (profile.int_system_call, 0), "{name}");
        }
    }
}

fn ring_3_can_use_what_the_page_promises(boot: Boot) {
    for profile in [&SRV2003, &profile::WIN8] {
        let case = Case::new(profile, |p| {
            let features = p.profile.shared_user + shared::PROCESSOR_FEATURES;
            // paddd mm0,mm0; xorps xmm0,xmm0; xorpd xmm0,xmm0.
            for (index, code) in
                [(3, &[0x0F, 0xFE, 0xC0][..]), (6, &[0x0F, 0x57, 0xC0]), (10, &[0x66, 0x0F, 0x57, 0xC0])]
            {
                let skip = &mut p.a.create_label();
                p.a.cmp(byte_ptr(features + index), 0)?;
                p.a.je(*skip)?;
                p.a.db(code)?;
                p.a.set_label(skip)?;
                p.a.nop()?;
            }
            p.end()
        });
        case.run(boot, "core2");
    }
}

fn both_addresses_show_the_same_page(boot: Boot) {
    for profile in Profile::ALL {
        let case = Case::new(profile, |p| {
            p.call("NtTest", &[0, 0])?;
            p.a.mov(eax, dword_ptr(p.profile.shared_user + 0xFFC))?;
            p.keep(0)?;
            p.end()
        })
        .service("NtTest", |a, _| {
            a.mov(dword_ptr(profile.shared_kernel + 0xFFC), 0x1357_9BDF)?;
            a.xor(eax, eax)?;
            a.ret_1(8)
        });
        assert_eq!(case.run(boot, CPU)[0], 0x1357_9BDF, "{}", profile.name);
    }
}

/// Offset of the tick count.
fn ticks(profile: &Profile) -> u32 {
    profile.shared_user + if profile.build >= 3790 { 0x320 } else { 0 }
}

fn the_clock_counts_while_ring_3_runs(boot: Boot) {
    for profile in Profile::ALL {
        let mut case = Case::new(profile, |p| {
            for (register, value) in [(ebx, 0xB2), (esi, 0x52), (edi, 0xD2), (ebp, 0xE2), (edx, 0xDD)] {
                p.a.mov(register, value)?;
            }
            let again = &mut p.a.create_label();
            p.a.std()?;
            p.a.set_label(again)?;
            p.a.mov(eax, 0x1234)?;
            p.a.cmp(dword_ptr(ticks(profile)), 3)?;
            p.a.jb(*again)?;
            p.a.cld()?;
            for (note, register) in [(1, ebx), (2, esi), (3, edi), (4, ebp), (5, esp), (6, edx), (7, eax)] {
                p.a.mov(dword_ptr(p.note(note)), register)?;
            }
            // Times and ticks, taken together before the next tick is due.
            for (note, offset) in [(8, 8), (9, 0xC), (10, 0x10), (11, 0x14), (12, 0x18)] {
                p.a.mov(eax, dword_ptr(p.profile.shared_user + offset))?;
                p.keep(note)?;
            }
            p.a.int(0x2A)?;
            p.keep(13)?;
            p.a.mov(eax, dword_ptr(ticks(profile)))?;
            p.keep(14)?;
            p.end()
        });
        case.session.clock = true;
        let notes = case.run(boot, CPU);
        let name = profile.name;
        assert_eq!(notes[1..8], [0xB2, 0x52, 0xD2, 0xE2, profile.user_stack, 0xDD, 0x1234], "{name}");
        let count = notes[8] / 100_144;
        assert!(notes[8].is_multiple_of(100_144) && (3..=notes[14]).contains(&count), "{name}: {notes:x?}");
        assert_eq!(notes[9..11], [0, 0], "{name}");
        let passed = notes[11].wrapping_sub(0x4076_C000);
        assert!(passed.is_multiple_of(100_144) && passed >= notes[8], "{name}: system time goes with interrupt time");
        assert_eq!(notes[12], 0x01C8_4C09, "{name}");
        let milliseconds = |ticks: u32| (u64::from(ticks) * 0x0A03_AFB7 >> 24) as u32;
        assert!((milliseconds(count)..=milliseconds(notes[14])).contains(&notes[13]), "{name}: int 2Ah");
    }
}

pub(super) fn the_clock_counts_while_a_service_runs(boot: Boot) {
    for profile in [&SRV2003, &profile::NT4, &profile::WIN8] {
        let field = ticks(profile) - profile.shared_user + profile.shared_kernel;
        let mut case = Case::new(profile, |p| {
            p.call("NtTest", &[7, 8])?;
            p.keep(0)?;
            p.end()
        })
        .service("NtTest", |a, _| {
            let again = &mut a.create_label();
            a.push(ebx)?;
            a.mov(ebx, 0x77)?;
            a.set_label(again)?;
            a.cmp(dword_ptr(field), 2)?;
            a.jb(*again)?;
            a.mov(eax, ebx)?;
            a.pop(ebx)?;
            // The level is down again.
            a.movzx(ecx, byte_ptr(layout::kpcr::IRQL).fs())?;
            a.shl(ecx, 8)?;
            a.or(eax, ecx)?;
            a.ret_1(8)
        });
        case.session.clock = true;
        assert_eq!(case.run(boot, CPU)[0], 0x77, "{}", profile.name);
    }
}

fn calls_and_interrupts_do_not_get_into_each_others_way(boot: Boot) {
    for profile in Profile::ALL {
        let mut case = Case::new(profile, |p| {
            let again = &mut p.a.create_label();
            let bad = &mut p.a.create_label();
            let done = &mut p.a.create_label();
            for (register, value) in [(ebx, 0xB2), (esi, 0), (edi, 0xD2), (ebp, 0xE2)] {
                p.a.mov(register, value)?;
            }
            p.a.set_label(again)?;
            p.a.inc(esi)?;
            p.a.push(1)?;
            p.a.push(esi)?;
            let stub = p.at("ntdll!NtTest");
            p.a.call(u64::from(stub))?;
            p.a.lea(ecx, dword_ptr(esi + 1))?;
            p.a.cmp(eax, ecx)?;
            p.a.jne(*bad)?;
            p.a.cmp(esp, p.profile.user_stack as i32)?;
            p.a.jne(*bad)?;
            p.a.cmp(dword_ptr(ticks(profile)), 20)?;
            p.a.jb(*again)?;
            p.a.jmp(*done)?;
            p.a.set_label(bad)?;
            p.keep(0)?;
            p.a.set_label(done)?;
            for (note, register) in [(1, ebx), (2, edi), (3, ebp)] {
                p.a.mov(dword_ptr(p.note(note)), register)?;
            }
            p.a.pushfd()?;
            p.a.pop(eax)?;
            p.a.and(eax, eflags::IF)?;
            p.keep(4)?;
            p.end()
        })
        .service("NtTest", |a, _| {
            a.mov(eax, dword_ptr(esp + 4))?;
            a.add(eax, dword_ptr(esp + 8))?;
            a.ret_1(8)
        });
        case.session.clock = true;
        let (image, _) = case.build();
        let (log, exit) = boot(&image, CPU);
        assert_eq!(exit, 0, "{}: {log}", profile.name);
        assert_eq!(notes(&log)[..5], [0, 0xB2, 0xD2, 0xE2, eflags::IF], "{}", profile.name);
    }
}

fn without_a_clock_no_time_passes(boot: Boot) {
    let case = Case::new(&SRV2003, |p| {
        let again = &mut p.a.create_label();
        p.a.mov(ecx, 1_000_000)?;
        p.a.set_label(again)?;
        p.a.dec(ecx)?;
        p.a.jne(*again)?;
        p.a.mov(eax, dword_ptr(ticks(&SRV2003)))?;
        p.keep(0)?;
        p.a.int(0x2A)?;
        p.keep(1)?;
        p.end()
    });
    assert_eq!(case.run(boot, CPU)[..2], [0, 0]);
}
