//! `coff`: a COFF object.

use object::write::{Object, Relocation, Symbol, SymbolId, SymbolSection};
use object::{BinaryFormat, RelocationEncoding, RelocationFlags, RelocationKind, SectionKind, SymbolKind, SymbolScope};

use super::super::Error;
use super::layout::Placed;
use super::linkable::{self, Linkable, external};
use super::unwind;
use crate::model::Arch;

/// Bit 0 of `@feat.00`: every exception handler of the object is registered (PE Format, "The .sxdata Section").
/// There is none, and so a linker that is asked for `/safeseh` can take the object.
const SAFE_SEH: u64 = 1;

/// One object with these stubs.
pub(super) fn encode(arch: Arch, placed: &[Placed<'_>]) -> Result<Vec<u8>, Error> {
    let mut linkable = linkable::build(BinaryFormat::Coff, arch, placed)?;
    if arch == Arch::I386 {
        linkable.object.add_symbol(Symbol {
            value: SAFE_SEH,
            kind: SymbolKind::Data,
            scope: SymbolScope::Compilation,
            section: SymbolSection::Absolute,
            ..external("@feat.00")
        });
    }
    add_unwind(&mut linkable, placed)?;
    linkable.object.write().map_err(Error::object)
}

/// `.pdata` and `.xdata`, if a stub needs them. The stubs of a shape move the stack alike and share what tells so.
fn add_unwind(linkable: &mut Linkable<'_>, placed: &[Placed<'_>]) -> Result<(), Error> {
    let mut pdata = Vec::new();
    let mut fields = Vec::new();
    let mut xdata: Vec<u8> = Vec::new();
    let mut kinds: Vec<(Vec<u8>, u64)> = Vec::new();
    for Placed { stub, start, code } in placed {
        let Some(info) = unwind::info(stub) else { continue };
        let known = kinds.iter().find(|(bytes, _)| *bytes == info).map(|(_, at)| *at);
        let at = known.unwrap_or_else(|| {
            let at = xdata.len() as u64;
            xdata.extend_from_slice(&info);
            kinds.push((info, at));
            at
        });
        fields.extend([(false, *start as u64), (false, (start + code.bytes.len()) as u64), (true, at)]);
        pdata.extend_from_slice(&[0; 12]);
    }
    if pdata.is_empty() {
        return Ok(());
    }
    let object = &mut linkable.object;
    let text = object.section_symbol(linkable.text);
    let info = object.add_section(Vec::new(), b".xdata".to_vec(), SectionKind::ReadOnlyData);
    object.set_section_data(info, xdata, 4);
    let info = object.section_symbol(info);
    let table = object.add_section(Vec::new(), b".pdata".to_vec(), SectionKind::ReadOnlyData);
    object.set_section_data(table, pdata, 4);
    for (index, (is_info, addend)) in fields.into_iter().enumerate() {
        let symbol = if is_info { info } else { text };
        let field = image_offset(4 * index as u64, symbol, addend);
        object.add_relocation(table, field).map_err(Error::object)?;
    }
    Ok(())
}

/// A field of 32 bits with the distance of a symbol from the start of the image.
pub(super) fn image_offset(offset: u64, symbol: SymbolId, addend: u64) -> Relocation {
    Relocation {
        offset,
        symbol,
        addend: addend.cast_signed(),
        flags: RelocationFlags::Generic {
            kind: RelocationKind::ImageOffset,
            encoding: RelocationEncoding::Generic,
            size: 32,
        },
    }
}

/// An empty object.
pub(super) fn empty<'a>(arch: Arch) -> Object<'a> {
    linkable::empty(BinaryFormat::Coff, arch)
}
