//! `napi.h`, `ssdt.h` and `nt.pspec`.

use super::{Error, Target};
use crate::model::ServiceTable;

/// The dispatch table and the argument table, for C that has ReactOS's types. Numbers count from 0 in both files.
pub(super) fn write_tables(target: Target, table: &ServiceTable) -> Result<String, Error> {
    let most = 255 / target.counts().word_bytes();
    let args = |service: &crate::model::Service| service.args(target.counts());
    if let Some(service) = table.services().iter().find(|service| u32::from(args(service)) > most) {
        return Err(Error::args(service, args(service), most));
    }
    let name = table.name();
    let rows = |row: &dyn Fn(&crate::model::Service) -> String| {
        table.services().iter().map(|service| format!("\t{},\n", row(service))).collect::<String>()
    };
    let count = table.len();
    Ok(format!(
        "/* Service tables. Made by ntgate nci; do not edit. */

ULONG_PTR {name}SSDT[] = {{
{}}};

UCHAR {name}SSPT[] = {{
{}}};

#define MIN_SYSCALL_NUMBER    0
#define MAX_SYSCALL_NUMBER    {}
#define NUMBER_OF_SYSCALLS    {count}
ULONG {name}NumberOfSysCalls = {count};
",
        rows(&|service| format!("(ULONG_PTR){}", service.name())),
        rows(&|service| format!("{} * sizeof(void *)", args(service))),
        count - 1,
    ))
}

/// Exports, all of Nt and then all of Zw. The text goes through a C preprocessor, and so has no comment.
pub(super) fn write_pspec(target: Target, table: &ServiceTable) -> String {
    let mut text = String::new();
    for is_zw in [false, true] {
        for service in table.services() {
            let name = if is_zw { service.name().zw() } else { service.name().nt().to_owned() };
            let args = vec!["ptr"; service.args(target.counts()).into()].join(" ");
            text.push_str(&format!("@ stdcall {name}({args})\n"));
        }
    }
    text
}
