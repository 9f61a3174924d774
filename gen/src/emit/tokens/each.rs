//! The list as the arguments of a macro of the user's.

use proc_macro2::{Literal, TokenStream};
use quote::quote;

use super::Names;
use crate::model::{Arch, Service};

/// One call of the macro `callback` with a group for each service, in the order of the list:
/// `(NtClose, ZwClose, 27, 1, 1, "Closes a handle.")` has the name, its twin, the number, the dwords on i386, the parameters
/// elsewhere and the list's comment.
#[must_use]
pub fn lower_each(services: &[&Service], names: &Names, callback: &TokenStream) -> TokenStream {
    let groups = services.iter().map(|service| {
        let (nt, zw) = (names.nt(service), names.zw(service));
        let number = Literal::u32_unsuffixed(service.number());
        let dwords = Literal::u8_unsuffixed(service.args(Arch::I386));
        let params = Literal::u8_unsuffixed(service.args(Arch::Amd64));
        let doc = service.doc().unwrap_or_default();
        quote!((#nt, #zw, #number, #dwords, #params, #doc))
    });
    quote!(#callback! { #(#groups)* })
}
