//! Operand widths as types, so that each operation is written once and its width is a parameter.

/// An operand width: `u8`, `u16`, `u32` or `u64`.
pub(crate) trait Width: Copy + Eq {
    /// Bits in the operand.
    const BITS: u32;
    /// Bytes in the operand.
    const BYTES: u32 = Self::BITS / 8;
    /// The operand's bits set, the rest clear.
    const MASK: u64 = u64::MAX >> (64 - Self::BITS);

    /// The low bits of `value`.
    fn cut(value: u64) -> Self;
    /// Zero-extended.
    fn zx(self) -> u64;
    /// Sign-extended.
    fn sx(self) -> u64;
    /// Reads the operand at `at`, little-endian; `None` past the end.
    fn read(bytes: &[u8], at: usize) -> Option<Self>;
    /// Writes the operand at `at`, little-endian; `None` past the end.
    fn write(self, bytes: &mut [u8], at: usize) -> Option<()>;

    /// The sign bit.
    fn sign(self) -> bool {
        self.zx() >> (Self::BITS - 1) & 1 != 0
    }
}

macro_rules! width {
    ($unsigned:ty, $signed:ty) => {
        impl Width for $unsigned {
            const BITS: u32 = <$unsigned>::BITS;
            #[inline(always)]
            fn cut(value: u64) -> Self {
                value as $unsigned
            }
            #[inline(always)]
            fn zx(self) -> u64 {
                self as u64
            }
            #[inline(always)]
            fn sx(self) -> u64 {
                self as $signed as i64 as u64
            }
            #[inline(always)]
            fn read(bytes: &[u8], at: usize) -> Option<Self> {
                let slice = bytes.get(at..at.checked_add(size_of::<Self>())?)?;
                Some(Self::from_le_bytes(slice.try_into().ok()?))
            }
            #[inline(always)]
            fn write(self, bytes: &mut [u8], at: usize) -> Option<()> {
                let slice = bytes.get_mut(at..at.checked_add(size_of::<Self>())?)?;
                slice.copy_from_slice(&self.to_le_bytes());
                Some(())
            }
        }
    };
}

width!(u8, i8);
width!(u16, i16);
width!(u32, i32);
width!(u64, i64);
