//! A report for people.

use std::fmt::Write;

use ntgate_gen::{Arch, Shape};

use super::ARCHS;
use super::cpu::Cpu;
use super::mutate::{Kind, Mutants};
use super::report::{Failure, Report, Run};

/// Calls that are shown in full; the rest is counted.
const SHOWN_CALLS: usize = 10;
/// Facts shown of one call.
const SHOWN_FACTS: usize = 8;
/// Services that are named of mutants that are their originals.
const SHOWN_SERVICES: usize = 8;
/// Survivors that are named.
const SHOWN_SURVIVORS: usize = 20;
/// Facts that are named of those that gave a kind of mutants away.
const SHOWN_FACTS_OF_KIND: usize = 4;

/// SGR sequences, or nothing.
#[derive(Clone, Copy)]
struct Style {
    color: bool,
}

impl Style {
    fn good(self, text: &str) -> String {
        self.paint("32", text)
    }

    fn bad(self, text: &str) -> String {
        self.paint("1;31", text)
    }

    fn dim(self, text: &str) -> String {
        self.paint("2", text)
    }

    fn paint(self, code: &str, text: &str) -> String {
        if self.color { format!("\u{1b}[{code}m{text}\u{1b}[0m") } else { text.to_owned() }
    }
}

impl Report {
    /// The report as text: for each architecture a table with a row for each shape and a column for each CPU, what failed, the mutants, and a
    /// last line with the verdict. With `color` it has ANSI escapes.
    #[must_use]
    pub fn render(&self, color: bool) -> String {
        let style = Style { color };
        let mut text = self.matrix(style);
        self.failures(style, &mut text);
        self.differences(style, &mut text);
        if let Some(mutants) = &self.mutants {
            text.push('\n');
            text.push_str(&mutants_text(mutants, style));
        }
        for note in &self.notes {
            text.push_str(&format!("note: {note}\n"));
        }
        text.push_str(&self.verdict(style));
        text
    }

    /// A table for each architecture. Each cell has the way in and how many services are proven; `-` where the CPU cannot
    /// run the shape.
    fn matrix(&self, style: Style) -> String {
        let mut tables = Vec::new();
        for arch in ARCHS {
            let runs: Vec<&Run> = self.runs.iter().filter(|run| run.shape.arch() == arch).collect();
            if !runs.is_empty() {
                tables.push(table(arch, &runs, style));
            }
        }
        tables.join("\n")
    }

    fn failures(&self, style: Style, text: &mut String) {
        let mut shown = 0;
        let mut more = 0;
        for run in &self.runs {
            for call in run.failures.chunk_by(|a, b| a.service == b.service) {
                if shown == SHOWN_CALLS {
                    more += 1;
                    continue;
                }
                shown += 1;
                text.push('\n');
                text.push_str(&call_text(run, call, style));
            }
        }
        if more > 0 {
            text.push_str(&format!("\n... and {more} more\n"));
        }
    }

    fn differences(&self, style: Style, text: &mut String) {
        for at in &self.differences {
            let title = style.bad(&format!("{}: the machines differ from line {} of the log on", at.cpu, at.line));
            text.push_str(&format!("\n{title}\n  bundled  {}\n  qemu     {}\n", at.bundled, at.qemu));
        }
    }

    fn verdict(&self, style: Style) -> String {
        let proven: usize = self.runs.iter().map(|run| run.proven + run.refusals.proven).sum();
        let total: usize = self.runs.iter().map(|run| run.total + run.refusals.total).sum();
        let word = if self.holds() { style.good("proven") } else { style.bad("NOT PROVEN") };
        let seconds = self.elapsed.as_secs_f64();
        let services = count(self.services, "service");
        format!("{word}: {}: {services}, {proven} of {total} calls right, in {seconds:.3} s\n", self.list)
    }
}

/// `1 service`, `2 services`.
pub(super) fn count(count: usize, noun: &str) -> String {
    let ending = if count == 1 { "" } else { "s" };
    format!("{count} {noun}{ending}")
}

/// The runs of an architecture: a row for each shape and way in, a column for each CPU.
pub(super) struct Matrix<'a> {
    pub(super) cpus: Vec<&'static str>,
    pub(super) rows: Vec<(Shape, Vec<Option<&'a Run>>)>,
}

impl<'a> Matrix<'a> {
    pub(super) fn new(arch: Arch, runs: &[&'a Run]) -> Self {
        // A shape that only newer CPUs run must not put them before the older ones.
        let known = Cpu::of(arch).into_iter().map(|cpu| cpu.name);
        let cpus: Vec<&str> = known.filter(|&cpu| runs.iter().any(|run| run.cpu == cpu)).collect();
        let mut rows = Vec::new();
        for shape in runs.chunk_by(|a, b| (a.shape, a.profile) == (b.shape, b.profile)) {
            let of_cpu = |cpu: &str| -> Vec<&Run> { shape.iter().copied().filter(|run| run.cpu == cpu).collect() };
            let columns: Vec<Vec<&Run>> = cpus.iter().map(|cpu| of_cpu(cpu)).collect();
            // More than one: the shape's stubs have more than one way in on the same CPU.
            for way in 0..columns.iter().map(Vec::len).max().unwrap_or(0) {
                let cells = columns.iter().map(|runs| runs.get(way).copied());
                rows.push((shape[0].shape, cells.collect()));
            }
        }
        Self { cpus, rows }
    }

    /// The system of a row.
    pub(super) fn profile(cells: &[Option<&Run>]) -> &'static str {
        cells.iter().flatten().next().map_or("", |run| run.profile)
    }
}

/// The matrix as text.
fn table(arch: Arch, runs: &[&Run], style: Style) -> String {
    let Matrix { cpus, rows } = Matrix::new(arch, runs);
    let first = rows.iter().map(|(shape, _)| shape.name().len()).max().unwrap_or(0).max(arch.name().len());
    let profile = Matrix::profile;
    let second = rows.iter().map(|(_, cells)| profile(cells).len()).max().unwrap_or(0).max("profile".len());
    let width = |(column, cpu): (usize, &&str)| {
        let cells = rows.iter().filter_map(|(_, cells)| cells[column]).map(|run| cell(run).len());
        cells.max().unwrap_or(0).max(cpu.len())
    };
    let widths: Vec<usize> = cpus.iter().enumerate().map(width).collect();

    let mut head = format!("{:first$}  {:second$}", arch.name(), "profile");
    for (cpu, width) in cpus.iter().zip(&widths) {
        head.push_str(&format!("  {cpu:width$}"));
    }
    let mut text = format!("{}\n", head.trim_end());
    for (shape, cells) in rows {
        let mut line = format!("{shape:first$}  {:second$}", profile(&cells));
        for (run, &width) in cells.iter().zip(&widths) {
            let (plain, painted) = match run {
                Some(run) if run.failures.is_empty() => (cell(run), style.good(&cell(run))),
                Some(run) => (cell(run), style.bad(&cell(run))),
                None => ("-".to_owned(), style.dim("-")),
            };
            line.push_str(&format!("  {painted}{:pad$}", "", pad = width.saturating_sub(plain.len())));
        }
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}

/// The way in, and how many services are proven.
pub(super) fn cell(run: &Run) -> String {
    format!("{} {}/{}", run.entry, run.proven, run.total)
}

/// One call and what is wrong with it.
fn call_text(run: &Run, facts: &[Failure], style: Style) -> String {
    let Some(first) = facts.first() else {
        return String::new();
    };
    let (arch, shape) = (run.shape.arch(), run.shape);
    let title = format!("{} through {arch} {shape} ({}) on {}:", first.service, run.entry, run.cpu);
    let mut text = format!("{}\n", style.bad(&title));
    let what = facts.iter().take(SHOWN_FACTS).map(|fact| fact.what.to_string().len()).max().unwrap_or(0);
    for fact in facts.iter().take(SHOWN_FACTS) {
        let Failure { expected, seen, .. } = fact;
        // Writing to a string cannot fail.
        let _ = writeln!(text, "  {:what$}  expected {expected}, seen {seen}", fact.what.to_string());
    }
    if let Some(more) = facts.len().checked_sub(SHOWN_FACTS).filter(|&more| more > 0) {
        let _ = writeln!(text, "  ... and {more} more");
    }
    for line in &first.stub {
        let _ = writeln!(text, "    {}", style.dim(line));
    }
    text
}

fn mutants_text(mutants: &Mutants, style: Style) -> String {
    let mut text = String::new();
    let width = mutants.kinds.iter().map(|kind| kind.mutation.name().len()).max().unwrap_or(0);
    let arch_width = mutants.kinds.iter().map(|kind| kind.arch.name().len()).max().unwrap_or(0);
    for kind in mutants.kinds.iter().filter(|kind| kind.total > 0) {
        let counts = format!("{}/{}", kind.rejected, kind.total);
        let counts = if kind.rejected == kind.total { style.good(&counts) } else { style.bad(&counts) };
        let (arch, mutation) = (kind.arch.name(), kind.mutation);
        let _ = writeln!(text, "{arch:arch_width$}  {mutation:width$}  {counts} rejected: {}", gave_away(kind));
    }
    for group in &mutants.equivalent {
        let shapes: Vec<&str> = group.shapes.iter().map(|shape| shape.name()).collect();
        let mut services: Vec<&str> = group.services.iter().take(SHOWN_SERVICES).map(String::as_str).collect();
        let more = group.services.len().saturating_sub(SHOWN_SERVICES);
        let others = format!("{more} more");
        if more > 0 {
            services.push(&others);
        }
        let _ = writeln!(
            text,
            "not counted: {} {} of {} ({}): {}",
            group.shapes.first().map_or("", |shape| shape.arch().name()),
            group.mutation,
            services.join(", "),
            shapes.join(", "),
            group.reason
        );
    }
    for mutant in mutants.survivors.iter().take(SHOWN_SURVIVORS) {
        let line =
            format!("survived: {} of {} {}, {}", mutant.mutation, mutant.shape.arch(), mutant.shape, mutant.service);
        let _ = writeln!(text, "{}", style.bad(&line));
    }
    if let Some(more) = mutants.survivors.len().checked_sub(SHOWN_SURVIVORS).filter(|&more| more > 0) {
        let _ = writeln!(text, "... and {more} more");
    }
    let equivalent: usize = mutants.kinds.iter().map(|kind| kind.equivalent).sum();
    let _ = writeln!(
        text,
        "{}, {} rejected, {} survived; {equivalent} more are their originals",
        count(mutants.total, "mutant"),
        mutants.rejected,
        mutants.survivors.len(),
    );
    text
}

/// The facts that most mutants had wrong.
fn gave_away(kind: &Kind) -> String {
    let mut facts: Vec<(&str, usize)> = kind.gave_away.iter().map(|(name, count)| (*name, *count)).collect();
    facts.sort_by_key(|&(name, count)| (std::cmp::Reverse(count), name));
    let more = facts.len().saturating_sub(SHOWN_FACTS_OF_KIND);
    let mut words: Vec<String> =
        facts.iter().take(SHOWN_FACTS_OF_KIND).map(|(name, count)| format!("{name} {count}")).collect();
    if more > 0 {
        words.push(format!("and {more} more"));
    }
    words.join(", ")
}
