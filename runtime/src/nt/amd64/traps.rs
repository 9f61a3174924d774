//! Exceptions and the other interrupt vectors of the 64-bit kernel.
//!
//! Every vector has its own routine with NT's name; each builds a complete `KTRAP_FRAME`. What follows is decided
//! once: a request of the harness, a fault of ring 3 (recorded, then the harness goes on at its recovery point), a fault in
//! the argument copy (the service's status), or a bug check.

use iced_x86::code_asm::{
    al, byte_ptr, cr2, ds, dword_ptr, eax, ebp, ebx, ecx, edx, es, fs, gs, qword_ptr, r8, r9, r10, r11, r12, r13, r14,
    r15, rax, rbp, rbx, rcx, rdi, rdx, rsi, rsp, word_ptr, xmmword_ptr,
};

use super::assembly::{Asm, KernelAsm, Routine};
use super::data::{harness, kernel, request};
use super::dispatch::COPY_RUN_SIZE;
use super::entry::field;
use super::exit::VOLATILE_XMM;
use super::layout::{bugcheck, eflags, kpcr, msr, port, selector, status, trap_frame, vector};
use super::record::fact;
use super::report::print_literal;

/// Vectors whose error code the CPU pushes (Intel SDM volume 3, table 6-1).
const WITH_ERROR_CODE: [u32; 7] = [0x08, 0x0A, 0x0B, 0x0C, 0x0D, 0x0E, 0x11];

/// Machine check.
const MACHINE_CHECK: u32 = 0x12;

/// Vectors that may come between an entry and its `swapgs`, or before the stack is good: they have stacks of their own
/// (the numbers are NT's), and GS tells itself whose it is.
const INTERRUPT_STACKS: [(u32, u32); 3] = [(vector::DOUBLE_FAULT, 1), (MACHINE_CHECK, 2), (vector::NMI, 3)];

/// How a vector is reached (ReactOS `ntoskrnl/ke/amd64/except.c`; 2Eh is Windows's).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Gate {
    /// What runs.
    pub(crate) routine: Routine,
    /// Lowest privilege that may use it by `int n`.
    pub(crate) dpl: u32,
    /// Interrupt stack, zero for that of the thread.
    pub(crate) stack: u32,
}

/// The gate of a vector.
pub(crate) fn gate(number: u32) -> Gate {
    let stack = INTERRUPT_STACKS.iter().find(|(vector, _)| *vector == number).map_or(0, |(_, stack)| *stack);
    let routine = match number {
        vector::SYSTEM_SERVICE => Routine::KiSystemService,
        0x00..=MACHINE_CHECK | vector::RAISE_ASSERTION | vector::DEBUG_SERVICE => Routine::KiTrap(number as u8),
        0x13..=0x2F => Routine::KiTrap(0x0F),
        _ => Routine::KiUnexpectedInterrupt((number - 0x30) as u8),
    };
    let from_ring3 = [0x03, 0x04, vector::RAISE_ASSERTION, vector::DEBUG_SERVICE, vector::SYSTEM_SERVICE];
    Gate { routine, dpl: if from_ring3.contains(&number) { 3 } else { 0 }, stack }
}

/// Emits all of this file.
pub(crate) fn emit(k: &mut KernelAsm<'_>) -> Asm {
    for number in 0..vector::COUNT {
        match gate(number).routine {
            Routine::KiSystemService => {}
            // Many vectors share KiTrap0F, which reports itself.
            Routine::KiTrap(0x0F) if number != 0x0F => {}
            routine => vector_entry(k, routine, number)?,
        }
    }
    trap_entry(k)?;
    trap_in_kernel(k)?;
    debug_service(k)?;
    user_fault(k)?;
    trap_exit(k)?;
    bug_check(k)
}

/// The routine that a gate names: error code, RBP, and the vector in EBP for the common part.
fn vector_entry(k: &mut KernelAsm<'_>, routine: Routine, number: u32) -> Asm {
    k.begin(routine)?;
    if !WITH_ERROR_CODE.contains(&number) {
        k.a.push(0)?;
    }
    k.a.push(rbp)?;
    k.a.mov(ebp, number)?;
    k.jmp(Routine::KiTrapEntry)
}

/// The registers that a trap keeps in the frame, except RBP.
const KEPT: [(u32, iced_x86::code_asm::AsmRegister64); 10] = [
    (trap_frame::RAX, rax),
    (trap_frame::RCX, rcx),
    (trap_frame::RDX, rdx),
    (trap_frame::R8, r8),
    (trap_frame::R9, r9),
    (trap_frame::R10, r10),
    (trap_frame::R11, r11),
    (trap_frame::RBX, rbx),
    (trap_frame::RDI, rdi),
    (trap_frame::RSI, rsi),
];

/// Builds the rest of the frame. On the stack: RBP, error code, and what the CPU pushed.
fn trap_entry(k: &mut KernelAsm<'_>) -> Asm {
    let look = &mut k.a.create_label();
    let swap = &mut k.a.create_label();
    let ours = &mut k.a.create_label();
    k.begin(Routine::KiTrapEntry)?;
    k.a.sub(rsp, trap_frame::RBP as i32)?;
    for (offset, register) in KEPT {
        k.a.mov(qword_ptr(rsp + offset), register)?;
    }
    k.a.mov(ebx, ebp)?;
    k.a.lea(rbp, rsp + trap_frame::RBP_BIAS)?;
    k.a.cld()?;
    for (number, _) in INTERRUPT_STACKS {
        k.a.cmp(ebx, number)?;
        k.a.je(*look)?;
    }
    k.a.test(byte_ptr(field(trap_frame::SEG_CS)), selector::MODE_MASK as i32)?;
    k.a.je(*ours)?;
    k.a.jmp(*swap)?;
    // The KPCR is in the upper half, a TEB is not.
    k.a.set_label(look)?;
    k.a.mov(ecx, msr::GS_BASE)?;
    k.a.rdmsr()?;
    k.a.test(edx, edx)?;
    k.a.js(*ours)?;
    k.a.set_label(swap)?;
    k.a.swapgs()?;
    k.a.set_label(ours)?;
    k.a.stmxcsr(dword_ptr(field(trap_frame::MXCSR)))?;
    k.a.ldmxcsr(dword_ptr(kpcr::MXCSR).gs())?;
    for (index, register) in VOLATILE_XMM.into_iter().enumerate() {
        k.a.movaps(xmmword_ptr(field(trap_frame::XMM0 + 16 * index as u32)), register)?;
    }
    k.a.mov(byte_ptr(field(trap_frame::EXCEPTION_ACTIVE)), trap_frame::EXCEPTION)?;
    k.a.mov(word_ptr(field(trap_frame::DR7)), 0)?;
    k.a.cmp(ebx, vector::DEBUG_SERVICE)?;
    k.je(Routine::KiDebugServiceHandler)?;
    k.a.test(byte_ptr(field(trap_frame::SEG_CS)), selector::MODE_MASK as i32)?;
    k.je(Routine::KiTrapKernel)?;
    k.jmp(Routine::KiUserFault)
}

/// A fault in ring 0. No surprise is a page fault in a copy of ring 3's arguments.
fn trap_in_kernel(k: &mut KernelAsm<'_>) -> Asm {
    let not_reactos = &mut k.a.create_label();
    k.begin(Routine::KiTrapKernel)?;
    k.a.cmp(ebx, vector::PAGE_FAULT)?;
    k.jne(Routine::KeBugCheck)?;
    k.a.mov(rax, qword_ptr(field(trap_frame::RIP)))?;
    k.lea(rcx, Routine::RosKiSystemCallHandlerCopy)?;
    k.a.cmp(rax, rcx)?;
    k.a.jne(*not_reactos)?;
    // RBP of the interrupted code is the service's own frame.
    k.a.mov(rcx, qword_ptr(field(trap_frame::RBP)))?;
    k.a.mov(dword_ptr(rcx + trap_frame::RAX), status::ACCESS_VIOLATION)?;
    k.lea(rcx, Routine::RosKiSystemCallHandlerFailure)?;
    k.a.mov(qword_ptr(field(trap_frame::RIP)), rcx)?;
    k.jmp(Routine::KiTrapExit)?;

    k.a.set_label(not_reactos)?;
    k.lea(rcx, Routine::KiSystemServiceCopyStart)?;
    k.a.sub(rax, rcx)?;
    k.a.cmp(rax, COPY_RUN_SIZE as i32)?;
    k.jae(Routine::KeBugCheck)?;
    k.begin(Routine::KiTrapKernelCopy)?;
    // RBP of the interrupted code points into the service's own frame.
    k.a.mov(rcx, qword_ptr(field(trap_frame::RBP)))?;
    k.a.test(byte_ptr(rcx + (trap_frame::SEG_CS - trap_frame::RBP_BIAS)), selector::MODE_MASK as i32)?;
    k.je(Routine::KeBugCheck)?;
    k.lea(rcx, Routine::KiSystemServiceExit)?;
    k.a.mov(qword_ptr(field(trap_frame::RIP)), rcx)?;
    k.a.mov(ecx, status::ACCESS_VIOLATION)?;
    k.a.mov(qword_ptr(field(trap_frame::RAX)), rcx)?;
    k.jmp(Routine::KiTrapExit)
}

/// `int 2Dh`.
fn debug_service(k: &mut KernelAsm<'_>) -> Asm {
    k.begin(Routine::KiDebugServiceHandler)?;
    // Compilers put an `int 3` behind `int 2Dh`; it is skipped.
    k.a.inc(qword_ptr(field(trap_frame::RIP)))?;
    k.a.mov(eax, dword_ptr(field(trap_frame::RAX)))?;
    k.a.cmp(eax, request::REPORT)?;
    k.je(Routine::NtgateReport)?;
    k.a.cmp(eax, request::NEXT_SET)?;
    k.je(Routine::NtgateNextSet)?;
    // No debugger is there to print or to load symbols: the breakpoint is ring 3's own.
    k.a.dec(qword_ptr(field(trap_frame::RIP)))?;
    k.a.test(byte_ptr(field(trap_frame::SEG_CS)), selector::MODE_MASK as i32)?;
    k.je(Routine::KeBugCheck)?;
    k.jmp(Routine::KiUserFault)
}

/// Records a fault of ring 3 and lets the harness go on. EBX = vector.
fn user_fault(k: &mut KernelAsm<'_>) -> Asm {
    let not_paging = &mut k.a.create_label();
    let block = |f: usize| qword_ptr(saved(k.profile.user_data, f));
    k.begin(Routine::KiUserFault)?;
    k.a.lea(eax, rbx + 1)?;
    k.a.mov(k.fact(fact::FAULT_VECTOR), eax)?;
    k.a.movzx(eax, word_ptr(field(trap_frame::ERROR_CODE)))?;
    k.a.mov(k.fact(fact::FAULT_ERROR), eax)?;
    k.a.mov(rax, qword_ptr(field(trap_frame::RIP)))?;
    k.a.mov(k.fact(fact::FAULT_RIP), rax)?;
    k.a.xor(ecx, ecx)?;
    k.a.cmp(ebx, vector::PAGE_FAULT)?;
    k.a.jne(*not_paging)?;
    k.a.mov(rcx, cr2)?;
    k.a.set_label(not_paging)?;
    k.a.mov(k.fact(fact::FAULT_CR2), rcx)?;

    for (offset, f) in [
        (trap_frame::RAX, fact::RAX),
        (trap_frame::RCX, fact::RCX),
        (trap_frame::RDX, fact::RDX),
        (trap_frame::RBX, fact::RBX),
        (trap_frame::RSI, fact::RSI),
        (trap_frame::RDI, fact::RDI),
        (trap_frame::RBP, fact::RBP),
        (trap_frame::R8, fact::R8),
        (trap_frame::R9, fact::R9),
        (trap_frame::R10, fact::R10),
        (trap_frame::R11, fact::R11),
        (trap_frame::RSP, fact::RSP),
    ] {
        k.a.mov(rax, qword_ptr(field(offset)))?;
        k.a.mov(block(f), rax)?;
    }
    for (register, f) in [(r12, fact::R12), (r13, fact::R13), (r14, fact::R14), (r15, fact::R15)] {
        k.a.mov(block(f), register)?;
    }
    for (offset, f) in [(trap_frame::EFLAGS, fact::RFLAGS), (trap_frame::MXCSR, fact::MXCSR)] {
        k.a.mov(eax, dword_ptr(field(offset)))?;
        k.a.mov(dword_ptr(saved(k.profile.user_data, f)), eax)?;
    }
    k.a.movzx(eax, word_ptr(field(trap_frame::SEG_SS)))?;
    k.a.shl(eax, 16)?;
    k.a.mov(iced_x86::code_asm::ax, word_ptr(field(trap_frame::SEG_CS)))?;
    k.a.mov(dword_ptr(saved(k.profile.user_data, fact::CS_SS)), eax)?;
    for (low, high, f) in [(ds, es, fact::DS_ES), (fs, gs, fact::FS_GS)] {
        k.a.mov(ecx, high)?;
        k.a.mov(eax, low)?;
        k.a.shl(ecx, 16)?;
        k.a.or(eax, ecx)?;
        k.a.mov(dword_ptr(saved(k.profile.user_data, f)), eax)?;
    }
    recover(k)
}

/// A fact's address in the block of ring 3's harness, which is below 2 GB.
fn saved(user_data: u64, f: usize) -> u64 {
    user_data + u64::from(harness::save(f))
}

/// The frame becomes that of the harness at its recovery point.
fn recover(k: &mut KernelAsm<'_>) -> Asm {
    k.a.mov(eax, selector::R3_DATA)?;
    k.a.mov(ds, eax)?;
    k.a.mov(es, eax)?;
    for (offset, value) in [
        (trap_frame::RIP, k.user.recovery),
        (trap_frame::RSP, k.profile.user_stack),
        (trap_frame::SEG_CS, selector::R3_CODE.into()),
        (trap_frame::SEG_SS, selector::R3_DATA.into()),
        (trap_frame::EFLAGS, (eflags::ALWAYS | eflags::IF).into()),
    ] {
        k.a.mov(rax, value)?;
        k.a.mov(qword_ptr(field(offset)), rax)?;
    }
    k.jmp(Routine::KiTrapExit)
}

/// Leaves a trap: everything comes back from the frame that RBP points into.
fn trap_exit(k: &mut KernelAsm<'_>) -> Asm {
    let from_kernel = &mut k.a.create_label();
    k.begin(Routine::KiTrapExit)?;
    k.a.cli()?;
    k.a.ldmxcsr(dword_ptr(field(trap_frame::MXCSR)))?;
    for (index, register) in VOLATILE_XMM.into_iter().enumerate() {
        k.a.movaps(register, xmmword_ptr(field(trap_frame::XMM0 + 16 * index as u32)))?;
    }
    for (offset, register) in KEPT {
        k.a.mov(register, qword_ptr(field(offset)))?;
    }
    k.a.test(byte_ptr(field(trap_frame::SEG_CS)), selector::MODE_MASK as i32)?;
    k.a.je(*from_kernel)?;
    k.a.swapgs()?;
    k.a.set_label(from_kernel)?;
    k.a.lea(rsp, field(trap_frame::RIP))?;
    k.a.mov(rbp, qword_ptr(rsp - (trap_frame::RIP - trap_frame::RBP)))?;
    k.a.iretq()
}

/// What a bug check prints: slot and whether it has sixteen digits.
const BUGCHECK_SLOTS: [bool; 8] = [false, false, false, true, true, true, false, false];

/// `bugcheck code vector error rip cr2 rsp cs rflags`, then the exit port. EBX = vector.
fn bug_check(k: &mut KernelAsm<'_>) -> Asm {
    let known = &mut k.a.create_label();
    let slot = |index: u32| kernel::BUGCHECK + 8 * index;
    k.begin(Routine::KeBugCheck)?;
    k.a.mov(eax, bugcheck::PAGE_FAULT_IN_NONPAGED_AREA)?;
    k.a.cmp(ebx, vector::PAGE_FAULT)?;
    k.a.je(*known)?;
    k.a.mov(eax, bugcheck::UNEXPECTED_KERNEL_MODE_TRAP)?;
    k.a.set_label(known)?;
    k.a.mov(k.var(slot(0)), rax)?;
    k.a.mov(k.var(slot(1)), rbx)?;
    k.a.movzx(eax, word_ptr(field(trap_frame::ERROR_CODE)))?;
    k.a.mov(k.var(slot(2)), rax)?;
    k.a.mov(rax, cr2)?;
    k.a.mov(k.var(slot(4)), rax)?;
    for (index, offset) in [(3, trap_frame::RIP), (5, trap_frame::RSP), (7, trap_frame::EFLAGS)] {
        k.a.mov(rax, qword_ptr(field(offset)))?;
        k.a.mov(k.var(slot(index)), rax)?;
    }
    k.a.movzx(eax, word_ptr(field(trap_frame::SEG_CS)))?;
    k.a.mov(k.var(slot(6)), rax)?;
    // Emulators differ in the RF they save for faults.
    k.a.and(k.var(slot(7)), !(eflags::RF as i32))?;

    k.begin(Routine::KeBugCheckPrint)?;
    k.a.cld()?;
    print_literal(k, "bugcheck")?;
    for (index, long) in BUGCHECK_SLOTS.into_iter().enumerate() {
        k.a.mov(al, b' ' as u32)?;
        k.a.out(port::DEBUG_CONSOLE, al)?;
        if long {
            k.a.mov(eax, k.var32(slot(index as u32) + 4))?;
            k.call(Routine::NtgatePrintHex)?;
        }
        k.a.mov(eax, k.var32(slot(index as u32)))?;
        k.call(Routine::NtgatePrintHex)?;
    }
    print_literal(k, "\n")?;
    k.a.mov(al, 1)?;
    leave(k)
}

/// Stops because the guest itself is not as it has to be. Nothing but the code is known.
pub(crate) fn stop(k: &mut KernelAsm<'_>, code: u32) -> Asm {
    k.a.mov(k.var32(kernel::BUGCHECK), code)?;
    k.jmp(Routine::KeBugCheckPrint)
}

/// Ends the run with the value in AL. On a machine without an exit port the processor stops.
pub(crate) fn leave(k: &mut KernelAsm<'_>) -> Asm {
    let stop = &mut k.a.create_label();
    k.a.out(port::EXIT, al)?;
    k.a.set_label(stop)?;
    k.a.cli()?;
    k.a.hlt()?;
    k.a.jmp(*stop)
}
