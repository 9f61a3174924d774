//! What instructions share: decoded code that changes, pages, segments, and what a fault leaves behind.
//!
//! The values that single instructions compute are checked in `tests/hardware` and `tests/vectors`.

mod code;
mod faults;
mod pages;
mod segments;
mod strings;

use super::super::segment::{Descriptor, Segment, Selector};
use super::super::testing::World;

/// A data or code descriptor: rights (P, DPL, S, type), flags (G, D/B, L, AVL), base, limit.
fn descriptor(rights: u64, flags: u64, base: u32, limit: u32) -> u64 {
    let (base, limit) = (u64::from(base), u64::from(limit));
    limit & 0xFFFF | (base & 0xFF_FFFF) << 16 | rights << 40 | (limit >> 16) << 48 | flags << 52 | (base >> 24) << 56
}

/// Loads DS or ES with a descriptor, past all checks.
fn load_data(world: &mut World, register: u8, descriptor: u64) {
    world.core().set_data_segment(register, Segment::new(Selector(0x50), Descriptor(descriptor)));
}

/// Loads SS likewise.
fn load_stack(world: &mut World, descriptor: u64) {
    world.core().set_ss(Segment::new(Selector(0x50), Descriptor(descriptor)));
}

/// Instruction bytes with a dword in them.
fn with(code: &[u8], value: u32, rest: &[u8]) -> Vec<u8> {
    [code, &value.to_le_bytes(), rest].concat()
}
