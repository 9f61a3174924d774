//! What a picture shows: boxes with rows, and for each step which rows it reads and writes. All of it is read off the trace.

use super::super::trace::{Call, Phase, Step, address, instructions, msr, status};
use crate::machine::segment::Descriptor;
use crate::machine::{Event, Gate, MemoryAccess, What};
use crate::nt::Entry;

/// The boxes, in the order in which a call comes to them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Id {
    Arguments,
    Code,
    Shared,
    DoorIn,
    Frame,
    Routines,
    Thread,
    Tables,
    Copy,
    Service,
    DoorOut,
}

impl Id {
    pub(super) const ALL: [Self; 11] = [
        Self::Arguments,
        Self::Code,
        Self::Shared,
        Self::DoorIn,
        Self::Frame,
        Self::Routines,
        Self::Thread,
        Self::Tables,
        Self::Copy,
        Self::Service,
        Self::DoorOut,
    ];
}

/// A line of a box.
#[derive(Debug, Clone)]
pub(super) struct Row {
    pub(super) label: String,
    /// What it shows before the first step; `None`: nothing is known of it.
    pub(super) first: Option<String>,
    /// What it shows after the last.
    pub(super) last: Option<String>,
    /// What tells the rows of a box apart, and by which they are in order.
    at: u64,
}

#[derive(Debug, Clone)]
pub(super) struct Panel {
    pub(super) id: Id,
    pub(super) title: String,
    pub(super) rows: Vec<Row>,
}

/// What a step does to a row.
#[derive(Debug, Clone)]
pub(super) struct Mark {
    pub(super) id: Id,
    pub(super) row: usize,
    pub(super) write: bool,
    /// What the row shows from here on; `None`: what it did.
    pub(super) value: Option<String>,
}

/// The boxes of a call, and the marks of each step.
pub(super) struct Panels {
    pub(super) panels: Vec<Panel>,
    pub(super) marks: Vec<Vec<Mark>>,
}

impl Panels {
    pub(super) fn of(call: &Call) -> Self {
        let panels = Id::ALL.into_iter().map(|id| Panel { id, title: title(call, id), rows: Vec::new() }).collect();
        let mut all = Self { panels, marks: vec![Vec::new(); call.trace.steps.len()] };
        all.registers(call);
        all.routines(call);
        for (index, step) in call.trace.steps.iter().enumerate() {
            if step.ring == 3 {
                let code = format!("{:x}  {}", step.address, squeezed(&step.text));
                all.mark(index, Id::Code, step.address, &code, false, Some(String::new()));
            }
            if !call.is_own(index) {
                all.step(call, index, step);
            }
        }
        // A stack grows downwards: what is pushed first is at the top.
        all.sort(Id::Frame, std::cmp::Reverse);
        all.sort(Id::Copy, |address| address);
        all
    }

    /// The rows of a box, if it has any.
    pub(super) fn get(&self, id: Id) -> Option<&Panel> {
        self.panels.iter().find(|panel| panel.id == id && !panel.rows.is_empty())
    }

    /// Arguments that a call has in registers.
    fn registers(&mut self, call: &Call) {
        let registers: &[&str] = if call.bits == 64 { &["rcx", "rdx", "r8", "r9"] } else { &[] };
        for (index, value) in (0..).zip(&call.arguments) {
            let label = match registers.get(index) {
                Some(register) => format!("argument {} ({register})", index + 1),
                None => format!("argument {}", index + 1),
            };
            let value = Some(address(*value, call.bits));
            let row = Row { label, first: value.clone(), last: value, at: index as u64 };
            self.panel(Id::Arguments).rows.push(row);
        }
    }

    /// The kernel's routines, in the order in which they run, and the service.
    fn routines(&mut self, call: &Call) {
        for (number, visit) in (0..).zip(&call.trace.visits) {
            let steps = visit.steps.0..visit.steps.1;
            let own = steps.clone().filter(|step| call.is_own(*step)).count();
            let id = match call.phase(visit.steps.0) {
                _ if visit.ring == 3 || own == steps.len() => continue,
                Phase::Service => Id::Service,
                _ => Id::Routines,
            };
            let first = Some(instructions(steps.len() - own));
            self.panel(id).rows.push(Row {
                label: visit.routine.clone(),
                first: first.clone(),
                last: first,
                at: number,
            });
            let row = self.panel(id).rows.len() - 1;
            for marks in self.marks.iter_mut().take(steps.end).skip(steps.start) {
                marks.push(Mark { id, row, write: false, value: None });
            }
        }
        let returned = status(call.status);
        self.panel(Id::Service).rows.push(Row { label: "status".to_owned(), first: None, last: None, at: u64::MAX });
        let row = self.panel(Id::Service).rows.len() - 1;
        let last = call.trace.steps.iter().enumerate().rfind(|(index, _)| call.phase(*index) == Phase::Service);
        if let Some((index, _)) = last {
            self.set(index, Id::Service, row, true, Some(returned));
        }
    }

    fn step(&mut self, call: &Call, index: usize, step: &Step) {
        let door = match (step.ring, step.ring_after) {
            (3, 0) => Some(Id::DoorIn),
            (0, 3) => Some(Id::DoorOut),
            _ => None,
        };
        let mut checks = 0;
        for event in &step.events {
            match event {
                Event::Memory(access) => self.access(call, index, access, door),
                Event::ReadMsr { number, value } => {
                    if let Some(id) = door {
                        let label = format!("{} {number:X}h", msr(*number));
                        self.mark(index, id, u64::from(*number), &label, false, Some(format!("{value:x}")));
                    }
                }
                Event::Check(check) => checks += usize::from(check.holds),
                _ => {}
            }
        }
        if let Some(id) = door {
            self.door(index, step, id, checks);
        }
    }

    /// What a change of rings has besides what it reads: its checks, and where it goes.
    fn door(&mut self, index: usize, step: &Step, id: Id, checks: usize) {
        if checks > 0 {
            let plural = if checks == 1 { "holds" } else { "all hold" };
            self.mark(index, id, u64::MAX - 2, "checks", false, Some(format!("{checks}, {plural}")));
        }
        for (place, name) in [(u64::MAX - 1, "cs"), (u64::MAX, "ss")] {
            if let Some(change) = step.changes.iter().find(|change| change.register == name) {
                let value = format!("{:04x} → {:04x}", change.before, change.after);
                self.mark(index, id, place, &name.to_uppercase(), true, Some(value));
            }
        }
    }

    fn access(&mut self, call: &Call, index: usize, access: &MemoryAccess, door: Option<Id>) {
        let digits = usize::from(access.size) * 2;
        let value = format!("{:0digits$x}", access.value);
        let name = call.names.of(access.address).unwrap_or_default();
        let (id, label, value) = match access.what {
            What::Gate { vector } if access.size == 8 => {
                let gate = Gate(access.value);
                let to = format!("{:04x}:{:08x}, DPL {}", gate.selector().0, gate.offset(), gate.dpl());
                (door, format!("IDT[{vector:02X}h]"), to)
            }
            // The upper half of a 64-bit gate completes the offset of the lower one, which was read before it.
            What::Gate { .. } => match (door, lower_half(&call.trace.steps[index], access)) {
                (Some(id), Some(gate)) => {
                    let to = format!(
                        "{:04x}:{:08x}{:08x}, DPL {}",
                        gate.selector().0,
                        access.value,
                        gate.offset(),
                        gate.dpl()
                    );
                    return self.mark(index, id, access.address.wrapping_sub(8), "", false, Some(to));
                }
                _ => return,
            },
            What::Descriptor { selector } if !access.write => {
                let entry = Descriptor(access.value);
                let kind = if entry.is_code() { "code" } else { "data" };
                let text = format!("{kind}, base {:x}, DPL {}", entry.base(), entry.dpl());
                (door, format!("GDT[{selector:04x}]"), text)
            }
            What::Tss { .. } if access.size == 8 && call.bits == 32 => {
                let text = format!("{:04x}:{:08x}", access.value >> 32, access.value & 0xFFFF_FFFF);
                (door, "TSS.Ss0:Esp0".to_owned(), text)
            }
            What::Tss { .. } => (door, name.clone(), value),
            What::Operand | What::Push => match place(&name) {
                Some((id, label)) => (Some(id), label, value),
                None => return,
            },
            _ => return,
        };
        let Some(id) = id else { return };
        // What the dispatch writes there is the copy; before, the same stack served for something else.
        let early = matches!(call.phase(index), Phase::In) || !(access.write || call.phase(index) == Phase::Service);
        if id == Id::Copy && early {
            return;
        }
        let at = match id {
            Id::Arguments => {
                let number = name.rsplit(' ').next().and_then(|number| number.parse().ok()).unwrap_or(1u64);
                number - 1
            }
            _ => access.address,
        };
        // A field that has a name of its own has a row of its own.
        let whole = self.whole(id, at, digits).filter(|(whole, _)| *whole == at || label.contains('+'));
        match whole {
            // A read of a part says nothing new of the whole.
            Some((whole, _)) if !access.write => self.mark(index, id, whole, &label, false, None),
            Some((whole, mut text)) => {
                let end = text.len() - (at - whole) as usize * 2;
                text.replace_range(end - digits..end, &value);
                self.mark(index, id, whole, &label, true, Some(text));
            }
            None => self.mark(index, id, at, &label, access.write, Some(value)),
        }
    }

    /// The row that shows more than these digits of memory, and they are among them; and what it shows.
    fn whole(&mut self, id: Id, at: u64, digits: usize) -> Option<(u64, String)> {
        let memory = matches!(id, Id::Frame | Id::Copy | Id::Thread | Id::Tables | Id::Shared);
        let (start, size) = (|row: &Row| row.at, |row: &Row| row.last.as_ref().map_or(0, String::len) as u64 / 2);
        let inside = |row: &&Row| start(row) <= at && at + digits as u64 / 2 <= start(row) + size(row);
        let row = self.panel(id).rows.iter().filter(|row| memory && size(row) * 2 > digits as u64).find(inside)?;
        Some((row.at, row.last.clone()?))
    }

    fn panel(&mut self, id: Id) -> &mut Panel {
        &mut self.panels[id as usize]
    }

    /// Marks the row at a place, which is made if there is none.
    fn mark(&mut self, step: usize, id: Id, at: u64, label: &str, write: bool, value: Option<String>) {
        let rows = &mut self.panel(id).rows;
        let row = rows.iter().position(|row| row.at == at).unwrap_or_else(|| {
            // A row that never has a value has none to wait for.
            let first = value.as_ref().filter(|value| value.is_empty()).cloned();
            rows.push(Row { label: label.to_owned(), first, last: None, at });
            rows.len() - 1
        });
        self.set(step, id, row, write, value);
    }

    fn set(&mut self, step: usize, id: Id, row: usize, write: bool, value: Option<String>) {
        if value.is_some() {
            self.panel(id).rows[row].last.clone_from(&value);
        }
        if let Some(marks) = self.marks.get_mut(step) {
            marks.push(Mark { id, row, write, value });
        }
    }

    /// Puts the rows of a box in order of their addresses.
    fn sort<K: Ord>(&mut self, id: Id, key: fn(u64) -> K) {
        let mut order: Vec<usize> = (0..self.panel(id).rows.len()).collect();
        let rows = self.panel(id).rows.clone();
        order.sort_by_key(|row| key(rows[*row].at));
        self.panel(id).rows = order.iter().map(|row| rows[*row].clone()).collect();
        for mark in self.marks.iter_mut().flatten().filter(|mark| mark.id == id) {
            mark.row = order.iter().position(|row| *row == mark.row).unwrap_or_default();
        }
    }
}

/// The lower half of a gate whose upper half is read.
fn lower_half(step: &Step, upper: &MemoryAccess) -> Option<Gate> {
    step.events.iter().find_map(|event| match event {
        Event::Memory(access) if access.address == upper.address.wrapping_sub(8) => Some(Gate(access.value)),
        _ => None,
    })
}

/// In which box a name belongs, and what it is called there.
fn place(name: &str) -> Option<(Id, String)> {
    let whole = || name.to_owned();
    let rest = |prefix: &str| name.strip_prefix(prefix).map(str::to_owned);
    if let Some(field) = rest("KTRAP_FRAME.") {
        return Some((Id::Frame, field));
    }
    if name.starts_with("argument ") {
        return Some((Id::Arguments, whole()));
    }
    if let Some(number) = rest("copied argument ") {
        return Some((Id::Copy, format!("argument {number}")));
    }
    if let Some(field) = rest("SharedUserData.") {
        return Some((Id::Shared, field));
    }
    let table = ["KTHREAD.ServiceTable", "KeServiceDescriptorTable", "KiServiceTable", "KiArgumentTable", "MainSSDT"];
    if table.iter().any(|prefix| name.starts_with(prefix)) || name.starts_with("W32p") {
        return Some((Id::Tables, whole()));
    }
    let thread = ["KTHREAD.", "KPCR.", "KPROCESS.", "TSS."];
    thread.iter().any(|prefix| name.starts_with(prefix)).then(|| (Id::Thread, whole()))
}

fn title(call: &Call, id: Id) -> String {
    let text = match (id, call.entry) {
        (Id::Arguments, Entry::Zw) => "the caller's arguments",
        (Id::Arguments, _) => "the caller's arguments, ring 3",
        (Id::Code, _) => "ntdll: the stub",
        (Id::Shared, _) => "SharedUserData",
        (Id::DoorIn, Entry::Int2e) => "int 2Eh: what the processor reads",
        (Id::DoorIn, Entry::Sysenter) => "sysenter: what the processor reads",
        (Id::DoorIn, _) => "syscall: what the processor reads",
        (Id::Frame, _) => "KTRAP_FRAME",
        (Id::Routines, _) => "the kernel's routines",
        (Id::Thread, _) => "KPCR and KTHREAD",
        (Id::Tables, _) => "service tables",
        (Id::Copy, _) => "arguments, copied to the kernel's stack",
        (Id::Service, _) => "the service",
        (Id::DoorOut, _) => "the way out: what the processor reads",
    };
    text.to_owned()
}

/// Blanks that line up columns are too wide for a picture.
pub(super) fn squeezed(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}
