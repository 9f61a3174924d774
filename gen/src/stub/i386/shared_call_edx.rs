//! `shared-call-edx`: the shared page holds code, Windows XP to SP1.

use iced_x86::{Code, Register};

use super::{Body, SHARED_SYSTEM_CALL};

pub(super) fn write(body: &mut Body, number: u32, arg_bytes: u32) {
    body.load(Register::EAX, number)
        .load(Register::EDX, SHARED_SYSTEM_CALL)
        .op_register(Code::Call_rm32, Register::EDX)
        .ret(arg_bytes);
}
