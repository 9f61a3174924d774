//! The 64-bit harness: calls every stub of a set and notes the registers. The same code runs in ring 3 and, for the
//! kernel's own stubs, in ring 0; only how its variables are addressed and how the record is written differs.

use iced_x86::IcedError;
use iced_x86::code_asm::{
    AsmMemoryOperand, AsmRegister64, AsmRegisterXmm, CodeAssembler, CodeLabel, cs, cx, ds, dword_ptr, eax, ecx, edx,
    es, fs, gs, ptr, qword_ptr, r8, r9, r10, r11, r12, r13, r14, r15, rax, rbp, rbx, rcx, rdi, rdx, rsi, rsp, ss,
    word_ptr, xmm0, xmm1, xmm2, xmm3, xmm4, xmm5, xmm6, xmm7, xmm8, xmm9, xmm10, xmm11, xmm12, xmm13, xmm14, xmm15,
    xmmword_ptr,
};

use super::data::{call, harness};
use super::record::{self, SENTINEL, SLOTS, fact};

/// Gives the operand of a variable of the harness block.
type At<'a> = &'a dyn Fn(u32) -> AsmMemoryOperand;

/// The registers that get a poison, each with it.
const POISONED: [(AsmRegister64, u64); 10] = [
    (rbx, record::POISON_RBX),
    (rsi, record::POISON_RSI),
    (rdi, record::POISON_RDI),
    (rbp, record::POISON_RBP),
    (r10, record::POISON_R10),
    (r11, record::POISON_R11),
    (r12, record::POISON_R12),
    (r13, record::POISON_R13),
    (r14, record::POISON_R14),
    (r15, record::POISON_R15),
];

/// The general registers, each with its fact.
const SAVED: [(AsmRegister64, usize); 16] = [
    (rax, fact::RAX),
    (rcx, fact::RCX),
    (rdx, fact::RDX),
    (rbx, fact::RBX),
    (rsi, fact::RSI),
    (rdi, fact::RDI),
    (rbp, fact::RBP),
    (r8, fact::R8),
    (r9, fact::R9),
    (r10, fact::R10),
    (r11, fact::R11),
    (r12, fact::R12),
    (r13, fact::R13),
    (r14, fact::R14),
    (r15, fact::R15),
    (rsp, fact::RSP),
];

const XMM: [AsmRegisterXmm; 16] =
    [xmm0, xmm1, xmm2, xmm3, xmm4, xmm5, xmm6, xmm7, xmm8, xmm9, xmm10, xmm11, xmm12, xmm13, xmm14, xmm15];

/// Emits the loop over a call table. `self_pointer` is where the structure at GS has its own address; `report` emits
/// what writes the record. Falls out at the end when the table is done. `recovery` is set where a call that never
/// returned goes on.
pub(crate) fn emit(
    a: &mut CodeAssembler,
    at: At<'_>,
    self_pointer: u32,
    recovery: &mut CodeLabel,
    report: &mut dyn FnMut(&mut CodeAssembler) -> Result<(), IcedError>,
) -> Result<(), IcedError> {
    let next_call = &mut a.create_label();
    let done = &mut a.create_label();

    a.set_label(next_call)?;
    a.mov(rdx, qword_ptr(at(harness::ENTRY)))?;
    a.cmp(rdx, qword_ptr(at(harness::ENTRY_END)))?;
    a.jae(*done)?;
    clear_saved(a, at)?;
    store_arguments(a, at)?;
    load_registers(a, at)?;
    a.call(qword_ptr(at(harness::TARGET)))?;
    save_registers(a, at, self_pointer)?;
    a.set_label(recovery)?;
    // Where a stub left the stack pointer is noted; the harness does not depend on it.
    a.mov(rsp, qword_ptr(at(harness::STACK)))?;
    report(a)?;
    a.add(qword_ptr(at(harness::ENTRY)), call::SIZE as i32)?;
    a.jmp(*next_call)?;
    a.set_label(done)?;
    a.mov(rsp, qword_ptr(at(harness::STACK)))
}

/// What a call that never returns would leave is zero. RDX stays.
fn clear_saved(a: &mut CodeAssembler, at: At<'_>) -> Result<(), IcedError> {
    a.lea(rdi, ptr(at(harness::DWORDS)))?;
    a.mov(ecx, harness::SAVED)?;
    a.xor(eax, eax)?;
    a.rep().stosq()
}

/// RDX = entry of the call table. Home area and arguments stand where the caller's stack has them; every slot that is no
/// argument holds a sentinel.
fn store_arguments(a: &mut CodeAssembler, at: At<'_>) -> Result<(), IcedError> {
    let sentinel = &mut a.create_label();
    let argument = &mut a.create_label();
    let done = &mut a.create_label();
    a.mov(rsp, qword_ptr(at(harness::STACK)))?;
    for (from, to) in [(call::TARGET, harness::TARGET), (call::POINTER, harness::POINTER)] {
        a.mov(rcx, qword_ptr(rdx + from))?;
        a.mov(qword_ptr(at(to)), rcx)?;
    }
    a.sub(rsp, 8 * SLOTS as i32)?;
    a.mov(qword_ptr(at(harness::save(fact::RSP_BEFORE))), rsp)?;
    a.mov(rax, SENTINEL)?;
    a.xor(ecx, ecx)?;
    a.set_label(sentinel)?;
    a.mov(qword_ptr(rsp + rcx * 8), rax)?;
    a.inc(rax)?;
    a.inc(ecx)?;
    a.cmp(ecx, SLOTS)?;
    a.jne(*sentinel)?;
    a.mov(rax, qword_ptr(rdx + call::FIRST_ARGUMENT))?;
    a.mov(ecx, 4)?;
    a.set_label(argument)?;
    a.cmp(ecx, dword_ptr(rdx + call::ARGUMENTS))?;
    a.jae(*done)?;
    a.lea(r8, rax + rcx)?;
    a.mov(qword_ptr(rsp + rcx * 8), r8)?;
    a.inc(ecx)?;
    a.jmp(*argument)?;
    a.set_label(done)
}

/// RDX = entry. Fills every register with a value that says where it comes from.
fn load_registers(a: &mut CodeAssembler, at: At<'_>) -> Result<(), IcedError> {
    for (index, register) in XMM.into_iter().enumerate() {
        a.movups(register, xmmword_ptr(at(harness::XMM_BEFORE + 16 * index as u32)))?;
    }
    a.ldmxcsr(dword_ptr(at(harness::MXCSR)))?;
    a.movzx(ecx, word_ptr(rdx + call::CALL))?;
    for (register, poison) in POISONED {
        a.mov(register, poison)?;
        a.or(register, rcx)?;
    }
    a.mov(rax, qword_ptr(rdx + call::RAX))?;
    a.mov(rcx, qword_ptr(rdx + call::FIRST_ARGUMENT))?;
    a.push(record::RFLAGS_BEFORE as i32)?;
    a.popfq()?;
    // LEA leaves the flags alone.
    a.lea(rdx, rcx + 1)?;
    a.lea(r8, rcx + 2)?;
    a.lea(r9, rcx + 3)
}

fn save_registers(a: &mut CodeAssembler, at: At<'_>, self_pointer: u32) -> Result<(), IcedError> {
    let save = |f: usize| at(harness::save(f));
    for (register, f) in SAVED {
        a.mov(qword_ptr(save(f)), register)?;
    }
    a.mov(rsp, qword_ptr(at(harness::STACK)))?;
    a.pushfq()?;
    a.pop(rax)?;
    a.mov(dword_ptr(save(fact::RFLAGS)), eax)?;
    a.cld()?;
    a.stmxcsr(dword_ptr(save(fact::MXCSR)))?;
    for (index, register) in XMM.into_iter().enumerate() {
        a.movups(xmmword_ptr(at(harness::XMM_AFTER + 16 * index as u32)), register)?;
    }
    for (f, low, high) in [(fact::CS_SS, cs, ss), (fact::DS_ES, ds, es), (fact::FS_GS, fs, gs)] {
        a.mov(ecx, high)?;
        a.shl(ecx, 16)?;
        a.mov(edx, low)?;
        a.mov(cx, iced_x86::code_asm::dx)?;
        a.mov(dword_ptr(save(f)), ecx)?;
    }
    a.mov(rax, qword_ptr(self_pointer).gs())?;
    a.mov(qword_ptr(save(fact::GS_SELF)), rax)?;
    a.mov(rcx, qword_ptr(save(fact::RSP_BEFORE)))?;
    for slot in 0..4 {
        a.mov(rax, qword_ptr(rcx + 8 * slot))?;
        a.mov(qword_ptr(save(fact::HOME + slot)), rax)?;
    }
    Ok(())
}
