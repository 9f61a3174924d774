//! A difference as JSON, as docs/json.md has it.

use serde::Serialize;

use super::Diff;
use crate::model::Arch;
use crate::read::Entry;

/// Goes up when a key that is here changes its meaning or goes away.
const VERSION: u32 = 1;

#[derive(Serialize)]
struct Document<'a> {
    version: u32,
    old: &'a str,
    new: &'a str,
    same: bool,
    compatible: bool,
    common: usize,
    added: Vec<OneSided<'a>>,
    removed: Vec<OneSided<'a>>,
    renumbered: Vec<Renumbered<'a>>,
    counts: Vec<Count<'a>>,
    notes: &'a [String],
}

#[derive(Serialize)]
struct OneSided<'a> {
    name: &'a str,
    number: Option<u32>,
    args: Option<u8>,
    args_amd64: Option<u8>,
    line: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    replaces: Option<&'a str>,
}

#[derive(Serialize)]
struct Renumbered<'a> {
    name: &'a str,
    old: u32,
    new: u32,
    line: usize,
}

#[derive(Serialize)]
struct Count<'a> {
    name: &'a str,
    arch: &'static str,
    old: u8,
    new: u8,
    line: usize,
}

impl Diff {
    /// The difference as JSON, with a line feed at its end.
    #[must_use]
    pub fn to_json(&self) -> String {
        let document = Document {
            version: VERSION,
            old: &self.old.name,
            new: &self.new.name,
            same: self.is_same(),
            compatible: self.is_compatible(),
            common: self.common,
            added: self.added.iter().map(|added| one_sided(&added.entry, added.replaces.as_deref())).collect(),
            removed: self.removed.iter().map(|entry| one_sided(entry, None)).collect(),
            renumbered: self
                .renumbered
                .iter()
                .map(|moved| Renumbered { name: &moved.name, old: moved.old, new: moved.new, line: moved.label.line() })
                .collect(),
            counts: self
                .counts
                .iter()
                .map(|change| Count {
                    name: &change.name,
                    arch: change.arch.name(),
                    old: change.old,
                    new: change.new,
                    line: change.label.line(),
                })
                .collect(),
            notes: &self.notes,
        };
        pretty(&document)
    }
}

fn one_sided<'a>(entry: &'a Entry, replaces: Option<&'a str>) -> OneSided<'a> {
    OneSided {
        name: entry.name(),
        number: entry.number(),
        args: entry.args(Arch::I386),
        args_amd64: entry.args(Arch::Amd64),
        line: entry.label().line(),
        replaces,
    }
}

/// JSON that people can read too.
pub(super) fn pretty(document: &impl Serialize) -> String {
    // Strings and numbers under fixed keys: there is nothing in them that could fail.
    let mut text = serde_json::to_string_pretty(document).unwrap_or_default();
    text.push('\n');
    text
}
