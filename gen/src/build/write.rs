//! Writing a file whole or not at all, and only if that changes it.

use std::ffi::OsString;
use std::fs;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

/// How many names for a new file are tried.
const ATTEMPTS: u32 = 1000;

/// Writes a file unless it has these bytes already, so that what depends on it is not built again. Tells whether it
/// wrote.
///
/// The bytes go to a new file in the same directory, which then takes the place of the old one: whoever reads sees the
/// old file or the new one, never a part, and on an error the old one stays.
///
/// # Errors
///
/// What the file system says; also if `path` is a directory, names no file, or is a file that is marked read-only: whoever
/// marked it did not mean it to be replaced.
pub fn write_if_changed(path: &Path, bytes: &[u8]) -> io::Result<bool> {
    if has_bytes(path, bytes) {
        return Ok(false);
    }
    let target = resolve_link(path);
    if target.is_dir() {
        return Err(io::Error::new(io::ErrorKind::IsADirectory, "it is a directory"));
    }
    if is_special(&target) {
        // A device or a pipe (`/dev/stdout`) is written to, not replaced.
        fs::OpenOptions::new().write(true).open(&target)?.write_all(bytes)?;
        return Ok(true);
    }
    if fs::metadata(&target).is_ok_and(|metadata| metadata.permissions().readonly()) {
        return Err(io::Error::new(io::ErrorKind::PermissionDenied, "it is read-only"));
    }
    let (temporary, file) = create_beside(&target)?;
    let written = write_all(file, bytes)
        .and_then(|()| keep_permissions(&target, &temporary))
        .and_then(|()| fs::rename(&temporary, &target));
    if let Err(error) = written {
        // The error that matters is the first one.
        let _ = fs::remove_file(&temporary);
        return Err(error);
    }
    Ok(true)
}

fn has_bytes(path: &Path, bytes: &[u8]) -> bool {
    // Other than regular files are never read: a pipe would block.
    let Ok(metadata) = fs::metadata(path) else {
        return false;
    };
    if !metadata.is_file() || metadata.len() != bytes.len() as u64 {
        return false;
    }
    let mut old = Vec::new();
    fs::File::open(path).and_then(|mut file| file.read_to_end(&mut old)).is_ok() && old == bytes
}

/// The file behind a symbolic link: the link stays, what it points to is replaced, or made if it is not there.
fn resolve_link(path: &Path) -> PathBuf {
    let beside = |target| path.parent().map_or_else(|| PathBuf::from(&target), |parent| parent.join(&target));
    fs::canonicalize(path).or_else(|_| fs::read_link(path).map(beside)).unwrap_or_else(|_| path.to_owned())
}

fn is_special(path: &Path) -> bool {
    fs::metadata(path).is_ok_and(|metadata| !metadata.is_file())
}

/// Makes a new file in the same directory, where a rename is one step. Others may write the same output meanwhile, and
/// so its name must be nobody else's.
fn create_beside(path: &Path) -> io::Result<(PathBuf, fs::File)> {
    let name = path.file_name().ok_or_else(|| io::Error::new(io::ErrorKind::InvalidInput, "it names no file"))?;
    let mut attempt = 0;
    loop {
        let mut hidden = OsString::from(".");
        hidden.push(name);
        hidden.push(format!(".{}-{attempt}.tmp", std::process::id()));
        let temporary = path.with_file_name(hidden);
        match fs::File::create_new(&temporary) {
            Ok(file) => return Ok((temporary, file)),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists && attempt < ATTEMPTS => attempt += 1,
            Err(error) => return Err(error),
        }
    }
}

fn write_all(mut file: fs::File, bytes: &[u8]) -> io::Result<()> {
    file.write_all(bytes)?;
    file.flush()
}

fn keep_permissions(from: &Path, to: &Path) -> io::Result<()> {
    match fs::metadata(from) {
        Ok(metadata) => fs::set_permissions(to, metadata.permissions()),
        Err(_) => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(directory: &Path) -> Vec<String> {
        let entries = fs::read_dir(directory).expect("it is a directory");
        entries.map(|entry| entry.expect("it can be read").file_name().to_string_lossy().into_owned()).collect()
    }

    #[test]
    fn writes_only_what_changed() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("out.s");
        assert!(write_if_changed(&path, b"one").expect("it writes"));
        assert!(!write_if_changed(&path, b"one").expect("it reads"));
        assert!(write_if_changed(&path, b"two").expect("it writes"));
        assert_eq!(fs::read(&path).expect("it is there"), b"two");
        assert_eq!(names(directory.path()), ["out.s"]);
    }

    #[test]
    fn an_error_leaves_nothing_behind() {
        let directory = tempfile::tempdir().expect("a directory");
        assert!(write_if_changed(directory.path(), b"x").is_err());
        assert!(write_if_changed(&directory.path().join("no/such/out.s"), b"x").is_err());
        assert!(write_if_changed(Path::new(""), b"x").is_err());
        assert!(names(directory.path()).is_empty());
    }

    #[test]
    fn a_read_only_file_is_left_alone() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("out.s");
        fs::write(&path, b"old").expect("it writes");
        let mut permissions = fs::metadata(&path).expect("it is there").permissions();
        permissions.set_readonly(true);
        fs::set_permissions(&path, permissions).expect("it is ours");
        // What would not change it is no error.
        assert!(!write_if_changed(&path, b"old").expect("it reads"));
        let error = write_if_changed(&path, b"new").expect_err("it is read-only");
        assert_eq!(error.kind(), io::ErrorKind::PermissionDenied);
        assert_eq!(fs::read(&path).expect("it is there"), b"old");
        assert_eq!(names(directory.path()), ["out.s"]);
    }

    #[test]
    fn files_in_the_way_are_left_alone() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("out.s");
        let other = directory.path().join(format!(".out.s.{}-0.tmp", std::process::id()));
        fs::write(&other, b"another's").expect("it writes");
        assert!(write_if_changed(&path, b"ours").expect("it writes"));
        assert_eq!(fs::read(&other).expect("it is there"), b"another's");
        assert_eq!(fs::read(&path).expect("it is there"), b"ours");
    }

    #[cfg(unix)]
    #[test]
    fn a_link_stays_a_link() {
        let directory = tempfile::tempdir().expect("a directory");
        let (file, link) = (directory.path().join("file"), directory.path().join("link"));
        fs::write(&file, b"old").expect("it writes");
        std::os::unix::fs::symlink(&file, &link).expect("it links");
        assert!(write_if_changed(&link, b"new").expect("it writes"));
        assert_eq!(fs::read(&file).expect("it is there"), b"new");
        assert!(fs::symlink_metadata(&link).expect("it is there").is_symlink());
        // Also one to a file that is not there yet.
        let early = directory.path().join("early");
        std::os::unix::fs::symlink("later", &early).expect("it links");
        assert!(write_if_changed(&early, b"first").expect("it writes"));
        assert_eq!(fs::read(directory.path().join("later")).expect("it is there"), b"first");
        assert!(fs::symlink_metadata(&early).expect("it is there").is_symlink());
    }
}
