//! `!pcr`, `!thread`, `!trap`, `.trap`, `!ssdt`: what NT keeps.

use ntgate_gen::Shape;
use ntgate_gen::model::limits;
use ntgate_gen::table::locate;

use super::arguments::Arguments;
use super::error::Error;
use super::{Kd, dt, register, registers, say, stack};
use crate::debug::{Guest, types};
use crate::nt::amd64::layout as amd64;
use crate::nt::i386::layout as i386;

/// The fields of a structure at an address, each behind its name.
fn fields(kd: &Kd, structure: &str, address: u64, out: &mut String) {
    let Some(structure) = types::structure(kd.guest(), structure) else { return };
    for field in &structure.fields {
        if matches!(field.kind, types::Type::Structure(_)) {
            continue;
        }
        let at = kd.narrow(address.wrapping_add(field.offset.into()));
        say!(out, "{:>24}: {}", field.name, dt::value(kd, field, at));
    }
}

/// `!pcr`.
pub(super) fn pcr(kd: &mut Kd, arguments: &mut Arguments<'_>, out: &mut String) -> Result<(), Error> {
    arguments.end()?;
    let kpcr = kd.guest().kpcr();
    say!(out, "KPCR for Processor 0 at {}:", kd.address(kpcr));
    fields(kd, "_KPCR", kpcr, out);
    let prcb = types::structure(kd.guest(), "_KPCR").and_then(|pcr| {
        let embedded = pcr.fields.iter().find(|field| field.kind == types::Type::Structure("_KPRCB"))?;
        Some(kpcr + u64::from(embedded.offset))
    });
    if let Some(prcb) = prcb {
        say!(out, "KPRCB at {}:", kd.address(prcb));
        fields(kd, "_KPRCB", prcb, out);
    }
    Ok(())
}

/// `!thread`.
pub(super) fn thread(kd: &mut Kd, arguments: &mut Arguments<'_>, out: &mut String) -> Result<(), Error> {
    arguments.end()?;
    let thread = kd.thread().ok_or_else(|| Error::of_target("There is no thread: the KPCR is not mapped"))?;
    let teb = kd.thread_pointer("Teb").unwrap_or_default();
    say!(out, "THREAD {}  Teb: {} RUNNING on processor 0", kd.address(thread), kd.address(teb));
    fields(kd, "_KTHREAD", thread, out);
    stack::show(kd, &kd.context(), u64::MAX, out);
    Ok(())
}

/// The trap frame that is meant: that at an address, or the current one.
fn frame(kd: &Kd, arguments: &mut Arguments<'_>) -> Result<u64, Error> {
    let frame = if arguments.is_empty() {
        let current = kd.trap_frame(&register::Context::of_machine(kd.target().machine()));
        current.ok_or_else(|| Error::of_target("There is no trap frame: no code of ring 0 that has one is running"))?
    } else {
        arguments.address(kd)?
    };
    arguments.end()?;
    Ok(frame)
}

/// `!trap`.
pub(super) fn trap(kd: &mut Kd, arguments: &mut Arguments<'_>, out: &mut String) -> Result<(), Error> {
    let frame = frame(kd, arguments)?;
    if kd.frame_context(frame).is_none() {
        return Err(Error::memory(&kd.address(frame), arguments.command()));
    }
    say!(out, "KTRAP_FRAME at {}:", kd.address(frame));
    fields(kd, "_KTRAP_FRAME", frame, out);
    Ok(())
}

/// `.trap`.
pub(super) fn choose_trap(kd: &mut Kd, arguments: &mut Arguments<'_>, out: &mut String) -> Result<(), Error> {
    if arguments.is_empty() {
        kd.frame = None;
        say!(out, "Resetting default scope");
        return Ok(());
    }
    let frame = frame(kd, arguments)?;
    let context = kd.frame_context(frame).ok_or_else(|| Error::memory(&kd.address(frame), arguments.command()))?;
    kd.frame = Some((frame, context));
    kd.code = Some(context.ip);
    let offset = match kd.guest() {
        Guest::I386(_) => i386::trap_frame::ERR_CODE,
        Guest::Amd64(_) => amd64::trap_frame::ERROR_CODE,
    };
    let code = kd.read_number(frame + u64::from(offset), 4).unwrap_or_default();
    say!(out, "ErrCode = {code:08x}");
    registers::block(kd, out);
    Ok(())
}

/// A service table of the guest.
pub(super) struct ServiceTable {
    /// The first number that is in it.
    first: u64,
    base: u64,
    /// Services in it.
    pub(super) limit: u64,
    /// The bytes that tell the arguments.
    number: u64,
    /// Rows of 32 bits: a distance from the base, and a count of arguments.
    packed: bool,
}

impl ServiceTable {
    /// The table that a service number chooses: 0 the kernel's own, 1 win32k's.
    pub(super) fn of(kd: &Kd, index: u64) -> Option<Self> {
        let name = if index == 0 { "KeServiceDescriptorTable" } else { "KeServiceDescriptorTableShadow" };
        let (module, packed) = match kd.guest() {
            Guest::Amd64(profile) if profile.shapes.contains(&Shape::SyscallReactos) => ("reactos", false),
            Guest::Amd64(_) => ("nt", true),
            Guest::I386(_) => ("nt", false),
        };
        let table = kd.target().symbols().address(&format!("{module}!{name}"))?;
        let (size, base, limit, number) = match kd.guest() {
            Guest::I386(_) => {
                use i386::service_table::{BASE, LIMIT, NUMBER, SIZE};
                (SIZE, BASE, LIMIT, NUMBER)
            }
            Guest::Amd64(_) => {
                use amd64::service_table::{BASE, LIMIT, NUMBER, SIZE};
                (SIZE, BASE, LIMIT, NUMBER)
            }
        };
        let descriptor = table + u64::from(size) * index;
        Some(Self {
            first: index << 12,
            base: kd.read_pointer(descriptor + u64::from(base))?,
            // A number has no more bits for a row, whatever the guest's memory says by now.
            limit: kd.read_number(descriptor + u64::from(limit), 4)?.min(limits::SERVICES_PER_TABLE.into()),
            number: kd.read_pointer(descriptor + u64::from(number))?,
            packed,
        })
    }

    /// The routine of a row.
    pub(super) fn routine(&self, kd: &Kd, row: u64) -> Option<u64> {
        if !self.packed {
            return kd.read_pointer(self.base.wrapping_add(kd.guest().pointer() * row));
        }
        let entry = kd.read_number(self.base.wrapping_add(4 * row), 4)? as u32 as i32;
        Some(self.base.wrapping_add_signed(i64::from(entry >> amd64::service_table::OFFSET_SHIFT)))
    }

    /// Bytes of its arguments.
    pub(super) fn argument_bytes(&self, kd: &Kd, row: u64) -> Option<u64> {
        kd.read_number(self.number.wrapping_add(row), 1)
    }

    /// The row whose routine has this symbol.
    pub(super) fn find(&self, kd: &Kd, name: &str) -> Option<u64> {
        let wanted = format!("nt!{name}");
        let is_it = |row: &u64| {
            let routine = self.routine(kd, *row);
            routine.is_some_and(|routine| {
                kd.target().symbols().at(routine).iter().any(|known| {
                    known.eq_ignore_ascii_case(&wanted)
                        || known.split_once('!').is_some_and(|(_, end)| end.eq_ignore_ascii_case(name))
                })
            })
        };
        (0..self.limit).find(is_it)
    }

    fn row(&self, kd: &Kd, row: u64, out: &mut String) {
        let (Some(routine), Some(bytes)) = (self.routine(kd, row), self.argument_bytes(kd, row)) else {
            say!(out, "{:5x}   ??? ????????", self.first + row);
            return;
        };
        let pointer = kd.guest().pointer();
        say!(out, "{:5x} {:5} {} {}", self.first + row, bytes / pointer, kd.address(routine), kd.describe(routine));
    }
}

/// `!ssdt [NUMBER | NAME]`.
pub(super) fn ssdt(kd: &mut Kd, arguments: &mut Arguments<'_>, out: &mut String) -> Result<(), Error> {
    let place = arguments.place();
    let missing = || Error::of_target("There is no service table yet");
    let rest = arguments.rest();
    let named = rest.trim().trim_start_matches("nt!").to_owned();
    if !rest.is_empty() && rest.starts_with(|c: char| !c.is_ascii_hexdigit()) && rest.starts_with(['N', 'n', 'Z', 'z'])
    {
        let name = named.strip_prefix("Zw").map_or_else(|| named.clone(), |end| format!("Nt{end}"));
        arguments.take_rest();
        for index in 0..2 {
            let Some(table) = ServiceTable::of(kd, index) else { continue };
            if let Some(row) = table.find(kd, &name) {
                header(out);
                table.row(kd, row, out);
                return Ok(());
            }
        }
        return Err(Error::at(place, format!("No table has a service {name}")));
    }
    let number = arguments.optional(kd)?;
    arguments.end()?;
    if let Some(number) = number {
        let (index, row) = u32::try_from(number).map(locate).unwrap_or((u32::MAX, 0));
        let table = (index < 2).then(|| ServiceTable::of(kd, index.into())).flatten();
        let row = u64::from(row);
        let table = table.filter(|table| row < table.limit);
        let table = table.ok_or_else(|| Error::at(place, format!("No table has a service {number:x}")))?;
        header(out);
        table.row(kd, row, out);
        return Ok(());
    }
    let table = ServiceTable::of(kd, 0).ok_or_else(missing)?;
    say!(out, "{} at {}, {} services", kd.describe(table.base), kd.address(table.base), table.limit);
    header(out);
    for row in 0..table.limit {
        table.row(kd, row, out);
    }
    Ok(())
}

fn header(out: &mut String) {
    say!(out, "  Num  Args Routine");
}
