//! `ntgate image`.

use std::path::PathBuf;

use clap::builder::PossibleValuesParser;
use ntgate_gen::Arch;
use ntgate_runtime::prove;

use super::input::ListArg;
use super::{Failure, output};

/// Write a bootable image with every stub: a multiboot-1 ELF file, for `ntgate boot` or QEMU's -kernel
#[derive(Debug, clap::Args)]
#[command(after_help = super::STATUS_HELP)]
pub(super) struct Args {
    #[command(flatten)]
    list: ListArg,
    /// The architecture: i386 or amd64; without it, that of the profile
    #[arg(long, required_unless_present = "profile")]
    arch: Option<Arch>,
    /// The system that the guest is to be; without it, one that takes every shape of the architecture
    #[arg(long, value_name = "PROFILE", value_parser = PossibleValuesParser::new(prove::profiles()))]
    profile: Option<String>,
    /// The file to write; `-` is standard output
    #[arg(short, long, value_name = "FILE")]
    output: PathBuf,
}

pub(super) fn run(args: &Args) -> Result<(), Failure> {
    let input = args.list.read()?;
    let image = match (&args.profile, args.arch) {
        (Some(profile), arch) => prove::image_of(&input.list, profile, arch, &[]),
        (None, Some(arch)) => prove::image(&input.list, arch, &[]),
        // clap asks for one of the two.
        (None, None) => return Err(Failure::input("--arch or --profile is needed")),
    };
    let image = image.map_err(|error| Failure::input(error.to_string()))?;
    output::write_file(&args.output, &image)
}
