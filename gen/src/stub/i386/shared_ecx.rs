//! `shared-ecx`: as `shared-edx` through another register, ReactOS from 2005 to 2010 (`sdk/tools/nci/ncitool.c`).

use iced_x86::{Code, Register};

use super::{Body, SHARED_SYSTEM_CALL};

pub(super) fn write(body: &mut Body, number: u32, arg_bytes: u32) {
    body.load(Register::EAX, number)
        .load(Register::ECX, SHARED_SYSTEM_CALL)
        .op_memory(Code::Call_rm32, Register::ECX)
        .ret(arg_bytes);
}
