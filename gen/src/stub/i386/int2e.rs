//! `int2e`: the bare interrupt, NT 3.5 to Windows 2000.

use iced_x86::Register;

use super::{Body, SERVICE_VECTOR};

pub(super) fn write(body: &mut Body, number: u32, arg_bytes: u32) {
    body.load(Register::EAX, number)
        // Above ESP: the return address, the arguments.
        .point_edx(Register::ESP, 4)
        .interrupt(SERVICE_VECTOR)
        .ret(arg_bytes);
}
