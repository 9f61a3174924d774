//! The system-call path: both entries, the dispatch they share, and the exit.
//!
//! Written after the order of steps that ReactOS's assembler version has (`ntoskrnl/ke/i386/trap.s` of 2006 to 2010,
//! which follows Windows Server 2003). Two stores are as in its later C version: EAX goes into the frame, and the link
//! to the previous frame is written on both paths.
//!
//! Left out is what nothing in this guest can ask for: virtual-8086 frames, and the #UD that NT raises in ring 3 when a fast call
//! finds a stack that is not the thread's: here it stops the system.

use iced_x86::code_asm::{
    AsmRegister32, bl, byte_ptr, cl, cx, ds, dword_ptr, eax, ebp, ebx, ecx, edi, edx, es, esi, esp, fs, word_ptr,
};

use super::apc;
use super::assembly::{Asm, KernelAsm, Routine};
use super::data::kernel;
use super::debug;
use super::layout::{bugcheck, eflags, kpcr, mode, selector, service_table, status, teb, trap_frame, tss};

/// Emits all of this file.
pub(crate) fn emit(k: &mut KernelAsm<'_>) -> Asm {
    system_service(k)?;
    fast_call_entry(k)?;
    dispatch(k)?;
    exit_checks(k)?;
    unexpected_range(k)?;
    service_exit(k)?;
    edited_frame_exit(k)
}

/// Bytes between the frame's start and the field that the entry code pushes last.
const BELOW_PREVIOUS_MODE: u32 = trap_frame::PREVIOUS_PREVIOUS_MODE;

/// KiSystemService: `int 2Eh` from ring 3, or a Zw stub's call with EFLAGS and CS pushed.
fn system_service(k: &mut KernelAsm<'_>) -> Asm {
    let thread = k.profile.thread;
    k.begin(Routine::KiSystemService)?;
    k.a.push(0)?; // ErrCode
    k.a.push(ebp)?;
    k.a.push(ebx)?;
    k.a.push(esi)?;
    k.a.push(edi)?;
    k.a.push(fs)?;
    k.a.mov(ebx, selector::R0_PCR)?;
    k.a.mov(fs, ebx)?;
    k.a.mov(esi, dword_ptr(kpcr::CURRENT_THREAD).fs())?;
    k.a.push(dword_ptr(kpcr::EXCEPTION_LIST).fs())?;
    k.a.mov(dword_ptr(kpcr::EXCEPTION_LIST).fs(), kpcr::EXCEPTION_CHAIN_END)?;
    k.a.movzx(ebx, byte_ptr(esi + thread.previous_mode))?;
    k.a.push(ebx)?;
    k.a.sub(esp, BELOW_PREVIOUS_MODE)?;
    // The mode is what the caller's code segment says: Zw stubs come here with ring 0's.
    k.a.mov(ebx, dword_ptr(esp + trap_frame::SEG_CS))?;
    k.a.and(ebx, selector::MODE_MASK)?;
    k.a.mov(byte_ptr(esi + thread.previous_mode), bl)?;
    k.a.mov(ebp, esp)?;
    k.a.mov(byte_ptr(ebp + trap_frame::LOGGING), trap_frame::BY_SYSTEM_SERVICE)?;
    link_and_mark(k)?;
    k.a.cld()?;
    k.a.sti()?;
    k.jmp(Routine::KiSystemServiceStart)
}

/// KiFastCallEntry: `sysenter`. Two entries that differ in the return address they push: one reads it from
/// SharedUserData, the one of systems before Windows XP SP2 knows that it is in the shared page. Of each a second
/// form, in which KiTrap01 goes on when the user was single-stepping.
fn fast_call_entry(k: &mut KernelAsm<'_>) -> Asm {
    let shared_return = k.profile.system_call_return();
    let code_return = k.profile.shared_code_return();
    for (routine, single_step) in [(Routine::KiFastCallEntry, false), (Routine::KiFastCallEntryWithSingleStep, true)] {
        k.begin(routine)?;
        fast_call_frame(k, single_step)?;
        k.a.push(dword_ptr(shared_return))?;
        k.jmp(Routine::KiFastCallEntryCommon)?;
    }
    for (routine, single_step) in
        [(Routine::KiFastCallEntryRtm, false), (Routine::KiFastCallEntryRtmWithSingleStep, true)]
    {
        k.begin(routine)?;
        fast_call_frame(k, single_step)?;
        k.a.push(code_return)?;
        k.jmp(Routine::KiFastCallEntryCommon)?;
    }
    k.begin(Routine::KiFastCallEntryCommon)?;
    fast_call_common(k)
}

/// The part of the frame that `int` would have pushed, up to CS. `sysenter` saved nothing.
fn fast_call_frame(k: &mut KernelAsm<'_>, single_step: bool) -> Asm {
    k.a.mov(ecx, selector::R3_DATA)?;
    // This push goes to the stack of IA32_SYSENTER_ESP, which is used for nothing else.
    k.a.push(selector::R0_PCR)?;
    k.a.pop(fs)?;
    k.a.mov(ds, cx)?;
    k.a.mov(es, cx)?;
    k.a.mov(ecx, dword_ptr(kpcr::TSS).fs())?;
    k.a.mov(esp, dword_ptr(ecx + tss::ESP0))?;
    k.a.push(selector::R3_DATA)?;
    k.a.push(edx)?;
    k.a.pushfd()?;
    k.a.push(eflags::ALWAYS)?;
    // Past the return addresses of the stub and of its caller: the first argument.
    k.a.add(edx, 8)?;
    // The user's TF, DF and NT go no further.
    k.a.popfd()?;
    // `sysenter` cleared IF; the user had it set. KiTrap01 cleared TF.
    let restored = if single_step { eflags::IF | eflags::TF } else { eflags::IF };
    k.a.or(byte_ptr(esp + 1), restored >> 8)?;
    k.a.push(selector::R3_CODE)
}

fn fast_call_common(k: &mut KernelAsm<'_>) -> Asm {
    let thread = k.profile.thread;
    let base_frame = k.profile.initial_stack - k.profile.base_frame();
    k.a.push(0)?; // ErrCode
    k.a.push(ebp)?;
    k.a.push(ebx)?;
    k.a.push(esi)?;
    k.a.push(edi)?;
    k.a.push(selector::R3_TEB)?;
    k.a.mov(ebx, dword_ptr(kpcr::SELF_PCR).fs())?;
    k.a.mov(esi, dword_ptr(ebx + kpcr::CURRENT_THREAD))?;
    k.a.push(dword_ptr(ebx + kpcr::EXCEPTION_LIST))?;
    k.a.mov(dword_ptr(ebx + kpcr::EXCEPTION_LIST), kpcr::EXCEPTION_CHAIN_END)?;
    k.a.mov(ebp, dword_ptr(esi + thread.initial_stack))?;
    k.a.push(mode::USER)?;
    k.a.sub(esp, BELOW_PREVIOUS_MODE)?;
    k.a.sub(ebp, base_frame)?;
    k.a.mov(byte_ptr(esi + thread.previous_mode), mode::USER)?;
    k.a.cmp(ebp, esp)?;
    k.jne(Routine::KiFastCallEntryBadStack)?;
    k.a.mov(byte_ptr(ebp + trap_frame::LOGGING), trap_frame::BY_FAST_CALL_ENTRY)?;
    link_and_mark(k)?;
    k.a.sti()?;
    k.jmp(Routine::KiSystemServiceStart)?;

    // TSS.Esp0 does not belong to the current thread: there is no frame to trust. A bug check tells of it.
    k.begin(Routine::KiFastCallEntryBadStack)?;
    k.a.ud2()
}

/// Links the frame at EBP into the thread at ESI and fills what debuggers look at. EBX and EDI are free.
fn link_and_mark(k: &mut KernelAsm<'_>) -> Asm {
    let thread = k.profile.thread;
    k.a.mov(ebx, dword_ptr(esi + thread.trap_frame))?;
    k.a.mov(dword_ptr(ebp + trap_frame::EDX), ebx)?;
    k.a.mov(dword_ptr(esi + thread.trap_frame), ebp)?;
    k.a.and(dword_ptr(ebp + trap_frame::DR7), 0)?;
    k.a.mov(dword_ptr(ebp + trap_frame::EAX), eax)?;
    debug::save(k)?;
    debug_header(k, edx)
}

/// Fills DbgEbp, DbgEip, DbgArgMark and DbgArgPointer of the frame at EBP. EBX and EDI are free.
pub(crate) fn debug_header(k: &mut KernelAsm<'_>, arguments: AsmRegister32) -> Asm {
    k.a.mov(ebx, dword_ptr(ebp + trap_frame::EBP))?;
    k.a.mov(edi, dword_ptr(ebp + trap_frame::EIP))?;
    k.a.mov(dword_ptr(ebp + trap_frame::DBG_ARG_POINTER), arguments)?;
    k.a.mov(dword_ptr(ebp + trap_frame::DBG_ARG_MARK), trap_frame::DEBUG_MARK)?;
    k.a.mov(dword_ptr(ebp + trap_frame::DBG_EBP), ebx)?;
    k.a.mov(dword_ptr(ebp + trap_frame::DBG_EIP), edi)
}

/// EAX = service number, EDX = first argument, EBP = ESP = frame.
fn dispatch(k: &mut KernelAsm<'_>) -> Asm {
    let thread = k.profile.thread;
    k.begin(Routine::KiSystemServiceStart)?;
    k.call(Routine::NtgateEntry)?;

    k.begin(Routine::KiSystemServiceRepeat)?;
    k.a.mov(edi, eax)?;
    k.a.shr(edi, service_table::SHIFT)?;
    k.a.and(edi, k.profile.table_mask)?;
    k.a.mov(ecx, edi)?;
    k.a.mov(esi, dword_ptr(kpcr::CURRENT_THREAD).fs())?;
    k.a.add(edi, dword_ptr(esi + thread.service_table))?;
    k.a.mov(ebx, eax)?;
    k.a.and(eax, service_table::NUMBER_MASK)?;
    k.a.cmp(eax, dword_ptr(edi + service_table::LIMIT))?;
    k.jae(Routine::KiBBTUnexpectedRange)?;
    flush_batch(k)?;
    k.a.inc(dword_ptr(k.profile.system_calls_counter).fs())?;

    k.a.mov(esi, edx)?;
    k.a.mov(ebx, dword_ptr(edi + service_table::NUMBER))?;
    k.a.xor(ecx, ecx)?;
    k.a.mov(cl, byte_ptr(eax + ebx))?;
    k.a.mov(edi, dword_ptr(edi + service_table::BASE))?;
    k.a.mov(ebx, dword_ptr(edi + eax * 4))?;
    k.a.sub(esp, ecx)?;
    k.a.shr(ecx, 2)?;
    k.a.mov(edi, esp)?;
    k.a.cmp(esi, k.var(kernel::USER_PROBE_ADDRESS))?;
    k.jae(Routine::KiSystemServiceAccessViolation)?;
    // KiTrap0E knows this address: a fault here is the caller's, and becomes the status of the service.
    k.begin(Routine::KiSystemServiceCopyArguments)?;
    k.a.rep().movsd()?;
    k.a.call(ebx)?;

    k.begin(Routine::KiSystemServiceReturn)?;
    k.a.mov(esp, ebp)?;
    if k.profile.checks_exit {
        k.a.test(byte_ptr(ebp + trap_frame::SEG_CS), selector::MODE_MASK)?;
        k.jne(Routine::KiSystemServiceCheck)?;
        k.begin(Routine::KiSystemServiceChecked)?;
    }
    k.a.mov(ecx, dword_ptr(kpcr::CURRENT_THREAD).fs())?;
    k.a.mov(edx, dword_ptr(ebp + trap_frame::EDX))?;
    k.a.mov(dword_ptr(ecx + thread.trap_frame), edx)?;
    k.jmp(Routine::KiServiceExit)?;

    // The kernel may pass pointers to its own memory, ring 3 may not.
    k.begin(Routine::KiSystemServiceAccessViolation)?;
    k.a.test(byte_ptr(ebp + trap_frame::SEG_CS), selector::MODE_MASK)?;
    k.je(Routine::KiSystemServiceCopyArguments)?;
    k.a.mov(eax, status::ACCESS_VIOLATION)?;
    k.jmp(Routine::KiSystemServiceReturn)
}

/// Before a service of win32k the drawing calls that ring 3 has gathered are made. ECX = offset of the table; EAX, EDX and EDI
/// stay.
fn flush_batch(k: &mut KernelAsm<'_>) -> Asm {
    let skip = &mut k.a.create_label();
    k.a.cmp(ecx, service_table::TEST)?;
    k.a.jne(*skip)?;
    k.a.mov(ecx, dword_ptr(kpcr::TEB).fs())?;
    k.a.cmp(dword_ptr(ecx + teb::GDI_BATCH_COUNT), 0)?;
    k.a.je(*skip)?;
    k.a.push(eax)?;
    k.a.push(edx)?;
    k.call(Routine::KeGdiFlushUserBatch)?;
    k.a.pop(edx)?;
    k.a.pop(eax)?;
    k.a.set_label(skip)?;
    k.a.nop()
}

/// What may not be when a service of ring 3 is over: a raised interrupt level, and APCs that are disabled. EAX = status, EBP =
/// frame.
fn exit_checks(k: &mut KernelAsm<'_>) -> Asm {
    if !k.profile.checks_exit {
        return Ok(());
    }
    let thread = k.profile.thread;
    let apcs = &mut k.a.create_label();
    k.begin(Routine::KiSystemServiceCheck)?;
    k.a.movzx(ecx, byte_ptr(kpcr::IRQL).fs())?;
    k.a.mov(edx, bugcheck::IRQL_GT_ZERO_AT_SYSTEM_SERVICE)?;
    k.a.test(ecx, ecx)?;
    k.jne(Routine::KeBugCheckAtExit)?;
    k.a.mov(esi, dword_ptr(kpcr::CURRENT_THREAD).fs())?;
    k.a.movzx(ecx, byte_ptr(esi + thread.apc_state_index))?;
    k.a.mov(edx, bugcheck::APC_INDEX_MISMATCH)?;
    k.a.test(ecx, ecx)?;
    k.jne(Routine::KeBugCheckAtExit)?;
    k.a.cmp(dword_ptr(esi + thread.apc_disable), 0)?;
    k.a.jne(*apcs)?;
    k.jmp(Routine::KiSystemServiceChecked)?;
    k.a.set_label(apcs)?;
    k.a.nop()?;

    bug_check_at_exit(k)
}

/// The parameters: the address of the service's routine, the level or index, and if it is about APCs, how often they were
/// disabled. EDX = code, ECX = level or index, EBP = frame.
fn bug_check_at_exit(k: &mut KernelAsm<'_>) -> Asm {
    let thread = k.profile.thread;
    let (unknown, level) = (&mut k.a.create_label(), &mut k.a.create_label());
    k.begin(Routine::KeBugCheckAtExit)?;
    k.a.mov(esi, dword_ptr(kpcr::CURRENT_THREAD).fs())?;
    // The routine's register may have been lost; the number is in the frame.
    k.a.mov(eax, dword_ptr(ebp + trap_frame::EAX))?;
    k.a.mov(edi, eax)?;
    k.a.shr(edi, service_table::SHIFT)?;
    k.a.and(edi, k.profile.table_mask)?;
    k.a.add(edi, dword_ptr(esi + thread.service_table))?;
    k.a.and(eax, service_table::NUMBER_MASK)?;
    k.a.xor(ebx, ebx)?;
    k.a.cmp(eax, dword_ptr(edi + service_table::LIMIT))?;
    k.a.jae(*unknown)?;
    k.a.mov(edi, dword_ptr(edi + service_table::BASE))?;
    k.a.mov(ebx, dword_ptr(edi + eax * 4))?;
    k.a.set_label(unknown)?;
    k.a.mov(k.var(kernel::PARAMETERS), ebx)?;
    k.a.mov(k.var(kernel::PARAMETERS + 4), ecx)?;
    k.a.xor(ebx, ebx)?;
    k.a.cmp(edx, bugcheck::IRQL_GT_ZERO_AT_SYSTEM_SERVICE)?;
    k.a.je(*level)?;
    k.a.mov(ebx, dword_ptr(esi + thread.apc_disable))?;
    k.a.set_label(level)?;
    k.a.mov(k.var(kernel::PARAMETERS + 8), ebx)?;
    k.a.mov(eax, edx)?;
    k.a.xor(ebx, ebx)?;
    k.jmp(Routine::KeBugCheckWithFrame)
}

/// Number out of range: EBX = number, ECX = offset of the table, EDX = first argument.
fn unexpected_range(k: &mut KernelAsm<'_>) -> Asm {
    let thread = k.profile.thread;
    let shadow = k.data(kernel::DESCRIPTOR_TABLE_SHADOW) + service_table::TEST;
    k.begin(Routine::KiBBTUnexpectedRange)?;
    k.a.cmp(ecx, service_table::TEST)?;
    k.jne(Routine::KiInvalidSystemService)?;
    k.a.push(edx)?;
    k.a.push(ebx)?;
    k.call(Routine::PsConvertToGuiThread)?;
    k.a.or(eax, eax)?;
    // None of these changes the flags.
    k.a.pop(eax)?;
    k.a.pop(edx)?;
    k.a.mov(ebp, esp)?;
    k.a.mov(esi, dword_ptr(kpcr::CURRENT_THREAD).fs())?;
    k.a.mov(dword_ptr(esi + thread.trap_frame), ebp)?;
    k.je(Routine::KiSystemServiceRepeat)?;
    // The byte table behind the win32k services tells what a number returns when conversion failed.
    k.a.mov(edx, shadow)?;
    k.a.mov(ecx, dword_ptr(edx + service_table::LIMIT))?;
    k.a.mov(edx, dword_ptr(edx + service_table::BASE))?;
    k.a.lea(edx, dword_ptr(edx + ecx * 4))?;
    k.a.and(eax, service_table::NUMBER_MASK)?;
    k.a.add(edx, eax)?;
    k.a.movsx(eax, byte_ptr(edx))?;
    k.a.or(eax, eax)?;
    let back = k.at(Routine::KiSystemServiceReturn);
    k.a.jle(back)?;
    k.begin(Routine::KiInvalidSystemService)?;
    k.a.mov(eax, status::INVALID_SYSTEM_SERVICE)?;
    k.jmp(Routine::KiSystemServiceReturn)
}

/// EAX = status, EBP = ESP = frame.
fn service_exit(k: &mut KernelAsm<'_>) -> Asm {
    let thread = k.profile.thread;
    k.begin(Routine::KiServiceExit)?;
    k.a.cli()?;
    apc::deliver(k, Routine::KiServiceExit, true)?;
    debug::restore(k)?;

    k.a.mov(edx, dword_ptr(ebp + trap_frame::EXCEPTION_LIST))?;
    k.a.mov(dword_ptr(kpcr::EXCEPTION_LIST).fs(), edx)?;
    k.a.mov(ecx, dword_ptr(ebp + trap_frame::PREVIOUS_PREVIOUS_MODE))?;
    k.a.mov(esi, dword_ptr(kpcr::CURRENT_THREAD).fs())?;
    k.a.mov(byte_ptr(esi + thread.previous_mode), cl)?;
    k.a.test(word_ptr(ebp + trap_frame::SEG_CS), trap_frame::FRAME_EDITED)?;
    k.je(Routine::KiServiceExitEdited)?;
    k.a.lea(esp, dword_ptr(ebp + trap_frame::SEG_FS))?;
    k.a.pop(fs)?;
    k.a.pop(edi)?;
    k.a.pop(esi)?;
    k.a.pop(ebx)?;
    k.a.pop(ebp)?;
    k.a.add(esp, 4)?;
    // Now EIP, CS, EFLAGS and, for ring 3, ESP and SS are on the stack.
    k.a.test(byte_ptr(esp + 4), selector::MODE_MASK)?;
    k.je(Routine::KiSystemCallExitKernel)?;
    k.a.cmp(k.var(kernel::FAST_SYSTEM_CALL_DISABLE), 0)?;
    k.jne(Routine::KiSystemCallExit)?;
    // Only IRETD can set TF so that the first user instruction is traced.
    k.a.test(byte_ptr(esp + 9), eflags::TF >> 8)?;
    k.jne(Routine::KiSystemCallExit)?;
    k.a.pop(edx)?;
    k.a.add(esp, 4)?;
    k.a.and(dword_ptr(esp), !eflags::IF)?;
    k.a.popfd()?;
    k.a.pop(ecx)?;
    // No interrupt between these two: STI takes effect after the next instruction.
    k.a.sti()?;
    k.a.sysexit()?;

    k.begin(Routine::KiSystemCallExit)?;
    k.a.iretd()?;

    k.begin(Routine::KiSystemCallExitKernel)?;
    k.a.pop(edx)?;
    k.a.pop(ecx)?;
    k.a.popfd()?;
    k.a.jmp(edx)
}

/// A frame that was edited to go elsewhere: the real CS and ESP are in TempSegCs and TempEsp.
fn edited_frame_exit(k: &mut KernelAsm<'_>) -> Asm {
    k.begin(Routine::KiServiceExitEdited)?;
    k.a.movzx(ebx, word_ptr(ebp + trap_frame::TEMP_SEG_CS))?;
    k.a.mov(dword_ptr(ebp + trap_frame::SEG_CS), ebx)?;
    k.a.mov(ebx, dword_ptr(ebp + trap_frame::TEMP_ESP))?;
    k.a.sub(ebx, 0xC)?;
    k.a.mov(dword_ptr(ebp + trap_frame::ERR_CODE), ebx)?;
    k.a.mov(esi, dword_ptr(ebp + trap_frame::EFLAGS))?;
    k.a.mov(dword_ptr(ebx + 8), esi)?;
    k.a.mov(esi, dword_ptr(ebp + trap_frame::SEG_CS))?;
    k.a.mov(dword_ptr(ebx + 4), esi)?;
    k.a.mov(esi, dword_ptr(ebp + trap_frame::EIP))?;
    k.a.mov(dword_ptr(ebx), esi)?;
    k.a.lea(esp, dword_ptr(ebp + trap_frame::SEG_FS))?;
    k.a.pop(fs)?;
    k.a.pop(edi)?;
    k.a.pop(esi)?;
    k.a.pop(ebx)?;
    k.a.pop(ebp)?;
    // ErrCode holds the new stack pointer.
    k.a.mov(esp, dword_ptr(esp))?;
    k.a.iretd()
}
