//! `syscall-reactos`: the number first (ReactOS `sdk/include/asm/syscalls.inc`).

use iced_x86::{Code, Register};

use super::Body;

pub(super) fn write(body: &mut Body, number: u32) {
    body.load(Register::EAX, number).copy(Register::R10, Register::RCX).op(Code::Syscall).op(Code::Retnq);
}
