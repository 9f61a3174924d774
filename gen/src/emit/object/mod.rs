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

use super::{Error, Stubs};
use crate::model::{Arch, ServiceList};
use crate::stub::Stub;

use archive::{Index, Member};
use layout::{Placed, place};

/// One COFF object with all stubs.
pub(super) fn encode_coff(stubs: &Stubs) -> Result<Vec<u8>, Error> {
    coff::encode(stubs.shape.arch(), &place(&stubs.stubs)?)
}

/// One ELF object with all stubs.
pub(super) fn encode_elf(stubs: &Stubs) -> Result<Vec<u8>, Error> {
    elf::encode(stubs.shape.arch(), &place(&stubs.stubs)?)
}

/// A static library of COFF objects, one a service.
pub(super) fn encode_coff_archive(stubs: &Stubs) -> Result<Vec<u8>, Error> {
    archive::encode(Index::Both, &members(stubs, "obj", coff::encode)?)
}

/// A static library of ELF objects, one a service.
pub(super) fn encode_elf_archive(stubs: &Stubs) -> Result<Vec<u8>, Error> {
    archive::encode(Index::First, &members(stubs, "o", elf::encode)?)
}

/// The short import library of ntdll.dll.
pub(super) fn encode_implib(list: &ServiceList, arch: Arch) -> Result<Vec<u8>, Error> {
    implib::encode(list, arch)
}

/// A complete ntdll.dll.
pub(super) fn encode_pe(stubs: &Stubs) -> Result<Vec<u8>, Error> {
    pe::encode(stubs)
}

type EncodeObject = fn(Arch, &[Placed<'_>]) -> Result<Vec<u8>, Error>;

/// A member for each service, so that a linker takes those that are used and no other.
fn members(stubs: &Stubs, extension: &str, encode: EncodeObject) -> Result<Vec<Member>, Error> {
    let member = |stub: &Stub| {
        Ok(Member {
            name: format!("{}.{extension}", stub.service),
            bytes: encode(stubs.shape.arch(), &place(std::slice::from_ref(stub))?)?,
            symbols: stub.symbols.clone(),
        })
    };
    stubs.stubs.iter().map(member).collect()
}
