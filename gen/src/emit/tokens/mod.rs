//! Rust tokens: what the macros of `ntgate-stubs-macro` expand to.
//!
//! The macros read their arguments and the list; everything that depends on a service, a shape or a number is lowered here,
//! from the same stubs as every other output. Nothing that is lowered needs another crate than `core`, but for
//! [`lower_services`], which implements a trait of the facade.

mod code;
mod each;
mod functions;
mod numbers;
mod services;
mod table;
mod types;

use std::collections::BTreeMap;

use proc_macro2::{Ident, Span, TokenStream};

pub use code::lower_code;
pub use each::lower_each;
pub use functions::{Functions, lower_code32, lower_functions};
pub use numbers::lower_numbers;
pub use services::lower_services;
pub use table::{Table, lower_table};

use super::Error;
use crate::model::{Arch, Service};
use crate::stub::{self, Code, Encoding, Shape, Stub};

/// Services in one shape, encoded.
#[derive(Clone, Debug)]
pub struct Encoded<'a> {
    shape: Shape,
    /// The encoding that was asked for; `None` leaves functions to the assembler.
    encoding: Option<Encoding>,
    stubs: Vec<EncodedStub<'a>>,
}

#[derive(Clone, Debug)]
struct EncodedStub<'a> {
    service: &'a Service,
    stub: Stub,
    code: Code,
}

impl<'a> Encoded<'a> {
    /// Builds and encodes the stubs of some services. Without an encoding their bytes are of the shape's default.
    ///
    /// # Errors
    ///
    /// If a stub cannot be encoded: a number over 16 bits on arm64.
    pub fn new(services: &[&'a Service], shape: Shape, encoding: Option<Encoding>) -> Result<Self, Error> {
        let bytes = encoding.unwrap_or(shape.default_encoding());
        let encode = |&service: &&'a Service| {
            let stub = stub::build(shape, service, bytes);
            let code = stub.encode().map_err(|error| Error::encode(service.name().nt(), error))?;
            Ok(EncodedStub { service, stub, code })
        };
        Ok(Self { shape, encoding, stubs: services.iter().map(encode).collect::<Result<_, _>>()? })
    }

    fn arch(&self) -> Arch {
        self.shape.arch()
    }
}

/// How identifiers are made of names: where an editor goes from them, and who sees what is made of them.
#[derive(Clone, Debug)]
pub struct Names {
    /// The list as the macro's user spells it.
    pub list: String,
    /// The visibility of items; may be empty.
    pub visibility: TokenStream,
    /// Where the list is named in the user's source.
    pub span: Span,
    /// Services that are named in the user's source, and where.
    pub spans: BTreeMap<String, Span>,
}

impl Names {
    /// The service's name, which is an identifier, and none that begins with `Nt` is a keyword.
    fn nt(&self, service: &Service) -> Ident {
        Ident::new(service.name().nt(), self.span_of(service))
    }

    /// The name of its twin.
    fn zw(&self, service: &Service) -> Ident {
        Ident::new(&service.name().zw(), self.span_of(service))
    }

    fn span_of(&self, service: &Service) -> Span {
        let span = self.spans.get(service.name().nt()).copied().unwrap_or(self.span);
        // A place of the user's, and names that the user sees.
        span.resolved_at(Span::call_site())
    }

    /// `sysfuncs.lst:35`.
    fn place(&self, service: &Service) -> String {
        format!("{}:{}", self.list, service.line())
    }

    /// Without its directories, as people talk of it: what is in documentation must not tell where a file was built.
    fn file(&self) -> &str {
        self.list.rsplit(['/', '\\']).next().unwrap_or(&self.list)
    }
}

/// `1 parameter`, `2 parameters`.
fn plural(count: u32, noun: &str) -> String {
    let ending = if count == 1 { "" } else { "s" };
    format!("{count} {noun}{ending}")
}

/// A text in which a format has nothing to put.
fn escape(text: &str) -> String {
    text.replace('{', "{{").replace('}', "}}")
}

/// A comment of the list as documentation: what is no code in it is no link and no tag either.
fn doc_text(comment: &str) -> String {
    let mut text = String::new();
    for (index, part) in comment.split('`').enumerate() {
        if index > 0 {
            text.push('`');
        }
        if index % 2 == 0 {
            text.push_str(&part.replace('[', "\\[").replace('<', "\\<"));
        } else {
            text.push_str(part);
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::doc_text;

    #[test]
    fn comments_are_text() {
        assert_eq!(
            doc_text("Takes a [sic] <HANDLE>, `a[1] < 2`, x[0]"),
            r"Takes a \[sic] \<HANDLE>, `a[1] < 2`, x\[0]"
        );
    }
}
