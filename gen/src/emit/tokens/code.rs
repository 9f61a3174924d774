//! Stubs and tables as constants.

use proc_macro2::{Literal, TokenStream};
use quote::quote;

use super::{Encoded, EncodedStub, Names, doc_text};

/// The tables and stubs as constants of a module `code`: `NAMES`, `NUMBERS`, `ARG_BYTES`, `STUBS` and `RELOCATIONS`, all in
/// the order of the list, and for each service its code, under its name.
#[must_use]
pub fn lower_code(encoded: &Encoded<'_>, names: &Names) -> TokenStream {
    let arch = encoded.arch();
    let visibility = &names.visibility;
    let stubs = &encoded.stubs;
    let count = Literal::usize_unsuffixed(stubs.len());
    let list_names = stubs.iter().map(|each| each.service.name().nt());
    let numbers = stubs.iter().map(|each| Literal::u32_unsuffixed(each.service.number()));
    let arg_bytes = stubs.iter().map(|each| Literal::u32_unsuffixed(each.service.arg_bytes(arch)));
    let idents = stubs.iter().map(|each| names.nt(each.service));
    let relocations = stubs.iter().map(lower_relocations);
    let constants = stubs.iter().map(|each| lower_constant(each, names));
    let doc = format!(" The code of {arch} stubs, shape `{}`, of `{}`.", encoded.shape, names.file());
    quote! {
        #[doc = #doc]
        #[allow(dead_code, non_upper_case_globals)]
        #visibility mod code {
            /// The names of the services, in the order of the list.
            pub const NAMES: [&str; #count] = [#(#list_names),*];
            /// The service numbers: the base of the table plus the row.
            pub const NUMBERS: [u32; #count] = [#(#numbers),*];
            /// The bytes of arguments that the kernel copies.
            pub const ARG_BYTES: [u32; #count] = [#(#arg_bytes),*];
            /// The code of the stubs. Fields that a relocation fills are 0.
            pub const STUBS: [&[u8]; #count] = [#(&#idents),*];
            /// What a linker would fill in: for each stub the offset of a field and the symbol that it holds the distance
            /// to, from the end of its four bytes.
            pub const RELOCATIONS: [&[(usize, &str)]; #count] = [#(#relocations),*];
            #(#constants)*
        }
    }
}

fn lower_constant(each: &EncodedStub<'_>, names: &Names) -> TokenStream {
    let name = names.nt(each.service);
    let doc = match each.service.doc() {
        Some(doc) => format!(" The stub of `{name}`: {}", doc_text(doc)),
        None => format!(" The stub of `{name}`."),
    };
    let length = Literal::usize_unsuffixed(each.code.bytes.len());
    let bytes = Literal::byte_string(&each.code.bytes);
    quote! {
        #[doc = #doc]
        pub const #name: [u8; #length] = *#bytes;
    }
}

pub(super) fn lower_relocations(each: &EncodedStub<'_>) -> TokenStream {
    let relocations = &each.code.relocations;
    let offsets = relocations.iter().map(|relocation| Literal::usize_unsuffixed(relocation.offset));
    let symbols = relocations.iter().map(|relocation| &relocation.symbol);
    quote!(&[#((#offsets, #symbols)),*])
}
