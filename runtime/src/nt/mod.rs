//! The guest: a small NT kernel, an ntdll with the stubs under test, and the harness that calls them.
//!
//! [`build`] turns a [`Plan`] into one multiboot image. The image is a program like any other: it boots on the bundled
//! machine and under QEMU, finds out by itself what the CPU can do, calls every stub of every set that the CPU can run, and
//! writes one line of raw facts for each call to the debug console. It judges nothing.
//!
//! ```text
//! 00100000  boot code (physical = virtual)      80801000  kernel code, traps, system-call path
//! 00401000  harness in ring 3                   80820000  one routine for each service
//! 00420000  call tables, read-only in ring 3    80A00000  kernel variables, service tables
//! 7C956000  ntdll: stubs, KiFastSystemCall      80C00000  kernel stubs (Zw)
//! 7C980000  stubs of the other sets             F7A01000  kernel stack
//! 7FFE0000  SharedUserData, read-only           FFDF0000  SharedUserData, the same page
//! 80036000  GDT, IDT                            FFDFF000  KPCR
//! ```
//!
//! The addresses are those of [`profile::SRV2003`]; structures have the offsets of [`layout`]; the record's facts and the
//! values to expect are in [`record`].

use std::fmt;

use iced_x86::IcedError;
use ntgate_gen::stub::{EncodeError, Stub};

mod assembly;
mod boot;
mod calls;
mod data;
mod descriptors;
mod dispatch;
mod harness;
mod image;
pub mod layout;
mod memory;
pub mod profile;
pub mod record;
mod report;
mod sets;
mod stubs;
mod symbols;
mod system;
#[cfg(test)]
mod tests;
mod traps;
mod user;

pub use image::Kernel;
pub use profile::Profile;

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

/// From where a set's stubs are called.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ring {
    /// Ring 3.
    User,
    /// Ring 0.
    Kernel,
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

/// The first call of a boot; the sets before do not run and are not logged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Start {
    /// Index of the set.
    pub set: usize,
    /// First call in it: a stub's index or the number of a refusal.
    pub call: u32,
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
    tables: Vec<calls::CallTable>,
    /// Address of the variable that holds the first set to run.
    start_variable: u32,
}

/// A named address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Symbol {
    /// `nt!KiSystemService`.
    pub name: String,
    /// Virtual address.
    pub address: u32,
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

/// Why there is no image.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum BuildError {
    /// The guest's own code could not be assembled: an address of the profile is out of reach.
    Assemble {
        /// What the assembler says.
        message: String,
    },
    /// A stub cannot be encoded where it has to stand.
    Stub {
        /// Index of the set.
        set: usize,
        /// Index of the stub; the number of stubs for the one past the end.
        stub: usize,
        /// Why.
        error: EncodeError,
    },
    /// More services or rows than a service table can have.
    TooManyServices {
        /// How many there are.
        count: usize,
        /// How many there may be.
        max: usize,
    },
    /// More sets than a record can number.
    TooManySets {
        /// How many there are.
        count: usize,
        /// How many there may be.
        max: usize,
    },
    /// A set has more stubs than the plan has services.
    TooManyStubs {
        /// Index of the set.
        set: usize,
    },
    /// A service pops more than a `ret` can.
    TooManyArguments {
        /// Index of the service.
        service: usize,
    },
    /// The service table and the argument table differ in length.
    TablesDiffer {
        /// Rows of the service table.
        ssdt: usize,
        /// Rows of the argument table.
        sspt: usize,
    },
    /// The plan starts at a set that it does not have.
    NoSuchStart {
        /// Index of the set.
        set: usize,
    },
    /// Something is larger than the address range that the profile has for it.
    DoesNotFit {
        /// What it is.
        what: &'static str,
    },
    /// Two addresses of the profile are the wrong way round or too close to each other.
    Order {
        /// The field that has to be lower.
        low: &'static str,
        /// The field that has to be higher.
        high: &'static str,
    },
    /// The profile gives two things the same page.
    Overlap {
        /// Address of the page.
        address: u32,
    },
}

impl fmt::Display for BuildError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Assemble { message } => {
                write!(f, "the guest's code cannot be assembled: {message}")
            }
            Self::Stub { set, stub, error } => write!(f, "set {set}, stub {stub}: {error}"),
            Self::TooManyServices { count, max } => {
                write!(f, "{count} services; a service table holds {max}")
            }
            Self::TooManySets { count, max } => write!(f, "{count} sets; an image holds {max}"),
            Self::TooManyStubs { set } => {
                write!(f, "set {set} has more stubs than there are services")
            }
            Self::TooManyArguments { service } => {
                write!(f, "service {service} pops more than `ret` can")
            }
            Self::TablesDiffer { ssdt, sspt } => {
                write!(f, "the service table has {ssdt} rows, the argument table {sspt}")
            }
            Self::NoSuchStart { set } => {
                write!(f, "the plan starts at set {set}, which it does not have")
            }
            Self::DoesNotFit { what } => {
                write!(f, "the {what} do not fit the address range of the profile")
            }
            Self::Order { low, high } => write!(f, "the profile's {low} has to be below its {high}"),
            Self::Overlap { address } => {
                write!(f, "the profile uses the page at {address:08x} twice")
            }
        }
    }
}

impl std::error::Error for BuildError {}

impl From<IcedError> for BuildError {
    fn from(error: IcedError) -> Self {
        Self::Assemble { message: error.to_string() }
    }
}

/// Builds the image of a plan. Callers with many plans assemble the kernel once: [`Kernel::new`], [`Kernel::image`].
///
/// # Errors
///
/// When the plan contradicts itself or does not fit the profile: see [`BuildError`].
pub fn build(profile: &Profile, plan: &Plan) -> Result<Image, BuildError> {
    Kernel::new(profile)?.image(plan)
}
