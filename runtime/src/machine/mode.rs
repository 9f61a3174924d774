//! What follows when the code segment, the stack segment or the privilege level changes.

use super::core::{Core, seg};
use super::segment::{Descriptor, Segment};

/// Added to canonical addresses (48 bits, sign-extended: SDM vol. 1, 3.3.7.1), makes them all the numbers up to
/// `CANONICAL_LAST`.
const CANONICAL_BIAS: u64 = 1 << 47;
const CANONICAL_LAST: u64 = (1 << 48) - 1;

/// The low byte of [`Core::context`]: what the system switches between all the time.
mod bit {
    pub(super) const CPL: u64 = 0b11;
    /// CS.D.
    pub(super) const CODE_32: u64 = 1 << 2;
    /// SS.B.
    pub(super) const STACK_32: u64 = 1 << 3;
    /// ES, SS, DS are flat.
    pub(super) const FLAT_ES: u64 = 1 << 4;
    pub(super) const FLAT_SS: u64 = 1 << 5;
    pub(super) const FLAT_DS: u64 = 1 << 6;
    pub(super) const FLAT: u64 = FLAT_ES | FLAT_SS | FLAT_DS;
    /// 64-bit code. Then no other segment matters, and their bits are clear: a null SS and a loaded one lead to the same
    /// blocks.
    pub(super) const LONG: u64 = 1 << 7;
    pub(super) const ALL: u64 = 0xFF;
}

/// `mask` if `on`.
#[inline(always)]
fn bit(on: bool, mask: u64) -> u64 {
    if on { mask } else { 0 }
}

/// Whether bits 63 to 47 of an address are all equal.
#[inline(always)]
pub(crate) fn is_canonical(address: u64) -> bool {
    (address << 16) as i64 >> 16 == address as i64
}

impl Core {
    /// Makes `context` a value that was never used before, so that no decoded block is found by address alone.
    pub(crate) fn new_context(&mut self) {
        self.context = (self.context | bit::ALL) + 1;
        self.mark_all();
    }

    fn mark_all(&mut self) {
        let cpl = u64::from(self.cpl);
        if self.is_long() {
            return self.mark(bit::ALL, bit::LONG | cpl);
        }
        let flat = |register: u8| self.segs[register as usize].is_flat();
        let bits = cpl
            | bit(self.segs[seg::CS as usize].descriptor.big(), bit::CODE_32)
            | bit(self.segs[seg::SS as usize].descriptor.big(), bit::STACK_32)
            | bit(flat(seg::ES), bit::FLAT_ES)
            | bit(flat(seg::SS), bit::FLAT_SS)
            | bit(flat(seg::DS), bit::FLAT_DS);
        self.mark(bit::ALL, bits);
    }

    #[inline(always)]
    fn mark(&mut self, clear: u64, set: u64) {
        self.context = self.context & !clear | set;
    }

    /// What decoded instructions depend on: CS.L, CS.D, SS.B and flatness.
    #[inline]
    pub(crate) fn mode(&self) -> u8 {
        let flat = self.context & bit::FLAT == bit::FLAT;
        (self.context & (bit::LONG | bit::CODE_32 | bit::STACK_32) | u64::from(flat) << 4) as u8
    }

    /// Whether ES, SS and DS are flat 32-bit segments, so that an offset in them is a linear address.
    pub(crate) fn is_flat(&self) -> bool {
        let wanted = bit::FLAT | bit::STACK_32;
        self.context & wanted == wanted
    }

    /// Loads ES, DS, FS or GS with a descriptor that has passed its checks.
    #[inline]
    pub(crate) fn set_data_segment(&mut self, index: u8, segment: Segment) {
        let long = self.is_long();
        let slot = &mut self.segs[(index & 7) as usize];
        *slot = segment;
        if long {
            return slot.tune(true, matches!(index, seg::FS | seg::GS));
        }
        match index {
            seg::ES => self.mark(bit::FLAT_ES, bit(segment.is_flat(), bit::FLAT_ES)),
            seg::DS => self.mark(bit::FLAT_DS, bit(segment.is_flat(), bit::FLAT_DS)),
            _ => {}
        }
    }

    /// Changes the base of FS or GS alone, as the MSRs do it.
    pub(crate) fn set_base(&mut self, index: u8, base: u64) {
        let long = self.is_long();
        let slot = &mut self.segs[(index & 7) as usize];
        slot.base = base;
        slot.tune(long, true);
    }

    /// Whether a code descriptor is that of 64-bit code, in the mode that the processor is in.
    #[inline]
    pub(crate) fn is_long_code(&self, code: Descriptor) -> bool {
        code.long() && self.long_mode()
    }

    /// Whether an instruction pointer fits a code segment: inside its limit, or for 64-bit code canonical.
    pub(crate) fn fits_code(&self, code: Descriptor, ip: u64) -> bool {
        if self.is_long_code(code) { is_canonical(ip) } else { ip <= u64::from(code.limit()) }
    }

    /// Loads CS with a descriptor that has passed its checks, and the CPL that goes with it.
    ///
    /// Inlined, as the next one, so that a segment just made goes field by field to its place: read again as a whole it
    /// would wait for its own stores.
    #[inline(always)]
    pub(crate) fn set_cs(&mut self, segment: Segment, cpl: u8) {
        self.cpl = cpl;
        self.tlb.select(cpl == 3);
        let long = self.is_long_code(segment.descriptor);
        let slot = &mut self.segs[seg::CS as usize];
        *slot = segment;
        if long {
            (slot.origin, slot.read_end, slot.write_end) = (0, u64::MAX, u64::MAX);
            if !self.is_long() {
                self.switch_long(true);
            }
            return self.mark(bit::CPL, u64::from(cpl));
        }
        if self.is_long() {
            self.switch_long(false);
        }
        self.ip_limit = u64::from(segment.limit);
        self.mark(bit::CPL | bit::CODE_32, u64::from(cpl) | bit(segment.descriptor.big(), bit::CODE_32));
        if self.code_window != (segment.base, segment.limit) {
            self.code_window = (segment.base, segment.limit);
            self.new_context();
        }
    }

    /// Loads SS with a descriptor that has passed its checks.
    #[inline(always)]
    pub(crate) fn set_ss(&mut self, segment: Segment) {
        let long = self.is_long();
        let slot = &mut self.segs[seg::SS as usize];
        *slot = segment;
        if long {
            (slot.origin, slot.read_end, slot.write_end) = (0, u64::MAX, u64::MAX);
            return;
        }
        let big = segment.descriptor.big();
        self.stack_mask = if big { 0xFFFF_FFFF } else { 0xFFFF };
        self.mark(bit::STACK_32 | bit::FLAT_SS, bit(big, bit::STACK_32) | bit(segment.is_flat(), bit::FLAT_SS));
    }

    /// Enters or leaves 64-bit mode: what segments, stack and instruction pointer mean changes.
    #[cold]
    #[inline(never)]
    fn switch_long(&mut self, long: bool) {
        self.ip_mask = if long { u64::MAX } else { 0xFFFF_FFFF };
        (self.ip_bias, self.ip_limit) = if long { (CANONICAL_BIAS, CANONICAL_LAST) } else { (0, 0) };
        let big = self.segs[seg::SS as usize].descriptor.big();
        self.stack_mask = match (long, big) {
            (true, _) => u64::MAX,
            (false, true) => 0xFFFF_FFFF,
            (false, false) => 0xFFFF,
        };
        for index in [seg::ES, seg::CS, seg::SS, seg::DS, seg::FS, seg::GS] {
            self.segs[index as usize].tune(long, matches!(index, seg::FS | seg::GS));
        }
        self.mark_all();
    }
}
