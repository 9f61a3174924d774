//! The 32-bit guest.
//!
//! ```text
//! 00100000  boot code (physical = virtual)      80801000  kernel code, traps, system-call path
//! 00401000  harness in ring 3, or a program     80820000  one routine for each service
//! 00420000  call tables, read-only in ring 3    80A00000  kernel variables, service tables
//! 7C956000  ntdll: stubs, KiFastSystemCall      80C00000  kernel stubs (Zw)
//! 7C980000  stubs of the other sets             F7A01000  kernel stack
//! 7FFE0000  SharedUserData, read-only           FFDF0000  SharedUserData, the same page
//! 80036000  GDT, IDT                            FFDFF000  KPCR
//! ```
//!
//! The addresses are those of [`profile::SRV2003`]; a [`Profile`] says in what systems differ. Structures have the offsets of
//! [`layout`]; the record's facts and the values to expect are in [`record`].
//!
//! The same kernel runs a proof ([`Kernel::image`]: every stub is called, every call recorded) and a session
//! ([`Kernel::session`]: a program runs, and the kernel is a system to it). Its rooms:
//!
//! * the way in and out: `boot`, `dispatch`, `traps`, `debug`
//! * what traps come to: `services` (vectors 2Ah to 2Dh), `exception`, `expected` (faults of the kernel that are none),
//!   `recovery` (faults in a proof), `bugcheck`
//! * what goes to ring 3 and comes back: `user_copy`, `context`, `apc`, `callback`, `gui`, `clock`, `shared_page`
//! * ring 3: `user` and `harness` for proofs, `ntdll` for sessions
//! * the proof's own: `sets`, `calls`, `report`
//! * the image: `image`, `session`, `stubs`, `system`, `descriptors`, `symbols`

use ntgate_gen::stub::Stub;

use super::start::Starts;
use super::{BuildError, Ring, Start, Symbol, assembly as assembler, block, memory, paging, start};

mod apc;
mod assembly;
mod boot;
mod bugcheck;
mod callback;
mod calls;
mod clock;
mod context;
mod data;
mod debug;
mod descriptors;
mod dispatch;
mod exception;
mod expected;
mod gui;
mod harness;
mod image;
pub mod layout;
mod ntdll;
pub mod profile;
pub mod record;
mod recovery;
mod report;
mod services;
mod session;
mod sets;
mod shared_page;
mod stubs;
mod symbols;
mod system;
#[cfg(test)]
mod tests;
mod traps;
mod user;
mod user_copy;

pub use image::Kernel;
pub use profile::Profile;
pub use session::{Gui, ServiceRoutine, Session};

/// What one boot is to do.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct Plan {
    /// The services; each gets a routine that records its arguments and pops as many as the list says.
    pub services: Vec<PlannedService>,
    /// `KiServiceTable`: for each row the index of the service whose routine is called. An index without a service makes
    /// a row that returns `STATUS_NOT_IMPLEMENTED`.
    pub ssdt: Vec<usize>,
    /// `KiArgumentTable`: for each row the bytes to copy.
    pub sspt: Vec<u8>,
    /// `W32pServiceTable`, the table of the numbers from 1000h on: as [`Self::ssdt`]. If there is none, such numbers are
    /// invalid, as for a thread that has nothing to do with windows.
    pub shadow_ssdt: Vec<usize>,
    /// `W32pArgumentTable`: as [`Self::sspt`].
    pub shadow_sspt: Vec<u8>,
    /// The sets, in the order in which they run.
    pub sets: Vec<StubSet>,
    /// Where to begin.
    pub start: Start,
}

/// A service of the plan.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlannedService {
    /// `NtClose`.
    pub name: String,
    /// Bytes of arguments its routine takes, and the harness pushes.
    pub args_bytes: u32,
}

/// What stands at SharedUserData+300h while a set runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SystemCallForm {
    /// The address of the routine to call: Windows XP SP2 to 7.
    Pointer = 0,
    /// The code itself: Windows XP and Server 2003 without service pack.
    Code = 1,
    /// The set's stubs do not use it (it holds the pointer).
    Unused = 2,
}

/// All stubs of one shape.
#[derive(Debug, Clone)]
pub struct StubSet {
    /// Name in the log, by habit that of the shape.
    pub label: String,
    /// What the stubs expect at SharedUserData+300h.
    pub form: SystemCallForm,
    /// From where they are called.
    pub ring: Ring,
    /// The stubs execute `sysenter` themselves: the set is skipped on a CPU without.
    pub needs_sysenter: bool,
    /// The stubs. Stub n is called with the arguments of service n.
    pub stubs: Vec<Stub>,
    /// A stub whose number is one past the end of the table.
    pub past_end: Option<Stub>,
    /// Make the calls with bad argument pointers too.
    pub refusals: bool,
}

/// A bootable image and what is where in it.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Image {
    /// Multiboot-1 ELF file.
    pub elf: Vec<u8>,
    /// Every routine and structure, by rising address.
    pub symbols: Vec<Symbol>,
    /// One entry for each set of the plan.
    pub sets: Vec<SetLayout>,
    starts: Starts,
}

impl Image {
    /// Makes the next boot begin at another call. A boot that a broken kernel stub has stopped goes on this way, for
    /// far less than a new image costs.
    ///
    /// # Errors
    ///
    /// [`BuildError::NoSuchStart`] when the image does not have that set.
    pub fn set_start(&mut self, start: Start) -> Result<(), BuildError> {
        self.starts.apply(&mut self.elf, start)
    }
}

/// Where a set's stubs are, and the values that its records have when all is well.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct SetLayout {
    /// Address of each stub.
    pub stub_addresses: Vec<u32>,
    /// Address of the stub with the number past the end.
    pub past_end_address: Option<u32>,
    /// The calls with bad argument pointers that will be made.
    pub refusals: Vec<Refusal>,
    /// `KTHREAD.TrapFrame` before and after each call.
    pub trap_frame: u32,
    /// `KPCR.NtTib.ExceptionList` before and after each call.
    pub exception_list: u32,
    /// `TSS.Esp0` at all times.
    pub esp0: u32,
    /// ESP before the arguments of each call are pushed.
    pub esp_before: u32,
}

/// A call without a stub, with an argument pointer of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Refusal {
    /// Its number: [`record::KERNEL_POINTER`] or [`record::UNMAPPED_POINTER`].
    pub call: u32,
    /// The service number it asks for.
    pub number: u32,
    /// Bytes that the argument table has for that number.
    pub args_bytes: u8,
    /// The argument pointer.
    pub pointer: u32,
}

/// Builds the image of a plan. Callers with many plans assemble the kernel once: [`Kernel::new`], [`Kernel::image`].
///
/// # Errors
///
/// When the plan contradicts itself or does not fit the profile: see [`BuildError`].
pub fn build(profile: &Profile, plan: &Plan) -> Result<Image, BuildError> {
    Kernel::new(profile)?.image(plan)
}
