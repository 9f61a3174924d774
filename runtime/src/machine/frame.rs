//! What the processor itself pushes: frames of gates, calls and task switches. All of a frame's addresses are found
//! writable before the first byte is written, so that a fault leaves no half of it.

use super::core::Core;
use super::fault::{Flow, Stop, Vector};
use super::memory::PAGE_MASK;
use super::observe::{Check, Rule, What};
use super::paging::Access;
use super::segment::Segment;

/// Where a frame goes: a stack and the room in it, which has been checked against the segment's limit.
pub(crate) struct Frame {
    /// Linear address of offset 0 of the stack segment.
    base: u64,
    /// All ones of the stack pointer's width.
    mask: u64,
    /// Stack pointer before and after the pushes.
    top: u64,
    pub(crate) sp: u64,
    /// 4-byte slots; else 2-byte.
    wide: bool,
    /// Whether the pushes are made with user rights.
    user: bool,
}

/// How a stack is entered.
#[derive(Clone, Copy)]
pub(crate) struct Entry {
    /// How many slots are pushed.
    pub(crate) slots: u64,
    /// 4-byte slots; else 2-byte.
    pub(crate) wide: bool,
    /// Privilege level that the pushes are made with.
    pub(crate) cpl: u8,
    /// Error code of #SS if there is no room.
    pub(crate) error: u32,
}

impl Core {
    /// Room for a frame on the stack `ss`:`sp`, or #SS.
    #[inline(always)]
    pub(crate) fn frame(&mut self, ss: &Segment, sp: u64, entry: Entry) -> Result<Frame, Stop> {
        let mask = if ss.descriptor.big() { 0xFFFF_FFFF } else { 0xFFFF };
        let size = if entry.wide { 4 } else { 2 };
        let (top, bytes) = (sp & mask, entry.slots * size);
        let low = top.wrapping_sub(bytes) & mask;
        let frame = Frame { base: ss.base, mask, top, sp: low, wide: entry.wide, user: entry.cpl == 3 };
        if low + bytes <= ss.write_end {
            self.note_checks(|_| [Check::new(Rule::StackRoom, bytes, top, true)]);
            return Ok(frame);
        }
        // An odd segment, or a stack pointer that wraps: slot by slot.
        let fits = (1..=entry.slots).all(|i| ss.contains(top.wrapping_sub(i * size) & mask, size));
        let fits = fits && ss.descriptor.is_writable_data();
        self.note_checks(|_| [Check::new(Rule::StackRoom, bytes, top, fits)]);
        if !fits {
            return Err(self.raise(Vector::StackFault, entry.error));
        }
        Ok(frame)
    }

    /// Writes the frame's values, the first one at the highest address; all of them or, with a #PF, none.
    #[inline]
    pub(crate) fn write_frame(&mut self, frame: &Frame, values: &[u32]) -> Flow {
        if frame.wide && frame.sp < frame.top {
            let (low, size) = ((frame.base + frame.sp) & 0xFFFF_FFFF, 4 * values.len() as u64);
            let slot = self.tlb.entry(frame.user, low).for_write(low, size.max(1));
            if let Some(physical) = slot {
                let mut at = physical;
                for value in values.iter().rev() {
                    // Cannot fail: the TLB holds whole pages of RAM only.
                    let _ = self.memory.write_plain(at, *value);
                    at += 4;
                }
                return Ok(());
            }
        }
        self.write_frame_slow(frame, values)
    }

    #[cold]
    fn write_frame_slow(&mut self, frame: &Frame, values: &[u32]) -> Flow {
        let size = if frame.wide { 4 } else { 2 };
        let at = |i: usize| (frame.base + (frame.top.wrapping_sub((i as u64 + 1) * size) & frame.mask)) & 0xFFFF_FFFF;
        for i in 0..values.len() {
            self.probe(at(i), size, Access::write(frame.user))?;
        }
        for (i, value) in values.iter().enumerate() {
            let written = if frame.wide {
                self.store_for(What::Push, at(i), *value, frame.user)
            } else {
                self.store_for(What::Push, at(i), *value as u16, frame.user)
            };
            // Over decoded code: whoever pushes frames ends the block, and the run loop looks for stale ones then.
            if written == Err(Stop::Fault) {
                return written;
            }
        }
        Ok(())
    }

    /// Faults unless all of `size` bytes (up to a page) can be accessed. For the processor's own structures and frames.
    pub(crate) fn probe(&mut self, linear: u64, size: u64, access: Access) -> Flow {
        self.probe_within(linear, size, access, self.system_mask())
    }

    /// The same for linear addresses of the width that `mask` has.
    pub(crate) fn probe_within(&mut self, linear: u64, size: u64, access: Access, mask: u64) -> Flow {
        let linear = linear & mask;
        self.translate(linear, access)?;
        let last = linear.wrapping_add(size - 1) & mask & PAGE_MASK;
        if last != linear & PAGE_MASK {
            self.translate(last, access)?;
        }
        Ok(())
    }
}
