//! A report for programs. The schema is documented in `docs/json.md`.

use std::collections::BTreeMap;

use serde::Serialize;

use super::mutate::Mutants;
use super::report::{Report, Run};

/// Goes up when a key that programs may count on changes its meaning or goes.
const VERSION: u32 = 1;

#[derive(Serialize)]
struct Document<'a> {
    version: u32,
    list: &'a str,
    services: usize,
    holds: bool,
    runs: Vec<RunJson<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    mutants: Option<MutantsJson<'a>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    differences: Vec<DifferenceJson<'a>>,
    notes: &'a [String],
    milliseconds: u64,
}

#[derive(Serialize)]
struct RunJson<'a> {
    arch: &'static str,
    shape: &'static str,
    profile: &'static str,
    cpu: &'static str,
    entry: &'static str,
    proven: usize,
    total: usize,
    refusals: RefusalsJson,
    failures: Vec<FailureJson<'a>>,
}

#[derive(Serialize)]
struct RefusalsJson {
    proven: usize,
    total: usize,
}

#[derive(Serialize)]
struct FailureJson<'a> {
    service: &'a str,
    expected: &'a str,
    seen: &'a str,
    what: &'static str,
    text: String,
    condition: u8,
    stub: &'a [String],
}

#[derive(Serialize)]
struct DifferenceJson<'a> {
    cpu: &'static str,
    line: usize,
    bundled: &'a str,
    qemu: &'a str,
}

#[derive(Serialize)]
struct MutantsJson<'a> {
    total: usize,
    rejected: usize,
    survivors: Vec<SurvivorJson<'a>>,
    equivalent: Vec<EquivalentJson<'a>>,
    kinds: Vec<KindJson<'a>>,
}

#[derive(Serialize)]
struct SurvivorJson<'a> {
    arch: &'static str,
    mutation: &'static str,
    shape: &'static str,
    service: &'a str,
}

#[derive(Serialize)]
struct EquivalentJson<'a> {
    arch: &'static str,
    mutation: &'static str,
    shapes: Vec<&'static str>,
    reason: &'static str,
    services: &'a [String],
}

#[derive(Serialize)]
struct KindJson<'a> {
    arch: &'static str,
    mutation: &'static str,
    total: usize,
    rejected: usize,
    equivalent: usize,
    gave_away: &'a BTreeMap<&'static str, usize>,
}

impl Report {
    /// The report as JSON, with a line feed at its end.
    #[must_use]
    pub fn to_json(&self) -> String {
        let document = Document {
            version: VERSION,
            list: &self.list,
            services: self.services,
            holds: self.holds(),
            runs: self.runs.iter().map(run).collect(),
            mutants: self.mutants.as_ref().map(mutants),
            differences: self
                .differences
                .iter()
                .map(|at| DifferenceJson { cpu: at.cpu, line: at.line, bundled: &at.bundled, qemu: &at.qemu })
                .collect(),
            notes: &self.notes,
            milliseconds: u64::try_from(self.elapsed.as_millis()).unwrap_or(u64::MAX),
        };
        let mut text = serde_json::to_string_pretty(&document).expect("there are no maps with other keys than strings");
        text.push('\n');
        text
    }
}

fn run(run: &Run) -> RunJson<'_> {
    RunJson {
        arch: run.shape.arch().name(),
        shape: run.shape.name(),
        profile: run.profile,
        cpu: run.cpu,
        entry: run.entry.name(),
        proven: run.proven,
        total: run.total,
        refusals: RefusalsJson { proven: run.refusals.proven, total: run.refusals.total },
        failures: run
            .failures
            .iter()
            .map(|failure| FailureJson {
                service: &failure.service,
                expected: &failure.expected,
                seen: &failure.seen,
                what: failure.what.name(),
                text: failure.what.to_string(),
                condition: failure.what.condition(),
                stub: &failure.stub,
            })
            .collect(),
    }
}

fn mutants(mutants: &Mutants) -> MutantsJson<'_> {
    MutantsJson {
        total: mutants.total,
        rejected: mutants.rejected,
        survivors: mutants
            .survivors
            .iter()
            .map(|mutant| SurvivorJson {
                arch: mutant.shape.arch().name(),
                mutation: mutant.mutation.name(),
                shape: mutant.shape.name(),
                service: &mutant.service,
            })
            .collect(),
        equivalent: mutants
            .equivalent
            .iter()
            .map(|group| EquivalentJson {
                arch: group.shapes.first().map_or("", |shape| shape.arch().name()),
                mutation: group.mutation.name(),
                shapes: group.shapes.iter().map(|shape| shape.name()).collect(),
                reason: group.reason,
                services: &group.services,
            })
            .collect(),
        kinds: mutants
            .kinds
            .iter()
            .map(|kind| KindJson {
                arch: kind.arch.name(),
                mutation: kind.mutation.name(),
                total: kind.total,
                rejected: kind.rejected,
                equivalent: kind.equivalent,
                gave_away: &kind.gave_away,
            })
            .collect(),
    }
}
