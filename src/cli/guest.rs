//! The system that a debugger's subcommand boots.

use std::path::PathBuf;

use clap::builder::PossibleValuesParser;
use ntgate_gen::Arch;
use ntgate_runtime::debug::{Target, program};
use ntgate_runtime::host;
use ntgate_runtime::nt::lists::list_of;

use super::input::ListArg;
use super::{Failure, output};

/// Which system, with which services.
#[derive(Debug, clap::Args)]
pub(super) struct GuestArgs {
    /// The list of services: `NtName count` on each line; `-` is standard input, none is the system's own list
    #[arg(value_name = "LIST")]
    list: Option<PathBuf>,
    /// The system; without it, Windows Server 2003, or Windows 7 for amd64
    #[arg(long, value_name = "PROFILE", value_parser = PossibleValuesParser::new(host::profiles()))]
    profile: Option<String>,
    /// The architecture: i386 or amd64
    #[arg(long, value_name = "ARCH")]
    arch: Option<Arch>,
}

impl GuestArgs {
    /// Whether the list is read from standard input, which then has nothing else.
    pub(super) fn takes_standard_input(&self) -> bool {
        self.list.as_deref().is_some_and(output::is_standard)
    }

    /// The profile.
    fn profile(&self) -> Result<&str, Failure> {
        let usual = match self.arch {
            None | Some(Arch::I386) => "srv2003",
            Some(Arch::Amd64) => "win7-x64",
            Some(arch) => return Err(Failure::input(format!("no machine here runs {arch}; take i386 or amd64"))),
        };
        let profile = self.profile.as_deref().unwrap_or(usual);
        match (self.arch, host::arch_of(profile)) {
            (Some(wanted), Some(has)) if wanted != has => Err(Failure::input(format!(
                "{profile} is a system of {has}, not of {wanted}; leave out one of the two"
            ))),
            _ => Ok(profile),
        }
    }

    /// The system with the [usual program](program::usual), at the program's first instruction.
    pub(super) fn boot(&self) -> Result<Target, Failure> {
        let profile = self.profile()?;
        let list = match &self.list {
            Some(path) => Some(ListArg::of(path)),
            // ReactOS's is the one that is built in.
            None => list_of(profile).is_none().then(ListArg::built_in),
        };
        let input = list.map(|list| list.read()).transpose()?;
        let builder = program::usual(Some(profile), input.as_ref().map(|input| &input.list));
        Target::boot(builder).map_err(|error| Failure::input(error.to_string()))
    }
}
