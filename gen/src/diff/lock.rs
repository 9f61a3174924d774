//! Lock files: a numbering to hold on to, which [`read`](crate::read::read) reads back.

use crate::model::Arch;
use crate::read::{Entry, LOCK_MARK, LOCK_VERSION, Services};

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

/// Whether a file is a lock file, of whatever version.
#[must_use]
pub fn is_lock(bytes: &[u8]) -> bool {
    bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes).starts_with(LOCK_MARK.as_bytes())
}

/// As in a list: `5`, `5/4` if the architectures differ; `-` if nobody knows.
fn counts(entry: &Entry) -> String {
    match (entry.args(Arch::I386), entry.args(Arch::Amd64)) {
        (None, None) => "-".to_owned(),
        (Some(i386), Some(wide)) if i386 != wide => format!("{i386}/{wide}"),
        (Some(count), _) | (None, Some(count)) => count.to_string(),
    }
}
