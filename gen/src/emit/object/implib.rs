//! `implib`: an import library of ntdll.dll in the short form (PE Format, "Import Library Format").
//!
//! Three small objects make the frame of the import table: the descriptor of the DLL, the empty descriptor behind the
//! last DLL, and the empty entries behind the DLL's last import. Each service then has a header of 20 bytes and two
//! names, of which the linker makes `_NtClose@4`, which jumps, and `__imp__NtClose@4`, the pointer.

use object::pe::{
    IMAGE_FILE_MACHINE_AMD64, IMAGE_FILE_MACHINE_ARM64, IMAGE_FILE_MACHINE_I386, IMAGE_FILE_MACHINE_UNKNOWN,
    IMAGE_SYM_CLASS_SECTION, IMPORT_OBJECT_CODE, IMPORT_OBJECT_HDR_SIG2, IMPORT_OBJECT_NAME,
    IMPORT_OBJECT_NAME_UNDECORATE, ImportObjectFlags, ImportObjectHeader, Machine, SymbolType,
};
use object::pod::bytes_of;
use object::write::{Object, SectionId, Symbol, SymbolId, SymbolSection};
use object::{LittleEndian, SectionKind, SymbolFlags, SymbolKind, U16, U32};

use super::super::Error;
use super::archive::{self, Index, Member};
use super::coff::{self, image_offset};
use super::linkable::{external, refer};
use crate::model::{Arch, ServiceList};
use crate::stub::{self, Shape};

/// The DLL, and what the symbols of its frame are called after.
pub(super) const DLL: &str = "ntdll.dll";
const DLL_STEM: &str = "ntdll";
/// The length of `IMAGE_IMPORT_DESCRIPTOR`.
const DESCRIPTOR: usize = 20;
const NULL_DESCRIPTOR: &str = "__NULL_IMPORT_DESCRIPTOR";

/// The library: both names of every service.
pub(super) fn encode(list: &ServiceList, arch: Arch) -> Result<Vec<u8>, Error> {
    let mut members = vec![descriptor(arch)?, null_descriptor(arch)?, null_thunk(arch)?];
    let shape = Shape::default_for(arch);
    for service in list.services() {
        for symbol in stub::symbols(shape, service) {
            members.push(short_import(arch, symbol)?);
        }
    }
    archive::encode(Index::Both, &members)
}

/// `IMAGE_IMPORT_DESCRIPTOR` of the DLL: where its tables and its name start, as the linker will have put them together
/// of the sections `.idata$4`, `.idata$5` and `.idata$6`.
fn descriptor(arch: Arch) -> Result<Member, Error> {
    /// Offsets in the descriptor: OriginalFirstThunk, Name, FirstThunk.
    const FIELDS: [u64; 3] = [0, 12, 16];
    let symbol = format!("__IMPORT_DESCRIPTOR_{DLL_STEM}");
    let mut object = coff::empty(arch);
    let directory = add_section(&mut object, ".idata$2", vec![0; DESCRIPTOR], 4);
    define(&mut object, directory, &symbol);
    let mut name = DLL.as_bytes().to_vec();
    name.resize((name.len() + 1).next_multiple_of(2), 0);
    let name = add_section(&mut object, ".idata$6", name, 2);
    let parts = [
        section_elsewhere(&mut object, ".idata$4"),
        object.section_symbol(name),
        section_elsewhere(&mut object, ".idata$5"),
    ];
    for (offset, part) in FIELDS.into_iter().zip(parts) {
        object.add_relocation(directory, image_offset(offset, part, 0)).map_err(Error::object)?;
    }
    // These bring the other two parts of the frame in.
    refer(&mut object, NULL_DESCRIPTOR);
    refer(&mut object, &null_thunk_symbol());
    member(&object, symbol)
}

/// The empty descriptor that ends the import directory.
fn null_descriptor(arch: Arch) -> Result<Member, Error> {
    let mut object = coff::empty(arch);
    let section = add_section(&mut object, ".idata$3", vec![0; DESCRIPTOR], 4);
    define(&mut object, section, NULL_DESCRIPTOR);
    member(&object, NULL_DESCRIPTOR.to_owned())
}

/// The empty entries that end the DLL's two tables.
fn null_thunk(arch: Arch) -> Result<Member, Error> {
    let word = arch.word_bytes() as usize;
    let mut object = coff::empty(arch);
    let section = add_section(&mut object, ".idata$5", vec![0; word], word as u64);
    add_section(&mut object, ".idata$4", vec![0; word], word as u64);
    define(&mut object, section, &null_thunk_symbol());
    member(&object, null_thunk_symbol())
}

fn null_thunk_symbol() -> String {
    // No C name begins so.
    format!("\u{7f}{DLL_STEM}_NULL_THUNK_DATA")
}

/// The header of an import by name, and its names.
fn short_import(arch: Arch, symbol: String) -> Result<Member, Error> {
    // What the DLL exports has no decoration.
    let name_type = if arch == Arch::I386 { IMPORT_OBJECT_NAME_UNDECORATE } else { IMPORT_OBJECT_NAME };
    let flags = ImportObjectFlags::new(IMPORT_OBJECT_CODE, name_type);
    let names = [symbol.as_bytes(), b"\0", DLL.as_bytes(), b"\0"].concat();
    let header = ImportObjectHeader {
        sig1: U16::new(LittleEndian, IMAGE_FILE_MACHINE_UNKNOWN),
        sig2: U16::new(LittleEndian, IMPORT_OBJECT_HDR_SIG2),
        version: U16::new(LittleEndian, 0),
        machine: U16::new(LittleEndian, machine(arch)),
        time_date_stamp: U32::new(LittleEndian, 0),
        size_of_data: U32::new(LittleEndian, u32::try_from(names.len()).map_err(Error::object)?),
        // Where a loader looks first in the DLL's table of names. It looks everywhere.
        ordinal_or_hint: U16::new(LittleEndian, 0),
        name_type: U16::new(LittleEndian, flags),
    };
    let pointer = format!("__imp_{symbol}");
    Ok(Member { name: DLL.to_owned(), bytes: [bytes_of(&header), &names].concat(), symbols: vec![pointer, symbol] })
}

/// The machine of a COFF or PE file.
pub(super) const fn machine(arch: Arch) -> Machine {
    match arch {
        Arch::I386 => IMAGE_FILE_MACHINE_I386,
        Arch::Amd64 => IMAGE_FILE_MACHINE_AMD64,
        Arch::Arm64 => IMAGE_FILE_MACHINE_ARM64,
    }
}

fn add_section(object: &mut Object<'_>, name: &str, data: Vec<u8>, align: u64) -> SectionId {
    let section = object.add_section(Vec::new(), name.as_bytes().to_vec(), SectionKind::Data);
    object.set_section_data(section, data, align);
    section
}

/// The start of a section as a symbol that other files see.
fn define(object: &mut Object<'_>, section: SectionId, name: &str) {
    object.add_symbol(Symbol { kind: SymbolKind::Data, section: SymbolSection::Section(section), ..external(name) });
}

/// The start of a section that other files have parts of.
fn section_elsewhere(object: &mut Object<'_>, name: &str) -> SymbolId {
    let flags = SymbolFlags::Coff { typ: SymbolType::default(), storage_class: IMAGE_SYM_CLASS_SECTION };
    object.add_symbol(Symbol { flags, ..external(name) })
}

/// A member of the frame. As in Microsoft's libraries all members have the name of the DLL.
fn member(object: &Object<'_>, symbol: String) -> Result<Member, Error> {
    Ok(Member { name: DLL.to_owned(), bytes: object.write().map_err(Error::object)?, symbols: vec![symbol] })
}
