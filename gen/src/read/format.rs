//! The names of the formats that are read.

use std::fmt;
use std::str::FromStr;

use crate::model::UnknownName;

/// A format that services are read from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum InputFormat {
    /// `NtClose 1`: the list of this crate, and of ReactOS's `ncitool`.
    List,
    /// `SVC_(Close, 1)`: ReactOS `ntoskrnl/include/sysfuncs.h`, `win32ss/w32ksvc32.h`.
    Svc,
    /// `@ stdcall -syscall NtClose(long)`: .spec files of Wine's `winebuild` and ReactOS's `spec2def`.
    Spec,
    /// `SYSCALL_ENTRY( 0x000f, NtClose, 4 )`: Wine `dlls/ntdll/ntsyscalls.h`.
    SyscallEntry,
    /// `NtClose ZwClose 1`: ReactOS's list from April 2004 to 2005.
    NtZwCount,
    /// `NtClose ZwClose 4`: the same until April 2004, when the third column held bytes.
    NtZwBytes,
    /// A row a service, a column a system, numbers in the cells.
    Csv,
    /// `{system: {release: {service: number}}}` or `{service: {system: {release: number}}}`, and what this crate writes.
    Json,
    /// `NtClose`, a tab, `15`: the numbers of one system.
    Tsv,
    /// The numbering that `ntgate diff --lock` guards.
    Lock,
}

impl InputFormat {
    /// All formats.
    pub const ALL: &[Self] = &[
        Self::List,
        Self::Svc,
        Self::Spec,
        Self::SyscallEntry,
        Self::NtZwCount,
        Self::NtZwBytes,
        Self::Csv,
        Self::Json,
        Self::Tsv,
        Self::Lock,
    ];

    /// The name used in every interface.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::List => "list",
            Self::Svc => "svc",
            Self::Spec => "spec",
            Self::SyscallEntry => "syscall-entry",
            Self::NtZwCount => "nt-zw-count",
            Self::NtZwBytes => "nt-zw-bytes",
            Self::Csv => "csv",
            Self::Json => "json",
            Self::Tsv => "tsv",
            Self::Lock => "lock",
        }
    }

    /// Whether a file may be about several systems, of which one is to be [chosen](super::Options::system).
    #[must_use]
    pub const fn has_systems(self) -> bool {
        matches!(self, Self::Csv | Self::Json)
    }

    /// Whether a service's number is its place in the file.
    pub(super) const fn numbers_by_place(self) -> bool {
        matches!(self, Self::Svc | Self::NtZwCount | Self::NtZwBytes)
    }

    /// What messages call a file of the format.
    pub(super) const fn what(self) -> &'static str {
        match self {
            Self::List => "a list of services",
            Self::Svc => "a header of SVC_ rows",
            Self::Spec => "a .spec file",
            Self::SyscallEntry => "a header of SYSCALL_ENTRY rows",
            Self::NtZwCount | Self::NtZwBytes => "a list of Nt and Zw names",
            Self::Csv => "a CSV table of numbers",
            Self::Json => "a JSON table of numbers",
            Self::Tsv => "a table of names and numbers",
            Self::Lock => "a lock file",
        }
    }

    /// What a line of the format looks like.
    pub(super) const fn example(self) -> &'static str {
        match self {
            Self::List => "a list has lines like `NtClose 1`",
            Self::Svc => "the header has lines like `SVC_(Close, 1)`",
            Self::Spec => "a .spec file has lines like `@ stdcall -syscall NtClose(long)`",
            Self::SyscallEntry => "the header has lines like `SYSCALL_ENTRY( 0x000f, NtClose, 4 )`",
            Self::NtZwCount => "the list has lines like `NtClose ZwClose 1`",
            Self::NtZwBytes => "the list has lines like `NtClose ZwClose 4`",
            Self::Csv => "the first line is like `System call,Windows XP (SP1)`, others like `NtClose,0x0019`",
            Self::Json => "the file is like `{\"Windows XP\": {\"SP1\": {\"NtClose\": 25}}}`",
            Self::Tsv => "the table has lines of a name, a tab and a number",
            Self::Lock => "`ntgate diff --lock FILE --update` writes the file",
        }
    }
}

impl fmt::Display for InputFormat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for InputFormat {
    type Err = UnknownName;

    fn from_str(text: &str) -> Result<Self, UnknownName> {
        let found = Self::ALL.iter().copied().find(|format| format.name() == text);
        found.ok_or_else(|| {
            let names: Vec<_> = Self::ALL.iter().map(|format| format.name()).collect();
            UnknownName::new("input format", text, names.join(", "))
        })
    }
}
