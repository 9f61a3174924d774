//! The export directory (PE Format, "The .edata Section").

use object::pe::ImageExportDirectory;
use object::pod::bytes_of;
use object::{LittleEndian, U16, U32};

use super::super::implib::DLL;
use super::{Error, number};

/// A name and what it is of.
pub(super) struct Export {
    /// The name.
    pub(super) name: String,
    /// Its place in the code section, in bytes.
    pub(super) offset: usize,
}

/// The length of `IMAGE_EXPORT_DIRECTORY`.
const HEADER: u32 = 40;
/// The first ordinal.
const BASE: u32 = 1;

/// Exports in the order of their names, in which a loader looks for them. Ordinals follow the names.
pub(super) struct Directory {
    exports: Vec<Export>,
    /// Its length in bytes.
    length: u32,
}

impl Directory {
    pub(super) fn new(mut exports: Vec<Export>) -> Result<Self, Error> {
        exports.sort_unstable_by(|a, b| a.name.cmp(&b.name));
        // An ordinal has 16 bits; four full tables have 32768 names.
        u16::try_from(exports.len()).map_err(Error::object)?;
        let names: usize = exports.iter().map(|export| export.name.len() + 1).sum();
        let length = number(HEADER as usize + 10 * exports.len() + DLL.len() + 1 + names)?;
        Ok(Self { exports, length })
    }

    /// Its length in bytes.
    pub(super) const fn len(&self) -> u32 {
        self.length
    }

    /// The bytes of a directory at an address, of exports in a code section at another, both from the image's start.
    pub(super) fn encode(&self, at: u32, code: u32) -> Vec<u8> {
        // `new` has seen that all of this fits.
        let count = self.exports.len() as u32;
        let functions = at + HEADER;
        let names = functions + 4 * count;
        let ordinals = names + 4 * count;
        let dll = ordinals + 2 * count;
        let header = ImageExportDirectory {
            characteristics: long(0),
            time_date_stamp: long(0),
            major_version: short(0),
            minor_version: short(0),
            name: long(dll),
            base: long(BASE),
            number_of_functions: long(count),
            number_of_names: long(count),
            address_of_functions: long(functions),
            address_of_names: long(names),
            address_of_name_ordinals: long(ordinals),
        };
        let mut bytes = bytes_of(&header).to_vec();
        bytes.extend(self.exports.iter().flat_map(|export| (code + export.offset as u32).to_le_bytes()));
        let mut next = dll + DLL.len() as u32 + 1;
        for export in &self.exports {
            bytes.extend(next.to_le_bytes());
            next += export.name.len() as u32 + 1;
        }
        bytes.extend((0..self.exports.len() as u16).flat_map(u16::to_le_bytes));
        for name in std::iter::once(DLL).chain(self.exports.iter().map(|export| export.name.as_str())) {
            bytes.extend_from_slice(name.as_bytes());
            bytes.push(0);
        }
        debug_assert_eq!(bytes.len(), self.length as usize);
        bytes
    }
}

fn long(value: u32) -> U32<LittleEndian> {
    U32::new(LittleEndian, value)
}

fn short(value: u16) -> U16<LittleEndian> {
    U16::new(LittleEndian, value)
}
