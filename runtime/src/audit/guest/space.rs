//! The address space of the code under audit: what is where, and the page tables.
//!
//! ```text
//! 7FFB0000h  stack, 64 KiB; a call begins at its middle
//! 7FFC0000h  ntdll's routines that the shared page points to, and the way of WoW64
//! 7FFD0000h  places that nothing is behind: to get there says something
//! 7FFDD000h  variables of ntdll    7FFDE000h  TEB    7FFDF000h  PEB
//! 7FFE0000h  SharedUserData    7FFE1000h  Wine's pointer
//! ```

use std::collections::HashMap;

use super::monitor;
use crate::machine::Machine;

/// Bytes of a page.
pub(crate) const PAGE: u64 = 0x1000;

/// What no image may lie on.
pub(crate) const RESERVED: std::ops::Range<u64> = 0x7FFB_0000..0x7FFF_0000;

/// The stack.
pub(crate) const STACK: std::ops::Range<u64> = 0x7FFB_0000..0x7FFC_0000;

/// Where the stack pointer is when an export is called: the return address is there.
pub(crate) const STACK_POINTER: u64 = 0x7FFB_8F00;

/// Code of the environment.
pub(crate) const ROUTINES: u64 = 0x7FFC_0000;

/// Where an export returns to.
pub(crate) const RETURN: u64 = 0x7FFD_0000;

/// Wine's dispatcher of system calls.
pub(crate) const WINE_DISPATCHER: u64 = 0x7FFD_1000;

/// Wine's dispatcher of calls of the Unix side.
pub(crate) const WINE_UNIX_CALL: u64 = 0x7FFD_2000;

/// Where WoW64 goes on in 64-bit code.
pub(crate) const WOW64: u64 = 0x7FFD_3000;

/// Variables of ntdll that other DLLs import.
pub(crate) const VARIABLES: u64 = 0x7FFD_D000;

/// The thread environment block.
pub(crate) const TEB: u64 = 0x7FFD_E000;

/// The process environment block.
pub(crate) const PEB: u64 = 0x7FFD_F000;

/// KUSER_SHARED_DATA.
pub(crate) const SHARED: u64 = 0x7FFE_0000;

/// The page behind it, where Wine keeps a pointer to its dispatcher.
pub(crate) const SHARED_NEXT: u64 = 0x7FFE_1000;

/// Who may do what with a page of the code under audit.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) struct Access {
    pub(crate) write: bool,
    pub(crate) execute: bool,
}

impl Access {
    pub(crate) const READ: Self = Self { write: false, execute: false };
    pub(crate) const WRITE: Self = Self { write: true, execute: false };
    pub(crate) const EXECUTE: Self = Self { write: false, execute: true };

    fn bits(self) -> u64 {
        // Present, user, accessed.
        0x25 | u64::from(self.write) << 1 | u64::from(!self.execute) << 63
    }
}

/// There is no physical memory left.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Exhausted;

/// The page tables of the lower half, and the physical memory that is still free.
pub(super) struct Space {
    /// Physical addresses of tables, by the linear address they begin at and their level.
    tables: HashMap<(u32, u64), u64>,
    /// Physical addresses of pages.
    pages: HashMap<u64, u64>,
    free: u64,
    end: u64,
}

impl Space {
    pub(super) fn new(end: u64) -> Self {
        Self { tables: HashMap::new(), pages: HashMap::new(), free: monitor::SIZE, end }
    }

    /// Takes everything away.
    pub(super) fn clear(&mut self, machine: &mut Machine) {
        let end = self.end;
        *self = Self::new(end);
        write(machine, monitor::place::PML4, &0u64.to_le_bytes());
    }

    /// Pages that can still be mapped, at least.
    pub(super) fn room(&self) -> u64 {
        ((self.end - self.free) / PAGE).saturating_sub(3)
    }

    /// The physical address of a page that is mapped.
    pub(super) fn physical(&self, linear: u64) -> Option<u64> {
        self.pages.get(&(linear & !(PAGE - 1))).copied()
    }

    /// Maps a page with this content, or changes content and rights of one that is mapped.
    pub(super) fn map(
        &mut self,
        machine: &mut Machine,
        linear: u64,
        bytes: &[u8],
        access: Access,
    ) -> Result<(), Exhausted> {
        let linear = linear & !(PAGE - 1);
        let physical = match self.pages.get(&linear) {
            Some(&physical) => physical,
            None => {
                let physical = self.take()?;
                self.pages.insert(linear, physical);
                physical
            }
        };
        write(machine, physical, bytes);
        self.protect(machine, linear, Some(access))
    }

    /// Changes the rights to a page that has been mapped; `None` takes it out of reach.
    pub(super) fn protect(
        &mut self,
        machine: &mut Machine,
        linear: u64,
        access: Option<Access>,
    ) -> Result<(), Exhausted> {
        let linear = linear & !(PAGE - 1);
        let Some(physical) = self.physical(linear) else { return Ok(()) };
        let entry = self.entry(machine, linear)?;
        let value = access.map_or(0, |access| physical | access.bits());
        write(machine, entry, &value.to_le_bytes());
        Ok(())
    }

    /// The physical address of a page's entry; tables on the way to it are made.
    fn entry(&mut self, machine: &mut Machine, linear: u64) -> Result<u64, Exhausted> {
        let mut table = monitor::place::PML4;
        for level in (1..4).rev() {
            let shift = 12 + 9 * level;
            let key = (level, linear >> shift);
            let next = match self.tables.get(&key) {
                Some(&next) => next,
                None => {
                    let next = self.take()?;
                    write(machine, next, &[0; PAGE as usize]);
                    write(machine, table + 8 * (linear >> shift & 511), &(next | 7).to_le_bytes());
                    self.tables.insert(key, next);
                    next
                }
            };
            table = next;
        }
        Ok(table + 8 * (linear >> 12 & 511))
    }

    fn take(&mut self) -> Result<u64, Exhausted> {
        if self.free + PAGE > self.end {
            return Err(Exhausted);
        }
        self.free += PAGE;
        Ok(self.free - PAGE)
    }
}

/// Writes to physical memory that there is.
pub(super) fn write(machine: &mut Machine, physical: u64, bytes: &[u8]) {
    let written = machine.write_physical(physical, bytes);
    debug_assert!(written.is_some(), "{physical:x} is memory");
}
