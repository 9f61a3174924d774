//! Breakpoints and watchpoints of a session.

use gdbstub::target::TargetResult;
use gdbstub::target::ext::breakpoints::{
    Breakpoints, HwBreakpoint, HwBreakpointOps, HwWatchpoint, HwWatchpointOps, SwBreakpoint, SwBreakpointOps, WatchKind,
};

use super::session::Session;
use crate::debug::{Watched, Watchpoint};

/// A kind of watchpoint as gdb has it.
pub(super) fn kind(on: Watched) -> WatchKind {
    match on {
        Watched::Write => WatchKind::Write,
        Watched::Read => WatchKind::Read,
        Watched::Access => WatchKind::ReadWrite,
    }
}

/// And back.
fn watchpoint(address: u64, length: u64, kind: WatchKind) -> Watchpoint {
    let on = match kind {
        WatchKind::Write => Watched::Write,
        WatchKind::Read => Watched::Read,
        WatchKind::ReadWrite => Watched::Access,
    };
    Watchpoint { address, length, on }
}

impl Session<'_> {
    /// Takes away what stops the target, by monitor commands too: the next client would not know why.
    pub(super) fn end(self) {
        self.kd.clear_breakpoints();
        let target = self.kd.target_mut();
        for address in self.software.union(&self.hardware) {
            target.clear_breakpoint(*address);
        }
        for watchpoint in &self.watchpoints {
            target.clear_watchpoint(watchpoint);
        }
    }

    /// A breakpoint is gone when it is in neither set, and no monitor command has set one there.
    fn release(&mut self, address: u64) {
        if !self.software.contains(&address) && !self.hardware.contains(&address) && !self.kd.stops_at(address) {
            self.target().clear_breakpoint(address);
        }
    }
}

impl Breakpoints for Session<'_> {
    fn support_sw_breakpoint(&mut self) -> Option<SwBreakpointOps<'_, Self>> {
        Some(self)
    }

    fn support_hw_breakpoint(&mut self) -> Option<HwBreakpointOps<'_, Self>> {
        Some(self)
    }

    fn support_hw_watchpoint(&mut self) -> Option<HwWatchpointOps<'_, Self>> {
        Some(self)
    }
}

// Neither kind changes the guest; they differ in what gdb is told. Packets may come twice: what is there already is no error
// (GDB manual, E.2, `Z`).
impl SwBreakpoint for Session<'_> {
    fn add_sw_breakpoint(&mut self, address: u64, _: usize) -> TargetResult<bool, Self> {
        self.software.insert(address);
        self.target().set_breakpoint(address);
        Ok(true)
    }

    fn remove_sw_breakpoint(&mut self, address: u64, _: usize) -> TargetResult<bool, Self> {
        self.software.remove(&address);
        self.release(address);
        Ok(true)
    }
}

impl HwBreakpoint for Session<'_> {
    fn add_hw_breakpoint(&mut self, address: u64, _: usize) -> TargetResult<bool, Self> {
        self.hardware.insert(address);
        self.target().set_breakpoint(address);
        Ok(true)
    }

    fn remove_hw_breakpoint(&mut self, address: u64, _: usize) -> TargetResult<bool, Self> {
        self.hardware.remove(&address);
        self.release(address);
        Ok(true)
    }
}

impl HwWatchpoint for Session<'_> {
    fn add_hw_watchpoint(&mut self, address: u64, length: u64, kind: WatchKind) -> TargetResult<bool, Self> {
        let watchpoint = watchpoint(address, length, kind);
        if length == 0 {
            return Ok(false);
        }
        self.watchpoints.insert(watchpoint);
        self.target().set_watchpoint(watchpoint);
        Ok(true)
    }

    fn remove_hw_watchpoint(&mut self, address: u64, length: u64, kind: WatchKind) -> TargetResult<bool, Self> {
        let watchpoint = watchpoint(address, length, kind);
        if self.watchpoints.remove(&watchpoint) && !self.kd.stops_on(&watchpoint) {
            self.target().clear_watchpoint(&watchpoint);
        }
        Ok(true)
    }
}
