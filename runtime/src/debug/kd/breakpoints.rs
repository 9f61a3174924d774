//! `bp`, `ba`, `bl`, `bc`, `bd`, `be`.

use super::arguments::Arguments;
use super::error::Error;
use super::{Kd, say};
use crate::debug::{Watched, Watchpoint};

/// A breakpoint with its number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Breakpoint {
    id: usize,
    at: Place,
    enabled: bool,
}

/// What a breakpoint waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    /// The instruction at an address.
    Code(u64),
    /// An access to memory.
    Data(Watchpoint),
}

impl Kd {
    /// The numbers of the breakpoints at an address.
    pub(super) fn breakpoints_at(&self, address: u64) -> Vec<usize> {
        self.ids_of(Place::Code(address))
    }

    /// The numbers of the breakpoints that wait for an access.
    pub(super) fn watchpoints_like(&self, watchpoint: &Watchpoint) -> Vec<usize> {
        self.ids_of(Place::Data(*watchpoint))
    }

    /// Whether an enabled breakpoint is at an address.
    #[cfg(feature = "gdb")]
    pub(in crate::debug) fn stops_at(&self, address: u64) -> bool {
        !self.breakpoints_at(address).is_empty()
    }

    /// Whether an enabled breakpoint waits for an access.
    #[cfg(feature = "gdb")]
    pub(in crate::debug) fn stops_on(&self, watchpoint: &Watchpoint) -> bool {
        !self.watchpoints_like(watchpoint).is_empty()
    }

    /// Takes all breakpoints away.
    #[cfg(feature = "gdb")]
    pub(in crate::debug) fn clear_breakpoints(&mut self) {
        while let Some(id) = self.breakpoints.last().map(|breakpoint| breakpoint.id) {
            self.clear(id);
        }
    }

    /// Takes a breakpoint away.
    fn clear(&mut self, id: usize) {
        self.enable(id, false);
        self.breakpoints.retain(|breakpoint| breakpoint.id != id);
    }

    fn ids_of(&self, place: Place) -> Vec<usize> {
        let here = self.breakpoints.iter().filter(|breakpoint| breakpoint.enabled && breakpoint.at == place);
        here.map(|breakpoint| breakpoint.id).collect()
    }

    /// Sets a breakpoint, with a number that is free, unless there is one like it.
    fn add_breakpoint(&mut self, at: Place, out: &mut String) {
        if let Some(known) = self.breakpoints.iter().find(|breakpoint| breakpoint.at == at) {
            let id = known.id;
            self.enable(id, true);
            say!(out, "breakpoint {id} redefined");
            return;
        }
        let id = self.free_id();
        self.breakpoints.push(Breakpoint { id, at, enabled: false });
        self.breakpoints.sort_by_key(|breakpoint| breakpoint.id);
        self.enable(id, true);
    }

    /// The first number that no breakpoint has.
    fn free_id(&self) -> usize {
        (0..).find(|id| self.breakpoints.iter().all(|breakpoint| breakpoint.id != *id)).unwrap_or_default()
    }

    /// The breakpoints that are meant by numbers, or by a star.
    fn chosen(&self, arguments: &mut Arguments<'_>) -> Result<Vec<usize>, Error> {
        if arguments.take("*") {
            arguments.end()?;
            return Ok(self.breakpoints.iter().map(|breakpoint| breakpoint.id).collect());
        }
        let mut chosen = Vec::new();
        while !arguments.is_empty() || chosen.is_empty() {
            let place = arguments.place();
            let id = arguments.expression(self)?;
            let found = self.breakpoints.iter().find(|breakpoint| breakpoint.id as u64 == id);
            chosen.push(found.ok_or_else(|| Error::at(place, format!("There is no breakpoint {id}")))?.id);
            arguments.take_prefix(",");
        }
        Ok(chosen)
    }

    fn enable(&mut self, id: usize, on: bool) {
        let Some(found) = self.breakpoints.iter_mut().find(|breakpoint| breakpoint.id == id) else { return };
        found.enabled = on;
        match (found.at, on) {
            (Place::Code(address), true) => self.target.set_breakpoint(address),
            (Place::Code(address), false) => self.target.clear_breakpoint(address),
            (Place::Data(watchpoint), true) => self.target.set_watchpoint(watchpoint),
            (Place::Data(watchpoint), false) => self.target.clear_watchpoint(&watchpoint),
        };
    }
}

/// `bp`.
pub(super) fn bp(kd: &mut Kd, arguments: &mut Arguments<'_>, out: &mut String) -> Result<(), Error> {
    let address = arguments.address(kd)?;
    arguments.end()?;
    kd.add_breakpoint(Place::Code(address), out);
    Ok(())
}

/// `ba`.
pub(super) fn ba(kd: &mut Kd, arguments: &mut Arguments<'_>, out: &mut String) -> Result<(), Error> {
    let place = arguments.place();
    let access = arguments.word().unwrap_or_default();
    let size = access.get(1..).and_then(|size| size.parse().ok()).filter(|size| matches!(size, 1 | 2 | 4 | 8));
    let kind = access.chars().next().map(|kind| kind.to_ascii_lowercase());
    let (Some(kind @ ('e' | 'r' | 'w')), Some(length)) = (kind, size) else {
        return Err(Error::at(place, "An access and a size expected: e1, r4, w4"));
    };
    let place = arguments.place();
    let address = arguments.address(kd)?;
    arguments.end()?;
    if !address.is_multiple_of(length) {
        return Err(Error::at(
            place,
            format!("Data breakpoint must be aligned: {length} bytes at a multiple of {length}"),
        ));
    }
    let at = match kind {
        'e' => Place::Code(address),
        'w' => Place::Data(Watchpoint { address, length, on: Watched::Write }),
        _ => Place::Data(Watchpoint { address, length, on: Watched::Access }),
    };
    kd.add_breakpoint(at, out);
    Ok(())
}

/// `bl`.
pub(super) fn bl(kd: &mut Kd, arguments: &mut Arguments<'_>, out: &mut String) -> Result<(), Error> {
    arguments.end()?;
    for Breakpoint { id, at, enabled } in &kd.breakpoints {
        let state = if *enabled { 'e' } else { 'd' };
        let (address, access) = match at {
            Place::Code(address) => (*address, String::new()),
            Place::Data(Watchpoint { address, length, on }) => {
                let access = if *on == Watched::Write { 'w' } else { 'r' };
                (*address, format!("{access} {length} "))
            }
        };
        say!(out, "{id:2} {state} {} {access}{}", kd.address(address), kd.describe(address));
    }
    Ok(())
}

/// `bc`.
pub(super) fn bc(kd: &mut Kd, arguments: &mut Arguments<'_>, _: &mut String) -> Result<(), Error> {
    for id in kd.chosen(arguments)? {
        kd.clear(id);
    }
    Ok(())
}

/// `bd`.
pub(super) fn bd(kd: &mut Kd, arguments: &mut Arguments<'_>, _: &mut String) -> Result<(), Error> {
    for id in kd.chosen(arguments)? {
        kd.enable(id, false);
    }
    Ok(())
}

/// `be`.
pub(super) fn be(kd: &mut Kd, arguments: &mut Arguments<'_>, _: &mut String) -> Result<(), Error> {
    for id in kd.chosen(arguments)? {
        kd.enable(id, true);
    }
    Ok(())
}
