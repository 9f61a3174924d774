//! `bp`, `bl`, `bc`, `bd`, `be`.

use super::arguments::Arguments;
use super::error::Error;
use super::{Kd, say};

/// A breakpoint with its number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Breakpoint {
    id: usize,
    address: u64,
    enabled: bool,
}

impl Kd {
    /// The numbers of the breakpoints at an address.
    pub(super) fn breakpoints_at(&self, address: u64) -> Vec<usize> {
        let here = self.breakpoints.iter().filter(|breakpoint| breakpoint.enabled && breakpoint.address == address);
        here.map(|breakpoint| breakpoint.id).collect()
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
        if on {
            self.target.set_breakpoint(found.address);
        } else {
            self.target.clear_breakpoint(found.address);
        }
    }
}

/// `bp`.
pub(super) fn bp(kd: &mut Kd, arguments: &mut Arguments<'_>, out: &mut String) -> Result<(), Error> {
    let address = arguments.address(kd)?;
    arguments.end()?;
    if let Some(known) = kd.breakpoints.iter().find(|breakpoint| breakpoint.address == address) {
        let id = known.id;
        kd.enable(id, true);
        say!(out, "breakpoint {id} redefined");
        return Ok(());
    }
    let id = kd.free_id();
    kd.breakpoints.push(Breakpoint { id, address, enabled: true });
    kd.breakpoints.sort_by_key(|breakpoint| breakpoint.id);
    kd.target.set_breakpoint(address);
    Ok(())
}

/// `bl`.
pub(super) fn bl(kd: &mut Kd, arguments: &mut Arguments<'_>, out: &mut String) -> Result<(), Error> {
    arguments.end()?;
    for Breakpoint { id, address, enabled } in &kd.breakpoints {
        let state = if *enabled { 'e' } else { 'd' };
        say!(out, "{id:2} {state} {} {}", kd.address(*address), kd.describe(*address));
    }
    Ok(())
}

/// `bc`.
pub(super) fn bc(kd: &mut Kd, arguments: &mut Arguments<'_>, _: &mut String) -> Result<(), Error> {
    for id in kd.chosen(arguments)? {
        kd.enable(id, false);
        kd.breakpoints.retain(|breakpoint| breakpoint.id != id);
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
