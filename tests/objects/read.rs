//! What the crate `object` reads of objects and archives.

use std::collections::HashMap;

use ntgate_gen::emit::Format;
use ntgate_gen::stub::{Code, Stub};
use ntgate_gen::{Arch, Encoding, Shape, stub};
use object::coff::Symbol;
use object::read::archive::{ArchiveFile, ArchiveKind};
use object::read::coff::CoffFile;
use object::{
    Architecture, Object, ObjectSection, ObjectSymbol, RelocationTarget, SectionFlags, SymbolKind, SymbolScope, elf, pe,
};

use crate::expected::{emitted, emitted_as, lists, shapes, stubs};
use crate::image::Image;

/// Every symbol is a global function, with the bytes of its stub; every relocation is there, and no other.
fn check_object(bytes: &[u8], stubs: &[Stub], what: &str) {
    let image = Image::parse(bytes);
    let expected = match stubs[0].arch {
        Arch::I386 => Architecture::I386,
        Arch::Amd64 => Architecture::X86_64,
        Arch::Arm64 => Architecture::Aarch64,
    };
    assert_eq!(image.file().architecture(), expected, "{what}");
    let text = image.file().section_by_name(".text").expect("it has code");
    assert_eq!(text.align(), 16);
    let kinds: HashMap<_, _> = image
        .file()
        .symbols()
        .map(|symbol| (symbol.name().expect("it has a name"), (symbol.kind(), symbol.scope())))
        .collect();
    let mut fields: HashMap<u64, (String, i64)> = HashMap::new();
    for (offset, relocation) in text.relocations() {
        let RelocationTarget::Symbol(index) = relocation.target() else { panic!("{what}: of what?") };
        let symbol = image.file().symbol_by_index(index).expect("it is there");
        let stored = image.code(offset, 4);
        let stored = i32::from_le_bytes(stored.try_into().expect("four bytes"));
        let addend = relocation.addend() + if relocation.has_implicit_addend() { i64::from(stored) } else { 0 };
        fields.insert(offset, (symbol.name().expect("it has a name").to_owned(), addend));
    }
    for stub in stubs {
        let Code { bytes, relocations } = stub.encode().expect("a built stub encodes");
        for symbol in &stub.symbols {
            assert_eq!(kinds[symbol.as_str()].0, SymbolKind::Text, "{what}: {symbol}");
            assert_ne!(kinds[symbol.as_str()].1, SymbolScope::Compilation, "{what}: {symbol}");
            let start = image.address(symbol).unwrap_or_else(|| panic!("{what}: {symbol} is not there"));
            assert_eq!(start % 16, 0);
            // The linker's fields may hold an addend.
            let mut found = image.code(start, bytes.len()).to_vec();
            for relocation in &relocations {
                found[relocation.offset..relocation.offset + 4].fill(0);
            }
            assert_eq!(found, bytes, "{what}: {symbol}");
        }
        let start = image.address(&stub.symbols[0]).expect("it was there");
        for relocation in &relocations {
            let field = fields.remove(&(start + relocation.offset as u64));
            // Where COFF says nothing the distance is from the end of the field.
            let addend = -4;
            assert_eq!(field, Some((relocation.symbol.clone(), addend)), "{what}: {}", stub.service);
        }
    }
    assert!(fields.is_empty(), "{what}: {fields:?}");
}

#[test]
fn objects_hold_the_stubs() {
    for list in lists() {
        for shape in shapes() {
            for encoding in Encoding::ALL {
                let stubs: Vec<_> = list.services().map(|service| stub::build(shape, service, encoding)).collect();
                for format in [Format::Coff, Format::Elf] {
                    let what = format!("{format} {} {shape} {encoding}", shape.arch());
                    check_object(&emitted_as(&list, format, shape, encoding), &stubs, &what);
                }
            }
        }
    }
}

#[test]
fn elf_needs_no_executable_stack_and_i386_coff_has_no_handlers() {
    let [list, _] = lists();
    for shape in shapes() {
        let bytes = emitted(&list, Format::Elf, shape);
        let image = Image::parse(&bytes);
        let note = image.file().section_by_name(".note.GNU-stack").expect("it is there");
        let SectionFlags::Elf { sh_type, sh_flags } = note.flags() else { panic!("it is ELF") };
        assert_eq!((sh_type, sh_flags), (elf::SHT_PROGBITS, elf::SectionFlags::default()));

        let bytes = emitted(&list, Format::Coff, shape);
        let file = CoffFile::<_>::parse(&*bytes).expect("it is right");
        let feature = file.symbols().find(|symbol| symbol.name() == Ok("@feat.00")).map(|symbol| {
            let symbol = symbol.coff_symbol();
            (symbol.section_number(), symbol.value(), symbol.storage_class())
        });
        let expected = (pe::IMAGE_SYM_ABSOLUTE, 1, pe::IMAGE_SYM_CLASS_STATIC);
        assert_eq!(feature, (shape.arch() == Arch::I386).then_some(expected), "{shape}");
    }
}

#[test]
fn archives_have_a_member_for_each_service() {
    for list in lists() {
        for shape in shapes() {
            let stubs = stubs(&list, shape);
            for (format, extension, kind) in
                [(Format::Archive, "obj", ArchiveKind::Coff), (Format::ElfArchive, "o", ArchiveKind::Gnu)]
            {
                let what = format!("{format} {} {shape}", shape.arch());
                let bytes = emitted(&list, format, shape);
                let archive = ArchiveFile::parse(&*bytes).expect("it is an archive");
                assert_eq!(archive.kind(), kind);
                // The index leads to the member that has the symbol.
                let symbols = archive.symbols().expect("it can be read").expect("it has an index");
                let index: HashMap<_, _> = symbols
                    .map(|symbol| symbol.expect("it can be read"))
                    .map(|symbol| (symbol.name(), symbol.offset()))
                    .collect();
                assert_eq!(index.len(), stubs.iter().map(|stub| stub.symbols.len()).sum::<usize>());
                for stub in &stubs {
                    for symbol in &stub.symbols {
                        let member = archive.member(index[symbol.as_bytes()]).expect("it is there");
                        assert_eq!(member.name(), format!("{}.{extension}", stub.service).as_bytes());
                        let bytes = member.data(&*bytes).expect("it is there");
                        check_object(bytes, std::slice::from_ref(stub), &what);
                    }
                }
                let members: Vec<_> = archive.members().map(|member| member.expect("it can be read")).collect();
                assert_eq!(members.len(), stubs.len());
                assert!(
                    members
                        .iter()
                        .all(|member| (member.date(), member.uid(), member.gid()) == (Some(0), Some(0), Some(0)))
                );
            }
        }
    }
}

#[test]
fn the_second_index_of_an_archive_says_what_the_first_says() {
    let [list, _] = lists();
    let bytes = emitted(&list, Format::Archive, Shape::SharedEdx);
    let archive = ArchiveFile::parse(&*bytes).expect("it is an archive");
    let first = archive.symbols().expect("it can be read").expect("it has an index");
    let mut first: Vec<(Vec<u8>, u64)> = first
        .map(|symbol| symbol.expect("it can be read"))
        .map(|symbol| {
            (symbol.name().to_vec(), archive.member(symbol.offset()).expect("it is there").file_range().0 - 60)
        })
        .collect();
    first.sort_unstable();

    // By hand, for the library reads one index of the two: behind the first index and a header of 60 bytes.
    let length = |header: usize| -> usize {
        std::str::from_utf8(&bytes[header + 48..header + 58]).expect("digits").trim().parse().expect("a length")
    };
    let header = 8 + 60 + length(8).next_multiple_of(2);
    assert_eq!(&bytes[header..header + 16], b"/               ");
    let index = &bytes[header + 60..][..length(header)];
    let long = |at: usize| u32::from_le_bytes(index[at..at + 4].try_into().expect("four bytes")) as usize;
    let members = long(0);
    let symbols = long(4 + 4 * members);
    let positions = 8 + 4 * members;
    let names = index[positions + 2 * symbols..].split(|&byte| byte == 0);
    let second: Vec<(Vec<u8>, u64)> = names
        .take(symbols)
        .enumerate()
        .map(|(symbol, name)| {
            let at = positions + 2 * symbol;
            let position = u16::from_le_bytes(index[at..at + 2].try_into().expect("two bytes"));
            (name.to_vec(), long(4 * usize::from(position)) as u64)
        })
        .collect();
    assert_eq!(second, first);
}

#[test]
fn object_forms_do_not_change_from_run_to_run() {
    for list in lists() {
        for shape in shapes() {
            for format in [Format::Coff, Format::Elf, Format::Archive, Format::ElfArchive, Format::Implib, Format::Pe] {
                if format == Format::Pe && shape.is_kernel() {
                    continue;
                }
                assert!(emitted(&list, format, shape) == emitted(&list, format, shape), "{format} {shape}");
            }
        }
    }
}
