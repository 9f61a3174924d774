//! What the harness and the kernel go through: sets, call tables, the texts of the log.

use super::assembly::Routine;
use super::block::Block;
use super::data::{call, kernel, set};
use super::image::Builder;
use super::memory::{Access, Region};
use super::record::{self, KERNEL_POINTER, PAST_END, UNMAPPED_POINTER};
use super::start::CallTable;
use super::{BuildError, Plan, Refusal, Ring, StubSet};

impl Builder<'_> {
    /// The calls that have to fail for their argument pointer. Without a service that has arguments there are none.
    fn refusals(&self, plan: &Plan, index: usize, set: &StubSet) -> Vec<Refusal> {
        let profile = &self.kernel.profile;
        let most = plan.sspt.iter().enumerate().rev().max_by_key(|(_, bytes)| **bytes);
        let Some((number, args_bytes)) = most.filter(|(_, bytes)| set.refusals && **bytes > 0) else {
            return Vec::new();
        };
        let in_kernel = profile.kernel_data + kernel::ARGUMENTS + index as u32 * kernel::ARGUMENT_BLOCK;
        // Ring 0 is trusted: what it passes is read, so an unmapped pointer would be its own bug check.
        let calls = match set.ring {
            Ring::User => vec![(KERNEL_POINTER, in_kernel), (UNMAPPED_POINTER, profile.user_unmapped + 0x100)],
            Ring::Kernel => vec![(KERNEL_POINTER, in_kernel)],
        };
        let refusal = |(call, pointer)| Refusal { call, number: number as u32, args_bytes: *args_bytes, pointer };
        calls.into_iter().map(refusal).collect()
    }

    /// Texts, sets and call tables: what the kernel and the harness go through.
    pub(super) fn call_tables(&mut self, plan: &Plan) -> Result<(), BuildError> {
        let base = self.kernel.profile.user_tables;
        let mut sets = Block::new(plan.sets.len() as u32 * set::SIZE);
        // The sets come first, then everything they point to.
        let first = base + plan.sets.len() as u32 * set::SIZE;
        let mut rest: Vec<u8> = Vec::new();
        let text = |rest: &mut Vec<u8>, text: String| {
            let address = first + rest.len() as u32;
            rest.extend_from_slice(text.as_bytes());
            rest.resize(rest.len().next_multiple_of(4), 0);
            (address, text.len() as u32)
        };
        let name = self.kernel.profile.name;
        let header = format!("ntgate 1 profile {name} services {} sets {}\n", plan.services.len(), plan.sets.len());
        let header = text(&mut rest, header);
        for (index, planned) in plan.sets.iter().enumerate() {
            let at = index as u32 * set::SIZE;
            let label = &planned.label;
            for (field, line) in [
                (set::BEGIN_TEXT, format!("set {index} {label} entry ")),
                (set::SKIP_TEXT, format!("set {index} {label} skipped\n")),
                (set::END_TEXT, format!("end {index}\n")),
            ] {
                let (address, length) = text(&mut rest, line);
                sets.dword(at + field, address);
                sets.dword(at + field + 4, length);
            }
            let refusals = self.refusals(plan, index, planned);
            let entries = self.entries(plan, index, &refusals);
            if let Some(layout) = self.sets.get_mut(index) {
                layout.refusals = refusals;
            }
            let table = first + rest.len() as u32;
            sets.dword(at + set::ENTRIES, table);
            let calls = entries.chunks_exact(call::SIZE as usize / 4);
            self.tables.push(CallTable {
                set: base + at,
                field: base + at + set::ENTRIES,
                entries: table,
                entry_size: call::SIZE,
                calls: calls.map(|entry| entry[call::CALL as usize / 4] & 0xFFFF).collect(),
            });
            rest.extend(entries.iter().flat_map(|dword| dword.to_le_bytes()));
            sets.dword(at + set::ENTRIES_END, first + rest.len() as u32);
            sets.dword(at + set::FORM, planned.form as u32);
            sets.dword(at + set::NEEDS_SYSENTER, planned.needs_sysenter.into());
            sets.dword(at + set::KERNEL, (planned.ring == Ring::Kernel).into());
            sets.dword(at + set::INDEX, index as u32);
        }
        let mut bytes = sets.finish();
        bytes.extend_from_slice(&rest);
        if bytes.len() as u64 > u64::from(self.kernel.profile.ntdll_stubs - base) {
            return Err(BuildError::DoesNotFit { what: "call tables" });
        }
        let mut plan_block = Block::from(std::mem::take(&mut self.data));
        plan_block.dword(kernel::HEADER_TEXT, header.0);
        plan_block.dword(kernel::HEADER_TEXT + 4, header.1);
        plan_block.dword(kernel::SETS, base);
        plan_block.dword(kernel::SETS_END, first);
        self.data = plan_block.finish();
        self.regions.push(Region::new(base, bytes, 0, Access::User));
        Ok(())
    }

    /// The call table of one set, as dwords.
    fn entries(&self, plan: &Plan, index: usize, refusals: &[Refusal]) -> Vec<u32> {
        let (Some(set), Some(layout)) = (plan.sets.get(index), self.sets.get(index)) else {
            return Vec::new();
        };
        let direct = match set.ring {
            Ring::User => self.kernel.user.direct,
            Ring::Kernel => self.kernel.address(Routine::NtgateDirect),
        };
        let number = index as u32;
        let poison = |call: u32| [record::POISON_EAX | call, record::POISON_EDX | call];
        let mut entries = Vec::with_capacity((layout.stub_addresses.len() + 3) * call::SIZE as usize / 4);
        let mut entry = |target: u32, args: u32, call: u32, [a, d]: [u32; 2]| {
            entries.extend([target, args, number << 16 | call, record::first_argument(number, call), a, d]);
        };
        for (call, (target, service)) in layout.stub_addresses.iter().zip(&plan.services).enumerate() {
            let call = call as u32;
            entry(*target, service.args_bytes / 4, call, poison(call));
        }
        if let Some(target) = layout.past_end_address {
            entry(target, 0, PAST_END, poison(PAST_END));
        }
        for refusal in refusals {
            entry(direct, 0, refusal.call, [refusal.number, refusal.pointer]);
        }
        entries
    }
}
