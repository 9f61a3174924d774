//! The program as its users meet it: exit status, standard output, standard error, files.

mod audit;
mod boot;
mod build_systems;
mod call;
mod convert;
mod diff;
mod gdbserver;
mod kd;
#[cfg(unix)]
mod kd_terminal;
mod nci;
mod support;

use std::fs;
use std::process::Stdio;

use support::{Outcome, Sandbox};

/// Two services, of no and of three arguments.
const SMALL: &str = "NtNone 0\nNtThree 3\n";

#[test]
fn prove_says_what_is_proven() {
    let sandbox = Sandbox::new();
    sandbox.write("small.lst", SMALL);
    let outcome = sandbox.run(&["prove", "small.lst"]).status(0).no_stderr();
    let text = outcome.stdout();
    // The time is the only thing that changes.
    let (text, _) = text.rsplit_once(", in ").expect("it tells the time");
    insta::assert_snapshot!(text);
}

#[test]
fn the_front_page_shows_what_the_program_prints() {
    let page = include_str!("../../README.md");
    let sandbox = Sandbox::new();
    let proof = sandbox.run(&["prove"]).status(0);
    let (proof, _) = proof.stdout().rsplit_once(", in ").expect("it tells the time");
    assert!(page.contains(&format!("$ cargo run --release -- prove\n{proof}, in ")), "{proof}");

    let list = "NtAcceptConnectPort 6\nNtAccessCheck 8\nNtClose 1\n";
    assert!(page.contains(&format!("$ printf '{}' > three.lst\n", list.replace('\n', "\\n"))));
    let gas =
        sandbox.run_with(&["gen", "-", "--arch", "i386", "--shape", "shared-edx", "--emit", "gas"], list).status(0);
    let from = gas.stdout().find("\"_NtClose@4\":\n").expect("it is in the list");
    assert_eq!(gas.stdout()[from..].lines().count(), 6);
    assert!(page.contains(&format!("--shape shared-edx --emit gas | tail -6\n{}```\n", &gas.stdout()[from..])));

    let told = sandbox.run_with(&["prove", "-"], "NtA 1\nNtB\n").status(2);
    assert!(
        page.contains(&format!("$ printf 'NtA 1\\nNtB\\n' | cargo run --release -- prove -\n{}```\n", told.stderr()))
    );
}

#[test]
fn prove_takes_the_built_in_list() {
    let outcome = Sandbox::new().run(&["prove", "--shape", "shared-edx", "--arch", "i386"]).status(0).no_stderr();
    // Four systems on four CPUs.
    assert_eq!(outcome.stdout().matches("298/298").count(), 16, "{}", outcome.stdout());
}

#[test]
fn prove_takes_only_the_shapes_that_are_named() {
    let arguments = ["prove", "-", "--shape", "zw", "--shape", "int2e", "--shape", "zw"];
    let outcome = Sandbox::new().run_with(&arguments, SMALL).status(0);
    let mut rows: Vec<&str> = outcome.stdout().lines().filter_map(|line| line.split(' ').next()).collect();
    rows.dedup();
    assert_eq!(rows, ["i386", "int2e", "zw", "", "amd64", "zw", "proven:"]);
}

#[test]
fn prove_takes_one_architecture() {
    let run = |arguments: &[&str]| Sandbox::new().run_with(arguments, SMALL);
    let first = |outcome: &Outcome| outcome.stdout().split(' ').next().unwrap_or_default().to_owned();
    for (arch, other) in [("i386", "amd64"), ("amd64", "i386")] {
        let outcome = run(&["prove", "-", "--arch", arch]).status(0).no_stderr();
        assert_eq!(first(&outcome), arch);
        assert!(!outcome.stdout().contains(other), "{}", outcome.stdout());
    }
    let outcome = run(&["prove", "-", "--arch", "x64", "--shape", "zw", "--shape", "syscall-or-int2e"]).status(0);
    let rows: Vec<&str> = outcome.stdout().lines().filter_map(|line| line.split(' ').next()).collect();
    assert_eq!(rows, ["amd64", "syscall-or-int2e", "syscall-or-int2e", "zw", "zw", "proven:"]);
    let outcome = run(&["prove", "-", "--profile", "win8"]).status(0);
    let rows: Vec<&str> = outcome.stdout().lines().filter_map(|line| line.split(' ').next()).collect();
    assert_eq!(rows, ["i386", "sysenter", "zw", "note:", "proven:"]);
    // A shape of another architecture, an architecture without a machine.
    let outcome = run(&["prove", "-", "--arch", "i386", "--shape", "syscall"]).status(2).no_stdout();
    assert!(outcome.stderr().starts_with("ntgate: error: unknown i386 shape \"syscall\"; known: int2e-frame, "));
    let outcome = run(&["prove", "-", "--arch", "arm64"]).status(2).no_stdout();
    assert!(outcome.stderr().starts_with("ntgate: error: stubs of arm64 cannot be proven: "), "{}", outcome.stderr());
}

#[test]
fn prove_mutates() {
    let outcome = Sandbox::new().run_with(&["prove", "-", "--mutate", "--shape", "int2e"], SMALL).status(0).no_stderr();
    let text = outcome.stdout();
    // 13 of stubs and bytes on 2 services less one that is its original; 2 of the pair of neighbours.
    assert!(text.contains("\n27 mutants, 27 rejected, 0 survived; 1 more are their originals\n"), "{text}");
    assert!(text.contains("not counted: i386 ret-plain of NtNone (int2e): "), "{text}");
}

#[test]
fn prove_speaks_json() {
    let outcome = Sandbox::new().run_with(&["prove", "-", "--json", "--mutate"], SMALL).status(0).no_stderr();
    let json: serde_json::Value = serde_json::from_str(outcome.stdout()).expect("it is JSON");
    assert_eq!(json["version"], 1);
    assert_eq!(json["list"], "<stdin>");
    assert_eq!(json["services"], 2);
    let runs = json["runs"].as_array().expect("runs are an array");
    // As many as systems, shapes and CPUs go together: tests/prove.rs counts them.
    assert_eq!(runs.len(), 76 + 8 * 2);
    for run in runs {
        let profile = run["profile"].as_str().expect("a name");
        match (run["arch"].as_str(), run["shape"].as_str()) {
            (Some("i386"), Some("sysenter")) => assert_eq!(profile, "win8"),
            (Some("i386"), _) => assert!(!profile.ends_with("-x64"), "{run}"),
            (Some("amd64"), Some("syscall-or-int2e")) => assert_eq!(profile, "win10-x64"),
            _ => assert_eq!(run["arch"], "amd64", "{run}"),
        }
        assert_eq!((&run["proven"], &run["total"]), (&2.into(), &2.into()));
        assert_eq!(run["failures"].as_array().map(Vec::len), Some(0));
        assert!(["int2e", "sysenter", "syscall", "zw"].contains(&run["entry"].as_str().expect("a name")));
    }
    assert_eq!(json["mutants"]["total"], json["mutants"]["rejected"]);
    assert_eq!(json["mutants"]["survivors"].as_array().map(Vec::len), Some(0));
}

#[test]
fn mistakes_of_a_list_are_all_told() {
    let list = "NtA 1\nNtB\nNtA 2\nFoo 3\n";
    for arguments in [&["prove", "-"][..], &["gen", "-", "--arch", "i386", "--emit", "gas"]] {
        let outcome = Sandbox::new().run_with(arguments, list).status(2).no_stdout();
        let heads: Vec<&str> = outcome.stderr().lines().filter(|line| line.starts_with("<stdin>:")).collect();
        assert_eq!(heads.len(), 3, "{}", outcome.stderr());
        for (head, place) in heads.iter().zip(["<stdin>:2:", "<stdin>:3:", "<stdin>:4:"]) {
            assert!(head.starts_with(place) && head.contains(" error: "), "{head}");
        }
    }
}

#[test]
fn bad_lists_are_one_clear_message() {
    let sandbox = Sandbox::new();
    sandbox.write("empty.lst", "");
    sandbox.write("comments.lst", "# nothing\n\n   # at all\n");
    sandbox.write_bytes("garbage.lst", &[0x7F, b'E', b'L', b'F', 0, 1, 0xFF, 0xFE, 0x80, b'\n', 0]);
    sandbox.write("base.lst", "#! table win32k base=0x1000\nNtGdi 2\n");
    fs::create_dir(sandbox.path("directory")).expect("it is made");
    for (list, message) in [
        ("empty.lst", "empty.lst:1:1: error: "),
        ("comments.lst", "comments.lst:"),
        ("garbage.lst", "garbage.lst:1:"),
        ("base.lst", "ntgate: error: the first table, win32k, has base 0x1000"),
        ("directory", "ntgate: error: cannot read directory: "),
        ("missing.lst", "ntgate: error: cannot read missing.lst: "),
    ] {
        let outcome = sandbox.run(&["prove", list]).status(2).no_stdout();
        assert!(outcome.stderr().starts_with(message), "{list}: {}", outcome.stderr());
        // And nothing is written where something was to be.
        let arguments = ["image", list, "--arch", "i386", "-o", "out.elf"];
        sandbox.run(&arguments).status(2).no_stdout();
        assert!(!sandbox.path("out.elf").exists(), "{list}");
    }
}

#[cfg(unix)]
#[test]
fn a_file_without_end_is_not_read_to_its_end() {
    for command in ["prove", "boot"] {
        let outcome = Sandbox::new().run(&[command, "/dev/zero"]).status(2).no_stdout();
        assert_eq!(outcome.stderr(), "ntgate: error: /dev/zero is larger than 256 MiB; is it the right file?\n");
    }
}

#[test]
fn warnings_do_not_stop_anything() {
    let outcome = Sandbox::new().run_with(&["gen", "-", "--arch", "i386", "--emit", "list"], "NtA 010\n").status(0);
    assert!(outcome.stderr().starts_with("<stdin>:1:5: warning: "), "{}", outcome.stderr());
    assert!(outcome.stdout().contains("NtA 10"), "{}", outcome.stdout());
}

#[test]
fn gen_writes_every_format() {
    let sandbox = Sandbox::new();
    sandbox.write("small.lst", SMALL);
    let text = ["gas", "masm", "nasm", "rust", "c", "def", "spec", "csv", "syzlang", "json", "list", "table", "bin"];
    let objects = ["coff", "elf", "archive", "elf-archive", "implib", "pe"];
    for format in text.into_iter().chain(objects) {
        let base = ["gen", "small.lst", "--arch", "x86", "--shape", "int2e", "--emit", format];
        let shown = sandbox.run(&base).status(0).no_stderr();
        assert!(!shown.stdout_bytes().is_empty());
        let file = format!("out.{format}");
        let mut with_file = base.to_vec();
        with_file.extend(["-o", &file]);
        sandbox.run(&with_file).status(0).no_stdout().no_stderr();
        assert_eq!(fs::read(sandbox.path(&file)).expect("it is written"), shown.stdout_bytes(), "{format}");
    }
}

#[test]
fn gen_takes_shape_and_encoding() {
    let run = |encoding| {
        let arguments = ["gen", "-", "--arch", "i386", "--shape", "sysenter", "--emit", "bin", "--encoding", encoding];
        Sandbox::new().run_with(&arguments, "NtA 0\n").status(0).stdout_bytes().to_vec()
    };
    let has = |bytes: &[u8], wanted: [u8; 2]| bytes.windows(2).any(|pair| pair == wanted);
    assert!(has(&run("msvc"), [0x8B, 0xD4]) && has(&run("gnu"), [0x89, 0xE2]));
}

#[test]
fn gen_checks_without_writing() {
    let sandbox = Sandbox::new();
    sandbox.write("small.lst", SMALL);
    let arguments = ["gen", "small.lst", "--arch", "i386", "--emit", "gas", "-o", "out.s"];
    let check = ["gen", "small.lst", "--arch", "i386", "--emit", "gas", "-o", "out.s", "--check"];
    let outcome = sandbox.run(&check).status(1).no_stdout();
    assert_eq!(outcome.stderr(), "ntgate: error: out.s is not there; leave out --check to write it\n");
    assert!(!sandbox.path("out.s").exists());
    sandbox.run(&arguments).status(0);
    sandbox.run(&check).status(0).no_stdout().no_stderr();
    sandbox.write("out.s", "other\n");
    let outcome = sandbox.run(&check).status(1);
    assert_eq!(outcome.stderr(), "ntgate: error: out.s is not what small.lst gives; leave out --check to write it\n");
    assert_eq!(fs::read_to_string(sandbox.path("out.s")).expect("it stays"), "other\n");
    // What cannot be read cannot be compared.
    fs::create_dir(sandbox.path("directory")).expect("it is made");
    for (target, message) in [
        ("directory", "ntgate: error: cannot read directory: "),
        ("-", "error: the argument '--check' cannot be used with '--output -'\n\n  tip: name the file "),
    ] {
        let check = ["gen", "small.lst", "--arch", "i386", "--emit", "gas", "--check", "-o", target];
        let outcome = sandbox.run(&check).status(2).no_stdout();
        assert!(outcome.stderr().starts_with(message), "{}", outcome.stderr());
    }
}

#[test]
fn a_dash_is_standard_input_and_output() {
    let sandbox = Sandbox::new();
    let shown = sandbox.run_with(&["gen", "-", "--arch", "i386", "--emit", "gas"], SMALL).status(0);
    let dashed = sandbox.run_with(&["gen", "-", "--arch", "i386", "--emit", "gas", "-o", "-"], SMALL).status(0);
    assert_eq!(dashed.stdout(), shown.stdout());
    sandbox.write("small.lst", SMALL);
    sandbox.run(&["image", "small.lst", "--arch", "i386", "-o", "proof.elf"]).status(0);
    let image = sandbox.run(&["image", "small.lst", "--arch", "i386", "-o", "-"]).status(0).no_stderr();
    assert_eq!(image.stdout_bytes(), fs::read(sandbox.path("proof.elf")).expect("it is written"));
    assert_eq!(sandbox.run_with(&["boot", "-"], "no image").status(2).stderr().lines().count(), 1);
    assert!(!sandbox.path("-").exists());
}

#[test]
fn outputs_that_cannot_be_written_are_told() {
    let sandbox = Sandbox::new();
    fs::create_dir(sandbox.path("directory")).expect("it is made");
    for target in ["directory", "no/such/file"] {
        let arguments = ["gen", "-", "--arch", "i386", "--emit", "gas", "-o", target];
        let outcome = sandbox.run_with(&arguments, SMALL).status(2).no_stdout();
        assert!(
            outcome.stderr().starts_with(&format!("ntgate: error: cannot write {target}: ")),
            "{}",
            outcome.stderr()
        );
        assert_eq!(outcome.stderr().lines().count(), 1);
    }
    // A list with a mistake leaves the old output alone.
    sandbox.write("out.s", "old\n");
    let arguments = ["gen", "-", "--arch", "i386", "--emit", "gas", "-o", "out.s"];
    sandbox.run_with(&arguments, "NtA x\n").status(2);
    assert_eq!(fs::read_to_string(sandbox.path("out.s")).expect("it stays"), "old\n");
}

#[cfg(unix)]
#[test]
fn names_of_files_do_not_reach_the_terminal_as_controls() {
    let sandbox = Sandbox::new();
    let name = "a\n\u{1b}[31m";
    for arguments in [&["prove", name][..], &["boot", name]] {
        let outcome = sandbox.run(arguments).status(2).no_stdout();
        assert!(outcome.stderr().starts_with("ntgate: error: cannot read a\\n\\u{1b}[31m: "), "{}", outcome.stderr());
        assert_eq!(outcome.stderr().lines().count(), 1);
    }
    sandbox.write(name, "NtA 1\n");
    let outcome = sandbox.run(&["prove", name, "--shape", "zw"]).status(0).no_stderr();
    assert!(!outcome.stdout().contains('\u{1b}'), "{}", outcome.stdout());
}

#[test]
fn bad_usage_is_status_2() {
    let sandbox = Sandbox::new();
    for arguments in [
        &["prove", "--shape", "nonsense"][..],
        &["prove", "--arch", "vax"],
        &["prove", "--arch", "arm64"],
        &["gen", "--arch", "i386"],
        &["gen", "--emit", "gas"],
        &["gen", "--arch", "i386", "--emit", "cobol"],
        &["gen", "--arch", "arm64", "--emit", "masm"],
        &["gen", "--arch", "amd64", "--emit", "nasm", "--shape", "sysenter"],
        &["gen", "--arch", "i386", "--emit", "gas", "--check"],
        &["gen", "--arch", "i386", "--emit", "gas", "-o", ""],
        &["image", "--arch", "i386"],
        &["image", "--arch", "arm64", "-o", "x"],
        &["boot"],
        &["boot", "x", "--cpu", "z80"],
        &["nonsense"],
        &[],
    ] {
        let outcome = sandbox.run(arguments).status(2).no_stdout();
        assert!(!outcome.stderr().is_empty(), "{arguments:?}");
    }
}

/// What the format cannot hold of a list is the list's own mistake, and no usage helps.
#[test]
fn a_list_that_does_not_fit_is_told_without_usage() {
    let arguments = ["gen", "-", "--arch", "amd64", "--emit", "packed-table"];
    let outcome = Sandbox::new().run_with(&arguments, "NtA 20\n").status(2).no_stdout();
    let told = "ntgate: error: line 1: NtA takes 20 arguments, over the 19 of the format packed-table\n";
    assert!(outcome.stderr().contains(told) && !outcome.stderr().contains("Usage"), "{}", outcome.stderr());
}

/// Arguments that are right one by one, and contradict each other.
#[test]
fn contradictions_are_told_with_what_would_do() {
    let sandbox = Sandbox::new();
    sandbox.write("a.lst", SMALL);
    let gen_i386 = ["gen", "--arch", "i386", "--emit"];
    for (arguments, told) in [
        (&["gen", "--arch", "amd64", "--emit", "nasm", "--shape", "sysenter"][..], "known: syscall, syscall-reactos, "),
        (&["gen", "--arch", "arm64", "--emit", "masm"], "the format masm is for i386 and amd64, not arm64; gas can"),
        (&[&gen_i386[..], &["packed-table"]].concat(), "the format packed-table is for amd64, not i386"),
        (&[&gen_i386[..], &["bin", "--shape", "zw"]].concat(), "its stubs refer to _KiSystemService"),
        (&[&gen_i386[..], &["pe", "--shape", "zw"]].concat(), "ask for --shape int2e-frame, "),
        (&["convert", "a.lst", "--arch", "arm64", "--to", "nasm"], "the format nasm is for i386 and amd64, not arm64"),
        (&["convert", "-", "--counts", "-", "--to", "list"], "tip: standard input is one file: name the other"),
    ] {
        let outcome = sandbox.run(arguments).status(2).no_stdout();
        let usage = format!("\n\nUsage: ntgate {} ", arguments[0]);
        assert!(outcome.stderr().starts_with("error: ") && outcome.stderr().contains(told), "{}", outcome.stderr());
        assert!(outcome.stderr().contains(&usage), "{}", outcome.stderr());
    }
}

#[test]
fn a_reader_who_has_seen_enough_is_no_error() {
    let sandbox = Sandbox::new();
    for arguments in [
        &["gen", "--arch", "i386", "--emit", "gas"][..],
        &["prove", "--shape", "zw"],
        &["call", "NtClose", "1", "--trace"],
        &["man"],
    ] {
        let mut child =
            sandbox.command(arguments).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("it runs");
        drop(child.stdout.take());
        let output = child.wait_with_output().expect("it ends");
        assert_eq!(output.status.code(), Some(0), "{arguments:?}");
        assert_eq!(String::from_utf8_lossy(&output.stderr), "", "{arguments:?}");
    }
}

#[cfg(target_os = "linux")]
#[test]
fn a_full_disk_is_told() {
    let full = fs::OpenOptions::new().write(true).open("/dev/full").expect("Linux has it");
    let sandbox = Sandbox::new();
    let output = sandbox.command(&["man"]).stdout(full).output().expect("it runs");
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&output.stderr).starts_with("ntgate: error: cannot write to standard output: "));
}

#[test]
fn completions_and_manual_name_every_subcommand() {
    let sandbox = Sandbox::new();
    let subcommands = ["prove", "gen", "convert", "diff", "image", "boot", "call", "completions", "man"];
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let outcome = sandbox.run(&["completions", shell]).status(0).no_stderr();
        assert!(subcommands.iter().all(|name| outcome.stdout().contains(name)), "{shell}");
    }
    let manual = sandbox.run(&["man"]).status(0).no_stderr();
    assert!(subcommands.iter().all(|name| manual.stdout().contains(name)));
    assert!(manual.stdout().starts_with(".ie"), "it is roff");
}

#[test]
fn a_machine_that_is_not_there_is_status_3() {
    let sandbox = Sandbox::new();
    let mut command = sandbox.command(&["prove", "--machine", "qemu", "--arch", "amd64"]);
    let outcome = Outcome::of(command.env("PATH", sandbox.path("")).output().expect("it runs"));
    let outcome = outcome.status(3).no_stdout();
    assert!(outcome.stderr().contains("qemu-system-x86_64"), "{}", outcome.stderr());
    let mut command = sandbox.command(&["prove", "--machine", "qemu"]);
    let outcome = Outcome::of(command.env("PATH", sandbox.path("")).output().expect("it runs"));
    let outcome = outcome.status(3).no_stdout();
    assert_eq!(
        outcome.stderr(),
        "ntgate: error: qemu-system-i386 is not on the PATH; install the package qemu-system-x86\n"
    );
}

/// A program that goes by QEMU's name.
#[cfg(unix)]
fn with_fake_qemu(sandbox: &Sandbox, script: &str) -> Outcome {
    use std::os::unix::fs::PermissionsExt;
    sandbox.write("qemu-system-i386", &format!("#!/bin/sh\n{script}\n"));
    let permissions = fs::Permissions::from_mode(0o755);
    fs::set_permissions(sandbox.path("qemu-system-i386"), permissions).expect("it is ours");
    sandbox.write("small.lst", "NtA 1\n");
    let mut command = sandbox.command(&["prove", "small.lst", "--shape", "int2e", "--machine", "qemu"]);
    let old = std::env::var_os("PATH").unwrap_or_default();
    let path = std::env::join_paths(std::iter::once(sandbox.path("")).chain(std::env::split_paths(&old)));
    Outcome::of(command.env("PATH", path.expect("it is a path")).output().expect("it runs"))
}

#[cfg(unix)]
#[test]
fn a_machine_that_fails_is_status_3() {
    let outcome = with_fake_qemu(&Sandbox::new(), "echo 'no such thing' >&2; exit 1").status(3).no_stdout();
    assert_eq!(outcome.stderr(), "ntgate: error: qemu-system-i386 failed: no such thing\n");
}

#[cfg(unix)]
#[test]
fn a_machine_that_says_nothing_proves_nothing() {
    let outcome = with_fake_qemu(&Sandbox::new(), "exit 0").status(1).no_stdout();
    assert!(outcome.stderr().starts_with("ntgate: error: the guest did not boot on pentium: QEMU ended without"));
}

#[test]
#[ignore = "needs qemu-system-i386 and qemu-system-x86_64"]
fn qemu_gives_the_same_verdicts() {
    let outcome = Sandbox::new().run(&["prove", "--machine", "qemu"]).status(0).no_stderr();
    assert_eq!(outcome.stdout().matches("298/298").count(), 17 * 4 + 2 * 2 + 8 * 2, "{}", outcome.stdout());
    assert!(outcome.stdout().contains("note: 486 is left out"), "{}", outcome.stdout());
}
