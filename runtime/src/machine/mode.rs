//! What follows when the code segment, the stack segment or the privilege level changes.

use super::core::{Core, seg};
use super::segment::Segment;

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
    pub(super) const ALL: u64 = 0xFF;
}

/// `mask` if `on`.
#[inline(always)]
fn bit(on: bool, mask: u64) -> u64 {
    if on { mask } else { 0 }
}

impl Core {
    /// Makes `context` a value that was never used before, so that no decoded block is found by address alone.
    pub(crate) fn new_context(&mut self) {
        self.context = (self.context | bit::ALL) + 1;
        self.mark_all();
    }

    fn mark_all(&mut self) {
        let flat = |register: u8| self.segs[register as usize].is_flat();
        let bits = u64::from(self.cpl)
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

    /// What decoded instructions depend on: CS.D, SS.B and flatness.
    #[inline]
    pub(crate) fn mode(&self) -> u8 {
        let flat = self.context & bit::FLAT == bit::FLAT;
        (self.context & (bit::CODE_32 | bit::STACK_32) | u64::from(flat) << 4) as u8
    }

    /// Whether ES, SS and DS are flat 32-bit segments, so that an offset in them is a linear address.
    pub(crate) fn is_flat(&self) -> bool {
        let wanted = bit::FLAT | bit::STACK_32;
        self.context & wanted == wanted
    }

    /// Loads ES, DS, FS or GS with a descriptor that has passed its checks.
    #[inline]
    pub(crate) fn set_data_segment(&mut self, index: u8, segment: Segment) {
        self.segs[(index & 7) as usize] = segment;
        match index {
            seg::ES => self.mark(bit::FLAT_ES, bit(segment.is_flat(), bit::FLAT_ES)),
            seg::DS => self.mark(bit::FLAT_DS, bit(segment.is_flat(), bit::FLAT_DS)),
            _ => {}
        }
    }

    /// Loads CS with a descriptor that has passed its checks, and the CPL that goes with it.
    #[inline]
    pub(crate) fn set_cs(&mut self, segment: Segment, cpl: u8) {
        let slot = &mut self.segs[seg::CS as usize];
        let changed = (slot.base, slot.limit) != (segment.base, segment.limit);
        *slot = segment;
        self.cpl = cpl;
        self.tlb.select(cpl == 3);
        self.mark(bit::CPL | bit::CODE_32, u64::from(cpl) | bit(segment.descriptor.big(), bit::CODE_32));
        if changed {
            self.new_context();
        }
    }

    /// Loads SS with a descriptor that has passed its checks.
    #[inline]
    pub(crate) fn set_ss(&mut self, segment: Segment) {
        self.segs[seg::SS as usize] = segment;
        let big = segment.descriptor.big();
        self.stack_mask = if big { 0xFFFF_FFFF } else { 0xFFFF };
        self.mark(bit::STACK_32 | bit::FLAT_SS, bit(big, bit::STACK_32) | bit(segment.is_flat(), bit::FLAT_SS));
    }
}
