//! One row an export, for tables.

use super::super::{Class, Export};
use super::Audited;

const HEADER: [&str; 15] = [
    "file",
    "member",
    "name",
    "twin",
    "class",
    "number",
    "args",
    "ret_bytes",
    "entries",
    "shape",
    "rva",
    "file_offset",
    "length",
    "bytes",
    "notes",
];

/// All exports of all files, with a header; lines end as RFC 4180 has it.
#[must_use]
pub fn csv(files: &[Audited]) -> String {
    let mut writer = csv::WriterBuilder::new().terminator(csv::Terminator::CRLF).from_writer(Vec::new());
    // It writes to memory, and rows are all of one length.
    let _ = writer.write_record(HEADER);
    for file in files {
        for export in &file.audit.exports {
            let _ = writer.write_record(row(&file.path, export));
        }
    }
    String::from_utf8_lossy(&writer.into_inner().unwrap_or_default()).into_owned()
}

fn row(path: &str, export: &Export) -> [String; 15] {
    fn text<T: ToString>(value: Option<T>) -> String {
        value.map_or_else(String::new, |value| value.to_string())
    }
    let hex = |value: Option<u64>| value.map_or_else(String::new, |value| format!("{value:#x}"));
    let class = match &export.class {
        Class::Alias(of) => format!("alias of {of}"),
        class => class.name().to_owned(),
    };
    let entries = export.entries.iter().map(|entry| match entry.register {
        Some(register) => format!("{} ({register})", entry.way.name()),
        None => entry.way.name().to_owned(),
    });
    [
        path.to_owned(),
        text(export.member.as_ref()),
        export.name.clone(),
        text(export.twin.as_ref()),
        class,
        hex(export.number.map(u64::from)),
        text(export.args),
        text(export.ret_bytes),
        entries.collect::<Vec<_>>().join(", "),
        text(export.shape.as_ref()),
        hex(export.rva.map(u64::from)),
        hex(export.file_offset),
        export.bytes.len().to_string(),
        export.bytes.iter().map(|byte| format!("{byte:02x}")).collect(),
        [export.faults.as_slice(), &export.notes].concat().join("; "),
    ]
}
