//! One plan on one CPU: boots until every call has been made and judged.
//!
//! A call that stops the machine, or leaves the kernel other than it was, ends the boot for the judge; the next boot
//! begins behind it. So no call is judged in a kernel that another one has damaged.

use super::cpu::Cpu;
use super::error::ProveError;
use super::expect::SetView;
use super::finding::{Finding, What};
use super::record::{Log, LogEnd, SetLog, parse_log};
use super::verdict::{judge, judge_cpu, judge_set};
use crate::backend::{self, Boot, End};
use crate::nt::record::fact;
use crate::nt::{Image, Kernel, Plan, Profile, Start};

/// Instructions that a boot may take: for itself, and for each call with its record. Either is many times what it needs.
const BUDGET_BOOT: u64 = 2_000_000;
const BUDGET_CALL: u64 = 40_000;

/// What a run needs that is the same for all of them.
#[derive(Debug, Clone, Copy)]
pub(super) struct Ground<'a> {
    pub(super) profile: &'a Profile,
    pub(super) kernel: &'a Kernel,
    /// The plan of unbroken stubs and tables.
    pub(super) reference: &'a Plan,
}

/// A call, or a set as a whole, with something wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Wrong {
    pub(super) set: usize,
    /// `None`: the set as a whole.
    pub(super) call: Option<u32>,
    pub(super) findings: Vec<Finding>,
}

/// Boots `image`, made of `plan`, on the bundled machine or under QEMU.
pub(super) fn boot(image: &Image, plan: &Plan, cpu: &Cpu, qemu: bool) -> Result<Boot, ProveError> {
    let calls = plan.sets.iter().map(|set| set.stubs.len() as u64 + 8).sum::<u64>();
    let budget = BUDGET_BOOT + BUDGET_CALL * calls;
    let image = backend::Image { elf: &image.elf, cpu: cpu.name, budget };
    let boot = if qemu { backend::qemu::boot(&image) } else { backend::bundled::boot(&image) };
    boot.map_err(ProveError::from)
}

/// Judges everything that `plan` does on a CPU. `first` is the boot of its image, if there was one already.
pub(super) fn run(
    ground: Ground<'_>,
    plan: &Plan,
    cpu: &Cpu,
    qemu: bool,
    first: Option<(&Image, &Boot)>,
) -> Result<Vec<Wrong>, ProveError> {
    let mut wrong = Vec::new();
    let mut own = None;
    let mut next = match first {
        Some((image, boot)) => judge_boot(ground, plan, plan.start, image, cpu, boot, &mut wrong)?,
        None => Some(plan.start),
    };
    while let Some(start) = next {
        let mut image = match (own.take(), first) {
            (Some(image), _) => image,
            (None, Some((image, _))) => image.clone(),
            (None, None) => ground.kernel.image(plan)?,
        };
        image.set_start(start)?;
        let boot = boot(&image, plan, cpu, qemu)?;
        next = judge_boot(ground, plan, start, &image, cpu, &boot, &mut wrong)?;
        own = Some(image);
    }
    Ok(wrong)
}

/// Judges one boot; says where the next one has to begin, if calls are left.
fn judge_boot(
    ground: Ground<'_>,
    plan: &Plan,
    start: Start,
    image: &Image,
    cpu: &Cpu,
    boot: &Boot,
    wrong: &mut Vec<Wrong>,
) -> Result<Option<Start>, ProveError> {
    let (log, broken) = match parse_log(&boot.console) {
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
    if let Some(finding) = judge_cpu(log.cpu, cpu.facts) {
        return Err(ProveError::WrongCpu { cpu: cpu.name, finding: Box::new(finding) });
    }
    let mut walk = Walk { log: &log, plan, view: view(ground, image, cpu, 0), why: &why, wrong };
    for (position, index) in (start.set..plan.sets.len()).enumerate() {
        walk.view.index = index;
        let from = if position == 0 { start.call } else { 0 };
        if let Some(next) = walk.set(log.sets.get(position), from) {
            return Ok(Some(next).filter(|next| next.set < plan.sets.len()));
        }
    }
    // Every call is right; what follows them has to be the end.
    if log.end != Some(LogEnd::Done) || boot.end != End::Exit(0) {
        let finding = Finding::text(What::Record, "the end of the log", why());
        walk.wrong.push(Wrong { set: plan.sets.len().saturating_sub(1), call: None, findings: vec![finding] });
    }
    Ok(None)
}

fn view<'a>(ground: Ground<'a>, image: &'a Image, cpu: &Cpu, index: usize) -> SetView<'a> {
    let Ground { profile, reference, .. } = ground;
    SetView { profile, plan: reference, image, index, sysenter: cpu.facts.sysenter }
}

struct Walk<'a> {
    log: &'a Log,
    plan: &'a Plan,
    view: SetView<'a>,
    why: &'a dyn Fn() -> String,
    wrong: &'a mut Vec<Wrong>,
}

impl Walk<'_> {
    /// Judges a set's calls from `from` on; says where the next boot begins if this one is of no use any more.
    fn set(&mut self, log: Option<&SetLog>, from: u32) -> Option<Start> {
        let set = self.view.index;
        let planned = self.plan.sets.get(set)?;
        let log = log.filter(|log| log.index as usize == set && log.label == planned.label);
        if let Some(log) = log {
            let findings = judge_set(log, &self.view);
            if !findings.is_empty() {
                self.push(None, findings);
            }
        }
        if !self.view.runs() {
            return None;
        }
        let mut records = log.map(|log| self.log.records(log)).into_iter().flatten();
        let calls = self.view.calls();
        let mut calls = calls.into_iter().filter(|&call| call >= from).peekable();
        while let Some(call) = calls.next() {
            let after = calls.peek().map_or(Start { set: set + 1, call: 0 }, |&call| Start { set, call });
            let id = (set as u32) << 16 | call;
            let findings = match (records.next(), self.view.expected(call)) {
                (Some(record), Some(expected)) if record.fact(fact::CALL) == id => judge(record, &expected),
                (Some(record), _) => vec![Finding::dword(What::Record, id, record.fact(fact::CALL))],
                (None, _) => vec![Finding::text(What::Record, format!("{id:08x}"), (self.why)())],
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
            self.push(None, vec![Finding::text(What::Record, "the end of the set", (self.why)())]);
            return Some(Start { set: set + 1, call: 0 });
        }
        None
    }

    fn push(&mut self, call: Option<u32>, findings: Vec<Finding>) {
        self.wrong.push(Wrong { set: self.view.index, call, findings });
    }
}
