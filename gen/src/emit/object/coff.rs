//! `coff`: a COFF object.

use object::write::{Object, Relocation, Symbol, SymbolId, SymbolSection};
use object::{BinaryFormat, RelocationEncoding, RelocationFlags, RelocationKind, SectionKind, SymbolKind, SymbolScope};

use super::super::Error;
use super::layout::Placed;
use super::linkable::{self, Linkable, external};
use crate::model::Arch;

/// Bit 0 of `@feat.00`: every exception handler of the object is registered (PE Format, "The .sxdata Section").
/// There is none, and so a linker that is asked for `/safeseh` can take the object.
const SAFE_SEH: u64 = 1;

/// The length of `RUNTIME_FUNCTION`: where a function begins, where it ends, where its `UNWIND_INFO` is.
const ENTRY: usize = 12;

/// One object with these stubs. `unwind` is what tells how each of them moves the stack, if they do.
pub(super) fn encode(arch: Arch, unwind: Option<&[u8]>, placed: &[Placed<'_>]) -> Result<Vec<u8>, Error> {
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
    if let Some(info) = unwind {
        add_unwind(&mut linkable, info, placed)?;
    }
    linkable.object.write().map_err(Error::object)
}

/// `.pdata` with an entry for each stub, and `.xdata` with the one `UNWIND_INFO` that all share.
fn add_unwind(linkable: &mut Linkable<'_>, info: &[u8], placed: &[Placed<'_>]) -> Result<(), Error> {
    let object = &mut linkable.object;
    let text = object.section_symbol(linkable.text);
    let xdata = object.add_section(Vec::new(), b".xdata".to_vec(), SectionKind::ReadOnlyData);
    object.set_section_data(xdata, info.to_vec(), 4);
    let info = object.section_symbol(xdata);
    let pdata = object.add_section(Vec::new(), b".pdata".to_vec(), SectionKind::ReadOnlyData);
    object.set_section_data(pdata, vec![0; ENTRY * placed.len()], 4);
    for (index, stub) in placed.iter().enumerate() {
        let fields = [(text, stub.start), (text, stub.end()), (info, 0)];
        for (place, (symbol, addend)) in fields.into_iter().enumerate() {
            let field = image_offset((ENTRY * index + 4 * place) as u64, symbol, addend as u64);
            object.add_relocation(pdata, field).map_err(Error::object)?;
        }
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
