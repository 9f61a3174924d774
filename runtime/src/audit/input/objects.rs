//! COFF and ELF objects: sections laid out one behind the other, relocations applied, what is left open outside.

use ntgate_gen::Arch;
use object::read::{
    File, Object, ObjectSection, ObjectSymbol, Relocation, RelocationTarget, SectionIndex, SectionKind, SymbolIndex,
};
use object::{Architecture, RelocationKind};

use super::super::error::AuditError;
use super::super::guest::{Access, PAGE};
use super::super::image::{EXTERNAL, Image, Kind, Patch, Piece, Symbol, Target, externals_at, other_base};
use super::{Externals, MOST_BYTES, MOST_NAMES, MOST_RELOCATIONS, printable, undecorated};

/// Reads an object, which begins at an offset of a file.
pub(super) fn read(bytes: &[u8], kind: Kind, at: u64) -> Result<Image<'_>, AuditError> {
    let file = File::parse(bytes).map_err(|error| AuditError::damaged(kind, error.to_string()))?;
    let arch = match file.architecture() {
        Architecture::I386 => Arch::I386,
        Architecture::X86_64 => Arch::Amd64,
        other => return Err(AuditError::Architecture { kind, machine: format!("{other:?}") }),
    };
    if file.kind() != object::ObjectKind::Relocatable {
        let what = match file.kind() {
            object::ObjectKind::Executable => "an ELF program",
            object::ObjectKind::Dynamic => "an ELF program or shared library",
            _ => "an ELF file that is not an object",
        };
        return Err(AuditError::not(what));
    }
    Reader { file, kind, arch, at, places: Vec::new(), externals: Externals::default() }.image()
}

struct Reader<'a> {
    file: File<'a>,
    kind: Kind,
    arch: Arch,
    /// Where the object begins in its file.
    at: u64,
    /// Where each section is laid.
    places: Vec<(SectionIndex, u32)>,
    externals: Externals,
}

impl<'a> Reader<'a> {
    fn damaged(&self, error: impl std::fmt::Display) -> AuditError {
        AuditError::damaged(self.kind, error.to_string())
    }

    fn image(mut self) -> Result<Image<'a>, AuditError> {
        let (pieces, size) = self.pieces()?;
        let symbols = self.symbols()?;
        if symbols.is_empty() {
            return Err(AuditError::Nothing { kind: self.kind, what: "global functions" });
        }
        let base = other_base(self.arch);
        let patches = self.relocations(base, size)?;
        let mut image = Image::new(self.arch, self.kind, base, size, pieces);
        image.externals = self.externals.names;
        image.set_patches(patches);
        image.symbols = symbols;
        Ok(image)
    }

    /// Sections that are in memory, each on pages of its own.
    fn pieces(&mut self) -> Result<(Vec<Piece<'a>>, u32), AuditError> {
        let (mut pieces, mut next) = (Vec::new(), PAGE);
        for section in self.file.sections() {
            let (write, execute) = match section.kind() {
                SectionKind::Text => (false, true),
                SectionKind::Data | SectionKind::UninitializedData => (true, false),
                SectionKind::ReadOnlyData | SectionKind::ReadOnlyString | SectionKind::ReadOnlyDataWithRel => {
                    (false, false)
                }
                _ => continue,
            };
            let bytes = section.data().map_err(|error| self.damaged(error))?;
            let size = section.size().max(bytes.len() as u64);
            if next + size > MOST_BYTES {
                return Err(self.damaged(format!("its sections take more than {MOST_BYTES:#x} bytes")));
            }
            let offset = section.file_range().map_or(0, |(offset, _)| self.at + offset);
            self.places.push((section.index(), next as u32));
            pieces.push(Piece {
                rva: next as u32,
                size: size as u32,
                bytes: bytes.into(),
                offset,
                access: Access { write, execute },
            });
            next += size.next_multiple_of(PAGE).max(PAGE);
        }
        Ok((pieces, next as u32))
    }

    fn place(&self, index: SectionIndex) -> Option<u32> {
        let at = self.places.binary_search_by_key(&index.0, |(section, _)| section.0).ok()?;
        Some(self.places[at].1)
    }

    /// Where a symbol is, if it is in the object.
    fn symbol_rva(&self, symbol: &impl ObjectSymbol<'a>) -> Option<u32> {
        let place = self.place(symbol.section_index()?)?;
        place.checked_add(u32::try_from(symbol.address()).ok()?)
    }

    fn symbols(&self) -> Result<Vec<Symbol>, AuditError> {
        let mut symbols = Vec::new();
        for symbol in self.file.symbols().filter(|symbol| symbol.is_global() && !symbol.is_undefined()) {
            let Some(section) = symbol.section_index() else { continue };
            let is_code = self.file.section_by_index(section).is_ok_and(|section| section.kind() == SectionKind::Text);
            let Some(rva) = self.symbol_rva(&symbol).filter(|_| is_code) else { continue };
            let name = printable(symbol.name_bytes().map_err(|error| self.damaged(error))?);
            let (plain, decorated_bytes) = undecorated(&name, self.arch);
            if symbols.len() == MOST_NAMES {
                return Err(self.damaged(format!("it has more than {MOST_NAMES} functions")));
            }
            symbols.push(Symbol { name: plain.to_owned(), decorated_bytes, target: Target::Rva(rva) });
        }
        Ok(symbols)
    }

    fn relocations(&mut self, base: u64, size: u32) -> Result<Vec<Patch>, AuditError> {
        let mut patches = Vec::new();
        for (index, place) in self.places.clone() {
            let section = self.file.section_by_index(index).map_err(|error| self.damaged(error))?;
            let bytes = section.data().map_err(|error| self.damaged(error))?;
            let name = printable(section.name_bytes().unwrap_or_default());
            let found: Vec<(u64, Relocation)> = section.relocations().take(MOST_RELOCATIONS + 1).collect();
            if patches.len() + found.len() > MOST_RELOCATIONS {
                return Err(self.damaged(format!("it has more than {MOST_RELOCATIONS} relocations")));
            }
            for (offset, relocation) in found {
                let patch = self.patch(base, size, place, bytes, offset, &relocation);
                patches.extend(patch.map_err(|what| {
                    AuditError::damaged(self.kind, format!("the relocation at {name}+{offset:#x} {what}"))
                })?);
            }
        }
        Ok(patches)
    }

    fn patch(
        &mut self,
        base: u64,
        size: u32,
        place: u32,
        bytes: &[u8],
        offset: u64,
        relocation: &Relocation,
    ) -> Result<Option<Patch>, &'static str> {
        const OUTSIDE: &str = "is not in its section";
        let width = match relocation.size() {
            32 => 4,
            64 => 8,
            // Of a kind of which the loader need not know more: bits of debugging information, and the like.
            _ => return Ok(None),
        };
        let start = usize::try_from(offset).map_err(|_| OUTSIDE)?;
        let field = start.checked_add(width).and_then(|end| bytes.get(start..end)).ok_or(OUTSIDE)?;
        let mut addend = relocation.addend();
        if relocation.has_implicit_addend() {
            let mut value = [0; 8];
            value[..width].copy_from_slice(field);
            let value = i64::from_le_bytes(value);
            addend = addend.wrapping_add(if width == 4 { i64::from(value as i32) } else { value });
        }
        let rva = u32::try_from(offset).ok().and_then(|offset| place.checked_add(offset)).ok_or(OUTSIDE)?;
        let target = self.target(base, size, relocation.target())?.wrapping_add_signed(addend);
        let value = match relocation.kind() {
            RelocationKind::Absolute => target,
            RelocationKind::Relative | RelocationKind::PltRelative => target.wrapping_sub(base + u64::from(rva)),
            RelocationKind::ImageOffset => target.wrapping_sub(base),
            RelocationKind::SectionOffset | RelocationKind::SectionIndex => 0,
            // Tables that a linker makes, threads' own memory: who goes there is told so.
            _ => {
                let external = self.externals.index("what a linker makes of this relocation");
                externals_at(base, size.into()) + EXTERNAL * external as u64
            }
        };
        Ok(Some(Patch { rva, size: width as u8, value }))
    }

    fn target(&mut self, base: u64, size: u32, target: RelocationTarget) -> Result<u64, &'static str> {
        let index = match target {
            RelocationTarget::Symbol(index) => index,
            RelocationTarget::Section(index) => {
                return Ok(base + u64::from(self.place(index).ok_or("goes to a section that is not in memory")?));
            }
            RelocationTarget::Absolute => return Ok(0),
            _ => return Err("has a target that is not known here"),
        };
        self.symbol_address(base, size, index)
    }

    fn symbol_address(&mut self, base: u64, size: u32, index: SymbolIndex) -> Result<u64, &'static str> {
        let symbol = self.file.symbol_by_index(index).map_err(|_| "goes to a symbol that is not there")?;
        if let Some(rva) = self.symbol_rva(&symbol) {
            return Ok(base + u64::from(rva));
        }
        if !symbol.is_undefined() && symbol.section_index().is_none() {
            return Ok(symbol.address());
        }
        let name = printable(symbol.name_bytes().map_err(|_| "goes to a symbol without a name")?);
        let (plain, _) = undecorated(&name, self.arch);
        let external = self.externals.index(plain);
        Ok(externals_at(base, size.into()) + EXTERNAL * external as u64)
    }
}
