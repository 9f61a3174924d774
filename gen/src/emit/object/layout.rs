//! Where each stub stands in a code section.

use super::super::bin::{ALIGN_POWER, filler};
use crate::model::Arch;
use crate::stub::Code;

/// A stub, encoded, and its place.
pub(super) struct Placed<'a> {
    /// Its names as the linker sees them.
    pub(super) symbols: &'a [String],
    /// Its offset in the section, in bytes.
    pub(super) start: usize,
    /// Its code, with relocations left open.
    pub(super) code: &'a Code,
}

impl Placed<'_> {
    /// The offset behind it.
    pub(super) fn end(&self) -> usize {
        self.start + self.code.bytes.len()
    }
}

/// The alignment of each stub and of the section, in bytes.
pub(super) const ALIGN: usize = 1 << ALIGN_POWER;

/// Places stubs, each its names and its code, as the format `bin` does.
pub(super) fn place<'a>(stubs: impl IntoIterator<Item = (&'a [String], &'a Code)>) -> Vec<Placed<'a>> {
    let mut end = 0usize;
    let place = |(symbols, code)| {
        let placed = Placed { symbols, start: end.next_multiple_of(ALIGN), code };
        end = placed.end();
        placed
    };
    stubs.into_iter().map(place).collect()
}

/// The bytes of the section that the stubs make.
pub(super) fn text(arch: Arch, placed: &[Placed<'_>]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(placed.last().map_or(0, Placed::end));
    for Placed { start, code, .. } in placed {
        bytes.resize(*start, filler(arch));
        bytes.extend_from_slice(&code.bytes);
    }
    bytes
}
