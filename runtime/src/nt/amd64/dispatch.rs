//! From the number to the service: tables, argument copy, numbers that are out of range.

use iced_x86::code_asm::{byte_ptr, dword_ptr, eax, edi, esi, qword_ptr, r10, r11, rax, rbx, rdi, rsi, rsp};

use super::assembly::{Asm, KernelAsm, Routine};
use super::data::kernel;
use super::entry::{field, restore_arguments, save_arguments};
use super::layout::{COPY_AREA, COPY_RUN, selector, service_table, status, teb, trap_frame};
use super::report;

/// Emits all of this file.
pub(crate) fn emit(k: &mut KernelAsm<'_>) -> Asm {
    start(k)?;
    argument_copy(k)?;
    range(k)
}

/// Bytes of one step of the copy run: a load and a store of four bytes each.
const COPY_STEP: u32 = 8;

/// EAX = number, RCX, RDX, R8, R9 = arguments, RBX = thread, RBP = into the frame, RSP = frame.
fn start(k: &mut KernelAsm<'_>) -> Asm {
    let no_batch = &mut k.a.create_label();
    let thread = k.profile.thread;
    k.begin(Routine::KiSystemServiceStart)?;
    report::entry_facts(k, -(trap_frame::RBP_BIAS as i32))?;
    // `syscall` has cleared DF, the gate has not.
    k.a.cld()?;
    k.a.mov(qword_ptr(rbx + thread.trap_frame), rsp)?;
    k.a.mov(edi, eax)?;
    k.a.shr(edi, service_table::SHIFT)?;
    k.a.and(edi, service_table::MASK)?;
    k.a.and(eax, service_table::NUMBER_MASK)?;

    k.begin(Routine::KiSystemServiceRepeat)?;
    k.lea_data(r10, kernel::DESCRIPTOR_TABLE)?;
    k.lea_data(r11, kernel::DESCRIPTOR_TABLE_SHADOW)?;
    k.a.test(dword_ptr(rbx + thread.flags), thread.gui_thread)?;
    k.a.cmovne(r10, r11)?;
    k.a.cmp(eax, dword_ptr(r10 + rdi + service_table::LIMIT))?;
    k.jae(Routine::KiSystemServiceRange)?;
    k.a.mov(r10, qword_ptr(r10 + rdi + service_table::BASE))?;
    k.a.movsxd(r11, dword_ptr(r10 + rax * 4))?;
    k.a.mov(rax, r11)?;
    k.a.sar(r11, service_table::OFFSET_SHIFT)?;
    k.a.add(r10, r11)?;

    // Drawing commands that wait in the TEB go first.
    k.a.cmp(edi, service_table::TEST)?;
    k.a.jne(*no_batch)?;
    k.begin(Routine::KiSystemServiceGdiTebAccess)?;
    k.a.mov(r11, qword_ptr(rbx + thread.teb))?;
    k.a.cmp(dword_ptr(r11 + teb::GDI_BATCH_COUNT), 0)?;
    k.a.je(*no_batch)?;
    k.call(Routine::KeGdiFlushUserBatch)?;
    k.a.set_label(no_batch)
}

/// RAX = entry of the table, R10 = routine. Copies the stack arguments and calls.
fn argument_copy(k: &mut KernelAsm<'_>) -> Asm {
    let from_kernel = &mut k.a.create_label();
    k.a.and(eax, service_table::COUNT_MASK)?;
    k.je(Routine::KiSystemServiceCopyEnd)?;
    k.a.shl(eax, 3)?;
    k.a.lea(rsp, rsp - COPY_AREA)?;
    k.a.lea(rdi, rsp + 0x18)?;
    k.a.mov(rsi, qword_ptr(field(trap_frame::RSP)))?;
    k.a.lea(rsi, rsi + 0x20)?;
    // The kernel may pass pointers to its own memory, ring 3 may not.
    k.a.test(byte_ptr(field(trap_frame::SEG_CS)), selector::MODE_MASK as i32)?;
    k.a.je(*from_kernel)?;
    k.a.cmp(rsi, k.var(kernel::USER_PROBE_ADDRESS))?;
    k.a.cmovae(rsi, k.var(kernel::USER_PROBE_ADDRESS))?;
    k.a.set_label(from_kernel)?;
    k.lea(r11, Routine::KiSystemServiceCopyEnd)?;
    k.a.sub(r11, rax)?;
    k.a.jmp(r11)?;

    // A fault from here to the end is the caller's, and becomes the status of the service.
    k.begin(Routine::KiSystemServiceCopyStart)?;
    for slot in (1..=COPY_RUN as i32).rev() {
        k.a.mov(rax, qword_ptr(rsi + 8 * slot))?;
        k.a.mov(qword_ptr(rdi + 8 * slot), rax)?;
    }
    k.begin(Routine::KiSystemServiceCopyEnd)?;
    k.a.call(r10)?;
    k.a.inc(dword_ptr(k.profile.system_calls_counter).gs())?;
    k.jmp(Routine::KiSystemServiceExit)
}

/// Bytes of the copy run. The dispatch computes its entry from the end, so no step may be of another length.
pub(crate) const COPY_RUN_SIZE: u64 = COPY_RUN as u64 * COPY_STEP as u64;

/// Number out of range: EAX = number in the table, EDI = offset of the table.
fn range(k: &mut KernelAsm<'_>) -> Asm {
    let thread = k.profile.thread;
    k.begin(Routine::KiSystemServiceRange)?;
    k.a.cmp(edi, service_table::TEST)?;
    k.jne(Routine::KiInvalidSystemService)?;
    save_arguments(k)?;
    k.call(Routine::KiConvertToGuiThread)?;
    k.a.or(eax, eax)?;
    restore_arguments(k)?;
    k.a.mov(qword_ptr(rbx + thread.trap_frame), rsp)?;
    report::refill(k)?;
    k.a.mov(edi, service_table::TEST)?;
    k.je(Routine::KiSystemServiceRepeat)?;
    // The byte table behind the win32k services tells what a number returns when conversion failed.
    k.lea_data(rdi, kernel::DESCRIPTOR_TABLE_SHADOW + service_table::TEST)?;
    k.a.mov(esi, dword_ptr(rdi + service_table::LIMIT))?;
    k.a.mov(rdi, qword_ptr(rdi + service_table::BASE))?;
    k.a.lea(rdi, rdi + rsi * 4)?;
    k.a.movsx(eax, byte_ptr(rdi + rax))?;
    k.a.or(eax, eax)?;
    let exit = k.at(Routine::KiSystemServiceExit);
    k.a.jle(exit)?;
    k.begin(Routine::KiInvalidSystemService)?;
    k.a.mov(eax, status::INVALID_SYSTEM_SERVICE)?;
    k.jmp(Routine::KiSystemServiceExit)
}
