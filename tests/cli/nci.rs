//! `ntgate nci`: the old tool's command line.

use std::fs;
use std::path::Path;

use crate::support::{Outcome, Sandbox};

const OUTPUTS: [&str; 6] = ["napi.h", "ssdt.h", "napi.S", "zw.S", "win32k.S", "nt.pspec"];

/// Kernel services of no and of three arguments, one with different counts, and the small list of win32k.
fn sandbox() -> Sandbox {
    let sandbox = Sandbox::new();
    sandbox.write("sysfuncs.lst", "# Old lists have comments.\nNtNone 0\r\nNtThree\t3\n\nNtWide 5/4\n");
    sandbox.write("w32ksvc.db", "NtGdiFlush      0\nNtUserPaint     2\n");
    sandbox
}

fn nci(sandbox: &Sandbox, before: &[&str], files: [&str; 8]) -> Outcome {
    sandbox.run(&[&["nci"], before, &files[..]].concat())
}

fn with_outputs(sysfuncs: &'static str, w32ksvc: &'static str) -> [&'static str; 8] {
    let [a, b, c, d, e, f] = OUTPUTS;
    [sysfuncs, w32ksvc, a, b, c, d, e, f]
}

fn files() -> [&'static str; 8] {
    with_outputs("sysfuncs.lst", "w32ksvc.db")
}

fn written(sandbox: &Sandbox) -> Vec<&'static str> {
    OUTPUTS.into_iter().filter(|name| sandbox.path(name).exists()).collect()
}

fn all(sandbox: &Sandbox) -> String {
    let read = |name: &str| fs::read_to_string(sandbox.path(name)).expect("it was written");
    OUTPUTS.map(|name| format!("==> {name} <==\n{}", read(name))).join("\n")
}

#[test]
fn every_architecture_has_its_files() {
    for (arch, note) in [("i386", false), ("amd64", true), ("powerpc", false), ("mips", true), ("arm", false)] {
        let sandbox = sandbox();
        let outcome = nci(&sandbox, &["-arch", arch], files()).status(0).no_stdout();
        assert_eq!(
            outcome.stderr().lines().filter(|line| line.starts_with("ntgate: note: ")).count(),
            usize::from(note)
        );
        insta::assert_snapshot!(format!("nci_{arch}"), format!("{}{}", outcome.stderr(), all(&sandbox)));
    }
}

#[test]
fn i386_is_what_none_means() {
    let [named, unnamed] = [sandbox(), sandbox()];
    nci(&named, &["-arch", "i386"], files()).status(0);
    nci(&unnamed, &[], files()).status(0).no_stdout().no_stderr();
    assert_eq!(all(&named), all(&unnamed));
    nci(&unnamed, &["--arch", "i386"], files()).status(0);
    assert_eq!(all(&named), all(&unnamed));
}

#[test]
fn the_lists_of_the_repository_are_taken() {
    let sandbox = Sandbox::new();
    let root = env!("CARGO_MANIFEST_DIR");
    let (main, gui) = (format!("{root}/sysfuncs.lst"), format!("{root}/tests/data/w32ksvc.db"));
    let [a, b, c, d, e, f] = OUTPUTS;
    nci(&sandbox, &[], [&main, &gui, a, b, c, d, e, f]).status(0).no_stdout().no_stderr();
    let text = all(&sandbox);
    assert!(text.contains("#define NUMBER_OF_SYSCALLS    298\nULONG MainNumberOfSysCalls = 298;\n"));
    assert!(text.contains("#define NUMBER_OF_SYSCALLS    10\nULONG Win32kNumberOfSysCalls = 10;\n"));
    assert!(text.contains("\"_NtUserCreateWindowEx@60\":\n\tmov $0x1008,%eax\n"), "{text}");
    assert_eq!(text.matches("@ stdcall ").count(), 2 * 298);
}

#[test]
fn outputs_are_written_again_only_if_they_change() {
    let sandbox = sandbox();
    nci(&sandbox, &[], files()).status(0);
    let times =
        || OUTPUTS.map(|name| fs::metadata(sandbox.path(name)).and_then(|file| file.modified()).expect("it is"));
    let before = times();
    nci(&sandbox, &[], files()).status(0);
    assert_eq!(times(), before);
}

#[test]
fn a_bad_list_writes_nothing() {
    let sandbox = sandbox();
    sandbox.write("w32ksvc.db", "NtGdiFlush\nNtUserPaint 0x2\n");
    sandbox.write("bad.lst", "NtNone zero\n");
    let told = nci(&sandbox, &[], with_outputs("bad.lst", "w32ksvc.db")).status(2).no_stdout();
    for line in ["bad.lst:1:8: error: ", "w32ksvc.db:1:11: error: ", "w32ksvc.db:2:"] {
        assert!(told.stderr().contains(line), "{}", told.stderr());
    }
    assert!(written(&sandbox).is_empty());
    sandbox.write("w32ksvc.db", "NtGdiFlush 1\nNtNone 0\n");
    let told = nci(&sandbox, &[], files()).status(2).no_stdout();
    assert_eq!(told.stderr(), "ntgate: error: w32ksvc.db, line 2: NtNone is in sysfuncs.lst, too\n");
    assert!(written(&sandbox).is_empty());
}

#[test]
fn files_that_cannot_be_are_told_before_anything_is_written() {
    let sandbox = sandbox();
    fs::create_dir(sandbox.path("directory")).expect("a directory");
    let [main, gui, a, b, c, d, e, f] = files();
    for (files, told) in [
        ([main, gui, a, b, c, c, e, f], "napi.S is named twice: nci reads two files and writes six"),
        (
            [main, gui, a, b, c, "directory/../napi.S", e, f],
            "directory/../napi.S is named twice: nci reads two files and writes six",
        ),
        ([main, gui, a, b, c, d, e, main], "sysfuncs.lst is named twice: nci reads two files and writes six"),
        ([main, main, a, b, c, d, e, f], "sysfuncs.lst is named twice: the lists are two files"),
        (["-", "-", a, b, c, d, e, f], "standard input is one list, not two"),
        ([main, gui, a, b, c, d, e, "-"], "nci writes six files: standard output cannot be one of them"),
        ([main, gui, a, b, c, d, e, "directory"], "cannot write directory: it is a directory"),
        ([main, gui, a, b, c, d, e, "no/nt.pspec"], "cannot write no/nt.pspec: there is no directory no"),
    ] {
        let outcome = nci(&sandbox, &[], files).status(2).no_stdout();
        assert_eq!(outcome.stderr(), format!("ntgate: error: {told}\n"));
        assert!(written(&sandbox).is_empty());
    }
    let missing = nci(&sandbox, &[], with_outputs("none.lst", "w32ksvc.db")).status(2);
    assert!(missing.stderr().starts_with("ntgate: error: cannot read none.lst: "), "{}", missing.stderr());
    assert!(written(&sandbox).is_empty());
}

#[test]
fn bad_usage_is_told_by_the_names_of_the_files() {
    let sandbox = sandbox();
    let told = sandbox.run(&["nci", "sysfuncs.lst", "w32ksvc.db", "napi.h"]).status(2).no_stdout();
    assert!(told.stderr().contains("<nt.pspec>") && told.stderr().contains("<win32k.S>"), "{}", told.stderr());
    let told = nci(&sandbox, &["-arch", "vax"], files()).status(2).no_stdout();
    assert!(told.stderr().contains("i386, amd64, powerpc, mips, arm"), "{}", told.stderr());
    assert!(written(&sandbox).is_empty());
}

#[test]
fn a_full_disk_leaves_every_file_as_it_was() {
    let sandbox = sandbox();
    if !Path::new("/dev/full").exists() {
        return;
    }
    sandbox.write("napi.h", "old");
    let [main, gui, a, b, c, d, e, _] = files();
    let told = nci(&sandbox, &[], [main, gui, a, b, c, d, e, "/dev/full"]).status(2).no_stdout();
    assert!(told.stderr().starts_with("ntgate: error: cannot write /dev/full: "), "{}", told.stderr());
    assert_eq!(written(&sandbox), ["napi.h"]);
    assert_eq!(fs::read(sandbox.path("napi.h")).expect("it is there"), b"old");
    assert_eq!(fs::read_dir(sandbox.path(".")).expect("it is there").count(), 3, "something was left behind");
}

#[test]
fn what_is_no_file_takes_many_texts() {
    let sandbox = sandbox();
    let [main, gui, a, ..] = files();
    if cfg!(unix) {
        let null = "/dev/null";
        nci(&sandbox, &[], [main, gui, a, null, null, null, null, null]).status(0);
        assert_eq!(written(&sandbox), ["napi.h"]);
    }
}
