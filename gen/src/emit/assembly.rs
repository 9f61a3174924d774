//! What the assembler formats share: the head, the symbols from outside, the stubs one after another.

use std::collections::HashSet;

use super::bin::{ALIGN_POWER, filler};
use super::writer::AsmWriter;
use super::{Error, Stubs};
use crate::model::ServiceList;
use crate::stub::{Encoding, Syntax, write_lines};

/// What the text is, for its first lines.
pub(super) fn push_head(out: &mut AsmWriter, stubs: &Stubs, moves: Option<Encoding>) {
    let encoding = moves.map_or("of the assembler's choice", Encoding::name);
    out.comment(&format!(
        "Stubs of {} system services, shape {}, encoding {encoding}. Made by ntgate; do not edit.",
        stubs.stubs.len(),
        stubs.shape,
    ));
}

/// The symbols that the stubs refer to and that are not among them, in the order of their first use.
pub(super) fn outside(stubs: &Stubs) -> Vec<&str> {
    let mut seen = HashSet::new();
    let symbols = stubs.stubs.iter().flat_map(|stub| &stub.relocations).map(|relocation| relocation.symbol.as_str());
    symbols.filter(|&symbol| seen.insert(symbol)).collect()
}

/// All stubs, each with its comment and its symbols.
pub(super) fn push_stubs(out: &mut AsmWriter, list: &ServiceList, stubs: &Stubs, syntax: Syntax) -> Result<(), Error> {
    let mut place: usize = 0;
    for (service, stub) in list.services().zip(&stubs.stubs) {
        out.blank();
        if let Some(doc) = service.doc() {
            // Never a number first: GNU as would take `# 1 "x"` for a line number and a file.
            out.comment(&format!("{}: {doc}", service.name()));
        }
        out.align(ALIGN_POWER, filler(stubs.shape.arch()), place);
        for symbol in &stub.symbols {
            out.global(symbol);
        }
        for symbol in &stub.symbols {
            out.symbol(symbol);
        }
        for (index, line) in write_lines(stub, syntax).into_iter().enumerate() {
            if let Some(label) = line.label {
                out.label(&label);
            }
            out.instruction(stub.instructions.get(index), &line.text);
        }
        // The others align by themselves.
        if syntax == Syntax::Masm {
            let code = stub.encode().map_err(|error| Error::encode(&stub.service, error))?;
            place = place.next_multiple_of(1 << ALIGN_POWER) + code.bytes.len();
        }
    }
    Ok(())
}
