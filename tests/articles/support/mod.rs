//! Guests that have booted and wait for what a test lets them do: one of 32 bits, one of 64.

pub(crate) mod guest32;
pub(crate) mod guest64;

pub(crate) use guest32::{Fault, Guest};
pub(crate) use guest64::Guest64;

/// More instructions than any way into the kernel or out of it takes, or the clock from tick to tick.
const FAR: usize = 1_000_000;

/// A little-endian dword.
pub(crate) fn dword(bytes: &[u8]) -> u32 {
    u32::from_le_bytes(bytes.try_into().expect("four bytes"))
}

/// `mov eax,value`.
pub(crate) fn mov_eax(value: u32) -> Vec<u8> {
    immediate(0xB8, value)
}

/// `mov edx,value`.
pub(crate) fn mov_edx(value: u32) -> Vec<u8> {
    immediate(0xBA, value)
}

/// `mov ecx,value`.
pub(crate) fn mov_ecx(value: u32) -> Vec<u8> {
    immediate(0xB9, value)
}

/// `push value`.
pub(crate) fn push(value: u32) -> Vec<u8> {
    immediate(0x68, value)
}

fn immediate(opcode: u8, value: u32) -> Vec<u8> {
    let mut code = vec![opcode];
    code.extend_from_slice(&value.to_le_bytes());
    code
}
