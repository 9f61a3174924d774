//! What the tests against other tools share: the lists, and running a tool.

#![allow(dead_code, reason = "no test needs all of it")]

use std::path::Path;
use std::process::Command;

use ntgate_gen::{ServiceList, read_list};
use tempfile::TempDir;

/// Docs that an assembler could take for something else, and every argument count that there can be.
fn stress_list() -> ServiceList {
    let mut text = String::from(
        "NtDoc1 0 # 1 \"file.c\"\nNtDoc2 1 # /* open\nNtDoc3 2 # */ \\\nNtDoc4 3 # #if 0\nNtWide 63 @0xfff\n",
    );
    text.insert_str(0, &format!("NtLong 1 # {}\n", "a long doc ".repeat(90)));
    text.push_str("#! table win32k base=0x1000\n");
    for args in 0..=63 {
        text.push_str(&format!("NtGdi{args} {args} @{:#x}\n", 0x1000 + 40 * args));
    }
    read_list("stress.lst", text.as_bytes()).unwrap_or_else(|diagnostics| panic!("{diagnostics}")).list
}

/// The default list, and one that looks for trouble.
pub(crate) fn lists() -> [ServiceList; 2] {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../sysfuncs.lst");
    let bytes = std::fs::read(path).expect("the list is there");
    let default = read_list("sysfuncs.lst", &bytes).unwrap_or_else(|diagnostics| panic!("{diagnostics}"));
    [default.list, stress_list()]
}

/// Signatures of every kind.
pub(crate) fn typed() -> ServiceList {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/inputs/good/typed.lst");
    let bytes = std::fs::read(path).expect("the list is there");
    read_list("typed.lst", &bytes).unwrap_or_else(|diagnostics| panic!("{diagnostics}")).list
}

/// Runs a tool in a directory; what it prints.
pub(crate) fn run(directory: &TempDir, program: &str, args: &[&str]) -> String {
    let output = Command::new(program).args(args).current_dir(directory).output();
    let output = output.unwrap_or_else(|error| panic!("{program}: {error}"));
    let errors = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success() && errors.is_empty(), "{program} {args:?}: {errors}");
    String::from_utf8(output.stdout).expect("it prints text")
}

/// Puts a file there.
pub(crate) fn write(directory: &TempDir, name: &str, bytes: &[u8]) {
    std::fs::write(directory.path().join(name), bytes).expect("it can be written");
}

/// The name of a tool that Debian has with its version (`llvm-ml-14`) or a suffix only (`winebuild-stable`), or as it is.
pub(crate) fn find(name: &str) -> String {
    let paths = std::env::var_os("PATH").unwrap_or_default();
    let files = std::env::split_paths(&paths).filter_map(|path| std::fs::read_dir(path).ok()).flatten().flatten();
    let names = files.map(|file| file.file_name().to_string_lossy().into_owned());
    let suffixed = format!("{name}-");
    // The shortest is the one without a suffix.
    let is_it = |found: &String| {
        found == name
            || found
                .strip_prefix(&suffixed)
                .is_some_and(|rest| rest == "stable" || rest.chars().all(|c| c.is_ascii_digit()))
    };
    names.filter(is_it).min_by_key(String::len).unwrap_or_else(|| panic!("{name} is not there"))
}
