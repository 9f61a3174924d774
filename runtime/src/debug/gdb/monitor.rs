//! `monitor CMD`: the commands of the debugger session.

use std::net::TcpStream;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use crate::debug::Kd;

/// How often somebody looks whether gdb still waits.
const POLL: Duration = Duration::from_millis(20);

/// Does a line of commands and gives what they print. Whatever comes over the line meanwhile, and its end, ends a command that
/// runs the target.
pub(super) fn execute(kd: &mut Kd, line: &TcpStream, command: &str) -> String {
    let mut text = String::new();
    let (interrupt, done) = (kd.interrupt(), AtomicBool::new(false));
    thread::scope(|scope| {
        scope.spawn(|| {
            while !done.load(Ordering::Relaxed) {
                // Ready or broken: nobody waits any more.
                if line.set_nonblocking(true).is_err() || is_ready(line) {
                    interrupt.store(true, Ordering::Relaxed);
                }
                thread::park_timeout(POLL);
            }
        });
        kd.execute(command, &mut text);
        done.store(true, Ordering::Relaxed);
    });
    text
}

/// Whether a read would not wait.
fn is_ready(line: &TcpStream) -> bool {
    line.peek(&mut [0]).map_or_else(|error| error.kind() != std::io::ErrorKind::WouldBlock, |_| true)
}
