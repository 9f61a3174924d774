//! A system-level x86: protected mode with segmentation, paging, gates and the fast system-call instructions.

mod access;
mod block;
mod core;
pub mod cpuid;
mod exec;
pub mod fault;
pub mod flags;
mod memory;
mod mode;
mod op;
mod paging;
mod run;
pub mod segment;
mod width;
