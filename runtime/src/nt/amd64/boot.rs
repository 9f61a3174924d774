//! From the multiboot entry, in 32-bit code without paging, to ring 3 in 64-bit code.

use iced_x86::code_asm::{
    CodeAssembler, al, ax, cr0, cr3, cr4, ds, dword_ptr, dx, eax, ecx, edx, es, esi, esp, fs, fword_ptr, gs, qword_ptr,
    rax, rbp, rcx, rdi, rsi, rsp, ss,
};
use iced_x86::{Code, IcedError, Instruction};

use super::assembly::{Asm, KernelAsm, Routine};
use super::data::{head, kernel};
use super::layout::{PAGE, eflags, msr, port, selector, shared, trap_frame};
use super::memory::MULTIBOOT_HEADER;
use super::profile::Profile;
use super::report::print_literal;

/// CR0: paging; ring 0 respects read-only pages too; floating-point errors are exceptions.
const CR0_SET: u32 = 0x8001_0022;
/// CR0: no emulation, no task switch to be noticed.
const CR0_CLEAR: u32 = 0x0000_000C;
/// CR4: PAE, OSFXSR and OSXMMEXCPT.
const CR4_SET: u32 = 0x0000_0620;
/// CPUID leaf with the long-mode bit.
const EXTENDED_FEATURES: u32 = 0x8000_0001;
/// In that leaf's EDX: long mode, and pages that can't be executed.
const LONG_MODE_AND_NX: u32 = 1 << 29 | 1 << 20;
/// Value at the exit port when the CPU has no long mode.
const NO_LONG_MODE: u32 = 2;
/// What the log then says.
const NO_LONG_MODE_TEXT: &[u8] = b"no long mode\n";
/// 64-bit ring-0 code for the way to the kernel's own GDT, at the selector that it has there.
const BOOT_GDT: [u64; 3] = [0, 0, 0x0020_9B00_0000_0000];

/// Fields of [`kernel::CPU`].
mod cpu {
    pub(super) const FAMILY: u32 = 0x00;
    pub(super) const MODEL: u32 = 0x04;
    pub(super) const STEPPING: u32 = 0x08;
}

/// Physical address of the multiboot entry: behind the header.
pub(crate) fn entry(profile: &Profile) -> u32 {
    profile.boot_physical + 4 * MULTIBOOT_HEADER.len() as u32
}

/// The boot page: header, 32-bit code, 64-bit code, GDT, text; the stack is at its end.
pub(crate) fn boot_page(profile: &Profile, tables: u32, startup: u64) -> Result<Vec<u8>, IcedError> {
    let base = profile.boot_physical;
    // Addresses behind the code are operands of it; no operand's length depends on them.
    let length = boot_code(profile, tables, base, base, base)?.len() as u32;
    let long = entry(profile) + length;
    let mut a = CodeAssembler::new(64)?;
    a.mov(rax, startup)?;
    a.jmp(rax)?;
    let long_code = a.assemble(u64::from(long))?;
    let gdt = (long + long_code.len() as u32).next_multiple_of(8);
    let gdt_size = size_of_val(&BOOT_GDT) as u32;
    let pointer = gdt + gdt_size;
    let text = pointer + 6;

    let mut page: Vec<u8> = MULTIBOOT_HEADER.iter().flat_map(|dword| dword.to_le_bytes()).collect();
    page.extend(boot_code(profile, tables, long, pointer, text)?);
    page.extend(long_code);
    page.resize((gdt - base) as usize, 0);
    page.extend(BOOT_GDT.iter().flat_map(|descriptor| descriptor.to_le_bytes()));
    page.extend((gdt_size as u16 - 1).to_le_bytes());
    page.extend(gdt.to_le_bytes());
    page.extend_from_slice(NO_LONG_MODE_TEXT);
    Ok(page)
}

/// 32-bit code at the multiboot entry. Ends at `long` in 64-bit mode.
fn boot_code(profile: &Profile, tables: u32, long: u32, pointer: u32, text: u32) -> Result<Vec<u8>, IcedError> {
    let mut a = CodeAssembler::new(32)?;
    let none = &mut a.create_label();
    let stop = &mut a.create_label();
    a.cli()?;
    a.cld()?;
    a.mov(esp, profile.boot_physical + PAGE)?;
    // No device may interrupt; the vectors the firmware chose are exceptions here.
    a.mov(al, 0xFF)?;
    a.out(port::PIC1_DATA, al)?;
    a.out(port::PIC2_DATA, al)?;
    long_mode(&mut a, *none)?;
    a.mov(eax, cr4)?;
    a.or(eax, CR4_SET)?;
    a.mov(cr4, eax)?;
    a.mov(eax, tables)?;
    a.mov(cr3, eax)?;
    a.mov(ecx, msr::EFER)?;
    a.rdmsr()?;
    a.or(eax, msr::EFER_SCE | msr::EFER_LME | msr::EFER_NXE)?;
    a.wrmsr()?;
    // With paging this page can only be read, so what the far return takes is pushed before.
    a.lgdt(fword_ptr(pointer))?;
    a.push(selector::R0_CODE)?;
    a.push(long)?;
    a.mov(eax, cr0)?;
    a.and(eax, !CR0_CLEAR)?;
    a.or(eax, CR0_SET)?;
    a.mov(cr0, eax)?;
    // This page is mapped at its physical address, so the next instruction is still here, in compatibility mode.
    a.retf()?;

    a.set_label(none)?;
    a.mov(esi, text)?;
    a.mov(ecx, NO_LONG_MODE_TEXT.len() as u32)?;
    a.mov(dx, port::DEBUG_CONSOLE)?;
    a.rep().outsb()?;
    a.mov(al, NO_LONG_MODE)?;
    a.out(port::EXIT, al)?;
    a.set_label(stop)?;
    a.hlt()?;
    a.jmp(*stop)?;
    a.assemble(u64::from(entry(profile)))
}

/// Goes to `none` on a CPU without long mode. EFLAGS.ID can be changed only where CPUID exists (Intel SDM volume 1, 20.1).
fn long_mode(a: &mut CodeAssembler, none: iced_x86::code_asm::CodeLabel) -> Result<(), IcedError> {
    a.pushfd()?;
    a.pop(eax)?;
    a.mov(ecx, eax)?;
    a.xor(eax, eflags::ID)?;
    a.push(eax)?;
    a.popfd()?;
    a.pushfd()?;
    a.pop(eax)?;
    a.xor(eax, ecx)?;
    a.test(eax, eflags::ID)?;
    a.je(none)?;
    a.mov(eax, EXTENDED_FEATURES & 0xFFFF_0000)?;
    a.cpuid()?;
    a.cmp(eax, EXTENDED_FEATURES)?;
    a.jb(none)?;
    a.mov(eax, EXTENDED_FEATURES)?;
    a.cpuid()?;
    a.and(edx, LONG_MODE_AND_NX)?;
    a.cmp(edx, LONG_MODE_AND_NX)?;
    a.jne(none)
}

/// Emits the kernel's own start: descriptor tables, MSRs, log header, then ring 3.
pub(crate) fn emit(k: &mut KernelAsm<'_>) -> Asm {
    let stack = k.profile.base_frame();
    k.begin(Routine::KiSystemStartup)?;
    k.a.mov(rsp, stack)?;
    k.lea_data(rax, kernel::GDT_POINTER)?;
    k.a.lgdt(fword_ptr(rax))?;
    k.lea_data(rax, kernel::IDT_POINTER)?;
    k.a.lidt(fword_ptr(rax))?;
    k.a.mov(eax, selector::R0_DATA)?;
    k.a.mov(ss, eax)?;
    k.a.push(selector::R0_CODE as i32)?;
    k.lea(rax, Routine::KiSystemStartupInNewCs)?;
    k.a.push(rax)?;
    k.a.add_instruction(Instruction::with(Code::Retfq))?;

    k.begin(Routine::KiSystemStartupInNewCs)?;
    k.a.mov(eax, selector::R3_DATA)?;
    k.a.mov(ds, eax)?;
    k.a.mov(es, eax)?;
    // This makes the base zero; it is set below.
    k.a.mov(gs, eax)?;
    k.a.mov(eax, selector::R3_CMTEB)?;
    k.a.mov(fs, eax)?;
    k.a.xor(eax, eax)?;
    k.a.lldt(ax)?;
    k.a.mov(eax, selector::TSS)?;
    k.a.ltr(ax)?;
    machine_registers(k)?;
    k.a.push(eflags::ALWAYS as i32)?;
    k.a.popfq()?;
    k.a.mov(rcx, k.profile.shared_kernel)?;
    k.a.mov(dword_ptr(rcx + shared::TEST_RET_INSTRUCTION), shared::RET)?;
    cpu_identity(k)?;
    print_header(k)?;
    enter_ring3(k)
}

/// The MSRs of the fast system call (ReactOS `ntoskrnl/ke/amd64/kiinit.c`) and the bases of GS.
fn machine_registers(k: &mut KernelAsm<'_>) -> Asm {
    let write = |k: &mut KernelAsm<'_>, register: u32, value: u64| {
        k.a.mov(ecx, register)?;
        k.a.mov(eax, value as u32)?;
        k.a.mov(edx, (value >> 32) as u32)?;
        k.a.wrmsr()
    };
    let (kpcr, teb) = (k.profile.kpcr, k.profile.teb);
    write(k, msr::GS_BASE, kpcr)?;
    write(k, msr::KERNEL_GS_BASE, teb)?;
    write(k, msr::STAR, u64::from(msr::STAR_SELECTORS) << 32)?;
    let entry = k.routine(Routine::KiSystemCall64);
    write(k, msr::LSTAR, entry)?;
    let entry = k.routine(Routine::KiSystemCall32);
    write(k, msr::CSTAR, entry)?;
    write(k, msr::FMASK, msr::SYSCALL_FMASK.into())
}

/// Family, model and stepping by the rules of the SDM's CPUID page. Every CPU with long mode is of family 6 or above.
fn cpu_identity(k: &mut KernelAsm<'_>) -> Asm {
    let not_family_f = &mut k.a.create_label();
    k.a.mov(eax, 1)?;
    k.a.cpuid()?;
    k.a.mov(ecx, eax)?;
    k.a.and(ecx, 0xF)?;
    k.a.mov(k.var32(kernel::CPU + cpu::STEPPING), ecx)?;
    k.a.mov(ecx, eax)?;
    k.a.shr(ecx, 4)?;
    k.a.and(ecx, 0xF)?;
    k.a.mov(edx, eax)?;
    k.a.shr(edx, 12)?;
    k.a.and(edx, 0xF0)?;
    k.a.or(ecx, edx)?;
    k.a.mov(k.var32(kernel::CPU + cpu::MODEL), ecx)?;
    k.a.mov(ecx, eax)?;
    k.a.shr(ecx, 8)?;
    k.a.and(ecx, 0xF)?;
    k.a.cmp(ecx, 0xF)?;
    k.a.jne(*not_family_f)?;
    k.a.shr(eax, 20)?;
    k.a.and(eax, 0xFF)?;
    k.a.add(ecx, eax)?;
    k.a.set_label(not_family_f)?;
    k.a.mov(k.var32(kernel::CPU + cpu::FAMILY), ecx)
}

/// The first two lines of the log.
fn print_header(k: &mut KernelAsm<'_>) -> Asm {
    let text = k.profile.user_tables + u64::from(head::TEXT);
    k.a.mov(rsi, qword_ptr(text))?;
    k.a.mov(rcx, qword_ptr(text + 8))?;
    k.call(Routine::NtgatePrint)?;
    for (name, field) in [("cpu family ", cpu::FAMILY), (" model ", cpu::MODEL), (" stepping ", cpu::STEPPING)] {
        print_literal(k, name)?;
        k.a.mov(eax, k.var32(kernel::CPU + field))?;
        k.call(Routine::NtgatePrintShortHex)?;
    }
    print_literal(k, "\n")
}

/// Makes the frame of a thread that starts in ring 3 and leaves through it.
fn enter_ring3(k: &mut KernelAsm<'_>) -> Asm {
    let frame = k.profile.base_frame();
    k.a.mov(rsp, frame)?;
    k.a.mov(rdi, frame)?;
    k.a.mov(ecx, trap_frame::SIZE / 8)?;
    k.a.xor(eax, eax)?;
    k.a.rep().stosq()?;
    k.a.lea(rbp, rsp + trap_frame::RBP_BIAS)?;
    for (field, value) in [
        (trap_frame::MXCSR, super::layout::INITIAL_MXCSR),
        (trap_frame::SEG_CS, selector::R3_CODE),
        (trap_frame::EFLAGS, eflags::ALWAYS | eflags::IF),
        (trap_frame::SEG_SS, selector::R3_DATA),
    ] {
        k.a.mov(dword_ptr(rsp + field), value)?;
    }
    for (field, value) in [(trap_frame::RIP, k.user.start), (trap_frame::RSP, k.profile.user_stack)] {
        k.a.mov(rax, value)?;
        k.a.mov(qword_ptr(rsp + field), rax)?;
    }
    k.jmp(Routine::NtgateStart)
}
