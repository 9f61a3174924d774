//! Pages and drawings of calls.

use super::super::trace::{Options, call};
use super::panels::{Id, Panels};
use super::*;
use crate::host::Entry;

fn close(entry: Entry) -> Call {
    call(&Options::new("NtClose", &[0x1234]).entry(entry)).expect("the system has it")
}

/// What the rows of a box show at the end.
fn rows(panels: &Panels, id: Id) -> Vec<(&str, Option<&str>)> {
    let panel = panels.get(id);
    let rows = panel.map_or(&[][..], |panel| &panel.rows);
    rows.iter().map(|row| (row.label.as_str(), row.last.as_deref())).collect()
}

#[test]
fn a_gate_fills_the_upper_end_of_the_frame() {
    let call = close(Entry::Int2e);
    let panels = Panels::of(&call);
    let step = call.trace.steps.iter().position(|step| step.ring != step.ring_after).expect("it goes in");
    let pushed = panels.marks[step].iter().filter(|mark| mark.id == Id::Frame).map(|mark| mark.row);
    assert_eq!(pushed.collect::<Vec<_>>(), [0, 1, 2, 3, 4]);
    let frame = rows(&panels, Id::Frame);
    let labels: Vec<&str> = frame.iter().take(6).map(|row| row.0).collect();
    assert_eq!(labels, ["HardwareSegSs", "HardwareEsp", "EFlags", "SegCs", "Eip", "ErrCode"]);
    assert_eq!(frame[3].1, Some("0000001b"));
    let door = rows(&panels, Id::DoorIn);
    assert_eq!(
        door.iter().map(|row| row.0).collect::<Vec<_>>(),
        ["IDT[2Eh]", "GDT[0008]", "TSS.Ss0:Esp0", "GDT[0010]", "checks", "CS", "SS"]
    );
    assert_eq!(door[4].1, Some("18, all hold"));
    assert_eq!(rows(&panels, Id::Copy), [("argument 1", Some("00001234"))]);
    assert_eq!(rows(&panels, Id::Service)[1].1, Some("00000000 STATUS_SUCCESS"));
}

#[test]
fn a_part_of_a_field_changes_the_field() {
    // KiFastCallEntry sets IF in the EFLAGS that it pushed, a byte of them.
    let panels = Panels::of(&close(Entry::Sysenter));
    let frame = rows(&panels, Id::Frame);
    let flags: Vec<usize> = (0..frame.len()).filter(|row| frame[*row].0.starts_with("EFlags")).collect();
    assert_eq!(flags.len(), 1);
    let marks = panels.marks.iter().flatten().filter(|mark| mark.id == Id::Frame && mark.row == flags[0] && mark.write);
    let values: Vec<&str> = marks.filter_map(|mark| mark.value.as_deref()).collect();
    // KiServiceExit takes it away again: STI is what sets it in ring 3.
    assert_eq!(values, ["00000002", "00000202", "00000002"]);
}

#[test]
fn a_gate_of_64_bits_is_shown_whole() {
    let options = Options::new("NtClose", &[0x1234]).profile("win10-x64").entry(Entry::Int2e);
    let call = call(&options).expect("the system has it");
    let panels = Panels::of(&call);
    let entry = call.trace.visits.iter().find(|visit| visit.routine == "nt!KiSystemService").expect("it is entered");
    let whole = format!("0010:{:016x}, DPL 3", entry.start);
    assert_eq!(rows(&panels, Id::DoorIn)[0], ("IDT[2Eh]", Some(&*whole)));
    // Logging is a byte behind CS, with a name of its own; IRETQ pops both in one.
    let frame = rows(&panels, Id::Frame);
    assert!(frame.contains(&("SegCs", Some("0000000002000033"))) && frame.contains(&("Logging", Some("02"))));
    // The last routine begins with what is written to the guest's own log, and is shown all the same.
    let last = rows(&panels, Id::Routines).last().map(|row| row.0);
    assert_eq!(last, Some("nt!KiSystemServiceExitInterrupt"));
}

#[test]
fn every_mark_is_of_a_row_and_what_is_shown_last_is_what_was_marked_last() {
    for entry in [Entry::Int2e, Entry::Sysenter, Entry::Syscall, Entry::Zw] {
        let panels = Panels::of(&close(entry));
        for panel in &panels.panels {
            let mut shown: Vec<Option<String>> = panel.rows.iter().map(|row| row.first.clone()).collect();
            for mark in panels.marks.iter().flatten().filter(|mark| mark.id == panel.id) {
                if mark.value.is_some() {
                    shown[mark.row].clone_from(&mark.value);
                }
            }
            let last: Vec<Option<String>> = panel.rows.iter().map(|row| row.last.clone()).collect();
            assert_eq!(shown, last, "{entry}: {:?}", panel.id);
        }
    }
}

#[test]
fn a_page_needs_nothing_else_and_stays_small() {
    // The most arguments that a service has, and both ways in.
    let arguments: Vec<u64> = (1..=17).collect();
    let name = "NtAccessCheckByTypeResultListAndAuditAlarmByHandle";
    for profile in ["srv2003", "win10-x64"] {
        let call = call(&Options::new(name, &arguments).profile(profile)).expect("it has it");
        assert!(call.other.is_some(), "{profile}");
        let (page, drawing) = (call.to_html(), call.to_svg());
        assert!(page.len() < 500_000, "{profile}: {} bytes", page.len());
        for text in [&page, &drawing] {
            let foreign = text.replace("http://www.w3.org/2000/svg", "");
            assert!(!foreign.contains("http:") && !foreign.contains("https:") && !foreign.contains("url(//"));
            assert!(!foreign.contains("@import") && !foreign.contains("src="));
        }
    }
}

#[test]
fn a_drawing_shows_what_was_read_and_written() {
    let call = close(Entry::Int2e);
    let drawing = call.to_svg();
    let row = format!("KiServiceTable[{:X}h]", call.number);
    assert!(drawing.starts_with("<svg ") && drawing.ends_with("</svg>\n"));
    // Every value of the trace that a box shows is in it.
    for text in ["int 2Eh", "00001234", &*row, "STATUS_SUCCESS"] {
        assert!(drawing.contains(text), "{text}");
    }
}
