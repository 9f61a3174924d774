//! `ntgate gen`.

use std::path::{Path, PathBuf};

use clap::builder::{PossibleValuesParser, TypedValueParser};
use ntgate_gen::emit::{Error, Format, Options, emit};
use ntgate_gen::{Arch, Encoding, Shape};

use super::compare::compare;
use super::depfile::DepfileArg;
use super::input::ListArg;
use super::paths::check_apart;
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
    #[arg(long, value_parser = PossibleValuesParser::new(shape_names()))]
    shape: Option<String>,
    /// What to write
    #[arg(long, value_name = "FORMAT", value_parser = format_parser())]
    emit: Format,
    /// Whose encoding of a move between registers; that of the shape's system if none is given
    #[arg(long, value_parser = encoding_parser())]
    encoding: Option<Encoding>,
    /// Write to this file, and only if that changes it; `-`, or none, is standard output
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Write nothing; exit status 1 and the difference if the file is not what would be written, or not there
    #[arg(long, requires = "output", conflicts_with = "depfile")]
    check: bool,
    #[command(flatten)]
    depfile: DepfileArg,
}

/// What messages about the arguments are about.
const NAME: &str = "gen";

/// The shapes of all architectures. A name may mean another shape on another architecture.
fn shape_names() -> Vec<&'static str> {
    let mut names: Vec<&str> = Vec::new();
    for shape in Arch::ALL.into_iter().flat_map(Shape::of) {
        if !names.contains(&shape.name()) {
            names.push(shape.name());
        }
    }
    names
}

pub(super) fn format_parser() -> impl TypedValueParser<Value = Format> {
    PossibleValuesParser::new(Format::ALL.iter().map(|format| format.name())).try_map(|name| name.parse::<Format>())
}

fn encoding_parser() -> impl TypedValueParser<Value = Encoding> {
    PossibleValuesParser::new(Encoding::ALL.map(Encoding::name)).try_map(|name| name.parse::<Encoding>())
}

pub(super) fn run(args: &Args) -> Result<(), Failure> {
    let mut options = Options::new(args.arch, args.emit);
    let shape = args.shape.as_deref().map(|name| Shape::from_name(args.arch, name)).transpose();
    options.shape = shape.map_err(|error| Failure::usage(NAME, error))?;
    options.encoding = args.encoding;
    check_files(args)?;
    let input = args.list.read()?;
    let bytes = emit(&input.list, &options).map_err(|error| refused(NAME, &error))?;
    match &args.output {
        Some(path) if args.check => compare(path, &bytes, args.emit.is_binary(), &input.name),
        Some(path) => args.depfile.write(&[(path, &bytes)], &args.list.file().into_iter().collect::<Vec<_>>()),
        None => output::write(&bytes),
    }
}

/// An output that cannot be made; what other arguments would do.
pub(super) fn refused(subcommand: &str, error: &Error) -> Failure {
    if error.is_contradiction() { Failure::usage(subcommand, error) } else { Failure::input(error.to_string()) }
}

/// An output must not take the place of what is read, or of another output. The list alone may be written over itself:
/// in canonical form.
fn check_files(args: &Args) -> Result<(), Failure> {
    let Some(path) = args.output.as_deref() else {
        return Ok(());
    };
    if args.check {
        return match output::is_standard(path) {
            true => {
                let message = "the argument '--check' cannot be used with '--output -'";
                Err(Failure::usage_tip(NAME, message, "name the file that is to be compared"))
            }
            false => Ok(()),
        };
    }
    args.depfile.check(NAME, Some(path))?;
    let inputs: Vec<&Path> = args.list.file().into_iter().collect();
    let outputs: Vec<&Path> = [Some(path), args.depfile.path()].into_iter().flatten().collect();
    let is_list = args.emit == Format::List;
    check_apart(&inputs, if is_list { &outputs[1..] } else { &outputs })?;
    check_apart(&[], &outputs)
}
