//! A system that is run, stopped, stepped and taken back.
//!
//! Time is [`Machine::retired`](crate::machine::Machine::retired), which every instruction moves on: a moment is one number. A
//! repeated instruction moves it on by its rounds, so not every number is a moment.

use std::collections::BTreeSet;
use std::error::Error;
use std::fmt;

use iced_x86::{Decoder, DecoderOptions, Instruction};

use super::{Guest, Symbols};
use crate::host::{self, BuildError, End, Places};
use crate::machine::{Machine, Snapshot};

/// Bytes of the longest instruction.
const LONGEST: usize = 15;

/// Instructions within which a system has to get to ring 3.
const BOOT: u64 = 10_000_000;

/// Instructions between two snapshots, at the beginning. When there are too many, every second one goes and the distance
/// doubles.
const DISTANCE: u64 = 4_096;

/// The most snapshots that are kept.
const MOST: usize = 64;

/// Instructions that a run without breakpoints goes on before it asks whether it is to stop.
const SLICE: u64 = 100_000;

/// How far a run may go beyond its budget: to the end of a block, in which repeated instructions count each round.
const OVERSHOOT: u64 = 64 * 4096;

/// Why a target stopped.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Stop {
    /// The step is done.
    Step,
    /// The instruction at this address is next, and has a breakpoint.
    Breakpoint(u64),
    /// It was asked to.
    Interrupted,
    /// The budget is used up.
    Budget,
    /// There is nothing before: this is where ring 3 began.
    Beginning,
    /// The program has ended.
    End(End),
}

/// Why there is no target.
#[derive(Debug)]
#[non_exhaustive]
pub enum BootError {
    /// There is no machine.
    Build(BuildError),
    /// The system did not get to ring 3.
    NoProgram(Option<End>),
}

impl fmt::Display for BootError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Build(error) => error.fmt(f),
            Self::NoProgram(Some(end)) => write!(f, "the system did not boot: {end}"),
            Self::NoProgram(None) => f.write_str("the system did not boot: it does not come to ring 3"),
        }
    }
}

impl Error for BootError {}

impl From<BuildError> for BootError {
    fn from(error: BuildError) -> Self {
        Self::Build(error)
    }
}

/// A booted system with a program in ring 3: see the [module's page](crate::debug).
#[derive(Debug)]
pub struct Target {
    guest: host::Machine<'static>,
    system: Guest,
    symbols: Symbols,
    breakpoints: BTreeSet<u64>,
    /// By rising time; the first is where ring 3 begins.
    history: Vec<Snapshot>,
    distance: u64,
}

impl Target {
    /// Boots a system up to the program's first instruction. Its closures have to give the same answers when a call comes
    /// again, as it does when the target has gone back.
    ///
    /// # Errors
    /// What the builder says, or that the system did not get to ring 3.
    pub fn boot(builder: host::Builder<'static>) -> Result<Self, BootError> {
        let mut guest = builder.build()?;
        let limit = guest.machine().retired() + BOOT;
        while guest.machine().cpl() != 3 {
            let end = guest.step();
            if end.is_some() || guest.machine().retired() > limit {
                return Err(BootError::NoProgram(end));
            }
        }
        let symbols = symbols(guest.places());
        let system = Guest::of(guest.places()).ok_or(BootError::NoProgram(None))?;
        let history = vec![guest.snapshot(None)];
        Ok(Self { guest, system, symbols, breakpoints: BTreeSet::new(), history, distance: DISTANCE })
    }

    /// The machine.
    #[must_use]
    pub fn machine(&self) -> &Machine {
        self.guest.machine()
    }

    /// The machine, to look at memory.
    pub fn memory(&mut self) -> &mut Machine {
        self.guest.machine_mut()
    }

    /// The machine, to change something. The history of what was before goes: it would not lead to here any more.
    pub fn change(&mut self) -> &mut Machine {
        self.history.clear();
        self.guest.machine_mut()
    }

    /// The names of the system's routines and structures.
    #[must_use]
    pub fn symbols(&self) -> &Symbols {
        &self.symbols
    }

    /// The system that it is.
    #[must_use]
    pub fn guest(&self) -> Guest {
        self.system
    }

    /// The instruction at an address; `None` if no memory is there, or nothing that could be an instruction.
    #[must_use]
    pub fn instruction(&self, address: u64) -> Option<Instruction> {
        let read = |size| self.machine().read_linear64(address, size);
        let bytes = (1..=LONGEST).rev().find_map(read)?;
        let instruction = Decoder::with_ip(self.places().bits(), &bytes, address, DecoderOptions::NONE).decode();
        (!instruction.is_invalid()).then_some(instruction)
    }

    /// Where things are in the guest.
    #[must_use]
    pub fn places(&self) -> &Places {
        self.guest.places()
    }

    /// What the guest wrote to its debug console.
    #[must_use]
    pub fn console(&self) -> &[u8] {
        self.guest.console()
    }

    /// How the program ended, if it has.
    #[must_use]
    pub fn end(&self) -> Option<&End> {
        self.guest.end()
    }

    /// The time: instructions since the machine was made.
    #[must_use]
    pub fn now(&self) -> u64 {
        self.machine().retired()
    }

    /// Sets a breakpoint; false if there is one already.
    pub fn set_breakpoint(&mut self, address: u64) -> bool {
        self.breakpoints.insert(address)
    }

    /// Takes a breakpoint away; false if there is none.
    pub fn clear_breakpoint(&mut self, address: u64) -> bool {
        self.breakpoints.remove(&address)
    }

    /// The addresses with breakpoints.
    pub fn breakpoints(&self) -> impl Iterator<Item = u64> {
        self.breakpoints.iter().copied()
    }

    /// One instruction.
    pub fn step(&mut self) -> Stop {
        self.remember();
        self.guest.step().map_or(Stop::Step, Stop::End)
    }

    /// Runs until a breakpoint, the end, the budget's end, or until `interrupted` says so. A breakpoint at the instruction
    /// that is next does not count.
    pub fn go(&mut self, budget: u64, interrupted: &dyn Fn() -> bool) -> Stop {
        let limit = self.now().saturating_add(budget);
        if !self.breakpoints.is_empty() {
            return self.go_until(budget, interrupted, &mut |_| None);
        }
        loop {
            self.remember();
            let left = limit.saturating_sub(self.now());
            match self.guest.run(left.min(SLICE).min(self.distance)) {
                End::Budget if self.now() >= limit => return Stop::Budget,
                End::Budget if interrupted() => return Stop::Interrupted,
                End::Budget => {}
                end => return Stop::End(end),
            }
        }
    }

    /// The same step by step, with a look at the target before each instruction but the first: `done` may end the run.
    pub fn go_until(
        &mut self,
        budget: u64,
        interrupted: &dyn Fn() -> bool,
        done: &mut dyn FnMut(&mut Self) -> Option<Stop>,
    ) -> Stop {
        let limit = self.now().saturating_add(budget);
        for count in 1u64.. {
            if let stop @ Stop::End(_) = self.step() {
                return stop;
            }
            if let Some(stop) = done(self) {
                return stop;
            }
            let at = self.machine().rip();
            if self.breakpoints.contains(&at) {
                return Stop::Breakpoint(at);
            }
            if self.now() >= limit {
                return Stop::Budget;
            }
            if count % SLICE == 0 && interrupted() {
                return Stop::Interrupted;
            }
        }
        Stop::Budget
    }

    /// Takes back the last instruction.
    pub fn step_back(&mut self) -> Stop {
        let end = self.now();
        let Some(before) = end.checked_sub(1) else { return Stop::Beginning };
        if !self.approach(before) {
            return Stop::Beginning;
        }
        let mut last = self.now();
        while self.now() < end {
            last = self.now();
            self.guest.step();
        }
        self.travel(last);
        Stop::Step
    }

    /// Goes back to where a breakpoint was last met, or to the beginning.
    pub fn go_back(&mut self, interrupted: &dyn Fn() -> bool) -> Stop {
        let mut end = self.now();
        while let Some(start) = self.history.iter().map(Snapshot::retired).rfind(|time| *time < end) {
            self.travel(start);
            let mut last = None;
            while self.now() < end {
                let at = self.machine().rip();
                if self.breakpoints.contains(&at) {
                    last = Some((self.now(), at));
                }
                self.guest.step();
            }
            if let Some((time, at)) = last {
                self.travel(time);
                return Stop::Breakpoint(at);
            }
            end = start;
            self.travel(start);
            if interrupted() {
                return Stop::Interrupted;
            }
        }
        Stop::Beginning
    }

    /// Goes to a moment that is past, or the first one behind it; false, and nothing changed, if it is before the beginning.
    pub fn travel(&mut self, time: u64) -> bool {
        let there = self.approach(time);
        while there && self.now() < time && self.guest.step().is_none() {}
        there
    }

    /// Goes to some moment at or before a time, not far from it; false, and nothing changed, if there is none.
    fn approach(&mut self, time: u64) -> bool {
        let Some(snapshot) = self.history.iter().rfind(|snapshot| snapshot.retired() <= time) else { return false };
        self.guest.restore(snapshot);
        let far = time.saturating_sub(self.now()).saturating_sub(OVERSHOOT);
        if far > 0 {
            self.guest.run(far);
        }
        true
    }

    /// Keeps a snapshot if the last one is old enough.
    fn remember(&mut self) {
        let last = self.history.last();
        let due = last.is_none_or(|last| self.now() >= last.retired().saturating_add(self.distance));
        if !due || self.end().is_some() {
            return;
        }
        let snapshot = self.guest.snapshot(last);
        self.history.push(snapshot);
        if self.history.len() > MOST {
            // The first stays: it is where going back ends.
            let mut index = 0;
            self.history.retain(|_| {
                index += 1;
                index % 2 == 1
            });
            self.distance *= 2;
        }
    }
}

/// The symbols of a system, with both names of ntdll's stubs.
fn symbols(places: &Places) -> Symbols {
    let mut symbols = Symbols::new(places.symbols());
    for (name, address) in places.stubs() {
        symbols.insert(&format!("ntdll!{name}"), address);
        if let Some(rest) = name.strip_prefix("Nt") {
            symbols.insert(&format!("ntdll!Zw{rest}"), address);
        }
    }
    symbols
}

#[cfg(test)]
mod tests {
    use iced_x86::code_asm::{CodeAssembler, eax, ecx};

    use super::*;
    use crate::host::NtStatus;

    /// A program that counts in ECX up to `rounds`, closes handle 5, and ends with what the call returned.
    fn target(profile: &str, rounds: u32) -> Target {
        let builder = host::Machine::builder().profile(profile).prover_values().program(move |places| {
            let mut a = CodeAssembler::new(places.bits())?;
            let mut round = a.create_label();
            a.xor(ecx, ecx)?;
            a.set_label(&mut round)?;
            a.inc(ecx)?;
            a.cmp(ecx, rounds)?;
            a.jne(round)?;
            a.push(5)?;
            a.call(places.stub("NtClose")?)?;
            a.push(eax)?;
            a.push(-1)?;
            a.call(places.stub("NtTerminateProcess")?)?;
            Ok(a.assemble(places.start())?)
        });
        Target::boot(builder).expect("it boots")
    }

    fn state(target: &Target) -> (u64, u64, Vec<Option<u64>>) {
        let registers = (0..8).map(|number| target.machine().register64(number)).collect();
        (target.now(), target.machine().rip(), registers)
    }

    #[test]
    fn every_step_can_be_taken_back() {
        let mut target = target("winxp", 3);
        assert_eq!(target.step_back(), Stop::Beginning);
        let mut states = vec![state(&target)];
        while target.step() == Stop::Step {
            states.push(state(&target));
        }
        assert!(matches!(target.end(), Some(End::Exit(_))), "{:?}", target.end());
        assert!(states.len() > 100, "{} steps", states.len());
        for before in states.iter().rev() {
            assert_eq!(target.step_back(), Stop::Step);
            assert_eq!(state(&target), *before);
            assert_eq!(target.end(), None);
        }
        assert_eq!(target.step_back(), Stop::Beginning);
        let end = target.go(1_000_000, &|| false);
        assert!(matches!(end, Stop::End(End::Exit(NtStatus(status))) if status != 0), "{end:?}");
    }

    #[test]
    fn breakpoints_stop_it_in_both_directions() {
        // Far more rounds than a snapshot lasts.
        let mut target = target("srv2003", 100_000);
        let start = state(&target);
        let entry = target.symbols().address("nt!KiFastCallEntry").unwrap();
        assert!(target.set_breakpoint(entry) && !target.set_breakpoint(entry));
        assert_eq!(target.go(10_000_000, &|| false), Stop::Breakpoint(entry));
        let first = state(&target);
        assert_eq!(target.go(10_000_000, &|| false), Stop::Breakpoint(entry), "NtTerminateProcess");
        assert_eq!(target.go_back(&|| false), Stop::Breakpoint(entry));
        assert_eq!(state(&target), first);
        assert_eq!(target.go_back(&|| false), Stop::Beginning);
        assert_eq!(state(&target), start);
        assert!(target.clear_breakpoint(entry) && !target.clear_breakpoint(entry));
        assert!(target.history.len() <= MOST);
        assert!(matches!(target.go(10_000_000, &|| false), Stop::End(_)));
        assert!(target.travel(first.0));
        assert_eq!(state(&target), first);
    }

    #[test]
    fn a_run_ends_with_its_budget_or_when_it_is_asked_to() {
        let mut target = target("win7", u32::MAX);
        assert_eq!(target.go(1_000, &|| false), Stop::Budget);
        assert_eq!(target.go(u64::MAX, &|| true), Stop::Interrupted);
        target.set_breakpoint(0);
        assert_eq!(target.go(1_000, &|| false), Stop::Budget);
        assert_eq!(target.go(u64::MAX, &|| true), Stop::Interrupted);
    }

    #[test]
    fn what_was_changed_is_where_going_back_ends() {
        let mut target = target("nt4", 10);
        target.step();
        target.change().set_register64(1, 7).unwrap();
        let changed = state(&target);
        target.step();
        assert_eq!(target.step_back(), Stop::Step);
        assert_eq!(state(&target), changed);
        assert_eq!(target.step_back(), Stop::Beginning);
    }
}
