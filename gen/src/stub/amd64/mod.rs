//! The amd64 shapes, one file each.
//!
//! In a user stub EAX holds the service number and R10 the first argument, because SYSCALL leaves its return address
//! in RCX; the NTSTATUS comes back in RAX.
//!
//! Every stub ends in a plain `ret`: the caller owns its arguments on the stack. ReactOS's old generator
//! (`sdk/tools/nci/ncitool.c`) ended its stubs in `ret 4*n`, which takes away what is the caller's, and counted four
//! bytes an argument; nothing here does.

mod syscall;
mod syscall_home;
mod syscall_or_int2e;
mod syscall_reactos;
mod zw;
mod zw_reactos;

use iced_x86::Register;

use super::body::{Body, SERVICE_VECTOR};
use super::{Encoding, Shape};
use crate::model::Service;

/// Writes the shape down for one service. A shape of another architecture is an empty body.
pub(super) fn body(shape: Shape, service: &Service, encoding: Encoding) -> Body {
    let mut body = Body::new(64, encoding);
    match shape {
        Shape::Syscall => syscall::write(&mut body, service.number()),
        Shape::SyscallReactos => syscall_reactos::write(&mut body, service.number()),
        Shape::SyscallHome => syscall_home::write(&mut body, service.number()),
        Shape::SyscallOrInt2e => syscall_or_int2e::write(&mut body, service.number()),
        Shape::ZwAmd64 => zw::write(&mut body, service.number()),
        Shape::ZwReactos => zw_reactos::write(&mut body, service),
        _ => {}
    }
    body
}

/// The first argument where the kernel looks for it, and the number.
fn load_number(body: &mut Body, number: u32) -> &mut Body {
    body.copy(Register::R10, Register::RCX).load(Register::EAX, number)
}
