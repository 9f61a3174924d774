//! The systems a machine can be, as far as the host has to know them: there is one guest for each architecture.

use std::collections::BTreeMap;

use ntgate_gen::table::locate;
use ntgate_gen::{Arch, Service, ServiceList, ServiceTable};

use super::amd64::Amd64;
use super::i386::I386;
use super::{BuildError, error};
use crate::machine::Machine;
use crate::nt::{self, Entry, amd64, i386};

/// A guest of one system and one list, before it has a program.
pub(super) trait Guest {
    /// Where a call's facts are.
    fn abi(&self) -> Abi;

    /// The code of a service that leaves to the host: it writes `value` to the exit port and returns what is then in the
    /// accumulator.
    fn leave(&self, value: u32, args: u32) -> Result<Vec<u8>, nt::BuildError>;

    /// Where the code of a routine will stand, by its index.
    fn routine_address(&self, index: usize) -> u64;

    /// Whether the kernel has a routine of its own for a service.
    fn implements(&self, service: &str) -> bool;

    /// The image of a session with these routines.
    fn image(&self, wanted: Wanted) -> Result<Image, nt::BuildError>;
}

/// What an image is to have.
#[derive(Debug, Clone, Default)]
pub(super) struct Wanted {
    /// The code of services, with their names.
    pub(super) routines: Vec<(String, Vec<u8>)>,
    /// What runs in ring 3.
    pub(super) program: Vec<u8>,
    /// The clock ticks.
    pub(super) clock: bool,
}

/// A bootable image, and what is where in it.
pub(super) struct Image {
    pub(super) elf: Vec<u8>,
    /// The stub of each service.
    pub(super) stubs: BTreeMap<String, u64>,
    pub(super) symbols: BTreeMap<String, u64>,
}

/// Where the facts of a call are when a service has been entered, and what counts as the user's memory.
#[derive(Debug, Clone, Copy)]
pub(super) struct Abi {
    pub(super) profile: &'static str,
    /// 32 or 64.
    pub(super) bits: u32,
    /// The program's first instruction, and its page of data.
    pub(super) text: u64,
    pub(super) data: u64,
    /// Address of `KPCR.PrcbData.CurrentThread`.
    pub(super) current_thread: u64,
    /// Offsets in `KTHREAD`: `PreviousMode`, `TrapFrame`.
    pub(super) previous_mode: u64,
    pub(super) trap_frame: u64,
    /// Offset in the trap frame of the byte that tells who made it.
    pub(super) mark: u64,
    /// The way in that a mark stands for, if the caller was in ring 3.
    pub(super) entry: fn(u8) -> Option<Entry>,
    /// Registers with the first arguments, by their numbers in instructions.
    pub(super) registers: &'static [u8],
    /// Bytes from the stack pointer up to the first argument that is not in a register.
    pub(super) stack: u64,
    /// `MmUserProbeAddress`.
    pub(super) probe: u64,
}

impl Abi {
    /// Bytes of a pointer.
    pub(super) const fn pointer(&self) -> u64 {
        (self.bits / 8) as u64
    }

    /// Puts a service's status where its routine returns it.
    pub(super) fn set_status(&self, machine: &mut Machine, status: u32) {
        // RAX is a register of every machine.
        let _ = machine.set_register64(0, u64::from(status));
    }
}

/// A system.
#[derive(Debug, Clone, Copy)]
pub(super) enum System {
    I386(&'static i386::Profile),
    Amd64(&'static amd64::Profile),
}

impl System {
    /// All of them, each architecture's oldest first.
    pub(super) fn all() -> Vec<Self> {
        i386::Profile::ALL.into_iter().map(Self::I386).chain(amd64::Profile::ALL.into_iter().map(Self::Amd64)).collect()
    }

    /// The system of this name.
    pub(super) fn by_name(name: &str) -> Result<Self, BuildError> {
        let known: Vec<&'static str> = Self::all().into_iter().map(Self::name).collect();
        let found = Self::all().into_iter().find(|system| system.name() == name);
        found.ok_or_else(|| BuildError::UnknownProfile {
            name: name.to_owned(),
            nearest: error::nearest(name, known.iter().copied()),
            known,
        })
    }

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::I386(profile) => profile.name,
            Self::Amd64(profile) => profile.name,
        }
    }

    pub(super) fn arch(self) -> Arch {
        match self {
            Self::I386(_) => Arch::I386,
            Self::Amd64(_) => Arch::Amd64,
        }
    }

    /// The CPU models on which it runs.
    pub(super) fn cpus(self) -> &'static [&'static str] {
        match self {
            Self::I386(profile) => profile.cpus,
            Self::Amd64(profile) => profile.cpus,
        }
    }

    /// The CPU model that is taken when none is named: the first that has all that the system makes use of.
    pub(super) fn usual_cpu(self) -> &'static str {
        match self {
            Self::I386(_) => "pentium2",
            Self::Amd64(_) => "core2duo",
        }
    }

    /// Assembles the guest.
    pub(super) fn guest(self, tables: &Tables<'_>) -> Result<Box<dyn Guest>, nt::BuildError> {
        Ok(match self {
            Self::I386(profile) => Box::new(I386::new(profile, tables)?),
            Self::Amd64(profile) => Box::new(Amd64::new(profile, tables)?),
        })
    }
}

/// The tables of a list that a guest has: the kernel's own, and win32k's if there is one.
pub(super) struct Tables<'a> {
    pub(super) tables: Vec<&'a ServiceTable>,
}

/// Where win32k's table is among those that a number chooses from.
const WIN32K: (u32, u32) = (1, 0);

impl<'a> Tables<'a> {
    pub(super) fn new(list: &'a ServiceList) -> Result<Self, BuildError> {
        let kernel = list.primary();
        if kernel.base() != 0 {
            return Err(BuildError::Base { table: kernel.name().to_owned(), base: kernel.base() });
        }
        let win32k = list.tables().iter().find(|table| locate(table.base()) == WIN32K);
        Ok(Self { tables: std::iter::once(kernel).chain(win32k).collect() })
    }

    /// All services, in the order of the tables.
    pub(super) fn services(&self) -> impl Iterator<Item = &'a Service> {
        self.tables.iter().flat_map(|table| table.services())
    }

    /// The names of all services.
    pub(super) fn names(&self) -> impl Iterator<Item = &'a str> {
        self.services().map(|service| service.name().nt())
    }
}
