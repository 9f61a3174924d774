//! An audit beside what was expected.

use std::collections::BTreeSet;

use ntgate_gen::diff::Diff;
use ntgate_gen::model::limits;
use ntgate_gen::read::{Entry, InputFormat, Options, Services, read};
use ntgate_gen::{Arch, Diagnostics};

use super::super::{Audit, Class, Export};

/// How an audit differs from what was expected.
#[derive(Clone, Debug)]
pub struct Against {
    /// From what was expected to what was found.
    pub diff: Diff,
    /// What was expected and has another class, and why.
    pub others: Vec<(String, String)>,
}

impl Against {
    /// Whether there is no disagreement.
    #[must_use]
    pub fn holds(&self) -> bool {
        self.diff.is_same() && self.others.is_empty()
    }
}

/// The services of an audit, as those of a file; argument counts where they are known.
///
/// Of services with one number the first is taken; those without a number are left out.
///
/// # Errors
/// If a name or a number is none that a service can have.
pub fn services(file: &str, audit: &Audit) -> Result<Services, Diagnostics> {
    let found = distinct(audit);
    let numbers = found.iter().map(|(number, name, _)| format!("{name}\t{number}\n")).collect::<String>();
    let mut options = Options::default();
    options.format = Some(InputFormat::Tsv);
    options.arch = Some(audit.arch);
    let mut reading = read(file, numbers.as_bytes(), &options)?;
    let word = audit.arch.word_bytes();
    let counted = |(number, name, export): &(u32, String, &Export)| {
        let bytes = u32::from(export.args?) * word;
        Some(format!("SYSCALL_ENTRY( {number:#06x}, {name}, {bytes} )\n"))
    };
    let counts: String = found.iter().filter_map(counted).collect();
    if !counts.is_empty() {
        options.format = Some(InputFormat::SyscallEntry);
        reading.fill_counts(read(file, counts.as_bytes(), &options)?.services());
    }
    Ok(reading.services().clone())
}

/// Services with a number that a list may have, each number and name once, in number order. Kernel stubs have Zw names
/// alone, and lists have Nt names: there those are given.
pub(super) fn distinct(audit: &Audit) -> Vec<(u32, String, &Export)> {
    let (mut numbers, mut names) = (BTreeSet::new(), BTreeSet::new());
    let has_nt = audit.services().any(|export| export.name.starts_with("Nt"));
    let name = |export: &Export| match export.name.strip_prefix("Zw") {
        Some(stem) if !has_nt => ["Nt", stem].concat(),
        _ => export.name.clone(),
    };
    let mut found: Vec<(u32, String, &Export)> = audit
        .services()
        .filter_map(|export| Some((export.number?, name(export), export)))
        .filter(|(number, ..)| *number < limits::SERVICES_PER_TABLE * limits::TABLES as u32)
        .collect();
    // Of an Nt and a Zw name with stubs of their own the Nt name is the service's.
    found.sort_by_key(|(number, name, _)| (*number, !name.starts_with("Nt")));
    found.retain(|(number, name, _)| numbers.insert(*number) && names.insert(name.clone()));
    found
}

/// Compares an audit with what was expected, in the tables that the file has services of.
///
/// # Errors
/// As of [`services`].
pub fn against(file: &str, audit: &Audit, expected: &Services) -> Result<Against, Diagnostics> {
    let found = services(file, audit)?;
    let table = |number: u32| number / limits::SERVICES_PER_TABLE;
    let tables: BTreeSet<u32> = found.entries().iter().filter_map(Entry::number).map(table).collect();
    let is_in = |entry: &Entry| entry.number().is_none_or(|number| tables.contains(&table(number)));
    let same = expected.filter(is_in);
    let mut diff = Diff::of_archs(&same, &found, &[audit.arch]);
    let left_out = expected.entries().len() - same.entries().len();
    if left_out > 0 {
        diff.note(format!("left out, in tables that {file} has no services of: {left_out}"));
    }
    if audit.arch == Arch::Amd64 && !found.has_counts() {
        diff.note("stubs of amd64 do not say how many arguments they take".to_owned());
    }
    let others = same.entries().iter().filter_map(|entry| other_class(audit, entry)).collect();
    Ok(Against { diff, others })
}

/// A service that was expected and is something else.
fn other_class(audit: &Audit, entry: &Entry) -> Option<(String, String)> {
    let export = audit.by_name(entry.name()).or_else(|| audit.by_name(&entry.name().replacen("Nt", "Zw", 1)))?;
    let what = match &export.class {
        Class::Service | Class::Alias(_) => return None,
        class => class.to_string(),
    };
    let why = export.notes.first().map_or(String::new(), |note| format!(": {note}"));
    Some((entry.name().to_owned(), format!("{what}{why}")))
}
