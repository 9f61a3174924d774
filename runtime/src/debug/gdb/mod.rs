//! A target for gdb: its remote protocol over TCP.
//!
//! A [`Server`] has a target and serves one client after the other. gdb sees the registers of i386 or amd64 and behind them
//! those of the system, memory, breakpoints, watchpoints, and it can go back: `reverse-stepi`, `reverse-continue`. `monitor` takes the commands of [`Kd`](super::Kd). The names of the system come over the line, with a
//! file that gdb asks for; [`symbol_file`] gives it too.
//!
//! ```no_run
//! use ntgate_runtime::debug::gdb::{Ended, Server};
//! use ntgate_runtime::debug::{Target, program};
//!
//! let target = Target::boot(program::usual(Some("srv2003"), None)).expect("the system boots");
//! let mut server = Server::listen(target, "127.0.0.1:1234").expect("the port is free");
//! println!("listening on {}", server.address());
//! while server.serve().expect("clients can come") != Ended::Killed {}
//! ```
//!
//! A program that ends does not end the session: gdb is told that the record ends there, and can go back from it.

mod breakpoints;
mod connection;
mod files;
mod monitor;
mod registers;
mod server;
mod session;
mod symbols;

pub use server::{Ended, ListenError, Server};
pub use symbols::symbol_file;

#[cfg(test)]
mod tests;
