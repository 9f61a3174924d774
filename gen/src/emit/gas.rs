//! `gas`: stubs for GNU as.

use super::Stubs;
use super::bin::{ALIGN_POWER, FILLER};
use super::writer::AsmWriter;
use crate::model::ServiceList;
use crate::stub::{Syntax, write_lines};

pub(super) fn write_gas(list: &ServiceList, stubs: &Stubs) -> String {
    let mut out = AsmWriter::default();
    out.comment(&format!(
        "Stubs of {} system services, shape {}, encoding {}. Made by ntgate; do not edit.",
        stubs.stubs.len(),
        stubs.shape,
        stubs.encoding
    ));
    out.comment(&format!("Assemble with: as --{}", 8 * stubs.shape.arch().word_bytes()));
    out.blank();
    out.section_text();
    for (service, stub) in list.services().zip(&stubs.stubs) {
        out.blank();
        if let Some(doc) = service.doc() {
            // Never a number first: as would take `# 1 "x"` for a line number and a file.
            out.comment(&format!("{}: {doc}", service.name()));
        }
        out.align(ALIGN_POWER, FILLER);
        for symbol in &stub.symbols {
            out.global(symbol);
        }
        for symbol in &stub.symbols {
            out.symbol(symbol);
        }
        for (instruction, line) in stub.instructions.iter().zip(write_lines(stub, Syntax::Gas)) {
            if let Some(label) = line.label {
                out.label(label);
            }
            out.instruction(instruction, &line.text);
        }
    }
    out.finish()
}
