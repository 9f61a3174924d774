//! `g`, `t`, `p`, `gu`, `pc` and the way back.

use std::sync::atomic::Ordering;

use iced_x86::{FlowControl, Instruction, Mnemonic};

use super::arguments::Arguments;
use super::error::Error;
use super::{Kd, stop};
use crate::debug::{Stop, Target};

/// The most steps that `t` and `p` take at once.
const MOST: u64 = 1_000_000;

/// The most bytes of a stack.
const STACK: u64 = 0x1_0000;

/// Whether an instruction enters the kernel, or anything else by the IDT.
pub(super) fn is_entry(instruction: &Instruction) -> bool {
    matches!(instruction.mnemonic(), Mnemonic::Sysenter | Mnemonic::Syscall)
        || instruction.flow_control() == FlowControl::Interrupt
}

/// Whether an instruction is a call.
pub(super) fn is_call(instruction: &Instruction) -> bool {
    !is_entry(instruction) && matches!(instruction.flow_control(), FlowControl::Call | FlowControl::IndirectCall)
}

/// Whether an instruction returns, from a routine or from the kernel.
pub(super) fn is_return(instruction: &Instruction) -> bool {
    instruction.flow_control() == FlowControl::Return
}

impl Kd {
    /// A target that can run, ready to be interrupted.
    pub(super) fn runnable(&mut self, arguments: &Arguments<'_>) -> Result<(), Error> {
        self.clear_interrupt();
        match self.target.end() {
            None => Ok(()),
            Some(end) => Err(Error::of_target(format!(
                "No runnable debuggees error in '{}': {end}; t- and g- go back",
                arguments.command()
            ))),
        }
    }

    /// Runs as `go_until` does.
    pub(super) fn run_until(&mut self, done: &mut dyn FnMut(&mut Target) -> Option<Stop>) -> Stop {
        let interrupt = self.interrupt();
        self.target.go_until(u64::MAX, &|| interrupt.load(Ordering::Relaxed), done)
    }

    /// The instruction that is next.
    fn next_instruction(&self) -> Option<Instruction> {
        self.target.instruction(self.target.machine().rip())
    }

    fn step_over(&mut self) -> Stop {
        let Some(instruction) = self.next_instruction() else { return self.target.step() };
        let machine = self.target.machine();
        let (cpl, sp, next) = (machine.cpl(), machine.register64(4), instruction.next_ip());
        let repeats = instruction.has_rep_prefix() || instruction.has_repne_prefix();
        if is_entry(&instruction) {
            return self.run_until(&mut |target| (target.machine().cpl() == cpl).then_some(Stop::Step));
        }
        if !is_call(&instruction) && !repeats {
            return self.target.step();
        }
        self.run_until(&mut |target| {
            let machine = target.machine();
            (machine.cpl() == cpl && machine.rip() == next && machine.register64(4) >= sp).then_some(Stop::Step)
        })
    }

    /// Takes back the last instruction; if that was a return, all of the call, and if it came back from the kernel, all of that.
    fn step_back_over(&mut self) -> Stop {
        let mut depth = 0u32;
        loop {
            let after = self.target.machine().cpl();
            let stop = self.target.step_back();
            if stop != Stop::Step {
                return stop;
            }
            let before = self.target.machine().cpl();
            let undone = self.next_instruction();
            let entered = before > after || undone.is_some_and(|undone| is_call(&undone) || is_entry(&undone));
            if undone.is_some_and(|undone| is_return(&undone)) {
                depth += 1;
            } else if entered {
                depth = depth.saturating_sub(1);
            }
            if depth == 0 {
                return Stop::Step;
            }
            if self.interrupt.load(Ordering::Relaxed) {
                return Stop::Interrupted;
            }
        }
    }

    /// Steps some times, until one of them stops for another reason.
    fn steps(
        &mut self,
        arguments: &mut Arguments<'_>,
        out: &mut String,
        step: fn(&mut Self) -> Stop,
    ) -> Result<(), Error> {
        let place = arguments.place();
        let count = arguments.optional(self)?.unwrap_or(1);
        arguments.end()?;
        if count > MOST {
            return Err(Error::at(place, format!("At most {MOST:x} steps")));
        }
        let mut stop = Stop::Step;
        for _ in 0..count {
            stop = step(self);
            if self.interrupt.load(Ordering::Relaxed) {
                stop = Stop::Interrupted;
            }
            if stop != Stop::Step {
                break;
            }
        }
        stop::report(self, &stop, out);
        Ok(())
    }
}

/// `t`.
pub(super) fn t(kd: &mut Kd, arguments: &mut Arguments<'_>, out: &mut String) -> Result<(), Error> {
    kd.runnable(arguments)?;
    kd.steps(arguments, out, |kd| kd.target.step())
}

/// `p`.
pub(super) fn p(kd: &mut Kd, arguments: &mut Arguments<'_>, out: &mut String) -> Result<(), Error> {
    kd.runnable(arguments)?;
    kd.steps(arguments, out, Kd::step_over)
}

/// `t-`.
pub(super) fn t_back(kd: &mut Kd, arguments: &mut Arguments<'_>, out: &mut String) -> Result<(), Error> {
    kd.clear_interrupt();
    kd.steps(arguments, out, |kd| kd.target.step_back())
}

/// `p-`.
pub(super) fn p_back(kd: &mut Kd, arguments: &mut Arguments<'_>, out: &mut String) -> Result<(), Error> {
    kd.clear_interrupt();
    kd.steps(arguments, out, Kd::step_back_over)
}

/// `g`, to a breakpoint or to an address.
pub(super) fn g(kd: &mut Kd, arguments: &mut Arguments<'_>, out: &mut String) -> Result<(), Error> {
    kd.runnable(arguments)?;
    let until = if arguments.is_empty() { None } else { Some(arguments.address(kd)?) };
    arguments.end()?;
    let set = until.filter(|address| kd.target.set_breakpoint(*address));
    let interrupt = kd.interrupt();
    let stop = kd.target.go(u64::MAX, &|| interrupt.load(Ordering::Relaxed));
    if let Some(address) = set {
        kd.target.clear_breakpoint(address);
    }
    stop::report(kd, &stop, out);
    Ok(())
}

/// `g-`.
pub(super) fn g_back(kd: &mut Kd, arguments: &mut Arguments<'_>, out: &mut String) -> Result<(), Error> {
    arguments.end()?;
    kd.clear_interrupt();
    let interrupt = kd.interrupt();
    let stop = kd.target.go_back(&|| interrupt.load(Ordering::Relaxed));
    stop::report(kd, &stop, out);
    Ok(())
}

/// `gu`: until the routine has returned, or ring 0 to ring 3.
pub(super) fn gu(kd: &mut Kd, arguments: &mut Arguments<'_>, out: &mut String) -> Result<(), Error> {
    kd.runnable(arguments)?;
    arguments.end()?;
    let machine = kd.target.machine();
    let (cpl, sp) = (machine.cpl(), machine.register64(4));
    let mut returns = kd.next_instruction().is_some_and(|next| is_return(&next));
    let stop = kd.run_until(&mut |target| {
        let machine = target.machine();
        // The stack that `syscall` leaves in use is not the one that the kernel's routines return on.
        let above = machine.register64(4).zip(sp).is_some_and(|(now, sp)| now > sp && now - sp < STACK);
        let up = machine.cpl() > cpl || machine.cpl() == cpl && above;
        if returns && up {
            return Some(Stop::Step);
        }
        returns = target.instruction(machine.rip()).is_some_and(|next| is_return(&next));
        None
    });
    stop::report(kd, &stop, out);
    Ok(())
}

/// `pc`: to the next call.
pub(super) fn pc(kd: &mut Kd, arguments: &mut Arguments<'_>, out: &mut String) -> Result<(), Error> {
    kd.runnable(arguments)?;
    arguments.end()?;
    let mut stop = kd.step_over();
    while stop == Stop::Step && !kd.next_instruction().is_some_and(|next| is_call(&next) || is_entry(&next)) {
        stop = if kd.interrupt.load(Ordering::Relaxed) { Stop::Interrupted } else { kd.step_over() };
    }
    stop::report(kd, &stop, out);
    Ok(())
}
