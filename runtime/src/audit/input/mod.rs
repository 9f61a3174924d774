//! Files, in one form: [`Image`].

mod archive;
mod objects;
mod pe;

use std::collections::HashMap;

use ntgate_gen::Arch;
use object::read::FileKind;

use super::error::{AuditError, article};
use super::image::{Image, Kind};

pub(super) use archive::Member;

/// The most bytes that an image may take: more than any system DLL has.
pub(super) const MOST_BYTES: u64 = 256 << 20;

/// The most names, objects of an archive, and fields with addresses that are taken of a file: more than any DLL or library of
/// a system has. A file of a few megabytes can claim as many as it likes, and each takes memory.
pub(super) const MOST_NAMES: usize = 1 << 17;
pub(super) const MOST_MEMBERS: usize = 1 << 16;
pub(super) const MOST_RELOCATIONS: usize = 1 << 21;

/// What a file has in it.
pub(super) enum Input<'a> {
    One(Box<Image<'a>>),
    /// The members of an archive, with their names.
    Many(Arch, archive::Members<'a>),
}

/// Reads a file. `mapped`: a PE image is as it lies in memory.
pub(super) fn read(bytes: &[u8], mapped: bool) -> Result<Input<'_>, AuditError> {
    let kind = FileKind::parse(bytes).ok();
    if mapped {
        return match kind {
            Some(FileKind::Pe32 | FileKind::Pe64) => one(image(bytes, Kind::Mapped, Kind::Pe)),
            kind => Err(AuditError::NotMapped { what: named(kind).map_or_else(|| describe(bytes), str::to_owned) }),
        };
    }
    match kind {
        Some(FileKind::Pe32 | FileKind::Pe64) => one(image(bytes, Kind::Pe, Kind::Mapped)),
        Some(FileKind::Coff | FileKind::CoffBig) => one(objects::read(bytes, Kind::Coff, 0)),
        Some(FileKind::Elf32 | FileKind::Elf64) => one(objects::read(bytes, Kind::Elf, 0)),
        Some(FileKind::Archive) => archive::read(bytes).map(|(arch, members)| Input::Many(arch, members)),
        _ => Err(AuditError::not(describe(bytes))),
    }
}

/// A PE image. One that makes no sense in the form that it was said to have, and does in the other, is told so.
fn image(bytes: &[u8], kind: Kind, other: Kind) -> Result<Image<'_>, AuditError> {
    pe::read(bytes, kind).map_err(|error| match pe::read(bytes, other) {
        Ok(_) => AuditError::OtherForm { kind: other },
        Err(_) => error,
    })
}

/// What a file of a form that is audited is.
fn named(kind: Option<FileKind>) -> Option<&'static str> {
    match kind? {
        FileKind::Coff | FileKind::CoffBig => Some(article(Kind::Coff)),
        FileKind::Elf32 | FileKind::Elf64 => Some(article(Kind::Elf)),
        FileKind::Archive => Some(article(Kind::Archive)),
        _ => None,
    }
}

fn one(image: Result<Image<'_>, AuditError>) -> Result<Input<'_>, AuditError> {
    image.map(|image| Input::One(Box::new(image)))
}

/// What a file seems to be that is none of those.
fn describe(bytes: &[u8]) -> String {
    let start = &bytes[..bytes.len().min(512)];
    // A character may be cut in two at the end.
    let text = match std::str::from_utf8(start) {
        Ok(text) => Some(text),
        Err(error) if error.error_len().is_none() => std::str::from_utf8(&start[..error.valid_up_to()]).ok(),
        Err(_) => None,
    };
    let is_text = text.is_some_and(|text| !text.chars().any(|c| c.is_control() && !c.is_ascii_whitespace()));
    match start {
        [] => "an empty file".to_owned(),
        [b'M', b'Z', ..] => "an MZ executable without a PE header, or with a damaged one".to_owned(),
        [0xCF, 0xFA, 0xED, 0xFE, ..] | [0xFE, 0xED, 0xFA, ..] => "a Mach-O file".to_owned(),
        [0, 0, 0xFF, 0xFF, ..] => "a short import, or an object of a form that is not read".to_owned(),
        _ if is_text => "a text file".to_owned(),
        _ => format!("a file that begins with {:02X?}", &start[..start.len().min(4)]),
    }
}

/// Names of what lies outside, each once, in the order in which they were asked for.
#[derive(Default)]
struct Externals {
    names: Vec<String>,
    known: HashMap<String, usize>,
}

impl Externals {
    fn index(&mut self, name: &str) -> usize {
        if let Some(&index) = self.known.get(name) {
            return index;
        }
        self.names.push(name.to_owned());
        self.known.insert(name.to_owned(), self.names.len() - 1);
        self.names.len() - 1
    }
}

/// The most characters of a name that are kept.
const NAME_CHARS: usize = 256;

/// A name of a file's, without what a terminal would act on.
fn printable(name: &[u8]) -> String {
    let shown = |c: char| if c.is_control() { char::REPLACEMENT_CHARACTER } else { c };
    String::from_utf8_lossy(&name[..name.len().min(4 * NAME_CHARS)]).chars().take(NAME_CHARS).map(shown).collect()
}

/// A symbol of an object as it is called in lists, and the `@n` of 32-bit Windows.
fn undecorated(name: &str, arch: Arch) -> (&str, Option<u32>) {
    if arch != Arch::I386 {
        return (name, None);
    }
    let plain = name.strip_prefix('_').or(name.strip_prefix('@')).unwrap_or(name);
    match plain.rsplit_once('@') {
        Some((stem, bytes)) if !stem.is_empty() => match bytes.parse() {
            Ok(bytes) => (stem, Some(bytes)),
            Err(_) => (plain, None),
        },
        _ => (plain, None),
    }
}

/// An export of a DLL: some linkers keep `@n`, and with it the underscore; without it that is of the name.
fn undecorated_export(name: &str, arch: Arch) -> (&str, Option<u32>) {
    match undecorated(name, arch) {
        (plain, Some(bytes)) => (plain, Some(bytes)),
        _ => (name, None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decorations_are_taken_off() {
        for (name, plain, bytes) in [
            ("_NtClose@4", "NtClose", Some(4)),
            ("NtClose@4", "NtClose", Some(4)),
            ("_KiSystemService", "KiSystemService", None),
            ("@fast@8", "fast", Some(8)),
            ("_@", "@", None),
            ("a@b", "a@b", None),
        ] {
            assert_eq!(undecorated(name, Arch::I386), (plain, bytes));
        }
        assert_eq!(undecorated("_NtClose@4", Arch::Amd64), ("_NtClose@4", None));
        assert_eq!(undecorated_export("NtClose@4", Arch::I386), ("NtClose", Some(4)));
        assert_eq!(undecorated_export("_stricmp", Arch::I386), ("_stricmp", None));
    }

    #[test]
    fn what_is_not_auditable_is_named() {
        for (bytes, what) in [
            (&b""[..], "an empty file"),
            (b"# ntgate\n", "a text file"),
            (b"MZ\x90\0", "an MZ executable without a PE header, or with a damaged one"),
            (b"\x89PNG\r\n\x1a\n\0", "a file that begins with [89, 50, 4E, 47]"),
        ] {
            let Err(error) = read(bytes, false) else { panic!("{what}") };
            assert_eq!(error, AuditError::not(what));
        }
    }
}
