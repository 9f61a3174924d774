//! PE images: on disk, and as they lie in memory.

use std::collections::HashMap;

use ntgate_gen::Arch;
use object::endian::LittleEndian as LE;
use object::pe::{
    IMAGE_DIRECTORY_ENTRY_BASERELOC, IMAGE_DIRECTORY_ENTRY_EXPORT, IMAGE_DIRECTORY_ENTRY_IMPORT,
    IMAGE_FILE_MACHINE_AMD64, IMAGE_FILE_MACHINE_I386, IMAGE_REL_BASED_DIR64, IMAGE_REL_BASED_HIGHLOW,
    IMAGE_SCN_MEM_EXECUTE, IMAGE_SCN_MEM_WRITE, ImageDosHeader, ImageNtHeaders32, ImageNtHeaders64, ImageSectionHeader,
};
use object::read::coff::Symbol as _;
use object::read::pe::{
    DataDirectories, ExportTable, ExportTarget, ImageNtHeaders, ImageOptionalHeader, ImageThunkData, ImportTable,
    RelocationBlockIterator, optional_header_magic,
};

use super::super::environment::{WOW64_TRANSITION, WOW64_VARIABLE};
use super::super::error::AuditError;
use super::super::guest::{Access, WINE_DISPATCHER, WINE_UNIX_CALL};
use super::super::image::{
    EXTERNAL, Image, Kind, Patch, Piece, Symbol, Target, externals_at, fits, other_base, room_behind,
};
use super::{Externals, MOST_BYTES, MOST_NAMES, MOST_RELOCATIONS, printable, undecorated, undecorated_export};

/// Windows loads no image with more.
const MOST_SECTIONS: usize = 96;
/// More than any DLL imports from.
const MOST_IMPORTED_DLLS: usize = 1 << 12;
/// More than any DLL imports.
const MOST_IMPORTS: usize = 1 << 16;
/// What Wine's build tools write behind the DOS header of its own DLLs, at this offset.
const WINE_MARK: (usize, &[u8]) = (0x40, b"Wine builtin DLL");

/// Reads an image of either width.
pub(super) fn read(bytes: &[u8], kind: Kind) -> Result<Image<'_>, AuditError> {
    let magic = optional_header_magic(bytes).map_err(|error| AuditError::damaged(kind, error.to_string()))?;
    match magic {
        object::pe::IMAGE_NT_OPTIONAL_HDR64_MAGIC => Reader::<ImageNtHeaders64>::new(bytes, kind)?.image(),
        _ => Reader::<ImageNtHeaders32>::new(bytes, kind)?.image(),
    }
}

struct Reader<'a, Pe: ImageNtHeaders> {
    bytes: &'a [u8],
    kind: Kind,
    arch: Arch,
    headers: &'a Pe,
    directories: DataDirectories<'a>,
    sections: &'a [ImageSectionHeader],
    /// Fields, and what is to be in them.
    patches: Vec<Patch>,
    externals: Externals,
    /// Fields that hold the address of something outside.
    imports: Vec<(u32, usize)>,
}

impl<'a, Pe: ImageNtHeaders> Reader<'a, Pe> {
    fn new(bytes: &'a [u8], kind: Kind) -> Result<Self, AuditError> {
        let damaged = |error: object::Error| AuditError::damaged(kind, error.to_string());
        let dos = ImageDosHeader::parse(bytes).map_err(damaged)?;
        let mut offset = u64::from(dos.nt_headers_offset());
        let (headers, directories) = Pe::parse(bytes, &mut offset).map_err(damaged)?;
        let file = headers.file_header();
        let arch = match file.machine.get(LE) {
            IMAGE_FILE_MACHINE_I386 if !headers.is_type_64() => Arch::I386,
            IMAGE_FILE_MACHINE_AMD64 if headers.is_type_64() => Arch::Amd64,
            machine => return Err(AuditError::Architecture { kind, machine: machine_name(machine.0) }),
        };
        let count = usize::from(file.number_of_sections.get(LE));
        if count > MOST_SECTIONS {
            return Err(AuditError::damaged(
                kind,
                format!("it has {count} sections; Windows loads at most {MOST_SECTIONS}"),
            ));
        }
        let sections = headers.sections(bytes, offset).map_err(damaged)?;
        let sections = sections.iter().as_slice();
        let (patches, externals, imports) = (Vec::new(), Externals::default(), Vec::new());
        Ok(Self { bytes, kind, arch, headers, directories, sections, patches, externals, imports })
    }

    fn damaged(&self, what: impl Into<String>) -> AuditError {
        AuditError::damaged(self.kind, what)
    }

    fn image(mut self) -> Result<Image<'a>, AuditError> {
        let size = self.headers.optional_header().size_of_image();
        if u64::from(size) > MOST_BYTES || size == 0 {
            return Err(
                self.damaged(format!("its SizeOfImage is {size:#x}; an image here has at most {MOST_BYTES:#x} bytes"))
            );
        }
        let pieces = self.pieces(size)?;
        let at_rva = |rva: u32| slice_at(&pieces, rva);
        let symbols = self.exports(&at_rva)?;
        if self.kind == Kind::Pe {
            self.read_imports(&at_rva);
        }
        let base = self.base(size.into())?;
        let moved = base.wrapping_sub(self.headers.optional_header().image_base());
        let relocations = if moved != 0 { self.relocations(&at_rva)? } else { Vec::new() };
        let is_wine = self.bytes.get(WINE_MARK.0..).is_some_and(|bytes| bytes.starts_with(WINE_MARK.1));
        let dispatcher = if is_wine { self.wine(&symbols) } else { None };

        let mut image = Image::new(self.arch, self.kind, base, size, pieces);
        image.is_wine = is_wine;
        image.argument_bytes = dispatcher.map_or_else(Vec::new, |rva| argument_bytes(&image, rva));
        for (rva, size) in relocations {
            let Some(bytes) = image.bytes(rva, size.into()) else { continue };
            let mut value = [0; 8];
            value[..usize::from(size)].copy_from_slice(&bytes);
            self.patches.push(Patch { rva, size, value: u64::from_le_bytes(value).wrapping_add(moved) });
        }
        self.point(&symbols, "Wow64Transition", WOW64_TRANSITION);
        let outside = externals_at(base, size.into());
        for (rva, index) in &self.imports {
            let is_transition = self.externals.names[*index].ends_with("!Wow64Transition");
            let value = if is_transition { WOW64_VARIABLE } else { outside + EXTERNAL * *index as u64 };
            self.patches.push(Patch { rva: *rva, size: self.pointer(), value });
        }
        image.externals = self.externals.names;
        image.set_patches(self.patches);
        image.symbols = symbols;
        Ok(image)
    }

    /// Bytes of a pointer.
    fn pointer(&self) -> u8 {
        self.arch.word_bytes() as u8
    }

    /// Headers and sections.
    fn pieces(&self, size: u32) -> Result<Vec<Piece<'a>>, AuditError> {
        let mapped = self.kind == Kind::Mapped;
        let headers = self.headers.optional_header().size_of_headers().min(size);
        let in_file = &self.bytes[..self.bytes.len().min(headers as usize)];
        let size_of_headers = headers.max(1);
        let mut pieces =
            vec![Piece { rva: 0, size: size_of_headers, bytes: in_file.into(), offset: 0, access: Access::READ }];
        for section in self.sections {
            let rva = section.virtual_address.get(LE);
            let (raw, at) = (section.size_of_raw_data.get(LE), section.pointer_to_raw_data.get(LE));
            let virtual_size = match section.virtual_size.get(LE) {
                0 => raw,
                size => size,
            };
            // What reaches beyond the image is not loaded.
            let Some(room) = size.checked_sub(rva) else { continue };
            let taken = virtual_size.min(room);
            let (offset, length) = if mapped { (rva, taken) } else { (at, raw.min(taken)) };
            let bytes = self.section_bytes(section, offset, length, mapped)?;
            let flags = section.characteristics.get(LE);
            let access =
                Access { write: flags.contains(IMAGE_SCN_MEM_WRITE), execute: flags.contains(IMAGE_SCN_MEM_EXECUTE) };
            // Of a dump that ends early the rest is not there; of a file that a linker made it is zero.
            let size = if mapped { bytes.len() as u32 } else { taken };
            if size > 0 {
                pieces.push(Piece { rva, size, bytes: bytes.into(), offset: offset.into(), access });
            }
        }
        Ok(pieces)
    }

    fn section_bytes(
        &self,
        section: &ImageSectionHeader,
        offset: u32,
        length: u32,
        mapped: bool,
    ) -> Result<&'a [u8], AuditError> {
        let have = self.bytes.len() as u64;
        let end = u64::from(offset) + u64::from(length);
        if length > 0 && end > have && !mapped {
            let name = printable(section.raw_name());
            let what = format!("section {name} ends at offset {end:#x}, and the file at {have:#x}: it is cut off");
            return Err(self.damaged(what));
        }
        let start = u64::from(offset).min(have) as usize;
        Ok(&self.bytes[start..end.min(have).max(start as u64) as usize])
    }

    /// Where it is loaded: where it wants to be, if it can be there.
    fn base(&self, size: u64) -> Result<u64, AuditError> {
        let wanted = self.headers.optional_header().image_base();
        let room = room_behind(size, self.externals.names.len());
        if fits(self.arch, wanted, room) {
            return Ok(wanted);
        }
        if self.kind == Kind::Mapped {
            return Err(self.damaged(format!("its ImageBase {wanted:#x} is no address that a program has it at")));
        }
        let other = other_base(self.arch);
        if !fits(self.arch, other, room) {
            return Err(self.damaged("it is too large for the address space"));
        }
        Ok(other)
    }

    /// Places that hold addresses, and how many bytes each has.
    fn relocations(&self, at_rva: &impl Fn(u32) -> Option<(&'a [u8], u32)>) -> Result<Vec<(u32, u8)>, AuditError> {
        let wanted = self.headers.optional_header().image_base();
        let directory = self.directories.get(IMAGE_DIRECTORY_ENTRY_BASERELOC);
        let range = directory.map(|directory| (directory.virtual_address.get(LE), directory.size.get(LE)));
        let Some((rva, size)) = range.filter(|(rva, size)| *rva != 0 && *size != 0) else {
            let what = format!("it cannot be at its ImageBase {wanted:#x}, and has no relocations for another one");
            return Err(self.damaged(what));
        };
        let cut = || self.damaged(format!("its relocations at {rva:#x} are not in it"));
        let (data, _) = at_rva(rva).ok_or_else(cut)?;
        let data = data.get(..size as usize).ok_or_else(cut)?;
        let mut places = Vec::new();
        for block in RelocationBlockIterator::new(data) {
            let block = block.map_err(|error| self.damaged(error.to_string()))?;
            places.extend(block.filter_map(|place| match place.typ {
                IMAGE_REL_BASED_HIGHLOW => Some((place.virtual_address, 4)),
                IMAGE_REL_BASED_DIR64 => Some((place.virtual_address, 8)),
                _ => None,
            }));
            if places.len() > MOST_RELOCATIONS {
                return Err(self.damaged(format!("it has more than {MOST_RELOCATIONS} relocations")));
            }
        }
        Ok(places)
    }

    fn exports(&self, at_rva: &impl Fn(u32) -> Option<(&'a [u8], u32)>) -> Result<Vec<Symbol>, AuditError> {
        let directory = self.directories.get(IMAGE_DIRECTORY_ENTRY_EXPORT);
        let range = directory.map(|directory| (directory.virtual_address.get(LE), directory.size.get(LE)));
        let Some((rva, size)) = range.filter(|(rva, _)| *rva != 0) else {
            return Err(AuditError::Nothing { kind: self.kind, what: "exports" });
        };
        let outside = || self.damaged(format!("its export directory at {rva:#x} is not in it"));
        let (data, _) = at_rva(rva).ok_or_else(outside)?;
        let data = &data[..data.len().min(size as usize)];
        let damaged = |error: object::Error| self.damaged(format!("in its export directory: {error}"));
        let table = ExportTable::parse(data, rva).map_err(damaged)?;
        let mut names: HashMap<u32, Vec<String>> = HashMap::new();
        if table.name_pointers().len() > MOST_NAMES {
            return Err(self.damaged(format!("it exports more than {MOST_NAMES} names")));
        }
        for (pointer, index) in table.name_iter() {
            let name = table.name_from_pointer(pointer).map_err(damaged)?;
            names.entry(index.0.into()).or_default().push(printable(name));
        }
        let mut symbols = Vec::new();
        for (index, address) in (0..).zip(table.addresses()) {
            let address = address.get(LE);
            // A number that nothing has.
            if address == 0 {
                continue;
            }
            let target = match table.target_from_address(address) {
                Ok(ExportTarget::Address(rva)) => Target::Rva(rva),
                Ok(ExportTarget::ForwardByName(dll, name)) => {
                    Target::Forward(format!("{}.{}", printable(dll), printable(name)))
                }
                Ok(ExportTarget::ForwardByOrdinal(dll, ordinal)) => {
                    Target::Forward(format!("{}.#{ordinal}", printable(dll)))
                }
                Err(_) => Target::Rva(address),
            };
            let ordinal = u32::from(table.ordinal_base()) + index;
            let found = names.remove(&index).unwrap_or_else(|| vec![format!("#{ordinal}")]);
            symbols.extend(found.iter().map(|name| {
                let (plain, decorated_bytes) = undecorated_export(name, self.arch);
                Symbol { name: plain.to_owned(), decorated_bytes, target: target.clone() }
            }));
        }
        if symbols.is_empty() {
            return Err(AuditError::Nothing { kind: self.kind, what: "exports" });
        }
        Ok(symbols)
    }

    /// What the loader would fill in. A damaged table ends where it is damaged: calls through it then lead to where it says.
    fn read_imports(&mut self, at_rva: &impl Fn(u32) -> Option<(&'a [u8], u32)>) {
        let directory = self.directories.get(IMAGE_DIRECTORY_ENTRY_IMPORT);
        let Some(rva) = directory.map(|directory| directory.virtual_address.get(LE)).filter(|rva| *rva != 0) else {
            return;
        };
        let Some((data, _)) = at_rva(rva) else { return };
        let table = ImportTable::new(data, rva, rva);
        let Ok(mut descriptors) = table.descriptors() else { return };
        for _ in 0..MOST_IMPORTED_DLLS {
            let Ok(Some(descriptor)) = descriptors.next() else { break };
            let name_at = descriptor.name.get(LE);
            let dll = at_rva(name_at).map_or_else(|| "?".to_owned(), |(bytes, _)| text(bytes));
            let first = descriptor.first_thunk.get(LE);
            let lookup = match descriptor.original_first_thunk.get(LE) {
                0 => first,
                original => original,
            };
            let Some((thunks, _)) = at_rva(lookup) else { continue };
            let step = usize::from(self.pointer());
            for (index, thunk) in (0u32..).zip(thunks.chunks_exact(step)) {
                let Ok((thunk, _)) = object::pod::from_bytes::<Pe::ImageThunkData>(thunk) else { break };
                if thunk.raw() == 0 || self.imports.len() >= MOST_IMPORTS {
                    break;
                }
                let name = if thunk.is_ordinal() {
                    format!("#{}", thunk.ordinal())
                } else {
                    let hint = at_rva(thunk.address()).and_then(|(bytes, _)| bytes.get(2..));
                    hint.map_or_else(|| "?".to_owned(), text)
                };
                let external = self.externals.index(&format!("{dll}!{name}"));
                let Some(field) = first.checked_add(index * step as u32) else { break };
                self.imports.push((field, external));
            }
        }
    }

    /// Wine's pointers to its dispatchers; the place of that of system calls.
    fn wine(&mut self, symbols: &[Symbol]) -> Option<u32> {
        self.point(symbols, "__wine_unix_call_dispatcher", WINE_UNIX_CALL);
        let exported = self.point(symbols, "__wine_syscall_dispatcher", WINE_DISPATCHER);
        if exported.is_some() || self.kind == Kind::Mapped {
            return exported;
        }
        let rva = self.symbol("__wine_syscall_dispatcher")?;
        self.patches.push(Patch { rva, size: self.pointer(), value: WINE_DISPATCHER });
        Some(rva)
    }

    /// Has an exported variable point somewhere. Its place, if there is one.
    fn point(&mut self, symbols: &[Symbol], name: &str, value: u64) -> Option<u32> {
        let target = symbols.iter().find(|symbol| symbol.name == name).map(|symbol| &symbol.target);
        let Some(&Target::Rva(rva)) = target else { return None };
        self.patches.push(Patch { rva, size: self.pointer(), value });
        Some(rva)
    }

    /// The place of a symbol of the file's COFF symbol table, if it has one.
    fn symbol(&self, wanted: &str) -> Option<u32> {
        let table = self.headers.symbols(self.bytes).ok()?;
        table.iter().find_map(|(_, symbol)| {
            let name = symbol.name(table.strings()).ok()?;
            let name = std::str::from_utf8(name).ok()?;
            let section = usize::from(symbol.section_number.get(LE)).checked_sub(1)?;
            if undecorated(name, self.arch).0 != wanted {
                return None;
            }
            self.sections.get(section)?.virtual_address.get(LE).checked_add(symbol.value.get(LE))
        })
    }
}

/// The file's bytes from a place on, to the end of the piece.
fn slice_at<'a>(pieces: &[Piece<'a>], rva: u32) -> Option<(&'a [u8], u32)> {
    pieces.iter().rev().find_map(|piece| {
        let inside = rva.checked_sub(piece.rva)? as usize;
        match &piece.bytes {
            std::borrow::Cow::Borrowed(bytes) if inside < bytes.len() => Some((&bytes[inside..], piece.rva)),
            _ => None,
        }
    })
}

/// The text up to a zero.
fn text(bytes: &[u8]) -> String {
    let end = bytes.iter().take(1024).position(|&byte| byte == 0).unwrap_or(bytes.len().min(1024));
    printable(&bytes[..end])
}

/// The table that Wine's build tools put behind the dispatcher's pointer: a count of two bytes, then a byte a service.
fn argument_bytes(image: &Image<'_>, dispatcher: u32) -> Vec<u8> {
    let word = image.arch.word_bytes();
    let table = dispatcher.saturating_add(word);
    let Some(count) = image.bytes(table, 2).map(|bytes| u32::from(bytes[0]) | u32::from(bytes[1]) << 8) else {
        return Vec::new();
    };
    let bytes = image.bytes(table.saturating_add(2), count).unwrap_or_default();
    let is_table = count <= 0x1000 && bytes.iter().all(|byte| u32::from(*byte) % word == 0);
    if is_table { bytes } else { Vec::new() }
}

fn machine_name(machine: u16) -> String {
    match machine {
        0x1C0 | 0x1C2 | 0x1C4 => "32-bit ARM".to_owned(),
        0xAA64 => "arm64".to_owned(),
        0x200 => "Itanium".to_owned(),
        0x14C => "i386 with the headers of 64 bits".to_owned(),
        0x8664 => "amd64 with the headers of 32 bits".to_owned(),
        other => format!("machine {other:#06x}"),
    }
}
