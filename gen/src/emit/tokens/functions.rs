//! Stubs as functions of a Rust program.

use iced_x86::{Instruction, Mnemonic, OpKind};
use proc_macro2::{Ident, Literal, TokenStream};
use quote::quote;

use super::types::{Params, Typed, params};
use super::{Encoded, EncodedStub, Names, doc_text, escape};
use crate::model::{Arch, Service};
use crate::stub::{Encoding, Stub, Syntax};

/// How functions are made.
#[derive(Clone, Debug)]
pub struct Functions<'a> {
    /// The names.
    pub names: &'a Names,
    /// The calling convention: `stdcall`, `win64`, `system`.
    pub abi: &'a str,
    /// A module with the types that signatures name; without one they are integers and pointers.
    pub types: Option<TokenStream>,
    /// The Zw twins of user stubs too.
    pub zw: bool,
    /// The names that C and assembler code links to: `_NtClose@4` and `_ZwClose@4` on i386.
    pub export: bool,
    /// Show the functions in documentation.
    pub doc: bool,
}

/// A naked function for each service, on the architecture that can run it.
///
/// A kernel stub is named after the Zw twin. What a stub refers to is a symbol of the linker's.
#[must_use]
pub fn lower_functions(encoded: &Encoded<'_>, functions: &Functions<'_>) -> TokenStream {
    encoded.stubs.iter().map(|each| functions.lower(encoded, each)).collect()
}

/// The i386 stubs assembled as 32-bit code of a 64-bit program: a module `code32` with the code of each, as the assembler
/// made it, under the name of its service. The symbols are those of 32-bit Windows, `_NtClose@4`.
#[must_use]
pub fn lower_code32(encoded: &Encoded<'_>, names: &Names) -> TokenStream {
    let lines = encoded.stubs.iter().flat_map(|each| {
        let labels = labels(&each.stub.symbols);
        labels.chain(assembly(&each.stub, encoded.encoding)).collect::<Vec<_>>()
    });
    let statics = encoded.stubs.iter().map(|each| {
        let name = names.nt(each.service);
        let doc = format!(" The stub of `{name}`, as assembled.");
        let symbol = each.stub.symbols.first().map_or("", String::as_str);
        let length = Literal::usize_unsuffixed(each.code.bytes.len());
        quote! {
            #[doc = #doc]
            #[link_name = #symbol]
            pub safe static #name: [u8; #length];
        }
    });
    let doc = format!(" The i386 stubs of `{}`, shape `{}`, assembled as 32-bit code.", names.file(), encoded.shape);
    let visibility = &names.visibility;
    quote! {
        #[doc = #doc]
        #[cfg(target_arch = "x86_64")]
        #[allow(dead_code, non_upper_case_globals)]
        #visibility mod code32 {
            ::core::arch::global_asm!(".code32", #(#lines,)* ".code64", options(att_syntax));
            unsafe extern "C" {
                #(#statics)*
            }
        }
    }
}

impl Functions<'_> {
    fn lower(&self, encoded: &Encoded<'_>, each: &EncodedStub<'_>) -> TokenStream {
        let (service, stub) = (each.service, &each.stub);
        let arch = stub.arch;
        let (nt, zw) = (self.names.nt(service), self.names.zw(service));
        let name = if stub.shape.is_kernel() { &zw } else { &nt };
        let Params { params, is_typed } = params(service, arch, self.types.as_ref());
        let inputs = params.iter().map(|Typed { name, ty }| quote!(#name: #ty));
        let status = match &self.types {
            Some(types) => quote!(#types::NTSTATUS),
            None => quote!(i32),
        };
        let cfg = cfg(arch);
        let (abi, visibility) = (Literal::string(self.abi), &self.names.visibility);
        let doc = self.doc(service, &nt);
        let symbols = if self.export { &stub.symbols[..] } else { &[] };
        let lines = labels(symbols).chain(assembly(stub, encoded.encoding));
        let options = (arch != Arch::Arm64).then(|| quote!(, options(att_syntax)));
        let twin = (self.zw && !stub.shape.is_kernel()).then(|| {
            quote! {
                #cfg
                #[allow(unused_imports)]
                #visibility use #nt as #zw;
            }
        });
        // A function that only other languages call is nobody's in Rust's eyes, and would be left out.
        let kept = self.export.then(|| {
            let types = params.iter().map(|param| &param.ty);
            quote! {
                #cfg
                const _: () = {
                    #[used]
                    static KEPT: unsafe extern #abi fn(#(#types),*) -> #status = #name;
                };
            }
        });
        let checked = self.types.as_ref().filter(|_| is_typed).map(|_| self.lower_check(service, arch, &params));
        quote! {
            #doc
            #cfg
            #[unsafe(naked)]
            #[allow(clippy::too_many_arguments, dead_code, non_snake_case)]
            #visibility unsafe extern #abi fn #name(#(#inputs),*) -> #status {
                ::core::arch::naked_asm!(#(#lines),* #options)
            }
            #twin
            #kept
            #checked
        }
    }

    fn doc(&self, service: &Service, nt: &Ident) -> TokenStream {
        if !self.doc {
            return quote!(#[doc(hidden)]);
        }
        let prototype = match service.signature() {
            Some(signature) => {
                let params: Vec<_> = signature.iter().map(ToString::to_string).collect();
                format!(" Service {:#x}: `{nt}({})`.", service.number(), params.join(", "))
            }
            None => format!(" Service {:#x}: `{nt}`.", service.number()),
        };
        let comment = service.doc().map(|doc| {
            let doc = format!(" {}", doc_text(doc));
            quote!(#[doc = ""] #[doc = #doc])
        });
        quote! {
            #[doc = #prototype]
            #comment
            #[doc = ""]
            #[doc = " # Safety"]
            #[doc = ""]
            #[doc = " The system that runs this has to have the service under this number. Pointers have to be good for what it"]
            #[doc = " does with them."]
        }
    }

    /// The user's own types may have any size: together they have to fill the slots that the list counts.
    fn lower_check(&self, service: &Service, arch: Arch, params: &[Typed]) -> TokenStream {
        let word = Literal::u32_unsuffixed(arch.word_bytes());
        let bytes = service.arg_bytes(arch);
        let wanted = Literal::u32_unsuffixed(bytes);
        let types = params.iter().map(|param| &param.ty);
        let cfg = cfg(arch);
        let message = escape(&format!(
            "{}: `{}` takes {bytes} bytes of arguments on {arch}; the types of its signature are of another size",
            self.names.place(service),
            service.name(),
        ));
        quote! {
            #cfg
            const _: () = {
                let bytes = 0 #(+ ::core::mem::size_of::<#types>().next_multiple_of(#word))*;
                ::core::assert!(bytes == #wanted, #message);
            };
        }
    }
}

/// Where a stub can run.
pub(super) fn cfg(arch: Arch) -> TokenStream {
    let target = target(arch);
    quote!(#[cfg(target_arch = #target)])
}

/// The architecture as Rust calls it.
pub(super) const fn target(arch: Arch) -> &'static str {
    match arch {
        Arch::I386 => "x86",
        Arch::Amd64 => "x86_64",
        Arch::Arm64 => "aarch64",
    }
}

/// Labels for the linker. In quotes an `@` is a character like others.
fn labels(symbols: &[String]) -> impl Iterator<Item = String> {
    symbols.iter().flat_map(|symbol| [format!(".globl \"{symbol}\""), format!("\"{symbol}\":")])
}

/// The stub's instructions as LLVM reads them.
///
/// LLVM writes moves between registers as GNU as does and cannot be asked for the other encoding: where that is wanted,
/// they are bytes.
fn assembly(stub: &Stub, encoding: Option<Encoding>) -> impl Iterator<Item = String> {
    let msvc = encoding == Some(Encoding::Msvc);
    stub.text(Syntax::Gas).into_iter().enumerate().map(move |(index, text)| match stub.instructions.get(index) {
        Some(instruction) if msvc && is_copy(instruction) => match bytes(stub, index) {
            Some(bytes) => format!(".byte {bytes} # {text}"),
            None => text,
        },
        _ => text,
    })
}

fn is_copy(instruction: &Instruction) -> bool {
    let is_register = |operand| instruction.op_kind(operand) == OpKind::Register;
    instruction.mnemonic() == Mnemonic::Mov && is_register(0) && is_register(1)
}

/// `0x8b,0xd4`, of an instruction that refers to nothing.
fn bytes(stub: &Stub, index: usize) -> Option<String> {
    let mut alone = stub.clone();
    alone.instructions = vec![*stub.instructions.get(index)?];
    alone.relocations.clear();
    let bytes = alone.encode().ok()?.bytes;
    Some(bytes.iter().map(|byte| format!("{byte:#04x}")).collect::<Vec<_>>().join(","))
}
