//! Parameters as other languages see them.
//!
//! A list gives types by name and defines none of them, so what a type is must be told from its name: the base types of
//! Windows are known (ReactOS `sdk/include/psdk/basetsd.h`, `windef.h`, `winnt.h`), everything with a star is a pointer,
//! and the rest is a value of as many words as the count leaves for it.

use crate::model::{Arch, Param, Service, is_annotation};

/// What a parameter is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// A number of 8, 16, 32 or 64 bits.
    Int { bits: u8, signed: bool },
    /// A number or an unknown value of a word: 32 bits on i386, 64 elsewhere.
    Word,
    /// A handle.
    Handle,
    /// A pointer, and what the annotations say of it.
    Pointer { direction: Direction, to_handle: bool },
}

/// Which way data goes through a pointer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Direction {
    In,
    Out,
    /// Both, or not known.
    InOut,
}

impl Kind {
    /// The dwords on i386.
    const fn dwords(self) -> u8 {
        match self {
            Self::Int { bits: 64, .. } => 2,
            _ => 1,
        }
    }
}

/// The parameters of a service on an architecture: by its signature where it has one that agrees with the count, else as
/// many words as the count says.
pub(super) fn kinds(service: &Service, arch: Arch) -> Vec<Kind> {
    typed(service, arch).unwrap_or_else(|| vec![Kind::Word; service.args(arch).into()])
}

/// `None` without a signature, or if it cannot be seen which parameters have more than one dword on i386.
fn typed(service: &Service, arch: Arch) -> Option<Vec<Kind>> {
    let params = service.signature()?;
    let known: Vec<_> = params.iter().map(kind).collect();
    let taken: u8 = known.iter().flatten().map(|kind| kind.dwords()).sum();
    let unknown = u8::try_from(known.iter().filter(|kind| kind.is_none()).count()).ok()?;
    let left = service.args(Arch::I386).checked_sub(taken);
    let value = match left {
        Some(left) if left == unknown => Kind::Word,
        // Structures of 8 bytes, or what else there may be.
        Some(left) if left == 2 * unknown => Kind::Int { bits: 64, signed: false },
        // Elsewhere a parameter is one word, whatever it is.
        _ if arch != Arch::I386 => Kind::Word,
        _ => return None,
    };
    Some(known.into_iter().map(|kind| kind.unwrap_or(value)).collect())
}

/// The names that go with [`kinds`]: those of the signature that a declaration can have.
pub(super) fn names(service: &Service, arch: Arch) -> Vec<Option<&str>> {
    let Some(params) = typed(service, arch).and(service.signature()) else {
        return vec![None; service.args(arch).into()];
    };
    usable_names(params)
}

/// The names of a signature that a declaration can have: no word of C, and none twice.
pub(super) fn usable_names(params: &[Param]) -> Vec<Option<&str>> {
    let twice = |name: &str| params.iter().filter(|param| param.name() == Some(name)).count() > 1;
    let usable = |name: &&str| !twice(name) && !C_KEYWORDS.contains(name);
    params.iter().map(|param| param.name().filter(usable)).collect()
}

/// Words of C that may come after a type as if they were names; the types among them are never names.
const C_KEYWORDS: &[&str] = &[
    "asm", "auto", "break", "case", "continue", "default", "do", "else", "enum", "extern", "for", "goto", "if",
    "inline", "register", "restrict", "return", "sizeof", "static", "struct", "switch", "typedef", "union", "while",
];

/// The type of a parameter without annotations: what is left is C.
pub(super) fn plain_type(param: &Param) -> String {
    words(param).collect::<Vec<_>>().join(" ")
}

/// The words and stars of a type without annotations.
pub(super) fn words(param: &Param) -> impl Iterator<Item = &str> {
    let mut rest = param.ty().trim_start();
    std::iter::from_fn(move || {
        rest = rest.trim_start();
        let length = match rest.chars().next()? {
            '*' => 1,
            _ => annotation_or_word(rest),
        };
        let (word, after) = rest.split_at(length);
        rest = after;
        Some(word)
    })
    .filter(|word| !is_annotation(word))
}

/// How long the word is; of an annotation with what stands in its parentheses.
fn annotation_or_word(text: &str) -> usize {
    let end = text.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(text.len());
    // At least one character, or whoever asks for the next word would not come to an end.
    let end = end.max(text.chars().next().map_or(0, char::len_utf8));
    if text[end..].starts_with('(') { text.find(')').map_or(text.len(), |at| at + 1) } else { end }
}

/// What a parameter is by its type alone; `None` if the name tells nothing.
fn kind(param: &Param) -> Option<Kind> {
    let words: Vec<_> = words(param).filter(|word| !matches!(*word, "const" | "CONST" | "volatile")).collect();
    let stars = words.iter().filter(|word| **word == "*").count();
    let base: Vec<_> = words.iter().copied().filter(|word| *word != "*").collect();
    if stars > 0 {
        return Some(Kind::Pointer { direction: direction(param), to_handle: stars == 1 && base == ["HANDLE"] });
    }
    match base.as_slice() {
        [name] => named(name, param),
        _ => c_integer(&base),
    }
}

fn named(name: &str, param: &Param) -> Option<Kind> {
    let int = |bits, signed| Some(Kind::Int { bits, signed });
    match name {
        "HANDLE" => Some(Kind::Handle),
        "ULONG" | "DWORD" | "UINT" | "ULONG32" | "UINT32" | "ACCESS_MASK" | "LCID" | "COLORREF" => int(32, false),
        "LONG" | "INT" | "BOOL" | "NTSTATUS" | "LONG32" | "INT32" | "HRESULT" => int(32, true),
        "USHORT" | "WORD" | "WCHAR" | "UINT16" | "ATOM" | "RTL_ATOM" | "LANGID" => int(16, false),
        "SHORT" | "INT16" => int(16, true),
        "UCHAR" | "BYTE" | "BOOLEAN" | "UINT8" => int(8, false),
        "CHAR" | "CCHAR" | "INT8" => int(8, true),
        "ULONGLONG" | "ULONG64" | "UINT64" | "DWORD64" | "DWORDLONG" | "ULARGE_INTEGER" => int(64, false),
        // Structures of two LONGs.
        "POINT" | "POINTL" | "SIZE" | "SIZEL" => int(64, false),
        "LONGLONG" | "LONG64" | "INT64" | "LARGE_INTEGER" => int(64, true),
        "SIZE_T" | "SSIZE_T" | "ULONG_PTR" | "LONG_PTR" | "UINT_PTR" | "INT_PTR" | "DWORD_PTR" | "KAFFINITY"
        | "WPARAM" | "LPARAM" | "LRESULT" => Some(Kind::Word),
        _ if is_pointer_name(name) => {
            Some(Kind::Pointer { direction: direction(param), to_handle: matches!(name, "PHANDLE" | "LPHANDLE") })
        }
        _ => c_integer(&[name]),
    }
}

/// Names of pointers begin with `P` or `LP`, but so do those of numbers such as `POWER_ACTION`: only what follows tells.
fn is_pointer_name(name: &str) -> bool {
    const POINTED: &[&str] = &[
        "ACCESS_MASK",
        "ANSI_STRING",
        "BOOLEAN",
        "BYTE",
        "CHAR",
        "CLIENT_ID",
        "CONTEXT",
        "CVOID",
        "DWORD",
        "EXCEPTION_RECORD",
        "FILE_BASIC_INFORMATION",
        "FILE_NETWORK_OPEN_INFORMATION",
        "FILE_SEGMENT_ELEMENT",
        "GENERIC_MAPPING",
        "GUID",
        "HANDLE",
        "INITIAL_TEB",
        "INT",
        "IO_APC_ROUTINE",
        "IO_STATUS_BLOCK",
        "JOB_SET_ARRAY",
        "KEY_VALUE_ENTRY",
        "LARGE_INTEGER",
        "LDT_ENTRY",
        "LONG",
        "LONGLONG",
        "LUID",
        "NTSTATUS",
        "OBJECT_ATTRIBUTES",
        "OBJECT_TYPE_LIST",
        "POINT",
        "PORT_MESSAGE",
        "PORT_VIEW",
        "PRIVILEGE_SET",
        "RECT",
        "REMOTE_PORT_VIEW",
        "RTL_ATOM",
        "RTL_USER_PROCESS_PARAMETERS",
        "SECURITY_DESCRIPTOR",
        "SECURITY_QUALITY_OF_SERVICE",
        "SHORT",
        "SID",
        "SIZE",
        "SIZE_T",
        "TIMER_APC_ROUTINE",
        "TOKEN_DEFAULT_DACL",
        "TOKEN_GROUPS",
        "TOKEN_OWNER",
        "TOKEN_PRIMARY_GROUP",
        "TOKEN_PRIVILEGES",
        "TOKEN_SOURCE",
        "TOKEN_USER",
        "UCHAR",
        "UINT",
        "ULARGE_INTEGER",
        "ULONG",
        "ULONGLONG",
        "ULONG_PTR",
        "UNICODE_STRING",
        "USHORT",
        "VOID",
        "WCHAR",
        "WSTR",
        "WORD",
        "KNORMAL_ROUTINE",
        "STR",
        "CSTR",
        "CWSTR",
    ];
    let pointed = name.strip_prefix("LP").or_else(|| name.strip_prefix('P'));
    pointed.is_some_and(|pointed| {
        let pointed = pointed.strip_prefix('C').filter(|rest| POINTED.contains(rest)).unwrap_or(pointed);
        POINTED.contains(&pointed)
    })
}

/// `unsigned long` and such, by the sizes of Windows.
pub(super) fn c_integer(words: &[&str]) -> Option<Kind> {
    let is_c = |word: &&str| {
        matches!(*word, "unsigned" | "signed" | "int" | "long" | "short" | "char")
            || matches!(*word, "__int8" | "__int16" | "__int32" | "__int64")
    };
    if words.is_empty() || !words.iter().all(is_c) {
        return None;
    }
    let count = |name| words.iter().filter(|word| **word == name).count();
    let bits = match () {
        () if count("char") + count("__int8") > 0 => 8,
        () if count("short") + count("__int16") > 0 => 16,
        () if count("long") > 1 || count("__int64") > 0 => 64,
        () => 32,
    };
    Some(Kind::Int { bits, signed: count("unsigned") == 0 })
}

/// What the annotations say of a pointer: `_In_`, `_Out_writes_(n)`, `IN`, `OUT`.
fn direction(param: &Param) -> Direction {
    let ty = param.ty();
    let has = |start: &str, old: &str| {
        ty.split(|c: char| !c.is_ascii_alphanumeric() && c != '_').any(|word| word.starts_with(start) || word == old)
    };
    let is_const = ty.split_whitespace().any(|word| matches!(word, "const" | "CONST"));
    match (has("_In_", "IN") || is_const, has("_Out_", "OUT"), has("_Inout_", "INOUT")) {
        (true, false, false) => Direction::In,
        (false, true, false) => Direction::Out,
        _ => Direction::InOut,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::read_list;

    fn service(line: &str) -> Service {
        let read = read_list("test.lst", line.as_bytes()).unwrap_or_else(|diagnostics| panic!("{diagnostics}"));
        read.list.primary().services()[0].clone()
    }

    #[test]
    fn types_are_known_by_their_names() {
        let service = service(
            "NtA 12/11 (HANDLE h, _Out_ PHANDLE p, ULONG u, LONGLONG l, BOOLEAN b, SIZE_T s, _In_reads_(u, 1) const WCHAR *t, \
             POWER_ACTION a, PUNICODE_STRING n, unsigned short w, PCWSTR)",
        );
        let int = |bits, signed| Kind::Int { bits, signed };
        let pointer = |direction| Kind::Pointer { direction, to_handle: false };
        let expected = [
            Kind::Handle,
            Kind::Pointer { direction: Direction::Out, to_handle: true },
            int(32, false),
            int(64, true),
            int(8, false),
            Kind::Word,
            pointer(Direction::In),
            Kind::Word,
            pointer(Direction::InOut),
            int(16, false),
            pointer(Direction::InOut),
        ];
        assert_eq!(typed(&service, Arch::I386).as_deref(), Some(expected.as_slice()));
    }

    #[test]
    fn what_is_left_of_the_count_tells_how_wide_the_rest_is() {
        assert_eq!(
            typed(&service("NtA 3/2 (HANDLE, PAIR)"), Arch::I386).expect("8 bytes")[1],
            Kind::Int { bits: 64, signed: false }
        );
        assert_eq!(typed(&service("NtA 2 (HANDLE, KEY_KIND)"), Arch::I386).expect("a word")[1], Kind::Word);
        // One of the two has two dwords, and nobody can tell which.
        assert_eq!(typed(&service("NtA 3/2 (PAIR, KEY_KIND)"), Arch::I386), None);
        assert_eq!(kinds(&service("NtA 3/2 (PAIR, KEY_KIND)"), Arch::Amd64), [Kind::Word; 2]);
        assert_eq!(kinds(&service("NtA 3/2 (PAIR, KEY_KIND)"), Arch::I386), [Kind::Word; 3]);
        assert_eq!(kinds(&service("NtA 3/2"), Arch::Amd64), [Kind::Word; 2]);
        assert_eq!(typed(&service("NtA 3/2 (POINT, KEY_KIND)"), Arch::I386).expect("it is known")[1], Kind::Word);
        // The signature knows better than the count, which was not given for i386 apart.
        assert_eq!(typed(&service("NtA 1 (LONGLONG)"), Arch::I386), None);
    }

    #[test]
    fn annotations_are_no_part_of_a_type() {
        let service = service("NtA 2 (_Out_writes_bytes_(Length) const VOID **Buffer, IN OUT unsigned long)");
        let types: Vec<_> = service.signature().expect("it has one").iter().map(plain_type).collect();
        assert_eq!(types, ["const VOID * *", "unsigned long"]);
    }

    #[test]
    fn other_words_with_an_underscore_are_types() {
        let service =
            service("NtA 5/4 (__in struct _GUID *p, _GUID *g, unsigned __int64 x, _In_opt_ __deref_out_opt PVOID q)");
        let types: Vec<_> = service.signature().expect("it has one").iter().map(plain_type).collect();
        assert_eq!(types, ["struct _GUID *", "_GUID *", "unsigned __int64", "PVOID"]);
        let kinds = typed(&service, Arch::I386).expect("all are known");
        assert_eq!(kinds[2], Kind::Int { bits: 64, signed: false });
    }
}
