//! `ntgate kd` with scripts.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::Stdio;

use ntgate::ntgate_runtime::debug::Kd;

use super::support::{Outcome, Sandbox};

/// A script of tests/kd on a system.
fn article(script: &str, profile: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/kd").join(script);
    let commands = fs::read_to_string(path).expect("it is there");
    let outcome = Sandbox::new().run_with(&["kd", "--profile", profile], &commands).status(0).no_stderr();
    outcome.stdout().to_owned()
}

/// The lines that an article shows stand in a text, one behind the other.
#[track_caller]
fn shows(text: &str, lines: &[&str]) {
    let mut rest = text;
    for line in lines {
        let at = rest.find(line).unwrap_or_else(|| panic!("{line:?} is not behind what came before in\n{text}"));
        rest = &rest[at + line.len()..];
    }
}

#[test]
fn article_000() {
    let text = article("a000_two_ways.kd", "win7");
    shows(&text, &["77c071c4 cd2e            int     2Eh", "2e:\t84244307 nt!KiSystemService"]);
    shows(
        &text,
        &["mov     edx,offset SharedUserData!SystemCallStub (7ffe0300)", "7ffe0300  77c071b0", "77c071b2 0f34"],
    );
    insta::assert_snapshot!(text);
}

#[test]
fn article_001() {
    insta::assert_snapshot!(article("a001_stubs_and_kernel.kd", "reactos"));
}

#[test]
fn article_002() {
    insta::assert_snapshot!(article("a002_syscall.kd", "win7-x64"));
}

/// The article's session on Server 2003, line by line: eight of each listing, but for the routine that follows, which the
/// guest's ntdll does not have.
#[test]
fn article_003() {
    let text = article("a003_fast_call_entry.kd", "srv2003");
    let lines = [
        "7c95ed50 8bd4            mov     edx,esp\n",
        "7c95ed52 0f34            sysenter\n",
        "7c95ed54 c3              ret\n",
        "7c95ed55 8da42400000000  lea     esp,[esp]\n",
        "7c95ed5c 8d642400        lea     esp,[esp]\n",
        "7c95ed60 8d542408        lea     edx,[esp+8]\n",
        "7c95ed64 cd2e            int     2Eh\n",
        "7c95ed66 c3              ret\n",
    ];
    shows(&text, &lines);
    shows(&text, &[&["kd> u 0x7c95ed54\n"][..], &lines[2..]].concat());
    shows(
        &text,
        &[
            "ntdll!ZwWriteFile:\n",
            "7c957b9d b81c010000      mov     eax,11Ch\n",
            "7c957ba2 ba0003fe7f      mov     edx,offset SharedUserData!SystemCallStub (7ffe0300)\n",
            "7c957ba7 ff12            call    dword ptr [edx]\n",
            "7c957ba9 c22400          ret     24h\n",
        ],
    );
    // Of the structure, what is not each machine's own (docs/articles.md).
    for line in [
        "   +0x000 TickCountLowDeprecated : 0",
        "   +0x004 TickCountMultiplier : 0xa03afb7",
        "   +0x008 InterruptTime    : _KSYSTEM_TIME",
        "   +0x02c ImageNumberLow   : 0x14c",
        "   +0x030 NtSystemRoot     : [260] 0x43",
        "   +0x244 LargePageMinimum : 0x400000",
        "   +0x248 Reserved2        : [7] 0",
        "   +0x264 NtProductType    : 3 ( NtProductServer )",
        "   +0x268 ProductTypeIsValid : 0x1 ''",
        "   +0x26c NtMajorVersion   : 5",
        "   +0x270 NtMinorVersion   : 2",
        "   +0x274 ProcessorFeatures : [64]  \"\"",
        "   +0x2b4 Reserved1        : 0x7ffeffff",
        "   +0x2b8 Reserved3        : 0x80000000",
        "   +0x2c0 AlternativeArchitecture : 0 ( StandardDesign )",
        "   +0x2c8 SystemExpirationDate : _LARGE_INTEGER 0x0",
        "   +0x2d5 NXSupportPolicy  : 0x2 ''",
        "   +0x2e0 ComPlusPackage   : 0xffffffff",
        "   +0x2ec SafeBootMode     : 0 ''",
        "   +0x2f8 TestRetInstruction : 0xc3",
        "   +0x300 SystemCall       : 0x7c95ed50",
        "   +0x304 SystemCallReturn : 0x7c95ed54",
        "   +0x308 SystemCallPad    : [3] 0",
        "   +0x320 TickCount        : _KSYSTEM_TIME",
        "   +0x334 Wow64SharedInformation : [16] 0",
    ] {
        assert!(text.contains(&format!("{line}\n")), "{line}\n{text}");
    }
    insta::assert_snapshot!(text);
}

/// The article's dump, but for the routine's address and with it the gate's bytes.
#[test]
fn article_004() {
    let text = article("a004_interrupt_gate.kd", "win2000");
    let offset = "804652f4";
    let dump = "\
kd> !descriptor IDT 2e
------------------- Interrupt Gate Descriptor --------------------
IDT base = 0x80036400, Index = 0x2e, Descriptor @ 0x80036570
80036570 f4 52 08 00 00 ee 46 80
Segment is present, DPL = 3, System segment, 32-bit descriptor
Target code segment selector = 0x0008 (GDT Index = 1, RPL = 0)
Target code segment offset = 0x804652f4
------------------- Code Segment Descriptor --------------------
GDT base = 0x80036000, Index = 0x01, Descriptor @ 0x80036008
80036008 ff ff 00 00 00 9b cf 00
Segment size is in 4KB pages, 32-bit default operand and data size
Segment is present, DPL = 0, Not system segment, Code segment
Segment is not conforming, Segment is readable, Segment is accessed
Target code segment base address = 0x00000000
Target code segment size = 0x000fffff
";
    assert!(dump.contains(offset) && text.starts_with(dump), "{text}");
    insta::assert_snapshot!(text);
}

#[test]
fn commands_print_the_same_however_they_come() {
    let sandbox = Sandbox::new();
    let script =
        "u ntdll!ZwWriteFile; dd 7ffe0300 l2; u poi(7ffe0300); !idt 2e; rdmsr 176; dt nt!_KUSER_SHARED_DATA ffdf0000";
    let given = sandbox.run(&["kd", "--profile", "srv2003", "-c", script]).status(0).no_stderr();
    let piped = sandbox.run_with(&["kd"], script).status(0).no_stderr();
    let lines = sandbox.run_with(&["kd", "--arch", "i386"], &script.replace("; ", "\n")).status(0).no_stderr();
    assert_eq!(given.stdout(), piped.stdout());
    assert_eq!(given.stdout(), lines.stdout());
    assert_eq!(given.stdout().matches("kd> ").count(), 6);
}

#[test]
fn amd64_is_windows_7() {
    let outcome =
        Sandbox::new().run(&["kd", "--arch", "amd64", "-c", "u ntdll!NtWriteFile l4; q; u"]).status(0).no_stderr();
    insta::assert_snapshot!(outcome.stdout(), @r"
    kd> u ntdll!NtWriteFile l4
    ntdll!ZwWriteFile:
    00000000`77831390 4c8bd1          mov     r10,rcx
    00000000`77831393 b805000000      mov     eax,5
    00000000`77831398 0f05            syscall
    00000000`7783139a c3              ret
    kd> q
    ");
}

#[test]
fn what_cannot_be_understood_is_told_and_the_rest_is_done() {
    let run = |script: &str| Sandbox::new().run(&["kd", "-c", script]);
    let outcome = run("u nosuch; dd 1000 l1; u 7c95ed52 l1").status(2).no_stderr();
    insta::assert_snapshot!(outcome.stdout(), @r"
    kd> u nosuch
          ^ Couldn't resolve 'nosuch' in 'u nosuch'
    kd> dd 1000 l1
    00001000  ????????
    kd> u 7c95ed52 l1
    ntdll!KiFastSystemCall+0x2:
    7c95ed52 0f34            sysenter
    ");
    for (script, message) in [
        ("dd 1 +", "         ^ Numeric expression missing in 'dd 1 +'"),
        ("uu 1", "    ^ Unknown command in 'uu 1'; is it u?"),
        ("!dt x", "    ^ Unknown command in '!dt x'"),
        ("dt nt!_KTHREED", "       ^ Symbol nt!_KTHREED not found in 'dt nt!_KTHREED'; is it nt!_KTHREAD?"),
        ("call NtNone", "         ^ Couldn't resolve 'NtNone': ntdll has no such stub in 'call NtNone'"),
    ] {
        let outcome = run(script).status(2);
        assert!(outcome.stdout().contains(message), "{script}: {}", outcome.stdout());
    }
    // What the target cannot do is no mistake of the script.
    run("u 1000; eb 1000 1; rdmsr 999; g; g").status(0).no_stderr();
    run("").status(0).no_stdout();
}

#[test]
fn usage_is_checked() {
    let run = |arguments: &[&str]| Sandbox::new().run(arguments).status(2).no_stdout();
    assert!(run(&["kd", "--profile", "srv2004"]).stderr().contains("srv2004"));
    assert!(run(&["kd", "--profile", "win7", "--arch", "amd64"]).stderr().contains("amd64"));
    assert!(run(&["kd", "--arch", "arm64"]).stderr().contains("arm64"));
    assert!(run(&["kd", "-"]).stderr().contains("give the commands by -c"));
    let outcome = Sandbox::new().run_with(&["kd"], "u\n\u{0}\nu").status(2);
    assert_eq!(outcome.stdout().matches("kd> u\n").count(), 2, "{}", outcome.stdout());
}

#[test]
fn a_reader_that_has_seen_enough_ends_it() {
    let sandbox = Sandbox::new();
    let mut command = sandbox.command(&["kd", "-c", &"!ssdt;".repeat(2_000)]);
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("it runs");
    let mut line = String::new();
    BufReader::new(child.stdout.take().expect("it is a pipe")).read_line(&mut line).expect("it prints");
    assert_eq!(line, "kd> !ssdt\n");
    Outcome::of(child.wait_with_output().expect("it ends")).status(0).no_stderr();
}

#[test]
fn the_manual_is_what_help_says() {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/kd.md");
    let manual = Kd::manual();
    if fs::read_to_string(&page).is_ok_and(|text| text == manual) {
        return;
    }
    // As insta does it: what is new is written beside it, or over it on request.
    let update = std::env::var("INSTA_UPDATE").is_ok_and(|update| update == "always");
    if update {
        fs::write(&page, &manual).expect("it is written");
    }
    assert!(update, "docs/kd.md is not what the table of commands says; INSTA_UPDATE=always writes it");
}

#[test]
fn the_front_page_shows_what_a_session_prints() {
    let page = include_str!("../../README.md");
    let (_, shown) = page.split_once("$ cargo run --release -- kd -c '").expect("it shows one");
    let (script, shown) = shown.split_once("'\n").expect("it is in quotes");
    let (shown, _) = shown.split_once("```").expect("it ends");
    let outcome = Sandbox::new().run(&["kd", "-c", script]).status(0).no_stderr();
    assert_eq!(outcome.stdout(), shown);
}

#[test]
fn a_list_of_ones_own_is_dispatched() {
    let list = "NtContinue 2\nNtRaiseException 3\nNtCallbackReturn 3\nNtTerminateProcess 2\nNtMine 3\n";
    let sandbox = Sandbox::new();
    sandbox.write("own.lst", list);
    let outcome =
        sandbox.run(&["kd", "own.lst", "-c", "!ssdt NtMine; call NtMine 7; g nt!NtMine; dd esp+4 l3"]).status(0);
    let lines: Vec<&str> = outcome.stdout().lines().collect();
    assert!(lines.iter().any(|line| line.starts_with("    4     3 ") && line.ends_with("nt!NtMine")), "{lines:?}");
    assert!(lines.last().is_some_and(|line| line.ends_with("  00000007 00000000 00000000")), "{lines:?}");
}
