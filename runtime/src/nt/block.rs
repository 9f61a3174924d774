//! Structures as bytes.

/// A piece of memory that is filled field by field.
pub(crate) struct Block {
    bytes: Vec<u8>,
}

impl From<Vec<u8>> for Block {
    fn from(bytes: Vec<u8>) -> Self {
        Self { bytes }
    }
}

impl Block {
    /// `size` zeros.
    pub(crate) fn new(size: u32) -> Self {
        Self { bytes: vec![0; size as usize] }
    }

    /// Stores bytes; what would go past the end is an error of this module's own constants.
    pub(crate) fn put(&mut self, offset: u32, bytes: &[u8]) {
        let offset = offset as usize;
        debug_assert!(offset + bytes.len() <= self.bytes.len());
        if let Some(place) = self.bytes.get_mut(offset..offset + bytes.len()) {
            place.copy_from_slice(bytes);
        }
    }

    /// Stores a qword.
    pub(crate) fn qword(&mut self, offset: u32, value: u64) {
        self.put(offset, &value.to_le_bytes());
    }

    /// Stores a dword.
    pub(crate) fn dword(&mut self, offset: u32, value: u32) {
        self.put(offset, &value.to_le_bytes());
    }

    /// Stores a word.
    pub(crate) fn word(&mut self, offset: u32, value: u32) {
        self.put(offset, &(value as u16).to_le_bytes());
    }

    /// Stores a byte.
    pub(crate) fn byte(&mut self, offset: u32, value: u32) {
        self.put(offset, &[value as u8]);
    }

    /// The dword at an offset, 0 beyond the end.
    pub(crate) fn read(&self, offset: u32) -> u32 {
        let bytes = self.bytes.get(offset as usize..).and_then(|bytes| bytes.first_chunk());
        bytes.map_or(0, |bytes| u32::from_le_bytes(*bytes))
    }

    /// All bytes.
    pub(crate) fn finish(self) -> Vec<u8> {
        self.bytes
    }
}
