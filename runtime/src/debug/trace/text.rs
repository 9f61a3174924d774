//! A call in text.

use std::fmt::Write as _;

use super::call::status;
use super::words::{self, address};
use super::{Call, Step, Visit};
use crate::machine::Event;

/// Columns of an instruction's bytes.
const BYTES: usize = 20;

/// Columns of the instruction itself.
const TEXT: usize = 43;

/// Columns of the words of a count.
const COUNT: usize = 40;

impl Call {
    /// The trace: every instruction and event under its routine, what came of the call, and what it cost.
    #[must_use]
    pub fn to_text(&self) -> String {
        let mut out = String::new();
        self.head(&mut out);
        for visit in &self.trace.visits {
            self.visit(&mut out, visit);
        }
        out.push('\n');
        self.cost(&mut out);
        out
    }

    /// What came of the call, and what it cost.
    #[must_use]
    pub fn to_summary(&self) -> String {
        let mut out = String::new();
        self.head(&mut out);
        self.cost(&mut out);
        out
    }

    fn head(&self, out: &mut String) {
        let Self { service, number, profile, cpu, entry, .. } = self;
        let _ = writeln!(out, "{service} {number:X}h under {profile} on {cpu}, by {entry}: {}", status(self.status));
        let arguments: Vec<String> = self.arguments.iter().map(|value| format!("{value:x}")).collect();
        let arrived = if arguments.is_empty() { "none".to_owned() } else { arguments.join(" ") };
        let _ = writeln!(out, "arguments as they arrived: {arrived}");
    }

    fn visit(&self, out: &mut String, visit: &Visit) {
        let steps = visit.steps.0..visit.steps.1;
        let own = steps.clone().all(|step| self.is_own(step));
        let phase = self.phase(visit.steps.0).name();
        let _ = writeln!(out, "\n{} (ring {}, {phase})", visit.routine, visit.ring);
        if own {
            let _ = writeln!(out, "    {}, for the guest's own log", instructions(steps.len()));
            return;
        }
        for (index, step) in steps.clone().zip(self.trace.steps_of(visit)) {
            self.step(out, step, self.is_own(index));
        }
    }

    fn step(&self, out: &mut String, step: &Step, own: bool) {
        let bytes: String = step.bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        let mut line = format!("{}  {bytes:<BYTES$} {:<TEXT$} ", address(step.address, self.bits), step.text);
        if own {
            line.push_str("(the guest's own log)");
        } else {
            line.push_str(&changes(step));
        }
        let _ = writeln!(out, "{}", line.trim_end());
        if own {
            return;
        }
        for event in &step.events {
            let _ = writeln!(out, "    {}", words::event(event, &self.names, self.bits));
        }
        if step.ring != step.ring_after {
            let _ = writeln!(out, "    ring {} -> ring {}{}", step.ring, step.ring_after, self.stacks(step));
        }
    }

    /// The stacks before and after, where they change with the ring.
    pub(in super::super) fn stacks(&self, step: &Step) -> String {
        let of = |name: &str| step.changes.iter().find(|change| change.register == name);
        let (Some(ss), Some(sp)) = (of("ss"), of(if self.bits == 32 { "esp" } else { "rsp" })) else {
            return String::new();
        };
        let stack = |ss: u64, sp: u64| format!("{ss:04x}:{}", address(sp, self.bits));
        format!(", stack {} -> {}", stack(ss.before, sp.before), stack(ss.after, sp.after))
    }

    fn cost(&self, out: &mut String) {
        let calls: Vec<&Self> = std::iter::once(self).chain(self.other.as_deref()).collect();
        let columns: Vec<_> = calls.iter().map(|call| call.counts.rows()).collect();
        let mut line = format!("{:COUNT$}", "");
        for call in &calls {
            let _ = write!(line, " {:>20}", format!("{}, {}", call.entry, call.cpu));
        }
        let _ = writeln!(out, "{}", line.trim_end());
        for (row, (words, _)) in self.counts.rows().iter().enumerate() {
            let _ = write!(out, "{words:COUNT$}");
            for column in &columns {
                let _ = write!(out, " {:>20}", column[row].1);
            }
            out.push('\n');
        }
        let _ = writeln!(
            out,
            "not counted: the service's routine, and {} for the guest's own log",
            instructions(self.counts.own)
        );
    }
}

/// `1 instruction`, `2 instructions`.
pub(in super::super) fn instructions(count: usize) -> String {
    if count == 1 { "1 instruction".to_owned() } else { format!("{count} instructions") }
}

/// The registers that an instruction changed, apart from what goes with every push and pop: it is seen in memory.
pub(in super::super) fn changes(step: &Step) -> String {
    let moved = |name: &str| matches!(name, "esp" | "rsp");
    let stack_only = step.events.iter().any(|event| matches!(event, Event::Memory(_)));
    let shown =
        step.changes.iter().filter(|change| !(stack_only && moved(change.register) && step.ring == step.ring_after));
    let texts: Vec<String> =
        shown.map(|change| format!("{}={:0width$x}", change.register, change.after, width = change.digits)).collect();
    texts.join(" ")
}
