//! An audit for people.

use std::collections::BTreeMap;
use std::fmt::Write;

use super::super::export::is_service_name;
use super::super::{Audit, Class, Entry, Export};
use super::{Audited, hex};

/// How a table is written.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
#[non_exhaustive]
pub struct Style {
    /// Exports that are no services are told one by one too.
    pub all: bool,
    /// Colours.
    pub color: bool,
}

impl Style {
    fn paint(self, code: &str, text: &str) -> String {
        if self.color { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_owned() }
    }

    fn bad(self, text: &str) -> String {
        self.paint("31", text)
    }

    fn good(self, text: &str) -> String {
        self.paint("32", text)
    }
}

/// One file after the other: its services, what has the name of a service and is none, what is wrong.
#[must_use]
pub fn table(files: &[Audited], style: Style) -> String {
    let tables: Vec<String> = files.iter().map(|file| one(file, style)).collect();
    tables.join("\n")
}

fn one(file: &Audited, style: Style) -> String {
    let audit = &file.audit;
    let mut text = format!("{}: {} {}, {}\n", file.path, audit.arch, audit.kind.name(), counts(audit));
    rows(&mut text, audit);
    others(&mut text, audit, style);
    for finding in &audit.findings {
        let _ = writeln!(text, "{} {}: {}", style.bad("finding:"), finding.name, finding.text);
    }
    for verdict in &file.contracts {
        let (name, checked) = (verdict.contract.name(), verdict.checked);
        let result = if verdict.holds() { style.good("holds") } else { style.bad("broken") };
        let _ = writeln!(
            text,
            "contract {name}: {result}, {} of {checked} services",
            checked - verdict.broken.len().min(checked)
        );
        for (name, how) in &verdict.broken {
            let _ = writeln!(text, "  {name}: {how}");
        }
        for note in &verdict.notes {
            let _ = writeln!(text, "  note: {note}");
        }
    }
    against(&mut text, file, style);
    text
}

/// How many there are of each class.
fn counts(audit: &Audit) -> String {
    let mut classes: BTreeMap<&str, usize> = BTreeMap::new();
    for export in &audit.exports {
        *classes.entry(export.class.name()).or_default() += 1;
    }
    let kinds: Vec<String> = classes.iter().map(|(name, count)| format!("{count} {name}")).collect();
    format!("{} exports: {}", audit.exports.len(), kinds.join(", "))
}

/// What is written of a service: number, name, twin, arguments, ways, shape, notes.
fn rows(text: &mut String, audit: &Audit) {
    let mut services: Vec<&Export> = audit.services().collect();
    services.sort_by_key(|export| (export.number.is_none(), export.number));
    if services.is_empty() {
        return;
    }
    let width = services.iter().map(|export| export.name.chars().count()).max().unwrap_or(0).max(4);
    let ways: Vec<String> = services.iter().map(|export| ways(&export.entries)).collect();
    let ways_width = ways.iter().map(|ways| ways.chars().count()).max().unwrap_or(0).max(4);
    let _ = writeln!(
        text,
        "{:>7} {:width$} {:4} {:>4} {:>4} {:ways_width$} {:16} {:>8} {:>5}",
        "number", "name", "twin", "args", "ret", "ways", "shape", "place", "bytes"
    );
    for (export, ways) in services.iter().zip(&ways) {
        let shown = |value: Option<String>| value.unwrap_or_else(|| "-".to_owned());
        let line = format!(
            "{:>7} {:width$} {:4} {:>4} {:>4} {ways:ways_width$} {:16} {:>8} {:>5} {}",
            shown(export.number.map(hex)),
            export.name,
            export.twin.as_ref().map_or("", |twin| &twin[..2]),
            shown(export.args.map(|args| args.to_string())),
            shown(export.ret_bytes.map(hex)),
            export.shape.as_deref().unwrap_or("-"),
            shown(export.rva.map(|rva| format!("+{rva:X}h"))),
            export.bytes.len(),
            export.notes.join("; "),
        );
        let _ = writeln!(text, "{}", line.trim_end());
    }
}

fn ways(entries: &[Entry]) -> String {
    let mut shown: Vec<String> = Vec::new();
    for entry in entries {
        let way = format!("{} {}", entry.way.name(), entry.register.unwrap_or("?"));
        if !shown.contains(&way) {
            shown.push(way);
        }
    }
    shown.join(", ")
}

/// Exports that are no services: all of them, or those that have the name of one or need a word.
fn others(text: &mut String, audit: &Audit, style: Style) {
    for export in &audit.exports {
        let is_told = match export.class {
            Class::Service => false,
            Class::Hooked => true,
            Class::Alias(_) => style.all,
            _ => style.all || is_service_name(&export.name),
        };
        if !is_told {
            continue;
        }
        let class = match &export.class {
            Class::Hooked => style.bad("hooked"),
            class => class.to_string(),
        };
        let twin = export.twin.as_ref().map_or(String::new(), |twin| format!(" ({twin})"));
        let number = export.number.map_or(String::new(), |number| format!(" {}", hex(number)));
        let notes = if export.notes.is_empty() { String::new() } else { format!(": {}", export.notes.join("; ")) };
        let _ = writeln!(text, "{}{twin}: {class}{number}{notes}", export.name);
    }
}

fn against(text: &mut String, file: &Audited, style: Style) {
    let Some(against) = &file.against else { return };
    let result = if against.holds() { style.good("agrees") } else { style.bad("disagrees") };
    let _ = writeln!(text, "against {}: {result}", against.diff.old_file());
    for (name, what) in &against.others {
        let _ = writeln!(text, "  {name}: {what}");
    }
    if !against.diff.is_same() || !against.diff.notes().is_empty() {
        for line in against.diff.to_text().lines() {
            let _ = writeln!(text, "  {line}");
        }
    }
}
