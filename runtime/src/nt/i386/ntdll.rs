//! The part of ntdll that the kernel calls: dispatchers of exceptions, APCs and callbacks (what they find on the stack and
//! leave there: ReactOS `dll/ntdll/dispatch/i386/dispatch.S`).

use iced_x86::code_asm::{CodeAssembler, CodeLabel, al, dword_ptr, eax, ebp, ebx, ecx, edi, edx, esi, esp};
use iced_x86::{BlockEncoderOptions, IcedError};

use super::layout::{
    apc_frame, callback_frame, exception_record, peb, registration, status, teb, user_context as context, vector,
};
use super::profile::CallbackReturn;

/// `ExceptionContinueExecution`, what a handler returns when the program may go on.
const CONTINUE_EXECUTION: u32 = 0;

/// The stubs that the dispatchers call.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Stubs {
    pub(crate) nt_continue: u32,
    pub(crate) raise_exception: u32,
    pub(crate) callback_return: u32,
}

/// The dispatchers' code and where they begin.
#[derive(Debug, Clone)]
pub(crate) struct Dispatchers {
    pub(crate) code: Vec<u8>,
    pub(crate) exception: u32,
    pub(crate) apc: u32,
    pub(crate) callback: u32,
    pub(crate) find_handler: u32,
    /// The two dispatchers' own exception handlers.
    handlers: [u32; 2],
}

impl Dispatchers {
    /// Assembles them for an address.
    pub(crate) fn assemble(address: u32, stubs: Stubs, back: CallbackReturn) -> Result<Self, IcedError> {
        // Two addresses are operands, so a first pass finds them.
        let first = Self::pass(address, stubs, back, [address; 2])?;
        Self::pass(address, stubs, back, first.handlers)
    }

    fn pass(address: u32, stubs: Stubs, back: CallbackReturn, handlers: [u32; 2]) -> Result<Self, IcedError> {
        let mut a = CodeAssembler::new(32)?;
        let exception = &mut a.create_label();
        let apc = &mut a.create_label();
        let callback = &mut a.create_label();
        let find_handler = &mut a.create_label();
        let (apc_handler, callback_handler) = (&mut a.create_label(), &mut a.create_label());

        a.set_label(exception)?;
        user_exception(&mut a, stubs, *find_handler)?;
        a.set_label(apc)?;
        user_apc(&mut a, stubs, handlers[0], apc_handler)?;
        a.set_label(callback)?;
        user_callback(&mut a, stubs, back, handlers[1], callback_handler)?;
        a.set_label(find_handler)?;
        dispatch_exception(&mut a)?;

        let result = a.assemble_options(address.into(), BlockEncoderOptions::RETURN_NEW_INSTRUCTION_OFFSETS)?;
        Ok(Self {
            exception: result.label_ip(exception)? as u32,
            apc: result.label_ip(apc)? as u32,
            callback: result.label_ip(callback)? as u32,
            find_handler: result.label_ip(find_handler)? as u32,
            handlers: [result.label_ip(apc_handler)? as u32, result.label_ip(callback_handler)? as u32],
            code: result.inner.code_buffer,
        })
    }
}

/// KiUserExceptionDispatcher: on the stack the addresses of record and context.
fn user_exception(a: &mut CodeAssembler, stubs: Stubs, find_handler: CodeLabel) -> Result<(), IcedError> {
    let handled = &mut a.create_label();
    a.cld()?;
    a.mov(ecx, dword_ptr(esp + 4))?;
    a.mov(ebx, dword_ptr(esp))?;
    a.push(ecx)?;
    a.push(ebx)?;
    a.call(find_handler)?;
    a.mov(ebx, dword_ptr(esp))?;
    a.mov(ecx, dword_ptr(esp + 4))?;
    a.test(al, al)?;
    a.jne(*handled)?;
    // Nobody took it: its second chance.
    a.push(0)?;
    a.push(ecx)?;
    a.push(ebx)?;
    a.call(u64::from(stubs.raise_exception))?;
    a.int3()?;
    a.set_label(handled)?;
    a.push(0)?;
    a.push(ecx)?;
    a.call(u64::from(stubs.nt_continue))?;
    // Neither comes back, unless its argument is bad.
    a.int3()
}

/// KiUserApcDispatcher: on the stack the routine, its three arguments, and the context to go back to.
fn user_apc(
    a: &mut CodeAssembler,
    stubs: Stubs,
    handler_address: u32,
    handler: &mut CodeLabel,
) -> Result<(), IcedError> {
    a.lea(eax, dword_ptr(esp + apc_frame::REGISTRATION))?;
    link(a, handler_address)?;
    a.lea(edi, dword_ptr(esp + apc_frame::CONTEXT))?;
    a.pop(eax)?;
    a.call(eax)?;
    // The routine has popped its arguments, so the context is on top.
    a.mov(ecx, dword_ptr(edi + context::SIZE))?;
    a.mov(dword_ptr(teb::EXCEPTION_LIST).fs(), ecx)?;
    a.push(1)?;
    a.push(edi)?;
    a.call(u64::from(stubs.nt_continue))?;
    a.int3()?;
    a.set_label(handler)?;
    search_on(a)
}

/// KiUserCallbackDispatcher: on the stack a dword, number, argument and length; the routine takes the last two.
fn user_callback(
    a: &mut CodeAssembler,
    stubs: Stubs,
    back: CallbackReturn,
    handler_address: u32,
    handler: &mut CodeLabel,
) -> Result<(), IcedError> {
    let search = &mut a.create_label();
    a.lea(eax, dword_ptr(esp + callback_frame::REGISTRATION))?;
    link(a, handler_address)?;
    a.add(esp, 4)?;
    a.pop(edx)?;
    a.mov(eax, dword_ptr(teb::PEB).fs())?;
    a.mov(eax, dword_ptr(eax + peb::KERNEL_CALLBACK_TABLE))?;
    a.call(dword_ptr(eax + edx * 4))?;
    match back {
        CallbackReturn::Interrupt => {
            a.xor(ecx, ecx)?;
            a.xor(edx, edx)?;
            a.int(vector::CALLBACK_RETURN)?;
        }
        CallbackReturn::Service => {
            a.push(eax)?;
            a.push(0)?;
            a.push(0)?;
            a.call(u64::from(stubs.callback_return))?;
        }
    }
    a.int3()?;
    // A handler further up has taken an exception and gives up what is below it: the callback ends.
    a.set_label(handler)?;
    a.mov(ecx, dword_ptr(esp + 4))?;
    a.test(dword_ptr(ecx + exception_record::FLAGS), exception_record::UNWINDING)?;
    a.je(*search)?;
    a.push(status::CALLBACK_POP_STACK)?;
    a.push(0)?;
    a.push(0)?;
    a.call(u64::from(stubs.callback_return))?;
    a.set_label(search)?;
    search_on(a)
}

/// Puts the registration at EAX into the chain of handlers. ECX is used up.
fn link(a: &mut CodeAssembler, handler: u32) -> Result<(), IcedError> {
    a.mov(ecx, dword_ptr(teb::EXCEPTION_LIST).fs())?;
    a.mov(dword_ptr(eax + registration::NEXT), ecx)?;
    a.mov(dword_ptr(eax + registration::HANDLER), handler)?;
    a.mov(dword_ptr(teb::EXCEPTION_LIST).fs(), eax)
}

/// A handler's answer that the next one be asked.
fn search_on(a: &mut CodeAssembler) -> Result<(), IcedError> {
    a.mov(eax, CONTINUE_EXECUTION + 1)?;
    a.ret()
}

/// RtlDispatchException(Record, Context): asks the handlers of the chain one after the other; AL = whether one took it.
/// A handler is called as the C compiler does it, with the record, its registration and the context.
fn dispatch_exception(a: &mut CodeAssembler) -> Result<(), IcedError> {
    let next = &mut a.create_label();
    let end = &mut a.create_label();
    let done = &mut a.create_label();
    a.push(ebp)?;
    a.mov(ebp, esp)?;
    a.push(esi)?;
    a.mov(esi, dword_ptr(teb::EXCEPTION_LIST).fs())?;
    a.set_label(next)?;
    a.cmp(esi, u32::MAX)?;
    a.je(*end)?;
    a.push(0)?;
    a.push(dword_ptr(ebp + 0xC))?;
    a.push(esi)?;
    a.push(dword_ptr(ebp + 8))?;
    a.call(dword_ptr(esi + registration::HANDLER))?;
    a.add(esp, 0x10)?;
    a.mov(esi, dword_ptr(esi + registration::NEXT))?;
    a.cmp(eax, CONTINUE_EXECUTION)?;
    a.jne(*next)?;
    a.mov(al, 1)?;
    a.jmp(*done)?;
    a.set_label(end)?;
    a.xor(eax, eax)?;
    a.set_label(done)?;
    a.pop(esi)?;
    a.pop(ebp)?;
    a.ret_1(8)
}
