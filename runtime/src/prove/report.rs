//! What a proof comes to.

use std::time::Duration;

use ntgate_gen::Shape;
use ntgate_gen::stub::Syntax;

use super::finding::{Finding, Value, What};
use super::guest::{Services, Set};
use super::mutate::Mutants;
use crate::nt::Entry;
use crate::nt::record::{KERNEL_POINTER, NO_HANDLER, PAST_END, UNMAPPED_POINTER};

/// What a proof comes to.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Report {
    /// The list's name.
    pub list: String,
    /// How many services it has.
    pub services: usize,
    /// One run for each shape, CPU and way in, in the order of the shapes.
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

    /// By shape; the CPUs of a shape stay in their order.
    pub(super) fn sort_runs(&mut self, shapes: &[Shape]) {
        self.runs.sort_by_key(|run| shapes.iter().position(|&shape| shape == run.shape));
    }
}

/// What is wrong with a call of a set, with the service's name and its stub.
pub(super) fn failure(services: &Services<'_>, set: &Set<'_>, call: Option<u32>, finding: &Finding) -> Failure {
    let stub = match call {
        None => None,
        Some(PAST_END) => set.past_end,
        Some(call) => set.stubs.get(call as usize),
    };
    Failure {
        service: call_name(services, call),
        what: finding.what,
        expected: value(services, finding.what, &finding.expected),
        seen: value(services, finding.what, &finding.seen),
        stub: stub.map_or_else(Vec::new, |stub| stub.text(Syntax::Intel)),
    }
}

fn call_name(services: &Services<'_>, call: Option<u32>) -> String {
    match call {
        None => "(the set)".to_owned(),
        Some(PAST_END) => "(number past the end)".to_owned(),
        Some(KERNEL_POINTER) => "(argument pointer in kernel space)".to_owned(),
        Some(UNMAPPED_POINTER) => "(argument pointer on an unmapped page)".to_owned(),
        Some(call) => service_name(services, call.into()).unwrap_or_else(|| format!("(call {call:x}h)")),
    }
}

fn service_name(services: &Services<'_>, index: u64) -> Option<String> {
    let service = services.iter().nth(usize::try_from(index).ok()?)?;
    Some(service.name().nt().to_owned())
}

/// A service for people, where the guest logs an index.
fn value(services: &Services<'_>, what: What, value: &Value) -> String {
    match *value {
        Value::Number { value, .. } if what == What::HANDLER && value == u64::from(NO_HANDLER) => "none".to_owned(),
        Value::Number { value: index, .. } if what == What::HANDLER => {
            service_name(services, index).unwrap_or_else(|| value.to_string())
        }
        _ => value.to_string(),
    }
}
