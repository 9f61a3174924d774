//! Threads become GUI threads with their first call of win32k, or do not.

use iced_x86::code_asm::{dword_ptr, eax, ebp, ebx, ecx, edi, esi, esp};

use super::boots::{Boot, bundled, qemu};
use super::session::{CPU, Case, SERVICES};
use super::*;
use crate::nt::layout::{kpcr, tss};

on_both_machines! {
    the_first_call_of_win32k_converts_the_thread
    a_thread_that_cannot_be_converted_gets_a_status
    a_thread_is_not_converted_in_a_callback
    a_failed_conversion_returns_what_the_byte_table_says
    callbacks_of_a_gui_thread_have_more_room
    gathered_drawing_calls_go_before_a_call_of_win32k
}

/// Three services of win32k.
fn list() -> String {
    format!("{SERVICES}#! table win32k base=0x1000\nNtUserA 2\nNtUserB 1\nNtUserC 0\n")
}

pub(super) fn the_first_call_of_win32k_converts_the_thread(boot: Boot) {
    let list = list();
    for profile in Profile::ALL {
        let note = |index: u32| dword_ptr(profile.user_data + 4 * index);
        let mut case = Case::new(profile, |p| {
            for (register, value) in [(ebx, 0xB2), (esi, 0x52), (edi, 0xD2), (ebp, 0xE2)] {
                p.a.mov(register, value)?;
            }
            p.call("NtUserA", &[0x11, 0x22])?;
            p.keep(0)?;
            for (note, register) in [(1, ebx), (2, esi), (3, edi), (4, ebp), (5, esp)] {
                p.a.mov(dword_ptr(p.note(note)), register)?;
            }
            // Nothing happens the second time.
            p.call("NtUserA", &[0x33, 0x44])?;
            p.keep(6)?;
            // Beyond the table, on a thread that has it.
            p.a.mov(eax, 0x1FFF)?;
            p.a.mov(iced_x86::code_asm::edx, esp)?;
            p.a.int(0x2E)?;
            p.keep(7)?;
            p.call("NtOther", &[0])?;
            p.keep(8)?;
            p.end()
        })
        .service("NtUserA", |a, _| {
            a.mov(ecx, dword_ptr(kpcr::CURRENT_THREAD).fs())?;
            let thread = profile.thread;
            for (index, field) in [thread.initial_stack, thread.stack_limit, thread.trap_frame].into_iter().enumerate()
            {
                a.mov(eax, dword_ptr(ecx + field))?;
                a.mov(note(0x10 + index as u32), eax)?;
            }
            a.mov(ecx, dword_ptr(kpcr::TSS).fs())?;
            a.mov(eax, dword_ptr(ecx + tss::ESP0))?;
            a.mov(note(0x13), eax)?;
            a.mov(note(0x14), ebp)?;
            a.inc(note(0x15))?;
            a.mov(eax, dword_ptr(esp + 4))?;
            a.shl(eax, 8)?;
            a.or(eax, dword_ptr(esp + 8))?;
            a.ret_1(8)
        });
        case.list = &list;
        case.session.gui = Gui::Available;
        for cpu in ["pentium", CPU].into_iter().filter(|cpu| profile.cpus.contains(cpu)) {
            let notes = case.run(boot, cpu);
            let name = profile.name;
            assert_eq!(notes[..6], [0x1122, 0xB2, 0x52, 0xD2, 0xE2, profile.user_stack], "{name} {cpu}");
            assert_eq!(notes[6..9], [0x3344, 0xC000_001C, 0xC000_0002], "{name} {cpu}");
            let base = profile.gui_stack - 0x29C;
            let limit = profile.gui_stack - profile.gui_stack_pages * 0x1000;
            assert_eq!(notes[0x10..0x13], [profile.gui_stack, limit, base], "{name} {cpu}");
            assert_eq!(notes[0x13..0x16], [base + 0x7C, base, 2], "{name} {cpu}");
        }
    }
}

fn a_thread_that_cannot_be_converted_gets_a_status(boot: Boot) {
    let list = list();
    for gui in [Gui::None, Gui::NoMemory] {
        let mut case = Case::new(&SRV2003, |p| {
            p.a.mov(ebx, 0xB2)?;
            for call in 0..2 {
                p.call("NtUserA", &[0x11, 0x22])?;
                p.keep(call)?;
            }
            p.a.mov(dword_ptr(p.note(2)), esp)?;
            p.a.mov(dword_ptr(p.note(3)), ebx)?;
            p.call("NtOther", &[0])?;
            p.keep(4)?;
            p.end()
        })
        .service("NtUserA", |a, _| a.ud2())
        .service("NtOther", |a, _| {
            a.mov(ecx, dword_ptr(kpcr::CURRENT_THREAD).fs())?;
            a.mov(eax, dword_ptr(ecx + SRV2003.thread.initial_stack))?;
            a.ret_1(4)
        });
        case.list = &list;
        case.session.gui = gui;
        for cpu in ["pentium", CPU] {
            let notes = case.run(boot, cpu);
            let stack = SRV2003.user_stack;
            assert_eq!(notes[..5], [0xC000_001C, 0xC000_001C, stack, 0xB2, SRV2003.initial_stack], "{gui:?}");
        }
    }
}

fn a_failed_conversion_returns_what_the_byte_table_says(boot: Boot) {
    for (gui, list) in [(Gui::None, SERVICES.to_owned()), (Gui::Available, list())] {
        let first = if gui == Gui::None { 0x1000 } else { 0x1003 };
        let mut case = Case::new(&SRV2003, |p| {
            if gui != Gui::None {
                p.call("NtUserC", &[])?;
            }
            for index in 0..5 {
                p.a.mov(eax, first + index)?;
                p.a.mov(iced_x86::code_asm::edx, esp)?;
                p.a.int(0x2E)?;
                p.keep(index)?;
            }
            p.end()
        });
        case.list = &list;
        case.session.gui = gui;
        case.session.win32k_results = vec![0xFF; (first - 0x1000) as usize];
        case.session.win32k_results.extend([0, 0xFF, 1, 0x80]);
        let notes = case.run(boot, CPU);
        assert_eq!(notes[..5], [0, u32::MAX, 0xC000_001C, 0xFFFF_FF80, 0xC000_001C], "{gui:?}");
    }
}

fn a_thread_is_not_converted_in_a_callback(boot: Boot) {
    let list = list();
    let mut case = Case::new(&SRV2003, |p| {
        p.call("NtTest", &[0, 0])?;
        p.keep(0)?;
        // Outside it is.
        p.call("NtUserB", &[0])?;
        p.keep(1)?;
        p.end()?;
        p.mark(1)?;
        p.call("NtUserB", &[0])?;
        p.a.ret_1(8)
    })
    .service("NtTest", |a, symbol| {
        // The results go into what the caller passed.
        a.lea(eax, dword_ptr(esp + 4))?;
        a.push(eax)?;
        a.push(eax)?;
        a.push(0)?;
        a.push(0)?;
        a.push(0)?;
        a.call(u64::from(symbol("nt!KeUserModeCallback")))?;
        a.ret_1(8)
    })
    .service("NtUserB", |a, _| {
        a.mov(eax, 0x66)?;
        a.ret_1(4)
    });
    case.list = &list;
    case.callbacks = &[1];
    case.session.gui = Gui::Available;
    assert_eq!(case.run(boot, CPU)[..2], [0xC000_001C, 0x66]);
}

fn callbacks_of_a_gui_thread_have_more_room(boot: Boot) {
    const DEPTH: u32 = 40;
    let list = list();
    let mut case = Case::new(&SRV2003, |p| {
        p.call("NtUserA", &[DEPTH, 0])?;
        p.keep(0)?;
        p.end()?;
        let leaf = &mut p.a.create_label();
        p.mark(1)?;
        p.a.mov(eax, dword_ptr(esp + 4))?;
        p.a.mov(ecx, dword_ptr(eax))?;
        p.a.mov(eax, 0x100)?;
        p.a.jecxz(*leaf)?;
        p.a.dec(ecx)?;
        p.a.push(0)?;
        p.a.push(ecx)?;
        let stub = p.at("ntdll!NtUserA");
        p.a.call(u64::from(stub))?;
        p.a.inc(eax)?;
        p.a.set_label(leaf)?;
        p.a.ret_1(8)
    })
    .service("NtUserA", |a, symbol| {
        a.lea(eax, dword_ptr(esp + 4))?;
        a.sub(esp, 8)?;
        a.mov(ecx, esp)?;
        a.push(ecx)?;
        a.push(ecx)?;
        a.push(8)?;
        a.push(eax)?;
        a.push(0)?;
        a.call(u64::from(symbol("nt!KeUserModeCallback")))?;
        a.add(esp, 8)?;
        a.ret_1(8)
    });
    case.list = &list;
    case.callbacks = &[1];
    case.session.gui = Gui::Available;
    assert_eq!(case.run(boot, CPU)[0], 0x100 + DEPTH);
}

fn gathered_drawing_calls_go_before_a_call_of_win32k(boot: Boot) {
    const COUNT: u32 = layout::teb::GDI_BATCH_COUNT;
    let list = list();
    let mut case = Case::new(&SRV2003, |p| {
        p.call("NtUserC", &[])?;
        p.a.mov(dword_ptr(COUNT).fs(), 5)?;
        // A service of the other table does not ask for it.
        p.call("NtOther", &[0])?;
        p.a.mov(eax, dword_ptr(COUNT).fs())?;
        p.keep(0)?;
        p.call("NtUserA", &[0x11, 0x22])?;
        p.keep(1)?;
        p.a.mov(eax, dword_ptr(COUNT).fs())?;
        p.keep(2)?;
        // What a callback leaves goes when it is over.
        p.call("NtUserB", &[0])?;
        p.keep(4)?;
        p.a.mov(dword_ptr(p.note(5)), esp)?;
        p.end()?;
        p.mark(1)?;
        p.a.mov(dword_ptr(COUNT).fs(), 7)?;
        p.a.mov(eax, 0x55)?;
        p.a.ret_1(8)
    })
    .service("NtUserA", |a, _| {
        a.mov(eax, dword_ptr(esp + 4))?;
        a.shl(eax, 8)?;
        a.or(eax, dword_ptr(esp + 8))?;
        a.ret_1(8)
    })
    .service("NtUserB", |a, symbol| {
        a.sub(esp, 8)?;
        a.mov(ecx, esp)?;
        for argument in [ecx, ecx] {
            a.push(argument)?;
        }
        for argument in [0, 0, 0] {
            a.push(argument)?;
        }
        a.call(u64::from(symbol("nt!KeUserModeCallback")))?;
        a.add(esp, 8)?;
        a.mov(ecx, dword_ptr(kpcr::TEB).fs())?;
        a.mov(ecx, dword_ptr(ecx + COUNT))?;
        a.mov(dword_ptr(SRV2003.user_data + 4 * 3), ecx)?;
        a.ret_1(4)
    });
    case.list = &list;
    case.callbacks = &[1];
    case.session.gui = Gui::Available;
    assert_eq!(case.run(boot, CPU)[..6], [5, 0x1122, 0, 0, 0x55, SRV2003.user_stack]);
}
