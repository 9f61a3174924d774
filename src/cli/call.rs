//! `ntgate call`.

use std::path::{PathBuf, absolute};

use clap::ValueEnum;
use clap::builder::PossibleValuesParser;
use ntgate_gen::{Arch, read_list};
use ntgate_runtime::debug::trace::{Call, Options, call};
use ntgate_runtime::host::{self, Entry};

use super::{Failure, output};

/// Call one service on the bundled machine, from its stub through the kernel and back, and show every step of the way
#[derive(Debug, clap::Args)]
#[command(after_help = super::STATUS_HELP)]
pub(super) struct Args {
    /// The service: `NtWriteFile`, or `ZwWriteFile`
    #[arg(value_name = "NAME")]
    service: String,
    /// Its arguments, as many as it takes: hexadecimal as in a debugger (`7ffdf000`, `0x20`), decimal with 0n (`0n32`)
    #[arg(value_name = "ARG", value_parser = parse_number, allow_negative_numbers = true)]
    arguments: Vec<u64>,
    /// The system; without it srv2003, or one of amd64 that has the entry
    #[arg(long, value_name = "PROFILE", value_parser = PossibleValuesParser::new(host::profiles()))]
    profile: Option<String>,
    /// The architecture, if no system is named: i386 or amd64
    #[arg(long, value_name = "ARCH")]
    arch: Option<Arch>,
    /// The way into the kernel; the CPU is chosen so that it is taken. Without it, what the system takes on its usual CPU
    #[arg(long, value_enum)]
    entry: Option<EntryArg>,
    /// Show each instruction, and what the processor does between them
    #[arg(long)]
    trace: bool,
    /// Print the trace as JSON (docs/json.md) instead of text
    #[arg(long, conflicts_with = "trace")]
    json: bool,
    /// Write a page to step through the call, one file that needs nothing else
    #[arg(long, value_name = "FILE")]
    html: Option<PathBuf>,
    /// Write a drawing of the call, for a slide
    #[arg(long, value_name = "FILE")]
    svg: Option<PathBuf>,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum EntryArg {
    /// Gate 2Eh
    Int2e,
    /// The SYSENTER MSRs, on i386
    Sysenter,
    /// The SYSCALL MSRs, on amd64
    Syscall,
    /// A call within the kernel, by its own stub
    Zw,
}

impl From<EntryArg> for Entry {
    fn from(entry: EntryArg) -> Self {
        match entry {
            EntryArg::Int2e => Self::Int2e,
            EntryArg::Sysenter => Self::Sysenter,
            EntryArg::Syscall => Self::Syscall,
            EntryArg::Zw => Self::Zw,
        }
    }
}

/// A number as a debugger of NT reads it.
fn parse_number(text: &str) -> Result<u64, String> {
    let lower = text.to_ascii_lowercase();
    let (negative, digits) = lower.strip_prefix('-').map_or((false, &*lower), |rest| (true, rest));
    let (digits, radix) = match (digits.strip_prefix("0n"), digits.strip_prefix("0x")) {
        (Some(rest), _) => (rest, 10),
        (_, Some(rest)) => (rest, 16),
        _ => (digits.strip_suffix('h').unwrap_or(digits), 16),
    };
    // WinDbg separates the halves of long numbers.
    let digits: String = digits.chars().filter(|digit| *digit != '`').collect();
    // `from_str_radix` takes a sign of its own.
    let number = if digits.starts_with('+') { None } else { u64::from_str_radix(&digits, radix).ok() };
    let number = number.ok_or_else(|| {
        let kind = if radix == 10 { "decimal" } else { "hexadecimal" };
        format!("`{text}` is no {kind} number of at most 64 bits")
    })?;
    if !negative {
        return Ok(number);
    }
    // A negative number is told in the narrowest width that it needs, so that -1 fits an argument of 32 bits.
    let signed = 0i64.checked_sub_unsigned(number).ok_or_else(|| format!("`{text}` is below what 64 bits can hold"))?;
    Ok(i32::try_from(signed).map_or(signed as u64, |small| u64::from(small as u32)))
}

impl Args {
    fn options(&self) -> Options {
        let mut options = Options::new(&self.service, &self.arguments);
        options.profile.clone_from(&self.profile);
        options.arch = self.arch;
        options.entry = self.entry.map(Entry::from);
        // ReactOS's list is the program's own.
        if self.profile.as_ref().is_some_and(|profile| profile.starts_with("reactos")) {
            options.list = read_list("sysfuncs.lst", ntgate::SYSFUNCS).ok().map(|read| read.list);
        }
        options
    }
}

pub(super) fn run(args: &Args) -> Result<(), Failure> {
    let standard = [&args.html, &args.svg].into_iter().flatten().filter(|path| output::is_standard(path)).count();
    if standard + usize::from(args.trace || args.json) > 1 && standard > 0 {
        return Err(output::two_on_standard());
    }
    if let (Some(html), Some(svg)) = (&args.html, &args.svg)
        && absolute(html).is_ok_and(|html| absolute(svg).is_ok_and(|svg| html == svg))
    {
        let shown = output::shown(html);
        return Err(Failure::input(format!("page and drawing are both to go to {shown}; name two files")));
    }
    let call = call(&args.options()).map_err(|error| Failure::input(error.to_string()))?;
    let (html, svg) = (args.html.as_ref().map(|_| call.to_html()), args.svg.as_ref().map(|_| call.to_svg()));
    let pages = [(&args.html, &html), (&args.svg, &svg)];
    let files: Vec<_> =
        pages.into_iter().filter_map(|(path, page)| Some((path.as_deref()?, page.as_deref()?.as_bytes()))).collect();
    output::write_files(&files)?;
    // There it is alone.
    if standard > 0 {
        return Ok(());
    }
    output::write(text(args, &call).as_bytes())
}

fn text(args: &Args, call: &Call) -> String {
    match args {
        Args { json: true, .. } => call.to_json(),
        Args { trace: true, .. } => call.to_text(),
        _ => call.to_summary(),
    }
}
