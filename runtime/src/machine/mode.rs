//! What follows when the code segment, the stack segment or the privilege level changes.

use super::core::{Core, seg};
use super::segment::Segment;

impl Core {
    /// Makes `context` a value that was never used before, so that no decoded block is found by address alone.
    pub(crate) fn new_context(&mut self) {
        self.context = (self.context | 0xFF) + 1;
        self.mark_context();
    }

    /// The low byte of `context`: CPL, CS.D, SS.B and whether the data segments are flat, between which the system switches
    /// all the time.
    fn mark_context(&mut self) {
        let code = u64::from(self.segs[seg::CS as usize].descriptor.big());
        let stack = u64::from(self.segs[seg::SS as usize].descriptor.big());
        let flat = [seg::ES, seg::SS, seg::DS].iter().all(|&s| self.segs[s as usize].is_flat());
        self.context = self.context & !0xFF | u64::from(self.cpl) | code << 2 | stack << 3 | u64::from(flat) << 4;
    }

    /// What decoded instructions depend on: CS.D, SS.B and flatness.
    pub(crate) fn mode(&self) -> u8 {
        (self.context & 0x1C) as u8
    }

    /// Whether ES, SS and DS are flat 32-bit segments, so that an offset in them is a linear address.
    pub(crate) fn is_flat(&self) -> bool {
        self.context & 0x18 == 0x18
    }

    /// Loads ES, DS, FS or GS with a descriptor that has passed its checks.
    pub(crate) fn set_data_segment(&mut self, index: u8, segment: Segment) {
        let slot = &mut self.segs[(index & 7) as usize];
        let changed = slot.is_flat() != segment.is_flat();
        *slot = segment;
        if changed {
            self.mark_context();
        }
    }

    /// Loads CS with a descriptor that has passed its checks, and the CPL that goes with it.
    pub(crate) fn set_cs(&mut self, segment: Segment, cpl: u8) {
        let old = self.segs[seg::CS as usize];
        self.segs[seg::CS as usize] = segment;
        self.cpl = cpl;
        self.tlb.select(cpl == 3);
        if (old.base, old.limit) != (segment.base, segment.limit) {
            self.new_context();
        } else {
            self.mark_context();
        }
    }

    /// Loads SS with a descriptor that has passed its checks.
    pub(crate) fn set_ss(&mut self, segment: Segment) {
        self.segs[seg::SS as usize] = segment;
        self.stack_mask = if segment.descriptor.big() { 0xFFFF_FFFF } else { 0xFFFF };
        self.mark_context();
    }
}
