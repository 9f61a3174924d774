//! Service tables as a kernel reads them.
//!
//! A service number has the row in its low 12 bits and the table in the two above: 1234h is row 234h of table 1, which
//! is win32k's. On i386, on amd64 before Windows Vista and in ReactOS a row is the address of the routine, and another
//! table has the argument bytes. On amd64 since Windows Vista both are packed into a signed number of 32 bits:
//!
//! ```text
//!  31                                    4  3     0
//! +---------------------------------------+--------+
//! | routine - table, in bytes, signed     | stack  |
//! +---------------------------------------+--------+
//! ```
//!
//! `stack` counts the arguments on the stack: those after the fourth.

use std::fmt;

use crate::model::{Arch, Service, ServiceTable, limits};

/// Arguments of an amd64 service that are in registers.
pub const REGISTER_ARGS: u32 = 4;

/// The most arguments on the stack that a packed entry can count, in four bits. Windows itself copies at most 14.
pub const STACK_ARGS: u32 = 15;

/// How far a routine may be from the table: 28 bits with their sign.
const REACH: i64 = 1 << 27;

/// What a packed entry says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unpacked {
    /// The bytes from the table's base to the routine.
    pub offset: i32,
    /// The arguments on the stack: at most [`STACK_ARGS`].
    pub stack_args: u32,
}

/// Why there is no packed entry for a routine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum PackError {
    /// The routine is 128 MiB or more from the table.
    Offset {
        /// The bytes from the table's base to the routine.
        offset: i64,
    },
    /// There are more arguments on the stack than [`STACK_ARGS`].
    StackArgs {
        /// How many there are.
        stack_args: u32,
    },
}

impl fmt::Display for PackError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Offset { offset } => {
                let sign = if *offset < 0 { "-" } else { "" };
                write!(
                    f,
                    "an offset of {sign}{:#x} does not fit into the 28 bits of a packed entry",
                    offset.unsigned_abs()
                )
            }
            Self::StackArgs { stack_args } => {
                write!(f, "{stack_args} arguments on the stack are more than the {STACK_ARGS} of a packed entry")
            }
        }
    }
}

impl std::error::Error for PackError {}

/// Why a table cannot be packed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RowError {
    /// The number of the service, the base of the table included.
    pub number: u32,
    /// Its name; `None` in a row without a service.
    pub service: Option<String>,
    /// What is wrong with it.
    pub error: PackError,
}

impl fmt::Display for RowError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = self.service.as_deref().unwrap_or("no service");
        write!(f, "row {:#x} ({name}): {}", self.number, self.error)
    }
}

impl std::error::Error for RowError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.error)
    }
}

/// The table that a number means, 0 to 3, and the row in it. Systems with two tables look at bit 12 alone.
///
/// ```
/// assert_eq!(ntgate_gen::table::locate(0x1234), (1, 0x234));
/// ```
#[must_use]
pub const fn locate(number: u32) -> (u32, u32) {
    let rows = limits::SERVICES_PER_TABLE;
    (number / rows % limits::TABLES as u32, number % rows)
}

/// How many arguments of a service are on the stack on amd64, which is what a packed entry counts.
#[must_use]
pub fn stack_args(service: &Service) -> u32 {
    u32::from(service.args(Arch::Amd64)).saturating_sub(REGISTER_ARGS)
}

/// The entry of a routine `offset` bytes from the table's base.
///
/// ```
/// use ntgate_gen::table::{Unpacked, packed_entry, unpack_entry};
///
/// assert_eq!(packed_entry(0x2e_8780, 5), Ok(0x02e8_7805));
/// assert_eq!(unpack_entry(0xfff7_2d00), Unpacked { offset: -0x8d30, stack_args: 0 });
/// ```
///
/// # Errors
///
/// If the offset or the arguments do not fit.
pub const fn packed_entry(offset: i64, stack_args: u32) -> Result<u32, PackError> {
    if stack_args > STACK_ARGS {
        return Err(PackError::StackArgs { stack_args });
    }
    if offset < -REACH || offset >= REACH {
        return Err(PackError::Offset { offset });
    }
    // The upper half of the offset is its sign.
    Ok((offset as u32) << 4 | stack_args)
}

/// What an entry says.
#[must_use]
pub const fn unpack_entry(entry: u32) -> Unpacked {
    Unpacked { offset: entry.cast_signed() >> 4, stack_args: entry & STACK_ARGS }
}

/// Packs a table that stands at `base`, for who knows the addresses: one entry a row.
///
/// `address` tells where the routine of a row is. `None` is a row without a service, which needs a routine that says
/// so: the kernel does not look before it calls.
///
/// # Errors
///
/// For the first row that does not fit.
pub fn pack(
    table: &ServiceTable,
    base: u64,
    address: &dyn Fn(Option<&Service>) -> u64,
) -> Result<Vec<u32>, Box<RowError>> {
    let rows = (table.base()..).zip(table.rows());
    rows.map(|(number, row)| {
        let offset = address(row).wrapping_sub(base).cast_signed();
        packed_entry(offset, row.map_or(0, stack_args)).map_err(|error| {
            let service = row.map(|service| service.name().nt().to_owned());
            Box::new(RowError { number, service, error })
        })
    })
    .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::read_list;

    #[test]
    fn entries_are_those_of_windows() {
        for (entry, offset, stack_args) in [(0x02e8_7805, 0x2e_8780, 5), (0xfff7_2d00, -0x8d30, 0)] {
            assert_eq!(packed_entry(offset.into(), stack_args), Ok(entry));
            assert_eq!(unpack_entry(entry), Unpacked { offset, stack_args });
        }
    }

    #[test]
    fn entries_end_where_their_bits_end() {
        assert_eq!(packed_entry(0x7ff_ffff, 15), Ok(0x7fff_ffff));
        assert_eq!(packed_entry(-0x800_0000, 0), Ok(0x8000_0000));
        for offset in [0x800_0000, -0x800_0001, i64::MAX, i64::MIN] {
            assert_eq!(packed_entry(offset, 0), Err(PackError::Offset { offset }));
        }
        let error = packed_entry(0, 16).expect_err("it has five bits");
        assert_eq!(error.to_string(), "16 arguments on the stack are more than the 15 of a packed entry");
        let error = packed_entry(-0x800_0001, 0).expect_err("it has 29 bits");
        assert_eq!(error.to_string(), "an offset of -0x8000001 does not fit into the 28 bits of a packed entry");
    }

    #[test]
    fn every_entry_is_packed_again() {
        for entry in (0..=u32::MAX).step_by(0x0123_4567) {
            let Unpacked { offset, stack_args } = unpack_entry(entry);
            assert_eq!(packed_entry(offset.into(), stack_args), Ok(entry));
        }
    }

    #[test]
    fn tables_are_packed_with_their_holes() {
        let read = read_list("test.lst", b"NtA 3\nNtB 12/9 @2\n").expect("the list is right");
        let address = |row: Option<&Service>| row.map_or(0x3000, |service| 0x1000 + u64::from(service.number()));
        let packed = pack(read.list.primary(), 0x2000, &address).expect("all of it is near");
        assert_eq!(packed, [0xffff_0000, 0x0001_0000, 0xffff_0025]);

        let error = pack(read.list.primary(), 0x9000_0000, &address).expect_err("that is far away");
        assert_eq!((error.number, error.service.as_deref()), (0, Some("NtA")));
    }

    #[test]
    fn numbers_lead_to_tables() {
        for (number, table, row) in
            [(0, 0, 0), (0xfff, 0, 0xfff), (0x1124, 1, 0x124), (0x3fff, 3, 0xfff), (0x4001, 0, 1)]
        {
            assert_eq!(locate(number), (table, row), "{number:#x}");
        }
    }
}
