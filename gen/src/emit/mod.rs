//! Outputs: what a list becomes, as bytes of a file.
//!
//! Every format takes its instructions from [`stub`] and its numbers and counts from the list; none has
//! an instruction or a number of its own. The output depends on the list and the options alone: no time, no path.

mod assembly;
mod bin;
mod c_dialect;
mod c_header;
mod codes;
mod comment;
mod csv;
mod def;
mod error;
mod format;
mod gas;
#[cfg(feature = "json")]
mod json;
mod lines;
mod list;
mod masm;
mod nasm;
#[cfg(feature = "object")]
mod object;
mod packed_table;
mod params;
mod rust;
mod spec;
mod syzlang;
mod table;
#[cfg(test)]
mod tests;
#[cfg(feature = "tokens")]
pub mod tokens;
mod writer;

pub use error::Error;
pub use format::Format;

use crate::model::{Arch, ServiceList};
use crate::stub::{self, Encoding, Shape, Stub};

use codes::Codes;

/// What to emit.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Options {
    /// The architecture.
    pub arch: Arch,
    /// The shape of the stubs; `None` is the architecture's [default](Shape::default_for).
    pub shape: Option<Shape>,
    /// The encoding of the stubs; `None` is the shape's [default](Shape::default_encoding), and the assembler's choice in
    /// `masm`, `nasm` and `rust`.
    pub encoding: Option<Encoding>,
    /// The output format.
    pub format: Format,
}

impl Options {
    /// Default stubs of an architecture, in a format.
    #[must_use]
    pub const fn new(arch: Arch, format: Format) -> Self {
        Self { arch, shape: None, encoding: None, format }
    }

    /// With another shape.
    #[must_use]
    pub const fn shape(mut self, shape: Shape) -> Self {
        self.shape = Some(shape);
        self
    }

    /// With another encoding.
    #[must_use]
    pub const fn encoding(mut self, encoding: Encoding) -> Self {
        self.encoding = Some(encoding);
        self
    }

    /// The shape and the encoding that are meant.
    fn resolve(&self) -> Result<(Shape, Encoding), Error> {
        let shape = self.shape.unwrap_or(Shape::default_for(self.arch));
        if shape.arch() != self.arch {
            return Err(Error::wrong_arch(shape, self.arch));
        }
        Ok((shape, self.encoding.unwrap_or(shape.default_encoding())))
    }
}

/// Emits one output: the bytes of a file.
///
/// # Errors
///
/// If the shape is another architecture's, the architecture has no such tables, or the format cannot hold what the shape
/// or the list needs.
pub fn emit(list: &ServiceList, options: &Options) -> Result<Vec<u8>, Error> {
    // Where none is asked for, an assembler may choose.
    let moves = options.encoding;
    match options.format {
        Format::Gas => gas::write_gas(list, &Stubs::build(list, options)?).map(String::into_bytes),
        Format::Masm => masm::write_masm(list, &Stubs::build_x86(list, options)?, moves).map(String::into_bytes),
        Format::Nasm => nasm::write_nasm(list, &Stubs::build_x86(list, options)?, moves).map(String::into_bytes),
        Format::Rust => rust::write_rust(list, &Stubs::build(list, options)?, moves).map(String::into_bytes),
        Format::C => Ok(c_header::write_c(list, options.arch).into_bytes()),
        Format::Def => Ok(def::write_def(list, &Stubs::build(list, options)?).into_bytes()),
        Format::Spec => {
            let is_kernel = options.shape.is_some_and(Shape::is_kernel);
            Ok(spec::write_spec(list, options.arch, is_kernel).into_bytes())
        }
        Format::Csv => Ok(csv::write_csv(list).into_bytes()),
        Format::Syzlang => Ok(syzlang::write_syzlang(list, options.arch).into_bytes()),
        Format::Bin => bin::encode_bin(&Codes::build(list, options)?),
        #[cfg(feature = "json")]
        Format::Json => json::write_json(list, &Codes::build(list, options)?),
        Format::List => Ok(list::write_list(list).into_bytes()),
        Format::Table => table::write_table(list, options.arch).map(String::into_bytes),
        Format::PackedTable => packed_table::write_packed_table(list, options.arch).map(String::into_bytes),
        #[cfg(feature = "object")]
        Format::Coff => object::encode_coff(&Codes::build(list, options)?),
        #[cfg(feature = "object")]
        Format::Elf => object::encode_elf(&Codes::build(list, options)?),
        #[cfg(feature = "object")]
        Format::Archive => object::encode_coff_archive(&Codes::build(list, options)?),
        #[cfg(feature = "object")]
        Format::ElfArchive => object::encode_elf_archive(&Codes::build(list, options)?),
        #[cfg(feature = "object")]
        Format::Implib => object::encode_implib(list, options.arch),
        #[cfg(feature = "object")]
        Format::Pe => object::encode_pe(&Codes::build(list, options)?),
    }
}

/// The stubs of all services of a list, in one shape and in the order of the list.
struct Stubs {
    shape: Shape,
    encoding: Encoding,
    stubs: Vec<Stub>,
}

impl Stubs {
    fn build(list: &ServiceList, options: &Options) -> Result<Self, Error> {
        let (shape, encoding) = options.resolve()?;
        let stubs = list.services().map(|service| stub::build(shape, service, encoding)).collect();
        Ok(Self { shape, encoding, stubs })
    }

    /// The same for a format that knows no other instructions.
    fn build_x86(list: &ServiceList, options: &Options) -> Result<Self, Error> {
        match options.arch {
            Arch::I386 | Arch::Amd64 => Self::build(list, options),
            Arch::Arm64 => Err(Error::wrong_format(options.format, options.arch)),
        }
    }
}
