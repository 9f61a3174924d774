//! The guest's log: lines of text to records of facts.
//!
//! ```text
//! ntgate 1 profile srv2003 services 298 sets 7
//! cpu cpuid 1 family 6 model 5 stepping 2 sep 1 sysenter 1         numbers in hexadecimal
//! set 3 shared-edx entry 7c95ed50 return 7c95ed54                  or: set 5 sysenter skipped
//! c 00030000 00000001 ...                                          one call, facts as dwords
//! end 3
//! done 0000082c                                                    or: bugcheck and eight dwords
//! ```
//!
//! Nothing else may be in it, and in no other order: what a guest that went astray still prints must not pass for facts.

use std::fmt;
use std::ops::Range;

use crate::nt::record::{MAX_ARGUMENTS, fact};

/// A log, or the part of one before its first mistake.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Log {
    /// The guest's profile.
    pub profile: String,
    /// How many services the guest has.
    pub services: u32,
    /// How many sets the guest has.
    pub set_count: u32,
    /// What the guest found out about its CPU; `None` if it did not get that far.
    pub cpu: Option<CpuFacts>,
    /// The sets, in the order in which they ran.
    pub sets: Vec<SetLog>,
    /// How it ended; `None` if it did not.
    pub end: Option<LogEnd>,
    records: Vec<Range<usize>>,
    facts: Vec<u32>,
}

/// What CPUID told the guest. All zero on a CPU without.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct CpuFacts {
    /// Whether there is CPUID.
    pub cpuid: bool,
    /// The family.
    pub family: u32,
    /// The model, with the extended bits.
    pub model: u32,
    /// The stepping.
    pub stepping: u32,
    /// CPUID's SEP bit.
    pub sep: bool,
    /// Whether the guest uses SYSENTER.
    pub sysenter: bool,
}

/// One set of a log.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SetLog {
    /// Its index in the plan.
    pub index: u32,
    /// Its name.
    pub label: String,
    /// What stood in SharedUserData: `None` if the set was skipped.
    pub shared: Option<SharedFacts>,
    /// Whether its `end` line is there.
    pub ended: bool,
    records: Range<usize>,
}

/// The dwords at SharedUserData+300h and what the kernel will push as the return address of a fast call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SharedFacts {
    /// SystemCall.
    pub entry: u32,
    /// SystemCallReturn, 0 if the guest did not set it.
    pub back: u32,
}

/// The last line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LogEnd {
    /// Every set has run.
    Done,
    /// The kernel stopped.
    BugCheck(BugCheck),
}

/// What a bug check says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BugCheck {
    /// The bug-check code.
    pub code: u32,
    /// The exception's vector.
    pub vector: u32,
    /// Its error code.
    pub error: u32,
    /// EIP.
    pub eip: u32,
    /// CR2.
    pub cr2: u32,
    /// ESP.
    pub esp: u32,
    /// CS.
    pub cs: u32,
    /// EFLAGS.
    pub eflags: u32,
}

impl fmt::Display for BugCheck {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { code, vector, error, eip, cr2, .. } = self;
        write!(f, "bug check {code:X}h: vector {vector:X}h, error {error:X}h, EIP {eip:08X}h, CR2 {cr2:08X}h")
    }
}

/// One call's facts, at the positions of [`fact`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Record<'a>(&'a [u32]);

impl<'a> Record<'a> {
    /// A record of these dwords.
    ///
    /// # Errors
    ///
    /// If there are fewer than a record has, or not as many arguments as it says.
    pub fn new(dwords: &'a [u32]) -> Result<Self, LogProblem> {
        let count = *dwords.get(fact::ARGUMENT_COUNT).ok_or(LogProblem::ShortRecord)? as usize;
        if count > MAX_ARGUMENTS || dwords.len() != fact::ARGUMENTS + count {
            return Err(LogProblem::ArgumentCount);
        }
        Ok(Self(dwords))
    }

    /// The fact at a position of [`fact`].
    #[must_use]
    pub fn fact(self, index: usize) -> u32 {
        self.0.get(index).copied().unwrap_or(0)
    }

    /// The arguments as the service routine saw them.
    #[must_use]
    pub fn arguments(self) -> &'a [u32] {
        self.0.get(fact::ARGUMENTS..).unwrap_or(&[])
    }
}

impl Log {
    /// The records of a set, in the order in which they were made.
    pub fn records<'a>(&'a self, set: &SetLog) -> impl Iterator<Item = Record<'a>> {
        let ranges = self.records.get(set.records.clone()).unwrap_or(&[]);
        ranges.iter().filter_map(|range| self.facts.get(range.clone()).map(Record))
    }

    /// How many records there are.
    #[must_use]
    pub fn record_count(&self) -> usize {
        self.records.len()
    }
}

/// A log with a mistake in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BrokenLog {
    /// The line, counted from 1.
    pub line: usize,
    /// What is wrong with it.
    pub problem: LogProblem,
    /// What came before it.
    pub log: Box<Log>,
}

/// What can be wrong with a line of a log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum LogProblem {
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

/// Reads a log.
///
/// # Errors
///
/// At the first line that is not as it has to be; the error holds what came before.
pub fn parse_log(bytes: &[u8]) -> Result<Log, BrokenLog> {
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
        outcome = line(&mut log, number, &rest[..end]);
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

fn line(log: &mut Log, number: usize, line: &[u8]) -> Result<(), LogProblem> {
    if log.end.is_some() {
        return Err(LogProblem::AfterEnd);
    }
    if number > 2
        && let Some(dwords) = line.strip_prefix(b"c")
    {
        return record(log, dwords);
    }
    let text = std::str::from_utf8(line).map_err(|_| LogProblem::Unknown)?;
    let words: Vec<&str> = text.split(' ').collect();
    match (number, words.as_slice()) {
        (1, words) => header(log, words).ok_or(LogProblem::Header),
        (_, ["bugcheck", facts @ ..]) => bug_check(log, facts).ok_or(LogProblem::End),
        (2, words) => cpu(log, words).ok_or(LogProblem::Cpu),
        (_, ["set", facts @ ..]) => set(log, facts),
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

fn cpu(log: &mut Log, words: &[&str]) -> Option<()> {
    log.cpu = Some(match words {
        ["cpu", "cpuid", "0"] => CpuFacts::default(),
        ["cpu", "cpuid", "1", "family", f, "model", m, "stepping", s, "sep", sep, "sysenter", sysenter] => CpuFacts {
            cpuid: true,
            family: short_hex(f)?,
            model: short_hex(m)?,
            stepping: short_hex(s)?,
            sep: bit(sep)?,
            sysenter: bit(sysenter)?,
        },
        _ => return None,
    });
    Some(())
}

fn set(log: &mut Log, words: &[&str]) -> Result<(), LogProblem> {
    let (index, label, shared) = match words {
        [index, label, "skipped"] => (index, label, None),
        [index, label, "entry", entry, "return", back] => {
            let entry = dword(entry.as_bytes()).ok_or(LogProblem::Set)?;
            let back = dword(back.as_bytes()).ok_or(LogProblem::Set)?;
            (index, label, Some(SharedFacts { entry, back }))
        }
        _ => return Err(LogProblem::Set),
    };
    let index = decimal(index).ok_or(LogProblem::Set)?;
    if log.sets.last().is_some_and(|last| !last.ended) {
        return Err(LogProblem::SetInSet);
    }
    let at = log.records.len();
    let ended = shared.is_none();
    log.sets.push(SetLog { index, label: (*label).to_owned(), shared, ended, records: at..at });
    Ok(())
}

fn record(log: &mut Log, dwords: &[u8]) -> Result<(), LogProblem> {
    let Some(open) = log.sets.last_mut().filter(|set| !set.ended) else {
        return Err(LogProblem::RecordOutsideSet);
    };
    let start = log.facts.len();
    let result = facts(&mut log.facts, dwords).and_then(|()| Record::new(&log.facts[start..]).map(|_| ()));
    if let Err(problem) = result {
        log.facts.truncate(start);
        return Err(problem);
    }
    log.records.push(start..log.facts.len());
    open.records.end = log.records.len();
    Ok(())
}

/// ` 00030000 00000001 ...`: each dword has a blank in front.
fn facts(facts: &mut Vec<u32>, dwords: &[u8]) -> Result<(), LogProblem> {
    const WIDTH: usize = 9;
    let (chunks, rest) = dwords.as_chunks::<WIDTH>();
    if !rest.is_empty() {
        return Err(LogProblem::Digits);
    }
    facts.reserve(chunks.len());
    for [blank, digits @ ..] in chunks {
        let value = dword(digits).filter(|_| *blank == b' ').ok_or(LogProblem::Digits)?;
        facts.push(value);
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
    let count = dword(count.as_bytes()).ok_or(LogProblem::End)?;
    if log.sets.last().is_some_and(|last| !last.ended) {
        return Err(LogProblem::EndOfSet);
    }
    if count as usize != log.records.len() {
        return Err(LogProblem::RecordCount);
    }
    log.end = Some(LogEnd::Done);
    Ok(())
}

fn bug_check(log: &mut Log, words: &[&str]) -> Option<()> {
    let dwords: Option<Vec<u32>> = words.iter().map(|word| dword(word.as_bytes())).collect();
    let [code, vector, error, eip, cr2, esp, cs, eflags] = dwords?[..] else {
        return None;
    };
    log.end = Some(LogEnd::BugCheck(BugCheck { code, vector, error, eip, cr2, esp, cs, eflags }));
    Some(())
}

fn decimal(word: &str) -> Option<u32> {
    // `parse` takes a sign, the guest writes none.
    word.bytes().all(|byte| byte.is_ascii_digit()).then(|| word.parse().ok())?
}

fn short_hex(word: &str) -> Option<u32> {
    let digits = word.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    digits.then(|| u32::from_str_radix(word, 16).ok())?
}

fn bit(word: &str) -> Option<bool> {
    match word {
        "0" => Some(false),
        "1" => Some(true),
        _ => None,
    }
}

/// Exactly eight lower-case digits.
fn dword(digits: &[u8]) -> Option<u32> {
    let digits: &[u8; 8] = digits.try_into().ok()?;
    let mut value = 0;
    let mut bad = 0;
    for &digit in digits {
        let nibble = NIBBLES[usize::from(digit)];
        bad |= nibble;
        value = value << 4 | u32::from(nibble & 0xF);
    }
    (bad < 0x10).then_some(value)
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
