//! Exceptions and the other interrupt vectors of the 64-bit kernel.
//!
//! Every vector has its own routine with NT's name; each builds a complete `KTRAP_FRAME`. What follows is decided
//! once: a request to the debugger (`services`), an exception of ring 3 (`exception`, in a proof `recovery`), a fault in one of
//! the copies from ring 3, or a bug check.

use iced_x86::code_asm::{
    byte_ptr, dword_ptr, ebp, ebx, ecx, edx, qword_ptr, r8, r9, r10, r11, rax, rbp, rbx, rcx, rdi, rdx, rsi, rsp,
    word_ptr, xmmword_ptr,
};

use super::assembly::{Asm, KernelAsm, Routine};
use super::data::kernel;
use super::dispatch::COPY_RUN_SIZE;
use super::entry::field;
use super::exception::XMM_EXCEPTION;
use super::exit::VOLATILE_XMM;
use super::layout::{dispatcher_header, kpcr, msr, selector, status, trap_frame, vector};
use super::profile::Profile;
use super::{apc, clock, debug};

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
pub(crate) fn gate(profile: &Profile, number: u32) -> Gate {
    let stack = INTERRUPT_STACKS.iter().find(|(vector, _)| *vector == number).map_or(0, |(_, stack)| *stack);
    let routine = match number {
        vector::SYSTEM_SERVICE => Routine::KiSystemService,
        vector::SECURITY_CHECK if profile.has_vector_29 => Routine::KiTrap(number as u8),
        0x00..=XMM_EXCEPTION | vector::RAISE_ASSERTION | vector::DEBUG_SERVICE => Routine::KiTrap(number as u8),
        0x14..=0x2F => Routine::KiTrap(0x0F),
        _ => Routine::KiUnexpectedInterrupt((number - 0x30) as u8),
    };
    let from_ring3 = match number {
        0x03 | 0x04 | vector::RAISE_ASSERTION | vector::DEBUG_SERVICE | vector::SYSTEM_SERVICE => true,
        vector::SECURITY_CHECK => profile.has_vector_29,
        _ => false,
    };
    Gate { routine, dpl: if from_ring3 { 3 } else { 0 }, stack }
}

/// Emits all of this file.
pub(crate) fn emit(k: &mut KernelAsm<'_>) -> Asm {
    for number in 0..vector::COUNT {
        match gate(k.profile, number).routine {
            Routine::KiSystemService => {}
            // Many vectors share KiTrap0F, which reports itself.
            Routine::KiTrap(0x0F) if number != 0x0F => {}
            routine => vector_entry(k, routine, number)?,
        }
    }
    trap_entry(k)?;
    trap_in_kernel(k)?;
    trap_exit(k)
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
    let not_debugged = &mut k.a.create_label();
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
    k.a.test(byte_ptr(field(trap_frame::SEG_CS)), selector::MODE_MASK as i32)?;
    k.a.je(*not_debugged)?;
    k.a.mov(rsi, qword_ptr(kpcr::CURRENT_THREAD).gs())?;
    k.a.test(byte_ptr(rsi + dispatcher_header::DEBUG_ACTIVE), dispatcher_header::DEBUG_REGISTERS as i32)?;
    k.a.je(*not_debugged)?;
    k.call(Routine::KiSaveDebugRegisterState)?;
    k.a.set_label(not_debugged)?;
    k.a.cmp(ebx, vector::DEBUG_SERVICE)?;
    k.je(Routine::KiDebugServiceHandler)?;
    k.a.cmp(ebx, clock::VECTOR)?;
    k.je(Routine::KeUpdateSystemTime)?;
    k.a.test(byte_ptr(field(trap_frame::SEG_CS)), selector::MODE_MASK as i32)?;
    k.je(Routine::KiTrapKernel)?;
    k.a.cmp(k.var32(kernel::PROOF), 0)?;
    k.jne(Routine::KiUserFault)?;
    k.jmp(Routine::KiUserException)
}

/// A fault in ring 0. No surprise is a page fault in a copy from or to ring 3: in that of the arguments it gives the service its
/// status, in the others the routine's result.
fn trap_in_kernel(k: &mut KernelAsm<'_>) -> Asm {
    let not_reactos = &mut k.a.create_label();
    let arguments = &mut k.a.create_label();
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
    k.lea(rcx, Routine::KiCopyBytes)?;
    k.a.cmp(rax, rcx)?;
    k.a.jne(*arguments)?;
    k.lea(rcx, Routine::KiCopyFault)?;
    k.a.mov(qword_ptr(field(trap_frame::RIP)), rcx)?;
    k.jmp(Routine::KiTrapExit)?;

    k.a.set_label(arguments)?;
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

/// Leaves a trap: everything comes back from the frame that RBP points into.
fn trap_exit(k: &mut KernelAsm<'_>) -> Asm {
    let from_kernel = &mut k.a.create_label();
    let no_apc = &mut k.a.create_label();
    let registers = &mut k.a.create_label();
    let thread = k.profile.thread;
    k.begin(Routine::KiTrapExit)?;
    k.a.cli()?;
    k.a.test(byte_ptr(field(trap_frame::SEG_CS)), selector::MODE_MASK as i32)?;
    k.a.je(*registers)?;
    // In a proof it is only system calls that look for APCs.
    k.a.cmp(k.var32(kernel::PROOF), 0)?;
    k.a.jne(*no_apc)?;
    k.a.mov(rcx, qword_ptr(kpcr::CURRENT_THREAD).gs())?;
    k.a.cmp(byte_ptr(rcx + thread.user_apc_pending), 0)?;
    k.a.je(*no_apc)?;
    apc::deliver(k)?;
    k.call(Routine::KiSetupForInstrumentationReturn)?;
    k.jmp(Routine::KiTrapExit)?;
    k.a.set_label(no_apc)?;
    debug::restore(k)?;
    k.a.set_label(registers)?;
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
