//! `syscall`: 64-bit Windows XP to 7.

use iced_x86::Code;

use super::{Body, load_number};

pub(super) fn write(body: &mut Body, number: u32) {
    load_number(body, number).op(Code::Syscall).op(Code::Retnq);
}
