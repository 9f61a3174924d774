//! `KUSER_SHARED_DATA` as the boot loader hands it over, and what the kernel finds out about the processor for it.

use iced_x86::code_asm::{byte_ptr, cl, dword_ptr, ecx, edx};

use super::assembly::{Asm, KernelAsm};
use super::block::Block;
use super::layout::{PAGE, shared};
use super::profile::Profile;
use crate::machine::cpuid::feature;
use shared::{processor_feature as processor, system_time};

/// 1 January 2008, 0:00, in units of 100 ns since 1601: when every session begins.
const START_TIME: u64 = 0x01C8_4C09_4076_C000;

/// Large pages without PAE: 4 MB.
const LARGE_PAGE: u32 = 0x40_0000;

/// Programs run without execute protection unless they are the system's own (`OptIn`).
const NX_OPT_IN: u32 = 2;

/// Terminal services: for administration on servers, and since Windows XP for one user at a time.
const SUITE_TERMINAL: u32 = 0x10;
const SUITE_SINGLE_USER: u32 = 0x100;

/// `NtProductType` of a workstation.
const WORKSTATION: u32 = 1;

/// The first build with terminal services for one user: Windows XP.
const SINGLE_USER_SINCE: u32 = 2600;

/// What CPUID's EDX tells of the features, by bit.
const FEATURES: [(u32, u32); 5] = [
    (feature::CX8, processor::COMPARE_EXCHANGE_DOUBLE),
    (1 << 23, processor::MMX),
    (feature::SSE, processor::XMMI),
    (feature::TSC, processor::RDTSC),
    (feature::SSE2, processor::XMMI64),
];

/// The page's content before the first instruction. The frequency that Windows 8 has at 300h is left out: the guest has no
/// performance counter. The kernel fills in what it decides itself: the processor's features,
/// memory, TestRetInstruction, SystemCall, SystemCallReturn, Cookie.
pub(crate) fn content(profile: &Profile) -> Vec<u8> {
    let mut block = Block::new(PAGE);
    block.dword(shared::TICK_COUNT_MULTIPLIER, shared::MULTIPLIER);
    block.dword(shared::SYSTEM_TIME + system_time::LOW, START_TIME as u32);
    for high in [system_time::HIGH_1, system_time::HIGH_2] {
        block.dword(shared::SYSTEM_TIME + high, (START_TIME >> 32) as u32);
    }
    block.word(shared::IMAGE_NUMBER_LOW, shared::IMAGE_I386);
    block.word(shared::IMAGE_NUMBER_HIGH, shared::IMAGE_I386);
    for (index, unit) in profile.system_root.encode_utf16().enumerate() {
        block.put(shared::NT_SYSTEM_ROOT + 2 * index as u32, &unit.to_le_bytes());
    }
    block.dword(shared::NT_PRODUCT_TYPE, profile.product_type);
    block.byte(shared::PRODUCT_TYPE_IS_VALID, 1);
    block.dword(shared::NT_MAJOR_VERSION, profile.major_version);
    block.dword(shared::NT_MINOR_VERSION, profile.minor_version);
    // The last address of ring 3, and the first of the kernel.
    block.dword(shared::RESERVED_1, profile.user_probe_address - 1);
    block.dword(shared::RESERVED_3, 0x8000_0000);
    let server = if profile.product_type == WORKSTATION { 0 } else { SUITE_TERMINAL };
    let single = if profile.build < SINGLE_USER_SINCE { 0 } else { SUITE_SINGLE_USER };
    block.dword(shared::SUITE_MASK, server | single);
    if profile.counts_ticks_at_320() {
        block.dword(shared::LARGE_PAGE_MINIMUM, LARGE_PAGE);
        block.dword(shared::COM_PLUS_PACKAGE, u32::MAX);
    }
    if profile.has_cookie() {
        block.byte(shared::NX_SUPPORT_POLICY, NX_OPT_IN);
    }
    block.finish()
}

/// Emits the notes about a processor whose CPUID.1:EDX is in EDX. ECX is used up.
pub(crate) fn processor_features(k: &mut KernelAsm<'_>) -> Asm {
    for (bit, index) in FEATURES {
        k.a.mov(ecx, edx)?;
        k.a.shr(ecx, bit.trailing_zeros())?;
        k.a.and(ecx, 1)?;
        k.a.mov(byte_ptr(k.profile.shared_kernel + shared::PROCESSOR_FEATURES + index), cl)?;
    }
    Ok(())
}

/// Emits what the kernel stores when it begins: an instruction to try, and a value that nobody outside knows. (This one is
/// made of what is the same on every machine: the time and an address.)
pub(crate) fn constants(k: &mut KernelAsm<'_>) -> Asm {
    let page = k.profile.shared_kernel;
    k.a.mov(dword_ptr(page + shared::TEST_RET_INSTRUCTION), shared::RET)?;
    if k.profile.has_cookie() {
        k.a.mov(ecx, dword_ptr(page + shared::SYSTEM_TIME))?;
        k.a.xor(ecx, k.profile.kernel_data)?;
        k.a.rol(ecx, 7)?;
        k.a.mov(dword_ptr(page + shared::COOKIE), ecx)?;
    }
    Ok(())
}
