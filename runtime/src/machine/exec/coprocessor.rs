//! The coprocessor's instructions that the machine does not have (the others are in `sse`): the faults that CR0 asks for (SDM vol. 3, 2.5, table 2-2; for
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

#[cfg(test)]
mod tests {
    use super::super::super::fault::Exit;
    use super::super::super::testing::{CODE, World};
    use super::*;

    fn run(code: &[u8], cr0: u32) -> (Exit, World) {
        let mut world = World::new();
        world.core().cr0 |= cr0;
        let exit = world.run(code);
        (exit, world)
    }

    #[test]
    fn cr0_asks_for_a_fault() {
        // fld1, emms, fxsave [ebx], wait
        let (fld1, emms, fxsave, wait): (&[u8], &[u8], &[u8], &[u8]) =
            (&[0xD9, 0xE8], &[0x0F, 0x77], &[0x0F, 0xAE, 0x03], &[0x9B]);
        for (code, cr0, vector) in [
            (fld1, CR0_EM, 7),
            (fld1, CR0_TS, 7),
            (emms, CR0_EM | CR0_TS, 6),
            (emms, CR0_TS, 7),
            (fxsave, CR0_EM, 7),
            (fxsave, CR0_TS, 7),
            (wait, CR0_TS | CR0_MP, 7),
        ] {
            let (exit, world) = run(code, cr0);
            let seen = world.frame().map(|seen| (seen.vector, seen.eip));
            assert_eq!((exit, seen), (Exit::Halted, Some((vector, CODE))), "{code:02X?} with {cr0:X}");
        }
        for (code, cr0) in [(fld1, CR0_MP), (emms, 0)] {
            let (exit, _) = run(code, cr0);
            assert!(matches!(exit, Exit::Unsupported { address: 0x9000, .. }), "{code:02X?}: {exit:?}");
        }
    }

    #[test]
    fn wait_has_nothing_to_wait_for() {
        for cr0 in [0, CR0_MP, CR0_TS, CR0_EM] {
            let (exit, world) = run(&[0x9B, 0xF4], cr0);
            assert_eq!((exit, world.machine.eip()), (Exit::Halted, CODE + 1), "{cr0:X}");
        }
    }
}
