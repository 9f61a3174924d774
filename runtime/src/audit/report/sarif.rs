//! What is wrong, as SARIF.

use ntgate_gen::diff::KINDS;
use ntgate_gen::sarif::{Kind, Outcome, Place, write};

use super::super::{Class, Export};
use super::Audited;

/// The kinds of results before those of a difference.
const OWN: [Kind; 4] = [
    Kind { id: "hooked-stub", level: "error", text: "A system-call stub has been patched" },
    Kind { id: "stub-behaviour", level: "error", text: "A system-call stub does not do what it should" },
    Kind { id: "stub-contract", level: "warning", text: "A system-call stub is not what others count on" },
    Kind { id: "not-a-service", level: "error", text: "An export is no service, though one was expected" },
];
const HOOKED: usize = 0;
const BEHAVIOUR: usize = 1;
const CONTRACT: usize = 2;
const OTHER: usize = 3;

/// All results of all files, with a line feed at the end. They point at bytes of the files.
#[must_use]
pub fn sarif(files: &[Audited]) -> String {
    let kinds: Vec<Kind> = OWN.iter().chain(&KINDS).copied().collect();
    write(&kinds, &files.iter().flat_map(outcomes).collect::<Vec<_>>())
}

fn outcomes(file: &Audited) -> Vec<Outcome> {
    let about = |kind: usize, name: &str, text: String| {
        let export = file.audit.by_name(name);
        let text = format!("{name}: {text}");
        Outcome {
            kind,
            service: name.to_owned(),
            text,
            file: file.is_file.then(|| file.path.clone()),
            place: export.map_or(Place::Whole, place),
        }
    };
    let hooked = file.audit.exports.iter().filter(|export| export.class == Class::Hooked);
    let mut outcomes: Vec<Outcome> =
        hooked.map(|export| about(HOOKED, &export.name, export.notes.join("; "))).collect();
    let findings = &file.audit.findings;
    outcomes.extend(findings.iter().map(|finding| about(BEHAVIOUR, &finding.name, finding.text.clone())));
    for verdict in &file.contracts {
        let text = |text: &str| format!("{} (contract {})", text, verdict.contract.name());
        outcomes.extend(verdict.broken.iter().map(|(name, how)| about(CONTRACT, name, text(how))));
    }
    if let Some(against) = &file.against {
        outcomes.extend(against.others.iter().map(|(name, what)| about(OTHER, name, what.clone())));
        let moved = against.diff.outcomes().into_iter();
        // A difference counts its own kinds, and points at lines of a text that there is not.
        outcomes.extend(moved.map(|outcome| {
            let in_file = outcome.file.as_ref() == Some(&file.path);
            let place = match file.audit.by_name(&outcome.service) {
                Some(export) if in_file => place(export),
                _ if in_file => Place::Whole,
                _ => outcome.place,
            };
            let pointed_at = outcome.file.filter(|_| file.is_file || !in_file);
            Outcome { kind: OWN.len() + outcome.kind, file: pointed_at, place, ..outcome }
        }));
    }
    outcomes
}

fn place(export: &Export) -> Place {
    let bytes = |offset| Place::Bytes { offset, length: export.bytes.len() };
    export.file_offset.map_or(Place::Whole, bytes)
}
