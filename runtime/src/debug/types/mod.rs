//! The structures of the guest's system, by the names of Microsoft's public symbols.
//!
//! Offsets stand in `nt::i386::layout` and `nt::amd64::layout`, and those that a version has for itself in the profiles; here each
//! is given its name and what is there. A structure has the fields that the guest uses, not all that the system had.
//!
//! ```
//! use ntgate_runtime::debug::{Guest, types};
//! use ntgate_runtime::nt::i386::profile::SRV2003;
//!
//! let page = types::structure(Guest::I386(&SRV2003), "_kuser_shared_data").expect("there is one");
//! let field = page.field("SystemCall").expect("it has one");
//! assert_eq!((field.offset, field.kind.to_string()), (0x300, "Uint4B".to_owned()));
//! ```

mod amd64;
mod common;
mod i386;
mod shared;

use std::fmt;

use super::Guest;

/// What is at a field.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Type {
    /// One byte.
    UChar,
    /// One signed byte.
    Char,
    /// An unsigned number of 2, 4 or 8 bytes.
    Uint(u32),
    /// A signed number of 4 or 8 bytes.
    Int(u32),
    /// A pointer of so many bytes, to this.
    Pointer(u32, &'static str),
    /// A structure.
    Structure(&'static str),
    /// A number of four bytes with names for its values.
    Enum(&'static str, &'static [(u32, &'static str)]),
    /// So many of these.
    Array(u32, Box<Type>),
}

impl Type {
    /// Its bytes; `None` for a structure.
    #[must_use]
    pub fn size(&self) -> Option<u32> {
        Some(match self {
            Self::UChar | Self::Char => 1,
            Self::Uint(size) | Self::Int(size) | Self::Pointer(size, _) => *size,
            Self::Enum(..) => 4,
            Self::Structure(_) => return None,
            Self::Array(count, of) => count * of.size()?,
        })
    }
}

impl fmt::Display for Type {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::UChar => f.write_str("UChar"),
            Self::Char => f.write_str("Char"),
            Self::Uint(size) => write!(f, "Uint{size}B"),
            Self::Int(size) => write!(f, "Int{size}B"),
            Self::Pointer(size, to) => write!(f, "Ptr{} {to}", 8 * size),
            Self::Structure(name) | Self::Enum(name, _) => f.write_str(name),
            Self::Array(count, of) => write!(f, "[{count}] {of}"),
        }
    }
}

/// A field of a structure.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Field {
    /// Its name.
    pub name: &'static str,
    /// Bytes from the structure's beginning.
    pub offset: u32,
    /// What is there.
    pub kind: Type,
}

/// A structure.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Structure {
    /// Its name, with the underscore that tags have: `_KTRAP_FRAME`.
    pub name: &'static str,
    /// Its fields, in the order of their offsets.
    pub fields: Vec<Field>,
}

impl Structure {
    fn new(name: &'static str, fields: Vec<Field>) -> Self {
        let mut structure = Self { name, fields };
        structure.fields.sort_by_key(|field| field.offset);
        structure
    }

    /// The field of this name, whatever letters are capitals.
    #[must_use]
    pub fn field(&self, name: &str) -> Option<&Field> {
        self.fields.iter().find(|field| field.name.eq_ignore_ascii_case(name))
    }
}

/// All structures of a system, in alphabetical order.
#[must_use]
pub fn structures(guest: Guest) -> Vec<Structure> {
    let mut all = match guest {
        Guest::I386(profile) => i386::structures(profile),
        Guest::Amd64(profile) => amd64::structures(profile),
    };
    all.push(shared::user_shared_data(guest));
    all.push(shared::system_time());
    all.push(shared::large_integer());
    all.push(shared::list_entry(guest));
    all.sort_by_key(|structure| structure.name);
    all
}

/// The structure of this name, whatever letters are capitals; the underscore and the module may be left out.
#[must_use]
pub fn structure(guest: Guest, name: &str) -> Option<Structure> {
    let name = name.split_once('!').map_or(name, |(_, end)| end).trim_start_matches('_');
    structures(guest).into_iter().find(|known| known.name.trim_start_matches('_').eq_ignore_ascii_case(name))
}

/// The names of a system's structures.
#[must_use]
pub fn names(guest: Guest) -> Vec<&'static str> {
    structures(guest).into_iter().map(|structure| structure.name).collect()
}

/// A field.
fn field(name: &'static str, offset: u32, kind: Type) -> Field {
    Field { name, offset, kind }
}

/// Fields of one type.
fn fields(kind: &Type, all: &[(&'static str, u32)]) -> Vec<Field> {
    all.iter().map(|(name, offset)| field(name, *offset, kind.clone())).collect()
}

/// Dr0, Dr1, Dr2, Dr3, one behind the other.
fn debug_registers(first: u32, kind: &Type) -> Vec<Field> {
    let size = kind.size().unwrap_or_default();
    let names = ["Dr0", "Dr1", "Dr2", "Dr3"];
    (0..).zip(names).map(|(index, name)| field(name, first + index * size, kind.clone())).collect()
}

fn array(count: u32, of: Type) -> Type {
    Type::Array(count, Box::new(of))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host;

    fn guests() -> Vec<Guest> {
        use crate::nt::{amd64, i386};

        let all: Vec<Guest> = i386::Profile::ALL
            .into_iter()
            .map(Guest::I386)
            .chain(amd64::Profile::ALL.into_iter().map(Guest::Amd64))
            .collect();
        assert_eq!(all.len(), host::profiles().len());
        all
    }

    #[test]
    fn fields_follow_each_other_and_name_structures_that_there_are() {
        for guest in guests() {
            let names = names(guest);
            for structure in structures(guest) {
                assert!(!structure.fields.is_empty(), "{}", structure.name);
                let mut seen: Vec<&str> = structure.fields.iter().map(|field| field.name).collect();
                let count = seen.len();
                seen.sort_unstable();
                seen.dedup();
                assert_eq!(seen.len(), count, "{} has a name twice", structure.name);
                for pair in structure.fields.windows(2) {
                    let [before, after] = pair else { continue };
                    assert!(before.offset <= after.offset);
                    // Unions begin alike; others end before the next begins.
                    let end = before.kind.size().map(|size| before.offset + size);
                    let union = before.offset == after.offset || structure.name == "_LARGE_INTEGER";
                    assert!(
                        union || end.is_none_or(|end| end <= after.offset),
                        "{} {before:?} {after:?}",
                        structure.name
                    );
                }
                for field in &structure.fields {
                    let mut kind = &field.kind;
                    while let Type::Array(_, of) = kind {
                        kind = of;
                    }
                    if let Type::Structure(name) = kind {
                        assert!(names.contains(name), "{name} in {}", structure.name);
                    }
                }
            }
        }
    }

    /// Constants of the layout modules that are no fields: sizes, values, masks, and what lies in another field.
    const NO_FIELDS: &[&str] = &[
        "SIZE",
        "HARDWARE_SIZE",
        "DEBUG_MARK",
        "FRAME_EDITED",
        "DR7_RESERVED",
        "BY_SYSTEM_SERVICE",
        "BY_FAST_CALL_ENTRY",
        "EXCEPTION_CHAIN_END",
        "SHIFT",
        "TEST",
        "NUMBER_MASK",
        "I386",
        "AMD64",
        "CONTROL",
        "INTEGER",
        "SEGMENTS",
        "FLOATING_POINT",
        "DEBUG",
        "ALL",
        "USER_EFLAGS",
        "USER_DR7",
        "ACTIVE_DR7",
        "MXCSR_MASK",
        "MAX_PARAMETERS",
        "NONCONTINUABLE",
        "UNWINDING",
        "OBJECT",
        "USER_QUEUE",
        "RBP_BIAS",
        "INTERRUPT",
        "EXCEPTION",
        "SERVICE",
        "BY_SYSTEM_CALL",
        "BY_SERVICE_INTERNAL",
        "BY_SYSTEM_CALL_ENTRY",
        "BY_ZW_SYSTEM_SERVICE",
        "DEBUG_REGISTERS",
        "MASK",
        "COUNT_MASK",
        "OFFSET_SHIFT",
        "FLT_SAVE",
        "NPX_FRAME_LENGTH",
        "PAGE",
        "COPY_AREA",
        "MAX_SYSCALL_PARAMS",
        "REACTOS_COPY_AREA",
        "HOME_AREA",
        "INITIAL_MXCSR",
    ];

    /// The same of the shared page.
    const NO_FIELDS_OF_PAGE: &[&str] = &["END", "RET", "IMAGE_I386", "TICK", "MULTIPLIER"];

    /// Modules of the layout that are no structures.
    const NO_STRUCTURES: &[&str] =
        &["irql", "selector", "eflags", "mode", "msr", "port", "vector", "processor_feature", "shared"];

    #[test]
    fn every_offset_of_the_layout_modules_is_a_field() {
        let i386 =
            [include_str!("../../nt/i386/layout/mod.rs"), include_str!("../../nt/i386/layout/ring3.rs")].concat();
        let amd64 = [include_str!("../../nt/amd64/layout.rs"), include_str!("../../nt/amd64/layout/ring3.rs")].concat();
        let page = format!("pub mod page {{\n{}", include_str!("../../nt/i386/layout/shared.rs"));
        let (shared, common) = (include_str!("shared.rs"), include_str!("common.rs"));
        let mut checked = 0;
        for (layout, table) in [
            (i386, [include_str!("i386.rs"), common].concat()),
            (amd64, [include_str!("amd64.rs"), common].concat()),
            (page, shared.replace("shared::system_time::", "system_time::").replace("shared::", "page::")),
        ] {
            let mut module = "";
            for line in layout.lines().map(str::trim) {
                if let Some(rest) = line.strip_prefix("pub mod ") {
                    module = rest.trim_end_matches(" {");
                }
                let constant = line.strip_prefix("pub const ").and_then(|rest| rest.split_once(": u32 ="));
                let Some((name, _)) = constant.filter(|_| !module.is_empty() && !NO_STRUCTURES.contains(&module))
                else {
                    continue;
                };
                if NO_FIELDS.contains(&name) || module == "page" && NO_FIELDS_OF_PAGE.contains(&name) {
                    continue;
                }
                assert!(table.contains(&format!("{module}::{name}")), "{module}::{name} is no field");
                checked += 1;
            }
        }
        assert!(checked > 250, "{checked}");
    }
}
