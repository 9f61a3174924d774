//! `zw-reactos`: a call from within the ReactOS kernel (`sdk/include/asm/syscalls.inc`). It needs no number: the
//! linker knows the service.

use iced_x86::{Code, Register};

use super::Body;
use crate::model::{Arch, Service};

pub(super) fn write(body: &mut Body, service: &Service) {
    let arg_bytes = service.arg_bytes(Arch::Amd64).cast_signed();
    body.point_to_symbol(Register::RAX, service.name().nt())
        .op_number(Code::Mov_rm64_imm32, Register::R10, arg_bytes)
        .jump_symbol("KiZwSystemService");
}
