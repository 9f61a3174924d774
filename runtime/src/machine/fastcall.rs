//! `SYSENTER` and `SYSEXIT` (SDM vol. 2): no table is read and nothing is pushed; the segments are flat by definition.

use super::core::{Core, reg};
use super::fault::Flow;
use super::flags;
use super::segment::{Descriptor, Segment, Selector};

/// Flat 4 GiB segments, accessed, 32-bit, of DPL 0; the DPL is ORed in.
const CODE: u64 = 0x00CF_9B00_0000_FFFF;
const DATA: u64 = 0x00CF_9300_0000_FFFF;
const DPL_3: u64 = 3 << 45;

/// Bytes in a flat segment.
const ALL: u64 = 1 << 32;

fn flat(selector: u16, descriptor: u64, write_end: u64) -> Segment {
    let (selector, descriptor) = (Selector(selector), Descriptor(descriptor));
    Segment { selector, base: 0, limit: u32::MAX, descriptor, read_end: ALL, write_end }
}

impl Core {
    /// Enters ring 0 at what the MSRs say. TF, DF and NT stay as they are: with TF set a #DB comes before the first
    /// instruction of the handler.
    pub(crate) fn sysenter(&mut self) -> Flow {
        let selector = self.msrs.sysenter_cs as u16 & 0xFFFC;
        if selector == 0 {
            return Err(self.gp(0));
        }
        self.flags.change_system(flags::VM | flags::IF | flags::RF, 0);
        self.set_cs(flat(selector, CODE, 0), 0);
        self.set_ss(flat(selector.wrapping_add(8), DATA, ALL));
        self.regs[reg::SP as usize] = self.msrs.sysenter_esp & 0xFFFF_FFFF;
        self.ip = self.msrs.sysenter_eip & 0xFFFF_FFFF;
        Ok(())
    }

    /// Back to ring 3: EIP from EDX, ESP from ECX. EFLAGS and the data segments stay.
    pub(crate) fn sysexit(&mut self) -> Flow {
        let selector = self.msrs.sysenter_cs as u16 & 0xFFFC;
        if selector == 0 || self.cpl != 0 {
            return Err(self.gp(0));
        }
        self.set_cs(flat(selector.wrapping_add(16) | 3, CODE | DPL_3, 0), 3);
        self.set_ss(flat(selector.wrapping_add(24) | 3, DATA | DPL_3, ALL));
        self.regs[reg::SP as usize] = self.reg::<u32>(reg::CX).into();
        self.ip = self.reg::<u32>(reg::DX).into();
        Ok(())
    }
}

#[cfg(test)]
mod tests;
