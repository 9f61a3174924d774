//! The processors that this machine can be: what CPUID says, and so which instructions exist.

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
    /// CMOVcc.
    pub const CMOV: u32 = 1 << 15;
}

/// A processor model.
#[derive(Debug, PartialEq, Eq)]
pub struct Model {
    /// The name on the command line.
    pub name: &'static str,
    /// Whether CPUID exists; without it EFLAGS.ID can't be changed and the instruction is #UD.
    pub has_cpuid: bool,
    /// CPUID.01H:EAX: family, model, stepping.
    pub signature: u32,
    /// CPUID.01H:EDX.
    pub features: u32,
}

impl Model {
    /// Whether it has this feature.
    pub fn has(&self, feature: u32) -> bool {
        self.features & feature != 0
    }
}
