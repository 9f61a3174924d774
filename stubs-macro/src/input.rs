//! What stands between the braces of a macro, or in the attribute of a derive.
//!
//! The macros have their options in common; each says which of them it knows. Every mistake is reported, not the first one
//! only: after one the reader goes on behind the next comma.

use std::fmt::Display;

use proc_macro2::{Delimiter, Group, Span, TokenTree};
use syn::ext::IdentExt;
use syn::parse::{Parse, ParseStream, Parser};
use syn::punctuated::Punctuated;
use syn::{Ident, LitBool, LitStr, Path, Token, Visibility};

use crate::suggest::nearest;

/// The options of all macros, each at most once.
#[derive(Default)]
pub(crate) struct Fields {
    pub(crate) list: Option<LitStr>,
    pub(crate) arch: Option<LitStr>,
    pub(crate) shape: Option<LitStr>,
    pub(crate) encoding: Option<LitStr>,
    pub(crate) abi: Option<LitStr>,
    pub(crate) visibility: Option<Visibility>,
    pub(crate) only: Option<Vec<Ident>>,
    pub(crate) except: Option<Vec<Ident>>,
    pub(crate) zw: Option<Span>,
    pub(crate) export: Option<Span>,
    pub(crate) code32: Option<Span>,
    pub(crate) bytes: Option<Span>,
    pub(crate) packed: Option<Span>,
    pub(crate) expression: Option<Span>,
    pub(crate) doc: Option<LitBool>,
    pub(crate) types: Option<Path>,
    pub(crate) handlers: Option<Path>,
    pub(crate) table: Option<LitStr>,
    pub(crate) name: Option<Ident>,
    pub(crate) callback: Option<Path>,
    pub(crate) facade: Option<Path>,
}

/// An option: its name, and what stands behind it.
pub(crate) struct Key {
    name: &'static str,
    form: &'static str,
    read: fn(&mut Fields, &Ident, ParseStream<'_>) -> syn::Result<bool>,
}

/// The keys `$field = value`, and `$field` alone, as constants.
macro_rules! keys {
    ($($constant:ident $name:literal $form:literal $read:ident $field:ident;)*) => {
        impl Key {
            $(pub(crate) const $constant: Self = Self {
                name: $name,
                form: $form,
                read: |fields, key, input| {
                    let value = $read(key, input)?;
                    // Of two the first one counts, so that the second is one mistake and not more.
                    let is_first = fields.$field.is_none();
                    fields.$field.get_or_insert(value);
                    Ok(is_first)
                },
            };)*
        }
    };
}

keys! {
    LIST "list" " = \"sysfuncs.lst\"" value list;
    ARCH "arch" " = \"amd64\"" value arch;
    SHAPE "shape" " = \"syscall\"" value shape;
    ENCODING "encoding" " = \"msvc\"" value encoding;
    ABI "abi" " = \"win64\"" value abi;
    VISIBILITY "visibility" " = pub(crate)" value visibility;
    ONLY "only" "(NtClose, NtOpenFile)" services only;
    EXCEPT "except" "(NtClose, NtOpenFile)" services except;
    ZW "zw" "" flag zw;
    EXPORT "export" "" flag export;
    CODE32 "code32" "" flag code32;
    BYTES "bytes" "" flag bytes;
    PACKED "packed" "" flag packed;
    EXPRESSION "expression" "" flag expression;
    DOC "doc" " = false" value doc;
    TYPES "types" " = crate::types" path types;
    HANDLERS "handlers" " = crate::handlers" path handlers;
    TABLE "table" " = \"win32k\"" value table;
    NAME "name" " = Service" value name;
    CALLBACK "callback" " = my_macro" path callback;
    FACADE "crate" " = ntgate" path facade;
}

fn value<T: Parse>(_: &Ident, input: ParseStream<'_>) -> syn::Result<T> {
    input.parse::<Token![=]>()?;
    input.parse()
}

/// A path without arguments of types, as `use` has them.
fn path(_: &Ident, input: ParseStream<'_>) -> syn::Result<Path> {
    input.parse::<Token![=]>()?;
    input.call(Path::parse_mod_style)
}

fn services(_: &Ident, input: ParseStream<'_>) -> syn::Result<Vec<Ident>> {
    let group: Group = input.parse()?;
    if group.delimiter() != Delimiter::Parenthesis {
        return Err(syn::Error::new(group.span(), "expected services in parentheses"));
    }
    // Read apart from what is around it, which is read on after a mistake in here.
    let names = Punctuated::<Ident, Token![,]>::parse_terminated.parse2(group.stream())?;
    Ok(names.into_iter().collect())
}

#[expect(clippy::unnecessary_wraps, reason = "the other kinds of option can fail")]
fn flag(key: &Ident, _: ParseStream<'_>) -> syn::Result<Span> {
    Ok(key.span())
}

/// What was read, and what was wrong with it.
pub(crate) struct Input {
    pub(crate) fields: Fields,
    pub(crate) errors: Errors,
}

impl Input {
    /// Reads the options of a macro that knows these keys.
    pub(crate) fn read(input: ParseStream<'_>, keys: &[&Key]) -> Self {
        let mut read = Self { fields: Fields::default(), errors: Errors::default() };
        while !input.is_empty() {
            if let Err(error) = read.option(input, keys) {
                read.errors.push(error);
                skip_to_comma(input);
            }
            if !input.is_empty()
                && let Err(error) = input.parse::<Token![,]>()
            {
                read.errors.push(error);
                skip_to_comma(input);
                // The comma itself.
                let _ = input.parse::<Token![,]>();
            }
        }
        read
    }

    fn option(&mut self, input: ParseStream<'_>, keys: &[&Key]) -> syn::Result<()> {
        let name = input.call(Ident::parse_any)?;
        let text = name.to_string();
        let Some(key) = keys.iter().find(|key| key.name == text) else {
            return Err(syn::Error::new(name.span(), unknown_key(&text, keys)));
        };
        if (key.read)(&mut self.fields, &name, input)? {
            Ok(())
        } else {
            Err(syn::Error::new(name.span(), format!("`{text}` is given twice")))
        }
    }
}

fn unknown_key(text: &str, keys: &[&Key]) -> String {
    let known = keys.iter().map(|key| key.name);
    match nearest(text, known.clone()).and_then(|name| keys.iter().find(|key| key.name == name)) {
        Some(key) => format!("there is no option `{text}`; did you mean `{}{}`?", key.name, key.form),
        None => format!("there is no option `{text}`; known: {}", known.collect::<Vec<_>>().join(", ")),
    }
}

/// Goes on to the next comma that is in no brackets.
fn skip_to_comma(input: ParseStream<'_>) {
    while !input.is_empty() && !input.peek(Token![,]) {
        // A group counts as one.
        match input.parse::<TokenTree>() {
            Ok(_) => {}
            Err(_) => return,
        }
    }
}

/// Mistakes, in the order in which they are found.
#[derive(Default)]
pub(crate) struct Errors(Option<syn::Error>);

impl Errors {
    pub(crate) fn push(&mut self, error: syn::Error) {
        match &mut self.0 {
            Some(errors) => errors.combine(error),
            None => self.0 = Some(error),
        }
    }

    pub(crate) fn say(&mut self, span: Span, message: impl Display) {
        self.push(syn::Error::new(span, message));
    }

    /// The value of an option, or `None` and a mistake more.
    pub(crate) fn keep<T>(&mut self, result: syn::Result<T>) -> Option<T> {
        result.map_err(|error| self.push(error)).ok()
    }

    /// A value that has to be given.
    pub(crate) fn need<T>(&mut self, value: Option<T>, key: &Key) -> Option<T> {
        if value.is_none() {
            self.say(Span::call_site(), format!("`{}{}` is missing", key.name, key.form));
        }
        value
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_none()
    }

    /// One `compile_error!` for each.
    pub(crate) fn into_tokens(self) -> proc_macro2::TokenStream {
        self.0.map(|error| error.to_compile_error()).unwrap_or_default()
    }
}
