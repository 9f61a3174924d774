//! `wt`: a routine run to its end, and what it called as a tree.

use std::collections::BTreeMap;

use super::arguments::Arguments;
use super::error::Error;
use super::run::{is_call, is_entry, is_return};
use super::{Kd, say, stop, symbols};
use crate::debug::{Stop, Target};

/// The most lines of the tree.
const MOST: usize = 10_000;

/// A routine on the way.
struct Level {
    name: String,
    /// Instructions of its own, and those of what it called.
    own: u64,
    below: u64,
}

/// How often a routine ran, and the fewest and the most instructions of its own.
struct Total {
    runs: u64,
    all: u64,
    least: u64,
    most: u64,
}

/// What has been seen.
struct Tree {
    levels: Vec<Level>,
    lines: Vec<String>,
    /// Lines that there was no room for.
    left_out: usize,
    totals: BTreeMap<String, Total>,
    entries: u64,
}

impl Tree {
    /// Begins a routine below the current one.
    fn enter(&mut self, name: String) {
        self.tell();
        self.levels.push(Level { name, own: 0, below: 0 });
    }

    /// The line of the routine that is running, as far as it has come.
    fn tell(&mut self) {
        let depth = self.levels.len().saturating_sub(1);
        let Some(Level { name, own, below }) = self.levels.last() else { return };
        if self.lines.len() < MOST {
            self.lines.push(format!("{own:5} {below:5} [{depth:3}] {:width$}{name}", "", width = 2 * depth));
        } else {
            self.left_out += 1;
        }
    }

    /// Ends the routine that is running; false if it was the first.
    fn leave(&mut self) -> bool {
        self.tell();
        let Some(level) = self.levels.pop() else { return false };
        self.count(&level);
        let Some(above) = self.levels.last_mut() else { return false };
        above.below += level.own + level.below;
        true
    }

    /// Goes on in another routine without a call.
    fn jump(&mut self, name: String) {
        self.tell();
        if let Some(level) = self.levels.last_mut() {
            let next = Level { name, own: 0, below: 0 };
            let before = std::mem::replace(level, next);
            let (own, below) = (before.own, before.below);
            self.count(&before);
            // What was below stays below, and so does what came before.
            if let [.., above, _] = &mut self.levels[..] {
                above.below += own + below;
            }
        }
    }

    fn count(&mut self, level: &Level) {
        let total =
            self.totals.entry(level.name.clone()).or_insert(Total { runs: 0, all: 0, least: u64::MAX, most: 0 });
        total.runs += 1;
        total.all += level.own;
        total.least = total.least.min(level.own);
        total.most = total.most.max(level.own);
    }
}

/// The routine that an address belongs to.
fn routine(target: &Target, address: u64) -> String {
    symbols::nearest(target, address).map_or_else(|| format!("{address:x}"), |(name, _)| name.to_owned())
}

/// `wt`.
pub(super) fn wt(kd: &mut Kd, arguments: &mut Arguments<'_>, out: &mut String) -> Result<(), Error> {
    arguments.end()?;
    kd.runnable(arguments)?;
    let start = kd.target().machine().rip();
    let (cpl, begin) = (kd.target().machine().cpl(), kd.target().now());
    say!(out, "Tracing {}", kd.describe(start));
    let mut tree = Tree { levels: Vec::new(), lines: Vec::new(), left_out: 0, totals: BTreeMap::new(), entries: 0 };
    tree.levels.push(Level { name: routine(kd.target(), start), own: 1, below: 0 });
    let mut before = kd.target().instruction(start).map(|instruction| (instruction, cpl));
    let end = kd.run_until(&mut |target| {
        let machine = target.machine();
        let (at, cpl) = (machine.rip(), machine.cpl());
        let name = routine(target, at);
        let (called, returned) = before.map_or((false, false), |(instruction, was)| {
            (is_call(&instruction) || is_entry(&instruction) || cpl < was, is_return(&instruction) && cpl >= was)
        });
        tree.entries += u64::from(before.is_some_and(|(_, was)| cpl < was));
        if called {
            tree.enter(name);
        } else if returned {
            if !tree.leave() {
                return Some(Stop::Step);
            }
            // Seldom does a routine return into another than the one that called it.
            if tree.levels.last().is_some_and(|level| level.name != name) {
                tree.jump(name);
            }
        } else if tree.levels.last().is_some_and(|level| level.name != name) {
            tree.jump(name);
        }
        if let Some(level) = tree.levels.last_mut() {
            level.own += 1;
        }
        before = target.instruction(at).map(|instruction| (instruction, cpl));
        None
    });
    while tree.leave() {}
    for line in &tree.lines {
        say!(out, "{line}");
    }
    if tree.left_out > 0 {
        say!(out, "... and {} more lines", tree.left_out);
    }
    let count = kd.target().now() - begin;
    say!(out, "\n{count} instructions were executed, {} of them entered the kernel\n", tree.entries);
    say!(out, "{:<44}Invocations MinInst MaxInst AvgInst", "Function Name");
    for (name, total) in &tree.totals {
        let Total { runs, all, least, most } = total;
        say!(out, "{name:<48} {runs:6} {least:7} {most:7} {:7}", all / runs);
    }
    say!(out);
    stop::report(kd, &end, out);
    Ok(())
}
