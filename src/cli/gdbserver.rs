//! `ntgate gdbserver`.

use super::Failure;
use super::guest::GuestArgs;

/// Let gdb look at a booted system, and take it forwards and backwards
#[derive(Debug, clap::Args)]
#[command(after_help = super::STATUS_HELP)]
pub(super) struct Args {
    #[command(flatten)]
    guest: GuestArgs,
}

pub(super) fn run(args: &Args) -> Result<(), Failure> {
    let _target = args.guest.boot()?;
    Ok(())
}
