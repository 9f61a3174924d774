//! The judge: a record against what it has to be.

use super::expect::{Expected, SetView};
use super::finding::{Finding, JUDGED, What};
use super::record::{CpuFacts, Record, SetLog};
use crate::nt::record::fact;

/// Everything about a call that is not as it has to be, by condition; empty if the call is right.
#[must_use]
pub fn judge(record: Record<'_>, expected: &Expected) -> Vec<Finding> {
    let mut findings: Vec<Finding> = JUDGED
        .iter()
        .filter_map(|&(index, what)| {
            let (expected, seen) = (expected.facts[index], record.fact(index));
            (expected != seen).then(|| Finding::dword(what, expected, seen))
        })
        .collect();
    // Where the routine saw too many or too few, the ones that are there are judged all the same.
    let wanted = expected.facts[fact::ARGUMENT_COUNT] as usize;
    for (index, &seen) in record.arguments().iter().take(wanted).enumerate() {
        let expected = expected.first_argument.wrapping_add(u32::try_from(index).unwrap_or(u32::MAX));
        if seen != expected {
            let index = u8::try_from(index).unwrap_or(u8::MAX);
            findings.push(Finding::dword(What::Argument(index), expected, seen));
        }
    }
    findings.sort_by_key(|finding| finding.what.condition());
    findings
}

/// What is wrong with a set before any of its calls: whether it ran, and what stood in SharedUserData.
#[must_use]
pub fn judge_set(log: &SetLog, view: &SetView<'_>) -> Vec<Finding> {
    let (entry, back) = view.shared();
    match (&log.shared, view.runs()) {
        (None, false) => Vec::new(),
        (None, true) => vec![Finding::text(What::SetRuns, "run", "skipped")],
        (Some(_), false) => vec![Finding::text(What::SetRuns, "skipped", "run")],
        (Some(shared), true) => [(What::SharedEntry, entry, shared.entry), (What::SharedReturn, back, shared.back)]
            .into_iter()
            .filter(|(_, expected, seen)| expected != seen)
            .map(|(what, expected, seen)| Finding::dword(what, expected, seen))
            .collect(),
    }
}

/// Whether the guest saw the CPU that it was to run on.
#[must_use]
pub fn judge_cpu(seen: Option<CpuFacts>, expected: CpuFacts) -> Option<Finding> {
    let seen = seen.unwrap_or_default();
    (seen != expected).then(|| Finding::text(What::Cpu, describe(expected), describe(seen)))
}

fn describe(cpu: CpuFacts) -> String {
    let CpuFacts { cpuid, family, model, stepping, sep, sysenter } = cpu;
    if !cpuid {
        return "no CPUID".to_owned();
    }
    let yes = |bit| if bit { "yes" } else { "no" };
    format!("family {family:x} model {model:x} stepping {stepping:x}, SEP {}, SYSENTER {}", yes(sep), yes(sysenter))
}

#[cfg(test)]
mod tests;
