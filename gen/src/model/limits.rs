//! The limits of a list, each with its reason.

/// Services of one table. The kernel takes the low 12 bits of a number as the index into its table
/// (`SERVICE_NUMBER_MASK`, ReactOS `sdk/include/ndk/ketypes.h`).
pub const SERVICES_PER_TABLE: u32 = 1 << 12;

/// Tables of one list. The two bits above the index choose the table; Windows XP keeps room for four of them, later
/// systems for two.
pub const TABLES: usize = 4;

/// Argument dwords of an i386 service. The kernel's argument table holds bytes in a `UCHAR`; 63 dwords are the last
/// whole number of dwords that fits (FCh bytes).
pub const ARGS_I386: u8 = 63;

/// Parameters of a 64-bit service: four in registers, and as many on the stack as the low four bits of a packed
/// table entry can count.
pub const ARGS_AMD64: u8 = 4 + 15;

/// Characters of a service name. Microsoft's compilers truncate identifiers at 2047 characters; this leaves room for
/// `_`, `@252` and generated prefixes.
pub const NAME_CHARS: usize = 2000;
