//! The descriptor tables of NT: global descriptors and gates as the CPU reads them.

use super::layout::{PAGE, selector, tss, vector};
use super::profile::{Limit, Profile};
use super::traps::{Gate, gate};

/// Bytes of the GDT: 128 descriptors.
pub(crate) const GDT_SIZE: u32 = 0x400;

/// Bytes of the IDT.
pub(crate) const IDT_SIZE: u32 = 8 * vector::COUNT;

/// Attribute of a gate: a present interrupt gate of 32 bits, privilege level 0.
pub(crate) const INTERRUPT: u32 = 0x8E00;

/// Type and access byte of a segment descriptor (Intel SDM volume 3, 3.4.5).
mod access {
    /// Present, code, readable; add the privilege level.
    pub(super) const CODE: u8 = 0x9A;
    /// Present, data, writable.
    pub(super) const DATA: u8 = 0x92;
    /// Present, data, writable, accessed.
    pub(super) const DATA_ACCESSED: u8 = 0x93;
    /// Present, available 32-bit task state segment.
    pub(super) const TSS: u8 = 0x89;
    /// Privilege level 3.
    pub(super) const RING3: u8 = 0x60;
}

/// High nibble of the descriptor's seventh byte: granularity and default size.
mod flags {
    pub(super) const BYTES_16: u8 = 0x0;
    pub(super) const BYTES_32: u8 = 0x4;
    pub(super) const PAGES_32: u8 = 0xC;
}

/// A segment descriptor: limit 0-15, base 0-15, base 16-23, access, limit 16-19 and flags, base 24-31.
///
/// ```text
/// 63    56 55 52 51 48 47   40 39            16 15         0
/// base hi  flags lim hi access      base low      limit low
/// ```
#[must_use]
pub(crate) fn segment(base: u32, limit: u32, access: u8, flags: u8) -> u64 {
    let (base, limit) = (u64::from(base), u64::from(limit));
    limit & 0xFFFF
        | (base & 0xFF_FFFF) << 16
        | u64::from(access) << 40
        | (limit >> 16 & 0xF) << 48
        | u64::from(flags) << 52
        | (base >> 24) << 56
}

/// A gate: offset 0-15, selector, zero, attribute, offset 16-31.
#[must_use]
pub(crate) fn gate_descriptor(offset: u32, selector: u32, attribute: u32) -> u64 {
    u64::from(offset & 0xFFFF)
        | u64::from(selector & 0xFFFF) << 16
        | u64::from(attribute & 0xFFFF) << 32
        | u64::from(offset >> 16) << 48
}

/// The GDT as ReactOS's boot loader fills it (`boot/freeldr/freeldr/ntldr/arch/i386/winldr.c`), with the limits of a
/// running system.
pub(crate) fn gdt(profile: &Profile) -> Vec<u64> {
    use access::{CODE, DATA, DATA_ACCESSED, RING3, TSS};
    let mut table = vec![0; (GDT_SIZE / 8) as usize];
    let mut set = |selector: u32, descriptor: u64| table[(selector / 8) as usize] = descriptor;
    let task = |base| segment(base, tss::HARDWARE_SIZE, TSS, 0);
    set(selector::R0_CODE, segment(0, 0xF_FFFF, CODE, flags::PAGES_32));
    set(selector::R0_DATA, segment(0, 0xF_FFFF, DATA, flags::PAGES_32));
    set(selector::R3_CODE, segment(0, 0xF_FFFF, CODE | RING3, flags::PAGES_32));
    set(selector::R3_DATA, segment(0, 0xF_FFFF, DATA | RING3, flags::PAGES_32));
    set(selector::TSS, segment(profile.tss, tss::SIZE - 1, TSS, 0));
    let (limit, unit) = match profile.kpcr_limit {
        Limit::Bytes(limit) => (limit, flags::BYTES_32),
        Limit::Pages(limit) => (limit, flags::PAGES_32),
    };
    set(selector::R0_PCR, segment(profile.kpcr, limit, DATA, unit));
    set(selector::R3_TEB, segment(profile.teb, PAGE - 1, DATA_ACCESSED | RING3, flags::BYTES_32));
    set(selector::VDM, segment(0x400, 0xFFFF, DATA | RING3, flags::BYTES_16));
    set(selector::DF_TSS, task(profile.double_fault_tss()));
    set(selector::NMI_TSS, task(profile.nmi_tss()));
    table
}

/// The IDT (ReactOS `ntoskrnl/ke/i386/trap.s`). `address` gives the address of a routine.
pub(crate) fn idt(profile: &Profile, address: impl Fn(super::assembly::Routine) -> u32) -> Vec<u64> {
    /// Present task gate.
    const TASK: u32 = 0x8500;
    let descriptor = |number| match gate(profile, number) {
        Gate::Interrupt { routine, dpl } => gate_descriptor(address(routine), selector::R0_CODE, INTERRUPT | dpl << 13),
        Gate::Task { selector } => gate_descriptor(0, selector, TASK),
    };
    (0..vector::COUNT).map(descriptor).collect()
}
