//! A decoded instruction: the function that does it, and its operands.

use super::core::{Core, reg, seg};
use super::fault::Flow;

/// What carries out an instruction.
pub(crate) type Run = fn(&mut Core, &Op) -> Flow;

/// A decoded instruction. Half a cache line: blocks are arrays of these, read in order.
///
/// What the fields mean beyond their names is up to `run`; most use `r1` for the destination register, `r2` for the source
/// register, and [`Core::address`] for a memory operand.
#[derive(Clone, Copy)]
pub(crate) struct Op {
    pub(crate) run: Run,
    /// Immediate operand, sign-extended; for a near branch the target, relative to the block's EIP.
    pub(crate) imm: u64,
    pub(crate) disp: i32,
    /// Where the instruction begins and ends, relative to the block's EIP.
    pub(crate) start: u16,
    pub(crate) end: u16,
    pub(crate) r1: u8,
    pub(crate) r2: u8,
    pub(crate) base: u8,
    pub(crate) index: u8,
    pub(crate) scale: u8,
    /// Segment register of the memory operand.
    pub(crate) seg: u8,
    /// How many high bits an effective address does not have: 32, or 48 with 16-bit addressing.
    pub(crate) narrow: u8,
}

impl Op {
    /// An instruction without operands.
    pub(crate) fn new(run: Run, start: u16, end: u16) -> Self {
        let (base, index) = (reg::ZERO, reg::ZERO);
        Self { run, imm: 0, disp: 0, start, end, r1: 0, r2: 0, base, index, scale: 0, seg: seg::DS, narrow: 32 }
    }
}

/// Whether the block goes on after an instruction.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum After {
    /// The next instruction follows.
    Next,
    /// The instruction may change where execution goes on, or what decoded code depends on.
    Ends,
}

impl Core {
    /// The effective address (offset) of the memory operand.
    #[inline(always)]
    pub(crate) fn address(&self, op: &Op) -> u64 {
        let base = self.regs[(op.base & 31) as usize];
        let index = self.regs[(op.index & 31) as usize] << (op.scale & 3);
        base.wrapping_add(index).wrapping_add(op.disp as i64 as u64) & u64::MAX >> (op.narrow & 63)
    }

    /// EIP of the instruction.
    pub(crate) fn ip_of(&self, op: &Op) -> u64 {
        self.block_ip + u64::from(op.start) & 0xFFFF_FFFF
    }

    /// EIP of the instruction after this one.
    #[inline(always)]
    pub(crate) fn ip_after(&self, op: &Op) -> u64 {
        self.block_ip + u64::from(op.end) & 0xFFFF_FFFF
    }
}
