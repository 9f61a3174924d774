//! `syzlang`: descriptions of the services for syzkaller (google/syzkaller `docs/syscall_descriptions_syntax.md`).

use super::comment::above;
use super::lines::Lines;
use super::params::{Direction, Kind, kinds, names};
use crate::model::{Arch, Service, ServiceList};

/// The most arguments of a call (google/syzkaller `executor/executor.h`, `kMaxArgs`).
const ARGS: usize = 9;

/// The handles that some service makes and others take.
const HANDLE: &str = "nt_handle";

pub(super) fn write_syzlang(list: &ServiceList, arch: Arch) -> String {
    let mut out = Lines::new("# Descriptions of system services. Made by ntgate; do not edit.\n");
    let makes_handles = |kind: &Kind| matches!(kind, Kind::Pointer { direction: Direction::Out, to_handle: true });
    let makers = |service: &Service| service.args(arch) <= ARGS as u8 && kinds(service, arch).iter().any(makes_handles);
    // A resource that no call makes is refused.
    let handle = if list.services().any(makers) { HANDLE } else { "intptr" };
    if handle == HANDLE {
        out.blank();
        out.line(&format!("resource {HANDLE}[intptr]: 0, 0xffffffffffffffff"));
    }
    for table in list.tables() {
        out.blank();
        out.line(&format!("# table {}, from {:#06x}", table.name(), table.base()));
        let mut next = table.base();
        for service in table.services() {
            for comment in above(service, &mut next) {
                out.line(&format!("# {comment}"));
            }
            let args = args(service, arch, handle);
            if args.len() > ARGS {
                out.line(&format!("# {}: {} arguments, over the {ARGS} of a call", service.name(), args.len()));
            } else {
                out.line(&format!("{}({})", service.name(), args.join(", ")));
            }
        }
    }
    out.finish()
}

/// The arguments, each a name and a type.
fn args(service: &Service, arch: Arch, handle: &str) -> Vec<String> {
    let mut args = Vec::new();
    for (index, (kind, name)) in kinds(service, arch).into_iter().zip(names(service, arch)).enumerate() {
        // `parent` has a meaning of its own.
        let name = name.filter(|&name| name != "parent").map_or_else(|| format!("a{}", index + 1), str::to_owned);
        match kind {
            // An argument is a word.
            Kind::Int { bits: 64, .. } if arch == Arch::I386 => {
                args.push(format!("{name}_low intptr"));
                args.push(format!("{name}_high intptr"));
            }
            _ => args.push(format!("{name} {}", syz_type(kind, handle))),
        }
    }
    args
}

fn syz_type(kind: Kind, handle: &str) -> String {
    match kind {
        Kind::Int { bits, .. } => format!("int{bits}"),
        Kind::Word => "intptr".to_owned(),
        Kind::Handle => handle.to_owned(),
        Kind::Pointer { direction, to_handle } => {
            let way = match direction {
                Direction::In => "in",
                Direction::Out => "out",
                Direction::InOut => "inout",
            };
            let pointee = if to_handle { handle } else { "array[int8]" };
            format!("ptr[{way}, {pointee}]")
        }
    }
}
