use super::*;

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
    let broken = parse_log(text.as_bytes()).expect_err("the log is broken");
    (broken.line, broken.problem)
}

#[test]
fn a_whole_log_is_read() {
    let log = parse_log(whole().as_bytes()).expect("the log is right");
    assert_eq!((log.profile.as_str(), log.services, log.set_count), ("srv2003", 1, 2));
    let cpu = CpuFacts { cpuid: true, family: 6, model: 0x1F, stepping: 2, sep: true, sysenter: false };
    assert_eq!(log.cpu, Some(cpu));
    assert_eq!(log.sets.len(), 2);
    assert_eq!(log.sets[0].shared, Some(SharedFacts { entry: 0x7C95_ED60, back: 0 }));
    assert_eq!(log.sets[1].shared, None);
    let records: Vec<_> = log.records(&log.sets[0]).collect();
    assert_eq!(records.len(), 1);
    assert_eq!(records[0].fact(fact::EAX), fact::EAX as u32);
    assert_eq!(records[0].arguments(), [0xA000_0000, 0xA000_0001]);
    assert_eq!(log.end, Some(LogEnd::Done));
}

#[test]
fn a_cpu_without_cpuid_says_so() {
    let text = whole().replace(CPU, "cpu cpuid 0\n");
    assert_eq!(parse_log(text.as_bytes()).expect("the log is right").cpu, Some(CpuFacts::default()));
}

#[test]
fn a_bug_check_ends_a_log_anywhere() {
    let text = format!(
        "{HEADER}{CPU}set 0 zw entry 00000000 return 00000000\nbugcheck 00000050 0000000e 00000000 80801234 a0000000 f7a03d00 00000008 00000002\n"
    );
    let log = parse_log(text.as_bytes()).expect("the log is right");
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
        (format!("{HEADER}cpu cpuid 2\n"), (2, LogProblem::Cpu)),
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
    assert_eq!(parse_log(b"ntgate \xff\n").expect_err("it is no text").problem, LogProblem::Unknown);
}

#[test]
fn what_came_before_the_mistake_stays() {
    let text = whole().replace("end 0", "end 9");
    let broken = parse_log(text.as_bytes()).expect_err("the log is broken");
    assert_eq!(broken.to_string(), "line 5 of the guest's log: malformed end of a set");
    assert_eq!(broken.log.record_count(), 1);
    assert_eq!(broken.log.records(&broken.log.sets[0]).count(), 1);
}
