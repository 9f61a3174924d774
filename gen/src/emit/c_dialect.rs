//! How the C of an architecture differs.

use super::lines::Lines;
use crate::model::{Arch, Service};

/// The C of an architecture, without any header.
pub(super) struct Dialect {
    pub(super) arch: Arch,
    /// The attribute of services, for gcc; empty if its own convention is that of Windows.
    convention: &'static str,
    /// An unsigned type of 32 bits; on i386 that of ReactOS.
    pub(super) ulong: &'static str,
    /// A signed one, for NTSTATUS.
    pub(super) long: &'static str,
    /// A type as wide as an argument's place on the stack.
    pub(super) slot: &'static str,
}

impl Dialect {
    pub(super) const fn of(arch: Arch) -> Self {
        let (convention, ulong, long, slot) = match arch {
            Arch::I386 => ("stdcall", "unsigned long", "long", "unsigned long"),
            Arch::Amd64 => ("ms_abi", "unsigned int", "int", "unsigned long long"),
            Arch::Arm64 => ("", "unsigned int", "int", "unsigned long long"),
        };
        Self { arch, convention, ulong, long, slot }
    }

    /// `NTAPI`, unless it is there already.
    pub(super) fn push_convention(&self, out: &mut Lines) {
        let attribute = match self.convention {
            "" => String::new(),
            convention => format!(" __attribute__(({convention}))"),
        };
        out.line("#ifndef NTAPI");
        out.line("#ifdef _MSC_VER");
        out.line("#define NTAPI __stdcall");
        out.line("#else");
        out.line(&format!("#define NTAPI{attribute}"));
        out.line("#endif");
        out.line("#endif");
    }

    /// As many parameters as the service takes words.
    pub(super) fn slots(&self, service: &Service) -> String {
        match service.args(self.arch) {
            0 => "void".to_owned(),
            count => vec![self.slot; count.into()].join(", "),
        }
    }
}
