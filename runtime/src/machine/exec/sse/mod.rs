//! SSE and SSE2 as compilers use them in code that does not calculate with floating-point numbers: moves, bitwise and
//! integer operations, shuffles; and the instructions that keep the state (SDM vol. 1, chapters 10 and 11).
//!
//! Floating-point arithmetic is not here, and so MXCSR is state that is kept and given back, and no #XM comes up.

mod integer;
mod moves;
mod state;

use iced_x86::{Instruction, Register};

use super::super::core::{CR0_EM, CR0_TS, CR4_OSFXSR, Core};
use super::super::fault::{Flow, Stop, Vector};
use super::super::op::{After, Op};
use super::super::paging::Access;

/// MXCSR after a reset: all exceptions masked.
pub(crate) const MXCSR_RESET: u32 = 0x1F80;
/// The FPU's control word after `FNINIT`.
pub(crate) const FCW_RESET: u16 = 0x037F;

/// Bytes of an XMM register.
const BYTES: u64 = 16;

pub(super) fn lower(instruction: &Instruction, op: &mut Op) -> Option<After> {
    op.run = moves::lower(instruction, op)
        .or_else(|| integer::lower(instruction, op))
        .or_else(|| state::lower(instruction, op))?;
    Some(After::Next)
}

/// The number of an XMM register; `None` for any other, the MMX registers among them.
fn xmm(register: Register) -> Option<u8> {
    register.is_xmm().then(|| register.number() as u8)
}

impl Core {
    /// #UD or #NM unless SSE instructions may be used (SDM vol. 3, table 2-3).
    #[inline(always)]
    fn allow_sse(&mut self) -> Flow {
        if self.cr0 & (CR0_EM | CR0_TS) == 0 && self.cr4 & CR4_OSFXSR != 0 { Ok(()) } else { self.refuse_sse() }
    }

    #[cold]
    fn refuse_sse(&mut self) -> Flow {
        if self.cr0 & CR0_EM != 0 || self.cr4 & CR4_OSFXSR == 0 {
            return Err(self.ud());
        }
        Err(self.raise(Vector::DeviceNotAvailable, 0))
    }

    fn x(&self, register: u8) -> u128 {
        self.xmm[(register & 15) as usize]
    }

    fn set_x(&mut self, register: u8, value: u128) {
        self.xmm[(register & 15) as usize] = value;
    }

    /// Reads 16 bytes; `aligned`: #GP(0) if they do not begin at a multiple of 16.
    fn load_x(&mut self, segment: u8, offset: u64, aligned: bool) -> Result<u128, Stop> {
        let s = &self.segs[(segment & 7) as usize];
        let linear = s.linear(offset, self.ip_mask);
        let plain = offset.wrapping_add(BYTES) <= s.read_end && !(aligned && linear & 15 != 0);
        if plain && let Some(physical) = self.tlb.current(linear).for_read(linear, BYTES) {
            let at = u64::from(physical);
            return Ok(wide(self.memory.read(at), self.memory.read(at + 8)));
        }
        let linear = self.checked_linear(segment, offset, BYTES, false)?;
        if aligned && linear & 15 != 0 {
            return Err(self.gp(0));
        }
        let user = self.cpl == 3;
        let low = self.load_linear(linear, user)?;
        Ok(wide(low, self.load_linear(linear.wrapping_add(8) & self.ip_mask, user)?))
    }

    /// Writes 16 bytes, all or none of them.
    fn store_x(&mut self, segment: u8, offset: u64, value: u128, aligned: bool) -> Flow {
        let s = &self.segs[(segment & 7) as usize];
        let linear = s.linear(offset, self.ip_mask);
        let plain = offset.wrapping_add(BYTES) <= s.write_end && !(aligned && linear & 15 != 0);
        if plain && let Some(physical) = self.tlb.current(linear).for_write(linear, BYTES) {
            // Cannot fail: the TLB holds whole pages of RAM only.
            let _ = self.memory.write_plain(physical, value as u64);
            let _ = self.memory.write_plain(physical + 8, (value >> 64) as u64);
            return Ok(());
        }
        let linear = self.checked_linear(segment, offset, BYTES, true)?;
        if aligned && linear & 15 != 0 {
            return Err(self.gp(0));
        }
        let user = self.cpl == 3;
        self.probe(linear, BYTES, Access::write(user))?;
        let low = self.store_linear(linear, value as u64, user);
        self.store_linear(linear.wrapping_add(8) & self.ip_mask, (value >> 64) as u64, user).and(low)
    }
}

fn wide(low: u64, high: u64) -> u128 {
    u128::from(high) << 64 | u128::from(low)
}
