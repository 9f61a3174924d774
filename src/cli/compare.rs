//! `--check`: whether a file is what would be written.

use std::fs;
use std::io;
use std::path::Path;
use std::time::Duration;

use similar::TextDiff;

use super::{Failure, output};

/// How long the shortest difference is looked for before a longer one will do: files may have nothing in common.
const PATIENCE: Duration = Duration::from_secs(2);

/// Fails with the difference on standard output unless the file has these bytes. One that is not there has not; one that
/// cannot be read is bad input. `list` is what the bytes were made of.
pub(super) fn compare(path: &Path, bytes: &[u8], is_binary: bool, list: &str) -> Result<(), Failure> {
    let shown = output::shown(path);
    // A device has nothing to compare with, and may have no end.
    if fs::metadata(path).is_ok_and(|metadata| !metadata.is_file() && !metadata.is_dir()) {
        return Err(Failure::input(format!("{shown} is no file: --check has nothing to compare with")));
    }
    let differs =
        |what: &str| Err(Failure::new(Failure::FALSE, format!("{shown} {what}; leave out --check to write it")));
    match fs::read(path) {
        Ok(old) if old == bytes => Ok(()),
        Ok(old) => {
            output::write(difference(&old, bytes, is_binary, &shown, list).as_bytes())?;
            differs(&format!("is not what {list} gives"))
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => differs("is not there"),
        Err(error) => Err(Failure::input(format!("cannot read {shown}: {error}"))),
    }
}

/// A unified diff of text; of anything else the first place that differs.
fn difference(old: &[u8], new: &[u8], is_binary: bool, shown: &str, list: &str) -> String {
    match (std::str::from_utf8(old), std::str::from_utf8(new)) {
        (Ok(old), Ok(new)) if !is_binary => {
            let diff = TextDiff::configure().timeout(PATIENCE).diff_lines(old, new);
            diff.unified_diff().header(shown, &format!("{shown} (of {list})")).to_string()
        }
        _ => first_difference(old, new, shown, list),
    }
}

fn first_difference(old: &[u8], new: &[u8], shown: &str, list: &str) -> String {
    let same = old.iter().zip(new).take_while(|(old, new)| old == new).count();
    let byte = |bytes: &[u8]| bytes.get(same).map_or("the end".to_owned(), |byte| format!("{byte:#04x}"));
    format!(
        "{shown}: first difference at offset {same:#x}: {} in the file, {} of {list}; {} and {} bytes in all\n",
        byte(old),
        byte(new),
        old.len(),
        new.len()
    )
}
