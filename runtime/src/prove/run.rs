//! One plan on one CPU: boots until every call has been made and judged.
//!
//! A call that stops the machine, or leaves the kernel other than it was, ends the boot for the judge; the next boot
//! begins behind it. So no call is judged in a kernel that another one has damaged.

use super::cpu::Cpu;
use super::error::ProveError;
use super::finding::{Finding, What};
use super::guest::{Guest, SetView};
use super::log::{Log, LogEnd, SetLog, parse_log};
use super::verdict::{judge, judge_cpu, judge_set};
use crate::backend::{self, Boot, End};
use crate::nt::Start;

/// Instructions that a boot may take: for itself, and for each call with its record. Either is many times what it needs.
const BUDGET_BOOT: u64 = 2_000_000;
const BUDGET_CALL: u64 = 40_000;

/// The fact that says which call a record is about, in every guest's records.
const CALL: usize = 0;

/// What a run needs that is the same for all of them.
#[derive(Debug)]
pub(super) struct Ground<'a, G: Guest> {
    pub(super) guest: &'a G,
    /// The plan of unbroken stubs and tables.
    pub(super) reference: &'a G::Plan,
}

impl<G: Guest> Clone for Ground<'_, G> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<G: Guest> Copy for Ground<'_, G> {}

/// A call, or a set as a whole, with something wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Wrong {
    pub(super) set: usize,
    /// `None`: the set as a whole.
    pub(super) call: Option<u32>,
    pub(super) findings: Vec<Finding>,
}

/// Boots `image`, made of `plan`, on the bundled machine or under QEMU.
pub(super) fn boot<G: Guest>(image: &G::Image, plan: &G::Plan, cpu: &Cpu, qemu: bool) -> Result<Boot, ProveError> {
    let calls = G::sets(plan).map(|set| set.stubs.len() as u64 + 8).sum::<u64>();
    let budget = BUDGET_BOOT + BUDGET_CALL * calls;
    let image = backend::Image { elf: G::elf(image), cpu: cpu.name, budget };
    let boot = if qemu { backend::qemu::boot(&image) } else { backend::bundled::boot(&image) };
    boot.map_err(ProveError::from)
}

/// Judges everything that `plan` does on a CPU. `first` is the boot of its image, if there was one already.
pub(super) fn run<G: Guest>(
    ground: Ground<'_, G>,
    plan: &G::Plan,
    cpu: &Cpu,
    qemu: bool,
    first: Option<(&G::Image, &Boot)>,
) -> Result<Vec<Wrong>, ProveError> {
    let mut wrong = Vec::new();
    let mut own = None;
    let start = Start::default();
    let mut next = match first {
        Some((image, boot)) => judge_boot(ground, plan, start, image, cpu, boot, &mut wrong)?,
        None => Some(start),
    };
    while let Some(start) = next {
        let mut image = match (own.take(), first) {
            (Some(image), _) => image,
            (None, Some((image, _))) => image.clone(),
            (None, None) => ground.guest.image(plan)?,
        };
        G::set_start(&mut image, start)?;
        let boot = boot::<G>(&image, plan, cpu, qemu)?;
        next = judge_boot(ground, plan, start, &image, cpu, &boot, &mut wrong)?;
        own = Some(image);
    }
    Ok(wrong)
}

/// Judges one boot; says where the next one has to begin, if calls are left.
fn judge_boot<G: Guest>(
    ground: Ground<'_, G>,
    plan: &G::Plan,
    start: Start,
    image: &G::Image,
    cpu: &Cpu,
    boot: &Boot,
    wrong: &mut Vec<Wrong>,
) -> Result<Option<Start>, ProveError> {
    let (log, broken) = match parse_log(G::FORM, &boot.console) {
        Ok(log) => (log, None),
        Err(broken) => (*broken.log.clone(), Some(broken)),
    };
    let why = || match (&log.end, &boot.end, &broken) {
        (Some(LogEnd::BugCheck(check)), _, _) => check.to_string(),
        (_, End::Stopped(why), _) => why.clone(),
        (_, End::Exit(_), Some(broken)) => broken.to_string(),
        (_, End::Exit(0), None) => "none; the guest went on without it".to_owned(),
        (_, end @ End::Exit(_), None) => end.to_string(),
    };
    if log.cpu.is_none() {
        // Nothing of the plan has run: this is not about a stub.
        return Err(ProveError::NoBoot { cpu: cpu.name, why: why() });
    }
    let sets = G::sets(plan).count();
    if (log.profile.as_str(), log.services as usize, log.set_count as usize)
        != (ground.guest.profile(), G::services(plan), sets)
    {
        let why = format!("its log is of {} services and {} sets under {}", log.services, log.set_count, log.profile);
        return Err(ProveError::NoBoot { cpu: cpu.name, why });
    }
    if let Some(finding) = judge_cpu(log.cpu.as_deref(), &ground.guest.cpu_line(cpu)) {
        return Err(ProveError::WrongCpu { cpu: cpu.name, finding: Box::new(finding) });
    }
    let labels: Vec<String> = G::sets(plan).map(|set| set.label.to_owned()).collect();
    let view = SetView { guest: ground.guest, plan: ground.reference, image, index: 0, cpu };
    let mut walk = Walk { log: &log, view, why: &why, wrong };
    for (position, index) in (start.set..labels.len()).enumerate() {
        walk.view.index = index;
        let from = if position == 0 { start.call } else { 0 };
        let set = log.sets.get(position).filter(|set| set.index as usize == index && set.label == labels[index]);
        if let Some(next) = walk.set(set, from) {
            return Ok(Some(next).filter(|next| next.set < labels.len()));
        }
    }
    // Every call is right; what follows them has to be the end.
    if log.end != Some(LogEnd::Done) || boot.end != End::Exit(0) {
        let finding = Finding::text(What::RECORD, "the end of the log", why());
        walk.wrong.push(Wrong { set: labels.len().saturating_sub(1), call: None, findings: vec![finding] });
    }
    Ok(None)
}

struct Walk<'a, G: Guest> {
    log: &'a Log,
    view: SetView<'a, G>,
    why: &'a dyn Fn() -> String,
    wrong: &'a mut Vec<Wrong>,
}

impl<G: Guest> Walk<'_, G> {
    /// Judges a set's calls from `from` on; says where the next boot begins if this one is of no use any more.
    fn set(&mut self, log: Option<&SetLog>, from: u32) -> Option<Start> {
        let set = self.view.index;
        if let Some(log) = log {
            let findings = judge_set(log, &self.view);
            if !findings.is_empty() {
                self.push(None, findings);
            }
        }
        // The CPU cannot run it: there are no records to be judged.
        self.view.entry()?;
        let mut records = log.map(|log| self.log.records(log)).into_iter().flatten();
        let calls = G::calls(self.view.image, set);
        let mut calls = calls.into_iter().filter(|&call| call >= from).peekable();
        while let Some(call) = calls.next() {
            let after = calls.peek().map_or(Start { set: set + 1, call: 0 }, |&call| Start { set, call });
            let id = u64::from(self.view.number() << 16 | call);
            let digits = G::FORM.digits(CALL);
            let findings = match (records.next(), G::expected(&self.view, call)) {
                (Some(record), Some(expected)) if record.fact(CALL) == id => judge(G::FORM, record, &expected),
                (Some(record), _) => vec![Finding::number(What::RECORD, digits, id, record.fact(CALL))],
                (None, _) => vec![Finding::text(What::RECORD, format!("{id:08x}"), (self.why)())],
            };
            if findings.is_empty() {
                continue;
            }
            let lasting = findings.iter().any(|finding| finding.what.is_lasting());
            self.push(Some(call), findings);
            if lasting {
                return Some(after);
            }
        }
        // More records than calls: the guest went astray behind the last one.
        if records.next().is_some() || log.is_some_and(|log| !log.ended) {
            self.push(None, vec![Finding::text(What::RECORD, "the end of the set", (self.why)())]);
            return Some(Start { set: set + 1, call: 0 });
        }
        None
    }

    fn push(&mut self, call: Option<u32>, findings: Vec<Finding>) {
        self.wrong.push(Wrong { set: self.view.index, call, findings });
    }
}
