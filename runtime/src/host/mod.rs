//! A system in a program: services that are closures of the host, called by a program in ring 3 through the real ways in.
//!
//! [`Machine::builder`] takes a system, a CPU, a list of services, closures for some of them, and a program. The program calls
//! the stubs of ntdll; the guest's kernel dispatches as in a proof, copies the arguments, and calls a routine that leaves to the
//! host. There the closure gets a [`Call`], and what it returns is the status that the program sees.
//!
//! ```
//! use ntgate_runtime::host::{End, Machine, NtStatus};
//!
//! let mut closed = Vec::new();
//! let mut machine = Machine::builder()
//!     .profile("srv2003")
//!     .cpu("pentium2")
//!     .service("NtClose", |call| {
//!         closed.push((call.argument(0)?, call.entry().name()));
//!         Err(NtStatus::INVALID_HANDLE)
//!     })
//!     .program(|places| {
//!         use iced_x86::code_asm::*;
//!
//!         let mut a = CodeAssembler::new(places.bits())?;
//!         a.push(0x1234)?;
//!         a.call(places.stub("NtClose")?)?;
//!         a.push(eax)?;
//!         a.push(-1)?;
//!         a.call(places.stub("NtTerminateProcess")?)?;
//!         Ok(a.assemble(places.start())?)
//!     })
//!     .build()
//!     .expect("all the names are right");
//!
//! assert_eq!(machine.run(1_000_000), End::Exit(NtStatus::INVALID_HANDLE));
//! drop(machine);
//! assert_eq!(closed, [(0x1234, "sysenter")]);
//! ```
//!
//! Memory is reached through the call, by the rules that the previous mode asks for ([`Call::read`]): a bad pointer of ring 3
//! is a status, which `?` hands back to the guest. Nothing that a guest does makes the machine panic; how a run ends is an
//! [`End`].

mod amd64;
mod builder;
mod call;
mod end;
mod error;
mod i386;
mod memory;
mod places;
mod run;
mod status;
mod system;
mod value;

use ntgate_gen::Arch;

pub use builder::Builder;
pub use call::Call;
pub use end::{BugCheck, End};
pub(crate) use error::nearest;
pub use error::{BoxError, BuildError};
pub use places::Places;
pub use run::Machine;
pub use status::NtStatus;
pub use value::Value;

pub use crate::nt::Entry;

/// `KPROCESSOR_MODE`: who called a service.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Mode {
    /// The kernel itself, through a `Zw` stub.
    Kernel,
    /// Ring 3.
    User,
}

/// The CPU models on which a system runs: the one that is taken when none is named, and all of them.
///
/// # Errors
///
/// [`BuildError::UnknownProfile`].
pub fn cpus(profile: &str) -> Result<(&'static str, &'static [&'static str]), BuildError> {
    let system = system::System::by_name(profile)?;
    Ok((system.usual_cpu(), system.cpus()))
}

/// The names of all systems that a machine can be, each architecture's oldest first.
#[must_use]
pub fn profiles() -> Vec<&'static str> {
    system::System::all().into_iter().map(system::System::name).collect()
}

/// The architecture of a system; `None` if there is none of this name.
#[must_use]
pub fn arch_of(profile: &str) -> Option<Arch> {
    system::System::by_name(profile).ok().map(system::System::arch)
}
