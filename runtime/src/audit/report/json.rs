//! Audits for programs. The schema is `docs/schema/audit.json`, its words are in `docs/json.md`.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::Value;

use super::super::hook::Basis;
use super::super::{Class, Entry, Export, Hook};
use super::{Audited, Verdict};

/// Goes up when a key that programs may count on changes its meaning or goes.
const VERSION: u32 = 1;

#[derive(Serialize)]
struct Document<'a> {
    version: u32,
    holds: bool,
    files: Vec<File<'a>>,
}

#[derive(Serialize)]
struct File<'a> {
    path: &'a str,
    arch: &'static str,
    kind: &'static str,
    holds: bool,
    classes: BTreeMap<&'static str, usize>,
    exports: Vec<ExportJson<'a>>,
    findings: Vec<Named<'a>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    contracts: Vec<Contract<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    against: Option<AgainstJson<'a>>,
}

#[derive(Serialize)]
struct ExportJson<'a> {
    name: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    twin: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    member: Option<&'a str>,
    class: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    alias_of: Option<&'a str>,
    number: Option<u32>,
    args: Option<u8>,
    ret_bytes: Option<u32>,
    entries: Vec<EntryJson<'a>>,
    shape: Option<&'a str>,
    rva: Option<u32>,
    file_offset: Option<u64>,
    length: usize,
    bytes: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    hook: Option<HookJson<'a>>,
    notes: Vec<&'a String>,
}

#[derive(Serialize)]
struct EntryJson<'a> {
    way: &'static str,
    register: Option<&'static str>,
    when: &'a [&'static str],
    rva: Option<u32>,
}

#[derive(Serialize)]
struct HookJson<'a> {
    rva: u32,
    instruction: &'a str,
    /// Addresses of 64 bits are not exact as numbers of JSON.
    to: Option<String>,
    original_number: Option<u32>,
    basis: Vec<&'static str>,
    rest_ret_bytes: Option<u32>,
    text: String,
}

#[derive(Serialize)]
struct Named<'a> {
    name: &'a str,
    text: &'a str,
}

#[derive(Serialize)]
struct Contract<'a> {
    name: &'static str,
    holds: bool,
    checked: usize,
    broken: Vec<Named<'a>>,
    notes: &'a [String],
}

#[derive(Serialize)]
struct AgainstJson<'a> {
    holds: bool,
    diff: Value,
    others: Vec<Named<'a>>,
}

/// All of it, with a line feed at its end.
#[must_use]
pub fn json(files: &[Audited]) -> String {
    let document =
        Document { version: VERSION, holds: files.iter().all(Audited::holds), files: files.iter().map(file).collect() };
    // Strings and numbers under fixed keys: there is nothing in them that could fail.
    let mut text = serde_json::to_string_pretty(&document).unwrap_or_default();
    text.push('\n');
    text
}

fn file(file: &Audited) -> File<'_> {
    let mut classes = BTreeMap::new();
    for export in &file.audit.exports {
        *classes.entry(export.class.name()).or_default() += 1;
    }
    let findings = &file.audit.findings;
    File {
        path: &file.path,
        arch: file.audit.arch.name(),
        kind: file.audit.kind.name(),
        holds: file.holds(),
        classes,
        exports: file.audit.exports.iter().map(export).collect(),
        findings: findings.iter().map(|finding| Named { name: &finding.name, text: &finding.text }).collect(),
        contracts: file.contracts.iter().map(contract).collect(),
        against: file.against.as_ref().map(|against| AgainstJson {
            holds: against.holds(),
            diff: serde_json::from_str(&against.diff.to_json()).unwrap_or_default(),
            others: named(&against.others),
        }),
    }
}

fn contract(verdict: &Verdict) -> Contract<'_> {
    Contract {
        name: verdict.contract.name(),
        holds: verdict.holds(),
        checked: verdict.checked,
        broken: named(&verdict.broken),
        notes: &verdict.notes,
    }
}

fn named(pairs: &[(String, String)]) -> Vec<Named<'_>> {
    pairs.iter().map(|(name, text)| Named { name, text }).collect()
}

fn export(export: &Export) -> ExportJson<'_> {
    ExportJson {
        name: &export.name,
        twin: export.twin.as_deref(),
        member: export.member.as_deref(),
        class: export.class.name(),
        alias_of: match &export.class {
            Class::Alias(of) => Some(of),
            _ => None,
        },
        number: export.number,
        args: export.args,
        ret_bytes: export.ret_bytes,
        entries: export.entries.iter().map(entry).collect(),
        shape: export.shape.as_deref(),
        rva: export.rva,
        file_offset: export.file_offset,
        length: export.bytes.len(),
        bytes: export.bytes.iter().map(|byte| format!("{byte:02x}")).collect(),
        hook: export.hook.as_ref().map(hook),
        notes: export.faults.iter().chain(&export.notes).collect(),
    }
}

fn entry(entry: &Entry) -> EntryJson<'_> {
    EntryJson { way: entry.way.name(), register: entry.register, when: &entry.when, rva: entry.from }
}

fn hook(hook: &Hook) -> HookJson<'_> {
    let basis = |basis: &Basis| match basis {
        Basis::Twin { .. } => "twin",
        Basis::Neighbours { .. } => "neighbours",
        Basis::Bytes => "bytes",
    };
    HookJson {
        rva: hook.at,
        instruction: &hook.instruction,
        to: hook.to.map(|to| format!("{to:#x}")),
        original_number: hook.original,
        basis: hook.basis.iter().map(basis).collect(),
        rest_ret_bytes: hook.rest_ret_bytes,
        text: hook.to_string(),
    }
}
