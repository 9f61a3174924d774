//! The parameters of a service as Rust's types.
//!
//! What a C type is called decides how wide it is, and nothing else is needed of a parameter of a system call. A name that
//! is not known is taken for a machine word, or for a pointer if it begins as names of pointers do.

use proc_macro2::{Ident, Span, TokenStream};
use quote::{ToTokens, format_ident, quote};

use super::super::params::{Kind, c_integer, words};
use crate::model::{Arch, Param, Service};

/// One parameter of a function.
pub(super) struct Typed {
    pub(super) name: Ident,
    pub(super) ty: TokenStream,
}

/// The parameters of a service, and whether their types are those of its signature.
pub(super) struct Params {
    pub(super) params: Vec<Typed>,
    pub(super) is_typed: bool,
}

/// As many parameters as the architecture's stubs need.
///
/// They are those of the signature if the list has one and its types fill the argument slots of the architecture, else
/// machine words. With `types`, names of types are looked up there and taken as they are.
pub(super) fn params(service: &Service, arch: Arch, types: Option<&TokenStream>) -> Params {
    let slots = usize::from(service.args(arch));
    let signature = service.signature().filter(|signature| types.is_some() || fills(signature, arch, slots));
    let Some(signature) = signature else {
        let words = (0..slots).map(|index| Typed { name: numbered(index), ty: quote!(usize) });
        return Params { params: words.collect(), is_typed: false };
    };
    let mut taken = Vec::new();
    let params = signature.iter().enumerate().map(|(index, param)| {
        let mut name = param.name().and_then(ident).unwrap_or_else(|| numbered(index));
        if taken.contains(&name) {
            name = numbered(index);
        }
        taken.push(name.clone());
        Typed { name, ty: CType::of(param).lower(types) }
    });
    Params { params: params.collect(), is_typed: true }
}

/// Whether the types are as wide as the list says that they are together.
fn fills(signature: &[Param], arch: Arch, slots: usize) -> bool {
    let width = |param: &Param| match (arch, CType::of(param).is_wide()) {
        (Arch::I386, true) => 2,
        _ => 1,
    };
    signature.iter().map(width).sum::<usize>() == slots
}

fn numbered(index: usize) -> Ident {
    format_ident!("argument_{}", index + 1, span = Span::call_site())
}

/// The name of a parameter or a type; `None` for what is not one word, and the few words that no identifier may be.
fn ident(name: &str) -> Option<Ident> {
    match name {
        "" => None,
        _ if name.contains(' ') => None,
        "self" | "Self" | "super" | "crate" | "_" => None,
        // In every edition a raw identifier is one.
        "as" | "async" | "await" | "break" | "const" | "continue" | "dyn" | "else" | "enum" | "extern" | "false"
        | "fn" | "for" | "gen" | "if" | "impl" | "in" | "let" | "loop" | "match" | "mod" | "move" | "mut" | "pub"
        | "ref" | "return" | "static" | "struct" | "trait" | "true" | "type" | "unsafe" | "use" | "where" | "while"
        | "abstract" | "become" | "box" | "do" | "final" | "macro" | "override" | "priv" | "try" | "typeof"
        | "unsized" | "virtual" | "yield" => Some(Ident::new_raw(name, Span::call_site())),
        _ => Some(Ident::new(name, Span::call_site())),
    }
}

/// A type of a signature: a name behind pointers.
struct CType {
    /// `HANDLE`, `unsigned int`.
    base: String,
    /// The innermost pointer first; whether what it points to is constant.
    pointers: Vec<bool>,
}

impl CType {
    /// Takes the type of a parameter apart, without annotations.
    fn of(param: &Param) -> Self {
        let mut base: Vec<&str> = Vec::new();
        let mut pointers = Vec::new();
        let mut is_const = false;
        for word in words(param) {
            match word {
                "volatile" | "struct" | "union" | "enum" => {}
                "const" | "CONST" => is_const = true,
                "*" => pointers.push(std::mem::take(&mut is_const)),
                // A macro with its arguments says something of a parameter too.
                _ if word.ends_with(')') => {}
                word => base.push(word),
            }
        }
        Self { base: base.join(" "), pointers }
    }

    /// Whether it takes two argument slots of i386.
    fn is_wide(&self) -> bool {
        self.pointers.is_empty() && matches!(known(&self.base), Some(Known::Int("u64" | "i64")))
    }

    fn lower(&self, types: Option<&TokenStream>) -> TokenStream {
        let base = match (types, ident(&self.base).filter(|_| is_word(&self.base))) {
            (Some(types), Some(name)) => quote!(#types::#name),
            _ => lower_base(&self.base, !self.pointers.is_empty()),
        };
        self.pointers.iter().fold(base, |pointee, &is_const| pointer(&pointee, is_const))
    }
}

/// Whether a name of C's is one that a header declares, and not one of the language's own.
fn is_word(name: &str) -> bool {
    !matches!(name, "void" | "VOID" | "double" | "float") && c_integer(&[name]).is_none()
}

/// What is known of a name.
enum Known {
    /// An integer of Rust's.
    Int(&'static str),
    /// A pointer to something that is not looked into.
    Opaque,
    /// `void`.
    Void,
}

fn known(name: &str) -> Option<Known> {
    Some(match name {
        "VOID" | "void" => Known::Void,
        "HANDLE" | "PVOID" | "LPVOID" | "HWND" | "HDC" | "HMENU" | "HBITMAP" | "HBRUSH" | "HRGN" | "HDESK"
        | "HWINSTA" | "HKL" | "HACCEL" | "HCURSOR" | "HICON" | "HFONT" | "HPALETTE" => Known::Opaque,
        "BOOLEAN" | "UCHAR" | "BYTE" | "UINT8" => Known::Int("u8"),
        "CHAR" | "CCHAR" | "INT8" => Known::Int("i8"),
        "USHORT" | "WORD" | "WCHAR" | "ATOM" | "RTL_ATOM" | "LANGID" | "UINT16" => Known::Int("u16"),
        "SHORT" | "CSHORT" | "INT16" => Known::Int("i16"),
        "ULONG"
        | "DWORD"
        | "UINT"
        | "UINT32"
        | "ULONG32"
        | "ACCESS_MASK"
        | "LCID"
        | "SECURITY_INFORMATION"
        | "EXECUTION_STATE"
        | "COLORREF" => Known::Int("u32"),
        "LONG" | "INT" | "INT32" | "LONG32" | "BOOL" | "NTSTATUS" | "KPRIORITY" => Known::Int("i32"),
        "ULONGLONG" | "ULONG64" | "UINT64" | "DWORD64" | "DWORDLONG" | "ULARGE_INTEGER" => Known::Int("u64"),
        "LONGLONG" | "LONG64" | "INT64" | "LARGE_INTEGER" | "double" => Known::Int("i64"),
        "SIZE_T" | "ULONG_PTR" | "UINT_PTR" | "DWORD_PTR" | "KAFFINITY" | "WPARAM" => Known::Int("usize"),
        "SSIZE_T" | "LONG_PTR" | "INT_PTR" | "LPARAM" | "LRESULT" => Known::Int("isize"),
        _ => match c_integer(&name.split(' ').collect::<Vec<_>>())? {
            Kind::Int { bits: 8, signed: false } => Known::Int("u8"),
            Kind::Int { bits: 8, signed: true } => Known::Int("i8"),
            Kind::Int { bits: 16, signed: false } => Known::Int("u16"),
            Kind::Int { bits: 16, signed: true } => Known::Int("i16"),
            Kind::Int { bits: 64, signed: false } => Known::Int("u64"),
            Kind::Int { bits: 64, signed: true } => Known::Int("i64"),
            Kind::Int { signed: false, .. } => Known::Int("u32"),
            _ => Known::Int("i32"),
        },
    })
}

/// A name without its stars. What cannot be looked into is `c_void` behind a pointer, and a machine word where it is
/// passed by value.
fn lower_base(name: &str, is_pointee: bool) -> TokenStream {
    let void = quote!(::core::ffi::c_void);
    match known(name) {
        Some(Known::Int(name)) => Ident::new(name, Span::call_site()).into_token_stream(),
        Some(Known::Opaque) => pointer(&void, false),
        Some(Known::Void) => void,
        None => match name {
            "PWSTR" | "LPWSTR" | "PWCH" => pointer(&quote!(u16), false),
            "PCWSTR" | "LPCWSTR" => pointer(&quote!(u16), true),
            "PSTR" | "LPSTR" => pointer(&quote!(i8), false),
            "PCSTR" | "LPCSTR" => pointer(&quote!(i8), true),
            _ => match pointee(name) {
                Some((pointee, is_const)) => pointer(&lower_base(pointee, true), is_const),
                None if is_pointee => void,
                None => quote!(usize),
            },
        },
    }
}

/// How names of enumerations end; some begin as those of pointers do: `PROCESSINFOCLASS`, `POWER_INFORMATION_LEVEL`.
const ENUMERATIONS: [&str; 7] = ["CLASS", "LEVEL", "TYPE", "SOURCE", "MODE", "STATE", "ACTION"];

/// What `PHANDLE`, `LPDWORD` and `PCUNICODE_STRING` point to, and whether it is constant.
fn pointee(name: &str) -> Option<(&str, bool)> {
    if name == "POINT" || ENUMERATIONS.iter().any(|end| name.ends_with(end)) {
        return None;
    }
    let name = name.strip_prefix("LP").or_else(|| name.strip_prefix('P'))?;
    match name.strip_prefix('C') {
        // `PCHAR` is a pointer to CHAR.
        Some(constant) if known(name).is_none() => Some((constant, true)),
        _ => Some((name, false)),
    }
    .filter(|(name, _)| name.starts_with(|c: char| c.is_ascii_uppercase()))
}

fn pointer(pointee: &TokenStream, is_const: bool) -> TokenStream {
    if is_const { quote!(*const #pointee) } else { quote!(*mut #pointee) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::read_list;

    fn lowered(arch: Arch, line: &str) -> String {
        let read = read_list("t", line.as_bytes()).expect("the list is right");
        let service = &read.list.primary().services()[0];
        let params = params(service, arch, None).params;
        let all = params.iter().map(|Typed { name, ty }| format!("{name}: {}", ty.to_string().replace(' ', "")));
        all.collect::<Vec<_>>().join(", ").replace("::core::ffi::", "").replace("*mut", "*mut ")
    }

    #[test]
    fn names_of_types_tell_how_wide_they_are() {
        let line = "NtA 6 (_In_ HANDLE Handle, PHANDLE Out, const WCHAR *Text, ULONG type, PVOID *Base, BOOLEAN self)";
        assert_eq!(
            lowered(Arch::Amd64, line),
            "Handle: *mut c_void, Out: *mut *mut c_void, Text: *constu16, r#type: u32, Base: *mut *mut c_void, argument_6: u8"
        );
        let line = "NtA 4 (_Out_writes_(a, b) PCUNICODE_STRING A, POBJECT_ATTRIBUTES A, SOMETHING, PCHAR Text)";
        assert_eq!(
            lowered(Arch::I386, line),
            "A: *constc_void, argument_2: *mut c_void, argument_3: usize, Text: *mut i8"
        );
    }

    #[test]
    fn wide_parameters_take_two_slots_of_i386() {
        let line = "NtA 3/2 (HANDLE Handle, ULONGLONG Offset)";
        assert_eq!(lowered(Arch::I386, line), "Handle: *mut c_void, Offset: u64");
        assert_eq!(lowered(Arch::Amd64, line), "Handle: *mut c_void, Offset: u64");
    }

    #[test]
    fn odd_signatures_are_types_too() {
        let line = "NtA 4 (const, struct _FOO *f, _In_opt_ ULONG_PTR *, PPVOID a)";
        assert_eq!(
            lowered(Arch::Amd64, line),
            "argument_1: usize, f: *mut c_void, argument_3: *mut usize, a: *mut *mut c_void"
        );
        let read = read_list("t", line.as_bytes()).expect("the list is right");
        let types = params(&read.list.primary().services()[0], Arch::Amd64, Some(&quote!(t))).params;
        let types: Vec<_> = types.iter().map(|param| param.ty.to_string().replace(' ', "")).collect();
        assert_eq!(types, ["usize", "*mutt::_FOO", "*mutt::ULONG_PTR", "t::PPVOID"]);
    }

    #[test]
    fn integers_of_c_are_types() {
        let line = "NtA 6/4 (__int64 a, unsigned __int64 b, unsigned short c, long unsigned d)";
        assert_eq!(lowered(Arch::Amd64, line), "a: i64, b: u64, c: u16, d: u32");
        assert_eq!(lowered(Arch::I386, line), "a: i64, b: u64, c: u16, d: u32");
    }

    #[test]
    fn macros_with_arguments_are_no_types() {
        let line = "NtA 2 (FOO(x) HANDLE a, BAR(y, z) b)";
        assert_eq!(lowered(Arch::Amd64, line), "a: *mut c_void, argument_2: usize");
    }

    #[test]
    fn types_that_do_not_fill_the_slots_become_words() {
        let line = "NtA 3/2 (HANDLE Handle, POINT Where)";
        assert_eq!(lowered(Arch::I386, line), "argument_1: usize, argument_2: usize, argument_3: usize");
        assert_eq!(lowered(Arch::Amd64, line), "Handle: *mut c_void, Where: usize");
        assert_eq!(lowered(Arch::I386, "NtA 2"), "argument_1: usize, argument_2: usize");
    }
}
