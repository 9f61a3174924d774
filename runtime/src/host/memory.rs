//! Guest memory by the probe rules of the previous mode.

use super::{Call, Mode, NtStatus, Value};
use crate::machine::Rights;

/// Typed, checked access.
///
/// A call from ring 3 gets what ProbeForRead and ProbeForWrite and the access behind them would give it (`ntoskrnl/ex` of
/// ReactOS, `probe.h`), in this order:
///
/// 1. no bytes: nothing is looked at;
/// 2. an address that is not a multiple of the alignment: `STATUS_DATATYPE_MISALIGNMENT`;
/// 3. a range that wraps around, or ends above `MmUserProbeAddress`: `STATUS_ACCESS_VIOLATION`;
/// 4. a page that ring 3 itself could not read, or write: `STATUS_ACCESS_VIOLATION`.
///
/// The kernel's own calls are believed: neither alignment nor range is looked at. Where there is no page the status is
/// `STATUS_ACCESS_VIOLATION` too; a real kernel would stop.
///
/// Nothing is written if not all of it can be. `?` hands the status to the guest.
impl Call<'_> {
    /// What ProbeForRead checks, and that the pages can be read.
    ///
    /// # Errors
    ///
    /// The status of the first rule that is broken.
    pub fn probe_for_read(&mut self, address: u64, size: u64, align: u64) -> Result<(), NtStatus> {
        self.probe(address, size, align)?;
        self.machine.probe_read(self.rights(), address, size).map_err(|_| NtStatus::ACCESS_VIOLATION)
    }

    /// What ProbeForWrite checks: it writes to every page.
    ///
    /// # Errors
    ///
    /// The status of the first rule that is broken.
    pub fn probe_for_write(&mut self, address: u64, size: u64, align: u64) -> Result<(), NtStatus> {
        self.probe(address, size, align)?;
        self.machine.probe_write(self.rights(), address, size).map_err(|_| NtStatus::ACCESS_VIOLATION)
    }

    /// A value.
    ///
    /// # Errors
    ///
    /// The status of the first rule that is broken.
    pub fn read<T: Value>(&mut self, address: u64) -> Result<T, NtStatus> {
        Ok(T::from_bytes(&self.load(address, T::SIZE as u64, T::ALIGN as u64)?))
    }

    /// Bytes, at any address.
    ///
    /// # Errors
    ///
    /// The status of the first rule that is broken.
    pub fn read_bytes(&mut self, address: u64, size: u64) -> Result<Vec<u8>, NtStatus> {
        self.load(address, size, 1)
    }

    /// A value of a pointer's size.
    ///
    /// # Errors
    ///
    /// The status of the first rule that is broken.
    pub fn read_pointer(&mut self, address: u64) -> Result<u64, NtStatus> {
        if self.abi.bits == 32 { self.read::<u32>(address).map(u64::from) } else { self.read(address) }
    }

    /// UTF-16 text of so many bytes; what is no text becomes U+FFFD.
    ///
    /// # Errors
    ///
    /// The status of the first rule that is broken; `STATUS_INVALID_PARAMETER` for half a character.
    pub fn read_utf16(&mut self, address: u64, bytes: u64) -> Result<String, NtStatus> {
        if !bytes.is_multiple_of(2) {
            return Err(NtStatus::INVALID_PARAMETER);
        }
        let bytes = self.load(address, bytes, 2)?;
        let units: Vec<u16> = bytes.chunks_exact(2).map(u16::from_bytes).collect();
        Ok(String::from_utf16_lossy(&units))
    }

    /// The text of a `UNICODE_STRING`.
    ///
    /// # Errors
    ///
    /// As [`read_utf16`](Self::read_utf16), for the structure and for its buffer.
    pub fn read_unicode_string(&mut self, address: u64) -> Result<String, NtStatus> {
        let pointer = self.abi.pointer();
        // Length and MaximumLength; then, aligned, Buffer.
        let bytes = self.load(address, 2 * pointer, pointer)?;
        let length = u16::from_bytes(&bytes);
        let buffer = u64::from_bytes(bytes.get(pointer as usize..).unwrap_or_default());
        self.read_utf16(buffer, length.into())
    }

    /// Writes a value.
    ///
    /// # Errors
    ///
    /// The status of the first rule that is broken.
    pub fn write<T: Value>(&mut self, address: u64, value: &T) -> Result<(), NtStatus> {
        self.store(address, &value.to_bytes(), T::ALIGN as u64)
    }

    /// Writes bytes, at any address.
    ///
    /// # Errors
    ///
    /// The status of the first rule that is broken.
    pub fn write_bytes(&mut self, address: u64, bytes: &[u8]) -> Result<(), NtStatus> {
        self.store(address, bytes, 1)
    }

    /// Writes a value of a pointer's size.
    ///
    /// # Errors
    ///
    /// The status of the first rule that is broken.
    pub fn write_pointer(&mut self, address: u64, value: u64) -> Result<(), NtStatus> {
        if self.abi.bits == 32 { self.write(address, &(value as u32)) } else { self.write(address, &value) }
    }

    /// Writes an `IO_STATUS_BLOCK`: the status, and behind it, aligned, so many bytes or whatever else the service counts.
    ///
    /// # Errors
    ///
    /// The status of the first rule that is broken.
    pub fn write_io_status(&mut self, address: u64, status: NtStatus, information: u64) -> Result<(), NtStatus> {
        let pointer = self.abi.pointer();
        self.probe_for_write(address, 2 * pointer, pointer)?;
        self.write(address, &status.0)?;
        self.write_pointer(address.wrapping_add(pointer), information)
    }

    fn load(&mut self, address: u64, size: u64, align: u64) -> Result<Vec<u8>, NtStatus> {
        self.probe(address, size, align)?;
        self.machine.read_as(self.rights(), address, size).map_err(|_| NtStatus::ACCESS_VIOLATION)
    }

    fn store(&mut self, address: u64, bytes: &[u8], align: u64) -> Result<(), NtStatus> {
        self.probe(address, bytes.len() as u64, align)?;
        self.machine.write_as(self.rights(), address, bytes).map_err(|_| NtStatus::ACCESS_VIOLATION)
    }

    /// The rules that no page has a part in.
    fn probe(&self, address: u64, size: u64, align: u64) -> Result<(), NtStatus> {
        if size == 0 {
            return Ok(());
        }
        let user = self.previous_mode() == Mode::User;
        if user && !address.is_multiple_of(align.clamp(1, self.abi.pointer())) {
            return Err(NtStatus::DATATYPE_MISALIGNMENT);
        }
        let last = address.checked_add(size - 1).filter(|last| self.abi.bits == 64 || *last <= u64::from(u32::MAX));
        match last {
            Some(last) if !user || last < self.abi.probe => Ok(()),
            _ => Err(NtStatus::ACCESS_VIOLATION),
        }
    }

    fn rights(&self) -> Rights {
        match self.previous_mode() {
            Mode::User => Rights::User,
            Mode::Kernel => Rights::Supervisor,
        }
    }
}
