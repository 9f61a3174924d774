//! The guest's side of the proof: facts are gathered in one record and written to the debug console.

use iced_x86::code_asm::{ah, al, bx, byte_ptr, dword_ptr, dx, eax, ebp, ebx, ecx, edi, edx, esi, esp, word_ptr};

use super::assembly::{Asm, KernelAsm, Routine};
use super::data::{harness, kernel};
use super::layout::{eflags, kpcr, port, selector, trap_frame, tss};
use super::record::{self, MAX_ARGUMENTS, NO_HANDLER, fact};

/// Emits all of this file.
pub(crate) fn emit(k: &mut KernelAsm<'_>) -> Asm {
    entry_facts(k)?;
    service_facts(k)?;
    unused_service(k)?;
    user_report(k)?;
    write_record(k)?;
    print(k)?;
    print_hex(k)?;
    print_short_hex(k)
}

/// Facts of every entry, whether a service routine will run or not. EAX and EDX stay; EBP = frame.
fn entry_facts(k: &mut KernelAsm<'_>) -> Asm {
    let no_stack = &mut k.a.create_label();
    k.begin(Routine::NtgateEntry)?;
    for (field, to) in [
        (trap_frame::EAX, fact::NUMBER),
        (trap_frame::DBG_ARG_POINTER, fact::ARG_POINTER),
        (trap_frame::EIP, fact::FRAME_EIP),
        (trap_frame::EFLAGS, fact::FRAME_EFLAGS),
    ] {
        k.a.mov(ecx, dword_ptr(ebp + field))?;
        k.a.mov(k.fact(to), ecx)?;
    }
    k.a.movzx(ecx, byte_ptr(ebp + trap_frame::LOGGING))?;
    k.a.mov(k.fact(fact::ENTRY), ecx)?;
    k.a.movzx(ecx, word_ptr(ebp + trap_frame::SEG_CS))?;
    k.a.mov(k.fact(fact::FRAME_CS), ecx)?;
    k.a.and(ecx, selector::MODE_MASK)?;
    k.a.je(*no_stack)?;
    k.a.mov(ecx, dword_ptr(ebp + trap_frame::HARDWARE_ESP))?;
    k.a.set_label(no_stack)?;
    k.a.mov(k.fact(fact::FRAME_ESP), ecx)?;
    k.a.ret()
}

/// Called by every service routine as its second instruction: EAX = index of the service, EBP = frame. On the stack:
/// return into the routine, return into the dispatcher, arguments. Gives the routine its status in EAX.
fn service_facts(k: &mut KernelAsm<'_>) -> Asm {
    let thread = k.profile.thread;
    let fits = &mut k.a.create_label();
    k.begin(Routine::NtgateService)?;
    k.a.inc(k.fact(fact::HANDLER_RUNS))?;
    k.a.mov(k.fact(fact::HANDLER), eax)?;
    k.a.mov(k.fact(fact::FRAME), ebp)?;
    k.a.mov(ecx, dword_ptr(kpcr::CURRENT_THREAD).fs())?;
    k.a.movzx(edx, byte_ptr(ecx + thread.previous_mode))?;
    k.a.mov(k.fact(fact::PREVIOUS_MODE), edx)?;
    k.a.mov(edx, dword_ptr(ecx + thread.trap_frame))?;
    k.a.mov(k.fact(fact::TRAP_FRAME), edx)?;
    k.a.mov(edx, dword_ptr(ebp + trap_frame::PREVIOUS_PREVIOUS_MODE))?;
    k.a.mov(k.fact(fact::PREVIOUS_PREVIOUS_MODE), edx)?;
    k.a.mov(edx, dword_ptr(ebp + trap_frame::EDX))?;
    k.a.mov(k.fact(fact::FRAME_LINK), edx)?;
    // Everything between the arguments' start and the frame was copied.
    k.a.mov(ecx, ebp)?;
    k.a.lea(edx, dword_ptr(esp + 8))?;
    k.a.sub(ecx, edx)?;
    k.a.mov(k.fact(fact::COPIED), ecx)?;
    k.a.shr(ecx, 2)?;
    k.a.cmp(ecx, MAX_ARGUMENTS as u32)?;
    k.a.jbe(*fits)?;
    k.a.mov(ecx, MAX_ARGUMENTS as u32)?;
    k.a.set_label(fits)?;
    k.a.mov(k.fact(fact::ARGUMENT_COUNT), ecx)?;
    k.a.push(esi)?;
    k.a.push(edi)?;
    k.a.mov(esi, edx)?;
    k.a.mov(edi, k.data(kernel::RECORD + 4 * fact::ARGUMENTS as u32))?;
    k.a.rep().movsd()?;
    k.a.pop(edi)?;
    k.a.pop(esi)?;
    // record::status()
    k.a.shl(eax, 8)?;
    k.a.add(eax, record::STATUS_BASE)?;
    k.a.mov(ecx, k.var(kernel::CURRENT_SET))?;
    k.a.movzx(ecx, byte_ptr(ecx + super::data::set::INDEX))?;
    k.a.add(eax, ecx)?;
    k.a.ret()
}

/// A row of the table without a service (a gap in the list's numbers).
fn unused_service(k: &mut KernelAsm<'_>) -> Asm {
    k.begin(Routine::NtgateUnusedService)?;
    k.a.mov(eax, super::layout::status::NOT_IMPLEMENTED)?;
    k.a.ret()
}

/// `int 2Dh` with a report: the call that the ring-3 harness made is over.
fn user_report(k: &mut KernelAsm<'_>) -> Asm {
    k.begin(Routine::NtgateReport)?;
    // The trap entry has replaced the list; the frame has what was there before.
    k.a.mov(eax, dword_ptr(ebp + trap_frame::EXCEPTION_LIST))?;
    k.a.mov(esi, k.profile.user_data)?;
    k.call(Routine::NtgateWriteRecord)?;
    k.jmp(Routine::Kei386EoiHelper)
}

/// Completes and writes the record, then clears it. ESI = harness block, EAX = exception list.
fn write_record(k: &mut KernelAsm<'_>) -> Asm {
    let thread = k.profile.thread;
    k.begin(Routine::NtgateWriteRecord)?;
    k.a.mov(k.fact(fact::AFTER_EXCEPTION_LIST), eax)?;
    k.a.mov(eax, dword_ptr(esi + harness::ENTRY))?;
    k.a.mov(eax, dword_ptr(eax + super::data::call::CALL))?;
    k.a.mov(k.fact(fact::CALL), eax)?;
    k.a.mov(edi, k.data(kernel::RECORD + 4 * fact::EAX as u32))?;
    k.a.mov(ecx, harness::SAVE_COUNT)?;
    k.a.rep().movsd()?;
    k.a.and(k.fact(fact::EFLAGS), !eflags::RF)?;
    k.a.mov(eax, dword_ptr(kpcr::CURRENT_THREAD).fs())?;
    k.a.mov(ecx, dword_ptr(eax + thread.trap_frame))?;
    k.a.mov(k.fact(fact::AFTER_TRAP_FRAME), ecx)?;
    k.a.movzx(ecx, byte_ptr(eax + thread.previous_mode))?;
    k.a.mov(k.fact(fact::AFTER_PREVIOUS_MODE), ecx)?;
    k.a.mov(eax, dword_ptr(kpcr::TSS).fs())?;
    k.a.mov(ecx, dword_ptr(eax + tss::ESP0))?;
    k.a.mov(k.fact(fact::AFTER_ESP0), ecx)?;
    k.a.inc(k.var(kernel::RECORDS))?;
    format_line(k)?;
    k.a.mov(esi, k.data(kernel::LINE))?;
    k.call(Routine::NtgatePrint)?;
    clear_record(k)?;
    k.a.ret()
}

/// Writes the record as text to the line buffer; leaves the line's length in ECX.
fn format_line(k: &mut KernelAsm<'_>) -> Asm {
    let next = &mut k.a.create_label();
    let hex = k.data(kernel::HEX);
    let line = k.data(kernel::LINE);
    k.a.mov(esi, k.data(kernel::RECORD))?;
    k.a.mov(ecx, k.fact(fact::ARGUMENT_COUNT))?;
    k.a.add(ecx, fact::ARGUMENTS as u32)?;
    k.a.mov(edi, line)?;
    k.a.mov(byte_ptr(edi), b'c' as u32)?;
    k.a.inc(edi)?;
    k.a.set_label(next)?;
    k.a.mov(eax, dword_ptr(esi))?;
    // The most significant byte is printed first.
    k.a.bswap(eax)?;
    k.a.mov(byte_ptr(edi), b' ' as u32)?;
    k.a.movzx(edx, al)?;
    k.a.mov(bx, word_ptr(edx * 2 + hex))?;
    k.a.movzx(edx, ah)?;
    k.a.mov(word_ptr(edi + 1), bx)?;
    k.a.mov(bx, word_ptr(edx * 2 + hex))?;
    k.a.shr(eax, 16)?;
    k.a.mov(word_ptr(edi + 3), bx)?;
    k.a.movzx(edx, al)?;
    k.a.mov(bx, word_ptr(edx * 2 + hex))?;
    k.a.movzx(edx, ah)?;
    k.a.mov(word_ptr(edi + 5), bx)?;
    k.a.mov(bx, word_ptr(edx * 2 + hex))?;
    k.a.mov(word_ptr(edi + 7), bx)?;
    k.a.add(esi, 4)?;
    k.a.add(edi, 9)?;
    k.a.dec(ecx)?;
    k.a.jne(*next)?;
    k.a.mov(byte_ptr(edi), b'\n' as u32)?;
    k.a.lea(ecx, dword_ptr(edi + (line - 1).wrapping_neg()))
}

/// All facts zero, no handler.
pub(crate) fn clear_record(k: &mut KernelAsm<'_>) -> Asm {
    k.a.mov(edi, k.data(kernel::RECORD))?;
    k.a.mov(ecx, fact::ARGUMENTS as u32)?;
    k.a.xor(eax, eax)?;
    k.a.rep().stosd()?;
    k.a.mov(k.fact(fact::HANDLER), NO_HANDLER)
}

/// Writes ECX bytes at ESI to the debug console.
fn print(k: &mut KernelAsm<'_>) -> Asm {
    k.begin(Routine::NtgatePrint)?;
    k.a.mov(edx, port::DEBUG_CONSOLE)?;
    k.a.rep().outsb()?;
    k.a.ret()
}

/// Emits the printing of a text that is known now.
pub(crate) fn print_literal(k: &mut KernelAsm<'_>, text: &str) -> Asm {
    let (address, length) = k.text(text);
    k.a.mov(esi, address)?;
    k.a.mov(ecx, length)?;
    k.call(Routine::NtgatePrint)
}

/// Writes EAX as eight digits. EBX, ESI, EDI and EBP stay.
fn print_hex(k: &mut KernelAsm<'_>) -> Asm {
    let next = &mut k.a.create_label();
    let hex = k.data(kernel::HEX);
    k.begin(Routine::NtgatePrintHex)?;
    k.a.push(ebx)?;
    k.a.mov(ecx, 4)?;
    k.a.set_label(next)?;
    k.a.rol(eax, 8)?;
    k.a.movzx(edx, al)?;
    k.a.mov(bx, word_ptr(edx * 2 + hex))?;
    k.a.mov(dx, port::DEBUG_CONSOLE)?;
    k.a.xchg(eax, ebx)?;
    k.a.out(dx, al)?;
    k.a.shr(eax, 8)?;
    k.a.out(dx, al)?;
    k.a.mov(eax, ebx)?;
    k.a.dec(ecx)?;
    k.a.jne(*next)?;
    k.a.pop(ebx)?;
    k.a.ret()
}

/// Writes EAX without leading zeros. EBX, ESI, EDI and EBP stay.
fn print_short_hex(k: &mut KernelAsm<'_>) -> Asm {
    let find = &mut k.a.create_label();
    let found = &mut k.a.create_label();
    let next = &mut k.a.create_label();
    let hex = k.data(kernel::HEX);
    k.begin(Routine::NtgatePrintShortHex)?;
    k.a.push(ebx)?;
    k.a.mov(ecx, 8)?;
    k.a.set_label(find)?;
    k.a.rol(eax, 4)?;
    k.a.test(al, 0xF)?;
    k.a.jne(*found)?;
    k.a.dec(ecx)?;
    k.a.jne(*find)?;
    k.a.inc(ecx)?;
    k.a.set_label(found)?;
    k.a.mov(ebx, eax)?;
    k.a.set_label(next)?;
    k.a.mov(eax, ebx)?;
    k.a.and(eax, 0xF)?;
    // The second of a byte's two digits.
    k.a.mov(al, byte_ptr(eax * 2 + (hex + 1)))?;
    k.a.out(port::DEBUG_CONSOLE, al)?;
    k.a.rol(ebx, 4)?;
    k.a.dec(ecx)?;
    k.a.jne(*next)?;
    k.a.pop(ebx)?;
    k.a.ret()
}
