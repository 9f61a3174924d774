//! `ntgate convert`.

use std::path::{Path, PathBuf};

use ntgate_gen::Arch;
use ntgate_gen::emit::{Format, Options, emit};
use ntgate_gen::read::{InputFormat, Reading};

use super::depfile::DepfileArg;
use super::paths::check_apart;
use super::source::{SourceArgs, check_systems, format_parser, refused};
use super::{Failure, gen_command, output};

/// Read services in any format (header, .spec, published table, list) and write them in another
#[derive(Debug, clap::Args)]
#[command(after_help = super::STATUS_HELP)]
pub(super) struct Args {
    /// The file to read; `-` is standard input
    #[arg(value_name = "IN")]
    input: PathBuf,
    /// What the file is; what its content looks like if none is given
    #[arg(long, value_name = "FORMAT", value_parser = format_parser())]
    from: Option<InputFormat>,
    #[command(flatten)]
    source: SourceArgs,
    /// The system whose numbers are taken of a table of many, as "Windows Server 2003/SP2"
    #[arg(long)]
    system: Option<String>,
    /// Take argument counts that the file does not have from this one, by name
    #[arg(long, value_name = "FILE")]
    counts: Option<PathBuf>,
    /// What to write: a format of `gen --emit`
    #[arg(long, value_name = "FORMAT", value_parser = super::gen_command::format_parser())]
    to: Format,
    /// Write to this file, and only if that changes it; `-`, or none, is standard output
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
    #[command(flatten)]
    depfile: DepfileArg,
}

/// What messages about the arguments are about.
const NAME: &str = "convert";

/// Formats that have no argument counts, and so need none.
const NUMBERS_ONLY: [&str; 1] = ["csv"];

pub(super) fn run(args: &Args) -> Result<(), Failure> {
    if args.counts.as_ref().is_some_and(|path| output::is_standard(path)) && output::is_standard(&args.input) {
        let message = "the argument '--counts -' cannot be used with 'IN' '-'";
        return Err(Failure::usage_tip(NAME, message, "standard input is one file: name the other"));
    }
    let inputs: Vec<&Path> =
        [Some(&args.input), args.counts.as_ref()].into_iter().flatten().map(PathBuf::as_path).collect();
    if let Some(path) = &args.output {
        args.depfile.check(NAME, Some(path))?;
        let outputs: Vec<&Path> = [Some(path.as_path()), args.depfile.path()].into_iter().flatten().collect();
        check_apart(&inputs, &outputs)?;
    }
    let mut reading = args.source.read(Some(&args.input), args.from, args.system.as_deref())?;
    let mut formats = vec![reading.format()];
    if let Some(path) = &args.counts {
        let counts = args.source.read(Some(path), None, args.system.as_deref())?;
        formats.push(counts.format());
        reading.fill_counts(counts.services());
    }
    check_systems(NAME, usize::from(args.system.is_some()), &formats)?;
    let arch = args.source.arch.unwrap_or(reading.arch());
    let list = if NUMBERS_ONLY.contains(&args.to.name()) {
        if reading.services().has_counts() {
            output::complain(&format!("ntgate: warning: the format {} has no argument counts\n", args.to));
        }
        reading.to_list_of_numbers()
    } else if args.to == Format::List {
        warn_of_half_counts(&reading);
        reading.to_list()
    } else {
        reading.to_list_for(arch)
    };
    let list = list.map_err(|diagnostics| refused(&diagnostics))?;
    let options = Options::new(arch, args.to);
    let bytes = emit(&list, &options).map_err(|error| gen_command::refused(NAME, &error))?;
    match &args.output {
        Some(path) => args.depfile.write(&[(path, &bytes)], &inputs),
        None => output::write(&bytes),
    }
}

/// A list has counts for both architectures; where only one is known it stands for the other too.
fn warn_of_half_counts(reading: &Reading) {
    for (missing, other) in [(Arch::I386, Arch::Amd64), (Arch::Amd64, Arch::I386)] {
        if let Some(entry) = reading.services().half_known(missing) {
            let name = entry.name();
            output::complain(&format!(
                "ntgate: warning: there are no counts for {missing}, as of {name}; those for {other} are written for both\n"
            ));
        }
    }
}
