//! `ntgate prove`.

use std::io::{self, IsTerminal};
use std::path::PathBuf;

use clap::ValueEnum;
use clap::builder::PossibleValuesParser;
use indicatif::{ProgressBar, ProgressStyle};
use ntgate_gen::{Arch, Shape};
use ntgate_runtime::prove::{ARCHS, MachineKind, Options, ProveError, profiles, prove};

use super::input::ListArg;
use super::{Failure, output};

/// Prove every stub of a list: boot a small NT kernel on every CPU, call every service every way, judge what arrived
#[derive(Debug, clap::Args)]
#[command(after_help = super::STATUS_HELP)]
pub(super) struct Args {
    #[command(flatten)]
    list: ListArg,
    /// The architecture to prove: i386, amd64 or all
    #[arg(long, value_name = "ARCH", default_value = "all", value_parser = parse_arch)]
    arch: ArchChoice,
    /// Prove this shape only; may be given more than once. `zw` is one of each architecture
    #[arg(long, value_name = "SHAPE", value_parser = PossibleValuesParser::new(shape_names()))]
    shape: Vec<String>,
    /// The system that the guest is to be; without it, each shape is proven under every system that had it
    #[arg(long, value_name = "PROFILE", value_parser = PossibleValuesParser::new(profiles()))]
    profile: Option<String>,
    /// Where the guest runs
    #[arg(long, value_enum, default_value = "bundled")]
    machine: MachineArg,
    /// Prove the prover too: break every stub in every way, and demand that each mutant is rejected
    #[arg(long)]
    mutate: bool,
    /// Print JSON (docs/json.md) instead of text
    #[arg(long)]
    json: bool,
    /// Write the report as a page too, one file that needs nothing else: the matrix, with each failure opened up
    #[arg(long, value_name = "FILE")]
    html: Option<PathBuf>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum ArchChoice {
    All,
    One(Arch),
}

fn parse_arch(text: &str) -> Result<ArchChoice, String> {
    if text == "all" {
        return Ok(ArchChoice::All);
    }
    text.parse().map(ArchChoice::One).map_err(|error: ntgate_gen::model::UnknownName| format!("{error}, all"))
}

/// The shapes of all architectures that can be proven, each name once.
fn shape_names() -> Vec<&'static str> {
    let mut names: Vec<&str> = Vec::new();
    for shape in ARCHS.into_iter().flat_map(Shape::of) {
        if !names.contains(&shape.name()) {
            names.push(shape.name());
        }
    }
    names
}

impl Args {
    /// None: those that the list is for.
    fn archs(&self) -> Vec<Arch> {
        match self.arch {
            ArchChoice::All => Vec::new(),
            ArchChoice::One(arch) => vec![arch],
        }
    }

    /// The shapes of these names that the architectures have. A name that none of them has is bad usage.
    fn shapes(&self) -> Result<Vec<Shape>, Failure> {
        let mut shapes = Vec::new();
        let archs = self.archs();
        let archs = if archs.is_empty() { &ARCHS[..] } else { &archs };
        for name in &self.shape {
            let found = archs.iter().map(|&arch| Shape::from_name(arch, name)).collect::<Vec<_>>();
            if let [Err(error), rest @ ..] = &found[..]
                && rest.iter().all(Result::is_err)
            {
                return Err(Failure::input(error.to_string()));
            }
            shapes.extend(found.into_iter().flatten());
        }
        Ok(shapes)
    }
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum MachineArg {
    /// The bundled machine
    Bundled,
    /// The bundled machine and QEMU: their logs have to be the same, and QEMU's is judged
    Qemu,
}

pub(super) fn run(args: &Args) -> Result<(), Failure> {
    if args.json && args.html.as_deref().is_some_and(output::is_standard) {
        return Err(output::two_on_standard());
    }
    let input = args.list.read()?;
    let mut options = Options::default();
    options.archs = args.archs();
    options.shapes = args.shapes()?;
    options.profile.clone_from(&args.profile);
    options.mutate = args.mutate;
    options.machine = match args.machine {
        MachineArg::Bundled => MachineKind::Bundled,
        MachineArg::Qemu => MachineKind::Qemu,
    };
    let bar = progress_bar(args);
    let report = prove(&input.list, &input.name, &options, &|done, total| {
        bar.set_length(total as u64);
        bar.set_position(done as u64);
    });
    bar.finish_and_clear();
    let report = report.map_err(|error| failure(&error))?;
    if let Some(path) = &args.html {
        output::write_file(path, report.to_html().as_bytes())?;
        if output::is_standard(path) {
            return if report.holds() { Ok(()) } else { Err(Failure::silent(Failure::FALSE)) };
        }
    }
    let text = if args.json { report.to_json() } else { report.render(output::stdout_has_color()) };
    output::write(text.as_bytes())?;
    if report.holds() { Ok(()) } else { Err(Failure::silent(Failure::FALSE)) }
}

/// Only for what takes long enough to be waited for, and only where somebody waits.
fn progress_bar(args: &Args) -> ProgressBar {
    let slow = args.mutate || matches!(args.machine, MachineArg::Qemu);
    if !slow || !io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let style = ProgressStyle::with_template("{bar:40} {pos}/{len} boots");
    ProgressBar::new(0).with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()))
}

fn failure(error: &ProveError) -> Failure {
    let status = match error {
        error if error.is_input() => Failure::INPUT,
        error if error.is_outside() => Failure::OUTSIDE,
        _ => Failure::FALSE,
    };
    Failure::new(status, error.to_string())
}
