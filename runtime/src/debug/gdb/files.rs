//! The one file that gdb can read here: the one with the symbols. gdb asks which program runs, and reads it over the line.

use gdbstub::common::Pid;
use gdbstub::target::TargetResult;
use gdbstub::target::ext::exec_file::ExecFile;
use gdbstub::target::ext::host_io::{
    FsKind, HostIo, HostIoClose, HostIoCloseOps, HostIoErrno, HostIoError, HostIoFstat, HostIoFstatOps, HostIoOpen,
    HostIoOpenFlags, HostIoOpenMode, HostIoOpenOps, HostIoPread, HostIoPreadOps, HostIoResult, HostIoSetfs,
    HostIoSetfsOps, HostIoStat,
};

use super::session::Session;

/// What it is called.
const NAME: &[u8] = b"/ntgate.elf";

/// Its descriptor.
const DESCRIPTOR: u32 = 3;

/// Copies a part of something that is asked for in pieces; says how much.
pub(super) fn piece(all: &[u8], offset: u64, length: usize, buf: &mut [u8]) -> usize {
    let from = usize::try_from(offset).ok().and_then(|offset| all.get(offset..)).unwrap_or_default();
    let size = from.len().min(length).min(buf.len());
    buf.iter_mut().zip(from.iter().take(size)).for_each(|(to, from)| *to = *from);
    size
}

impl ExecFile for Session<'_> {
    fn get_exec_file(&self, _: Option<Pid>, offset: u64, length: usize, buf: &mut [u8]) -> TargetResult<usize, Self> {
        Ok(piece(NAME, offset, length, buf))
    }
}

impl HostIo for Session<'_> {
    fn support_open(&mut self) -> Option<HostIoOpenOps<'_, Self>> {
        Some(self)
    }

    fn support_close(&mut self) -> Option<HostIoCloseOps<'_, Self>> {
        Some(self)
    }

    fn support_pread(&mut self) -> Option<HostIoPreadOps<'_, Self>> {
        Some(self)
    }

    fn support_fstat(&mut self) -> Option<HostIoFstatOps<'_, Self>> {
        Some(self)
    }

    fn support_setfs(&mut self) -> Option<HostIoSetfsOps<'_, Self>> {
        Some(self)
    }
}

impl HostIoOpen for Session<'_> {
    fn open(&mut self, name: &[u8], flags: HostIoOpenFlags, _: HostIoOpenMode) -> HostIoResult<u32, Self> {
        let writes = HostIoOpenFlags::O_WRONLY | HostIoOpenFlags::O_RDWR | HostIoOpenFlags::O_CREAT;
        match name {
            NAME if flags.intersects(writes) => Err(HostIoError::Errno(HostIoErrno::EROFS)),
            NAME => Ok(DESCRIPTOR),
            _ => Err(HostIoError::Errno(HostIoErrno::ENOENT)),
        }
    }
}

/// The only descriptor there is.
fn check<E>(descriptor: u32) -> Result<(), HostIoError<E>> {
    if descriptor == DESCRIPTOR { Ok(()) } else { Err(HostIoError::Errno(HostIoErrno::EBADF)) }
}

impl HostIoClose for Session<'_> {
    fn close(&mut self, descriptor: u32) -> HostIoResult<(), Self> {
        check(descriptor)
    }
}

impl HostIoPread for Session<'_> {
    fn pread(&mut self, descriptor: u32, count: usize, offset: u64, buf: &mut [u8]) -> HostIoResult<usize, Self> {
        check(descriptor)?;
        Ok(piece(self.symbols, offset, count, buf))
    }
}

impl HostIoFstat for Session<'_> {
    fn fstat(&mut self, descriptor: u32) -> HostIoResult<HostIoStat, Self> {
        check(descriptor)?;
        Ok(HostIoStat {
            st_dev: 0,
            st_ino: 0,
            st_mode: HostIoOpenMode::S_IFREG | HostIoOpenMode::S_IRUSR,
            st_nlink: 1,
            st_uid: 0,
            st_gid: 0,
            st_rdev: 0,
            st_size: self.symbols.len() as u64,
            st_blksize: 0x1000,
            st_blocks: 0,
            st_atime: 0,
            st_mtime: 0,
            st_ctime: 0,
        })
    }
}

impl HostIoSetfs for Session<'_> {
    fn setfs(&mut self, _: FsKind) -> HostIoResult<(), Self> {
        Ok(())
    }
}
