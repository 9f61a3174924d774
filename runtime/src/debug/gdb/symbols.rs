//! The names of a system as an ELF file, for gdb's `symbol-file`.

use object::elf;
use object::endian::Endianness;
use object::write::elf::{FileHeader, SectionHeader, Sym, Writer};

use crate::debug::Symbols;

/// How far apart two symbols of one section may be.
const FAR: u64 = 0x10_0000;

/// Bytes of a section behind its last symbol.
const BEHIND: u64 = 0x1000;

/// Consecutive symbols; gdb tells an address by a symbol only where there is a section.
struct Part<'a> {
    address: u64,
    end: u64,
    symbols: Vec<(&'a str, u64)>,
}

/// An executable file without content: a section around each group of symbols, and a symbol table. Each name is there twice,
/// with and without its module, as far as it is the only one of its kind; gdb shows the one with it, and takes it in quotes.
///
/// ```
/// use ntgate_runtime::debug::{Symbols, gdb};
///
/// let symbols = Symbols::new([("nt!KiFastCallEntry", 0x8083_F3F0), ("ntdll!NtClose", 0x7C95_0000)]);
/// let file = gdb::symbol_file(&symbols, false);
/// assert!(file.starts_with(b"\x7FELF"));
/// ```
#[must_use]
pub fn symbol_file(symbols: &Symbols, long: bool) -> Vec<u8> {
    let names = names(symbols);
    let parts = parts(&names);
    let mut file = Vec::new();
    // What can fail is a table beyond 4 GiB.
    let _ = write(&parts, long, &mut file);
    file
}

/// By address; of one address the name with a module comes last, which is the one that gdb shows.
fn names(symbols: &Symbols) -> Vec<(&str, u64)> {
    let mut names = Vec::new();
    for (name, address) in symbols.iter() {
        names.push((name, address));
        if let Some((_, short)) = name.split_once('!')
            && symbols.address(short) == Some(address)
        {
            names.push((short, address));
        }
    }
    names.sort_by_key(|(name, address)| (*address, name.contains('!'), *name));
    names
}

fn parts<'a>(names: &[(&'a str, u64)]) -> Vec<Part<'a>> {
    let mut parts: Vec<Part<'_>> = Vec::new();
    for (name, address) in names {
        let end = address.saturating_add(BEHIND);
        match parts.last_mut() {
            Some(part) if address - part.end.min(*address) < FAR => {
                part.end = end;
                part.symbols.push((name, *address));
            }
            _ => parts.push(Part { address: *address, end, symbols: vec![(name, *address)] }),
        }
    }
    parts
}

fn write(parts: &[Part<'_>], long: bool, file: &mut Vec<u8>) -> object::write::Result<()> {
    let mut writer = Writer::new(Endianness::Little, long, file);
    writer.reserve_file_header();
    writer.reserve_null_section_index();
    writer.reserve_null_symbol_index();
    let section_name = writer.add_section_name(b".nt");
    let mut all = Vec::new();
    for part in parts {
        let section = writer.reserve_section_index();
        for (name, address) in &part.symbols {
            all.push((writer.add_string(name.as_bytes()), section, *address));
            writer.reserve_symbol_index(Some(section));
        }
    }
    writer.reserve_symtab_section_index();
    writer.reserve_strtab_section_index();
    writer.reserve_shstrtab_section_index();
    writer.reserve_symtab();
    writer.reserve_strtab()?;
    writer.reserve_shstrtab()?;
    writer.reserve_section_headers();
    writer.write_file_header(&FileHeader {
        os_abi: elf::ELFOSABI_NONE,
        abi_version: 0,
        e_type: elf::ET_EXEC,
        e_machine: if long { elf::EM_X86_64 } else { elf::EM_386 },
        e_entry: 0,
        e_flags: elf::FileFlags(0),
    })?;
    writer.write_null_symbol();
    for (name, section, address) in all {
        let st_name = writer.string_offset(Some(name));
        writer.write_symbol(&Sym {
            section: Some(section.0),
            st_name,
            st_info: elf::SymbolInfo::new(elf::STB_GLOBAL, elf::STT_NOTYPE),
            st_other: elf::SymbolOther(0),
            st_shndx: elf::SymbolSection(0),
            st_value: address,
            st_size: 0,
        });
    }
    writer.write_strtab();
    writer.write_shstrtab();
    writer.write_null_section_header();
    let sh_name = writer.section_name_offset(Some(section_name));
    for part in parts {
        writer.write_section_header(&SectionHeader {
            sh_name,
            sh_type: elf::SHT_NOBITS,
            sh_flags: elf::SHF_ALLOC | elf::SHF_EXECINSTR,
            sh_addr: part.address,
            sh_offset: 0,
            sh_size: part.end.saturating_sub(part.address),
            sh_link: 0,
            sh_info: 0,
            sh_addralign: 1,
            sh_entsize: 0,
        });
    }
    // All but the first, which names nothing, are global.
    writer.write_symtab_section_header(1);
    writer.write_strtab_section_header();
    writer.write_shstrtab_section_header();
    Ok(())
}
