//! What `#[derive(SystemServices)]` implements, and what it holds.

use core::fmt;

/// The system services of a list in one shape: names, numbers, argument counts and code, as constants.
///
/// [`derive(SystemServices)`](macro@crate::SystemServices) implements it. Neither that nor a lookup allocates or needs
/// `std`.
///
/// ```
/// use ntgate::SystemServices;
///
/// /// The services of 64-bit Windows 7 that this program knows.
/// #[derive(SystemServices)]
/// #[services(list = "sysfuncs.lst", shape = "syscall", only(NtClose, NtReadFile))]
/// struct Ntdll;
///
/// let close = Ntdll::by_name("NtClose").unwrap();
/// assert_eq!((close.number(), close.args()), (0x1b, 1));
/// assert_eq!(close.code(), b"\x4c\x8b\xd1\xb8\x1b\0\0\0\x0f\x05\xc3");
/// assert_eq!(Ntdll::by_number(0x1b), Some(close));
/// assert!(Ntdll::by_number(0x1000).is_none());
/// ```
pub trait SystemServices {
    /// The name of the list's file.
    const LIST: &'static str;
    /// The architecture, `i386`, `amd64` or `arm64`.
    const ARCH: &'static str;
    /// The shape of the stubs, as every interface of ntgate names it.
    const SHAPE: &'static str;
    /// The services, by rising number.
    const SERVICES: &'static [SystemService];
    /// Indices into [`Self::SERVICES`] in the order of the names.
    const BY_NAME: &'static [u16];

    /// The service with this name, spelt `NtClose`.
    #[must_use]
    fn by_name(name: &str) -> Option<&'static SystemService> {
        let service = |index: &u16| Self::SERVICES.get(usize::from(*index));
        let at =
            Self::BY_NAME.binary_search_by(|index| service(index).map(SystemService::name).cmp(&Some(name))).ok()?;
        service(Self::BY_NAME.get(at)?)
    }

    /// The service with this number, the base of its table included.
    #[must_use]
    fn by_number(number: u32) -> Option<&'static SystemService> {
        let at = Self::SERVICES.binary_search_by_key(&number, SystemService::number).ok()?;
        Self::SERVICES.get(at)
    }

    /// The services, by rising number.
    fn iter() -> core::slice::Iter<'static, SystemService> {
        Self::SERVICES.iter()
    }
}

/// A service and its stub.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SystemService {
    name: &'static str,
    number: u32,
    args: u8,
    code: &'static [u8],
    relocations: &'static [(usize, &'static str)],
    doc: &'static str,
}

impl SystemService {
    /// For what the derive macro expands to.
    #[doc(hidden)]
    #[must_use]
    pub const fn new(
        name: &'static str,
        number: u32,
        args: u8,
        code: &'static [u8],
        relocations: &'static [(usize, &'static str)],
        doc: &'static str,
    ) -> Self {
        Self { name, number, args, code, relocations, doc }
    }

    /// `NtClose`.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        self.name
    }

    /// The number that the stub loads: the base of the table plus the row.
    #[must_use]
    pub const fn number(&self) -> u32 {
        self.number
    }

    /// How many argument slots it takes: dwords on i386, parameters elsewhere.
    #[must_use]
    pub const fn args(&self) -> u8 {
        self.args
    }

    /// The stub. Fields that a relocation fills are 0.
    #[must_use]
    pub const fn code(&self) -> &'static [u8] {
        self.code
    }

    /// What a linker would fill in: the offset of a field of four bytes, and the symbol that it holds the distance to,
    /// from its end. Only kernel stubs have any.
    #[must_use]
    pub const fn relocations(&self) -> &'static [(usize, &'static str)] {
        self.relocations
    }

    /// What the list says about the service in a comment; may be empty.
    #[must_use]
    pub const fn doc(&self) -> &'static str {
        self.doc
    }
}

impl fmt::Display for SystemService {
    /// The service's name.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name)
    }
}
