//! `zw`: a call from within the Windows kernel.
//!
//! The stub pushes what an interrupt in 64-bit mode would (SS, RSP, RFLAGS, CS, RIP) and jumps to where a service
//! call goes on; IRETQ, or the kernel in its place, then returns to KiServiceLinkage, a `ret` to the stub's caller.

use iced_x86::{Code, Register};

use super::Body;

/// The kernel's code selector.
const KERNEL_CODE: i32 = 0x10;

/// SS, which nobody reads, and 8 bytes that an interrupt leaves out when it aligns the stack.
const STACK_SEGMENT_BYTES: i32 = 0x10;

pub(super) fn write(body: &mut Body, number: u32) {
    body.copy(Register::RAX, Register::RSP)
        .op(Code::Cli)
        .op_number(Code::Sub_rm64_imm8, Register::RSP, STACK_SEGMENT_BYTES)
        .op_register(Code::Push_r64, Register::RAX)
        .op(Code::Pushfq)
        .push_byte(KERNEL_CODE)
        .point_to_symbol(Register::RAX, "KiServiceLinkage")
        .op_register(Code::Push_r64, Register::RAX)
        .load(Register::EAX, number)
        .jump_symbol("KiServiceInternal");
}
