//! `e`: memory changed.

use super::Kd;
use super::arguments::Arguments;
use super::error::Error;

/// `eb`, `ew`, `ed`, `eq`, `ep`: values from an address on.
pub(super) fn e(kd: &mut Kd, arguments: &mut Arguments<'_>, _: &mut String) -> Result<(), Error> {
    let size = match arguments.command().get(..2).unwrap_or_default().to_ascii_lowercase().as_str() {
        "eb" => 1,
        "ew" => 2,
        "ed" => 4,
        "eq" => 8,
        _ => kd.guest().pointer(),
    };
    let address = arguments.address(kd)?;
    let mut bytes = Vec::new();
    let mut place = arguments.place();
    if arguments.is_empty() {
        return Err(Error::at(place, "Values expected behind the address"));
    }
    while !arguments.is_empty() {
        place = arguments.place();
        let value = arguments.expression(kd)?;
        if size < 8 && value >> (8 * size) != 0 && (value as i64) >> (8 * size - 1) != -1 {
            return Err(Error::at(place, format!("Overflow error: {value:x} has more than {size} bytes")));
        }
        bytes.extend(value.to_le_bytes().iter().take(size as usize));
    }
    write(kd, arguments, address, &bytes)
}

/// `ea`, `eu`, `eza`, `ezu`: text, in quotes; with `z` and a zero behind it.
pub(super) fn text(kd: &mut Kd, arguments: &mut Arguments<'_>, _: &mut String) -> Result<(), Error> {
    let name = arguments.command().split_whitespace().next().unwrap_or_default().to_ascii_lowercase();
    let address = arguments.address(kd)?;
    let place = arguments.place();
    let quoted = arguments.take_rest().strip_prefix('"');
    let Some(text) = quoted.map(|text| text.strip_suffix('"').unwrap_or(text)) else {
        return Err(Error::at(place, "Text in quotes expected behind the address"));
    };
    let zero = name.starts_with("ez").then_some('\0');
    let text: String = text.chars().chain(zero).collect();
    let bytes =
        if name.ends_with('u') { text.encode_utf16().flat_map(u16::to_le_bytes).collect() } else { text.into_bytes() };
    write(kd, arguments, address, &bytes)
}

/// Nothing is written unless all of it is.
fn write(kd: &mut Kd, arguments: &Arguments<'_>, address: u64, bytes: &[u8]) -> Result<(), Error> {
    if kd.read(address, bytes.len() as u64).is_none() {
        return Err(Error::memory(&kd.address(address), arguments.command()));
    }
    let written = kd.target_mut().change().write_linear(address, bytes);
    written.ok_or_else(|| Error::memory(&kd.address(address), arguments.command()))
}
