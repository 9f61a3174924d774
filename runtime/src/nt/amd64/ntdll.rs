//! The part of ntdll that the kernel calls: dispatchers of exceptions, APCs and callbacks (what they find on the stack and
//! leave there: ReactOS `dll/ntdll/dispatch/amd64/dispatch.S`).
//!
//! A program of a session has no unwind data, so RtlDispatchException asks vectored handlers only: those that
//! RtlAddVectoredExceptionHandler has put into a list, in that order.

use iced_x86::code_asm::{
    AsmMemoryOperand, CodeAssembler, CodeLabel, al, dl, eax, ecx, edx, ptr, qword_ptr, r8, r8d, r9, rax, rbx, rcx, rdi,
    rdx, rsp,
};
use iced_x86::{BlockEncoderOptions, IcedError, Register};

use super::layout::{callout_frame, peb, teb, user_context as context};
use super::profile::Profile;

/// `EXCEPTION_CONTINUE_EXECUTION`, what a handler returns when the program may go on.
const CONTINUE_EXECUTION: i32 = -1;

/// Handlers that the list can hold.
pub(crate) const HANDLERS: u32 = 8;

/// The stubs that the dispatchers call.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Stubs {
    pub(crate) nt_continue: u64,
    pub(crate) raise_exception: u64,
    pub(crate) callback_return: u64,
}

/// The dispatchers' code and where they begin.
#[derive(Debug, Clone)]
pub(crate) struct Dispatchers {
    pub(crate) code: Vec<u8>,
    pub(crate) exception: u64,
    pub(crate) apc: u64,
    pub(crate) callback: u64,
    pub(crate) find_handler: u64,
    pub(crate) add_handler: u64,
}

impl Dispatchers {
    /// Assembles them for their address. `list` is a page of ntdll's data: a qword with the number of handlers, then they.
    pub(crate) fn assemble(profile: &Profile, list: u64, stubs: Stubs) -> Result<Self, IcedError> {
        let mut a = CodeAssembler::new(64)?;
        let [exception, apc, callback, find_handler, add_handler] = &mut [(); 5].map(|()| a.create_label());

        a.set_label(exception)?;
        user_exception(&mut a, stubs, *find_handler, context::SIZE + profile.context_ex)?;
        a.set_label(apc)?;
        user_apc(&mut a, stubs)?;
        a.set_label(callback)?;
        user_callback(&mut a, stubs)?;
        a.set_label(find_handler)?;
        dispatch_exception(&mut a, list)?;
        a.set_label(add_handler)?;
        add_vectored_handler(&mut a, list)?;

        let options = BlockEncoderOptions::RETURN_NEW_INSTRUCTION_OFFSETS;
        let result = a.assemble_options(profile.ntdll_dispatchers, options)?;
        Ok(Self {
            exception: result.label_ip(exception)?,
            apc: result.label_ip(apc)?,
            callback: result.label_ip(callback)?,
            find_handler: result.label_ip(find_handler)?,
            add_handler: result.label_ip(add_handler)?,
            code: result.inner.code_buffer,
        })
    }
}

/// KiUserExceptionDispatcher: on the stack the context, and behind it the record.
fn user_exception(a: &mut CodeAssembler, stubs: Stubs, find_handler: CodeLabel, record: u32) -> Result<(), IcedError> {
    let handled = &mut a.create_label();
    a.cld()?;
    a.lea(rcx, rsp + record)?;
    a.mov(rdx, rsp)?;
    a.call(find_handler)?;
    a.test(al, al)?;
    a.jne(*handled)?;
    // Nobody took it: its second chance.
    a.lea(rcx, rsp + record)?;
    a.mov(rdx, rsp)?;
    a.xor(r8d, r8d)?;
    a.call(stubs.raise_exception)?;
    a.int3()?;
    a.set_label(handled)?;
    a.mov(rcx, rsp)?;
    a.xor(edx, edx)?;
    a.call(stubs.nt_continue)?;
    // Neither comes back, unless its argument is bad.
    a.int3()
}

/// KiUserApcDispatcher: on the stack the context to go back to, whose homes hold the routine and its three arguments. The
/// routine uses the same homes.
fn user_apc(a: &mut CodeAssembler, stubs: Stubs) -> Result<(), IcedError> {
    for (home, register) in [rcx, rdx, r8].into_iter().enumerate() {
        a.mov(register, qword_ptr(rsp + (context::P1_HOME + 8 * home as u32)))?;
    }
    a.mov(r9, rsp)?;
    a.call(qword_ptr(rsp + (context::P1_HOME + 0x18)))?;
    a.mov(rcx, rsp)?;
    a.mov(dl, 1)?;
    a.call(stubs.nt_continue)?;
    a.int3()
}

/// KiUserCallbackDispatcher: on the stack a `UCALLOUT_FRAME`.
fn user_callback(a: &mut CodeAssembler, stubs: Stubs) -> Result<(), IcedError> {
    a.mov(rcx, qword_ptr(rsp + callout_frame::BUFFER))?;
    a.mov(edx, iced_x86::code_asm::dword_ptr(rsp + callout_frame::LENGTH))?;
    a.mov(r8d, iced_x86::code_asm::dword_ptr(rsp + callout_frame::API_NUMBER))?;
    a.mov(rax, qword_ptr(teb::PEB).gs())?;
    a.mov(r9, qword_ptr(rax + peb::KERNEL_CALLBACK_TABLE))?;
    a.call(qword_ptr(r9 + r8 * 8))?;
    a.xor(ecx, ecx)?;
    a.xor(edx, edx)?;
    a.mov(r8d, eax)?;
    a.call(stubs.callback_return)?;
    a.int3()
}

/// A place in ntdll's data.
fn data(address: u64) -> AsmMemoryOperand {
    AsmMemoryOperand::from(Register::RIP) + address
}

/// RtlDispatchException(Record, Context): asks the handlers one after the other; AL = whether one took it. A handler is called
/// with an `EXCEPTION_POINTERS`: the addresses of record and context.
fn dispatch_exception(a: &mut CodeAssembler, list: u64) -> Result<(), IcedError> {
    let next = &mut a.create_label();
    let end = &mut a.create_label();
    let taken = &mut a.create_label();
    a.push(rbx)?;
    a.push(rdi)?;
    // The pointers above the called handler's home area.
    a.sub(rsp, 0x38)?;
    a.mov(qword_ptr(rsp + 0x20), rcx)?;
    a.mov(qword_ptr(rsp + 0x28), rdx)?;
    a.mov(rbx, qword_ptr(data(list)))?;
    a.lea(rdi, ptr(data(list + 8)))?;
    a.set_label(next)?;
    a.test(rbx, rbx)?;
    a.je(*end)?;
    a.lea(rcx, rsp + 0x20)?;
    a.call(qword_ptr(rdi))?;
    a.add(rdi, 8)?;
    a.dec(rbx)?;
    a.cmp(eax, CONTINUE_EXECUTION)?;
    a.jne(*next)?;
    a.mov(eax, 1)?;
    a.jmp(*taken)?;
    a.set_label(end)?;
    a.xor(eax, eax)?;
    a.set_label(taken)?;
    a.add(rsp, 0x38)?;
    a.pop(rdi)?;
    a.pop(rbx)?;
    a.ret()
}

/// RtlAddVectoredExceptionHandler(First, Handler): the handler's place in the list, null when that is full. There is nobody to
/// be the first before, so that is not looked at.
fn add_vectored_handler(a: &mut CodeAssembler, list: u64) -> Result<(), IcedError> {
    let full = &mut a.create_label();
    a.mov(rcx, qword_ptr(data(list)))?;
    a.xor(eax, eax)?;
    a.cmp(rcx, HANDLERS as i32)?;
    a.jae(*full)?;
    a.lea(rax, ptr(data(list + 8)))?;
    a.lea(rax, rax + rcx * 8)?;
    a.mov(qword_ptr(rax), rdx)?;
    a.inc(qword_ptr(data(list)))?;
    a.set_label(full)?;
    a.ret()
}
