//! The command line: one file a subcommand, each of which reads its arguments, calls the library, and prints.

mod boot;
mod call;
mod compare;
mod completions;
mod convert;
mod depfile;
mod diff;
mod gdbserver;
mod gen_command;
mod guest;
mod image;
mod input;
mod kd;
mod man;
mod nci;
mod output;
mod paths;
mod prove;
mod source;

use std::process::ExitCode;

use clap::error::ErrorKind;
use clap::{CommandFactory, Parser, Subcommand};

/// What every subcommand ends with, unless its help says otherwise.
const STATUS_HELP: &str = "\
Exit status:
  0  done, and true
  1  a proof or a comparison failed
  2  bad input or usage, or an output that cannot be written
  3  an outside program is missing or failed";

/// NT system-service stubs and tables from one list, and their proof on a bundled x86 machine.
#[derive(Debug, Parser)]
#[command(name = "ntgate", version, after_help = STATUS_HELP, arg_required_else_help = true)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Prove(prove::Args),
    Gen(gen_command::Args),
    Convert(convert::Args),
    Diff(diff::Args),
    Image(image::Args),
    Boot(boot::Args),
    Gdbserver(gdbserver::Args),
    Kd(kd::Args),
    Call(call::Args),
    Nci(nci::Args),
    Completions(completions::Args),
    Man(man::Args),
}

/// How a subcommand ended.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Failure {
    status: u8,
    /// For standard error; empty if everything has been said.
    message: String,
}

/// What the messages that are not clap's begin with.
const ERROR: &str = "ntgate: error: ";

impl Failure {
    /// Something failed that was to be proven or to be the same.
    const FALSE: u8 = 1;
    /// Bad input or usage.
    const INPUT: u8 = 2;
    /// An outside program is missing or failed.
    const OUTSIDE: u8 = 3;

    fn new(status: u8, message: impl Into<String>) -> Self {
        Self { status, message: format!("{ERROR}{}\n", message.into()) }
    }

    fn input(message: impl Into<String>) -> Self {
        Self::new(Self::INPUT, message)
    }

    /// Everything has been said.
    fn silent(status: u8) -> Self {
        Self { status, message: String::new() }
    }

    /// Arguments that clap takes one by one, and that do not go together: told as clap tells its own.
    fn usage(subcommand: &str, message: impl std::fmt::Display) -> Self {
        let mut cli = Cli::command();
        // Only what has been built knows how it is called.
        cli.build();
        let command = cli.find_subcommand_mut(subcommand);
        let error = command.map(|command| command.error(ErrorKind::ArgumentConflict, &message));
        error.map_or_else(|| Self::input(message.to_string()), |error| Self::told(error.render().to_string()))
    }

    /// The same with what to do about it.
    fn usage_tip(subcommand: &str, message: impl std::fmt::Display, tip: &str) -> Self {
        Self::usage(subcommand, format!("{message}\n\n  tip: {tip}"))
    }

    /// Usage that has been put into words.
    fn told(message: String) -> Self {
        Self { status: Self::INPUT, message }
    }
}

/// Runs the program.
pub(crate) fn run() -> ExitCode {
    let words = nci::spell_arch(std::env::args_os().collect());
    let result = match Cli::parse_from(words).command {
        Command::Prove(args) => prove::run(&args),
        Command::Gen(args) => gen_command::run(&args),
        Command::Convert(args) => convert::run(&args),
        Command::Diff(args) => diff::run(&args),
        Command::Image(args) => image::run(&args),
        Command::Boot(args) => boot::run(&args),
        Command::Gdbserver(args) => gdbserver::run(&args),
        Command::Kd(args) => kd::run(&args),
        Command::Call(args) => call::run(&args),
        Command::Nci(args) => nci::run(&args),
        Command::Completions(args) => completions::run(&args),
        Command::Man(args) => man::run(&args),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            if !failure.message.is_empty() {
                output::complain(&failure.message);
            }
            ExitCode::from(failure.status)
        }
    }
}
