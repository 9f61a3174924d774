//! What a system-call DLL really does: every export is executed.
//!
//! [`audit`] takes the bytes of a file (a PE image of Windows, ReactOS or Wine, or such an image as it lies in memory; a COFF
//! or ELF object; an archive of objects), calls every function in it on the bundled machine, in ring 3 with poisoned
//! registers and a poisoned stack, and follows it into the kernel and out again, through every way that the environment
//! lets it take. What it reads that is not there is reported, not invented.
//!
//! ```
//! use ntgate_gen::emit::{Format, Options, emit};
//! use ntgate_gen::{Arch, Shape, read_list};
//! use ntgate_runtime::audit::{self, Class, Way};
//!
//! let read = read_list("two.lst", b"NtAcceptConnectPort 6\nNtClose 1\n").expect("the list is right");
//! let options = Options::new(Arch::I386, Format::Coff).shape(Shape::SharedEdx);
//! let object = emit(&read.list, &options).expect("it can be emitted");
//!
//! let audit = audit::audit(&object, &audit::Options::default()).expect("it is an object");
//! let close = audit.by_name("NtClose").expect("it has a stub");
//! assert_eq!((&close.class, close.number, close.ret_bytes), (&Class::Service, Some(1), Some(4)));
//! let ways: Vec<Way> = close.entries.iter().map(|entry| entry.way).collect();
//! assert_eq!(ways, [Way::Sysenter, Way::Int2e]);
//! assert_eq!(close.shape.as_deref(), Some("shared-edx"));
//! ```
//!
//! The rooms: `input` reads files into one form, `image` is that form; `guest` is the machine with a few instructions of
//! ring 0 in it; `environment` is what an export finds in memory; `run` is one call, `trial` all calls of an export;
//! [`class`](Class) judges, `shape` names, `hook` looks behind what has been patched; [`report`] and [`contract`] are for
//! those who read it.

mod class;
pub mod contract;
mod environment;
mod error;
mod export;
mod guest;
mod hook;
mod image;
mod input;
pub mod report;
mod run;
mod shape;
mod together;
mod trial;

use ntgate_gen::Arch;
use ntgate_gen::read::Services;

pub use class::{Class, Entry};
pub use error::AuditError;
pub use export::Export;
pub use hook::{Basis, Hook};
pub use image::Kind;
pub use run::Way;

use export::{exports, forwarded, twin_name};
use guest::Guest;
use input::{Input, Member};
use shape::Shapes;
use together::finish;

/// How to audit.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Options {
    /// PE images are as they lie in memory: a section is in the file where it is in the image.
    pub mapped: bool,
    /// The most instructions of one call. Stubs have a dozen; what has more ends as [`Class::Unsupported`].
    pub budget: u32,
}

impl Default for Options {
    fn default() -> Self {
        Self { mapped: false, budget: 400 }
    }
}

/// What a file does.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct Audit {
    /// Whose instructions it has.
    pub arch: Arch,
    /// What it is.
    pub kind: Kind,
    /// Its exports, or the global functions of its objects, in the order of their places: objects as the archive has them.
    pub exports: Vec<Export>,
    /// What is wrong with them together: numbers that two services have or that do not fit into their
    /// row, twins that differ, counts that do.
    pub findings: Vec<Finding>,
}

/// Something that should not be so, beyond what an export's class says.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Finding {
    /// The export that it is about.
    pub name: String,
    /// What is wrong.
    pub text: String,
}

impl Audit {
    /// The export of this name, or that of its twin.
    #[must_use]
    pub fn by_name(&self, name: &str) -> Option<&Export> {
        let has = |export: &&Export| export.name == name || export.twin.as_deref() == Some(name);
        self.exports.iter().find(has)
    }

    /// The services.
    pub fn services(&self) -> impl Iterator<Item = &Export> {
        self.exports.iter().filter(|export| export.class == Class::Service)
    }

    /// Takes argument counts that stubs do not tell from elsewhere, by name.
    pub fn fill_counts(&mut self, from: &Services) {
        for export in self.exports.iter_mut().filter(|export| export.class == Class::Service && export.args.is_none()) {
            let names = [Some(export.name.clone()), twin_name(&export.name)];
            let known = names.iter().flatten().find_map(|name| from.by_name(name));
            export.args = known.and_then(|entry| entry.args(self.arch));
        }
    }

    /// Whether a service has been hooked, or something is wrong with them together.
    #[must_use]
    pub fn is_clean(&self) -> bool {
        self.findings.is_empty() && self.exports.iter().all(|export| export.class != Class::Hooked)
    }
}

/// Executes every export of a file.
///
/// # Errors
/// If it is none of the files that can be audited, or damaged beyond use.
pub fn audit(bytes: &[u8], options: &Options) -> Result<Audit, AuditError> {
    let input = input::read(bytes, options.mapped)?;
    let mut guest = Guest::new().map_err(AuditError::Machine)?;
    match input {
        Input::One(image) => {
            let exports = exports(&mut guest, &image, &Shapes::of(image.arch), options);
            Ok(finish(image.arch, image.kind, exports))
        }
        Input::Many(arch, members) => {
            let shapes = Shapes::of(arch);
            let mut all = Vec::new();
            for (name, member) in members {
                let found = match member {
                    Member::Object(image) => exports(&mut guest, &image, &shapes, options),
                    Member::Import(symbol) => vec![forwarded(&symbol)],
                };
                all.extend(found.into_iter().map(|export| Export { member: Some(name.clone()), ..export }));
            }
            Ok(finish(arch, Kind::Archive, all))
        }
    }
}
