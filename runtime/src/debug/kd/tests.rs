//! Commands and what they print.

use ntgate_gen::read_list;

use super::*;
use crate::debug::program;
use crate::nt::lists::list_of;

fn kd(profile: &str) -> Kd {
    // ReactOS's list is the program's own.
    let own = read_list("sysfuncs.lst", include_bytes!("../../../../sysfuncs.lst")).expect("it is right");
    let list = list_of(profile).is_none().then_some(&own.list);
    Kd::new(Target::boot(program::usual(Some(profile), list)).expect("the system boots"))
}

/// What a line prints.
fn run(kd: &mut Kd, line: &str) -> String {
    let mut out = String::new();
    kd.execute(line, &mut out);
    out
}

/// What a line prints that cannot be understood.
fn refused(kd: &mut Kd, line: &str) -> String {
    let mut out = String::new();
    assert_eq!(kd.execute(line, &mut out), Outcome::Refused, "{line}: {out}");
    out
}

fn value(kd: &mut Kd, expression: &str) -> String {
    let text = run(kd, &format!("? {expression}"));
    let value = text.trim_end().rsplit(" = ").next().unwrap_or_default();
    value.to_owned()
}

#[test]
fn expressions_are_masms() {
    let mut kd = kd("srv2003");
    for (expression, expected) in [
        ("10", "00000010"),
        ("0n10", "0000000a"),
        ("0t17", "0000000f"),
        ("0y101", "00000005"),
        ("0x", "00000000"),
        ("4ab3h", "00004ab3"),
        ("1 + 2 * 3", "00000009"),
        ("1 + (2 * 3)", "00000007"),
        ("-1", "ffffffff"),
        ("7 - 1 - 2", "00000004"),
        ("7 mod 4", "00000003"),
        ("1 << 4 | 1", "00000011"),
        ("1 shl 0n31 shr 4", "08000000"),
        ("1 << 40", "00000000"),
        ("3 & 6 ^ 1", "00000003"),
        ("3 and 6 xor 1 or 8", "0000000b"),
        ("1 < 2", "00000001"),
        ("2 <= 1", "00000000"),
        ("1 == 1", "00000001"),
        ("1 != 1", "00000000"),
        ("not 0", "00000001"),
        ("hi 12345678", "00001234"),
        ("low 12345678", "00005678"),
        ("poi(7ffe0300)", "7c95ed50"),
        ("poi 7ffe0300 + 2", "7c95ed52"),
        ("by(7ffe0300)", "00000050"),
        ("wo(7ffe0300)", "0000ed50"),
        ("dwo(7ffe0304)", "7c95ed54"),
        ("qwo(7ffe0300)", "7c95ed54`7c95ed50"),
        ("fffff780`00000000", "fffff780`00000000"),
        ("ntdll!KiFastSystemCall + 4", "7c95ed54"),
        ("NTDLL!kifastsystemcall", "7c95ed50"),
        ("KiFastSystemCall", "7c95ed50"),
        ("@eip", "00401000"),
        ("esp", "00130000"),
        (".", "00401000"),
        ("@cs", "0000001b"),
        ("if", "00000001"),
    ] {
        assert_eq!(value(&mut kd, expression), expected, "{expression}");
    }
}

#[test]
fn mistakes_have_a_caret_under_their_place() {
    let mut kd = kd("srv2003");
    for (line, expected) in [
        ("? 1 +", "         ^ Numeric expression missing in '? 1 +'\n"),
        ("? (1", "        ^ Missing ) in '? (1'\n"),
        ("? 1 / 0", "        ^ Divide by zero error in '? 1 / 0'\n"),
        ("? @eay", "      ^ Bad register '@eay' in '? @eay'\n"),
        (
            "? 1ffffffffffffffff",
            "      ^ Overflow error: '1ffffffffffffffff' has more than 64 bits in '? 1ffffffffffffffff'\n",
        ),
        ("? poi(1000)", "      ^ Memory access error at 00001000 in '? poi(1000)'\n"),
        ("? ;", "      ^ Numeric expression missing in '?'\n"),
        ("dd 1 l2 3", "            ^ Extra character error in 'dd 1 l2 3'\n"),
        ("dd 20 10", "          ^ Range error: the end is before the start in 'dd 20 10'\n"),
        (
            "u ntdll!KiFastSystemCal",
            "      ^ Couldn't resolve 'ntdll!KiFastSystemCal' in 'u ntdll!KiFastSystemCal'; is it ntdll!KiFastSystemCall?\n",
        ),
        ("!descriptr IDT 2e", "    ^ Unknown command in '!descriptr IDT 2e'; is it !descriptor?\n"),
        (
            "dt nt!_KTRAP_FRAM",
            "       ^ Symbol nt!_KTRAP_FRAM not found in 'dt nt!_KTRAP_FRAM'; is it nt!_KTRAP_FRAME?\n",
        ),
        ("r cs=8", "      ^ 'cs' can be read only in 'r cs=8'\n"),
        ("ba w4 1002", "          ^ Data breakpoint must be aligned: 4 bytes at a multiple of 4 in 'ba w4 1002'\n"),
        ("bc 7", "       ^ There is no breakpoint 7 in 'bc 7'\n"),
        (
            "dt nt!_TEB 7ffdf000 StackBaze",
            "                        ^ nt!_TEB has no field StackBaze in 'dt nt!_TEB 7ffdf000 StackBaze'; is it StackBase?\n",
        ),
        ("u lstrcpy", "      ^ Couldn't resolve 'lstrcpy' in 'u lstrcpy'\n"),
        ("u . lnosuch", "        ^ Couldn't resolve 'lnosuch' in 'u . lnosuch'\n"),
        (
            "!descriptor GDT 1fffffffffffffff",
            "                    ^ The GDT has no descriptor 1fffffffffffffff in '!descriptor GDT 1fffffffffffffff'\n",
        ),
    ] {
        assert_eq!(refused(&mut kd, line), expected);
    }
    let deep = format!("? {}1", "(".repeat(100));
    assert!(refused(&mut kd, &deep).contains("nested too deep"));
    assert!(refused(&mut kd, &format!("? {}1", "-".repeat(100))).contains("nested too deep"));
    // The second of two is meant, and the first is done.
    assert_eq!(
        refused(&mut kd, "? 1; ? x!"),
        "Evaluate expression: 1 = 00000001\n           ^ Couldn't resolve 'x!' in '? x!'\n"
    );
}

#[test]
fn nothing_that_is_typed_makes_it_panic() {
    let mut kd = kd("srv2003");
    let words = [
        "",
        "-1",
        "ffffffffffffffff",
        "l-1",
        "0 l0",
        "ffffffff l10",
        "é",
        "\"",
        "*",
        "@",
        "!",
        "`",
        "7ffe0fff l4",
        "poi(",
    ];
    for name in help::names().filter(|name| *name != "q") {
        for word in words {
            // `g` and its like end with the program.
            run(&mut kd, &format!("{name} {word}"));
            run(&mut kd, &format!("{name}{word}"));
        }
    }
    // A caret far to the right, and a line that says little.
    let long = format!("? {}", "1+".repeat(40_000));
    assert!(refused(&mut kd, &long).trim_start().starts_with("^ Numeric expression missing"));
    assert_eq!(run(&mut kd, &format!("{}? 1;", " ".repeat(400_000))), "Evaluate expression: 1 = 00000001\n");
    for line in ["", ";;;", "   ", "*; q", "$$ q", "$$; ?", "é", "?", "!", ".", "$$", "\0", "u \"; q"] {
        assert_ne!(kd.execute(line, &mut String::new()), Outcome::Quit, "{line}");
    }
}

#[test]
fn memory_that_is_not_there_is_question_marks() {
    let mut kd = kd("srv2003");
    assert_eq!(run(&mut kd, "dd 1000 l2"), "00001000  ???????? ????????\n");
    assert_eq!(run(&mut kd, "db 1000 l2"), "00001000  ?? ??                                            ??\n");
    assert_eq!(run(&mut kd, "da 1000"), "00001000  \"?\"\n");
    assert_eq!(run(&mut kd, "u 1000"), "00001000 ??              ???\nMemory access error at 00001000 in 'u 1000'\n");
    assert_eq!(run(&mut kd, "eb 1000 1"), "Memory access error at 00001000 in 'eb 1000 1'\n");
    assert_eq!(
        run(&mut kd, "dt nt!_LIST_ENTRY 1000"),
        "   +0x000 Flink            : ??\n   +0x004 Blink            : ??\n"
    );
}

#[test]
fn tables_that_the_guest_has_lost_are_told_as_far_as_they_go() {
    let mut kd = kd("win7-x64");
    run(&mut kd, "eq nt!KeServiceDescriptorTable ffffffffffffffff; ed nt!KeServiceDescriptorTable+10 ffffffff");
    let lines: Vec<String> = run(&mut kd, "!ssdt").lines().map(str::to_owned).collect();
    assert_eq!(lines.len(), 2 + 0x1000, "{lines:?}");
    assert_eq!(lines[2..].iter().filter(|line| line.ends_with("??? ????????")).count(), 0x1000);
    assert_eq!(run(&mut kd, "!ssdt fff").lines().last(), Some("  fff   ??? ????????"));
    assert!(refused(&mut kd, "!ssdt NtClose").contains("No table has a service NtClose"));
}

#[test]
fn memory_is_shown_in_every_form() {
    let mut kd = kd("srv2003");
    for (line, expected) in [
        ("db 7ffe0300 l9", "7ffe0300  50 ed 95 7c 54 ed 95 7c-00                       P..|T..|.\n"),
        ("dw 7ffe0300 l3", "7ffe0300  ed50 7c95 ed54\n"),
        ("dd 7ffe0300 l2", "7ffe0300  7c95ed50 7c95ed54\n"),
        ("dd 7ffe0300 7ffe0304", "7ffe0300  7c95ed50 7c95ed54\n"),
        ("dc 7ffe0030 l1", "7ffe0030  003a0043                             C.:.\n"),
        ("dq 7ffe0300 l1", "7ffe0300  7c95ed54`7c95ed50\n"),
        ("dp 7ffe0300 l1", "7ffe0300  7c95ed50\n"),
        (
            "dps 7ffe0300 l2",
            "7ffe0300  7c95ed50 ntdll!KiFastSystemCall\n7ffe0304  7c95ed54 ntdll!KiFastSystemCallRet\n",
        ),
        ("du 7ffe0030", "7ffe0030  \"C:\\WINDOWS\"\n"),
        ("d 7ffe0300 l1", "7ffe0300  7c95ed50 ntdll!KiFastSystemCall\n"),
    ] {
        assert_eq!(run(&mut kd, line), expected, "{line}");
    }
    // It goes on where it ended.
    run(&mut kd, "dd 7ffe0300 l1");
    assert_eq!(run(&mut kd, "d l1"), "7ffe0304  7c95ed54\n");
    // A symbol that begins with l is no count.
    assert!(run(&mut kd, "dd 7ffe0300 l 1").starts_with("7ffe0300  7c95ed50\n"));
}

#[test]
fn what_is_edited_is_there_and_the_way_back_ends() {
    let mut kd = kd("srv2003");
    assert_eq!(
        run(&mut kd, "t; ed esp-10 1 0n2 ffffffff; dd esp-10 l3").lines().last(),
        Some("0012ffec  00000001 00000002 ffffffff")
    );
    assert!(run(&mut kd, "t-").starts_with("The session begins here"));
    assert_eq!(run(&mut kd, "eza esp-10 \"a; b\"; da esp-10"), "0012ffec  \"a; b\"\n");
    assert_eq!(run(&mut kd, "ezu esp-10 \"ü\"; du esp-10"), "0012ffec  \"ü\"\n");
    assert!(refused(&mut kd, "eb esp 100").contains("Overflow error: 100 has more than 1 bytes"));
    assert!(refused(&mut kd, "eb esp").contains("Values expected"));
    assert_eq!(
        run(&mut kd, "r ax=1234; r al=5; r zf=1; r eax, ax, ah, al, zf, cs"),
        "eax=00001205 ax=1205 ah=12 al=05 zf=1 cs=001b\n"
    );
    assert_eq!(run(&mut kd, "r eip=7c95ed50; u l1").lines().last(), Some("7c95ed50 8bd4            mov     edx,esp"));
    assert_eq!(run(&mut kd, "wrmsr 176 1234; rdmsr 176"), "msr[176] = 00000000`00001234\n");
    assert_eq!(run(&mut kd, "rdmsr 999"), "no such msr: this processor has no 999\n");
}

#[test]
fn breakpoints_have_numbers() {
    let mut kd = kd("srv2003");
    assert_eq!(run(&mut kd, "bp nt!KiFastCallEntry; bp nt!NtClose; ba w4 nt!KiInitialThread+110"), "");
    assert_eq!(run(&mut kd, "bp nt!NtClose"), "breakpoint 1 redefined\n");
    let list = run(&mut kd, "bd 0; bl");
    let lines: Vec<&str> = list.lines().collect();
    assert_eq!(lines.len(), 3, "{list}");
    assert!(lines[0].starts_with(" 0 d ") && lines[0].ends_with("nt!KiFastCallEntry"), "{list}");
    assert!(lines[2].ends_with("w 4 nt!KiInitialThread+0x110"), "{list}");
    assert!(run(&mut kd, "g").starts_with("Breakpoint 2 hit\nnt!KiFastCallEntryCommon"));
    assert!(run(&mut kd, "bc 2; g").starts_with("Breakpoint 1 hit\nnt!NtClose:\n"));
    assert!(run(&mut kd, "be 0; g").starts_with("Breakpoint 0 hit\nnt!KiFastCallEntry:\n"));
    assert!(run(&mut kd, "g-").starts_with("Breakpoint 1 hit\n"));
    assert_eq!(run(&mut kd, "bc *; bl"), "");
    assert!(run(&mut kd, "g ntdll!KiFastSystemCallRet").starts_with("ntdll!KiFastSystemCallRet:\n"));
    assert!(run(&mut kd, "g").ends_with("The program ended with STATUS_SUCCESS\n"));
    assert!(run(&mut kd, "g").starts_with("No runnable debuggees error in 'g'"));
    assert!(run(&mut kd, "t-; g").ends_with("The program ended with STATUS_SUCCESS\n"));
}

#[test]
fn steps_go_into_calls_over_them_and_back() {
    for (profile, entry) in
        [("srv2003", "nt!KiFastCallEntry:\n"), ("nt4", "nt!KiSystemService:\n"), ("win7-x64", "nt!KiSystemCall64:\n")]
    {
        let mut kd = kd(profile);
        let start = run(&mut kd, "r");
        run(&mut kd, "pc");
        let call = run(&mut kd, "r");
        // Over the whole call, and back over it.
        run(&mut kd, "p; p-");
        assert_eq!(run(&mut kd, "r"), call, "{profile}");
        run(&mut kd, "p");
        let behind = value(&mut kd, ".");
        run(&mut kd, "t-; bp nt!KiSystemService; bc *");
        let back = run(&mut kd, "g-");
        assert!(back.starts_with("The session begins here"), "{back}");
        assert_eq!(run(&mut kd, "r"), start, "{profile}");
        // Into it, and out again.
        run(&mut kd, "pc");
        assert_eq!(run(&mut kd, "r"), call, "{profile}");
        let mut text = String::new();
        for _ in 0..10 {
            text = run(&mut kd, "t");
            if text.starts_with("nt!") {
                break;
            }
        }
        assert!(text.starts_with(entry), "{profile}: {text}");
        let out = run(&mut kd, "gu");
        assert!(out.contains("ntdll!"), "{profile}: {out}");
        while !value(&mut kd, ".").eq(&behind) {
            run(&mut kd, "gu");
        }
    }
}

#[test]
fn an_interrupt_stops_what_runs() {
    let mut kd = kd("srv2003");
    let flag = kd.interrupt();
    run(&mut kd, "eb . eb fe");
    // The flag is cleared when a command begins: it is set while the command runs.
    let stopper = std::thread::spawn(move || {
        for _ in 0..600 {
            std::thread::sleep(std::time::Duration::from_millis(10));
            flag.store(true, Ordering::Relaxed);
        }
    });
    assert_eq!(
        run(&mut kd, "g"),
        "Interrupted\nprogram!Start:\n00401000 ebfe            jmp     program!Start (00401000)\n"
    );
    assert!(run(&mut kd, "gu").starts_with("Interrupted\n"));
    drop(stopper);
}

#[test]
fn the_stack_leads_into_ring_3_on_every_system() {
    for profile in crate::host::profiles() {
        let mut kd = kd(profile);
        run(&mut kd, "g nt!NtClose");
        let text = run(&mut kd, "k");
        let sites: Vec<&str> = text.lines().skip(1).filter_map(|line| line.split_whitespace().nth(2)).collect();
        assert_eq!(sites.first(), Some(&"nt!NtClose"), "{profile}\n{text}");
        assert!(text.lines().nth(2).is_some_and(|line| line.contains("(TrapFrame @ ")), "{profile}\n{text}");
        let stub =
            sites.iter().position(|site| site.starts_with("ntdll!ZwClose+") || site.starts_with("ntdll!NtClose+"));
        let program = sites.iter().position(|site| site.starts_with("program!Start+"));
        assert!(stub.is_some() && program > stub && sites.len() <= 5, "{profile}\n{text}");
        // The frame's registers are ring 3's.
        let trap = run(&mut kd, ".trap; !trap");
        assert!(trap.contains("KTRAP_FRAME at "), "{profile}\n{trap}");
    }
}

#[test]
fn the_stack_leads_into_ring_3_from_every_instruction_of_a_call() {
    for profile in crate::host::profiles() {
        let mut kd = kd(profile);
        run(&mut kd, "g ntdll!NtClose");
        let mut kernel = 0;
        loop {
            let at = run(&mut kd, "t");
            if at.starts_with("program!") {
                break;
            }
            kernel += u32::from(kd.target().machine().cpl() == 0);
            let text = run(&mut kd, "k");
            let lines: Vec<&str> = text.lines().skip(1).collect();
            let sites: Vec<&str> = lines.iter().filter_map(|line| line.split_whitespace().nth(2)).collect();
            assert!(sites.last().is_some_and(|site| site.starts_with("program!Start+")), "{profile} {at}{text}");
            let stub = |site: &&str| site.starts_with("ntdll!ZwClose") || site.starts_with("ntdll!NtClose");
            assert!(sites.iter().any(stub) && lines.len() <= 7, "{profile} {at}{text}");
            // No place is without a name.
            assert!(!sites.iter().any(|site| site.starts_with('0')), "{profile} {at}{text}");
        }
        assert!(kernel > 50, "{profile}: {kernel}");
    }
}

#[test]
fn a_call_arrives_with_its_arguments() {
    for (profile, arguments) in [("srv2003", "dd esp+4 l9"), ("win7-x64", "r rcx, rdx, r8, r9; dq rsp+28 l5")] {
        let mut kd = kd(profile);
        run(&mut kd, "call NtWriteFile 11 22 33 44 55 66 77 88; g nt!NtWriteFile");
        let text = run(&mut kd, arguments);
        let digits: Vec<u64> = text
            .split(|c: char| !c.is_ascii_hexdigit() && c != '`')
            .filter_map(|word| u64::from_str_radix(&word.replace('`', ""), 16).ok())
            .filter(|number| *number <= 0x88 && number % 0x11 == 0)
            .collect();
        let expected: Vec<u64> = (1..=8).map(|n| 0x11 * n).chain([0]).collect();
        assert_eq!(digits, expected, "{profile}: {text}");
        assert!(run(&mut kd, "call NtClose 1").starts_with("call begins in ring 3"));
        assert!(run(&mut kd, "gu; gu; gu; gu; r").contains("program!Start"), "{profile}");
    }
}

#[test]
fn a_call_begins_with_the_registers_of_the_processor() {
    let mut kd = kd("srv2003");
    run(&mut kd, "g nt!NtClose");
    let frame = value(&mut kd, "poi(nt!KiInitialThread+110)");
    run(&mut kd, &format!("gu; gu; gu; gu; .trap {frame}; call NtClose 4"));
    assert_eq!(run(&mut kd, "r; r eax=5; r eax").lines().last(), Some("eax=00000005"));
    assert_eq!(value(&mut kd, "."), value(&mut kd, "ntdll!NtClose"));
}

#[test]
fn wt_says_what_it_leaves_out() {
    let mut kd = kd("srv2003");
    // l: call f; loop l; ret; f: ret
    run(&mut kd, "eb . e8 03 00 00 00 e2 f9 c3 c3; r ecx=2000; r esp=esp-10; ed esp .");
    let text = run(&mut kd, "wt");
    assert!(
        text.contains("\n... and 6385 more lines\n"),
        "{}",
        text.lines().skip(9_998).collect::<Vec<_>>().join("\n")
    );
}

#[test]
fn wt_counts_what_was_executed() {
    let mut kd = kd("srv2003");
    run(&mut kd, "call NtClose 4");
    let begin = kd.target().now();
    let text = run(&mut kd, "wt");
    let count = kd.target().now() - begin;
    assert!(text.contains(&format!("\n{count} instructions were executed, 1 of them entered the kernel\n")), "{text}");
    let table = text.split_once("Function Name").map(|(_, table)| table).unwrap_or_default();
    let sums: u64 = table
        .lines()
        .filter_map(|line| {
            let words: Vec<&str> = line.split_whitespace().collect();
            let [_, runs, _, _, average] = words[..] else { return None };
            Some(runs.parse::<u64>().ok()? * average.parse::<u64>().ok()?)
        })
        .sum();
    assert_eq!(sums, count, "{text}");
    assert!(text.contains("[  0] ntdll!ZwClose\n") && text.contains("    nt!NtClose\n"), "{text}");
}

#[test]
fn completion_knows_commands_symbols_types_and_registers() {
    let kd = kd("srv2003");
    let complete = |line: &str| kd.complete(line, line.len());
    assert_eq!(complete("!desc"), (0, vec!["!descriptor".to_owned()]));
    assert_eq!(complete("u nt!KiFastCallEntryB"), (2, vec!["nt!KiFastCallEntryBadStack".to_owned()]));
    assert_eq!(complete("bl; u KiFastSystemCallR"), (6, vec!["KiFastSystemCallRet".to_owned()]));
    assert_eq!(complete("u poi(kifastsystemcallr"), (6, vec!["KiFastSystemCallRet".to_owned()]));
    assert_eq!(complete("dt nt!_KUSER"), (3, vec!["nt!_KUSER_SHARED_DATA".to_owned()]));
    assert_eq!(complete(".help rdm"), (6, vec!["rdmsr".to_owned()]));
    assert_eq!(complete("r @ea"), (2, vec!["@eax".to_owned()]));
    assert_eq!(complete("u "), (2, Vec::new()));
}

#[test]
fn help_is_there_for_every_command() {
    let mut kd = kd("srv2003");
    let overview = run(&mut kd, ".help");
    for name in help::names() {
        assert!(overview.contains(name), "{name}");
        let text = run(&mut kd, &format!(".help {name}"));
        assert!(text.lines().count() >= 2 && text.starts_with(|c: char| !c.is_whitespace()), "{name}: {text}");
    }
}
