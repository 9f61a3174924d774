//! `ntgate call`.

use std::path::Path;
use std::process::Command;

use serde_json::Value;

use super::support::Sandbox;

const WRITE_FILE: [&str; 11] = ["call", "NtWriteFile", "1", "2", "3", "4", "5", "6", "7", "8", "9"];

fn with<'a>(more: &[&'a str]) -> Vec<&'a str> {
    WRITE_FILE.into_iter().chain(more.iter().copied()).collect()
}

#[test]
fn a_call_without_a_trace_is_summed_up() {
    let outcome = Sandbox::new().run(&with(&["--entry", "sysenter"])).status(0).no_stderr();
    insta::assert_snapshot!(outcome.stdout());
}

#[test]
fn the_front_page_shows_a_part_of_a_true_trace() {
    let page = include_str!("../../README.md");
    let trace = Sandbox::new().run(&with(&["--entry", "int2e", "--trace"])).status(0).no_stderr();
    let (_, excerpt) = page.split_once("9 --entry int2e --trace\n").expect("it shows the command");
    let (excerpt, _) = excerpt.split_once("```").expect("it ends");
    let mut rest = trace.stdout();
    for part in excerpt.split("...\n") {
        let (_, behind) = rest.split_once(part).unwrap_or_else(|| panic!("not in the trace:\n{part}\n{rest}"));
        rest = behind;
    }
    assert!(excerpt.matches("...\n").count() < 6 && excerpt.lines().count() > 20);
}

#[test]
fn json_has_what_the_trace_has() {
    let sandbox = Sandbox::new();
    for entry in ["int2e", "sysenter", "syscall", "zw"] {
        let arguments = with(&["--entry", entry]);
        let json = |more: &str| sandbox.run(&[&arguments[..], &[more]].concat()).status(0).no_stderr();
        let document: Value = serde_json::from_str(json("--json").stdout()).expect("it is JSON");
        let trace = json("--trace");
        assert_eq!((&document["version"], &document["entry"]), (&Value::from(1), &Value::from(entry)));
        let routines = document["routines"].as_array().expect("a list");
        let mut heads = trace.stdout().lines().filter(|line| line.contains(" (ring "));
        for routine in routines {
            let head = format!("{} (ring {}, ", routine["name"].as_str().expect("a name"), routine["ring"]);
            assert!(heads.next().is_some_and(|line| line.starts_with(&head)), "{head}");
        }
        assert_eq!(heads.next(), None);
    }
}

#[test]
#[ignore = "needs python3-jsonschema"]
fn json_fits_its_schema() {
    let sandbox = Sandbox::new();
    let mut files = Vec::new();
    for (entry, profile) in [
        ("int2e", "nt4"),
        ("int2e", "srv2003"),
        ("sysenter", "win8"),
        ("syscall", "win7-x64"),
        ("int2e", "win10-x64"),
        ("zw", "srv2003"),
        ("zw", "reactos-amd64"),
    ] {
        let name = format!("{entry}-{profile}.json");
        let outcome = sandbox.run(&with(&["--entry", entry, "--profile", profile, "--json"])).status(0);
        sandbox.write(&name, outcome.stdout());
        files.push(name);
    }
    let good = sandbox.run(&with(&["--json"])).status(0);
    sandbox.write("bad.json", &good.stdout().replacen("\"version\": 1", "\"version\": 2", 1));
    let schemas = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/schema");
    let validate = |files: &[String]| {
        let mut command = Command::new("python3");
        command.arg(schemas.join("validate.py")).arg(schemas.join("call.json"));
        let output = command.args(files.iter().map(|name| sandbox.path(name))).output().expect("python3 runs");
        let errors = String::from_utf8_lossy(&output.stderr).into_owned();
        (output.status.code(), String::from_utf8_lossy(&output.stdout).into_owned() + &errors)
    };
    assert_eq!(validate(&files), (Some(0), "\n".to_owned()));
    let (status, told) = validate(&["bad.json".to_owned()]);
    assert_eq!(status, Some(1), "{told}");
}

#[test]
fn pages_and_drawings_are_files_of_their_own() {
    let sandbox = Sandbox::new();
    let outcome = sandbox.run(&with(&["--html", "call.html", "--svg", "call.svg"])).status(0).no_stderr();
    assert!(outcome.stdout().starts_with("NtWriteFile 11Ch under srv2003"));
    let read = |name: &str| std::fs::read_to_string(sandbox.path(name)).expect("it is there");
    assert!(read("call.html").starts_with("<!DOCTYPE html>") && read("call.html").ends_with("</html>\n"));
    assert!(read("call.svg").starts_with("<svg "));
    // On standard output it is alone.
    let page = sandbox.run(&with(&["--html", "-"])).status(0).no_stderr();
    assert_eq!(page.stdout(), read("call.html"));
    let proof = sandbox.run(&["prove", "--shape", "int2e", "--html", "proof.html"]).status(0).no_stderr();
    assert!(proof.stdout().contains("proven: sysfuncs.lst") && read("proof.html").contains("int2e 298/298"));
}

#[test]
fn what_cannot_be_written_is_told_and_nothing_else_is_said() {
    let sandbox = Sandbox::new();
    sandbox.write("file", "");
    for target in ["file/call.html", "."] {
        let outcome = sandbox.run(&with(&["--html", target])).status(2).no_stdout();
        assert!(
            outcome.stderr().starts_with(&format!("ntgate: error: cannot write {target}: ")),
            "{}",
            outcome.stderr()
        );
        let outcome = sandbox.run(&["prove", "--shape", "int2e", "--html", target]).status(2).no_stdout();
        assert!(
            outcome.stderr().starts_with(&format!("ntgate: error: cannot write {target}: ")),
            "{}",
            outcome.stderr()
        );
    }
    // If one of two files cannot be written, neither is.
    sandbox.run(&with(&["--html", "call.html", "--svg", "file/call.svg"])).status(2).no_stdout();
    assert!(!sandbox.path("call.html").exists());
    let outcome = sandbox.run(&with(&["--html", "call", "--svg", "./call"])).status(2).no_stdout();
    assert_eq!(outcome.stderr(), "ntgate: error: page and drawing are both to go to call; name two files\n");
    assert!(!sandbox.path("call").exists());
    let outcome = sandbox.run(&["prove", "--shape", "int2e", "--json", "--html", "-"]).status(2).no_stdout();
    assert!(outcome.stderr().contains("two outputs are to go to standard output"), "{}", outcome.stderr());
    for two in [["--html", "-", "--svg", "-"], ["--html", "-", "--json", "--entry=zw"]] {
        let outcome = sandbox.run(&with(&two)).status(2).no_stdout();
        assert!(outcome.stderr().contains("standard output"), "{}", outcome.stderr());
    }
}

#[test]
fn numbers_are_those_of_a_debugger() {
    let sandbox = Sandbox::new();
    for (given, seen) in [
        ("20", "20"),
        ("0x20", "20"),
        ("0n32", "20"),
        ("20h", "20"),
        ("7FFDF000", "7ffdf000"),
        ("-1", "ffffffff"),
        ("-80000000", "80000000"),
        ("00000000`ffffffff", "ffffffff"),
    ] {
        let outcome = sandbox.run(&["call", "NtClose", given]).status(0).no_stderr();
        assert!(outcome.stdout().contains(&format!("as they arrived: {seen}\n")), "{given}: {}", outcome.stdout());
    }
    for (given, seen) in [
        ("fffff800`00001000", "fffff80000001000"),
        ("-80000001", "ffffffff7fffffff"),
        ("-8000000000000000", "8000000000000000"),
    ] {
        let outcome = sandbox.run(&["call", "NtClose", given, "--arch", "amd64"]).status(0).no_stderr();
        assert!(outcome.stdout().contains(&format!("as they arrived: {seen}\n")), "{given}: {}", outcome.stdout());
    }
}

#[test]
fn what_cannot_be_called_is_told() {
    let sandbox = Sandbox::new();
    for (arguments, told) in [
        (&["call", "NtClose", "12g"][..], "`12g` is no hexadecimal number of at most 64 bits"),
        (&["call", "NtClose", "0n1f"], "`0n1f` is no decimal number of at most 64 bits"),
        (&["call", "NtClose", ""], "is no hexadecimal number"),
        (&["call", "NtClose", "1ffffffffffffffff"], "is no hexadecimal number of at most 64 bits"),
        (&["call", "NtClose", "-8000000000000001"], "`-8000000000000001` is below what 64 bits can hold"),
        (&["call", "NtClose", "-80000001"], "argument 1, ffffffff7fffffff, does not fit into 32 bits"),
        (&["call", "NtClose"], "ntgate: error: NtClose takes 1 argument, not 0\n"),
        (&["call", "NtClose", "1", "2"], "ntgate: error: NtClose takes 1 argument, not 2\n"),
        (&["call", "NtClose", "123456789"], "argument 1, 123456789, does not fit into 32 bits"),
        (&["call", "ntclose", "1"], "the list has no service `ntclose`; did you mean `NtClose`?"),
        (&["call", "Nt\u{1b}[31m"], "the list has no service `Nt\\u{1b}[31m`"),
        (&["call", "NtClose", "1", "--profile", "win95"], "invalid value 'win95'"),
        (&["call", "NtClose", "1", "--arch", "arm64"], "there is no machine for arm64"),
        (
            &["call", "NtClose", "1", "--entry", "int2e", "--profile", "win8"],
            "win8 has no int2e; its calls take sysenter",
        ),
        (&["call", "NtClose", "1", "--arch", "i386", "--profile", "win7-x64"], "win7-x64 is no system of i386"),
    ] {
        let outcome = sandbox.run(arguments).status(2).no_stdout();
        assert!(outcome.stderr().contains(told), "{arguments:?}: {}", outcome.stderr());
    }
}

#[test]
fn every_way_of_every_system_is_taken() {
    let sandbox = Sandbox::new();
    for (profile, entries) in [
        ("nt4", &["int2e", "zw"][..]),
        ("winxp", &["int2e", "sysenter", "zw"]),
        ("win8", &["sysenter", "zw"]),
        ("reactos", &["int2e", "sysenter", "zw"]),
        ("win7-x64", &["syscall", "zw"]),
        ("win10-x64", &["syscall", "int2e", "zw"]),
        ("reactos-amd64", &["syscall", "zw"]),
    ] {
        for entry in entries {
            let outcome = sandbox.run(&with(&["--profile", profile, "--entry", entry])).status(0).no_stderr();
            let (line, _) = outcome.stdout().split_once('\n').expect("a line");
            assert!(
                line.contains(&format!("under {profile} on ")) && line.contains(&format!("by {entry}: ")),
                "{line}"
            );
        }
    }
}
