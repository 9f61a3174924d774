//! A system that is run, stopped, stepped and taken back.
//!
//! Time is [`Machine::retired`](crate::machine::Machine::retired), which every instruction moves on: a moment is one number. A
//! repeated instruction moves it on by its rounds, so not every number is a moment.

use std::collections::BTreeSet;
use std::error::Error;
use std::fmt;

use iced_x86::{Decoder, DecoderOptions, Instruction};

use super::history::History;
use super::watch::{Watchpoint, hit};
use super::{Guest, Symbols};
use crate::host::{self, BuildError, End, Places};
use crate::machine::Machine;

/// Bytes of the longest instruction.
const LONGEST: usize = 15;

/// Instructions within which a system has to get to ring 3.
const BOOT: u64 = 10_000_000;

/// Instructions between two questions whether a run is to stop.
const SLICE: u64 = 100_000;

/// Why a target stopped.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Stop {
    /// The step is done.
    Step,
    /// The instruction at this address is next, and has a breakpoint.
    Breakpoint(u64),
    /// Data was accessed: by the instruction that is done or, backwards, that is next.
    Watchpoint(Watchpoint),
    /// It was asked to.
    Interrupted,
    /// The budget is used up.
    Budget,
    /// There is nothing before: this is where ring 3 began, or what was changed last.
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
    watchpoints: BTreeSet<Watchpoint>,
    history: History,
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
        let mut history = History::default();
        history.remember(&mut guest);
        let (breakpoints, watchpoints) = (BTreeSet::new(), BTreeSet::new());
        Ok(Self { guest, system, symbols, breakpoints, watchpoints, history })
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

    /// Sets a watchpoint; false if there is one like it already, or if it is for no byte. As long as there are watchpoints the
    /// machine is observed, and its events are those of the last instruction.
    pub fn set_watchpoint(&mut self, watchpoint: Watchpoint) -> bool {
        let new = watchpoint.length > 0 && self.watchpoints.insert(watchpoint);
        if new {
            self.guest.machine_mut().observe();
        }
        new
    }

    /// Takes a watchpoint away; false if there is none.
    pub fn clear_watchpoint(&mut self, watchpoint: &Watchpoint) -> bool {
        let known = self.watchpoints.remove(watchpoint);
        if self.watchpoints.is_empty() {
            self.guest.machine_mut().unobserve();
        }
        known
    }

    /// The watchpoints.
    pub fn watchpoints(&self) -> impl Iterator<Item = &Watchpoint> {
        self.watchpoints.iter()
    }

    /// One instruction.
    pub fn step(&mut self) -> Stop {
        if self.end().is_none() {
            self.history.remember(&mut self.guest);
        }
        self.advance()
    }

    /// One instruction, of which nothing is remembered.
    fn advance(&mut self) -> Stop {
        if self.watchpoints.is_empty() {
            return self.guest.step().map_or(Stop::Step, Stop::End);
        }
        self.guest.machine_mut().clear_events();
        let end = self.guest.step().map(Stop::End);
        let hit = hit(self.machine(), self.watchpoints.iter()).map(Stop::Watchpoint);
        end.or(hit).unwrap_or(Stop::Step)
    }

    /// Runs until a breakpoint, a watchpoint, the end, the budget's end, or until `interrupted` says so. A breakpoint at the
    /// instruction that is next does not count.
    pub fn go(&mut self, budget: u64, interrupted: &dyn Fn() -> bool) -> Stop {
        self.go_until(budget, interrupted, &mut |_| None)
    }

    /// The same, with a look at the target before each instruction but the first: `done` may end the run.
    ///
    /// It goes step by step, always: a run of whole blocks reads another time-stamp counter, and is interrupted elsewhere, and
    /// so would not be what a step back finds.
    pub fn go_until(
        &mut self,
        budget: u64,
        interrupted: &dyn Fn() -> bool,
        done: &mut dyn FnMut(&mut Self) -> Option<Stop>,
    ) -> Stop {
        let limit = self.now().saturating_add(budget);
        for count in 1u64.. {
            if let stop @ (Stop::End(_) | Stop::Watchpoint(_)) = self.step() {
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
        if !self.history.restore(&mut self.guest, end.saturating_sub(1)) {
            return Stop::Beginning;
        }
        let (mut last, mut stop) = (self.now(), Stop::Step);
        while self.now() < end {
            self.history.remember_before(&mut self.guest, end);
            last = self.now();
            stop = self.advance();
            if matches!(stop, Stop::End(_)) {
                break;
            }
        }
        self.travel(last);
        if matches!(stop, Stop::Watchpoint(_)) { stop } else { Stop::Step }
    }

    /// Goes back to where a breakpoint was last met, or before the last access that a watchpoint waits for, or to the
    /// beginning. What is at the moment itself does not count.
    pub fn go_back(&mut self, interrupted: &dyn Fn() -> bool) -> Stop {
        let mut end = self.now();
        // Part for part, the last one first; in each, what is met last counts.
        while let Some(start) = self.history.restore_before(&mut self.guest, end) {
            let mut last = None;
            for count in 1u64.. {
                let (time, at) = (self.now(), self.machine().rip());
                if time >= end {
                    break;
                }
                if self.breakpoints.contains(&at) {
                    last = Some((time, Stop::Breakpoint(at)));
                }
                match self.advance() {
                    stop @ Stop::Watchpoint(_) => last = Some((time, stop)),
                    Stop::End(_) => break,
                    _ => {}
                }
                if count % SLICE == 0 && interrupted() {
                    self.travel(end);
                    return Stop::Interrupted;
                }
            }
            if let Some((time, stop)) = last {
                self.travel(time);
                return stop;
            }
            end = start;
            self.travel(end);
            if interrupted() {
                return Stop::Interrupted;
            }
        }
        Stop::Beginning
    }

    /// Goes to a moment that is past, or the first one behind it; false, and nothing changed, if it is before the beginning.
    pub fn travel(&mut self, time: u64) -> bool {
        let there = self.history.restore(&mut self.guest, time);
        while there && self.now() < time && self.guest.step().is_none() {
            self.guest.machine_mut().clear_events();
            self.history.remember_before(&mut self.guest, time);
        }
        there
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
mod tests;
