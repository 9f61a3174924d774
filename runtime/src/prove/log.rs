//! The guest's log: lines of text to records of facts.
//!
//! ```text
//! ntgate 1 profile srv2003 services 298 sets 7
//! cpu cpuid 1 family 6 model 5 stepping 2 sep 1 sysenter 1         what the guest found out about its CPU
//! set 3 shared-edx entry 7c95ed50 return 7c95ed54                  or: set 5 sysenter skipped
//! c 00030000 00000001 ...                                          one call, facts of eight or sixteen digits
//! end 3
//! done 0000082c                                                    or: bugcheck and eight numbers
//! ```
//!
//! Nothing else may be in it, and in no other order: what a guest that went astray still prints must not pass for facts.
//! [`Form`] says what is different from one guest to the other.

use std::fmt;
use std::ops::Range;

use super::finding::What;

/// What a guest's log looks like, where guests differ.
#[derive(Debug)]
pub(super) struct Form {
    /// How many facts at the front of a record have eight digits; the others have sixteen.
    pub(super) dwords: usize,
    /// The fact that is the number of arguments behind the facts.
    pub(super) argument_count: usize,
    /// The position of the first argument.
    pub(super) arguments: usize,
    /// How many arguments a record may have.
    pub(super) max_arguments: usize,
    /// The facts that a call is judged by, each with its position.
    pub(super) facts: &'static [(usize, What)],
    /// What the first line of a set says.
    pub(super) set_facts: [SetFact; 2],
    /// Digits of the numbers behind `bugcheck`.
    pub(super) bug_check: [usize; 8],
}

/// A number in the first line of a set.
#[derive(Debug)]
pub(super) struct SetFact {
    /// The word before it.
    pub(super) word: &'static str,
    pub(super) digits: usize,
    pub(super) what: What,
}

const DWORD: usize = 8;
const QWORD: usize = 16;

impl Form {
    /// Digits of the fact at a position.
    pub(super) const fn digits(&self, index: usize) -> usize {
        if index < self.dwords { DWORD } else { QWORD }
    }

    /// A value as a fact at that position can hold it.
    pub(super) const fn wrap(&self, index: usize, value: u64) -> u64 {
        if index < self.dwords { value & 0xFFFF_FFFF } else { value }
    }
}

/// A log, or the part of one before its first mistake.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Log {
    /// The guest's profile.
    pub(super) profile: String,
    /// How many services the guest has.
    pub(super) services: u32,
    /// How many sets the guest has.
    pub(super) set_count: u32,
    /// What the guest found out about its CPU: the words behind `cpu`; `None` if it did not get that far.
    pub(super) cpu: Option<String>,
    /// The sets, in the order in which they ran.
    pub(super) sets: Vec<SetLog>,
    /// How it ended; `None` if it did not.
    pub(super) end: Option<LogEnd>,
    records: Vec<Range<usize>>,
    facts: Vec<u64>,
}

/// One set of a log.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct SetLog {
    /// Its index in the plan.
    pub(super) index: u32,
    /// Its name.
    pub(super) label: String,
    /// What its first line says: `None` if the set was skipped.
    pub(super) facts: Option<[u64; 2]>,
    /// Whether its `end` line is there.
    pub(super) ended: bool,
    records: Range<usize>,
}

/// The last line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum LogEnd {
    /// Every set has run.
    Done,
    /// The kernel stopped.
    BugCheck(BugCheck),
}

/// What a bug check says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct BugCheck {
    /// Bug-check code, the exception's vector and error code, instruction pointer, CR2, stack pointer, CS, flags.
    numbers: [u64; 8],
    /// Digits of an address.
    digits: usize,
}

impl fmt::Display for BugCheck {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { numbers: [code, vector, error, ip, cr2, ..], digits } = *self;
        let name = if digits == DWORD { "EIP" } else { "RIP" };
        write!(
            f,
            "bug check {code:X}h: vector {vector:X}h, error {error:X}h, {name} {ip:0digits$X}h, CR2 {cr2:0digits$X}h"
        )
    }
}

/// One call's facts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Record<'a>(&'a [u64]);

impl<'a> Record<'a> {
    /// A record of these facts: an error if there are fewer than a record has, or not as many arguments as it says.
    pub(super) fn new(form: &Form, facts: &'a [u64]) -> Result<Self, LogProblem> {
        let count = *facts.get(form.argument_count).ok_or(LogProblem::ShortRecord)?;
        let fits = count <= form.max_arguments as u64;
        if !fits || facts.len() as u64 != form.arguments as u64 + count {
            return Err(LogProblem::ArgumentCount);
        }
        Ok(Self(facts))
    }

    /// The fact at a position.
    pub(super) fn fact(self, index: usize) -> u64 {
        self.0.get(index).copied().unwrap_or(0)
    }

    /// The arguments as the service routine saw them.
    pub(super) fn arguments(self, form: &Form) -> &'a [u64] {
        self.0.get(form.arguments..).unwrap_or(&[])
    }
}

impl Log {
    /// The records of a set, in the order in which they were made.
    pub(super) fn records<'a>(&'a self, set: &SetLog) -> impl Iterator<Item = Record<'a>> {
        let ranges = self.records.get(set.records.clone()).unwrap_or(&[]);
        ranges.iter().filter_map(|range| self.facts.get(range.clone()).map(Record))
    }
}

/// A log with a mistake in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct BrokenLog {
    /// The line, counted from 1.
    pub(super) line: usize,
    /// What is wrong with it.
    pub(super) problem: LogProblem,
    /// What came before it.
    pub(super) log: Box<Log>,
}

/// What can be wrong with a line of a log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum LogProblem {
    /// The log ends within the line.
    CutOff,
    /// The log has no last line.
    NoEnd,
    /// The line is of no kind that there is.
    Unknown,
    /// There is something after the last line.
    AfterEnd,
    /// The first line does not say what guest this is.
    Header,
    /// The second line does not say what CPU this is.
    Cpu,
    /// A `set` line is malformed.
    Set,
    /// A set begins before the one before it has ended.
    SetInSet,
    /// A record stands outside a set.
    RecordOutsideSet,
    /// Not every dword of a record is eight lower-case hexadecimal digits.
    Digits,
    /// A record has fewer facts than records have.
    ShortRecord,
    /// A record does not have as many arguments as it says.
    ArgumentCount,
    /// An `end` line is malformed or belongs to no set.
    EndOfSet,
    /// The last line is malformed.
    End,
    /// The number of records is not what the last line says.
    RecordCount,
}

impl fmt::Display for LogProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::CutOff => "the log ends within a line",
            Self::NoEnd => "the log has no last line",
            Self::Unknown => "this is no line of a log",
            Self::AfterEnd => "there is a line after the last one",
            Self::Header => "the first line does not name the guest",
            Self::Cpu => "the second line does not name the CPU",
            Self::Set => "malformed begin of a set",
            Self::SetInSet => "a set begins within a set",
            Self::RecordOutsideSet => "a record outside a set",
            Self::Digits => "a record's dwords are eight lower-case hexadecimal digits each",
            Self::ShortRecord => "a record with facts missing",
            Self::ArgumentCount => "a record with more or fewer arguments than it says",
            Self::EndOfSet => "malformed end of a set",
            Self::End => "malformed last line",
            Self::RecordCount => "the last line counts other records than there are",
        })
    }
}

impl fmt::Display for BrokenLog {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {} of the guest's log: {}", self.line, self.problem)
    }
}

impl std::error::Error for BrokenLog {}

/// Reads a log up to the first line that is not as it has to be; the error holds what came before.
pub(super) fn parse_log(form: &Form, bytes: &[u8]) -> Result<Log, BrokenLog> {
    let mut log = Log::default();
    let mut number = 0;
    let mut rest = bytes;
    let mut outcome = Ok(());
    while !rest.is_empty() && outcome.is_ok() {
        number += 1;
        let Some(end) = rest.iter().position(|&byte| byte == b'\n') else {
            outcome = Err(LogProblem::CutOff);
            break;
        };
        outcome = line(form, &mut log, number, &rest[..end]);
        rest = &rest[end + 1..];
    }
    if outcome.is_ok() && log.end.is_none() {
        number += 1;
        outcome = Err(LogProblem::NoEnd);
    }
    match outcome {
        Ok(()) => Ok(log),
        Err(problem) => Err(BrokenLog { line: number, problem, log: Box::new(log) }),
    }
}

fn line(form: &Form, log: &mut Log, number: usize, line: &[u8]) -> Result<(), LogProblem> {
    if log.end.is_some() {
        return Err(LogProblem::AfterEnd);
    }
    if number > 2
        && let Some(facts) = line.strip_prefix(b"c")
    {
        return record(form, log, facts);
    }
    let text = std::str::from_utf8(line).map_err(|_| LogProblem::Unknown)?;
    let words: Vec<&str> = text.split(' ').collect();
    match (number, words.as_slice()) {
        (1, words) => header(log, words).ok_or(LogProblem::Header),
        (_, ["bugcheck", facts @ ..]) => bug_check(form, log, facts).ok_or(LogProblem::End),
        (2, ["cpu", ..]) => cpu(log, text),
        (2, _) => Err(LogProblem::Cpu),
        (_, ["set", facts @ ..]) => set(form, log, facts),
        (_, ["end", index]) => end_of_set(log, index).ok_or(LogProblem::EndOfSet),
        (_, ["done", count]) => done(log, count),
        _ => Err(LogProblem::Unknown),
    }
}

fn header(log: &mut Log, words: &[&str]) -> Option<()> {
    let ["ntgate", "1", "profile", profile, "services", services, "sets", sets] = words else {
        return None;
    };
    log.profile = (*profile).to_owned();
    log.services = decimal(services)?;
    log.set_count = decimal(sets)?;
    Some(())
}

/// What it has to say is for the judge.
fn cpu(log: &mut Log, line: &str) -> Result<(), LogProblem> {
    log.cpu = line.strip_prefix("cpu ").map(str::to_owned);
    if log.cpu.is_some() { Ok(()) } else { Err(LogProblem::Cpu) }
}

fn set(form: &Form, log: &mut Log, words: &[&str]) -> Result<(), LogProblem> {
    let (index, label, facts) = match words {
        [index, label, "skipped"] => (index, label, None),
        [index, label, facts @ ..] => (index, label, Some(set_facts(form, facts).ok_or(LogProblem::Set)?)),
        _ => return Err(LogProblem::Set),
    };
    let index = decimal(index).ok_or(LogProblem::Set)?;
    if log.sets.last().is_some_and(|last| !last.ended) {
        return Err(LogProblem::SetInSet);
    }
    let at = log.records.len();
    let ended = facts.is_none();
    log.sets.push(SetLog { index, label: (*label).to_owned(), facts, ended, records: at..at });
    Ok(())
}

/// Each number behind its word.
fn set_facts(form: &Form, words: &[&str]) -> Option<[u64; 2]> {
    let [first, second] = &form.set_facts;
    let value =
        |fact: &SetFact, word: &str, digits: &str| (fact.word == word).then(|| hex(digits.as_bytes(), fact.digits))?;
    match words {
        [a, x, b, y] => Some([value(first, a, x)?, value(second, b, y)?]),
        _ => None,
    }
}

fn record(form: &Form, log: &mut Log, line: &[u8]) -> Result<(), LogProblem> {
    let Some(open) = log.sets.last_mut().filter(|set| !set.ended) else {
        return Err(LogProblem::RecordOutsideSet);
    };
    let start = log.facts.len();
    let result = facts(form, &mut log.facts, line).and_then(|()| Record::new(form, &log.facts[start..]).map(|_| ()));
    if let Err(problem) = result {
        log.facts.truncate(start);
        return Err(problem);
    }
    log.records.push(start..log.facts.len());
    open.records.end = log.records.len();
    Ok(())
}

/// ` 00030000 00000001 ... fffff88002007e70`: each number has a blank in front.
fn facts(form: &Form, facts: &mut Vec<u64>, line: &[u8]) -> Result<(), LogProblem> {
    const WIDTH: usize = DWORD + 1;
    const WIDE: usize = QWORD + 1;
    let narrow = form.dwords.saturating_mul(WIDTH).min(line.len());
    let (dwords, rest) = line[..narrow].as_chunks::<WIDTH>();
    let (qwords, wide_rest) = line[narrow..].as_chunks::<WIDE>();
    if !rest.is_empty() || !wide_rest.is_empty() {
        return Err(LogProblem::Digits);
    }
    facts.reserve(dwords.len() + qwords.len());
    for [blank, digits @ ..] in dwords {
        facts.push(hex(digits, DWORD).filter(|_| *blank == b' ').ok_or(LogProblem::Digits)?);
    }
    for [blank, digits @ ..] in qwords {
        facts.push(hex(digits, QWORD).filter(|_| *blank == b' ').ok_or(LogProblem::Digits)?);
    }
    Ok(())
}

fn end_of_set(log: &mut Log, index: &str) -> Option<()> {
    let index = decimal(index)?;
    let open = log.sets.last_mut().filter(|set| !set.ended && set.index == index)?;
    open.ended = true;
    Some(())
}

fn done(log: &mut Log, count: &str) -> Result<(), LogProblem> {
    let count = hex(count.as_bytes(), DWORD).ok_or(LogProblem::End)?;
    if log.sets.last().is_some_and(|last| !last.ended) {
        return Err(LogProblem::EndOfSet);
    }
    if count != log.records.len() as u64 {
        return Err(LogProblem::RecordCount);
    }
    log.end = Some(LogEnd::Done);
    Ok(())
}

fn bug_check(form: &Form, log: &mut Log, words: &[&str]) -> Option<()> {
    let words: &[&str; 8] = words.try_into().ok()?;
    let mut numbers = [0; 8];
    for ((number, word), &digits) in numbers.iter_mut().zip(words).zip(&form.bug_check) {
        *number = hex(word.as_bytes(), digits)?;
    }
    let digits = form.bug_check.into_iter().max().unwrap_or(DWORD);
    log.end = Some(LogEnd::BugCheck(BugCheck { numbers, digits }));
    Some(())
}

fn decimal(word: &str) -> Option<u32> {
    // `parse` takes a sign, the guest writes none.
    word.bytes().all(|byte| byte.is_ascii_digit()).then(|| word.parse().ok())?
}

/// Exactly so many lower-case digits, at most sixteen.
fn hex(digits: &[u8], count: usize) -> Option<u64> {
    let mut value = 0;
    let mut bad = 0;
    for &digit in digits {
        let nibble = NIBBLES[usize::from(digit)];
        bad |= nibble;
        value = value << 4 | u64::from(nibble & 0xF);
    }
    (bad < 0x10 && digits.len() == count).then_some(value)
}

/// The value of each byte as a digit; 10h if it is none.
const NIBBLES: [u8; 256] = {
    let mut table = [0x10; 256];
    let mut digit = 0;
    while digit < 16 {
        table[b"0123456789abcdef"[digit] as usize] = digit as u8;
        digit += 1;
    }
    table
};

#[cfg(test)]
mod tests;
