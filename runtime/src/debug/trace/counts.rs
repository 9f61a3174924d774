//! What a call costs: what the first of the articles calls the cost of the memory method, in numbers.

use super::{Step, Trace};
use crate::debug::Symbols;
use crate::machine::{Event, What};

/// Where both ways into the kernel meet, in either guest.
const JOINED: [&str; 4] =
    ["nt!KiSystemServiceStart", "nt!KiSystemServiceRepeat", "nt!KiSystemCallHandler", "nt!KiSystemServiceHandler"];

/// The guest's own log of facts, which no other kernel writes.
const RECORD: &str = "nt!NtgateRecord";

/// Bytes of it.
const RECORD_SIZE: u64 = 0x280;

/// Instructions from one store to that log to the next one, if the log is all that they are about.
const GAP: usize = 8;

/// A part of a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// From the stub to where the ways into the kernel meet.
    In,
    /// Tables, argument copy, the call of the routine.
    Dispatch,
    /// The service's routine.
    Service,
    /// From its return to the caller.
    Back,
}

impl Phase {
    /// All of them, in order.
    pub const ALL: [Self; 4] = [Self::In, Self::Dispatch, Self::Service, Self::Back];

    /// Its name in texts and pictures.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::In => "way in",
            Self::Dispatch => "dispatch",
            Self::Service => "service",
            Self::Back => "way back",
        }
    }
}

/// How much of what a call took. What the guest does for its own log, and the service's routine, is not in it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Counts {
    /// Instructions in ring 3.
    pub user: usize,
    /// Instructions in ring 0.
    pub kernel: usize,
    /// The same by [`Phase`].
    pub phases: [usize; 4],
    /// Reads and writes of memory by instructions.
    pub memory: usize,
    /// Reads and writes of memory by the processor itself: gates, descriptors, TSS, pushes.
    pub processor: usize,
    /// Gates of the IDT that were read.
    pub gates: usize,
    /// Descriptors that were read.
    pub descriptors: usize,
    /// Fields of the TSS that the processor read.
    pub tss: usize,
    /// What the processor pushed by itself.
    pub pushes: usize,
    /// Model-specific registers that were read.
    pub msrs: usize,
    /// Checks of the protection mechanism.
    pub checks: usize,
    /// Instructions that are not counted, as they write the guest's own log.
    pub own: usize,
}

impl Counts {
    /// What is counted, with words for it.
    #[must_use]
    pub fn rows(&self) -> [(&'static str, usize); 13] {
        let [way_in, dispatch, _, back] = self.phases;
        [
            ("instructions in ring 3", self.user),
            ("instructions in ring 0", self.kernel),
            ("  of both, on the way in", way_in),
            ("  in the dispatch", dispatch),
            ("  on the way back", back),
            ("memory references of instructions", self.memory),
            ("memory references of the processor", self.processor),
            ("  gates read", self.gates),
            ("  descriptors read", self.descriptors),
            ("  TSS fields read", self.tss),
            ("  values pushed", self.pushes),
            ("MSRs read", self.msrs),
            ("protection checks", self.checks),
        ]
    }

    fn add(&mut self, step: &Step, phase: Phase) {
        if step.ring == 3 {
            self.user += 1;
        } else {
            self.kernel += 1;
        }
        self.phases[phase as usize] += 1;
        for event in &step.events {
            match event {
                Event::Memory(access) => match access.what {
                    What::Operand => self.memory += 1,
                    what => {
                        self.processor += 1;
                        match what {
                            What::Gate { .. } => self.gates += usize::from(access.size == 8),
                            What::Descriptor { .. } => self.descriptors += usize::from(!access.write),
                            What::Tss { .. } => self.tss += 1,
                            What::Push => self.pushes += 1,
                            _ => {}
                        }
                    }
                },
                Event::Check(_) => self.checks += 1,
                Event::ReadMsr { .. } => self.msrs += 1,
                _ => {}
            }
        }
    }
}

/// The phase of each step, and which of them are the guest's own.
#[derive(Debug, Clone)]
pub(super) struct Parts {
    joined: usize,
    service: usize,
    after: usize,
    own: Vec<bool>,
}

impl Parts {
    /// `service`: where the service's routine begins.
    pub(super) fn of(trace: &Trace, service: usize, symbols: &Symbols) -> Self {
        let begin = |visit: &&super::Visit| JOINED.contains(&visit.routine.as_str());
        let joined = trace.visits.iter().find(begin).map_or(service, |visit| visit.steps.0);
        let inside = trace.visits.iter().find(|visit| visit.steps.0 == service);
        let after = inside.map_or(service, |visit| visit.steps.1);
        let mut own = vec![false; trace.steps.len()];
        for visit in &trace.visits {
            let whole = visit.routine.starts_with("nt!Ntgate");
            for (step, own) in trace.steps.iter().zip(&mut own).take(visit.steps.1).skip(visit.steps.0) {
                *own = whole || writes_record(step, symbols);
            }
            // And what gets ready what is written.
            fill(&mut own[visit.steps.0..visit.steps.1]);
            // And what calls such a routine.
            if whole && let Some(call) = visit.steps.0.checked_sub(1).and_then(|before| own.get_mut(before)) {
                *call = true;
            }
        }
        Self { joined: joined.min(service), service, after, own }
    }

    pub(super) fn phase(&self, step: usize) -> Phase {
        match step {
            step if step >= self.after => Phase::Back,
            step if step >= self.service => Phase::Service,
            step if step >= self.joined => Phase::Dispatch,
            _ => Phase::In,
        }
    }

    pub(super) fn is_own(&self, step: usize) -> bool {
        self.own.get(step).copied().unwrap_or_default()
    }
}

/// Makes short gaps between two that are true true as well.
fn fill(own: &mut [bool]) {
    let set: Vec<usize> = (0..own.len()).filter(|index| own[*index]).collect();
    for pair in set.windows(2) {
        if pair[1] - pair[0] <= GAP {
            own[pair[0]..pair[1]].fill(true);
        }
    }
}

/// Whether an instruction of another routine is there for the log only.
fn writes_record(step: &Step, symbols: &Symbols) -> bool {
    let record = symbols.address(RECORD);
    step.events.iter().any(|event| match (event, record) {
        (Event::Memory(access), Some(record)) => access.address.wrapping_sub(record) < RECORD_SIZE,
        _ => false,
    })
}

/// Counts what is neither the guest's own nor the service's.
pub(super) fn of(trace: &Trace, parts: &Parts) -> Counts {
    let mut counts = Counts::default();
    for (index, step) in trace.steps.iter().enumerate() {
        match parts.phase(index) {
            _ if parts.is_own(index) => counts.own += 1,
            Phase::Service => {}
            phase => counts.add(step, phase),
        }
    }
    counts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn phases_have_their_places() {
        let parts = Parts { joined: 2, service: 5, after: 7, own: vec![false, true] };
        let phases: Vec<_> = (0..8).map(|step| parts.phase(step)).collect();
        use Phase::{Back, Dispatch, In, Service};
        assert_eq!(phases, [In, In, Dispatch, Dispatch, Dispatch, Service, Service, Back]);
        assert_eq!([0, 1, 2].map(|step| parts.is_own(step)), [false, true, false]);
    }
}
