//! What instructions do: one file a family. Each family has a `lower` that takes an instruction it knows, chooses the
//! function for its operands and widths, and fills in the operands; nothing is decided again when it runs.

mod alu;
mod bcd;
mod bits;
mod branch;
mod coprocessor;
mod moves;
mod muldiv;
mod operand;
mod shift;
pub(super) mod sse;
mod stack;
mod strings;
pub(super) mod system;
#[cfg(test)]
mod tests;

use iced_x86::Instruction;

use super::core::Core;
use super::cpuid::Model;
use super::fault::{Exit, Flow};
use super::op::{After, Op, run};

/// Fills in `op` for an instruction.
pub(crate) fn lower(instruction: &Instruction, op: &mut Op, model: &Model) -> After {
    if instruction.is_invalid() || !model.executes(instruction) {
        op.run = run!(invalid);
        return After::Ends;
    }
    let families = [
        moves::lower,
        alu::lower,
        branch::lower,
        stack::lower,
        shift::lower,
        strings::lower,
        bits::lower,
        muldiv::lower,
        bcd::lower,
        sse::lower,
        system::lower,
        coprocessor::lower,
    ];
    for family in families {
        if let Some(after) = family(instruction, op) {
            return after;
        }
    }
    op.run = run!(unsupported);
    After::Ends
}

/// #UD.
fn invalid(core: &mut Core, _: &Op) -> Flow {
    Err(core.ud())
}

/// An instruction that the processor has and this machine does not. The run loop puts its text in.
fn unsupported(core: &mut Core, op: &Op) -> Flow {
    let address = core.ip_of(op);
    Err(core.leave(Exit::Unsupported { address, instruction: String::new() }))
}
