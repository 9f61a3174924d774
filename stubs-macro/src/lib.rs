//! Stubs and tables of NT system services at compile time.
//!
//! | macro | gives |
//! |---|---|
//! | [`stubs!`] | functions that call the services, and their code as constants |
//! | [`service_table!`] | the kernel's dispatch table, every row of it checked against its handler |
//! | [`service_numbers!`] | an enumeration of the numbers |
//! | [`for_each_service!`] | a call of a macro of your own, with all services |
//! | [`derive(SystemServices)`](macro@SystemServices) | names, numbers and code to look things up in |
//!
//! Each reads a service list, whose path is relative to the directory of the crate's `Cargo.toml`; the crate is built again
//! when the list changes. They are a thin face on `ntgate_gen`, which reads, checks and lowers. Every mistake in the list
//! and in a macro's arguments is a compile error, all of them at once.
//!
//! Options that several macros have:
//!
//! | option | meaning |
//! |---|---|
//! | `list = "sysfuncs.lst"` | the list |
//! | `arch = "amd64"` | `i386`, `amd64` or `arm64` |
//! | `shape = "syscall"` | the shape of the stubs; `zw` needs `arch` beside it, other shapes do not. With `arch` alone it is the default one |
//! | `encoding = "gnu"` | which of two encodings moves between registers have: `msvc` or `gnu` |
//! | `only(NtClose)`, `except(NtClose)` | some of the services |
//! | `visibility = pub(crate)` | who sees what is made; `pub` without it |
//! | `abi = "system"` | the calling convention; without it `stdcall` on x86 and `win64` on x86-64, whatever the system |
//!
//! The examples name this crate's macros as crates see them that depend on it; through the facade they are
//! `ntgate::stubs!` and so on.

mod input;
mod macros;
mod source;
mod suggest;
mod target;
#[cfg(test)]
mod tests;

use proc_macro::TokenStream;

/// Functions that call the services, and their code as constants; best within a module of its own.
///
/// For each service there is a naked function of its name (a kernel shape's are named after the Zw twins) that consists of
/// the stub and nothing else. It is there on the architecture that the shape is for. Its parameters are those of the list's
/// signature if there is one, else as many of `usize` as the service takes; it returns the NTSTATUS.
///
/// The module `code` is there on every architecture. It has, in the order of the list, `NAMES`, `NUMBERS`, `ARG_BYTES`,
/// `STUBS` (the code of each stub) and `RELOCATIONS` (offsets and symbols that a linker would fill in; only kernel stubs
/// have any), and for each service a constant of its name that holds its code.
///
/// ```
/// mod nt {
///     ntgate_stubs_macro::stubs! { list = "../sysfuncs.lst", shape = "syscall" }
/// }
/// # #[cfg(target_arch = "x86_64")]
/// let _: unsafe extern "win64" fn(usize) -> i32 = nt::NtClose;
/// assert_eq!(nt::code::NtClose, *b"\x4c\x8b\xd1\xb8\x1b\0\0\0\x0f\x05\xc3"); // mov r10,rcx; mov eax,1Bh; syscall; ret
/// ```
///
/// Options, besides those [of all macros](crate):
///
/// - `types = crate::types`: the types of signatures are looked up in this module, by their names in C, and so is
///   `NTSTATUS`. Without it `HANDLE` and other names of pointers are `*mut c_void`, `ULONG` is `u32`, and so on; a signature
///   whose types do not fill the argument slots that the list counts is left aside.
/// - `zw`: the Zw twins of user stubs too.
/// - `export`: the names too that C and assembler code links to: on i386 `_NtClose@4` and `_ZwClose@4`, else `NtClose` and
///   `ZwClose`.
/// - `code32`, of an i386 shape: on x86-64 a module `code32` with the stubs as the assembler made them, as 32-bit code.
/// - `bytes`: `code` alone. That needs no `unsafe`.
/// - `doc = false`: documentation does not show the functions.
///
/// A kernel stub refers to symbols (`_KiSystemService`) that the program has to have when it is linked.
///
/// With `encoding` functions have that encoding, byte for byte that of `code`; without it their moves between registers are
/// those of LLVM.
#[proc_macro]
pub fn stubs(input: TokenStream) -> TokenStream {
    macros::expand_stubs(input.into()).into()
}

/// The dispatch table as a static array of pointers to handlers, with the argument table.
///
/// `handlers` is the module with the handlers, one for each service and of its name: unsafe functions of NT's convention,
/// `stdcall` on x86 and `win64` on x86-64. One that is missing, or takes another number of parameters than the list says, or
/// of another size, is a compile error that names the service, the list's line and the handler.
///
/// ```
/// mod handlers {
///     pub unsafe extern "win64" fn NtClose(_handle: usize) -> i32 { 0 }
///     pub unsafe extern "win64" fn NtYieldExecution() -> i32 { 0x4000_0024 }
/// }
/// mod ssdt {
///     ntgate_stubs_macro::service_table! { list = "tests/two.lst", arch = "amd64", handlers = super::handlers, packed }
/// }
/// # #[cfg(not(target_arch = "x86_64"))] fn main() {}
/// # #[cfg(target_arch = "x86_64")] fn main() {
/// assert_eq!(ssdt::SERVICES[0] as usize, handlers::NtClose as *const () as usize);
/// assert_eq!(ssdt::ARGUMENTS, [8, 0]);
/// let mut packed = [0; 2];
/// // What the addresses of this program and a stack are may be too far apart.
/// let _ = ssdt::pack(&mut packed);
/// # }
/// ```
///
/// There are `SERVICES`, `ARGUMENTS` (in bytes, as the kernel copies them) and `BASE`, the number of the first row. A row
/// that no service has returns `STATUS_INVALID_SYSTEM_SERVICE`.
///
/// Options, besides `list`, `arch`, `visibility` and `abi` as [all macros](crate) have them; without `arch` it is the
/// target's:
///
/// - `table = "win32k"`: a further table of the list; without it the first.
/// - `packed`, on amd64: a function `pack` that makes the packed form of 64-bit Windows since Vista. Distances between a
///   table and routines are known when the program runs: Windows, too, packs its table while it boots.
#[proc_macro]
pub fn service_table(input: TokenStream) -> TokenStream {
    macros::expand_table(input.into()).into()
}

/// An enumeration of the services, each with its number.
///
/// It converts from `u32` and to it, displays as the service's name, and has `ALL`, `name()` and `number()`. The error of a
/// conversion is `Unknown` and the enumeration's name.
///
/// ```
/// ntgate_stubs_macro::service_numbers! { list = "../sysfuncs.lst", name = Service }
///
/// assert_eq!(Service::try_from(0x1b), Ok(Service::NtClose));
/// assert_eq!(Service::NtClose.to_string(), "NtClose");
/// assert_eq!(Service::try_from(0x1000).unwrap_err().to_string(), "no system service has the number 0x1000");
/// ```
///
/// Options, besides `list`, `only`, `except` and `visibility` as [all macros](crate) have them:
///
/// - `name = Service`: the name of the enumeration.
#[proc_macro]
pub fn service_numbers(input: TokenStream) -> TokenStream {
    macros::expand_numbers(input.into()).into()
}

/// Calls a macro of your own, once, with a group of tokens for each service.
///
/// A group is `(NtClose, ZwClose, 27, 1, 1, "Closes a handle.")`: the name, its twin, the number, the argument dwords on
/// i386, the parameters elsewhere, and the list's comment, which may be empty.
///
/// ```
/// macro_rules! names {
///     ($(($nt:ident, $zw:ident, $number:literal, $dwords:literal, $params:literal, $doc:literal))*) => {
///         &[$((stringify!($nt), $number)),*]
///     };
/// }
/// const NAMES: &[(&str, u32)] =
///     ntgate_stubs_macro::for_each_service! { list = "../sysfuncs.lst", callback = names, expression };
/// assert_eq!(NAMES[27], ("NtClose", 27));
/// ```
///
/// Options, besides `list`, `only` and `except` as [all macros](crate) have them:
///
/// - `callback = names`: the macro that is called.
/// - `expression`: the call stands where an expression stands; without it, where items do.
#[proc_macro]
pub fn for_each_service(input: TokenStream) -> TokenStream {
    macros::expand_each(input.into()).into()
}

/// Implements `ntgate::SystemServices`: the services with their code as constants, lookup by name and by number.
///
/// The attribute `services` has the options `list`, `arch`, `shape`, `encoding`, `only` and `except`, which are those
/// [of all macros](crate), and `crate`, the name of the crate `ntgate` where it has another: `crate = nt`. What it expands to
/// needs neither `std` nor `unsafe`.
///
/// ```
/// use ntgate::SystemServices;
///
/// #[derive(SystemServices)]
/// #[services(list = "../sysfuncs.lst", shape = "syscall")]
/// struct Ntdll;
///
/// let close = Ntdll::by_name("NtClose").unwrap();
/// assert_eq!((close.number(), close.code()[0]), (0x1b, 0x4c));
/// ```
#[proc_macro_derive(SystemServices, attributes(services))]
pub fn derive_system_services(input: TokenStream) -> TokenStream {
    macros::expand_derive(input.into()).into()
}
