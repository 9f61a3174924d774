//! Linear to physical: the TLB, before the paging structures that `walk` reads (SDM vol. 3, chapter 4).
//!
//! A TLB entry holds the linear page twice, once as the tag that grants reads and once as the tag that grants writes, so
//! that an access needs one comparison. The write tag is set only when the page's dirty bit is set and the page holds no
//! decoded code; every other write takes the careful way.

use super::core::{CR0_AM, CR0_WP, Core};
use super::fault::{Stop, Vector};
use super::flags;
use super::memory::{PAGE, PAGE_MASK};
use super::walk::Mapping;

const ENTRIES: usize = 256;
/// No page has this tag: tags are page-aligned.
const NO_PAGE: u64 = 1;

#[derive(Clone, Copy)]
#[repr(align(32))]
pub(crate) struct TlbEntry {
    read: u64,
    write: u64,
    fetch: u64,
    /// RAM only, so 32 bits do; with them no address computed from it can overflow a `usize`, and no check is needed.
    frame: u32,
}

impl TlbEntry {
    /// The physical address, if this entry grants reading `size` bytes at `linear`.
    #[inline(always)]
    pub(crate) fn for_read(&self, linear: u64, size: u64) -> Option<u32> {
        (self.read == linear.wrapping_add(size - 1) & PAGE_MASK)
            .then_some(self.frame | linear as u32 & (PAGE as u32 - 1))
    }

    /// The physical address, if this entry grants fetching instructions from `linear`.
    #[inline(always)]
    fn for_fetch(&self, linear: u64) -> Option<u32> {
        (self.fetch == linear & PAGE_MASK).then_some(self.frame | linear as u32 & (PAGE as u32 - 1))
    }

    /// The physical address, if this entry grants writing `size` bytes at `linear`.
    #[inline(always)]
    pub(crate) fn for_write(&self, linear: u64, size: u64) -> Option<u32> {
        (self.write == linear.wrapping_add(size - 1) & PAGE_MASK)
            .then_some(self.frame | linear as u32 & (PAGE as u32 - 1))
    }
}

/// Cached translations: first those for supervisor accesses, then those for user accesses.
#[derive(Clone)]
pub(crate) struct Tlb {
    entries: [TlbEntry; 2 * ENTRIES],
    /// Where those begin that the current privilege level uses.
    current: usize,
}

impl Tlb {
    const EMPTY: [TlbEntry; 2 * ENTRIES] =
        [TlbEntry { read: NO_PAGE, write: NO_PAGE, fetch: NO_PAGE, frame: 0 }; 2 * ENTRIES];

    pub(crate) fn new() -> Self {
        Self { entries: Self::EMPTY, current: 0 }
    }

    /// Which of the entries a page has. Neighbours do not meet, nor do the first pages of regions at round addresses,
    /// which is where kernels have theirs.
    #[inline(always)]
    fn index(linear: u64) -> usize {
        let page = linear / PAGE;
        (page ^ page >> 4) as usize % ENTRIES
    }

    #[inline(always)]
    fn slot(user: bool, linear: u64) -> usize {
        usize::from(user) * ENTRIES | Self::index(linear)
    }

    /// The entry for an access with these rights.
    #[inline(always)]
    pub(crate) fn entry(&self, user: bool, linear: u64) -> &TlbEntry {
        &self.entries[Self::slot(user, linear)]
    }

    /// The entry for an access with the rights of the current privilege level.
    #[inline(always)]
    pub(crate) fn current(&self, linear: u64) -> &TlbEntry {
        &self.entries[(Self::index(linear) | self.current) % (2 * ENTRIES)]
    }

    /// Makes user or supervisor rights the current ones.
    #[inline(always)]
    pub(crate) fn select(&mut self, user: bool) {
        self.current = usize::from(user) * ENTRIES;
    }

    fn clear(&mut self) {
        self.entries = Self::EMPTY;
    }

    /// Takes back the permission of plain writes to a frame.
    fn protect(&mut self, frame: u32) {
        for entry in &mut self.entries {
            if entry.frame == frame {
                entry.write = NO_PAGE;
            }
        }
    }
}

/// What an access wants of a page.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Access {
    pub(crate) write: bool,
    pub(crate) user: bool,
    /// An instruction fetch.
    pub(crate) fetch: bool,
}

impl Access {
    /// A read with supervisor rights.
    pub(crate) const READ: Self = Self { write: false, user: false, fetch: false };

    /// A read.
    pub(crate) const fn read(user: bool) -> Self {
        Self { user, ..Self::READ }
    }

    /// A write.
    pub(crate) const fn write(user: bool) -> Self {
        Self { write: true, user, fetch: false }
    }

    /// An instruction fetch.
    pub(crate) const fn fetch(user: bool) -> Self {
        Self { write: false, user, fetch: true }
    }
}

impl Core {
    /// Forgets all translations, and with them what depends on them.
    pub(crate) fn flush_tlb(&mut self) {
        self.tlb.clear();
        self.new_context();
    }

    /// Whether unaligned accesses from ring 3 raise #AC.
    fn checks_alignment(&self) -> bool {
        self.cr0 & CR0_AM != 0 && self.flags.system() & flags::AC != 0
    }

    /// To be called when CR0.AM or EFLAGS.AC may have changed from what `before` says; the fast path of memory accesses
    /// does not look at alignment, so no user translation may stand in the TLB while it is checked.
    pub(crate) fn alignment_changed(&mut self, before: u32) {
        if self.cr0 & CR0_AM != 0 && (before ^ self.flags.system()) & flags::AC != 0 {
            self.flush_tlb();
        }
    }

    /// #AC if alignment is checked and `linear` is not a multiple of `size`.
    pub(crate) fn check_alignment(&mut self, linear: u64, size: u64, user: bool) -> Result<(), Stop> {
        if user && linear & (size - 1) != 0 && self.checks_alignment() {
            return Err(self.raise(Vector::AlignmentCheck, 0));
        }
        Ok(())
    }

    /// The physical address of `linear`, for an access within one page.
    ///
    /// Sets accessed and dirty bits and fills the TLB. #PF, with CR2 set, where the structures do not allow the access.
    pub(crate) fn translate(&mut self, linear: u64, access: Access) -> Result<u64, Stop> {
        let cached = self.tlb.entry(access.user, linear);
        let hit = match access {
            Access { write: true, .. } => cached.for_write(linear, 1),
            Access { fetch: true, .. } => cached.for_fetch(linear),
            _ => cached.for_read(linear, 1),
        };
        if let Some(physical) = hit {
            return Ok(u64::from(physical));
        }
        let mapping = if self.paging() {
            self.walk(linear, access)?
        } else {
            Mapping { frame: linear & PAGE_MASK, writable: true, dirty: true, executable: true }
        };
        self.fill(linear, access, &mapping);
        Ok(mapping.frame | linear & (PAGE - 1))
    }

    fn fill(&mut self, linear: u64, access: Access, mapping: &Mapping) {
        let inside = mapping.frame + PAGE <= self.memory.size() as u64;
        // What is observed takes the careful way each time.
        if !inside || access.user && self.checks_alignment() || self.is_observed() {
            return;
        }
        let writable = mapping.writable || !access.user && self.cr0 & CR0_WP == 0;
        let plain = writable && mapping.dirty && !self.memory.is_watched(mapping.frame);
        let page = linear & PAGE_MASK;
        let write = if plain { page } else { NO_PAGE };
        let slot = Tlb::slot(access.user, linear);
        let fetch = if mapping.executable { page } else { NO_PAGE };
        self.tlb.entries[slot] = TlbEntry { read: page, write, fetch, frame: mapping.frame as u32 };
    }

    /// Notes that a block was decoded from `len` bytes at a physical address, all in one page.
    pub(crate) fn watch_code(&mut self, physical: u64, len: u64) {
        if self.memory.watch(physical, len) {
            self.tlb.protect((physical & PAGE_MASK) as u32);
        }
    }
}
