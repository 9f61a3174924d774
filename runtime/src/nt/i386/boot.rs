//! From the multiboot entry to ring 3.

use iced_x86::IcedError;
use iced_x86::code_asm::{
    CodeAssembler, al, ax, cr0, cr3, cr4, ds, dword_ptr, eax, ebp, ebx, ecx, edi, edx, es, esi, esp, fs, fword_ptr, gs,
    ss,
};

use super::assembly::{Asm, KernelAsm, Routine};
use super::data::kernel;
use super::layout::{bugcheck, eflags, msr, port, selector, shared, trap_frame};
use super::memory::MULTIBOOT_HEADER;
use super::profile::{Profile, SystemCallWay};
use super::report::print_literal;
use super::shared_page;
use crate::machine::cpuid::feature;
use crate::machine::{CR0_PG, CR0_WP};

/// CR0: paging, and ring 0 respects read-only pages too.
const CR0_PG_WP: u32 = CR0_PG | CR0_WP;

/// CR4: FXSAVE, FXRSTOR and with them SSE (SDM vol. 3, 2.5).
const CR4_OSFXSR: u32 = 1 << 9;

/// CPUID.1:EDX, `sysenter` and `sysexit`.
const CPUID_SEP_BIT: u32 = feature::SEP.trailing_zeros();

/// Model and stepping of family 6 from which on the bit is to be believed.
const FIRST_SEP_STEP: u32 = 0x0303;

/// Fields of [`kernel::CPU`].
mod cpu {
    pub(super) const CPUID: u32 = 0x00;
    pub(super) const FAMILY: u32 = 0x04;
    pub(super) const MODEL: u32 = 0x08;
    pub(super) const STEPPING: u32 = 0x0C;
    pub(super) const SEP: u32 = 0x10;
    pub(super) const SYSENTER: u32 = 0x14;
}

/// Code at the multiboot entry: paging is off, addresses are physical. Ends in the kernel at `startup`.
pub(crate) fn boot_code(profile: &Profile, page_directory: u32, startup: u32) -> Result<Vec<u8>, IcedError> {
    let mut a = CodeAssembler::new(32)?;
    a.cli()?;
    a.cld()?;
    // No device may interrupt; the vectors the firmware chose are exceptions here.
    a.mov(al, 0xFF)?;
    a.out(port::PIC1_DATA, al)?;
    a.out(port::PIC2_DATA, al)?;
    // The loader's information says how much memory is behind the first megabyte, in kilobytes (Multiboot Specification, 3.3).
    a.mov(esi, dword_ptr(ebx + 8))?;
    a.mov(eax, page_directory)?;
    a.mov(cr3, eax)?;
    a.mov(eax, cr0)?;
    a.or(eax, CR0_PG_WP)?;
    a.mov(cr0, eax)?;
    // This page is mapped at its physical address, so the next instruction is still here.
    a.mov(eax, startup)?;
    a.jmp(eax)?;
    a.assemble(u64::from(entry(profile)))
}

/// Physical address of the multiboot entry: behind the header.
pub(crate) fn entry(profile: &Profile) -> u32 {
    profile.boot_physical + 4 * MULTIBOOT_HEADER.len() as u32
}

/// Emits the kernel's own start.
pub(crate) fn emit(k: &mut KernelAsm<'_>) -> Asm {
    startup(k)?;
    cpu_vendor(k)?;
    feature_bits(k)?;
    fast_syscall_registers(k)
}

/// KiSystemStartup: descriptor tables, CPU features, SharedUserData, log header, then ring 3.
fn startup(k: &mut KernelAsm<'_>) -> Asm {
    let far = k.address(Routine::KiSystemStartupInNewCs);
    let stack = k.profile.base_frame();
    k.begin(Routine::KiSystemStartup)?;
    k.a.shr(esi, 2)?;
    k.a.add(esi, 0x100)?;
    k.a.mov(dword_ptr(k.profile.shared_kernel + shared::NUMBER_OF_PHYSICAL_PAGES), esi)?;
    k.a.lgdt(fword_ptr(k.data(kernel::GDT_POINTER)))?;
    k.a.lidt(fword_ptr(k.data(kernel::IDT_POINTER)))?;
    k.a.mov(eax, selector::R0_DATA)?;
    k.a.mov(ss, eax)?;
    k.a.mov(esp, stack)?;
    k.a.mov(eax, selector::R3_DATA)?;
    k.a.mov(ds, eax)?;
    k.a.mov(es, eax)?;
    k.a.push(selector::R0_CODE)?;
    k.a.push(far)?;
    k.a.retf()?;

    k.begin(Routine::KiSystemStartupInNewCs)?;
    k.a.mov(eax, selector::R0_PCR)?;
    k.a.mov(fs, eax)?;
    k.a.xor(eax, eax)?;
    k.a.mov(gs, eax)?;
    k.a.lldt(ax)?;
    k.a.mov(eax, selector::TSS)?;
    k.a.ltr(ax)?;
    k.a.push(eflags::ALWAYS)?;
    k.a.popfd()?;

    k.call(Routine::KiGetCpuVendor)?;
    k.call(Routine::KiGetFeatureBits)?;
    k.call(Routine::KiLoadFastSyscallMachineSpecificRegisters)?;
    shared_page::constants(k)?;
    print_header(k)?;
    check_processor(k)?;
    let proof = &mut k.a.create_label();
    k.a.cmp(k.var(kernel::PROOF), 0)?;
    k.a.jne(*proof)?;
    // A session has one set; in a proof every set says what it needs when it begins.
    k.a.mov(ebx, k.var(kernel::SETS))?;
    k.call(Routine::NtgateSharedCall)?;
    k.call(Routine::HalpInitializeClock)?;
    k.a.set_label(proof)?;
    enter_ring3(k)
}

/// A system whose stubs execute `sysenter` needs a processor that does.
fn check_processor(k: &mut KernelAsm<'_>) -> Asm {
    if k.profile.way != SystemCallWay::Sysenter {
        return Ok(());
    }
    let good = &mut k.a.create_label();
    k.a.cmp(k.var(kernel::FAST_SYSTEM_CALL_DISABLE), 0)?;
    k.a.je(*good)?;
    k.a.mov(k.var(kernel::BUGCHECK), bugcheck::UNSUPPORTED_PROCESSOR)?;
    // There is no frame that could be shown.
    k.a.xor(ebp, ebp)?;
    k.jmp(Routine::KeBugCheckPrint)?;
    k.a.set_label(good)?;
    k.a.nop()
}

/// The first two lines of the log.
fn print_header(k: &mut KernelAsm<'_>) -> Asm {
    k.a.mov(esi, k.var(kernel::HEADER_TEXT))?;
    k.a.mov(ecx, k.var(kernel::HEADER_TEXT + 4))?;
    k.call(Routine::NtgatePrint)?;
    let more = &mut k.a.create_label();
    let end = &mut k.a.create_label();
    let fields = [
        ("cpu cpuid ", cpu::CPUID),
        (" family ", cpu::FAMILY),
        (" model ", cpu::MODEL),
        (" stepping ", cpu::STEPPING),
        (" sep ", cpu::SEP),
        (" sysenter ", cpu::SYSENTER),
    ];
    for (name, field) in fields {
        print_literal(k, name)?;
        k.a.mov(eax, k.var(kernel::CPU + field))?;
        k.call(Routine::NtgatePrintShortHex)?;
        if field == cpu::CPUID {
            k.a.cmp(k.var(kernel::CPU + cpu::CPUID), 0)?;
            k.a.jne(*more)?;
            k.a.jmp(*end)?;
            k.a.set_label(more)?;
        }
    }
    k.a.set_label(end)?;
    k.a.mov(al, b'\n' as u32)?;
    k.a.out(port::DEBUG_CONSOLE, al)
}

/// Makes the frame of a thread that starts in ring 3 and leaves through it.
fn enter_ring3(k: &mut KernelAsm<'_>) -> Asm {
    k.a.mov(ebp, k.profile.base_frame())?;
    k.a.mov(esp, ebp)?;
    k.a.mov(edi, ebp)?;
    k.a.mov(ecx, trap_frame::SIZE / 4)?;
    k.a.xor(eax, eax)?;
    k.a.rep().stosd()?;
    for (field, value) in [
        (trap_frame::EXCEPTION_LIST, super::layout::kpcr::EXCEPTION_CHAIN_END),
        (trap_frame::SEG_CS, selector::R3_CODE),
        (trap_frame::EFLAGS, eflags::ALWAYS | eflags::IF),
        (trap_frame::HARDWARE_ESP, k.profile.user_stack),
        (trap_frame::HARDWARE_SEG_SS, selector::R3_DATA),
        (trap_frame::SEG_DS, selector::R3_DATA),
        (trap_frame::SEG_ES, selector::R3_DATA),
        (trap_frame::SEG_FS, selector::R3_TEB),
    ] {
        k.a.mov(dword_ptr(ebp + field), value)?;
    }
    k.a.mov(eax, k.var(kernel::START))?;
    k.a.mov(dword_ptr(ebp + trap_frame::EIP), eax)?;
    k.jmp(Routine::Kei386EoiHelper)
}

/// KiGetCpuVendor: is there CPUID, and does it have leaf 1? EFLAGS.ID can be changed only where CPUID exists
/// (Intel SDM volume 1, 20.1).
fn cpu_vendor(k: &mut KernelAsm<'_>) -> Asm {
    k.begin(Routine::KiGetCpuVendor)?;
    k.a.pushfd()?;
    k.a.pop(eax)?;
    k.a.mov(ecx, eax)?;
    k.a.xor(eax, eflags::ID)?;
    k.a.push(eax)?;
    k.a.popfd()?;
    k.a.pushfd()?;
    k.a.pop(eax)?;
    k.a.push(ecx)?;
    k.a.popfd()?;
    k.a.xor(eax, ecx)?;
    k.a.and(eax, eflags::ID)?;
    k.je(Routine::KiGetCpuVendorDone)?;
    k.a.xor(eax, eax)?;
    k.a.cpuid()?;
    k.a.test(eax, eax)?;
    k.je(Routine::KiGetCpuVendorDone)?;
    k.a.mov(k.var(kernel::CPU + cpu::CPUID), 1)?;
    k.begin(Routine::KiGetCpuVendorDone)?;
    k.a.ret()
}

/// KiGetFeatureBits: what CPUID says, and whether SEP may be used.
fn feature_bits(k: &mut KernelAsm<'_>) -> Asm {
    let usable = &mut k.a.create_label();
    let done = &mut k.a.create_label();
    k.begin(Routine::KiGetFeatureBits)?;
    k.a.mov(k.var(kernel::FAST_SYSTEM_CALL_DISABLE), 1)?;
    k.a.cmp(k.var(kernel::CPU + cpu::CPUID), 0)?;
    k.a.je(*done)?;
    k.a.mov(eax, 1)?;
    k.a.cpuid()?;
    shared_page::processor_features(k)?;
    allow_sse(k)?;
    k.a.shr(edx, CPUID_SEP_BIT)?;
    k.a.and(edx, 1)?;
    signature(k)?;
    k.a.mov(k.var(kernel::CPU + cpu::FAMILY), esi)?;
    k.a.mov(k.var(kernel::CPU + cpu::MODEL), edi)?;
    k.a.mov(k.var(kernel::CPU + cpu::STEPPING), ebx)?;
    k.a.mov(k.var(kernel::CPU + cpu::SEP), edx)?;

    if !k.profile.uses_sysenter() {
        k.a.jmp(*done)?;
    }
    k.a.test(edx, edx)?;
    k.a.je(*done)?;
    // The Pentium Pro has the bit but not the instructions: family below 6, or 6 with model and stepping below 3.3
    // (ReactOS ntoskrnl/ke/i386/cpu.c).
    k.a.cmp(esi, 6)?;
    k.a.jb(*done)?;
    k.a.jne(*usable)?;
    k.a.shl(edi, 8)?;
    k.a.or(edi, ebx)?;
    k.a.cmp(edi, FIRST_SEP_STEP)?;
    k.a.jb(*done)?;
    k.a.set_label(usable)?;
    k.a.mov(k.var(kernel::CPU + cpu::SYSENTER), 1)?;
    k.a.mov(k.var(kernel::FAST_SYSTEM_CALL_DISABLE), 0)?;
    k.a.set_label(done)?;
    k.a.ret()
}

/// Where there is FXSAVE, the SSE instructions may be used: what the shared page tells of them is true in ring 3. CPUID.1:EDX
/// is in EDX; ECX is used up.
fn allow_sse(k: &mut KernelAsm<'_>) -> Asm {
    let skip = &mut k.a.create_label();
    k.a.test(edx, feature::FXSR)?;
    k.a.je(*skip)?;
    k.a.mov(ecx, cr4)?;
    k.a.or(ecx, CR4_OSFXSR)?;
    k.a.mov(cr4, ecx)?;
    k.a.set_label(skip)?;
    k.a.nop()
}

/// Splits the signature in EAX: ESI = family, EDI = model, EBX = stepping, by the rules of the SDM's CPUID page. EDX stays.
fn signature(k: &mut KernelAsm<'_>) -> Asm {
    let not_family_f = &mut k.a.create_label();
    let extended = &mut k.a.create_label();
    let done = &mut k.a.create_label();
    k.a.mov(ebx, eax)?;
    k.a.and(ebx, 0xF)?;
    k.a.mov(edi, eax)?;
    k.a.shr(edi, 4)?;
    k.a.and(edi, 0xF)?;
    k.a.mov(esi, eax)?;
    k.a.shr(esi, 8)?;
    k.a.and(esi, 0xF)?;
    k.a.cmp(esi, 0xF)?;
    k.a.jne(*not_family_f)?;
    k.a.mov(ecx, eax)?;
    k.a.shr(ecx, 20)?;
    k.a.and(ecx, 0xFF)?;
    k.a.add(esi, ecx)?;
    k.a.jmp(*extended)?;
    k.a.set_label(not_family_f)?;
    k.a.cmp(esi, 6)?;
    k.a.jne(*done)?;
    k.a.set_label(extended)?;
    k.a.shr(eax, 12)?;
    k.a.and(eax, 0xF0)?;
    k.a.or(edi, eax)?;
    k.a.set_label(done)
}

/// KiLoadFastSyscallMachineSpecificRegisters, if the instructions may be used.
fn fast_syscall_registers(k: &mut KernelAsm<'_>) -> Asm {
    let skip = &mut k.a.create_label();
    let entry = k.address(Routine::KiFastCallEntry);
    k.begin(Routine::KiLoadFastSyscallMachineSpecificRegisters)?;
    k.a.cmp(k.var(kernel::FAST_SYSTEM_CALL_DISABLE), 0)?;
    k.a.jne(*skip)?;
    for (register, value) in
        [(msr::SYSENTER_CS, selector::R0_CODE), (msr::SYSENTER_ESP, k.profile.dpc_stack), (msr::SYSENTER_EIP, entry)]
    {
        k.a.mov(ecx, register)?;
        k.a.mov(eax, value)?;
        k.a.xor(edx, edx)?;
        k.a.wrmsr()?;
    }
    k.a.set_label(skip)?;
    k.a.ret()
}
