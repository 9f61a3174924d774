//! `ntgate boot`.

use std::path::PathBuf;

use clap::builder::{PossibleValuesParser, TypedValueParser};
use ntgate_runtime::machine::cpuid::{LONG_MODELS, MODELS, Model};
use ntgate_runtime::machine::{Exit, Machine};

use super::input::read_file;
use super::{Failure, output};

const STATUS_HELP: &str = "\
Exit status:
  (value << 1) | 1  the guest wrote the value to port F4h, as under QEMU with -device isa-debug-exit
  2                 the image cannot be read or loaded, or bad usage
  4                 the guest halted, or shut down by a triple fault
  6                 the budget is used up
  8                 the guest needs something that the machine does not have";

/// Instructions between two writes of what the guest has printed.
const SLICE: u64 = 4_000_000;

/// Boot a multiboot-1 image on the bundled machine; what it writes to port E9h goes to standard output
#[derive(Debug, clap::Args)]
#[command(after_help = STATUS_HELP)]
pub(super) struct Args {
    /// The image: a multiboot-1 file; `-` is standard input
    image: PathBuf,
    /// The CPU model
    #[arg(long, value_name = "MODEL", default_value = "core2duo", value_parser = model_parser())]
    cpu: &'static Model,
    /// Memory in MiB
    #[arg(long, value_name = "MIB", default_value_t = 64, value_parser = clap::value_parser!(u32).range(2..=2048))]
    memory: u32,
    /// Give up after this many instructions
    #[arg(long, value_name = "N", default_value_t = 10_000_000_000)]
    budget: u64,
}

fn model_parser() -> impl TypedValueParser<Value = &'static Model> {
    PossibleValuesParser::new(MODELS.iter().chain(&LONG_MODELS).map(|model| model.name))
        .try_map(|name| Model::by_name(&name).ok_or("there is no such CPU model"))
}

pub(super) fn run(args: &Args) -> Result<(), Failure> {
    let elf = read_file(&args.image)?;
    let mut machine = Machine::new(args.cpu, (args.memory as usize) << 20);
    let name = output::shown(&args.image);
    machine.load(&elf).map_err(|error| Failure::input(format!("cannot boot {name}: {error}")))?;
    let exit = loop {
        let left = args.budget.saturating_sub(machine.retired());
        let exit = machine.run(left.min(SLICE));
        output::write(&machine.take_console())?;
        if exit != Exit::Budget || machine.retired() >= args.budget {
            break exit;
        }
    };
    let (status, help) = match (&exit, exit.status()) {
        (_, Some(status)) => return Err(Failure::silent(status)),
        (Exit::Budget, _) => (6, format!(" after {} instructions; --budget gives it more", args.budget)),
        (Exit::Unsupported { .. }, _) => (8, String::new()),
        _ => (4, String::new()),
    };
    Err(Failure::new(status, format!("{name}: {exit}{help}")))
}
