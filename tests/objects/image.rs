//! A file with symbols and code: an object, or what a linker made.

use std::collections::HashMap;

use ntgate_gen::stub::Stub;
use object::{File, Object, ObjectSection, ObjectSymbol};

/// A file, and where its symbols are.
pub(crate) struct Image<'a> {
    file: File<'a>,
    symbols: HashMap<String, u64>,
}

impl<'a> Image<'a> {
    pub(crate) fn parse(bytes: &'a [u8]) -> Self {
        let file = File::parse(bytes).expect("the library reads it");
        let defined = file.symbols().filter(|symbol| symbol.is_definition() || symbol.section_index().is_some());
        let symbols =
            defined.map(|symbol| (symbol.name().expect("it has a name").to_owned(), symbol.address())).collect();
        Self { file, symbols }
    }

    pub(crate) fn file(&self) -> &File<'a> {
        &self.file
    }

    pub(crate) fn address(&self, symbol: &str) -> Option<u64> {
        self.symbols.get(symbol).copied()
    }

    /// The bytes at an address.
    pub(crate) fn code(&self, address: u64, length: usize) -> &'a [u8] {
        let mut sections = self.file.sections();
        let found = sections.find_map(|section| section.data_range(address, length as u64).ok().flatten());
        found.unwrap_or_else(|| panic!("nothing is at {address:#x}"))
    }

    /// Every symbol of every stub must be here, and behind it the bytes that the prover calls, with the distances to
    /// where the linker put the others.
    pub(crate) fn check(&self, stubs: &[Stub], what: &str) {
        assert!(!stubs.is_empty());
        for stub in stubs {
            for symbol in &stub.symbols {
                let address = self.address(symbol).unwrap_or_else(|| panic!("{what}: {symbol} is not there"));
                let expected = stub
                    .encode_at(address, &|name| self.address(name))
                    .unwrap_or_else(|error| panic!("{what}: {error}"));
                assert_eq!(self.code(address, expected.len()), expected, "{what}: {symbol}");
            }
        }
    }
}
