//! `gas`: stubs for GNU as.

use super::writer::{AsmWriter, Dialect};
use super::{Error, Stubs, assembly};
use crate::model::{Arch, ServiceList};
use crate::stub::Syntax;

pub(super) fn write_gas(list: &ServiceList, stubs: &Stubs) -> Result<String, Error> {
    let arch = stubs.shape.arch();
    let mut out = AsmWriter::new(Dialect::Gas, arch, Some(stubs.encoding));
    assembly::push_head(&mut out, stubs, Some(stubs.encoding));
    out.comment(&format!("Assemble with: {}", assembler(arch)));
    out.blank();
    out.section_text();
    assembly::push_stubs(&mut out, list, stubs, Syntax::Gas)?;
    Ok(out.finish())
}

const fn assembler(arch: Arch) -> &'static str {
    match arch {
        Arch::I386 => "as --32",
        Arch::Amd64 => "as --64",
        Arch::Arm64 => "aarch64-linux-gnu-as",
    }
}
