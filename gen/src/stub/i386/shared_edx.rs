//! `shared-edx`: the shared page holds a pointer to code, Windows XP SP2 to 7 and ReactOS today
//! (`sdk/include/asm/syscalls.inc`).

use iced_x86::{Code, Register};

use super::{Body, SHARED_SYSTEM_CALL};

pub(super) fn write(body: &mut Body, number: u32, arg_bytes: u32) {
    body.load(Register::EAX, number)
        .load(Register::EDX, SHARED_SYSTEM_CALL)
        .op_memory(Code::Call_rm32, Register::EDX)
        .ret(arg_bytes);
}
