//! `rust`: stubs as naked functions.

use super::comment::visible;
use super::lines::Lines;
use super::params::{Direction, Kind, kinds, names};
use super::writer::{hex_bytes, is_copy};
use super::{Error, Stubs};
use crate::model::{Arch, Service, ServiceList};
use crate::stub::{Encoding, Stub, Syntax, write_lines};

/// What stands above a function besides its doc: the names are those of the services.
const ATTRIBUTES: &str = "\
#[unsafe(naked)]
#[allow(dead_code, non_snake_case, clippy::missing_safety_doc, clippy::too_many_arguments)]";

pub(super) fn write_rust(list: &ServiceList, stubs: &Stubs, moves: Option<Encoding>) -> Result<String, Error> {
    let target = Target::of(stubs.shape.arch());
    let encoding = moves.map_or("of the assembler's choice", Encoding::name);
    let mut out = Lines::new("");
    out.line(&format!(
        "// Stubs of {} system services, shape {}, encoding {encoding}. Made by ntgate; do not edit.",
        stubs.stubs.len(),
        stubs.shape,
    ));
    out.line("// For Rust 1.88 or later: `mod nt { include!(\"nt.rs\"); }`");
    out.blank();
    out.line(&format!("#[cfg(not(target_arch = \"{}\"))]", target.name));
    out.line(&format!("compile_error!(\"these stubs are for {}\");", target.name));
    for (service, stub) in list.services().zip(&stubs.stubs) {
        target.push_stub(&mut out, service, stub, moves);
    }
    Ok(out.finish())
}

/// An architecture in Rust's words.
struct Target {
    arch: Arch,
    name: &'static str,
    /// The calling convention of Windows, also where Rust's own target is another system.
    abi: &'static str,
}

impl Target {
    const fn of(arch: Arch) -> Self {
        let (name, abi) = match arch {
            Arch::I386 => ("x86", "stdcall"),
            Arch::Amd64 => ("x86_64", "win64"),
            Arch::Arm64 => ("aarch64", "C"),
        };
        Self { arch, name, abi }
    }

    fn push_stub(&self, out: &mut Lines, service: &Service, stub: &Stub, moves: Option<Encoding>) {
        let (nt, zw) = (service.name().nt(), service.name().zw());
        let name = if stub.shape.is_kernel() { &zw } else { nt };
        out.blank();
        out.line(&format!("/// Service {:#x}.", service.number()));
        if let Some(doc) = service.doc() {
            out.line("///");
            out.line(&format!("/// {}", visible(doc)));
        }
        out.line(ATTRIBUTES);
        out.line(&format!("pub unsafe extern \"{}\" fn {name}({}) -> i32 {{", self.abi, self.params(service)));
        out.line("    core::arch::naked_asm!(");
        for (index, line) in write_lines(stub, Syntax::Rust).into_iter().enumerate() {
            let label = line.label.map_or_else(String::new, |label| format!("{label}: "));
            let text = match stub.instructions.get(index) {
                // LLVM writes the GNU encoding and cannot be asked for the other one.
                Some(copy) if moves == Some(Encoding::Msvc) && is_copy(copy) => {
                    format!(".byte {} // {}", hex_bytes(copy, self.arch, "0x", ""), line.text)
                }
                _ => line.text,
            };
            out.line(&format!("        \"{label}{text}\","));
        }
        out.line("    )");
        out.line("}");
        if !stub.shape.is_kernel() {
            out.line("#[allow(unused_imports)]");
            out.line(&format!("pub use self::{nt} as {zw};"));
        }
    }

    fn params(&self, service: &Service) -> String {
        let params = kinds(service, self.arch).into_iter().zip(names(service, self.arch));
        // `_` before the name: the code does not use it, and it may be a keyword of Rust.
        let params = params.map(|(kind, name)| format!("_{}: {}", name.unwrap_or_default(), rust_type(kind)));
        params.collect::<Vec<_>>().join(", ")
    }
}

/// A type of the same size, and so of the same place.
fn rust_type(kind: Kind) -> String {
    match kind {
        Kind::Int { bits, signed } => format!("{}{bits}", if signed { 'i' } else { 'u' }),
        Kind::Word => "usize".to_owned(),
        Kind::Handle => "*mut core::ffi::c_void".to_owned(),
        Kind::Pointer { direction, to_handle } => {
            let access = if direction == Direction::In { "const" } else { "mut" };
            let pointee = if to_handle { "*mut core::ffi::c_void" } else { "core::ffi::c_void" };
            format!("*{access} {pointee}")
        }
    }
}
