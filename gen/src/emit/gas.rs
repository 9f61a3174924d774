//! `gas`: stubs for GNU as.

use super::Stubs;
use super::bin::{ALIGN_POWER, filler};
use super::writer::AsmWriter;
use crate::model::{Arch, ServiceList};
use crate::stub::{Syntax, write_lines};

pub(super) fn write_gas(list: &ServiceList, stubs: &Stubs) -> String {
    let mut out = AsmWriter::default();
    out.comment(&format!(
        "Stubs of {} system services, shape {}, encoding {}. Made by ntgate; do not edit.",
        stubs.stubs.len(),
        stubs.shape,
        stubs.encoding
    ));
    out.comment(&format!("Assemble with: {}", assembler(stubs.shape.arch())));
    out.blank();
    out.section_text();
    for (service, stub) in list.services().zip(&stubs.stubs) {
        out.blank();
        if let Some(doc) = service.doc() {
            // Never a number first: as would take `# 1 "x"` for a line number and a file.
            out.comment(&format!("{}: {doc}", service.name()));
        }
        out.align(ALIGN_POWER, filler(stubs.shape.arch()));
        for symbol in &stub.symbols {
            out.global(symbol);
        }
        for symbol in &stub.symbols {
            out.symbol(symbol);
        }
        for (index, line) in write_lines(stub, Syntax::Gas).into_iter().enumerate() {
            if let Some(label) = line.label {
                out.label(label);
            }
            out.instruction(stub.instructions.get(index), &line.text);
        }
    }
    out.finish()
}

const fn assembler(arch: Arch) -> &'static str {
    match arch {
        Arch::I386 => "as --32",
        Arch::Amd64 => "as --64",
        Arch::Arm64 => "aarch64-linux-gnu-as",
    }
}
