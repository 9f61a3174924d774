//! What follows when the code segment, the stack segment or the privilege level changes.

use super::core::{Core, seg};
use super::segment::{Descriptor, Segment};

/// Added to canonical addresses (48 bits, sign-extended: SDM vol. 1, 3.3.7.1), makes them all the numbers up to `CANONICAL_LAST`.
const CANONICAL_BIAS: u64 = 1 << 47;
const CANONICAL_LAST: u64 = (1 << 48) - 1;

/// Whether bits 63 to 47 of an address are all equal.
#[inline(always)]
pub(crate) fn is_canonical(address: u64) -> bool {
    (address << 16) as i64 >> 16 == address as i64
}

/// `Core::context` of 64-bit code, with the CPL ORed in.
const LONG: u64 = 1 << 5;

impl Core {
    /// Makes `context` a value that was never used before, so that no decoded block is found by address alone.
    pub(crate) fn new_context(&mut self) {
        self.context = (self.context | 0xFF) + 1;
        self.mark_context();
    }

    /// The low byte of `context`: CPL, CS.D, SS.B and whether the data segments are flat, between which the system switches
    /// all the time.
    fn mark_context(&mut self) {
        let low = if self.is_long() {
            // No other segment matters: a null SS and a loaded one must lead to the same blocks.
            LONG
        } else {
            let code = u64::from(self.segs[seg::CS as usize].descriptor.big());
            let stack = u64::from(self.segs[seg::SS as usize].descriptor.big());
            let flat = [seg::ES, seg::SS, seg::DS].iter().all(|&s| self.segs[s as usize].is_flat());
            code << 2 | stack << 3 | u64::from(flat) << 4
        };
        self.context = self.context & !0xFF | u64::from(self.cpl) | low;
    }

    /// What decoded instructions depend on: CS.L, CS.D, SS.B and flatness.
    pub(crate) fn mode(&self) -> u8 {
        (self.context & 0x3C) as u8
    }

    /// Whether ES, SS and DS are flat 32-bit segments, so that an offset in them is a linear address.
    pub(crate) fn is_flat(&self) -> bool {
        self.context & 0x38 == 0x18
    }

    /// Loads ES, DS, FS or GS with a descriptor that has passed its checks.
    pub(crate) fn set_data_segment(&mut self, index: u8, segment: Segment) {
        let long = self.is_long();
        let slot = &mut self.segs[(index & 7) as usize];
        let changed = slot.is_flat() != segment.is_flat();
        *slot = segment;
        if long {
            slot.tune(true, matches!(index, seg::FS | seg::GS));
        } else if changed {
            self.mark_context();
        }
    }

    /// Changes the base of FS or GS alone, as the MSRs and `SWAPGS` do it.
    pub(crate) fn set_base(&mut self, index: u8, base: u64) {
        let long = self.is_long();
        let slot = &mut self.segs[(index & 7) as usize];
        slot.base = base;
        slot.tune(long, true);
        if !long {
            // Compatibility mode: the base counts at once, cut to 32 bits.
            self.mark_context();
        }
    }

    /// Whether a code descriptor is that of 64-bit code, in the mode that the processor is in.
    pub(crate) fn is_long_code(&self, code: Descriptor) -> bool {
        code.long() && self.long_mode()
    }

    /// Whether an instruction pointer fits a code segment: inside its limit, or for 64-bit code canonical.
    pub(crate) fn fits_code(&self, code: Descriptor, ip: u64) -> bool {
        if self.is_long_code(code) { is_canonical(ip) } else { ip <= u64::from(code.limit()) }
    }

    /// Loads CS with a descriptor that has passed its checks, and the CPL that goes with it.
    ///
    /// Inlined, as the next one, so that a segment just made goes field by field to its place: read again as a whole it would
    /// wait for its own stores.
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
            self.context = self.context & !0xFF | LONG | u64::from(cpl);
            return;
        }
        self.ip_limit = u64::from(segment.limit);
        if self.is_long() {
            self.switch_long(false);
        }
        if self.code_window != (segment.base, segment.limit) {
            self.code_window = (segment.base, segment.limit);
            self.new_context();
        } else {
            self.mark_context();
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
        self.stack_mask = if segment.descriptor.big() { 0xFFFF_FFFF } else { 0xFFFF };
        self.mark_context();
    }

    /// Enters or leaves 64-bit mode: what segments, stack and instruction pointer mean changes.
    #[cold]
    #[inline(never)]
    fn switch_long(&mut self, long: bool) {
        self.ip_mask = if long { u64::MAX } else { 0xFFFF_FFFF };
        self.ip_bias = if long { CANONICAL_BIAS } else { 0 };
        if long {
            self.ip_limit = CANONICAL_LAST;
        }
        let big = self.segs[seg::SS as usize].descriptor.big();
        self.stack_mask = match (long, big) {
            (true, _) => u64::MAX,
            (false, true) => 0xFFFF_FFFF,
            (false, false) => 0xFFFF,
        };
        for index in [seg::ES, seg::CS, seg::SS, seg::DS, seg::FS, seg::GS] {
            self.segs[index as usize].tune(long, matches!(index, seg::FS | seg::GS));
        }
    }
}
