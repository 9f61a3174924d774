//! `ntgate audit`.

use super::SMALL;
use super::support::Sandbox;

/// The services of [`SMALL`], as an object.
fn with_object(arguments: &[&str]) -> Sandbox {
    let sandbox = Sandbox::new();
    sandbox.write("small.lst", SMALL);
    let gen_arguments = ["gen", "small.lst", "-o", "s.obj"];
    sandbox.run(&[&gen_arguments[..], arguments].concat()).status(0);
    sandbox
}

const I386: &[&str] = &["--arch", "i386", "--shape", "shared-edx", "--emit", "coff"];
const AMD64: &[&str] = &["--arch", "amd64", "--shape", "syscall-or-int2e", "--emit", "coff"];

#[test]
fn an_object_is_told_service_by_service() {
    let outcome = with_object(I386).run(&["audit", "s.obj"]).status(0).no_stderr();
    insta::assert_snapshot!(outcome.stdout());
}

#[test]
fn what_was_generated_agrees_with_its_list() {
    let sandbox = with_object(I386);
    let outcome = sandbox.run(&["audit", "s.obj", "--against", "small.lst"]).status(0).no_stderr();
    assert!(outcome.stdout().ends_with("against small.lst: agrees\n"), "{}", outcome.stdout());
    let list = sandbox.run(&["audit", "s.obj", "--format", "list"]).status(0).no_stderr();
    let wanted = sandbox.run(&["gen", "small.lst", "--arch", "i386", "--emit", "list", "-o", "-"]).status(0);
    assert_eq!(list.stdout(), wanted.stdout());
}

#[test]
fn every_disagreement_is_told_with_status_1() {
    let sandbox = with_object(I386);
    sandbox.write("other.lst", "NtThree 4\nNtNone 0\nNtGone 1\n");
    let outcome = sandbox.run(&["audit", "s.obj", "--against", "other.lst"]).status(1).no_stderr();
    insta::assert_snapshot!(outcome.stdout());
    let piped = ["audit", "-", "--against", "other.lst", "--format", "sarif"];
    let piped = sandbox.run_with(&piped, &std::fs::read(sandbox.path("s.obj")).expect("it was written")).status(1);
    assert!(!piped.stdout().contains("stdin%3E") && piped.stdout().contains("other.lst"), "{}", piped.stdout());
    let sarif = sandbox.run(&["audit", "s.obj", "--against", "other.lst", "--format", "sarif"]).status(1);
    for rule in ["service-removed", "service-renumbered", "argument-count"] {
        assert!(sarif.stdout().contains(&format!("\"ruleId\": \"{rule}\"")), "{}", sarif.stdout());
    }
    let json = sandbox.run(&["audit", "s.obj", "--against", "other.lst", "--format", "json"]).status(1);
    let json: serde_json::Value = serde_json::from_str(json.stdout()).expect("it is JSON");
    assert_eq!(json["holds"], false);
    assert_eq!(json["files"][0]["against"]["diff"]["removed"][0]["name"], "NtGone");
}

#[test]
fn counts_of_amd64_come_from_a_file() {
    let sandbox = with_object(AMD64);
    let refused = sandbox.run(&["audit", "s.obj", "--format", "list"]).status(2).no_stdout();
    assert!(refused.stderr().contains("--counts FILE"), "{}", refused.stderr());
    let list = sandbox.run(&["audit", "s.obj", "--format", "list", "--counts", "small.lst"]).status(0).no_stderr();
    assert!(list.stdout().ends_with(SMALL), "{}", list.stdout());
}

#[test]
fn published_tables_of_a_system_are_compared() {
    let sandbox = with_object(AMD64);
    sandbox.write(
        "nt.csv",
        "System call,Windows 10 (1511),Windows 11 (24H2)\nNtNone,0x0000,0x0001\nNtThree,0x0001,0x0000\n",
    );
    let against = |system: &str| ["audit", "s.obj", "--against", "nt.csv", "--system", system].map(str::to_owned);
    for (system, status) in [("Windows 10/1511", 0), ("Windows 11/24H2", 1)] {
        let arguments = against(system);
        sandbox.run(&arguments.each_ref().map(String::as_str)).status(status);
    }
}

#[test]
fn contracts_are_checked() {
    let sandbox = with_object(AMD64);
    let arguments = ["audit", "s.obj", "--contract", "chromium", "--contract", "proton", "--contract", "order"];
    let outcome = sandbox.run(&arguments).status(1).no_stderr();
    insta::assert_snapshot!(outcome.stdout());
    sandbox.run(&["audit", "s.obj", "--contract", "chromium"]).status(0);
}

#[test]
fn what_cannot_be_audited_is_told_one_by_one_and_the_rest_is_audited() {
    let sandbox = with_object(I386);
    sandbox.write("README.md", "# text\n");
    sandbox.write_bytes("x.bin", &[0x89, b'P', b'N', b'G']);
    let outcome = sandbox.run(&["audit", "README.md", "s.obj", "x.bin", "not-there"]).status(2);
    assert!(outcome.stdout().starts_with("s.obj: i386 coff, 2 exports: 2 service\n"), "{}", outcome.stdout());
    let told: Vec<&str> = outcome.stderr().lines().collect();
    assert_eq!(told.len(), 3, "{told:?}");
    assert!(told[0].starts_with("ntgate: error: README.md is a text file: not a PE image"), "{}", told[0]);
    assert!(told[1].contains("x.bin is a file that begins with [89, 50, 4E, 47]"), "{}", told[1]);
    assert!(told[2].contains("cannot read not-there"), "{}", told[2]);
}

#[test]
fn usage_that_makes_no_sense_is_refused() {
    let sandbox = with_object(I386);
    for arguments in [
        &["audit"][..],
        &["audit", "s.obj", "--format", "xml"],
        &["audit", "s.obj", "s.obj", "--format", "list"],
        &["audit", "-", "--against", "-"],
        &["audit", "s.obj", "--system", "x"],
        &["audit", "s.obj", "--contract", "x"],
        &["audit", "s.obj", "--against", "not-there"],
        &["audit", "s.obj", "--against", "small.lst", "--system", "Windows 7/SP0"],
        &["audit", "s.obj", "--mapped"],
    ] {
        sandbox.run(arguments).status(2).no_stdout();
    }
}

#[test]
fn rows_are_csv() {
    let outcome = with_object(I386).run(&["audit", "s.obj", "--format", "csv"]).status(0).no_stderr();
    let rows: Vec<&str> = outcome.stdout().split("\r\n").collect();
    assert_eq!(rows.len(), 4, "{rows:?}");
    assert!(
        rows[2].starts_with("s.obj,,NtThree,ZwThree,service,0x1,3,12,\"sysenter (edx+8), int2e (edx)\",shared-edx,"),
        "{}",
        rows[2]
    );
}
