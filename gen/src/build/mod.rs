//! What build systems want: outputs that are written only if they change, the files that an output depends on, and a
//! builder for `build.rs`.
//!
//! A build script in which everything is as usual, for the machine that is built for:
//!
//! ```no_run
//! # #[cfg(feature = "object")]
//! fn main() -> Result<(), ntgate_gen::build::Error> {
//!     ntgate_gen::build::link("sysfuncs.lst")
//! }
//! # #[cfg(not(feature = "object"))]
//! # fn main() {}
//! ```
//!
//! and one that says what it wants:
//!
//! ```no_run
//! use ntgate_gen::emit::Format;
//! use ntgate_gen::{Arch, Builder, Shape};
//!
//! fn main() -> Result<(), ntgate_gen::build::Error> {
//!     Builder::new("sysfuncs.lst").arch(Arch::I386).shape(Shape::SharedEdx).emit(Format::Gas).run()?;
//!     Ok(())
//! }
//! ```

mod builder;
mod cargo;
mod depfile;
mod error;
mod target;
mod write;

pub use builder::{Builder, Built, Output};
pub use depfile::depfile;
pub use error::Error;
pub use write::{write_all_if_changed, write_if_changed};

/// Makes the stubs of a list for the machine that is built for, in the architecture's default shape, and links them to
/// what is being built: the one line that most build scripts need. See [`Builder::link`].
///
/// # Errors
///
/// As of [`Builder::run`]. Cargo has been told.
#[cfg(feature = "object")]
pub fn link(list: impl Into<std::path::PathBuf>) -> Result<(), Error> {
    Builder::new(list).link().run().map(|_| ())
}
