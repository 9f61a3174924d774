//! The names of the shapes, and what is true of each whatever the service.

use std::fmt;
use std::str::FromStr;

use crate::model::{Arch, UnknownName};

/// Which of the two encodings of a move between registers a stub has.
///
/// Both execute alike. Microsoft's assembler and compilers write opcode 8Bh (`mov r, r/m`), GNU as and LLVM write 89h
/// (`mov r/m, r`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Encoding {
    /// `mov edx,esp` is `8B D4`.
    Msvc,
    /// `mov edx,esp` is `89 E2`.
    Gnu,
}

impl Encoding {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Msvc, Self::Gnu];

    /// The name used in every interface.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Msvc => "msvc",
            Self::Gnu => "gnu",
        }
    }
}

impl fmt::Display for Encoding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for Encoding {
    type Err = UnknownName;

    fn from_str(text: &str) -> Result<Self, UnknownName> {
        let found = Self::ALL.into_iter().find(|encoding| encoding.name() == text);
        found.ok_or_else(|| UnknownName::new("encoding", text, Self::ALL.map(Self::name).join(", ")))
    }
}

/// How a stub gets into the kernel. Each variant's instructions are in one file of this module and nowhere else.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Shape {
    /// `int 2Eh` within an `ebp` frame: ReactOS, 2002 to 2004.
    Int2eFrame,
    /// `lea edx,[esp+4]; int 2Eh`: NT 3.5 to Windows 2000, ReactOS until 2002.
    Int2e,
    /// Calls the code in the shared page: Windows XP to SP1, Server 2003 without service pack.
    SharedCallEdx,
    /// Calls what the shared page points to, through `edx`: Windows XP SP2 to 7, ReactOS today.
    SharedEdx,
    /// Calls what the shared page points to, through `ecx`: ReactOS, 2005 to 2010.
    SharedEcx,
    /// Carries its own `mov edx,esp; sysenter`: Windows 8 and later, 32-bit.
    Sysenter,
    /// Kernel mode: pushes flags and CS and calls KiSystemService.
    Zw,
    /// `mov r10,rcx; mov eax,N; syscall`: 64-bit Windows XP to 7.
    Syscall,
    /// As `Syscall` with the number first: ReactOS.
    SyscallReactos,
    /// As `Syscall` after storing the four register arguments in the home area: Windows 8, 8.1 and the first 10.
    SyscallHome,
    /// Has the shared page choose between `syscall` and `int 2Eh`: Windows 10 since 1511, 11.
    SyscallOrInt2e,
    /// Kernel mode of Windows: builds the frame of an interrupt and jumps to KiServiceInternal. Its name is `zw` too.
    ZwAmd64,
    /// Kernel mode of ReactOS: hands the address of the service to KiZwSystemService.
    ZwReactos,
    /// `svc #N`: Windows on ARM.
    Svc,
}

impl Shape {
    /// The shapes of i386.
    const I386: [Self; 7] = [
        Self::Int2eFrame,
        Self::Int2e,
        Self::SharedCallEdx,
        Self::SharedEdx,
        Self::SharedEcx,
        Self::Sysenter,
        Self::Zw,
    ];

    /// The shapes of amd64.
    const AMD64: [Self; 6] =
        [Self::Syscall, Self::SyscallReactos, Self::SyscallHome, Self::SyscallOrInt2e, Self::ZwAmd64, Self::ZwReactos];

    /// The shapes of an architecture. Never empty; the names of one architecture differ.
    #[must_use]
    pub const fn of(arch: Arch) -> &'static [Self] {
        match arch {
            Arch::I386 => &Self::I386,
            Arch::Amd64 => &Self::AMD64,
            Arch::Arm64 => &[Self::Svc],
        }
    }

    /// The shape of this name. The architecture belongs to the name: `zw` is another shape on amd64 than on i386.
    ///
    /// # Errors
    ///
    /// If the architecture has no such shape; the error lists those that it has.
    pub fn from_name(arch: Arch, name: &str) -> Result<Self, UnknownName> {
        let shapes = Self::of(arch).iter().copied();
        shapes.clone().find(|shape| shape.name() == name).ok_or_else(|| {
            let kind = match arch {
                Arch::I386 => "i386 shape",
                Arch::Amd64 => "amd64 shape",
                Arch::Arm64 => "arm64 shape",
            };
            UnknownName::new(kind, name, shapes.map(Self::name).collect::<Vec<_>>().join(", "))
        })
    }

    /// The name used in every interface, together with that of the architecture.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Int2eFrame => "int2e-frame",
            Self::Int2e => "int2e",
            Self::SharedCallEdx => "shared-call-edx",
            Self::SharedEdx => "shared-edx",
            Self::SharedEcx => "shared-ecx",
            Self::Sysenter => "sysenter",
            Self::Zw | Self::ZwAmd64 => "zw",
            Self::Syscall => "syscall",
            Self::SyscallReactos => "syscall-reactos",
            Self::SyscallHome => "syscall-home",
            Self::SyscallOrInt2e => "syscall-or-int2e",
            Self::ZwReactos => "zw-reactos",
            Self::Svc => "svc",
        }
    }

    /// The architecture whose instructions it has.
    #[must_use]
    pub const fn arch(self) -> Arch {
        match self {
            Self::Int2eFrame
            | Self::Int2e
            | Self::SharedCallEdx
            | Self::SharedEdx
            | Self::SharedEcx
            | Self::Sysenter
            | Self::Zw => Arch::I386,
            Self::Syscall
            | Self::SyscallReactos
            | Self::SyscallHome
            | Self::SyscallOrInt2e
            | Self::ZwAmd64
            | Self::ZwReactos => Arch::Amd64,
            Self::Svc => Arch::Arm64,
        }
    }

    /// The shape to take when none is asked for: that of the systems in longest use.
    #[must_use]
    pub const fn default_for(arch: Arch) -> Self {
        match arch {
            Arch::I386 => Self::SharedEdx,
            Arch::Amd64 => Self::Syscall,
            Arch::Arm64 => Self::Svc,
        }
    }

    /// Whether the stub is for callers in the kernel. Otherwise its Nt and Zw names are one body.
    #[must_use]
    pub const fn is_kernel(self) -> bool {
        matches!(self, Self::Zw | Self::ZwAmd64 | Self::ZwReactos)
    }

    /// The encoding of the system that the shape is known from.
    #[must_use]
    pub const fn default_encoding(self) -> Encoding {
        match self {
            // ReactOS has GNU as assemble them.
            Self::Int2eFrame | Self::SyscallReactos | Self::ZwReactos => Encoding::Gnu,
            _ => Encoding::Msvc,
        }
    }
}

impl fmt::Display for Shape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for Shape {
    type Err = UnknownName;

    /// The shape of a name where no architecture is given; `zw` is that of i386. See [`from_name`](Self::from_name).
    fn from_str(text: &str) -> Result<Self, UnknownName> {
        let found = Arch::ALL.into_iter().find_map(|arch| Self::from_name(arch, text).ok());
        found.ok_or_else(|| {
            let mut names = Vec::new();
            for shape in Arch::ALL.into_iter().flat_map(Self::of) {
                if !names.contains(&shape.name()) {
                    names.push(shape.name());
                }
            }
            UnknownName::new("shape", text, names.join(", "))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_back() {
        for arch in Arch::ALL {
            for &shape in Shape::of(arch) {
                assert_eq!(Shape::from_name(arch, shape.name()), Ok(shape));
                assert_eq!(shape.arch(), arch);
            }
            assert_eq!(Shape::default_for(arch).arch(), arch);
        }
        for encoding in Encoding::ALL {
            assert_eq!(encoding.name().parse(), Ok(encoding));
        }
    }

    #[test]
    fn a_name_without_an_architecture_is_read_where_it_can_be() {
        for shape in Arch::ALL.into_iter().flat_map(Shape::of).copied().filter(|&shape| shape != Shape::ZwAmd64) {
            assert_eq!(shape.name().parse(), Ok(shape));
        }
        assert_eq!(Shape::from_name(Arch::Amd64, "zw"), Ok(Shape::ZwAmd64));
        let error = "int2f".parse::<Shape>().expect_err("there is no such shape").to_string();
        assert!(error.starts_with("unknown shape \"int2f\"; known: int2e-frame, "), "{error}");
        assert_eq!(error.matches("zw,").count(), 1, "{error}");
    }

    #[test]
    fn a_name_of_another_architecture_is_unknown() {
        let error = Shape::from_name(Arch::Arm64, "zw").expect_err("it has no such shape");
        assert_eq!(error.to_string(), "unknown arm64 shape \"zw\"; known: svc");
        assert!(Shape::from_name(Arch::Amd64, "sysenter").is_err());
    }
}
