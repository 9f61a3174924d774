//! From one list of NT system services to the stubs and tables that an operating system needs of it, and the proof that
//! they are right.
//!
//! This crate is the front door; the work is done behind it:
//!
//! - [`ntgate_gen`]: list → checked model → stubs → text, bytes and tables;
//! - [`ntgate_runtime`]: a bundled x86 machine, a small NT kernel that runs on it, and the prover;
//! - [`stubs!`]: a list's stubs and tables as constants of a Rust program.
//!
//! # Generate
//!
//! ```
//! use ntgate::ntgate_gen::emit::{Format, Options, emit};
//! use ntgate::ntgate_gen::{Arch, Shape, read_list};
//!
//! let read = read_list("two.lst", b"NtAcceptConnectPort 6\nNtClose 1\n").expect("the list is right");
//! let options = Options::new(Arch::I386, Format::Gas).shape(Shape::SharedEdx);
//! let text = String::from_utf8(emit(&read.list, &options).expect("it can be emitted")).expect("it is text");
//! assert!(text.contains("_NtClose@4"));
//! ```
//!
//! # Prove
//!
//! The list's stubs are called on every CPU that reaches another way into the kernel, and every fact that the guest logs
//! is judged:
//!
//! ```
//! use ntgate::ntgate_runtime::prove::{Options, prove};
//!
//! let read = ntgate::ntgate_gen::read_list("two.lst", b"NtAcceptConnectPort 6\nNtClose 1\n").expect("the list is right");
//! let report = prove(&read.list, "two.lst", &Options::default(), &|_, _| {}).expect("the guest boots");
//! assert!(report.holds());
//! ```
//!
//! # Use
//!
//! ```
//! mod nt {
//!     ntgate::stubs! { list = "sysfuncs.lst", arch = "i386", shape = "shared-edx" }
//! }
//! assert_eq!(nt::NtClose[0], 0xB8); // mov eax,1Bh
//! ```
//!
//! The built-in list is [`SYSFUNCS`]. The program `ntgate` does all of this on a command line.

pub use ntgate_gen;
pub use ntgate_runtime;
pub use ntgate_stubs_macro::stubs;

/// The list that the command line takes when none is named: the services of ReactOS, in the order of NT 5.2.
pub const SYSFUNCS: &[u8] = include_bytes!("../sysfuncs.lst");

/// The programs of the front page are tested like those above.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct FrontPage;
