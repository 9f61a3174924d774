//! `list`: the list itself, in canonical form. The reader reads back what this writes.

use crate::model::{Arch, Param, Service, ServiceList, ServiceTable};

pub(super) fn write_list(list: &ServiceList) -> String {
    let mut lines = vec!["# System services: name and argument count. Made by ntgate.".to_owned()];
    for (index, table) in list.tables().iter().enumerate() {
        // What a list without a directive makes needs none.
        if index > 0 || table.name() != "main" || table.base() != 0 {
            lines.push(format!("#! table {} base={:#x}", table.name(), table.base()));
        }
        push_services(&mut lines, table);
    }
    lines.push(String::new());
    lines.join("\n")
}

fn push_services(lines: &mut Vec<String>, table: &ServiceTable) {
    let mut next = table.base();
    for service in table.services() {
        lines.push(line(service, next));
        next = service.number() + 1;
    }
}

fn line(service: &Service, next: u32) -> String {
    let (dwords, params) = (service.args(Arch::I386), service.args(Arch::Amd64));
    let mut line = format!("{} {dwords}", service.name());
    if params != dwords {
        line.push_str(&format!("/{params}"));
    }
    if service.number() != next {
        line.push_str(&format!(" @{:#x}", service.number()));
    }
    if let Some(signature) = service.signature() {
        let params: Vec<_> = signature.iter().map(Param::to_string).collect();
        let params = if params.is_empty() { "VOID".to_owned() } else { params.join(", ") };
        line.push_str(&format!(" ({params})"));
    }
    if let Some(doc) = service.doc() {
        line.push_str(&format!("  # {doc}"));
    }
    line
}
