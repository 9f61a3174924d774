//! What the harness and the kernel go through: sets, call tables, the texts of the log.

use super::assembly::Routine;
use super::block::Block;
use super::data::{call, head, kernel, set};
use super::image::Builder;
use super::memory::{Access, Region};
use super::record::{self, KERNEL_POINTER, PAST_END, POISON_RAX, UNMAPPED_POINTER};
use super::start::CallTable;
use super::{BuildError, Plan, Refusal, Ring, StubSet};

/// One call of the harness.
struct Call {
    target: u64,
    args: u32,
    call: u32,
    rax: u64,
    pointer: u64,
}

impl Builder<'_> {
    /// The calls that have to fail for their stack pointer. Without a service that has stack arguments there are none.
    fn refusals(&self, plan: &Plan, index: usize, set: &StubSet) -> Vec<Refusal> {
        let profile = &self.kernel.profile;
        let rows = plan.tables.first().map(Vec::as_slice).unwrap_or_default();
        let most = rows.iter().enumerate().rev().max_by_key(|(_, row)| row.stack_arguments);
        let Some((number, row)) = most.filter(|(_, row)| set.refusals && row.stack_arguments > 0) else {
            return Vec::new();
        };
        let block = kernel::ARGUMENTS + index as u32 * kernel::ARGUMENT_BLOCK;
        let in_kernel = profile.kernel_data + u64::from(block);
        // Ring 0 is trusted: what it passes is read, so an unmapped pointer would be its own bug check.
        let calls = match set.ring {
            Ring::User => vec![(KERNEL_POINTER, in_kernel), (UNMAPPED_POINTER, profile.user_unmapped + 0x100)],
            Ring::Kernel => vec![(KERNEL_POINTER, in_kernel)],
        };
        let stack_arguments = row.stack_arguments;
        let refusal = |(call, pointer)| Refusal { call, number: number as u32, stack_arguments, pointer };
        calls.into_iter().map(refusal).collect()
    }

    /// Texts, sets and call tables: what the kernel and the harness go through.
    pub(super) fn call_tables(&mut self, plan: &Plan) -> Result<(), BuildError> {
        let profile = &self.kernel.profile;
        let base = profile.user_tables;
        let room = profile.shared_user - base;
        let sets_size = plan.sets.len() as u32 * set::SIZE;
        let mut sets = Block::new(head::SIZE + sets_size);
        // The sets come first, then everything they point to.
        let first = base + u64::from(head::SIZE + sets_size);
        let mut rest: Vec<u8> = Vec::new();
        let text = |rest: &mut Vec<u8>, text: &str| {
            let address = first + rest.len() as u64;
            rest.extend_from_slice(text.as_bytes());
            rest.resize(rest.len().next_multiple_of(8), 0);
            (address, text.len() as u64)
        };
        let (services, count) = (plan.services.len(), plan.sets.len());
        let header = text(&mut rest, &format!("ntgate 1 profile {} services {services} sets {count}\n", profile.name));
        for (field, value) in [
            (head::SETS, base + u64::from(head::SIZE)),
            (head::SETS_END, first),
            (head::TEXT, header.0),
            (head::TEXT + 8, header.1),
        ] {
            sets.qword(field, value);
        }
        for (index, planned) in plan.sets.iter().enumerate() {
            let at = head::SIZE + index as u32 * set::SIZE;
            for (field, line) in [
                (set::BEGIN_TEXT, format!("set {index} {} lstar ", planned.label)),
                (set::END_TEXT, format!("end {index}\n")),
            ] {
                let (address, length) = text(&mut rest, &line);
                sets.qword(at + field, address);
                sets.qword(at + field + 8, length);
            }
            let refusals = self.refusals(plan, index, planned);
            let calls = self.calls(plan, index, &refusals);
            if let Some(layout) = self.sets.get_mut(index) {
                layout.refusals = refusals;
            }
            let table = first + rest.len() as u64;
            self.tables.push(CallTable {
                set: (base + u64::from(at)) as u32,
                field: (base + u64::from(at + set::ENTRIES)) as u32,
                entries: table as u32,
                entry_size: call::SIZE,
                calls: calls.iter().map(|call| call.call).collect(),
            });
            for call in calls {
                rest.extend(entry(index as u32, &call));
            }
            sets.qword(at + set::ENTRIES, table);
            sets.qword(at + set::ENTRIES_END, first + rest.len() as u64);
            for (field, value) in [
                (set::INDEX, index as u32),
                (set::KERNEL, (planned.ring == Ring::Kernel).into()),
                (set::POINTERS, planned.tables as u32),
                (set::SYSTEM_CALL, planned.system_call as u32),
                (set::CALLBACK, planned.callback.into()),
            ] {
                sets.dword(at + field, value);
            }
        }
        let mut bytes = sets.finish();
        bytes.extend_from_slice(&rest);
        if bytes.len() as u64 > room {
            return Err(BuildError::DoesNotFit { what: "call tables" });
        }
        self.regions.push(Region::new(base, bytes, 0, Access::UserRead));
        Ok(())
    }

    /// The calls of one set.
    fn calls(&self, plan: &Plan, index: usize, refusals: &[Refusal]) -> Vec<Call> {
        let (Some(set), Some(layout)) = (plan.sets.get(index), self.sets.get(index)) else {
            return Vec::new();
        };
        let direct = match set.ring {
            Ring::User => self.kernel.user.direct,
            Ring::Kernel => self.kernel.code.address(Routine::NtgateDirect),
        };
        let stub = |target, args, call| Call { target, args, call, rax: POISON_RAX | u64::from(call), pointer: 0 };
        let stubs = layout.stub_addresses.iter().zip(&plan.services).enumerate();
        let mut calls: Vec<Call> =
            stubs.map(|(call, (target, service))| stub(*target, service.args, call as u32)).collect();
        calls.extend(layout.past_end_address.map(|target| stub(target, 0, PAST_END)));
        calls.extend(refusals.iter().map(|refusal| Call {
            target: direct,
            args: 0,
            call: refusal.call,
            rax: refusal.number.into(),
            pointer: refusal.pointer,
        }));
        calls
    }
}

/// A call as bytes.
fn entry(set: u32, planned: &Call) -> Vec<u8> {
    let mut block = Block::new(call::SIZE);
    block.qword(call::TARGET, planned.target);
    block.qword(call::FIRST_ARGUMENT, record::first_argument(set, planned.call));
    block.qword(call::RAX, planned.rax);
    block.qword(call::POINTER, planned.pointer);
    block.dword(call::ARGUMENTS, planned.args);
    block.dword(call::CALL, set << 16 | planned.call);
    block.finish()
}
