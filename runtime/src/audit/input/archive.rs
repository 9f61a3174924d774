//! Archives: the objects in them, one by one.

use ntgate_gen::Arch;
use object::Architecture;
use object::read::FileKind;
use object::read::archive::ArchiveFile;
use object::read::coff::ImportFile;

use super::super::error::AuditError;
use super::super::image::{Image, Kind, Symbol, Target};
use super::{MOST_MEMBERS, objects, printable, undecorated};

/// An object of an archive, or what a short import says.
pub(in crate::audit) enum Member<'a> {
    Object(Box<Image<'a>>),
    Import(Symbol),
}

/// Objects with their names.
pub(in crate::audit) type Members<'a> = Vec<(String, Member<'a>)>;

/// Reads an archive. Members that have nothing to call are left out.
pub(super) fn read(bytes: &[u8]) -> Result<(Arch, Members<'_>), AuditError> {
    let damaged = |error: object::Error| AuditError::damaged(Kind::Archive, error.to_string());
    let archive = ArchiveFile::parse(bytes).map_err(damaged)?;
    if archive.is_thin() {
        return Err(AuditError::damaged(Kind::Archive, "its objects are not in it (it is a thin one)"));
    }
    let (mut arch, mut members) = (None, Vec::new());
    for member in archive.members() {
        let member = member.map_err(damaged)?;
        let name = printable(member.name());
        if members.len() == MOST_MEMBERS {
            return Err(AuditError::damaged(Kind::Archive, format!("it has more than {MOST_MEMBERS} objects")));
        }
        let data = member.data(bytes).map_err(damaged)?;
        let within = |error: AuditError| AuditError::damaged(Kind::Archive, format!("its member {name} is {error}"));
        let kind = match FileKind::parse(data) {
            Ok(FileKind::Coff | FileKind::CoffBig) => Kind::Coff,
            Ok(FileKind::Elf32 | FileKind::Elf64) => Kind::Elf,
            Ok(FileKind::CoffImport) => {
                if let Some((of, symbol)) = import(data).map_err(damaged)? {
                    same(&mut arch, of)?;
                    members.push((name, Member::Import(symbol)));
                }
                continue;
            }
            _ => continue,
        };
        match objects::read(data, kind, member.file_range().0) {
            Ok(image) => {
                same(&mut arch, image.arch)?;
                members.push((name, Member::Object(Box::new(image))));
            }
            // Import descriptors, and objects of data alone.
            Err(AuditError::Nothing { .. }) => {}
            Err(error) => return Err(within(error)),
        }
    }
    match arch {
        Some(arch) => Ok((arch, members)),
        None => Err(AuditError::Nothing { kind: Kind::Archive, what: "objects with functions" }),
    }
}

fn same(arch: &mut Option<Arch>, of: Arch) -> Result<(), AuditError> {
    match arch.replace(of) {
        Some(before) if before != of => {
            Err(AuditError::damaged(Kind::Archive, "it has objects of different architectures in it"))
        }
        _ => Ok(()),
    }
}

/// A short import: a name that a DLL has.
fn import(data: &[u8]) -> Result<Option<(Arch, Symbol)>, object::Error> {
    let file = ImportFile::parse(data)?;
    let arch = match file.architecture() {
        Architecture::I386 => Arch::I386,
        Architecture::X86_64 => Arch::Amd64,
        _ => return Ok(None),
    };
    let (name, dll) = (printable(file.symbol()), printable(file.dll()));
    let (plain, decorated_bytes) = undecorated(&name, arch);
    let target = Target::Forward(format!("{dll}.{plain}"));
    Ok(Some((arch, Symbol { name: plain.to_owned(), decorated_bytes, target })))
}
