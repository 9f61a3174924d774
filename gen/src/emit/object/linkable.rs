//! What COFF and ELF objects have in common: the code section, the symbols of the stubs, and their relocations.

use std::collections::HashMap;

use object::write::{Mangling, Object, Relocation, SectionId, StandardSection, Symbol, SymbolId, SymbolSection};
use object::{
    Architecture, BinaryFormat, Endianness, RelocationEncoding, RelocationFlags, RelocationKind, SymbolFlags,
    SymbolKind, SymbolScope, elf, pe,
};

use super::super::Error;
use super::layout::{ALIGN, Placed, text};
use crate::model::Arch;
use crate::stub;

/// An object with the stubs in its code section, and what is to be added to it.
pub(super) struct Linkable<'a> {
    pub(super) object: Object<'a>,
    pub(super) text: SectionId,
}

/// An empty object for an architecture.
pub(super) fn empty<'a>(format: BinaryFormat, arch: Arch) -> Object<'a> {
    let mut object = Object::new(format, architecture(arch), Endianness::Little);
    // Symbols of stubs are decorated already.
    object.mangling = Mangling::None;
    object
}

/// An object with the stubs in its code section.
pub(super) fn build<'a>(format: BinaryFormat, arch: Arch, placed: &[Placed<'_>]) -> Result<Linkable<'a>, Error> {
    let mut object = empty(format, arch);
    let section = object.section_id(StandardSection::Text);
    object.set_section_data(section, text(arch, placed), ALIGN as u64);
    let mut symbols = HashMap::new();
    let has_fields = placed.iter().any(|placed| !placed.code.relocations.is_empty());
    for Placed { symbols: names, start, code } in placed {
        for symbol in *names {
            let id = object.add_symbol(Symbol {
                value: *start as u64,
                size: code.bytes.len() as u64,
                section: SymbolSection::Section(section),
                flags: function_flags(format),
                ..external(symbol)
            });
            if has_fields {
                symbols.insert(symbol.as_str(), id);
            }
        }
    }
    for Placed { start, code, .. } in placed {
        for field in &code.relocations {
            let name = field.symbol.as_str();
            let relocation = Relocation {
                offset: (start + field.offset) as u64,
                symbol: *symbols.entry(name).or_insert_with(|| refer(&mut object, name)),
                // The distance is from the end of the field, which has four bytes.
                addend: -4,
                flags: RelocationFlags::Generic {
                    kind: match field.kind {
                        stub::RelocationKind::Rel32 => RelocationKind::Relative,
                    },
                    encoding: encoding(arch, &code.bytes, field.offset),
                    size: 32,
                },
            };
            object.add_relocation(section, relocation).map_err(Error::object)?;
        }
    }
    Ok(Linkable { object, text: section })
}

/// A symbol that other files see, not yet defined.
pub(super) fn external(name: &str) -> Symbol {
    Symbol {
        name: name.as_bytes().to_vec(),
        value: 0,
        size: 0,
        kind: SymbolKind::Unknown,
        scope: SymbolScope::Dynamic,
        weak: false,
        section: SymbolSection::Undefined,
        flags: SymbolFlags::None,
    }
}

/// What a global function is in the file's own words. Said so, the library does not keep a table of names.
fn function_flags(format: BinaryFormat) -> SymbolFlags<SectionId, SymbolId> {
    match format {
        BinaryFormat::Coff => {
            SymbolFlags::Coff { typ: pe::IMAGE_SYM_DTYPE_FUNCTION.into(), storage_class: pe::IMAGE_SYM_CLASS_EXTERNAL }
        }
        _ => SymbolFlags::Elf {
            st_info: elf::SymbolInfo::new(elf::STB_GLOBAL, elf::STT_FUNC),
            st_other: elf::SymbolOther::default(),
        },
    }
}

/// A symbol that another file has.
pub(super) fn refer(object: &mut Object<'_>, name: &str) -> SymbolId {
    object.add_symbol(external(name))
}

/// On amd64 GNU as lets the linker of ELF send a jump through a table; where there is none it is the same distance.
fn encoding(arch: Arch, code: &[u8], field: usize) -> RelocationEncoding {
    /// `jmp rel32`.
    const JUMP: u8 = 0xe9;
    let is_jump = field.checked_sub(1).and_then(|opcode| code.get(opcode)) == Some(&JUMP);
    if arch == Arch::Amd64 && is_jump { RelocationEncoding::X86Branch } else { RelocationEncoding::Generic }
}

const fn architecture(arch: Arch) -> Architecture {
    match arch {
        Arch::I386 => Architecture::I386,
        Arch::Amd64 => Architecture::X86_64,
        Arch::Arm64 => Architecture::Aarch64,
    }
}
