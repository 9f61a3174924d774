//! `int2e-frame`: the interrupt within a frame, as ReactOS generated it from 2002 to 2004.

use iced_x86::{Code, Register};

use super::{Body, SERVICE_VECTOR};

pub(super) fn write(body: &mut Body, number: u32, arg_bytes: u32) {
    body.op_register(Code::Push_r32, Register::EBP)
        .copy(Register::EBP, Register::ESP)
        .load(Register::EAX, number)
        // Above EBP: the caller's EBP, the return address, the arguments.
        .point_edx(Register::EBP, 8)
        .interrupt(SERVICE_VECTOR)
        .op_register(Code::Pop_r32, Register::EBP)
        .ret(arg_bytes);
}
