//! Names for addresses and addresses for names.

use std::collections::BTreeMap;

/// How far behind a symbol an address may be to be told as that symbol and a distance.
const FAR: u64 = 0x1000;

/// A symbol and a distance from it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Near<'a> {
    /// `nt!KiSystemService`.
    pub name: &'a str,
    /// Its address.
    pub address: u64,
    /// Bytes from there.
    pub offset: u64,
}

/// The symbols of a system: `module!Name`, or a name alone where it belongs to no module.
#[derive(Debug, Clone, Default)]
pub struct Symbols {
    names: BTreeMap<String, u64>,
    /// All names of an address, the one to be shown first.
    addresses: BTreeMap<u64, Vec<String>>,
}

impl Symbols {
    /// The symbols with these names and addresses.
    pub fn new<'a>(all: impl IntoIterator<Item = (&'a str, u64)>) -> Self {
        let mut symbols = Self::default();
        for (name, address) in all {
            symbols.insert(name, address);
        }
        symbols
    }

    /// Adds a name for an address. Of several names, the one that begins with `Zw` is shown last but for its kernel, where
    /// `Nt` and `Zw` are routines of their own; else the first in alphabetical order.
    pub fn insert(&mut self, name: &str, address: u64) {
        if self.names.insert(name.to_owned(), address).is_none() {
            let names = self.addresses.entry(address).or_default();
            names.push(name.to_owned());
            names.sort();
        }
    }

    /// The address of a symbol. Names are compared as they are; a name without module is looked for in all of them, the
    /// kernel's first, as long as nothing has that name alone.
    #[must_use]
    pub fn address(&self, name: &str) -> Option<u64> {
        let whole = self.names.get(name);
        let in_module = || ["nt", "ntdll"].iter().find_map(|module| self.names.get(&format!("{module}!{name}")));
        let anywhere =
            || self.names.iter().find(|(known, _)| known.split_once('!').is_some_and(|(_, end)| end == name));
        whole.or_else(in_module).or_else(|| anywhere().map(|(_, address)| address)).copied()
    }

    /// The symbol that an address belongs to: the nearest one at or before it.
    #[must_use]
    pub fn nearest(&self, address: u64) -> Option<Near<'_>> {
        let (at, names) = self.addresses.range(..=address).next_back()?;
        let offset = address - at;
        (offset < FAR).then_some(Near { name: names.first()?, address: *at, offset })
    }

    /// All names of exactly this address.
    #[must_use]
    pub fn at(&self, address: u64) -> &[String] {
        self.addresses.get(&address).map(Vec::as_slice).unwrap_or_default()
    }

    /// The address of the first symbol behind an address.
    #[must_use]
    pub fn next_after(&self, address: u64) -> Option<u64> {
        self.addresses.range(address.checked_add(1)?..).next().map(|(at, _)| *at)
    }

    /// Every name with its address, in alphabetical order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, u64)> {
        self.names.iter().map(|(name, address)| (name.as_str(), *address))
    }

    /// An address as a debugger tells it: `nt!KiSystemService+2f`, or hexadecimal digits where there is no symbol.
    #[must_use]
    pub fn describe(&self, address: u64) -> String {
        match self.nearest(address) {
            Some(Near { name, offset: 0, .. }) => name.to_owned(),
            Some(Near { name, offset, .. }) => format!("{name}+{offset:x}"),
            None => format!("{address:08x}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn symbols() -> Symbols {
        Symbols::new([
            ("nt!ZwClose", 0x8080_0000),
            ("ntdll!ZwClose", 0x7C95_0000),
            ("ntdll!NtClose", 0x7C95_0000),
            ("ntdll!NtOpenFile", 0x7C95_0010),
            ("SharedUserData", 0x7FFE_0000),
        ])
    }

    #[test]
    fn an_address_has_its_nearest_symbol_and_a_distance() {
        let symbols = symbols();
        for (address, text) in [
            (0x7C95_0000, "ntdll!NtClose"),
            (0x7C95_000F, "ntdll!NtClose+f"),
            (0x7C95_0010, "ntdll!NtOpenFile"),
            (0x7C95_100F, "ntdll!NtOpenFile+fff"),
            (0x7C95_1010, "7c951010"),
            (0x1000, "00001000"),
            (0x7FFE_0300, "SharedUserData+300"),
        ] {
            assert_eq!(symbols.describe(address), text);
        }
        assert_eq!(symbols.at(0x7C95_0000), ["ntdll!NtClose", "ntdll!ZwClose"]);
        assert_eq!(symbols.next_after(0x7C95_0000), Some(0x7C95_0010));
        assert_eq!(symbols.next_after(u64::MAX), None);
    }

    #[test]
    fn a_name_without_module_is_the_kernels_first() {
        let symbols = symbols();
        assert_eq!(symbols.address("ZwClose"), Some(0x8080_0000));
        assert_eq!(symbols.address("NtClose"), Some(0x7C95_0000));
        assert_eq!(symbols.address("ntdll!ZwClose"), Some(0x7C95_0000));
        assert_eq!(symbols.address("SharedUserData"), Some(0x7FFE_0000));
        assert_eq!(symbols.address("nt!NtClose"), None);
    }
}
