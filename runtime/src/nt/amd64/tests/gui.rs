//! Threads become GUI threads with their first call of win32k, or do not.

use iced_x86::code_asm::{eax, qword_ptr, rax, rbp, rbx, rcx, rdi, rdx, rsi, rsp};

use super::boots::{Boot, bundled, qemu};
use super::session::{Case, SERVICES, stack, ways};
use super::*;
use crate::nt::amd64::layout::{kpcr, tss};

on_both_machines! {
    the_first_call_of_win32k_converts_the_thread
    a_thread_that_cannot_be_converted_gets_a_status
    a_thread_is_not_converted_in_a_callback
}

/// Three services of win32k.
fn list() -> String {
    format!("{SERVICES}#! table win32k base=0x1000\nNtUserA 6\nNtUserB 1\nNtUserC 0\n")
}

/// A call by number, on a thread that has the table.
fn beyond(p: &mut super::session::Program) -> Result<(), iced_x86::IcedError> {
    p.a.mov(eax, 0x1FFF)?;
    p.a.syscall()
}

pub(super) fn the_first_call_of_win32k_converts_the_thread(boot: Boot) {
    let list = list();
    for (profile, way) in ways() {
        let note = |index: u32| qword_ptr(profile.user_data + u64::from(8 * index));
        let mut case = Case::new(profile, |p| {
            for (register, value) in [(rbx, 0xB2u64), (rsi, 0x52), (rdi, 0xD2), (rbp, 0xE2)] {
                p.a.mov(register, value)?;
            }
            p.call("NtUserA", &[0x11, 0x22, 0x33, 0x44, 0x55, 0x66])?;
            for (index, register) in [rax, rbx, rsi, rdi, rbp, rsp].into_iter().enumerate() {
                p.keep(index as u32, register)?;
            }
            // Nothing happens the second time.
            p.call("NtUserA", &[1, 2, 3, 4, 5, 6])?;
            p.keep(6, rax)?;
            beyond(p)?;
            p.keep(7, rax)?;
            p.call("NtOther", &[0])?;
            p.keep(8, rax)?;
            p.end()
        })
        .service("NtUserA", |a, _| {
            a.mov(rax, qword_ptr(kpcr::CURRENT_THREAD).gs())?;
            let thread = profile.thread;
            for (index, field) in [thread.initial_stack, thread.stack_limit, thread.trap_frame].into_iter().enumerate()
            {
                a.mov(iced_x86::code_asm::r10, qword_ptr(rax + field))?;
                a.mov(note(0x10 + index as u32), iced_x86::code_asm::r10)?;
            }
            a.mov(rax, qword_ptr(kpcr::TSS).gs())?;
            a.mov(rax, qword_ptr(rax + tss::RSP0))?;
            a.mov(note(0x13), rax)?;
            a.mov(rax, qword_ptr(kpcr::RSP_BASE).gs())?;
            a.mov(note(0x14), rax)?;
            a.mov(note(0x15), rsp)?;
            a.inc(note(0x16))?;
            // The sum of the first, the second and the last two.
            a.lea(rax, rcx + rdx)?;
            a.add(rax, qword_ptr(rsp + 0x28))?;
            a.add(rax, qword_ptr(rsp + 0x30))?;
            a.ret()
        });
        case.list = &list;
        case.session.gui = Gui::Available;
        case.system_call = way;
        let notes = case.run(boot);
        let name = profile.name;
        assert_eq!(notes[..6], [0xEE, 0xB2, 0x52, 0xD2, 0xE2, stack(profile)], "{name}");
        assert_eq!(notes[6..9], [14, 0xC000_001C, 0xC000_0002], "{name}");
        let base = profile.gui_stack - 0x190;
        let limit = profile.gui_stack - u64::from(profile.gui_stack_pages) * 0x1000;
        assert_eq!(notes[0x10..0x13], [profile.gui_stack, limit, base], "{name}");
        assert_eq!(notes[0x13..0x15], [profile.gui_stack; 2], "{name}");
        assert!((base - 0x100..base).contains(&notes[0x15]), "{name}: on that stack");
        assert_eq!(notes[0x16], 2, "{name}");
    }
}

pub(super) fn a_thread_that_cannot_be_converted_gets_a_status(boot: Boot) {
    let list = list();
    for (profile, way) in ways() {
        for gui in [Gui::None, Gui::NoMemory] {
            let mut case = Case::new(profile, |p| {
                p.a.mov(rbx, 0xB2u64)?;
                for call in 0..2 {
                    p.call("NtUserA", &[0x11, 0x22, 0, 0, 0, 0])?;
                    p.keep(call, rax)?;
                }
                p.keep(2, rsp)?;
                p.keep(3, rbx)?;
                p.call("NtOther", &[0])?;
                p.keep(4, rax)?;
                p.end()
            })
            .service("NtUserA", |a, _| a.ud2())
            .service("NtOther", |a, _| {
                a.mov(rax, qword_ptr(kpcr::CURRENT_THREAD).gs())?;
                a.mov(rax, qword_ptr(rax + profile.thread.initial_stack))?;
                a.ret()
            });
            case.list = &list;
            case.session.gui = gui;
            case.system_call = way;
            let notes = case.run(boot);
            // ReactOS says why.
            let status = if profile.thread.service_table.is_some() { 0xC000_0017 } else { 0xC000_001C };
            let wanted = [status, status, stack(profile), 0xB2, profile.initial_stack];
            assert_eq!(notes[..5], wanted, "{} {gui:?}", profile.name);
        }
    }
}

pub(super) fn a_thread_is_not_converted_in_a_callback(boot: Boot) {
    let list = list();
    let mut case = Case::new(&WIN7_X64, |p| {
        p.call("NtTest", &[0, 0])?;
        p.keep(0, rax)?;
        // Outside it is.
        p.call("NtUserB", &[0])?;
        p.keep(1, rax)?;
        p.end()?;
        p.mark(1)?;
        p.a.sub(rsp, 0x28)?;
        p.call("NtUserB", &[0])?;
        p.a.add(rsp, 0x28)?;
        p.a.ret()
    })
    .service("NtTest", |a, symbol| {
        a.sub(rsp, 0x38)?;
        a.xor(iced_x86::code_asm::ecx, iced_x86::code_asm::ecx)?;
        a.xor(iced_x86::code_asm::edx, iced_x86::code_asm::edx)?;
        a.xor(iced_x86::code_asm::r8d, iced_x86::code_asm::r8d)?;
        a.lea(iced_x86::code_asm::r9, rsp + 0x30)?;
        a.mov(qword_ptr(rsp + 0x20), iced_x86::code_asm::r9)?;
        a.call(symbol("nt!KeUserModeCallback"))?;
        a.add(rsp, 0x38)?;
        a.ret()
    })
    .service("NtUserB", |a, _| {
        a.mov(eax, 0x66)?;
        a.ret()
    });
    case.list = &list;
    case.callbacks = &[1];
    case.session.gui = Gui::Available;
    assert_eq!(case.run(boot)[..2], [0xC000_001C, 0x66]);
}
