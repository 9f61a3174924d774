//! Selectors, descriptors and the descriptor caches of the segment registers (SDM vol. 3, 3.4).

/// A segment selector: index, table bit, requested privilege level (SDM vol. 3, 3.4.2).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Selector(pub u16);

impl Selector {
    /// Requested privilege level, 0 to 3.
    pub fn rpl(self) -> u8 {
        (self.0 & 3) as u8
    }

    /// Whether it names the LDT.
    pub fn is_local(self) -> bool {
        self.0 & 4 != 0
    }

    /// Number of its descriptor in the table.
    pub fn index(self) -> u16 {
        self.0 >> 3
    }

    /// Byte offset of its descriptor in the table.
    pub fn offset(self) -> u32 {
        u32::from(self.0 & !7)
    }

    /// Whether it is one of the four null selectors (0 to 3).
    pub fn is_null(self) -> bool {
        self.0 & !3 == 0
    }

    /// The selector as an error code has it: without RPL.
    pub fn error_code(self) -> u32 {
        u32::from(self.0 & !3)
    }
}

/// An 8-byte descriptor as it stands in the GDT or LDT (SDM vol. 3, 3.4.5):
///
/// ```text
///  63      56 55 54 53 52 51    48 47 46 45 44 43  40 39          16 15          0
/// | base 31:24| G|DB| L|AV|lim19:16| P| DPL | S| type |  base 23:0   |  limit 15:0 |
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Descriptor(pub u64);

impl Descriptor {
    /// Segment base.
    pub fn base(self) -> u32 {
        (self.0 >> 16 & 0xFF_FFFF | self.0 >> 56 << 24) as u32
    }

    /// Offset of the last byte, granularity applied.
    pub fn limit(self) -> u32 {
        let raw = (self.0 & 0xFFFF | self.0 >> 32 & 0xF_0000) as u32;
        if self.granular() { raw << 12 | 0xFFF } else { raw }
    }

    /// G: the limit counts 4 KiB pages.
    pub fn granular(self) -> bool {
        self.0 >> 55 & 1 != 0
    }

    /// D/B: 32-bit default operand size, or stack pointer.
    pub fn big(self) -> bool {
        self.0 >> 54 & 1 != 0
    }

    /// L: 64-bit code.
    pub fn long(self) -> bool {
        self.0 >> 53 & 1 != 0
    }

    /// P: present.
    pub fn present(self) -> bool {
        self.0 >> 47 & 1 != 0
    }

    /// Descriptor privilege level.
    pub fn dpl(self) -> u8 {
        (self.0 >> 45 & 3) as u8
    }

    /// S clear: a gate, TSS or LDT.
    pub fn is_system(self) -> bool {
        self.0 >> 44 & 1 == 0
    }

    /// The four type bits.
    pub fn kind(self) -> u8 {
        (self.0 >> 40 & 15) as u8
    }

    /// A code segment.
    pub fn is_code(self) -> bool {
        !self.is_system() && self.kind() & 8 != 0
    }

    /// A conforming code segment.
    pub fn is_conforming(self) -> bool {
        self.is_code() && self.kind() & 4 != 0
    }

    /// A code or data segment that was loaded since the bit was cleared: the processor sets it.
    pub fn is_accessed(self) -> bool {
        !self.is_system() && self.kind() & 1 != 0
    }

    /// A data segment, or a code segment that may be read.
    pub fn is_readable(self) -> bool {
        !self.is_system() && (self.kind() & 8 == 0 || self.kind() & 2 != 0)
    }

    /// A data segment that may be written.
    pub fn is_writable_data(self) -> bool {
        !self.is_system() && self.kind() & 0xA == 2
    }
}

/// What a segment register holds: the visible selector and the cache of its descriptor.
///
/// `read_end` and `write_end` say at once whether an access is inside: `offset + size <= end` grants it. They are 0 for
/// a segment that is null, not readable or writable, or expands down; the careful check decides then.
#[derive(Clone, Copy, Debug, Default)]
pub struct Segment {
    /// The selector.
    pub selector: Selector,
    /// Linear address of offset 0.
    pub base: u64,
    /// Offset of the last byte (expand-down: of the last byte *outside*).
    pub limit: u32,
    /// The descriptor, for type, DPL and D/B; 0 (not present) for a null selector.
    pub descriptor: Descriptor,
    /// What is added to an offset: `base`, but 0 for CS, DS, ES and SS in 64-bit mode.
    pub(crate) origin: u64,
    pub(crate) read_end: u64,
    pub(crate) write_end: u64,
}

impl Segment {
    /// The cache that loading `descriptor` through `selector` gives.
    pub fn new(selector: Selector, descriptor: Descriptor) -> Self {
        let (base, limit) = (u64::from(descriptor.base()), descriptor.limit());
        let mut segment = Self { selector, base, limit, descriptor, origin: base, read_end: 0, write_end: 0 };
        let plain = descriptor.present() && !segment.expands_down();
        if plain && descriptor.is_readable() {
            segment.read_end = u64::from(limit) + 1;
        }
        if plain && descriptor.is_writable_data() {
            segment.write_end = u64::from(limit) + 1;
        }
        segment
    }

    /// The cache after a null selector was loaded: no access is possible through it.
    pub fn null(selector: Selector) -> Self {
        Self { selector, ..Self::default() }
    }

    /// Sets what accesses look at. In 64-bit mode there are no limits and, but for FS and GS, no bases
    /// (SDM vol. 3, 3.4.4).
    pub(crate) fn tune(&mut self, long: bool, has_base: bool) {
        if long {
            self.origin = if has_base { self.base } else { 0 };
            (self.read_end, self.write_end) = (u64::MAX, u64::MAX);
        } else {
            let fresh = Self::new(self.selector, self.descriptor);
            (self.origin, self.read_end, self.write_end) = (self.base, fresh.read_end, fresh.write_end);
        }
    }

    /// The linear address of an offset, within the width that `mask` has.
    #[inline(always)]
    pub(crate) fn linear(&self, offset: u64, mask: u64) -> u64 {
        self.origin.wrapping_add(offset) & mask
    }

    /// Whether the segment can be used at all.
    pub fn is_usable(&self) -> bool {
        self.descriptor.present()
    }

    /// All 4 GiB, readable and writable, from linear address 0 on.
    #[inline]
    pub fn is_flat(&self) -> bool {
        self.origin == 0 && self.write_end == 1 << 32
    }

    /// An expand-down data segment.
    pub fn expands_down(&self) -> bool {
        !self.descriptor.is_system() && self.descriptor.kind() & 0xC == 4
    }

    /// Whether `size` bytes at `offset` lie inside the limit, expand-down segments included.
    pub fn contains(&self, offset: u64, size: u64) -> bool {
        let last = offset + (size - 1);
        if self.expands_down() {
            let top = if self.descriptor.big() { 0xFFFF_FFFF } else { 0xFFFF };
            offset > u64::from(self.limit) && last <= top
        } else {
            last <= u64::from(self.limit)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_code_segment_of_nt_decodes_to_flat_ring_0() {
        // The descriptor that a Windows 2000 kernel's GDT holds at selector 08: bytes FF FF 00 00 00 9B CF 00.
        let code = Descriptor(0x00CF_9B00_0000_FFFF);
        assert_eq!((code.base(), code.limit(), code.dpl()), (0, 0xFFFF_FFFF, 0));
        assert!(code.present() && code.is_code() && code.is_readable() && code.big() && !code.is_conforming());
        assert!(code.is_accessed() && !Descriptor(0x00CF_9A00_0000_FFFF).is_accessed());
        assert_eq!((Selector(0x1B).index(), Selector(0x1B).rpl(), Selector(0x1B).is_local()), (3, 3, false));
        let pcr = Descriptor(0xFFC0_92DF_F000_0001);
        assert_eq!((pcr.base(), pcr.limit()), (0xFFDF_F000, 0x1FFF));
        assert!(pcr.is_writable_data());
    }

    #[test]
    fn the_ends_of_a_segment() {
        let data = Segment::new(Selector(0x3B), Descriptor(0x7F40_F3FD_F000_0FFF));
        assert_eq!((data.read_end, data.write_end), (0x1000, 0x1000));
        assert!(data.contains(0xFFC, 4) && !data.contains(0xFFD, 4));
        let down = Segment::new(Selector(0x10), Descriptor(0x0040_9600_0000_0FFF));
        assert_eq!((down.read_end, down.write_end), (0, 0));
        assert!(down.contains(0x1000, 4) && !down.contains(0xFFF, 4) && !down.contains(0xFFFF_FFFE, 4));
    }
}
