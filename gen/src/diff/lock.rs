//! Lock files: a numbering to hold on to, which [`read`](crate::read::read) reads back.

use crate::diag::Diagnostics;
use crate::model::Arch;
use crate::read::{Entry, InputFormat, LOCK_MARK, LOCK_VERSION, Options, Services, lock_version, read};

/// The text of a lock file: `0x001b NtClose 1` lines, in number order. Services without a number are left out.
#[must_use]
pub fn write_lock(services: &Services) -> String {
    let mut lines = vec![
        format!("{LOCK_MARK}{LOCK_VERSION}"),
        "# number, name, arguments: `ntgate diff --lock` compares a list with this file, --update writes it."
            .to_owned(),
    ];
    let numbered = services.entries().iter().filter_map(|entry| Some((entry.number()?, entry)));
    lines.extend(numbered.map(|(number, entry)| format!("{number:#06x} {} {}", entry.name(), counts(entry))));
    lines.push(String::new());
    lines.join("\n")
}

/// What a new lock file would take the place of.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum OldLock {
    /// Nothing, or a lock file.
    Good,
    /// A lock file with mistakes, as a merge leaves it.
    Damaged(Diagnostics),
    /// A lock file of a version that is not known yet: it must not be lost.
    Newer(Diagnostics),
    /// Something else, perhaps the list itself.
    Other,
}

/// Looks at a file in the place of which a lock file is to be written. `name` is what messages call it.
#[must_use]
pub fn old_lock(name: &str, bytes: &[u8]) -> OldLock {
    if bytes.is_empty() {
        return OldLock::Good;
    }
    let Some(version) = lock_version(bytes) else {
        return OldLock::Other;
    };
    let options = Options { format: Some(InputFormat::Lock), ..Options::default() };
    match read(name, bytes, &options) {
        Ok(_) => OldLock::Good,
        Err(diagnostics) if version > LOCK_VERSION => OldLock::Newer(diagnostics),
        Err(diagnostics) => OldLock::Damaged(diagnostics),
    }
}

/// As in a list: `5`, `5/4` if the architectures differ; `-` if nobody knows.
fn counts(entry: &Entry) -> String {
    match (entry.args(Arch::I386), entry.args(Arch::Amd64)) {
        (None, None) => "-".to_owned(),
        (Some(i386), Some(wide)) if i386 != wide => format!("{i386}/{wide}"),
        (Some(count), _) | (None, Some(count)) => count.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_lock_or_a_newer_one_is_told_apart() {
        let lock = "# ntgate lock 1\n0x0000 NtA 1\n";
        let old = |text: &str| old_lock("x", text.as_bytes());
        assert_eq!((old(""), old(lock), old("NtClose 1\n")), (OldLock::Good, OldLock::Good, OldLock::Other));
        assert_eq!(old("\u{feff}# ntgate lock 1\r\n0x0000 NtA 1\r\n"), OldLock::Good);
        for damaged in ["# ntgate lock 0\n", "# ntgate lock one\n", &format!("<<<<<<< a\n{lock}")] {
            assert!(matches!(old(damaged), OldLock::Damaged(_)), "{damaged}");
        }
        assert!(matches!(old(&lock.replace(" NtA 1", "")), OldLock::Damaged(_)));
        for newer in ["# ntgate lock 2\n{}", "<<<<<<< a\n# ntgate lock 17\n", "# ntgate lock 99999999999\n"] {
            assert!(matches!(old(newer), OldLock::Newer(_)), "{newer}");
        }
    }
}
