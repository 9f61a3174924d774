//! `table`: dispatch table and argument table as C, under the names of ReactOS (`MainSSDT`, `MainSSPT`).
//!
//! The text needs no header. Who has prototypes of the services defines `NTGATE_HAVE_PROTOTYPES` and includes it.

use super::Error;
use crate::model::{Arch, Service, ServiceList, ServiceTable};

/// What stands above the tables.
const HEAD: &str = "\
/* Service tables. Made by ntgate; do not edit. */

#ifndef NTAPI
#define NTAPI __attribute__((stdcall))
#endif

typedef void (*NTGATE_SERVICE)(void);
";

/// What stands in the rows of a table that have no service.
const HOLE: &str = "\
static long NTAPI NtgateNoService(void)
{
    return (long)0xC000001C; /* STATUS_INVALID_SYSTEM_SERVICE */
}
";

pub(super) fn write_table(list: &ServiceList, arch: Arch) -> Result<String, Error> {
    // A 64-bit kernel packs counts and distances into one table; that is another format.
    if arch != Arch::I386 {
        return Err(Error::no_table(arch));
    }
    let mut text = HEAD.to_owned();
    push_prototypes(&mut text, list);
    if list.tables().iter().any(|table| table.rows().any(|row| row.is_none())) {
        push(&mut text, &["", HOLE.trim_end()]);
    }
    for (index, table) in list.tables().iter().enumerate() {
        push_table(&mut text, table, index == 0);
    }
    Ok(text)
}

/// Prototypes with as many dwords as the service takes: the count is part of a stdcall symbol.
fn push_prototypes(text: &mut String, list: &ServiceList) {
    push(text, &["", "#ifndef NTGATE_HAVE_PROTOTYPES"]);
    for service in list.services() {
        let params = match service.args(Arch::I386) {
            0 => "void".to_owned(),
            count => vec!["unsigned long"; count.into()].join(", "),
        };
        push(text, &[&format!("long NTAPI {}({params});", service.name())]);
    }
    push(text, &["#endif"]);
}

fn push_table(text: &mut String, table: &ServiceTable, is_primary: bool) {
    let name = c_name(table.name());
    // The kernel's own table is the one that programs mean by these macros.
    let prefix = if is_primary { String::new() } else { format!("{}_", table.name().to_uppercase()) };
    let (base, limit) = (table.base(), table.limit());
    push(
        text,
        &[
            "",
            &format!("#define {prefix}MIN_SYSCALL_NUMBER {base}"),
            &format!("#define {prefix}MAX_SYSCALL_NUMBER {}", base + limit - 1),
            &format!("#define {prefix}NUMBER_OF_SYSCALLS {limit}"),
            "",
            &format!("unsigned long {name}NumberOfSysCalls = {limit};"),
            "",
            &format!("NTGATE_SERVICE {name}SSDT[{limit}] = {{"),
        ],
    );
    for (number, row) in (base..).zip(table.rows()) {
        let handler = row.map_or("NtgateNoService", |service| service.name().nt());
        push(text, &[&format!("    /* {number:#06x} */ (NTGATE_SERVICE){handler},")]);
    }
    push(text, &["};", "", "/* Argument bytes. */", &format!("unsigned char {name}SSPT[{limit}] = {{")]);
    for (number, row) in (base..).zip(table.rows()) {
        let bytes = row.map_or(0, |service| service.arg_bytes(Arch::I386));
        let name = row.map_or("none", |service: &Service| service.name().nt());
        push(text, &[&format!("    /* {number:#06x} {name} */ {bytes},")]);
    }
    push(text, &["};"]);
}

/// `win32k` is `Win32kSSDT`, as in ReactOS.
fn c_name(table: &str) -> String {
    let mut chars = table.chars();
    chars.next().map_or_else(String::new, |first| first.to_uppercase().chain(chars).collect())
}

fn push(text: &mut String, lines: &[&str]) {
    for line in lines {
        text.push_str(line);
        text.push('\n');
    }
}
