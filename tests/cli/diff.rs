//! `ntgate diff`: two files, a published table, a lock file; text, JSON and SARIF.

use std::fs;

use serde_json::Value;

use crate::convert::svc_header;
use crate::support::Sandbox;

/// A published table as those who publish them lay it out, with the built-in list as one of its systems.
fn published() -> String {
    let list = ntgate::ntgate_gen::read_list("sysfuncs.lst", ntgate::SYSFUNCS).expect("it is right").list;
    let mut table = "System call,Windows XP (SP1),Windows Server 2003 (SP1),Windows Server 2003 (SP2)\r\n".to_owned();
    let mut services: Vec<_> = list.services().collect();
    services.sort_by_key(|service| service.name().nt());
    for service in services {
        // The last two of the list are ReactOS's own; Windows XP is without one of the others.
        let number = service.number();
        let cell = |number: u32| if number >= 0x128 { String::new() } else { format!("{number:#06x}") };
        let xp = match number {
            0x20 => String::new(),
            0x21..0x128 => cell(number - 1),
            _ => cell(number),
        };
        table.push_str(&format!("{},{xp},{},{}\r\n", service.name(), cell(number), cell(number)));
    }
    table
}

#[test]
fn a_converted_header_is_the_list() {
    let sandbox = Sandbox::new();
    sandbox.write("svc.h", &svc_header());
    sandbox.write_bytes("sysfuncs.lst", ntgate::SYSFUNCS);
    let converted = sandbox.run(&["convert", "svc.h", "-D", "SYSFUNCS_NT5_ONLY", "--to", "list"]).status(0);
    let same = sandbox.run_with(&["diff", "sysfuncs.lst", "-"], converted.stdout()).status(0).no_stderr();
    assert_eq!(same.stdout(), "sysfuncs.lst -> <stdin>: nothing moved, 298 services\n");
    // The header itself is a side too.
    let other = sandbox.run(&["diff", "sysfuncs.lst", "svc.h"]).status(1).no_stderr();
    assert_eq!(
        other.stdout(),
        "sysfuncs.lst -> svc.h: 1 added; 298 in both\nadded       NtGetCurrentProcessorNumberEx 0x12a, 1 argument\n"
    );
}

#[test]
fn a_list_is_compared_with_a_published_table() {
    let sandbox = Sandbox::new();
    sandbox.write("nt.csv", &published());
    let against = ["diff", "--against", "nt.csv", "--system"];
    let outcome = sandbox.run(&[&against[..], &["Windows Server 2003/SP2"]].concat()).status(1).no_stderr();
    assert_eq!(
        outcome.stdout(),
        "nt.csv -> sysfuncs.lst: 2 added; 296 in both\nadded       NtInitializeNlsFiles 0x128, 4 arguments\n\
         added       NtGetNlsSectionPtr 0x129, 5 arguments\nnote: nt.csv has no argument counts: they are not compared\n"
    );
    let outcome = sandbox.run(&[&against[..], &["windows xp (sp1)"]].concat()).status(1).no_stderr();
    let moved =
        "renumbered  NtConnectPort .. NtWaitForMultipleObjects32 0x20..0x126 -> 0x21..0x127, 263 services, each +1";
    assert!(outcome.stdout().contains("3 added, 263 renumbered; 295 in both"), "{}", outcome.stdout());
    assert!(outcome.stdout().contains(moved), "{}", outcome.stdout());

    let outcome = sandbox.run(&[&against[..], &["2003 SP2"]].concat()).status(2).no_stdout();
    assert!(outcome.stderr().contains("is it one of these? `Windows Server 2003/SP2`\n"), "{}", outcome.stderr());
    let outcome = sandbox.run(&against[..3]).status(2).no_stdout();
    let all = "there are: Windows XP/SP1; Windows Server 2003/SP1, SP2\n";
    assert!(outcome.stderr().ends_with(all), "{}", outcome.stderr());
    // Two systems of one table.
    let two =
        ["diff", "nt.csv", "nt.csv", "--system", "Windows Server 2003/SP1", "--system", "Windows Server 2003/SP2"];
    sandbox.run(&two).status(0).no_stderr();
}

#[test]
fn a_table_is_compared_with_its_own_kind() {
    let sandbox = Sandbox::new();
    sandbox.write("win32k.csv", "System call,X\r\nNtGdiAbortDoc,0x1000\r\nNtGdiAbortPath,0x1001\r\n");
    sandbox.write("win32k.h", "    SVC_(GdiAbortDoc, 1)\n    SVC_(GdiAbortPath, 1)\n");
    sandbox.write("both.lst", "NtA 1\n#! table win32k base=0x1000\nNtGdiAbortDoc 1\nNtGdiAbortPath 1\n");
    let outcome = sandbox.run(&["diff", "win32k.h", "--against", "win32k.csv"]).status(2).no_stdout();
    assert!(outcome.stderr().contains("if it is one of them, give --base 0x1000"), "{}", outcome.stderr());
    sandbox.run(&["diff", "win32k.h", "--against", "win32k.csv", "--base", "0x1000"]).status(0).no_stderr();
    let outcome = sandbox.run(&["diff", "both.lst", "--against", "win32k.csv"]).status(0).no_stderr();
    assert!(outcome.stdout().ends_with("note: left out, in tables that win32k.csv does not have: 1\n"));
}

#[test]
fn a_lock_file_guards_a_numbering() {
    let sandbox = Sandbox::new();
    sandbox.write("one.lst", "NtA 1\nNtB 5/4\n");
    let outcome = sandbox.run(&["diff", "--lock", "sysfuncs.lock", "one.lst"]).status(2).no_stdout();
    assert_eq!(outcome.stderr(), "ntgate: error: sysfuncs.lock is not there; --update writes it\n");
    sandbox.run(&["diff", "--lock", "sysfuncs.lock", "--update", "one.lst"]).status(0).no_stdout().no_stderr();
    let lock = fs::read_to_string(sandbox.path("sysfuncs.lock")).expect("it is written");
    assert!(lock.starts_with("# ntgate lock 1\n") && lock.ends_with("\n0x0000 NtA 1\n0x0001 NtB 5/4\n"), "{lock}");
    sandbox.run(&["diff", "--lock", "sysfuncs.lock", "one.lst"]).status(0).no_stderr();

    sandbox.write("two.lst", "NtB 5/3\nNtA 1\n");
    let outcome = sandbox.run(&["diff", "--lock", "sysfuncs.lock", "two.lst"]).status(1).no_stderr();
    assert_eq!(
        outcome.stdout(),
        "sysfuncs.lock -> two.lst: 2 renumbered, 1 with another argument count; 2 in both\n\
         renumbered  NtB 0x1 -> 0x0\nrenumbered  NtA 0x0 -> 0x1\ncount       NtB 4 arguments -> 3 on amd64\n"
    );
    // Only i386 is asked for.
    let outcome = sandbox.run(&["diff", "--lock", "sysfuncs.lock", "two.lst", "--arch", "i386"]).status(1);
    assert!(!outcome.stdout().contains("count"));
    // A list with mistakes leaves the lock as it was.
    sandbox.write("bad.lst", "NtA\n");
    sandbox.run(&["diff", "--lock", "sysfuncs.lock", "--update", "bad.lst"]).status(2).no_stdout();
    assert_eq!(fs::read_to_string(sandbox.path("sysfuncs.lock")).expect("it is there"), lock);
    // What is no lock is neither written nor read as one.
    let outcome = sandbox.run(&["diff", "--lock", "one.lst", "--update", "one.lst"]).status(2).no_stdout();
    assert!(outcome.stderr().contains("one.lst is not a lock file and is left as it is"), "{}", outcome.stderr());
    assert_eq!(fs::read_to_string(sandbox.path("one.lst")).expect("it is there"), "NtA 1\nNtB 5/4\n");
    let outcome = sandbox.run(&["diff", "--lock", "one.lst"]).status(2).no_stdout();
    assert!(outcome.stderr().contains("[E040]"), "{}", outcome.stderr());
    // Without a list it is the built-in one.
    sandbox.run(&["diff", "--lock", "sysfuncs.lock", "--update"]).status(0);
    sandbox.run(&["diff", "--lock", "sysfuncs.lock"]).status(0).no_stderr();
}

/// A lock that cannot be read is not compared with; --update mends it, unless it could be a later ntgate's.
#[test]
fn a_damaged_lock_is_mended_and_a_newer_one_is_kept() {
    let sandbox = Sandbox::new();
    sandbox.write("one.lst", "NtA 1\n");
    let compare = ["diff", "--lock", "x.lock", "one.lst"];
    let update = ["diff", "--lock", "x.lock", "one.lst", "--update"];
    sandbox.run(&update).status(0).no_stderr();
    let good = fs::read_to_string(sandbox.path("x.lock")).expect("it is written");
    let merged = format!("<<<<<<< ours\n{good}=======\n{good}>>>>>>> theirs\n");
    for damaged in [good.replace("NtA 1", "NtA"), merged, good.replace("lock 1", "lock x")] {
        sandbox.write("x.lock", &damaged);
        let outcome = sandbox.run(&compare).status(2).no_stdout();
        assert!(outcome.stderr().contains("--update writes the file anew"), "{}", outcome.stderr());
        let outcome = sandbox.run(&update).status(0).no_stdout();
        assert!(outcome.stderr().starts_with("x.lock:"), "{}", outcome.stderr());
        let note = "\nntgate: note: x.lock had mistakes, and has been written anew\n";
        assert!(outcome.stderr().ends_with(note), "{}", outcome.stderr());
        assert_eq!(fs::read_to_string(sandbox.path("x.lock")).expect("it is there"), good);
    }
    // A mistake of the list does not cost what is left of the lock.
    sandbox.write("x.lock", &good.replace("NtA 1", "NtA"));
    sandbox.write("bad.lst", "NtA\n");
    sandbox.run(&["diff", "--lock", "x.lock", "bad.lst", "--update"]).status(2);
    assert_eq!(fs::read_to_string(sandbox.path("x.lock")).expect("it is there"), good.replace("NtA 1", "NtA"));

    let newer = "# ntgate lock 2\n0x0000 NtA 1 stdcall\n";
    sandbox.write("x.lock", newer);
    for arguments in [&compare[..], &update] {
        let outcome = sandbox.run(arguments).status(2).no_stdout();
        let told = "x.lock:1:1: error: the lock file has version 2, and this ntgate knows none after 1 [E040]\n";
        assert!(outcome.stderr().starts_with(told), "{}", outcome.stderr());
        assert_eq!(outcome.stderr().matches("error: ").count(), 1, "{}", outcome.stderr());
        assert_eq!(fs::read_to_string(sandbox.path("x.lock")).expect("it stays"), newer);
    }
    // What is no file has nothing to lose, and is not read.
    #[cfg(unix)]
    sandbox.run(&["diff", "--lock", "/dev/null", "one.lst", "--update"]).status(0).no_stderr();
    let shown = sandbox.run(&["diff", "--lock", "-", "one.lst", "--update"]).status(0).no_stderr();
    assert_eq!(shown.stdout(), good);
}

#[test]
fn a_system_that_may_be_two_is_not_chosen() {
    let sandbox = Sandbox::new();
    sandbox.write("list.lst", "NtA 1\n");
    sandbox.write("two.csv", "System call,Windows XP (SP1),windows xp (sp1)\nNtA,0x0000,0x0007\n");
    let against = ["diff", "list.lst", "--against", "two.csv", "--system"];
    let outcome = sandbox.run(&[&against[..], &["WINDOWS XP/SP1"]].concat()).status(2).no_stdout();
    let told = "two.csv:1:13: error: `WINDOWS XP/SP1` may be 2 systems of the file [E041]\n";
    assert!(outcome.stderr().starts_with(told), "{}", outcome.stderr());
    let help = "name one as it stands there: `Windows XP/SP1`, `windows xp/sp1`\n";
    assert!(outcome.stderr().ends_with(help), "{}", outcome.stderr());
    for (system, status) in [("Windows XP/SP1", 0), ("windows xp/sp1", 1)] {
        sandbox.run(&[&against[..], &[system]].concat()).status(status).no_stderr();
    }
    sandbox.write("twice.json", "{\"XP\": {\"SP1\": {\"NtA\": 0}}, \"XP\": {\"SP1\": {\"NtA\": 1}}}");
    let outcome = sandbox.run(&["diff", "list.lst", "--against", "twice.json", "--system", "XP/SP1"]).status(2);
    assert!(outcome.stderr().contains("error: the file has the system `XP/SP1` 2 times"), "{}", outcome.stderr());
}

/// Nobody is left to think that a system was compared with when there was none to choose.
#[test]
fn a_system_is_for_files_that_have_some() {
    let sandbox = Sandbox::new();
    sandbox.write("list.lst", "NtA 1\n");
    sandbox.write("x.h", "SVC_(A, 1)\n");
    sandbox.write("one.csv", "System call,X (1)\nNtA,0x0000\n");
    for (arguments, formats) in [
        (&["diff", "list.lst", "--against", "list.lst", "--system", "X/1"][..], "list"),
        (&["diff", "one.csv", "list.lst", "--system", "X/1", "--system", "X/1"], "list"),
        (&["diff", "x.h", "list.lst", "--system", "X/1"], "svc, list"),
        (&["diff", "list.lst", "--lock", "x.lock", "--update", "--system", "X/1"], "list"),
        (&["convert", "list.lst", "--system", "X/1", "--to", "gas"], "list"),
    ] {
        let outcome = sandbox.run(arguments).status(2).no_stdout();
        let told = format!("error: the argument '--system <SYSTEM>' cannot be used with a file of format {formats}\n");
        assert!(outcome.stderr().starts_with(&told), "{}", outcome.stderr());
        assert!(!sandbox.path("x.lock").exists());
    }
    for arguments in [
        &["diff", "list.lst", "--against", "one.csv", "--system", "X/1"][..],
        &["diff", "list.lst", "one.csv", "--system", "X/1"],
        &["convert", "one.csv", "--counts", "list.lst", "--system", "X/1", "--to", "list"],
        &["convert", "list.lst", "--counts", "one.csv", "--system", "X/1", "--to", "list"],
    ] {
        sandbox.run(arguments).status(0).no_stderr();
    }
}

/// The built-in list has the name of a file, and is none; nor is standard input.
#[test]
fn sarif_points_at_files_alone() {
    let sandbox = Sandbox::new();
    sandbox.write("other.lst", "NtNothing 0\n");
    let results = |arguments: &[&str], input: &str| {
        let outcome = sandbox.run_with(arguments, input).status(1).no_stderr();
        let sarif: Value = serde_json::from_str(outcome.stdout()).expect("it is JSON");
        let results = sarif["runs"][0]["results"].as_array().expect("there are results").clone();
        results.into_iter().map(|result| (result["ruleId"].clone(), result["locations"][0].is_object()))
    };
    sandbox.run(&["diff", "--lock", "x.lock", "other.lst", "--update"]).status(0);
    for (rule, is_place) in results(&["diff", "--lock", "x.lock", "--sarif"], "") {
        assert_eq!(is_place, rule == "service-removed", "{rule}: only the lock is a file");
    }
    for (rule, is_place) in results(&["diff", "-", "other.lst", "--sarif"], "NtA 1\n") {
        assert_eq!(is_place, rule == "service-added", "{rule}: only the list is a file");
    }
    // A file of that name is one.
    sandbox.write("sysfuncs.lst", "NtA 1\n");
    assert!(results(&["diff", "sysfuncs.lst", "other.lst", "--sarif"], "").all(|(_, is_place)| is_place));
    let left_out = ["diff", "-", "--against", "x.csv", "--sarif"];
    sandbox.write("x.csv", "name,X (1)\nNtB,0x0000\n");
    let list = "NtA 1\n#! table win32k base=0x1000\nNtC 1\n";
    assert!(results(&left_out, list).all(|(rule, is_place)| is_place == (rule == "service-removed")));
}

#[test]
fn programs_get_json_and_sarif() {
    let sandbox = Sandbox::new();
    sandbox.write("old.lst", "NtA 1\nNtB 2\nNtC 3\n");
    sandbox.write("new.lst", "NtA 1\nNtC 4\nNtD 0\n");
    let outcome = sandbox.run(&["diff", "old.lst", "new.lst", "--json"]).status(1).no_stderr();
    let json: Value = serde_json::from_str(outcome.stdout()).expect("it is JSON");
    assert_eq!((&json["version"], &json["same"], &json["compatible"]), (&1.into(), &false.into(), &false.into()));
    assert_eq!(json["added"][0]["name"], "NtD");
    assert_eq!(json["removed"][0]["name"], "NtB");
    assert_eq!((&json["renumbered"][0]["old"], &json["renumbered"][0]["new"]), (&2.into(), &1.into()));
    assert_eq!((&json["counts"][0]["old"], &json["counts"][0]["new"]), (&3.into(), &4.into()));

    let outcome = sandbox.run(&["diff", "old.lst", "new.lst", "--sarif"]).status(1).no_stderr();
    let sarif: Value = serde_json::from_str(outcome.stdout()).expect("it is JSON");
    let results = sarif["runs"][0]["results"].as_array().expect("there are results");
    let rules: Vec<_> = results.iter().map(|result| result["ruleId"].as_str().unwrap_or_default()).collect();
    assert_eq!(rules, ["service-removed", "service-added", "service-renumbered", "argument-count"]);
    let place = &results[3]["locations"][0]["physicalLocation"];
    assert_eq!((&place["artifactLocation"]["uri"], &place["region"]["startLine"]), (&"new.lst".into(), &2.into()));
    // Where nothing moved there is nothing to tell, in the same form.
    let outcome = sandbox.run(&["diff", "old.lst", "old.lst", "--sarif"]).status(0).no_stderr();
    let sarif: Value = serde_json::from_str(outcome.stdout()).expect("it is JSON");
    assert_eq!(sarif["runs"][0]["results"].as_array().map(Vec::len), Some(0));
}

#[test]
fn what_does_not_go_together_is_refused() {
    let sandbox = Sandbox::new();
    sandbox.write("a.lst", "NtA 1\n");
    for arguments in [
        &["diff"][..],
        &["diff", "a.lst"],
        &["diff", "a.lst", "a.lst", "a.lst"],
        &["diff", "a.lst", "a.lst", "--against", "a.lst"],
        &["diff", "a.lst", "--against", "a.lst", "--lock", "a.lock"],
        &["diff", "a.lst", "a.lst", "--update"],
        &["diff", "a.lst", "a.lst", "--json", "--sarif"],
        &["diff", "-", "-"],
        &["diff", "-", "--against", "-"],
        &["diff", "a.lst", "missing.lst"],
        &["diff", "a.lst", "a.lst", "--system", "a", "--system", "b", "--system", "c"],
        &["diff", "--lock", "no/such/directory.lock", "--update"],
    ] {
        let outcome = sandbox.run(arguments).status(2).no_stdout();
        assert!(outcome.stderr().contains("error: "), "{arguments:?}: {}", outcome.stderr());
    }
    // What clap does not see is told in its way.
    for (arguments, told) in [
        (&["diff"][..], "neither of the two files OLD and NEW given\n\n  tip: --against TABLE and --lock LOCK take "),
        (&["diff", "a.lst"], "one of the two files OLD and NEW given\n"),
        (&["diff", "a", "b", "--lock", "c"], "the argument '--lock <LOCK>' cannot be used with OLD and NEW\n"),
        (&["diff", "a", "b", "--against", "c"], "the argument '--against <TABLE>' cannot be used with OLD and NEW\n"),
        (&["diff", "-", "-"], "standard input cannot be both sides\n\n  tip: name a file for one of them\n"),
        (
            &["diff", "a", "b", "--from", "csv", "--from", "csv", "--from", "csv"],
            "the argument '--from <FORMAT>' cannot be used more than twice\n\n  tip: the first is for OLD",
        ),
    ] {
        let outcome = sandbox.run(arguments).status(2).no_stdout();
        assert!(outcome.stderr().starts_with(&format!("error: {told}")), "{}", outcome.stderr());
        let tail = "\n\nUsage: ntgate diff [OPTIONS] [FILE]...\n\nFor more information, try '--help'.\n";
        assert!(outcome.stderr().ends_with(tail), "{}", outcome.stderr());
    }
}
