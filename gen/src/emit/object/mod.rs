//! Object files, libraries and images: the stubs as a linker or a loader takes them.
//!
//! Every byte of code is [`Stub::encode`]'s. The files are written with the crate `object`; what it has no writer for
//! is small and stands here with its place in the PE specification (Microsoft, "PE Format"): the archive and its two
//! indices, and the headers of short imports.

mod archive;
mod coff;
mod elf;
mod implib;
mod layout;
mod linkable;
mod pe;
#[cfg(test)]
mod tests;
mod unwind;

use super::Error;
use super::codes::{Coded, Codes};
use crate::model::{Arch, ServiceList};
use crate::stub;

use archive::{Index, Member};
use layout::{Placed, place};

/// One COFF object with all stubs.
pub(super) fn encode_coff(codes: &Codes<'_>) -> Result<Vec<u8>, Error> {
    coff::encode(codes.shape.arch(), unwind(codes).as_deref(), &placed(&codes.stubs))
}

/// One ELF object with all stubs.
pub(super) fn encode_elf(codes: &Codes<'_>) -> Result<Vec<u8>, Error> {
    elf::encode(codes.shape.arch(), &placed(&codes.stubs))
}

/// A static library of COFF objects, one a service.
pub(super) fn encode_coff_archive(codes: &Codes<'_>) -> Result<Vec<u8>, Error> {
    let unwind = unwind(codes);
    let encode = |placed: &[Placed<'_>]| coff::encode(codes.shape.arch(), unwind.as_deref(), placed);
    archive::encode(Index::Both, &members(codes, "obj", encode)?)
}

/// A static library of ELF objects, one a service.
pub(super) fn encode_elf_archive(codes: &Codes<'_>) -> Result<Vec<u8>, Error> {
    let encode = |placed: &[Placed<'_>]| elf::encode(codes.shape.arch(), placed);
    archive::encode(Index::First, &members(codes, "o", encode)?)
}

/// The short import library of ntdll.dll.
pub(super) fn encode_implib(list: &ServiceList, arch: Arch) -> Result<Vec<u8>, Error> {
    implib::encode(list, arch)
}

/// A complete ntdll.dll.
pub(super) fn encode_pe(codes: &Codes<'_>) -> Result<Vec<u8>, Error> {
    pe::encode(codes)
}

/// What tells how the stubs move the stack, if they do: all of a shape do it alike.
fn unwind(codes: &Codes<'_>) -> Option<Vec<u8>> {
    let first = codes.stubs.first()?;
    unwind::info(&stub::build(codes.shape, first.service, codes.encoding))
}

/// The stubs, one behind another.
fn placed<'a>(stubs: &'a [Coded<'_>]) -> Vec<Placed<'a>> {
    place(stubs.iter().map(|stub| (stub.symbols.as_slice(), &stub.code)))
}

/// A member for each service, so that a linker takes those that are used and no other.
fn members(
    codes: &Codes<'_>,
    extension: &str,
    encode: impl Fn(&[Placed<'_>]) -> Result<Vec<u8>, Error>,
) -> Result<Vec<Member>, Error> {
    let member = |stub: &Coded<'_>| {
        Ok(Member {
            name: format!("{}.{extension}", stub.service.name()),
            bytes: encode(&placed(std::slice::from_ref(stub)))?,
            symbols: stub.symbols.clone(),
        })
    };
    codes.stubs.iter().map(member).collect()
}
