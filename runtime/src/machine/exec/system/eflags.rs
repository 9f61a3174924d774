//! EFLAGS as a whole, and the interrupt flag (SDM vol. 2, PUSHF, POPF, CLI, STI; vol. 3, 2.3).

use iced_x86::{Code, Instruction};

use super::super::super::core::Core;
use super::super::super::fault::{Flow, Stop};
use super::super::super::flags;
use super::super::super::observe::{Check, Rule};
use super::super::super::op::{After, Op, Run, run, step};
use super::super::super::width::Width;

/// What `POPF` and `IRET` can change at all. RF is not among them; `IRET` takes care of it (`breakpoint`). VIF
/// and VIP belong to the virtual-8086 extensions, which it does not have.
const LOADABLE: u32 =
    flags::ARITHMETIC | flags::TF | flags::IF | flags::DF | flags::IOPL | flags::NT | flags::AC | flags::ID;

impl Core {
    /// The bits of EFLAGS that can be loaded on this processor.
    pub(crate) fn loadable_flags(&self) -> u32 {
        if self.model.has_cpuid { LOADABLE } else { LOADABLE & !flags::ID }
    }

    /// Loads EFLAGS with the rights that CPL `cpl` has: IOPL only at 0, IF only up to IOPL. The others stay, without a
    /// fault.
    #[inline]
    pub(crate) fn load_flags(&mut self, image: u32, wide: bool, cpl: u8) {
        let before = self.flags.system();
        let mut mask = self.loadable_flags();
        if cpl > 0 {
            mask &= !flags::IOPL;
        }
        if cpl > self.flags.iopl() {
            mask &= !flags::IF;
        }
        if !wide {
            mask &= 0xFFFF;
        }
        // The arithmetic flags are in every mask, so the others are all that can stay.
        self.flags.set(before & !mask | image & mask);
        if self.devices.is_pending() {
            self.pause = 0;
        }
        self.alignment_changed(before);
    }
}

/// `PUSHF`: VM and RF are clear in the image.
fn pushf<W: Width>(core: &mut Core, _: &Op) -> Flow {
    let image = core.flags.get() & !(flags::VM | flags::RF);
    core.push(W::cut(u64::from(image)))
}

fn popf<W: Width>(core: &mut Core, _: &Op) -> Flow {
    let image = core.pop::<W>()?.zx() as u32;
    core.load_flags(image, W::BITS >= 32, core.cpl);
    Ok(())
}

/// #GP(0) unless the CPL may work the interrupt flag.
fn allow_interrupt_flag(core: &mut Core) -> Flow {
    if core.cpl > core.flags.iopl() {
        core.note_checks(|core| [Check::new(Rule::Iopl, core.cpl, core.flags.iopl(), false)]);
        return Err(core.gp(0));
    }
    Ok(())
}

fn cli(core: &mut Core, _: &Op) -> Flow {
    allow_interrupt_flag(core)?;
    core.flags.change_system(flags::IF, 0);
    Ok(())
}

/// `STI`: where it changes something, interrupts wait for one more instruction. Nothing comes within a block, so there the
/// next instruction is safe by itself; behind the last one, the run loop has to know.
fn sti(core: &mut Core, op: &Op, rest: &[Op]) -> Flow {
    step(core, op, rest, |core, _| {
        allow_interrupt_flag(core)?;
        if core.flags.system() & flags::IF != 0 {
            return Ok(());
        }
        core.flags.change_system(0, flags::IF);
        if rest.is_empty() || core.devices.is_pending() {
            (core.inhibit, core.shadow, core.pause) = (true, false, 0);
            return Err(Stop::Leave);
        }
        Ok(())
    })
}

pub(super) fn lower(instruction: &Instruction, op: &mut Op) -> Option<After> {
    let after = match instruction.code() {
        Code::Pushfw | Code::Pushfd | Code::Pushfq | Code::Cli | Code::Sti => After::Next,
        _ => After::Ends,
    };
    op.run = match instruction.code() {
        Code::Pushfw => run!(pushf::<u16>),
        Code::Pushfd => run!(pushf::<u32>),
        Code::Pushfq => run!(pushf::<u64>),
        Code::Popfw => run!(popf::<u16>),
        Code::Popfd => run!(popf::<u32>),
        Code::Popfq => run!(popf::<u64>),
        Code::Cli => run!(cli),
        Code::Sti => sti as Run,
        _ => return None,
    };
    Some(after)
}
