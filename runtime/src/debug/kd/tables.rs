//! `!idt`, `dg`, `!gdt`, `!descriptor`: the descriptor tables that the processor looks at.

use super::arguments::Arguments;
use super::error::Error;
use super::{Kd, say};
use crate::debug::Guest;
use crate::machine::segment::Descriptor;
use crate::machine::{Gate, SegmentRegister, TableRegister};
use crate::nt::amd64::layout::tss;

/// Which table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Table {
    Idt,
    Gdt,
    Ldt,
}

impl Table {
    const fn name(self) -> &'static str {
        match self {
            Self::Idt => "IDT",
            Self::Gdt => "GDT",
            Self::Ldt => "LDT",
        }
    }

    /// Where it is, and the offset of its last byte; `None` for an LDT that there is not.
    fn register(self, kd: &Kd) -> Option<TableRegister> {
        let machine = kd.target().machine();
        let (gdtr, idtr) = machine.tables();
        match self {
            Self::Idt => Some(idtr),
            Self::Gdt => Some(gdtr),
            Self::Ldt => {
                let ldt = machine.segment(SegmentRegister::Ldtr);
                ldt.is_usable().then(|| TableRegister { base: ldt.base, limit: ldt.limit.min(0xFFFF) as u16 })
            }
        }
    }
}

/// An entry of a table.
#[derive(Debug, Clone, Copy)]
struct Entry {
    at: u64,
    low: u64,
    /// The second half of one with sixteen bytes.
    high: u64,
    size: u64,
}

impl Entry {
    /// The gate's offset, all of it.
    fn offset(self) -> u64 {
        u64::from(Gate(self.low).offset()) | self.high << 32
    }

    /// The segment's base, all of it.
    fn base(self) -> u64 {
        u64::from(Descriptor(self.low).base()) | self.high << 32
    }
}

/// The entry that begins so many bytes from a table's start.
fn entry(kd: &Kd, table: TableRegister, offset: u64, size: u64) -> Option<Entry> {
    offset.checked_add(size).filter(|end| *end <= u64::from(table.limit) + 1)?;
    let at = kd.narrow(table.base.wrapping_add(offset));
    let high = if size == 16 { kd.read_number(at.wrapping_add(8), 8)? & 0xFFFF_FFFF } else { 0 };
    Some(Entry { at, low: kd.read_number(at, 8)?, high, size })
}

/// Bytes of a gate of the IDT.
fn gate_size(kd: &Kd) -> u64 {
    match kd.guest() {
        Guest::I386(_) => 8,
        Guest::Amd64(_) => 16,
    }
}

/// Whether a descriptor of the GDT takes sixteen bytes: a system segment's in long mode.
fn is_long(kd: &Kd, descriptor: Descriptor) -> bool {
    matches!(kd.guest(), Guest::Amd64(_)) && descriptor.is_system() && descriptor.0 != 0
}

/// The entry of the GDT or LDT with this index.
fn segment(kd: &Kd, table: TableRegister, index: u64) -> Option<Entry> {
    let found = entry(kd, table, index.checked_mul(8)?, 8)?;
    if is_long(kd, Descriptor(found.low)) { entry(kd, table, index * 8, 16) } else { Some(found) }
}

/// `!idt`.
pub(super) fn idt(kd: &mut Kd, arguments: &mut Arguments<'_>, out: &mut String) -> Result<(), Error> {
    let place = arguments.place();
    let vector = arguments.optional(kd)?;
    arguments.end()?;
    let (_, idtr) = kd.target().machine().tables();
    let size = gate_size(kd);
    let count = (u64::from(idtr.limit) + 1) / size;
    if vector.is_some_and(|vector| vector >= count) {
        return Err(Error::at(place, format!("The IDT has {count:x} vectors")));
    }
    say!(out, "\nDumping IDT: {}\n", kd.address(idtr.base));
    for number in vector.map_or(0..count, |vector| vector..vector + 1) {
        let Some(entry) = entry(kd, idtr, number * size, size) else { continue };
        let gate = Gate(entry.low);
        if !gate.present() {
            if vector.is_some() {
                say!(out, "{number:02x}:\tnot present");
            }
        } else if gate.is_task() {
            say!(out, "{number:02x}:\tTask Selector = 0x{:04x}", gate.selector().0);
        } else {
            let (address, symbol) = (kd.address(entry.offset()), kd.describe(entry.offset()));
            say!(out, "{number:02x}:\t{address} {symbol}{}", interrupt_stack(kd, entry));
        }
    }
    Ok(())
}

/// The stack that a gate of long mode asks for.
fn interrupt_stack(kd: &Kd, entry: Entry) -> String {
    let number = entry.low >> 32 & 7;
    if entry.size != 16 || number == 0 {
        return String::new();
    }
    let tss = kd.target().machine().segment(SegmentRegister::Tr).base;
    let stack = kd.read_number(tss + u64::from(tss::IST1) + 8 * (number - 1), 8);
    format!("\tStack = 0x{}", stack.map_or("????????`????????".to_owned(), |stack| kd.address(stack)))
}

/// `dg FIRST [LAST]` and `!gdt`: segments in columns.
pub(super) fn dg(kd: &mut Kd, arguments: &mut Arguments<'_>, out: &mut String) -> Result<(), Error> {
    let place = arguments.place();
    let first = arguments.expression(kd)?;
    let last = arguments.optional(kd)?.unwrap_or(first);
    arguments.end()?;
    if last < first || last > 0xFFFF {
        return Err(Error::at(place, "Selectors expected: one, or the first and the last"));
    }
    let table = if first & 4 == 0 { Table::Gdt } else { Table::Ldt };
    if table.register(kd).and_then(|register| segment(kd, register, first >> 3)).is_none() {
        return Err(Error::of_target(format!("Unable to get descriptor of selector {first:04x}")));
    }
    segments(kd, first, last, out);
    Ok(())
}

/// `!gdt`.
pub(super) fn gdt(kd: &mut Kd, arguments: &mut Arguments<'_>, out: &mut String) -> Result<(), Error> {
    arguments.end()?;
    let (gdtr, _) = kd.target().machine().tables();
    segments(kd, 8, u64::from(gdtr.limit), out);
    Ok(())
}

/// The segments of these selectors, up to the end of their table.
fn segments(kd: &Kd, first: u64, last: u64, out: &mut String) {
    let (line, middle) = match kd.guest() {
        Guest::I386(_) => ("-".repeat(8), "  Base     Limit  "),
        Guest::Amd64(_) => ("-".repeat(17), "       Base              Limit      "),
    };
    say!(out, "{:1$}P Si Gr Pr Lo", "", 2 * line.len() + 18);
    say!(out, "Sel {middle}    Type    l ze an es ng Flags");
    say!(out, "---- {line} {line} ---------- - -- -- -- -- --------");
    let mut selector = first;
    while selector <= last {
        let table = if selector & 4 == 0 { Table::Gdt } else { Table::Ldt };
        let found = table.register(kd).and_then(|register| segment(kd, register, selector >> 3));
        let Some(entry) = found else { break };
        // Of many, those that are nothing are left out.
        if entry.low != 0 || first == last {
            row(kd, selector, entry, out);
        }
        selector += entry.size;
    }
}

fn row(kd: &Kd, selector: u64, entry: Entry, out: &mut String) {
    let descriptor = Descriptor(entry.low);
    let limit = u64::from(descriptor.limit());
    let long_code = descriptor.is_code() && descriptor.long();
    // Code of 64 bits has neither base nor limit.
    let (base, limit) = if long_code { (0, 0) } else { (entry.base(), limit) };
    let flags = (entry.low >> 52 & 0xF) << 8 | entry.low >> 40 & 0xFF;
    say!(
        out,
        "{selector:04X} {} {} {:<10} {} {} {} {}  {} {flags:08x}",
        kd.address(base),
        kd.address(limit),
        kind(descriptor),
        descriptor.dpl(),
        if descriptor.big() { "Bg" } else { "Nb" },
        if descriptor.granular() { "Pg" } else { "By" },
        if descriptor.present() { "P" } else { "-" },
        if long_code { "Lo" } else { "Nl" },
    );
}

/// The column of types.
fn kind(descriptor: Descriptor) -> String {
    if descriptor.is_system() {
        let name = match descriptor.kind() {
            1 => "TSS16 Avl",
            2 => "LDT",
            3 => "TSS16 Busy",
            4 => "CallG16",
            5 => "TaskG",
            9 => "TSS32 Avl",
            11 => "TSS32 Busy",
            12 => "CallG32",
            _ => "<Reserved>",
        };
        return name.to_owned();
    }
    let rights = match (descriptor.is_code(), descriptor.is_readable(), descriptor.is_writable_data()) {
        (true, true, _) => "Code RE",
        (true, false, _) => "Code EO",
        (false, _, true) => "Data RW",
        (false, _, false) => "Data RO",
    };
    format!("{rights} {}", if descriptor.is_accessed() { "Ac" } else { "" })
}

/// `!descriptor TABLE INDEX`: one descriptor in words, and of a gate the segment that it leads to.
pub(super) fn descriptor(kd: &mut Kd, arguments: &mut Arguments<'_>, out: &mut String) -> Result<(), Error> {
    let place = arguments.place();
    let name = arguments.word().unwrap_or_default();
    let table = [Table::Idt, Table::Gdt, Table::Ldt].into_iter().find(|table| table.name().eq_ignore_ascii_case(name));
    let table = table.ok_or_else(|| Error::at(place, "IDT, GDT or LDT expected, and an index"))?;
    let place = arguments.place();
    let index = arguments.expression(kd)?;
    arguments.end()?;
    let register = table.register(kd).ok_or_else(|| Error::of_target(format!("There is no {}", table.name())))?;
    let found = match table {
        Table::Idt => index.checked_mul(gate_size(kd)).and_then(|at| entry(kd, register, at, gate_size(kd))),
        Table::Gdt | Table::Ldt => segment(kd, register, index),
    };
    let entry = found.ok_or_else(|| Error::at(place, format!("The {} has no descriptor {index:x}", table.name())))?;
    let descriptor = Descriptor(entry.low);
    if table == Table::Idt || descriptor.is_system() && matches!(descriptor.kind(), 4..=7 | 12 | 14 | 15) {
        gate(kd, (table, register.base, index), entry, out);
    } else {
        tell_segment(kd, (table, register.base, index), entry, out);
    }
    Ok(())
}

/// A table's name, its base, and an index in it.
type Where = (Table, u64, u64);

/// What stands above every descriptor.
fn head(kd: &Kd, what: &str, (table, base, index): Where, entry: Entry, out: &mut String) {
    let name = table.name();
    say!(out, "------------------- {what} Descriptor --------------------");
    say!(out, "{name} base = 0x{}, Index = 0x{index:02x}, Descriptor @ 0x{}", kd.address(base), kd.address(entry.at));
    let bytes = kd.read(entry.at, entry.size).unwrap_or_default();
    let bytes: Vec<String> = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    say!(out, "{} {}", kd.address(entry.at), bytes.join(" "));
}

fn present(present: bool) -> &'static str {
    if present { "Segment is present" } else { "Segment is not present" }
}

fn gate(kd: &Kd, place: Where, entry: Entry, out: &mut String) {
    let gate = Gate(entry.low);
    let what = match gate.kind() & 7 {
        4 => "Call Gate",
        5 => "Task Gate",
        7 => "Trap Gate",
        _ => "Interrupt Gate",
    };
    head(kd, what, place, entry, out);
    let width = match (entry.size, gate.wide()) {
        _ if gate.is_task() => "",
        (16, _) => ", 64-bit descriptor",
        (_, true) => ", 32-bit descriptor",
        (_, false) => ", 16-bit descriptor",
    };
    let (present, selector) = (present(gate.present()), gate.selector());
    say!(out, "{present}, DPL = {}, System segment{width}", gate.dpl());
    let (name, index) = (if selector.is_local() { Table::Ldt } else { Table::Gdt }, selector.index());
    let which = if gate.is_task() { "task" } else { "code" };
    say!(
        out,
        "Target {which} segment selector = 0x{:04x} ({} Index = {index}, RPL = {})",
        selector.0,
        name.name(),
        selector.rpl()
    );
    if !gate.is_task() {
        say!(out, "Target code segment offset = 0x{}", kd.address(entry.offset()));
    }
    let target = name.register(kd).and_then(|register| Some((register, segment(kd, register, index.into())?)));
    match target {
        Some((register, entry)) => tell_segment(kd, (name, register.base, index.into()), entry, out),
        None => say!(out, "The {} has no such descriptor", name.name()),
    }
}

fn tell_segment(kd: &Kd, place: Where, entry: Entry, out: &mut String) {
    let descriptor = Descriptor(entry.low);
    let (what, of) = match descriptor {
        system if system.is_system() && system.kind() == 2 => ("Local Descriptor Table", "LDT"),
        system if system.is_system() && matches!(system.kind(), 1 | 3 | 9 | 11) => ("Task State Segment", "TSS"),
        system if system.is_system() => ("Reserved", "segment"),
        code if code.is_code() => ("Code Segment", "code segment"),
        _ => ("Data Segment", "data segment"),
    };
    head(kd, what, place, entry, out);
    let unit = if descriptor.granular() { "4KB pages" } else { "bytes" };
    let present = present(descriptor.present());
    if descriptor.is_system() {
        let busy = if of == "TSS" && descriptor.kind() & 2 != 0 { ", busy" } else { "" };
        say!(out, "Segment size is in {unit}");
        let bits = match (entry.size, descriptor.kind() & 8) {
            (16, _) => 64,
            (_, 0) => 16,
            _ => 32,
        };
        let kind = if of == "TSS" { format!("{bits}-bit {of}") } else { of.to_owned() };
        say!(out, "{present}, DPL = {}, System segment, {kind}{busy}", descriptor.dpl());
    } else {
        let bits = match (descriptor.is_code() && descriptor.long(), descriptor.big()) {
            (true, _) => 64,
            (false, true) => 32,
            (false, false) => 16,
        };
        say!(out, "Segment size is in {unit}, {bits}-bit default operand and data size");
        let kind = if descriptor.is_code() { "Code segment" } else { "Data segment" };
        say!(out, "{present}, DPL = {}, Not system segment, {kind}", descriptor.dpl());
        say!(out, "{}", rights(descriptor));
    }
    // The size as the descriptor has it, pages or bytes.
    let size = entry.low & 0xFFFF | entry.low >> 32 & 0xF_0000;
    say!(out, "Target {of} base address = 0x{}", kd.address(entry.base()));
    say!(out, "Target {of} size = 0x{size:08x}");
}

fn rights(descriptor: Descriptor) -> String {
    let is = |yes: bool, what: &str| format!("Segment is {}{what}", if yes { "" } else { "not " });
    let accessed = is(descriptor.is_accessed(), "accessed");
    if descriptor.is_code() {
        let conforming = is(descriptor.is_conforming(), "conforming");
        return format!("{conforming}, {}, {accessed}", is(descriptor.is_readable(), "readable"));
    }
    let down = descriptor.kind() & 4 != 0;
    let grows = if down { "Segment expands down" } else { "Segment does not expand down" };
    format!("{grows}, {}, {accessed}", is(descriptor.is_writable_data(), "writable"))
}
