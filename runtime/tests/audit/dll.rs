//! DLLs made byte by byte: what no linker makes has to be made by hand.

use std::collections::BTreeMap;

use ntgate_gen::Arch;

/// Where things are in such a DLL.
pub(crate) const TEXT: u32 = 0x1000;
pub(crate) const DATA: u32 = 0x8000;
pub(crate) const EXPORTS: u32 = 0x1_0000;

/// A DLL with code, data and exports.
#[derive(Clone)]
pub(crate) struct Dll {
    arch: Arch,
    pub(crate) base: u64,
    text: Vec<u8>,
    data: Vec<u8>,
    exports: Vec<(String, Place)>,
    /// The import directory.
    imports: u32,
}

#[derive(Clone)]
enum Place {
    Rva(u32),
    Forward(String),
}

impl Dll {
    pub(crate) fn new(arch: Arch) -> Self {
        let base = if arch == Arch::I386 { 0x7C80_0000 } else { 0x7FF8_0000_0000 };
        // A function that nobody would take for a stub, so that no export is at the very beginning.
        Self { arch, base, text: vec![0xCC; 16], data: vec![0; 0x100], exports: Vec::new(), imports: 0 }
    }

    /// Adds code, at the next multiple of 16, under a name. Where it is.
    pub(crate) fn add(&mut self, name: &str, code: &[u8]) -> u32 {
        let rva = self.next();
        self.text.extend_from_slice(code);
        self.export(name, rva);
        rva
    }

    /// Where the next code will be.
    pub(crate) fn next(&mut self) -> u32 {
        let size = self.text.len().next_multiple_of(16);
        self.text.resize(size, 0xCC);
        TEXT + size as u32
    }

    pub(crate) fn export(&mut self, name: &str, rva: u32) {
        self.exports.push((name.to_owned(), Place::Rva(rva)));
    }

    pub(crate) fn forward(&mut self, name: &str, to: &str) {
        self.exports.push((name.to_owned(), Place::Forward(to.to_owned())));
    }

    /// Puts bytes into the data. Where they are.
    pub(crate) fn data(&mut self, bytes: &[u8]) -> u32 {
        let rva = DATA + self.data.len() as u32;
        self.data.extend_from_slice(bytes);
        rva
    }

    /// Imports a name, the only one. Where its address will be.
    pub(crate) fn import(&mut self, dll: &str, name: &str) -> u32 {
        let word = self.arch.word_bytes() as usize;
        let name = self.data(&[&[0, 0], name.as_bytes(), &[0]].concat());
        let dll = self.data(&[dll.as_bytes(), &[0]].concat());
        let mut thunks = u64::from(name).to_le_bytes()[..word].to_vec();
        thunks.resize(2 * word, 0);
        let [lookup, addresses] = [self.data(&thunks), self.data(&thunks)];
        let directory: Vec<u8> = [lookup, 0, 0, dll, addresses].iter().flat_map(|field| field.to_le_bytes()).collect();
        self.imports = self.data(&directory);
        self.data(&[0; 20]);
        addresses
    }

    /// The export section: directory, addresses, names, ordinals, texts.
    fn export_section(&self) -> Vec<u8> {
        let exports: BTreeMap<&str, &Place> = self.exports.iter().map(|(name, place)| (name.as_str(), place)).collect();
        let count = exports.len() as u32;
        let (addresses, names, ordinals) = (EXPORTS + 40, EXPORTS + 40 + 4 * count, EXPORTS + 40 + 8 * count);
        let mut texts = Vec::new();
        let text_at = ordinals + 2 * count;
        let mut text = |text: &str| {
            let at = text_at + texts.len() as u32;
            texts.extend_from_slice(text.as_bytes());
            texts.push(0);
            at
        };
        let dll_name = text("test.dll");
        let mut section = Vec::new();
        for value in [0, 0, 0, dll_name, 1, count, count, addresses, names, ordinals] {
            section.extend(u32::to_le_bytes(value));
        }
        let places: Vec<u32> = exports
            .values()
            .map(|place| match place {
                Place::Rva(rva) => *rva,
                Place::Forward(to) => text(to),
            })
            .collect();
        let names: Vec<u32> = exports.keys().map(|name| text(name)).collect();
        section.extend(places.iter().chain(&names).flat_map(|value| value.to_le_bytes()));
        section.extend((0..count as u16).flat_map(u16::to_le_bytes));
        section.extend(texts);
        section
    }

    /// The file: each section at the offset that is its address, so that it is the mapped form too.
    pub(crate) fn bytes(&self) -> Vec<u8> {
        let exports = self.export_section();
        let end = (EXPORTS + exports.len() as u32).next_multiple_of(0x1000);
        let mut file = self.headers(exports.len() as u32, end);
        file.resize(end as usize, 0);
        for (at, bytes) in [(TEXT, &self.text), (DATA, &self.data), (EXPORTS, &exports)] {
            file[at as usize..at as usize + bytes.len()].copy_from_slice(bytes);
        }
        file
    }

    fn headers(&self, exports: u32, end: u32) -> Vec<u8> {
        let wide = self.arch != Arch::I386;
        let optional: u16 = if wide { 112 + 128 } else { 96 + 128 };
        let mut file = b"MZ".to_vec();
        file.resize(0x3C, 0);
        file.extend(0x80_u32.to_le_bytes());
        file.resize(0x80, 0);
        file.extend(b"PE\0\0");
        file.extend(if wide { 0x8664_u16 } else { 0x14C }.to_le_bytes());
        file.extend(3_u16.to_le_bytes());
        file.extend([0; 12]);
        file.extend(optional.to_le_bytes());
        file.extend(0x2022_u16.to_le_bytes());
        file.extend(if wide { 0x20B_u16 } else { 0x10B }.to_le_bytes());
        file.extend([0; 22]);
        if wide {
            file.extend(self.base.to_le_bytes());
        } else {
            file.extend([0; 4]);
            file.extend((self.base as u32).to_le_bytes());
        }
        for value in [0x1000, 0x1000, 0, 0, 0, 0, end, 0x1000, 0, 0] {
            file.extend(u32::to_le_bytes(value));
        }
        file.resize(file.len() + if wide { 32 } else { 16 }, 0);
        file.extend(0_u32.to_le_bytes());
        file.extend(16_u32.to_le_bytes());
        file.extend(EXPORTS.to_le_bytes());
        file.extend(exports.to_le_bytes());
        file.extend(self.imports.to_le_bytes());
        file.extend([0; 4 + 8 * 14]);
        let exports_size = end - EXPORTS;
        for (name, rva, size, flags) in [
            (b".text\0\0\0", TEXT, DATA - TEXT, 0x6000_0020_u32),
            (b".data\0\0\0", DATA, EXPORTS - DATA, 0xC000_0040),
            (b".edata\0\0", EXPORTS, exports_size, 0x4000_0040),
        ] {
            file.extend_from_slice(name);
            for value in [size, rva, size, rva, 0, 0, 0, flags] {
                file.extend(value.to_le_bytes());
            }
        }
        file
    }
}

/// `mov eax,number; mov edx,7FFE0300h; call [edx]; ret bytes`
pub(crate) fn stub_32(number: u32, bytes: u16) -> Vec<u8> {
    let mut code = vec![0xB8];
    code.extend(number.to_le_bytes());
    code.extend([0xBA, 0, 3, 0xFE, 0x7F, 0xFF, 0x12, 0xC2]);
    code.extend(bytes.to_le_bytes());
    code
}

/// `mov r10,rcx; mov eax,number; syscall; ret`
pub(crate) fn stub_64(number: u32) -> Vec<u8> {
    let mut code = vec![0x4C, 0x8B, 0xD1, 0xB8];
    code.extend(number.to_le_bytes());
    code.extend([0x0F, 5, 0xC3]);
    code
}
