//! The 32-bit guest: which sets a proof has, what its log looks like, how its tables are broken.

mod expect;
mod facts;
#[cfg(test)]
mod tests;

use ntgate_gen::stub::Stub;
use ntgate_gen::{Arch, Service, Shape, stub};

use super::cpu::Cpu;
use super::guest::{Change, Guest, Row, Services, Set, SetView};
use super::log::Form;
use super::mutation::Mutation;
use super::verdict::Expected;
use crate::nt::Entry;
use crate::nt::record::PAST_END;
use crate::nt::{BuildError, Image, Kernel, Plan, PlannedService, Profile, Ring, Start, StubSet, SystemCallForm};

/// The guest of a profile.
pub(super) struct I386 {
    profile: Profile,
    kernel: Kernel,
}

impl I386 {
    pub(super) fn new(profile: &Profile) -> Result<Self, BuildError> {
        Ok(Self { profile: profile.clone(), kernel: Kernel::new(profile)? })
    }

    /// Whether the system uses SYSENTER on a CPU.
    fn uses_sysenter(&self, cpu: &Cpu) -> bool {
        cpu.sysenter && self.profile.uses_sysenter()
    }
}

impl Guest for I386 {
    type Plan = Plan;
    type Image = Image;

    const FORM: &'static Form = &facts::FORM;
    const MUTANT_CPU: &'static str = "pentium2";

    fn profile(&self) -> &'static str {
        self.profile.name
    }

    fn plan(&self, services: &Services<'_>, shapes: &[Shape]) -> Plan {
        plan(services, shapes)
    }

    fn image(&self, plan: &Plan) -> Result<Image, BuildError> {
        self.kernel.image(plan)
    }

    fn elf(image: &Image) -> &[u8] {
        &image.elf
    }

    fn set_start(image: &mut Image, start: Start) -> Result<(), BuildError> {
        image.set_start(start)
    }

    fn set(plan: &Plan, index: usize) -> Option<Set<'_>> {
        plan.sets.get(index).map(common)
    }

    fn services(plan: &Plan) -> usize {
        plan.services.len()
    }

    fn stubs_mut(plan: &mut Plan) -> Vec<&mut Vec<Stub>> {
        plan.sets.iter_mut().map(|set| &mut set.stubs).collect()
    }

    fn drop_bad_calls(plan: &mut Plan) {
        for set in &mut plan.sets {
            (set.past_end, set.refusals) = (None, false);
        }
    }

    fn break_row(plan: &mut Plan, row: Row, _: &Service, mutation: Mutation) -> Change {
        let by = match mutation {
            Mutation::ArgumentBytesPlus => 4,
            Mutation::ArgumentBytesMinus => -4,
            _ => return Change::Impossible,
        };
        let (_, sspt) = tables(plan, row.table);
        match sspt.get_mut(row.row) {
            Some(bytes) => *bytes = bytes.wrapping_add_signed(by),
            None => return Change::Impossible,
        }
        Change::Made
    }

    fn swap_rows(plan: &mut Plan, a: Row, b: Row, all: bool) {
        let (ssdt, sspt) = tables(plan, a.table);
        ssdt.swap(a.row, b.row);
        if all {
            sspt.swap(a.row, b.row);
        }
    }

    fn cpus(&self) -> Vec<Cpu> {
        Cpu::of(Arch::I386).into_iter().filter(|cpu| self.profile.cpus.contains(&cpu.name)).collect()
    }

    fn entry(&self, set: &Set<'_>, cpu: &Cpu) -> Option<Entry> {
        entry_of(set.shape()?, self.uses_sysenter(cpu))
    }

    fn calls(image: &Image, set: usize) -> Vec<u32> {
        let Some(layout) = image.sets.get(set) else { return Vec::new() };
        let stubs = 0..u32::try_from(layout.stub_addresses.len()).unwrap_or(PAST_END);
        let past_end = layout.past_end_address.map(|_| PAST_END);
        stubs.chain(past_end).chain(layout.refusals.iter().map(|refusal| refusal.call)).collect()
    }

    fn cpu_line(&self, cpu: &Cpu) -> String {
        let Cpu { cpuid, family, model, stepping, sep, .. } = *cpu;
        if !cpuid {
            return "cpuid 0".to_owned();
        }
        let (sep, sysenter) = (u32::from(sep), u32::from(self.uses_sysenter(cpu)));
        format!("cpuid 1 family {family:x} model {model:x} stepping {stepping:x} sep {sep} sysenter {sysenter}")
    }

    fn set_facts(view: &SetView<'_, Self>) -> [u64; 2] {
        view.shared().map(u64::from)
    }

    fn expected(view: &SetView<'_, Self>, call: u32) -> Option<Expected> {
        view.expected(call)
    }
}

fn common(set: &StubSet) -> Set<'_> {
    Set { label: &set.label, stubs: &set.stubs, past_end: set.past_end.as_ref(), by_interrupt: false }
}

/// How a shape's stubs get in where the system uses SYSENTER or does not; `None` if they cannot run there.
fn entry_of(shape: Shape, sysenter: bool) -> Option<Entry> {
    match shape {
        _ if shape.arch() != Arch::I386 => None,
        Shape::Zw => Some(Entry::Zw),
        Shape::Sysenter => sysenter.then_some(Entry::Sysenter),
        _ if form_of(shape) != SystemCallForm::Unused && sysenter => Some(Entry::Sysenter),
        _ => Some(Entry::Int2e),
    }
}

/// What a shape's stubs expect at SharedUserData+300h.
fn form_of(shape: Shape) -> SystemCallForm {
    match shape {
        Shape::SharedCallEdx => SystemCallForm::Code,
        Shape::SharedEdx | Shape::SharedEcx => SystemCallForm::Pointer,
        _ => SystemCallForm::Unused,
    }
}

/// Service table and argument table, of the kernel or of win32k.
fn tables(plan: &mut Plan, table: usize) -> (&mut Vec<usize>, &mut Vec<u8>) {
    match table {
        0 => (&mut plan.ssdt, &mut plan.sspt),
        _ => (&mut plan.shadow_ssdt, &mut plan.shadow_sspt),
    }
}

/// A row of the service table without a service.
const NO_SERVICE: usize = usize::MAX;

fn plan(services: &Services<'_>, shapes: &[Shape]) -> Plan {
    let bytes = |service: &Service| service.arg_bytes(Arch::I386);
    let all: Vec<&Service> = services.iter().collect();
    let planned =
        |service: &&Service| PlannedService { name: service.name().nt().to_owned(), args_bytes: bytes(service) };
    let mut plan = Plan {
        services: all.iter().map(planned).collect(),
        ssdt: Vec::new(),
        sspt: Vec::new(),
        shadow_ssdt: Vec::new(),
        shadow_sspt: Vec::new(),
        sets: shapes.iter().map(|&shape| set(services, shape)).collect(),
        start: Start::default(),
    };
    for (table, indices) in services.indices().into_iter().enumerate() {
        let (ssdt, sspt) = tables(&mut plan, table);
        for index in indices {
            let service = index.and_then(|index| all.get(index));
            ssdt.push(index.unwrap_or(NO_SERVICE));
            sspt.push(service.map_or(0, |service| u8::try_from(bytes(service)).unwrap_or(u8::MAX)));
        }
    }
    plan
}

fn set(services: &Services<'_>, shape: Shape) -> StubSet {
    let encoding = shape.default_encoding();
    StubSet {
        label: shape.name().to_owned(),
        form: form_of(shape),
        ring: if shape.is_kernel() { Ring::Kernel } else { Ring::User },
        needs_sysenter: shape == Shape::Sysenter,
        stubs: services.iter().map(|service| stub::build(shape, service, encoding)).collect(),
        past_end: services.past_end(shape),
        refusals: true,
    }
}
