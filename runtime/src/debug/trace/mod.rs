//! What a system does, instruction by instruction, with the events between them.
//!
//! [`Trace::record`] steps a target and notes of each instruction where it stands, in which ring it runs, which registers it
//! changes, and what the machine's observer sees of it: [`machine::Event`](crate::machine::Event). [`call`] does that for one
//! call of a service, from the first instruction of its stub to the return to the caller, and knows what came of it.
//!
//! ```
//! use ntgate_runtime::debug::trace::{Options, call};
//! use ntgate_runtime::host::Entry;
//!
//! let call = call(&Options::new("NtClose", &[0x1234]).entry(Entry::Int2e)).expect("srv2003 has it");
//! assert_eq!(call.arguments, [0x1234]);
//! // Without SYSENTER the processor itself reads a gate, and two descriptors on the way in alone.
//! assert_eq!(call.counts.gates, 1);
//! assert!(call.to_text().contains("CPL 3 <= DPL 3 of the gate"));
//! ```

mod call;
mod counts;
mod json;
mod names;
mod state;
mod text;
mod words;

pub use call::{Call, CallError, Options, call};
pub use counts::{Counts, Phase};
pub use names::Names;
pub use state::Change;
pub use words::{event, msr};

#[cfg(feature = "picture")]
pub(super) use self::{call::status, text::changes, text::instructions, words::address};

use iced_x86::{Decoder, DecoderOptions, Formatter, Instruction, MasmFormatter, SymbolResolver, SymbolResult};

use self::state::State;
use super::{Stop, Symbols, Target};
use crate::machine::{Event, Machine, SegmentRegister};

/// The longest instruction.
const LONGEST: usize = 15;

/// An instruction that was executed, or what came in its place.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Step {
    /// Its linear address.
    pub address: u64,
    /// The ring in which it ran.
    pub ring: u8,
    /// The ring after it.
    pub ring_after: u8,
    /// Its bytes.
    pub bytes: Vec<u8>,
    /// The instruction in words.
    pub text: String,
    /// The registers that it changed, but for the instruction pointer.
    pub changes: Vec<Change>,
    /// What happened within it, in order.
    pub events: Vec<Event>,
}

/// Instructions of one routine, one after the other.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Visit {
    /// `nt!KiSystemService`, or hexadecimal digits where there is no symbol.
    pub routine: String,
    /// Address of the routine.
    pub start: u64,
    /// The ring.
    pub ring: u8,
    /// Index of the first step, and of the one behind the last.
    pub steps: (usize, usize),
}

/// What a target did.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct Trace {
    /// Every instruction.
    pub steps: Vec<Step>,
    /// The same by the routines in which they stand.
    pub visits: Vec<Visit>,
}

impl Trace {
    /// Steps the target until `done` says so before an instruction, until it ends, or until `most` instructions are noted.
    /// Why it stopped is the second value.
    pub fn record(target: &mut Target, most: usize, done: &mut dyn FnMut(&mut Target) -> bool) -> (Self, Stop) {
        let mut trace = Self::default();
        target.memory().observe();
        let stop = loop {
            if trace.steps.len() >= most {
                break Stop::Budget;
            }
            let stop = trace.step(target);
            if stop != Stop::Step {
                break stop;
            }
            if done(target) {
                break Stop::Step;
            }
        };
        target.memory().unobserve();
        (trace, stop)
    }

    fn step(&mut self, target: &mut Target) -> Stop {
        let before = State::of(target.machine());
        let (address, ring) = (linear_ip(target.machine()), target.machine().cpl());
        let (bytes, text) = disassemble(target, address);
        target.memory().clear_events();
        let stop = target.step();
        let after = State::of(target.machine());
        let events = target.machine().events().to_vec();
        self.visit(target.symbols(), address, ring);
        let ring_after = target.machine().cpl();
        self.steps.push(Step { address, ring, ring_after, bytes, text, changes: after.changes_from(&before), events });
        stop
    }

    /// Adds the next step to the visit that goes on, or to a new one.
    fn visit(&mut self, symbols: &Symbols, address: u64, ring: u8) {
        let index = self.steps.len();
        let near = symbols.nearest(address);
        let start = near.map_or(address, |near| near.address);
        match self.visits.last_mut() {
            // Code without a symbol is one routine as long as it goes on.
            Some(last)
                if last.ring == ring && (last.start == start || near.is_none() && !last.routine.contains('!')) =>
            {
                last.steps.1 = index + 1;
            }
            _ => {
                let routine = symbols.describe(start);
                self.visits.push(Visit { routine, start, ring, steps: (index, index + 1) });
            }
        }
    }

    /// The steps of a visit.
    #[must_use]
    pub fn steps_of(&self, visit: &Visit) -> &[Step] {
        self.steps.get(visit.steps.0..visit.steps.1).unwrap_or_default()
    }
}

/// The linear address of the next instruction.
pub(super) fn linear_ip(machine: &Machine) -> u64 {
    let cs = machine.segment(SegmentRegister::Cs);
    match machine.long_mode() {
        (_, true) => machine.rip(),
        _ => u64::from((cs.base as u32).wrapping_add(machine.eip())),
    }
}

/// The bytes of the instruction at a linear address, and the instruction in words.
fn disassemble(target: &mut Target, address: u64) -> (Vec<u8>, String) {
    let bits = if target.machine().long_mode().1 { 64 } else { target.places().bits().min(32) };
    let mut bytes = target.memory().read_linear64(address, LONGEST).unwrap_or_default();
    let mut length = LONGEST;
    while bytes.is_empty() && length > 1 {
        length -= 1;
        bytes = target.memory().read_linear64(address, length).unwrap_or_default();
    }
    let instruction = Decoder::with_ip(bits, &bytes, address, DecoderOptions::NONE).decode();
    bytes.truncate(instruction.len());
    if instruction.is_invalid() {
        return (bytes, "???".to_owned());
    }
    let text = words_of(&instruction, target.symbols());
    (bytes, text)
}

/// An instruction as a debugger shows it.
fn words_of(instruction: &Instruction, symbols: &Symbols) -> String {
    struct Resolver(Vec<(u64, String)>);

    impl SymbolResolver for Resolver {
        fn symbol(
            &mut self,
            _: &Instruction,
            _: u32,
            _: Option<u32>,
            address: u64,
            _: u32,
        ) -> Option<SymbolResult<'_>> {
            let (known, name) = self.0.iter().find(|(known, _)| *known == address)?;
            Some(SymbolResult::with_str(*known, name))
        }
    }

    // Of the numbers in an instruction only its branch target and its displacement can be addresses that have names.
    let places = [instruction.near_branch_target(), instruction.memory_displacement64()];
    let known = places.into_iter().filter_map(|at| Some((at, symbols.at(at).first()?.clone())));
    let mut formatter = MasmFormatter::with_options(Some(Box::new(Resolver(known.collect()))), None);
    let options = formatter.options_mut();
    options.set_first_operand_char_index(8);
    options.set_space_after_operand_separator(false);
    options.set_branch_leading_zeros(false);
    options.set_show_branch_size(false);
    let mut text = String::new();
    formatter.format(instruction, &mut text);
    text
}

#[cfg(test)]
mod tests;
