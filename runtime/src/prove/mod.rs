//! The proof: every stub, called on every CPU that reaches another way into the kernel, judged by what the guest logs.
//!
//! [`prove`] takes a list, builds one image with all shapes, boots it on every CPU model and compares each fact of
//! each call ([`What`]) with what the list says. The guest judges nothing, and the judge has no part in the run: the
//! log is all there is between them. So the same judge serves for QEMU.
//!
//! ```
//! use ntgate_runtime::prove::{Options, prove};
//!
//! let read = ntgate_gen::read_list("two.lst", b"NtAcceptConnectPort 6\nNtClose 1\n").expect("the list is right");
//! let report = prove(&read.list, "two.lst", &Options::default(), &|_, _| {}).expect("the guest boots");
//! assert!(report.holds());
//! assert!(report.runs.iter().all(|run| run.proven == 2));
//! ```
//!
//! A call is right when all of this holds (the number is [`What::condition`]):
//!
//! 1. the number at dispatch is the list's, and the routine of that name ran, once;
//! 2. every argument arrived, in order, and no more than the argument table says was copied;
//! 3. the stack pointer after the call is the one before the arguments were pushed;
//! 4. the status came back, and registers, segment registers and flags are what they were;
//! 5. the way in was the intended one, and the way out fits it;
//! 6. PreviousMode was right, the kernel stack is balanced, the chain of trap frames restored.
//!
//! [`Options::mutate`] proves the prover: it breaks each stub in every way of [`Mutation`] and demands that each mutant
//! is rejected.

mod cpu;
mod error;
mod expect;
mod finding;
mod json;
mod mutate;
mod mutation;
mod parallel;
mod plan;
mod record;
mod render;
mod report;
mod run;
#[cfg(test)]
mod tests;
mod verdict;

use std::time::Instant;

use ntgate_gen::{Arch, ServiceList, ServiceTable, Shape};

pub use cpu::Cpu;
pub use error::ProveError;
pub use expect::{Expected, SetView};
pub use finding::{Finding, Value, What};
pub use mutate::{Equivalent, Kind, MUTANT_CPU, Mutant, Mutants};
pub use mutation::Mutation;
pub use parallel::Progress;
pub use plan::{Entry, entry_of, plan};
pub use record::{BrokenLog, BugCheck, CpuFacts, Log, LogEnd, LogProblem, Record, SetLog, SharedFacts, parse_log};
pub use report::{Difference, Failure, Refusals, Report, Run};
pub use verdict::{judge, judge_cpu, judge_set};

use crate::backend::{Boot, qemu};
use crate::nt::profile::SRV2003;
use crate::nt::{Image, Kernel};
use run::{Ground, Wrong};

/// What to prove.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct Options {
    /// The shapes; none means all of them.
    pub shapes: Vec<Shape>,
    /// Where the guest runs.
    pub machine: MachineKind,
    /// Prove the prover too.
    pub mutate: bool,
}

/// Where the guest runs.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum MachineKind {
    /// On the bundled machine.
    #[default]
    Bundled,
    /// On both: their logs have to be the same, byte for byte, and it is QEMU's that is judged.
    Qemu,
}

/// Proves the stubs of a list's first table. `name` is what the report calls the list; `progress` is told of boots.
///
/// # Errors
///
/// If there is no verdict. A stub that is wrong is no error but a [`Failure`] in the report.
pub fn prove(list: &ServiceList, name: &str, options: &Options, progress: &Progress<'_>) -> Result<Report, ProveError> {
    let started = Instant::now();
    let table = kernel_table(list)?;
    let shapes = shapes(&options.shapes)?;
    let kernel = Kernel::new(&SRV2003)?;
    let plan = plan(table, &shapes);
    let image = kernel.image(&plan)?;
    let ground = Ground { profile: &SRV2003, kernel: &kernel, reference: &plan };
    let mut report = Report::new(name, table.len());
    report.notes = notes(list, table, options);

    let qemu = options.machine == MachineKind::Qemu;
    let cpus = cpus(qemu);
    let boots = parallel::run(&cpus, progress, |cpu| boot(ground, &image, cpu, qemu));
    for (cpu, boot) in cpus.iter().zip(boots) {
        let (wrong, difference) = boot?;
        report.differences.extend(difference);
        report.add_runs(&plan, &image, &shapes, cpu, &wrong);
    }
    if qemu && report.differences.is_empty() {
        report.notes.push("the bundled machine and QEMU wrote the same logs, byte for byte".to_owned());
    }
    report.sort_runs(&shapes);
    if options.mutate {
        report.mutants = Some(mutate::mutate(&SRV2003, &kernel, table, &shapes, progress)?);
    }
    report.elapsed = started.elapsed();
    Ok(report)
}

/// The bootable image that [`prove`] runs, with all shapes unless some are named.
///
/// # Errors
///
/// If the list's first table is not the kernel's own, or does not fit the guest.
pub fn image(list: &ServiceList, wanted: &[Shape]) -> Result<Image, ProveError> {
    let table = kernel_table(list)?;
    Ok(Kernel::new(&SRV2003)?.image(&plan(table, &shapes(wanted)?))?)
}

fn kernel_table(list: &ServiceList) -> Result<&ServiceTable, ProveError> {
    let table = list.primary();
    if table.base() != 0 {
        return Err(ProveError::Base { table: table.name().to_owned(), base: table.base() });
    }
    Ok(table)
}

/// Each shape once, in the order of the shapes.
fn shapes(wanted: &[Shape]) -> Result<Vec<Shape>, ProveError> {
    if let Some(&shape) = wanted.iter().find(|shape| shape.arch() != Arch::I386) {
        return Err(ProveError::Shape { shape });
    }
    Ok(Shape::of(Arch::I386).iter().copied().filter(|shape| wanted.is_empty() || wanted.contains(shape)).collect())
}

fn cpus(qemu: bool) -> Vec<Cpu> {
    Cpu::all().into_iter().filter(|cpu| !qemu || qemu::cpu_argument(cpu.name).is_some()).collect()
}

fn notes(list: &ServiceList, table: &ServiceTable, options: &Options) -> Vec<String> {
    let mut notes = Vec::new();
    for other in list.tables().iter().filter(|other| other.name() != table.name()) {
        notes.push(format!(
            "the table {} ({}) is not proven: the guest has no such table",
            other.name(),
            render::count(other.len(), "service")
        ));
    }
    if options.machine == MachineKind::Qemu {
        notes.push("486 is left out: QEMU's has CPUID".to_owned());
        if options.mutate {
            notes.push("mutants run on the bundled machine only".to_owned());
        }
    }
    notes
}

/// Boots a CPU and judges it: under QEMU too, if that is asked for, and then it is QEMU's boot that is judged.
fn boot(
    ground: Ground<'_>,
    image: &Image,
    cpu: &Cpu,
    qemu: bool,
) -> Result<(Vec<Wrong>, Option<Difference>), ProveError> {
    let plan = ground.reference;
    let bundled = run::boot(image, plan, cpu, false)?;
    if !qemu {
        return Ok((run::run(ground, plan, cpu, false, Some((image, &bundled)))?, None));
    }
    let other = run::boot(image, plan, cpu, true)?;
    let difference = difference(cpu, &bundled, &other);
    Ok((run::run(ground, plan, cpu, true, Some((image, &other)))?, difference))
}

/// The first line in which the two machines' logs differ.
fn difference(cpu: &Cpu, bundled: &Boot, qemu: &Boot) -> Option<Difference> {
    if bundled.console == qemu.console {
        return None;
    }
    let lines = |boot: &Boot| -> Vec<String> {
        boot.console.split(|&byte| byte == b'\n').map(|line| String::from_utf8_lossy(line).into_owned()).collect()
    };
    let (ours, theirs) = (lines(bundled), lines(qemu));
    let at = ours.iter().zip(&theirs).position(|(a, b)| a != b).unwrap_or(ours.len().min(theirs.len()));
    let line = |lines: &[String]| lines.get(at).cloned().unwrap_or_default();
    Some(Difference { cpu: cpu.name, line: at + 1, bundled: line(&ours), qemu: line(&theirs) })
}
