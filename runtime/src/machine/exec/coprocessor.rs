//! The coprocessor's instructions on a machine that has none: the faults that CR0 asks for (SDM vol. 3, 2.5, table 2-2; for
//! MMX vol. 3, chapter "MMX technology system programming"), else the end of the run.

use iced_x86::{CpuidFeature, Instruction, Mnemonic};

use super::super::core::{CR0_EM, CR0_MP, CR0_TS, Core};
use super::super::fault::{Flow, Stop, Vector};
use super::super::op::{After, Op, run};
use super::unsupported;

fn not_available(core: &mut Core) -> Stop {
    core.raise(Vector::DeviceNotAvailable, 0)
}

fn floating_point(core: &mut Core, op: &Op) -> Flow {
    if core.cr0 & (CR0_EM | CR0_TS) != 0 { Err(not_available(core)) } else { unsupported(core, op) }
}

fn multimedia(core: &mut Core, op: &Op) -> Flow {
    if core.cr0 & CR0_EM != 0 { Err(core.ud()) } else { floating_point(core, op) }
}

/// `WAIT`: no floating-point exception is ever pending.
fn wait(core: &mut Core, _: &Op) -> Flow {
    let both = CR0_MP | CR0_TS;
    if core.cr0 & both == both { Err(not_available(core)) } else { Ok(()) }
}

pub(super) fn lower(instruction: &Instruction, op: &mut Op) -> Option<After> {
    use CpuidFeature::{FPU, FPU287, FPU387, FXSR, MMX};
    if instruction.mnemonic() == Mnemonic::Wait {
        op.run = run!(wait);
        return Some(After::Next);
    }
    let needs = |wanted: &[CpuidFeature]| instruction.cpuid_features().iter().any(|feature| wanted.contains(feature));
    op.run = if needs(&[MMX]) {
        run!(multimedia)
    } else if needs(&[FPU, FPU287, FPU387, FXSR]) {
        run!(floating_point)
    } else {
        return None;
    };
    Some(After::Ends)
}
