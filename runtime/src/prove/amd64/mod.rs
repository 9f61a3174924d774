//! The 64-bit guest: which sets a proof has, what its log looks like, how its tables are broken.

mod expect;
mod facts;
#[cfg(test)]
mod tests;

use ntgate_gen::stub::Stub;
use ntgate_gen::{Arch, Service, Shape, stub};

use super::cpu::Cpu;
use super::guest::{self, Change, Guest, Services, Set, SetView};
use super::log::Form;
use super::mutation::Mutation;
use super::verdict::Expected;
use crate::nt::Entry;
use crate::nt::amd64::layout::COPY_RUN;
use crate::nt::amd64::record::PAST_END;
use crate::nt::amd64::{Image, Kernel, Plan, PlannedService, Profile, Row, StubSet, SystemCall, TableForm};
use crate::nt::{BuildError, Ring, Start};

/// The guest of a profile.
pub(super) struct Amd64 {
    profile: Profile,
    kernel: Kernel,
    addresses: Addresses,
}

/// Addresses of the guest's own code that its records have, whatever the plan.
struct Addresses {
    system_call: u64,
    reactos_system_call: u64,
    linkage: u64,
    direct_syscall_return: u64,
    direct_int_return: u64,
}

impl Amd64 {
    pub(super) fn new(profile: &Profile) -> Result<Self, BuildError> {
        let kernel = Kernel::new(profile)?;
        let empty = kernel.image(&Plan::default())?;
        let address = |name: &'static str| {
            let symbol = empty.symbols.iter().find(|symbol| symbol.name == name);
            symbol.map(|symbol| symbol.address).ok_or(BuildError::NoSuchSymbol { name })
        };
        let addresses = Addresses {
            system_call: address("nt!KiSystemCall64")?,
            reactos_system_call: address("reactos!KiSystemCallEntry64")?,
            linkage: address("nt!KiServiceLinkage")?,
            direct_syscall_return: address("ntgate!DirectSyscallReturn")?,
            direct_int_return: address("ntgate!DirectIntReturn")?,
        };
        Ok(Self { profile: profile.clone(), kernel, addresses })
    }
}

impl Guest for Amd64 {
    type Plan = Plan;
    type Image = Image;

    const FORM: &'static Form = &facts::FORM;
    const MUTANT_CPU: &'static str = "core2duo";

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

    fn break_row(plan: &mut Plan, row: guest::Row, service: &Service, mutation: Mutation) -> Change {
        let args = u32::from(service.args(Arch::Amd64));
        let packed = plan.sets.iter().any(|set| set.tables == TableForm::Packed);
        let Some(row) = plan.tables.get_mut(row.table).and_then(|table| table.get_mut(row.row)) else {
            return Change::Impossible;
        };
        match mutation {
            Mutation::OffsetPlus => row.displacement += 16,
            Mutation::OffsetMinus => row.displacement -= 16,
            Mutation::PackedCountPlus if packed && row.stack_arguments < COPY_RUN as u32 => row.stack_arguments += 1,
            Mutation::PackedCountMinus if packed && row.stack_arguments > 0 => row.stack_arguments -= 1,
            Mutation::ArgumentBytesPlus if !packed && args < 4 + COPY_RUN as u32 => row.argument_bytes += 8,
            Mutation::ArgumentBytesMinus if !packed && args > 0 => row.argument_bytes -= 8,
            _ => return Change::Impossible,
        }
        // The first four arguments come in registers.
        let in_registers = match mutation {
            Mutation::ArgumentBytesPlus => args < 4,
            Mutation::ArgumentBytesMinus => args <= 4,
            _ => false,
        };
        if in_registers {
            Change::Same("no argument is on the stack before or after: all come in registers")
        } else {
            Change::Made
        }
    }

    fn swap_rows(plan: &mut Plan, a: guest::Row, b: guest::Row, all: bool) {
        let Some(table) = plan.tables.get_mut(a.table) else { return };
        table.swap(a.row, b.row);
        if !all && let Ok([a, b]) = table.get_disjoint_mut([a.row, b.row]) {
            std::mem::swap(&mut a.stack_arguments, &mut b.stack_arguments);
            std::mem::swap(&mut a.argument_bytes, &mut b.argument_bytes);
        }
    }

    fn cpus(&self) -> Vec<Cpu> {
        Cpu::of(Arch::Amd64).into_iter().filter(|cpu| self.profile.cpus.contains(&cpu.name)).collect()
    }

    fn entry(&self, set: &Set<'_>, _: &Cpu) -> Option<Entry> {
        let shape = set.shape()?;
        match shape {
            _ if shape.arch() != Arch::Amd64 => None,
            _ if shape.is_kernel() => Some(Entry::Zw),
            _ if set.by_interrupt => Some(Entry::Int2e),
            _ => Some(Entry::Syscall),
        }
    }

    fn calls(image: &Image, set: usize) -> Vec<u32> {
        let Some(layout) = image.sets.get(set) else { return Vec::new() };
        let stubs = 0..u32::try_from(layout.stub_addresses.len()).unwrap_or(PAST_END);
        let past_end = layout.past_end_address.map(|_| PAST_END);
        stubs.chain(past_end).chain(layout.refusals.iter().map(|refusal| refusal.call)).collect()
    }

    fn cpu_line(&self, cpu: &Cpu) -> String {
        format!("family {:x} model {:x} stepping {:x}", cpu.family, cpu.model, cpu.stepping)
    }

    fn set_facts(view: &SetView<'_, Self>) -> [u64; 2] {
        view.lstar_and_shared()
    }

    fn expected(view: &SetView<'_, Self>, call: u32) -> Option<Expected> {
        view.expected(call)
    }
}

fn common(set: &StubSet) -> Set<'_> {
    let by_interrupt = set.system_call == SystemCall::Interrupt;
    Set { label: &set.label, stubs: &set.stubs, past_end: set.past_end.as_ref(), by_interrupt }
}

fn plan(services: &Services<'_>, shapes: &[Shape]) -> Plan {
    let args = |service: &Service| u32::from(service.args(Arch::Amd64));
    let all: Vec<&Service> = services.iter().collect();
    let row = |index: Option<usize>| {
        let service = index.and_then(|index| Some((index, all.get(index)?)));
        service.map_or_else(Row::unused, |(index, service)| Row::new(index, args(service)))
    };
    let planned = |service: &&Service| PlannedService { name: service.name().nt().to_owned(), args: args(service) };
    Plan {
        services: all.iter().map(planned).collect(),
        tables: services.indices().into_iter().map(|table| table.into_iter().map(row).collect()).collect(),
        sets: shapes.iter().flat_map(|&shape| sets(services, shape)).collect(),
        start: Start::default(),
    }
}

/// A set, or two where the shared page chooses between two ways in.
fn sets(services: &Services<'_>, shape: Shape) -> Vec<StubSet> {
    let encoding = shape.default_encoding();
    let numbered = shape != Shape::ZwReactos;
    let set = StubSet {
        label: shape.name().to_owned(),
        ring: if shape.is_kernel() { Ring::Kernel } else { Ring::User },
        tables: if shape == Shape::SyscallReactos { TableForm::Pointers } else { TableForm::Packed },
        system_call: SystemCall::Syscall,
        callback: false,
        stubs: services.iter().map(|service| stub::build(shape, service, encoding)).collect(),
        // ReactOS's kernel stubs name their service: there is no number to be wrong, and no table to look it up in.
        past_end: if numbered { services.past_end(shape) } else { None },
        refusals: numbered,
    };
    match shape {
        Shape::SyscallOrInt2e => vec![set.clone(), StubSet { system_call: SystemCall::Interrupt, ..set }],
        _ => vec![set],
    }
}
