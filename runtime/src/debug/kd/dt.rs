//! `dt`: structures.

use super::arguments::Arguments;
use super::error::Error;
use super::symbols::matches;
use super::{Kd, number, say};
use crate::debug::types::{self, Field, Structure, Type};
use crate::host::nearest;

/// How deep `-r` goes.
const DEEPEST: usize = 4;

/// `dt TYPE [ADDR] [FIELD]...`.
pub(super) fn dt(kd: &mut Kd, arguments: &mut Arguments<'_>, out: &mut String) -> Result<(), Error> {
    let mut recursive = arguments.take("-r");
    let place = arguments.place();
    let Some(name) = arguments.word() else {
        return Err(Error::at(place, "A type expected, as nt!_KTRAP_FRAME; dt nt!* lists them"));
    };
    if name.contains('*') {
        arguments.end()?;
        list(kd, name, out);
        return Ok(());
    }
    let found = types::structure(kd.guest(), name);
    let structure = found.ok_or_else(|| Error::at(place, format!("Symbol {name} not found")).hint(near(kd, name)))?;
    let (mut address, mut wanted) = (None, Vec::new());
    while !arguments.is_empty() {
        let word = arguments.rest().split(char::is_whitespace).next().unwrap_or_default();
        if word == "-r" {
            recursive = arguments.take("-r");
        } else if let Some(field) = structure.field(word) {
            arguments.word();
            wanted.push(field.name);
        } else if address.is_none() {
            address = Some(arguments.address(kd)?);
        } else {
            let near = nearest(word, structure.fields.iter().map(|field| field.name));
            return Err(Error::at(arguments.place(), format!("{name} has no field {word}"))
                .hint(near.map(|near| format!("is it {near}?"))));
        }
    }
    let depth = if recursive { DEEPEST } else { 0 };
    show(kd, &structure, address, &wanted, depth, 0, out);
    Ok(())
}

fn near(kd: &Kd, name: &str) -> Option<String> {
    let bare = name.split_once('!').map_or(name, |(_, end)| end).to_owned();
    nearest(&bare, types::names(kd.guest())).map(|near| format!("is it nt!{near}?"))
}

fn list(kd: &Kd, pattern: &str, out: &mut String) {
    let pattern = pattern.split_once('!').map_or(pattern, |(_, end)| end).to_lowercase();
    for name in types::names(kd.guest()) {
        let lower = name.to_lowercase();
        if matches(&pattern, &lower) || matches(&pattern, lower.trim_start_matches('_')) {
            say!(out, "          nt!{name}");
        }
    }
}

fn show(
    kd: &Kd,
    structure: &Structure,
    address: Option<u64>,
    wanted: &[&str],
    depth: usize,
    indent: usize,
    out: &mut String,
) {
    for field in &structure.fields {
        if !wanted.is_empty() && !wanted.contains(&field.name) {
            continue;
        }
        let at = address.map(|address| kd.narrow(address.wrapping_add(field.offset.into())));
        let text = at.map_or_else(|| field.kind.to_string(), |at| value(kd, field, at));
        say!(out, "{:indent$}   +0x{:03x} {:<16} : {text}", "", field.offset, field.name);
        if depth > 0
            && let Type::Structure(name) = field.kind
            && let Some(inner) = types::structure(kd.guest(), name)
        {
            show(kd, &inner, at, &[], depth - 1, indent + 6, out);
        }
    }
}

/// What a field holds, in WinDbg's way.
pub(super) fn value(kd: &Kd, field: &Field, at: u64) -> String {
    typed(kd, &field.kind, at).unwrap_or_else(|| "??".to_owned())
}

fn typed(kd: &Kd, kind: &Type, at: u64) -> Option<String> {
    Some(match kind {
        Type::UChar | Type::Char => {
            let byte = kd.read_number(at, 1)?;
            let character = char::from(byte as u8);
            let shown =
                if character.is_ascii_graphic() || byte == 0x20 { character.to_string() } else { String::new() };
            if byte == 0 { "0 ''".to_owned() } else { format!("{byte:#x} '{shown}'") }
        }
        Type::Uint(size) => match kd.read_number(at, (*size).into())? {
            long if long >> 32 != 0 => format!("0x{}", number(long, 8)),
            short => unsigned(short),
        },
        Type::Int(size) => {
            let value = kd.read_number(at, (*size).into())?;
            let bits = 64 - 8 * size;
            let signed = (value << bits) as i64 >> bits;
            if signed < 0 { signed.to_string() } else { unsigned(value) }
        }
        Type::Pointer(_, to) => match kd.read_pointer(at)? {
            0 => "(null)".to_owned(),
            pointer => format!("0x{} {to}", kd.address(pointer)),
        },
        Type::Structure("_LARGE_INTEGER") => format!("_LARGE_INTEGER {:#x}", kd.read_number(at, 8)?),
        Type::Structure("_LIST_ENTRY") => {
            let size = kd.guest().pointer();
            let [next, previous] = [kd.read_pointer(at)?, kd.read_pointer(at.wrapping_add(size))?];
            format!("_LIST_ENTRY [ 0x{} - 0x{} ]", kd.address(next), kd.address(previous))
        }
        Type::Structure(name) => (*name).to_owned(),
        Type::Enum(_, names) => {
            let number = kd.read_number(at, 4)?;
            let name = names.iter().find(|(value, _)| u64::from(*value) == number);
            format!("{number} ( {} )", name.map_or("No matching name", |(_, name)| name))
        }
        Type::Array(count, of) if **of == Type::UChar => {
            let bytes = kd.read(at, (*count).into())?;
            let text: String = bytes.iter().take_while(|byte| **byte != 0).map(|byte| printable(*byte)).collect();
            format!("[{count}]  \"{text}\"")
        }
        Type::Array(count, of) => format!("[{count}] {}", typed(kd, of, at)?),
    })
}

fn printable(byte: u8) -> char {
    if byte.is_ascii_graphic() || byte == b' ' { byte.into() } else { '.' }
}

/// A number: below ten as it is, above in hexadecimal digits.
fn unsigned(number: u64) -> String {
    if number < 10 { number.to_string() } else { format!("{number:#x}") }
}
