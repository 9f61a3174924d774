//! "A brief analysis of Windows system call: 2 ways to switch to kernel mode", with a debugger on 32-bit Windows 7.

use ntgate::ntgate_gen::Shape;
use ntgate::ntgate_runtime::machine::Register::{Eax, Ecx, Edx, Esp};
use ntgate::ntgate_runtime::machine::SegmentRegister::{Cs, Ss};
use ntgate::ntgate_runtime::machine::flags;
use ntgate::ntgate_runtime::nt::profile::{NT4, REACTOS, WIN7, WIN2000, WINXP_SP2};

use super::support::guest32::number;
use super::support::{Fault, Guest, mov_ecx};

/// What a system call may come by.
const LANDMARKS: [&str; 9] = [
    "ntdll!NtWriteFile",
    "ntdll!KiFastSystemCall",
    "ntdll!KiIntSystemCall",
    "ntdll!KiFastSystemCallRet",
    "nt!KiSystemService",
    "nt!KiFastCallEntry",
    "nt!KiSystemServiceStart",
    "nt!NtWriteFile",
    "nt!KiServiceExit",
];

fn way(cpu: &str) -> Vec<&'static str> {
    let mut guest = Guest::boot(&WIN7, cpu);
    let call = guest.call_service("NtWriteFile");
    guest.way_to(call.back, &LANDMARKS)
}

/// The first way: stub, KiIntSystemCall, int 2Eh, KiSystemService, the service of the same name.
///
/// Corrected: it does not come through KiFastCallEntry. What the article saw at KiFastCallEntry+8Fh is the part that both
/// entries share (here KiSystemServiceStart); where it begins is another matter in every build (ReactOS
/// `ntoskrnl/ke/i386/trap.s` has two prologues and one common part).
#[test]
fn the_way_by_interrupt() {
    let passed = [
        "ntdll!NtWriteFile",
        "ntdll!KiIntSystemCall",
        "nt!KiSystemService",
        "nt!KiSystemServiceStart",
        "nt!NtWriteFile",
        "nt!KiServiceExit",
    ];
    assert_eq!(way("pentium"), passed);
}

/// The second way: stub, KiFastSystemCall, sysenter, KiFastCallEntry, the service of the same name. KiSystemService is not
/// on it. (How many cycles that saves cannot be seen: the machine counts instructions.)
#[test]
fn the_way_by_sysenter() {
    let passed = [
        "ntdll!NtWriteFile",
        "ntdll!KiFastSystemCall",
        "nt!KiFastCallEntry",
        "nt!KiSystemServiceStart",
        "nt!NtWriteFile",
        "nt!KiServiceExit",
        "ntdll!KiFastSystemCallRet",
    ];
    assert_eq!(way("pentium2"), passed);
}

/// EAX has the service's number when the kernel is entered, and the number decides which routine runs.
#[test]
fn the_number_in_eax_names_the_routine() {
    for cpu in ["pentium", "pentium2"] {
        for service in ["NtWriteFile", "NtOpenFile", "NtClose"] {
            let mut guest = Guest::boot(&WIN7, cpu);
            guest.call_service(service);
            guest.until(|guest| guest.machine.cpl() == 0);
            let number = number(service);
            assert_eq!(guest.register(Eax), number);
            let table = guest.at("nt!KiServiceTable");
            let routine = guest.at(&format!("nt!{service}"));
            assert_eq!(guest.dword(table + 4 * number), routine);
            guest.run_to(routine);
        }
    }
}

/// Corrected: the article lists the writing of the three registers as a step of the call, behind KiFastSystemCall. They are
/// written once, by the kernel as it starts; ring 3 could not (WRMSR is #GP(0) at CPL 3: SDM vol. 2, WRMSR), and a call
/// leaves them as they are.
#[test]
fn the_registers_of_sysenter_are_written_at_the_start() {
    let mut guest = Guest::before_boot(&WIN7, "pentium2");
    assert_eq!(guest.machine.msrs().sysenter_cs, 0);
    guest.until(|guest| guest.machine.msrs().sysenter_eip != 0);
    assert_eq!(guest.machine.cpl(), 0);
    guest.until(|guest| guest.machine.cpl() == 3);
    let [cs, esp, eip] = sysenter_registers(&guest);
    assert_eq!((cs, eip), (8, guest.at("nt!KiFastCallEntry")));
    assert!(esp > 0x8000_0000);
    let call = guest.call_service("NtWriteFile");
    guest.run_to(call.back);
    assert_eq!(sysenter_registers(&guest), [cs, esp, eip]);

    assert_eq!(guest.fault(&[&[0x0F, 0x30]]), Fault::gp(0));
}

fn sysenter_registers(guest: &Guest) -> [u32; 3] {
    let msrs = guest.machine.msrs();
    [msrs.sysenter_cs, msrs.sysenter_esp as u32, msrs.sysenter_eip as u32]
}

/// The six steps, of which each is seen after the one instruction: CS, EIP, SS, ESP, ring 0, VM clear.
///
/// Corrected: they have no order that a program could see, and they are not all. IF is cleared as well, the segments are
/// flat whatever the GDT says, and nothing is saved anywhere (SDM vol. 2, SYSENTER).
#[test]
fn sysenter_does_six_things() {
    let mut guest = Guest::boot(&WIN7, "pentium2");
    guest.call_service("NtWriteFile");
    guest.run_to_symbol("ntdll!KiFastSystemCall");
    guest.step();
    assert_eq!(guest.bytes(guest.eip(), 2), [0x0F, 0x34]);
    // What the GDT has there does not matter to it.
    guest.set_descriptor(0x08, 0);
    guest.set_descriptor(0x10, 0);
    let [cs, esp, eip] = sysenter_registers(&guest);
    let kernel_stack = guest.profile.esp0();
    let memory = |guest: &mut Guest| {
        [
            guest.bytes(kernel_stack - 0x100, 0x100),
            guest.bytes(esp - 0x10, 0x10),
            guest.bytes(guest.profile.user_stack - 0x100, 0x100),
        ]
    };
    let (untouched, before) = (memory(&mut guest), guest.machine.flags().get());
    let registers = [Eax, Ecx, Edx].map(|register| guest.register(register));
    let user_esp = guest.esp();
    assert_eq!((guest.machine.cpl(), before & flags::IF), (3, flags::IF));
    guest.step();

    assert_eq!(u32::from(guest.selector(Cs)), cs & !3, "1: CS of MSR 174h");
    assert_eq!(guest.eip(), eip, "2: EIP of MSR 176h");
    assert_eq!(u32::from(guest.selector(Ss)), cs + 8, "3: SS = CS + 8");
    assert_eq!(guest.esp(), esp, "4: ESP of MSR 175h");
    assert_eq!(guest.machine.cpl(), 0, "5: the next instruction is ring 0's");
    let after = guest.machine.flags().get();
    assert_eq!(after & flags::VM, 0, "6: VM is clear");
    assert_eq!(after, before & !flags::IF, "and IF is; the other flags stay");
    for segment in [Cs, Ss] {
        let segment = guest.machine.segment(segment);
        assert_eq!((segment.base, segment.limit, segment.descriptor.dpl()), (0, u32::MAX, 0));
        assert!(segment.descriptor.present() && segment.descriptor.big() && segment.descriptor.is_accessed());
    }
    assert!(guest.machine.segment(Cs).descriptor.is_code());
    assert!(guest.machine.segment(Ss).descriptor.is_writable_data());
    assert_eq!(memory(&mut guest), untouched, "nothing is pushed");
    assert_eq!([Eax, Ecx, Edx].map(|register| guest.register(register)), registers);
    assert_eq!(guest.register(Edx), user_esp, "the stub itself has kept ESP");
    assert_ne!(guest.register(Esp), user_esp);
    guest.step();
    assert_ne!(guest.eip(), eip);
}

/// Before the Pentium II and Windows XP there is `int 2Eh` only. (On the CPU's side it takes both: Windows NT and 2000
/// do not use the instruction where the CPU has it.)
#[test]
fn without_sysenter_int_2e_is_the_only_way() {
    for (profile, cpu) in
        [(&NT4, "486"), (&NT4, "pentium2"), (&WIN2000, "pentium"), (&WIN2000, "pentium2"), (&WINXP_SP2, "pentium")]
    {
        let mut guest = Guest::boot(profile, cpu);
        assert_eq!(sysenter_registers(&guest), [0; 3], "{} on {cpu}", profile.name);
        let call = guest.call_service("NtWriteFile");
        let way = guest.way_to(call.back, &["nt!KiSystemService", "nt!KiFastCallEntry", "nt!NtWriteFile"]);
        assert_eq!(way, ["nt!KiSystemService", "nt!NtWriteFile"], "{} on {cpu}", profile.name);
    }
    // Nobody has set up the registers, and so the instruction is refused.
    let mut guest = Guest::boot(&NT4, "pentium2");
    assert_eq!(guest.fault(&[&[0x0F, 0x34]]), Fault::gp(0));
}

/// KiIntSystemCall is at 77C071C0h, and its `int 2Eh`, two bytes, at 77C071C4h.
#[test]
fn ki_int_system_call_is_where_the_debugger_shows_it() {
    let mut guest = Guest::boot(&WIN7, "pentium");
    assert_eq!(guest.at("ntdll!KiIntSystemCall"), 0x77C0_71C0);
    assert_eq!(guest.bytes(0x77C0_71C4, 2), [0xCD, 0x2E]);
    guest.call_service("NtOpenFile");
    guest.run_to(0x77C0_71C4);
    guest.step();
    assert_eq!(guest.eip(), guest.at("nt!KiSystemService"));
}

/// The gate of vector 2Eh, eight bytes, leads to KiSystemService, above 80000000h.
#[test]
fn idt_2e_leads_to_ki_system_service() {
    for profile in [&WIN7, &NT4, &REACTOS] {
        let mut guest = Guest::boot(profile, "pentium");
        let gate = guest.gate(0x2E);
        assert_eq!(gate.offset(), guest.at("nt!KiSystemService"));
        assert!(gate.offset() >= 0x8000_0000 && gate.is_interrupt());
    }
}

/// 7FFFFFFFh is the last address of ring 3, 80000000h the first of the kernel.
#[test]
fn the_halves_of_the_address_space() {
    let guest = Guest::boot(&WIN7, "pentium2");
    for (name, address) in guest.symbols() {
        let in_kernel = name.starts_with("nt!") || name.starts_with("hal!");
        assert_eq!(address >= 0x8000_0000, in_kernel, "{name} {address:08x}");
    }
    for (address, code) in [(0x8424_4000u32, 5), (0x8000_0000, 4)] {
        let mut guest = Guest::boot(&WIN7, "pentium2");
        // mov eax,[address]
        let load = [&[0xA1][..], &address.to_le_bytes()].concat();
        let fault = guest.fault(&[&load]);
        assert_eq!((fault.handler.as_str(), fault.code), ("KiTrap0E", code), "{address:08x}");
    }
}

/// NtOpenFile puts 7FFE0300h into EDX and calls through it; the dword there is 77C071B0h, KiFastSystemCall; that is four
/// bytes long, and the second of its two instructions is 0F 34, SYSENTER.
#[test]
fn the_stub_calls_what_the_shared_page_points_to() {
    let mut guest = Guest::boot(&WIN7, "pentium2");
    let stub = guest.at("ntdll!NtOpenFile");
    assert_eq!(guest.stub(Shape::SharedEdx, "NtOpenFile"), stub);
    assert_eq!(guest.bytes(stub + 5, 7), [0xBA, 0x00, 0x03, 0xFE, 0x7F, 0xFF, 0x12]);
    assert_eq!(guest.dword(0x7FFE_0300), 0x77C0_71B0);
    assert_eq!(guest.at("ntdll!KiFastSystemCall"), 0x77C0_71B0);
    assert_eq!(guest.bytes(0x77C0_71B0, 4), [0x8B, 0xD4, 0x0F, 0x34]);
    assert_eq!(guest.at("ntdll!KiFastSystemCallRet"), 0x77C0_71B4);
    guest.call_service("NtOpenFile");
    guest.steps(3);
    assert_eq!((guest.eip(), guest.register(Edx)), (0x77C0_71B0, 0x7FFE_0300));
    guest.steps(2);
    assert_eq!(guest.eip(), guest.at("nt!KiFastCallEntry"));
}

/// RDMSR 176h tells the address of KiFastCallEntry; 174h and 175h tell the other two values.
#[test]
fn rdmsr_tells_the_entry() {
    for (register, index) in [(0x174u32, 0), (0x175, 1), (0x176, 2)] {
        let mut guest = Guest::boot(&WIN7, "pentium2");
        guest.call_service("NtOpenFile");
        guest.run_to_symbol("nt!NtOpenFile");
        // mov ecx,register; rdmsr
        guest.put(&[mov_ecx(register), vec![0x0F, 0x32]].concat());
        guest.steps(2);
        assert_eq!((guest.register(Eax), guest.register(Edx)), (sysenter_registers(&guest)[index], 0));
        if register == 0x176 {
            assert_eq!(guest.register(Eax), guest.at("nt!KiFastCallEntry"));
        }
    }
}

/// Corrected: the article supposes a comparison and a jump in ring 3 that chooses the way for older processors. There is
/// none: ntdll is the same on both, byte for byte, and only the pointer that the kernel stored at its start differs
/// (ReactOS `ntoskrnl/ps/psmgr.c`).
#[test]
fn the_kernel_chooses_once_and_ring_3_never() {
    let [mut old, mut new] = ["pentium", "pentium2"].map(|cpu| Guest::boot(&WIN7, cpu));
    let (stub, fast) = (old.at("ntdll!NtOpenFile"), old.at("ntdll!KiFastSystemCall"));
    assert_eq!(old.bytes(stub, 0x10), new.bytes(stub, 0x10));
    assert_eq!(old.bytes(fast, 0x17), new.bytes(fast, 0x17));
    assert_eq!([old.dword(0x7FFE_0300), new.dword(0x7FFE_0300)], [fast + 0x10, fast]);
    // From the stub's first instruction to the kernel's no branch is conditional: these five on one, these five on the other.
    for (guest, between) in [(&mut old, [5, 10, 0, 4]), (&mut new, [5, 10, 0, 2])] {
        let call = guest.call_service("NtOpenFile");
        let entry = guest.dword(0x7FFE_0300);
        for at in [call.stub + between[0], call.stub + between[1], entry + between[2], entry + between[3]] {
            guest.step();
            assert_eq!(guest.eip(), at);
        }
        guest.step();
        assert_eq!(guest.machine.cpl(), 0);
    }
}
