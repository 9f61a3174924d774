//! The dispatch table as a static array of function pointers.
//!
//! A macro does not see the handlers, only their names. That each is there and takes as many parameters as the list says is
//! therefore left to the compiler, with names and messages that lead back to the list:
//!
//! - the handlers are imported in an inner scope, so that a name that they do not have is found in the outer one, where a
//!   function of that name asks for a trait that nothing implements, and the trait has the message;
//! - each handler stands in an array behind a function of the right number of parameters, whose name says what the list
//!   says. Functions of one array have to have one signature.

use std::collections::BTreeSet;

use proc_macro2::{Ident, Literal, Span, TokenStream};
use quote::{format_ident, quote, quote_spanned};

use super::functions::cfg;
use super::{Names, plural};
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
        let (abi, handlers) = (Literal::string(self.abi), &self.handlers);
        let services = table.services();
        let mut counts: BTreeSet<u8> = services.iter().map(|service| service.args(Arch::Amd64)).collect();
        let hole = table.rows().any(|row| row.is_none()).then(|| {
            counts.insert(0);
            let status = Literal::i32_unsuffixed(NO_SERVICE);
            quote!(extern #abi fn no_service() -> i32 { #status })
        });
        let helpers = counts.iter().map(|&count| self.lower_helpers(count));
        let guards = services.iter().map(|service| self.lower_guards(service));
        let rows = table.rows().map(|row| match row {
            Some(service) => self.lower_row(service),
            None => quote!(erase_0(no_service)),
        });
        quote! {{
            #[allow(dead_code)]
            struct NoHandler<A>(A);
            #hole
            #(#helpers)*
            #(#guards)*
            {
                #[allow(unused_imports)]
                use #handlers::*;
                [#(#rows),*]
            }
        }}
    }

    /// For handlers of so many parameters: one that makes pointers of one type of them, and one that tells how many bytes
    /// their arguments have.
    fn lower_helpers(&self, count: u8) -> TokenStream {
        let (abi, word) = (Literal::string(self.abi), Literal::u32_unsuffixed(self.arch.word_bytes()));
        let (erase, bytes) = (format_ident!("erase_{count}"), format_ident!("bytes_{count}"));
        let types: Vec<_> = (0..count).map(|index| format_ident!("A{index}")).collect();
        quote! {
            const fn #erase<#(#types,)* R>(handler: unsafe extern #abi fn(#(#types),*) -> R) -> unsafe extern #abi fn() {
                // SAFETY: pointers to functions have one form; who calls it has to know its parameters.
                unsafe { ::core::mem::transmute(handler) }
            }
            const fn #bytes<#(#types,)* R>(_: unsafe extern #abi fn(#(#types),*) -> R) -> usize {
                0 #(+ ::core::mem::size_of::<#types>().next_multiple_of(#word))*
            }
        }
    }

    /// What stands in for a handler that is missing, and beside one that is not.
    fn lower_guards(&self, service: &Service) -> TokenStream {
        let abi = Literal::string(self.abi);
        let name = self.handler(service);
        let (of_list, missing) = (of_list(self.names, service), format_ident!("No{name}"));
        let count = service.args(Arch::Amd64);
        let types: Vec<_> = (0..count).map(|index| format_ident!("A{index}")).collect();
        let message = escape(&format!("{}: `{}` has no handler", self.names.place(service), service.name()));
        let label = format!("`{}::{}` is missing", self.handlers_text(), service.name());
        let note = prototype(service, self.abi);
        quote! {
            #[diagnostic::on_unimplemented(message = #message, label = #label, note = #note)]
            trait #missing {}
            #[allow(dead_code, non_snake_case)]
            unsafe extern #abi fn #name<#(#types,)* R>(#(_: #types),*) -> R
            where
                NoHandler<R>: #missing,
            {
                loop {}
            }
            #[allow(non_snake_case)]
            unsafe extern #abi fn #of_list<#(#types,)* R>(#(_: #types),*) -> R {
                loop {}
            }
        }
    }

    fn lower_row(&self, service: &Service) -> TokenStream {
        let count = service.args(Arch::Amd64);
        let (name, of_list) = (self.handler(service), of_list(self.names, service));
        let (erase, bytes) = (format_ident!("erase_{count}"), format_ident!("bytes_{count}"));
        let bytes_of_list = service.arg_bytes(self.arch);
        let wanted = Literal::u32_unsuffixed(bytes_of_list);
        let message = escape(&format!(
            "{}: `{}` takes {bytes_of_list} bytes of arguments on {}; the parameters of `{}::{}` have another size",
            self.names.place(service),
            service.name(),
            self.arch,
            self.handlers_text(),
            service.name(),
        ));
        let check = quote_spanned! { self.handlers_span.resolved_at(Span::mixed_site()) =>
            ::core::assert!(fits, #message);
        };
        // One site for the name on both sides, or they would be two variables.
        let fits = Ident::new("fits", Span::mixed_site());
        quote! {{
            let pair = [#of_list, #name];
            let [_, handler] = pair;
            let #fits = #bytes(handler) == #wanted;
            #check
            #erase(handler)
        }}
    }

    /// The name of a handler, where the module of the handlers is named.
    fn handler(&self, service: &Service) -> Ident {
        Ident::new(service.name().nt(), self.handlers_span.resolved_at(Span::call_site()))
    }

    fn handlers_text(&self) -> String {
        self.handlers.to_string().replace(' ', "")
    }
}

/// `sysfuncs_lst_line_35_NtClose_takes_1_parameter`: the compiler names it beside a handler that does not fit.
fn of_list(names: &Names, service: &Service) -> Ident {
    let file: String = names.file().chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '_' }).collect();
    let takes = plural(service.args(Arch::Amd64).into(), "parameter").replace(' ', "_");
    format_ident!("of_{file}_line_{}_{}_takes_{takes}", service.line(), service.name().nt())
}

/// A handler as it could be written.
fn prototype(service: &Service, abi: &str) -> String {
    let words = vec!["_: usize"; service.args(Arch::Amd64).into()].join(", ");
    format!("it would be `pub unsafe extern \"{abi}\" fn {}({words}) -> i32`, with types of your own", service.name())
}

/// A text in which a format has nothing to put.
fn escape(text: &str) -> String {
    text.replace('{', "{{").replace('}', "}}")
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
