//! The dispatch table as a static array of function pointers.
//!
//! A macro does not see the handlers, only their names. That each is there and takes as many parameters as the list says is
//! therefore left to the compiler, with names and messages that lead back to the list:
//!
//! - the handlers are imported in an inner scope, so that a name that they do not have is found in the outer one, where it is
//!   that of a function that returns `NoHandler`; no row may have that, and the trait that says so has the message;
//! - each handler stands in an array behind a function of the right number of parameters, whose path says what the list
//!   says: `sysfuncs_lst_line::<35, NtClose>::takes_1_parameter`. Functions of one array have to have one signature.
//!
//! What a service adds to a table is a row, an import and the name of a type. An item of its own for each, which the compiler
//! would have to check, takes many times as long.

use std::collections::BTreeMap;

use proc_macro2::{Ident, Literal, Span, TokenStream};
use quote::{format_ident, quote, quote_spanned};

use super::functions::cfg;
use super::{Names, escape, plural};
use crate::model::{Arch, Service, ServiceTable};
use crate::table::{STACK_ARGS, stack_args};

/// `STATUS_INVALID_SYSTEM_SERVICE`, C000001Ch.
const NO_SERVICE: i32 = 0xC000_001C_u32.cast_signed();

/// Where the table's handlers are, and what is made of them.
#[derive(Clone, Debug)]
pub struct Table<'a> {
    /// The names.
    pub names: &'a Names,
    /// The architecture: i386 or amd64.
    pub arch: Arch,
    /// The calling convention of the handlers.
    pub abi: &'a str,
    /// The module with the handlers.
    pub handlers: TokenStream,
    /// Where it is named.
    pub handlers_span: Span,
    /// A routine that packs the table too. There are packed tables on amd64 only.
    pub packed: bool,
}

/// The table as `SERVICES`, with `BASE` and the argument table `ARGUMENTS`, and `pack` if that is asked for: for the one
/// architecture, and nothing for others.
#[must_use]
pub fn lower_table(table: &ServiceTable, options: &Table<'_>) -> TokenStream {
    let cfg = cfg(options.arch);
    let mistakes = options.mistakes(table);
    if !mistakes.is_empty() {
        return quote_spanned!(options.names.span => #(#cfg ::core::compile_error!(#mistakes);)*);
    }
    let (visibility, list) = (&options.names.visibility, options.names.file());
    let (base, limit) = (Literal::u32_unsuffixed(table.base()), Literal::u32_unsuffixed(table.limit()));
    let abi = Literal::string(options.abi);
    let bytes = table.rows().map(|row| {
        let bytes = row.map_or(0, |service| service.arg_bytes(options.arch));
        Literal::u32_unsuffixed(bytes)
    });
    let rows = options.lower_rows(table);
    let pack = options.packed.then(|| lower_pack(table, visibility, &cfg));
    let doc = format!(" The dispatch table `{}` of `{list}`: the routine of each row.", table.name());
    quote! {
        #cfg
        /// The number of the table's first row.
        #[allow(dead_code)]
        #visibility const BASE: u32 = #base;

        #cfg
        #[doc = #doc]
        ///
        /// Each has the parameters of its service; call it through a pointer with these.
        #visibility static SERVICES: [unsafe extern #abi fn(); #limit] = #rows;

        #cfg
        /// The argument bytes of each row.
        #visibility static ARGUMENTS: [u8; #limit] = [#(#bytes),*];

        #pack
    }
}

impl Table<'_> {
    /// What the table cannot hold.
    fn mistakes(&self, table: &ServiceTable) -> Vec<String> {
        let mut mistakes = Vec::new();
        for service in table.services() {
            let (place, name) = (self.names.place(service), service.name());
            let (bytes, stack) = (service.arg_bytes(self.arch), stack_args(service));
            if bytes > u32::from(u8::MAX) {
                mistakes.push(format!(
                    "{place}: `{name}` takes {bytes} bytes of arguments, over the 255 of an argument table on {}",
                    self.arch
                ));
            } else if self.packed && stack > STACK_ARGS {
                mistakes.push(format!(
                    "{place}: `{name}` takes {stack} arguments on the stack, over the {STACK_ARGS} of a packed table"
                ));
            }
        }
        mistakes
    }

    fn lower_rows(&self, table: &ServiceTable) -> TokenStream {
        let handlers = &self.handlers;
        let line = self.line();
        let services = table.services();
        let mut by_count: BTreeMap<u8, Vec<Ident>> = BTreeMap::new();
        for service in services {
            by_count.entry(service.args(Arch::Amd64)).or_default().push(self.handler(service));
        }
        let names = services.iter().map(|service| self.handler(service));
        let returned = by_count.keys().map(|&count| self.lower_returned(count));
        let checks = by_count.keys().map(|&count| self.lower_checks(count));
        let missing = by_count.iter().map(|(&count, names)| self.lower_missing(count, names));
        let hole = table.rows().any(|row| row.is_none()).then(|| self.lower_hole());
        let rows = table.rows().map(|row| match row {
            Some(service) => self.lower_row(service, &line),
            None => quote!(NO_SERVICE_ROW),
        });
        quote! {{
            #(#[allow(dead_code)] struct #names {})*
            struct NoHandler(::core::marker::PhantomPinned);
            #(#returned)*
            #[allow(dead_code, non_camel_case_types)]
            struct #line<const LINE: usize, S>(S);
            impl<const LINE: usize, S> #line<LINE, S> {
                #(#checks)*
            }
            #(#missing)*
            #hole
            {
                #[allow(unused_imports)]
                use #handlers::*;
                [#(#rows),*]
            }
        }}
    }

    /// What a handler of so many parameters may return: anything but what the function does that stands in for a missing one.
    fn lower_returned(&self, count: u8) -> TokenStream {
        let returned = format_ident!("Returned{count}");
        let message = format!("{}:{{LINE}}: `{{S}}` has no handler", escape(&self.names.list));
        let label = format!("`{}::{{S}}` is missing, or not visible here", escape(&self.handlers_text()));
        let words = vec!["_: usize"; count.into()].join(", ");
        let note = format!(
            "it would be `pub unsafe extern \"{}\" fn {{S}}({words}) -> i32`, with types of your own",
            escape(self.abi)
        );
        quote! {
            #[diagnostic::on_unimplemented(message = #message, label = #label, note = #note)]
            trait #returned<const LINE: usize, S> {}
            #[diagnostic::do_not_recommend]
            impl<const LINE: usize, S, R: ::core::marker::Unpin> #returned<LINE, S> for R {}
        }
    }

    /// For handlers of so many parameters: the function that stands beside them, and the one that makes a pointer of one type
    /// of them, if their arguments have as many bytes as they should.
    fn lower_checks(&self, count: u8) -> TokenStream {
        let (abi, word) = (Literal::string(self.abi), Literal::u32_unsuffixed(self.arch.word_bytes()));
        let (takes, row, returned) = (takes(count), self.row(count), format_ident!("Returned{count}"));
        let types = types(count);
        quote! {
            unsafe extern #abi fn #takes<#(#types,)* R>(#(_: #types),*) -> R {
                loop {}
            }
            #[track_caller]
            const fn #row<#(#types,)* R: #returned<LINE, S>>(
                pair: [unsafe extern #abi fn(#(#types),*) -> R; 2],
                bytes: usize,
                message: &str,
            ) -> unsafe extern #abi fn() {
                let [_, handler] = pair;
                if bytes != 0 #(+ ::core::mem::size_of::<#types>().next_multiple_of(#word))* {
                    ::core::panic!("{}", message)
                }
                // SAFETY: pointers to functions have one form; who calls it has to know its parameters.
                unsafe { ::core::mem::transmute(handler) }
            }
        }
    }

    /// What stands in for handlers of so many parameters where they are missing.
    fn lower_missing(&self, count: u8, names: &[Ident]) -> TokenStream {
        let (abi, missing, types) = (Literal::string(self.abi), format_ident!("no_handler_{count}"), types(count));
        quote! {
            #[allow(dead_code)]
            unsafe extern #abi fn #missing<#(#types),*>(#(_: #types),*) -> NoHandler {
                loop {}
            }
            #[allow(unused_imports)]
            use {#(#missing as #names),*};
        }
    }

    /// What a row has that no service has.
    fn lower_hole(&self) -> TokenStream {
        let (abi, status) = (Literal::string(self.abi), Literal::i32_unsuffixed(NO_SERVICE));
        quote! {
            extern #abi fn no_service() -> i32 {
                #status
            }
            const NO_SERVICE_ROW: unsafe extern #abi fn() = {
                let routine: extern #abi fn() -> i32 = no_service;
                // SAFETY: pointers to functions have one form, and this one has no parameters.
                unsafe { ::core::mem::transmute(routine) }
            };
        }
    }

    fn lower_row(&self, service: &Service, line: &Ident) -> TokenStream {
        let count = service.args(Arch::Amd64);
        let (name, takes, row) = (self.handler(service), takes(count), self.row(count));
        let number = Literal::usize_unsuffixed(service.line());
        let bytes = service.arg_bytes(self.arch);
        let wanted = Literal::u32_unsuffixed(bytes);
        let message = format!(
            "{}: `{}` takes {bytes} bytes of arguments on {}; the parameters of `{}::{}` have another size",
            self.names.place(service),
            service.name(),
            self.arch,
            self.handlers_text(),
            service.name(),
        );
        // What the compiler has to say of a row it says where the module of the handlers is named.
        let check = quote_spanned!(name.span() => #line::<#number, #name>::#row(pair, #wanted, #message));
        quote! {{
            let pair = [#line::<#number, #name>::#takes, #name];
            #check
        }}
    }

    fn row(&self, count: u8) -> Ident {
        format_ident!("row_{count}", span = self.site())
    }

    /// `sysfuncs_lst_line`: the compiler names it, with a number and a service, beside a handler that does not fit.
    fn line(&self) -> Ident {
        let file: String = self.names.file().chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '_' }).collect();
        let start = if file.starts_with(|c: char| c.is_ascii_digit()) { "_" } else { "" };
        format_ident!("{start}{file}_line", span = self.site())
    }

    /// The name of a handler, where the module of the handlers is named.
    fn handler(&self, service: &Service) -> Ident {
        Ident::new(service.name().nt(), self.site())
    }

    /// There, as names are resolved that the user sees.
    fn site(&self) -> Span {
        self.handlers_span.resolved_at(Span::call_site())
    }

    fn handlers_text(&self) -> String {
        self.handlers.to_string().replace(' ', "")
    }
}

/// `takes_1_parameter`.
fn takes(count: u8) -> Ident {
    format_ident!("takes_{}", plural(count.into(), "parameter").replace(' ', "_"))
}

/// The types of so many parameters.
fn types(count: u8) -> Vec<Ident> {
    (0..count).map(|index| format_ident!("A{index}")).collect()
}

/// The routine that packs: addresses are known when the program runs, and so Windows does the same while it boots.
fn lower_pack(table: &ServiceTable, visibility: &TokenStream, cfg: &TokenStream) -> TokenStream {
    let limit = Literal::u32_unsuffixed(table.limit());
    let stack = table.rows().map(|row| Literal::u32_unsuffixed(row.map_or(0, stack_args)));
    quote! {
        #cfg
        /// Packs the table as Windows does since Vista: each entry is the distance from `packed` to the routine, four bits
        /// up, and the number of arguments on the stack below.
        ///
        /// # Errors
        ///
        /// The first row whose routine is 128 MiB or more from `packed`.
        #visibility fn pack(packed: &mut [i32; #limit]) -> ::core::result::Result<(), usize> {
            const STACK: [u8; #limit] = [#(#stack),*];
            let base = packed.as_ptr() as usize;
            let rows = ::core::iter::zip(::core::iter::zip(packed, SERVICES), STACK);
            for (row, ((entry, routine), stack)) in ::core::iter::Iterator::enumerate(rows) {
                let distance = (routine as usize).wrapping_sub(base).cast_signed();
                if !(-0x800_0000..0x800_0000).contains(&distance) {
                    return ::core::result::Result::Err(row);
                }
                #[allow(clippy::cast_possible_truncation)]
                let distance = distance as i32;
                *entry = distance << 4 | i32::from(stack);
            }
            ::core::result::Result::Ok(())
        }
    }
}
