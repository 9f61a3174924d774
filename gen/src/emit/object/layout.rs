//! Where each stub stands in a code section.

use super::super::Error;
use super::super::bin::{ALIGN_POWER, filler};
use crate::model::Arch;
use crate::stub::{Code, Stub};

/// A stub, encoded, and its place.
pub(super) struct Placed<'a> {
    /// The stub.
    pub(super) stub: &'a Stub,
    /// Its offset in the section, in bytes.
    pub(super) start: usize,
    /// Its code, with relocations left open.
    pub(super) code: Code,
}

/// The alignment of each stub and of the section, in bytes.
pub(super) const ALIGN: usize = 1 << ALIGN_POWER;

/// Encodes stubs and places them as the format `bin` does.
pub(super) fn place(stubs: &[Stub]) -> Result<Vec<Placed<'_>>, Error> {
    let mut end = 0usize;
    let mut placed = Vec::with_capacity(stubs.len());
    for stub in stubs {
        let code = stub.encode().map_err(|error| Error::encode(&stub.service, error))?;
        let start = end.next_multiple_of(ALIGN);
        end = start + code.bytes.len();
        placed.push(Placed { stub, start, code });
    }
    Ok(placed)
}

/// The bytes of the section that the stubs make.
pub(super) fn text(arch: Arch, placed: &[Placed<'_>]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(placed.last().map_or(0, |last| last.start + last.code.bytes.len()));
    for Placed { start, code, .. } in placed {
        bytes.resize(*start, filler(arch));
        bytes.extend_from_slice(&code.bytes);
    }
    bytes
}
