//! From one list of NT system services to the stubs and tables that an operating system needs of it, and the proof that
//! they are right.
//!
//! This crate is the front door; the work is done behind it:
//!
//! - [`ntgate_gen`]: list → checked model → stubs → text, bytes and tables;
//! - [`ntgate_runtime`]: a bundled x86 machine, a small NT kernel that runs on it, and the prover;
//! - [`stubs!`], [`service_table!`], [`derive(SystemServices)`](macro@SystemServices), [`service_numbers!`] and
//!   [`for_each_service!`]: what a Rust kernel or tool makes of a list at compile time.
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
//! # Use at compile time
//!
//! A user-mode program has its stubs as functions, typed where the list has signatures, and their code as constants:
//!
//! ```
//! mod nt {
//!     ntgate::stubs! { list = "sysfuncs.lst", shape = "syscall", only(NtClose, NtYieldExecution), zw }
//! }
//! # #[cfg(target_arch = "x86_64")]
//! let close: unsafe extern "win64" fn(usize) -> i32 = nt::ZwClose;
//! assert_eq!(nt::code::NtClose[..3], [0x4c, 0x8b, 0xd1]); // mov r10,rcx
//! ```
//!
//! A kernel has its dispatch table, each row of it checked against its handler:
//!
//! ```
//! mod handlers {
//!     pub unsafe extern "win64" fn NtClose(_handle: usize) -> i32 { 0 }
//!     pub unsafe extern "win64" fn NtYieldExecution() -> i32 { 0x4000_0024 }
//! }
//! mod ssdt {
//!     ntgate::service_table! { list = "stubs-macro/tests/two.lst", arch = "amd64", handlers = super::handlers }
//! }
//! # #[cfg(not(target_arch = "x86_64"))] fn main() {}
//! # #[cfg(target_arch = "x86_64")] fn main() {
//! assert_eq!(ssdt::ARGUMENTS, [8, 0]);
//! # }
//! ```
//!
//! A tool looks services up:
//!
//! ```
//! use ntgate::SystemServices;
//!
//! #[derive(SystemServices)]
//! #[services(list = "sysfuncs.lst", shape = "shared-edx")]
//! struct Ntdll;
//!
//! assert_eq!(Ntdll::by_number(0x1b).unwrap().name(), "NtClose");
//! assert_eq!(Ntdll::by_name("NtClose").unwrap().code()[0], 0xb8); // mov eax,1Bh
//! ```
//!
//! # Features
//!
//! - `cli` (default): the program `ntgate`. It needs `prove`.
//! - `prove`: [`ntgate_runtime`]. It needs `generate`.
//! - `generate`: [`ntgate_gen`].
//!
//! Without any of them this crate is `no_std` and has the macros and [`SystemServices`] alone: what a kernel wants, and none
//! of what runs at compile time or beside it is linked.
//!
//! The built-in list is [`SYSFUNCS`]. The program `ntgate` does all of this on a command line.
#![no_std]

mod services;

#[cfg(feature = "generate")]
pub use ntgate_gen;
#[cfg(feature = "prove")]
pub use ntgate_runtime;
#[cfg(feature = "prove")]
#[doc(inline)]
pub use ntgate_runtime::audit;
pub use ntgate_stubs_macro::{SystemServices, for_each_service, service_numbers, service_table, stubs};
pub use services::{SystemService, SystemServices};

/// The list that the command line takes when none is named: the services of ReactOS, in the order of NT 5.2.
pub const SYSFUNCS: &[u8] = include_bytes!("../sysfuncs.lst");

/// The programs of the front page are tested like those above.
#[cfg(all(doctest, feature = "prove"))]
#[doc = include_str!("../README.md")]
struct FrontPage;
