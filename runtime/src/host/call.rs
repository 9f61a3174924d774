//! A call of a service, as the closure that serves it sees it.

use std::fmt;

use super::system::Abi;
use super::{Mode, NtStatus};
use crate::machine::{Machine, Rights};
use crate::nt::Entry;

/// A call of a service: who calls, with what, and the guest's memory.
///
/// Memory is reached by typed, checked access: see [`read`](Self::read). What a closure is told by the guest is the guest's
/// word: lengths may be anything, and sums of addresses may overflow (`wrapping_add` is what the processor does).
pub struct Call<'a> {
    pub(super) machine: &'a mut Machine,
    pub(super) abi: &'a Abi,
    pub(super) service: &'a str,
    pub(super) number: u32,
    pub(super) facts: Facts,
    pub(super) ended: Option<NtStatus>,
}

impl fmt::Debug for Call<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Call").field("service", &self.service).field("facts", &self.facts).finish_non_exhaustive()
    }
}

/// What stands in the guest about a call.
#[derive(Debug, Clone)]
pub(super) struct Facts {
    entry: Entry,
    mode: Mode,
    frame: u64,
    arguments: Vec<u64>,
}

impl Facts {
    /// Reads them where a service's routine has just been entered; `None` if the kernel's structures are not where they have
    /// to be.
    pub(super) fn read(machine: &mut Machine, abi: &Abi, args: usize) -> Option<Self> {
        let pointer = abi.pointer();
        let mut load = |address: u64, size: u64| {
            let bytes = machine.read_as(Rights::Supervisor, address, size).ok()?;
            Some(bytes.iter().rev().fold(0, |value, byte| value << 8 | u64::from(*byte)))
        };
        let thread = load(abi.current_thread, pointer)?;
        let mode = if load(thread.wrapping_add(abi.previous_mode), 1)? == 0 { Mode::Kernel } else { Mode::User };
        let frame = load(thread.wrapping_add(abi.trap_frame), pointer)?;
        let mark = load(frame.wrapping_add(abi.mark), 1)? as u8;
        let entry = if mode == Mode::Kernel { Entry::Zw } else { (abi.entry)(mark)? };
        let stack = machine.register64(4)?.wrapping_add(abi.stack);
        let mut arguments = Vec::with_capacity(args);
        for index in 0..args {
            arguments.push(match abi.registers.get(index) {
                Some(register) => machine.register64(*register)?,
                None => {
                    let above = (index - abi.registers.len()) as u64 * pointer;
                    let bytes = machine.read_as(Rights::Supervisor, stack.wrapping_add(above), pointer).ok()?;
                    bytes.iter().rev().fold(0, |value, byte| value << 8 | u64::from(*byte))
                }
            });
        }
        Some(Self { entry, mode, frame, arguments })
    }
}

impl Call<'_> {
    /// The service: `NtWriteFile`.
    #[must_use]
    pub fn service(&self) -> &str {
        self.service
    }

    /// Its number in the list.
    #[must_use]
    pub fn number(&self) -> u32 {
        self.number
    }

    /// The way that the call took into the kernel.
    #[must_use]
    pub fn entry(&self) -> Entry {
        self.facts.entry
    }

    /// `KTHREAD.PreviousMode`: whether pointers are to be believed.
    #[must_use]
    pub fn previous_mode(&self) -> Mode {
        self.facts.mode
    }

    /// The system: `srv2003`.
    #[must_use]
    pub fn profile(&self) -> &'static str {
        self.abi.profile
    }

    /// Bytes of a pointer: 4 or 8.
    #[must_use]
    pub fn pointer_size(&self) -> u64 {
        self.abi.pointer()
    }

    /// Address of the `KTRAP_FRAME`, `KTHREAD.TrapFrame`.
    #[must_use]
    pub fn trap_frame(&self) -> u64 {
        self.facts.frame
    }

    /// The arguments, as the kernel has copied them.
    #[must_use]
    pub fn arguments(&self) -> &[u64] {
        &self.facts.arguments
    }

    /// An argument of a pointer's size: a pointer, a handle, a `SIZE_T`.
    ///
    /// # Errors
    ///
    /// `STATUS_INVALID_PARAMETER` if the list has no such argument.
    pub fn argument(&self, index: usize) -> Result<u64, NtStatus> {
        self.facts.arguments.get(index).copied().ok_or(NtStatus::INVALID_PARAMETER)
    }

    /// An argument of 32 bits: a `ULONG`. On amd64 what is above it means nothing.
    ///
    /// # Errors
    ///
    /// As [`argument`](Self::argument).
    pub fn argument_u32(&self, index: usize) -> Result<u32, NtStatus> {
        Ok(self.argument(index)? as u32)
    }

    /// Ends the program with this status, as NtTerminateProcess does: the run is over when the closure returns.
    pub fn exit(&mut self, status: NtStatus) {
        self.ended = Some(status);
    }

    /// The machine, for what has no function here: registers, and memory without any check.
    pub fn machine(&mut self) -> &mut Machine {
        self.machine
    }
}
