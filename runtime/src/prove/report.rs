//! What a proof comes to.

use std::collections::BTreeSet;
use std::time::Duration;

use ntgate_gen::Shape;
use ntgate_gen::stub::{Stub, Syntax};

use super::cpu::Cpu;
use super::expect::SetView;
use super::finding::{Finding, Value, What};
use super::mutate::Mutants;
use super::plan::{Entry, entry_of};
use super::run::Wrong;
use crate::nt::profile::SRV2003;
use crate::nt::record::{KERNEL_POINTER, NO_HANDLER, PAST_END, UNMAPPED_POINTER};
use crate::nt::{Image, Plan};

/// What a proof comes to.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Report {
    /// The list's name.
    pub list: String,
    /// How many services it has.
    pub services: usize,
    /// One run for each shape and CPU, in the order of the shapes.
    pub runs: Vec<Run>,
    /// Where the bundled machine and QEMU do not agree; empty if only one of them ran.
    pub differences: Vec<Difference>,
    /// What became of the mutants, if there were any.
    pub mutants: Option<Mutants>,
    /// What was left out, and why.
    pub notes: Vec<String>,
    /// How long it took.
    pub elapsed: Duration,
}

/// All stubs of one shape on one CPU.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Run {
    /// The shape.
    pub shape: Shape,
    /// The guest's profile.
    pub profile: &'static str,
    /// The CPU model.
    pub cpu: &'static str,
    /// The way into the kernel.
    pub entry: Entry,
    /// Services of which nothing is wrong.
    pub proven: usize,
    /// Services.
    pub total: usize,
    /// The calls that have to fail (or, from the kernel, need not).
    pub refusals: Refusals,
    /// Everything that is wrong.
    pub failures: Vec<Failure>,
}

/// Calls with a bad number or a bad argument pointer.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Refusals {
    /// Calls that were treated as they have to be.
    pub proven: usize,
    /// Calls.
    pub total: usize,
}

/// One fact that is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// The service, or what the call was when it was of none.
    pub service: String,
    /// Which fact.
    pub what: What,
    /// What it has to be.
    pub expected: String,
    /// What it is.
    pub seen: String,
    /// The stub, disassembled; empty if there was none.
    pub stub: Vec<String>,
}

/// The first line in which the logs of the two machines differ.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    /// The CPU model.
    pub cpu: &'static str,
    /// The line, counted from 1.
    pub line: usize,
    /// The bundled machine's; empty if its log ended before.
    pub bundled: String,
    /// QEMU's; empty if its log ended before.
    pub qemu: String,
}

impl Report {
    pub(super) fn new(list: &str, services: usize) -> Self {
        Self {
            list: list.to_owned(),
            services,
            runs: Vec::new(),
            differences: Vec::new(),
            mutants: None,
            notes: Vec::new(),
            elapsed: Duration::ZERO,
        }
    }

    /// Whether everything that was to be proven is: nothing failed, the machines agree, no mutant survived.
    #[must_use]
    pub fn holds(&self) -> bool {
        self.runs.iter().all(|run| run.failures.is_empty() && run.proven == run.total)
            && self.differences.is_empty()
            && self.mutants.as_ref().is_none_or(|mutants| mutants.survivors.is_empty())
    }

    /// Adds a run for every shape that the CPU can run, and for every other one of which something is wrong all the same:
    /// that its set ran, or that the log does not end as it has to.
    pub(super) fn add_runs(&mut self, plan: &Plan, image: &Image, shapes: &[Shape], cpu: &Cpu, wrong: &[Wrong]) {
        for (index, &shape) in shapes.iter().enumerate() {
            let wrong: Vec<&Wrong> = wrong.iter().filter(|wrong| wrong.set == index).collect();
            let possible = entry_of(shape, cpu.facts.sysenter);
            let Some(entry) = possible.or(entry_of(shape, true).filter(|_| !wrong.is_empty())) else {
                continue;
            };
            let view = SetView { profile: &SRV2003, plan, image, index, sysenter: cpu.facts.sysenter };
            let (services, others): (Vec<u32>, Vec<u32>) = view.calls().into_iter().partition(|&call| call < PAST_END);
            let bad: BTreeSet<Option<u32>> = wrong.iter().map(|wrong| wrong.call).collect();
            // What is wrong with a set as a whole leaves none of its calls proven.
            let is_right = |call: &&u32| !bad.contains(&None) && !bad.contains(&Some(**call));
            let right = |calls: &[u32]| calls.iter().filter(is_right).count();
            let findings = wrong.iter().flat_map(|wrong| wrong.findings.iter().map(|finding| (*wrong, finding)));
            self.runs.push(Run {
                shape,
                profile: SRV2003.name,
                cpu: cpu.name,
                entry,
                proven: right(&services),
                total: services.len(),
                refusals: Refusals { proven: right(&others), total: others.len() },
                failures: findings.map(|(wrong, finding)| failure(plan, wrong, finding)).collect(),
            });
        }
    }

    /// By shape; the CPUs of a shape stay in their order.
    pub(super) fn sort_runs(&mut self, shapes: &[Shape]) {
        self.runs.sort_by_key(|run| shapes.iter().position(|&shape| shape == run.shape));
    }
}

fn failure(plan: &Plan, wrong: &Wrong, finding: &Finding) -> Failure {
    Failure {
        service: call_name(plan, wrong.call),
        what: finding.what,
        expected: value(plan, finding.what, &finding.expected),
        seen: value(plan, finding.what, &finding.seen),
        stub: stub_of(plan, wrong).map_or_else(Vec::new, |stub| stub.text(Syntax::Intel)),
    }
}

fn stub_of<'a>(plan: &'a Plan, wrong: &Wrong) -> Option<&'a Stub> {
    let set = plan.sets.get(wrong.set)?;
    match wrong.call? {
        PAST_END => set.past_end.as_ref(),
        call => set.stubs.get(call as usize),
    }
}

fn call_name(plan: &Plan, call: Option<u32>) -> String {
    match call {
        None => "(the set)".to_owned(),
        Some(PAST_END) => "(number past the end)".to_owned(),
        Some(KERNEL_POINTER) => "(argument pointer in kernel space)".to_owned(),
        Some(UNMAPPED_POINTER) => "(argument pointer on an unmapped page)".to_owned(),
        Some(call) => service_name(plan, call).unwrap_or_else(|| format!("(call {call:x}h)")),
    }
}

fn service_name(plan: &Plan, index: u32) -> Option<String> {
    plan.services.get(index as usize).map(|service| service.name.clone())
}

/// A service for people, where the guest logs an index.
fn value(plan: &Plan, what: What, value: &Value) -> String {
    match (what, value) {
        (What::Handler, Value::Dword(NO_HANDLER)) => "none".to_owned(),
        (What::Handler, Value::Dword(index)) => service_name(plan, *index).unwrap_or_else(|| value.to_string()),
        _ => value.to_string(),
    }
}
