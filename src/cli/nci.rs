//! `ntgate nci`.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use clap::builder::{PossibleValuesParser, TypedValueParser};
use ntgate_gen::nci::{Outputs, Target, generate};

use super::input::ListArg;
use super::paths::{directory, is_same_file};
use super::{Failure, output};

/// Write the files of ReactOS's old generator, which had this command line
#[derive(Debug, clap::Args)]
#[command(after_help = super::STATUS_HELP)]
pub(super) struct Args {
    /// The architecture; `-arch` as the first word means the same
    #[arg(long, default_value = "i386", value_parser = target_parser())]
    arch: Target,
    /// The list of the kernel's services
    #[arg(value_name = "sysfuncs.lst")]
    sysfuncs: PathBuf,
    /// The list of win32k's services, which are numbered from 0x1000 on
    #[arg(value_name = "w32ksvc.db")]
    w32ksvc: PathBuf,
    /// To write: the kernel's service table
    #[arg(value_name = "napi.h")]
    napi_h: PathBuf,
    /// To write: win32k's service table
    #[arg(value_name = "ssdt.h")]
    ssdt_h: PathBuf,
    /// To write: the stubs of ntdll
    #[arg(value_name = "napi.S")]
    napi_s: PathBuf,
    /// To write: the Zw stubs of the kernel
    #[arg(value_name = "zw.S")]
    zw_s: PathBuf,
    /// To write: the stubs of gdi32 and user32
    #[arg(value_name = "win32k.S")]
    win32k_s: PathBuf,
    /// To write: the exports of ntdll
    #[arg(value_name = "nt.pspec")]
    nt_pspec: PathBuf,
}

fn target_parser() -> impl TypedValueParser<Value = Target> {
    PossibleValuesParser::new(Target::ALL.map(Target::name)).try_map(|name| name.parse::<Target>())
}

/// The old tool's option has one dash, which here would be four options of one letter.
pub(super) fn spell_arch(mut words: Vec<OsString>) -> Vec<OsString> {
    if let [_, command, option, ..] = words.as_mut_slice()
        && command == "nci"
        && option == "-arch"
    {
        *option = "--arch".into();
    }
    words
}

pub(super) fn run(args: &Args) -> Result<(), Failure> {
    check_files(args)?;
    // What is wrong with both lists is told before either stops the run.
    let (sysfuncs, w32ksvc) = (ListArg::of(&args.sysfuncs).read(), ListArg::of(&args.w32ksvc).read());
    let (sysfuncs, w32ksvc) = (sysfuncs?, w32ksvc?);
    let outputs = generate(args.arch, &sysfuncs.list, &w32ksvc.list);
    let outputs = outputs.map_err(|error| Failure::input(error.to_string()))?;
    let files: Vec<_> = outputs_of(args).into_iter().zip(texts_of(&outputs).map(str::as_bytes)).collect();
    output::write_files(&files)?;
    if let Some(note) = outputs.note {
        output::complain(&format!("ntgate: note: {note}\n"));
    }
    Ok(())
}

fn outputs_of(args: &Args) -> [&Path; 6] {
    [&args.napi_h, &args.ssdt_h, &args.napi_s, &args.zw_s, &args.win32k_s, &args.nt_pspec].map(PathBuf::as_path)
}

fn texts_of(outputs: &Outputs) -> [&str; 6] {
    let Outputs { napi_h, ssdt_h, napi_s, zw_s, win32k_s, nt_pspec, .. } = outputs;
    [napi_h, ssdt_h, napi_s, zw_s, win32k_s, nt_pspec].map(String::as_str)
}

/// Looks for what would stop the run half-way: a file that is named twice, one that cannot be there.
fn check_files(args: &Args) -> Result<(), Failure> {
    let inputs = [args.sysfuncs.as_path(), args.w32ksvc.as_path()];
    if inputs.iter().all(|path| output::is_standard(path)) {
        return Err(Failure::input("standard input is one list, not two"));
    }
    let mut seen = inputs.to_vec();
    if is_same_file(inputs[0], inputs[1]) && inputs[0].is_file() {
        return Err(Failure::input(format!("{} is named twice: the lists are two files", output::shown(inputs[0]))));
    }
    for path in outputs_of(args) {
        let shown = output::shown(path);
        if output::is_standard(path) {
            return Err(Failure::input("nci writes six files: standard output cannot be one of them"));
        }
        if path.is_dir() {
            return Err(Failure::input(format!("cannot write {shown}: it is a directory")));
        }
        if !directory(path).is_dir() {
            let directory = output::shown(directory(path));
            return Err(Failure::input(format!("cannot write {shown}: there is no directory {directory}")));
        }
        if seen.iter().any(|other| is_same_file(path, other)) {
            return Err(Failure::input(format!("{shown} is named twice: nci reads two files and writes six")));
        }
        seen.push(path);
    }
    Ok(())
}
