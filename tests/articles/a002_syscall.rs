//! "Windows7 x64系统调用分析": SYSCALL and SYSRET as the manual has them, and KiSystemCall64 of 64-bit Windows 7.

use ntgate::ntgate_gen::table::{locate, unpack_entry};
use ntgate::ntgate_runtime::machine::Register::{Ecx, Edx};
use ntgate::ntgate_runtime::machine::SegmentRegister::{Cs, Gs, Ss};
use ntgate::ntgate_runtime::machine::flags;
use ntgate::ntgate_runtime::machine::segment::Segment;
use ntgate::ntgate_runtime::nt::amd64::layout::{dispatcher_header, kpcr, service_table, trap_frame};
use ntgate::ntgate_runtime::nt::profile::SRV2003;

use super::support::guest64::register::*;
use super::support::guest64::tables;
use super::support::{Fault, Guest, Guest64};

/// A service with five stack arguments.
const SERVICE: &str = "NtWriteFile";

/// `syscall`, and the two forms of `sysret`.
const SYSCALL: [u8; 2] = [0x0F, 0x05];
const SYSRET: [u8; 2] = [0x0F, 0x07];
const SYSRET_64: [u8; 3] = [0x48, 0x0F, 0x07];

/// What the two instructions make of a segment register: flat, accessed, present, 4 KB pages; whatever is in the GDT.
fn is_flat(segment: Segment, dpl: u8) -> bool {
    let descriptor = segment.descriptor;
    let flat = segment.base == 0 && descriptor.base() == 0 && descriptor.limit() == u32::MAX && descriptor.granular();
    flat && descriptor.present() && !descriptor.is_system() && descriptor.is_accessed() && descriptor.dpl() == dpl
}

/// A guest in ring 0 whose next instruction is the first of KiSystemCall64: everything but CS, SS, RIP, RCX, R11 and the flags
/// is ring 3's.
fn in_ring_0() -> Guest64 {
    let mut guest = Guest64::at_stub(SERVICE);
    guest.run_to_symbol("nt!KiSystemCall64");
    assert_eq!(guest.machine.cpl(), 0);
    guest
}

/// Windows copies RCX to R10 before SYSCALL, which overwrites it.
#[test]
fn the_stub_saves_rcx_in_r10() {
    let mut guest = Guest64::at_stub(SERVICE);
    let stub = guest.machine.rip();
    // mov r10,rcx; mov eax,11Ch; syscall; ret
    let bytes = [0x4C, 0x8B, 0xD1, 0xB8, 0x1C, 0x01, 0, 0, 0x0F, 0x05, 0xC3];
    assert_eq!(guest.machine.read_linear64(stub, 11).as_deref(), Some(&bytes[..]));
    let first = guest.register(RCX);
    guest.run_to_syscall();
    assert_eq!(guest.register(R10), first);
    guest.step();
    assert_eq!((guest.register(R10), guest.register(RCX)), (first, stub + 10));
}

/// SYSCALL: RCX is the address behind it, R11 the flags, RIP is IA32_LSTAR, the flags of IA32_FMASK are cleared; CS is
/// IA32_STAR[47:32] with RPL 0, of 64-bit code, SS the next; CPL is 0. The stack stays ring 3's, and nothing is saved in memory.
#[test]
fn syscall_does_what_the_listing_says() {
    let mut guest = Guest64::at_stub(SERVICE);
    guest.run_to_syscall();
    let (next, rsp, rflags) = (guest.machine.rip() + 2, guest.register(RSP), guest.machine.flags().get());
    let msrs = guest.machine.msrs();
    assert_eq!(msrs.lstar, guest.at("nt!KiSystemCall64"));
    let gs = guest.machine.segment(Gs).base;
    let stack = guest.machine.read_linear64(rsp - 0x40, 0x80);
    guest.step();

    assert_eq!(guest.register(RCX), next);
    assert_eq!(guest.register(R11), u64::from(rflags));
    assert_eq!(guest.machine.rip(), msrs.lstar);
    assert_eq!(guest.machine.flags().get(), rflags & !(msrs.fmask as u32));
    let selector = (msrs.star >> 32) as u16;
    let (cs, ss) = (guest.machine.segment(Cs), guest.machine.segment(Ss));
    assert_eq!((cs.selector.0, ss.selector.0), (selector & 0xFFFC, (selector & 0xFFFC) + 8));
    assert!(is_flat(cs, 0) && cs.descriptor.kind() == 11 && cs.descriptor.long() && !cs.descriptor.big());
    assert!(is_flat(ss, 0) && ss.descriptor.kind() == 3);
    assert_eq!(guest.machine.cpl(), 0);
    assert_eq!(guest.register(RSP), rsp, "no other stack");
    assert_eq!(guest.machine.read_linear64(rsp - 0x40, 0x80), stack);
    assert_eq!(guest.machine.segment(Gs).base, gs, "SWAPGS is the system's");
}

/// The values that Windows has in the registers: 10h and 23h in STAR, so CS 10h, SS 18h, and 33h and 2Bh on the way back; NT, DF,
/// IF and TF in FMASK.
#[test]
fn the_registers_of_windows() {
    let guest = Guest64::at_stub(SERVICE);
    let msrs = guest.machine.msrs();
    assert_eq!((msrs.star >> 32 & 0xFFFF, msrs.star >> 48), (0x10, 0x23));
    assert_eq!(msrs.fmask as u32, flags::NT | flags::DF | flags::IF | flags::TF);
}

/// The processor does not read the descriptors that the selectors name; the system has to have such there as fit what the
/// processor puts in. Windows has: type, privilege level, 64-bit code. (Base and limit have no meaning in 64-bit mode, and
/// there the GDT's are zero: SDM vol. 3, 3.4.4.)
#[test]
fn the_gdt_fits_what_the_processor_puts_in() {
    let mut guest = in_ring_0();
    for register in [Cs, Ss] {
        let segment = guest.machine.segment(register);
        let inside = guest.descriptor(segment.selector.0);
        assert_eq!(inside.kind(), segment.descriptor.kind());
        assert_eq!(inside.dpl(), segment.descriptor.dpl());
        assert_eq!(inside.long(), segment.descriptor.long());
        assert!(inside.present());
    }
    // It can be anything, as far as SYSCALL goes.
    let mut guest = Guest64::at_stub(SERVICE);
    guest.run_to_syscall();
    let (gdtr, _) = guest.machine.tables();
    guest.write(gdtr.base + 0x10, &[0; 16]);
    guest.step();
    assert!(is_flat(guest.machine.segment(Cs), 0) && is_flat(guest.machine.segment(Ss), 0));
}

/// The first difference from 32 bits: SYSENTER keeps neither address nor flags, so ring 3 has to (EDX = ESP), and it does
/// change the stack.
#[test]
fn sysenter_keeps_nothing() {
    let mut guest = Guest::boot(&SRV2003, "pentium2");
    guest.call_service("NtClose");
    let before = guest.esp();
    guest.until(|guest| guest.machine.cpl() == 0);
    assert_ne!(guest.esp(), before - 4);
    assert_eq!(guest.register(Edx), before - 4);
    assert_ne!(guest.register(Ecx), guest.at("ntdll!KiFastSystemCallRet"));
}

/// SYSCALL is #UD outside 64-bit mode: in 32-bit code of a 32-bit system, and in compatibility mode. So is SYSRET.
#[test]
fn syscall_is_of_64_bit_mode() {
    for code in [SYSCALL, SYSRET] {
        let fault = Guest::boot(&SRV2003, "core2").fault(&[&code]);
        assert_eq!(fault, Fault { handler: "KiTrap06".to_owned(), code: 0, behind: 0 });
    }
    for code in [SYSCALL, SYSRET] {
        let mut guest = in_ring_0();
        let program = guest.profile.user_text;
        guest.write(program, &code);
        guest.set_register(RCX, program);
        guest.put(&SYSRET);
        guest.step();
        assert_eq!((guest.machine.rip(), guest.machine.long_mode()), (program, (true, false)));
        guest.step();
        assert_eq!(guest.machine.rip(), guest.at("nt!KiTrap06"));
    }
}

/// Both are #UD with IA32_EFER.SCE clear.
#[test]
fn efer_sce_turns_them_on() {
    for code in [&SYSCALL[..], &SYSRET_64] {
        let mut guest = in_ring_0();
        // mov ecx,0C0000080h; rdmsr; and al,0FEh; wrmsr
        guest.put(&[&[0xB9, 0x80, 0, 0, 0xC0, 0x0F, 0x32, 0x24, 0xFE, 0x0F, 0x30], code].concat());
        guest.steps(4);
        assert_eq!(guest.machine.msrs().efer & 1, 0);
        guest.step();
        assert_eq!(guest.machine.rip(), guest.at("nt!KiTrap06"));
    }
}

/// SYSRET is #GP(0) but at CPL 0.
#[test]
fn sysret_is_ring_0s() {
    for code in [&SYSRET[..], &SYSRET_64] {
        let mut guest = Guest64::at_stub(SERVICE);
        guest.put(code);
        let at = guest.machine.rip();
        guest.step();
        assert_eq!(guest.machine.rip(), guest.at("nt!KiTrap0D"));
        let rsp = guest.register(RSP);
        assert_eq!([guest.read(rsp, 8), guest.read(rsp + 8, 8)], [0, at], "error code, RIP");
    }
}

/// SYSRET to 64-bit code: RIP from RCX, flags from R11 but for RF, VM and what is reserved; CS is IA32_STAR[63:48] + 16 and SS + 8,
/// each with RPL 3; flat, of level 3; CPL 3. RSP stays.
#[test]
fn sysret_to_64_bit_code() {
    let mut guest = in_ring_0();
    let (rsp, target) = (guest.register(RSP), 0x7_1234_5678);
    guest.set_register(RCX, target);
    // All but TF, which would trap at once.
    guest.set_register(R11, !u64::from(flags::TF));
    guest.put(&SYSRET_64);
    guest.step();
    assert_eq!((guest.machine.rip(), guest.register(RSP), guest.machine.cpl()), (target, rsp, 3));
    // VIF and VIP are not there on a processor without virtual-8086 extensions.
    let missing = flags::TF | flags::VIF | flags::VIP;
    assert_eq!(guest.machine.flags().get(), 0x003C_7FD7 & !missing | 2);
    let star = guest.machine.msrs().star >> 48;
    let (cs, ss) = (guest.machine.segment(Cs), guest.machine.segment(Ss));
    assert_eq!(u64::from(cs.selector.0), star + 16 | 3);
    assert_eq!(u64::from(ss.selector.0), star + 8 | 3);
    assert!(is_flat(cs, 3) && cs.descriptor.kind() == 11 && cs.descriptor.long() && !cs.descriptor.big());
    assert!(is_flat(ss, 3) && ss.descriptor.kind() == 3 && ss.descriptor.big());
    assert_eq!((cs.selector.0, ss.selector.0), (0x33, 0x2B));
}

/// SYSRET to compatibility mode: EIP from ECX, CS is IA32_STAR[63:48] itself, of 32-bit code.
#[test]
fn sysret_to_32_bit_code() {
    let mut guest = in_ring_0();
    guest.set_register(RCX, 0x7_1234_5678);
    guest.set_register(R11, 0);
    guest.put(&SYSRET);
    guest.step();
    assert_eq!((guest.machine.rip(), guest.machine.flags().get()), (0x1234_5678, 2));
    let (cs, ss) = (guest.machine.segment(Cs), guest.machine.segment(Ss));
    assert_eq!((cs.selector.0, ss.selector.0), (0x23, 0x2B));
    assert!(is_flat(cs, 3) && cs.descriptor.kind() == 11 && !cs.descriptor.long() && cs.descriptor.big());
    assert!(is_flat(ss, 3));
}

/// A return to an address that is none is #GP(0).
///
/// What the listing does not say: it comes in ring 0, and with ring 3's stack (SDM vol. 2, SYSRET, as Intel's processors do it).
#[test]
fn sysret_to_no_address() {
    let mut guest = in_ring_0();
    let rsp = guest.register(RSP);
    guest.set_register(RCX, 0x8000_0000_0000);
    guest.put(&SYSRET_64);
    let at = guest.machine.rip();
    guest.step();
    assert_eq!((guest.machine.rip(), guest.machine.cpl()), (guest.at("nt!KiTrap0D"), 0));
    let frame = guest.register(RSP);
    assert!(frame < rsp && rsp - frame < 0x40);
    assert_eq!([0, 8, 16].map(|offset| guest.read(frame + offset, 8)), [0, at, 0x10]);
}

/// The processor changes no stack, so KiSystemCall64 does: RSP of ring 3 into the KPCR, the thread's from there.
#[test]
fn the_kernel_changes_the_stack() {
    let mut guest = Guest64::at_stub(SERVICE);
    let user = guest.register(RSP);
    guest.run_to_symbol("nt!KiSystemCall64");
    guest.steps(3);
    let pcr = guest.profile.kpcr;
    assert_eq!(guest.machine.segment(Gs).base, pcr, "swapgs");
    assert_eq!(guest.read(pcr + u64::from(kpcr::USER_RSP), 8), user);
    assert_eq!(guest.register(RSP), guest.read(pcr + u64::from(kpcr::RSP_BASE), 8));
    assert_eq!(guest.register(RSP), guest.profile.initial_stack);
}

/// The trap frame: what an interrupt would have pushed, from RCX, R11 and the KPCR; the non-volatile registers that the path
/// uses, MXCSR; the mark of a service. RBP points 80h into it, and the thread to its start.
#[test]
fn the_trap_frame() {
    let mut guest = Guest64::at_stub(SERVICE);
    guest.run_to_syscall();
    let before = [RBX, RDI, RSI, RBP, RSP].map(|register| guest.register(register));
    let (behind, rflags, mxcsr) = (guest.machine.rip() + 2, guest.machine.flags().get(), guest.machine.mxcsr());
    guest.run_to_symbol("nt!KiSystemServiceRepeat");
    let frame = guest.profile.base_frame();
    assert_eq!([guest.register(RSP), guest.register(RBP)], [frame, frame + 0x80]);
    let [rbx, rdi, rsi, rbp, rsp] = before;
    for (field, size, value) in [
        (trap_frame::SEG_SS, 8, 0x2B),
        (trap_frame::RSP, 8, rsp),
        (trap_frame::EFLAGS, 8, rflags.into()),
        (trap_frame::SEG_CS, 2, 0x33),
        (trap_frame::RIP, 8, behind),
        (trap_frame::RBP, 8, rbp),
        (trap_frame::RBX, 8, rbx),
        (trap_frame::RDI, 8, rdi),
        (trap_frame::RSI, 8, rsi),
        (trap_frame::MXCSR, 4, mxcsr.into()),
        (trap_frame::EXCEPTION_ACTIVE, 1, trap_frame::SERVICE.into()),
        (trap_frame::DR7, 2, 0),
    ] {
        assert_eq!(guest.frame(field, size), value, "+{field:03x}");
    }
    let thread = guest.profile.thread;
    assert_eq!(guest.read(guest.thread(thread.trap_frame), 8), frame);
    assert_eq!(guest.read(guest.thread(thread.system_call_number), 4), 0x11C);
    assert_eq!(guest.read(guest.thread(thread.first_argument), 8), guest.register(RCX));
    assert_eq!(guest.machine.flags().get() & flags::IF, flags::IF, "from here on interrupts may come");
}

/// DebugActive of the thread's header is asked on the way in. With any bit the register arguments are kept in the frame; with the
/// bits for debug registers (an active DR7, instrumentation) those are too, and the kernel runs without breakpoints.
#[test]
fn debug_active_keeps_registers() {
    for (active, debug_registers) in [(0x00u8, false), (0x01, true), (0x02, true), (0x04, false)] {
        let mut guest = Guest64::at_stub(SERVICE);
        let header = guest.thread(dispatcher_header::DEBUG_ACTIVE);
        guest.write(header, &[active]);
        let homes = [trap_frame::RAX, trap_frame::RDX, trap_frame::R8, trap_frame::R9];
        let clear = guest.profile.base_frame();
        guest.write(clear, &[0; 0x130]);
        guest.run_to_syscall();
        let arguments = [RAX, RDX, R8, R9].map(|register| guest.register(register));
        let way = guest.at("nt!KiSaveDebugRegisterState");
        let mut saved = false;
        guest.until(|guest| {
            saved |= guest.machine.rip() == way;
            guest.machine.rip() == guest.at("nt!KiSystemServiceRepeat")
        });
        assert_eq!(saved, debug_registers, "{active:02x}");
        let kept = homes.map(|field| guest.frame(field, 8));
        assert_eq!(kept, if active == 0 { [0; 4] } else { arguments }, "{active:02x}");
        assert_eq!(guest.register(RDX), arguments[1]);
        // Dr6 has bits that are always set (SDM vol. 3, 17.2.3), so that one sees it was stored.
        assert_eq!(guest.frame(trap_frame::DR6, 8) != 0, debug_registers, "{active:02x}");
    }
}

/// The tables: an entry is a signed distance from the table's own start, shifted left by 4, and below it the number of
/// arguments on the stack.
#[test]
fn every_entry_of_the_table_leads_to_its_service() {
    let mut guest = Guest64::at_stub(SERVICE);
    let [services, win32k] = tables();
    for (table, services) in [("nt!KiServiceTable", services), ("win32k!W32pServiceTable", win32k)] {
        let base = guest.at(table);
        for (index, (service, stack_args)) in services.iter().enumerate() {
            let entry = guest.read(base + 4 * index as u64, 4) as u32;
            let target = base.wrapping_add_signed(i64::from(entry as i32 >> 4));
            assert!(guest.is_at(&format!("nt!{service}"), target), "{service} is not at {target:016x}");
            assert_eq!(entry & 0xF, *stack_args, "{service}");
            let unpacked = unpack_entry(entry);
            assert_eq!((i64::from(unpacked.offset), unpacked.stack_args), (i64::from(entry as i32 >> 4), *stack_args));
        }
    }
}

/// Which table: bit 12 of the number, as the offset of a descriptor of 20h bytes; the shadow table has both, the other one only
/// the kernel's. A thread whose GUI bit is set gets the shadow table.
#[test]
fn bit_12_chooses_the_table() {
    let mut guest = Guest64::at_stub(SERVICE);
    let [services, win32k] = tables();
    for (number, offset, index) in [(0x11Cu32, 0, 0x11C), (0x1000, 0x20, 0), (0x1002, 0x20, 2)] {
        assert_eq!((number >> service_table::SHIFT & service_table::MASK, number & 0xFFF), (offset, index));
        assert_eq!(locate(number), (offset / 0x20, index));
    }
    let (plain, shadow) = (guest.at("nt!KeServiceDescriptorTable"), guest.at("nt!KeServiceDescriptorTableShadow"));
    let mut descriptor = |at: u64| [guest.read(at, 8), guest.read(at + u64::from(service_table::LIMIT), 4)];
    let expected = [descriptor(plain), descriptor(shadow), descriptor(shadow + 0x20), descriptor(plain + 0x20)];
    let kernel = [guest.at("nt!KiServiceTable"), services.len() as u64];
    let gui = [guest.at("win32k!W32pServiceTable"), win32k.len() as u64];
    assert_eq!(expected, [kernel, kernel, gui, [0, 0]]);

    // The harness's thread becomes a GUI thread by its first such call, and then gets to the routine.
    let mut guest = Guest64::at_stub(SERVICE);
    guest.run_to_syscall();
    guest.set_register(RAX, 0x1000);
    guest.run_to_symbol("nt!KiConvertToGuiThread");
    guest.run_to_symbol("nt!NtGdiA");
    let thread = guest.profile.thread;
    assert_ne!(guest.read(guest.thread(thread.flags), 4) as u32 & thread.gui_thread, 0);
}

/// The arguments beyond the fourth are copied from ring 3's stack to where the routine looks for them.
#[test]
fn stack_arguments_are_copied() {
    let mut guest = Guest64::at_stub(SERVICE);
    let user = guest.register(RSP);
    let registers = [RCX, RDX, R8, R9].map(|register| guest.register(register));
    let wanted: [u64; 5] = std::array::from_fn(|n| guest.read(user + 0x28 + 8 * n as u64, 8));
    guest.run_to_symbol("nt!NtWriteFile");
    let kernel = guest.register(RSP);
    assert!(kernel > 0xFFFF_8000_0000_0000);
    let copied: [u64; 5] = std::array::from_fn(|n| guest.read(kernel + 0x28 + 8 * n as u64, 8));
    assert_eq!(copied, wanted);
    assert_eq!([RCX, RDX, R8, R9].map(|register| guest.register(register)), registers);
}

/// Goes to the exit of the call that the guest is in.
fn at_exit(guest: &mut Guest64) {
    guest.run_to_symbol("nt!NtWriteFile");
    guest.run_to_symbol("nt!KiSystemServiceExit");
}

/// A pending user APC is seen to before the return: KiInitiateUserApc, at APC level, after which the flag is asked again.
#[test]
fn a_pending_apc_comes_before_the_return() {
    for pending in [0u8, 1] {
        let mut guest = Guest64::at_stub(SERVICE);
        let behind = guest.read(guest.register(RSP), 8);
        at_exit(&mut guest);
        let flag = guest.thread(guest.profile.thread.user_apc_pending);
        guest.write(flag, &[pending]);
        let mut calls = 0;
        guest.until(|guest| {
            if guest.machine.rip() == guest.at("nt!KiInitiateUserApc") {
                calls += 1;
                assert_eq!(guest.machine.control64(8), Some(1), "APC_LEVEL");
            }
            guest.machine.cpl() == 3
        });
        assert_eq!((calls, guest.read(flag, 1)), (pending, 0));
        assert_eq!(guest.machine.control64(8), Some(0));
        guest.run_to(behind);
    }
}

/// The return is SYSRET to what the frame says; the kernel leaves nothing of its own in the volatile registers.
#[test]
fn the_return_is_by_sysret() {
    let mut guest = Guest64::at_stub(SERVICE);
    let (rsp, rbp) = (guest.register(RSP), guest.register(RBP));
    guest.run_to_syscall();
    let behind = guest.machine.rip() + 2;
    at_exit(&mut guest);
    guest.until(|guest| guest.read(guest.machine.rip(), 3) == 0x07_0F48);
    assert_eq!(guest.machine.cpl(), 0);
    guest.step();
    assert_eq!(guest.machine.cpl(), 3);
    assert_eq!((guest.machine.rip(), guest.register(RSP)), (behind, rsp));
    assert_eq!([RCX, RDX, R8, R9, R10].map(|register| guest.register(register)), [behind, 0, rsp, rbp, 0]);
    assert!((0..6).all(|number| guest.machine.xmm(number) == Some(0)));
}

/// A process with an instrumentation callback: ring 3 goes on there, with the real return address in R10 and the status in RAX.
#[test]
fn the_instrumentation_callback_comes_first() {
    let mut guest = Guest64::at_stub_with_callback(SERVICE);
    let rsp = guest.register(RSP);
    guest.run_to_syscall();
    let behind = guest.machine.rip() + 2;
    at_exit(&mut guest);
    let status = guest.register(RAX);
    guest.until(|guest| guest.machine.cpl() == 3);
    assert_eq!(guest.machine.rip(), guest.at("ntgate!InstrumentationCallback"));
    assert_eq!([RAX, R10, RSP].map(|register| guest.register(register)), [status, behind, rsp]);
    guest.run_to(behind);
    assert_eq!(guest.register(RAX), status);
}
