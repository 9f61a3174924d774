//! ReactOS's way in and out (`ntoskrnl/ke/amd64/trap.S`, `traphandler.c`): the frame is filled by stores, a routine
//! that is C there finds the service in a table of addresses and copies the arguments that the argument table says, and
//! kernel stubs name their service themselves.

use iced_x86::code_asm::{
    AsmRegister64, byte_ptr, dil, ds, dword_ptr, eax, ecx, edi, es, qword_ptr, r8, r9, r10, r11, rax, rbp, rbx, rcx,
    rdi, rdx, rsi, rsp, word_ptr,
};

use super::assembly::{Asm, KernelAsm, Routine};
use super::data::kernel;
use super::entry::{entry_registers, field};
use super::exit::VOLATILE_XMM;
use super::layout::{
    HOME_AREA, REACTOS_COPY_AREA, dispatcher_header, kpcr, mode, selector, service_table, status, trap_frame,
};
use super::record::{FILL, exit, fact};
use super::{apc, debug, report};

/// Emits all of this file.
pub(crate) fn emit(k: &mut KernelAsm<'_>) -> Asm {
    system_call(k)?;
    service_exit(k)?;
    handler(k)?;
    copy_and_return(k)?;
    handler_range(k)?;
    convert_to_gui_thread(k)?;
    zw_system_service(k)
}

/// A field of the frame, seen from the stack below the argument area.
fn at(offset: u32) -> u32 {
    REACTOS_COPY_AREA + offset
}

/// KiSystemCallEntry64.
fn system_call(k: &mut KernelAsm<'_>) -> Asm {
    k.begin(Routine::RosKiSystemCallEntry64)?;
    k.a.swapgs()?;
    k.a.mov(qword_ptr(kpcr::USER_RSP).gs(), rsp)?;
    k.a.mov(rsp, qword_ptr(kpcr::RSP_BASE).gs())?;
    k.a.sub(rsp, at(trap_frame::SIZE) as i32)?;
    entry_registers(k)?;
    for (offset, register) in [
        (trap_frame::RAX, rax),
        (trap_frame::RIP, rcx),
        (trap_frame::RDX, rdx),
        (trap_frame::R8, r8),
        (trap_frame::R9, r9),
        (trap_frame::RCX, r10),
        (trap_frame::EFLAGS, r11),
        (trap_frame::RBX, rbx),
        (trap_frame::RSI, rsi),
        (trap_frame::RDI, rdi),
        (trap_frame::RBP, rbp),
    ] {
        k.a.mov(qword_ptr(rsp + at(offset)), register)?;
    }
    k.a.mov(rax, qword_ptr(kpcr::USER_RSP).gs())?;
    k.a.mov(qword_ptr(rsp + at(trap_frame::RSP)), rax)?;
    k.a.mov(eax, selector::R3_DATA)?;
    k.a.mov(ds, eax)?;
    k.a.mov(es, eax)?;
    k.a.stmxcsr(dword_ptr(rsp + at(trap_frame::MXCSR)))?;
    k.a.ldmxcsr(dword_ptr(kpcr::MXCSR).gs())?;

    k.begin(Routine::RosKiSystemCall64Again)?;
    k.call(Routine::RosKiSystemCallHandler)?;
    for (offset, register) in
        [(trap_frame::RCX, rcx), (trap_frame::RDX, rdx), (trap_frame::R8, r8), (trap_frame::R9, r9)]
    {
        k.a.mov(register, qword_ptr(rsp + at(offset)))?;
    }
    k.a.call(rax)
}

/// KiSystemServiceExit of ReactOS: EAX = status, RSP = argument area.
fn service_exit(k: &mut KernelAsm<'_>) -> Asm {
    let no_apc = &mut k.a.create_label();
    let thread = k.profile.thread;
    k.begin(Routine::RosKiSystemServiceExit)?;
    k.a.mov(rcx, qword_ptr(kpcr::CURRENT_THREAD).gs())?;
    k.a.cmp(byte_ptr(rcx + thread.user_apc_pending), 0)?;
    k.a.je(*no_apc)?;
    apcs(k)?;
    k.a.set_label(no_apc)?;
    k.a.cli()?;
    debug_registers(k)?;
    k.a.ldmxcsr(dword_ptr(rsp + at(trap_frame::MXCSR)))?;
    k.a.mov(rcx, qword_ptr(kpcr::CURRENT_THREAD).gs())?;
    k.a.mov(rdx, qword_ptr(rsp + at(trap_frame::TRAP_FRAME)))?;
    k.a.mov(qword_ptr(rcx + thread.trap_frame), rdx)?;
    k.a.mov(rcx, qword_ptr(rsp + at(trap_frame::RIP)))?;
    k.a.mov(r11, qword_ptr(rsp + at(trap_frame::EFLAGS)))?;
    k.a.mov(k.fact(fact::EXIT), exit::SYSRET)?;
    k.a.mov(rsp, qword_ptr(rsp + at(trap_frame::RSP)))?;
    k.a.mov(r8, rsp)?;
    k.a.mov(r9, rbp)?;
    k.a.swapgs()?;
    for register in VOLATILE_XMM {
        k.a.pxor(register, register)?;
    }
    k.a.xor(rdx, rdx)?;
    k.a.xor(r10, r10)?;
    k.a.sysretq()
}

/// Delivers what is pending: RAX survives, as does RBP, which is ring 3's.
fn apcs(k: &mut KernelAsm<'_>) -> Asm {
    k.a.push(rbp)?;
    k.a.push(rax)?;
    k.a.lea(rbp, rsp + (16 + at(trap_frame::RBP_BIAS)))?;
    k.a.mov(qword_ptr(field(trap_frame::RAX)), rax)?;
    k.call(Routine::NtgateCompleteFrame)?;
    apc::deliver(k)?;
    k.a.pop(rax)?;
    k.a.pop(rbp)
}

/// Loads ring 3's debug registers, if the frame has any. RAX and RBP survive.
fn debug_registers(k: &mut KernelAsm<'_>) -> Asm {
    k.a.mov(rdx, rbp)?;
    k.a.lea(rbp, rsp + at(trap_frame::RBP_BIAS))?;
    debug::restore(k)?;
    k.a.mov(rbp, rdx)
}

/// Registers that a C routine gives back.
const NON_VOLATILE: [AsmRegister64; 4] = [rbx, rsi, rdi, rbp];

/// KiSystemCallHandler, the part up to the table: gives the service's address in RAX.
fn handler(k: &mut KernelAsm<'_>) -> Asm {
    let thread = k.profile.thread;
    let not_debugged = &mut k.a.create_label();
    k.begin(Routine::RosKiSystemCallHandler)?;
    for register in NON_VOLATILE {
        k.a.push(register)?;
    }
    // Above the four: the return address, the argument area, the frame.
    k.a.lea(rbp, rsp + at(8 * (NON_VOLATILE.len() as u32 + 1)))?;
    k.a.mov(word_ptr(rbp + trap_frame::SEG_CS), selector::R3_CODE)?;
    k.a.mov(word_ptr(rbp + trap_frame::SEG_SS), selector::R3_DATA)?;
    k.a.mov(byte_ptr(rbp + trap_frame::LOGGING), trap_frame::BY_SYSTEM_CALL_ENTRY)?;
    k.a.mov(byte_ptr(rbp + trap_frame::EXCEPTION_ACTIVE), trap_frame::SERVICE)?;
    k.a.mov(rbx, qword_ptr(kpcr::CURRENT_THREAD).gs())?;
    k.a.mov(rsi, qword_ptr(rbx + thread.trap_frame))?;
    k.a.mov(qword_ptr(rbp + trap_frame::TRAP_FRAME), rsi)?;
    k.a.mov(qword_ptr(rbx + thread.trap_frame), rbp)?;
    k.a.mov(word_ptr(rbp + trap_frame::DR7), 0)?;
    k.a.test(byte_ptr(rbx + dispatcher_header::DEBUG_ACTIVE), dispatcher_header::DEBUG_REGISTERS as i32)?;
    k.a.je(*not_debugged)?;
    k.a.add(rbp, trap_frame::RBP_BIAS as i32)?;
    k.call(Routine::KiSaveDebugRegisterState)?;
    k.a.sub(rbp, trap_frame::RBP_BIAS as i32)?;
    // The exit of the trap before has left something where the arguments go.
    k.a.mov(rdi, FILL)?;
    for slot in 1..=REACTOS_COPY_AREA / 8 {
        k.a.mov(qword_ptr(rbp - 8 * slot), rdi)?;
    }
    k.a.set_label(not_debugged)?;
    k.a.sti()?;
    k.a.mov(eax, dword_ptr(rbp + trap_frame::RAX))?;
    report::entry_facts(k, 0)?;
    k.a.mov(edi, eax)?;
    k.a.shr(edi, service_table::SHIFT)?;
    k.a.and(edi, service_table::MASK)?;
    k.a.and(eax, service_table::NUMBER_MASK)?;
    if let Some(table) = thread.service_table {
        k.a.mov(r10, qword_ptr(rbx + table))?;
    } else {
        k.lea_data(r10, kernel::POINTER_TABLE)?;
        k.lea_data(r11, kernel::POINTER_TABLE_SHADOW)?;
        k.a.test(dword_ptr(rbx + thread.flags), thread.gui_thread)?;
        k.a.cmovne(r10, r11)?;
    }
    k.a.add(r10, rdi)?;
    k.a.cmp(eax, dword_ptr(r10 + service_table::LIMIT))?;
    k.jae(Routine::RosKiSystemCallHandlerRange)
}

/// EAX = number, R10 = descriptor. All but four arguments come over the stack.
fn copy_and_return(k: &mut KernelAsm<'_>) -> Asm {
    let none = &mut k.a.create_label();
    k.a.inc(dword_ptr(k.profile.system_calls_counter).gs())?;
    k.a.mov(rcx, qword_ptr(r10 + service_table::NUMBER))?;
    k.a.movzx(ecx, byte_ptr(rcx + rax))?;
    k.a.shr(ecx, 3)?;
    k.a.sub(ecx, 4)?;
    k.a.jbe(*none)?;
    k.a.mov(rsi, qword_ptr(rbp + trap_frame::RSP))?;
    k.a.cmp(rsi, k.var(kernel::USER_PROBE_ADDRESS))?;
    k.a.cmovae(rsi, k.var(kernel::USER_PROBE_ADDRESS))?;
    k.a.lea(rsi, rsi + (8 + HOME_AREA))?;
    k.a.lea(rdi, rbp - (REACTOS_COPY_AREA - HOME_AREA))?;
    // A fault here is the caller's, and becomes the status of the service.
    k.begin(Routine::RosKiSystemCallHandlerCopy)?;
    k.a.rep().movsq()?;
    k.a.set_label(none)?;
    k.a.mov(r10, qword_ptr(r10 + service_table::BASE))?;
    k.a.mov(rax, qword_ptr(r10 + rax * 8))?;
    handler_return(k)
}

fn handler_return(k: &mut KernelAsm<'_>) -> Asm {
    for register in NON_VOLATILE.into_iter().rev() {
        k.a.pop(register)?;
    }
    k.a.ret()
}

/// What is called in place of a service that there is not.
fn handler_range(k: &mut KernelAsm<'_>) -> Asm {
    let main = &mut k.a.create_label();
    k.begin(Routine::RosKiSystemCallHandlerRange)?;
    k.a.cmp(edi, service_table::TEST)?;
    k.a.jne(*main)?;
    // Already one: the number is wrong.
    k.a.test(dword_ptr(rbx + k.profile.thread.flags), k.profile.thread.gui_thread)?;
    k.a.jne(*main)?;
    k.lea(rax, Routine::RosKiConvertToGuiThread)?;
    handler_return(k)?;
    k.a.set_label(main)?;
    k.a.mov(dword_ptr(rbp + trap_frame::RAX), status::INVALID_SYSTEM_SERVICE)?;
    k.begin(Routine::RosKiSystemCallHandlerFailure)?;
    k.lea(rax, Routine::RosNtSyscallFailure)?;
    handler_return(k)?;

    // Called with the return address below the argument area.
    k.begin(Routine::RosNtSyscallFailure)?;
    k.a.mov(eax, dword_ptr(rsp + (8 + at(trap_frame::RAX))))?;
    k.a.ret()
}

/// KiConvertToGuiThread of ReactOS, called as if it were the service: on success the call begins again.
fn convert_to_gui_thread(k: &mut KernelAsm<'_>) -> Asm {
    let failed = &mut k.a.create_label();
    let thread = k.profile.thread;
    k.begin(Routine::RosKiConvertToGuiThread)?;
    k.a.push(rbx)?;
    k.a.mov(rbx, qword_ptr(kpcr::CURRENT_THREAD).gs())?;
    k.call(Routine::PsConvertToGuiThread)?;
    k.a.mov(rcx, rbx)?;
    k.a.pop(rbx)?;
    k.a.test(eax, eax)?;
    k.a.js(*failed)?;
    k.a.cli()?;
    k.a.add(rsp, 8)?;
    k.a.mov(rdx, qword_ptr(rsp + at(trap_frame::TRAP_FRAME)))?;
    k.a.mov(qword_ptr(rcx + thread.trap_frame), rdx)?;
    k.jmp(Routine::RosKiSystemCall64Again)?;
    k.a.set_label(failed)?;
    k.a.mov(eax, status::NO_MEMORY)?;
    k.a.ret()
}

/// KiZwSystemService: RAX = service, R10 = bytes of its arguments.
fn zw_system_service(k: &mut KernelAsm<'_>) -> Asm {
    let thread = k.profile.thread;
    k.begin(Routine::RosKiZwSystemService)?;
    k.a.push(rbp)?;
    k.a.sub(rsp, trap_frame::SIZE as i32)?;
    k.a.mov(qword_ptr(rsp + trap_frame::RSI), rsi)?;
    k.a.mov(qword_ptr(rsp + trap_frame::RDI), rdi)?;
    k.a.mov(rbp, rsp)?;
    entry_registers(k)?;
    k.a.mov(k.fact(fact::ENTRY), trap_frame::BY_ZW_SYSTEM_SERVICE)?;
    k.a.mov(k.fact(fact::FRAME), rbp)?;
    // There is no machine frame, so who looks at the frame has to be told.
    k.a.mov(word_ptr(rbp + trap_frame::SEG_CS), selector::R0_CODE)?;
    k.a.mov(r11, qword_ptr(kpcr::CURRENT_THREAD).gs())?;
    k.a.mov(dil, byte_ptr(r11 + thread.previous_mode))?;
    k.a.mov(byte_ptr(rbp + trap_frame::PREVIOUS_MODE), dil)?;
    k.a.mov(rdi, qword_ptr(r11 + thread.trap_frame))?;
    k.a.mov(qword_ptr(rbp + trap_frame::RDX), rdi)?;
    k.a.mov(qword_ptr(r11 + thread.trap_frame), rbp)?;
    k.a.mov(byte_ptr(r11 + thread.previous_mode), mode::KERNEL)?;
    k.a.sub(rsp, r10)?;
    k.a.and(rsp, -16)?;
    k.a.mov(qword_ptr(rbp + trap_frame::RCX), rcx)?;
    // Above the frame: RBP and the return address, then the caller's home area.
    k.a.lea(rsi, rbp + (trap_frame::SIZE + 16))?;
    k.a.mov(rdi, rsp)?;
    k.a.mov(rcx, r10)?;
    k.a.shr(rcx, 3)?;
    k.a.rep().movsq()?;
    k.a.mov(rcx, qword_ptr(rbp + trap_frame::RCX))?;
    k.a.call(rax)?;
    k.a.mov(k.fact(fact::EXIT), exit::RET)?;
    k.a.mov(r11, qword_ptr(kpcr::CURRENT_THREAD).gs())?;
    k.a.mov(rsi, qword_ptr(rbp + trap_frame::RDX))?;
    k.a.mov(qword_ptr(r11 + thread.trap_frame), rsi)?;
    k.a.mov(dil, byte_ptr(rbp + trap_frame::PREVIOUS_MODE))?;
    k.a.mov(byte_ptr(r11 + thread.previous_mode), dil)?;
    k.a.mov(rsi, qword_ptr(rbp + trap_frame::RSI))?;
    k.a.mov(rdi, qword_ptr(rbp + trap_frame::RDI))?;
    k.a.lea(rsp, rbp + trap_frame::SIZE)?;
    k.a.pop(rbp)?;
    k.a.ret()
}
