//! `ntgate man`.

use clap::CommandFactory;
use clap_mangen::Man;

use super::{Cli, Failure, output};

/// Print the manual page: of the program, then of every subcommand
#[derive(Debug, clap::Args)]
pub(super) struct Args {}

pub(super) fn run(_: &Args) -> Result<(), Failure> {
    let mut command = Cli::command();
    command.build();
    let mut page = Vec::new();
    let pages = std::iter::once(command.clone())
        .chain(command.get_subcommands().filter(|sub| sub.get_name() != "help").cloned());
    for command in pages {
        let rendered = Man::new(command).render(&mut page);
        rendered.map_err(|error| Failure::input(format!("cannot write the manual page: {error}")))?;
    }
    output::write(&page)
}
