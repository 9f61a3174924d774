//! A system-level x86: 32-bit protected mode and long mode, with segmentation, paging, gates and the fast system-call
//! instructions.
//!
//! A [`Machine`] is loaded with a multiboot image and run; the guest ends the run by writing to its exit port.
//!
//! ```
//! # fn example() -> Option<()> {
//! use ntgate_runtime::machine::{Exit, Machine, cpuid::Model};
//!
//! // A multiboot image of 40 bytes: a header whose address fields say "load me at 100000h", and the code
//! //   mov al, 'A'; out 0E9h, al; mov al, 3; out 0F4h, al
//! let code = [0xB0, b'A', 0xE6, 0xE9, 0xB0, 0x03, 0xE6, 0xF4];
//! let (magic, flags) = (0x1BAD_B002u32, 0x1_0000u32);
//! let checksum = 0u32.wrapping_sub(magic).wrapping_sub(flags);
//! let (start, entry) = (0x10_0000u32, 0x10_0020u32);
//! let mut image: Vec<u8> =
//!     [magic, flags, checksum, start, start, 0, 0, entry].iter().flat_map(|word| word.to_le_bytes()).collect();
//! image.extend_from_slice(&code);
//!
//! let mut machine = Machine::new(Model::by_name("pentium2")?, 16 << 20);
//! machine.load(&image).ok()?;
//! assert_eq!(machine.run(1_000), Exit::Port(3));
//! assert_eq!(machine.console(), b"A");
//! # Some(())
//! # }
//! # example().unwrap();
//! ```
//!
//! What the processor does is in these rooms:
//!
//! * state: `core`, [`flags`], [`segment`], [`cpuid`], `memory`
//! * reaching memory: `access` (segments), `paging` (translation), `frame` (what the processor itself pushes), `reach` (the
//!   host, with the guest's rights)
//! * execution: `block` (decoded code), `op`, `exec` (one file an instruction family), `run` (the loop)
//! * changes of privilege and mode: `descriptor`, `gate` (IDT and `IRET`), `far`, `task`, `long` (those in IA-32e mode),
//!   `fastcall`, `mode`, `control`
//! * around it: `ports`, `devices`, `multiboot`, `machine`, `inspect`, `snapshot`, `observe`
//!
//! What a guest does ends in an [`Exit`], never in a panic; what the machine does not have ends in
//! [`Exit::Unsupported`], never in a guess.

mod access;
mod block;
mod breakpoint;
mod control;
mod core;
pub mod cpuid;
mod descriptor;
mod devices;
mod exec;
mod far;
mod fastcall;
pub mod fault;
pub mod flags;
mod frame;
mod gate;
mod inspect;
mod long;
#[allow(clippy::module_inception)]
mod machine;
mod memory;
mod mode;
mod multiboot;
mod observe;
mod op;
mod paging;
mod ports;
#[cfg(test)]
mod random;
mod reach;
mod run;
pub mod segment;
mod snapshot;
mod task;
#[cfg(test)]
mod testing;
mod walk;
mod width;

// The numbers that a guest made in this crate shares with the machine.
pub(crate) use self::core::{CR0_PG, CR0_WP, msr};
pub(crate) use self::multiboot::HEADER_MAGIC;
pub(crate) use self::ports::{CONSOLE, EXIT};

pub use self::core::{Msrs, TableRegister};
pub use self::fault::Exit;
pub use self::gate::Gate;
pub use self::inspect::{PageEntry, PageWalk};
pub use self::machine::{Machine, Register, SegmentRegister};
pub use self::multiboot::LoadError;
pub use self::observe::{Check, Event, MemoryAccess, Rule, What};
pub use self::reach::{Denied, Rights};
pub use self::snapshot::Snapshot;
