//! The builder.

use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use super::cargo::Directives;
use super::error::lines;
use super::write::{is_same_file, write_each_if_changed};
use super::{Error, target};
use crate::check::read_list;
use crate::emit::{Format, Options, emit};
use crate::model::Arch;
use crate::stub::{Encoding, Shape};

/// Makes outputs of a list, in a build script: tells Cargo what they depend on, writes only what has changed, and reports
/// mistakes as Cargo's own.
///
/// What is not said is found out: the architecture is the shape's or the target's, the shape the architecture's
/// [default](Shape::default_for), the directory Cargo's `OUT_DIR`.
#[derive(Clone, Debug)]
#[must_use = "nothing is made until `run` is called"]
pub struct Builder {
    list: PathBuf,
    arch: Option<Arch>,
    shape: Option<Shape>,
    encoding: Option<Encoding>,
    out_dir: Option<PathBuf>,
    outputs: Vec<Wanted>,
}

#[derive(Clone, Debug)]
enum Wanted {
    Output(Format, Option<PathBuf>),
    #[cfg(feature = "object")]
    Link,
}

/// What [`Builder::run`] has made.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Built {
    /// The outputs, in the order in which they were asked for.
    pub outputs: Vec<Output>,
}

/// An output of [`Builder::run`].
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Output {
    /// The file.
    pub path: PathBuf,
    /// Whether it had to be written.
    pub changed: bool,
}

impl Builder {
    /// Of a list: a path from the package's directory.
    pub fn new(list: impl Into<PathBuf>) -> Self {
        Self { list: list.into(), arch: None, shape: None, encoding: None, out_dir: None, outputs: Vec::new() }
    }

    /// For another architecture than the target's.
    pub fn arch(mut self, arch: Arch) -> Self {
        self.arch = Some(arch);
        self
    }

    /// In another shape than the architecture's default.
    pub fn shape(mut self, shape: Shape) -> Self {
        self.shape = Some(shape);
        self
    }

    /// In another encoding than the shape's default.
    pub fn encoding(mut self, encoding: Encoding) -> Self {
        self.encoding = Some(encoding);
        self
    }

    /// Into another directory than Cargo's `OUT_DIR`; it is made if it is not there.
    pub fn out_dir(mut self, directory: impl Into<PathBuf>) -> Self {
        self.out_dir = Some(directory.into());
        self
    }

    /// An output. It gets the list's name with the format's usual extension, `sysfuncs.s`; may be called more than once.
    /// Formats that share an extension, and one that has the list's, need [`emit_to`](Self::emit_to).
    pub fn emit(mut self, format: Format) -> Self {
        self.outputs.push(Wanted::Output(format, None));
        self
    }

    /// An output of this name, in the output directory unless the name is absolute.
    pub fn emit_to(mut self, format: Format, name: impl Into<PathBuf>) -> Self {
        self.outputs.push(Wanted::Output(format, Some(name.into())));
        self
    }

    /// A static library of the stubs in the format of the target's linker, `libsysfuncs_stubs.a`, which Cargo links to
    /// what it builds. The linker takes of it what is used. No C compiler and no assembler is needed.
    #[cfg(feature = "object")]
    pub fn link(mut self) -> Self {
        self.outputs.push(Wanted::Link);
        self
    }

    /// Makes everything, and tells Cargo on standard output.
    ///
    /// # Errors
    ///
    /// If the list cannot be read or has mistakes, if an output cannot be made of it or cannot be written, if two outputs
    /// are one file or one is the list, or if the target is not known. Cargo has been told, line for line, with `cargo::error`, and the build fails whatever the
    /// script does with the error.
    pub fn run(&self) -> Result<Built, Error> {
        self.run_to(&mut io::stdout().lock())
    }

    /// As [`run`](Self::run), with the lines for Cargo written elsewhere.
    ///
    /// # Errors
    ///
    /// As of [`run`](Self::run).
    pub fn run_to(&self, cargo: &mut dyn Write) -> Result<Built, Error> {
        let mut cargo = Directives::new(cargo);
        let built = self.build(&mut cargo);
        if let Err(error) = &built {
            for line in error.lines() {
                cargo.error(&line)?;
            }
        }
        built
    }

    fn build(&self, cargo: &mut Directives<'_>) -> Result<Built, Error> {
        cargo.rerun_if_changed(&self.list)?;
        let bytes = fs::read(&self.list).map_err(|error| Error::file("read", &self.list, error))?;
        let read = read_list(&self.list.to_string_lossy(), &bytes).map_err(Error::list)?;
        for line in lines(&read.warnings) {
            cargo.warning(&line)?;
        }
        let arch = self.arch.or(self.shape.map(Shape::arch)).map_or_else(target::arch, Ok)?;
        let directory = self.out_dir.clone().map_or_else(target::out_dir, Ok)?;

        // Everything is made before anything is written.
        let mut made = Vec::with_capacity(self.outputs.len());
        for wanted in &self.outputs {
            let (format, name) = self.resolve(wanted)?;
            let mut options = Options::new(arch, format);
            options.shape = self.shape;
            options.encoding = self.encoding;
            let bytes = emit(&read.list, &options).map_err(|error| Error::emit(&self.list, error))?;
            made.push((directory.join(name), bytes));
        }
        fs::create_dir_all(&directory).map_err(|error| Error::file("make", &directory, error))?;
        self.check_paths(&made)?;
        let files: Vec<_> = made.iter().map(|(path, bytes)| (path.as_path(), bytes.as_slice())).collect();
        let changed = write_each_if_changed(&files).map_err(|(path, error)| Error::file("write", &path, error))?;
        let outputs = made.into_iter().zip(changed).map(|((path, _), changed)| Output { path, changed }).collect();
        #[cfg(feature = "object")]
        if self.outputs.iter().any(|wanted| matches!(wanted, Wanted::Link)) {
            cargo.link(&directory, &self.library())?;
        }
        Ok(Built { outputs })
    }

    /// Outputs are files of their own: none takes another's place, nor the list's. The directory is there.
    fn check_paths(&self, made: &[(PathBuf, Vec<u8>)]) -> Result<(), Error> {
        for (index, (path, _)) in made.iter().enumerate() {
            if is_same_file(path, &self.list) {
                return Err(Error::same_file(path, "the list itself"));
            }
            if made[..index].iter().any(|(other, _)| is_same_file(path, other)) {
                return Err(Error::same_file(path, "another output too"));
            }
        }
        Ok(())
    }

    /// The format and the name of an output.
    fn resolve(&self, wanted: &Wanted) -> Result<(Format, PathBuf), Error> {
        match wanted {
            Wanted::Output(format, Some(name)) => Ok((*format, name.clone())),
            Wanted::Output(format, None) => {
                Ok((*format, PathBuf::from(format!("{}.{}", self.stem(), extension(*format)))))
            }
            #[cfg(feature = "object")]
            Wanted::Link => Ok((target::archive()?, PathBuf::from(format!("lib{}.a", self.library())))),
        }
    }

    /// The name of the library as linkers are told it.
    #[cfg(feature = "object")]
    fn library(&self) -> String {
        format!("{}_stubs", self.stem())
    }

    /// The list's name without its extension.
    fn stem(&self) -> String {
        Path::new(&self.list).file_stem().map_or_else(|| "services".into(), |stem| stem.to_string_lossy().into_owned())
    }
}

/// What files of a format are usually called.
fn extension(format: Format) -> &'static str {
    match format {
        Format::Gas => "s",
        Format::Masm | Format::Nasm => "asm",
        Format::Rust => "rs",
        Format::C => "h",
        Format::Syzlang => "txt",
        Format::List => "lst",
        Format::Table => "c",
        Format::PackedTable => "ld",
        #[cfg(feature = "object")]
        Format::Coff => "obj",
        #[cfg(feature = "object")]
        Format::Elf => "o",
        #[cfg(feature = "object")]
        Format::Archive | Format::Implib => "lib",
        #[cfg(feature = "object")]
        Format::ElfArchive => "a",
        #[cfg(feature = "object")]
        Format::Pe => "dll",
        // The others are called after themselves: `bin`, `json`.
        _ => format.name(),
    }
}
