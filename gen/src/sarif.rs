//! Results as SARIF 2.1.0, which code hosts show beside the lines of a change
//! (<https://docs.oasis-open.org/sarif/sarif/v2.1.0/sarif-v2.1.0.html>).

use serde::Serialize;

const SCHEMA: &str = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json";

/// A kind of results.
#[derive(Clone, Copy, Debug)]
pub struct Kind {
    /// Its name for programs: `service-removed`.
    pub id: &'static str,
    /// `error`, `warning` or `note`.
    pub level: &'static str,
    /// What it is, in a sentence without a period.
    pub text: &'static str,
}

/// A result.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// Index of its kind.
    pub kind: usize,
    /// The service that it is about.
    pub service: String,
    /// What was found.
    pub text: String,
    /// The file that it points at; `None` for what is no file.
    pub file: Option<String>,
    /// Where in it.
    pub place: Place,
}

/// A place in a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// A line and a column of text, both from 1 on.
    Text {
        /// The line.
        line: usize,
        /// The column, in characters.
        column: usize,
    },
    /// Bytes.
    Bytes {
        /// Offset of the first.
        offset: u64,
        /// How many.
        length: usize,
    },
    /// The file as a whole.
    Whole,
}

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
    results: Vec<Finding<'a>>,
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
    short_description: Message<'static>,
    default_configuration: Configuration,
}

#[derive(Serialize)]
struct Configuration {
    level: &'static str,
}

#[derive(Serialize)]
struct Message<'a> {
    text: &'a str,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Finding<'a> {
    rule_id: &'static str,
    rule_index: usize,
    level: &'static str,
    message: Message<'a>,
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
    #[serde(skip_serializing_if = "Option::is_none")]
    region: Option<Region>,
}

#[derive(Serialize)]
struct Artifact {
    uri: String,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase", untagged)]
enum Region {
    #[serde(rename_all = "camelCase")]
    Text { start_line: usize, start_column: usize },
    #[serde(rename_all = "camelCase")]
    Bytes { byte_offset: u64, byte_length: usize },
}

/// The results as a SARIF log, with a line feed at its end. A result whose kind is not there is left out.
#[must_use]
pub fn write(kinds: &[Kind], outcomes: &[Outcome]) -> String {
    let rule = |kind: &Kind| Rule {
        id: kind.id,
        short_description: Message { text: kind.text },
        default_configuration: Configuration { level: kind.level },
    };
    let driver = Driver { name: "ntgate", version: env!("CARGO_PKG_VERSION"), rules: kinds.iter().map(rule).collect() };
    let results = outcomes.iter().filter_map(|outcome| finding(kinds, outcome)).collect();
    let run = Run { tool: Tool { driver }, column_kind: "unicodeCodePoints", results };
    let mut text =
        serde_json::to_string_pretty(&Log { schema: SCHEMA, version: "2.1.0", runs: [run] }).unwrap_or_default();
    text.push('\n');
    text
}

fn finding<'a>(kinds: &[Kind], outcome: &'a Outcome) -> Option<Finding<'a>> {
    let kind = kinds.get(outcome.kind)?;
    let region = match outcome.place {
        Place::Text { line, column } => Some(Region::Text { start_line: line, start_column: column }),
        Place::Bytes { offset, length } => Some(Region::Bytes { byte_offset: offset, byte_length: length }),
        Place::Whole => None,
    };
    let location =
        |uri| Location { physical_location: PhysicalLocation { artifact_location: Artifact { uri }, region } };
    Some(Finding {
        rule_id: kind.id,
        rule_index: outcome.kind,
        level: kind.level,
        message: Message { text: &outcome.text },
        locations: outcome.file.as_deref().map(uri).map(location).into_iter().collect(),
        partial_fingerprints: Fingerprint { service: &outcome.service },
    })
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
