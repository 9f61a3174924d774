//! Stubs and tables of NT system services at compile time.
//!
//! [`stubs!`] reads a service list and expands to constants: the code of every stub, and the tables. It is a thin face
//! on `ntgate_gen`, which reads, checks and lowers; what is wrong with the list is a compile error for each mistake.

mod input;

use std::fs;
use std::path::{Path, PathBuf};

use ntgate_gen::emit::{self, Format, Options};
use ntgate_gen::{Diagnostic, Diagnostics, Severity, read_list};
use proc_macro2::{Span, TokenStream};
use quote::quote_spanned;

use crate::input::Input;

/// Expands to the stubs of a service list as constants, best within a module of their own.
///
/// `list` is the path of the list, relative to the directory of the crate's `Cargo.toml`; the crate is built again
/// when the file changes. `arch`, `shape` and `encoding` are named as everywhere in ntgate; without `shape` or
/// `encoding` the default is taken. A name of a shape belongs to its architecture: `zw` is another on `amd64` than on
/// `i386`.
///
/// There are, in the order of the list: `NAMES`, `NUMBERS`, `ARG_BYTES`, `STUBS` (the code of each stub) and
/// `RELOCATIONS` (offsets and symbols that a linker would fill in; only kernel stubs have any). And for each service a
/// constant of its name that holds its code.
///
/// ```
/// mod nt {
///     ntgate_stubs_macro::stubs! { list = "../sysfuncs.lst", arch = "i386", shape = "shared-edx" }
/// }
/// assert_eq!(nt::NtClose[0], 0xb8); // mov eax,1Bh
/// ```
#[proc_macro]
pub fn stubs(input: proc_macro::TokenStream) -> proc_macro::TokenStream {
    expand_stubs(input.into()).into()
}

fn expand_stubs(input: TokenStream) -> TokenStream {
    let expanded = syn::parse2::<Input>(input).and_then(|input| expand_input(&input));
    expanded.unwrap_or_else(|error| error.to_compile_error())
}

fn expand_input(input: &Input) -> Result<TokenStream, syn::Error> {
    let span = input.list.span();
    let path = list_path(&input.list.value()).map_err(|message| syn::Error::new(span, message))?;
    let shown = path.display();
    let bytes = fs::read(&path).map_err(|error| syn::Error::new(span, format!("cannot read {shown}: {error}")))?;
    let tracked = expand_tracking(&path, span)?;

    // By the name that the source has, not by a path of this machine: messages are the same everywhere.
    let read = match read_list(&input.list.value(), &bytes) {
        Ok(read) => read,
        Err(diagnostics) => {
            let mut errors = expand_messages(&diagnostics, span);
            errors.extend(tracked);
            return Ok(errors);
        }
    };
    let options = Options::new(input.arch, Format::List);
    let options = input.shape.map_or(options.clone(), |shape| options.shape(shape));
    let options = input.encoding.map_or(options.clone(), |encoding| options.encoding(encoding));
    let mut tokens = emit::tokens(&read.list, &options).map_err(|error| syn::Error::new(Span::call_site(), error))?;
    tokens.extend(expand_messages(&read.warnings, span));
    tokens.extend(tracked);
    Ok(tokens)
}

/// The list's file: relative paths start at the crate that uses the macro.
fn list_path(text: &str) -> Result<PathBuf, String> {
    match std::env::var_os("CARGO_MANIFEST_DIR") {
        Some(directory) => Ok(Path::new(&directory).join(text)),
        None => Err("CARGO_MANIFEST_DIR is not set: cannot tell where the list is".to_owned()),
    }
}

/// Has the compiler note the file, so that a change of it builds the crate again.
fn expand_tracking(path: &Path, span: Span) -> Result<TokenStream, syn::Error> {
    let Some(path) = path.to_str() else {
        return Err(syn::Error::new(span, "the path of the list is not UTF-8"));
    };
    Ok(quote_spanned! { span => const _: &[u8] = ::core::include_bytes!(#path); })
}

fn expand_messages(diagnostics: &Diagnostics, span: Span) -> TokenStream {
    diagnostics.iter().map(|item| expand_message(diagnostics, item, span)).collect()
}

fn expand_message(diagnostics: &Diagnostics, item: &Diagnostic, span: Span) -> TokenStream {
    let mut message = diagnostics.headline(item);
    if let Some(help) = item.help_text() {
        message.push_str("\nhelp: ");
        message.push_str(help);
    }
    match item.severity() {
        Severity::Error => quote_spanned! { span => ::core::compile_error!(#message); },
        // A macro has no warnings of its own; a use of something deprecated is one that the compiler gives.
        Severity::Warning => quote_spanned! { span =>
            const _: () = {
                #[deprecated(note = #message)]
                const LIST: () = ();
                LIST
            };
        },
    }
}

#[cfg(test)]
mod tests;
