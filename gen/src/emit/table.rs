//! `table`: dispatch table and argument table as C, under the names of ReactOS (`MainSSDT`, `MainSSPT`).
//!
//! The text needs no header. Who has prototypes of the services defines `NTGATE_HAVE_PROTOTYPES` and includes it.

use super::c_dialect::Dialect;
use super::comment::{c_comment, with_name};
use super::lines::Lines;
use super::{Error, Format};
use crate::model::{Arch, Service, ServiceList, ServiceTable};
use crate::table::locate;

/// The routine in the rows of a table that have no service.
pub(super) const NO_SERVICE: &str = "NtgateNoService";

/// Services of at most so many arguments fit the argument table of amd64, which has a byte for 8 times the count.
const ARGS_AMD64: u32 = 31;

/// How a kernel that wants packed entries gets them where the linker cannot make them.
const PACK: &str = "
/* Makes a packed table of a table of pointers: entries (routine - packed) << 4 | arguments on the stack. Returns how many
   rows it has done; less than limit if a routine is 128 MiB or more from the packed table, or has over 15 arguments on the
   stack. */
static inline unsigned int NtgatePackTable(int *packed, const NTGATE_SERVICE *table, const unsigned char *bytes,
                                           unsigned int limit)
{
    unsigned int row;

    for (row = 0; row < limit; row++) {
        unsigned long long offset = (unsigned long long)table[row] - (unsigned long long)packed;
        unsigned int stack = bytes[row] > 32 ? bytes[row] / 8u - 4 : 0;

        if (offset + 0x8000000 >= 0x10000000 || stack > 15)
            break;
        packed[row] = (int)((unsigned int)offset << 4 | stack);
    }
    return row;
}
";

pub(super) fn write_table(list: &ServiceList, arch: Arch) -> Result<String, Error> {
    if arch == Arch::Arm64 {
        return Err(Error::no_table(arch));
    }
    let dialect = Dialect::of(arch);
    if arch == Arch::Amd64 {
        Error::check_args(list, Format::Table, ARGS_AMD64)?;
    }
    let mut out = Lines::new("/* Service tables. Made by ntgate; do not edit. */\n");
    out.blank();
    dialect.push_convention(&mut out);
    out.blank();
    out.line("typedef void (*NTGATE_SERVICE)(void);");
    dialect.push_prototypes(&mut out, list);
    if list.tables().iter().any(|table| table.rows().any(|row| row.is_none())) {
        dialect.push_no_service(&mut out);
    }
    for (index, table) in list.tables().iter().enumerate() {
        dialect.push_table(&mut out, table, index == 0);
    }
    if list.tables().len() > 1 {
        dialect.push_descriptors(&mut out, list);
    }
    if arch == Arch::Amd64 {
        out.text(PACK);
    }
    Ok(out.finish())
}

impl Dialect {
    fn push_no_service(&self, out: &mut Lines) {
        out.blank();
        out.line(&format!("static {} NTAPI {NO_SERVICE}(void)", self.long));
        out.line("{");
        out.line(&format!("    return ({})0xC000001C; /* STATUS_INVALID_SYSTEM_SERVICE */", self.long));
        out.line("}");
    }

    /// Prototypes with as many parameters as the service takes: the count is part of a stdcall symbol.
    fn push_prototypes(&self, out: &mut Lines, list: &ServiceList) {
        out.blank();
        out.line("#ifndef NTGATE_HAVE_PROTOTYPES");
        for service in list.services() {
            if let Some(comment) = with_name(service) {
                out.line(&format!("/* {} */", c_comment(&comment)));
            }
            out.line(&format!("{} NTAPI {}({});", self.long, service.name(), self.slots(service)));
        }
        out.line("#endif");
    }

    fn push_table(&self, out: &mut Lines, table: &ServiceTable, is_primary: bool) {
        let name = c_name(table.name());
        // The kernel's own table is the one that programs mean by these macros.
        let prefix = if is_primary { String::new() } else { format!("{}_", table.name().to_uppercase()) };
        let (base, limit) = (table.base(), table.limit());
        out.blank();
        out.line(&format!("#define {prefix}MIN_SYSCALL_NUMBER {base}"));
        out.line(&format!("#define {prefix}MAX_SYSCALL_NUMBER {}", base + limit - 1));
        out.line(&format!("#define {prefix}NUMBER_OF_SYSCALLS {limit}"));
        out.blank();
        out.line(&format!("{} {name}NumberOfSysCalls = {limit};", self.ulong));
        out.blank();
        out.line(&format!("NTGATE_SERVICE {name}SSDT[{limit}] = {{"));
        for (number, row) in (base..).zip(table.rows()) {
            let handler = row.map_or(NO_SERVICE, |service| service.name().nt());
            out.line(&format!("    /* {number:#06x} */ (NTGATE_SERVICE){handler},"));
        }
        out.line("};");
        out.blank();
        out.line("/* Argument bytes. */");
        out.line(&format!("unsigned char {name}SSPT[{limit}] = {{"));
        for (number, row) in (base..).zip(table.rows()) {
            let bytes = row.map_or(0, |service| service.arg_bytes(self.arch));
            let name = row.map_or("none", |service: &Service| service.name().nt());
            out.line(&format!("    /* {number:#06x} {name} */ {bytes},"));
        }
        out.line("};");
    }

    /// The tables side by side, as `KSERVICE_TABLE_DESCRIPTOR` has them (ReactOS `sdk/include/ndk/ketypes.h`).
    fn push_descriptors(&self, out: &mut Lines, list: &ServiceList) {
        let place = |table: &ServiceTable| locate(table.base()).0;
        let count = list.tables().iter().map(place).max().unwrap_or(0) + 1;
        out.blank();
        out.line("/* The tables by bits 12 and 13 of a service number; the row is in the 12 bits below. */");
        out.line("typedef struct {");
        out.line("    NTGATE_SERVICE *Base;");
        out.line(&format!("    {} *Count;", self.ulong));
        out.line(&format!("    {} Limit;", self.ulong));
        out.line("    unsigned char *Number;");
        out.line("} NTGATE_TABLE;");
        out.blank();
        out.line(&format!("NTGATE_TABLE NtgateTables[{count}] = {{"));
        for index in 0..count {
            match list.tables().iter().find(|table| place(table) == index) {
                Some(table) => {
                    let name = c_name(table.name());
                    out.line(&format!("    {{ {name}SSDT, 0, {}, {name}SSPT }},", table.limit()));
                }
                None => out.line("    { 0, 0, 0, 0 },"),
            }
        }
        out.line("};");
    }
}

/// `win32k` is `Win32kSSDT`, as in ReactOS.
pub(super) fn c_name(table: &str) -> String {
    let mut chars = table.chars();
    chars.next().map_or_else(String::new, |first| first.to_uppercase().chain(chars).collect())
}
