//! A call for programs. The schema is `docs/schema/call.json`, its description stands in `docs/json.md`.
//!
//! Numbers that may have 64 bits are hexadecimal digits in a string, as many as the register or the memory has.

use serde::Serialize;

use super::words;
use super::{Call, Counts, Phase, Step, Visit};
use crate::machine::{Event, MemoryAccess, Rule, What};

/// Goes up when a key that programs may count on changes its meaning or goes.
const VERSION: u32 = 1;

#[derive(Serialize)]
struct Document<'a> {
    version: u32,
    #[serde(flatten)]
    call: CallJson<'a>,
    /// What the same call costs by the other way in.
    #[serde(skip_serializing_if = "Option::is_none")]
    other: Option<OtherJson>,
}

#[derive(Serialize)]
struct CallJson<'a> {
    service: &'a str,
    number: u32,
    profile: &'static str,
    arch: &'static str,
    cpu: &'static str,
    entry: &'static str,
    arguments: Vec<String>,
    status: String,
    frame: String,
    counts: CountsJson,
    routines: Vec<RoutineJson<'a>>,
}

#[derive(Serialize)]
struct OtherJson {
    cpu: &'static str,
    entry: &'static str,
    counts: CountsJson,
}

#[derive(Serialize)]
struct CountsJson {
    instructions: InstructionsJson,
    memory: usize,
    processor: ProcessorJson,
    msrs: usize,
    checks: usize,
}

#[derive(Serialize)]
struct InstructionsJson {
    ring3: usize,
    ring0: usize,
    way_in: usize,
    dispatch: usize,
    way_back: usize,
    own: usize,
}

#[derive(Serialize)]
struct ProcessorJson {
    memory: usize,
    gates: usize,
    descriptors: usize,
    tss: usize,
    pushes: usize,
}

#[derive(Serialize)]
struct RoutineJson<'a> {
    name: &'a str,
    address: String,
    ring: u8,
    phase: &'static str,
    steps: Vec<StepJson<'a>>,
}

#[derive(Serialize)]
struct StepJson<'a> {
    address: String,
    bytes: String,
    text: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    ring_after: Option<u8>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    changes: Vec<ChangeJson>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    events: Vec<EventJson>,
    /// The guest's own log, which no count has.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    own: bool,
}

#[derive(Serialize)]
struct ChangeJson {
    register: &'static str,
    before: String,
    after: String,
}

#[derive(Serialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
enum EventJson {
    Memory {
        what: &'static str,
        write: bool,
        user: bool,
        address: String,
        size: u8,
        value: String,
        #[serde(skip_serializing_if = "Option::is_none")]
        name: Option<String>,
        #[serde(skip_serializing_if = "Option::is_none")]
        vector: Option<u8>,
        #[serde(skip_serializing_if = "Option::is_none")]
        selector: Option<u16>,
    },
    Check {
        rule: &'static str,
        left: String,
        right: String,
        holds: bool,
        text: String,
    },
    ReadMsr {
        number: u32,
        name: &'static str,
        value: String,
    },
    WriteMsr {
        number: u32,
        name: &'static str,
        value: String,
    },
    Exception {
        vector: u8,
        code: u32,
    },
    Interrupt {
        vector: u8,
    },
}

impl Call {
    /// The trace as JSON.
    #[must_use]
    pub fn to_json(&self) -> String {
        let document = Document {
            version: VERSION,
            call: CallJson {
                service: &self.service,
                number: self.number,
                profile: self.profile,
                arch: if self.bits == 32 { "i386" } else { "amd64" },
                cpu: self.cpu,
                entry: self.entry.name(),
                arguments: self.arguments.iter().map(|value| self.word(*value)).collect(),
                status: format!("{:08x}", self.status),
                frame: self.word(self.frame),
                counts: counts(&self.counts),
                routines: self.trace.visits.iter().map(|visit| self.routine(visit)).collect(),
            },
            other: self.other.as_deref().map(|other| OtherJson {
                cpu: other.cpu,
                entry: other.entry.name(),
                counts: counts(&other.counts),
            }),
        };
        // Nothing in the document can fail: no map, no float.
        let mut text = serde_json::to_string_pretty(&document).unwrap_or_default();
        text.push('\n');
        text
    }

    fn word(&self, value: u64) -> String {
        words::address(value, self.bits)
    }

    fn routine<'a>(&'a self, visit: &'a Visit) -> RoutineJson<'a> {
        let steps = (visit.steps.0..).zip(self.trace.steps_of(visit));
        RoutineJson {
            name: &visit.routine,
            address: self.word(visit.start),
            ring: visit.ring,
            phase: phase(self.phase(visit.steps.0)),
            steps: steps.map(|(index, step)| self.step_json(index, step)).collect(),
        }
    }

    fn step_json<'a>(&self, index: usize, step: &'a Step) -> StepJson<'a> {
        let digits = |value: u64, digits: usize| format!("{value:0digits$x}");
        let change = |change: &super::Change| ChangeJson {
            register: change.register,
            before: digits(change.before, change.digits),
            after: digits(change.after, change.digits),
        };
        StepJson {
            address: self.word(step.address),
            bytes: step.bytes.iter().map(|byte| format!("{byte:02x}")).collect(),
            text: &step.text,
            ring_after: (step.ring != step.ring_after).then_some(step.ring_after),
            changes: step.changes.iter().map(change).collect(),
            events: step.events.iter().map(|event| self.event(event)).collect(),
            own: self.is_own(index),
        }
    }

    fn event(&self, event: &Event) -> EventJson {
        match *event {
            Event::Memory(access) => self.access(&access),
            Event::Check(check) => EventJson::Check {
                rule: rule(check.rule),
                left: format!("{:x}", check.left),
                right: format!("{:x}", check.right),
                holds: check.holds,
                text: words::rule(&check),
            },
            Event::ReadMsr { number, value } => {
                EventJson::ReadMsr { number, name: words::msr(number), value: format!("{value:016x}") }
            }
            Event::WriteMsr { number, value } => {
                EventJson::WriteMsr { number, name: words::msr(number), value: format!("{value:016x}") }
            }
            Event::Exception(fault) => EventJson::Exception { vector: fault.vector as u8, code: fault.code },
            Event::Interrupt { vector } => EventJson::Interrupt { vector },
        }
    }

    fn access(&self, access: &MemoryAccess) -> EventJson {
        let (what, vector, selector) = match access.what {
            What::Operand => ("operand", None, None),
            What::Gate { vector } => ("gate", Some(vector), None),
            What::Descriptor { selector } => ("descriptor", None, Some(selector)),
            What::Tss { .. } => ("tss", None, None),
            What::Push => ("push", None, None),
        };
        EventJson::Memory {
            what,
            write: access.write,
            user: access.user,
            address: self.word(access.address),
            size: access.size,
            value: format!("{:0width$x}", access.value, width = usize::from(access.size) * 2),
            name: self.names.of(access.address),
            vector,
            selector,
        }
    }
}

fn counts(counts: &Counts) -> CountsJson {
    let [way_in, dispatch, _, way_back] = counts.phases;
    CountsJson {
        instructions: InstructionsJson {
            ring3: counts.user,
            ring0: counts.kernel,
            way_in,
            dispatch,
            way_back,
            own: counts.own,
        },
        memory: counts.memory,
        processor: ProcessorJson {
            memory: counts.processor,
            gates: counts.gates,
            descriptors: counts.descriptors,
            tss: counts.tss,
            pushes: counts.pushes,
        },
        msrs: counts.msrs,
        checks: counts.checks,
    }
}

fn phase(phase: Phase) -> &'static str {
    match phase {
        Phase::In => "way-in",
        Phase::Dispatch => "dispatch",
        Phase::Service => "service",
        Phase::Back => "way-back",
    }
}

fn rule(rule: Rule) -> &'static str {
    match rule {
        Rule::IdtLimit => "idt-limit",
        Rule::TableLimit => "table-limit",
        Rule::TssLimit => "tss-limit",
        Rule::GateType => "gate-type",
        Rule::GateDpl => "gate-dpl",
        Rule::NotNull => "not-null",
        Rule::GatePresent => "gate-present",
        Rule::Present => "present",
        Rule::CodeType => "code-type",
        Rule::CodeDpl => "code-dpl",
        Rule::CodeLimit => "code-limit",
        Rule::Code64 => "code-64",
        Rule::Canonical => "canonical",
        Rule::StackType => "stack-type",
        Rule::StackRpl => "stack-rpl",
        Rule::StackDpl => "stack-dpl",
        Rule::StackRoom => "stack-room",
        Rule::DataType => "data-type",
        Rule::DataDpl => "data-dpl",
        Rule::ReturnRpl => "return-rpl",
        Rule::ReturnDpl => "return-dpl",
        Rule::DirectDpl => "direct-dpl",
        Rule::SysenterCs => "sysenter-cs",
        Rule::Cpl0 => "cpl-0",
        Rule::Operand => "operand",
        Rule::Iopl => "iopl",
        Rule::IoMap => "io-map",
        Rule::SyscallEnable => "syscall-enable",
    }
}
