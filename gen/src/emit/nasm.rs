//! `nasm`: stubs for the Netwide Assembler, for COFF and ELF alike.
//!
//! NASM writes the GNU encoding of a move between registers and cannot be asked for the other one, which is written as
//! bytes if it is asked for.

use super::writer::{AsmWriter, Dialect};
use super::{Error, Stubs, assembly};
use crate::model::{Arch, ServiceList};
use crate::stub::{Encoding, Syntax};

pub(super) fn write_nasm(list: &ServiceList, stubs: &Stubs, moves: Option<Encoding>) -> Result<String, Error> {
    let arch = stubs.shape.arch();
    let mut out = AsmWriter::new(Dialect::Nasm, arch, moves);
    assembly::push_head(&mut out, stubs, moves);
    out.comment(match arch {
        Arch::I386 => "Assemble with: nasm -f win32, or nasm -f elf32",
        _ => "Assemble with: nasm -f win64, or nasm -f elf64",
    });
    out.blank();
    out.directive(if arch == Arch::I386 { "bits 32" } else { "bits 64" });
    for symbol in assembly::outside(stubs) {
        out.directive(&format!("extern {symbol}"));
    }
    out.section_text();
    assembly::push_stubs(&mut out, list, stubs, Syntax::Nasm)?;
    Ok(out.finish())
}
