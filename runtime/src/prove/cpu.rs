//! The CPU models on which proofs run.

use super::record::CpuFacts;
use crate::machine::cpuid::{MODELS, Model, feature};

/// A CPU model as a proof sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cpu {
    /// The name used in every interface.
    pub name: &'static str,
    /// What the guest has to find out about it.
    pub facts: CpuFacts,
}

impl Cpu {
    /// All models of the bundled machine, oldest first.
    #[must_use]
    pub fn all() -> Vec<Self> {
        MODELS.iter().map(Self::of).collect()
    }

    /// The model of this name.
    #[must_use]
    pub fn by_name(name: &str) -> Option<Self> {
        Model::by_name(name).map(Self::of)
    }

    fn of(model: &Model) -> Self {
        let facts = if model.has_cpuid { facts(model) } else { CpuFacts::default() };
        Self { name: model.name, facts }
    }
}

/// Family, model and stepping as CPUID's signature has them (Intel SDM volume 2, CPUID, figure 3-6).
fn facts(model: &Model) -> CpuFacts {
    let signature = model.signature;
    let base = signature >> 8 & 0xF;
    let family = if base == 0xF { base + (signature >> 20 & 0xFF) } else { base };
    let extended = if matches!(base, 0x6 | 0xF) { signature >> 12 & 0xF0 } else { 0 };
    CpuFacts {
        cpuid: true,
        family,
        model: signature >> 4 & 0xF | extended,
        stepping: signature & 0xF,
        sep: model.has(feature::SEP),
        sysenter: model.has_sysenter(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_models_are_those_that_reach_different_entries() {
        let cpus = Cpu::all();
        let with: Vec<_> = cpus.iter().filter(|cpu| cpu.facts.sysenter).map(|cpu| cpu.name).collect();
        let without: Vec<_> = cpus.iter().filter(|cpu| !cpu.facts.sysenter).map(|cpu| cpu.name).collect();
        assert_eq!(with, ["pentium2", "core2"]);
        assert_eq!(without, ["486", "pentium", "pentium-pro"]);
        let pro = cpus[2].facts;
        assert!(pro.sep && !pro.sysenter && (pro.family, pro.model) == (6, 1));
        assert_eq!(cpus[4].facts.model, 0xF);
    }
}
