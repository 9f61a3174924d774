//! The guest's side of the proof: facts are gathered in one record and written to the debug console.

use iced_x86::code_asm::{
    AsmMemoryOperand, ah, al, bx, byte_ptr, dword_ptr, eax, ecx, edi, edx, esi, qword_ptr, r8, r9, r9d, r10, r10d, r11,
    r11d, rax, rbx, rcx, rdi, rdx, rsi, rsp, word_ptr,
};

use super::assembly::{Asm, KernelAsm, Routine};
use super::data::{call, harness, kernel, set};
use super::layout::{COPY_AREA, HOME_AREA, eflags, kpcr, status, trap_frame, tss};
use super::record::{
    self, DWORDS, FILL, HARNESS_DWORDS, HARNESS_QWORDS, MAX_ARGUMENTS, NO_HANDLER, entry, fact, offset,
};

pub(crate) use super::print::{print_literal, print_text};

/// Emits all of this file.
pub(crate) fn emit(k: &mut KernelAsm<'_>) -> Asm {
    service_facts(k)?;
    unused_service(k)?;
    user_report(k)?;
    write_record(k)
}

/// Facts of an entry by number, whether a service routine will run or not. EAX = number, RBP = frame minus `bias`;
/// RSI and RDI are free, all else stays, and so does the stack.
pub(crate) fn entry_facts(k: &mut KernelAsm<'_>, bias: i32) -> Asm {
    let no_stack = &mut k.a.create_label();
    let at = |offset: u32| iced_x86::code_asm::rbp + (offset as i32 + bias);
    k.a.mov(k.fact(fact::NUMBER), eax)?;
    k.a.lea(rdi, at(0))?;
    k.a.mov(k.fact(fact::FRAME), rdi)?;
    k.a.mov(rdi, qword_ptr(at(trap_frame::RIP)))?;
    k.a.mov(k.fact(fact::FRAME_RIP), rdi)?;
    k.a.mov(rdi, qword_ptr(at(trap_frame::RSP)))?;
    k.a.mov(k.fact(fact::FRAME_RSP), rdi)?;
    k.a.mov(edi, dword_ptr(at(trap_frame::EFLAGS)))?;
    k.a.mov(k.fact(fact::FRAME_RFLAGS), edi)?;
    k.a.movzx(edi, byte_ptr(at(trap_frame::LOGGING)))?;
    k.a.mov(k.fact(fact::ENTRY), edi)?;
    k.a.movzx(edi, word_ptr(at(trap_frame::SEG_CS)))?;
    k.a.test(edi, super::layout::selector::MODE_MASK)?;
    k.a.je(*no_stack)?;
    k.a.movzx(esi, word_ptr(at(trap_frame::SEG_SS)))?;
    k.a.shl(esi, 16)?;
    k.a.or(edi, esi)?;
    k.a.set_label(no_stack)?;
    k.a.mov(k.fact(fact::FRAME_CS_SS), edi)
}

/// Fills the room for arguments below the frame at RSP again, after calls that the path makes. The flags stay; RDI is
/// free.
pub(crate) fn refill(k: &mut KernelAsm<'_>) -> Asm {
    k.a.mov(rdi, FILL)?;
    for slot in 1..=COPY_AREA as i32 / 8 {
        k.a.mov(qword_ptr(rsp - 8 * slot), rdi)?;
    }
    Ok(())
}

/// Called by every service routine as its second instruction: EAX = index of the service. On the stack: return into
/// the routine, return into the dispatcher, home area, arguments. Gives the routine its status in RAX.
fn service_facts(k: &mut KernelAsm<'_>) -> Asm {
    let thread = k.profile.thread;
    k.begin(Routine::NtgateService)?;
    k.a.inc(k.fact(fact::HANDLER_RUNS))?;
    k.a.mov(k.fact(fact::HANDLER), eax)?;
    for (index, register) in [rcx, rdx, r8, r9].into_iter().enumerate() {
        k.a.mov(k.fact(fact::ARGUMENTS + index), register)?;
    }
    k.a.lea(rdx, rsp + 8)?;
    k.a.mov(ecx, edx)?;
    k.a.and(ecx, 0xF)?;
    k.a.mov(k.fact(fact::RSP_ALIGNMENT), ecx)?;
    k.a.stmxcsr(k.fact(fact::KERNEL_MXCSR))?;
    k.a.mov(rcx, qword_ptr(kpcr::CURRENT_THREAD).gs())?;
    k.a.movzx(r9d, byte_ptr(rcx + thread.previous_mode))?;
    k.a.mov(k.fact(fact::PREVIOUS_MODE), r9d)?;
    k.a.mov(r9, qword_ptr(rcx + thread.trap_frame))?;
    k.a.mov(k.fact(fact::TRAP_FRAME), r9)?;
    k.a.mov(r9, qword_ptr(rcx + thread.first_argument))?;
    k.a.mov(k.fact(fact::FIRST_ARGUMENT), r9)?;
    k.a.mov(r9d, dword_ptr(rcx + thread.system_call_number))?;
    k.a.mov(k.fact(fact::SYSTEM_CALL_NUMBER), r9d)?;
    k.a.mov(r8, k.fact(fact::FRAME))?;
    kept_in_frame(k)?;
    stack_arguments(k)?;
    // record::status()
    k.a.shl(eax, 8)?;
    k.a.add(eax, record::STATUS_BASE)?;
    k.a.mov(rcx, k.var(kernel::CURRENT_SET))?;
    k.a.movzx(ecx, byte_ptr(rcx + set::INDEX))?;
    k.a.add(eax, ecx)?;
    k.a.ret()
}

/// What the entry keeps of the thread in the frame at R8, as far as it does.
fn kept_in_frame(k: &mut KernelAsm<'_>) -> Asm {
    let link = &mut k.a.create_label();
    let done = &mut k.a.create_label();
    let zw = &mut k.a.create_label();
    k.a.mov(ecx, k.fact(fact::ENTRY))?;
    k.a.mov(r9, qword_ptr(r8 + trap_frame::TRAP_FRAME))?;
    k.a.cmp(ecx, entry::BY_SYSTEM_CALL_ENTRY)?;
    k.a.je(*link)?;
    k.a.cmp(ecx, entry::BY_SERVICE_INTERNAL)?;
    k.a.je(*zw)?;
    k.a.mov(r9, qword_ptr(r8 + trap_frame::RDX))?;
    k.a.cmp(ecx, entry::BY_ZW_SYSTEM_SERVICE)?;
    k.a.jne(*done)?;
    k.a.set_label(zw)?;
    k.a.movzx(ecx, byte_ptr(r8 + trap_frame::PREVIOUS_MODE))?;
    k.a.mov(k.fact(fact::FRAME_PREVIOUS_MODE), ecx)?;
    k.a.set_label(link)?;
    k.a.mov(k.fact(fact::FRAME_LINK), r9)?;
    k.a.set_label(done)
}

/// R8 = frame, RDX = RSP at the routine's first instruction. The slots reach to the end of the frame's own homes, which
/// are part of the room; above the last slot that was written there is only the fill.
fn stack_arguments(k: &mut KernelAsm<'_>) -> Asm {
    const MOST: u32 = MAX_ARGUMENTS as u32 - 4;
    let next = &mut k.a.create_label();
    let found = &mut k.a.create_label();
    let fits = &mut k.a.create_label();
    k.a.lea(r10, rdx + 8)?;
    k.a.mov(r11, r8)?;
    k.a.sub(r11, r10)?;
    k.a.mov(k.fact(fact::RESERVED), r11d)?;
    k.a.add(r10, HOME_AREA as i32)?;
    k.a.lea(r11, r8 + HOME_AREA)?;
    k.a.mov(rcx, FILL)?;
    k.a.set_label(next)?;
    k.a.cmp(r11, r10)?;
    k.a.jbe(*found)?;
    k.a.sub(r11, 8)?;
    k.a.cmp(qword_ptr(r11), rcx)?;
    k.a.je(*next)?;
    k.a.add(r11, 8)?;
    k.a.set_label(found)?;
    k.a.sub(r11, r10)?;
    k.a.shr(r11, 3)?;
    k.a.cmp(r11, MOST as i32)?;
    k.a.jbe(*fits)?;
    k.a.mov(r11d, MOST)?;
    k.a.set_label(fits)?;
    k.a.mov(k.fact(fact::STACK_ARGUMENTS), r11d)?;
    k.a.lea(ecx, r11 + 4)?;
    k.a.mov(k.fact(fact::ARGUMENT_COUNT), ecx)?;
    k.a.push(rsi)?;
    k.a.push(rdi)?;
    k.a.mov(rsi, r10)?;
    k.lea_data(rdi, kernel::RECORD + offset(fact::ARGUMENTS + 4))?;
    k.a.mov(ecx, r11d)?;
    k.a.rep().movsq()?;
    k.a.pop(rdi)?;
    k.a.pop(rsi)
}

/// A row of the table without a service (a gap in the list's numbers), and what stands before the first and behind the
/// last routine.
fn unused_service(k: &mut KernelAsm<'_>) -> Asm {
    k.begin(Routine::NtgateUnusedService)?;
    k.a.mov(eax, status::NOT_IMPLEMENTED)?;
    k.a.ret()
}

/// `int 2Dh` with a report: the call that the ring-3 harness made is over.
fn user_report(k: &mut KernelAsm<'_>) -> Asm {
    k.begin(Routine::NtgateReport)?;
    k.a.mov(rsi, k.profile.user_data)?;
    k.call(Routine::NtgateWriteRecord)?;
    fill_for_user(k)?;
    k.jmp(Routine::KiTrapExit)
}

/// Bytes below a frame that are filled before each call: more than any path copies arguments to.
const FILLED: u32 = 0x200;

/// Fills the kernel stack where the next call from ring 3 will have its arguments. RAX, RCX, RDI are free.
pub(crate) fn fill_for_user(k: &mut KernelAsm<'_>) -> Asm {
    let start = k.profile.base_frame() - u64::from(FILLED);
    k.a.mov(rdi, start)?;
    k.a.mov(ecx, (FILLED + HOME_AREA) / 8)?;
    k.a.mov(rax, FILL)?;
    k.a.rep().stosq()
}

/// Bytes below the kernel harness's stack pointer that its calls can reach with frame and arguments: the harness's
/// slots, the frame, and the room below it.
pub(crate) const KERNEL_FILLED: u32 = 8 * record::SLOTS + trap_frame::SIZE + FILLED;

/// Completes and writes the record, then clears it. RSI = harness block.
fn write_record(k: &mut KernelAsm<'_>) -> Asm {
    let thread = k.profile.thread;
    k.begin(Routine::NtgateWriteRecord)?;
    k.a.mov(rbx, rsi)?;
    k.a.mov(rax, qword_ptr(rbx + harness::ENTRY))?;
    k.a.mov(eax, dword_ptr(rax + call::CALL))?;
    k.a.mov(k.fact(fact::CALL), eax)?;
    k.a.lea(rsi, rbx + harness::DWORDS)?;
    k.lea_data(rdi, kernel::RECORD + offset(fact::MXCSR))?;
    k.a.mov(ecx, HARNESS_DWORDS as u32)?;
    k.a.rep().movsd()?;
    k.a.lea(rsi, rbx + harness::QWORDS)?;
    k.lea_data(rdi, kernel::RECORD + offset(fact::RAX))?;
    k.a.mov(ecx, HARNESS_QWORDS as u32)?;
    k.a.rep().movsq()?;
    k.a.and(k.fact(fact::RFLAGS), !(eflags::RF as i32))?;
    xmm_facts(k)?;
    k.a.mov(rax, qword_ptr(kpcr::CURRENT_THREAD).gs())?;
    k.a.mov(rcx, qword_ptr(rax + thread.trap_frame))?;
    k.a.mov(k.fact(fact::AFTER_TRAP_FRAME), rcx)?;
    k.a.movzx(ecx, byte_ptr(rax + thread.previous_mode))?;
    k.a.mov(k.fact(fact::AFTER_PREVIOUS_MODE), ecx)?;
    k.a.mov(rax, qword_ptr(kpcr::RSP_BASE).gs())?;
    k.a.mov(k.fact(fact::AFTER_RSP_BASE), rax)?;
    k.a.mov(rax, qword_ptr(kpcr::TSS).gs())?;
    k.a.mov(rax, qword_ptr(rax + tss::RSP0))?;
    k.a.mov(k.fact(fact::AFTER_RSP0), rax)?;
    k.a.inc(k.var32(kernel::RECORDS))?;
    format_line(k)?;
    k.lea_data(rsi, kernel::LINE)?;
    k.call(Routine::NtgatePrint)?;
    clear_record(k)?;
    k.a.ret()
}

/// One bit for each XMM register: unchanged, zero. RBX = harness block. After a fault nothing is known.
fn xmm_facts(k: &mut KernelAsm<'_>) -> Asm {
    let next = &mut k.a.create_label();
    let done = &mut k.a.create_label();
    let place = |block: u32, half: u32| -> AsmMemoryOperand { qword_ptr(rbx + rcx + (block + half)) };
    k.a.xor(r9d, r9d)?;
    k.a.xor(r10d, r10d)?;
    k.a.cmp(k.fact(fact::FAULT_VECTOR), 0)?;
    k.a.jne(*done)?;
    k.a.mov(ecx, 0xF0)?;
    k.a.set_label(next)?;
    k.a.mov(rax, place(harness::XMM_AFTER, 0))?;
    k.a.mov(rdx, place(harness::XMM_AFTER, 8))?;
    k.a.mov(r8, rax)?;
    k.a.or(r8, rdx)?;
    // Only zero is below one: the carry is the answer.
    k.a.cmp(r8, 1)?;
    k.a.adc(r10d, r10d)?;
    k.a.xor(rax, place(harness::XMM_BEFORE, 0))?;
    k.a.xor(rdx, place(harness::XMM_BEFORE, 8))?;
    k.a.or(rax, rdx)?;
    k.a.cmp(rax, 1)?;
    k.a.adc(r9d, r9d)?;
    k.a.sub(ecx, 0x10)?;
    k.a.jns(*next)?;
    k.a.set_label(done)?;
    k.a.mov(k.fact(fact::XMM_KEPT), r9d)?;
    k.a.mov(k.fact(fact::XMM_ZERO), r10d)
}

/// Writes the record as text to the line buffer; leaves the line's length in ECX.
fn format_line(k: &mut KernelAsm<'_>) -> Asm {
    let dwords = &mut k.a.create_label();
    let qwords = &mut k.a.create_label();
    k.lea_data(rsi, kernel::RECORD)?;
    k.lea_data(rdi, kernel::LINE)?;
    k.lea_data(r11, kernel::HEX)?;
    k.a.mov(byte_ptr(rdi), b'c' as u32)?;
    k.a.inc(rdi)?;
    k.a.mov(ecx, DWORDS as u32)?;
    k.a.set_label(dwords)?;
    k.a.mov(byte_ptr(rdi), b' ' as u32)?;
    digits(k, 0, 1)?;
    k.a.add(rsi, 4)?;
    k.a.add(rdi, 9)?;
    k.a.dec(ecx)?;
    k.a.jne(*dwords)?;
    k.a.mov(ecx, k.fact(fact::ARGUMENT_COUNT))?;
    k.a.add(ecx, (fact::ARGUMENTS - DWORDS) as u32)?;
    k.a.set_label(qwords)?;
    k.a.mov(byte_ptr(rdi), b' ' as u32)?;
    digits(k, 4, 1)?;
    digits(k, 0, 9)?;
    k.a.add(rsi, 8)?;
    k.a.add(rdi, 17)?;
    k.a.dec(ecx)?;
    k.a.jne(*qwords)?;
    k.a.mov(byte_ptr(rdi), b'\n' as u32)?;
    k.lea_data(rcx, kernel::LINE - 1)?;
    k.a.neg(rcx)?;
    k.a.add(rcx, rdi)
}

/// The dword at RSI + `from` as eight digits at RDI + `to`. R11 = digits of all bytes.
fn digits(k: &mut KernelAsm<'_>, from: u32, to: u32) -> Asm {
    k.a.mov(eax, dword_ptr(rsi + from))?;
    // The most significant byte is printed first.
    k.a.bswap(eax)?;
    for pair in 0..4 {
        if pair == 2 {
            k.a.shr(eax, 16)?;
        }
        if pair % 2 == 0 {
            k.a.movzx(edx, al)?
        } else {
            k.a.movzx(edx, ah)?
        }
        k.a.mov(bx, word_ptr(r11 + rdx * 2))?;
        k.a.mov(word_ptr(rdi + (to + 2 * pair)), bx)?;
    }
    Ok(())
}

/// All facts zero, no handler; what the thread remembers of its last call too.
pub(crate) fn clear_record(k: &mut KernelAsm<'_>) -> Asm {
    let thread = k.profile.thread;
    k.lea_data(rdi, kernel::RECORD)?;
    k.a.mov(ecx, offset(fact::ARGUMENTS) / 8)?;
    k.a.xor(eax, eax)?;
    k.a.rep().stosq()?;
    k.a.mov(rcx, qword_ptr(kpcr::CURRENT_THREAD).gs())?;
    k.a.mov(qword_ptr(rcx + thread.first_argument), rax)?;
    k.a.mov(dword_ptr(rcx + thread.system_call_number), eax)?;
    k.a.mov(k.fact(fact::HANDLER), NO_HANDLER)
}
