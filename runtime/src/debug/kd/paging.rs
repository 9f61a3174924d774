//! `!pte`: the way through the paging structures.

use super::arguments::Arguments;
use super::error::Error;
use super::{Kd, say};
use crate::debug::Guest;
use crate::machine::PageEntry;

/// The entries' names, from the one that CR3 leads to.
const LEVELS_32: [&str; 2] = ["PDE", "PTE"];
const LEVELS_64: [&str; 4] = ["PXE", "PPE", "PDE", "PTE"];

/// Bits of an entry, with their letters: global, large, dirty, accessed, not cached, write-through.
const FLAGS: [(u64, char); 6] =
    [(1 << 8, 'G'), (1 << 7, 'L'), (1 << 6, 'D'), (1 << 5, 'A'), (1 << 4, 'N'), (1 << 3, 'T')];

/// `!pte`.
pub(super) fn pte(kd: &mut Kd, arguments: &mut Arguments<'_>, out: &mut String) -> Result<(), Error> {
    let address = arguments.address(kd)?;
    arguments.end()?;
    let levels: &[&str] = match kd.guest() {
        Guest::I386(_) => &LEVELS_32,
        Guest::Amd64(_) => &LEVELS_64,
    };
    let walk = kd.target().machine().page_walk(address);
    // As wide as `pfn 106   ---DA--UWEV` and `contains` with the entry's digits, and a gap.
    let width = (2 * walk.entries.first().map_or(4, |entry| usize::from(entry.size)) + 9).max(21) + 3;
    say!(out, "{:1$}VA {2}", "", width, kd.address(address));
    let columns = |text: &dyn Fn(usize, &PageEntry) -> String| {
        let all: Vec<String> =
            walk.entries.iter().enumerate().map(|(n, entry)| format!("{:<width$}", text(n, entry))).collect();
        all.concat().trim_end().to_owned()
    };
    let digits = |value: u64, entry: &PageEntry| format!("{value:0width$X}", width = 2 * usize::from(entry.size));
    let name = |level: usize| levels.get(level).copied().unwrap_or("PTE");
    say!(out, "{}", columns(&|level, entry| format!("{} at {}", name(level), digits(entry.address, entry))));
    say!(out, "{}", columns(&|_, entry| format!("contains {}", digits(entry.value, entry))));
    say!(out, "{}", columns(&|level, entry| frame(entry, level + 1 == levels.len())));
    if walk.page > 0x1000 {
        say!(out, "LARGE PAGE of {:x} bytes", walk.page);
    }
    Ok(())
}

/// An entry's page frame and flags.
fn frame(entry: &PageEntry, last: bool) -> String {
    if entry.value & 1 == 0 {
        return "not valid".to_owned();
    }
    let frame = entry.value >> 12 & 0xFF_FFFF_FFFF;
    // In a page's own entry bit 7 is another thing.
    let flag =
        |(bit, letter): &(u64, char)| if entry.value & bit == 0 || last && *letter == 'L' { '-' } else { *letter };
    let flags: String = FLAGS.iter().map(flag).collect();
    let user = if entry.value & 4 != 0 { 'U' } else { 'K' };
    let write = if entry.value & 2 != 0 { 'W' } else { 'R' };
    let execute = if entry.size == 8 && entry.value >> 63 != 0 { '-' } else { 'E' };
    format!("pfn {frame:<5x} -{flags}{user}{write}{execute}V")
}
