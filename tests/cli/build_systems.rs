//! What build systems rely on: depfiles, `--check`, and outputs that stay as they were when something goes wrong.

use std::fs;
use std::process::{Command, Stdio};

use crate::support::{Outcome, Sandbox};

const SMALL: &str = "NtNone 0\nNtThree 3\n";

#[test]
fn a_depfile_names_the_output_and_the_list() {
    let sandbox = Sandbox::new();
    sandbox.write("small list.lst", SMALL);
    let base = ["--arch", "i386", "--emit", "gas", "-o", "out.s", "--depfile", "out.d"];
    for (list, rule) in
        [(&["small list.lst"][..], "out.s: small\\ list.lst\n"), (&[], "out.s:\n"), (&["-"], "out.s:\n")]
    {
        let arguments = [&["gen"][..], list, &base].concat();
        sandbox.run_with(&arguments, SMALL).status(0).no_stdout().no_stderr();
        assert_eq!(fs::read_to_string(sandbox.path("out.d")).expect("it is written"), rule);
    }
}

#[test]
fn a_conversion_depends_on_both_its_files() {
    let sandbox = Sandbox::new();
    sandbox.write("numbers.csv", "System call,X\nNtA,0x0000\n");
    sandbox.write("counts.lst", "NtA 1\n");
    let base = ["--to", "gas", "-o", "out.s", "--depfile", "out.d"];
    for (files, input, rule) in [
        (&["numbers.csv", "--counts", "counts.lst"][..], "", "out.s: numbers.csv counts.lst\n"),
        (&["-", "--counts", "counts.lst"], "NtA,0x0000\n", "out.s: counts.lst\n"),
        (&["counts.lst"], "", "out.s: counts.lst\n"),
    ] {
        let input = if input.is_empty() { input.to_owned() } else { format!("System call,X\n{input}") };
        sandbox.run_with(&[&["convert"], files, &base].concat(), &input).status(0).no_stdout().no_stderr();
        assert_eq!(fs::read_to_string(sandbox.path("out.d")).expect("it is written"), rule);
    }
    // The rule is written over nothing that is read, and is no output of another kind.
    for depfile in ["counts.lst", "./out.s"] {
        let arguments = ["convert", "counts.lst", "--to", "gas", "-o", "out.s", "--depfile", depfile];
        sandbox.run(&arguments).status(2).no_stdout();
    }
    assert_eq!(fs::read_to_string(sandbox.path("counts.lst")).expect("it stays"), "NtA 1\n");
}

#[test]
fn a_depfile_needs_an_output() {
    let sandbox = Sandbox::new();
    for command in [&["gen", "-", "--arch", "i386", "--emit", "gas"][..], &["convert", "-", "--to", "gas"]] {
        for output in [&[][..], &["-o", "-"], &["-o", "out.s", "--check"]] {
            let arguments = [command, &["--depfile", "out.d"], output].concat();
            let outcome = sandbox.run_with(&arguments, SMALL).status(2).no_stdout();
            assert!(outcome.stderr().starts_with("error: "), "{}", outcome.stderr());
            assert!(outcome.stderr().contains("\n\nUsage: ntgate "), "{}", outcome.stderr());
            assert!(!sandbox.path("out.d").exists() && !sandbox.path("out.s").exists());
        }
    }
}

#[test]
#[ignore = "needs make"]
fn make_reads_a_depfile() {
    for (output, list) in [("out.s", "small.lst"), ("a b#c$d:e%f.s", "l i#s$t:%.lst"), ("x\\ y.s", "p\\q\\#.lst")] {
        let sandbox = Sandbox::new();
        sandbox.write(list, SMALL);
        let arguments = ["gen", list, "--arch", "i386", "--emit", "gas", "-o", output, "--depfile", "rule.d"];
        sandbox.run(&arguments).status(0);
        // How anything is made, so that make has to say whether it must be.
        sandbox.write("Makefile", "include rule.d\n%::\n\t@echo made\n");
        let make = |expected: i32| {
            let mut make = Command::new("make");
            let outcome = make.args(["-rq", output]).current_dir(sandbox.path("")).output().expect("make runs");
            Outcome::of(outcome).status(expected).no_stderr();
        };
        make(0);
        let now = fs::metadata(sandbox.path(list)).expect("it is there").modified().expect("it has a time");
        let file = fs::File::options().write(true).open(sandbox.path(output)).expect("it is ours");
        file.set_modified(now - std::time::Duration::from_secs(5)).expect("it can be set");
        make(1);
    }
}

#[test]
fn check_shows_how_text_differs() {
    let sandbox = Sandbox::new();
    sandbox.write("small.lst", SMALL);
    let arguments = ["gen", "small.lst", "--arch", "i386", "--emit", "list", "-o", "out.lst"];
    sandbox.run(&arguments).status(0);
    let text = fs::read_to_string(sandbox.path("out.lst")).expect("it is written");
    sandbox.write("out.lst", &text.replace("NtThree 3", "NtThree 4"));
    let outcome = sandbox.run(&[&arguments[..], &["--check"]].concat()).status(1);
    assert_eq!(
        outcome.stdout(),
        "--- out.lst\n+++ out.lst (of small.lst)\n@@ -1,3 +1,3 @@\n # System services: name and argument count. Made by ntgate.\n NtNone 0\n-NtThree 4\n+NtThree 3\n"
    );
    assert_eq!(outcome.stderr(), "ntgate: error: out.lst is not what small.lst gives; leave out --check to write it\n");
}

#[cfg(target_os = "linux")]
#[test]
fn a_device_is_not_compared_with() {
    let sandbox = Sandbox::new();
    assert!(Command::new("mkfifo").arg(sandbox.path("pipe")).status().expect("mkfifo runs").success());
    for target in ["/dev/null", "/dev/full", "/dev/zero", "pipe"] {
        let outcome = sandbox.run(&["gen", "--arch", "i386", "--emit", "gas", "-o", target, "--check"]).status(2);
        let told = format!("ntgate: error: {target} is no file: --check has nothing to compare with\n");
        assert_eq!(outcome.no_stdout().stderr(), told);
    }
}

#[test]
fn check_says_where_bytes_differ() {
    let sandbox = Sandbox::new();
    sandbox.write("small.lst", SMALL);
    let arguments = ["gen", "small.lst", "--arch", "i386", "--shape", "int2e", "--emit", "bin", "-o", "out.bin"];
    sandbox.run(&arguments).status(0);
    let check = [&arguments[..], &["--check"]].concat();
    sandbox.run(&check).status(0).no_stdout();
    let mut bytes = fs::read(sandbox.path("out.bin")).expect("it is written");
    bytes[0x10] = 0;
    sandbox.write_bytes("out.bin", &bytes);
    let told = |expected: &str| {
        let outcome = sandbox.run(&check).status(1);
        assert_eq!(outcome.stdout(), format!("out.bin: first difference at offset {expected} bytes in all\n"));
    };
    told("0x10: 0x00 in the file, 0xb8 of small.lst; 30 and 30");
    sandbox.write_bytes("out.bin", &[]);
    told("0x0: the end in the file, 0xb8 of small.lst; 0 and 30");
    // Text that is none is compared in the same way.
    sandbox.write_bytes("out.s", &[0xFF]);
    let outcome =
        sandbox.run(&["gen", "small.lst", "--arch", "i386", "--emit", "gas", "-o", "out.s", "--check"]).status(1);
    assert!(outcome.stdout().starts_with("out.s: first difference at offset 0x0: 0xff in the file, "));
}

/// Runs a generation that cannot succeed; the old file must stay, and nothing else must.
fn stays(sandbox: &Sandbox, outcome: Outcome, message: &str) {
    let outcome = outcome.status(2).no_stdout();
    assert!(outcome.stderr().starts_with(message), "{}", outcome.stderr());
    assert_eq!(fs::read_to_string(sandbox.path("out/file")).expect("it stays"), "old\n");
    assert_eq!(fs::read_dir(sandbox.path("out")).expect("it is there").count(), 1);
}

fn with_old_file() -> Sandbox {
    let sandbox = Sandbox::new();
    fs::create_dir(sandbox.path("out")).expect("it is made");
    sandbox.write("out/file", "old\n");
    sandbox
}

const INTO_OLD_FILE: [&str; 7] = ["gen", "--arch", "i386", "--emit", "coff", "-o", "out/file"];

#[test]
fn a_read_only_target_stays() {
    let sandbox = with_old_file();
    let mut permissions = fs::metadata(sandbox.path("out/file")).expect("it is there").permissions();
    permissions.set_readonly(true);
    fs::set_permissions(sandbox.path("out/file"), permissions).expect("it is ours");
    stays(&sandbox, sandbox.run(&INTO_OLD_FILE), "ntgate: error: cannot write out/file: it is read-only");
}

#[test]
fn a_missing_directory_is_told_and_nothing_is_made() {
    let sandbox = Sandbox::new();
    for (name, option) in [("no/such/out.o", "-o"), ("no/such/out.d", "--depfile")] {
        let arguments = [&["gen", "--arch", "i386", "--emit", "coff"][..], &[option, name]].concat();
        let arguments = if option == "-o" { arguments } else { [&arguments[..], &["-o", "out.o"]].concat() };
        let outcome = sandbox.run(&arguments).status(2).no_stdout();
        assert!(outcome.stderr().starts_with(&format!("ntgate: error: cannot write {name}: ")), "{}", outcome.stderr());
        assert!(!sandbox.path("no").exists() && !sandbox.path("out.o").exists());
    }
}

#[test]
fn an_input_is_not_written_over() {
    let sandbox = Sandbox::new();
    let gas = ["gen", "my.lst", "--arch", "i386", "--emit", "gas"];
    let convert = ["convert", "my.lst", "--counts", "counts.lst", "--to", "gas", "-o"];
    for (arguments, message) in [
        (&[&gas[..], &["-o", "my.lst"]].concat(), "my.lst is read, and would be overwritten"),
        (&[&gas[..], &["-o", "./dir/../my.lst"]].concat(), "./dir/../my.lst is read, and would be overwritten"),
        (&[&gas[..], &["-o", "x.s", "--depfile", "my.lst"]].concat(), "my.lst is read, and would be overwritten"),
        (&[&gas[..], &["-o", "x.s", "--depfile", "./x.s"]].concat(), "./x.s is named twice"),
        (&[&convert[..], &["my.lst"]].concat(), "my.lst is read, and would be overwritten"),
        (&[&convert[..], &["counts.lst"]].concat(), "counts.lst is read, and would be overwritten"),
    ] {
        sandbox.write("my.lst", SMALL);
        sandbox.write("counts.lst", SMALL);
        let _ = fs::create_dir(sandbox.path("dir"));
        let outcome = sandbox.run(arguments).status(2).no_stdout();
        assert!(outcome.stderr().starts_with(&format!("ntgate: error: {message}")), "{}", outcome.stderr());
        let text = |name: &str| fs::read_to_string(sandbox.path(name)).expect("it stays");
        assert_eq!((text("my.lst"), text("counts.lst")), (SMALL.to_owned(), SMALL.to_owned()), "{arguments:?}");
        assert!(!sandbox.path("x.s").exists());
    }
    // The canonical form of a list may take its place; a device is nobody's file.
    let list = ["gen", "my.lst", "--arch", "i386", "--emit", "list", "-o", "my.lst"];
    sandbox.run(&list).status(0).no_stdout().no_stderr();
    assert!(fs::read_to_string(sandbox.path("my.lst")).expect("it is there").ends_with(SMALL));
    #[cfg(unix)]
    sandbox.run(&[&gas[..], &["-o", "/dev/null", "--depfile", "/dev/null"]].concat()).status(0);
}

#[cfg(unix)]
#[test]
fn a_file_that_cannot_grow_leaves_the_old_one() {
    let sandbox = with_old_file();
    // One block of 512 bytes is the most that a file may have, as on a disk that is all but full; the signal that tells
    // so is ignored, and then the write fails.
    let script = "trap '' XFSZ; ulimit -f 1; exec \"$0\" \"$@\"";
    let program = sandbox.command(&[]).get_program().to_owned();
    let mut command = Command::new("sh");
    command.args(["-c", script]).arg(program).args(INTO_OLD_FILE).current_dir(sandbox.path("")).stdin(Stdio::null());
    let outcome = Outcome::of(command.output().expect("sh runs"));
    stays(&sandbox, outcome, "ntgate: error: cannot write out/file: ");
}

#[cfg(target_os = "linux")]
#[test]
#[ignore = "needs unshare and the right to mount"]
fn a_full_disk_leaves_the_old_file() {
    let sandbox = with_old_file();
    let program = sandbox.command(&[]).get_program().to_owned();
    // A disk of two pages, one of which the old file has. What is on it is seen from within alone.
    let script = "mount -t tmpfs -o size=8k none out && echo old >out/file && \"$0\" \"$@\"; status=$?; \
                  [ \"$(ls -A out)\" = file ] && [ \"$(cat out/file)\" = old ] || exit 99; exit $status";
    let mut command = Command::new("unshare");
    command.args(["-m", "sh", "-c", script]).arg(program).args(INTO_OLD_FILE).current_dir(sandbox.path(""));
    let outcome = Outcome::of(command.stdin(Stdio::null()).output().expect("unshare runs"));
    let message = "ntgate: error: cannot write out/file: No space left on device";
    stays(&sandbox, outcome, message);
}
