//! The numbers of services as an enumeration.

use proc_macro2::{Ident, Literal, TokenStream};
use quote::{format_ident, quote};

use super::{Names, doc_text};
use crate::model::Service;

/// An enumeration `name` with a variant for each service, and the error of its conversions: `Unknown` and its name.
#[must_use]
pub fn lower_numbers(services: &[&Service], names: &Names, name: &Ident) -> TokenStream {
    let mut services = services.to_vec();
    services.sort_by_key(|service| service.number());
    let (visibility, count) = (&names.visibility, Literal::usize_unsuffixed(services.len()));
    let variants: Vec<_> = services.iter().map(|service| names.nt(service)).collect();
    let texts: Vec<_> = services.iter().map(|service| service.name().nt()).collect();
    let numbers: Vec<_> = services.iter().map(|service| Literal::u32_unsuffixed(service.number())).collect();
    let docs = services.iter().map(|service| match service.doc() {
        Some(doc) => format!(" Service {:#x}: {}", service.number(), doc_text(doc)),
        None => format!(" Service {:#x}.", service.number()),
    });
    let text = name.to_string();
    let error = format_ident!("Unknown{}", text.strip_prefix("r#").unwrap_or(&text), span = name.span());
    let doc = format!(" The system services of `{}`; each has its number.", names.file());
    let error_doc = format!(" A number that no [`{name}`] has.");
    quote! {
        #[doc = #doc]
        #[repr(u32)]
        #[derive(::core::clone::Clone, ::core::marker::Copy, ::core::fmt::Debug, ::core::cmp::PartialEq, ::core::cmp::Eq,
            ::core::cmp::PartialOrd, ::core::cmp::Ord, ::core::hash::Hash)]
        #[allow(clippy::enum_variant_names, clippy::upper_case_acronyms, dead_code)]
        #visibility enum #name {
            #(#[doc = #docs] #variants = #numbers,)*
        }

        #[allow(dead_code)]
        impl #name {
            /// All of them, in the order of the numbers.
            pub const ALL: [Self; #count] = [#(Self::#variants),*];

            /// The service's name.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self {
                    #(Self::#variants => #texts,)*
                }
            }

            /// The number that a stub loads.
            #[must_use]
            pub const fn number(self) -> u32 {
                self as u32
            }
        }

        impl ::core::fmt::Display for #name {
            /// The service's name.
            fn fmt(&self, f: &mut ::core::fmt::Formatter<'_>) -> ::core::fmt::Result {
                f.pad(self.name())
            }
        }

        impl ::core::convert::From<#name> for u32 {
            fn from(service: #name) -> Self {
                service.number()
            }
        }

        impl ::core::convert::TryFrom<u32> for #name {
            type Error = #error;

            fn try_from(number: u32) -> ::core::result::Result<Self, #error> {
                match number {
                    #(#numbers => ::core::result::Result::Ok(Self::#variants),)*
                    _ => ::core::result::Result::Err(#error(number)),
                }
            }
        }

        #[doc = #error_doc]
        #[derive(::core::clone::Clone, ::core::marker::Copy, ::core::fmt::Debug, ::core::cmp::PartialEq, ::core::cmp::Eq)]
        #visibility struct #error(
            /// The number.
            pub u32,
        );

        impl ::core::fmt::Display for #error {
            fn fmt(&self, f: &mut ::core::fmt::Formatter<'_>) -> ::core::fmt::Result {
                ::core::write!(f, "no system service has the number {:#x}", self.0)
            }
        }

        impl ::core::error::Error for #error {}
    }
}
