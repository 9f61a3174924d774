//! The structures that are there before the first instruction runs: descriptor tables, task segments, KPCR, KTHREAD,
//! SharedUserData, the kernel's variables. What the guest itself finds out or sets up is left zero.

use super::BuildError;
use super::assembly::{Assembled, Routine};
use super::block::Block;
use super::data::{harness, kernel};
use super::descriptors::{GDT_SIZE, IDT_SIZE, gdt, idt};
use super::layout::{PAGE, apc, eflags, kpcr, mode, selector, service_table, teb, tss};
use super::memory::{Access, Region, page_tables};
use super::profile::Profile;
use super::shared_page;
use super::user::UserCode;

/// Every region that does not depend on the plan, except the kernel's variables.
pub(crate) fn regions(profile: &Profile, code: &Assembled, user: &UserCode) -> Result<Vec<Region>, BuildError> {
    let at = |routine: Routine| code.address(routine) as u32;
    let stack = |end: u32, pages: u32, access| Region::new(end - pages * PAGE, Vec::new(), pages * PAGE, access);
    if code.code.len() as u32 > profile.kernel_services - profile.kernel_text {
        return Err(BuildError::DoesNotFit { what: "kernel code" });
    }
    let mut shared = Region::new(profile.shared_kernel, shared_page::content(profile), PAGE, Access::KernelWrite);
    shared.alias = Some((profile.shared_user.into(), Access::User));
    Ok(vec![
        Region::new(profile.kernel_text, code.code.clone(), 0, Access::Kernel),
        Region::new(profile.gdt, tables(profile, &at), PAGE, Access::KernelWrite),
        Region::new(profile.tss, task_segment(profile), tss::SIZE, Access::KernelWrite),
        Region::new(profile.fault_tss, fault_tasks(profile, &at), PAGE, Access::KernelWrite),
        Region::new(profile.kpcr, processor(profile), PAGE, Access::KernelWrite),
        shared,
        Region::new(profile.teb, thread_block(profile), PAGE, Access::UserWrite),
        stack(profile.initial_stack, profile.kernel_stack_pages, Access::KernelWrite),
        stack(profile.dpc_stack, 1, Access::KernelWrite),
        stack(profile.fault_stack, 1, Access::KernelWrite),
        stack(profile.user_stack, profile.user_stack_pages, Access::UserWrite),
        Region::new(profile.user_text, user.harness.clone(), 0, Access::User),
        Region::new(profile.user_data, user_block(profile, user), PAGE, Access::UserWrite),
    ])
}

/// GDT and IDT share a page.
fn tables(profile: &Profile, at: &dyn Fn(Routine) -> u32) -> Vec<u8> {
    let mut block = Block::new(PAGE);
    let base = profile.gdt;
    for (index, descriptor) in gdt(profile).into_iter().enumerate() {
        block.put(8 * index as u32, &descriptor.to_le_bytes());
    }
    for (index, descriptor) in idt(profile, at).into_iter().enumerate() {
        block.put(profile.idt - base + 8 * index as u32, &descriptor.to_le_bytes());
    }
    block.finish()
}

/// `KTSS`: only what a stack switch needs; the CPU fills the rest when a task gate interrupts.
fn task_segment(profile: &Profile) -> Vec<u8> {
    let mut block = Block::new(tss::SIZE);
    block.dword(tss::ESP0, profile.esp0());
    block.word(tss::SS0, selector::R0_DATA);
    block.dword(tss::CR3, page_tables(profile.boot_physical));
    // No I/O map is active: the offset is past the limit.
    block.word(tss::IO_MAP_BASE, tss::SIZE);
    block.finish()
}

/// The tasks of the double-fault and the NMI handler.
fn fault_tasks(profile: &Profile, at: &dyn Fn(Routine) -> u32) -> Vec<u8> {
    use super::layout::vector;
    let mut block = Block::new(PAGE);
    for (address, number) in [(profile.double_fault_tss(), vector::DOUBLE_FAULT), (profile.nmi_tss(), vector::NMI)] {
        let base = address - profile.fault_tss;
        block.dword(base + tss::ESP0, profile.fault_stack);
        block.word(base + tss::SS0, selector::R0_DATA);
        block.dword(base + tss::CR3, page_tables(profile.boot_physical));
        block.dword(base + tss::EIP, at(Routine::KiTrap(number as u8)));
        block.dword(base + tss::EFLAGS, eflags::ALWAYS);
        block.dword(base + tss::ESP, profile.fault_stack);
        block.word(base + tss::CS, selector::R0_CODE);
        block.word(base + tss::SS, selector::R0_DATA);
        block.word(base + tss::DS, selector::R3_DATA);
        block.word(base + tss::ES, selector::R3_DATA);
        block.word(base + tss::FS, selector::R0_PCR);
        block.word(base + tss::IO_MAP_BASE, tss::HARDWARE_SIZE);
    }
    block.finish()
}

/// `KPCR`.
fn processor(profile: &Profile) -> Vec<u8> {
    let mut block = Block::new(PAGE);
    block.dword(kpcr::EXCEPTION_LIST, kpcr::EXCEPTION_CHAIN_END);
    block.dword(kpcr::STACK_BASE, profile.initial_stack);
    block.dword(kpcr::STACK_LIMIT, profile.initial_stack - profile.kernel_stack_pages * PAGE);
    block.dword(kpcr::TEB, profile.teb);
    block.dword(kpcr::SELF_PCR, profile.kpcr);
    block.dword(kpcr::PRCB, profile.kpcr + kpcr::PRCB_DATA);
    block.dword(kpcr::IDT, profile.idt);
    block.dword(kpcr::GDT, profile.gdt);
    block.dword(kpcr::TSS, profile.tss);
    block.word(kpcr::MAJOR_VERSION, 1);
    block.word(kpcr::MINOR_VERSION, 1);
    block.dword(kpcr::SET_MEMBER, 1);
    block.dword(kpcr::CURRENT_THREAD, profile.kernel_data + kernel::THREAD);
    block.finish()
}

/// The thread's TEB, no more than its `NT_TIB`.
fn thread_block(profile: &Profile) -> Vec<u8> {
    let mut block = Block::new(PAGE);
    block.dword(teb::EXCEPTION_LIST, kpcr::EXCEPTION_CHAIN_END);
    block.dword(teb::STACK_BASE, profile.user_stack);
    block.dword(teb::STACK_LIMIT, profile.user_stack - profile.user_stack_pages * PAGE);
    block.dword(teb::SELF, profile.teb);
    block.dword(teb::PEB, profile.peb);
    block.finish()
}

/// The ring-3 harness's variables.
fn user_block(profile: &Profile, user: &UserCode) -> Vec<u8> {
    let mut block = Block::new(PAGE);
    block.dword(harness::STACK, profile.user_stack);
    block.dword(harness::DIRECT, user.direct_int);
    block.finish()
}

/// The kernel's variables: thread, descriptor tables, texts, digits. The plan's part is still zero.
pub(crate) fn kernel_data(profile: &Profile, code: &Assembled, user: &UserCode) -> Result<Block, BuildError> {
    if code.texts.len() as u32 > kernel::HEX - kernel::TEXTS {
        return Err(BuildError::DoesNotFit { what: "texts of the kernel" });
    }
    let thread = profile.thread;
    let base = profile.kernel_data;
    let mut block = Block::new(kernel::END);
    block.dword(kernel::THREAD + thread.initial_stack, profile.initial_stack);
    block.dword(kernel::THREAD + thread.teb, profile.teb);
    block.dword(kernel::THREAD + thread.stack_limit, profile.initial_stack - profile.kernel_stack_pages * PAGE);
    block.byte(kernel::THREAD + thread.previous_mode, mode::USER);
    for head in [thread.apc_state, thread.apc_state + apc::USER_QUEUE] {
        let head = kernel::THREAD + head;
        block.dword(head, base + head);
        block.dword(head + 4, base + head);
    }
    block.dword(kernel::THREAD + thread.service_table, base + kernel::DESCRIPTOR_TABLE);
    let shadow = kernel::DESCRIPTOR_TABLE_SHADOW + service_table::TEST;
    block.dword(shadow + service_table::BASE, base + kernel::W32P_SERVICE_TABLE);
    // A byte above zero: such a number is invalid, and says so.
    block.put(kernel::W32P_SERVICE_TABLE, &[1; service_table::MAX_SERVICES]);
    for (pointer, address, size) in
        [(kernel::GDT_POINTER, profile.gdt, GDT_SIZE), (kernel::IDT_POINTER, profile.idt, IDT_SIZE)]
    {
        block.word(pointer, size - 1);
        block.dword(pointer + 2, address);
    }
    block.dword(kernel::USER_PROBE_ADDRESS, profile.user_probe_address);
    block.dword(kernel::START, user.start);
    block.dword(kernel::PROOF, 1);
    block.dword(kernel::REGISTRATION, kpcr::EXCEPTION_CHAIN_END);
    block.put(kernel::TEXTS, &code.texts);
    for byte in 0..=255u32 {
        let digits = format!("{byte:02x}");
        block.put(kernel::HEX + 2 * byte, digits.as_bytes());
    }
    Ok(block)
}
