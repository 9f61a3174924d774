//! Stubs: a service and a shape as instructions.
//!
//! A shape is a list of iced instructions; text comes from iced's formatters over them and bytes from its encoder, so
//! that the two cannot disagree. Of arm64, which iced does not know, there are two instructions in all; they have an
//! encoder of their own.

mod a64;
mod amd64;
mod body;
mod encode;
mod i386;
mod routine;
mod shape;
mod template;
#[cfg(test)]
mod tests;
mod text;

use iced_x86::Instruction;

pub use encode::{Code, CodeRelocation, EncodeError, Resolve};
pub use routine::{Routine, system_calls};
pub use shape::{Encoding, Shape};
pub(crate) use template::StubEncoder;
pub use text::Syntax;
pub(crate) use text::write_lines;

use crate::model::{Arch, Service};

/// One stub: a body with its symbols.
///
/// The fields are open so that a test can break a stub on purpose; [`build`] makes them agree.
#[derive(Clone, Debug, PartialEq)]
pub struct Stub {
    /// The service's name, `NtClose`.
    pub service: String,
    /// The number it loads.
    pub number: u32,
    /// How many argument slots it takes.
    pub args: u8,
    /// The shape it was made of.
    pub shape: Shape,
    /// The architecture of the instructions.
    pub arch: Arch,
    /// The names of the body as the linker sees them. In user mode the Nt and Zw twins share it:
    /// `_NtClose@4`, `_ZwClose@4`; a kernel stub is `_ZwClose@4` alone. Only i386 decorates: elsewhere it is `NtClose`.
    pub symbols: Vec<String>,
    /// The instructions, each with its address in the stub, which starts at 0. A branch within the stub goes to such
    /// an address, and stays with that instruction when another one changes its length.
    ///
    /// Empty in an arm64 stub, which is no x86 code: `svc` and `ret` follow from the number.
    pub instructions: Vec<Instruction>,
    /// What the linker fills in.
    pub relocations: Vec<Relocation>,
}

/// A place in a stub that refers to a symbol outside.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Relocation {
    /// The index of the instruction that refers to it.
    pub instruction: usize,
    /// The symbol, decorated.
    pub symbol: String,
    /// How it refers to it.
    pub kind: RelocationKind,
}

/// How a relocation's field is filled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum RelocationKind {
    /// The distance from the end of the field to the symbol, in 32 bits.
    Rel32,
}

impl RelocationKind {
    /// The name used in outputs.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Rel32 => "rel32",
        }
    }
}

/// Makes the stub of a service in a shape.
#[must_use]
pub fn build(shape: Shape, service: &Service, encoding: Encoding) -> Stub {
    let arch = shape.arch();
    let arg_bytes = service.arg_bytes(arch);
    let (instructions, relocations) = match arch {
        Arch::I386 => i386::body(shape, service.number(), arg_bytes, encoding).finish(),
        Arch::Amd64 => amd64::body(shape, service, encoding).finish(),
        Arch::Arm64 => (Vec::new(), Vec::new()),
    };
    Stub {
        service: service.name().nt().to_owned(),
        number: service.number(),
        args: service.args(arch),
        shape,
        arch,
        symbols: symbols(shape, service),
        instructions,
        relocations,
    }
}

/// The names of a service's stub as the linker sees them.
pub(crate) fn symbols(shape: Shape, service: &Service) -> Vec<String> {
    let (stem, arch) = (service.name().stem(), shape.arch());
    let prefixes: &[&str] = if shape.is_kernel() { &["Zw"] } else { &["Nt", "Zw"] };
    // The stdcall decoration of 32-bit Windows, `_NtClose@4`; no other architecture has one.
    let bytes = (arch == Arch::I386).then(|| service.arg_bytes(arch).to_string());
    let name = |prefix: &&str| {
        let mut name = String::with_capacity(DECORATION + prefix.len() + stem.len());
        if let Some(bytes) = &bytes {
            name.push('_');
            name.push_str(prefix);
            name.push_str(stem);
            name.push('@');
            name.push_str(bytes);
        } else {
            name.push_str(prefix);
            name.push_str(stem);
        }
        name
    };
    prefixes.iter().map(name).collect()
}

/// What a decoration adds to a name at most.
const DECORATION: usize = "_@252".len();

impl Stub {
    /// Takes an x86 instruction out, with its relocations. Nothing happens if there is no such instruction.
    pub fn remove(&mut self, index: usize) {
        if index >= self.instructions.len() {
            return;
        }
        self.instructions.remove(index);
        self.relocations.retain(|relocation| relocation.instruction != index);
        for relocation in &mut self.relocations {
            if relocation.instruction > index {
                relocation.instruction -= 1;
            }
        }
    }
}
