//! Values: a fixed sequence of random ones, and the ones where arithmetic has its corners.

/// SplitMix64 (Steele, Lea, Flood 2014): the same sequence on every machine.
pub(crate) struct Random(pub(crate) u64);

const EDGES: [u32; 24] = [
    0,
    1,
    2,
    6,
    9,
    0x0F,
    0x10,
    0x7F,
    0x80,
    0x81,
    0xFF,
    0x100,
    0x7FFF,
    0x8000,
    0xFFFF,
    0x1_0000,
    0x7FFF_FFFF,
    0x8000_0000,
    0x8000_0001,
    0xFFFF_FFFF,
    0xFFFF_FF80,
    0xFFFF_8000,
    0xAAAA_AAAA,
    0x5555_5555,
];

impl Random {
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ z >> 30).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ z >> 27).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ z >> 31
    }

    /// 0 to `end` - 1.
    pub(crate) fn below(&mut self, end: u32) -> u32 {
        (self.next() >> 32) as u32 % end.max(1)
    }

    /// True once in `n` times.
    pub(crate) fn one_in(&mut self, n: u32) -> bool {
        self.below(n) == 0
    }

    pub(crate) fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[self.below(from.len() as u32) as usize]
    }

    /// An operand's value: half of them edges, or next to one.
    pub(crate) fn value(&mut self) -> u32 {
        match self.below(8) {
            0..3 => self.pick(&EDGES),
            3 => self.pick(&EDGES).wrapping_add(self.below(3)).wrapping_sub(1),
            // Edges of the parts: AH as well as AL.
            4 => self.pick(&EDGES) << 8 & 0xFF00 | self.pick(&EDGES) & 0xFF | self.pick(&EDGES) << 16,
            _ => self.next() as u32,
        }
    }
}
