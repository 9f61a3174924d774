//! `csv`: numbers in the layout of the public per-build tables (j00ru/windows-syscalls, `x86/csv/nt.csv`): names in
//! order, a column a system, hexadecimal numbers with the base of the table, lines that end in CR LF.

use crate::model::{Service, ServiceList};

/// The name of the one column, after the pattern `system (release)`.
const COLUMN: &str = "ntgate (list)";

pub(super) fn write_csv(list: &ServiceList) -> String {
    let mut services: Vec<&Service> = list.services().collect();
    services.sort_unstable_by_key(|service| service.name());
    let mut text = format!("System call,{COLUMN}\r\n");
    for service in services {
        // A name is an identifier, and so nothing has to be quoted.
        text.push_str(&format!("{},{:#06x}\r\n", service.name(), service.number()));
    }
    text
}
