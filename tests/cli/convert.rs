//! `ntgate convert`: from each format that is read to those that are written.

use crate::support::Sandbox;

/// A header of `SVC_` rows with the whole built-in list, and a row of a later system.
pub(crate) fn svc_header() -> String {
    let list = ntgate::ntgate_gen::read_list("sysfuncs.lst", ntgate::SYSFUNCS).expect("it is right").list;
    let row = |service: &ntgate::ntgate_gen::Service| {
        format!("    SVC_({}, {})\n", service.name().stem(), service.args(ntgate::ntgate_gen::Arch::I386))
    };
    let rows: String = list.services().map(row).collect();
    format!(
        "#ifndef SYSFUNCS_NT6_ONLY\n{rows}#endif // SYSFUNCS_NT6_ONLY\n\n#ifndef SYSFUNCS_NT5_ONLY\n    \
         SVC_(GetCurrentProcessorNumberEx, 1)\n#endif\n"
    )
}

const ENTRIES: &str = "\
#define ALL_SYSCALLS32 \\
    SYSCALL_ENTRY( 0x0000, NtA, 8 ) \\
    SYSCALL_ENTRY( 0x0002, NtB, 20 )

#define ALL_SYSCALLS64 \\
    SYSCALL_ENTRY( 0x0000, NtA, 16 ) \\
    SYSCALL_ENTRY( 0x0003, NtB, 32 )
";

const NUMBERS: &str = "System call,Windows XP (SP1),Windows XP (SP2)\r\nNtA,0x0001,0x0000\r\nNtB,0x0002,\r\n";

#[test]
fn a_header_becomes_a_list() {
    let sandbox = Sandbox::new();
    sandbox.write("svc.h", &svc_header());
    let all = sandbox.run(&["convert", "svc.h", "--to", "list"]).status(0).no_stderr();
    assert_eq!(all.stdout().lines().filter(|line| line.starts_with("Nt")).count(), 299);
    let five = sandbox.run(&["convert", "svc.h", "-D", "SYSFUNCS_NT5_ONLY", "--to", "list"]).status(0).no_stderr();
    assert_eq!(five.stdout().lines().filter(|line| line.starts_with("Nt")).count(), 298);
    // What is made of it is what is made of the list.
    let json = ["-D", "SYSFUNCS_NT5_ONLY", "--to", "json", "-o", "out.json"];
    sandbox.run(&[&["convert", "svc.h"][..], &json].concat()).status(0).no_stdout().no_stderr();
    let of_list = sandbox.run(&["gen", "--arch", "i386", "--emit", "json"]).status(0);
    assert_eq!(std::fs::read(sandbox.path("out.json")).expect("it is written"), of_list.stdout_bytes());
}

#[test]
fn the_architecture_is_chosen() {
    let sandbox = Sandbox::new();
    sandbox.write("entries.h", ENTRIES);
    for (arch, last) in [("i386", "NtB 5/4 @0x2"), ("amd64", "NtB 5/4 @0x3")] {
        let outcome = sandbox.run(&["convert", "entries.h", "--arch", arch, "--to", "list"]).status(0).no_stderr();
        assert_eq!(outcome.stdout().lines().last(), Some(last));
    }
    let outcome =
        sandbox.run_with(&["convert", "-", "--base", "0x1000", "--to", "list"], ENTRIES).status(0).no_stderr();
    assert!(outcome.stdout().contains("#! table win32k base=0x1000\nNtA 2\nNtB 5/4 @0x1002\n"), "{}", outcome.stdout());
}

#[test]
fn counts_come_from_another_file() {
    let sandbox = Sandbox::new();
    sandbox.write("numbers.csv", NUMBERS);
    sandbox.write("counts.lst", "NtB 7\nNtA 3\n");
    let arguments = ["convert", "numbers.csv", "--system", "Windows XP/SP1", "--to", "list"];
    let outcome = sandbox.run(&arguments).status(2).no_stdout();
    assert!(
        outcome.stderr().starts_with("numbers.csv:2:1: error: `NtA` and one other have no argument count [E039]\n")
    );
    let outcome = sandbox.run(&[&arguments[..], &["--counts", "counts.lst"]].concat()).status(0).no_stderr();
    assert!(outcome.stdout().ends_with("\nNtA 3 @0x1\nNtB 7\n"), "{}", outcome.stdout());
    // A list of its own has all counts.
    let outcome = sandbox.run(&["convert", "counts.lst", "--counts", "numbers.csv", "--system", "xp", "--to", "list"]);
    assert!(outcome.status(2).stderr().contains("is it one of these? `Windows XP/SP1`, `Windows XP/SP2`"));
}

#[test]
fn the_format_can_be_named() {
    let sandbox = Sandbox::new();
    // Both a list and a table of numbers.
    let text = "NtA\t1\nNtB\t2\n";
    let list = sandbox.run_with(&["convert", "-", "--to", "list"], text).status(0).no_stderr();
    assert!(list.stdout().ends_with("\nNtA 1\nNtB 2\n"));
    let table = sandbox.run_with(&["convert", "-", "--from", "tsv", "--to", "list"], text).status(2).no_stdout();
    assert!(table.stderr().contains("have no argument count [E039]"));
    let outcome = sandbox.run_with(&["convert", "-", "--from", "json", "--to", "list"], text).status(2).no_stdout();
    assert!(outcome.stderr().starts_with("<stdin>:1:1: error: the file is not JSON: "), "{}", outcome.stderr());
}

#[test]
fn bad_input_writes_nothing() {
    let sandbox = Sandbox::new();
    sandbox.write("bad.h", "    SVC_(A, 1)\n    SVC_(B 2)\n    SVC_(C, x)\n#if\n");
    sandbox.write("out.lst", "old");
    let outcome = sandbox.run(&["convert", "bad.h", "--to", "list", "-o", "out.lst"]).status(2).no_stdout();
    assert_eq!(outcome.stderr().matches("]\n  |\n").count(), 4, "{}", outcome.stderr());
    assert_eq!(std::fs::read_to_string(sandbox.path("out.lst")).expect("it is there"), "old");
    sandbox.write("good.h", "    SVC_(A, 1)\n");
    for arguments in [
        &["convert", "good.h"][..],
        &["convert", "missing.h", "--to", "list"],
        &["convert", "good.h", "--to", "lst"],
        &["convert", "good.h", "--from", "c", "--to", "list"],
        &["convert", "good.h", "-D", "1=2", "--to", "list"],
        &["convert", "good.h", "--base", "0x800", "--to", "list"],
        &["convert", "-", "--counts", "-", "--to", "list"],
        &["convert", "good.h", "--to", "list", "-o", "no/such/directory"],
    ] {
        let outcome = sandbox.run(arguments).status(2).no_stdout();
        assert!(outcome.stderr().contains("error: "), "{arguments:?}: {}", outcome.stderr());
    }
}

/// Counts of one architecture are not those of another.
#[test]
fn a_count_that_is_not_known_is_not_guessed() {
    let sandbox = Sandbox::new();
    sandbox.write("wide.lst", "NtWide 5/4\nNtB 2\n");
    sandbox.run(&["gen", "wide.lst", "--arch", "amd64", "--emit", "json", "-o", "wide.json"]).status(0);
    let gas = ["convert", "wide.json", "--arch", "i386", "--to", "gas"];
    let outcome = sandbox.run(&gas).status(2).no_stdout();
    assert!(outcome.stderr().contains("error: `NtWide` has no argument count for i386"), "{}", outcome.stderr());
    // Without --arch it is what the file is about.
    let own = sandbox.run(&["convert", "wide.json", "--to", "gas"]).status(0);
    assert!(own.stdout().contains("\"NtWide\":") && own.stdout().contains("syscall"), "{}", own.stdout());
    // A list has both, and says where it had only one.
    let list = sandbox.run(&["convert", "wide.json", "--to", "list"]).status(0);
    assert!(
        list.stderr().starts_with("ntgate: warning: there are no counts for i386, as of NtWide"),
        "{}",
        list.stderr()
    );
    // What is missing comes from elsewhere, for a service that has half of it too.
    let with_counts = sandbox.run(&[&gas[..], &["--counts", "wide.lst"]].concat()).status(0);
    assert!(with_counts.stdout().contains("\"_NtWide@20\":"), "{}", with_counts.stdout());
}
