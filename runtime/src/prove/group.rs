//! The shapes that are proven under one profile: one image, booted on every CPU.

use std::collections::BTreeSet;

use ntgate_gen::{Arch, Service, Shape, Stub, read_list};

use super::amd64::Amd64;
use super::cpu::Cpu;
use super::error::ProveError;
use super::guest::{Guest, Services};
use super::i386::I386;
use super::mutate::{self, Mutants};
use super::parallel::Progress;
use super::report::{Difference, Refusals, Run, failure};
use super::run::{self, Ground, Wrong};
use crate::backend::{Boot, qemu};
use crate::nt::BuildError;
use crate::nt::amd64::profile::WIN7_X64;
use crate::nt::lists::list_of;
use crate::nt::record::PAST_END;
use crate::nt::{amd64, i386};

/// A system whose guest can be booted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum System {
    I386(&'static i386::Profile),
    Amd64(&'static amd64::Profile),
}

impl System {
    /// All of them, each architecture's oldest first.
    pub(super) fn all() -> Vec<Self> {
        let i386 = i386::Profile::ALL.into_iter().map(Self::I386);
        i386.chain(amd64::Profile::ALL.into_iter().map(Self::Amd64)).collect()
    }

    /// The system of this name.
    pub(super) fn by_name(name: &str) -> Option<Self> {
        Self::all().into_iter().find(|system| system.name() == name)
    }

    /// The name of its profile.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::I386(profile) => profile.name,
            Self::Amd64(profile) => profile.name,
        }
    }

    /// The shapes of its stubs, its kernel's own last.
    pub(super) fn shapes(self) -> Vec<Shape> {
        match self {
            Self::I386(profile) => profile.shapes.iter().copied().chain([Shape::Zw]).collect(),
            Self::Amd64(profile) => profile.shapes.to_vec(),
        }
    }

    /// The system under which a shape's mutants run: the first that had it, or the nearest that there is.
    pub(super) fn of(shape: Shape) -> Option<Self> {
        match shape.arch() {
            Arch::I386 => i386::Profile::of_shape(shape).map(Self::I386),
            Arch::Amd64 => amd64::Profile::of_shape(shape).map(Self::Amd64),
            Arch::Arm64 => None,
        }
    }

    /// The system of an architecture whose image holds all shapes.
    pub(super) fn of_arch(arch: Arch) -> Option<Self> {
        match arch {
            Arch::I386 => Some(Self::I386(&i386::profile::SRV2003)),
            Arch::Amd64 => Some(Self::Amd64(&WIN7_X64)),
            Arch::Arm64 => None,
        }
    }

    /// Each system that had some of the shapes, with these.
    pub(super) fn groups(shapes: &[Shape]) -> Vec<(Self, Vec<Shape>)> {
        let of = |system: Self| shapes.iter().copied().filter(|shape| system.shapes().contains(shape)).collect();
        let groups = Self::all().into_iter().map(|system| (system, of(system)));
        groups.filter(|(_, shapes): &(_, Vec<_>)| !shapes.is_empty()).collect()
    }

    /// The architecture of its kernel.
    pub(super) fn arch(self) -> Arch {
        match self {
            Self::I386(_) => Arch::I386,
            Self::Amd64(_) => Arch::Amd64,
        }
    }

    /// In what the kernel's own services of a list are not those of the system; nothing if there is no list of the system's own.
    pub(super) fn misfits<'a>(self, services: &Services<'a>) -> Misfits<'a> {
        let mut misfits = Misfits::default();
        let Some(Ok(own)) = list_of(self.name()).map(|list| read_list(self.name(), list.as_bytes())) else {
            return misfits;
        };
        for service in services.kernel().services() {
            match own.list.primary().by_name(service.name().nt()) {
                None => misfits.missing.push(service),
                Some(had) => {
                    misfits.renumbered += usize::from(had.number() != service.number());
                    misfits.recounted += usize::from(had.args(self.arch()) != service.args(self.arch()));
                }
            }
        }
        misfits
    }

    /// Assembles the guest and builds its image.
    pub(super) fn group<'a>(
        self,
        services: &'a Services<'a>,
        shapes: &[Shape],
    ) -> Result<Box<dyn AnyGroup + 'a>, ProveError> {
        self.group_with(services, shapes, None)
    }

    /// As [`group`](Self::group), with other stubs than those of the generator if there are any: they take the place of
    /// those of every set.
    pub(super) fn group_with<'a>(
        self,
        services: &'a Services<'a>,
        shapes: &[Shape],
        stubs: Option<&[Stub]>,
    ) -> Result<Box<dyn AnyGroup + 'a>, ProveError> {
        let describe = |error| ProveError::build(error, services);
        Ok(match self {
            Self::I386(profile) => {
                Box::new(Group::with(I386::new(profile)?, services, shapes, stubs).map_err(describe)?)
            }
            Self::Amd64(profile) => {
                Box::new(Group::with(Amd64::new(profile)?, services, shapes, stubs).map_err(describe)?)
            }
        })
    }
}

/// What a system had in another way than a list has it.
#[derive(Debug, Default)]
pub(super) struct Misfits<'a> {
    /// Services that it did not have.
    pub(super) missing: Vec<&'a Service>,
    /// How many had another number.
    pub(super) renumbered: usize,
    /// How many took another number of arguments.
    pub(super) recounted: usize,
}

/// The shapes of one profile, whatever the guest.
pub(super) trait AnyGroup: Sync + Send {
    /// The CPUs on which the guest runs, of those that QEMU has too if that is asked for.
    fn cpus(&self, qemu: bool) -> Vec<Cpu>;

    /// The image's file.
    fn elf(&self) -> &[u8];

    /// Boots a CPU and judges it: under QEMU too, if that is asked for, and then it is QEMU's boot that is judged.
    fn boot(&self, cpu: &Cpu, qemu: bool) -> Result<Booted, ProveError>;

    /// Runs the mutants of those shapes for which the profile stands, or of `all`.
    fn mutate(&self, all: bool, progress: &Progress<'_>, mutants: &mut Mutants) -> Result<(), ProveError>;
}

/// What one CPU has shown.
#[derive(Debug)]
pub(super) struct Booted {
    /// One for each set that the CPU runs.
    pub(super) runs: Vec<Run>,
    pub(super) difference: Option<Difference>,
}

/// The shapes of one profile.
pub(super) struct Group<'a, G: Guest> {
    pub(super) guest: G,
    services: &'a Services<'a>,
    shapes: Vec<Shape>,
    pub(super) plan: G::Plan,
    pub(super) image: G::Image,
}

impl<'a, G: Guest> Group<'a, G> {
    #[cfg(test)]
    pub(super) fn new(guest: G, services: &'a Services<'a>, shapes: &[Shape]) -> Result<Self, BuildError> {
        Self::with(guest, services, shapes, None)
    }

    fn with(
        guest: G,
        services: &'a Services<'a>,
        shapes: &[Shape],
        stubs: Option<&[Stub]>,
    ) -> Result<Self, BuildError> {
        let mut plan = guest.plan(services, shapes);
        if let Some(stubs) = stubs {
            for set in G::stubs_mut(&mut plan) {
                *set = stubs.to_vec();
            }
        }
        let image = guest.image(&plan)?;
        Ok(Self { guest, services, shapes: shapes.to_vec(), plan, image })
    }

    /// A set of the group's own image, as it is judged on a CPU.
    #[cfg(test)]
    pub(super) fn view<'v>(&'v self, index: usize, cpu: &'v Cpu) -> super::guest::SetView<'v, G> {
        super::guest::SetView { guest: &self.guest, plan: &self.plan, image: &self.image, index, cpu }
    }

    fn ground(&self) -> Ground<'_, G> {
        Ground { guest: &self.guest, reference: &self.plan }
    }

    /// A run for every set that the CPU can run, and for every other one of which something is wrong all the same: that
    /// its set ran, or that the log does not end as it has to.
    pub(super) fn runs(&self, cpu: &Cpu, wrong: &[Wrong]) -> Vec<Run> {
        let sets = G::sets(&self.plan).enumerate();
        sets.filter_map(|(index, set)| {
            let wrong: Vec<&Wrong> = wrong.iter().filter(|wrong| wrong.set == index).collect();
            let elsewhere = || Cpu::by_name(G::MUTANT_CPU).and_then(|cpu| self.guest.entry(&set, &cpu));
            let entry = self.guest.entry(&set, cpu).or_else(|| elsewhere().filter(|_| !wrong.is_empty()))?;
            let calls = G::calls(&self.image, index);
            let (services, others): (Vec<u32>, Vec<u32>) = calls.into_iter().partition(|&call| call < PAST_END);
            let bad: BTreeSet<Option<u32>> = wrong.iter().map(|wrong| wrong.call).collect();
            // What is wrong with a set as a whole leaves none of its calls proven.
            let is_right = |call: &&u32| !bad.contains(&None) && !bad.contains(&Some(**call));
            let right = |calls: &[u32]| calls.iter().filter(is_right).count();
            let findings = wrong.iter().flat_map(|wrong| wrong.findings.iter().map(|finding| (*wrong, finding)));
            Some(Run {
                shape: set.shape()?,
                profile: self.guest.profile(),
                cpu: cpu.name,
                entry,
                proven: right(&services),
                total: services.len(),
                refusals: Refusals { proven: right(&others), total: others.len() },
                failures: findings.map(|(wrong, finding)| failure(self.services, &set, wrong.call, finding)).collect(),
            })
        })
        .collect()
    }
}

impl<G: Guest> AnyGroup for Group<'_, G> {
    fn cpus(&self, qemu: bool) -> Vec<Cpu> {
        self.guest.cpus().into_iter().filter(|cpu| !qemu || qemu::has(cpu.name)).collect()
    }

    fn elf(&self) -> &[u8] {
        G::elf(&self.image)
    }

    fn boot(&self, cpu: &Cpu, qemu: bool) -> Result<Booted, ProveError> {
        let bundled = run::boot::<G>(&self.image, &self.plan, cpu, false)?;
        let (judged, difference) = if qemu {
            let other = run::boot::<G>(&self.image, &self.plan, cpu, true)?;
            let difference = difference(cpu, &bundled, &other);
            (other, difference)
        } else {
            (bundled, None)
        };
        let wrong = run::run(self.ground(), &self.plan, cpu, qemu, Some((&self.image, &judged)))?;
        Ok(Booted { runs: self.runs(cpu, &wrong), difference })
    }

    fn mutate(&self, all: bool, progress: &Progress<'_>, mutants: &mut Mutants) -> Result<(), ProveError> {
        let stands_for = |shape: Shape| System::of(shape).is_some_and(|system| system.name() == self.guest.profile());
        let shapes: Vec<Shape> = self.shapes.iter().copied().filter(|&shape| all || stands_for(shape)).collect();
        mutate::mutate(&self.guest, self.services, &shapes, progress, mutants)
    }
}

/// The first line in which the two machines' logs differ.
pub(super) fn difference(cpu: &Cpu, bundled: &Boot, qemu: &Boot) -> Option<Difference> {
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
