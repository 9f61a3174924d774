//! "How Do Windows NT System Calls REALLY Work?" by John Gulbrandsen (2004), with a dump of the tables of Windows 2000.

use ntgate::ntgate_runtime::machine::Register::{Eax, Ebx, Ecx, Edi, Edx, Esi};
use ntgate::ntgate_runtime::machine::SegmentRegister::{Cs, Ds, Ldtr, Ss, Tr};
use ntgate::ntgate_runtime::machine::segment::{Descriptor, Selector};
use ntgate::ntgate_runtime::machine::{Gate, flags};
use ntgate::ntgate_runtime::nt::layout::{status, tss};
use ntgate::ntgate_runtime::nt::profile::{NT4, SRV2003, WIN2000};

use super::support::guest32::number;
use super::support::{Fault, Guest, mov_eax, mov_edx};

/// The dump of entry 2Eh of the IDT, and of entry 1 of the GDT.
const GATE: [u8; 8] = [0xC0, 0x62, 0x08, 0x00, 0x00, 0xEE, 0x46, 0x80];
const CODE: [u8; 8] = [0xFF, 0xFF, 0x00, 0x00, 0x00, 0x9B, 0xCF, 0x00];

/// A vector that nobody uses.
const FREE: u8 = 0x40;
/// Its error code.
const FREE_ERROR: u32 = FREE as u32 * 8 + 2;

/// A gate to a routine: present, privilege level 3, interrupt, 32 bits; but for the bits that a test wants otherwise.
fn gate(offset: u32, selector: u16, rights: u8) -> u64 {
    let offset = u64::from(offset);
    offset & 0xFFFF | u64::from(selector) << 16 | u64::from(rights) << 40 | offset >> 16 << 48
}

/// Kernel mode is no mode of the processor: the privilege level is that of the code segment, as its descriptor and the selector
/// in CS have it. 3 is called user mode, 0 kernel mode; NT uses neither 1 nor 2.
#[test]
fn the_privilege_level_is_the_code_segments() {
    let mut guest = Guest::boot(&WIN2000, "pentium");
    let mut levels = Vec::new();
    let call = guest.call_service("NtClose");
    guest.until(|guest| {
        let cs = guest.machine.segment(Cs);
        assert_eq!([cs.selector.rpl(), cs.descriptor.dpl()], [guest.machine.cpl(); 2]);
        levels.push(guest.machine.cpl());
        guest.eip() == call.back
    });
    levels.dedup();
    assert_eq!(levels, [3, 0, 3]);
    // No segment of NT has another level.
    let (gdtr, _) = guest.machine.tables();
    for selector in (8..gdtr.limit).step_by(8) {
        let descriptor = guest.descriptor(selector);
        assert!(!descriptor.present() || [0, 3].contains(&descriptor.dpl()), "{selector:02x}");
    }
}

/// Code of ring 3 that jumps or calls into ring 0's segment gets a general protection fault; so does code that loads a
/// segment of ring 0.
#[test]
fn ring_3_may_not_call_ring_0() {
    let target = Guest::boot(&WIN2000, "pentium").at("nt!KiSystemService").to_le_bytes();
    for opcode in [0x9A, 0xEA] {
        // call 8:routine, jmp 8:routine; the RPL makes no difference.
        for selector in [0x08, 0x0B] {
            let code = [&[opcode][..], &target, &[selector, 0]].concat();
            assert_eq!(Guest::boot(&WIN2000, "pentium").fault(&[&code]), Fault::gp(8));
        }
    }
    // mov eax,10h; mov ds,eax
    assert_eq!(Guest::boot(&WIN2000, "pentium").fault(&[&mov_eax(0x10), &[0x8E, 0xD8]]), Fault::gp(0x10));
    let mut guest = Guest::boot(&WIN2000, "pentium");
    guest.put(&[mov_eax(0x23), vec![0x8E, 0xD8]].concat());
    guest.steps(2);
    assert_eq!(guest.selector(Ds), 0x23, "its own it may");
}

/// Two tables of descriptors, GDT and LDT, each with a register; the system sets them up.
///
/// Corrected: the instructions are LGDT and LLDT, and LLDT cannot be executed before protected mode (#UD: SDM vol. 2, LLDT).
/// Both are the kernel's alone. NT's processes have no LDT unless they ask for one.
#[test]
fn two_tables_have_a_register_each() {
    let guest = Guest::boot(&WIN2000, "pentium");
    let (gdtr, idtr) = guest.machine.tables();
    assert_eq!((gdtr.base, gdtr.limit, idtr.base, idtr.limit), (0x8003_6000, 0x3FF, 0x8003_6400, 0x7FF));
    let local = guest.machine.segment(Ldtr);
    assert!(local.selector.is_null() && !local.is_usable());
    // lgdt [user_data]; lldt ax
    let lgdt = [&[0x0F, 0x01, 0x15][..], &WIN2000.user_data.to_le_bytes()].concat();
    for code in [&lgdt[..], &[0x0F, 0x00, 0xD0]] {
        assert_eq!(Guest::boot(&WIN2000, "pentium").fault(&[code]), Fault::gp(0));
    }
}

/// A selector is an index, a bit for the table, and a privilege level. (It is the selector that has these; where the text says
/// descriptor, that is a slip.)
#[test]
fn a_selector_names_table_and_entry() {
    for (value, index, local, rpl) in
        [(0x08, 1, false, 0), (0x1B, 3, false, 3), (0x23, 4, false, 3), (0x0F, 1, true, 3)]
    {
        let selector = Selector(value);
        assert_eq!((selector.index(), selector.is_local(), selector.rpl()), (index, local, rpl));
    }
    // The bit counts: entry 1 of a table that is not there. The error code has no RPL.
    assert_eq!(Guest::boot(&WIN2000, "pentium").fault(&[&mov_eax(0x0F), &[0x8E, 0xD8]]), Fault::gp(0x0C));
}

/// The dump of the gate means what is printed below it.
///
/// Corrected: in the text behind the dump the entry is at 804552C0h; the bytes, and the printed meaning, say 804662C0h.
#[test]
fn the_dumped_gate_is_what_is_printed() {
    let gate = Gate(u64::from_le_bytes(GATE));
    assert!(gate.present() && gate.wide() && gate.is_interrupt(), "an interrupt gate of 32 bits");
    assert_eq!(gate.kind() >> 4, 0, "system");
    assert_eq!(gate.dpl(), 3);
    assert_eq!((gate.selector(), gate.selector().index(), gate.selector().rpl()), (Selector(8), 1, 0));
    assert_eq!(gate.offset(), 0x8046_62C0);

    // The tables are where the dump has them. The guest's gate is the same but for the routine's address.
    let mut guest = Guest::boot(&WIN2000, "pentium");
    let (_, idtr) = guest.machine.tables();
    assert_eq!((idtr.base, idtr.base + 0x2E * 8), (0x8003_6400, 0x8003_6570));
    let bytes = guest.bytes(0x8003_6570, 8);
    assert_eq!(bytes[2..6], GATE[2..6]);
    assert_eq!(guest.gate(0x2E).offset(), guest.at("nt!KiSystemService"));
}

/// The dump of the code segment means what is printed below it, and the guest's GDT has the same eight bytes there.
#[test]
fn the_dumped_code_segment_is_what_is_printed() {
    let code = Descriptor(u64::from_le_bytes(CODE));
    assert!(code.granular() && code.big(), "4 KB pages, 32-bit operands");
    assert!(code.present() && !code.is_system() && code.is_code());
    assert_eq!(code.dpl(), 0);
    assert!(!code.is_conforming() && code.is_readable() && code.is_accessed());
    assert_eq!(code.base(), 0);
    // The printed size, FFFFFh, counts pages; with them it is all 4 GB, user's and kernel's addresses alike.
    assert_eq!(code.limit(), 0xFFFFF << 12 | 0xFFF);
    assert_eq!(u64::from(code.limit()) + 1, 4 << 30);

    let mut guest = Guest::boot(&WIN2000, "pentium");
    let (gdtr, _) = guest.machine.tables();
    assert_eq!((gdtr.base, gdtr.base + 8), (0x8003_6000, 0x8003_6008));
    assert_eq!(guest.bytes(0x8003_6008, 8), CODE);
    // The accessed bit is the processor's own doing: the boot loader writes 9A.
    let mut guest = Guest::before_boot(&WIN2000, "pentium");
    guest.until(|guest| guest.machine.control(0).is_some_and(|cr0| cr0 >> 31 != 0));
    assert_eq!(guest.bytes(0x8003_600D, 1), [0x9A]);
}

/// The gate's segment is in the GDT, the same for every process; the handler begins at the gate's offset in it.
#[test]
fn the_gate_leads_to_the_code_segment() {
    let mut guest = Guest::boot(&WIN2000, "pentium");
    let gate = guest.gate(0x2E);
    assert!(!gate.selector().is_local());
    let code = guest.descriptor(gate.selector().0);
    guest.put(&[0xCD, 0x2E]);
    guest.step();
    let cs = guest.machine.segment(Cs);
    assert_eq!((cs.selector, cs.descriptor, guest.eip()), (gate.selector(), code, gate.offset()));
}

/// Executes `int 40h` in ring 3 of a guest that was prepared.
fn through(prepare: impl Fn(&mut Guest, u32)) -> Fault {
    let mut guest = Guest::boot(&WIN2000, "pentium");
    let routine = guest.at("nt!KiTrap03");
    prepare(&mut guest, routine);
    guest.fault(&[&[0xCD, FREE]])
}

/// The processor checks the gate, and whether this code may use it; this is what makes it one. In order, each with its error
/// code (SDM vol. 2, INT n; vol. 3, 6.12.1): every gate here has the faults that would be found later too.
#[test]
fn a_gate_is_checked_in_order() {
    let missing = 0x60;
    // 2. No interrupt, trap or task gate (and not present).
    assert_eq!(through(|guest, at| guest.set_gate(FREE, gate(at, 0, 0x6C))), Fault::gp(FREE_ERROR));
    // 3. The gate's DPL is 0 (and it is not present).
    assert_eq!(through(|guest, at| guest.set_gate(FREE, gate(at, 0, 0x0E))), Fault::gp(FREE_ERROR));
    // 4. Not present (and the selector is null).
    let not_present = |code| Fault { handler: "KiTrap0B".to_owned(), code, behind: 0 };
    assert_eq!(through(|guest, at| guest.set_gate(FREE, gate(at, 0, 0x6E))), not_present(FREE_ERROR));
    // 5. A null selector.
    assert_eq!(through(|guest, at| guest.set_gate(FREE, gate(at, 3, 0xEE))), Fault::gp(0));
    // 6. A selector beyond the table.
    assert_eq!(through(|guest, at| guest.set_gate(FREE, gate(at, 0x7F8, 0xEE))), Fault::gp(0x7F8));
    // 7. No code segment: data (and not present).
    let data = through(|guest, at| {
        guest.set_descriptor(missing, 0x00CF_1300_0000_FFFF);
        guest.set_gate(FREE, gate(at, missing, 0xEE));
    });
    assert_eq!(data, Fault::gp(missing.into()));
    // 8. A code segment that is not present.
    let absent = through(|guest, at| {
        guest.set_descriptor(missing, 0x00CF_1B00_0000_FFFF);
        guest.set_gate(FREE, gate(at, missing, 0xEE));
    });
    assert_eq!(absent, not_present(missing.into()));
    // Nothing is wrong.
    let good = through(|guest, at| guest.set_gate(FREE, gate(at, 8, 0xEE)));
    assert_eq!(good, Fault { handler: "KiTrap03".to_owned(), code: 0, behind: 2 });
}

/// 1. A vector beyond the end of the table is refused before its gate, which is good, is read.
#[test]
fn a_vector_beyond_the_table_is_refused() {
    let mut guest = Guest::boot(&WIN2000, "pentium");
    let at = guest.at("nt!KiTrap03");
    guest.set_gate(FREE, gate(at, 8, 0xEE));
    let (_, idtr) = guest.machine.tables();
    let shorter = [&0x1FFu16.to_le_bytes()[..], &(idtr.base as u32).to_le_bytes()].concat();
    guest.write(WIN2000.user_data, &shorter);
    let call = guest.call_service("NtClose");
    guest.run_to_symbol("nt!NtClose");
    // lidt [user_data]; ret 4
    let code = [&[0x0F, 0x01, 0x1D][..], &WIN2000.user_data.to_le_bytes(), &[0xC2, 4, 0]].concat();
    guest.put(&code);
    guest.run_to(call.back);
    assert_eq!(guest.fault(&[&[0xCD, FREE]]), Fault::gp(FREE_ERROR));
}

/// Of NT's gates ring 3 may use some; the others are refused with the vector in the error code. The privilege level is asked of
/// instructions only: an exception gets through a gate of level 0.
#[test]
fn the_gates_of_ring_3_are_those_of_level_3() {
    let mut open = Vec::new();
    let mut guest = Guest::boot(&WIN2000, "pentium");
    for vector in 0..=0xFF {
        let gate = guest.gate(vector);
        assert!(gate.present());
        if gate.dpl() == 3 {
            open.push(vector);
        }
    }
    assert_eq!(open, [0x03, 0x04, 0x2A, 0x2B, 0x2C, 0x2D, 0x2E]);
    for vector in [0x00, 0x01, 0x08, 0x0D, 0x0E, 0x30, 0xFF] {
        let code = [0xCD, vector];
        assert_eq!(Guest::boot(&WIN2000, "pentium").fault(&[&code]), Fault::gp(u32::from(vector) * 8 + 2));
    }
    // ud2
    let fault = Guest::boot(&WIN2000, "pentium").fault(&[&[0x0F, 0x0B]]);
    assert_eq!(fault, Fault { handler: "KiTrap06".to_owned(), code: 0, behind: 0 });
}

/// The processor takes the kernel's stack from the task segment, so that a stack of ring 3 that is none does no harm: the
/// call works, with ESP anywhere.
#[test]
fn a_bad_stack_of_ring_3_does_no_harm() {
    for esp in [0, 2, WIN2000.user_unmapped, 0xFFFF_FFFF, WIN2000.kernel_data] {
        let mut guest = Guest::boot(&WIN2000, "pentium");
        let [argument, number] = [WIN2000.user_data, number("NtClose")];
        guest.write(argument, &0x77u32.to_le_bytes());
        let code = [&[0xBC][..], &esp.to_le_bytes(), &mov_eax(number), &mov_edx(argument), &[0xCD, 0x2E]].concat();
        let back = guest.eip() + code.len() as u32;
        guest.put(&code);
        guest.run_to_symbol("nt!NtClose");
        let [_, first] = guest.stack();
        assert_eq!(first, 0x77);
        guest.run_to(back);
        assert_eq!((guest.esp(), guest.machine.cpl(), guest.register(Eax)), (esp, 3, status::NOT_IMPLEMENTED));
    }
}

/// Each privilege level has its own stack: without a good one in the task segment nothing gets into ring 0, and #TS, that finds
/// none either, becomes a double fault (SDM vol. 3, table 6-5), for which NT has a task.
#[test]
fn the_stack_is_the_task_segments() {
    for ss0 in [0u16, 0x23, 0x7F8] {
        let mut guest = Guest::boot(&WIN2000, "pentium");
        guest.write(WIN2000.tss + tss::SS0, &ss0.to_le_bytes());
        guest.put(&[0xCD, 0x2E]);
        guest.step();
        assert_eq!((guest.eip(), guest.selector(Tr)), (guest.at("nt!KiTrap08"), 0x50), "SS0 {ss0:04x}");
    }
}

/// The processor saves SS, ESP, EFLAGS, CS and EIP of ring 3 on the kernel's stack, and nothing else.
#[test]
fn five_registers_are_saved() {
    let mut guest = Guest::boot(&WIN2000, "pentium");
    guest.put(&[0xCD, 0x2E]);
    let (eip, esp, eflags) = (guest.eip(), guest.esp(), guest.machine.flags().get());
    let top = guest.dword(WIN2000.tss + tss::ESP0);
    let below = guest.bytes(top - 0x40, 0x40 - 20);
    guest.step();
    assert_eq!(guest.esp(), top - 20);
    assert_eq!(guest.stack(), [eip + 2, 0x1B, eflags, esp, 0x23]);
    assert_eq!(guest.bytes(top - 0x40, 0x40 - 20), below);
}

/// Corrected: the pointer to the arguments is in EDX, not in EBX. The stubs of every system load EDX, the kernel copies from it,
/// and EBX belongs to the caller of the stub, which finds it unchanged (ReactOS `sdk/include/asm/syscalls.inc`,
/// `ntoskrnl/ke/i386/trap.s`).
#[test]
fn the_argument_pointer_is_edx() {
    let arguments = WIN2000.user_data;
    let junk = 0x1234_5678;
    let start = |ebx: u32, edx: u32| {
        let mut guest = Guest::boot(&WIN2000, "pentium");
        guest.write(arguments, &(1..=9u32).flat_map(|n| (0x100 + n).to_le_bytes()).collect::<Vec<_>>());
        guest.machine.set_register(Ebx, ebx);
        let code = [mov_eax(number("NtWriteFile")), mov_edx(edx), vec![0xCD, 0x2E]].concat();
        let back = guest.eip() + code.len() as u32;
        guest.put(&code);
        (guest, back)
    };
    let (mut guest, back) = start(junk, arguments);
    guest.run_to_symbol("nt!NtWriteFile");
    let [_, copied @ ..] = guest.stack::<10>();
    assert_eq!(copied, std::array::from_fn(|n| 0x101 + n as u32));
    guest.run_to(back);
    assert_eq!(guest.register(Ebx), junk);

    let (mut guest, back) = start(arguments, 0x8000_0000);
    let way = guest.way_to(back, &["nt!NtWriteFile"]);
    assert!(way.is_empty());
    assert_eq!(guest.register(Eax), status::ACCESS_VIOLATION);

    // As the stub does it.
    let mut guest = Guest::boot(&WIN2000, "pentium");
    guest.machine.set_register(Ebx, junk);
    guest.call_service("NtWriteFile");
    let esp = guest.esp();
    guest.run_to_symbol("nt!KiSystemServiceStart");
    assert_eq!(guest.register(Edx), esp + 4);
}

/// EAX is the index of the function, and what is beyond the table is refused.
#[test]
fn eax_is_the_index() {
    let call = |eax: u32| {
        let mut guest = Guest::boot(&WIN2000, "pentium");
        let code = [mov_eax(eax), mov_edx(WIN2000.user_data), vec![0xCD, 0x2E]].concat();
        let back = guest.eip() + code.len() as u32;
        guest.put(&code);
        (guest, back)
    };
    for service in ["NtAcceptConnectPort", "NtClose", "NtYieldExecution"] {
        let (mut guest, back) = call(number(service));
        let routine = guest.at(&format!("nt!{service}"));
        guest.run_to(routine);
        guest.run_to(back);
    }
    for eax in [0xFFF, 298] {
        let (mut guest, back) = call(eax);
        guest.run_to(back);
        assert_eq!(guest.register(Eax), status::INVALID_SYSTEM_SERVICE, "{eax:x}");
    }
    // The dispatcher reads bits 0 to 13, the table's number and the index in it.
    let (mut guest, _) = call(number("NtClose") | 0xABCD_4000);
    guest.run_to_symbol("nt!NtClose");
}

/// The way back is IRET, which takes the five registers from the stack and goes on behind `int 2Eh`.
///
/// Since Windows XP that is so only where there is no SYSENTER: the kernel then leaves by SYSEXIT, whatever it was entered by
/// (ReactOS `ntoskrnl/ke/i386/trap.s`, KiServiceExit).
#[test]
fn the_way_back() {
    let last_of = |profile, cpu| {
        let mut guest = Guest::boot(profile, cpu);
        for (register, value) in [(Ebx, 0xB1), (Esi, 0x51), (Edi, 0xD1)] {
            guest.machine.set_register(register, value);
        }
        let code = [mov_eax(number("NtClose")), mov_edx(NT4.user_data), vec![0xF9, 0xCD, 0x2E]].concat();
        let back = guest.eip() + code.len() as u32;
        guest.put(&code);
        guest.steps(3);
        let (esp, eflags) = (guest.esp(), guest.machine.flags().get());
        assert_eq!(eflags & (flags::CF | flags::IF), flags::CF | flags::IF);
        guest.run_to_symbol("nt!NtClose");
        guest.until(|guest| {
            let last = guest.bytes(guest.eip(), 2);
            last[0] == 0xCF || last == [0x0F, 0x35]
        });
        let last = guest.bytes(guest.eip(), 1)[0];
        if last == 0xCF {
            assert_eq!(guest.stack(), [back, 0x1B, eflags, esp, 0x23]);
        }
        guest.step();
        assert_eq!((guest.machine.cpl(), guest.eip(), guest.esp()), (3, back, esp));
        assert_eq!((guest.selector(Cs), guest.selector(Ss)), (0x1B, 0x23));
        assert_eq!(guest.machine.flags().get(), eflags);
        assert_eq!([Ebx, Esi, Edi].map(|register| guest.register(register)), [0xB1, 0x51, 0xD1]);
        assert_eq!(guest.register(Eax), status::NOT_IMPLEMENTED);
        (last, guest.register(Ecx) == esp)
    };
    assert_eq!(last_of(&NT4, "pentium2").0, 0xCF);
    assert_eq!(last_of(&WIN2000, "pentium2").0, 0xCF);
    assert_eq!(last_of(&SRV2003, "pentium").0, 0xCF);
    assert_eq!(last_of(&SRV2003, "pentium2"), (0x0F, true));
}
