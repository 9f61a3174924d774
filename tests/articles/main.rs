//! Five articles about system calls of Windows, checked: what they state and a program can find out is found out on the
//! bundled machine, with the guest in the place of the system. `docs/articles.md` names the articles and has a table of all
//! statements. Where one is wrong, its test says what is right and why.

mod a000_two_ways;
mod a001_stubs_and_kernel;
mod a002_syscall;
mod a003_fast_call_entry;
mod a004_interrupt_gate;
mod support;
mod table;
