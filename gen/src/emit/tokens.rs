//! Rust tokens: tables and stubs as constants.

use proc_macro2::{Ident, Literal, Span, TokenStream};
use quote::quote;

use super::{Error, Options, Stubs};
use crate::model::{Service, ServiceList};
use crate::stub::{Code, Stub};

/// The tables and stubs of a list as constants of a module: `NAMES`, `NUMBERS`, `ARG_BYTES`, `STUBS` and
/// `RELOCATIONS`, all in the order of the list, and for each service its code, under its name.
///
/// `options.format` does not matter.
///
/// # Errors
///
/// If the shape is another architecture's, or a stub cannot be encoded.
pub fn tokens(list: &ServiceList, options: &Options) -> Result<TokenStream, Error> {
    let stubs = Stubs::build(list, options)?;
    let codes = stubs.stubs.iter().map(encode).collect::<Result<Vec<_>, _>>()?;
    let services: Vec<_> = list.services().zip(&codes).collect();
    let count = services.len();

    let names = services.iter().map(|(service, _)| service.name().nt());
    let numbers = services.iter().map(|(service, _)| service.number());
    let arg_bytes = services.iter().map(|(service, _)| service.arg_bytes(options.arch));
    let idents = services.iter().map(|(service, _)| ident(service));
    let constants = services.iter().map(|(service, code)| lower_constant(service, code));
    let relocations = codes.iter().map(lower_relocations);
    Ok(quote! {
        /// The names of the services, in the order of the list.
        pub const NAMES: [&str; #count] = [#(#names),*];
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
    })
}

fn encode(stub: &Stub) -> Result<Code, Error> {
    stub.encode().map_err(|error| Error::encode(&stub.service, error))
}

/// A service's name is an identifier, and none that begins with `Nt` is a keyword.
fn ident(service: &Service) -> Ident {
    Ident::new(service.name().nt(), Span::call_site())
}

fn lower_constant(service: &Service, code: &Code) -> TokenStream {
    let name = ident(service);
    let doc = match service.doc() {
        Some(doc) => format!("The stub of `{name}`: {doc}"),
        None => format!("The stub of `{name}`."),
    };
    let length = code.bytes.len();
    let bytes = Literal::byte_string(&code.bytes);
    quote! {
        #[doc = #doc]
        #[allow(non_upper_case_globals)]
        pub const #name: [u8; #length] = *#bytes;
    }
}

fn lower_relocations(code: &Code) -> TokenStream {
    let offsets = code.relocations.iter().map(|relocation| relocation.offset);
    let symbols = code.relocations.iter().map(|relocation| &relocation.symbol);
    quote!(&[#((#offsets, #symbols)),*])
}
