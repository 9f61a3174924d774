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
mod error;
mod finding;
mod group;
mod guest;
#[cfg(feature = "picture")]
mod html;
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

use ntgate_gen::table::{REGISTER_ARGS, locate};
use ntgate_gen::{Arch, Service, ServiceList, ServiceTable, Shape};

pub use crate::nt::Entry;
pub use code::{FoundCode, prove_code};
pub use cpu::Cpu;
pub use error::ProveError;
pub use finding::{Finding, Value, What};
pub use mutate::{Equivalent, Kind, Mutant, Mutants};
pub use mutation::Mutation;
pub use parallel::Progress;
pub use report::{Difference, Failure, Refusals, Report, Run};

use crate::nt::amd64::layout::{COPY_RUN, MAX_SYSCALL_PARAMS};
use group::{AnyGroup, Booted, Misfits, System};
use guest::Services;

/// What to prove.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct Options {
    /// The architectures; none means those that the list is for.
    pub archs: Vec<Arch>,
    /// The shapes; none means all of the architectures'.
    pub shapes: Vec<Shape>,
    /// The system that the guest is to be, by the name of its profile: its shapes are proven. None means each shape under every
    /// system that had it; mutants run under the first of them.
    pub profile: Option<String>,
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

/// win32k's among the tables that the bits above the row choose from.
const WIN32K: u32 = 1;

/// Proves the stubs of a list: of the kernel's own table, and of win32k's if there is one. `name` is what the report calls
/// the list; `progress` is told of boots.
///
/// # Errors
///
/// If there is no verdict. A stub that is wrong is no error but a [`Failure`] in the report.
pub fn prove(list: &ServiceList, name: &str, options: &Options, progress: &Progress<'_>) -> Result<Report, ProveError> {
    let started = Instant::now();
    let services = services(list)?;
    let system = options.profile.as_deref().map(system).transpose()?;
    let mut shapes = match system {
        Some(system) => shapes_of(system, &options.archs, &options.shapes)?,
        None => shapes(&options.archs, &options.shapes)?,
    };
    let mut report = Report::new(name, services.len());
    report.notes.extend(leave_out(&services, options, &mut shapes));
    let systems = system.map_or_else(|| System::groups(&shapes), |system| vec![(system, shapes.clone())]);
    let qemu = options.machine == MachineKind::Qemu;
    let groups = groups(&services, &systems)?;
    report.notes.extend(notes(list, &services, options, &shapes));
    // Of the systems that are proven, not of all that there are.
    let left_out = |group: &dyn AnyGroup| group.cpus(false).len() > group.cpus(true).len();
    if qemu && groups.iter().any(|group| left_out(&**group)) {
        report.notes.push("486 is left out: QEMU's has CPUID".to_owned());
    }
    report.notes.extend(system.into_iter().flat_map(|system| misfits(system, &services)));

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
            group.mutate(system.is_some(), progress, &mut mutants)?;
        }
        report.mutants = Some(mutants);
    }
    report.elapsed = started.elapsed();
    Ok(report)
}

/// The file of a bootable image with all stubs of an architecture, or with those of some shapes of it, under a system that
/// takes them all.
///
/// # Errors
///
/// If no guest runs the architecture, the list's first table is not the kernel's own, or the list does not fit the guest.
pub fn image(list: &ServiceList, arch: Arch, wanted: &[Shape]) -> Result<Vec<u8>, ProveError> {
    let services = services(list)?;
    let system = System::of_arch(arch).ok_or(ProveError::Arch { arch })?;
    Ok(system.group(&services, &shapes(&[arch], wanted)?)?.elf().to_vec())
}

/// The file of a bootable image with the stubs of a system, by the name of its profile. `arch` is that which it should be of, if
/// that matters.
///
/// # Errors
///
/// As for [`image`], and if there is no such profile, it is of another architecture, or the system did not have a shape.
pub fn image_of(
    list: &ServiceList,
    profile: &str,
    arch: Option<Arch>,
    wanted: &[Shape],
) -> Result<Vec<u8>, ProveError> {
    let services = services(list)?;
    let system = system(profile)?;
    let shapes = shapes_of(system, arch.as_slice(), wanted)?;
    Ok(system.group(&services, &shapes)?.elf().to_vec())
}

/// The names of all profiles.
#[must_use]
pub fn profiles() -> Vec<&'static str> {
    System::all().into_iter().map(System::name).collect()
}

/// Each guest that is needed, assembled.
fn groups<'a>(
    services: &'a Services<'a>,
    systems: &[(System, Vec<Shape>)],
) -> Result<Vec<Box<dyn AnyGroup + 'a>>, ProveError> {
    parallel::run(systems, &|_, _| {}, |(system, shapes)| system.group(services, shapes)).into_iter().collect()
}

fn system(name: &str) -> Result<System, ProveError> {
    System::by_name(name).ok_or_else(|| ProveError::Profile { name: name.to_owned(), known: profiles() })
}

/// The tables that the guests have.
fn services(list: &ServiceList) -> Result<Services<'_>, ProveError> {
    let kernel = list.primary();
    if kernel.base() != 0 {
        return Err(ProveError::Base { table: kernel.name().to_owned(), base: kernel.base() });
    }
    Ok(Services::new(kernel, list.tables().iter().find(|table| locate(table.base()) == (WIN32K, 0))))
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

/// The shapes of a system, as far as they are wanted; an error for one that it did not have.
fn shapes_of(system: System, archs: &[Arch], wanted: &[Shape]) -> Result<Vec<Shape>, ProveError> {
    let known = system.shapes();
    if let Some(&arch) = archs.first().filter(|_| !archs.contains(&system.arch())) {
        return Err(ProveError::ArchOfProfile { profile: system.name(), arch });
    }
    if let Some(&shape) = wanted.iter().find(|shape| !known.contains(shape)) {
        return Err(ProveError::ShapeOfProfile { shape, profile: system.name(), known });
    }
    let wants = |shape: &Shape| wanted.is_empty() || wanted.contains(shape);
    Ok(known.into_iter().filter(wants).collect())
}

/// In what a list is not its system's.
fn misfits(system: System, services: &Services<'_>) -> Vec<String> {
    const NAMED: usize = 4;
    let Misfits { missing, renumbered, recounted } = system.misfits(services);
    let name = system.name();
    let mut notes = Vec::new();
    if !missing.is_empty() {
        let mut names: Vec<&str> = missing.iter().take(NAMED).map(|service| service.name().nt()).collect();
        let more = missing.len().saturating_sub(NAMED);
        let others = format!("{more} more");
        if more > 0 {
            names.push(&others);
        }
        let count = render::count(missing.len(), "service");
        notes.push(format!("{name} did not have {count}: {}", names.join(", ")));
    }
    for (count, what) in [(renumbered, "number"), (recounted, "argument count")] {
        if count > 0 {
            notes.push(format!("{} had another {what} in {name}", render::count(count, "service")));
        }
    }
    notes
}

/// A list that is for i386 alone is proven for i386 alone, unless amd64 is asked for.
fn leave_out(services: &Services<'_>, options: &Options, shapes: &mut Vec<Shape>) -> Option<String> {
    const MOST: usize = REGISTER_ARGS as usize + COPY_RUN;
    let service = services.iter().find(|service| usize::from(service.args(Arch::Amd64)) > MOST)?;
    let amd64 = |shape: &Shape| shape.arch() == Arch::Amd64;
    if !options.archs.is_empty() || shapes.iter().all(amd64) || !shapes.iter().any(amd64) {
        return None;
    }
    shapes.retain(|shape| !amd64(shape));
    let (name, line) = (service.name(), service.line());
    Some(format!(
        "amd64 is left out: line {line}: {name} has more parameters than the {MOST} that a 64-bit kernel takes"
    ))
}

/// What ReactOS's own kernel would not do for the stubs that are its own.
fn reactos_limit(services: &Services<'_>, shapes: &[Shape]) -> Option<String> {
    let most = |service: &&Service| u32::from(service.args(Arch::Amd64)) > MAX_SYSCALL_PARAMS;
    let service = services.iter().find(most).filter(|_| shapes.contains(&Shape::SyscallReactos))?;
    Some(format!(
        "ReactOS's own amd64 kernel copies no more than {MAX_SYSCALL_PARAMS} arguments; {} has {}",
        service.name(),
        service.args(Arch::Amd64)
    ))
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
    notes.extend(reactos_limit(services, shapes));
    if options.machine == MachineKind::Qemu && options.mutate {
        notes.push("mutants run on the bundled machine only".to_owned());
    }
    notes
}
