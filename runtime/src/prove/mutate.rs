//! The proof of the prover: every mutant has to be rejected.
//!
//! A mutant is one mutation of one service's stub in one shape (or of the service's rows in the tables, called through
//! that shape). All mutants of a mutation and a shape are the stubs of one boot, but each is judged by its own call
//! alone. Neighbours that change places are judged by both their calls, and every other pair of them waits for a
//! second boot.

use std::collections::BTreeMap;

use ntgate_gen::stub::Stub;
use ntgate_gen::{ServiceTable, Shape};

use super::cpu::Cpu;
use super::error::ProveError;
use super::finding::Finding;
use super::mutation::Mutation;
use super::parallel::{self, Progress};
use super::plan::plan;
use super::run::{self, Ground, Wrong};
use crate::backend::BackendError;
use crate::nt::{Kernel, Plan, Profile};

/// The CPU on which mutants run: one that reaches both entries.
pub const MUTANT_CPU: &str = "pentium2";

/// What became of the mutants.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Mutants {
    /// How many could be told from the original: rejected and survivors.
    pub total: usize,
    /// How many the judge rejected.
    pub rejected: usize,
    /// Those that passed for right.
    pub survivors: Vec<Mutant>,
    /// Those that no program can tell from the original; not in `total`.
    pub equivalent: Vec<Equivalent>,
    /// The same by mutation, and what gave the mutants away.
    pub kinds: Vec<Kind>,
}

/// One mutant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mutant {
    /// What was done.
    pub mutation: Mutation,
    /// To stubs of which shape, or under them.
    pub shape: Shape,
    /// Whose stub or row.
    pub service: String,
}

/// Mutants that are their originals.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Equivalent {
    /// What was done.
    pub mutation: Mutation,
    /// To stubs of which shapes.
    pub shapes: Vec<Shape>,
    /// Of which services.
    pub services: Vec<String>,
    /// Why no program can tell them apart.
    pub reason: &'static str,
}

/// The mutants of one mutation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Kind {
    /// The mutation.
    pub mutation: Mutation,
    /// How many could be told from the original.
    pub total: usize,
    /// How many were rejected.
    pub rejected: usize,
    /// How many could not be told from the original.
    pub equivalent: usize,
    /// For each fact ([`What::name`](super::What::name)) how many mutants had it wrong.
    pub gave_away: BTreeMap<&'static str, usize>,
}

/// One boot's worth of mutants.
struct Job<'a> {
    mutation: Mutation,
    shape: Shape,
    /// The shape's plan without mutants.
    reference: &'a Plan,
    /// For neighbours that change places: whether the first of the pairs is the table's second service.
    odd: bool,
}

/// What a boot did to the mutants of a job: each with the services by whose calls it is judged.
struct Done {
    wrong: Vec<Wrong>,
    mutants: Vec<(usize, Vec<usize>)>,
    equivalent: Vec<usize>,
}

/// Runs all mutants of the shapes.
pub(super) fn mutate(
    profile: &Profile,
    kernel: &Kernel,
    table: &ServiceTable,
    shapes: &[Shape],
    progress: &Progress<'_>,
) -> Result<Mutants, ProveError> {
    let cpu = Cpu::by_name(MUTANT_CPU).ok_or_else(|| BackendError::NoSuchCpu { cpu: MUTANT_CPU.to_owned() })?;
    let references: Vec<Plan> = shapes.iter().map(|&shape| reference(table, shape)).collect();
    let jobs = jobs(shapes, &references, table.len());
    let done = parallel::run(&jobs, progress, |job| {
        let ground = Ground { profile, kernel, reference: job.reference };
        work(ground, table, job, &cpu)
    });
    let mut mutants = Mutants::default();
    for (job, done) in jobs.iter().zip(done) {
        mutants.count(table, job, done?);
    }
    Ok(mutants)
}

/// The plan of a shape without calls that have to fail: they are the same for every mutant.
fn reference(table: &ServiceTable, shape: Shape) -> Plan {
    let mut plan = plan(table, &[shape]);
    for set in &mut plan.sets {
        set.past_end = None;
        set.refusals = false;
    }
    plan
}

fn jobs<'a>(shapes: &[Shape], references: &'a [Plan], services: usize) -> Vec<Job<'a>> {
    let mut jobs = Vec::new();
    for mutation in Mutation::ALL {
        for (&shape, reference) in shapes.iter().zip(references).filter(|(shape, _)| mutation.applies_to(**shape)) {
            let pairs = matches!(mutation, Mutation::SwappedHandlers | Mutation::SwappedRows);
            jobs.push(Job { mutation, shape, reference, odd: false });
            if pairs && services > 2 {
                jobs.push(Job { mutation, shape, reference, odd: true });
            }
        }
    }
    jobs
}

fn work(ground: Ground<'_>, table: &ServiceTable, job: &Job<'_>, cpu: &Cpu) -> Result<Done, ProveError> {
    let mut plan = ground.reference.clone();
    let all = 0..table.len();
    let (mutants, equivalent) = match job.mutation {
        Mutation::SwappedHandlers | Mutation::SwappedRows => {
            let first = usize::from(job.odd);
            let pairs: Vec<usize> = (first..table.len().saturating_sub(1)).step_by(2).collect();
            for &at in &pairs {
                swap(&mut plan, table, at, job.mutation == Mutation::SwappedRows);
            }
            (pairs.into_iter().map(|at| (at, vec![at, at + 1])).collect(), Vec::new())
        }
        Mutation::ArgumentBytesPlus | Mutation::ArgumentBytesMinus => {
            let by = if job.mutation == Mutation::ArgumentBytesPlus { 4 } else { -4 };
            for service in table.services() {
                if let Some(bytes) = plan.sspt.get_mut(row(table, service.number())) {
                    *bytes = bytes.wrapping_add_signed(by);
                }
            }
            (all.map(|at| (at, vec![at])).collect(), Vec::new())
        }
        mutation => {
            let stubs = plan.sets.iter_mut().flat_map(|set| &mut set.stubs).enumerate();
            let mut equivalent = Vec::new();
            for (at, stub) in stubs {
                let Some(broken) = mutation.of_stub(stub) else { continue };
                if same_bytes(&broken, stub) {
                    equivalent.push(at);
                }
                *stub = broken;
            }
            let told_apart = all.filter(|at| !equivalent.contains(at));
            (told_apart.map(|at| (at, vec![at])).collect(), equivalent)
        }
    };
    let wrong = run::run(ground, &plan, cpu, false, None)?;
    Ok(Done { wrong, mutants, equivalent })
}

fn row(table: &ServiceTable, number: u32) -> usize {
    (number - table.base()) as usize
}

/// Lets service `at` and the next one change places in the dispatch table, and in the argument table too if `both`.
fn swap(plan: &mut Plan, table: &ServiceTable, at: usize, both: bool) {
    let [Some(a), Some(b)] = [at, at + 1].map(|index| table.services().get(index)) else {
        return;
    };
    let (a, b) = (row(table, a.number()), row(table, b.number()));
    plan.ssdt.swap(a, b);
    if both {
        plan.sspt.swap(a, b);
    }
}

fn same_bytes(a: &Stub, b: &Stub) -> bool {
    matches!((a.encode(), b.encode()), (Ok(a), Ok(b)) if a == b)
}

impl Mutants {
    fn count(&mut self, table: &ServiceTable, job: &Job<'_>, done: Done) {
        let name =
            |at: usize| table.services().get(at).map_or_else(String::new, |service| service.name().nt().to_owned());
        let findings: BTreeMap<u32, &[Finding]> =
            done.wrong.iter().filter_map(|wrong| Some((wrong.call?, wrong.findings.as_slice()))).collect();
        let kind = kind(&mut self.kinds, job.mutation);
        for (mutant, calls) in done.mutants {
            let mut facts: Vec<&str> = calls
                .iter()
                .filter_map(|&call| findings.get(&u32::try_from(call).ok()?))
                .flat_map(|findings| findings.iter().map(|finding| finding.what.name()))
                .collect();
            facts.sort_unstable();
            facts.dedup();
            kind.total += 1;
            self.total += 1;
            if facts.is_empty() {
                self.survivors.push(Mutant { mutation: job.mutation, shape: job.shape, service: name(mutant) });
                continue;
            }
            kind.rejected += 1;
            self.rejected += 1;
            for fact in facts {
                *kind.gave_away.entry(fact).or_default() += 1;
            }
        }
        if done.equivalent.is_empty() {
            return;
        }
        kind.equivalent += done.equivalent.len();
        let services: Vec<String> = done.equivalent.into_iter().map(name).collect();
        let same = |group: &&mut Equivalent| group.mutation == job.mutation && group.services == services;
        if let Some(group) = self.equivalent.iter_mut().find(same) {
            group.shapes.push(job.shape);
            return;
        }
        let reason = "the bytes are the same: a stub without arguments ends in a plain `ret`";
        self.equivalent.push(Equivalent { mutation: job.mutation, shapes: vec![job.shape], services, reason });
    }
}

fn kind(kinds: &mut Vec<Kind>, mutation: Mutation) -> &mut Kind {
    let at = kinds.iter().position(|kind| kind.mutation == mutation).unwrap_or_else(|| {
        let gave_away = BTreeMap::new();
        kinds.push(Kind { mutation, total: 0, rejected: 0, equivalent: 0, gave_away });
        kinds.len() - 1
    });
    &mut kinds[at]
}
