//! Linear to physical: 32-bit paging with 4 KiB and 4 MiB pages (SDM vol. 3, chapter 4), and the TLB before it.
//!
//! A TLB entry holds the linear page twice, once as the tag that grants reads and once as the tag that grants writes, so
//! that an access needs one comparison. The write tag is set only when the page's dirty bit is set and the page holds no
//! decoded code; every other write takes the careful way.

use super::core::{CR0_AM, CR0_WP, CR4_PSE, Core};
use super::fault::{Stop, Vector};
use super::flags;
use super::memory::{PAGE, PAGE_MASK};

const ENTRIES: usize = 256;
/// No page has this tag: tags are page-aligned.
const NO_PAGE: u64 = 1;

/// Paging-structure entry bits (SDM vol. 3, table 4-5 and 4-6).
mod entry {
    pub(super) const PRESENT: u32 = 1 << 0;
    pub(super) const WRITABLE: u32 = 1 << 1;
    pub(super) const USER: u32 = 1 << 2;
    pub(super) const ACCESSED: u32 = 1 << 5;
    pub(super) const DIRTY: u32 = 1 << 6;
    pub(super) const LARGE: u32 = 1 << 7;
    /// Bits of a 4 MiB page's entry that must be clear: 21 to 13, as no model has PSE-36.
    pub(super) const LARGE_RESERVED: u32 = 0x003F_E000;
}

/// Page-fault error code bits (SDM vol. 3, 4.7).
mod code {
    pub(super) const PROTECTION: u32 = 1 << 0;
    pub(super) const WRITE: u32 = 1 << 1;
    pub(super) const USER: u32 = 1 << 2;
    pub(super) const RESERVED: u32 = 1 << 3;
}

#[derive(Clone, Copy)]
#[repr(align(32))]
pub(crate) struct TlbEntry {
    read: u64,
    write: u64,
    /// RAM only, so 32 bits do; with them no address computed from it can overflow a `usize`, and no check is needed.
    frame: u32,
}

impl TlbEntry {
    /// The physical address, if this entry grants reading `size` bytes at `linear`.
    #[inline(always)]
    pub(crate) fn for_read(&self, linear: u64, size: u64) -> Option<u32> {
        (self.read == (linear + (size - 1)) & PAGE_MASK).then_some(self.frame | linear as u32 & (PAGE as u32 - 1))
    }

    /// The physical address, if this entry grants writing `size` bytes at `linear`.
    #[inline(always)]
    pub(crate) fn for_write(&self, linear: u64, size: u64) -> Option<u32> {
        (self.write == (linear + (size - 1)) & PAGE_MASK).then_some(self.frame | linear as u32 & (PAGE as u32 - 1))
    }
}

/// Cached translations: first those for supervisor accesses, then those for user accesses.
pub(crate) struct Tlb {
    entries: [TlbEntry; 2 * ENTRIES],
    /// Where those begin that the current privilege level uses.
    current: usize,
}

impl Tlb {
    const EMPTY: [TlbEntry; 2 * ENTRIES] = [TlbEntry { read: NO_PAGE, write: NO_PAGE, frame: 0 }; 2 * ENTRIES];

    pub(crate) fn new() -> Self {
        Self { entries: Self::EMPTY, current: 0 }
    }

    #[inline(always)]
    fn slot(user: bool, linear: u64) -> usize {
        usize::from(user) * ENTRIES | (linear / PAGE) as usize % ENTRIES
    }

    /// The entry for an access with these rights.
    #[inline(always)]
    pub(crate) fn entry(&self, user: bool, linear: u64) -> &TlbEntry {
        &self.entries[Self::slot(user, linear)]
    }

    /// The entry for an access with the rights of the current privilege level.
    #[inline(always)]
    pub(crate) fn current(&self, linear: u64) -> &TlbEntry {
        &self.entries[((linear / PAGE) as usize % ENTRIES | self.current) % (2 * ENTRIES)]
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
}

/// What the paging structures say of a linear page.
struct Mapping {
    frame: u64,
    user: bool,
    writable: bool,
    dirty: bool,
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
        let hit = if access.write { cached.for_write(linear, 1) } else { cached.for_read(linear, 1) };
        if let Some(physical) = hit {
            return Ok(u64::from(physical));
        }
        let mapping = if self.paging() {
            self.walk(linear as u32, access)?
        } else {
            Mapping { frame: linear & PAGE_MASK, user: true, writable: true, dirty: true }
        };
        self.fill(linear, access, &mapping);
        Ok(mapping.frame | linear & (PAGE - 1))
    }

    /// #PF; `cause` is what the error code says besides the access.
    fn page_fault(&mut self, linear: u32, access: Access, cause: u32) -> Stop {
        self.cr2 = u64::from(linear);
        let code = cause | u32::from(access.write) * code::WRITE | u32::from(access.user) * code::USER;
        self.raise(Vector::PageFault, code)
    }

    fn walk(&mut self, linear: u32, access: Access) -> Result<Mapping, Stop> {
        let directory_at = self.cr3 & 0xFFFF_F000 | u64::from(linear >> 22) << 2;
        let directory: u32 = self.memory.read(directory_at);
        if directory & entry::PRESENT == 0 {
            return Err(self.page_fault(linear, access, 0));
        }
        let large = directory & entry::LARGE != 0 && self.cr4 & CR4_PSE != 0;
        if large && directory & entry::LARGE_RESERVED != 0 {
            return Err(self.page_fault(linear, access, code::PROTECTION | code::RESERVED));
        }
        let (leaf_at, leaf, rights) = if large {
            (directory_at, directory, directory)
        } else {
            let at = u64::from(directory & 0xFFFF_F000 | (linear >> 12 & 0x3FF) << 2);
            let table: u32 = self.memory.read(at);
            if table & entry::PRESENT == 0 {
                return Err(self.page_fault(linear, access, 0));
            }
            (at, table, directory & table)
        };
        let (user, writable) = (rights & entry::USER != 0, rights & entry::WRITABLE != 0);
        let protects = access.user || self.cr0 & CR0_WP != 0;
        if access.user && !user || access.write && !writable && protects {
            return Err(self.page_fault(linear, access, code::PROTECTION));
        }
        if !large && directory & entry::ACCESSED == 0 {
            self.memory.write(directory_at, directory | entry::ACCESSED);
        }
        let marked = leaf | entry::ACCESSED | if access.write { entry::DIRTY } else { 0 };
        if marked != leaf {
            self.memory.write(leaf_at, marked);
        }
        let frame = if large { leaf & 0xFFC0_0000 | linear & 0x3F_F000 } else { leaf & 0xFFFF_F000 };
        Ok(Mapping { frame: u64::from(frame), user, writable, dirty: marked & entry::DIRTY != 0 })
    }

    fn fill(&mut self, linear: u64, access: Access, mapping: &Mapping) {
        let inside = mapping.frame + PAGE <= self.memory.size() as u64;
        if !inside || access.user && self.checks_alignment() {
            return;
        }
        let writable = mapping.writable || !access.user && self.cr0 & CR0_WP == 0;
        let plain = writable && mapping.dirty && !self.memory.is_watched(mapping.frame);
        let page = linear & PAGE_MASK;
        let write = if plain { page } else { NO_PAGE };
        let slot = Tlb::slot(access.user, linear);
        self.tlb.entries[slot] = TlbEntry { read: page, write, frame: mapping.frame as u32 };
        debug_assert!(mapping.user || !access.user);
    }

    /// Notes that a block was decoded from `len` bytes at a physical address, all in one page.
    pub(crate) fn watch_code(&mut self, physical: u64, len: u64) {
        if self.memory.watch(physical, len) {
            self.tlb.protect((physical & PAGE_MASK) as u32);
        }
    }
}
