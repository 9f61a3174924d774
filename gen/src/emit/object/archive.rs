//! Archives: `.a` and `.lib` are one container (PE Format, "Archive (Library) File Format"; `ar(5)`).
//!
//! The first index, whose numbers are big-endian and whose symbols stand in the order of the members, is what GNU ld and
//! LLVM's linkers read; the second, little-endian and sorted, is what Microsoft's linker reads. Both are members of the
//! name `/`, and GNU ld passes over the second.

use super::super::Error;

const MAGIC: &[u8] = b"!<arch>\n";
/// The length of a member's header.
const HEADER: usize = 60;
/// The longest name that a header holds, with a `/` behind it.
const SHORT_NAME: usize = 15;

/// A file in an archive.
pub(super) struct Member {
    /// Its name.
    pub(super) name: String,
    /// What is in it. Members start at even offsets.
    pub(super) bytes: Vec<u8>,
    /// What the index says is in it.
    pub(super) symbols: Vec<String>,
}

/// The indices that an archive has.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Index {
    /// The first.
    First,
    /// The first and the second, and long names as Microsoft's tools have them.
    Both,
}

/// An archive of these members. Nothing in it depends on when or by whom it was made.
pub(super) fn encode(index: Index, members: &[Member]) -> Result<Vec<u8>, Error> {
    let (long_names, name_fields) = names(index, members);
    let symbols = members.iter().map(|member| member.symbols.len()).sum::<usize>();
    let symbol_bytes = members.iter().flat_map(|member| &member.symbols).map(|symbol| symbol.len() + 1).sum::<usize>();
    let first_len = 4 + 4 * symbols + symbol_bytes;
    let second_len = 4 + 4 * members.len() + 4 + 2 * symbols + symbol_bytes;

    let mut next = MAGIC.len() + room(first_len);
    if index == Index::Both {
        next += room(second_len);
    }
    if !long_names.is_empty() {
        next += room(long_names.len());
    }
    let mut offsets = Vec::with_capacity(members.len());
    for member in members {
        offsets.push(number::<u32>(next)?);
        next += room(member.bytes.len());
    }

    let mut out = Vec::with_capacity(next);
    out.extend_from_slice(MAGIC);
    push_member(&mut out, "/", &first_index(members, &offsets)?);
    if index == Index::Both {
        push_member(&mut out, "/", &second_index(members, &offsets)?);
    }
    if !long_names.is_empty() {
        push_member(&mut out, "//", &long_names);
    }
    for (member, name) in members.iter().zip(&name_fields) {
        push_member(&mut out, name, &member.bytes);
    }
    debug_assert_eq!(out.len(), next);
    Ok(out)
}

/// The member of long names, and what stands in each header for the name.
fn names(index: Index, members: &[Member]) -> (Vec<u8>, Vec<String>) {
    let end: &[u8] = if index == Index::Both { b"\0" } else { b"/\n" };
    let mut long = Vec::new();
    let mut field = |member: &Member| {
        if member.name.len() <= SHORT_NAME {
            return format!("{}/", member.name);
        }
        let at = long.len();
        long.extend_from_slice(member.name.as_bytes());
        long.extend_from_slice(end);
        format!("/{at}")
    };
    let fields = members.iter().map(&mut field).collect();
    (long, fields)
}

/// How many symbols, where the member of each starts, and their names.
fn first_index(members: &[Member], offsets: &[u32]) -> Result<Vec<u8>, Error> {
    let symbols: Vec<_> = members
        .iter()
        .zip(offsets)
        .flat_map(|(member, at)| member.symbols.iter().map(move |name| (name, at)))
        .collect();
    let mut bytes = number::<u32>(symbols.len())?.to_be_bytes().to_vec();
    bytes.extend(symbols.iter().flat_map(|(_, at)| at.to_be_bytes()));
    push_names(&mut bytes, symbols.iter().map(|(name, _)| name.as_str()));
    Ok(bytes)
}

/// Where each member starts; then of the symbols, by name, which member each is in, from 1 on; then their names.
fn second_index(members: &[Member], offsets: &[u32]) -> Result<Vec<u8>, Error> {
    let mut symbols = Vec::new();
    for (position, member) in members.iter().enumerate() {
        let position = number::<u16>(position + 1)?;
        symbols.extend(member.symbols.iter().map(|name| (name.as_str(), position)));
    }
    symbols.sort_unstable();
    let mut bytes = number::<u32>(members.len())?.to_le_bytes().to_vec();
    bytes.extend(offsets.iter().flat_map(|at| at.to_le_bytes()));
    bytes.extend(number::<u32>(symbols.len())?.to_le_bytes());
    bytes.extend(symbols.iter().flat_map(|(_, position)| position.to_le_bytes()));
    push_names(&mut bytes, symbols.iter().map(|(name, _)| *name));
    Ok(bytes)
}

fn push_names<'a>(bytes: &mut Vec<u8>, names: impl Iterator<Item = &'a str>) {
    for name in names {
        bytes.extend_from_slice(name.as_bytes());
        bytes.push(0);
    }
}

/// The room that a member takes up.
fn room(length: usize) -> usize {
    HEADER + length.next_multiple_of(2)
}

/// A header: name, date, owner, group, mode, length, and the member behind it.
fn push_member(out: &mut Vec<u8>, name: &str, bytes: &[u8]) {
    // An index and the names have no mode; files are rw-r--r--.
    let mode = if matches!(name, "/" | "//") { "0" } else { "100644" };
    let header = format!("{name:<16}{:<12}{:<6}{:<6}{mode:<8}{:<10}`\n", 0, 0, 0, bytes.len());
    debug_assert_eq!(header.len(), HEADER);
    out.extend_from_slice(header.as_bytes());
    out.extend_from_slice(bytes);
    if bytes.len() % 2 == 1 {
        out.push(b'\n');
    }
}

fn number<T: TryFrom<usize>>(value: usize) -> Result<T, Error> {
    T::try_from(value)
        .map_err(|_| Error::object(format_args!("an archive cannot hold {value} bytes, members or symbols")))
}
