//! The CPU models on which proofs run.

use ntgate_gen::Arch;

use crate::machine::cpuid::{LONG_MODELS, MODELS, Model, feature};

/// A CPU model as a proof sees it. On a processor without CPUID the rest is zero.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Cpu {
    /// The name used in every interface.
    pub name: &'static str,
    /// Whether there is CPUID.
    pub cpuid: bool,
    /// The family.
    pub family: u32,
    /// The model, with the extended bits.
    pub model: u32,
    /// The stepping.
    pub stepping: u32,
    /// CPUID's SEP bit.
    pub sep: bool,
    /// Whether the 32-bit guest uses SYSENTER.
    pub sysenter: bool,
}

impl Cpu {
    /// The models of the bundled machine on which an architecture's guest runs, oldest first. None runs arm64.
    #[must_use]
    pub fn of(arch: Arch) -> Vec<Self> {
        match arch {
            Arch::I386 => MODELS.iter().map(Self::from_model).collect(),
            Arch::Amd64 => LONG_MODELS.iter().map(Self::from_model).collect(),
            Arch::Arm64 => Vec::new(),
        }
    }

    /// The model of this name.
    #[must_use]
    pub fn by_name(name: &str) -> Option<Self> {
        Model::by_name(name).map(Self::from_model)
    }

    /// Family, model and stepping as CPUID's signature has them (Intel SDM volume 2, CPUID, figure 3-6).
    fn from_model(from: &Model) -> Self {
        let name = from.name;
        if !from.has_cpuid {
            return Self { name, cpuid: false, family: 0, model: 0, stepping: 0, sep: false, sysenter: false };
        }
        let signature = from.signature;
        let base = signature >> 8 & 0xF;
        let family = if base == 0xF { base + (signature >> 20 & 0xFF) } else { base };
        let extended = if matches!(base, 0x6 | 0xF) { signature >> 12 & 0xF0 } else { 0 };
        let model = signature >> 4 & 0xF | extended;
        let (sep, sysenter) = (from.has(feature::SEP), from.has_sysenter());
        Self { name, cpuid: true, family, model, stepping: signature & 0xF, sep, sysenter }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_models_are_those_that_reach_different_entries() {
        let cpus = Cpu::of(Arch::I386);
        let with: Vec<_> = cpus.iter().filter(|cpu| cpu.sysenter).map(|cpu| cpu.name).collect();
        let without: Vec<_> = cpus.iter().filter(|cpu| !cpu.sysenter).map(|cpu| cpu.name).collect();
        assert_eq!(with, ["pentium2", "core2"]);
        assert_eq!(without, ["486", "pentium", "pentium-pro"]);
        let pro = cpus[2];
        assert!(pro.sep && !pro.sysenter && (pro.family, pro.model) == (6, 1));
        assert_eq!(cpus[4].model, 0xF);
    }

    #[test]
    fn models_with_long_mode_are_told_by_their_extended_model() {
        let cpus: Vec<_> = Cpu::of(Arch::Amd64).into_iter().map(|cpu| (cpu.name, cpu.family, cpu.model)).collect();
        assert_eq!(cpus, [("core2duo", 6, 0xF), ("nehalem", 6, 0x1A)]);
        assert!(Cpu::of(Arch::Arm64).is_empty());
    }
}
