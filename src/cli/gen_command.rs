//! `ntgate gen`.

use std::fs;
use std::path::PathBuf;

use clap::builder::{PossibleValuesParser, TypedValueParser};
use ntgate_gen::emit::{Format, Options, emit};
use ntgate_gen::{Arch, Encoding, Shape};

use super::input::ListArg;
use super::{Failure, output};

/// Generate stubs, tables or the list itself in one of several formats
#[derive(Debug, clap::Args)]
#[command(after_help = super::STATUS_HELP)]
pub(super) struct Args {
    #[command(flatten)]
    list: ListArg,
    /// The architecture: i386, amd64, arm64, or another name of theirs
    #[arg(long)]
    arch: Arch,
    /// The shape of the stubs; the one of the systems in longest use if none is given
    #[arg(long, value_parser = shape_parser())]
    shape: Option<Shape>,
    /// What to write
    #[arg(long, value_name = "FORMAT", value_parser = format_parser())]
    emit: Format,
    /// Whose encoding of a move between registers; that of the shape's system if none is given
    #[arg(long, value_parser = encoding_parser())]
    encoding: Option<Encoding>,
    /// Write to this file, and only if that changes it, instead of standard output
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Write nothing; exit status 1 if the file is not what would be written
    #[arg(long, requires = "output")]
    check: bool,
}

/// Shapes by name.
pub(super) fn shape_parser() -> impl TypedValueParser<Value = Shape> {
    PossibleValuesParser::new(Shape::ALL.map(Shape::name)).try_map(|name| name.parse::<Shape>())
}

fn format_parser() -> impl TypedValueParser<Value = Format> {
    PossibleValuesParser::new(Format::ALL.iter().map(|format| format.name())).try_map(|name| name.parse::<Format>())
}

fn encoding_parser() -> impl TypedValueParser<Value = Encoding> {
    PossibleValuesParser::new(Encoding::ALL.map(Encoding::name)).try_map(|name| name.parse::<Encoding>())
}

pub(super) fn run(args: &Args) -> Result<(), Failure> {
    let mut options = Options::new(args.arch, args.emit);
    options.shape = args.shape;
    options.encoding = args.encoding;
    let input = args.list.read()?;
    let bytes = emit(&input.list, &options).map_err(|error| Failure::input(error.to_string()))?;
    let Some(path) = &args.output else {
        return output::write(&bytes);
    };
    if !args.check {
        return output::write_file(path, &bytes);
    }
    match fs::read(path) {
        Ok(old) if old == bytes => Ok(()),
        Ok(_) => Err(Failure::new(Failure::FALSE, format!("{} is not what {} gives", path.display(), input.name))),
        Err(error) => Err(Failure::new(Failure::FALSE, format!("cannot read {}: {error}", path.display()))),
    }
}
