//! The structures that are there before the first instruction runs: descriptor tables, task segment, KPCR, KTHREAD,
//! SharedUserData, the kernel's variables. What the guest itself finds out or sets up is left zero.

use super::BuildError;
use super::assembly::{Assembled, Routine};
use super::block::Block;
use super::data::{harness, kernel};
use super::descriptors::{GDT_SIZE, IDT_SIZE, gdt, idt};
use super::layout::{INITIAL_MXCSR, PAGE, apc, kpcr, mode, service_table, teb, tss, user_context};
use super::memory::{Access, Region};
use super::profile::Profile;
use super::record::{MXCSR_BEFORE, POISON_XMM};
use super::shared_page::shared_data;
use super::user::UserCode;

/// Every region that does not depend on the plan, except the kernel's variables.
pub(crate) fn regions(profile: &Profile, code: &Assembled, user: &UserCode) -> Result<Vec<Region>, BuildError> {
    let stack =
        |end: u64, pages: u32, access| Region::new(end - u64::from(pages * PAGE), Vec::new(), pages * PAGE, access);
    if code.code.len() as u64 > profile.kernel_services - profile.kernel_text {
        return Err(BuildError::DoesNotFit { what: "kernel code" });
    }
    let mut shared = Region::new(profile.shared_kernel, shared_data(profile), PAGE, Access::KernelWrite);
    shared.alias = Some((profile.shared_user, Access::UserRead));
    let mut regions = vec![
        Region::new(profile.kernel_text, code.code.clone(), 0, Access::Kernel),
        Region::new(profile.gdt, tables(profile, code), 0, Access::KernelWrite),
        Region::new(profile.kpcr, processor(profile), 0, Access::KernelWrite),
        shared,
        Region::new(profile.teb, thread_block(profile), 0, Access::UserWrite),
        stack(profile.initial_stack, profile.kernel_stack_pages, Access::KernelWrite),
        stack(profile.user_stack, profile.user_stack_pages, Access::UserWrite),
        Region::new(profile.user_text, user.harness.clone(), 0, Access::User),
        Region::new(profile.user_data, user_block(profile, user), PAGE, Access::UserWrite),
    ];
    // An unmapped page below each, so that none runs into another.
    for index in 0..INTERRUPT_STACKS {
        regions.push(stack(interrupt_stack(profile, index), 1, Access::KernelWrite));
    }
    Ok(regions)
}

/// Interrupt stacks: double fault, machine check, NMI.
const INTERRUPT_STACKS: u32 = 3;

/// End of an interrupt stack.
fn interrupt_stack(profile: &Profile, index: u32) -> u64 {
    profile.interrupt_stacks - u64::from(2 * PAGE * index)
}

/// GDT, IDT and task segment.
fn tables(profile: &Profile, code: &Assembled) -> Vec<u8> {
    let idt_offset = (profile.idt - profile.gdt) as u32;
    let tss_offset = (profile.tss - profile.gdt) as u32;
    let mut block = Block::new((idt_offset + IDT_SIZE).max(tss_offset + tss::SIZE));
    for (index, descriptor) in gdt(profile).into_iter().enumerate() {
        block.qword(8 * index as u32, descriptor);
    }
    for (index, half) in idt(profile, |routine| code.address(routine)).into_iter().enumerate() {
        block.qword(idt_offset + 8 * index as u32, half);
    }
    block.qword(tss_offset + tss::RSP0, profile.initial_stack);
    for index in 0..INTERRUPT_STACKS {
        block.qword(tss_offset + tss::IST1 + 8 * index, interrupt_stack(profile, index));
    }
    block.word(tss_offset + tss::IO_MAP_BASE, tss::SIZE);
    block.finish()
}

/// `KPCR`.
fn processor(profile: &Profile) -> Vec<u8> {
    let mut block = Block::new(kpcr::SIZE);
    for (field, value) in [
        (kpcr::GDT, profile.gdt),
        (kpcr::TSS, profile.tss),
        (kpcr::SELF, profile.kpcr),
        (kpcr::CURRENT_PRCB, profile.kpcr + u64::from(kpcr::PRCB)),
        (kpcr::USED_SELF, profile.teb),
        (kpcr::IDT, profile.idt),
        (kpcr::CURRENT_THREAD, profile.kernel_data + u64::from(kernel::THREAD)),
        (kpcr::RSP_BASE, profile.initial_stack),
    ] {
        block.qword(field, value);
    }
    block.word(kpcr::MAJOR_VERSION, 1);
    block.word(kpcr::MINOR_VERSION, 1);
    block.dword(kpcr::MXCSR, INITIAL_MXCSR);
    block.finish()
}

/// The thread's TEB, no more than its `NT_TIB`.
fn thread_block(profile: &Profile) -> Vec<u8> {
    let mut block = Block::new(teb::SIZE);
    block.qword(teb::STACK_BASE, profile.user_stack);
    block.qword(teb::STACK_LIMIT, profile.user_stack - u64::from(profile.user_stack_pages * PAGE));
    block.qword(teb::SELF, profile.teb);
    block.qword(teb::PEB, profile.peb);
    block.finish()
}

/// What both harness blocks hold from the start.
fn harness_block(block: &mut Block, base: u32, stack: u64, direct: u64) {
    block.qword(base + harness::STACK, stack);
    block.qword(base + harness::DIRECT, direct);
    block.dword(base + harness::MXCSR, MXCSR_BEFORE);
    for register in 0..16 {
        for half in 0..2 {
            let value = POISON_XMM + u64::from(register);
            block.qword(base + harness::XMM_BEFORE + 16 * register + 8 * half, value);
        }
    }
}

/// The ring-3 harness's variables.
fn user_block(profile: &Profile, user: &UserCode) -> Vec<u8> {
    let mut block = Block::new(harness::SIZE);
    harness_block(&mut block, 0, profile.user_stack, user.direct_syscall);
    block.finish()
}

/// The kernel's variables: thread, process, descriptor tables, texts, digits. The plan's part is still zero.
pub(crate) fn kernel_data(profile: &Profile, code: &Assembled) -> Result<Block, BuildError> {
    if code.texts.len() as u32 > kernel::HEX - kernel::TEXTS {
        return Err(BuildError::DoesNotFit { what: "texts of the kernel" });
    }
    let thread = profile.thread;
    let base = profile.kernel_data;
    let mut block = Block::new(kernel::END);
    block.qword(kernel::THREAD + thread.initial_stack, profile.initial_stack);
    let stack = u64::from(profile.kernel_stack_pages * PAGE);
    block.qword(kernel::THREAD + thread.stack_limit, profile.initial_stack - stack);
    block.qword(kernel::THREAD + thread.teb, profile.teb);
    for head in [thread.apc_state, thread.apc_state + apc::USER_QUEUE] {
        let head = kernel::THREAD + head;
        block.qword(head, base + u64::from(head));
        block.qword(head + 8, base + u64::from(head));
    }
    if let Some(table) = thread.service_table {
        block.qword(kernel::THREAD + table, base + u64::from(kernel::POINTER_TABLE));
    }
    block.qword(kernel::THREAD + thread.process, base + u64::from(kernel::PROCESS));
    block.qword(kernel::THREAD + thread.trap_frame, profile.base_frame());
    block.byte(kernel::THREAD + thread.previous_mode, mode::USER);
    for (pointer, address, size) in
        [(kernel::GDT_POINTER, profile.gdt, GDT_SIZE), (kernel::IDT_POINTER, profile.idt, IDT_SIZE)]
    {
        block.word(pointer, size - 1);
        block.qword(pointer + 2, address);
    }
    block.qword(kernel::USER_PROBE_ADDRESS, profile.user_probe_address);
    block.dword(kernel::PROOF, 1);
    block.dword(kernel::MXCSR_MASK, user_context::MXCSR_MASK);
    harness_block(&mut block, kernel::HARNESS, 0, code.address(Routine::NtgateDirect));
    block.put(kernel::TEXTS, &code.texts);
    for byte in 0..=255u32 {
        let digits = format!("{byte:02x}");
        block.put(kernel::HEX + 2 * byte, digits.as_bytes());
    }
    Ok(block)
}

/// Fills in one of the descriptors of a table: what calls of its form read.
pub(crate) fn descriptor(block: &mut Block, at: u32, table: u64, limit: usize, arguments: u64) {
    block.qword(at + service_table::BASE, table);
    block.dword(at + service_table::LIMIT, limit as u32);
    block.qword(at + service_table::NUMBER, arguments);
}
