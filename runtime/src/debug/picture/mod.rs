//! The picture of one call: a page to step through, and a drawing for a slide.
//!
//! Both are drawn from the trace: every number that is shown is one that the machine read, wrote or executed.

mod panels;
mod scene;

use maud::{Markup, html};

use self::panels::{Mark, Panels, squeezed};
use super::trace::{self, Call, Step, Visit};
use crate::machine::Event;
use crate::page::Page;

const STYLE: &str = include_str!("page.css");
const SCRIPT: &str = include_str!("page.js");

impl Call {
    /// A page that needs nothing else: a drawing with a stepper, every instruction with what happened in it, and the costs; of
    /// the other way in too, if the system has it.
    #[must_use]
    pub fn to_html(&self) -> String {
        let title = format!("{} under {}, by {}", self.service, self.profile, self.entry);
        let style = format!("{}{STYLE}", scene::STYLE);
        let page = Page { title: &title, style: &style, body: body(self, &title), script: Some(SCRIPT) };
        page.to_html()
    }

    /// A drawing that stands alone: the way of the call and what was read and written on it.
    #[must_use]
    pub fn to_svg(&self) -> String {
        scene::alone(self, &Panels::of(self))
    }
}

fn body(call: &Call, title: &str) -> Markup {
    let arguments: Vec<String> = call.arguments.iter().map(|value| format!("{value:x}")).collect();
    let calls: Vec<&Call> = std::iter::once(call).chain(call.other.as_deref()).collect();
    html! {
        main {
            h1 { (title) }
            p {
                "Service " code { (format!("{:X}h", call.number)) } " on a " code { (call.cpu) } ", called with "
                @if arguments.is_empty() { "no arguments" } @else { code { (arguments.join(" ")) } }
                "; it returned " code { (trace::status(call.status)) } "."
            }
            p.soft {
                "Drawn by ntgate from a run on its own machine. The service itself is served from outside the guest; what the "
                "guest writes to its own log is left out."
            }
            (controls(calls.len() > 1))
            div.calls {
                @for (index, call) in calls.iter().enumerate() { (one(call, index)) }
            }
            (costs(&calls))
        }
    }
}

fn controls(two: bool) -> Markup {
    html! {
        div.controls role="group" aria-label="Steps of the call" {
            button #back type="button" aria-label="one step back" { "◀" }
            button #play type="button" aria-pressed="false" { "▶ play" }
            button #on type="button" aria-label="one step on" { "▶" }
            input #step type="range" min="0" value="0" aria-label="step";
            output #count for="step" {}
            @if two { button #both type="button" aria-pressed="false" { "both ways in" } }
            span.keys.soft {
                kbd { "←" } " " kbd { "→" } " a step, " kbd { "Home" } " " kbd { "End" } " the ends, " kbd { "Space" } " plays"
                @if two { ", " kbd { "b" } " both ways side by side" }
            }
        }
        div.now-line role="status" aria-live="polite" { p #now.mono {} }
    }
}

fn one(call: &Call, index: usize) -> Markup {
    let panels = Panels::of(call);
    let class = if index == 0 { "call first" } else { "call second" };
    html! {
        article class=(class) aria-label={ "by " (call.entry) } {
            h2 { "By " (call.entry) ", on " (call.cpu) }
            div.show {
                div.scene-frame { (scene::within(call, &panels)) }
                div.steps tabindex="0" role="region" aria-label={ "instructions, by " (call.entry) } {
                    @for visit in &call.trace.visits { (routine(call, visit, &panels)) }
                }
            }
        }
    }
}

fn routine(call: &Call, visit: &Visit, panels: &Panels) -> Markup {
    let steps = visit.steps.0..visit.steps.1;
    let own = steps.clone().all(|index| call.is_own(index));
    html! {
        @if own {
            p.soft { (visit.routine) ": " (trace::instructions(steps.len())) ", for the guest's own log" }
        } @else {
            section data-name=(visit.routine) {
                h3 class=(if visit.ring == 3 { "user" } else { "kernel" }) {
                    code { (visit.routine) } " — ring " (visit.ring) ", " (call.phase(visit.steps.0).name())
                }
                ol {
                    @for (index, step) in steps.zip(call.trace.steps_of(visit)) {
                        (line(call, step, index, panels.marks.get(index).map_or(&[], Vec::as_slice)))
                    }
                }
            }
        }
    }
}

/// An instruction: what it does to the drawing is in its attributes.
fn line(call: &Call, step: &Step, index: usize, marks: &[Mark]) -> Markup {
    let marks: Vec<String> = marks.iter().map(mark).collect();
    let own = call.is_own(index);
    html! {
        li data-m=(marks.join(";")) data-r=(step.ring) data-p=(call.phase(index) as usize) {
            code.address { (trace::address(step.address, call.bits)) }
            code.text { (squeezed(&step.text)) }
            @if own {
                span.changes { "the guest's own log" }
            } @else {
                @let changes = trace::changes(step);
                @if !changes.is_empty() { code.changes { (changes) } }
                @if !step.events.is_empty() || step.ring != step.ring_after { ul {
                    @for event in &step.events {
                        @let fails = matches!(event, Event::Check(check) if !check.holds);
                        li class=[fails.then_some("fails")] { (trace::event(event, &call.names, call.bits)) }
                    }
                    @if step.ring != step.ring_after {
                        li.ring { "ring " (step.ring) " → ring " (step.ring_after) (call.stacks(step)) }
                    }
                } }
            }
        }
    }
}

/// `4.2=value` of a row that is read, `4.2!value` of one that is written.
fn mark(mark: &Mark) -> String {
    let how = if mark.write { '!' } else { '=' };
    format!("{}.{}{how}{}", mark.id as usize, mark.row, mark.value.as_deref().unwrap_or_default())
}

fn costs(calls: &[&Call]) -> Markup {
    let columns: Vec<_> = calls.iter().map(|call| call.counts.rows()).collect();
    let own: Vec<String> = calls.iter().map(|call| call.counts.own.to_string()).collect();
    html! {
        h2 { "What it cost" }
        div.wide { table {
            thead { tr {
                th scope="col" { "" }
                @for call in calls { th.number scope="col" { (call.entry) ", " (call.cpu) } }
            } }
            tbody {
                @for (row, (words, _)) in calls[0].counts.rows().iter().enumerate() {
                    tr {
                        th scope="row" style=[words.starts_with(' ').then_some("font-weight:normal;padding-left:1.5rem")] { (words.trim()) }
                        @for column in &columns { td.number { (column[row].1) } }
                    }
                }
            }
        } }
        p.soft { "Not counted: the service's routine, and instructions for the guest's own log (" (own.join(", ")) ")." }
    }
}

#[cfg(test)]
mod tests;
