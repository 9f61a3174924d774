//! Letting a boot begin at another call.

use super::memory::file_offset;
use super::{BuildError, Start};

/// Where an image keeps what says with which call the boot begins. Addresses are those of the file's segments.
#[derive(Debug, Clone)]
pub(crate) struct Starts {
    /// Variable with the address of the first set to run.
    pub(crate) variable: u32,
    /// The sets.
    pub(crate) tables: Vec<CallTable>,
}

/// Where the work of one set is written down.
#[derive(Debug, Clone)]
pub(crate) struct CallTable {
    /// Address of the set's own fields.
    pub(crate) set: u32,
    /// Address of the field with the call table's address.
    pub(crate) field: u32,
    /// Address of the call table.
    pub(crate) entries: u32,
    /// Bytes of one entry.
    pub(crate) entry_size: u32,
    /// The calls, in order.
    pub(crate) calls: Vec<u32>,
}

impl Starts {
    /// Makes the next boot of a file begin at another call. All addresses are below 4 GB, so their low dwords are all
    /// that changes.
    pub(crate) fn apply(&self, elf: &mut [u8], start: Start) -> Result<(), BuildError> {
        let Some(first) = self.tables.get(start.set).map(|table| table.set) else {
            let nothing_to_do = start == Start::default() && self.tables.is_empty();
            return if nothing_to_do { Ok(()) } else { Err(BuildError::NoSuchStart { set: start.set }) };
        };
        let mut changes = vec![(self.variable, first)];
        for (index, table) in self.tables.iter().enumerate() {
            let from = if index == start.set { start.call } else { 0 };
            let skipped = table.calls.iter().take_while(|call| **call < from).count() as u32;
            changes.push((table.field, table.entries + skipped * table.entry_size));
        }
        for (address, value) in changes {
            let place = file_offset(elf, address).and_then(|at| elf.get_mut(at..at + 4));
            if let Some(place) = place {
                place.copy_from_slice(&value.to_le_bytes());
            }
        }
        Ok(())
    }
}
