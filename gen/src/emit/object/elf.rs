//! `elf`: an ELF object.

use object::{BinaryFormat, SectionFlags, SectionKind, elf};

use super::super::Error;
use super::layout::Placed;
use super::linkable;
use crate::model::Arch;

/// One object with these stubs.
pub(super) fn encode(arch: Arch, placed: &[Placed<'_>]) -> Result<Vec<u8>, Error> {
    let mut object = linkable::build(BinaryFormat::Elf, arch, placed)?.object;
    // Without this section GNU ld takes it that the code needs an executable stack.
    let note = object.add_section(Vec::new(), b".note.GNU-stack".to_vec(), SectionKind::Other);
    object.section_mut(note).flags =
        SectionFlags::Elf { sh_type: elf::SHT_PROGBITS, sh_flags: elf::SectionFlags::default() };
    object.write().map_err(Error::object)
}
