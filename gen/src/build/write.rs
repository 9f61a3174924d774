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

/// Writes files of which none is of use without the others, each as [`write_if_changed`] does: what can fail is done for
/// all of them before the first takes its place.
///
/// # Errors
///
/// The file that cannot be written, and what the file system says.
pub fn write_all_if_changed(files: &[(&Path, &[u8])]) -> Result<(), (PathBuf, io::Error)> {
    write_each_if_changed(files).map(drop)
}

/// As [`write_all_if_changed`]; tells of each file whether it wrote.
pub(super) fn write_each_if_changed(files: &[(&Path, &[u8])]) -> Result<Vec<bool>, (PathBuf, io::Error)> {
    let mut staged = Vec::new();
    let result = stage(files, &mut staged).and_then(|changed| {
        while let Some((temporary, target)) = staged.last() {
            fs::rename(temporary, target).map_err(|error| (target.clone(), error))?;
            staged.pop();
        }
        Ok(changed)
    });
    for (temporary, _) in staged {
        // The error that matters is the first one.
        let _ = fs::remove_file(temporary);
    }
    result
}

/// Puts new files beside the old ones, and writes at once what is not replaced. `staged` has each new file with its
/// target, also if there is an error. Tells of each file whether it changes.
fn stage(files: &[(&Path, &[u8])], staged: &mut Vec<(PathBuf, PathBuf)>) -> Result<Vec<bool>, (PathBuf, io::Error)> {
    let mut all_changed = Vec::with_capacity(files.len());
    for &(path, bytes) in files {
        let failed = |error| (path.to_owned(), error);
        let target = resolve_link(path);
        let changed = !has_bytes(path, bytes);
        all_changed.push(changed);
        if !changed {
            continue;
        }
        if target.is_dir() || is_special(&target) {
            write_if_changed(path, bytes).map_err(failed)?;
            continue;
        }
        let (temporary, file) = create_beside(&target).map_err(failed)?;
        staged.push((temporary.clone(), target.clone()));
        write_all(file, bytes).and_then(|()| keep_permissions(&target, &temporary)).map_err(failed)?;
    }
    Ok(all_changed)
}

/// Whether two paths lead to one file, be it there yet or not. What cannot be found out is no: then writing fails too.
pub(super) fn is_same_file(one: &Path, other: &Path) -> bool {
    let place = |path: &Path| {
        let target = resolve_link(path);
        let parent = target.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
        Some(fs::canonicalize(parent).ok()?.join(target.file_name()?))
    };
    one == other || place(one).is_some_and(|place_of_one| place(other) == Some(place_of_one))
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

/// Makes a new file in the same directory, where a rename is one step, unless the old one is marked read-only. Others may
/// write the same output meanwhile, and so its name must be nobody else's.
fn create_beside(path: &Path) -> io::Result<(PathBuf, fs::File)> {
    if fs::metadata(path).is_ok_and(|metadata| metadata.permissions().readonly()) {
        return Err(io::Error::new(io::ErrorKind::PermissionDenied, "it is read-only"));
    }
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
    fn of_many_files_all_are_written_or_none() {
        let directory = tempfile::tempdir().expect("a directory");
        let [one, two] = ["one", "two"].map(|name| directory.path().join(name));
        fs::write(&one, b"old").expect("it writes");
        for bad in [directory.path().to_owned(), directory.path().join("no/such/file")] {
            let files: [(&Path, &[u8]); 3] = [(&one, b"new"), (&two, b"new"), (&bad, b"new")];
            let (path, _) = write_all_if_changed(&files).expect_err("the last cannot be written");
            assert_eq!(path, bad);
            assert_eq!(fs::read(&one).expect("it is there"), b"old");
            assert_eq!(names(directory.path()), ["one"]);
        }
        write_all_if_changed(&[(&one, b"new"), (&two, b"new")]).expect("it writes");
        assert_eq!((fs::read(&one).ok(), fs::read(&two).ok()), (Some(b"new".to_vec()), Some(b"new".to_vec())));
        assert_eq!(names(directory.path()).len(), 2);
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
