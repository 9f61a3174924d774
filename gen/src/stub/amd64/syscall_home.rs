//! `syscall-home`: the register arguments are stored first, where the caller keeps room for them. Windows 8, 8.1 and
//! the first Windows 10.

use iced_x86::Register;

use super::{Body, syscall};

pub(super) fn write(body: &mut Body, number: u32) {
    // Above RSP: the return address, the home area.
    body.store_home(0x8, Register::RCX)
        .store_home(0x10, Register::RDX)
        .store_home(0x18, Register::R8)
        .store_home(0x20, Register::R9);
    syscall::write(body, number);
}
