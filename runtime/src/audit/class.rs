//! What an export is, from what its calls did.

use std::fmt;

use super::environment::Question;
use super::run::{Crossing, Run, Stop, Way};
use super::trial::Trial;

/// What an export is.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
#[non_exhaustive]
pub enum Class {
    /// A system call, and nothing else: it enters the kernel with its caller's arguments, and returns.
    Service,
    /// Another name of the export with this name.
    Alias(String),
    /// It enters the kernel, but not as a service does: with arguments of its own, more than once, or without coming back.
    Wrapper,
    /// It does not enter the kernel.
    NoKernelEntry,
    /// It goes on in another image.
    LeavesImage,
    /// Its name is a service's, and something else has been put into its place.
    Hooked,
    /// What it does cannot be followed here.
    Unsupported,
}

impl Class {
    /// The name used in every interface.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Service => "service",
            Self::Alias(_) => "alias",
            Self::Wrapper => "wrapper",
            Self::NoKernelEntry => "no-kernel-entry",
            Self::LeavesImage => "leaves-image",
            Self::Hooked => "hooked",
            Self::Unsupported => "unsupported",
        }
    }
}

impl fmt::Display for Class {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Alias(of) => write!(f, "alias of {of}"),
            other => f.pad(other.name()),
        }
    }
}

/// One way into the kernel that an export can take.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Entry {
    /// The way.
    pub way: Way,
    /// The register, with what is to be added to it, that leads the kernel to the arguments; `None` if none does.
    pub register: Option<&'static str>,
    /// What is true of the environment where it is taken; empty if it is taken in every one.
    pub when: Vec<&'static str>,
    /// The place in the image of the last instruction before the kernel.
    pub from: Option<u32>,
}

/// What [`judge`] finds.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Judgement {
    pub(super) class: Class,
    pub(super) number: Option<u32>,
    pub(super) ret_bytes: Option<u32>,
    /// `zw-reactos`: argument bytes that it tells the kernel.
    pub(super) told_bytes: Option<u32>,
    pub(super) entries: Vec<Entry>,
    /// What a service should not do.
    pub(super) faults: Vec<String>,
    pub(super) notes: Vec<String>,
}

/// What WoW64 keeps in the upper half of EAX is not of the number.
fn number(crossing: &Crossing) -> Option<u32> {
    match (&crossing.routine, crossing.way) {
        (Some(_), _) => None,
        (None, Way::Wow64) => Some((crossing.eax & 0xFFFF) as u32),
        (None, _) => Some(crossing.eax as u32),
    }
}

/// A call that is a service's and nothing else.
fn is_service(run: &Run) -> bool {
    matches!(run.crossings.as_slice(), [one] if one.register.is_some()) && run.stop == Stop::Returned
}

/// Whether WoW64 was asked to do what the other Windows does: one of the two never fits.
fn is_other_wow64(run: &Run, runs: &[Run]) -> bool {
    let asks = |run: &Run| run.asked.iter().any(|(question, _)| *question == Question::Wow64Return);
    asks(run) && !is_service(run) && runs.iter().any(|other| asks(other) && is_service(other))
}

pub(super) fn judge(trial: &Trial) -> Judgement {
    let runs: Vec<&Run> = trial.runs.iter().filter(|run| !is_other_wow64(run, &trial.runs)).collect();
    let mut judgement = Judgement {
        class: Class::Service,
        number: None,
        ret_bytes: None,
        told_bytes: None,
        entries: entries(&runs),
        faults: Vec::new(),
        notes: Vec::new(),
    };
    if runs.iter().all(|run| run.crossings.is_empty()) {
        judgement.class = without_entry(runs.first().copied(), &mut judgement.notes);
        return judgement;
    }
    let first = runs.iter().find_map(|run| run.crossings.first());
    judgement.number = first.and_then(number);
    if trial.is_arbitrary {
        judgement.class = Class::Wrapper;
        judgement.number = None;
        judgement
            .notes
            .push("what it asks the kernel for depends on registers or memory that nobody has set".to_owned());
        return judgement;
    }
    if !runs.iter().all(|run| is_service(run)) {
        judgement.class = Class::Wrapper;
        judgement.notes.extend(runs.iter().find(|run| !is_service(run)).map(|run| unlike_a_service(run)));
        return judgement;
    }
    agree(&runs, &mut judgement);
    judgement
}

/// Of calls that are all a service's: number, bytes, and what a service does not do.
fn agree(runs: &[&Run], judgement: &mut Judgement) {
    let crossings = || runs.iter().filter_map(|run| run.crossings.first());
    let Some(first) = crossings().next() else { return };
    if crossings().any(|other| number(other) != number(first)) {
        judgement.class = Class::Wrapper;
        judgement.notes.push("its ways into the kernel have different numbers".to_owned());
    }
    let popped = runs.first().map_or(0, |run| run.popped);
    if runs.iter().any(|run| run.popped != popped) {
        judgement.faults.push("its ways back take different numbers of bytes off the stack".to_owned());
    }
    match u32::try_from(popped) {
        Ok(bytes) => judgement.ret_bytes = Some(bytes),
        Err(_) => judgement.faults.push(format!("it leaves {} bytes on the stack", -popped)),
    }
    let lost = runs.iter().flat_map(|run| &run.lost).copied().collect::<std::collections::BTreeSet<_>>();
    if !lost.is_empty() {
        let names = lost.into_iter().collect::<Vec<_>>().join(", ");
        judgement.faults.push(format!("it does not keep {names}"));
    }
    if runs.iter().any(|run| !run.keeps_status) {
        judgement.faults.push("it does not return what the kernel does".to_owned());
    }
    if first.way == Way::Wow64 && first.eax >> 16 != 0 {
        judgement.notes.push(format!("turbo thunk {}", first.eax >> 16 & 0xFFFF));
    }
    if let Some((name, bytes)) = &first.routine {
        judgement.told_bytes = u32::try_from(*bytes).ok();
        judgement.notes.push(format!("the linker's {name} stands for the number"));
    }
}

/// Every way in, once, with what it depends on.
fn entries(runs: &[&Run]) -> Vec<Entry> {
    let mut entries: Vec<Entry> = Vec::new();
    for run in runs {
        for crossing in &run.crossings {
            let (way, register, from) = (crossing.way, crossing.register, crossing.from);
            let is_same = |entry: &Entry| (entry.way, entry.register, entry.from) == (way, register, from);
            if entries.iter().any(is_same) {
                continue;
            }
            let when = run.asked.iter().map(|(question, answer)| question.says(*answer)).collect();
            entries.push(Entry { way, register, when, from });
        }
    }
    entries
}

fn without_entry(run: Option<&Run>, notes: &mut Vec<String>) -> Class {
    let Some(run) = run else { return Class::Unsupported };
    let (class, note) = match &run.stop {
        Stop::Returned => (Class::NoKernelEntry, "returns without it".to_owned()),
        Stop::Fault(what) | Stop::Unmodelled(what) => (Class::NoKernelEntry, what.clone()),
        Stop::External(name) => (Class::LeavesImage, format!("goes to {name}")),
        Stop::Foreign(address) => (Class::LeavesImage, format!("goes to {address:X}h, outside the image")),
        Stop::Unsupported(what) => (Class::Unsupported, format!("the machine does not have it: {what}")),
        Stop::Budget => (Class::Unsupported, "the budget of instructions is used up".to_owned()),
        Stop::Memory => (Class::Unsupported, "it touches too much memory".to_owned()),
    };
    notes.push(note);
    class
}

fn unlike_a_service(run: &Run) -> String {
    let numbers: Vec<String> = run.crossings.iter().map(|crossing| format!("{:X}h", crossing.eax)).collect();
    match run.crossings.as_slice() {
        [one] if one.register.is_some() => match &run.stop {
            Stop::Fault(what) | Stop::Unmodelled(what) | Stop::Unsupported(what) => {
                format!("behind the kernel: {what}")
            }
            Stop::External(name) => format!("goes to {name} behind the kernel"),
            Stop::Foreign(address) => format!("goes to {address:X}h behind the kernel"),
            _ => "does not come back from the kernel".to_owned(),
        },
        [one] => format!("enters the kernel by {} with arguments of its own", one.way.name()),
        [] => "does not enter the kernel in every environment".to_owned(),
        _ => format!("enters the kernel more than once: {}", numbers.join(", ")),
    }
}
