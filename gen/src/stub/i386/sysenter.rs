//! `sysenter`: the stub carries its own entry, 32-bit Windows 8 and later.

use iced_x86::{Code, Register};

use super::Body;

pub(super) fn write(body: &mut Body, number: u32, arg_bytes: u32) {
    body.load(Register::EAX, number)
        // The kernel returns to the final `ret`, and that to the `ret` after this call.
        .call_ahead(2)
        .ret(arg_bytes)
        .copy(Register::EDX, Register::ESP)
        .op(Code::Sysenter)
        .op(Code::Retnd);
}
