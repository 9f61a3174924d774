//! A system under a debugger's eyes.
//!
//! [`Target`] is a booted system with a program in ring 3, [`Symbols`] has the names of its routines and structures. A target
//! runs, steps, stops at breakpoints, and goes back in time: the machine is deterministic, so going back is restoring a
//! snapshot and running forwards again, as far as to the moment before.
//!
//! [`Kd`] is a session with WinDbg's commands on such a target.
//!
//! ```
//! use ntgate_runtime::debug::{Stop, Target};
//! use ntgate_runtime::host::Machine;
//!
//! let builder = Machine::builder().profile("srv2003").program(|places| {
//!     use iced_x86::code_asm::*;
//!
//!     let mut a = CodeAssembler::new(places.bits())?;
//!     a.push(5)?;
//!     a.call(places.stub("NtClose")?)?;
//!     a.push(0)?;
//!     a.push(-1)?;
//!     a.call(places.stub("NtTerminateProcess")?)?;
//!     Ok(a.assemble(places.start())?)
//! });
//! let mut target = Target::boot(builder).expect("the system boots");
//! let entry = target.symbols().address("nt!KiFastCallEntry").expect("it has one");
//!
//! target.set_breakpoint(entry);
//! assert_eq!(target.go(1_000_000, &|| false), Stop::Breakpoint(entry));
//! assert_eq!(target.machine().cpl(), 0);
//! // The instruction before was the stub's.
//! assert_eq!(target.step_back(), Stop::Step);
//! assert_eq!(target.symbols().describe(target.machine().rip()), "ntdll!KiFastSystemCall+2");
//! ```

#[cfg(feature = "gdb")]
pub mod gdb;
mod guest;
mod history;
mod kd;
#[cfg(feature = "picture")]
mod picture;
pub mod program;
mod symbols;
mod target;
pub mod trace;
pub mod types;
mod watch;

pub use guest::Guest;
pub use kd::{Kd, Outcome};
pub use symbols::{Near, Symbols};
pub use target::{BootError, Stop, Target};
pub use watch::{Watched, Watchpoint};
