//! A decoded instruction: the function that does it, and its operands.

use super::core::{Core, reg, seg};
use super::fault::Flow;

/// Carries out an instruction, and then the rest of the block after it.
///
/// Each instruction calls the next one as its last act, which compiles to a jump: no loop, no return, no test in between.
/// A block has at most `BLOCK_OPS` instructions, so even where the compiler makes real calls of it the stack stays small.
pub(crate) type Run = fn(&mut Core, &Op, &[Op]) -> Flow;

/// Does the rest of a block.
#[inline(always)]
pub(crate) fn go_on(core: &mut Core, rest: &[Op]) -> Flow {
    match rest.split_first() {
        Some((next, rest)) => (next.run)(core, next, rest),
        None => {
            core.left = 0;
            Ok(())
        }
    }
}

/// Does one instruction with `f`, then the rest. `Core::left` says at which one a stop happened.
#[inline(always)]
pub(crate) fn step(core: &mut Core, op: &Op, rest: &[Op], f: impl FnOnce(&mut Core, &Op) -> Flow) -> Flow {
    match f(core, op) {
        Ok(()) => go_on(core, rest),
        Err(stop) => {
            core.left = rest.len();
            Err(stop)
        }
    }
}

/// Does one instruction the short way with `f`, then the rest; `None` from `f`, which has then changed nothing, sends it
/// the careful way. The two are apart so that the short way calls nothing and so saves no registers.
#[inline(always)]
pub(crate) fn step_fast(
    core: &mut Core,
    op: &Op,
    rest: &[Op],
    f: impl FnOnce(&mut Core, &Op) -> Option<()>,
    careful: impl FnOnce(&mut Core, &Op) -> Flow,
) -> Flow {
    match f(core, op) {
        Some(()) => go_on(core, rest),
        None => step_careful(core, op, rest, careful),
    }
}

#[cold]
#[inline(never)]
fn step_careful(core: &mut Core, op: &Op, rest: &[Op], f: impl FnOnce(&mut Core, &Op) -> Flow) -> Flow {
    step(core, op, rest, f)
}

/// The [`Run`] of a function that does one instruction; or of two, the short way and the careful way.
macro_rules! run {
    ($f:expr) => {
        (|core: &mut $crate::machine::core::Core, op: &$crate::machine::op::Op, rest: &[$crate::machine::op::Op]| {
            $crate::machine::op::step(core, op, rest, $f)
        }) as $crate::machine::op::Run
    };
    ($fast:expr, $careful:expr) => {
        (|core: &mut $crate::machine::core::Core, op: &$crate::machine::op::Op, rest: &[$crate::machine::op::Op]| {
            $crate::machine::op::step_fast(core, op, rest, $fast, $careful)
        }) as $crate::machine::op::Run
    };
}
pub(crate) use run;

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
    /// How many high bits an effective address does not have: 0 with 64-bit addressing, 32, or 48 with 16-bit addressing.
    pub(crate) narrow: u8,
    /// Which way memory may be reached; looked at when the instruction is lowered.
    pub(crate) way: Way,
}

/// Which way an instruction may reach memory.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Way {
    /// Flat 32-bit segment, base and displacement: by far the commonest operand, and the cheapest to compute.
    Simple,
    /// Flat 32-bit segment, with an index.
    Indexed,
    /// A segment with a base or a limit, or an address size that is not the mode's.
    Careful,
    /// 64-bit mode, base and displacement.
    Long,
    /// 64-bit mode, with an index.
    LongIndexed,
    /// 64-bit mode, relative to the next instruction.
    LongRelative,
}

/// The linear address of a memory operand in a flat segment, or in 64-bit mode.
pub(crate) trait Operand {
    fn linear(core: &Core, op: &Op) -> u64;
}

/// [`Way::Simple`].
pub(crate) struct Simple;

/// [`Way::Indexed`].
pub(crate) struct Indexed;

/// [`Way::Long`].
pub(crate) struct Long;

/// [`Way::LongIndexed`].
pub(crate) struct LongIndexed;

/// [`Way::LongRelative`].
pub(crate) struct LongRelative;

impl Operand for Long {
    #[inline(always)]
    fn linear(core: &Core, op: &Op) -> u64 {
        core.regs[op.base as usize].wrapping_add(op.disp as i64 as u64)
    }
}

impl Operand for LongIndexed {
    #[inline(always)]
    fn linear(core: &Core, op: &Op) -> u64 {
        let index = core.regs[op.index as usize] << (op.scale & 3);
        core.regs[op.base as usize].wrapping_add(index).wrapping_add(op.disp as i64 as u64)
    }
}

impl Operand for LongRelative {
    #[inline(always)]
    fn linear(core: &Core, op: &Op) -> u64 {
        core.block_ip.wrapping_add(u64::from(op.end)).wrapping_add(op.disp as i64 as u64)
    }
}

impl Operand for Simple {
    #[inline(always)]
    fn linear(core: &Core, op: &Op) -> u64 {
        u64::from((core.regs[op.base as usize] as u32).wrapping_add(op.disp as u32))
    }
}

impl Operand for Indexed {
    #[inline(always)]
    fn linear(core: &Core, op: &Op) -> u64 {
        let index = (core.regs[op.index as usize] as u32) << (op.scale & 3);
        let base = core.regs[op.base as usize] as u32;
        u64::from(base.wrapping_add(index).wrapping_add(op.disp as u32))
    }
}

impl Op {
    /// An instruction without operands.
    pub(crate) fn new(run: Run, start: u16, end: u16, way: Way) -> Self {
        let (base, index) = (reg::ZERO, reg::ZERO);
        Self {
            run,
            imm: 0,
            disp: 0,
            start,
            end,
            r1: 0,
            r2: 0,
            base,
            index,
            scale: 0,
            seg: seg::DS,
            narrow: if way == Way::Long { 0 } else { 32 },
            way,
        }
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
        let base = match op.base {
            reg::IP => self.ip_after(op),
            reg::ABSOLUTE => op.imm,
            base => self.regs[base as usize],
        };
        let index = self.regs[op.index as usize] << (op.scale & 3);
        base.wrapping_add(index).wrapping_add(op.disp as i64 as u64) & u64::MAX >> (op.narrow & 63)
    }

    /// EIP of the instruction.
    pub(crate) fn ip_of(&self, op: &Op) -> u64 {
        self.block_ip.wrapping_add(u64::from(op.start)) & self.ip_mask
    }

    /// EIP of the instruction after this one.
    #[inline(always)]
    pub(crate) fn ip_after(&self, op: &Op) -> u64 {
        self.block_ip.wrapping_add(u64::from(op.end)) & self.ip_mask
    }
}
