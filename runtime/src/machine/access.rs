//! How instructions reach memory: through a segment, the TLB, and if need be the paging structures.
//!
//! [`Core::try_load_flat`] and [`Core::try_store_flat`] are the whole story of an ordinary access; the functions marked
//! cold do the rest: limits of odd segments, page walks, pages that hold code, operands that cross a page. The commonest
//! instructions try the short way themselves and hand the whole instruction to its careful twin if it fails, so that
//! nothing need be kept across a call.

use super::core::{Core, reg, seg};
use super::fault::{Flow, Stop, Vector};
use super::memory::PAGE;
use super::mode::is_canonical;
use super::observe::{Check, Rule, What};
use super::paging::Access;
use super::width::Width;

/// Bytes of RAM that can be reached without another look.
#[derive(Clone, Copy)]
pub(crate) struct Span {
    /// Physical address.
    pub(crate) start: usize,
    pub(crate) len: u64,
}

impl Core {
    /// Whether ordinary accesses are made with user rights.
    #[inline(always)]
    fn user(&self) -> bool {
        self.cpl == 3
    }

    /// Reads an operand the short way: no limit in doubt, translation known. `None`: take the careful way.
    #[inline(always)]
    pub(crate) fn try_load<W: Width>(&self, segment: u8, offset: u64) -> Option<W> {
        let size = u64::from(W::BYTES);
        let s = &self.segs[(segment & 7) as usize];
        if offset.wrapping_add(size) > s.read_end {
            return None;
        }
        self.try_load_flat(s.linear(offset, self.ip_mask))
    }

    /// Writes an operand the short way.
    #[inline(always)]
    pub(crate) fn try_store<W: Width>(&mut self, segment: u8, offset: u64, value: W) -> Option<()> {
        let size = u64::from(W::BYTES);
        let s = &self.segs[(segment & 7) as usize];
        if offset.wrapping_add(size) > s.write_end {
            return None;
        }
        self.try_store_flat(s.linear(offset, self.ip_mask), value)
    }

    /// Reads an operand in a flat segment the short way.
    #[inline(always)]
    pub(crate) fn try_load_flat<W: Width>(&self, linear: u64) -> Option<W> {
        let physical = self.tlb.current(linear).for_read(linear, u64::from(W::BYTES))?;
        W::read(self.memory.ram(), physical as usize)
    }

    /// Reads an operand that is going to be written, in a flat segment, the short way.
    #[inline(always)]
    pub(crate) fn try_load_for_update<W: Width>(&self, linear: u64) -> Option<W> {
        let physical = self.tlb.current(linear).for_write(linear, u64::from(W::BYTES))?;
        W::read(self.memory.ram(), physical as usize)
    }

    /// Writes an operand in a flat segment the short way.
    #[inline(always)]
    pub(crate) fn try_store_flat<W: Width>(&mut self, linear: u64, value: W) -> Option<()> {
        let physical = self.tlb.current(linear).for_write(linear, u64::from(W::BYTES))?;
        self.memory.write_plain(physical, value)
    }

    /// Reads an operand at `offset` in the segment.
    #[inline(always)]
    pub(crate) fn load<W: Width>(&mut self, segment: u8, offset: u64) -> Result<W, Stop> {
        match self.try_load(segment, offset) {
            Some(value) => Ok(value),
            None => self.load_slow(segment, offset),
        }
    }

    /// Writes an operand at `offset` in the segment. `Stop::Leave`: written, but over decoded instructions.
    #[inline(always)]
    pub(crate) fn store<W: Width>(&mut self, segment: u8, offset: u64, value: W) -> Flow {
        match self.try_store(segment, offset, value) {
            Some(()) => Ok(()),
            None => self.store_slow(segment, offset, value),
        }
    }

    /// The rest of the page at `offset` in the segment, if it can be read the short way.
    #[inline(always)]
    pub(crate) fn readable(&self, segment: u8, offset: u64) -> Option<Span> {
        let s = &self.segs[(segment & 7) as usize];
        let linear = s.linear(offset, self.ip_mask);
        let start = self.tlb.current(linear).for_read(linear, 1)? as usize;
        Some(Span { start, len: s.read_end.checked_sub(offset)?.min(PAGE - linear % PAGE) })
    }

    /// The same for writing.
    #[inline(always)]
    pub(crate) fn writable(&self, segment: u8, offset: u64) -> Option<Span> {
        let s = &self.segs[(segment & 7) as usize];
        let linear = s.linear(offset, self.ip_mask);
        let start = self.tlb.current(linear).for_write(linear, 1)? as usize;
        Some(Span { start, len: s.write_end.checked_sub(offset)?.min(PAGE - linear % PAGE) })
    }

    /// Reads an operand that the same instruction is going to write: a fault says that it was a write.
    pub(crate) fn load_for_update<W: Width>(&mut self, segment: u8, offset: u64) -> Result<W, Stop> {
        let size = u64::from(W::BYTES);
        let s = &self.segs[(segment & 7) as usize];
        if offset.wrapping_add(size) <= s.write_end
            && let Some(value) = self.try_load_for_update(s.linear(offset, self.ip_mask))
        {
            return Ok(value);
        }
        let linear = self.checked_linear(segment, offset, size, true)?;
        self.probe_within(linear, size, Access::write(self.user()), self.ip_mask)?;
        self.load_slow(segment, offset)
    }

    /// The linear address of `size` bytes, after the segment's checks (SDM vol. 3, 5.3 to 5.5).
    pub(crate) fn checked_linear(&mut self, segment: u8, offset: u64, size: u64, write: bool) -> Result<u64, Stop> {
        if self.is_long() {
            return self.checked_long(segment, offset, size);
        }
        let s = &self.segs[(segment & 7) as usize];
        let kind = s.descriptor;
        let granted = if write { kind.is_writable_data() } else { kind.is_readable() };
        if !s.is_usable() || !granted || !s.contains(offset, size) {
            let limit = s.limit;
            self.note_checks(|_| [Check::new(Rule::Operand, offset, limit, false)]);
            let vector = if segment == seg::SS { Vector::StackFault } else { Vector::GeneralProtection };
            return Err(self.raise(vector, 0));
        }
        Ok(s.linear(offset, self.ip_mask))
    }

    /// The linear address of `size` bytes in 64-bit mode: canonical, or #GP(0) or #SS(0) (SDM vol. 1, 3.3.7.1).
    fn checked_long(&mut self, segment: u8, offset: u64, size: u64) -> Result<u64, Stop> {
        let linear = self.segs[(segment & 7) as usize].origin.wrapping_add(offset);
        if !is_canonical(linear) || !is_canonical(linear.wrapping_add(size - 1)) {
            self.note_checks(|_| [Check::of(Rule::Canonical, linear, false)]);
            let vector = if segment == seg::SS { Vector::StackFault } else { Vector::GeneralProtection };
            return Err(self.raise(vector, 0));
        }
        Ok(linear)
    }

    /// The width of addresses that descriptor tables and the TSS are at.
    #[inline(always)]
    pub(crate) fn system_mask(&self) -> u64 {
        if self.long_mode() { u64::MAX } else { 0xFFFF_FFFF }
    }

    #[cold]
    fn load_slow<W: Width>(&mut self, segment: u8, offset: u64) -> Result<W, Stop> {
        let linear = self.checked_linear(segment, offset, u64::from(W::BYTES), false)?;
        self.check_alignment(linear, u64::from(W::BYTES), self.user())?;
        self.load_linear(linear, self.user())
    }

    #[cold]
    fn store_slow<W: Width>(&mut self, segment: u8, offset: u64, value: W) -> Flow {
        let linear = self.checked_linear(segment, offset, u64::from(W::BYTES), true)?;
        self.check_alignment(linear, u64::from(W::BYTES), self.user())?;
        self.store_linear(linear, value, self.user())
    }

    /// Reads an operand at a linear address, with user or supervisor rights.
    pub(crate) fn load_linear<W: Width>(&mut self, linear: u64, user: bool) -> Result<W, Stop> {
        self.load_for(What::Operand, linear, user)
    }

    /// Writes an operand at a linear address, with user or supervisor rights.
    pub(crate) fn store_linear<W: Width>(&mut self, linear: u64, value: W, user: bool) -> Flow {
        self.store_for(What::Operand, linear, value, user)
    }

    /// Reads at a linear address, with user or supervisor rights. Who looks costs a way of its own.
    #[inline(always)]
    fn load_for<W: Width>(&mut self, what: What, linear: u64, user: bool) -> Result<W, Stop> {
        if self.is_observed() { self.load_observed(what, linear, user) } else { self.load_unseen(linear, user) }
    }

    /// Writes at a linear address, with user or supervisor rights.
    #[inline(always)]
    pub(crate) fn store_for<W: Width>(&mut self, what: What, linear: u64, value: W, user: bool) -> Flow {
        if self.is_observed() {
            self.store_observed(what, linear, value, user)
        } else {
            self.store_unseen(linear, value, user)
        }
    }

    #[cold]
    #[inline(never)]
    fn load_observed<W: Width>(&mut self, what: What, linear: u64, user: bool) -> Result<W, Stop> {
        let value = self.load_unseen(linear, user)?;
        self.note_access(what, false, linear, value, user);
        Ok(value)
    }

    #[cold]
    #[inline(never)]
    fn store_observed<W: Width>(&mut self, what: What, linear: u64, value: W, user: bool) -> Flow {
        let flow = self.store_unseen(linear, value, user);
        if flow != Err(Stop::Fault) {
            self.note_access(what, true, linear, value, user);
        }
        flow
    }

    /// Reads at a linear address, with user or supervisor rights; no observer hears of it.
    #[inline(always)]
    pub(crate) fn load_unseen<W: Width>(&mut self, linear: u64, user: bool) -> Result<W, Stop> {
        let access = Access::read(user);
        let first = self.translate(linear, access)?;
        let (low, size) = ((PAGE - linear % PAGE).min(8), u64::from(W::BYTES));
        if low >= size {
            return Ok(self.memory.read(first));
        }
        let second = self.translate(linear.wrapping_add(low) & self.ip_mask, access)?;
        let byte = |i: u64| {
            let at = if i < low { first + i } else { second + i - low };
            u64::from(self.memory.read::<u8>(at))
        };
        Ok(W::cut((0..size).fold(0, |value, i| value | byte(i) << (8 * i))))
    }

    /// Writes at a linear address, with user or supervisor rights; no observer hears of it.
    #[inline(always)]
    fn store_unseen<W: Width>(&mut self, linear: u64, value: W, user: bool) -> Flow {
        let access = Access::write(user);
        let first = self.translate(linear, access)?;
        let (low, size) = ((PAGE - linear % PAGE).min(8), u64::from(W::BYTES));
        let mut hit = false;
        if low >= size {
            hit = self.memory.write(first, value);
        } else {
            let second = self.translate(linear.wrapping_add(low) & self.ip_mask, access)?;
            for i in 0..size {
                let at = if i < low { first + i } else { second + i - low };
                hit |= self.memory.write(at, (value.zx() >> (8 * i)) as u8);
            }
        }
        if hit { Err(Stop::Leave) } else { Ok(()) }
    }

    /// Reads a processor structure (descriptor, gate, TSS): linear, with supervisor rights whatever the CPL
    /// (SDM vol. 3, 4.6.1, implicit supervisor-mode accesses).
    #[inline(always)]
    pub(crate) fn load_system<W: Width>(&mut self, what: What, linear: u64) -> Result<W, Stop> {
        let (linear, size) = (linear & self.system_mask(), u64::from(W::BYTES));
        if let Some(physical) = self.tlb.entry(false, linear).for_read(linear, size)
            && let Some(value) = W::read(self.memory.ram(), physical as usize)
        {
            return Ok(value);
        }
        self.load_system_slow(what, linear)
    }

    #[cold]
    #[inline(never)]
    fn load_system_slow<W: Width>(&mut self, what: What, linear: u64) -> Result<W, Stop> {
        self.load_for(what, linear, false)
    }

    /// Writes a processor structure. Code that the guest keeps in the same bytes is found stale at the block's end.
    #[inline]
    pub(crate) fn store_system<W: Width>(&mut self, what: What, linear: u64, value: W) -> Flow {
        let (linear, size) = (linear & self.system_mask(), u64::from(W::BYTES));
        if let Some(physical) = self.tlb.entry(false, linear).for_write(linear, size)
            && self.memory.write_plain(physical, value).is_some()
        {
            return Ok(());
        }
        match self.store_for(what, linear, value, false) {
            Err(Stop::Leave) => Ok(()),
            other => other,
        }
    }

    /// Pushes an operand on a flat 32-bit stack, the short way.
    #[inline(always)]
    pub(crate) fn try_push<W: Width>(&mut self, value: W) -> Option<()> {
        let sp = self.regs[reg::SP as usize];
        // 64-bit pushes are those of 64-bit mode.
        let sp = if W::BITS == 64 { sp.wrapping_sub(8) } else { u64::from((sp as u32).wrapping_sub(W::BYTES)) };
        self.try_store_flat(sp, value)?;
        self.regs[reg::SP as usize] = sp;
        Some(())
    }

    /// Releases bytes of a flat 32-bit stack, or with 64-bit operands of a 64-bit one.
    #[inline(always)]
    pub(crate) fn release<W: Width>(&mut self, bytes: u32) {
        let slot = &mut self.regs[reg::SP as usize];
        let sp = slot.wrapping_add(u64::from(bytes));
        *slot = if W::BITS == 64 { sp } else { sp & 0xFFFF_FFFF };
    }

    /// Pushes an operand. ESP changes only if the write succeeds.
    pub(crate) fn push<W: Width>(&mut self, value: W) -> Flow {
        let sp = self.regs[reg::SP as usize].wrapping_sub(u64::from(W::BYTES)) & self.stack_mask;
        let flow = self.store(seg::SS, sp, value);
        if matches!(flow, Ok(()) | Err(Stop::Leave)) {
            self.set_sp(sp);
        }
        flow
    }

    /// Pops an operand.
    #[inline(always)]
    pub(crate) fn pop<W: Width>(&mut self) -> Result<W, Stop> {
        let sp = self.sp();
        let value = self.load(seg::SS, sp)?;
        self.set_sp(sp.wrapping_add(u64::from(W::BYTES)));
        Ok(value)
    }
}
