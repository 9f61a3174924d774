//! The list: where it is, what it says, and what is wrong with it.

use std::collections::BTreeMap;
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use ntgate_gen::emit::tokens::Names;
use ntgate_gen::{Diagnostic, Diagnostics, Service, ServiceList, Severity, read_list};
use proc_macro2::{Span, TokenStream};
use quote::{ToTokens, quote, quote_spanned};
use syn::{Ident, LitStr};

use crate::input::{Errors, Fields};
use crate::suggest::nearest;

/// A list without errors.
pub(crate) struct Source {
    pub(crate) list: ServiceList,
    name: String,
    span: Span,
}

/// What reading a list adds to an expansion, whether the list is right or not: that the compiler watches the file, and
/// what the list's reader has to say.
#[derive(Default)]
pub(crate) struct Read {
    pub(crate) source: Option<Source>,
    pub(crate) tokens: TokenStream,
}

/// Reads the list that a macro names.
pub(crate) fn read(literal: &LitStr, errors: &mut Errors) -> Read {
    let (name, span) = (literal.value(), literal.span());
    let found = find(&name).and_then(|path| Ok((fs::read(&path).map_err(|error| unreadable(&path, &error))?, path)));
    let (bytes, path) = match found {
        Ok(found) => found,
        Err(message) => {
            errors.say(span, message);
            return Read::default();
        }
    };
    let mut tokens = expand_tracking(&path, span);
    // By the name that the source has, not by a path of this machine: messages are the same everywhere.
    match read_list(&name, &bytes) {
        Ok(read) => {
            tokens.extend(expand_messages(&read.warnings, span));
            Read { source: Some(Source { list: read.list, name, span }), tokens }
        }
        Err(diagnostics) => {
            tokens.extend(expand_messages(&diagnostics, span));
            Read { source: None, tokens }
        }
    }
}

/// The list's file: relative paths start at the crate that uses the macro.
fn find(text: &str) -> Result<PathBuf, String> {
    match std::env::var_os("CARGO_MANIFEST_DIR") {
        Some(directory) => Ok(Path::new(&directory).join(text)),
        None => Err("CARGO_MANIFEST_DIR is not set: cannot tell where the list is; build with Cargo".to_owned()),
    }
}

fn unreadable(path: &Path, error: &std::io::Error) -> String {
    let why = match error.kind() {
        ErrorKind::NotFound => "there is no such file".to_owned(),
        ErrorKind::IsADirectory => "it is a directory".to_owned(),
        _ => error.to_string(),
    };
    format!(
        "cannot read the list {}: {why}\nhelp: the path is relative to CARGO_MANIFEST_DIR, the directory of this crate's \
         Cargo.toml",
        path.display()
    )
}

/// Has the compiler note the file, so that a change of it builds the crate again.
fn expand_tracking(path: &Path, span: Span) -> TokenStream {
    match path.to_str() {
        Some(path) => quote_spanned! { span => const _: &[u8] = ::core::include_bytes!(#path); },
        None => quote_spanned! { span => ::core::compile_error!("the path of the list is not UTF-8"); },
    }
}

fn expand_messages(diagnostics: &Diagnostics, span: Span) -> TokenStream {
    diagnostics.iter().map(|item| expand_message(diagnostics, item, span)).collect()
}

fn expand_message(diagnostics: &Diagnostics, item: &Diagnostic, span: Span) -> TokenStream {
    let message = message(diagnostics, item);
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

/// Where it is, what is wrong, the line, other lines that have to do with it, and what would help.
fn message(diagnostics: &Diagnostics, item: &Diagnostic) -> String {
    let mut message = diagnostics.headline(item);
    let labels = std::iter::once(item.label()).chain(item.related_labels());
    for label in labels.filter(|label| !label.excerpt().is_empty()) {
        let text = if label.text().is_empty() { String::new() } else { format!("    <- {}", label.text()) };
        message.push_str(&format!("\n{} | {}{text}", label.line(), label.excerpt()));
    }
    if let Some(help) = item.help_text() {
        message.push_str("\nhelp: ");
        message.push_str(help);
    }
    message
}

impl Source {
    /// What names of the expansion are made of.
    pub(crate) fn names(&self, fields: &Fields) -> Names {
        let visibility = match &fields.visibility {
            Some(visibility) => visibility.to_token_stream(),
            None => quote!(pub),
        };
        let named = fields.only.iter().flatten();
        let spans: BTreeMap<_, _> = named.map(|name| (name.to_string(), name.span())).collect();
        Names { list: self.name.clone(), visibility, span: self.span, spans }
    }

    /// The services that are wanted, in the order of the list.
    pub(crate) fn select(&self, fields: &Fields, errors: &mut Errors) -> Vec<&Service> {
        if let (Some(_), Some(except)) = (&fields.only, &fields.except) {
            let span = except.first().map_or(self.span, Ident::span);
            errors.say(span, "`only` and `except` do not go together: take one of them out");
        }
        for name in fields.only.iter().chain(&fields.except).flatten() {
            self.check_name(name, errors);
        }
        let has = |names: &[Ident], service: &Service| names.iter().any(|name| name == service.name().nt());
        let is_wanted = |service: &&Service| {
            fields.only.as_ref().is_none_or(|only| has(only, service))
                && !fields.except.as_ref().is_some_and(|except| has(except, service))
        };
        let services: Vec<_> = self.list.services().filter(is_wanted).collect();
        if services.is_empty() && errors.is_empty() {
            errors.say(self.span, "no service of the list is left");
        }
        services
    }

    fn check_name(&self, name: &Ident, errors: &mut Errors) {
        let text = name.to_string();
        let names = || self.list.services().map(|service| service.name().nt());
        if names().any(|known| known == text) {
            return;
        }
        let stem = text.strip_prefix("Zw").map(|stem| format!("Nt{stem}"));
        let meant = match &stem {
            Some(nt) if names().any(|known| known == nt) => Some(nt.as_str()),
            _ => nearest(&text, names()),
        };
        let help = meant.map_or_else(String::new, |name| format!("; did you mean `{name}`?"));
        errors.say(name.span(), format!("`{text}` is not in the list {}{help}", self.name));
    }
}
