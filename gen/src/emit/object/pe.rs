//! `pe`: a complete ntdll.dll, as far as it is made of system services.
//!
//! One code section with the routines that SharedUserData leads to (i386) and the stubs; an export directory with both
//! names of each service; base relocations. The stubs hold no address of the image, and so the one block of relocations
//! has nothing but padding: it tells a loader that the image may be moved as it is.
//!
//! The fields of the headers are those of PE Format, "Optional Header"; all times are 0.

mod checksum;
mod exports;

use object::pe::{
    DllFlags, FileFlags, IMAGE_DLLCHARACTERISTICS_DYNAMIC_BASE, IMAGE_DLLCHARACTERISTICS_HIGH_ENTROPY_VA,
    IMAGE_DLLCHARACTERISTICS_NO_SEH, IMAGE_DLLCHARACTERISTICS_NX_COMPAT, IMAGE_FILE_32BIT_MACHINE, IMAGE_FILE_DLL,
    IMAGE_FILE_EXECUTABLE_IMAGE, IMAGE_FILE_LARGE_ADDRESS_AWARE, IMAGE_NUMBEROF_DIRECTORY_ENTRIES,
    IMAGE_REL_BASED_ABSOLUTE, IMAGE_SUBSYSTEM_WINDOWS_CUI,
};
use object::write::pe::{NtHeaders, Writer};

use super::super::codes::Codes;
use super::super::{Error, Format};
use super::implib::machine;
use super::layout::{place, text};
use crate::model::Arch;
use crate::stub::{Routine, system_calls};

use exports::Export;

/// Sections in memory, a page; and in the file, a sector.
const SECTION_ALIGNMENT: u32 = 0x1000;
const FILE_ALIGNMENT: u32 = 0x200;

/// The image. Every table of the list is in it.
pub(super) fn encode(codes: &Codes<'_>) -> Result<Vec<u8>, Error> {
    let (arch, shape) = (codes.shape.arch(), codes.shape);
    if shape.is_kernel() {
        return Err(Error::kernel_shape(Format::Pe, shape));
    }
    let routines = system_calls(arch, codes.encoding);
    let encode = |routine: &Routine| routine.code.encode().map_err(|error| Error::encode(&routine.code.service, error));
    let routine_codes = routines.iter().map(encode).collect::<Result<Vec<_>, _>>()?;
    // The routines come first, as many as there are.
    let before = routines.iter().zip(&routine_codes).map(|(routine, code)| (routine.code.symbols.as_slice(), code));
    let placed = place(before.chain(codes.stubs.iter().map(|stub| (stub.symbols.as_slice(), &stub.code))));
    // Nobody links an image any more.
    if let Some(open) = placed.iter().find_map(|at| at.code.relocations.first()) {
        return Err(Error::relocation(Format::Pe, shape, &open.symbol));
    }
    let mut exports = Vec::with_capacity(2 * placed.len());
    for (index, at) in placed.iter().enumerate() {
        let names: Vec<(String, u64)> = match routines.get(index) {
            Some(routine) => routine.names.iter().map(|(name, offset)| ((*name).to_owned(), *offset)).collect(),
            None => at.symbols.iter().map(|symbol| (undecorated(symbol, arch).to_owned(), 0)).collect(),
        };
        exports.extend(names.into_iter().map(|(name, offset)| Export { name, offset: at.start + offset as usize }));
    }
    write(arch, &text(arch, &placed), exports)
}

/// The name of a symbol as a DLL exports it: `NtClose` of `_NtClose@4`.
fn undecorated(symbol: &str, arch: Arch) -> &str {
    if arch != Arch::I386 {
        return symbol;
    }
    let name = symbol.strip_prefix('_').unwrap_or(symbol);
    name.rsplit_once('@').map_or(name, |(name, _)| name)
}

fn write(arch: Arch, text: &[u8], exports: Vec<Export>) -> Result<Vec<u8>, Error> {
    let mut bytes = Vec::new();
    let mut writer = Writer::new(arch != Arch::I386, SECTION_ALIGNMENT, FILE_ALIGNMENT, &mut bytes);
    writer.reserve_dos_header_and_stub();
    writer.reserve_nt_headers(IMAGE_NUMBEROF_DIRECTORY_ENTRIES);
    writer.reserve_section_headers(3);
    let code = writer.reserve_text_section(number(text.len())?);
    let directory = exports::Directory::new(exports)?;
    let edata = writer.reserve_edata_section(directory.len());
    writer.add_reloc(code.virtual_address, IMAGE_REL_BASED_ABSOLUTE);
    writer.reserve_reloc_section();

    writer.write_dos_header_and_stub().map_err(Error::object)?;
    writer.write_nt_headers(headers(arch));
    writer.write_section_headers();
    writer.write_section(code.file_offset, text);
    writer.write_section(edata.file_offset, &directory.encode(edata.virtual_address, code.virtual_address));
    writer.write_reloc_section();
    let headers = writer.nt_headers_offset() as usize;
    checksum::set(&mut bytes, headers);
    Ok(bytes)
}

fn headers(arch: Arch) -> NtHeaders {
    let (version, image_base) = match arch {
        // The order of the services is that of 5.2. The addresses are what Windows XP SP2 and the linker chose.
        Arch::I386 => ((5, 2), 0x7c90_0000),
        Arch::Amd64 => ((5, 2), 0x1_8000_0000),
        // The first for this machine.
        Arch::Arm64 => ((10, 0), 0x1_8000_0000),
    };
    NtHeaders {
        machine: machine(arch),
        time_date_stamp: 0,
        characteristics: file_flags(arch),
        major_linker_version: 0,
        minor_linker_version: 0,
        // The kernel finds what it calls by name.
        address_of_entry_point: 0,
        image_base,
        major_operating_system_version: version.0,
        minor_operating_system_version: version.1,
        major_image_version: version.0,
        minor_image_version: version.1,
        major_subsystem_version: version.0,
        minor_subsystem_version: version.1,
        subsystem: IMAGE_SUBSYSTEM_WINDOWS_CUI,
        dll_characteristics: dll_flags(arch),
        size_of_stack_reserve: 0x4_0000,
        size_of_stack_commit: 0x1000,
        size_of_heap_reserve: 0x10_0000,
        size_of_heap_commit: 0x1000,
    }
}

fn file_flags(arch: Arch) -> FileFlags {
    let common = IMAGE_FILE_EXECUTABLE_IMAGE | IMAGE_FILE_DLL | IMAGE_FILE_LARGE_ADDRESS_AWARE;
    if arch == Arch::I386 { common | IMAGE_FILE_32BIT_MACHINE } else { common }
}

fn dll_flags(arch: Arch) -> DllFlags {
    // No code of the image handles exceptions, and so there is no table of handlers.
    let handlers =
        if arch == Arch::I386 { IMAGE_DLLCHARACTERISTICS_NO_SEH } else { IMAGE_DLLCHARACTERISTICS_HIGH_ENTROPY_VA };
    IMAGE_DLLCHARACTERISTICS_DYNAMIC_BASE | IMAGE_DLLCHARACTERISTICS_NX_COMPAT | handlers
}

fn number(value: usize) -> Result<u32, Error> {
    u32::try_from(value).map_err(Error::object)
}
