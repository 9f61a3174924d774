//! Architectures, shapes, encodings and conventions: from what the user writes to what the generator takes.

use std::fmt::Display;
use std::str::FromStr;

use ntgate_gen::stub::Encoding;
use ntgate_gen::{Arch, Shape};
use proc_macro2::{Span, TokenStream};
use quote::quote;
use syn::LitStr;

use crate::input::{Errors, Fields, Key};
use crate::suggest::nearest;

/// What stubs are asked for.
pub(crate) struct Target {
    pub(crate) shape: Shape,
    pub(crate) encoding: Option<Encoding>,
}

impl Target {
    /// The architecture is that of the shape, the shape the default of the architecture: one of them is enough.
    pub(crate) fn read(fields: &Fields, errors: &mut Errors) -> Option<Self> {
        let arch = fields.arch.as_ref().map(|arch| errors.keep(parse_arch(arch)));
        let encoding = fields.encoding.as_ref().map(|encoding| errors.keep(parse_encoding(encoding)));
        let shape = match (arch, &fields.shape) {
            (None, None) => {
                errors.need(None::<()>, &Key::SHAPE);
                None
            }
            (Some(arch), None) => arch.map(Shape::default_for),
            (None, Some(shape)) => errors.keep(parse_shape(shape)),
            (Some(Some(arch)), Some(shape)) => errors.keep(parse_shape_of(arch, shape)),
            (Some(None), Some(_)) => None,
        };
        Some(Self { shape: shape?, encoding: encoding.flatten() })
    }
}

pub(crate) fn parse_arch(literal: &LitStr) -> syn::Result<Arch> {
    parse_name(literal, Arch::ALL.map(Arch::name))
}

fn parse_encoding(literal: &LitStr) -> syn::Result<Encoding> {
    parse_name(literal, Encoding::ALL.map(Encoding::name))
}

fn parse_name<T: FromStr<Err: Display>, const N: usize>(literal: &LitStr, known: [&str; N]) -> syn::Result<T> {
    literal.value().parse().map_err(|error: T::Err| unknown(literal, &error, known))
}

/// A shape where no architecture is given.
fn parse_shape(literal: &LitStr) -> syn::Result<Shape> {
    let name = literal.value();
    let archs: Vec<_> = Arch::ALL.into_iter().filter(|&arch| Shape::from_name(arch, &name).is_ok()).collect();
    if let [first, second, ..] = archs[..] {
        let message = format!("`{name}` is a shape of {first} and of {second}: say which with `arch = \"{first}\"`");
        return Err(syn::Error::new(literal.span(), message));
    }
    let known = Arch::ALL.into_iter().flat_map(Shape::of).map(|shape| shape.name());
    name.parse().map_err(|error| unknown(literal, &error, known))
}

fn parse_shape_of(arch: Arch, literal: &LitStr) -> syn::Result<Shape> {
    let known = Shape::of(arch).iter().map(|shape| shape.name());
    Shape::from_name(arch, &literal.value()).map_err(|error| unknown(literal, &error, known))
}

/// What is known is in the error's text already.
fn unknown<'a>(literal: &LitStr, error: &dyn Display, known: impl IntoIterator<Item = &'a str>) -> syn::Error {
    let meant = nearest(&literal.value(), known).map_or_else(String::new, |name| format!("; did you mean \"{name}\"?"));
    syn::Error::new(literal.span(), format!("{error}{meant}"))
}

/// A calling convention, and what has to hold where it is used.
pub(crate) struct Abi {
    pub(crate) name: String,
    pub(crate) condition: TokenStream,
}

impl Abi {
    /// The convention of NT on an architecture, under the name that was asked for, or the one that it has everywhere.
    pub(crate) fn read(literal: Option<&LitStr>, arch: Arch, errors: &mut Errors) -> Option<Self> {
        let (own, target) = match arch {
            Arch::I386 => ("stdcall", "x86"),
            Arch::Amd64 => ("win64", "x86_64"),
            Arch::Arm64 => ("C", "aarch64"),
        };
        let name = literal.map_or_else(|| own.to_owned(), LitStr::value);
        let condition = match (&*name, arch) {
            (name, _) if name == own => TokenStream::new(),
            ("system", Arch::Arm64) => TokenStream::new(),
            // Elsewhere `system` is `C`, which leaves arguments where no stub looks for them.
            ("system", _) => quote! {
                #[cfg(all(target_arch = #target, not(windows)))]
                ::core::compile_error!("`system` is the convention of NT on Windows targets only; leave `abi` out");
            },
            _ => {
                let span = literal.map_or_else(Span::call_site, LitStr::span);
                errors.say(
                    span,
                    format!("stubs of {arch} are called by \"{own}\", or by \"system\" on Windows, not by {name:?}"),
                );
                return None;
            }
        };
        Some(Self { name, condition })
    }
}
