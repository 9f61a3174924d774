//! `def`: a module definition file, for `link /def`, `lib /def`, dlltool and llvm-dlltool.

use super::Stubs;
use super::comment::above;
use super::lines::Lines;
use crate::model::{Arch, ServiceList};

/// The names of the stubs as exports. On i386 they have their argument bytes, as in mingw-w64's own files: tools that
/// make import libraries need them, and take them off again when told to (`dlltool -k`).
pub(super) fn write_def(list: &ServiceList, stubs: &Stubs) -> String {
    let arch = stubs.shape.arch();
    let library = if stubs.shape.is_kernel() { "ntoskrnl.exe" } else { "ntdll.dll" };
    let mut out = Lines::new("; Exports of system services. Made by ntgate; do not edit.\n");
    out.line(&format!("LIBRARY \"{library}\""));
    out.line("EXPORTS");
    let mut stubs = stubs.stubs.iter();
    for table in list.tables() {
        out.line(&format!("; table {}, from {:#06x}", table.name(), table.base()));
        let mut next = table.base();
        for (service, stub) in table.services().iter().zip(stubs.by_ref()) {
            for comment in above(service, &mut next) {
                out.line(&format!("; {comment}"));
            }
            for symbol in &stub.symbols {
                // The underscore is the linker's, not the name's.
                let name = if arch == Arch::I386 { symbol.strip_prefix('_').unwrap_or(symbol) } else { symbol };
                out.line(&format!("    {name}"));
            }
        }
    }
    out.finish()
}
