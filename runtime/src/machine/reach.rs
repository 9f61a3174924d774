//! Memory as a host reaches it for the guest: at linear addresses, with the rights that an access of the guest's would have.

use std::fmt;

use super::core::Core;
use super::fault::{Fault, Stop};
use super::machine::Machine;
use super::memory::PAGE;
use super::mode::is_canonical;
use super::paging::Access;

/// With whose rights memory is reached (SDM vol. 3, 4.6.1).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Rights {
    /// Those of ring 0, 1 and 2: every page that is present is read, and written if it is writable or CR0.WP is clear.
    Supervisor,
    /// Those of ring 3: user pages alone, and read-only ones are read-only.
    User,
}

/// An access that the paging structures, or the form of the address, do not allow.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Denied {
    /// The first linear address that could not be reached: what CR2 would hold.
    pub address: u64,
    /// What the guest would have been given: #PF with its error code, or #GP(0) for an address that is not canonical.
    pub fault: Fault,
}

impl fmt::Display for Denied {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} at {:X}h", self.fault, self.address)
    }
}

impl std::error::Error for Denied {}

impl Machine {
    /// `size` bytes at a linear address. Sets accessed bits as a read by the guest would, and leaves CR2 alone. Where no RAM
    /// is behind a page, it reads as zero, as for the guest. Alignment is not checked, whatever EFLAGS.AC says.
    ///
    /// Only pages that can be read take memory of the host: `size` may be as large as the guest likes.
    ///
    /// # Errors
    /// The first page that may not be read.
    ///
    /// ```
    /// use ntgate_runtime::machine::{Machine, Rights, cpuid::Model};
    ///
    /// # fn example() -> Option<()> {
    /// let mut machine = Machine::flat(Model::by_name("486")?, 0x1000, 0, &[0x90, 0xF4]);
    /// assert_eq!(machine.read_as(Rights::User, 0, 2).ok()?, [0x90, 0xF4]);
    /// # Some(())
    /// # }
    /// # example().unwrap();
    /// ```
    pub fn read_as(&mut self, rights: Rights, address: u64, size: u64) -> Result<Vec<u8>, Denied> {
        let access = Access::read(rights == Rights::User);
        let mut bytes = Vec::new();
        self.core.pages(address, size, access, |core, physical, len| {
            bytes.extend((physical..physical + len).map(|at| core.memory.read::<u8>(at)));
        })?;
        Ok(bytes)
    }

    /// Writes at a linear address; nothing is written if not all of it may be. Sets accessed and dirty bits as a write by the
    /// guest would, also of pages before one that refuses; leaves CR2 alone; what no RAM is behind is lost. Code that the
    /// guest has there is executed as it now is.
    ///
    /// # Errors
    /// The first page that may not be written.
    pub fn write_as(&mut self, rights: Rights, address: u64, bytes: &[u8]) -> Result<(), Denied> {
        let access = Access::write(rights == Rights::User);
        let mut places = Vec::new();
        self.core.pages(address, bytes.len() as u64, access, |_, physical, len| places.push((physical, len)))?;
        let mut rest = bytes;
        for (physical, len) in places {
            let (piece, behind) = rest.split_at((len as usize).min(rest.len()));
            // No RAM: lost.
            let _ = self.core.memory.write_bytes(physical, piece);
            rest = behind;
        }
        Ok(())
    }

    /// Whether `size` bytes at a linear address may be read: as [`Self::read_as`], without what is there.
    ///
    /// # Errors
    /// The first page that may not be read.
    pub fn probe_read(&mut self, rights: Rights, address: u64, size: u64) -> Result<(), Denied> {
        self.core.pages(address, size, Access::read(rights == Rights::User), |_, _, _| ())
    }

    /// Whether `size` bytes at a linear address may be written: as [`Self::write_as`], but nothing is.
    ///
    /// # Errors
    /// The first page that may not be written.
    pub fn probe_write(&mut self, rights: Rights, address: u64, size: u64) -> Result<(), Denied> {
        self.core.pages(address, size, Access::write(rights == Rights::User), |_, _, _| ())
    }
}

impl Core {
    /// Calls `each` with the physical address and the length of what lies in one page, page after page, up to the first that
    /// does not allow the access.
    fn pages(
        &mut self,
        address: u64,
        size: u64,
        access: Access,
        mut each: impl FnMut(&Self, u64, u64),
    ) -> Result<(), Denied> {
        let (mut linear, mut left) = (address, size);
        while left > 0 {
            linear &= self.system_mask();
            let piece = (PAGE - linear % PAGE).min(left);
            let physical = self.reach(linear, access)?;
            each(self, physical, piece);
            linear = linear.wrapping_add(piece);
            left -= piece;
        }
        Ok(())
    }

    /// The physical address of a linear one. What a fault changes in the processor is put back.
    fn reach(&mut self, linear: u64, access: Access) -> Result<u64, Denied> {
        let saved = (self.fault, self.cr2);
        let found =
            if self.long_mode() && !is_canonical(linear) { Err(self.gp(0)) } else { self.translate(linear, access) };
        let fault = self.fault;
        (self.fault, self.cr2) = saved;
        found.map_err(|_: Stop| Denied { address: linear, fault })
    }
}

#[cfg(test)]
mod tests;
