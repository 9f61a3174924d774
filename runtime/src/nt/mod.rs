//! The guests: small NT kernels, each with an ntdll that has the stubs under test, and the harness that calls them.
//!
//! There are two. The names of this module are those of the 32-bit one, [`i386`]; the 64-bit one has the same names in
//! [`amd64`].
//!
//! [`build`] turns a [`Plan`] into one multiboot image. The image is a program like any other: it boots on the bundled
//! machine and under QEMU, finds out by itself what the CPU can do, calls every stub of every set that the CPU can run, and
//! writes one line of raw facts for each call to the debug console. It judges nothing.
//!
//! The 32-bit guest can also run a program of its own in ring 3, as a system would: a [`Session`].
//!
//! Each guest has its addresses in `profile`, the offsets of its structures in `layout`, and the facts of a log's records
//! with the values to expect in `record`.

pub mod amd64;
mod assembly;
mod block;
mod entry;
mod error;
pub mod i386;
pub mod lists;
mod memory;
mod paging;
pub(crate) mod request;
mod start;

pub use entry::Entry;
pub use error::BuildError;
pub use i386::{
    Gui, Image, Kernel, Plan, PlannedService, Profile, Refusal, ServiceRoutine, Session, SetLayout, StubSet,
    SystemCallForm, build, layout, profile, record,
};

/// From where a set's stubs are called.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ring {
    /// Ring 3.
    User,
    /// Ring 0.
    Kernel,
}

/// The first call of a boot; the sets before do not run and are not logged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Start {
    /// Index of the set.
    pub set: usize,
    /// First call in it: a stub's index or the number of a refusal.
    pub call: u32,
}

/// A named address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Symbol<A = u32> {
    /// `nt!KiSystemService`.
    pub name: String,
    /// Virtual address.
    pub address: A,
}
