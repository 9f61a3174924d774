//! `d`: memory in columns.

use super::arguments::{Arguments, Range};
use super::error::Error;
use super::{Kd, number, say};

/// The longest string that `da` and `du` look for, and how much of it stands in a line.
const STRING: u64 = 0x100;
const STRING_LINE: usize = 32;

/// What is shown when nobody says how much: bytes, or lines of those with symbols.
const BYTES: u64 = 128;
const LINES: u64 = 16;

/// How a form of `d` looks.
struct Form {
    name: &'static str,
    /// Bytes of an object; 0 stands for a pointer.
    size: u64,
    /// Objects in a line.
    columns: u64,
    /// The same as characters, behind.
    characters: bool,
    /// The symbol that each points to, behind.
    symbols: bool,
}

const fn form(name: &'static str, size: u64, columns: u64, characters: bool, symbols: bool) -> Form {
    Form { name, size, columns, characters, symbols }
}

const FORMS: [Form; 9] = [
    form("db", 1, 16, true, false),
    form("dw", 2, 8, false, false),
    form("dd", 4, 4, false, false),
    form("dc", 4, 4, true, false),
    form("dq", 8, 2, false, false),
    form("dp", 0, 4, false, false),
    form("dds", 4, 1, false, true),
    form("dqs", 8, 1, false, true),
    form("dps", 0, 1, false, true),
];

/// `db`, `dw`, `dd`, `dc`, `dq`, `dp`, `dds`, `dqs`, `dps`, and `d`, which is the last of them again.
pub(super) fn d(kd: &mut Kd, arguments: &mut Arguments<'_>, out: &mut String) -> Result<(), Error> {
    let command = arguments.command();
    let end = command.find(|c: char| !c.is_ascii_alphanumeric()).unwrap_or(command.len());
    let name = command.get(..end).unwrap_or_default().to_ascii_lowercase();
    let last = kd.data.1;
    let name = if name == "d" { last } else { &name };
    if name == "da" || name == "du" {
        return string(kd, arguments, out, name == "du");
    }
    let Some(form) = FORMS.iter().find(|form| form.name == name) else {
        return Err(Error::of_target(format!("There is no form {name} of d")));
    };
    let size = if form.size == 0 { kd.guest().pointer() } else { form.size };
    let columns = if form.columns > 1 { form.columns.min(16 / size) } else { 1 };
    let next = kd.data.0.unwrap_or_else(|| kd.current_address());
    let usual = if form.symbols { LINES } else { BYTES / size };
    let Range { start, count } = arguments.range(kd, next, size, usual)?;
    arguments.end()?;
    let mut done = 0;
    while done < count {
        let now = columns.min(count - done);
        let at = kd.narrow(start.wrapping_add(done * size));
        row(kd, form, at, size, now, columns, out);
        done += now;
    }
    kd.data = (Some(kd.narrow(start.wrapping_add(count * size))), form.name);
    Ok(())
}

fn row(kd: &Kd, form: &Form, at: u64, size: u64, count: u64, columns: u64, out: &mut String) {
    let mut text = format!("{} ", kd.address(at));
    for index in 0..count {
        let value = kd.read_number(at.wrapping_add(index * size), size);
        // The two halves of sixteen bytes are told apart.
        text.push(if size == 1 && index == 8 { '-' } else { ' ' });
        text += &value.map_or_else(|| unmapped(size), |value| number(value, size));
        if let Some(value) = value.filter(|_| form.symbols)
            && kd.symbol(value).is_some()
        {
            text += &format!(" {}", kd.describe(value));
        }
    }
    if form.characters {
        let width = if size == 8 { 18 } else { 2 * size as usize + 1 };
        let missing = (columns - count) as usize * width;
        let bytes = (0..count * size).map(|index| kd.read_number(at.wrapping_add(index), 1));
        let shown: String = bytes.map(|byte| byte.map_or('?', |byte| printable(byte as u8))).collect();
        text += &format!("{:missing$}  {shown}", "");
    }
    say!(out, "{}", text.trim_end());
}

/// What stands for memory that is not there.
fn unmapped(size: u64) -> String {
    if size == 8 { "????????`????????".to_owned() } else { "?".repeat(2 * size as usize) }
}

fn printable(byte: u8) -> char {
    if (0x20..0x7F).contains(&byte) { byte.into() } else { '.' }
}

/// `da`, `du`: text up to its end.
fn string(kd: &mut Kd, arguments: &mut Arguments<'_>, out: &mut String, wide: bool) -> Result<(), Error> {
    let unit = if wide { 2 } else { 1 };
    let next = kd.data.0.unwrap_or_else(|| kd.current_address());
    let Range { start, count } = arguments.range(kd, next, unit, STRING)?;
    arguments.end()?;
    let mut characters = Vec::new();
    let mut at = start;
    for _ in 0..count {
        let character = kd.read_number(at, unit);
        if character == Some(0) {
            break;
        }
        let Some(character) = character else {
            characters.push('?');
            break;
        };
        at = kd.narrow(at.wrapping_add(unit));
        let shown = char::from_u32(character as u32).filter(|c| !c.is_control() && (wide || c.is_ascii()));
        characters.push(shown.unwrap_or('.'));
    }
    if characters.is_empty() {
        say!(out, "{}  \"\"", kd.address(start));
    }
    for (index, line) in characters.chunks(STRING_LINE).enumerate() {
        let line_at = start.wrapping_add((index * STRING_LINE) as u64 * unit);
        say!(out, "{}  \"{}\"", kd.address(kd.narrow(line_at)), line.iter().collect::<String>());
    }
    kd.data = (Some(at), kd.data.1);
    Ok(())
}
