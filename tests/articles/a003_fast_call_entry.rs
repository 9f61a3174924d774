//! "KiFastCallEntry自己理解", with a kernel debugger on Windows Server 2003.

use ntgate::ntgate_runtime::machine::Register::{Eax, Ebp, Ebx, Ecx, Edi, Edx, Esi};
use ntgate::ntgate_runtime::machine::flags;
use ntgate::ntgate_runtime::nt::layout::{kpcr, shared, trap_frame, tss};
use ntgate::ntgate_runtime::nt::profile::{SRV2003, WINXP_SP2};

use super::support::guest32::number;
use super::support::{Guest, mov_eax, mov_ecx, mov_edx, push};

/// `KUSER_SHARED_DATA` is at 7FFE0000h for ring 3 and at FFDF0000h for the kernel.
#[test]
fn the_page_is_at_both_addresses() {
    let mut guest = Guest::boot(&SRV2003, "pentium2");
    assert_eq!(guest.bytes(0x7FFE_0000, 0x1000), guest.bytes(0xFFDF_0000, 0x1000));
    assert_eq!(guest.machine.physical(0x7FFE_0000), guest.machine.physical(0xFFDF_0000));
}

/// The dump, field by field: offset, bytes, value.
#[test]
fn the_page_has_the_values_of_the_dump() {
    let mut guest = Guest::boot(&SRV2003, "pentium2");
    let fields: [(u32, u32, u64); 31] = [
        (shared::TICK_COUNT_LOW, 4, 0),
        (shared::TICK_COUNT_MULTIPLIER, 4, 0x0A03_AFB7),
        (shared::IMAGE_NUMBER_LOW, 2, 0x14C),
        (shared::IMAGE_NUMBER_HIGH, 2, 0x14C),
        // The first of 260 letters, `C`.
        (shared::NT_SYSTEM_ROOT, 2, 0x43),
        (shared::MAX_STACK_TRACE_DEPTH, 4, 0),
        (shared::CRYPTO_EXPONENT, 4, 0),
        (shared::TIME_ZONE_ID, 4, 0),
        (shared::LARGE_PAGE_MINIMUM, 4, 0x40_0000),
        (0x248, 4, 0),
        (shared::NT_PRODUCT_TYPE, 4, 3),
        (shared::PRODUCT_TYPE_IS_VALID, 1, 1),
        (shared::NT_MAJOR_VERSION, 4, 5),
        (shared::NT_MINOR_VERSION, 4, 2),
        (shared::RESERVED_1, 4, 0x7FFE_FFFF),
        (shared::RESERVED_3, 4, 0x8000_0000),
        (shared::TIME_SLIP, 4, 0),
        (shared::ALTERNATIVE_ARCHITECTURE, 4, 0),
        (shared::SYSTEM_EXPIRATION_DATE, 8, 0),
        (shared::NX_SUPPORT_POLICY, 1, 2),
        (shared::ACTIVE_CONSOLE_ID, 4, 0),
        (shared::DISMOUNT_COUNT, 4, 0),
        (shared::COM_PLUS_PACKAGE, 4, 0xFFFF_FFFF),
        (shared::SAFE_BOOT_MODE, 1, 0),
        (0x2F0, 4, 0),
        (shared::TEST_RET_INSTRUCTION, 8, 0xC3),
        (shared::SYSTEM_CALL, 4, 0x7C95_ED50),
        (shared::SYSTEM_CALL_RETURN, 4, 0x7C95_ED54),
        (0x308, 8, 0),
        (0x310, 8, 0),
        (0x318, 8, 0),
    ];
    for (offset, size, value) in fields {
        let bytes = guest.bytes(0xFFDF_0000 + offset, size as usize);
        let seen = bytes.iter().rev().fold(0, |number, byte| number << 8 | u64::from(*byte));
        assert_eq!(seen, value, "+{offset:03x}");
    }
}

/// The dump's offsets of the fields whose values are another matter on every machine: what the guest has there instead.
#[test]
fn the_rest_of_the_dump_is_this_machines_own() {
    for (offset, field) in [
        (0x008, shared::INTERRUPT_TIME),
        (0x014, shared::SYSTEM_TIME),
        (0x020, shared::TIME_ZONE_BIAS),
        (0x274, shared::PROCESSOR_FEATURES),
        (0x2D0, shared::SUITE_MASK),
        (0x2D4, shared::KD_DEBUGGER_ENABLED),
        (0x2E4, shared::LAST_RIT_EVENT_TICK_COUNT),
        (0x2E8, shared::NUMBER_OF_PHYSICAL_PAGES),
        (0x320, shared::TICK_COUNT),
        (0x330, shared::COOKIE),
        (0x334, shared::WOW64_SHARED_INFORMATION),
    ] {
        assert_eq!(offset, field);
    }
    let mut guest = Guest::boot(&SRV2003, "pentium2");
    let mut at = |offset| guest.dword(0x7FFE_0000 + offset);
    // Two bits of the dump's 112h: terminal services for one user at a time. The third is a small business's server.
    assert_eq!(at(shared::SUITE_MASK), 0x110);
    // No debugger: not allowed, not there. The dump was made by one, which is why it has 3.
    assert_eq!(at(shared::KD_DEBUGGER_ENABLED) & 0xFF, 0);
    // 8 MB, where the dump has 256.
    assert!((0x700..=0x800).contains(&at(shared::NUMBER_OF_PHYSICAL_PAGES)));
    assert_ne!(at(shared::COOKIE), 0);
    assert_eq!(at(shared::SYSTEM_TIME + 4), at(shared::SYSTEM_TIME + 8), "High1Time and High2Time agree");
    // RDTSC is there (ProcessorFeatures[8]).
    assert_eq!(at(shared::PROCESSOR_FEATURES + 8) & 0xFF, 1);
    // The multiplier is a tick's milliseconds times 2^24: 10.0144 of them are 100 144 units of 100 ns.
    let tick = u64::from(at(shared::TICK_COUNT_MULTIPLIER)) * 10_000 >> 24;
    assert_eq!(tick, 100_143, "cut off");
}

/// The tick count goes on where the dump shows it, at 320h, and no longer at the start of the page.
#[test]
fn ticks_are_counted_at_320h() {
    let mut guest = Guest::with_clock(&SRV2003, "pentium2");
    guest.put(&[0xEB, 0xFE]);
    guest.until(|guest| guest.machine.cpl() == 0);
    guest.until(|guest| guest.machine.cpl() == 3);
    assert_eq!(guest.dword(0x7FFE_0000 + shared::TICK_COUNT), 1);
    assert_eq!(guest.dword(0x7FFE_0000 + shared::TICK_COUNT_LOW), 0);
    assert_eq!(guest.dword(0x7FFE_0000 + shared::INTERRUPT_TIME), shared::TICK);
}

/// The bytes from 7C95ED50h: KiFastSystemCall, KiFastSystemCallRet, what fills up, KiIntSystemCall.
///
/// Corrected: the article calls the pointer at 300h one to a stub of KiFastCallEntry. KiFastCallEntry is the kernel's; the
/// pointer is to KiFastSystemCall in ntdll, and what leads from there to KiFastCallEntry is MSR 176h.
#[test]
fn the_bytes_at_7c95ed50h() {
    let mut guest = Guest::boot(&SRV2003, "pentium2");
    let lines: [(u32, &[u8]); 7] = [
        (0x7C95_ED50, &[0x8B, 0xD4]),                   // mov edx,esp
        (0x7C95_ED52, &[0x0F, 0x34]),                   // sysenter
        (0x7C95_ED54, &[0xC3]),                         // ret
        (0x7C95_ED55, &[0x8D, 0xA4, 0x24, 0, 0, 0, 0]), // lea esp,[esp]
        (0x7C95_ED5C, &[0x8D, 0x64, 0x24, 0]),          // lea esp,[esp]
        (0x7C95_ED60, &[0x8D, 0x54, 0x24, 0x08]),       // lea edx,[esp+8]
        (0x7C95_ED64, &[0xCD, 0x2E, 0xC3]),             // int 2Eh; ret
    ];
    let mut next = 0x7C95_ED50;
    for (address, bytes) in lines {
        assert_eq!(next, address);
        assert_eq!(guest.bytes(address, bytes.len()), bytes, "{address:08x}");
        next = address + bytes.len() as u32;
    }
    assert_eq!(next, 0x7C95_ED67);
    for (name, address) in [
        ("ntdll!KiFastSystemCall", 0x7C95_ED50),
        ("ntdll!KiFastSystemCallRet", 0x7C95_ED54),
        ("ntdll!KiIntSystemCall", 0x7C95_ED60),
    ] {
        assert_eq!(guest.at(name), address);
    }
    assert_eq!(guest.machine.msrs().sysenter_eip as u32, guest.at("nt!KiFastCallEntry"));
}

/// ZwWriteFile at 7C957B9Dh: number 11Ch, the pointer's address, a call through it, `ret 24h` for nine arguments.
#[test]
fn zw_write_file_at_7c957b9dh() {
    let mut guest = Guest::boot(&SRV2003, "pentium2");
    assert_eq!([guest.at("ntdll!ZwWriteFile"), guest.at("ntdll!NtWriteFile")], [0x7C95_7B9D; 2]);
    let lines: [(u32, &[u8]); 4] = [
        (0x7C95_7B9D, &[0xB8, 0x1C, 0x01, 0x00, 0x00]), // mov eax,11Ch
        (0x7C95_7BA2, &[0xBA, 0x00, 0x03, 0xFE, 0x7F]), // mov edx,7FFE0300h
        (0x7C95_7BA7, &[0xFF, 0x12]),                   // call [edx]
        (0x7C95_7BA9, &[0xC2, 0x24, 0x00]),             // ret 24h
    ];
    for (address, bytes) in lines {
        assert_eq!(guest.bytes(address, bytes.len()), bytes, "{address:08x}");
    }
    assert_eq!(number("NtWriteFile"), 0x11C);
    let call = guest.call_service("NtWriteFile");
    assert_eq!(call.esp - guest.esp(), 0x24 + 4);
    guest.run_to(call.back);
    assert_eq!(guest.esp(), call.esp);
}

/// SYSENTER takes ESP from MSR 175h, and the kernel does not use it but takes the task segment's Esp0, which it finds by way of
/// the KPCR.
///
/// Corrected: one dword is written there before, as the entry loads FS by `push 30h; pop fs` (so ReactOS
/// `ntoskrnl/ke/i386/trap.s` of 2006 to 2010). The register has to point to memory that can be written.
#[test]
fn the_stack_is_the_task_segments() {
    let mut guest = Guest::boot(&SRV2003, "pentium2");
    let task = guest.dword(SRV2003.kpcr + kpcr::TSS);
    let esp0 = guest.dword(task + tss::ESP0);
    let msr = guest.machine.msrs().sysenter_esp as u32;
    guest.write(msr - 8, &[0; 8]);
    guest.call_service("NtWriteFile");
    guest.run_to_symbol("nt!KiFastCallEntry");
    assert_eq!(guest.esp(), msr);
    let mut stacks = Vec::new();
    guest.until(|guest| {
        stacks.push(guest.esp());
        guest.eip() == guest.at("nt!KiSystemServiceStart")
    });
    stacks.dedup();
    assert_eq!(stacks[..4], [msr, msr - 4, msr, esp0]);
    assert!(stacks[4..].iter().all(|esp| (SRV2003.base_frame()..esp0).contains(esp)), "{stacks:08x?}");
    assert_eq!([guest.dword(msr - 4), guest.dword(msr - 8)], [0x30, 0]);

    // With nothing to write to, the entry does not get that far.
    let mut guest = Guest::boot(&SRV2003, "pentium2");
    let call = guest.call_service("NtWriteFile");
    guest.run_to_symbol("nt!NtWriteFile");
    // mov ecx,175h; mov eax,user_unmapped; mov edx,0; wrmsr; ret 24h
    let code = [mov_ecx(0x175), mov_eax(SRV2003.user_unmapped), mov_edx(0), vec![0x0F, 0x30, 0xC2, 0x24, 0x00]];
    guest.put(&code.concat());
    guest.run_to(call.back);
    guest.call_service("NtWriteFile");
    guest.run_to_symbol("nt!KiFastCallEntry");
    // The page fault finds no stack either: a double fault, which has a task of its own.
    let way = guest.way_to(guest.at("nt!KiTrap08"), &["nt!KiSystemServiceStart"]);
    assert!(way.is_empty());
}

/// Esp0 points to V86Es of a `KTRAP_FRAME`, and that frame begins 7Ch below; what the entry has pushed is its fields. It lies at
/// the origin of the stack, below the FX save area.
#[test]
fn the_frame_begins_7ch_below_esp0() {
    for (profile, cpu) in [(&SRV2003, "pentium2"), (&SRV2003, "pentium"), (&WINXP_SP2, "pentium2")] {
        let mut guest = Guest::boot(profile, cpu);
        let esp0 = guest.dword(profile.tss + tss::ESP0);
        let frame = esp0 - 0x7C;
        assert_eq!(trap_frame::V86_ES, 0x7C);
        assert_eq!(profile.initial_stack - esp0, 0x220);
        let registers = [(Ebp, 0x11), (Ebx, 0x22), (Esi, 0x33), (Edi, 0x44)];
        for (register, value) in registers {
            guest.machine.set_register(register, value);
        }
        guest.call_service("NtWriteFile");
        let esp = guest.esp();
        guest.run_to_symbol("nt!KiSystemServiceStart");
        assert_eq!([guest.register(Ebp), guest.esp()], [frame; 2], "{} on {cpu}", profile.name);
        for (field, value) in [
            (trap_frame::EBP, 0x11),
            (trap_frame::EBX, 0x22),
            (trap_frame::ESI, 0x33),
            (trap_frame::EDI, 0x44),
            (trap_frame::SEG_FS, 0x3B),
            (trap_frame::SEG_CS, 0x1B),
            (trap_frame::HARDWARE_ESP, esp - 4),
            (trap_frame::HARDWARE_SEG_SS, 0x23),
            (trap_frame::PREVIOUS_PREVIOUS_MODE, 1),
        ] {
            assert_eq!(guest.dword(frame + field), value, "{} on {cpu}: +{field:02x}", profile.name);
        }
        // The debugger's fields: where the arguments are, and that they are to be believed.
        assert_eq!(guest.dword(frame + trap_frame::DBG_ARG_POINTER), esp + 4);
        assert_eq!(guest.dword(frame + trap_frame::DBG_ARG_MARK), 0xBADB_0D00);
    }
}

/// The frame's EIP is SharedUserData.SystemCallReturn: whoever executes SYSENTER, wherever it stands, comes back there, and
/// the `ret` that is there has to be right for him.
#[test]
fn the_return_address_is_that_of_the_page() {
    let mut guest = Guest::boot(&SRV2003, "pentium2");
    let back = guest.dword(0xFFDF_0304);
    assert_eq!(back, 0x7C95_ED54);
    // A program's own: push 1; push back; push back; mov eax,NtClose; mov edx,esp; sysenter; ud2
    let after = guest.eip() + 26;
    let mut code: Vec<u8> = [push(1), push(after), push(after), mov_eax(number("NtClose"))].concat();
    code.extend([0x8B, 0xD4, 0x0F, 0x34, 0x0F, 0x0B]);
    assert_eq!(code.len(), 26);
    code.push(0x90);
    let esp = guest.esp();
    guest.put(&code);
    guest.run_to_symbol("nt!NtClose");
    assert_eq!(guest.frame(trap_frame::EIP), back);
    assert_eq!(guest.frame(trap_frame::HARDWARE_ESP), esp - 12);
    guest.until(|guest| guest.machine.cpl() == 3);
    assert_eq!((guest.eip(), guest.esp(), guest.register(Edx)), (back, esp - 12, back), "not behind its sysenter");
    guest.step();
    assert_eq!(guest.eip(), after, "the `ret` there went where the program had pushed");

    // It is the page's value that counts, not the routine's place.
    let mut guest = Guest::boot(&SRV2003, "pentium2");
    let other = SRV2003.user_text + 0x100;
    guest.write(0xFFDF_0304, &other.to_le_bytes());
    guest.call_service("NtClose");
    guest.until(|guest| guest.machine.cpl() == 0);
    guest.until(|guest| guest.machine.cpl() == 3);
    assert_eq!(guest.eip(), other);
}

/// KiFastCallEntry makes by hand what `int 2Eh` would have pushed, and no interrupt was involved: the two frames differ in EIP
/// alone.
#[test]
fn both_entries_make_the_same_frame() {
    let frames = ["pentium", "pentium2"].map(|cpu| {
        let mut guest = Guest::boot(&SRV2003, cpu);
        guest.call_service("NtWriteFile");
        guest.run_to_symbol("nt!NtWriteFile");
        let way_in = guest.frame(trap_frame::LOGGING & !3) >> 16 & 0xFF;
        let frame: Vec<u32> =
            (trap_frame::DBG_ARG_MARK..trap_frame::V86_ES).step_by(4).map(|at| guest.frame(at)).collect();
        (way_in, guest.hardware_frame(), frame)
    });
    let [(by_int, [int_eip, int @ ..], int_frame), (by_fast, [fast_eip, fast @ ..], fast_frame)] = frames;
    assert_eq!([by_int, by_fast], [trap_frame::BY_SYSTEM_SERVICE, trap_frame::BY_FAST_CALL_ENTRY]);
    assert_eq!([int_eip, fast_eip], [0x7C95_ED66, 0x7C95_ED54]);
    assert_eq!(int, fast, "CS, EFLAGS, ESP, SS");
    assert_eq!(fast[1] & flags::IF, flags::IF, "as ring 3 had it, not as SYSENTER left it");
    let differ: Vec<_> =
        (0..int_frame.len()).filter(|n| int_frame[*n] != fast_frame[*n]).map(|n| 8 + 4 * n as u32).collect();
    assert_eq!(differ, [trap_frame::TEMP_SEG_CS, trap_frame::EIP], "the guest's own mark of the entry, and EIP");
}

/// At the return the processor gets EIP and ESP from EDX and ECX.
#[test]
fn the_return_is_by_sysexit() {
    let mut guest = Guest::boot(&SRV2003, "pentium2");
    let call = guest.call_service("NtWriteFile");
    let esp = guest.esp() - 4;
    guest.run_to_symbol("nt!KiServiceExit");
    assert_eq!(guest.leave_ring_0(), [0x0F, 0x35]);
    assert_eq!([guest.register(Edx), guest.register(Ecx)], [guest.eip(), guest.esp()]);
    assert_eq!([guest.eip(), guest.esp()], [0x7C95_ED54, esp]);
    guest.run_to(call.back);
    assert_eq!(guest.register(Eax), 0xC000_0002);
}
