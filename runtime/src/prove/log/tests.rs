use super::*;
use crate::nt::amd64;
use crate::nt::record::fact;
use crate::prove::amd64::Amd64;
use crate::prove::guest::Guest;
use crate::prove::i386::I386;

const FORM: &Form = I386::FORM;

const HEADER: &str = "ntgate 1 profile srv2003 services 1 sets 2\n";
const CPU: &str = "cpu cpuid 1 family 6 model 1f stepping 2 sep 1 sysenter 0\n";

fn record_line(count: usize, arguments: usize) -> String {
    let mut line = String::from("c");
    for index in 0..fact::ARGUMENTS {
        let value = if index == fact::ARGUMENT_COUNT { count } else { index };
        line.push_str(&format!(" {value:08x}"));
    }
    for argument in 0..arguments {
        line.push_str(&format!(" a000000{argument}"));
    }
    line.push('\n');
    line
}

fn whole() -> String {
    let record = record_line(2, 2);
    format!(
        "{HEADER}{CPU}set 0 int2e entry 7c95ed60 return 00000000\n{record}end 0\nset 1 sysenter skipped\ndone 00000001\n"
    )
}

fn problem(text: &str) -> (usize, LogProblem) {
    let broken = parse_log(FORM, text.as_bytes()).expect_err("the log is broken");
    (broken.line, broken.problem)
}

#[test]
fn a_whole_log_is_read() {
    let log = parse_log(FORM, whole().as_bytes()).expect("the log is right");
    assert_eq!((log.profile.as_str(), log.services, log.set_count), ("srv2003", 1, 2));
    assert_eq!(log.cpu.as_deref(), Some("cpuid 1 family 6 model 1f stepping 2 sep 1 sysenter 0"));
    assert_eq!(log.sets.len(), 2);
    assert_eq!(log.sets[0].facts, Some([0x7C95_ED60, 0]));
    assert_eq!(log.sets[1].facts, None);
    let records: Vec<_> = log.records(&log.sets[0]).collect();
    assert_eq!(records.len(), 1);
    assert_eq!(records[0].fact(fact::EAX), fact::EAX as u64);
    assert_eq!(records[0].arguments(FORM), [0xA000_0000, 0xA000_0001]);
    assert_eq!(log.end, Some(LogEnd::Done));
}

#[test]
fn a_bug_check_ends_a_log_anywhere() {
    let text = format!(
        "{HEADER}{CPU}set 0 zw entry 00000000 return 00000000\nbugcheck 00000050 0000000e 00000000 80801234 a0000000 f7a03d00 00000008 00000002\n"
    );
    let log = parse_log(FORM, text.as_bytes()).expect("the log is right");
    let Some(LogEnd::BugCheck(check)) = log.end else { panic!("it is a bug check") };
    assert_eq!(check.to_string(), "bug check 50h: vector Eh, error 0h, EIP 80801234h, CR2 A0000000h");
}

#[test]
fn every_malformed_line_is_told_with_its_number() {
    let long = record_line(3, 2);
    let short = "c 00000000\n".to_owned();
    let open = format!("{HEADER}{CPU}set 0 int2e entry 7c95ed60 return 00000000\n");
    for (text, expected) in [
        (String::new(), (1, LogProblem::NoEnd)),
        ("hello\n".to_owned(), (1, LogProblem::Header)),
        (HEADER.replace("298", "x").replace(" 1 sets", " +1 sets"), (1, LogProblem::Header)),
        (HEADER.trim_end().to_owned(), (1, LogProblem::CutOff)),
        (format!("{HEADER}no long mode\n"), (2, LogProblem::Cpu)),
        (format!("{HEADER}cpu\n"), (2, LogProblem::Cpu)),
        (format!("{HEADER}{CPU}"), (3, LogProblem::NoEnd)),
        (format!("{HEADER}{CPU}set 0 int2e entry 7C95ED60 return 00000000\n"), (3, LogProblem::Set)),
        (format!("{HEADER}{CPU}set x int2e skipped\n"), (3, LogProblem::Set)),
        (format!("{open}set 1 sysenter skipped\n"), (4, LogProblem::SetInSet)),
        (format!("{HEADER}{CPU}{}", record_line(0, 0)), (3, LogProblem::RecordOutsideSet)),
        (format!("{open}{long}"), (4, LogProblem::ArgumentCount)),
        (format!("{open}{short}"), (4, LogProblem::ShortRecord)),
        (format!("{open}{}", record_line(0, 0).replace("00000011", "0000001G")), (4, LogProblem::Digits)),
        (format!("{open}{}", record_line(0, 0).replace(" 00000011", "  0000011")), (4, LogProblem::Digits)),
        (format!("{open}{}", record_line(0, 0).replace(" 00000011", "000000011")), (4, LogProblem::Digits)),
        (format!("{open}c 0000\n"), (4, LogProblem::Digits)),
        (format!("{open}end 1\n"), (4, LogProblem::EndOfSet)),
        (format!("{open}done 00000000\n"), (4, LogProblem::EndOfSet)),
        (format!("{open}end 0\ndone 00000001\n"), (5, LogProblem::RecordCount)),
        (format!("{open}end 0\ndone 0\n"), (5, LogProblem::End)),
        (format!("{open}end 0\nbugcheck 0\n"), (5, LogProblem::End)),
        (format!("{open}nonsense\n"), (4, LogProblem::Unknown)),
        (format!("{}x\n", whole()), (8, LogProblem::AfterEnd)),
    ] {
        assert_eq!(problem(&text), expected, "{text}");
    }
    assert_eq!(parse_log(FORM, b"ntgate \xff\n").expect_err("it is no text").problem, LogProblem::Unknown);
}

#[test]
fn what_came_before_the_mistake_stays() {
    let text = whole().replace("end 0", "end 9");
    let broken = parse_log(FORM, text.as_bytes()).expect_err("the log is broken");
    assert_eq!(broken.to_string(), "line 5 of the guest's log: malformed end of a set");
    assert_eq!(broken.log.records.len(), 1);
    assert_eq!(broken.log.records(&broken.log.sets[0]).count(), 1);
}

/// A record of the 64-bit guest: facts of eight digits, then of sixteen.
fn wide_line(arguments: usize) -> String {
    use amd64::record::{DWORDS, fact};
    let mut line = String::from("c");
    for index in 0..fact::ARGUMENTS + arguments {
        let value = if index == fact::ARGUMENT_COUNT { arguments } else { index };
        line.push_str(&if index < DWORDS { format!(" {value:08x}") } else { format!(" {:016x}", value << 32) });
    }
    line.push('\n');
    line
}

#[test]
fn a_log_of_the_64_bit_guest_is_read() {
    use amd64::record::fact;
    let head = "ntgate 1 profile win7-x64 services 1 sets 1\ncpu family 6 model f stepping b\n\
                set 0 syscall lstar fffff80002801234 shared 00000001\n";
    let text = format!("{head}{}end 0\ndone 00000001\n", wide_line(5));
    let log = parse_log(Amd64::FORM, text.as_bytes()).expect("the log is right");
    assert_eq!(log.sets[0].facts, Some([0xFFFF_F800_0280_1234, 1]));
    let record = log.records(&log.sets[0]).next().expect("it has one");
    assert_eq!(record.fact(fact::XMM_ZERO), fact::XMM_ZERO as u64);
    assert_eq!(record.fact(fact::R15), (fact::R15 as u64) << 32);
    assert_eq!(record.arguments(Amd64::FORM).len(), 5);

    let problem = |text: &str| parse_log(Amd64::FORM, text.as_bytes()).expect_err("it is broken").problem;
    assert_eq!(problem(&text.replace("shared 00000001", "shared 0000000000000001")), LogProblem::Set);
    assert_eq!(problem(&text.replace(" 0000004000000000", " 00000040")), LogProblem::Digits);
    assert_eq!(problem(&format!("{head}{}", wide_line(25))), LogProblem::ArgumentCount);
    let check = format!(
        "{head}bugcheck 00000050 0000000e 00000000 fffff80002801000 0000000000001234 fffff88002007e70 00000010 00010202\n"
    );
    let log = parse_log(Amd64::FORM, check.as_bytes()).expect("the log is right");
    let Some(LogEnd::BugCheck(check)) = log.end else { panic!("it is a bug check") };
    let said = "bug check 50h: vector Eh, error 0h, RIP FFFFF80002801000h, CR2 0000000000001234h";
    assert_eq!(check.to_string(), said);
}
