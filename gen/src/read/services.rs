//! What has been read: services, with as much of each as the file tells.

use std::collections::HashMap;

use crate::diag::{Code, Diagnostic, Diagnostics, Label, quoted};
use crate::model::{Arch, Param, Service, ServiceList, ServiceName, ServiceTable, limits};

/// The services of a file, in number order; those without a number come last, in the order of their names.
///
/// No name and no number comes twice; numbers are below 4000h. A name need not start with `Nt`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Services {
    file: String,
    is_file: bool,
    entries: Vec<Entry>,
    names: HashMap<String, usize>,
}

/// One service of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    pub(super) name: String,
    pub(super) number: Option<u32>,
    pub(super) counts: Counts,
    pub(super) detail: Detail,
    pub(super) label: Label,
}

/// What few files say of a service.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Detail {
    /// The name of its table.
    pub(super) table: Option<String>,
    pub(super) doc: Option<String>,
    /// As many parameters as [`Counts::wide`] says.
    pub(super) signature: Option<Vec<Param>>,
}

/// Argument slots, as far as they are known.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Counts {
    /// Dwords on i386.
    pub(super) i386: Option<u8>,
    /// Parameters on 64-bit systems.
    pub(super) wide: Option<u8>,
}

impl Counts {
    pub(super) const fn both(count: u8) -> Self {
        Self { i386: Some(count), wide: Some(count) }
    }
}

impl Entry {
    /// The name, as `NtClose`.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The number that a stub loads, the table's base included.
    #[must_use]
    pub fn number(&self) -> Option<u32> {
        self.number
    }

    /// How many argument slots the service takes: dwords on i386, parameters elsewhere.
    #[must_use]
    pub fn args(&self, arch: Arch) -> Option<u8> {
        match arch {
            Arch::I386 => self.counts.i386,
            Arch::Amd64 | Arch::Arm64 => self.counts.wide,
        }
    }

    /// Where the file has it.
    #[must_use]
    pub fn label(&self) -> &Label {
        &self.label
    }
}

impl Services {
    /// The caller has seen that names and numbers are distinct.
    pub(super) fn new(file: &str, mut entries: Vec<Entry>) -> Self {
        entries.sort_by(|a, b| {
            let key = |entry: &Entry| (entry.number.is_none(), entry.number);
            key(a).cmp(&key(b)).then_with(|| a.name.cmp(&b.name))
        });
        let names = entries.iter().enumerate().map(|(index, entry)| (entry.name.clone(), index)).collect();
        Self { file: file.to_owned(), is_file: true, entries, names }
    }

    /// The services of a list. `file` is what messages call it.
    #[must_use]
    pub fn of_list(file: &str, list: &ServiceList) -> Self {
        Self::of_list_with(file, list, |service| format!("{} {}", service.name(), service.args(Arch::I386)))
    }

    /// The same, where the text of each service's line is known.
    pub(super) fn of_list_with(file: &str, list: &ServiceList, line: impl Fn(&Service) -> String) -> Self {
        let entry = |service: &Service| {
            let text = line(service);
            let name = service.name().nt();
            let start = text.find(name).unwrap_or(0);
            let end = (start + name.len()).min(text.len());
            Entry {
                name: name.to_owned(),
                number: Some(service.number()),
                counts: Counts { i386: Some(service.args(Arch::I386)), wide: Some(service.args(Arch::Amd64)) },
                // The list is at hand.
                detail: Detail::default(),
                label: Label::new(service.line(), text.as_bytes(), start..end, ""),
            }
        };
        Self::new(&crate::diag::printable(file), list.services().map(entry).collect())
    }

    /// What messages call the file, without control characters.
    #[must_use]
    pub fn file(&self) -> &str {
        &self.file
    }

    /// Whether [`file`](Self::file) is a file that one could point at.
    #[must_use]
    pub fn is_file(&self) -> bool {
        self.is_file
    }

    /// The same services, which come from no file: from standard input, say.
    #[must_use]
    pub fn without_file(mut self) -> Self {
        self.is_file = false;
        self
    }

    /// The services.
    #[must_use]
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// The service with this name, spelt `NtClose`.
    #[must_use]
    pub fn by_name(&self, name: &str) -> Option<&Entry> {
        self.names.get(name).map(|&index| &self.entries[index])
    }

    /// Whether every service has a number.
    #[must_use]
    pub fn has_numbers(&self) -> bool {
        self.entries.iter().all(|entry| entry.number.is_some())
    }

    /// Whether any service has an argument count.
    #[must_use]
    pub fn has_counts(&self) -> bool {
        self.entries.iter().any(|entry| entry.counts != Counts::default())
    }

    /// Without the services for which `keep` is false.
    #[must_use]
    pub fn filter(&self, keep: impl Fn(&Entry) -> bool) -> Self {
        let kept = self.entries.iter().filter(|entry| keep(entry)).cloned().collect();
        Self { is_file: self.is_file, ..Self::new(&self.file, kept) }
    }

    /// Takes counts from elsewhere, where they are not known. Tells whether it took any.
    pub(super) fn fill_counts(&mut self, from: &Self) -> bool {
        let mut took = false;
        for entry in &mut self.entries {
            let Some(known) = from.by_name(&entry.name) else { continue };
            let before = entry.counts;
            entry.counts.i386 = before.i386.or(known.counts.i386);
            entry.counts.wide = before.wide.or(known.counts.wide);
            took |= entry.counts != before;
        }
        took
    }

    /// The first service whose count on an architecture is not known, though that on another is.
    #[must_use]
    pub fn half_known(&self, arch: Arch) -> Option<&Entry> {
        self.entries.iter().find(|entry| entry.args(arch).is_none() && entry.counts != Counts::default())
    }

    /// Says that a service's count on an architecture is not known.
    pub(super) fn no_count(&self, entry: &Entry, arch: Arch) -> Diagnostics {
        let mut diags = Diagnostics::new(&self.file);
        let message =
            format!("{} has no argument count for {arch}, only for another architecture", quoted(&entry.name));
        let help = "`--arch` names the architecture that the file is about; `--counts FILE` takes the counts that are missing \
                    from another file";
        diags.push(Diagnostic::new(Code::NoCounts, message, entry.label.clone()).help(help));
        diags
    }

    /// The services as a list. Those whose names do not start with `Nt` cannot be in one, and leave holes.
    ///
    /// # Errors
    ///
    /// If a service has no number or no argument count, or there is none.
    pub fn to_list(&self) -> Result<ServiceList, Diagnostics> {
        self.to_list_with(None)
    }

    /// The same, where services without a count get this one.
    pub(super) fn to_list_with(&self, count: Option<u8>) -> Result<ServiceList, Diagnostics> {
        let mut diags = Diagnostics::new(&self.file);
        let services: Vec<&Entry> = self.entries.iter().filter(|entry| is_service(&entry.name)).collect();
        let slots = |counts| slots(counts).or_else(|| count.map(|count| (count, count)));
        Self::check_complete(&services, slots, &mut diags);
        let mut tables: Vec<Vec<Service>> = vec![Vec::new(); limits::TABLES];
        let mut names: Vec<Option<String>> = vec![None; limits::TABLES];
        for entry in services {
            let (Some(number), Some((i386, wide))) = (entry.number, slots(entry.counts)) else { continue };
            // Numbers are below 4000h, so that there is such a table.
            let index = (number / limits::SERVICES_PER_TABLE) as usize;
            if let (Some(table), Some(name)) = (tables.get_mut(index), names.get_mut(index)) {
                *name = name.take().or_else(|| entry.detail.table.clone());
                table.push(Service {
                    name: ServiceName::new(&entry.name),
                    number,
                    line: entry.label.line(),
                    args_i386: i386,
                    args_64: wide,
                    doc: entry.detail.doc.clone(),
                    signature: entry.detail.signature.clone(),
                });
            }
        }
        if diags.error_count() > 0 {
            diags.sort();
            return Err(diags);
        }
        let filled = tables.into_iter().zip(names).enumerate().filter(|(_, (services, _))| !services.is_empty());
        let tables = filled.map(|(index, (services, name))| named_table(index, name, services)).collect();
        ServiceList::new(tables).ok_or_else(|| {
            let label = Label::new(1, b"", 0..0, "");
            diags.push(Diagnostic::new(Code::NoServices, "the file has no services", label));
            diags
        })
    }

    fn check_complete(services: &[&Entry], slots: impl Fn(Counts) -> Option<(u8, u8)>, diags: &mut Diagnostics) {
        let without: Vec<_> = services.iter().filter(|entry| entry.number.is_none()).collect();
        if let Some(first) = without.first() {
            let message = format!("{} {} no number", quoted(&first.name), and_more(without.len(), "has", "have"));
            let help = "the order of exports is not that of services: take the numbers from another file, or compare names \
                        and counts with `ntgate diff`";
            diags.push(Diagnostic::new(Code::NoNumbers, message, first.label.clone()).help(help));
        }
        let without: Vec<_> = services.iter().filter(|entry| slots(entry.counts).is_none()).collect();
        if let Some(first) = without.first() {
            let message =
                format!("{} {} no argument count", quoted(&first.name), and_more(without.len(), "has", "have"));
            let help = "a list needs the count of each service; `--counts FILE` takes those that are missing from another file";
            diags.push(Diagnostic::new(Code::NoCounts, message, first.label.clone()).help(help));
        }
    }
}

/// `and 3 others have`
fn and_more(count: usize, one: &str, many: &str) -> String {
    match count - 1 {
        0 => one.to_owned(),
        1 => format!("and one other {many}"),
        others => format!("and {others} others {many}"),
    }
}

/// The two counts of a list; one that is not told is as the other.
fn slots(counts: Counts) -> Option<(u8, u8)> {
    let i386 = counts.i386.or(counts.wide)?;
    Some((i386, counts.wide.unwrap_or(i386)))
}

/// Whether a list can have a service of this name, which is an identifier.
pub(super) fn is_service(name: &str) -> bool {
    name.starts_with("Nt") && name.len() > 2
}

/// A table at the base that its place says, under the name that its base is known by if it has none.
pub(super) fn named_table(index: usize, name: Option<String>, services: Vec<Service>) -> ServiceTable {
    let name = name.unwrap_or_else(|| match index {
        0 => "main".to_owned(),
        1 => "win32k".to_owned(),
        _ => format!("table{index}"),
    });
    ServiceTable::new(name, index as u32 * limits::SERVICES_PER_TABLE, services)
}
