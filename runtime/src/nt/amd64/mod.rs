//! The 64-bit guest.
//!
//! ```text
//!         00100000  boot code (physical = virtual)   FFFFF800`02801000  kernel code, traps, system-call path
//!         60000000  harness in ring 3                FFFFF800`02840000  one routine for each service
//!         70000000  call tables, read-only           FFFFF800`02A00000  kernel variables, service tables
//!         77831340  ntdll: stubs                     FFFFF800`02C00000  kernel stubs (Zw)
//! 7FE`F0000000      stubs of the other sets          FFFFF880`02002000  kernel stack
//!         7FFE0000  SharedUserData, read-only        FFFFF780`00000000  SharedUserData, the same page
//! 7FF`FFFDC000      TEB                              FFFFF800`01000000  KPCR
//! ```
//!
//! The addresses are those of [`profile::WIN7_X64`]. The file is a 32-bit one, as loaders of multiboot images want it: its
//! entry finds out whether there is a long mode, loads the page tables and goes there.
//!
//! Windows's way through the kernel and ReactOS's are both there; each set chooses by [`TableForm`] which of the two entries
//! MSR C0000082h names. Kernel stubs name their own.
//!
//! [`build`] makes the image of a proof. [`Kernel::session`] makes one that runs a program of ring 3 in place of the harness:
//! see [`Session`].

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
mod entry;
mod exception;
mod exit;
mod gui;
mod harness;
mod image;
pub mod layout;
mod ntdll;
mod print;
pub mod profile;
mod reactos;
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

pub use super::i386::Gui;
pub use image::Kernel;
pub use profile::Profile;
pub use session::{ServiceRoutine, Session};

/// What one boot is to do.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct Plan {
    /// The services of all tables; each gets a routine that records its arguments.
    pub services: Vec<PlannedService>,
    /// `KiServiceTable`, and `W32pServiceTable` for the numbers from 1000h on: at most two.
    pub tables: Vec<Vec<Row>>,
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
    /// Number of its parameters, at most [`layout::COPY_RUN`] and four.
    pub args: u32,
}

/// A row of a service table, in both forms. A correct row comes from [`Row::new`]; the fields are open so that a test can
/// break one on purpose.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Row {
    /// Index of the service whose routine is called; without a service, a routine that returns
    /// `STATUS_NOT_IMPLEMENTED`.
    pub service: usize,
    /// Stack arguments in the packed entry.
    pub stack_arguments: u32,
    /// Byte of the argument table: eight for each parameter.
    pub argument_bytes: u8,
    /// Bytes that the entry's routine is behind the service's; its neighbours are 16 before and behind.
    pub displacement: i32,
}

impl Row {
    /// The row of a service with so many parameters.
    #[must_use]
    pub fn new(service: usize, args: u32) -> Self {
        let argument_bytes = u8::try_from(args.saturating_mul(8)).unwrap_or(u8::MAX);
        Self { service, stack_arguments: record::stack_arguments(args), argument_bytes, displacement: 0 }
    }

    /// A row that no service has: a gap in the numbers.
    #[must_use]
    pub const fn unused() -> Self {
        Self { service: usize::MAX, stack_arguments: 0, argument_bytes: 0, displacement: 0 }
    }
}

/// What stands in the service tables that `syscall` comes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TableForm {
    /// Distances and stack-argument counts in dwords: Windows Vista and later. The entry is KiSystemCall64.
    Packed = 0,
    /// Addresses, with an argument table: ReactOS. The entry is its KiSystemCallEntry64.
    Pointers = 1,
}

/// What stands at SharedUserData+308h while a set runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SystemCall {
    /// Zero: stubs that ask use `syscall`.
    Syscall = 0,
    /// One: stubs that ask use `int 2Eh`. The set's refusals do too.
    Interrupt = 1,
}

/// All stubs of one shape.
#[derive(Debug, Clone)]
pub struct StubSet {
    /// Name in the log, by habit that of the shape.
    pub label: String,
    /// From where they are called.
    pub ring: Ring,
    /// What the kernel's tables look like to `syscall`.
    pub tables: TableForm,
    /// What the stubs find at SharedUserData+308h.
    pub system_call: SystemCall,
    /// The process has an instrumentation callback. ReactOS's way out knows none.
    pub callback: bool,
    /// The stubs. Stub n is called with the arguments of service n.
    pub stubs: Vec<Stub>,
    /// A stub whose number is one past the end of the table; none for shapes without a number.
    pub past_end: Option<Stub>,
    /// Make the calls with bad argument pointers too: by `syscall` or `int 2Eh`, from ring 0 by way of
    /// KiServiceInternal.
    pub refusals: bool,
}

/// A bootable image and what is where in it.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Image {
    /// Multiboot-1 ELF file.
    pub elf: Vec<u8>,
    /// Every routine and structure, by rising address.
    pub symbols: Vec<Symbol<u64>>,
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
    pub stub_addresses: Vec<u64>,
    /// Address of the stub with the number past the end.
    pub past_end_address: Option<u64>,
    /// The calls with bad argument pointers that will be made.
    pub refusals: Vec<Refusal>,
    /// Address of the frame of each call.
    pub frame: u64,
    /// `KTHREAD.TrapFrame` before and after each call. Windows leaves that of the last call from ring 3 there.
    pub trap_frame: u64,
    /// `KPRCB.RspBase` and `TSS.Rsp0` at all times.
    pub stack_top: u64,
    /// RSP before each call.
    pub rsp_before: u64,
    /// Address of the structure that GS shows to the caller: TEB or KPCR.
    pub gs_self: u64,
}

/// A call without a stub, with an RSP of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Refusal {
    /// Its number: [`record::KERNEL_POINTER`] or [`record::UNMAPPED_POINTER`].
    pub call: u32,
    /// The service number it asks for.
    pub number: u32,
    /// Stack arguments that the table has for that number.
    pub stack_arguments: u32,
    /// RSP.
    pub pointer: u64,
}

/// Builds the image of a plan. Callers with many plans assemble the kernel once: [`Kernel::new`], [`Kernel::image`].
///
/// # Errors
///
/// When the plan contradicts itself or does not fit the profile: see [`BuildError`].
pub fn build(profile: &Profile, plan: &Plan) -> Result<Image, BuildError> {
    Kernel::new(profile)?.image(plan)
}
