//! The instructions of operating systems: segments, tables, control registers, gates, ports (SDM vol. 1, 5.1.12 and 5.20).
//!
//! What they do beyond their operands is in `descriptor`, `gate`, `far`, `task` and `fastcall`, beside this folder.

mod control;
pub(in super::super) mod eflags;
mod io;
pub(in super::super) mod msr;
mod segments;
mod tables;
mod transfer;

use iced_x86::Instruction;

use super::super::core::Core;
use super::super::fault::Flow;
use super::super::observe::{Check, Rule};
use super::super::op::{After, Op};

pub(super) fn lower(instruction: &Instruction, op: &mut Op) -> Option<After> {
    transfer::lower(instruction, op)
        .or_else(|| segments::lower(instruction, op))
        .or_else(|| eflags::lower(instruction, op))
        .or_else(|| io::lower(instruction, op))
        .or_else(|| tables::lower(instruction, op))
        .or_else(|| control::lower(instruction, op))
}

impl Core {
    /// #GP(0) unless at CPL 0.
    fn privileged(&mut self) -> Flow {
        self.note_checks(|core| [Check::of(Rule::Cpl0, core.cpl, core.cpl == 0)]);
        if self.cpl == 0 { Ok(()) } else { Err(self.gp(0)) }
    }
}

#[cfg(test)]
mod tests;
