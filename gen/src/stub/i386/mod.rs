//! The i386 shapes, one file each.
//!
//! In every one EAX holds the service number and EDX leads the kernel to the arguments; the NTSTATUS comes back in
//! EAX. `ret` takes the arguments off the stack (stdcall).

mod int2e;
mod int2e_frame;
mod shared_call_edx;
mod shared_ecx;
mod shared_edx;
mod sysenter;
mod system_call;
mod zw;

pub(super) use system_call::{fast_system_call, int_system_call};

use super::body::{Body, SERVICE_VECTOR};
use super::{Encoding, Shape};

/// KUSER_SHARED_DATA.SystemCall as user mode sees it: the page is at 7FFE0000h, the field at +300h (ReactOS
/// `sdk/include/ndk/ketypes.h`).
const SHARED_SYSTEM_CALL: u32 = 0x7ffe_0300;

/// Writes the shape down for one service. A shape of another architecture is an empty body.
pub(super) fn body(shape: Shape, number: u32, arg_bytes: u32, encoding: Encoding) -> Body {
    let mut body = Body::new(32, encoding);
    let write = match shape {
        Shape::Int2eFrame => int2e_frame::write,
        Shape::Int2e => int2e::write,
        Shape::SharedCallEdx => shared_call_edx::write,
        Shape::SharedEdx => shared_edx::write,
        Shape::SharedEcx => shared_ecx::write,
        Shape::Sysenter => sysenter::write,
        Shape::Zw => zw::write,
        _ => return body,
    };
    write(&mut body, number, arg_bytes);
    body
}
