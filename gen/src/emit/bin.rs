//! `bin`: the code of the stubs, one after another.

use super::codes::Codes;
use super::{Error, Format};
use crate::model::Arch;

/// Each stub starts at a multiple of two to this power: a line of the instruction fetch, and what Windows does.
pub(super) const ALIGN_POWER: u32 = 4;

/// What stands between stubs, so that who runs off the end of one is stopped: on x86 `int3`, as Microsoft's linker has
/// it (GNU as would not write 90h many times but longer instructions that do nothing), on arm64 zeros, which are
/// `udf #0`, as Windows has them.
pub(super) const fn filler(arch: Arch) -> u8 {
    match arch {
        Arch::I386 | Arch::Amd64 => 0xcc,
        Arch::Arm64 => 0,
    }
}

pub(super) fn encode_bin(codes: &Codes<'_>) -> Result<Vec<u8>, Error> {
    let mut bytes = Vec::new();
    for code in codes.stubs.iter().map(|stub| &stub.code) {
        if let Some(relocation) = code.relocations.first() {
            return Err(Error::relocation(Format::Bin, codes.shape, &relocation.symbol));
        }
        bytes.resize(bytes.len().next_multiple_of(1 << ALIGN_POWER), filler(codes.shape.arch()));
        bytes.extend_from_slice(&code.bytes);
    }
    Ok(bytes)
}
