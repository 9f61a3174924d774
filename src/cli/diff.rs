//! `ntgate diff`.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use ntgate_gen::diff::{Diff, OldLock, old_lock, write_lock};
use ntgate_gen::model::limits;
use ntgate_gen::read::{InputFormat, Services};

use super::input::read_file;
use super::source::{SourceArgs, check_systems, complain, format_parser, refused};
use super::{Failure, output};

/// Compare two files of services: what was added, removed, renumbered, and whose argument count changed
#[derive(Debug, clap::Args)]
#[command(after_help = AFTER_HELP)]
pub(super) struct Args {
    /// OLD and NEW, each in any format that is read, or LIST with --against or --lock; `-` is standard input
    #[arg(value_name = "FILE", num_args = 0..=2)]
    files: Vec<PathBuf>,
    /// Compare LIST, or the built-in list, with this published table; tables that it does not have are left out
    #[arg(long, value_name = "TABLE", conflicts_with = "lock")]
    against: Option<PathBuf>,
    /// Compare LIST, or the built-in list, with the numbering in this file
    #[arg(long, value_name = "LOCK")]
    lock: Option<PathBuf>,
    /// Write the numbering of LIST to the lock file instead
    #[arg(long, requires = "lock", conflicts_with_all = ["json", "sarif"])]
    update: bool,
    /// What the files are; if given twice, the second is for NEW
    #[arg(long, value_name = "FORMAT", value_parser = format_parser())]
    from: Vec<InputFormat>,
    #[command(flatten)]
    source: SourceArgs,
    /// The system whose numbers are taken of a table of many, as "Windows Server 2003/SP2"; if given twice, the second
    /// is for NEW
    #[arg(long)]
    system: Vec<String>,
    /// Print JSON (docs/json.md) instead of text
    #[arg(long, conflicts_with = "sarif")]
    json: bool,
    /// Print SARIF 2.1.0 instead of text, for a code host to show
    #[arg(long)]
    sarif: bool,
}

/// What messages about the arguments are about.
const NAME: &str = "diff";

const AFTER_HELP: &str = "\
Exit status:
  0  nothing moved, or the lock file was written
  1  something moved
  2  bad input or usage, or an output that cannot be written";

pub(super) fn run(args: &Args) -> Result<(), Failure> {
    for (option, count) in [("--from <FORMAT>", args.from.len()), ("--system <SYSTEM>", args.system.len())] {
        if count > 2 {
            let message = format!("the argument '{option}' cannot be used more than twice");
            return Err(Failure::usage_tip(NAME, message, "the first is for OLD, the second for NEW"));
        }
    }
    match (&args.lock, &args.against, args.files.as_slice()) {
        (Some(lock), None, [] | [_]) if args.update => update(args, lock),
        (Some(old), None, [] | [_]) | (None, Some(old), [] | [_]) => compare(args, old, args.files.first()),
        (None, None, [old, new]) => compare(args, old, Some(new)),
        (None, None, files) => {
            let message = format!("{} of the two files OLD and NEW given", ["neither", "one"][files.len().min(1)]);
            Err(Failure::usage_tip(NAME, message, "--against TABLE and --lock LOCK take the place of OLD"))
        }
        (lock, _, _) => {
            let option = if lock.is_some() { "--lock <LOCK>" } else { "--against <TABLE>" };
            let message = format!("the argument '{option}' cannot be used with OLD and NEW");
            Err(Failure::usage_tip(NAME, message, "it takes the place of OLD: give one LIST at most"))
        }
    }
}

fn compare(args: &Args, old: &Path, new: Option<&PathBuf>) -> Result<(), Failure> {
    if output::is_standard(old) && new.is_some_and(|new| output::is_standard(new)) {
        let message = "standard input cannot be both sides";
        return Err(Failure::usage_tip(NAME, message, "name a file for one of them"));
    }
    if args.lock.is_some() && !output::is_standard(old) && !old.exists() {
        let shown = output::shown(old);
        return Err(Failure::input(format!("{shown} is not there; --update writes it")));
    }
    let format = if args.lock.is_some() { Some(InputFormat::Lock) } else { args.from.first().copied() };
    let (old, old_format) = read_side(args, Some(old), format, args.system.first())?;
    let (new, new_format) = read_new(args, new)?;
    check_systems(NAME, args.system.len(), &[old_format, new_format])?;
    let (new, left_out) = if args.against.is_some() { same_tables(&old, new)? } else { (new, 0) };
    let mut diff = match args.source.arch {
        Some(arch) => Diff::of_archs(&old, &new, &[arch]),
        None => Diff::new(&old, &new),
    };
    if left_out > 0 {
        diff.note(format!("left out, in tables that {} does not have: {left_out}", old.file()));
    }
    let text = if args.json {
        diff.to_json()
    } else if args.sarif {
        diff.to_sarif()
    } else {
        diff.to_text()
    };
    output::write(text.as_bytes())?;
    if diff.is_same() { Ok(()) } else { Err(Failure::silent(Failure::FALSE)) }
}

/// The services that are in tables which a published table has, and how many others there are.
fn same_tables(old: &Services, new: Services) -> Result<(Services, usize), Failure> {
    let table = |number: u32| number / limits::SERVICES_PER_TABLE;
    let tables: BTreeSet<u32> = old.entries().iter().filter_map(|entry| entry.number()).map(table).collect();
    let same = new.filter(|entry| entry.number().is_none_or(|number| tables.contains(&table(number))));
    if same.entries().is_empty() {
        let base = tables.first().map_or(0, |table| table * limits::SERVICES_PER_TABLE);
        let (old, new) = (old.file(), new.file());
        let message =
            format!("{new} has no service of the tables in {old}; if it is one of them, give --base {base:#x}");
        return Err(Failure::input(message));
    }
    let left_out = new.entries().len() - same.entries().len();
    Ok((same, left_out))
}

fn update(args: &Args, lock: &Path) -> Result<(), Failure> {
    let old = check_old_lock(lock)?;
    let (list, format) = read_new(args, args.files.first())?;
    check_systems(NAME, args.system.len(), &[format])?;
    if !list.has_numbers() {
        return Err(Failure::input(format!("{} has no service numbers: there is nothing to lock", list.file())));
    }
    output::write_file(lock, write_lock(&list).as_bytes())?;
    if let OldLock::Damaged(diagnostics) = old {
        complain(&diagnostics);
        output::complain(&format!("ntgate: note: {} had mistakes, and has been written anew\n", output::shown(lock)));
    }
    Ok(())
}

/// What is not a lock file is not overwritten: it may be the list, given as both. Nor is one of a later version.
fn check_old_lock(path: &Path) -> Result<OldLock, Failure> {
    // A device has nothing that could be lost.
    if output::is_standard(path) || !path.is_file() {
        return Ok(OldLock::Good);
    }
    let shown = output::shown(path);
    match old_lock(&shown, &read_file(path)?) {
        OldLock::Newer(diagnostics) => Err(refused(&diagnostics)),
        OldLock::Other => {
            Err(Failure::input(format!("{shown} is not a lock file and is left as it is; remove it if it can go")))
        }
        old => Ok(old),
    }
}

/// NEW, or LIST. What was given once is for both sides.
fn read_new(args: &Args, path: Option<&PathBuf>) -> Result<(Services, InputFormat), Failure> {
    // With --lock there is one file that could be of another format.
    let side = usize::from(args.lock.is_none());
    let format = args.from.get(side).or(args.from.first()).copied();
    let system = args.system.get(side).or(args.system.first());
    read_side(args, path.map(PathBuf::as_path), format, system)
}

fn read_side(
    args: &Args,
    path: Option<&Path>,
    format: Option<InputFormat>,
    system: Option<&String>,
) -> Result<(Services, InputFormat), Failure> {
    let reading = args.source.read(path, format, system.map(String::as_str))?;
    let services = reading.services().clone();
    // The built-in list has the name of a file, and standard input what looks like one.
    let services = if path.is_none_or(output::is_standard) { services.without_file() } else { services };
    Ok((services, reading.format()))
}
