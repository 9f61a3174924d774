//! The instrumentation callback of a process: it sees every way back to ring 3, and R10 tells it where to go.

use iced_x86::IcedError;
use iced_x86::code_asm::{byte_ptr, eax, qword_ptr, r10, rax, rcx};

use super::boots::{Boot, bundled, qemu};
use super::session::{Case, Program, stack, ways};
use super::*;

on_both_machines! {
    every_return_is_seen
    a_system_without_callbacks_refuses_one
}

/// Places: the callback, an APC's routine, a handler, a callback of the kernel.
const SEEN: usize = 1;
const ROUTINE: usize = 2;
const HANDLER: usize = 3;
const CALLBACK: usize = 4;
/// Where the callback counts, and where it notes R10.
const COUNT: u32 = 0x20;

/// Sets the callback: by its address alone, or behind a version.
fn set(p: &mut Program, versioned: bool) -> Result<(), IcedError> {
    let at = p.profile.user_data + 0x800;
    p.a.mov(qword_ptr(at), 0)?;
    p.a.mov(rax, p.place(SEEN))?;
    p.a.mov(qword_ptr(at + if versioned { 8 } else { 0 }), rax)?;
    p.call("NtSetInformationProcess", &[u64::MAX, 40, at, if versioned { 16 } else { 8 }])
}

pub(super) fn every_return_is_seen(boot: Boot) {
    for (profile, way) in ways().filter(|(profile, _)| profile.has_instrumentation) {
        let mut case = Case::new(profile, |p| {
            p.install(HANDLER)?;
            set(p, p.profile.major_version >= 10)?;
            p.mark(5)?;
            p.keep(0, rax)?;
            p.call("NtOther", &[0])?;
            p.keep(1, rax)?;
            p.a.ud2()?;
            let place = p.place(ROUTINE);
            p.call("NtQueueApcThread", &[u64::MAX - 1, place, 0, 0, 0])?;
            p.call("NtTestAlert", &[])?;
            p.call("NtTest", &[])?;
            p.keep(2, rax)?;
            p.keep(3, iced_x86::code_asm::rsp)?;
            p.end()?;

            // RAX is the status, RCX may be used.
            p.mark(SEEN)?;
            p.a.mov(rcx, p.note(COUNT))?;
            let notes = p.note_at(COUNT + 1);
            p.a.mov(qword_ptr(rcx * 8 + notes as u32), r10)?;
            p.a.lea(rcx, rcx + 1)?;
            p.a.mov(p.note(COUNT), rcx)?;
            p.a.jmp(r10)?;

            p.mark(ROUTINE)?;
            p.a.ret()?;
            p.mark(CALLBACK)?;
            p.a.mov(eax, 0x88)?;
            p.a.ret()?;
            p.mark(HANDLER)?;
            p.a.mov(rcx, qword_ptr(rcx + 8))?;
            p.a.add(qword_ptr(rcx + layout::user_context::RIP), 2)?;
            p.a.mov(eax, -1)?;
            p.a.ret()
        })
        .service("NtTest", |a, symbol| {
            use iced_x86::code_asm::{ecx, edx, r8d, r9, rsp};
            a.sub(rsp, 0x38)?;
            a.xor(ecx, ecx)?;
            a.xor(edx, edx)?;
            a.xor(r8d, r8d)?;
            a.lea(r9, rsp + 0x30)?;
            a.mov(qword_ptr(rsp + 0x20), r9)?;
            a.call(symbol("nt!KeUserModeCallback"))?;
            a.add(rsp, 0x38)?;
            a.ret()
        });
        case.callbacks = &[CALLBACK];
        case.system_call = way;
        let (image, _) = case.build();
        let notes = case.run(boot);
        let name = profile.name;
        assert_eq!(notes[..4], [0, 0xC000_0002, 0x88, stack(profile)], "{name}");
        let seen = &notes[COUNT as usize + 1..][..notes[COUNT as usize] as usize];
        let stub = |service: &str| {
            let start = address(&image, &format!("ntdll!{service}"));
            start..start + 0x20
        };
        let [exception, apc, callback] =
            ["Exception", "Apc", "Callback"].map(|what| address(&image, &format!("ntdll!KiUser{what}Dispatcher")));
        // NtContinue goes where the context says, unseen.
        assert_eq!(seen.len(), 7, "{name}: {seen:x?}");
        assert!(stub("NtSetInformationProcess").contains(&seen[0]), "{name}");
        assert!(stub("NtOther").contains(&seen[1]), "{name}");
        assert_eq!(seen[2], exception, "{name}");
        assert!(stub("NtQueueApcThread").contains(&seen[3]), "{name}");
        assert_eq!(seen[4], apc, "{name}");
        assert_eq!(seen[5], callback, "{name}");
        assert!(stub("NtTest").contains(&seen[6]), "{name}");
    }
}

pub(super) fn a_system_without_callbacks_refuses_one(boot: Boot) {
    let case = Case::new(&profile::REACTOS_AMD64, |p| {
        set(p, false)?;
        p.keep(0, rax)?;
        p.end()?;
        p.mark(SEEN)?;
        p.a.ud2()
    });
    assert_eq!(case.run(boot)[0], 0xC000_0003);
    // Nor does a system with them take everything.
    let case = Case::new(&WIN7_X64, |p| {
        let at = p.profile.user_data + 0x800;
        for (note, arguments) in [
            (0, [u64::MAX, 41, at, 8]),
            (1, [u64::MAX, 40, at, 12]),
            (2, [u64::MAX, 40, p.profile.user_unmapped, 8]),
            (3, [u64::MAX, 40, at, 8]),
        ] {
            p.call("NtSetInformationProcess", &arguments)?;
            p.keep(note, rax)?;
        }
        p.a.mov(rax, 0u64)?;
        p.a.mov(byte_ptr(p.profile.user_data + 0x900), 0)?;
        p.end()
    });
    assert_eq!(case.run(boot)[..4], [0xC000_0003, 0xC000_0004, 0xC000_0005, 0]);
}
