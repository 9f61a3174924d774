//! Calls from the kernel into ring 3: arguments, results, nesting, and what is put back.

use iced_x86::IcedError;
use iced_x86::code_asm::{CodeAssembler, dword_ptr, eax, ebp, ebx, ecx, edi, edx, esi, esp};

use super::boots::{Boot, bundled, qemu};
use super::session::{CPU, Case, Program};
use super::*;
use crate::nt::layout::{kpcr, tss};

on_both_machines! {
    a_callback_gets_its_argument_and_its_status_comes_back
    results_come_back_by_address_and_length
    callbacks_nest
    callbacks_stop_where_the_kernel_stack_ends
    a_callback_without_a_stack_is_refused
    a_callback_that_is_given_up_leaves_its_caller_where_it_is
    an_exception_in_a_callback_finds_the_handlers_outside
}

/// The callback, by its place.
const CALLBACK: usize = 1;

/// A service that calls back number 0 with its own two arguments as the argument. It checks that its registers and its list
/// of exception handlers come back, and returns the callback's status.
fn calls_back(a: &mut CodeAssembler, symbol: &dyn Fn(&str) -> u32) -> Result<(), IcedError> {
    let good = &mut a.create_label();
    let bad = &mut a.create_label();
    a.push(ebp)?;
    a.mov(ebp, esp)?;
    a.push(ebx)?;
    a.push(esi)?;
    a.push(edi)?;
    a.sub(esp, 8)?;
    a.push(dword_ptr(0).fs())?;
    a.mov(ebx, 0xB1)?;
    a.mov(esi, 0x51)?;
    a.mov(edi, 0xD1)?;
    a.mov(dword_ptr(0).fs(), ebp)?;
    a.lea(eax, dword_ptr(ebp - 0x14))?;
    a.push(eax)?;
    a.lea(eax, dword_ptr(ebp - 0x10))?;
    a.push(eax)?;
    a.push(8)?;
    a.lea(eax, dword_ptr(ebp + 8))?;
    a.push(eax)?;
    a.push(0)?;
    a.call(u64::from(symbol("nt!KeUserModeCallback")))?;
    for (register, value) in [(ebx, 0xB1), (esi, 0x51), (edi, 0xD1)] {
        a.cmp(register, value)?;
        a.jne(*bad)?;
    }
    a.cmp(dword_ptr(0).fs(), ebp)?;
    a.jne(*bad)?;
    a.lea(ecx, dword_ptr(ebp - 0x18))?;
    a.cmp(esp, ecx)?;
    a.je(*good)?;
    a.set_label(bad)?;
    a.ud2()?;
    a.set_label(good)?;
    a.pop(dword_ptr(0).fs())?;
    a.lea(esp, dword_ptr(ebp - 0xC))?;
    a.mov(ecx, dword_ptr(ebp - 0x10))?;
    a.mov(edx, dword_ptr(ebp - 0x14))?;
    a.pop(edi)?;
    a.pop(esi)?;
    a.pop(ebx)?;
    a.pop(ebp)?;
    a.ret_1(8)
}

/// A service that notes, from note `first` on, what callbacks change for a while.
fn look(a: &mut CodeAssembler, profile: &Profile, first: u32) -> Result<(), IcedError> {
    let note = |index: u32| dword_ptr(profile.user_data + 4 * index);
    a.mov(ecx, dword_ptr(kpcr::CURRENT_THREAD).fs())?;
    let thread = profile.thread;
    for (index, field) in [thread.initial_stack, thread.callback_stack, thread.trap_frame].into_iter().enumerate() {
        a.mov(eax, dword_ptr(ecx + field))?;
        a.mov(note(first + index as u32), eax)?;
    }
    a.mov(ecx, dword_ptr(kpcr::TSS).fs())?;
    a.mov(eax, dword_ptr(ecx + tss::ESP0))?;
    a.mov(note(first + 3), eax)?;
    a.xor(eax, eax)
}

/// What [`look`] notes when no callback is active.
fn at_rest(profile: &Profile) -> [u32; 4] {
    [profile.initial_stack, 0, profile.base_frame(), profile.esp0()]
}

pub(super) fn a_callback_gets_its_argument_and_its_status_comes_back(boot: Boot) {
    for profile in Profile::ALL {
        let mut case = Case::new(profile, |p| {
            for (register, value) in [(ebx, 0xB2), (esi, 0x52), (edi, 0xD2), (ebp, 0xE2)] {
                p.a.mov(register, value)?;
            }
            p.a.mov(eax, dword_ptr(0).fs())?;
            p.keep(0x20)?;
            p.call("NtTest", &[0x1234, 0x5678])?;
            p.keep(0)?;
            for (note, register) in [(1, ebx), (2, esi), (3, edi), (4, ebp), (5, esp)] {
                p.a.mov(dword_ptr(p.note(note)), register)?;
            }
            p.a.mov(eax, dword_ptr(0).fs())?;
            p.keep(0x21)?;
            p.call("NtOther", &[0])?;
            p.end()?;

            p.mark(CALLBACK)?;
            // Every register may be used up.
            p.a.mov(eax, dword_ptr(esp + 4))?;
            p.a.mov(dword_ptr(p.note(8)), eax)?;
            for (note, offset) in [(9, 0), (10, 4)] {
                p.a.mov(ecx, dword_ptr(eax + offset))?;
                p.a.mov(dword_ptr(p.note(note)), ecx)?;
            }
            p.a.mov(eax, dword_ptr(esp + 8))?;
            p.keep(11)?;
            p.a.lea(eax, dword_ptr(esp + 4))?;
            p.keep(12)?;
            for register in [ebx, esi, edi, ebp] {
                p.a.mov(register, 0xBAD)?;
            }
            p.a.mov(eax, 0x4455)?;
            p.a.ret_1(8)
        })
        .service("NtTest", calls_back)
        .service("NtOther", |a, _| {
            look(a, profile, 0x10)?;
            a.ret_1(4)
        });
        case.callbacks = &[CALLBACK];
        for cpu in ["pentium", CPU].into_iter().filter(|cpu| profile.cpus.contains(cpu)) {
            let notes = case.run(boot, cpu);
            let name = profile.name;
            assert_eq!(notes[..6], [0x4455, 0xB2, 0x52, 0xD2, 0xE2, profile.user_stack], "{name} {cpu}");
            assert_eq!(notes[9..12], [0x1234, 0x5678, 8], "{name} {cpu}");
            // The argument is below ring 3's stack, the frame of six dwords below that.
            assert!(notes[8] < profile.user_stack && notes[8].is_multiple_of(4), "{name} {cpu}");
            assert_eq!(notes[12], notes[8] - 0x18 + 8, "{name} {cpu}");
            assert_eq!(notes[0x20], notes[0x21], "{name} {cpu}: ring 3's handlers");
            assert_eq!(notes[0x10..0x14], at_rest(profile), "{name} {cpu}");
        }
    }
}

fn results_come_back_by_address_and_length(boot: Boot) {
    for profile in [&SRV2003, &profile::NT4, &profile::WIN8] {
        let mut case = Case::new(profile, |p| {
            p.call("NtTest", &[0, 0])?;
            p.keep(0)?;
            p.call("NtCallbackReturn", &[1, 2, 3])?;
            p.keep(1)?;
            p.end()?;
            p.mark(CALLBACK)?;
            p.call("NtCallbackReturn", &[0x1111, 0x22, 0x3300_0000])?;
            p.a.ud2()
        })
        .service("NtTest", |a, symbol| {
            let inner = &mut a.create_label();
            a.push(0)?;
            a.push(0)?;
            a.call(*inner)?;
            // It leaves where the result is in ECX, and its length in EDX.
            a.or(eax, ecx)?;
            a.shl(edx, 16)?;
            a.or(eax, edx)?;
            a.ret_1(8)?;
            a.set_label(inner)?;
            calls_back(a, symbol)
        });
        case.callbacks = &[CALLBACK];
        let notes = case.run(boot, CPU);
        assert_eq!(notes[..2], [0x3322_1111, 0xC000_0258], "{}", profile.name);
    }
}

/// A program that goes `depth` callbacks deep.
fn nests(p: &mut Program, depth: u32) -> Result<(), IcedError> {
    let leaf = &mut p.a.create_label();
    p.call("NtTest", &[depth, 0x77])?;
    p.keep(0)?;
    p.call("NtOther", &[0])?;
    p.end()?;

    p.mark(CALLBACK)?;
    p.a.mov(eax, dword_ptr(esp + 4))?;
    p.a.mov(ecx, dword_ptr(eax))?;
    p.a.inc(dword_ptr(p.note(1)))?;
    p.a.mov(eax, 0x100)?;
    p.a.jecxz(*leaf)?;
    p.a.dec(ecx)?;
    p.a.push(0x77)?;
    p.a.push(ecx)?;
    let stub = p.at("ntdll!NtTest");
    p.a.call(u64::from(stub))?;
    p.a.inc(eax)?;
    p.a.set_label(leaf)?;
    p.a.ret_1(8)
}

/// A case of it.
fn nesting(profile: &Profile, depth: u32) -> Case<'_> {
    let mut case =
        Case::new(profile, move |p| nests(p, depth)).service("NtTest", calls_back).service("NtOther", |a, _| {
            look(a, profile, 0x10)?;
            a.ret_1(4)
        });
    case.callbacks = &[CALLBACK];
    case
}

pub(super) fn callbacks_nest(boot: Boot) {
    for profile in Profile::ALL {
        for depth in [1, 8, 9] {
            let notes = nesting(profile, depth).run(boot, CPU);
            assert_eq!(notes[..2], [0x100 + depth, depth + 1], "{}", profile.name);
            assert_eq!(notes[0x10..0x14], at_rest(profile), "{}", profile.name);
        }
    }
}

pub(super) fn callbacks_stop_where_the_kernel_stack_ends(boot: Boot) {
    let notes = nesting(&SRV2003, 100).run(boot, CPU);
    let calls = notes[1];
    assert!((9..20).contains(&calls), "{calls}");
    // The last that could be called found no stack for the next; each before it has added one.
    assert_eq!(notes[0], 0xC000_00FD + calls);
    assert_eq!(notes[0x10..0x14], at_rest(&SRV2003));
    // A larger stack takes more.
    let profile = Profile { kernel_stack_pages: 16, initial_stack: 0xF7C0_0000, ..SRV2003 };
    let notes = nesting(&profile, 40).run(boot, CPU);
    assert_eq!(notes[..2], [0x100 + 40, 41]);
}

fn a_callback_without_a_stack_is_refused(boot: Boot) {
    for stack in [0x1000u32, 0x20_0800, 0x8000_0000] {
        let mut case = Case::new(&SRV2003, |p| {
            p.a.mov(ebx, esp)?;
            p.a.mov(edi, p.place(2))?;
            // int 2Eh does not look at the stack; the arguments are elsewhere.
            p.a.mov(esp, stack)?;
            p.a.mov(edx, p.note(0x30))?;
            p.a.mov(eax, 6)?;
            p.a.int(0x2E)?;
            p.mark(2)?;
            p.a.mov(esp, ebx)?;
            p.keep(0)?;
            p.call("NtOther", &[0])?;
            p.end()?;
            p.mark(CALLBACK)?;
            p.a.ud2()
        })
        .service("NtTest", calls_back)
        .service("NtOther", |a, _| {
            look(a, &SRV2003, 0x10)?;
            a.ret_1(4)
        });
        case.callbacks = &[CALLBACK];
        let notes = case.run(boot, "pentium");
        assert_eq!(notes[0], 0xC000_0005, "{stack:x}");
        assert_eq!(notes[0x10..0x14], at_rest(&SRV2003));
    }
}

fn a_callback_that_is_given_up_leaves_its_caller_where_it_is(boot: Boot) {
    for profile in Profile::ALL {
        let mut case = Case::new(profile, |p| {
            p.call("NtTest", &[0, 0])?;
            // The service ends where the callback gave up.
            p.a.ud2()?;
            p.mark(CALLBACK)?;
            p.a.mov(ebx, 0xCB)?;
            p.a.mov(dword_ptr(p.note(1)), esp)?;
            p.call("NtCallbackReturn", &[0, 0, 0xC000_0423])?;
            p.keep(0)?;
            p.a.mov(dword_ptr(p.note(2)), esp)?;
            p.a.mov(dword_ptr(p.note(3)), ebx)?;
            p.call("NtOther", &[0])?;
            p.end()
        })
        .service("NtTest", calls_back)
        .service("NtOther", |a, _| {
            look(a, profile, 0x10)?;
            a.ret_1(4)
        });
        case.callbacks = &[CALLBACK];
        let notes = case.run(boot, CPU);
        assert_eq!((notes[0], notes[2], notes[3]), (0xC000_0423, notes[1], 0xCB), "{}", profile.name);
        assert_eq!(notes[0x10..0x14], at_rest(profile), "{}", profile.name);
    }
}

fn an_exception_in_a_callback_finds_the_handlers_outside(boot: Boot) {
    const HANDLER: usize = 2;
    let mut case = Case::new(&SRV2003, |p| {
        p.a.push(p.place(HANDLER))?;
        p.a.push(dword_ptr(0).fs())?;
        p.a.mov(dword_ptr(0).fs(), esp)?;
        p.call("NtTest", &[0, 0])?;
        p.keep(0)?;
        p.a.mov(eax, esp)?;
        p.keep(2)?;
        p.end()?;
        p.mark(CALLBACK)?;
        p.a.ud2()?;
        p.a.mov(eax, 0x99)?;
        p.a.ret_1(8)?;
        p.mark(HANDLER)?;
        p.a.mov(ecx, dword_ptr(esp + 0xC))?;
        p.a.add(dword_ptr(ecx + layout::user_context::EIP), 2)?;
        p.a.inc(dword_ptr(p.note(1)))?;
        p.a.xor(eax, eax)?;
        p.a.ret()
    })
    .service("NtTest", calls_back);
    case.callbacks = &[CALLBACK];
    assert_eq!(case.run(boot, CPU)[..3], [0x99, 1, SRV2003.user_stack - 8]);
}
