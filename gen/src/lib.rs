//! From one list of NT system services to everything that is derived from it: stubs, tables, text and bytes.
//!
//! The list is the only place that holds a service's number and argument count, a [`Shape`] the only place that holds
//! a stub's instructions. [`read_list`] turns the text of a list into a [`ServiceList`], which cannot be built
//! invalid; [`stub::build`] turns a service and a shape into instructions; [`emit::emit`] turns all of them into one
//! output format.
//!
//! ```
//! use ntgate_gen::{Shape, read_list, stub};
//!
//! let read = read_list("example.lst", b"NtAcceptConnectPort 6\nNtClose 1\n").expect("the list is right");
//! let close = read.list.primary().by_name("NtClose").expect("it is in the list");
//! assert_eq!(close.number(), 1);
//!
//! let stub = stub::build(Shape::SharedEdx, close, Shape::SharedEdx.default_encoding());
//! assert_eq!(stub.symbols, ["_NtClose@4", "_ZwClose@4"]);
//! let code = stub.encode().expect("it encodes");
//! assert_eq!(code.bytes[..5], [0xb8, 1, 0, 0, 0]); // mov eax,1
//! ```
//!
//! The stages import each other in one direction only: `model <- syntax <- check <- stub <- emit`, and `table`, what
//! a kernel does with tables, beside `stub`, and `nci`, ReactOS's old generator, beside `emit`; [`build`], for build systems,
//! stands on all of them; `read <- diff` come after `check`. What a list does wrong is collected in [`Diagnostics`], all of it
//! in one run.
//!
//! # Features
//!
//! - `render` (default): [`Diagnostics::render`], with snippets and carets.
//! - `json` (default): [`emit::Format::Json`].
//! - `object`: object files, archives, import libraries and images, and [`Builder`]'s `link`.
//! - `readers` (default): [`read`], services from headers, .spec files and published tables, and [`diff`], what moved
//!   between two of them.
//! - `tokens`: Rust tokens of tables and stubs, for macros.

pub mod build;
pub mod check;
mod diag;
#[cfg(feature = "readers")]
pub mod diff;
pub mod emit;
pub mod model;
pub mod nci;
#[cfg(feature = "readers")]
pub mod read;
#[cfg(feature = "readers")]
pub mod sarif;
pub mod stub;
mod syntax;
pub mod table;

pub use build::Builder;
pub use check::{Read, read_list};
pub use diag::{Code, Diagnostic, Diagnostics, Label, Severity};
pub use model::{Arch, Service, ServiceList, ServiceName, ServiceTable};
pub use stub::{Encoding, Shape, Stub};
