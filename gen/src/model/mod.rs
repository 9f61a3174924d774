//! What a list says, once it has been checked.
//!
//! A value of these types can only come from [`check`](crate::check), or from the readers of other formats, which check
//! the same: their fields are private, and the constructors
//! are not public. So whoever holds a [`ServiceTable`] may rely on what its methods promise.

mod arch;
pub mod limits;

pub use arch::{Arch, UnknownName};

/// The version of the JSON that stubs are written as, and read from. It goes up when a key of it changes its meaning or goes
/// away.
#[cfg(any(feature = "json", feature = "readers"))]
pub(crate) const JSON_VERSION: u32 = 1;

/// All service tables of one list, at least one, in the order of the list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServiceList {
    /// Never empty.
    tables: Vec<ServiceTable>,
}

impl ServiceList {
    /// `None` if there is no table.
    pub(crate) fn new(tables: Vec<ServiceTable>) -> Option<Self> {
        (!tables.is_empty()).then_some(Self { tables })
    }

    /// The tables. Never empty.
    #[must_use]
    pub fn tables(&self) -> &[ServiceTable] {
        &self.tables
    }

    /// The first table: the kernel's own services.
    #[must_use]
    pub fn primary(&self) -> &ServiceTable {
        &self.tables[0]
    }

    /// The services of all tables, table after table.
    pub fn services(&self) -> impl Iterator<Item = &Service> {
        self.tables.iter().flat_map(ServiceTable::services)
    }
}

/// One dispatch table: services in number order.
///
/// There is at least one service; numbers rise; all of them are in `base .. base + 1000h`; no name comes twice in a
/// list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServiceTable {
    name: String,
    base: u32,
    services: Vec<Service>,
    /// Indices into `services`, in the order of the names.
    names: Vec<usize>,
}

impl ServiceTable {
    /// Only `check` and `read` call this, after they have seen that the promises above hold.
    pub(crate) fn new(name: String, base: u32, services: Vec<Service>) -> Self {
        debug_assert!(services.windows(2).all(|pair| pair[0].number < pair[1].number));
        let mut names: Vec<usize> = (0..services.len()).collect();
        // Lists are in the order of the names nearly everywhere, which this sort makes use of.
        names.sort_by(|&a, &b| services[a].name.cmp(&services[b].name));
        Self { name, base, services, names }
    }

    /// The same services under another name of the table and from another base, which must be one that a list may have.
    pub(crate) fn moved(&self, name: &str, base: u32) -> Self {
        let moved = |service: &Service| Service { number: service.number - self.base + base, ..service.clone() };
        Self { name: name.to_owned(), base, services: self.services.iter().map(moved).collect(), ..self.clone() }
    }

    /// The table's name, an identifier: `main` unless the list says otherwise.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The number of the table's first row: a multiple of 1000h, at most 3000h.
    #[must_use]
    pub fn base(&self) -> u32 {
        self.base
    }

    /// The services, in number order. Never empty.
    #[must_use]
    pub fn services(&self) -> &[Service] {
        &self.services
    }

    /// How many services the table has. With holes this is less than [`limit`](Self::limit).
    #[must_use]
    #[expect(clippy::len_without_is_empty, reason = "a table is never empty")]
    pub fn len(&self) -> usize {
        self.services.len()
    }

    /// How many rows the table has: the highest number minus the base, plus one. The kernel refuses this index.
    #[must_use]
    pub fn limit(&self) -> u32 {
        self.services.last().map_or(0, |last| last.number - self.base + 1)
    }

    /// The rows of the table from index 0 to `limit() - 1`; `None` is a hole.
    pub fn rows(&self) -> impl Iterator<Item = Option<&Service>> {
        let mut services = self.services.iter().peekable();
        (self.base..self.base + self.limit()).map(move |number| services.next_if(|service| service.number == number))
    }

    /// The service with this name, spelt `NtClose`.
    #[must_use]
    pub fn by_name(&self, name: &str) -> Option<&Service> {
        let at = self.names.binary_search_by(|&index| self.services[index].name.nt().cmp(name)).ok()?;
        Some(&self.services[self.names[at]])
    }

    /// The service with this number, the base included.
    #[must_use]
    pub fn by_number(&self, number: u32) -> Option<&Service> {
        let at = self.services.binary_search_by_key(&number, |service| service.number).ok()?;
        Some(&self.services[at])
    }
}

/// One system service. Two that differ only in the lines that they stand in are equal.
#[derive(Clone, Debug)]
pub struct Service {
    pub(crate) name: ServiceName,
    pub(crate) number: u32,
    pub(crate) line: usize,
    pub(crate) args_i386: u8,
    pub(crate) args_64: u8,
    pub(crate) doc: Option<String>,
    pub(crate) signature: Option<Vec<Param>>,
}

impl PartialEq for Service {
    fn eq(&self, other: &Self) -> bool {
        let Self { name, number, line: _, args_i386, args_64, doc, signature } = self;
        (name, number, args_i386, args_64) == (&other.name, &other.number, &other.args_i386, &other.args_64)
            && (doc, signature) == (&other.doc, &other.signature)
    }
}

impl Eq for Service {}

impl Service {
    /// The name.
    #[must_use]
    pub fn name(&self) -> &ServiceName {
        &self.name
    }

    /// The number that a stub loads: the base of the table plus the row.
    #[must_use]
    pub fn number(&self) -> u32 {
        self.number
    }

    /// The line of the list that it stands in, from 1 on.
    #[must_use]
    pub fn line(&self) -> usize {
        self.line
    }

    /// How many argument slots the service takes: dwords on i386 (at most 63), parameters elsewhere.
    ///
    /// A list that is meant for i386 alone may have services of more than [`limits::ARGS_AMD64`] parameters; the
    /// reader has warned of them.
    #[must_use]
    pub fn args(&self, arch: Arch) -> u8 {
        match arch {
            Arch::I386 => self.args_i386,
            Arch::Amd64 | Arch::Arm64 => self.args_64,
        }
    }

    /// The argument slots in bytes: at most 252 on i386.
    #[must_use]
    pub fn arg_bytes(&self, arch: Arch) -> u32 {
        u32::from(self.args(arch)) * arch.word_bytes()
    }

    /// What the list says about the service in a trailing comment: one line without control characters.
    #[must_use]
    pub fn doc(&self) -> Option<&str> {
        self.doc.as_deref()
    }

    /// The typed parameters, if the list has them: as many as `args(Arch::Amd64)`.
    #[must_use]
    pub fn signature(&self) -> Option<&[Param]> {
        self.signature.as_deref()
    }
}

/// The name of a service: a C identifier that starts with `Nt` and goes on.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ServiceName(String);

impl ServiceName {
    /// The caller has checked the name.
    pub(crate) fn new(nt: &str) -> Self {
        debug_assert!(nt.starts_with("Nt"));
        Self(nt.to_owned())
    }

    /// `NtClose`.
    #[must_use]
    pub fn nt(&self) -> &str {
        &self.0
    }

    /// `ZwClose`.
    #[must_use]
    pub fn zw(&self) -> String {
        ["Zw", self.stem()].concat()
    }

    /// `Close`.
    #[must_use]
    pub fn stem(&self) -> &str {
        self.0.strip_prefix("Nt").unwrap_or(&self.0)
    }
}

impl std::fmt::Display for ServiceName {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(&self.0)
    }
}

/// One parameter of a typed signature.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Param {
    pub(crate) ty: String,
    pub(crate) name: Option<String>,
}

impl Param {
    /// The type with its annotations, words apart by one blank: `HANDLE`, `_Out_ PHANDLE`, `const WCHAR *`.
    #[must_use]
    pub fn ty(&self) -> &str {
        &self.ty
    }

    /// The name, if the list gives one.
    #[must_use]
    pub fn name(&self) -> Option<&str> {
        self.name.as_deref()
    }
}

/// Whether a word says something of a parameter and is no part of its type: the annotations of today, `_In_reads_(n)`, those
/// of before, `__in_opt`, and the old `IN`, `OUT` and `OPTIONAL` (mingw-w64 `sal.h`, `driverspecs.h`, `minwindef.h`). Other
/// words may well begin with an underscore: `__int64`, `struct _GUID`.
pub(crate) fn is_annotation(word: &str) -> bool {
    let name = word.split('(').next().unwrap_or(word);
    let is_new =
        name.starts_with('_') && name.ends_with('_') && name[1..].starts_with(|c: char| c.is_ascii_uppercase());
    let is_before = ["__in", "__out", "__inout", "__deref", "__reserved"]
        .iter()
        .any(|start| name.strip_prefix(start).is_some_and(|rest| rest.is_empty() || rest.starts_with('_')));
    is_new || is_before || matches!(name, "IN" | "OUT" | "OPTIONAL")
}

impl std::fmt::Display for Param {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.name {
            Some(name) if self.ty.ends_with('*') => write!(f, "{}{name}", self.ty),
            Some(name) => write!(f, "{} {name}", self.ty),
            None => f.write_str(&self.ty),
        }
    }
}
