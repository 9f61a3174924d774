//! The proof of the prover: every mutant has to be rejected.
//!
//! A mutant is one mutation of one service's stub in one shape (or of the service's rows in the tables, called through
//! that shape). All mutants of a mutation and a shape are the stubs of one boot, but each is judged by its own call
//! alone. Neighbours that change places are judged by both their calls, and every other pair of them waits for a
//! second boot.

use std::collections::BTreeMap;

use ntgate_gen::{Arch, Service, Shape};

use super::cpu::Cpu;
use super::error::ProveError;
use super::finding::Finding;
use super::guest::{Change, Guest, Row, Services};
use super::mutation::Mutation;
use super::parallel::{self, Progress};
use super::run::{self, Ground, Wrong};
use crate::backend::BackendError;

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
    /// Of stubs or tables of which architecture.
    pub arch: Arch,
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
struct Job<'a, P> {
    mutation: Mutation,
    shape: Shape,
    /// The shape's plan without mutants.
    reference: &'a P,
    /// For neighbours that change places: whether the first of the pairs is the table's second service.
    odd: bool,
}

/// What a boot did to the mutants of a job: each with the services by whose calls it is judged.
#[derive(Default)]
struct Done {
    wrong: Vec<Wrong>,
    mutants: Vec<(usize, Vec<usize>)>,
    same: Vec<(usize, &'static str)>,
}

/// Runs all mutants of the shapes.
pub(super) fn mutate<G: Guest>(
    guest: &G,
    services: &Services<'_>,
    shapes: &[Shape],
    progress: &Progress<'_>,
    mutants: &mut Mutants,
) -> Result<(), ProveError> {
    let no_such_cpu = || BackendError::NoSuchCpu { cpu: G::MUTANT_CPU.to_owned() };
    let cpu = Cpu::by_name(G::MUTANT_CPU).ok_or_else(no_such_cpu)?;
    let references: Vec<G::Plan> = shapes.iter().map(|&shape| reference(guest, services, shape)).collect();
    let jobs = jobs(shapes, &references, services.len());
    let done = parallel::run(&jobs, progress, |job| work(guest, services, job, &cpu));
    for (job, done) in jobs.iter().zip(done) {
        mutants.count(services, job.mutation, job.shape, done?);
    }
    Ok(())
}

/// The plan of a shape without calls that have to fail: they are the same for every mutant.
fn reference<G: Guest>(guest: &G, services: &Services<'_>, shape: Shape) -> G::Plan {
    let mut plan = guest.plan(services, &[shape]);
    G::drop_bad_calls(&mut plan);
    plan
}

fn jobs<'a, P>(shapes: &[Shape], references: &'a [P], services: usize) -> Vec<Job<'a, P>> {
    let mut jobs = Vec::new();
    for mutation in Mutation::ALL {
        for (&shape, reference) in shapes.iter().zip(references).filter(|(shape, _)| mutation.applies_to(**shape)) {
            jobs.push(Job { mutation, shape, reference, odd: false });
            if mutation.is_swap() && services > 2 {
                jobs.push(Job { mutation, shape, reference, odd: true });
            }
        }
    }
    jobs
}

fn work<G: Guest>(guest: &G, services: &Services<'_>, job: &Job<'_, G::Plan>, cpu: &Cpu) -> Result<Done, ProveError> {
    let mut plan = job.reference.clone();
    let mut done = match job.mutation {
        mutation if mutation.is_swap() => swap::<G>(&mut plan, services, job),
        mutation if mutation.is_of_tables() => break_rows::<G>(&mut plan, services, mutation),
        mutation => break_stubs::<G>(&mut plan, mutation),
    };
    let ground = Ground { guest, reference: job.reference };
    done.wrong = run::run(ground, &plan, cpu, false, None)?;
    Ok(done)
}

/// Every other service and the next one of its table change places.
fn swap<G: Guest>(plan: &mut G::Plan, services: &Services<'_>, job: &Job<'_, G::Plan>) -> Done {
    let all = job.mutation == Mutation::SwappedRows;
    let mut done = Done::default();
    let rows: Vec<(usize, Row)> = services.rows().into_iter().enumerate().collect();
    for pair in rows[usize::from(job.odd).min(rows.len())..].chunks_exact(2) {
        let &[(at, a), (next, b)] = pair else { continue };
        if a.table == b.table {
            G::swap_rows(plan, a, b, all);
            done.mutants.push((at, vec![at, next]));
        }
    }
    done
}

fn break_rows<G: Guest>(plan: &mut G::Plan, services: &Services<'_>, mutation: Mutation) -> Done {
    let mut done = Done::default();
    for ((at, service), row) in services.iter().enumerate().zip(services.rows()) {
        match G::break_row(plan, row, service, mutation) {
            Change::Made => done.mutants.push((at, vec![at])),
            Change::Same(reason) => done.same.push((at, reason)),
            Change::Impossible => {}
        }
    }
    done
}

/// Breaks a service's stub in every set: where a shape has two ways in, a mutant is judged by both.
fn break_stubs<G: Guest>(plan: &mut G::Plan, mutation: Mutation) -> Done {
    let mut done = Done::default();
    for (set, stubs) in G::stubs_mut(plan).into_iter().enumerate() {
        for (at, stub) in stubs.iter_mut().enumerate() {
            let Some(broken) = mutation.of_stub(stub) else { continue };
            let same = Mutation::is_same(stub, &broken);
            *stub = broken;
            match same {
                _ if set > 0 => {}
                Some(reason) => done.same.push((at, reason)),
                None => done.mutants.push((at, vec![at])),
            }
        }
    }
    done
}

impl Mutants {
    fn count(&mut self, services: &Services<'_>, mutation: Mutation, shape: Shape, done: Done) {
        let names: Vec<&str> = services.iter().map(|service: &Service| service.name().nt()).collect();
        let name = |at: usize| names.get(at).copied().unwrap_or_default().to_owned();
        let mut findings: BTreeMap<u32, Vec<&Finding>> = BTreeMap::new();
        for wrong in &done.wrong {
            if let Some(call) = wrong.call {
                findings.entry(call).or_default().extend(&wrong.findings);
            }
        }
        let kind = kind(&mut self.kinds, shape.arch(), mutation);
        for (mutant, calls) in done.mutants {
            let calls = calls.iter().filter_map(|&call| findings.get(&u32::try_from(call).ok()?));
            let mut facts: Vec<&str> = calls.flatten().map(|finding| finding.what.name()).collect();
            facts.sort_unstable();
            facts.dedup();
            kind.total += 1;
            self.total += 1;
            if facts.is_empty() {
                self.survivors.push(Mutant { mutation, shape, service: name(mutant) });
                continue;
            }
            kind.rejected += 1;
            self.rejected += 1;
            for fact in facts {
                *kind.gave_away.entry(fact).or_default() += 1;
            }
        }
        kind.equivalent += done.same.len();
        let mut reasons: Vec<&'static str> = done.same.iter().map(|(_, reason)| *reason).collect();
        reasons.dedup();
        for reason in reasons {
            let of_reason = done.same.iter().filter(|(_, other)| *other == reason);
            self.set_aside(mutation, shape, of_reason.map(|&(at, _)| name(at)).collect(), reason);
        }
    }

    /// Shapes with the same services set aside for the same mutation stand together.
    fn set_aside(&mut self, mutation: Mutation, shape: Shape, services: Vec<String>, reason: &'static str) {
        let same = |group: &&mut Equivalent| {
            let arch = group.shapes.first().map(|shape| shape.arch());
            (group.mutation, arch, &group.services) == (mutation, Some(shape.arch()), &services)
        };
        match self.equivalent.iter_mut().find(same) {
            Some(group) => group.shapes.push(shape),
            None => self.equivalent.push(Equivalent { mutation, shapes: vec![shape], services, reason }),
        }
    }
}

fn kind(kinds: &mut Vec<Kind>, arch: Arch, mutation: Mutation) -> &mut Kind {
    let at = kinds.iter().position(|kind| (kind.arch, kind.mutation) == (arch, mutation)).unwrap_or_else(|| {
        kinds.push(Kind { arch, mutation, total: 0, rejected: 0, equivalent: 0, gave_away: BTreeMap::new() });
        kinds.len() - 1
    });
    &mut kinds[at]
}
