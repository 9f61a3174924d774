//! A difference as text for people.

use super::{Diff, Moved};
use crate::diag::plural;
use crate::model::Arch;
use crate::read::Entry;

/// So many services that moved by the same distance are one line.
const RUN: usize = 4;

impl Diff {
    /// The difference as text: a line that counts what moved, and then a line for each, or for a run of services that
    /// moved together.
    #[must_use]
    pub fn to_text(&self) -> String {
        let mut lines = vec![format!("{} -> {}: {}", self.old.name, self.new.name, self.summary())];
        lines.extend(self.removed.iter().map(|entry| format!("removed     {}", described(entry))));
        for addition in &self.added {
            let replaces = addition.replaces.as_ref().map(|name| format!(", where {name} was"));
            lines.push(format!("added       {}{}", described(&addition.entry), replaces.unwrap_or_default()));
        }
        for run in runs(&self.renumbered) {
            push_run(&mut lines, run);
        }
        for change in &self.counts {
            let of = if change.arch == Arch::I386 { String::new() } else { format!(" on {}", change.arch) };
            let old = plural(usize::from(change.old), "argument");
            lines.push(format!("count       {} {old} -> {}{of}", change.name, change.new));
        }
        lines.extend(self.notes.iter().map(|note| format!("note: {note}")));
        lines.push(String::new());
        lines.join("\n")
    }

    fn summary(&self) -> String {
        if self.is_same() {
            return format!("nothing moved, {}", plural(self.common, "service"));
        }
        let parts = [
            (self.removed.len(), "removed"),
            (self.added.len(), "added"),
            (self.renumbered.len(), "renumbered"),
            (self.counts.len(), "with another argument count"),
        ];
        let parts: Vec<_> =
            parts.iter().filter(|(count, _)| *count > 0).map(|(n, what)| format!("{n} {what}")).collect();
        format!("{}; {} in both", parts.join(", "), self.common)
    }
}

/// `NtClose 0x1b, 1 argument`
fn described(entry: &Entry) -> String {
    let mut text = entry.name().to_owned();
    if let Some(number) = entry.number() {
        text.push_str(&format!(" {number:#x}"));
    }
    let (i386, amd64) = (entry.args(Arch::I386), entry.args(Arch::Amd64));
    match (i386.or(amd64), amd64) {
        (Some(count), Some(wide)) if wide != count => text.push_str(&format!(", {count}/{wide} arguments")),
        (Some(count), _) => text.push_str(&format!(", {}", plural(usize::from(count), "argument"))),
        (None, _) => {}
    }
    text
}

/// How far a service moved.
fn distance(moved: &Moved) -> i64 {
    i64::from(moved.new) - i64::from(moved.old)
}

/// Services next to each other that moved by the same distance.
fn runs(moved: &[Moved]) -> impl Iterator<Item = &[Moved]> {
    moved.chunk_by(|a, b| distance(a) == distance(b))
}

fn push_run(lines: &mut Vec<String>, run: &[Moved]) {
    let (Some(first), Some(last)) = (run.first(), run.last()) else { return };
    if run.len() < RUN {
        let line = |moved: &Moved| format!("renumbered  {} {:#x} -> {:#x}", moved.name, moved.old, moved.new);
        lines.extend(run.iter().map(line));
        return;
    }
    lines.push(format!(
        "renumbered  {} .. {} {:#x}..{:#x} -> {:#x}..{:#x}, {} services, each {:+}",
        first.name,
        last.name,
        first.old,
        last.old,
        first.new,
        last.new,
        run.len(),
        distance(first)
    ));
}
