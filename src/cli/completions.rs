//! `ntgate completions`.

use clap::CommandFactory;
use clap_complete::Shell;

use super::{Cli, Failure, output};

/// Print the completion script of a shell
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The shell
    shell: Shell,
}

pub(super) fn run(args: &Args) -> Result<(), Failure> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "ntgate", &mut script);
    output::write(&script)
}
