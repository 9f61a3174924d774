//! The machine, the NT guest and the prover of ntgate.
//!
//! - [`machine`]: a system-level x86 that boots multiboot images. It knows nothing of NT.
//! - [`nt`]: the guest, as instructions in an image: descriptor tables, trap frames, both ways into the kernel, the
//!   dispatcher, and a harness that calls stubs and logs raw facts. It knows nothing of proofs.
//! - [`backend`]: the same image on the machine or under QEMU, and the same log out.
//! - [`prove`]: from a list to a verdict.
//! - [`host`]: a program on a whole system, some of whose services are closures of the host.
//! - [`debug`]: such a system under a debugger's eyes: symbols, steps in both directions, WinDbg's commands, and with the feature
//!   `gdb` a server for gdb.
//!
//! From an image to its log:
//!
//! ```
//! use ntgate_gen::Arch;
//! use ntgate_runtime::machine::{Exit, Machine, cpuid::Model};
//! use ntgate_runtime::prove;
//!
//! let read = ntgate_gen::read_list("one.lst", b"NtClose 1\n").expect("the list is right");
//! let image = prove::image(&read.list, Arch::I386, &[]).expect("it fits the guest");
//!
//! let mut machine = Machine::new(Model::by_name("pentium2").expect("there is such a model"), 16 << 20);
//! machine.load(&image).expect("it is a multiboot image");
//! assert_eq!(machine.run(10_000_000), Exit::Port(0));
//!
//! let log = String::from_utf8_lossy(machine.console());
//! assert!(log.starts_with("ntgate 1 profile srv2003 services 1 sets 7\n"));
//! ```
//!
//! And the verdict, on every CPU at once: [`prove::prove`].

pub mod backend;
pub mod debug;
pub mod host;
pub mod machine;
pub mod nt;
#[cfg(feature = "picture")]
pub(crate) mod page;
pub mod prove;
