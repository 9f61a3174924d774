//! A difference as SARIF.

use super::{Diff, Side};
use crate::diag::{Label, plural};
use crate::sarif::{Kind, Outcome, Place, write};

/// The kinds of results of a difference, in the order that [`Diff::outcomes`] counts them in.
pub const KINDS: [Kind; 4] = [
    Kind { id: "service-removed", level: "error", text: "A service is gone" },
    Kind { id: "service-added", level: "warning", text: "A service is new" },
    Kind { id: "service-renumbered", level: "error", text: "A service has another number" },
    Kind { id: "argument-count", level: "error", text: "A service has another argument count" },
];

impl Diff {
    /// The difference as SARIF 2.1.0, with a line feed at its end.
    #[must_use]
    pub fn to_sarif(&self) -> String {
        write(&KINDS, &self.outcomes())
    }

    /// The difference as results of [`KINDS`]. A result points at the new side; what is removed, at the old one. What is
    /// [no file](crate::read::Services::without_file) is not pointed at.
    #[must_use]
    pub fn outcomes(&self) -> Vec<Outcome> {
        let mut outcomes = Vec::new();
        let hex = |number: Option<u32>| number.map_or(String::new(), |number| format!(", number {number:#x}"));
        let old = &self.old.name;
        for entry in &self.removed {
            let text = format!("{} is gone{}; {old} had it", entry.name(), hex(entry.number()));
            outcomes.push(outcome(0, entry.name(), text, &self.old, entry.label()));
        }
        for added in &self.added {
            let entry = &added.entry;
            let text = format!("{} is new{}; {old} does not have it", entry.name(), hex(entry.number()));
            outcomes.push(outcome(1, entry.name(), text, &self.new, entry.label()));
        }
        for moved in &self.renumbered {
            let text = format!("{} has number {:#x}; in {old} it has {:#x}", moved.name, moved.new, moved.old);
            outcomes.push(outcome(2, &moved.name, text, &self.new, &moved.label));
        }
        for change in &self.counts {
            let new = plural(usize::from(change.new), "argument");
            let text = format!("{} takes {new} on {}; in {old} {}", change.name, change.arch, change.old);
            outcomes.push(outcome(3, &change.name, text, &self.new, &change.label));
        }
        outcomes
    }
}

fn outcome(kind: usize, service: &str, text: String, side: &Side, label: &Label) -> Outcome {
    let place = Place::Text { line: label.line(), column: label.column() };
    Outcome { kind, service: service.to_owned(), text, file: side.is_file.then(|| side.name.clone()), place }
}
