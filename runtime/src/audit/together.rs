//! What is wrong with exports together.

use std::collections::{BTreeMap, HashMap};

use ntgate_gen::Arch;

use super::class::Class;
use super::export::{Export, twin_name};
use super::image::Kind;
use super::{Audit, Finding};

/// Looks at all exports together.
pub(super) fn finish(arch: Arch, kind: Kind, mut exports: Vec<Export>) -> Audit {
    name_wrapped(&mut exports);
    let mut findings = Vec::new();
    let mut numbers: BTreeMap<u32, Vec<&Export>> = BTreeMap::new();
    for export in exports.iter().filter(|export| export.class == Class::Service) {
        if let Some(number) = export.number {
            numbers.entry(number).or_default().push(export);
        }
        for fault in &export.faults {
            findings.push(Finding { name: export.name.clone(), text: fault.clone() });
        }
    }
    for (number, with) in &numbers {
        let first = with[0];
        let is_twin = |other: &&&Export| twin_name(&first.name).is_some_and(|twin| twin == other.name);
        for other in with[1..].iter().filter(|other| !is_twin(other)) {
            let text = format!("has the number {number:X}h, as {} has", first.name);
            findings.push(Finding { name: other.name.clone(), text });
        }
    }
    findings.extend(out_of_row(&exports, &numbers));
    findings.extend(twins(&exports));
    Audit { arch, kind, exports, findings }
}

/// Says which service's number a wrapper has.
fn name_wrapped(exports: &mut [Export]) {
    let services: HashMap<u32, String> = exports
        .iter()
        .filter(|export| export.class == Class::Service)
        .filter_map(|export| Some((export.number?, export.name.clone())))
        .collect();
    for export in exports.iter_mut().filter(|export| export.class == Class::Wrapper) {
        if let Some(name) = export.number.and_then(|number| services.get(&number)) {
            export.notes.push(format!("the number is that of {name}"));
        }
    }
}

/// Stubs between two whose numbers have room for one, which is nobody's, and that have another one: as a stub has that was
/// repaired with the number of another system.
fn out_of_row(exports: &[Export], numbers: &BTreeMap<u32, Vec<&Export>>) -> Vec<Finding> {
    let services: Vec<(&Export, u32)> = exports
        .iter()
        .filter(|export| export.class == Class::Service && export.rva.is_some())
        .filter_map(|export| Some((export, export.number?)))
        .collect();
    let odd = |row: &[(&Export, u32)]| {
        let [(below, first), (this, number), (above, last)] = row else { return None };
        let wanted = first.checked_add(1)?;
        let is_free = *last == wanted.checked_add(1)? && *number != wanted && !numbers.contains_key(&wanted);
        let text = format!(
            "has the number {number:X}h, between {} with {first:X}h and {} with {last:X}h: {wanted:X}h is to be expected",
            below.name, above.name
        );
        is_free.then(|| Finding { name: this.name.clone(), text })
    };
    services.windows(3).filter_map(odd).collect()
}

/// Nt and Zw names that have stubs of their own, and different ones.
fn twins(exports: &[Export]) -> Vec<Finding> {
    let by_name: HashMap<&str, &Export> = exports.iter().map(|export| (export.name.as_str(), export)).collect();
    let differ = |export: &Export| {
        let twin = by_name.get(twin_name(&export.name).filter(|_| export.name.starts_with("Nt"))?.as_str())?;
        let both = [export, twin].iter().all(|export| export.class == Class::Service);
        let is_other = (export.number, export.ret_bytes) != (twin.number, twin.ret_bytes);
        let shown = |number: Option<u32>| number.map_or("none".to_owned(), |number| format!("{number:X}h"));
        let text =
            format!("has the number {}, and {} the number {}", shown(export.number), twin.name, shown(twin.number));
        (both && is_other).then(|| Finding { name: export.name.clone(), text })
    };
    exports.iter().filter_map(differ).collect()
}
