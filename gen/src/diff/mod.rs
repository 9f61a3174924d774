//! What moved between two sets of services: added, removed, renumbered, another argument count.
//!
//! ```
//! use ntgate_gen::diff::Diff;
//! use ntgate_gen::read::{Options, read};
//!
//! let options = Options::default();
//! let old = read("old.lst", b"NtA 1\nNtB 2\n", &options).expect("the list is right");
//! let new = read("new.lst", b"NtB 3\nNtC 0\n", &options).expect("the list is right");
//! let diff = Diff::new(old.services(), new.services());
//! assert_eq!((diff.added().len(), diff.removed().len(), diff.renumbered().len(), diff.counts().len()), (1, 1, 1, 1));
//! assert!(!diff.is_same() && !diff.is_compatible());
//! ```

mod json;
mod lock;
mod sarif;
mod text;

use crate::diag::Label;
use crate::model::{Arch, limits};
use crate::read::{Entry, Services};

pub use lock::{OldLock, old_lock, write_lock};

/// What moved. Services are told apart by their names; what a side does not know is not compared.
#[derive(Clone, Debug)]
pub struct Diff {
    old: Side,
    new: Side,
    /// Services that both have.
    common: usize,
    added: Vec<Addition>,
    removed: Vec<Entry>,
    renumbered: Vec<Moved>,
    counts: Vec<CountChange>,
    notes: Vec<String>,
}

/// What was compared.
#[derive(Clone, Debug)]
struct Side {
    /// What messages call it.
    name: String,
    is_file: bool,
}

impl Side {
    fn of(services: &Services) -> Self {
        Self { name: services.file().to_owned(), is_file: services.is_file() }
    }
}

/// A service that only the new side has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Addition {
    /// The service.
    pub entry: Entry,
    /// The service that had its number on the old side and is gone: perhaps the same by another name.
    pub replaces: Option<String>,
}

/// A service that has another number.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Moved {
    /// The name.
    pub name: String,
    /// The old number, the table's base included.
    pub old: u32,
    /// The new one.
    pub new: u32,
    /// Where the new side has it.
    pub label: Label,
}

/// A service that has another argument count.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CountChange {
    /// The name.
    pub name: String,
    /// The architecture that the counts are of: i386 if its count is another, else amd64.
    pub arch: Arch,
    /// The old count, in argument slots.
    pub old: u8,
    /// The new one.
    pub new: u8,
    /// Where the new side has it.
    pub label: Label,
}

impl Diff {
    /// Compares two sides, their counts on every architecture.
    #[must_use]
    pub fn new(old: &Services, new: &Services) -> Self {
        Self::of_archs(old, new, &[Arch::I386, Arch::Amd64])
    }

    /// The same with the counts of some architectures; of a service only the first that differs is told.
    #[must_use]
    pub fn of_archs(old: &Services, new: &Services, archs: &[Arch]) -> Self {
        let removed: Vec<Entry> =
            old.entries().iter().filter(|entry| new.by_name(entry.name()).is_none()).cloned().collect();
        let mut diff = Self {
            old: Side::of(old),
            new: Side::of(new),
            common: 0,
            added: Vec::new(),
            removed,
            renumbered: Vec::new(),
            counts: Vec::new(),
            notes: Vec::new(),
        };
        for entry in new.entries() {
            match old.by_name(entry.name()) {
                Some(before) => diff.compare(before, entry, archs),
                None => diff.add(entry),
            }
        }
        diff.note_what_is_missing(old, new);
        diff
    }

    fn compare(&mut self, before: &Entry, after: &Entry, archs: &[Arch]) {
        self.common += 1;
        if let (Some(old), Some(new)) = (before.number(), after.number())
            && old != new
        {
            let (name, label) = (after.name().to_owned(), after.label().clone());
            self.renumbered.push(Moved { name, old, new, label });
        }
        let changed = archs.iter().find_map(|&arch| {
            let (old, new) = (before.args(arch)?, after.args(arch)?);
            (old != new).then_some((arch, old, new))
        });
        if let Some((arch, old, new)) = changed {
            let (name, label) = (after.name().to_owned(), after.label().clone());
            self.counts.push(CountChange { name, arch, old, new, label });
        }
    }

    fn add(&mut self, entry: &Entry) {
        let had_number = |gone: &&Entry| gone.number().is_some() && gone.number() == entry.number();
        let replaces = self.removed.iter().find(had_number).map(|gone| gone.name().to_owned());
        self.added.push(Addition { entry: entry.clone(), replaces });
    }

    fn note_what_is_missing(&mut self, old: &Services, new: &Services) {
        for side in [old, new] {
            if !side.has_numbers() {
                self.note(format!("{} has no service numbers: they are not compared", side.file()));
            }
            if !side.has_counts() {
                self.note(format!("{} has no argument counts: they are not compared", side.file()));
            }
        }
        let step = limits::SERVICES_PER_TABLE;
        let is_other_table = |moved: &Moved| moved.old != moved.new && moved.old % step == moved.new % step;
        if !self.renumbered.is_empty() && self.renumbered.iter().all(is_other_table) {
            let base = self.renumbered.iter().map(|moved| moved.old.max(moved.new) / step * step).max().unwrap_or(0);
            let note = "every number is another table's, at the same place in it";
            self.notes.push(format!("{note}: --base {base:#x} gives a file without table numbers that base"));
        }
    }

    /// What messages call the old side.
    #[must_use]
    pub fn old_file(&self) -> &str {
        &self.old.name
    }

    /// What messages call the new side.
    #[must_use]
    pub fn new_file(&self) -> &str {
        &self.new.name
    }

    /// How many services both sides have.
    #[must_use]
    pub fn common(&self) -> usize {
        self.common
    }

    /// What only the new side has, in number order.
    #[must_use]
    pub fn added(&self) -> &[Addition] {
        &self.added
    }

    /// What only the old side has, in number order.
    #[must_use]
    pub fn removed(&self) -> &[Entry] {
        &self.removed
    }

    /// What has another number, in the order of the new ones.
    #[must_use]
    pub fn renumbered(&self) -> &[Moved] {
        &self.renumbered
    }

    /// What has another argument count, in number order.
    #[must_use]
    pub fn counts(&self) -> &[CountChange] {
        &self.counts
    }

    /// What was not compared, and what could be behind it all.
    #[must_use]
    pub fn notes(&self) -> &[String] {
        &self.notes
    }

    /// Adds a remark of the caller's; the same one is there once.
    pub fn note(&mut self, text: impl Into<String>) {
        let text = text.into();
        if !self.notes.contains(&text) {
            self.notes.push(text);
        }
    }

    /// Whether nothing moved.
    #[must_use]
    pub fn is_same(&self) -> bool {
        self.added.is_empty() && self.is_compatible()
    }

    /// Whether what was built with the old side works with the new one: services have been added at most.
    #[must_use]
    pub fn is_compatible(&self) -> bool {
        self.removed.is_empty() && self.renumbered.is_empty() && self.counts.is_empty()
    }
}
