//! The code that is in a library or a program: what compilers, assemblers and linkers made of the stubs.

#![allow(dead_code, reason = "no test needs all of it")]

use std::collections::BTreeMap;

use ntgate_gen::{ServiceList, Shape};
use ntgate_runtime::prove::{FoundCode, Report, prove_code};
use object::read::archive::ArchiveFile;
use object::{Object, ObjectSection, ObjectSymbol, RelocationTarget, SectionKind};

/// A function, or a label in assembler code, up to the next one.
#[derive(Debug)]
pub(crate) struct Code {
    pub(crate) bytes: Vec<u8>,
    /// Fields that the linker fills in, by their symbols.
    pub(crate) relocations: Vec<(usize, String)>,
}

/// All code of a library or a program, by the names of its symbols.
pub(crate) struct Library(BTreeMap<String, Code>);

impl Library {
    /// Reads the objects of a Rust library, which is an archive.
    pub(crate) fn read(bytes: &[u8]) -> Self {
        let mut codes = BTreeMap::new();
        for member in ArchiveFile::parse(bytes).expect("it is an archive").members() {
            let member = member.expect("it is a member");
            // Beside the objects there is what the compiler wants to know.
            if member.name().ends_with(b".o") {
                let data = member.data(bytes).expect("it is there");
                read_object(&object::File::parse(data).expect("it is an object"), &mut codes);
            }
        }
        Self(codes)
    }

    /// Reads a program or an object.
    pub(crate) fn read_file(bytes: &[u8]) -> Self {
        let mut codes = BTreeMap::new();
        read_object(&object::File::parse(bytes).expect("it is a program"), &mut codes);
        Self(codes)
    }

    /// The code of this symbol.
    pub(crate) fn symbol(&self, name: &str) -> Option<&Code> {
        self.0.get(name)
    }

    /// The code of a Rust function in a module. In the names that Rust gives to symbols every part has its length in front.
    pub(crate) fn function(&self, module: &str, name: &str) -> Option<&Code> {
        let path = format!("{}{module}{}{name}", module.len(), name.len());
        let mut found = self.0.iter().filter(|(symbol, _)| symbol.contains(&path));
        let (_, code) = found.next()?;
        assert!(found.next().is_none(), "{module}::{name} is there twice");
        Some(code)
    }

    /// Proves the code that `find` knows of each service.
    pub(crate) fn prove<'a>(
        &'a self,
        list: &ServiceList,
        shape: Shape,
        find: &dyn Fn(&str) -> Option<&'a Code>,
    ) -> Report {
        let codes: Vec<_> = list.services().map(|service| (service.name().nt(), find(service.name().nt()))).collect();
        let fields: Vec<Vec<(usize, &str)>> = codes
            .iter()
            .map(|(service, code)| {
                let code = code.unwrap_or_else(|| panic!("{shape}: there is no code of {service}"));
                code.relocations.iter().map(|(offset, symbol)| (*offset, &**symbol)).collect()
            })
            .collect();
        let found: Vec<_> = codes
            .iter()
            .zip(&fields)
            .filter_map(|((service, code), relocations)| {
                Some(FoundCode { service, code: &(*code)?.bytes, relocations })
            })
            .collect();
        prove_code(list, "services.lst", shape, &found, &|_, _| {}).unwrap_or_else(|error| panic!("{shape}: {error}"))
    }
}

fn read_object(file: &object::File<'_>, codes: &mut BTreeMap<String, Code>) {
    for section in file.sections().filter(|section| section.kind() == SectionKind::Text) {
        let data = section.data().expect("it is there");
        let in_section = |symbol: &object::Symbol<'_, '_>| {
            symbol.section_index() == Some(section.index()) && symbol.name().is_ok_and(is_of_code)
        };
        let symbols: Vec<_> = file.symbols().filter(in_section).collect();
        let start_of = |symbol: &object::Symbol<'_, '_>| (symbol.address() - section.address()) as usize;
        for symbol in &symbols {
            let start = start_of(symbol);
            // Labels have no size, and neither has anything in a COFF object.
            let next = || symbols.iter().map(start_of).filter(|&other| other > start).min().unwrap_or(data.len());
            let end = if symbol.size() > 0 { start + symbol.size() as usize } else { next() };
            let relocations = section.relocations().filter(|(offset, _)| (start..end).contains(&(*offset as usize)));
            let relocations = relocations.map(|(offset, relocation)| {
                let RelocationTarget::Symbol(index) = relocation.target() else { panic!("it is to no symbol") };
                let target = file.symbol_by_index(index).expect("it is there");
                (offset as usize - start, target.name().expect("it is text").to_owned())
            });
            let code = Code { bytes: data[start..end].to_vec(), relocations: relocations.collect() };
            codes.insert(symbol.name().expect("it is text").to_owned(), code);
        }
    }
}

/// Whether code begins here: the compiler marks the ends of functions, and COFF has a symbol for each section.
fn is_of_code(name: &str) -> bool {
    !name.is_empty() && !name.starts_with('.') && !name.starts_with("$")
}
