//! The exports of one image, each with what was seen of it.

use std::collections::BTreeMap;

use ntgate_gen::Arch;

use super::Options;
use super::class::{Class, Entry, Judgement, judge};
use super::guest::Guest;
use super::hook::{self, Hook};
use super::image::{Image, Symbol, Target};
use super::run::{Run, Way};
use super::shape::{self, Shapes};
use super::trial::try_out;

/// An export of a DLL, or a function of an object.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct Export {
    /// The name, without the decoration of 32-bit Windows; `#7` of an export that has a number alone.
    pub name: String,
    /// The Zw name that the same place has, or the Nt name of one that comes later in the file.
    pub twin: Option<String>,
    /// The member of an archive that it is in.
    pub member: Option<String>,
    /// What it is.
    pub class: Class,
    /// The number that it has in EAX at the kernel's entry.
    pub number: Option<u32>,
    /// Argument slots: from the bytes that it takes off the stack; on amd64, where it takes none, from a table of the file's
    /// or one that is given.
    pub args: Option<u8>,
    /// Bytes that it takes off the stack when it returns, besides the return address.
    pub ret_bytes: Option<u32>,
    /// Its ways into the kernel.
    pub entries: Vec<Entry>,
    /// The shape, if it is one that is known.
    pub shape: Option<String>,
    /// Its place in the image; `None` of an export that another DLL has.
    pub rva: Option<u32>,
    /// Its offset in the file.
    pub file_offset: Option<u64>,
    /// Its instructions: of a shape that is known, or up to the last that was executed near its beginning.
    pub bytes: Vec<u8>,
    /// What was patched, if it is hooked.
    pub hook: Option<Hook>,
    /// What a service should not do, and does.
    pub faults: Vec<String>,
    /// What else was seen.
    pub notes: Vec<String>,
}

/// The exports of one image, hooks found.
pub(super) fn exports(guest: &mut Guest, image: &Image<'_>, shapes: &Shapes, options: &Options) -> Vec<Export> {
    guest.clear();
    // Zw stubs of objects leave the kernel's routine to the linker.
    let needs_kernel = image.externals.iter().any(|name| {
        matches!(name.trim_start_matches('_'), "KiSystemService" | "KiServiceInternal" | "KiZwSystemService")
    });
    let mut groups: BTreeMap<u32, Vec<&Symbol>> = BTreeMap::new();
    let mut exports = Vec::new();
    for symbol in &image.symbols {
        match symbol.target {
            Target::Rva(rva) => groups.entry(rva).or_default().push(symbol),
            Target::Forward(_) => exports.push(forwarded(symbol)),
        }
    }
    let mut first_runs = Vec::new();
    for (rva, mut symbols) in groups {
        symbols.sort_by_key(|symbol| (!symbol.name.starts_with("Nt"), !symbol.name.starts_with("Zw"), &symbol.name));
        let trial = try_out(guest, image, rva, needs_kernel, options.budget);
        let judgement = judge(&trial);
        let first = export(image, shapes, rva, symbols[0], &judgement, &trial.runs);
        push_group(&mut exports, first, &symbols);
        first_runs.extend(trial.runs.into_iter().next().map(|run| (rva, run)));
    }
    hook::find(guest, image, &mut exports, &first_runs);
    exports.sort_by(|a, b| (a.rva.is_none(), a.rva, &a.name).cmp(&(b.rva.is_none(), b.rva, &b.name)));
    exports
}

/// An export with the other names of its place.
fn push_group(exports: &mut Vec<Export>, first: Export, symbols: &[&Symbol]) {
    let twin = twin_name(&first.name).filter(|twin| symbols.iter().any(|symbol| symbol.name == *twin));
    let mut seen = vec![first.name.clone()];
    seen.extend(twin.clone());
    let alias = |symbol: &&&Symbol| !seen.contains(&symbol.name);
    let class = Class::Alias(first.name.clone());
    let others: Vec<Export> = symbols
        .iter()
        .filter(alias)
        .map(|symbol| Export {
            name: symbol.name.clone(),
            class: class.clone(),
            faults: Vec::new(),
            notes: Vec::new(),
            ..first.clone()
        })
        .collect();
    exports.push(Export { twin, ..first });
    exports.extend(others);
}

/// An export that another DLL has.
pub(super) fn forwarded(symbol: &Symbol) -> Export {
    let notes = match &symbol.target {
        Target::Forward(to) => vec![format!("forwarded to {to}")],
        Target::Rva(_) => Vec::new(),
    };
    Export {
        name: symbol.name.clone(),
        twin: None,
        member: None,
        class: Class::LeavesImage,
        number: None,
        args: None,
        ret_bytes: None,
        entries: Vec::new(),
        shape: None,
        rva: None,
        file_offset: None,
        bytes: Vec::new(),
        hook: None,
        faults: Vec::new(),
        notes,
    }
}

/// The most bytes of an export that are kept.
const MOST_CODE: u32 = 128;

fn export(
    image: &Image<'_>,
    shapes: &Shapes,
    rva: u32,
    symbol: &Symbol,
    judgement: &Judgement,
    runs: &[Run],
) -> Export {
    let mut code = image.code_bytes(rva, MOST_CODE);
    let is_service = judgement.class == Class::Service;
    let shape = if is_service { shapes.recognise(&code) } else { None };
    let length = shape.as_ref().map_or_else(|| executed(image, &code, rva, runs), |shape| shape.length);
    code.truncate(length);
    let mut export = Export {
        number: judgement.number,
        ret_bytes: judgement.ret_bytes,
        entries: judgement.entries.clone(),
        shape: shape.map(|shape| shape_name(shape.name, &judgement.entries).to_owned()),
        rva: Some(rva),
        file_offset: image.file_offset(rva),
        bytes: code,
        class: judgement.class.clone(),
        faults: judgement.faults.clone(),
        notes: judgement.notes.clone(),
        ..forwarded(symbol)
    };
    if is_service {
        export.args = arguments(image, judgement, &mut export);
        if let (Some(decorated), Some(bytes)) = (symbol.decorated_bytes, judgement.ret_bytes)
            && decorated != bytes
        {
            export.faults.push(format!("its symbol says @{decorated}, and it takes {bytes} bytes off the stack"));
        }
    }
    export
}

/// Stubs of the same instructions are told apart by where they lead.
fn shape_name(name: &'static str, entries: &[Entry]) -> &'static str {
    let is_wine = entries.iter().any(|entry| entry.way == Way::Wine);
    match name {
        "wow64-call" if is_wine => "wine-call",
        name => name,
    }
}

/// Argument slots, as far as the file tells them.
fn arguments(image: &Image<'_>, judgement: &Judgement, export: &mut Export) -> Option<u8> {
    let word = image.arch.word_bytes();
    let row = judgement.number.map(|number| number as usize % 0x1000);
    let in_table = row.and_then(|row| image.argument_bytes.get(row)).map(|bytes| u32::from(*bytes));
    let slots = |bytes: u32| u8::try_from(bytes / word).ok().filter(|_| bytes.is_multiple_of(word));
    if image.arch == Arch::I386 {
        let bytes = judgement.ret_bytes?;
        // Services of another name may be C functions, whose caller takes the arguments off the stack.
        if bytes == 0 && !is_service_name(&export.name) && in_table.is_some_and(|table| table != 0) {
            export.notes.push("its caller takes the arguments off the stack (cdecl)".to_owned());
            return in_table.and_then(slots);
        }
        if let Some(table) = in_table.filter(|table| *table != bytes) {
            export
                .faults
                .push(format!("the file\'s own table says {table} argument bytes, and it takes {bytes} off the stack"));
        }
        if slots(bytes).is_none() {
            export.faults.push(format!("it takes {bytes} bytes off the stack: no whole number of arguments"));
        }
        return slots(bytes);
    }
    if let Some(bytes) = judgement.ret_bytes.filter(|bytes| *bytes != 0) {
        export.faults.push(format!("it takes {bytes} bytes off the stack; on amd64 that is its caller's"));
    }
    slots(in_table.or(judgement.told_bytes)?)
}

/// Bytes from a place to the end of the last instruction near it that was executed.
fn executed(image: &Image<'_>, code: &[u8], rva: u32, runs: &[Run]) -> usize {
    let inside = runs.iter().flat_map(|run| &run.trace).filter_map(|place| place.checked_sub(rva));
    let last = inside.filter(|inside| (*inside as usize) < code.len()).max().unwrap_or(0) as usize;
    (last + shape::length(image.arch, &code[last.min(code.len())..])).min(code.len())
}

/// Whether a name is one that services have.
pub(super) fn is_service_name(name: &str) -> bool {
    let stem = name.strip_prefix("Nt").or_else(|| name.strip_prefix("Zw"));
    stem.is_some_and(|stem| stem.starts_with(|c: char| c.is_ascii_uppercase()))
}

/// The Zw name of an Nt name, and the other way round.
pub(super) fn twin_name(name: &str) -> Option<String> {
    if !is_service_name(name) {
        return None;
    }
    let other = if name.starts_with("Nt") { "Zw" } else { "Nt" };
    Some([other, &name[2..]].concat())
}
