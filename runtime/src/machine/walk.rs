//! The paging structures: 32-bit, PAE and 4-level paging (SDM vol. 3, 4.3 to 4.7).

use super::core::{CR0_WP, CR4_PAE, CR4_PSE, Core, EFER_NXE};
use super::fault::{Stop, Vector};
use super::inspect::{PageEntry, PageWalk};
use super::memory::{PAGE, PAGE_MASK};
use super::mode::is_canonical;
use super::paging::Access;

/// Entry bits that all forms of paging share (SDM vol. 3, tables 4-5, 4-6 and 4-15 to 4-20).
mod entry {
    pub(super) const PRESENT: u64 = 1 << 0;
    pub(super) const WRITABLE: u64 = 1 << 1;
    pub(super) const USER: u64 = 1 << 2;
    pub(super) const ACCESSED: u64 = 1 << 5;
    pub(super) const DIRTY: u64 = 1 << 6;
    pub(super) const LARGE: u64 = 1 << 7;
    /// XD, in 8-byte entries.
    pub(super) const NO_EXECUTE: u64 = 1 << 63;
}

/// The physical address in an 8-byte entry; this machine has 40 bits of them.
const FRAME: u64 = (1 << 40) - 1 & PAGE_MASK;
/// Bits of 8-byte entries that must be clear: physical addresses this machine does not have.
const RESERVED: u64 = (1 << 52) - (1 << 40);
/// Bits of CR3 that must be clear in long mode.
pub(crate) const BEYOND: u64 = !((1 << 40) - 1);
/// Bits of a PAE page-directory-pointer entry that must be clear (SDM vol. 3, table 4-8).
const PDPTE_RESERVED: u64 = 0x1E6;

/// Bits of a 4 MiB page's entry that must be clear: 21 to 13, as no model has PSE-36.
const LARGE_RESERVED: u64 = 0x003F_E000;

/// Page-fault error code bits (SDM vol. 3, 4.7).
mod code {
    pub(super) const PROTECTION: u32 = 1 << 0;
    pub(super) const WRITE: u32 = 1 << 1;
    pub(super) const USER: u32 = 1 << 2;
    pub(super) const RESERVED: u32 = 1 << 3;
    pub(super) const FETCH: u32 = 1 << 4;
}

/// What the paging structures say of a linear page.
pub(crate) struct Mapping {
    pub(crate) frame: u64,
    pub(crate) writable: bool,
    pub(crate) dirty: bool,
    pub(crate) executable: bool,
}

/// Why an access is not allowed.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Refusal {
    NotPresent,
    Protection,
    Reserved,
}

/// An entry on the way to the page: where it stands and what it holds.
#[derive(Clone, Copy, Default)]
struct Step {
    at: u64,
    value: u64,
}

/// Whether a PAE page-directory-pointer entry can't be loaded.
pub(crate) fn is_bad_pointer(entry: u64) -> bool {
    entry & entry::PRESENT != 0 && entry & (PDPTE_RESERVED | BEYOND) != 0
}

/// The frame of a linear address in the page of `size` bytes that an entry names.
fn frame_in(entry: u64, size: u64, linear: u64) -> u64 {
    entry & FRAME & !(size - 1) | linear & (size - 1) & PAGE_MASK
}

impl Core {
    fn page_fault(&mut self, linear: u64, access: Access, refusal: Refusal) -> Stop {
        self.cr2 = linear;
        let shows_fetch = self.cr4 & CR4_PAE != 0 && self.msrs.efer & EFER_NXE != 0;
        let code = u32::from(refusal != Refusal::NotPresent) * code::PROTECTION
            | u32::from(access.write) * code::WRITE
            | u32::from(access.user) * code::USER
            | u32::from(refusal == Refusal::Reserved) * code::RESERVED
            | u32::from(access.fetch && shows_fetch) * code::FETCH;
        self.raise(Vector::PageFault, code)
    }

    /// Finds the page of a linear address, checks the access, sets accessed and dirty bits; or #PF.
    pub(crate) fn walk(&mut self, linear: u64, access: Access) -> Result<Mapping, Stop> {
        if self.long_mode() && !is_canonical(linear) {
            // Operands were looked at before; what comes here is a table that reaches beyond a canonical half.
            return Err(self.gp(0));
        }
        let mut steps = Steps::default();
        let found = self.find_page(linear, &mut steps);
        match found.and_then(|size| self.grant(&steps, size, linear, access)) {
            Ok(mapping) => Ok(mapping),
            Err(refusal) => Err(self.page_fault(linear, access, refusal)),
        }
    }

    /// The entries on the way to a linear address's page, and the page's size.
    fn find_page(&self, linear: u64, steps: &mut Steps) -> Result<u64, Refusal> {
        if self.cr4 & CR4_PAE != 0 { self.walk_wide(linear, steps) } else { self.walk_narrow(linear, steps) }
    }

    /// The same for a look from outside: nothing is checked against an access, nothing is marked.
    pub(crate) fn page_walk(&self, linear: u64) -> PageWalk {
        let mut steps = Steps::default();
        let found = self.find_page(linear, &mut steps).ok();
        let size = if self.cr4 & CR4_PAE != 0 { 8 } else { 4 };
        let entry = |step: &Step| PageEntry { address: step.at, value: step.value, size };
        let entries: Vec<PageEntry> = steps.get().iter().map(entry).collect();
        let (page, last) = (found.unwrap_or(PAGE), entries.last().map_or(0, |entry| entry.value));
        let physical = found.map(|size| frame_in(last, size, linear) | linear & (PAGE - 1));
        PageWalk { entries, physical, page }
    }

    /// 32-bit paging: 4-byte entries, pages of 4 KiB and 4 MiB.
    fn walk_narrow(&self, linear: u64, steps: &mut Steps) -> Result<u64, Refusal> {
        let at = self.cr3 & 0xFFFF_F000 | linear >> 22 << 2;
        let directory = u64::from(self.memory.read::<u32>(at));
        steps.push(Step { at, value: directory });
        if directory & entry::PRESENT == 0 {
            return Err(Refusal::NotPresent);
        }
        if directory & entry::LARGE != 0 && self.cr4 & CR4_PSE != 0 {
            if directory & LARGE_RESERVED != 0 {
                return Err(Refusal::Reserved);
            }
            return Ok(1 << 22);
        }
        let at = directory & 0xFFFF_F000 | (linear >> 12 & 0x3FF) << 2;
        let table = u64::from(self.memory.read::<u32>(at));
        steps.push(Step { at, value: table });
        if table & entry::PRESENT == 0 { Err(Refusal::NotPresent) } else { Ok(1 << 12) }
    }

    /// PAE and 4-level paging: 8-byte entries, pages of 4 KiB, 2 MiB and, in long mode, 1 GiB.
    fn walk_wide(&self, linear: u64, steps: &mut Steps) -> Result<u64, Refusal> {
        let (mut table, mut shift) = (self.cr3 & FRAME, 39);
        if !self.long_mode() {
            let pointer: u64 = self.memory.read(self.cr3 & 0xFFFF_FFE0 | (linear >> 30 & 3) << 3);
            if pointer & entry::PRESENT == 0 {
                return Err(Refusal::NotPresent);
            }
            if pointer & (PDPTE_RESERVED | RESERVED) != 0 {
                return Err(Refusal::Reserved);
            }
            (table, shift) = (pointer & FRAME, 21);
        }
        loop {
            let at = table | (linear >> shift & 0x1FF) << 3;
            let value: u64 = self.memory.read(at);
            steps.push(Step { at, value });
            if value & entry::PRESENT == 0 {
                return Err(Refusal::NotPresent);
            }
            let executes = self.msrs.efer & EFER_NXE != 0;
            if value & RESERVED != 0 || value & entry::NO_EXECUTE != 0 && !executes {
                return Err(Refusal::Reserved);
            }
            let large = value & entry::LARGE != 0 && shift > 12;
            if large && (shift == 39 || value & ((1 << shift) - 1) & !0x1FFF != 0) {
                return Err(Refusal::Reserved);
            }
            if large || shift == 12 {
                return Ok(1 << shift);
            }
            (table, shift) = (value & FRAME, shift - 9);
        }
    }

    /// Checks the rights that all entries together grant, and marks them as used.
    fn grant(&mut self, steps: &Steps, size: u64, linear: u64, access: Access) -> Result<Mapping, Refusal> {
        let steps = steps.get();
        let all = steps.iter().fold(u64::MAX, |all, step| all & step.value);
        let any = steps.iter().fold(0, |any, step| any | step.value);
        let (user, executable) = (all & entry::USER != 0, any & entry::NO_EXECUTE == 0);
        let writable = all & entry::WRITABLE != 0;
        let protects = access.user || self.cr0 & CR0_WP != 0;
        if access.user && !user || access.write && !writable && protects || access.fetch && !executable {
            return Err(Refusal::Protection);
        }
        let mut dirty = false;
        let mut frame = 0;
        for (i, step) in steps.iter().enumerate() {
            let leaf = i + 1 == steps.len();
            let mut marked = step.value | entry::ACCESSED;
            if leaf {
                marked |= if access.write { entry::DIRTY } else { 0 };
                dirty = marked & entry::DIRTY != 0;
                frame = frame_in(step.value, size, linear);
            }
            if marked != step.value {
                // Both bits are in the low byte, whatever the entry's size.
                self.memory.write(step.at, marked as u8);
            }
        }
        Ok(Mapping { frame, writable, dirty, executable })
    }
}

/// The entries on the way, at most four, the last one the page's own.
#[derive(Default)]
struct Steps {
    steps: [Step; 4],
    len: usize,
}

impl Steps {
    fn push(&mut self, step: Step) {
        if let Some(slot) = self.steps.get_mut(self.len) {
            *slot = step;
            self.len += 1;
        }
    }

    fn get(&self) -> &[Step] {
        &self.steps[..self.len]
    }
}
