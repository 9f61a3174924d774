//! A system-level x86: protected mode with segmentation, paging, gates and the fast system-call instructions.

mod access;
mod core;
pub mod cpuid;
pub mod fault;
pub mod flags;
mod memory;
mod mode;
mod paging;
pub mod segment;
mod width;
