//! The harness: calls every stub of a set and notes the registers. The same code runs in ring 3 and, for the kernel's
//! own stubs, in ring 0; only how the record is written differs.

use iced_x86::IcedError;
use iced_x86::code_asm::{
    AsmMemoryOperand, CodeAssembler, CodeLabel, cs, cx, ds, dword_ptr, eax, ebp, ebx, ecx, edi, edx, es, esi, esp, fs,
    gs, ss, word_ptr,
};

use super::data::{call, harness};
use super::record::{self, fact};

/// Emits the loop over a call table. `block` is the harness block's address; `report` emits what writes the record.
/// Falls out at the end when the table is done. `recovery` is set where a call that never returned goes on.
pub(crate) fn emit(
    a: &mut CodeAssembler,
    block: u32,
    recovery: &mut CodeLabel,
    report: &mut dyn FnMut(&mut CodeAssembler) -> Result<(), IcedError>,
) -> Result<(), IcedError> {
    let at = |offset: u32| dword_ptr(block + offset);
    let next_call = &mut a.create_label();
    let done = &mut a.create_label();

    a.set_label(next_call)?;
    a.mov(eax, at(harness::ENTRY))?;
    a.cmp(eax, at(harness::ENTRY_END))?;
    a.jae(*done)?;
    push_arguments(a, &at)?;
    load_registers(a)?;
    a.call(at(harness::TARGET))?;
    save_registers(a, &at)?;
    a.set_label(recovery)?;
    // Where a stub left the stack pointer is noted; the harness does not depend on it.
    a.mov(esp, at(harness::STACK))?;
    report(a)?;
    a.add(at(harness::ENTRY), call::SIZE)?;
    a.jmp(*next_call)?;
    a.set_label(done)?;
    a.mov(esp, at(harness::STACK))
}

/// EAX = entry of the call table. The sentinels go above the arguments, the last argument goes first.
fn push_arguments(a: &mut CodeAssembler, at: &dyn Fn(u32) -> AsmMemoryOperand) -> Result<(), IcedError> {
    let next = &mut a.create_label();
    let done = &mut a.create_label();
    a.mov(esp, at(harness::STACK))?;
    a.mov(ecx, dword_ptr(eax + call::TARGET))?;
    a.mov(at(harness::TARGET), ecx)?;
    for sentinel in record::SENTINELS.iter().rev() {
        a.push(*sentinel)?;
    }
    a.mov(at(harness::save(fact::ESP_BEFORE)), esp)?;
    a.mov(ecx, dword_ptr(eax + call::ARGUMENTS))?;
    a.mov(edx, dword_ptr(eax + call::FIRST_ARGUMENT))?;
    a.add(edx, ecx)?;
    a.set_label(next)?;
    a.test(ecx, ecx)?;
    a.je(*done)?;
    a.dec(edx)?;
    a.push(edx)?;
    a.dec(ecx)?;
    a.jmp(*next)?;
    a.set_label(done)?;
    a.movzx(ecx, word_ptr(eax + call::CALL))
}

/// EAX = entry, ECX = number of the call. Fills every register with a value that says where it comes from.
fn load_registers(a: &mut CodeAssembler) -> Result<(), IcedError> {
    a.mov(edx, dword_ptr(eax + call::EDX))?;
    a.mov(eax, dword_ptr(eax + call::EAX))?;
    a.push(record::EFLAGS_BEFORE)?;
    a.popfd()?;
    // LEA leaves the flags alone.
    a.lea(ebx, dword_ptr(ecx + record::POISON_EBX))?;
    a.lea(esi, dword_ptr(ecx + record::POISON_ESI))?;
    a.lea(edi, dword_ptr(ecx + record::POISON_EDI))?;
    a.lea(ebp, dword_ptr(ecx + record::POISON_EBP))?;
    a.lea(ecx, dword_ptr(ecx + record::POISON_ECX))
}

fn save_registers(a: &mut CodeAssembler, at: &dyn Fn(u32) -> AsmMemoryOperand) -> Result<(), IcedError> {
    let save = |f: usize| at(harness::save(f));
    a.mov(save(fact::EAX), eax)?;
    a.mov(save(fact::ECX), ecx)?;
    a.mov(save(fact::EDX), edx)?;
    a.mov(save(fact::EBX), ebx)?;
    a.mov(save(fact::ESI), esi)?;
    a.mov(save(fact::EDI), edi)?;
    a.mov(save(fact::EBP), ebp)?;
    a.mov(save(fact::ESP), esp)?;
    a.mov(esp, at(harness::STACK))?;
    a.pushfd()?;
    a.pop(save(fact::EFLAGS))?;
    for (f, low, high) in [(fact::CS_SS, cs, ss), (fact::DS_ES, ds, es), (fact::FS_GS, fs, gs)] {
        a.mov(ecx, high)?;
        a.shl(ecx, 16)?;
        a.mov(cx, low)?;
        a.mov(save(f), ecx)?;
    }
    Ok(())
}
