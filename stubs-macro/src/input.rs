//! What stands between the braces of a macro.

use std::fmt::Display;
use std::str::FromStr;

use ntgate_gen::stub::Encoding;
use ntgate_gen::{Arch, Shape};
use proc_macro2::Span;
use syn::parse::{Parse, ParseStream};
use syn::{Ident, LitStr, Token};

/// `list = "sysfuncs.lst", arch = "i386", shape = "shared-edx", encoding = "msvc"`, in any order.
pub(crate) struct Input {
    pub(crate) list: LitStr,
    pub(crate) arch: Arch,
    pub(crate) shape: Option<Shape>,
    pub(crate) encoding: Option<Encoding>,
}

/// The literals as they come; each at most once.
#[derive(Default)]
struct Literals {
    list: Option<LitStr>,
    arch: Option<LitStr>,
    shape: Option<LitStr>,
    encoding: Option<LitStr>,
}

impl Parse for Input {
    fn parse(input: ParseStream<'_>) -> syn::Result<Self> {
        let mut literals = Literals::default();
        while !input.is_empty() {
            let key: Ident = input.parse()?;
            input.parse::<Token![=]>()?;
            let slot = literals.slot(&key)?;
            if slot.replace(input.parse()?).is_some() {
                return Err(syn::Error::new(key.span(), format!("`{key}` is given twice")));
            }
            if !input.is_empty() {
                input.parse::<Token![,]>()?;
            }
        }
        let missing = |key: &str| syn::Error::new(Span::call_site(), format!("`{key} = \"...\"` is missing"));
        let list = literals.list.ok_or_else(|| missing("list"))?;
        let arch = parse_name(&literals.arch.ok_or_else(|| missing("arch"))?)?;
        Ok(Self {
            list,
            arch,
            shape: literals.shape.as_ref().map(|shape| parse_shape(arch, shape)).transpose()?,
            encoding: literals.encoding.as_ref().map(parse_name).transpose()?,
        })
    }
}

impl Literals {
    fn slot(&mut self, key: &Ident) -> syn::Result<&mut Option<LitStr>> {
        match key.to_string().as_str() {
            "list" => Ok(&mut self.list),
            "arch" => Ok(&mut self.arch),
            "shape" => Ok(&mut self.shape),
            "encoding" => Ok(&mut self.encoding),
            other => {
                let message = format!("`{other}` is unknown; known: list, arch, shape, encoding");
                Err(syn::Error::new(key.span(), message))
            }
        }
    }
}

fn parse_shape(arch: Arch, literal: &LitStr) -> syn::Result<Shape> {
    Shape::from_name(arch, &literal.value()).map_err(|error| syn::Error::new(literal.span(), error))
}

fn parse_name<T: FromStr<Err: Display>>(literal: &LitStr) -> syn::Result<T> {
    literal.value().parse().map_err(|error: T::Err| syn::Error::new(literal.span(), error))
}
