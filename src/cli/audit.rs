//! `ntgate audit`.

use std::io::{self, IsTerminal};
use std::path::{Path, PathBuf};

use clap::ValueEnum;
use indicatif::{ProgressBar, ProgressStyle};
use ntgate_gen::read::{InputFormat, Services};
use ntgate_runtime::audit::contract::Contract;
use ntgate_runtime::audit::report::{self, Audited};
use ntgate_runtime::audit::{Options, audit};
use rayon::prelude::*;

use super::input::read_file;
use super::source::{SourceArgs, check_systems, format_parser, refused};
use super::{Failure, output};

/// Find out by execution what system-call DLLs and objects really do: number, arguments and way into the kernel of each export
#[derive(Debug, clap::Args)]
#[command(after_help = AFTER_HELP)]
pub(super) struct Args {
    /// PE images, COFF or ELF objects, archives of objects; `-` is standard input
    #[arg(value_name = "FILE", required = true)]
    files: Vec<PathBuf>,
    /// PE images are as they lie in memory: dumps of a process
    #[arg(long)]
    mapped: bool,
    /// What to print
    #[arg(long, value_enum, default_value = "table")]
    format: FormatArg,
    /// In a table, exports that are no services one by one too
    #[arg(long)]
    all: bool,
    /// Compare what was found with the services in this file, of any format that is read
    #[arg(long, value_name = "FILE")]
    against: Option<PathBuf>,
    /// What that file is; what its content looks like if none is given
    #[arg(long, value_name = "FORMAT", value_parser = format_parser(), requires = "against")]
    from: Option<InputFormat>,
    /// The system whose numbers are taken of a table of many, as "Windows Server 2003/SP2"
    #[arg(long, requires = "against")]
    system: Option<String>,
    /// Take argument counts that stubs do not tell, those of amd64, from this file, by name
    #[arg(long, value_name = "FILE")]
    counts: Option<PathBuf>,
    /// Check what others count on; may be given more than once
    #[arg(long, value_name = "CONTRACT", value_parser = contract_parser())]
    contract: Vec<Contract>,
    #[command(flatten)]
    source: SourceArgs,
    /// The most instructions of one call of an export
    #[arg(long, value_name = "N", default_value_t = Options::default().budget, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    budget: u32,
}

const AFTER_HELP: &str = "\
Exit status:
  0  every file was audited, and nothing is wrong
  1  a stub is hooked or does what it should not, a contract is broken, or --against disagrees
  2  bad input or usage: a file that is none of those that can be audited (the others are told all the same)";

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum FormatArg {
    /// For people
    Table,
    /// A list of services, which `prove` takes
    List,
    /// One row an export
    Csv,
    /// For programs (docs/json.md)
    Json,
    /// SARIF 2.1.0, for a code host to show
    Sarif,
}

fn contract_parser() -> impl clap::builder::TypedValueParser<Value = Contract> {
    use clap::builder::{PossibleValuesParser, TypedValueParser};
    PossibleValuesParser::new(Contract::ALL.map(Contract::name)).try_map(|name| name.parse::<Contract>())
}

pub(super) fn run(args: &Args) -> Result<(), Failure> {
    check(args)?;
    let expected = args.against.as_deref().map(|path| read_expected(args, path)).transpose()?;
    let counts = |path: &Path| Ok(args.source.read(Some(path), None, None)?.services().clone());
    let counts = args.counts.as_deref().map(counts).transpose()?;
    let results = audit_all(args, counts.as_ref());
    let mut files = Vec::new();
    let mut failures = Vec::new();
    for result in results {
        match result {
            Ok(file) => files.push(file),
            Err(failure) => failures.push(failure),
        }
    }
    for file in &mut files {
        file.contracts = args.contract.iter().map(|contract| contract.check(&file.audit)).collect();
        if let Some(expected) = &expected {
            let found = report::against(&file.path, &file.audit, expected);
            file.against = Some(found.map_err(|diagnostics| refused(&diagnostics))?);
        }
    }
    if !files.is_empty() {
        output::write(text(args, &files)?.as_bytes())?;
    }
    match failures.pop() {
        Some(last) => {
            for failure in failures {
                output::complain(&failure.message);
            }
            Err(last)
        }
        None if files.iter().all(Audited::holds) => Ok(()),
        None => Err(Failure::silent(Failure::FALSE)),
    }
}

fn read_expected(args: &Args, path: &Path) -> Result<Services, Failure> {
    let reading = args.source.read(Some(path), args.from, args.system.as_deref())?;
    check_systems("audit", usize::from(args.system.is_some()), &[reading.format()])?;
    Ok(reading.services().clone())
}

fn check(args: &Args) -> Result<(), Failure> {
    let inputs = args.files.iter().chain(&args.against).chain(&args.counts);
    if inputs.filter(|path| output::is_standard(path)).count() > 1 {
        return Err(Failure::input("two of the files are standard input; one of them can be"));
    }
    if args.format == FormatArg::List && args.files.len() > 1 {
        return Err(Failure::input("--format list is for one file: a list has one numbering"));
    }
    Ok(())
}

/// Each file by itself, as many at once as there are processors; in the order in which they were named.
fn audit_all(args: &Args, counts: Option<&Services>) -> Vec<Result<Audited, Failure>> {
    let mut options = Options::default();
    options.mapped = args.mapped;
    options.budget = args.budget;
    let bar = progress_bar(args.files.len());
    let one = |path: &PathBuf| {
        let result = audit_one(path, &options, counts);
        bar.inc(1);
        result
    };
    let results = match args.files.as_slice() {
        // The threads of a pool take time to start that one file does not need.
        [path] => vec![one(path)],
        // Each is in memory as a whole.
        files if size(files) > MOST_AT_ONCE => files.iter().map(one).collect(),
        files => files.par_iter().map(one).collect(),
    };
    bar.finish_and_clear();
    results
}

/// The most bytes of files that are read at once.
const MOST_AT_ONCE: u64 = 512 << 20;

/// Bytes of all files, as far as the directory tells.
fn size(files: &[PathBuf]) -> u64 {
    files.iter().filter_map(|path| std::fs::metadata(path).ok()).map(|file| file.len()).sum()
}

fn audit_one(path: &Path, options: &Options, counts: Option<&Services>) -> Result<Audited, Failure> {
    let bytes = read_file(path)?;
    let shown = if output::is_standard(path) { "<stdin>".to_owned() } else { output::shown(path) };
    match audit(&bytes, options) {
        Ok(mut audit) => {
            if let Some(counts) = counts {
                audit.fill_counts(counts);
            }
            let mut audited = Audited::new(shown, audit);
            audited.is_file = !output::is_standard(path);
            Ok(audited)
        }
        Err(error) => Err(Failure::input(format!("{shown} is {error}"))),
    }
}

fn text(args: &Args, files: &[Audited]) -> Result<String, Failure> {
    let list =
        |file: &Audited| report::list(&file.audit).map_err(|error| Failure::input(format!("{}: {error}", file.path)));
    Ok(match args.format {
        FormatArg::Table => {
            let mut style = report::Style::default();
            style.all = args.all;
            style.color = output::stdout_has_color();
            report::table(files, style)
        }
        FormatArg::List => {
            let text = files.iter().map(list).collect::<Result<_, _>>()?;
            files.iter().for_each(warn_of_left_out);
            text
        }
        FormatArg::Csv => report::csv(files),
        FormatArg::Json => report::json(files),
        FormatArg::Sarif => report::sarif(files),
    })
}

/// A list has no room for everything.
fn warn_of_left_out(file: &Audited) {
    let names = report::left_out(&file.audit);
    if !names.is_empty() {
        let path = &file.path;
        output::complain(&format!("ntgate: warning: {path}: not in the list: {}\n", names.join(", ")));
    }
}

/// Only for several files, and only where somebody waits.
fn progress_bar(files: usize) -> ProgressBar {
    if files < 2 || !io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let style = ProgressStyle::with_template("{bar:40} {pos}/{len} files");
    ProgressBar::new(files as u64).with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()))
}
