//! "系统调用,从用户态进入系统态 (_KiSystemService() _KiFastCallEntry)", a forum post of 2013 with listings of ReactOS.

use ntgate::ntgate_gen::stub::{self, Stub};
use ntgate::ntgate_gen::{Encoding, Shape, read_list};
use ntgate::ntgate_runtime::machine::Register::{Eax, Ebp, Ecx, Edx};
use ntgate::ntgate_runtime::machine::SegmentRegister::{Cs, Ds, Es, Fs, Ss, Tr};
use ntgate::ntgate_runtime::machine::flags;
use ntgate::ntgate_runtime::nt::layout::{selector, shared, status, trap_frame, tss};
use ntgate::ntgate_runtime::nt::profile::{NT4, REACTOS, SRV2003, WIN7, WIN2000};

use super::support::guest32::{arguments, number};
use super::support::{Fault, Guest, mov_eax};

/// Privileged instructions are for ring 0: HLT, CLI, a write to CR3, LIDT, IN.
#[test]
fn privileged_instructions_are_for_ring_0() {
    for code in [&[0xF4][..], &[0xFA], &[0x0F, 0x22, 0xD8], &[0x0F, 0x01, 0x1D, 0, 0, 0x41, 0], &[0xEC]] {
        assert_eq!(Guest::boot(&SRV2003, "pentium2").fault(&[code]), Fault::gp(0), "{code:02x?}");
    }
    // In ring 0 the same CLI is allowed.
    let mut guest = Guest::boot(&SRV2003, "pentium2");
    guest.call_service("NtClose");
    guest.run_to_symbol("nt!NtClose");
    guest.put(&[0xFA]);
    let next = guest.eip() + 1;
    guest.step();
    assert_eq!((guest.eip(), guest.machine.flags().get() & flags::IF), (next, 0));
}

/// The kernel's memory cannot be reached from ring 3, and can from ring 0, where all of ring 3's can be too.
#[test]
fn the_kernels_memory_is_for_ring_0() {
    let kernel = SRV2003.kernel_data;
    let load = [&[0xA1][..], &kernel.to_le_bytes()].concat();
    let mut guest = Guest::boot(&SRV2003, "pentium2");
    let fault = guest.fault(&[&load]);
    // Present, a read, from ring 3.
    assert_eq!((fault.handler.as_str(), fault.code, guest.machine.control(2)), ("KiTrap0E", 5, Some(kernel)));

    for address in [kernel, SRV2003.user_text] {
        let mut guest = Guest::boot(&SRV2003, "pentium2");
        guest.call_service("NtClose");
        guest.run_to_symbol("nt!NtClose");
        guest.put(&[&[0xA1][..], &address.to_le_bytes()].concat());
        guest.step();
        assert_eq!(guest.register(Eax), guest.dword(address));
    }
}

/// The first of three ways into the kernel, an interrupt: it comes between two instructions and leaves no trace in what it
/// interrupts.
#[test]
fn an_interrupt_comes_between_two_instructions() {
    let mut guest = Guest::with_clock(&SRV2003, "pentium2");
    // l: inc eax; inc ecx; jmp l
    guest.put(&[0x40, 0x41, 0xEB, 0xFC]);
    let code = guest.eip();
    guest.machine.set_register(Eax, 0);
    guest.machine.set_register(Ecx, 0);
    guest.until(|guest| guest.machine.cpl() == 0);
    assert_eq!(guest.eip(), guest.at("hal!HalpClockInterrupt"));
    let [eip, cs] = guest.stack();
    // Every instruction before it is complete, none behind it has begun.
    let ahead = guest.register(Eax) - guest.register(Ecx);
    assert!(if eip == code + 1 { ahead == 1 } else { ahead == 0 && [code, code + 2].contains(&eip) }, "{eip:08x}");
    assert_eq!(cs, 0x1B);
    // And it goes on there.
    let registers = [Eax, Ecx].map(|register| guest.register(register));
    guest.until(|guest| guest.machine.cpl() == 3);
    assert_eq!(guest.eip(), eip);
    assert_eq!([Eax, Ecx].map(|register| guest.register(register)), registers);
}

/// The second, an exception: it comes in an instruction, of which then nothing is done, so that it can be done again.
#[test]
fn an_exception_comes_in_an_instruction() {
    let mut guest = Guest::boot(&SRV2003, "pentium2");
    let before = guest.esp();
    // push dword [user_unmapped]
    let fault = guest.fault(&[&[&[0xFF, 0x35][..], &SRV2003.user_unmapped.to_le_bytes()].concat()]);
    assert_eq!(fault, Fault { handler: "KiTrap0E".to_owned(), code: 4, behind: 0 });
    let [_, _, _, _, esp] = guest.stack();
    assert_eq!(esp, before, "nothing was pushed");
}

/// The third, an instruction that asks for it, like a call: it goes on behind.
#[test]
fn a_trap_instruction_is_like_a_call() {
    for (code, handler) in [(&[0xCDu8, 0x2E][..], "KiSystemService"), (&[0xCC], "KiTrap03"), (&[0xCD, 3], "KiTrap03")] {
        let fault = Guest::boot(&SRV2003, "pentium2").fault(&[code]);
        assert_eq!(fault, Fault { handler: handler.to_owned(), code: 0, behind: code.len() as u32 });
    }
}

/// What `int 2Eh` does: ring 0; SS and ESP from the task segment that TR names; SS, ESP, EFLAGS, CS, EIP of ring 3 onto that
/// stack; CS and EIP from the gate; interrupts off. And `iret` does it the other way round.
#[test]
fn int_2e_and_iret() {
    for profile in [&NT4, &REACTOS] {
        let mut guest = Guest::boot(profile, "pentium");
        guest.put(&[0xCD, 0x2E]);
        let (eip, esp, eflags) = (guest.eip(), guest.esp(), guest.machine.flags().get());
        guest.step();
        let task = guest.machine.segment(Tr);
        assert_eq!((task.selector.0, task.base as u32), (0x28, profile.tss));
        let [esp0, ss0] = [tss::ESP0, tss::SS0].map(|field| guest.dword(task.base as u32 + field));
        assert_eq!((guest.machine.cpl(), guest.esp(), guest.selector(Ss)), (0, esp0 - 20, ss0 as u16));
        assert_eq!(guest.stack(), [eip + 2, 0x1B, eflags, esp, 0x23]);
        let gate = guest.gate(0x2E);
        assert_eq!((guest.selector(Cs), guest.eip()), (gate.selector().0, gate.offset()));
        assert_eq!(guest.machine.flags().get() & flags::IF, 0);

        guest.put(&[0xCF]);
        guest.step();
        assert_eq!((guest.machine.cpl(), guest.eip(), guest.esp()), (3, eip + 2, esp));
        assert_eq!((guest.selector(Cs), guest.selector(Ss)), (0x1B, 0x23));
        assert_eq!(guest.machine.flags().get(), eflags);
    }
}

/// NtReadFile with nine arguments and the number 152 of the article's list.
fn read_file(shape: Shape) -> Stub {
    let read = read_list("article", b"NtReadFile 9 @152\n").expect("the list is right");
    stub::build(shape, &read.list.primary().services()[0], Encoding::Gnu)
}

/// The listing of the older stub.
///
/// Corrected: not `ret 9` but `ret 24h`. RET takes bytes (SDM vol. 2, RET), and the arguments are nine dwords; the 9 is the
/// count of the list, which newer versions of the generator have in the column where older ones had bytes (ReactOS, history
/// of `tools/nci`). And EBP + 8 lies behind the saved EBP and the return address; the handle is the first argument.
#[test]
fn the_stub_with_a_frame() {
    let code = read_file(Shape::Int2eFrame).encode().expect("it can be encoded").bytes;
    let listing: [&[u8]; 7] = [
        &[0x55],               // push ebp
        &[0x89, 0xE5],         // mov ebp,esp
        &[0xB8, 152, 0, 0, 0], // mov eax,152
        &[0x8D, 0x55, 0x08],   // lea edx,[ebp+8]
        &[0xCD, 0x2E],         // int 2Eh
        &[0x5D],               // pop ebp
        &[0xC2, 0x24, 0x00],   // ret 24h
    ];
    assert_eq!(code, listing.concat());

    let mut guest = Guest::boot(&REACTOS, "pentium");
    let stub = guest.stub(Shape::Int2eFrame, "NtReadFile");
    let ebp = guest.register(Ebp);
    let call = guest.call(stub, &arguments("NtReadFile"));
    let pushed = guest.esp();
    guest.until(|guest| guest.machine.cpl() == 0);
    assert_eq!((guest.register(Eax), guest.register(Edx)), (number("NtReadFile"), pushed + 4));
    assert_eq!(guest.register(Ebp), pushed - 4, "the frame: saved EBP, return address, arguments");
    assert_eq!(guest.dword(pushed + 4), 0x101, "the first argument");
    guest.run_to(call.back);
    assert_eq!((guest.esp(), guest.register(Ebp)), (call.esp, ebp));
}

/// What `ret 9` does: the caller finds its stack 27 bytes off.
#[test]
fn ret_9_would_lose_the_stack() {
    for (shape, from_end) in [(Shape::Int2eFrame, 14), (Shape::SharedEcx, 12)] {
        let mut guest = Guest::boot(&REACTOS, "pentium");
        let stub = guest.stub(shape, "NtReadFile");
        let ret = stub + from_end;
        assert_eq!(guest.bytes(ret, 3), [0xC2, 0x24, 0x00]);
        guest.write(ret + 1, &[9]);
        let call = guest.call(stub, &arguments("NtReadFile"));
        guest.run_to(call.back);
        assert_eq!(call.esp - guest.esp(), 36 - 9);
    }
}

/// The lines of the list, each a name and a count; the first has the number 0 and six arguments.
#[test]
fn the_list_counts_from_0() {
    let read = read_list("sysfuncs.lst", ntgate::SYSFUNCS).expect("the list is right");
    let lines = [
        ("NtAcceptConnectPort", 6),
        ("NtAccessCheck", 8),
        ("NtAccessCheckAndAuditAlarm", 11),
        ("NtAccessCheckByType", 11),
        ("NtAccessCheckByTypeAndAuditAlarm", 16),
        ("NtAccessCheckByTypeResultList", 11),
        ("NtAccessCheckByTypeResultListAndAuditAlarm", 16),
        ("NtAccessCheckByTypeResultListAndAuditAlarmByHandle", 17),
        ("NtAddAtom", 3),
    ];
    for (number, (service, line)) in read.list.primary().services().iter().zip(lines).enumerate() {
        let args = service.args(ntgate::ntgate_gen::Arch::I386);
        assert_eq!((service.number() as usize, service.name().nt(), u32::from(args)), (number, line.0, line.1));
    }
}

/// In the kernel: what ring 0 may, the kernel's half of memory, the thread's other stack, with the interrupted place on it.
#[test]
fn what_it_means_to_be_in_the_kernel() {
    let mut guest = Guest::boot(&SRV2003, "pentium");
    let call = guest.call_service("NtClose");
    let esp = guest.esp();
    guest.run_to_symbol("nt!NtClose");
    assert_eq!((guest.machine.cpl(), guest.selector(Cs)), (0, 8));
    assert!(guest.eip() >= 0x8000_0000 && guest.esp() >= 0x8000_0000);
    // The stub, and KiIntSystemCall's call of it, have pushed nothing that is still there but the return address.
    let [eip, cs, eflags, saved_esp, ss] = guest.hardware_frame();
    assert_eq!((eip, cs, saved_esp, ss), (guest.at("ntdll!KiIntSystemCall") + 6, 0x1B, esp - 4, 0x23));
    assert_eq!(eflags & flags::IF, flags::IF);
    assert!(call.esp < 0x8000_0000);
}

/// A reader asks whether flat segments are the same in both rings. DS and ES are; CS, SS and FS are not, and of these FS alone has
/// another base: the thread's block in ring 3, the processor's in ring 0.
#[test]
fn the_segments_of_both_rings() {
    let mut guest = Guest::boot(&SRV2003, "pentium2");
    let all = [Cs, Ss, Ds, Es, Fs];
    let selectors = |guest: &Guest| all.map(|register| guest.selector(register));
    let bases = |guest: &Guest| all.map(|register| guest.machine.segment(register).base as u32);
    assert_eq!(selectors(&guest), [0x1B, 0x23, 0x23, 0x23, 0x3B]);
    assert_eq!(bases(&guest), [0, 0, 0, 0, SRV2003.teb]);
    guest.call_service("NtClose");
    guest.run_to_symbol("nt!NtClose");
    assert_eq!(selectors(&guest), [0x08, 0x10, 0x23, 0x23, 0x30]);
    assert_eq!(bases(&guest), [0, 0, 0, 0, SRV2003.kpcr]);
}

/// The vectors that are for ring 3: 3, 2Ah, 2Bh, 2Ch, 2Dh, 2Eh.
///
/// Corrected: 2Ah is not of a high precision; it gives milliseconds, made of the clock's ticks. Vector 2Ch was for debugging
/// since Server 2003 only; before, event pairs were behind it (ReactOS `ntoskrnl/ke/i386/trap.s` and its history).
#[test]
fn the_vectors_of_ring_3() {
    let handlers = |since_2003: bool| {
        [
            (0x03, "nt!KiTrap03"),
            (0x2A, "nt!KiGetTickCount"),
            (0x2B, "nt!KiCallbackReturn"),
            (0x2C, if since_2003 { "nt!KiRaiseAssertion" } else { "nt!KiSetLowWaitHighThread" }),
            (0x2D, "nt!KiDebugService"),
            (0x2E, "nt!KiSystemService"),
        ]
    };
    for (profile, since_2003) in [(&SRV2003, true), (&REACTOS, true), (&WIN7, true), (&NT4, false), (&WIN2000, false)] {
        for (vector, handler) in handlers(since_2003) {
            let mut guest = Guest::boot(profile, "pentium");
            let gate = guest.gate(vector);
            assert_eq!((gate.offset(), gate.dpl()), (guest.at(handler), 3), "{}: {vector:02x}", profile.name);
            guest.put(&[0xCD, vector]);
            guest.step();
            assert_eq!(guest.eip(), guest.at(handler), "{}: {vector:02x}", profile.name);
        }
        // Its neighbours are not.
        for vector in [0x0Eu8, 0x2F, 0x30] {
            let error = u32::from(vector) * 8 + 2;
            assert_eq!(Guest::boot(profile, "pentium").fault(&[&[0xCD, vector]]), Fault::gp(error));
        }
    }
}

/// `int 2Ah`: ticks since the start times the milliseconds of one.
#[test]
fn int_2a_gives_milliseconds() {
    let mut guest = Guest::boot(&SRV2003, "pentium2");
    guest.write(SRV2003.shared_kernel + shared::TICK_COUNT, &1000u32.to_le_bytes());
    guest.put(&[0xCD, 0x2A]);
    guest.step();
    guest.until(|guest| guest.machine.cpl() == 3);
    // 10.0144 ms a tick.
    assert_eq!(guest.register(Eax), 10_014);
}

/// `int 2Bh` is the way back from a callback; where there is none, its answer is a status.
#[test]
fn int_2b_comes_back_from_a_callback() {
    let mut guest = Guest::boot(&NT4, "pentium");
    guest.put(&[0xCD, 0x2B]);
    guest.step();
    guest.run_to_symbol("nt!NtCallbackReturn");
    guest.until(|guest| guest.machine.cpl() == 3);
    assert_eq!(guest.register(Eax), status::NO_CALLBACK_ACTIVE);
}

/// The newer stub, which calls through 7FFE0300h. Corrected as the older one.
#[test]
fn the_stub_with_the_shared_page() {
    let code = read_file(Shape::SharedEcx).encode().expect("it can be encoded").bytes;
    let listing: [&[u8]; 4] = [
        &[0xB8, 152, 0, 0, 0],           // mov eax,152
        &[0xB9, 0x00, 0x03, 0xFE, 0x7F], // mov ecx,7FFE0300h
        &[0xFF, 0x11],                   // call [ecx]
        &[0xC2, 0x24, 0x00],             // ret 24h
    ];
    assert_eq!(code, listing.concat());
    for (cpu, routine) in [("pentium", "ntdll!KiIntSystemCall"), ("pentium2", "ntdll!KiFastSystemCall")] {
        let mut guest = Guest::boot(&REACTOS, cpu);
        let stub = guest.stub(Shape::SharedEcx, "NtReadFile");
        let call = guest.call(stub, &arguments("NtReadFile"));
        let pushed = guest.esp();
        let way = guest.way_to(guest.at("nt!KiSystemServiceStart"), &[routine]);
        assert_eq!(way, [routine]);
        // On both ways it is the address of the first argument by now.
        assert_eq!(guest.register(Edx), pushed + 4);
        guest.run_to(call.back);
        assert_eq!(guest.esp(), call.esp);
    }
}

/// The two routines behind 7FFE0300h. Corrected: the register is ESP, the listing's `csp` is a slip.
#[test]
fn the_routines_behind_the_pointer() {
    let mut guest = Guest::boot(&REACTOS, "pentium2");
    // lea edx,[esp+8]; int 2Eh; ret
    let int = guest.at("ntdll!KiIntSystemCall");
    assert_eq!(guest.bytes(int, 7), [0x8D, 0x54, 0x24, 0x08, 0xCD, 0x2E, 0xC3]);
    // mov edx,esp; sysenter; ret
    let fast = guest.at("ntdll!KiFastSystemCall");
    assert_eq!(guest.bytes(fast, 5), [0x8B, 0xD4, 0x0F, 0x34, 0xC3]);
    assert_eq!(guest.at("ntdll!KiFastSystemCallRet"), fast + 4);
}

/// The kernel asks CPUID as it starts, and stores the address of one of the two, by its own name for the page: FFDF0300h.
#[test]
fn the_kernel_asks_cpuid_and_stores_the_pointer() {
    for (cpu, routine) in [
        ("pentium", "ntdll!KiIntSystemCall"),
        ("pentium-pro", "ntdll!KiIntSystemCall"),
        ("pentium2", "ntdll!KiFastSystemCall"),
    ] {
        let mut guest = Guest::before_boot(&SRV2003, cpu);
        guest.until(|guest| guest.machine.control(0).is_some_and(|cr0| cr0 >> 31 != 0));
        let mut asked = false;
        let mut store = Vec::new();
        let pointer = SRV2003.shared_kernel + shared::SYSTEM_CALL;
        guest.until(|guest| {
            let stored = guest.dword(pointer) != 0;
            if !stored {
                store = guest.bytes(guest.eip(), 10);
                asked |= store[..2] == [0x0F, 0xA2];
            }
            stored
        });
        assert!(asked, "{cpu}");
        assert!(store.windows(4).any(|bytes| bytes == pointer.to_le_bytes()), "{cpu}: {store:02x?}");
        assert_eq!((guest.dword(pointer), guest.machine.cpl()), (guest.at(routine), 0), "{cpu}");
    }
}

/// FFDF0000h and 7FFE0000h are two ends of a tunnel.
///
/// Corrected: what is mapped twice is one page of 4 KB, not 64 KB, which is only the step in which ring 3's addresses are
/// given out; and ring 3 may read it, not write it (ReactOS `ntoskrnl/mm/ARM3/mminit.c`).
#[test]
fn one_page_has_two_addresses() {
    let mut guest = Guest::boot(&SRV2003, "pentium2");
    let [kernel, user] = [0xFFDF_0000u32, 0x7FFE_0000];
    assert_eq!([SRV2003.shared_kernel, SRV2003.shared_user], [kernel, user]);
    let physical = guest.machine.physical(kernel.into());
    assert!(physical.is_some() && physical == guest.machine.physical(user.into()));
    guest.write(kernel + 0xFFC, &0x1357_9BDFu32.to_le_bytes());
    assert_eq!(guest.dword(user + 0xFFC), 0x1357_9BDF);
    for address in [kernel, user] {
        assert_eq!(guest.machine.physical(u64::from(address) + 0x1000), None, "the next page is not a part of it");
    }
    // mov [7FFE0300h],eax: present, a write, from ring 3.
    let fault = guest.fault(&[&[0xA3, 0x00, 0x03, 0xFE, 0x7F]]);
    assert_eq!((fault.handler.as_str(), fault.code), ("KiTrap0E", 7));
}

/// Begins ZwReadFile in the kernel, as a part of a service that ring 3 has called; gives where it comes back and ESP before
/// the arguments.
fn begin_zw(guest: &mut Guest) -> (u32, u32) {
    guest.call_service("NtClose");
    guest.run_to_symbol("nt!NtClose");
    assert_eq!(guest.previous_mode(), 1);
    let call = guest.call(guest.at("nt!ZwReadFile"), &arguments("NtReadFile"));
    (call.back, call.esp)
}

/// ZwReadFile, by which the kernel calls NtReadFile: number, argument pointer, code selector, a call of KiSystemService.
///
/// Corrected: `pushfd` comes before the selector. The exit of a call from ring 0 takes EIP, CS and EFLAGS from the stack
/// (ReactOS `sdk/include/asm/syscalls.inc`, `ntoskrnl/ke/i386/trap.s`), so all three have to be there.
#[test]
fn the_stub_of_the_kernel() {
    let mut guest = Guest::boot(&SRV2003, "pentium2");
    let stub = guest.at("nt!ZwReadFile");
    let mut listing = mov_eax(number("NtReadFile"));
    listing.extend([0x8D, 0x54, 0x24, 0x04]); // lea edx,[esp+4]
    listing.extend([0x9C, 0x6A, 0x08, 0xE8]); // pushfd; push 8; call
    listing.extend(guest.at("nt!KiSystemService").wrapping_sub(stub + 17).to_le_bytes());
    listing.extend([0xC2, 0x24, 0x00]); // ret 24h
    assert_eq!(guest.bytes(stub, 20), listing);

    let (back, esp) = begin_zw(&mut guest);
    let (pushed, eflags) = (guest.esp(), guest.machine.flags().get());
    guest.run_to_symbol("nt!KiSystemService");
    // As an `int 2Eh` from ring 0 would have it.
    assert_eq!(guest.stack(), [stub + 17, 8, eflags]);
    assert_eq!(guest.register(Edx), pushed + 4);
    guest.run_to_symbol("nt!NtReadFile");
    assert_eq!(guest.previous_mode(), 0, "the service knows that the kernel calls it");
    let [_, first] = guest.stack();
    assert_eq!(first, 0x101);
    guest.run_to(back);
    assert_eq!((guest.esp(), guest.previous_mode(), guest.machine.cpl()), (esp, 1, 0));
    assert_eq!(guest.machine.flags().get() & flags::IF, eflags & flags::IF);
}

/// The listing as it stands: without `pushfd` the exit takes the return address of the stub's caller for EFLAGS.
#[test]
fn without_pushfd_the_kernel_loses_its_stack() {
    let mut guest = Guest::boot(&SRV2003, "pentium2");
    let stub = guest.at("nt!ZwReadFile");
    assert_eq!(guest.bytes(stub + 9, 1), [0x9C]);
    guest.write(stub + 9, &[0x90]);
    let (back, _) = begin_zw(&mut guest);
    guest.run_to_symbol("nt!KiSystemCallExitKernel");
    assert_eq!(guest.stack(), [stub + 17, 8, back]);
}

/// Corrected: the kernel can call NtReadFile itself. What it does not get then is the mode: the service still thinks that
/// ring 3 calls it, and checks its pointers (ReactOS `ntoskrnl/ke/i386/trap.s`: only an entry changes PreviousMode).
#[test]
fn a_direct_call_keeps_the_callers_mode() {
    let mut guest = Guest::boot(&SRV2003, "pentium2");
    guest.call_service("NtClose");
    guest.run_to_symbol("nt!NtClose");
    let call = guest.call(guest.at("nt!NtReadFile"), &arguments("NtReadFile"));
    assert_eq!(guest.previous_mode(), 1);
    guest.run_to(call.back);
    assert_eq!((guest.esp(), guest.register(Eax)), (call.esp, status::NOT_IMPLEMENTED));
}

/// A frame of a call from the kernel has no ESP and SS, and lies below that of ring 3 on the same stack.
#[test]
fn frames_of_the_kernels_calls_chain() {
    let mut guest = Guest::boot(&SRV2003, "pentium2");
    begin_zw(&mut guest);
    guest.run_to_symbol("nt!KiSystemServiceStart");
    let thread = guest.thread();
    let frame = guest.dword(thread + SRV2003.thread.trap_frame);
    assert_eq!(frame, guest.register(Ebp));
    assert_eq!(guest.dword(frame + trap_frame::EDX), SRV2003.base_frame());
    assert_eq!(guest.dword(frame + trap_frame::SEG_CS), selector::R0_CODE);
}
