//! What can be read from and written to guest memory as a whole.

/// A value of a fixed size in guest memory. Integers and arrays are such; a structure becomes one by an implementation.
///
/// ```
/// use ntgate_runtime::host::Value;
///
/// /// `CLIENT_ID` of 32 bits.
/// struct ClientId {
///     process: u32,
///     thread: u32,
/// }
///
/// impl Value for ClientId {
///     const SIZE: usize = 8;
///     const ALIGN: usize = 4;
///
///     fn from_bytes(bytes: &[u8]) -> Self {
///         let [process, thread] = Value::from_bytes(bytes);
///         Self { process, thread }
///     }
///
///     fn to_bytes(&self) -> Vec<u8> {
///         [self.process, self.thread].to_bytes()
///     }
/// }
///
/// assert_eq!(ClientId::from_bytes(&[1, 0, 0, 0, 2, 0, 0, 0]).thread, 2);
/// ```
pub trait Value: Sized {
    /// Bytes it takes.
    const SIZE: usize;

    /// Where a probe lets it stand: at multiples of this. Of more than a pointer's size, a pointer's size counts, as with the
    /// `LARGE_INTEGER`s on a 32-bit stack.
    const ALIGN: usize;

    /// The value of [`SIZE`](Self::SIZE) bytes, the least significant first.
    fn from_bytes(bytes: &[u8]) -> Self;

    /// Its bytes, as many as [`SIZE`](Self::SIZE) says.
    fn to_bytes(&self) -> Vec<u8>;
}

macro_rules! integers {
    ($($integer:ty)*) => {
        $(impl Value for $integer {
            const SIZE: usize = size_of::<$integer>();
            const ALIGN: usize = Self::SIZE;

            fn from_bytes(bytes: &[u8]) -> Self {
                let mut all = [0; Self::SIZE];
                for (to, from) in all.iter_mut().zip(bytes) {
                    *to = *from;
                }
                Self::from_le_bytes(all)
            }

            fn to_bytes(&self) -> Vec<u8> {
                self.to_le_bytes().to_vec()
            }
        })*
    };
}

integers! { u8 i8 u16 i16 u32 i32 u64 i64 }

impl<T: Value, const N: usize> Value for [T; N] {
    const SIZE: usize = N * T::SIZE;
    const ALIGN: usize = T::ALIGN;

    fn from_bytes(bytes: &[u8]) -> Self {
        std::array::from_fn(|index| T::from_bytes(bytes.get(index * T::SIZE..).unwrap_or_default()))
    }

    fn to_bytes(&self) -> Vec<u8> {
        self.iter().flat_map(T::to_bytes).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_come_back_as_they_went() {
        assert_eq!(i32::from_bytes(&(-2i32).to_bytes()), -2);
        assert_eq!(u64::from_bytes(&0x0102_0304_0506_0708u64.to_bytes()), 0x0102_0304_0506_0708);
        assert_eq!(<[u16; 2]>::from_bytes(&[1, 2, 3, 4]), [0x201, 0x403]);
        assert_eq!((<[u16; 3]>::SIZE, <[u16; 3]>::ALIGN), (6, 2));
        // Too few bytes are zeroes, not a panic.
        assert_eq!(<[u32; 2]>::from_bytes(&[1]), [1, 0]);
    }
}
