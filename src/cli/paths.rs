//! Which of the files that were named are one file.

use std::path::{Path, PathBuf};

use super::{Failure, output};

/// One spelling for a file, there or not.
pub(super) fn resolved(path: &Path) -> PathBuf {
    let beside = || Some(directory(path).canonicalize().ok()?.join(path.file_name()?));
    path.canonicalize().ok().or_else(beside).unwrap_or_else(|| path.to_owned())
}

/// The directory that a file is in, or would be.
pub(super) fn directory(path: &Path) -> &Path {
    path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// Whether writing one path loses what is at the other. What is no file (`/dev/null`) takes many texts.
pub(super) fn is_same_file(one: &Path, other: &Path) -> bool {
    let is_named = !output::is_standard(one) && !output::is_standard(other);
    is_named && (one.is_file() || !one.exists()) && resolved(one) == resolved(other)
}

/// Refuses outputs that are inputs or each other, before anything is written.
pub(super) fn check_apart(inputs: &[&Path], outputs: &[&Path]) -> Result<(), Failure> {
    for (index, path) in outputs.iter().enumerate() {
        let shown = output::shown(path);
        if inputs.iter().any(|input| is_same_file(path, input)) {
            let help = "give the output another name";
            return Err(Failure::input(format!("{shown} is read, and would be overwritten; {help}")));
        }
        if outputs[..index].iter().any(|other| is_same_file(path, other)) {
            return Err(Failure::input(format!("{shown} is named twice: each output needs a file of its own")));
        }
    }
    Ok(())
}
