//! The descriptor tables of 64-bit NT: global descriptors and gates as the CPU reads them.

use super::assembly::Routine;
use super::layout::{selector, tss, vector};
use super::profile::Profile;
use super::traps::gate;

/// Bytes of the GDT: up to the 32-bit TEB's descriptor, in steps of 16.
pub(crate) const GDT_SIZE: u32 = 0x60;

/// Bytes of the IDT.
pub(crate) const IDT_SIZE: u32 = 16 * vector::COUNT;

/// Base of the TEB of 32-bit programs, which there is not; limit 3C00h.
const CMTEB: u64 = 0xFF40_F3FD_5000_3C00;

/// The GDT as ReactOS's boot loader fills it (`boot/freeldr/freeldr/ntldr/arch/amd64/winldr.c`). The order of the three
/// descriptors of ring 3 is that which SYSRET computes with.
pub(crate) fn gdt(profile: &Profile) -> Vec<u64> {
    let mut table = vec![0; (GDT_SIZE / 8) as usize];
    let [tss_low, tss_high] = task_segment(profile.tss);
    for (selector, descriptor) in [
        (selector::R0_CODE, 0x0020_9B00_0000_0000),
        (selector::R0_DATA, 0x00CF_9300_0000_FFFF),
        (selector::R3_CMCODE, 0x00CF_FB00_0000_FFFF),
        (selector::R3_DATA, 0x00CF_F300_0000_FFFF),
        (selector::R3_CODE, 0x0020_FB00_0000_0000),
        (selector::TSS, tss_low),
        (selector::TSS + 8, tss_high),
        (selector::R3_CMTEB, CMTEB),
    ] {
        if let Some(place) = table.get_mut((selector / 8) as usize) {
            *place = descriptor;
        }
    }
    table
}

/// The descriptor of the 64-bit task state segment, available (Intel SDM volume 3, figure 8-4).
fn task_segment(base: u64) -> [u64; 2] {
    const PRESENT_AVAILABLE: u64 = 0x89 << 40;
    let limit = u64::from(tss::SIZE - 1);
    [limit | (base & 0xFF_FFFF) << 16 | PRESENT_AVAILABLE | (base >> 24 & 0xFF) << 56, base >> 32]
}

/// An interrupt gate (Intel SDM volume 3, figure 6-8): its lower and its upper eight bytes.
///
/// ```text
/// 63          48 47 46 45 44 40 39 35 34 32 31      16 15          0
/// offset 31..16  P  DPL   0 0Eh 0     stack selector   offset 15..0
/// ```
#[must_use]
pub(crate) fn gate_descriptor(offset: u64, dpl: u32, stack: u32) -> [u64; 2] {
    const PRESENT_INTERRUPT: u64 = 0x8E << 40;
    let low = offset & 0xFFFF
        | u64::from(selector::R0_CODE) << 16
        | u64::from(stack) << 32
        | PRESENT_INTERRUPT
        | u64::from(dpl) << 45
        | (offset >> 16 & 0xFFFF) << 48;
    [low, offset >> 32]
}

/// The IDT. `address` gives the address of a routine.
pub(crate) fn idt(profile: &Profile, address: impl Fn(Routine) -> u64) -> Vec<u64> {
    let descriptor = |number| {
        let gate = gate(profile, number);
        gate_descriptor(address(gate.routine), gate.dpl, gate.stack)
    };
    (0..vector::COUNT).flat_map(descriptor).collect()
}
