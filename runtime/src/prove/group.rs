//! The shapes that are proven under one profile: one image, booted on every CPU.

use std::collections::BTreeSet;

use ntgate_gen::{Arch, Shape, Stub};

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
use crate::nt::amd64::profile::{WIN7_X64, WIN10_X64};
use crate::nt::profile::SRV2003;
use crate::nt::record::PAST_END;

/// A system whose guest can be booted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum System {
    Srv2003,
    Win7X64,
    Win10X64,
}

impl System {
    const ALL: [Self; 3] = [Self::Srv2003, Self::Win7X64, Self::Win10X64];

    /// The system under which a shape is proven: the one that had it, or the nearest that there is.
    pub(super) fn of(shape: Shape) -> Option<Self> {
        match (shape.arch(), shape) {
            (Arch::I386, _) => Some(Self::Srv2003),
            (Arch::Amd64, Shape::SyscallOrInt2e) => Some(Self::Win10X64),
            (Arch::Amd64, _) => Some(Self::Win7X64),
            (Arch::Arm64, _) => None,
        }
    }

    /// The system of an architecture whose image holds all shapes.
    pub(super) fn of_arch(arch: Arch) -> Option<Self> {
        match arch {
            Arch::I386 => Some(Self::Srv2003),
            Arch::Amd64 => Some(Self::Win7X64),
            Arch::Arm64 => None,
        }
    }

    /// Each system that some of the shapes need, with these.
    pub(super) fn groups(shapes: &[Shape]) -> Vec<(Self, Vec<Shape>)> {
        let of = |system| shapes.iter().copied().filter(|&shape| Self::of(shape) == Some(system)).collect();
        Self::ALL
            .into_iter()
            .map(|system| (system, of(system)))
            .filter(|(_, shapes): &(_, Vec<_>)| !shapes.is_empty())
            .collect()
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
            Self::Srv2003 => Box::new(Group::with(I386::new(&SRV2003)?, services, shapes, stubs).map_err(describe)?),
            Self::Win7X64 => Box::new(Group::with(Amd64::new(&WIN7_X64)?, services, shapes, stubs).map_err(describe)?),
            Self::Win10X64 => {
                Box::new(Group::with(Amd64::new(&WIN10_X64)?, services, shapes, stubs).map_err(describe)?)
            }
        })
    }
}

/// The shapes of one profile, whatever the guest.
pub(super) trait AnyGroup: Sync + Send {
    /// The CPUs on which the guest runs, of those that QEMU has too if that is asked for.
    fn cpus(&self, qemu: bool) -> Vec<Cpu>;

    /// The image's file.
    fn elf(&self) -> &[u8];

    /// Boots a CPU and judges it: under QEMU too, if that is asked for, and then it is QEMU's boot that is judged.
    fn boot(&self, cpu: &Cpu, qemu: bool) -> Result<Booted, ProveError>;

    /// Runs all mutants.
    fn mutate(&self, progress: &Progress<'_>, mutants: &mut Mutants) -> Result<(), ProveError>;
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
            let elsewhere = || Cpu::by_name(G::MUTANT_CPU).and_then(|cpu| G::entry(&set, &cpu));
            let entry = G::entry(&set, cpu).or_else(|| elsewhere().filter(|_| !wrong.is_empty()))?;
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
        let arch = self.shapes.first().map_or(Arch::I386, |shape| shape.arch());
        Cpu::of(arch).into_iter().filter(|cpu| !qemu || qemu::has(cpu.name)).collect()
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

    fn mutate(&self, progress: &Progress<'_>, mutants: &mut Mutants) -> Result<(), ProveError> {
        mutate::mutate(&self.guest, self.services, &self.shapes, progress, mutants)
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
