//! `KUSER_SHARED_DATA`: what is in it from the start, what the guest finds out, and the start of a session.

use iced_x86::Register;
use iced_x86::code_asm::{AsmMemoryOperand, AsmRegister32, byte_ptr, dword_ptr, eax, ecx, edx, ptr, rax, rbx, rdx};

use super::assembly::{Asm, KernelAsm, Routine};
use super::block::Block;
use super::data::kernel;
use super::layout::{PAGE, msr, shared, user_context};
use super::profile::Profile;
use shared::processor_feature;

/// When the system was started, in units of 100 ns since 1601: 2010-01-01, midnight.
const STARTED: u64 = 0x01CA_8A75_5C6E_0000;

/// What pointers are encoded with; a system chooses it at random, a guest that is to be the same each time cannot.
const COOKIE: u32 = 0x2B99_2DDF;

/// Ticks of the performance counter in a second.
const FREQUENCY: u64 = 10_000_000;

/// Pages of memory: 32 MB.
const PHYSICAL_PAGES: u32 = 0x2000;

/// CPUID leaf 1, by register: the bit, and the feature that it tells of.
const IN_EDX: [(u32, u32); 6] = [
    (4, processor_feature::RDTSC),
    (6, processor_feature::PAE),
    (8, processor_feature::COMPARE_EXCHANGE_DOUBLE),
    (23, processor_feature::MMX),
    (25, processor_feature::XMMI),
    (26, processor_feature::XMMI64),
];
const IN_ECX: [(u32, u32); 2] = [(0, processor_feature::SSE3), (13, processor_feature::COMPARE_EXCHANGE128)];

/// The page, without what the guest decides at boot.
pub(crate) fn shared_data(profile: &Profile) -> Vec<u8> {
    let mut block = Block::new(PAGE);
    let is_windows_8 = (profile.major_version, profile.minor_version) >= (6, 2);
    for (field, value) in [
        (shared::TICK_COUNT_MULTIPLIER, shared::CLOCK_MULTIPLIER),
        (shared::SYSTEM_TIME, STARTED as u32),
        (shared::SYSTEM_TIME + shared::system_time::HIGH_1, (STARTED >> 32) as u32),
        (shared::SYSTEM_TIME + shared::system_time::HIGH_2, (STARTED >> 32) as u32),
        (shared::TIME_ZONE_ID, 0),
        (shared::LARGE_PAGE_MINIMUM, 0x20_0000),
        (shared::NT_PRODUCT_TYPE, profile.product_type),
        (shared::NT_MAJOR_VERSION, profile.major_version),
        (shared::NT_MINOR_VERSION, profile.minor_version),
        // Constants of 32-bit systems; 64-bit ones have the same.
        (shared::RESERVED_1, 0x7FFE_FFFF),
        (shared::RESERVED_3, 0x8000_0000),
        // VER_SUITE_TERMINAL and VER_SUITE_SINGLEUSERTS.
        (shared::SUITE_MASK, 0x110),
        (shared::ACTIVE_CONSOLE_ID, 1),
        (shared::NUMBER_OF_PHYSICAL_PAGES, PHYSICAL_PAGES),
        (shared::COOKIE, COOKIE),
    ] {
        block.dword(field, value);
    }
    for field in [shared::IMAGE_NUMBER_LOW, shared::IMAGE_NUMBER_HIGH] {
        block.word(field, shared::IMAGE_AMD64);
    }
    for (index, unit) in profile.system_root.encode_utf16().enumerate() {
        block.put(shared::NT_SYSTEM_ROOT + 2 * index as u32, &unit.to_le_bytes());
    }
    block.byte(shared::PRODUCT_TYPE_IS_VALID, 1);
    block.byte(shared::NX_SUPPORT_POLICY, 2);
    if is_windows_8 {
        block.word(shared::NATIVE_PROCESSOR_ARCHITECTURE, shared::ARCHITECTURE_AMD64);
        block.qword(shared::QPC_FREQUENCY, FREQUENCY);
    }
    if profile.major_version >= 10 {
        block.dword(shared::NT_BUILD_NUMBER, profile.build);
    }
    block.finish()
}

/// NtgateStart: the end of the boot. RBP points into the frame of the thread that starts.
pub(crate) fn emit(k: &mut KernelAsm<'_>) -> Asm {
    k.begin(Routine::NtgateStart)?;
    k.a.mov(eax, 1)?;
    k.a.cpuid()?;
    k.a.mov(rbx, k.profile.shared_kernel)?;
    // A CPU without NX has not got here.
    k.a.mov(byte_ptr(rbx + (shared::PROCESSOR_FEATURES + processor_feature::NX)), 1)?;
    features(k, edx, &IN_EDX)?;
    features(k, ecx, &IN_ECX)?;
    k.a.cmp(k.var32(kernel::PROOF), 0)?;
    k.jne(Routine::KiTrapExit)?;

    k.a.mov(eax, k.var32(kernel::SYSTEM_CALL))?;
    k.a.mov(dword_ptr(rbx + shared::SYSTEM_CALL), eax)?;
    k.a.mov(rax, k.var(kernel::LSTAR))?;
    k.a.mov(rdx, rax)?;
    k.a.shr(rdx, 32)?;
    k.a.mov(ecx, msr::LSTAR)?;
    k.a.wrmsr()?;
    mxcsr_mask(k)?;
    k.call(Routine::HalpInitializeClock)?;
    k.jmp(Routine::KiTrapExit)
}

/// Stores a one for each feature whose bit is set.
fn features(k: &mut KernelAsm<'_>, register: AsmRegister32, bits: &[(u32, u32)]) -> Asm {
    for (bit, feature) in bits {
        k.a.bt(register, *bit)?;
        k.a.setc(byte_ptr(rbx + (shared::PROCESSOR_FEATURES + feature)))?;
    }
    Ok(())
}

/// KiMxCsrMask: the processor's own, where FXSAVE tells it.
fn mxcsr_mask(k: &mut KernelAsm<'_>) -> Asm {
    let default = &mut k.a.create_label();
    let buffer = AsmMemoryOperand::from(Register::RIP) + k.data(kernel::CONTEXT + user_context::FLT_SAVE);
    k.a.fxsave(ptr(buffer))?;
    k.a.mov(eax, k.var32(kernel::CONTEXT + user_context::FLT_MXCSR_MASK))?;
    k.a.test(eax, eax)?;
    k.a.je(*default)?;
    k.a.mov(k.var32(kernel::MXCSR_MASK), eax)?;
    k.a.set_label(default)?;
    k.a.nop()
}
