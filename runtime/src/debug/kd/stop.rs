//! What is shown when the target has stopped.

use super::{Kd, disassemble, say};
use crate::debug::Stop;

/// Tells why the target stopped, and where it is. What it has printed comes first.
pub(super) fn report(kd: &mut Kd, stop: &Stop, out: &mut String) {
    kd.frame = None;
    kd.tell_console(out);
    match stop {
        Stop::Step | Stop::Budget => {}
        Stop::Breakpoint(address) => {
            for id in kd.breakpoints_at(*address) {
                say!(out, "Breakpoint {id} hit");
            }
        }
        Stop::Watchpoint(watchpoint) => {
            for id in kd.watchpoints_like(watchpoint) {
                say!(out, "Breakpoint {id} hit");
            }
        }
        Stop::Interrupted => say!(out, "Interrupted"),
        Stop::Beginning => say!(out, "The session begins here, or at the last change: there is nothing before"),
        Stop::End(end) => {
            say!(out, "{}", ended(&end.to_string()));
            return;
        }
    }
    show(kd, out);
}

/// How the program ended, as a sentence.
fn ended(end: &str) -> String {
    let mut characters = end.chars();
    characters.next().map_or_else(String::new, |first| first.to_uppercase().chain(characters).collect())
}

/// The instruction that is next, behind its symbol. `u` goes on there.
pub(super) fn show(kd: &mut Kd, out: &mut String) {
    let at = kd.target().machine().rip();
    kd.code = Some(at);
    if kd.symbol(at).is_some() {
        say!(out, "{}:", kd.describe(at));
    }
    let outlook = disassemble::decode(kd, at).map(|instruction| disassemble::outlook(kd, &instruction));
    say!(out, "{}{}", disassemble::line(kd, at).0, outlook.unwrap_or_default());
}

impl Kd {
    /// Shows what the guest has written to its debug console since it was last looked at.
    fn tell_console(&mut self, out: &mut String) {
        let console = self.target.console();
        // What was printed after the moment that the target has gone back to is not there any more.
        self.told = self.told.min(console.len());
        let new = String::from_utf8_lossy(&console[self.told..]).into_owned();
        self.told = console.len();
        if !new.is_empty() {
            out.push_str(&new);
            if !new.ends_with('\n') {
                out.push('\n');
            }
        }
    }
}
