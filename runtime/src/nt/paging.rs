//! Page tables as they will stand in physical memory, in either paging mode of the guest.

use super::i386::layout::PAGE;
use super::memory::Access;

/// Page-table entry bits (Intel SDM volume 3, 4.3 and 4.5).
mod pte {
    pub(super) const PRESENT: u64 = 1;
    pub(super) const WRITE: u64 = 2;
    pub(super) const USER: u64 = 4;
    pub(super) const NO_EXECUTE: u64 = 1 << 63;
}

/// A paging mode.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Mode {
    /// Levels of tables.
    levels: u32,
    /// Address bits that one level translates.
    index_bits: u32,
    /// Bytes of an entry.
    entry_size: usize,
    /// Index in the root through which the tables themselves are seen.
    self_map: usize,
    /// Entries can forbid execution.
    no_execute: bool,
}

/// 32-bit paging. The tables are seen at C0000000h, as on every 32-bit NT.
pub(crate) const TWO_LEVELS: Mode =
    Mode { levels: 2, index_bits: 10, entry_size: 4, self_map: 0x300, no_execute: false };

/// 4-level paging. The tables are seen at FFFFF680`00000000h, as on 64-bit NT before Windows 10 1607.
pub(crate) const FOUR_LEVELS: Mode =
    Mode { levels: 4, index_bits: 9, entry_size: 8, self_map: 0x1ED, no_execute: true };

impl Mode {
    /// What an entry says about the page.
    fn bits(self, access: Access) -> u64 {
        let (rights, executable) = match access {
            Access::Kernel => (0, true),
            Access::KernelWrite => (pte::WRITE, false),
            Access::User => (pte::USER, true),
            Access::UserRead => (pte::USER, false),
            Access::UserWrite => (pte::USER | pte::WRITE, false),
        };
        let forbidden = if self.no_execute && !executable { pte::NO_EXECUTE } else { 0 };
        pte::PRESENT | rights | forbidden
    }

    /// Where the tables show themselves: address and size.
    pub(crate) fn window(self) -> (u64, u64) {
        let shift = PAGE.trailing_zeros() + (self.levels - 1) * self.index_bits;
        let address = (self.self_map as u64) << shift;
        let bits = shift + self.index_bits;
        // Addresses of more than 32 bits are canonical.
        let address = if bits > 32 && address >> (bits - 1) != 0 { address | !0 << bits } else { address };
        (address, 1 << shift)
    }

    fn entries(self) -> usize {
        1 << self.index_bits
    }

    /// Index of an address in the table of a level; level 0 is that of the pages.
    fn index(self, address: u64, level: u32) -> usize {
        (address >> (PAGE.trailing_zeros() + level * self.index_bits)) as usize % self.entries()
    }
}

/// One table.
struct Table {
    entries: Vec<u64>,
    /// For each entry the index of the table it points to.
    children: Vec<Option<usize>>,
}

/// All tables of an address space. They stand in physical memory in the order in which they were made.
pub(crate) struct PageTables {
    mode: Mode,
    physical: u32,
    tables: Vec<Table>,
}

impl PageTables {
    /// The root alone, at a physical address.
    pub(crate) fn new(mode: Mode, physical: u32) -> Self {
        let mut tables = Self { mode, physical, tables: Vec::new() };
        tables.add();
        tables.tables[0].entries[mode.self_map] = u64::from(physical) | mode.bits(Access::KernelWrite);
        tables
    }

    fn add(&mut self) -> usize {
        let count = self.mode.entries();
        self.tables.push(Table { entries: vec![0; count], children: vec![None; count] });
        self.tables.len() - 1
    }

    /// Index of the table that holds the entry of a page.
    fn table(&mut self, address: u64) -> usize {
        let mut table = 0;
        for level in (1..self.mode.levels).rev() {
            let slot = self.mode.index(address, level);
            table = match self.tables[table].children[slot] {
                Some(child) => child,
                None => {
                    let child = self.add();
                    // Entries above the pages' allow everything; the page entries decide.
                    self.tables[table].entries[slot] =
                        u64::from(self.physical + PAGE * child as u32) | pte::PRESENT | pte::USER | pte::WRITE;
                    self.tables[table].children[slot] = Some(child);
                    child
                }
            };
        }
        table
    }

    /// Makes the tables that the pages need.
    pub(crate) fn reserve(&mut self, address: u64, size: u32) {
        for page in 0..size / PAGE {
            self.table(address + u64::from(page * PAGE));
        }
    }

    /// Maps pages.
    pub(crate) fn map(&mut self, address: u64, physical: u32, size: u32, access: Access) {
        let bits = self.mode.bits(access);
        for page in 0..size / PAGE {
            let address = address + u64::from(page * PAGE);
            let table = self.table(address);
            let slot = self.mode.index(address, 0);
            self.tables[table].entries[slot] = u64::from(physical + page * PAGE) | bits;
        }
    }

    /// Bytes of all tables made so far.
    pub(crate) fn size(&self) -> u32 {
        PAGE * self.tables.len() as u32
    }

    /// The tables, the root first.
    pub(crate) fn bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(self.size() as usize);
        for entry in self.tables.iter().flat_map(|table| &table.entries) {
            bytes.extend_from_slice(&entry.to_le_bytes()[..self.mode.entry_size]);
        }
        bytes
    }
}
