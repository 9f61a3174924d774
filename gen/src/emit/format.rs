//! The names of the formats.

use std::fmt;
use std::str::FromStr;

use crate::model::UnknownName;

/// An output format.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Format {
    /// Stubs for GNU as, AT&T syntax. What it assembles to is what [`Bin`](Self::Bin) is, byte for byte.
    Gas,
    /// Stubs for Microsoft's assembler and LLVM's, i386 and amd64.
    Masm,
    /// Stubs for NASM, i386 and amd64, COFF and ELF.
    Nasm,
    /// Stubs as naked functions of Rust.
    Rust,
    /// A C header: numbers, argument bytes, prototypes, and functions that call the kernel inline.
    C,
    /// A module definition file.
    Def,
    /// Exports as winebuild and ReactOS's spec2def take them.
    Spec,
    /// Numbers in the layout of the public per-build tables.
    Csv,
    /// Descriptions for syzkaller.
    Syzlang,
    /// The code of the stubs, one after another, each at a multiple of 16 bytes; bytes CCh (`int3`) between them on
    /// x86, zeros on arm64.
    Bin,
    /// The stubs as data: numbers, counts, symbols, code, relocations.
    #[cfg(feature = "json")]
    Json,
    /// The list itself in canonical form.
    List,
    /// The dispatch table and the argument table as C: pointers and bytes.
    Table,
    /// The packed dispatch table of amd64, for GNU ld.
    PackedTable,
    /// The stubs as one COFF object.
    #[cfg(feature = "object")]
    Coff,
    /// The stubs as one ELF object.
    #[cfg(feature = "object")]
    Elf,
    /// A static library of COFF objects, one a service.
    #[cfg(feature = "object")]
    Archive,
    /// A static library of ELF objects, one a service.
    #[cfg(feature = "object")]
    ElfArchive,
    /// An import library of ntdll.dll in the short form.
    #[cfg(feature = "object")]
    Implib,
    /// A complete ntdll.dll.
    #[cfg(feature = "object")]
    Pe,
}

impl Format {
    /// All formats.
    pub const ALL: &[Self] = &[
        Self::Gas,
        Self::Masm,
        Self::Nasm,
        Self::Rust,
        Self::C,
        Self::Def,
        Self::Spec,
        Self::Csv,
        Self::Syzlang,
        Self::Bin,
        #[cfg(feature = "json")]
        Self::Json,
        Self::List,
        Self::Table,
        Self::PackedTable,
        #[cfg(feature = "object")]
        Self::Coff,
        #[cfg(feature = "object")]
        Self::Elf,
        #[cfg(feature = "object")]
        Self::Archive,
        #[cfg(feature = "object")]
        Self::ElfArchive,
        #[cfg(feature = "object")]
        Self::Implib,
        #[cfg(feature = "object")]
        Self::Pe,
    ];

    /// The name used in every interface.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Gas => "gas",
            Self::Masm => "masm",
            Self::Nasm => "nasm",
            Self::Rust => "rust",
            Self::C => "c",
            Self::Def => "def",
            Self::Spec => "spec",
            Self::Csv => "csv",
            Self::Syzlang => "syzlang",
            Self::Bin => "bin",
            #[cfg(feature = "json")]
            Self::Json => "json",
            Self::List => "list",
            Self::Table => "table",
            Self::PackedTable => "packed-table",
            #[cfg(feature = "object")]
            Self::Coff => "coff",
            #[cfg(feature = "object")]
            Self::Elf => "elf",
            #[cfg(feature = "object")]
            Self::Archive => "archive",
            #[cfg(feature = "object")]
            Self::ElfArchive => "elf-archive",
            #[cfg(feature = "object")]
            Self::Implib => "implib",
            #[cfg(feature = "object")]
            Self::Pe => "pe",
        }
    }

    /// Whether the output is bytes that are no text.
    #[must_use]
    pub const fn is_binary(self) -> bool {
        match self {
            Self::Bin => true,
            #[cfg(feature = "object")]
            Self::Coff | Self::Elf | Self::Archive | Self::ElfArchive | Self::Implib | Self::Pe => true,
            _ => false,
        }
    }
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for Format {
    type Err = UnknownName;

    fn from_str(text: &str) -> Result<Self, UnknownName> {
        let found = Self::ALL.iter().copied().find(|format| format.name() == text);
        found.ok_or_else(|| {
            let names: Vec<_> = Self::ALL.iter().map(|format| format.name()).collect();
            UnknownName::new("format", text, names.join(", "))
        })
    }
}
