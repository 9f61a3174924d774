//! The processors that this machine can be: what CPUID says, and so which instructions exist.
//!
//! Signatures and leaves are those of the QEMU models of the same kind (`target/i386/cpu.c`), less the features that this
//! machine does not execute.

use iced_x86::{CpuidFeature, Instruction};

/// CPUID.01H:EDX feature bits (SDM vol. 2, CPUID, table 3-11).
pub mod feature {
    /// Page-size extensions.
    pub const PSE: u32 = 1 << 3;
    /// RDTSC.
    pub const TSC: u32 = 1 << 4;
    /// RDMSR and WRMSR.
    pub const MSR: u32 = 1 << 5;
    /// CMPXCHG8B.
    pub const CX8: u32 = 1 << 8;
    /// SYSENTER and SYSEXIT.
    pub const SEP: u32 = 1 << 11;
    /// Physical-address extension.
    pub const PAE: u32 = 1 << 6;
    /// Global pages.
    pub const PGE: u32 = 1 << 13;
    /// CMOVcc.
    pub const CMOV: u32 = 1 << 15;
    /// CLFLUSH.
    pub const CLFSH: u32 = 1 << 19;
    /// FXSAVE and FXRSTOR.
    pub const FXSR: u32 = 1 << 24;
    /// SSE.
    pub const SSE: u32 = 1 << 25;
    /// SSE2.
    pub const SSE2: u32 = 1 << 26;
}

/// CPUID.80000001H:EDX feature bits (SDM vol. 2, CPUID, table 3-8).
pub mod extended {
    /// SYSCALL and SYSRET, in 64-bit mode.
    pub const SYSCALL: u32 = 1 << 11;
    /// No-execute pages.
    pub const NX: u32 = 1 << 20;
    /// RDTSCP and IA32_TSC_AUX.
    pub const RDTSCP: u32 = 1 << 27;
    /// Long mode.
    pub const LM: u32 = 1 << 29;
}

/// A processor model.
#[derive(Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Model {
    /// The name on the command line.
    pub name: &'static str,
    /// Whether CPUID exists; without it EFLAGS.ID can't be changed and the instruction is #UD.
    pub has_cpuid: bool,
    /// CPUID.01H:EAX: family, model, stepping.
    pub signature: u32,
    /// CPUID.01H:EDX.
    pub features: u32,
    /// CPUID.01H:ECX.
    pub features_c: u32,
    /// CPUID.80000001H:EDX; 0 if there are no extended leaves.
    pub extended: u32,
    /// The highest CPUID leaf.
    max_leaf: u32,
    /// Bits of CR4 that the processor has and this machine does not: setting one ends the run.
    pub(crate) cr4_beyond: u32,
    /// Instructions that the processor has and this machine does not, or not all of them: executing one that is missing
    /// ends the run.
    beyond: &'static [CpuidFeature],
}

const PENTIUM: u32 = feature::PSE | feature::TSC | feature::MSR | feature::CX8;
const P6: u32 = PENTIUM | feature::SEP | feature::CMOV;

/// What the machine has of the processors with long mode.
const LONG: u32 = P6 | feature::PAE | feature::PGE | feature::CLFSH | feature::FXSR | feature::SSE | feature::SSE2;

/// CPUID.01H:ECX: CMPXCHG16B.
const CX16: u32 = 1 << 13;
/// CPUID.80000001H:ECX: LAHF and SAHF in 64-bit mode.
const LAHF: u32 = 1 << 0;

/// CR4 of the Pentium: VME, PVI, DE, MCE.
const CR4_PENTIUM: u32 = 1 << 0 | 1 << 1 | 1 << 3 | 1 << 6;
/// And of the P6 family: PAE, PGE, PCE.
const CR4_P6: u32 = CR4_PENTIUM | 1 << 5 | 1 << 7 | CR4_PCE;
const CR4_PCE: u32 = 1 << 8;
/// OSFXSR; and OSXMMEXCPT.
const CR4_OSFXSR: u32 = 1 << 9;
const CR4_OSXMMEXCPT: u32 = 1 << 10;

/// The first extended leaf, and the last.
const EXTENDED: u32 = 0x8000_0000;
const EXTENDED_LAST: u32 = 0x8000_0008;

/// The models, oldest first.
pub static MODELS: [Model; 5] = [
    Model {
        name: "486",
        has_cpuid: false,
        signature: 0x480,
        features: 0,
        features_c: 0,
        extended: 0,
        max_leaf: 0,
        cr4_beyond: 0,
        beyond: &[],
    },
    Model {
        name: "pentium",
        has_cpuid: true,
        signature: 0x543,
        features: PENTIUM,
        features_c: 0,
        extended: 0,
        max_leaf: 1,
        cr4_beyond: CR4_PENTIUM,
        beyond: &[CpuidFeature::MMX, CpuidFeature::RDPMC],
    },
    Model {
        // The SEP bit of this one is set although SYSENTER does not work (SDM vol. 2, SYSENTER).
        name: "pentium-pro",
        has_cpuid: true,
        signature: 0x619,
        features: P6,
        features_c: 0,
        extended: 0,
        max_leaf: 2,
        cr4_beyond: CR4_P6,
        beyond: &[],
    },
    Model {
        name: "pentium2",
        has_cpuid: true,
        signature: 0x652,
        features: P6,
        features_c: 0,
        extended: 0,
        max_leaf: 2,
        cr4_beyond: CR4_P6 | CR4_OSFXSR,
        beyond: &[CpuidFeature::MMX, CpuidFeature::FXSR],
    },
    Model {
        name: "core2",
        has_cpuid: true,
        signature: 0x6FB,
        features: P6,
        features_c: 0,
        extended: 0,
        max_leaf: 10,
        cr4_beyond: CR4_P6 | CR4_OSFXSR | CR4_OSXMMEXCPT,
        beyond: &[
            CpuidFeature::MMX,
            CpuidFeature::FXSR,
            CpuidFeature::SSE,
            CpuidFeature::SSE2,
            CpuidFeature::SSE3,
            CpuidFeature::SSSE3,
            CpuidFeature::CLFSH,
            CpuidFeature::MONITOR,
        ],
    },
];

/// The models with long mode, which a 32-bit proof does not need. QEMU has them as `core2duo`, and as `Nehalem,+rdtscp`.
pub static LONG_MODELS: [Model; 2] = [
    Model {
        name: "core2duo",
        has_cpuid: true,
        signature: 0x6FB,
        features: LONG,
        features_c: CX16,
        extended: extended::SYSCALL | extended::NX | extended::LM,
        max_leaf: 10,
        cr4_beyond: CR4_PENTIUM | CR4_PCE,
        beyond: &LONG_BEYOND,
    },
    Model {
        name: "nehalem",
        has_cpuid: true,
        signature: 0x106A3,
        features: LONG,
        features_c: CX16,
        extended: extended::SYSCALL | extended::NX | extended::RDTSCP | extended::LM,
        max_leaf: 11,
        cr4_beyond: CR4_PENTIUM | CR4_PCE,
        beyond: &NEHALEM_BEYOND,
    },
];

/// Instruction sets of which the machine has none or only a part.
const LONG_BEYOND: [CpuidFeature; 7] = [
    CpuidFeature::MMX,
    CpuidFeature::FXSR,
    CpuidFeature::SSE,
    CpuidFeature::SSE2,
    CpuidFeature::SSE3,
    CpuidFeature::SSSE3,
    CpuidFeature::MONITOR,
];
const NEHALEM_BEYOND: [CpuidFeature; 10] = [
    CpuidFeature::MMX,
    CpuidFeature::FXSR,
    CpuidFeature::SSE,
    CpuidFeature::SSE2,
    CpuidFeature::SSE3,
    CpuidFeature::SSSE3,
    CpuidFeature::MONITOR,
    CpuidFeature::SSE4_1,
    CpuidFeature::SSE4_2,
    CpuidFeature::POPCNT,
];

impl Model {
    /// The model of this name, of either list.
    pub fn by_name(name: &str) -> Option<&'static Model> {
        MODELS.iter().chain(&LONG_MODELS).find(|model| model.name == name)
    }

    /// Whether it has one of these features of CPUID.80000001H:EDX.
    pub fn has_extended(&self, features: u32) -> bool {
        self.extended & features != 0
    }

    /// Whether it has this feature.
    pub fn has(&self, feature: u32) -> bool {
        self.features & feature != 0
    }

    /// The family, from the signature.
    pub fn family(&self) -> u32 {
        self.signature >> 8 & 15
    }

    /// Whether SYSENTER works: the feature bit, less the processors whose bit lies (SDM vol. 2, SYSENTER; in the form
    /// that operating systems test, signature below 633h).
    pub fn has_sysenter(&self) -> bool {
        self.has(feature::SEP) && self.signature & 0xFFF >= 0x633
    }

    /// What CPUID gives for this EAX: EAX, EBX, ECX, EDX. A leaf beyond the last one gives the last one's.
    pub fn leaf(&self, eax: u32) -> [u32; 4] {
        let last = self.max_leaf;
        if self.extended != 0 && (EXTENDED..=EXTENDED_LAST).contains(&eax) {
            return self.extended_leaf(eax);
        }
        match eax.min(last) {
            0 => [last, u32::from_le_bytes(*b"Genu"), u32::from_le_bytes(*b"ntel"), u32::from_le_bytes(*b"ineI")],
            // EBX: CLFLUSH line size, 8 bytes times 8, as QEMU has it on every model.
            1 => [self.signature, 0x800, self.features_c, self.features],
            // Cache descriptors: 32 KiB each of L1, 2 MiB of L2.
            2 => [1, 0, 0x4D, 0x002C_307D],
            _ => [0; 4],
        }
    }

    fn extended_leaf(&self, eax: u32) -> [u32; 4] {
        match eax {
            EXTENDED => [EXTENDED_LAST, 0, 0, 0],
            0x8000_0001 => [self.signature, 0, LAHF, self.extended],
            // 40 bits of physical and 48 of linear addresses.
            EXTENDED_LAST => [0x3028, 0, 0, 0],
            _ => [0; 4],
        }
    }

    /// Whether the processor has this instruction; one that it does not have is #UD.
    ///
    /// True for instructions that it has and this machine does not: those end the run.
    pub fn executes(&self, instruction: &Instruction) -> bool {
        instruction.cpuid_features().iter().all(|feature| self.has_instructions(*feature))
    }

    fn has_instructions(&self, feature: CpuidFeature) -> bool {
        use CpuidFeature as F;
        match feature {
            F::INTEL8086 | F::INTEL186 | F::INTEL286 | F::INTEL386 | F::INTEL486 | F::INTEL8086_ONLY => true,
            // Hints, which older processors execute as NOP.
            F::PAUSE => true,
            F::CET_IBT | F::CET_SS | F::MULTIBYTENOP | F::CLDEMOTE => self.family() >= 6,
            F::FPU | F::FPU287 | F::FPU387 => true,
            F::CPUID => self.has_cpuid,
            F::TSC => self.has(feature::TSC),
            F::MSR => self.has(feature::MSR),
            F::CX8 => self.has(feature::CX8),
            F::SEP => self.has_sysenter(),
            F::CMOV => self.has(feature::CMOV),
            F::X64 => self.has_extended(extended::LM),
            F::SYSCALL => self.has_extended(extended::SYSCALL),
            F::RDTSCP => self.has_extended(extended::RDTSCP),
            F::CMPXCHG16B => self.features_c & CX16 != 0,
            F::CLFSH => self.has(feature::CLFSH) || self.beyond.contains(&feature),
            F::RDPMC => self.family() >= 6 || self.beyond.contains(&feature),
            other => self.beyond.contains(&other),
        }
    }
}

#[cfg(test)]
mod tests;
