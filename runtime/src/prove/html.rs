//! A report as a page: the matrix, with each failure opened up.

use maud::{Markup, html};
use ntgate_gen::Arch;

use super::ARCHS;
use super::mutate::Mutants;
use super::render::{Matrix, cell, count};
use super::report::{Failure, Report, Run};
use crate::page::Page;

const STYLE: &str = include_str!("page.css");

/// Calls that are opened up; the rest is counted, as a list that is wrong from the start fails in every call of every run.
const SHOWN_CALLS: usize = 200;

impl Report {
    /// The report as one page that needs nothing else.
    #[must_use]
    pub fn to_html(&self) -> String {
        let verdict = if self.holds() { "proven" } else { "not proven" };
        let title = format!("{}: {verdict}", self.list);
        Page { title: &title, style: STYLE, body: self.body(), script: None }.to_html()
    }

    fn body(&self) -> Markup {
        let proven: usize = self.runs.iter().map(|run| run.proven + run.refusals.proven).sum();
        let total: usize = self.runs.iter().map(|run| run.total + run.refusals.total).sum();
        html! {
            main {
                h1 {
                    (self.list) ": "
                    @if self.holds() { span.good { "proven" } } @else { span.bad { "not proven" } }
                }
                p {
                    (count(self.services, "service")) ", " (proven) " of " (total) " calls right. "
                    "Rows are stub shapes with the systems that had them, columns processors, cells the way in that the guest's kernel "
                    "took there and how many services are proven; – stands where the system does not run."
                }
                @for arch in ARCHS { (self.matrix_of(arch)) }
                (self.what_is_wrong())
                @if !self.differences.is_empty() { (self.machines()) }
                @if let Some(mutants) = &self.mutants { (mutants_of(mutants)) }
                @if !self.notes.is_empty() {
                    h2 { "Notes" }
                    ul { @for note in &self.notes { li { (note) } } }
                }
            }
        }
    }

    fn matrix_of(&self, arch: Arch) -> Markup {
        let runs: Vec<&Run> = self.runs.iter().filter(|run| run.shape.arch() == arch).collect();
        let Matrix { cpus, rows } = Matrix::new(arch, &runs);
        html! {
            @if !runs.is_empty() {
                h2 { (arch) }
                div.wide { table.matrix {
                    thead { tr {
                        th scope="col" { "shape" } th scope="col" { "system" }
                        @for cpu in &cpus { th scope="col" { (cpu) } }
                    } }
                    tbody { @for (shape, cells) in &rows { tr {
                        th scope="row" { code { (shape.name()) } }
                        td { (Matrix::profile(cells)) }
                        @for run in cells { (self.cell(*run)) }
                    } } }
                } }
            }
        }
    }

    /// A cell; of a run with failures it leads to them.
    fn cell(&self, run: Option<&Run>) -> Markup {
        let Some(run) = run else { return html! { td.soft { "–" } } };
        let place = self.runs.iter().position(|known| std::ptr::eq(known, run)).unwrap_or_default();
        html! {
            @if run.failures.is_empty() { td.good { (cell(run)) } }
            @else { td.bad { a href={ "#run-" (place) } { (cell(run)) } } }
        }
    }

    fn what_is_wrong(&self) -> Markup {
        let calls = |run: &Run| run.failures.chunk_by(|a, b| a.service == b.service).count();
        let mut left = SHOWN_CALLS;
        let wrong = self.runs.iter().enumerate().filter(|(_, run)| !run.failures.is_empty());
        let wrong: Vec<(usize, &Run, usize)> = wrong
            .map(|(place, run)| {
                let shown = calls(run).min(left);
                left -= shown;
                (place, run, shown)
            })
            .collect();
        html! {
            @if !wrong.is_empty() { h2 { "What is wrong" } }
            @for (place, run, shown) in wrong {
                section id={ "run-" (place) } {
                    h3 { code { (run.shape.name()) } " under " (run.profile) " on " (run.cpu) ", by " (run.entry) }
                    @for call in run.failures.chunk_by(|a, b| a.service == b.service).take(shown) { (failed(call)) }
                    @if shown < calls(run) { p.soft { (count(calls(run) - shown, "more call")) } }
                }
            }
        }
    }

    fn machines(&self) -> Markup {
        html! {
            h2 { "Where the machines differ" }
            @for at in &self.differences {
                h3 { (at.cpu) ", from line " (at.line) " of the log on" }
                dl { dt { "bundled" } dd { code { (at.bundled) } } dt { "qemu" } dd { code { (at.qemu) } } }
            }
        }
    }
}

/// A call of which something is wrong, opened up: each fact, and the stub.
fn failed(call: &[Failure]) -> Markup {
    let stub = call.first().map_or(&[][..], |failure| &failure.stub);
    html! {
        @if let Some(first) = call.first() {
            details open {
                summary { (first.service) ": " (count(call.len(), "fact")) }
                table {
                    thead { tr { th scope="col" { "fact" } th scope="col" { "expected" } th scope="col" { "seen" } } }
                    tbody { @for failure in call { tr {
                        td { (failure.what) }
                        td { code { (failure.expected) } }
                        td.bad { code { (failure.seen) } }
                    } } }
                }
                @if !stub.is_empty() { pre { (stub.join("\n")) } }
            }
        }
    }
}

fn mutants_of(mutants: &Mutants) -> Markup {
    html! {
        h2 { "Mutants" }
        p { (mutants.rejected) " of " (mutants.total) " rejected." }
        @if !mutants.survivors.is_empty() {
            ul.bad { @for survivor in &mutants.survivors { li { (survivor.mutation) " of " code { (survivor.shape) } ", " (survivor.service) } } }
        }
    }
}
