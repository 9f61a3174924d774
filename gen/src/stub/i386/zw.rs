//! `zw`: a call from within the kernel (ReactOS `sdk/include/asm/syscalls.inc`).

use iced_x86::{Code, Register};

use super::Body;

/// The kernel's code selector.
const KERNEL_CODE: i32 = 8;

pub(super) fn write(body: &mut Body, number: u32, arg_bytes: u32) {
    body.load(Register::EAX, number)
        .point_edx(Register::ESP, 4)
        // EFLAGS, CS and the call's EIP are what an interrupt within ring 0 would push.
        .op(Code::Pushfd)
        .push_byte(KERNEL_CODE)
        .call_symbol("_KiSystemService")
        .ret(arg_bytes);
}
