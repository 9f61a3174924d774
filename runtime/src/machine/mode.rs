//! What follows when the code segment, the stack segment or the privilege level changes.

use super::core::{Core, seg};
use super::segment::Segment;

impl Core {
    /// Makes `context` a value that was never used before, so that no decoded block is found by address alone.
    pub(crate) fn new_context(&mut self) {
        self.context = (self.context | 0xFF) + 1;
        self.mark_context();
    }

    /// The low byte of `context`: CPL, CS.D and SS.B, between which the system switches all the time.
    fn mark_context(&mut self) {
        let code = u64::from(self.segs[seg::CS as usize].descriptor.big());
        let stack = u64::from(self.segs[seg::SS as usize].descriptor.big());
        self.context = self.context & !0xFF | u64::from(self.cpl) | code << 2 | stack << 3;
    }

    /// Loads CS with a descriptor that has passed its checks, and the CPL that goes with it.
    pub(crate) fn set_cs(&mut self, segment: Segment, cpl: u8) {
        let old = self.segs[seg::CS as usize];
        self.segs[seg::CS as usize] = segment;
        self.cpl = cpl;
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
