//! The machine that runs a program, and serves what it asks for.

use std::fmt;

use super::call::Facts;
use super::end::end_of;
use super::system::Abi;
use super::{Builder, Call, End, NtStatus, Places};
use crate::machine::{self, Exit};

/// What implements a service.
pub(super) type Handler<'h> = Box<dyn FnMut(&mut Call<'_>) -> Result<(), NtStatus> + 'h>;

/// The first of the values at the exit port that ask for a service; the kernel's own are below 100h, and ring 3 cannot write
/// to the port.
pub(super) const FIRST_VALUE: u32 = 0x4E54_4000;

/// A service that the host implements.
pub(super) struct Served {
    pub(super) name: String,
    pub(super) number: u32,
    /// How many arguments it takes.
    pub(super) args: usize,
    /// Which closure has it.
    pub(super) handler: usize,
}

/// A system with a program in ring 3, some of whose services are closures of the host. See the
/// [module's page](crate::host).
pub struct Machine<'h> {
    pub(super) machine: machine::Machine,
    pub(super) abi: Abi,
    pub(super) places: Places,
    pub(super) served: Vec<Served>,
    pub(super) handlers: Vec<Handler<'h>>,
    pub(super) end: Option<End>,
}

impl fmt::Debug for Machine<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let served: Vec<&str> = self.served.iter().map(|served| served.name.as_str()).collect();
        f.debug_struct("Machine")
            .field("profile", &self.abi.profile)
            .field("cpu", &self.machine.model().name)
            .field("services", &served)
            .field("end", &self.end)
            .finish_non_exhaustive()
    }
}

impl<'h> Machine<'h> {
    /// Begins to build one.
    #[must_use]
    pub fn builder() -> Builder<'h> {
        Builder::default()
    }

    /// Runs for at most `budget` instructions of the guest, and a few more to the end of a block; the host's closures cost
    /// nothing. After [`End::Budget`] it may be called again and goes on; any other end is final, and is what every further
    /// call gives.
    pub fn run(&mut self, budget: u64) -> End {
        if let Some(end) = &self.end {
            return end.clone();
        }
        let limit = self.machine.retired().saturating_add(budget);
        loop {
            let left = limit.saturating_sub(self.machine.retired());
            let end = match self.machine.run(left) {
                Exit::Budget => return End::Budget,
                Exit::Port(value) => match self.port(value) {
                    Some(end) => end,
                    None => continue,
                },
                exit => End::Stopped(exit),
            };
            self.end = Some(end.clone());
            return end;
        }
    }

    /// One instruction, with the exception that it raises, or with the call that it hands to a closure. `None` as long as the
    /// program goes on.
    pub fn step(&mut self) -> Option<End> {
        if self.end.is_none() {
            self.end = match self.machine.step() {
                Ok(()) => None,
                Err(Exit::Port(value)) => self.port(value),
                Err(exit) => Some(End::Stopped(exit)),
            };
        }
        self.end.clone()
    }

    /// How the run ended, if it has.
    #[must_use]
    pub fn end(&self) -> Option<&End> {
        self.end.as_ref()
    }

    /// The guest's state, to come back to: see [`machine::Machine::snapshot`].
    #[must_use]
    pub fn snapshot(&mut self, before: Option<&machine::Snapshot>) -> machine::Snapshot {
        self.machine.snapshot(before)
    }

    /// Goes back to a state in which the program had not ended. What the closures know stays as it is, so that they give the
    /// same answers again only if these depend on the guest alone.
    pub fn restore(&mut self, snapshot: &machine::Snapshot) {
        self.machine.restore(snapshot);
        self.end = None;
    }

    /// What the guest wrote to its debug console: two lines that name the system and the CPU, what the program prints
    /// (`int 2Dh` with EAX = 1, as DbgPrint does), and the line that its end is read from.
    #[must_use]
    pub fn console(&self) -> &[u8] {
        self.machine.console()
    }

    /// Where things are in the guest.
    #[must_use]
    pub fn places(&self) -> &Places {
        &self.places
    }

    /// The machine below.
    #[must_use]
    pub fn machine(&self) -> &machine::Machine {
        &self.machine
    }

    /// The same, to look at memory or to change something between two runs.
    pub fn machine_mut(&mut self) -> &mut machine::Machine {
        &mut self.machine
    }

    /// The guest wrote to the exit port: a call is served, or the run ends.
    fn port(&mut self, value: u32) -> Option<End> {
        let index = value.checked_sub(FIRST_VALUE).map(|index| index as usize);
        let Some(served) = index.and_then(|index| self.served.get(index)) else {
            let end = end_of(value, self.machine.console());
            return Some(end.unwrap_or(End::Stopped(Exit::Port(value))));
        };
        let facts = Facts::read(&mut self.machine, &self.abi, served.args);
        let (Some(facts), Some(handler)) = (facts, self.handlers.get_mut(served.handler)) else {
            return Some(End::Stopped(Exit::Port(value)));
        };
        let (machine, abi) = (&mut self.machine, &self.abi);
        let mut call = Call { machine, abi, service: &served.name, number: served.number, facts, ended: None };
        let status = handler(&mut call).err().unwrap_or(NtStatus::SUCCESS);
        let ended = call.ended;
        self.abi.set_status(&mut self.machine, status.0);
        ended.map(End::Exit)
    }
}
