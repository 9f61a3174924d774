//! The drawing: two lanes, ring 3 above and ring 0 below, the doors between them, and the way of the call through the boxes.

use maud::{Markup, PreEscaped, html};

use super::super::trace::{Call, Phase};
use super::panels::{Id, Panel, Panels};
use crate::nt::Entry;
use crate::page::COLOURS;

/// What the drawing looks like, on a page and alone.
pub(super) const STYLE: &str = include_str!("scene.css");

/// Height of a row, of a box's head, and the room below its last row.
const ROW: i32 = 17;
const HEAD: i32 = 27;
const FOOT: i32 = 8;

/// Room between boxes, and around a lane's boxes.
const GAP: i32 = 30;
const PAD: i32 = 14;

/// Width of the drawing, and left edge and width of its three columns.
const WIDTH: i32 = 1200;
const LEFT: (i32, i32) = (20, 300);
const MIDDLE: (i32, i32) = (350, 400);
const RIGHT: (i32, i32) = (780, 400);

/// Columns of monospaced text that fit into a width: one is as wide as 0.602 of the size.
const CHARACTER: f32 = 6.65;

/// Where a box is.
#[derive(Debug, Clone, Copy)]
struct Place {
    x: i32,
    y: i32,
    width: i32,
    height: i32,
}

impl Place {
    fn bottom(self) -> i32 {
        self.y + self.height
    }

    fn middle(self) -> i32 {
        self.y + self.height / 2
    }

    fn right(self) -> i32 {
        self.x + self.width
    }
}

/// A part of the call's way.
struct Arrow {
    path: String,
    phase: Phase,
}

/// The boxes with their places.
struct Layout {
    places: Vec<(Id, Place)>,
    user_end: i32,
    door_end: i32,
    height: i32,
}

/// A drawing for a slide: a file of its own, which shows the end of the call.
pub(super) fn alone(call: &Call, panels: &Panels) -> String {
    let head = format!("{} {:X}h, {} on {}, by {}", call.service, call.number, call.profile, call.cpu, call.entry);
    let style = format!("{COLOURS}{STYLE}");
    let mut text = drawing(call, panels, Some((&head, &style))).into_string();
    text.push('\n');
    text
}

/// A drawing within a page.
pub(super) fn within(call: &Call, panels: &Panels) -> Markup {
    drawing(call, panels, None)
}

fn drawing(call: &Call, panels: &Panels, alone: Option<(&str, &str)>) -> Markup {
    let layout = layout(call, panels);
    let top = if alone.is_some() { 44 } else { 0 };
    let size = format!("0 {} {WIDTH} {}", -top, layout.height + top);
    let what = format!(
        "The way of {} by {}: boxes for what is read and written, arrows for the way",
        call.service, call.entry
    );
    html! {
        svg class="scene" xmlns="http://www.w3.org/2000/svg" viewBox=(size) role="img" aria-label=(what) {
            @if let Some((head, style)) = alone {
                style { (PreEscaped(style)) }
                rect class="paper" x="0" y=(-top) width=(WIDTH) height=(layout.height + top) {}
                text class="head" x=(LEFT.0) y="-14" { (head) }
            }
            defs {
                marker id={ "tip-" (call.entry.name()) } viewBox="0 0 8 8" refX="6" refY="4" markerWidth="8" markerHeight="8"
                    markerUnits="userSpaceOnUse" orient="auto-start-reverse" { path class="tip" d="M0 0 8 4 0 8z" {} }
            }
            (lanes(call, &layout))
            @for arrow in arrows(call, &layout) {
                path class="arrow" data-phase=(arrow.phase as usize) d=(arrow.path)
                    marker-end={ "url(#tip-" (call.entry.name()) ")" } {}
            }
            @for (number, (id, place)) in layout.places.iter().enumerate() {
                @if let Some(panel) = panels.get(*id) { (one(panel, *place, number + 1)) }
            }
        }
    }
}

fn lanes(call: &Call, layout: &Layout) -> Markup {
    let lane = |class: &str, y: i32, end: i32, name: &str| {
        html! {
            rect class={ "lane " (class) } x="6" y=(y) width=(WIDTH - 12) height=(end - y) rx="10" {}
            text class={ "lane-name " (class) } x=(WIDTH - 18) y=(y + 17) { (name) }
        }
    };
    html! {
        @if call.entry != Entry::Zw {
            (lane("user", 0, layout.user_end, "ring 3"))
            (lane("door", layout.user_end + 6, layout.door_end, "the processor"))
        }
        (lane("kernel", layout.door_end + 6, layout.height, "ring 0"))
    }
}

/// A box: rows with a label on the left and a value on the right.
fn one(panel: &Panel, place: Place, number: usize) -> Markup {
    let columns = ((place.width - 24) as f32 / CHARACTER) as usize;
    html! {
        g class="panel" data-panel=(panel.id as usize) {
            rect class="box" x=(place.x) y=(place.y) width=(place.width) height=(place.height) rx="6" {}
            text class="title" x=(place.x + 10) y=(place.y + 18) {
                tspan class="number" { (number) } " " (panel.title)
            }
            @for (index, row) in panel.rows.iter().enumerate() {
                @let y = place.y + HEAD + ROW * index as i32;
                @let value = row.last.as_deref().unwrap_or_default();
                @let room = columns.saturating_sub(value.chars().count() + 1);
                g class="row" data-k={ (panel.id as usize) "." (index) } {
                    rect x=(place.x + 4) y=(y) width=(place.width - 8) height=(ROW) rx="3" {}
                    text x=(place.x + 12) y=(y + 13) { (cut(&row.label, room)) }
                    text class="value" x=(place.right() - 12) y=(y + 13) data-first=(row.first.as_deref().unwrap_or("·")) {
                        (value)
                    }
                }
            }
        }
    }
}

/// As much of a label as fits.
fn cut(label: &str, columns: usize) -> String {
    if label.chars().count() <= columns {
        return label.to_owned();
    }
    let start: String = label.chars().take(columns.saturating_sub(1)).collect();
    start + "…"
}

fn height(panel: &Panel) -> i32 {
    HEAD + ROW * panel.rows.len() as i32 + FOOT
}

/// Puts boxes below each other, from `y` on; where the last one ends.
fn stack(panels: &Panels, ids: &[Id], column: (i32, i32), y: i32, places: &mut Vec<(Id, Place)>) -> i32 {
    let mut at = y;
    for id in ids {
        if let Some(panel) = panels.get(*id) {
            places.push((*id, Place { x: column.0, y: at, width: column.1, height: height(panel) }));
            at += height(panel) + GAP;
        }
    }
    // Without the room behind the last one.
    if at > y { at - GAP } else { at }
}

fn layout(call: &Call, panels: &Panels) -> Layout {
    let mut places = Vec::new();
    let mut y = 24;
    let kernel_call = call.entry == Entry::Zw;
    let (mut user_end, mut door_end) = (0, -6);
    if !kernel_call {
        let ends = [
            stack(panels, &[Id::Arguments], LEFT, y, &mut places),
            stack(panels, &[Id::Code], MIDDLE, y, &mut places),
            stack(panels, &[Id::Shared], RIGHT, y, &mut places),
        ];
        user_end = ends.into_iter().max().unwrap_or(y) + PAD;
        y = user_end + 30;
        let ends = [
            stack(panels, &[Id::DoorIn], MIDDLE, y, &mut places),
            stack(panels, &[Id::DoorOut], RIGHT, y, &mut places),
        ];
        door_end = ends.into_iter().max().unwrap_or(y) + PAD;
        y = door_end + 30;
    }
    let left: &[Id] = if kernel_call { &[Id::Arguments, Id::Frame] } else { &[Id::Frame] };
    let ends = [
        stack(panels, left, LEFT, y, &mut places),
        stack(panels, &[Id::Routines, Id::Thread], MIDDLE, y, &mut places),
        stack(panels, &[Id::Tables, Id::Copy, Id::Service], RIGHT, y, &mut places),
    ];
    let height = ends.into_iter().max().unwrap_or(y) + PAD;
    places.sort_by_key(|(id, _)| *id);
    Layout { places, user_end, door_end, height: height + 6 }
}

fn arrows(call: &Call, layout: &Layout) -> Vec<Arrow> {
    let place = |id: Id| layout.places.iter().find(|(known, _)| *known == id).map(|(_, place)| *place);
    let mut arrows = Vec::new();
    let mut draw = |from: Id, to: Id, phase: Phase, path: &dyn Fn(Place, Place) -> String| {
        if let (Some(from), Some(to)) = (place(from), place(to)) {
            arrows.push(Arrow { path: path(from, to), phase });
        }
    };
    let down = |from: Place, to: Place| {
        let x = from.x.max(to.x) + 60;
        format!("M{x} {}V{}", from.bottom(), to.y - 2)
    };
    let across = |from: Place, to: Place| {
        let (y, end) = (from.y + 40, to.y + 40);
        let turn = (from.right() + to.x) / 2;
        format!("M{} {y}C{turn} {y} {turn} {end} {} {end}", from.right(), to.x - 2)
    };
    // Leftwards, from the left edge of one to the right edge of the other.
    let back_across = |from: Place, to: Place| {
        let (y, end) = (from.y + 40, to.y + 40);
        let turn = (from.x + to.right()) / 2;
        format!("M{} {y}C{turn} {y} {turn} {end} {} {end}", from.x, to.right() + 2)
    };
    draw(Id::Code, Id::Shared, Phase::In, &across);
    draw(Id::Code, Id::DoorIn, Phase::In, &down);
    draw(Id::DoorIn, Id::Routines, Phase::In, &down);
    if call.counts.pushes > 0 {
        draw(Id::DoorIn, Id::Frame, Phase::In, &|from, to| {
            let x = to.x + to.width - 60;
            format!(
                "M{} {}H{}Q{x} {} {x} {}V{}",
                from.x,
                from.middle(),
                x + 14,
                from.middle(),
                from.middle() + 14,
                to.y - 2
            )
        });
    } else {
        draw(Id::Routines, Id::Frame, Phase::In, &back_across);
    }
    draw(Id::Routines, Id::Thread, Phase::In, &down);
    draw(Id::Routines, Id::Tables, Phase::Dispatch, &across);
    draw(Id::Tables, Id::Copy, Phase::Dispatch, &down);
    let before = if place(Id::Copy).is_some() { Id::Copy } else { Id::Tables };
    draw(before, Id::Service, Phase::Service, &down);
    draw(Id::Service, Id::Routines, Phase::Back, &|from, to| {
        let (y, end) = (from.y + 40, to.bottom() - 14);
        let turn = (from.x + to.right()) / 2;
        format!(
            "M{} {y}H{}Q{turn} {y} {turn} {}V{}Q{turn} {end} {} {end}H{}",
            from.x,
            turn + 8,
            y - 8,
            end + 8,
            turn - 8,
            to.right() + 2
        )
    });
    // Upwards: from the routines to the door on the right, and from there to the code.
    draw(Id::Routines, Id::DoorOut, Phase::Back, &|from, to| {
        let (x, end) = (from.right() - 40, to.x + 40);
        let between = from.y - 22;
        format!(
            "M{x} {}V{}Q{x} {between} {} {between}H{}Q{end} {between} {end} {}V{}",
            from.y,
            between + 8,
            x + 8,
            end - 8,
            between - 8,
            to.bottom() + 2
        )
    });
    draw(Id::DoorOut, Id::Code, Phase::Back, &|from, to| {
        let (x, end) = (from.x + 40, to.right() - 40);
        let between = from.y - 22;
        format!(
            "M{x} {}V{}Q{x} {between} {} {between}H{}Q{end} {between} {end} {}V{}",
            from.y,
            between + 8,
            x - 8,
            end + 8,
            between - 8,
            to.bottom() + 2
        )
    });
    arrows
}
