//! `syzlang`: descriptions of the services for syzkaller (google/syzkaller `docs/syscall_descriptions_syntax.md`).

use std::collections::HashSet;

use super::comment::above;
use super::lines::Lines;
use super::params::{Direction, Kind, kinds, names};
use crate::model::{Arch, Service, ServiceList};

/// The most arguments of a call (google/syzkaller `executor/executor.h`, `kMaxArgs`).
const ARGS: usize = 9;

/// The handles that some service makes and others take.
const HANDLE: &str = "nt_handle";

/// Names with a meaning of their own where an argument is referred to (google/syzkaller `prog/types.go`, `ParentRef`,
/// `SyscallRef`).
const RESERVED: [&str; 2] = ["parent", "syscall"];

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
    let names = names(service, arch).into_iter().map(|name| name.filter(|name| is_name(name)));
    let params: Vec<_> = kinds(service, arch).into_iter().zip(names).collect();
    // An argument is a word.
    let is_split = |kind: &Kind| arch == Arch::I386 && matches!(kind, Kind::Int { bits: 64, .. });
    // Names that are made up give way to those of the list.
    let mut taken: HashSet<String> =
        params.iter().filter(|(kind, _)| !is_split(kind)).filter_map(|(_, name)| name.map(str::to_owned)).collect();
    let mut args = Vec::new();
    for (index, (kind, name)) in params.into_iter().enumerate() {
        let made_up = || format!("a{}", index + 1);
        if is_split(&kind) {
            let name = name.map_or_else(made_up, str::to_owned);
            for half in ["low", "high"] {
                args.push(format!("{} intptr", free(format!("{name}_{half}"), &mut taken)));
            }
        } else {
            let name = name.map_or_else(|| free(made_up(), &mut taken), str::to_owned);
            args.push(format!("{name} {}", syz_type(kind, handle)));
        }
    }
    args
}

/// Whether a parameter's name can be an argument's: names there begin with a letter.
fn is_name(name: &str) -> bool {
    !name.starts_with('_') && !RESERVED.contains(&name)
}

/// A name that nothing has yet.
fn free(mut name: String, taken: &mut HashSet<String>) -> String {
    while !taken.insert(name.clone()) {
        name.push('_');
    }
    name
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
