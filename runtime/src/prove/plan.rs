//! From a service table to what a boot does: every shape a set, all sets in one image.

use std::fmt;

use ntgate_gen::model::limits;
use ntgate_gen::{Arch, ServiceTable, Shape, read_list, stub};

use crate::nt::{Plan, PlannedService, Ring, Start, StubSet, SystemCallForm};

/// The way into the kernel.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Entry {
    /// Gate 2Eh.
    Int2e,
    /// The SYSENTER MSRs.
    Sysenter,
    /// A call of KiSystemService from within the kernel.
    Zw,
}

impl Entry {
    /// The name used in every interface.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Int2e => "int2e",
            Self::Sysenter => "sysenter",
            Self::Zw => "zw",
        }
    }
}

impl fmt::Display for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// How a shape's stubs get in on a 32-bit CPU with or without usable SYSENTER; `None` if they cannot run there.
#[must_use]
pub fn entry_of(shape: Shape, sysenter: bool) -> Option<Entry> {
    match shape {
        _ if shape.arch() != Arch::I386 => None,
        Shape::Zw => Some(Entry::Zw),
        Shape::Sysenter => sysenter.then_some(Entry::Sysenter),
        _ if calls_shared_page(shape) && sysenter => Some(Entry::Sysenter),
        _ => Some(Entry::Int2e),
    }
}

fn calls_shared_page(shape: Shape) -> bool {
    form_of(shape) != SystemCallForm::Unused
}

/// What a shape's stubs expect at SharedUserData+300h.
fn form_of(shape: Shape) -> SystemCallForm {
    match shape {
        Shape::SharedCallEdx => SystemCallForm::Code,
        Shape::SharedEdx | Shape::SharedEcx => SystemCallForm::Pointer,
        _ => SystemCallForm::Unused,
    }
}

/// The plan of a boot that proves these shapes: one set each, in this order.
///
/// The table's base is 0; rows without a service stay empty.
#[must_use]
pub fn plan(table: &ServiceTable, shapes: &[Shape]) -> Plan {
    let services = table.services().iter().map(|service| PlannedService {
        name: service.name().nt().to_owned(),
        args_bytes: service.arg_bytes(Arch::I386),
    });
    let mut ssdt = Vec::new();
    let mut sspt = Vec::new();
    // Services come in number order: a row with a service has the next one of the list.
    let mut indices = 0..table.len();
    for row in table.rows() {
        ssdt.push(row.and_then(|_| indices.next()).unwrap_or(NO_SERVICE));
        sspt.push(row.map_or(0, |service| u8::try_from(service.arg_bytes(Arch::I386)).unwrap_or(u8::MAX)));
    }
    Plan {
        services: services.collect(),
        ssdt,
        sspt,
        shadow_ssdt: Vec::new(),
        shadow_sspt: Vec::new(),
        sets: shapes.iter().map(|&shape| set(table, shape)).collect(),
        start: Start::default(),
    }
}

/// A row of the service table without a service.
const NO_SERVICE: usize = usize::MAX;

fn set(table: &ServiceTable, shape: Shape) -> StubSet {
    let encoding = shape.default_encoding();
    StubSet {
        label: shape.name().to_owned(),
        form: form_of(shape),
        ring: if shape.is_kernel() { Ring::Kernel } else { Ring::User },
        needs_sysenter: shape == Shape::Sysenter,
        stubs: table.services().iter().map(|service| stub::build(shape, service, encoding)).collect(),
        past_end: past_end(table, shape),
        refusals: true,
    }
}

/// A stub whose number is one past the end of the table. A full table has none: the next number is another table's.
fn past_end(table: &ServiceTable, shape: Shape) -> Option<stub::Stub> {
    let number = table.limit();
    if number >= limits::SERVICES_PER_TABLE {
        return None;
    }
    // A list of one service is the only way to a service.
    let list = format!("NtPastTheEnd 0 @{number}\n");
    let read = read_list("past the end", list.as_bytes()).ok()?;
    let service = read.list.primary().services().first()?;
    Some(stub::build(shape, service, shape.default_encoding()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_cpu_reaches_the_entry_that_its_shape_has() {
        assert_eq!(entry_of(Shape::Int2e, true), Some(Entry::Int2e));
        assert_eq!(entry_of(Shape::SharedEdx, true), Some(Entry::Sysenter));
        assert_eq!(entry_of(Shape::SharedEdx, false), Some(Entry::Int2e));
        assert_eq!(entry_of(Shape::SharedCallEdx, true), Some(Entry::Sysenter));
        assert_eq!(entry_of(Shape::Sysenter, false), None);
        assert_eq!(entry_of(Shape::Zw, true), Some(Entry::Zw));
    }

    #[test]
    fn a_sparse_table_keeps_its_gaps() {
        let read = read_list("t", b"NtA 1\nNtB 2 @3\n").expect("the list is right");
        let plan = plan(read.list.primary(), &[Shape::Zw]);
        assert_eq!(plan.ssdt, [0, NO_SERVICE, NO_SERVICE, 1]);
        assert_eq!(plan.sspt, [4, 0, 0, 8]);
        let set = &plan.sets[0];
        assert_eq!(set.past_end.as_ref().map(|stub| (stub.number, stub.args)), Some((4, 0)));
        assert_eq!(set.ring, Ring::Kernel);
    }

    #[test]
    fn a_full_table_has_no_number_past_the_end() {
        let read = read_list("t", b"NtA 0 @4095\n").expect("the list is right");
        assert!(plan(read.list.primary(), &[Shape::Int2e]).sets[0].past_end.is_none());
    }
}
