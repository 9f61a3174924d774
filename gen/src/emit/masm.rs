//! `masm`: stubs for Microsoft's assembler (`ml`, `ml64`) and LLVM's `llvm-ml`.
//!
//! The two differ in which encoding of a move between registers they take. Where no encoding is asked for the move is
//! written as what it is and the assembler chooses; where one is, it is written as bytes.

use super::writer::{AsmWriter, Dialect, MASM_ADDRESS};
use super::{Error, Stubs, assembly};
use crate::model::{Arch, ServiceList};
use crate::stub::{Encoding, Syntax};

pub(super) fn write_masm(list: &ServiceList, stubs: &Stubs, moves: Option<Encoding>) -> Result<String, Error> {
    let arch = stubs.shape.arch();
    let mut out = AsmWriter::new(Dialect::Masm, arch, moves);
    assembly::push_head(&mut out, stubs, moves);
    out.comment(match arch {
        Arch::I386 => "Assemble with: ml /c /coff, or llvm-ml -m32 /c",
        _ => "Assemble with: ml64 /c, or llvm-ml -m64 /c",
    });
    out.blank();
    if arch == Arch::I386 {
        // `.686P` before the model: the code segment may then be aligned to 16 bytes.
        out.directive(".686P");
        out.directive(".MODEL FLAT");
    }
    for symbol in assembly::outside(stubs) {
        out.directive(&format!("EXTERN {symbol}:PROC"));
    }
    if stubs.stubs.iter().flat_map(|stub| &stub.instructions).any(|at| at.is_ip_rel_memory_operand()) {
        out.lines(MASM_ADDRESS);
    }
    out.section_text();
    assembly::push_stubs(&mut out, list, stubs, Syntax::Masm)?;
    out.blank();
    out.directive("END");
    Ok(out.finish())
}
