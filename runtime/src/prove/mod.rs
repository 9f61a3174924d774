//! The proof: every stub, called on every CPU that reaches another way into the kernel, judged by what the guest logs.
//!
//! [`prove`] takes a list, builds an image for each profile that a shape belongs to, boots it on every CPU model and compares
//! each fact of each call ([`What`]) with what the list says. The guest judges nothing, and the judge has no part in the run: the
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
//! 4. the status came back, and non-volatile registers, segment registers and flags are what they were;
//! 5. the way in was the intended one, and the way out fits it;
//! 6. PreviousMode was right, the kernel stack is balanced, the chain of trap frames restored.
//!
//! The guests of i386 and amd64 differ in their records, and so in what is expected of them; plans, boots, judge and report
//! are the same.
//!
//! [`Options::mutate`] proves the prover: it breaks each stub in every way of [`Mutation`] and demands that each mutant
//! is rejected.

mod amd64;
mod code;
mod cpu;
mod entry;
mod error;
mod finding;
mod group;
mod guest;
mod i386;
mod json;
mod log;
mod mutate;
mod mutation;
mod parallel;
mod render;
mod report;
mod run;
#[cfg(test)]
mod tests;
mod verdict;

use std::time::Instant;

use ntgate_gen::{Arch, ServiceList, ServiceTable, Shape};

pub use code::{FoundCode, prove_code};
pub use cpu::Cpu;
pub use entry::Entry;
pub use error::ProveError;
pub use finding::{Finding, Value, What};
pub use mutate::{Equivalent, Kind, Mutant, Mutants};
pub use mutation::Mutation;
pub use parallel::Progress;
pub use report::{Difference, Failure, Refusals, Report, Run};

use group::{AnyGroup, Booted, System};
use guest::Services;

/// What to prove.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct Options {
    /// The architectures; none means all that can be proven, or those of the shapes.
    pub archs: Vec<Arch>,
    /// The shapes; none means all of the architectures'.
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

/// The architectures that can be proven, in the order of a report.
pub const ARCHS: [Arch; 2] = [Arch::I386, Arch::Amd64];

/// Where win32k's table begins. The kernel takes the table from bits 12 and 13 of a number.
const WIN32K_BASE: u32 = 0x1000;

/// Proves the stubs of a list: of the kernel's own table, and of win32k's if there is one. `name` is what the report calls
/// the list; `progress` is told of boots.
///
/// # Errors
///
/// If there is no verdict. A stub that is wrong is no error but a [`Failure`] in the report.
pub fn prove(list: &ServiceList, name: &str, options: &Options, progress: &Progress<'_>) -> Result<Report, ProveError> {
    let started = Instant::now();
    let services = services(list)?;
    let shapes = shapes(&options.archs, &options.shapes)?;
    let qemu = options.machine == MachineKind::Qemu;
    let groups = groups(&services, &shapes)?;
    let mut report = Report::new(name, services.len());
    report.notes = notes(list, &services, options, &shapes);

    let jobs: Vec<(&dyn AnyGroup, Cpu)> =
        groups.iter().flat_map(|group| group.cpus(qemu).into_iter().map(move |cpu| (&**group, cpu))).collect();
    for booted in parallel::run(&jobs, progress, |(group, cpu)| group.boot(cpu, qemu)) {
        let Booted { runs, difference } = booted?;
        report.runs.extend(runs);
        report.differences.extend(difference);
    }
    if qemu && report.differences.is_empty() {
        report.notes.push("the bundled machine and QEMU wrote the same logs, byte for byte".to_owned());
    }
    report.sort_runs(&shapes);
    if options.mutate {
        let mut mutants = Mutants::default();
        for group in &groups {
            group.mutate(progress, &mut mutants)?;
        }
        report.mutants = Some(mutants);
    }
    report.elapsed = started.elapsed();
    Ok(report)
}

/// The file of a bootable image with all stubs of an architecture, or with those of some shapes of it.
///
/// # Errors
///
/// If no guest runs the architecture, the list's first table is not the kernel's own, or the list does not fit the guest.
pub fn image(list: &ServiceList, arch: Arch, wanted: &[Shape]) -> Result<Vec<u8>, ProveError> {
    let services = services(list)?;
    let shapes = shapes(&[arch], wanted)?;
    let system = System::of_arch(arch).ok_or(ProveError::Arch { arch })?;
    Ok(system.group(&services, &shapes)?.elf().to_vec())
}

/// Each guest that the shapes need, assembled.
fn groups<'a>(services: &'a Services<'a>, shapes: &[Shape]) -> Result<Vec<Box<dyn AnyGroup + 'a>>, ProveError> {
    let systems = System::groups(shapes);
    parallel::run(&systems, &|_, _| {}, |(system, shapes)| system.group(services, shapes)).into_iter().collect()
}

/// The tables that the guests have.
fn services(list: &ServiceList) -> Result<Services<'_>, ProveError> {
    let kernel = list.primary();
    if kernel.base() != 0 {
        return Err(ProveError::Base { table: kernel.name().to_owned(), base: kernel.base() });
    }
    Ok(Services::new(kernel, list.tables().iter().find(|table| table.base() == WIN32K_BASE)))
}

/// Each shape once, in the order of the architectures and their shapes.
fn shapes(archs: &[Arch], wanted: &[Shape]) -> Result<Vec<Shape>, ProveError> {
    let mut asked = archs.iter().copied().chain(wanted.iter().map(|shape| shape.arch()));
    if let Some(arch) = asked.find(|arch| !ARCHS.contains(arch)) {
        return Err(ProveError::Arch { arch });
    }
    let of_archs = ARCHS.into_iter().filter(|arch| archs.is_empty() || archs.contains(arch));
    let all = of_archs.flat_map(|arch| Shape::of(arch).iter().copied());
    let shapes: Vec<Shape> = all.filter(|shape| wanted.is_empty() || wanted.contains(shape)).collect();
    if shapes.is_empty() {
        return Err(ProveError::NoShape);
    }
    Ok(shapes)
}

fn notes(list: &ServiceList, services: &Services<'_>, options: &Options, shapes: &[Shape]) -> Vec<String> {
    let mut notes = Vec::new();
    let has = |table: &ServiceTable| services.tables().iter().any(|known| known.name() == table.name());
    for other in list.tables().iter().filter(|table| !has(table)) {
        notes.push(format!(
            "the table {} ({}) is not proven: the guest has no table at {:#x}",
            other.name(),
            render::count(other.len(), "service"),
            other.base()
        ));
    }
    if options.machine == MachineKind::Qemu {
        if shapes.iter().any(|shape| shape.arch() == Arch::I386) {
            notes.push("486 is left out: QEMU's has CPUID".to_owned());
        }
        if options.mutate {
            notes.push("mutants run on the bundled machine only".to_owned());
        }
    }
    notes
}
