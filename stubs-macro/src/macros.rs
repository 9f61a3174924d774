//! Each macro: its options, and what becomes of them.

use ntgate_gen::emit::tokens::{
    Encoded, Functions, Table, lower_code, lower_code32, lower_each, lower_functions, lower_numbers, lower_services,
    lower_table,
};
use ntgate_gen::{Arch, ServiceList, ServiceTable};
use proc_macro2::{Span, TokenStream};
use quote::{ToTokens, quote};
use syn::parse::Parser;
use syn::{DeriveInput, LitStr};

use crate::input::{Errors, Fields, Input, Key};
use crate::source::{self, Read, Source};
use crate::suggest::nearest;
use crate::target::{Abi, Target, parse_arch};

pub(crate) fn expand_stubs(input: TokenStream) -> TokenStream {
    const KEYS: [&Key; 14] = [
        &Key::LIST,
        &Key::ARCH,
        &Key::SHAPE,
        &Key::ENCODING,
        &Key::ABI,
        &Key::VISIBILITY,
        &Key::ONLY,
        &Key::EXCEPT,
        &Key::TYPES,
        &Key::ZW,
        &Key::EXPORT,
        &Key::CODE32,
        &Key::BYTES,
        &Key::DOC,
    ];
    expand(input, &KEYS, |fields, source, errors| {
        let target = Target::read(fields, errors);
        let abi = target.as_ref().and_then(|target| Abi::read(fields.abi.as_ref(), target.shape.arch(), errors));
        check_forms(fields, target.as_ref(), errors);
        let source = source?;
        let services = source.select(fields, errors);
        let (target, abi) = (target?, abi?);
        let encoded = encode(&services, &target, errors)?;
        let names = source.names(fields);
        let code = lower_code(&encoded, &names);
        if fields.bytes.is_some() {
            return Some(code);
        }
        let functions = Functions {
            names: &names,
            abi: &abi.name,
            types: fields.types.as_ref().map(ToTokens::to_token_stream),
            zw: fields.zw.is_some(),
            export: fields.export.is_some(),
            doc: fields.doc.as_ref().is_none_or(syn::LitBool::value),
        };
        let condition = abi.condition;
        let functions = lower_functions(&encoded, &functions);
        let code32 = fields.code32.map(|_| lower_code32(&encoded, &names));
        Some(quote!(#condition #functions #code #code32))
    })
}

/// Options of `stubs!` that do not go together.
fn check_forms(fields: &Fields, target: Option<&Target>, errors: &mut Errors) {
    if let (Some(span), Some(target)) = (fields.code32, target)
        && target.shape.arch() != Arch::I386
    {
        errors.say(span, format!("`code32` is for i386 shapes; `{}` is one of {}", target.shape, target.shape.arch()));
    }
    if fields.bytes.is_some() {
        let others = [("zw", fields.zw), ("export", fields.export), ("code32", fields.code32)];
        for (name, span) in others.into_iter().filter_map(|(name, span)| Some((name, span?))) {
            errors.say(span, format!("`{name}` is about functions, and with `bytes` there are none"));
        }
    }
}

pub(crate) fn expand_table(input: TokenStream) -> TokenStream {
    const KEYS: [&Key; 7] =
        [&Key::LIST, &Key::HANDLERS, &Key::ARCH, &Key::ABI, &Key::VISIBILITY, &Key::TABLE, &Key::PACKED];
    expand(input, &KEYS, |fields, source, errors| {
        let handlers = errors.need(fields.handlers.as_ref(), &Key::HANDLERS);
        let archs = table_archs(fields, errors);
        let abis: Vec<_> =
            archs.iter().filter_map(|&arch| Some((arch, Abi::read(fields.abi.as_ref(), arch, errors)?))).collect();
        let source = source?;
        let table = find_table(&source.list, fields.table.as_ref(), errors)?;
        let (handlers, names) = (handlers?, source.names(fields));
        let handlers_span = handlers.segments.last().map_or_else(Span::call_site, |last| last.ident.span());
        let tables = abis.iter().map(|(arch, abi)| {
            let table_options = Table {
                names: &names,
                arch: *arch,
                abi: &abi.name,
                handlers: handlers.to_token_stream(),
                handlers_span,
                packed: fields.packed.is_some() && *arch == Arch::Amd64,
            };
            let condition = &abi.condition;
            let table = lower_table(table, &table_options);
            quote!(#condition #table)
        });
        let tables: TokenStream = tables.collect();
        let elsewhere = fields.arch.is_none().then(|| {
            quote! {
                #[cfg(not(any(target_arch = "x86", target_arch = "x86_64")))]
                ::core::compile_error!("there are service tables for x86 and x86-64 only");
            }
        });
        Some(quote!(#tables #elsewhere))
    })
}

/// The architecture that was asked for, or all that have tables.
fn table_archs(fields: &Fields, errors: &mut Errors) -> Vec<Arch> {
    let Some(literal) = &fields.arch else { return vec![Arch::I386, Arch::Amd64] };
    let arch = errors.keep(parse_arch(literal));
    match (arch, fields.packed) {
        (Some(Arch::Arm64), _) => errors.say(literal.span(), "there are no tables for arm64"),
        (Some(Arch::I386), Some(span)) => errors.say(span, "packed tables are for amd64, not i386"),
        _ => {}
    }
    arch.into_iter().collect()
}

fn find_table<'a>(list: &'a ServiceList, name: Option<&LitStr>, errors: &mut Errors) -> Option<&'a ServiceTable> {
    let Some(literal) = name else { return Some(list.primary()) };
    let name = literal.value();
    let found = list.tables().iter().find(|table| table.name() == name);
    if found.is_none() {
        let names = || list.tables().iter().map(ServiceTable::name);
        let meant = nearest(&name, names()).map_or_else(String::new, |name| format!("; did you mean \"{name}\"?"));
        let known = names().collect::<Vec<_>>().join(", ");
        errors.say(literal.span(), format!("the list has no table {name:?}; it has {known}{meant}"));
    }
    found
}

pub(crate) fn expand_numbers(input: TokenStream) -> TokenStream {
    const KEYS: [&Key; 5] = [&Key::LIST, &Key::NAME, &Key::VISIBILITY, &Key::ONLY, &Key::EXCEPT];
    expand(input, &KEYS, |fields, source, errors| {
        let name = errors.need(fields.name.as_ref(), &Key::NAME);
        let source = source?;
        let services = source.select(fields, errors);
        Some(lower_numbers(&services, &source.names(fields), name?))
    })
}

pub(crate) fn expand_each(input: TokenStream) -> TokenStream {
    const KEYS: [&Key; 5] = [&Key::LIST, &Key::CALLBACK, &Key::ONLY, &Key::EXCEPT, &Key::EXPRESSION];
    let mut is_expression = false;
    let expanded = expand(input, &KEYS, |fields, source, errors| {
        is_expression = fields.expression.is_some();
        let callback = errors.need(fields.callback.as_ref(), &Key::CALLBACK);
        let source = source?;
        let services = source.select(fields, errors);
        Some(lower_each(&services, &source.names(fields), &callback?.to_token_stream()))
    });
    if is_expression { quote!({ #expanded }) } else { expanded }
}

pub(crate) fn expand_derive(input: TokenStream) -> TokenStream {
    const KEYS: [&Key; 7] =
        [&Key::LIST, &Key::ARCH, &Key::SHAPE, &Key::ENCODING, &Key::ONLY, &Key::EXCEPT, &Key::FACADE];
    let input: DeriveInput = match syn::parse2(input) {
        Ok(input) => input,
        Err(error) => return error.to_compile_error(),
    };
    let mut attributes = input.attrs.iter().filter(|attribute| attribute.path().is_ident("services"));
    let arguments = match (attributes.next(), attributes.next()) {
        (Some(attribute), None) => attribute.meta.require_list().map(|list| list.tokens.clone()),
        (Some(_), Some(second)) => Err(syn::Error::new_spanned(second, "`#[services(...)]` is given twice")),
        (None, _) => Err(syn::Error::new_spanned(
            &input.ident,
            "the list is missing: `#[services(list = \"sysfuncs.lst\", shape = \"syscall\")]`",
        )),
    };
    let arguments = match arguments {
        Ok(arguments) => arguments,
        Err(error) => return error.to_compile_error(),
    };
    expand(arguments, &KEYS, |fields, source, errors| {
        let target = Target::read(fields, errors);
        let source = source?;
        let services = source.select(fields, errors);
        let encoded = encode(&services, &target?, errors)?;
        let facade = fields.facade.as_ref().map_or_else(|| quote!(::ntgate), ToTokens::to_token_stream);
        let body = lower_services(&encoded, &source.names(fields), &facade);
        let (generics, types, conditions) = input.generics.split_for_impl();
        let name = &input.ident;
        Some(quote! {
            #[automatically_derived]
            impl #generics #facade::SystemServices for #name #types #conditions {
                #body
            }
        })
    })
}

fn encode<'a>(services: &[&'a ntgate_gen::Service], target: &Target, errors: &mut Errors) -> Option<Encoded<'a>> {
    let encoded = Encoded::new(services, target.shape, target.encoding);
    errors.keep(encoded.map_err(|error| syn::Error::new(Span::call_site(), error)))
}

/// Reads options and list, and lowers; or reports everything that is wrong.
fn expand(
    input: TokenStream,
    keys: &[&Key],
    lower: impl FnOnce(&Fields, Option<&Source>, &mut Errors) -> Option<TokenStream>,
) -> TokenStream {
    let parse = |input: syn::parse::ParseStream<'_>| Ok(Input::read(input, keys));
    let Input { fields, mut errors } = match parse.parse2(input) {
        Ok(read) => read,
        Err(error) => return error.to_compile_error(),
    };
    let Read { source, tokens } = match errors.need(fields.list.as_ref(), &Key::LIST) {
        Some(list) => source::read(list, &mut errors),
        None => Read::default(),
    };
    let lowered = lower(&fields, source.as_ref(), &mut errors).filter(|_| errors.is_empty());
    let errors = errors.into_tokens();
    quote!(#errors #tokens #lowered)
}
