//! What a machine does between two moments, as events: every access to memory by an instruction or by the processor itself,
//! and every check of the protection mechanism, in the order in which they happen.
//!
//! A machine that nobody observes pays nothing for it where it is fast. Accesses are noted only where they take the careful
//! way, which a machine that is observed always takes: its TLB stays empty. The other events happen in changes of privilege,
//! which ask once a stage whether anybody looks.

use super::core::{Core, Msrs};
use super::fault::Fault;
use super::machine::Machine;
use super::segment::Descriptor;
use super::width::Width;

/// Something that happened within an instruction, or in the delivery of an exception or interrupt.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum Event {
    /// Memory was read or written.
    Memory(MemoryAccess),
    /// The protection mechanism compared something.
    Check(Check),
    /// A model-specific register was read: by `RDMSR`, or by an instruction that works by it.
    ReadMsr {
        /// Its number.
        number: u32,
        /// What it holds.
        value: u64,
    },
    /// A model-specific register is written, by `WRMSR` or `SWAPGS`.
    WriteMsr {
        /// Its number.
        number: u32,
        /// What it is to hold.
        value: u64,
    },
    /// An exception is to be delivered.
    Exception(Fault),
    /// An interrupt from outside is to be delivered.
    Interrupt {
        /// Its vector.
        vector: u8,
    },
}

/// An access to memory: of an instruction's operand in pieces of at most eight bytes, as the processor makes them here.
/// Fetches of instructions and of the paging structures are none.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct MemoryAccess {
    /// What for.
    pub what: What,
    /// Else a read.
    pub write: bool,
    /// With the rights of ring 3; else those of a supervisor.
    pub user: bool,
    /// Linear address.
    pub address: u64,
    /// Bytes: 1, 2, 4 or 8.
    pub size: u8,
    /// What was read, or is there now.
    pub value: u64,
}

/// What memory is accessed for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum What {
    /// An instruction's operand, or what it pushes or pops.
    Operand,
    /// An entry of the IDT: of 64-bit gates the lower eight bytes first.
    Gate {
        /// The vector.
        vector: u8,
    },
    /// A descriptor in the GDT or the LDT: it is read whole, and the byte with its type is written.
    Descriptor {
        /// The selector that names it.
        selector: u16,
    },
    /// The task-state segment.
    Tss {
        /// Offset in it.
        offset: u32,
    },
    /// What the processor pushes itself, where it enters a handler or an inner ring.
    Push,
}

/// A check of the protection mechanism (SDM vol. 3, chapter 5). What it compares stands on both sides. Where privilege changes or a
/// segment is loaded all of them are noted, elsewhere those that fail.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Check {
    /// Which rule.
    pub rule: Rule,
    /// The left side: see the rule.
    pub left: u64,
    /// The right side.
    pub right: u64,
    /// What came out: a fault follows where it does not hold.
    pub holds: bool,
}

impl Check {
    /// A check of two numbers.
    pub(crate) fn new(rule: Rule, left: impl Into<u64>, right: impl Into<u64>, holds: bool) -> Self {
        Self { rule, left: left.into(), right: right.into(), holds }
    }

    /// A check of a property that some value has.
    pub(crate) fn of(rule: Rule, value: impl Into<u64>, holds: bool) -> Self {
        Self::new(rule, value, 0u64, holds)
    }
}

/// The rules, with what stands on the left and on the right of each. Where there is one side only, the right is 0. A type is
/// S and the four type bits.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum Rule {
    /// Offset of the gate's last byte ≤ IDT limit.
    IdtLimit,
    /// Offset of the descriptor's last byte ≤ limit of the GDT or LDT.
    TableLimit,
    /// Offset of the field's last byte ≤ TSS limit.
    TssLimit,
    /// The type is that of a gate which can be in an IDT.
    GateType,
    /// CPL (max(CPL, RPL) of far branches) ≤ DPL of the gate or TSS. Exceptions and interrupts are not asked.
    GateDpl,
    /// The selector is not null.
    NotNull,
    /// P of a gate in the IDT; left: its vector.
    GatePresent,
    /// P of a descriptor; left: its selector.
    Present,
    /// The type is that of a code segment.
    CodeType,
    /// DPL of the handler's code ≤ CPL.
    CodeDpl,
    /// The offset ≤ limit of the code segment.
    CodeLimit,
    /// The code segment is one of 64-bit code (L set, D clear).
    Code64,
    /// The address is canonical.
    Canonical,
    /// The type is that of a writable data segment.
    StackType,
    /// RPL of the stack's selector = the privilege level it is for.
    StackRpl,
    /// DPL of the stack's descriptor = the privilege level it is for.
    StackDpl,
    /// Bytes to push ≤ what the stack segment has room for below the stack pointer, which is on the right.
    StackRoom,
    /// The type is that of a segment that can be read.
    DataType,
    /// max(CPL, RPL) ≤ DPL of the data segment, unless it is conforming code.
    DataDpl,
    /// CPL ≤ RPL of the code segment that is returned to.
    ReturnRpl,
    /// DPL of the code segment that is returned to = RPL (conforming: ≤).
    ReturnDpl,
    /// CPL = DPL of the code that a far branch goes to, and RPL ≤ CPL (conforming: DPL ≤ CPL).
    DirectDpl,
    /// IA32_SYSENTER_CS, without its low two bits, is not 0.
    SysenterCs,
    /// CPL = 0.
    Cpl0,
    /// The segment is usable for the access, and the operand at this offset ends within its limit, which is on the right.
    Operand,
    /// CPL ≤ IOPL.
    Iopl,
    /// The I/O map allows the port.
    IoMap,
    /// EFER.SCE is set, and the code is 64-bit code.
    SyscallEnable,
}

/// S and the four type bits of a descriptor, as [`Rule::CodeType`] and its kin have them.
pub(crate) fn typed(descriptor: Descriptor) -> u8 {
    (descriptor.0 >> 40 & 0x1F) as u8
}

/// What has happened since it was last taken.
#[derive(Clone, Default)]
pub(crate) struct Recorder {
    events: Vec<Event>,
}

impl Machine {
    /// Begins to note what happens. From now on every step and run adds to [`Machine::events`].
    pub fn observe(&mut self) {
        if self.core.recorder.is_none() {
            self.core.recorder = Some(Box::default());
            // From here on nothing fills it.
            self.core.flush_tlb();
        }
    }

    /// Ends it, and forgets what was noted.
    pub fn unobserve(&mut self) {
        self.core.recorder = None;
    }

    /// What has happened, the oldest first, since the machine is observed or [`Machine::clear_events`] was called.
    #[must_use]
    pub fn events(&self) -> &[Event] {
        self.core.recorder.as_deref().map_or(&[], |recorder| &recorder.events)
    }

    /// Forgets what was noted up to here.
    pub fn clear_events(&mut self) {
        if let Some(recorder) = &mut self.core.recorder {
            recorder.events.clear();
        }
    }
}

impl Core {
    /// Whether anybody looks.
    #[inline(always)]
    pub(crate) fn is_observed(&self) -> bool {
        self.recorder.is_some()
    }

    /// Notes an event if anybody looks.
    #[inline(always)]
    pub(crate) fn note(&mut self, event: impl FnOnce(&Self) -> Event) {
        if self.is_observed() {
            self.record(event);
        }
    }

    /// Notes checks (`None` for one that is not made here) if anybody looks: up to the first that does not hold, as the processor makes no more.
    #[inline(always)]
    pub(crate) fn note_checks<C: Into<Option<Check>>, const N: usize>(&mut self, checks: impl FnOnce(&Self) -> [C; N]) {
        if self.is_observed() {
            self.record_checks(checks);
        }
    }

    /// Notes that model-specific registers are read, if anybody looks.
    #[inline(always)]
    pub(crate) fn note_msrs<const N: usize>(&mut self, registers: impl FnOnce(&Msrs) -> [(u32, u64); N]) {
        if self.is_observed() {
            for (number, value) in registers(&self.msrs) {
                self.record(|_| Event::ReadMsr { number, value });
            }
        }
    }

    /// Notes an access. For the careful ways only: what is inlined into instructions has no time for it.
    pub(crate) fn note_access<W: Width>(&mut self, what: What, write: bool, address: u64, value: W, user: bool) {
        let (size, value) = (W::BYTES as u8, value.zx());
        self.note(|_| Event::Memory(MemoryAccess { what, write, user, address, size, value }));
    }

    #[cold]
    #[inline(never)]
    fn record_checks<C: Into<Option<Check>>, const N: usize>(&mut self, checks: impl FnOnce(&Self) -> [C; N]) {
        for check in checks(self).into_iter().filter_map(Into::into) {
            self.record(|_| Event::Check(check));
            if !check.holds {
                break;
            }
        }
    }

    #[cold]
    #[inline(never)]
    fn record(&mut self, event: impl FnOnce(&Self) -> Event) {
        let event = event(self);
        if let Some(recorder) = &mut self.recorder {
            recorder.events.push(event);
        }
    }
}

#[cfg(test)]
mod tests;
