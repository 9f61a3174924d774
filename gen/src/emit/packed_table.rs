//! `packed-table`: the packed tables of amd64, as statements of a GNU ld script.
//!
//! An entry is a distance shifted by four bits, and no object format has a relocation for that: as takes such an
//! expression only where table and routines are in one section of one file. The linker knows the addresses, and its
//! scripts can count. Who has another linker packs at run time, by `NtgatePackTable` of `table`.

use super::lines::Lines;
use super::table::{NO_SERVICE, c_name};
use super::{Error, Format};
use crate::model::{Arch, Service, ServiceList, ServiceTable};
use crate::table::{REGISTER_ARGS, STACK_ARGS, stack_args};

/// What stands above the tables.
const HEAD: &str = "\
/* Packed service tables of an amd64 kernel, for GNU ld. Made by ntgate; do not edit.
 *
 * An entry is (routine - table) << 4 | arguments on the stack. Include this where the kernel's linker script has its
 * constants:
 *
 *     .rdata : { *(.rdata*) INCLUDE packed.ld }
 *
 * Routines that nothing else refers to must be kept: name them with EXTERN if they are in an archive.
 * In C there are, for each table: extern int MainSSDT[]; extern unsigned int MainNumberOfSysCalls;
 * extern unsigned char MainSSPT[] (argument bytes). */
";

pub(super) fn write_packed_table(list: &ServiceList, arch: Arch) -> Result<String, Error> {
    if arch != Arch::Amd64 {
        return Err(Error::wrong_format(Format::PackedTable, arch));
    }
    Error::check_args(list, Format::PackedTable, REGISTER_ARGS + STACK_ARGS)?;
    let mut out = Lines::new(HEAD);
    if list.tables().iter().any(|table| table.rows().any(|row| row.is_none())) {
        out.blank();
        out.line(&format!("/* {NO_SERVICE} is yours: it returns STATUS_INVALID_SYSTEM_SERVICE (C000001Ch). */"));
    }
    for table in list.tables() {
        push_table(&mut out, table);
    }
    Ok(out.finish())
}

fn push_table(out: &mut Lines, table: &ServiceTable) {
    let name = c_name(table.name());
    out.blank();
    out.line(". = ALIGN(4);");
    out.line(&format!("{name}NumberOfSysCalls = .;"));
    out.line(&format!("LONG({})", table.limit()));
    out.line(&format!("{name}SSDT = .;"));
    for (number, row) in (table.base()..).zip(table.rows()) {
        let routine = row.map_or(NO_SERVICE, |service| service.name().nt());
        let stack_args = row.map_or(0, stack_args);
        out.line(&format!("/* {number:#06x} */ LONG(({}) << 4 | {stack_args})", distance(routine, &name)));
    }
    out.line(&format!("{name}SSPT = .;"));
    for (number, row) in (table.base()..).zip(table.rows()) {
        let bytes = row.map_or(0, |service| service.arg_bytes(Arch::Amd64));
        let routine = row.map_or("none", |service: &Service| service.name().nt());
        out.line(&format!("/* {number:#06x} {routine} */ BYTE({bytes})"));
    }
    // The linker counts without signs: what is too far below the table wraps to what is too far above.
    let mut routines: Vec<_> = table.services().iter().map(|service| service.name().nt()).collect();
    if table.rows().any(|row| row.is_none()) {
        routines.push(NO_SERVICE);
    }
    for routine in routines {
        out.line(&format!(
            "ASSERT({} + 0x8000000 < 0x10000000, \"{routine} is 128 MiB or more from {name}SSDT\");",
            distance(routine, &name)
        ));
    }
}

/// Within an output section the linker takes a symbol that is a mere number as if it were in the section, unless told.
fn distance(routine: &str, name: &str) -> String {
    format!("ABSOLUTE({routine}) - ABSOLUTE({name}SSDT)")
}
