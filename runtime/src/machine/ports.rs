//! The I/O ports: a debug console at E9h and an exit port at F4h, as QEMU's `isa-debugcon` and `isa-debug-exit` (with
//! `iosize=4`) have them, and those of the devices.

use super::core::{Core, seg};
use super::descriptor::{BUSY, TSS_32};
use super::fault::{Exit, Flow, Stop};
use super::memory::PAGE;
use super::observe::{Check, Rule, What};
use super::paging::Access;
use super::task::TSS_LAST;
use super::width::Width;

/// The debug console's port.
pub(crate) const CONSOLE: u16 = 0xE9;
/// The exit port's first address; it has four.
pub(crate) const EXIT: u16 = 0xF4;
const EXIT_LAST: u16 = EXIT + 3;

/// Offset of the I/O map's offset in a 32-bit TSS (SDM vol. 1, 19.5.2).
const MAP_BASE: u64 = 0x66;

impl Core {
    /// #GP(0) unless `size` bytes of ports from `port` on may be used: by IOPL, or by the TSS's I/O map.
    #[inline]
    pub(crate) fn allow_port(&mut self, port: u16, size: u32) -> Flow {
        if self.cpl <= self.flags.iopl() { Ok(()) } else { self.allow_port_by_map(port, size) }
    }

    #[cold]
    fn allow_port_by_map(&mut self, port: u16, size: u32) -> Flow {
        let tss = self.segs[seg::TR as usize];
        if !tss.is_usable() || tss.descriptor.kind() & !BUSY != TSS_32 || tss.limit < TSS_LAST {
            self.note_checks(|_| [Check::new(Rule::TssLimit, TSS_LAST, tss.limit, false)]);
            return Err(self.gp(0));
        }
        let map: u16 = self.load_system(What::Tss { offset: MAP_BASE as u32 }, tss.base.wrapping_add(MAP_BASE))?;
        let at = u32::from(map) + u32::from(port) / 8;
        // Two bytes are always read, so the map ends with a byte of ones beyond its last port.
        if at + 1 > tss.limit {
            self.note_checks(|_| [Check::new(Rule::TssLimit, at + 1, tss.limit, false)]);
            return Err(self.gp(0));
        }
        let bits: u16 = self.load_system(What::Tss { offset: at }, tss.base.wrapping_add(u64::from(at)))?;
        let wanted = ((1u16 << size) - 1) << (port % 8);
        self.note_checks(|_| [Check::of(Rule::IoMap, port, bits & wanted == 0)]);
        if bits & wanted != 0 { Err(self.gp(0)) } else { Ok(()) }
    }

    /// Reads a port. Ports that nothing answers at read as all ones.
    pub(crate) fn port_in<W: Width>(&mut self, port: u16) -> W {
        match port {
            CONSOLE if W::BITS == 8 => W::cut(u64::from(CONSOLE)),
            // The console has byte registers only, and the exit port none that could be read.
            CONSOLE | EXIT..=EXIT_LAST => W::cut(0),
            _ => match self.devices.read(port, self.retired) {
                Some(value) if W::BITS == 8 => W::cut(value.into()),
                // Wider reads take in the ports behind it, of which some answer nothing.
                Some(value) => W::cut(u64::MAX << 8 | u64::from(value)),
                None => W::cut(u64::MAX),
            },
        }
    }

    /// Writes a port.
    pub(crate) fn port_out<W: Width>(&mut self, port: u16, value: W) -> Flow {
        match port {
            CONSOLE if W::BITS == 8 => {
                self.console.push(value.zx() as u8);
                Ok(())
            }
            EXIT..=EXIT_LAST => {
                // The instruction is complete; the run loop finds the exit behind it, and can go on from there.
                self.exit = Some(Exit::Port(value.zx() as u32));
                Err(Stop::Leave)
            }
            _ => self.device_out(port, value.zx() as u8),
        }
    }

    /// Writes a device's port; only the byte at it counts.
    #[cold]
    fn device_out(&mut self, port: u16, value: u8) -> Flow {
        let done = self.devices.write(port, value, self.retired);
        // What interrupts next, or whether, may be different now.
        self.pause = 0;
        done.map_err(|what| self.unsupported(what))
    }

    /// Sends up to `most` bytes from `segment`:`offset` on to the console, as far as they lie in one page, and says how
    /// many that were. At least one byte is sent, or the fault is that of the first.
    pub(crate) fn print_run(&mut self, segment: u8, offset: u64, most: u64) -> Result<u64, Stop> {
        let s = &self.segs[(segment & 7) as usize];
        let inside = s.read_end.saturating_sub(offset).min(most);
        let linear = s.linear(offset, self.ip_mask);
        let count = inside.min(PAGE - linear % PAGE);
        if count > 1 {
            let physical = self.translate(linear, Access::read(self.cpl == 3))? as usize;
            if let Some(bytes) = self.memory.ram().get(physical..physical + count as usize) {
                self.console.extend_from_slice(bytes);
                return Ok(count);
            }
        }
        let byte = self.load::<u8>(segment, offset)?;
        self.console.push(byte);
        Ok(1)
    }
}
