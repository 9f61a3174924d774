//! `ntgate gdbserver`.

use std::fmt::Write;
use std::path::PathBuf;

use ntgate_runtime::debug::Target;
use ntgate_runtime::debug::gdb::{Ended, Server};

use super::guest::GuestArgs;
use super::{Failure, output};

const EXAMPLE_HELP: &str = "\
Then, in another terminal:
  gdb -ex 'target remote :1234'
  (gdb) break *'nt!KiFastCallEntry'
  (gdb) continue
  (gdb) reverse-stepi
  (gdb) info registers cr0 idtr_base sysenter_eip
  (gdb) monitor !idt 2e";

/// Let gdb look at a booted system, and take it forwards and backwards
#[derive(Debug, clap::Args)]
#[command(after_help = format!("{EXAMPLE_HELP}\n\n{}", super::STATUS_HELP))]
pub(super) struct Args {
    #[command(flatten)]
    guest: GuestArgs,
    /// Where to listen; port 0 is one that is free. The protocol has no password: whoever reaches the port can do
    /// what they like with the guest
    #[arg(long, value_name = "HOST:PORT", default_value = "127.0.0.1:1234")]
    listen: String,
    /// Write the names of the system to an ELF file too, for gdb's symbol-file; gdb reads them over the line otherwise
    #[arg(long, value_name = "FILE")]
    symbols: Option<PathBuf>,
}

pub(super) fn run(args: &Args) -> Result<(), Failure> {
    let target = args.guest.boot()?;
    let mut server = Server::listen(target, &args.listen).map_err(|error| Failure::input(error.to_string()))?;
    if let Some(path) = &args.symbols {
        output::write_file(path, server.symbols())?;
    }
    if !server.is_local() {
        output::complain(&format!(
            "ntgate: warning: others can reach {}: whoever does can do what they like with the guest\n",
            server.address()
        ));
    }
    output::write(greeting(&server).as_bytes())?;
    loop {
        match server.serve() {
            Ok(Ended::Killed) => return Ok(()),
            Ok(ended) => output::complain(&format!("ntgate: {ended}; listening on {}\n", server.address())),
            Err(error) => return Err(Failure::new(Failure::OUTSIDE, format!("no client can come any more: {error}"))),
        }
    }
}

/// Where it listens, and addresses to begin with.
fn greeting(server: &Server) -> String {
    const NAMES: [&str; 8] = [
        "ntdll!NtClose",
        "ntdll!KiFastSystemCall",
        "ntdll!KiIntSystemCall",
        "nt!KiSystemService",
        "nt!KiFastCallEntry",
        "nt!KiSystemCall64",
        "nt!NtClose",
        "SharedUserData",
    ];
    let target: &Target = server.target();
    let mut text = format!("listening on {}\n", server.address());
    let _ = writeln!(text, "{} on {}", target.places().profile(), target.machine().model().name);
    for name in NAMES {
        if let Some(address) = target.symbols().address(name) {
            let _ = writeln!(text, "  {address:#x} {name}");
        }
    }
    text
}
