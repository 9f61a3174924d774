//! Exceptions and the other interrupt vectors.
//!
//! Every vector has its own routine with NT's name; each builds a complete `KTRAP_FRAME`. What follows is decided
//! once: a request of the harness, a fault of ring 3 (recorded, then the harness goes on at its recovery point), a fault in
//! the argument copy (the service's status), or a bug check.

use iced_x86::code_asm::{
    al, ax, bx, byte_ptr, cr2, cx, ds, dword_ptr, eax, ebp, ebx, ecx, edi, edx, es, esi, esp, fs, gs, word_ptr,
};

use super::assembly::{Asm, KernelAsm, Routine};
use super::data::{harness, kernel, request};
use super::dispatch::debug_header;
use super::layout::{bugcheck, eflags, kpcr, mode, port, selector, shared, status, trap_frame, tss, vector};
use super::record::fact;
use super::report::print_literal;

/// Vectors whose error code the CPU pushes (Intel SDM volume 3, table 6-1); #DF has a task of its own.
const WITH_ERROR_CODE: [u32; 6] = [0x0A, 0x0B, 0x0C, 0x0D, 0x0E, 0x11];

/// How a vector is reached (ReactOS `ntoskrnl/ke/i386/trap.s`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Gate {
    /// Interrupt gate to a routine, with the lowest privilege that may use it by `int n`.
    Interrupt { routine: Routine, dpl: u32 },
    /// Task gate.
    Task { selector: u32 },
}

/// The gate of a vector.
pub(crate) fn gate(number: u32) -> Gate {
    let system = |routine| Gate::Interrupt { routine, dpl: 3 };
    match number {
        vector::NMI => Gate::Task { selector: selector::NMI_TSS },
        vector::DOUBLE_FAULT => Gate::Task { selector: selector::DF_TSS },
        vector::GET_TICK_COUNT => system(Routine::KiGetTickCount),
        vector::CALLBACK_RETURN => system(Routine::KiCallbackReturn),
        vector::RAISE_ASSERTION => system(Routine::KiRaiseAssertion),
        vector::DEBUG_SERVICE => system(Routine::KiDebugService),
        vector::SYSTEM_SERVICE => system(Routine::KiSystemService),
        0x03 | 0x04 => system(Routine::KiTrap(number as u8)),
        0x00..=0x11 => Gate::Interrupt { routine: Routine::KiTrap(number as u8), dpl: 0 },
        0x12..=0x2F => Gate::Interrupt { routine: Routine::KiTrap(0x0F), dpl: 0 },
        _ => Gate::Interrupt { routine: Routine::KiUnexpectedInterrupt((number - 0x30) as u8), dpl: 0 },
    }
}

/// Emits all of this file.
pub(crate) fn emit(k: &mut KernelAsm<'_>) -> Asm {
    for number in 0..vector::COUNT {
        match gate(number) {
            Gate::Interrupt { routine: Routine::KiSystemService, .. } => {}
            // Many vectors share KiTrap0F, which reports itself.
            Gate::Interrupt { routine: Routine::KiTrap(0x0F), .. } if number != 0x0F => {}
            Gate::Interrupt { routine, .. } => vector_entry(k, routine, number)?,
            Gate::Task { .. } => task_entry(k, number)?,
        }
    }
    trap_entry(k)?;
    trap_in_kernel(k)?;
    small_services(k)?;
    user_fault(k)?;
    trap_exit(k)?;
    task_fault(k)?;
    bug_check(k)
}

/// The routine that a gate names: error code, EBP, and the vector in EBP for the common part.
fn vector_entry(k: &mut KernelAsm<'_>, routine: Routine, number: u32) -> Asm {
    k.begin(routine)?;
    if !WITH_ERROR_CODE.contains(&number) {
        k.a.push(0)?;
    }
    k.a.push(ebp)?;
    k.a.mov(ebp, number)?;
    k.jmp(Routine::KiTrapEntry)
}

/// Builds the rest of the frame. On the stack: EBP, error code, and what the CPU pushed.
fn trap_entry(k: &mut KernelAsm<'_>) -> Asm {
    k.begin(Routine::KiTrapEntry)?;
    k.a.push(ebx)?;
    k.a.push(esi)?;
    k.a.push(edi)?;
    k.a.push(fs)?;
    k.a.mov(ebx, selector::R0_PCR)?;
    k.a.mov(fs, bx)?;
    k.a.push(dword_ptr(kpcr::EXCEPTION_LIST).fs())?;
    k.a.mov(dword_ptr(kpcr::EXCEPTION_LIST).fs(), kpcr::EXCEPTION_CHAIN_END)?;
    k.a.push(mode::NONE)?;
    k.a.push(eax)?;
    k.a.push(ecx)?;
    k.a.push(edx)?;
    k.a.push(ds)?;
    k.a.push(es)?;
    k.a.push(gs)?;
    k.a.sub(esp, trap_frame::SEG_GS)?;
    k.a.mov(esi, ebp)?; // the vector
    k.a.mov(ebp, esp)?;
    k.a.mov(ecx, selector::R3_DATA)?;
    k.a.mov(ds, cx)?;
    k.a.mov(es, cx)?;
    k.a.cld()?;
    k.a.and(dword_ptr(ebp + trap_frame::DR7), 0)?;
    k.a.xor(edx, edx)?;
    debug_header(k, edx)?;
    k.a.mov(ebx, esi)?;

    k.a.cmp(ebx, vector::DEBUG_SERVICE)?;
    k.je(Routine::KiDebugServiceHandler)?;
    k.a.test(byte_ptr(ebp + trap_frame::SEG_CS), selector::MODE_MASK)?;
    k.je(Routine::KiTrapKernel)?;
    k.a.cmp(ebx, vector::GET_TICK_COUNT)?;
    k.je(Routine::KiGetTickCountHandler)?;
    k.a.cmp(ebx, vector::CALLBACK_RETURN)?;
    k.je(Routine::KiCallbackReturnHandler)?;
    k.jmp(Routine::KiUserFault)
}

/// A fault in ring 0. Two are no surprise: the trap of a single-stepping user at the first instruction behind `sysenter`,
/// which leaves TF alone, and a page fault in the copy of ring 3's arguments.
fn trap_in_kernel(k: &mut KernelAsm<'_>) -> Asm {
    let copy = k.address(Routine::KiSystemServiceCopyArguments);
    let back = k.address(Routine::KiSystemServiceReturn);
    k.begin(Routine::KiTrapKernel)?;
    k.a.cmp(ebx, vector::DEBUG)?;
    k.jne(Routine::KiTrapKernelPageFault)?;
    for (entry, traced) in [
        (Routine::KiFastCallEntry, Routine::KiFastCallEntryWithSingleStep),
        (Routine::KiFastCallEntryRtm, Routine::KiFastCallEntryRtmWithSingleStep),
    ] {
        let other = &mut k.a.create_label();
        let (entry, traced) = (k.address(entry), k.address(traced));
        k.a.cmp(dword_ptr(ebp + trap_frame::EIP), entry)?;
        k.a.jne(*other)?;
        k.a.mov(dword_ptr(ebp + trap_frame::EIP), traced)?;
        k.a.and(dword_ptr(ebp + trap_frame::EFLAGS), !eflags::TF)?;
        k.jmp(Routine::Kei386EoiHelper)?;
        k.a.set_label(other)?;
        k.a.nop()?;
    }
    k.jmp(Routine::KeBugCheck)?;

    k.begin(Routine::KiTrapKernelPageFault)?;
    k.a.cmp(ebx, vector::PAGE_FAULT)?;
    k.jne(Routine::KeBugCheck)?;
    k.a.cmp(dword_ptr(ebp + trap_frame::EIP), copy)?;
    k.jne(Routine::KeBugCheck)?;
    // EBP of the interrupted code is the service's own frame.
    k.a.mov(ecx, dword_ptr(ebp + trap_frame::EBP))?;
    k.a.test(byte_ptr(ecx + trap_frame::SEG_CS), selector::MODE_MASK)?;
    k.je(Routine::KeBugCheck)?;
    k.a.mov(dword_ptr(ebp + trap_frame::EIP), back)?;
    k.a.mov(dword_ptr(ebp + trap_frame::EAX), status::ACCESS_VIOLATION)?;
    k.jmp(Routine::Kei386EoiHelper)
}

/// `int 2Ah`, `int 2Bh` and `int 2Dh`.
fn small_services(k: &mut KernelAsm<'_>) -> Asm {
    k.begin(Routine::KiGetTickCountHandler)?;
    k.a.mov(eax, dword_ptr(k.profile.shared_kernel))?;
    k.a.mul(dword_ptr(k.profile.shared_kernel + shared::TICK_COUNT_MULTIPLIER))?;
    k.a.shrd(eax, edx, 24)?;
    k.a.mov(dword_ptr(ebp + trap_frame::EAX), eax)?;
    k.jmp(Routine::Kei386EoiHelper)?;

    // No callback is ever active.
    k.begin(Routine::KiCallbackReturnHandler)?;
    k.a.mov(dword_ptr(ebp + trap_frame::EAX), status::NO_CALLBACK_ACTIVE)?;
    k.jmp(Routine::Kei386EoiHelper)?;

    k.begin(Routine::KiDebugServiceHandler)?;
    // Compilers put an `int 3` behind `int 2Dh`; it is skipped.
    k.a.inc(dword_ptr(ebp + trap_frame::EIP))?;
    k.a.mov(eax, dword_ptr(ebp + trap_frame::EAX))?;
    k.a.cmp(eax, request::REPORT)?;
    k.je(Routine::NtgateReport)?;
    k.a.cmp(eax, request::NEXT_SET)?;
    k.je(Routine::NtgateNextSet)?;
    // No debugger is there to print or to load symbols: the breakpoint is ring 3's own.
    k.a.dec(dword_ptr(ebp + trap_frame::EIP))?;
    k.a.test(byte_ptr(ebp + trap_frame::SEG_CS), selector::MODE_MASK)?;
    k.je(Routine::KeBugCheck)?;
    k.jmp(Routine::KiUserFault)
}

/// Records a fault of ring 3 and lets the harness go on. EBX = vector, EBP = frame.
fn user_fault(k: &mut KernelAsm<'_>) -> Asm {
    let not_paging = &mut k.a.create_label();
    let block = k.profile.user_data;
    k.begin(Routine::KiUserFault)?;
    k.a.lea(eax, dword_ptr(ebx + 1))?;
    k.a.mov(k.fact(fact::FAULT_VECTOR), eax)?;
    k.a.movzx(eax, word_ptr(ebp + trap_frame::ERR_CODE))?;
    k.a.mov(k.fact(fact::FAULT_ERROR), eax)?;
    k.a.mov(eax, dword_ptr(ebp + trap_frame::EIP))?;
    k.a.mov(k.fact(fact::FAULT_EIP), eax)?;
    k.a.xor(ecx, ecx)?;
    k.a.cmp(ebx, vector::PAGE_FAULT)?;
    k.a.jne(*not_paging)?;
    k.a.mov(ecx, cr2)?;
    k.a.set_label(not_paging)?;
    k.a.mov(k.fact(fact::FAULT_CR2), ecx)?;

    for (field, register) in [
        (trap_frame::EAX, fact::EAX),
        (trap_frame::ECX, fact::ECX),
        (trap_frame::EDX, fact::EDX),
        (trap_frame::EBX, fact::EBX),
        (trap_frame::ESI, fact::ESI),
        (trap_frame::EDI, fact::EDI),
        (trap_frame::EBP, fact::EBP),
        (trap_frame::HARDWARE_ESP, fact::ESP),
        (trap_frame::EFLAGS, fact::EFLAGS),
    ] {
        k.a.mov(eax, dword_ptr(ebp + field))?;
        k.a.mov(dword_ptr(block + harness::save(register)), eax)?;
    }
    for (low, high, pair) in [
        (trap_frame::SEG_CS, trap_frame::HARDWARE_SEG_SS, fact::CS_SS),
        (trap_frame::SEG_DS, trap_frame::SEG_ES, fact::DS_ES),
        (trap_frame::SEG_FS, trap_frame::SEG_GS, fact::FS_GS),
    ] {
        k.a.movzx(eax, word_ptr(ebp + high))?;
        k.a.shl(eax, 16)?;
        k.a.mov(ax, word_ptr(ebp + low))?;
        k.a.mov(dword_ptr(block + harness::save(pair)), eax)?;
    }
    for (field, value) in [
        (trap_frame::EIP, k.user.recovery),
        (trap_frame::HARDWARE_ESP, k.profile.user_stack),
        (trap_frame::SEG_CS, selector::R3_CODE),
        (trap_frame::HARDWARE_SEG_SS, selector::R3_DATA),
        (trap_frame::EFLAGS, eflags::ALWAYS | eflags::IF),
        (trap_frame::SEG_DS, selector::R3_DATA),
        (trap_frame::SEG_ES, selector::R3_DATA),
        (trap_frame::SEG_FS, selector::R3_TEB),
        (trap_frame::SEG_GS, 0),
    ] {
        k.a.mov(dword_ptr(ebp + field), value)?;
    }
    k.jmp(Routine::Kei386EoiHelper)
}

/// Leaves a trap: everything comes back from the frame at EBP.
fn trap_exit(k: &mut KernelAsm<'_>) -> Asm {
    let from_kernel = &mut k.a.create_label();
    k.begin(Routine::Kei386EoiHelper)?;
    k.a.cli()?;
    k.a.mov(edx, dword_ptr(ebp + trap_frame::EXCEPTION_LIST))?;
    k.a.mov(dword_ptr(kpcr::EXCEPTION_LIST).fs(), edx)?;
    k.a.mov(eax, dword_ptr(ebp + trap_frame::EAX))?;
    k.a.mov(edx, dword_ptr(ebp + trap_frame::EDX))?;
    k.a.mov(ecx, dword_ptr(ebp + trap_frame::ECX))?;
    k.a.test(byte_ptr(ebp + trap_frame::SEG_CS), selector::MODE_MASK)?;
    k.a.je(*from_kernel)?;
    k.a.mov(gs, word_ptr(ebp + trap_frame::SEG_GS))?;
    k.a.mov(es, word_ptr(ebp + trap_frame::SEG_ES))?;
    k.a.mov(ds, word_ptr(ebp + trap_frame::SEG_DS))?;
    k.a.set_label(from_kernel)?;
    k.a.lea(esp, dword_ptr(ebp + trap_frame::SEG_FS))?;
    k.a.pop(fs)?;
    k.a.pop(edi)?;
    k.a.pop(esi)?;
    k.a.pop(ebx)?;
    k.a.pop(ebp)?;
    k.a.add(esp, 4)?;
    k.a.iretd()
}

/// Double fault and NMI run as tasks of their own, on a stack that can't be the broken one.
fn task_entry(k: &mut KernelAsm<'_>, number: u32) -> Asm {
    k.begin(Routine::KiTrap(number as u8))?;
    k.a.mov(ebx, number)?;
    k.jmp(Routine::KiTrapTask)
}

/// The CPU has put the interrupted code's registers into the KTSS.
fn task_fault(k: &mut KernelAsm<'_>) -> Asm {
    let interrupted = k.profile.tss;
    k.begin(Routine::KiTrapTask)?;
    k.a.mov(k.var(kernel::BUGCHECK), bugcheck::UNEXPECTED_KERNEL_MODE_TRAP)?;
    k.a.mov(k.var(kernel::BUGCHECK + 4), ebx)?;
    k.a.mov(k.var(kernel::BUGCHECK + 8), 0)?;
    k.a.mov(eax, cr2)?;
    k.a.mov(k.var(kernel::BUGCHECK + 16), eax)?;
    for (slot, field) in [(12, tss::EIP), (20, tss::ESP), (24, tss::CS), (28, tss::EFLAGS)] {
        k.a.mov(eax, dword_ptr(interrupted + field))?;
        if field == tss::CS {
            k.a.movzx(eax, ax)?;
        }
        k.a.mov(k.var(kernel::BUGCHECK + slot), eax)?;
    }
    k.jmp(Routine::KeBugCheckPrint)
}

/// `bugcheck code vector error eip cr2 esp cs eflags`, then the exit port. EBX = vector, EBP = frame in ring 0.
fn bug_check(k: &mut KernelAsm<'_>) -> Asm {
    let known = &mut k.a.create_label();
    let next = &mut k.a.create_label();
    k.begin(Routine::KeBugCheck)?;
    k.a.mov(eax, bugcheck::PAGE_FAULT_IN_NONPAGED_AREA)?;
    k.a.cmp(ebx, vector::PAGE_FAULT)?;
    k.a.je(*known)?;
    k.a.mov(eax, bugcheck::UNEXPECTED_KERNEL_MODE_TRAP)?;
    k.a.set_label(known)?;
    k.a.mov(k.var(kernel::BUGCHECK), eax)?;
    k.a.mov(k.var(kernel::BUGCHECK + 4), ebx)?;
    k.a.movzx(eax, word_ptr(ebp + trap_frame::ERR_CODE))?;
    k.a.mov(k.var(kernel::BUGCHECK + 8), eax)?;
    k.a.mov(eax, dword_ptr(ebp + trap_frame::EIP))?;
    k.a.mov(k.var(kernel::BUGCHECK + 12), eax)?;
    k.a.mov(eax, cr2)?;
    k.a.mov(k.var(kernel::BUGCHECK + 16), eax)?;
    // Without a change of privilege the interrupted stack goes on above the frame.
    k.a.lea(eax, dword_ptr(ebp + trap_frame::HARDWARE_ESP))?;
    k.a.mov(k.var(kernel::BUGCHECK + 20), eax)?;
    k.a.movzx(eax, word_ptr(ebp + trap_frame::SEG_CS))?;
    k.a.mov(k.var(kernel::BUGCHECK + 24), eax)?;
    k.a.mov(eax, dword_ptr(ebp + trap_frame::EFLAGS))?;
    k.a.mov(k.var(kernel::BUGCHECK + 28), eax)?;

    k.begin(Routine::KeBugCheckPrint)?;
    // Emulators differ in the RF they save for faults.
    k.a.and(k.var(kernel::BUGCHECK + 28), !eflags::RF)?;
    k.a.cld()?;
    print_literal(k, "bugcheck")?;
    k.a.mov(ebx, k.data(kernel::BUGCHECK))?;
    k.a.set_label(next)?;
    k.a.mov(al, b' ' as u32)?;
    k.a.out(port::DEBUG_CONSOLE, al)?;
    k.a.mov(eax, dword_ptr(ebx))?;
    k.call(Routine::NtgatePrintHex)?;
    k.a.add(ebx, 4)?;
    k.a.cmp(ebx, k.data(kernel::BUGCHECK + 32))?;
    k.a.jne(*next)?;
    k.a.mov(al, b'\n' as u32)?;
    k.a.out(port::DEBUG_CONSOLE, al)?;
    k.a.mov(al, 1)?;
    leave(k)
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
