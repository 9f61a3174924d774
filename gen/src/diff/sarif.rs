//! A difference as SARIF 2.1.0, which code hosts show beside the lines of a change
//! (<https://docs.oasis-open.org/sarif/sarif/v2.1.0/sarif-v2.1.0.html>).

use serde::Serialize;

use super::json::pretty;
use super::{Diff, Side};
use crate::diag::{Label, plural};

const SCHEMA: &str = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json";

/// The kinds of results: id, level, what it is.
const RULES: [(&str, &str, &str); 4] = [
    ("service-removed", "error", "A service is gone"),
    ("service-added", "warning", "A service is new"),
    ("service-renumbered", "error", "A service has another number"),
    ("argument-count", "error", "A service has another argument count"),
];

#[derive(Serialize)]
struct Log<'a> {
    #[serde(rename = "$schema")]
    schema: &'static str,
    version: &'static str,
    runs: [Run<'a>; 1],
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Run<'a> {
    tool: Tool,
    /// Columns are counted in characters here.
    column_kind: &'static str,
    results: Vec<Outcome<'a>>,
}

#[derive(Serialize)]
struct Tool {
    driver: Driver,
}

#[derive(Serialize)]
struct Driver {
    name: &'static str,
    version: &'static str,
    rules: Vec<Rule>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Rule {
    id: &'static str,
    short_description: Message,
    default_configuration: Configuration,
}

#[derive(Serialize)]
struct Configuration {
    level: &'static str,
}

#[derive(Serialize)]
struct Message {
    text: String,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Outcome<'a> {
    rule_id: &'static str,
    rule_index: usize,
    level: &'static str,
    message: Message,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    locations: Vec<Location>,
    partial_fingerprints: Fingerprint<'a>,
}

/// By this a host tells that two runs found the same.
#[derive(Serialize)]
struct Fingerprint<'a> {
    #[serde(rename = "service/v1")]
    service: &'a str,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Location {
    physical_location: PhysicalLocation,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct PhysicalLocation {
    artifact_location: Artifact,
    region: Region,
}

#[derive(Serialize)]
struct Artifact {
    uri: String,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Region {
    start_line: usize,
    start_column: usize,
}

impl Diff {
    /// The difference as SARIF 2.1.0, with a line feed at its end. A result points at the new side; what is removed, at
    /// the old one. What is [no file](crate::read::Services::without_file) is not pointed at.
    #[must_use]
    pub fn to_sarif(&self) -> String {
        let rule = |&(id, level, text): &(&'static str, &'static str, &str)| Rule {
            id,
            short_description: Message { text: text.to_owned() },
            default_configuration: Configuration { level },
        };
        let driver =
            Driver { name: "ntgate", version: env!("CARGO_PKG_VERSION"), rules: RULES.iter().map(rule).collect() };
        let run = Run { tool: Tool { driver }, column_kind: "unicodeCodePoints", results: self.outcomes() };
        pretty(&Log { schema: SCHEMA, version: "2.1.0", runs: [run] })
    }

    fn outcomes(&self) -> Vec<Outcome<'_>> {
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

fn outcome<'a>(rule: usize, service: &'a str, text: String, side: &Side, label: &Label) -> Outcome<'a> {
    let (rule_id, level, _) = RULES[rule];
    let location = |uri| Location {
        physical_location: PhysicalLocation {
            artifact_location: Artifact { uri },
            region: Region { start_line: label.line(), start_column: label.column() },
        },
    };
    Outcome {
        rule_id,
        rule_index: rule,
        level,
        message: Message { text },
        locations: side.is_file.then(|| location(uri(&side.name))).into_iter().collect(),
        partial_fingerprints: Fingerprint { service },
    }
}

/// A path as a URI reference (RFC 3986): what may not stand in one is escaped.
fn uri(file: &str) -> String {
    let path = file.replace('\\', "/");
    let mut uri = String::new();
    // A colon in the first part of a relative path would make a scheme of it.
    for byte in path.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'/' | b'.' | b'-' | b'_' | b'~') {
            uri.push(char::from(byte));
        } else {
            uri.push_str(&format!("%{byte:02X}"));
        }
    }
    uri
}

#[cfg(test)]
mod tests {
    use super::uri;

    #[test]
    fn paths_are_uri_references() {
        assert_eq!(uri("dir/a b.lst"), "dir/a%20b.lst");
        assert_eq!(uri("C:\\x\\é.lst"), "C%3A/x/%C3%A9.lst");
    }
}
