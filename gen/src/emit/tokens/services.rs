//! What `#[derive(SystemServices)]` implements.

use proc_macro2::{Literal, TokenStream};
use quote::quote;

use super::code::lower_relocations;
use super::{Encoded, Names};

/// The body of an implementation of the facade's `SystemServices`; `facade` is the path of that crate.
///
/// Services stand in the order of their numbers, and there is an index by name, so that both lookups are binary searches
/// in constants.
#[must_use]
pub fn lower_services(encoded: &Encoded<'_>, names: &Names, facade: &TokenStream) -> TokenStream {
    let arch = encoded.arch();
    let mut stubs: Vec<_> = encoded.stubs.iter().collect();
    stubs.sort_by_key(|each| each.service.number());
    let mut by_name: Vec<usize> = (0..stubs.len()).collect();
    by_name.sort_by_key(|&index| stubs[index].service.name().nt());
    let by_name = by_name.into_iter().map(Literal::usize_unsuffixed);

    let services = stubs.iter().map(|each| {
        let service = each.service;
        let name = service.name().nt();
        let (number, args) = (Literal::u32_unsuffixed(service.number()), Literal::u8_unsuffixed(service.args(arch)));
        let (doc, code) = (service.doc().unwrap_or_default(), Literal::byte_string(&each.code.bytes));
        let relocations = lower_relocations(each);
        quote!(#facade::SystemService::new(#name, #number, #args, #code, #relocations, #doc))
    });
    let (list, arch, shape) = (names.file(), arch.name(), encoded.shape.name());
    quote! {
        const LIST: &'static str = #list;
        const ARCH: &'static str = #arch;
        const SHAPE: &'static str = #shape;
        const SERVICES: &'static [#facade::SystemService] = &[#(#services),*];
        const BY_NAME: &'static [u16] = &[#(#by_name),*];
    }
}
