//! Delivery of exceptions and software interrupts through the IDT, and `IRET` (SDM vol. 3, chapter 6; vol. 2, INT n, IRET).
//!
//! Nothing is changed before everything has been checked: a delivery that faults leaves the state that it began with.

use super::core::{Core, seg};
use super::descriptor::stack_checks;
use super::fault::{Exit, Fault, Flow, Stop, Vector};
use super::flags;
use super::frame::Entry;
use super::observe::{self, Check, Rule, What, typed};
use super::segment::{Descriptor, Segment, Selector};
use super::task::Switch;

/// Error code bit: the selector index names an IDT entry.
pub(crate) const IDT: u32 = 2;
/// Error code bit: the fault came up while an earlier exception was being delivered.
const EXT: u32 = 1;

/// Gate types, S bit included (SDM vol. 3, 6.11).
pub(crate) mod kind {
    pub(crate) const TASK: u8 = 0x5;
    pub(crate) const INTERRUPT_16: u8 = 0x6;
    pub(crate) const TRAP_16: u8 = 0x7;
    /// Of 64 bits in IA-32e mode, as the next one.
    pub(crate) const INTERRUPT_32: u8 = 0xE;
    pub(crate) const TRAP_32: u8 = 0xF;
}

/// An IDT or call gate, the eight bytes as they stand in a table (SDM vol. 3, 5.8.3 and 6.11):
///
/// ```text
///  63          48 47 46 45 44  40 39  37 36   32 31       16 15          0
/// | offset 31:16 | P| DPL |S,type| 000  | count | selector  | offset 15:0 |
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Gate(pub u64);

impl Gate {
    /// Where the code begins: an offset in the segment of [`Gate::selector`].
    pub fn offset(self) -> u32 {
        (self.0 & 0xFFFF | self.0 >> 32 & 0xFFFF_0000) as u32
    }

    /// The code segment; of a task gate the TSS.
    pub fn selector(self) -> Selector {
        Selector((self.0 >> 16) as u16)
    }

    /// Parameters that a call gate copies.
    pub fn count(self) -> u8 {
        (self.0 >> 32 & 31) as u8
    }

    /// S and the four type bits.
    pub fn kind(self) -> u8 {
        (self.0 >> 40 & 31) as u8
    }

    /// Descriptor privilege level: an instruction that asks for the gate needs a CPL that is not above it.
    pub fn dpl(self) -> u8 {
        (self.0 >> 45 & 3) as u8
    }

    /// P: present.
    pub fn present(self) -> bool {
        self.0 >> 47 & 1 != 0
    }

    /// A 32-bit gate: 4-byte slots and a 32-bit offset.
    pub fn wide(self) -> bool {
        self.kind() & 8 != 0
    }

    /// An interrupt gate, which clears IF.
    pub fn is_interrupt(self) -> bool {
        matches!(self.kind(), kind::INTERRUPT_16 | kind::INTERRUPT_32)
    }

    /// A trap gate, which leaves IF.
    pub fn is_trap(self) -> bool {
        matches!(self.kind(), kind::TRAP_16 | kind::TRAP_32)
    }

    /// A task gate.
    pub fn is_task(self) -> bool {
        self.kind() == kind::TASK
    }
}

/// What goes through the IDT. EIP is already the one to save.
#[derive(Clone, Copy)]
pub(crate) struct Event {
    pub(crate) vector: u8,
    pub(crate) code: Option<u32>,
    /// `INT n`, `INT3`, `INTO`: the gate's DPL is checked.
    pub(crate) software: bool,
    /// EXT in the error code of a fault during delivery: 0 for software interrupts only.
    pub(crate) ext: u32,
    /// RF in the saved EFLAGS.
    pub(crate) rf: u32,
}

/// The class of an exception (SDM vol. 3, table 6-4).
#[derive(Clone, Copy, PartialEq, Eq)]
enum Class {
    Benign,
    Contributory,
    PageFault,
}

fn class(vector: Vector) -> Class {
    match vector {
        Vector::DivideError
        | Vector::InvalidTss
        | Vector::SegmentNotPresent
        | Vector::StackFault
        | Vector::GeneralProtection => Class::Contributory,
        Vector::PageFault => Class::PageFault,
        _ => Class::Benign,
    }
}

/// Whether the second exception, while the first is delivered, makes a double fault (SDM vol. 3, table 6-5).
fn doubles(first: Vector, second: Vector) -> bool {
    match class(first) {
        Class::Benign => false,
        Class::Contributory => class(second) == Class::Contributory,
        Class::PageFault => class(second) != Class::Benign,
    }
}

impl Event {
    fn exception(fault: Fault) -> Self {
        // #DB of this machine is the single-step trap, #DF an abort; all others that come here are faults (table 6-1).
        let is_fault = !matches!(fault.vector, Vector::Debug | Vector::DoubleFault);
        Self {
            vector: fault.vector as u8,
            code: fault.vector.has_error_code().then_some(fault.code),
            software: false,
            ext: EXT,
            rf: if is_fault { flags::RF } else { 0 },
        }
    }
}

impl Core {
    /// Delivers an exception to the guest; EIP is the one to save.
    ///
    /// # Errors
    /// [`Exit::TripleFault`], or what delivery needs and the machine does not have.
    pub(crate) fn deliver_fault(&mut self, fault: Fault) -> Result<(), Exit> {
        let address = self.ip;
        self.halted = false;
        self.note(|_| observe::Event::Exception(fault));
        // Counts as an instruction, or a handler that faults at once would never use up a budget.
        self.retired += 1;
        let mut current = fault;
        loop {
            match self.deliver(Event::exception(current)) {
                Ok(()) | Err(Stop::Leave | Stop::Again) => return Ok(()),
                Err(Stop::Exit) => return Err(self.exit.take().unwrap_or(Exit::TripleFault { address })),
                Err(Stop::Fault) => {}
            }
            let second = self.fault;
            if current.vector == Vector::DoubleFault {
                return Err(Exit::TripleFault { address });
            }
            let double = Fault { vector: Vector::DoubleFault, code: 0 };
            current = if doubles(current.vector, second.vector) { double } else { second };
            self.note(|_| observe::Event::Exception(current));
        }
    }

    /// An interrupt from outside, between two instructions.
    pub(crate) fn interrupt(&mut self, vector: u8) -> Flow {
        self.retired += 1;
        self.note(|_| observe::Event::Interrupt { vector });
        self.deliver(Event { vector, code: None, software: false, ext: EXT, rf: 0 })
    }

    /// `INT n`, `INT3` and `INTO`; EIP is that of the next instruction.
    pub(crate) fn software_interrupt(&mut self, vector: u8) -> Flow {
        self.deliver(Event { vector, code: None, software: true, ext: 0, rf: 0 })?;
        self.no_step();
        Ok(())
    }

    /// `INT1`: a #DB trap that asks for no privilege.
    pub(crate) fn debug_interrupt(&mut self) -> Flow {
        self.deliver(Event { vector: Vector::Debug as u8, code: None, software: false, ext: EXT, rf: 0 })?;
        self.no_step();
        Ok(())
    }

    /// The instruction has cleared TF by entering a handler: no single-step trap follows it.
    fn no_step(&mut self) {
        self.shadow = true;
    }

    fn deliver(&mut self, event: Event) -> Flow {
        if self.long_mode() {
            return self.deliver_long(event);
        }
        let offset = u32::from(event.vector) * 8;
        let error = offset | IDT | event.ext;
        let inside = offset + 7 <= u32::from(self.idtr.limit);
        self.note_checks(|core| [Check::new(Rule::IdtLimit, offset + 7, core.idtr.limit, inside)]);
        if !inside {
            return Err(self.gp(error));
        }
        let what = What::Gate { vector: event.vector };
        let gate = Gate(self.load_system(what, self.idtr.base.wrapping_add(u64::from(offset)))?);
        let known = gate.is_task() || gate.is_interrupt() || gate.is_trap();
        self.note_gate_checks(event, gate, known);
        if !known || event.software && gate.dpl() < self.cpl {
            return Err(self.gp(error));
        }
        if !gate.present() {
            return Err(self.raise(Vector::SegmentNotPresent, error));
        }
        if gate.is_task() {
            return self.switch_task(gate.selector(), Switch::Gate { code: event.code, ext: event.ext, rf: event.rf });
        }
        self.enter_gate(gate, event)
    }

    /// Notes what is checked of a gate: its DPL only where an instruction asked for it.
    #[inline(always)]
    pub(crate) fn note_gate_checks(&mut self, event: Event, gate: Gate, known: bool) {
        self.note_checks(|core| {
            let asked = Check::new(Rule::GateDpl, core.cpl, gate.dpl(), core.cpl <= gate.dpl());
            let kind = Check::of(Rule::GateType, gate.kind(), known);
            [
                Some(kind),
                event.software.then_some(asked),
                Some(Check::of(Rule::GatePresent, event.vector, gate.present())),
            ]
        });
    }

    /// Through an interrupt or trap gate (SDM vol. 2, INT n: INTRA-PRIVILEGE-LEVEL and INTER-PRIVILEGE-LEVEL).
    fn enter_gate(&mut self, gate: Gate, event: Event) -> Flow {
        let selector = gate.selector();
        self.note_not_null(selector);
        if selector.is_null() {
            return Err(self.gp(event.ext));
        }
        let code = self.descriptor_or(selector, Vector::GeneralProtection, event.ext)?;
        self.note_handler_checks(selector, code);
        if !code.is_code() || code.dpl() > self.cpl {
            return Err(self.gp(selector.error_code() | event.ext));
        }
        if !code.present() {
            return Err(self.raise(Vector::SegmentNotPresent, selector.error_code() | event.ext));
        }
        let inner = !code.is_conforming() && code.dpl() < self.cpl;
        let cpl = if inner { code.dpl() } else { self.cpl };
        let old_ss = self.segs[seg::SS as usize];
        let (ss, sp) = if inner { self.inner_stack(cpl, event.ext)? } else { (old_ss, self.sp()) };
        let slots = if inner { 5 } else { 3 } + u64::from(event.code.is_some());
        let error = if inner { ss.selector.error_code() | event.ext } else { event.ext };
        let frame = self.frame(&ss, sp, Entry { slots, wide: gate.wide(), cpl, error })?;
        let target = if gate.wide() { gate.offset() } else { gate.offset() & 0xFFFF };
        self.note_checks(|_| [Check::new(Rule::CodeLimit, target, code.limit(), target <= code.limit())]);
        if target > code.limit() {
            return Err(self.gp(event.ext));
        }
        let cs = self.take_segment(Selector(selector.0 & !3 | u16::from(cpl)), code)?;
        let image = [
            u32::from(old_ss.selector.0),
            self.regs[super::core::reg::SP as usize] as u32,
            self.flags.get() | event.rf,
            u32::from(self.segs[seg::CS as usize].selector.0),
            self.ip as u32,
            event.code.unwrap_or(0),
        ];
        let first = if inner { 0 } else { 2 };
        self.write_frame(&frame, &image[first..first + slots as usize])?;
        // Nothing below can fail.
        if inner {
            self.set_ss(ss);
        }
        self.set_sp(frame.sp);
        self.set_cs(cs, cpl);
        self.ip = u64::from(target);
        let cleared = flags::TF | flags::NT | flags::RF | flags::VM | if gate.is_interrupt() { flags::IF } else { 0 };
        self.flags.change_system(cleared, 0);
        Ok(())
    }

    /// Notes what is checked of a handler's code segment.
    #[inline(always)]
    pub(crate) fn note_handler_checks(&mut self, selector: Selector, code: Descriptor) {
        self.note_checks(|core| {
            [
                Check::of(Rule::CodeType, typed(code), code.is_code()),
                Check::new(Rule::CodeDpl, code.dpl(), core.cpl, code.dpl() <= core.cpl),
                Check::of(Rule::Present, selector.0, code.present()),
            ]
        });
    }

    /// The stack that the TSS holds for privilege level `cpl`, checked (SDM vol. 3, 5.8.5).
    #[inline(always)]
    pub(crate) fn inner_stack(&mut self, cpl: u8, ext: u32) -> Result<(Segment, u64), Stop> {
        let (selector, sp) = self.tss_stack(cpl, ext)?;
        let error = selector.error_code() | ext;
        self.note_not_null(selector);
        if selector.is_null() {
            return Err(self.raise(Vector::InvalidTss, ext));
        }
        let descriptor = self.descriptor_or(selector, Vector::InvalidTss, ext)?;
        self.note_checks(|_| stack_checks(selector, descriptor, cpl));
        if selector.rpl() != cpl || descriptor.dpl() != cpl || !descriptor.is_writable_data() {
            return Err(self.raise(Vector::InvalidTss, error));
        }
        if !descriptor.present() {
            return Err(self.raise(Vector::StackFault, error));
        }
        Ok((self.take_segment(selector, descriptor)?, sp))
    }

    /// SSn and ESPn of the current TSS.
    #[inline]
    fn tss_stack(&mut self, cpl: u8, ext: u32) -> Result<(Selector, u64), Stop> {
        let tss = self.segs[seg::TR as usize];
        let wide = tss.descriptor.kind() & 8 != 0;
        let (at, last) = if wide { (u32::from(cpl) * 8 + 4, 5) } else { (u32::from(cpl) * 4 + 2, 3) };
        let inside = tss.is_usable() && at + last <= tss.limit;
        self.note_checks(|_| [Check::new(Rule::TssLimit, at + last, tss.limit, inside)]);
        if !inside {
            return Err(self.raise(Vector::InvalidTss, tss.selector.error_code() | ext));
        }
        let linear = tss.base.wrapping_add(u64::from(at));
        if wide && at + 7 <= tss.limit {
            let pair: u64 = self.load_system(What::Tss { offset: at }, linear)?;
            Ok((Selector((pair >> 32) as u16), pair & 0xFFFF_FFFF))
        } else if wide {
            let sp: u32 = self.load_system(What::Tss { offset: at }, linear)?;
            let selector = self.load_system(What::Tss { offset: at + 4 }, linear.wrapping_add(4))?;
            Ok((Selector(selector), u64::from(sp)))
        } else {
            let pair: u32 = self.load_system(What::Tss { offset: at }, linear)?;
            Ok((Selector((pair >> 16) as u16), u64::from(pair & 0xFFFF)))
        }
    }

    /// `IRET` (`wide` false) and `IRETD`.
    pub(crate) fn iret(&mut self, wide: bool) -> Flow {
        if self.long_mode() {
            return if wide { self.iret_long::<u32>() } else { self.iret_long::<u16>() };
        }
        if self.flags.system() & flags::NT != 0 {
            return self.return_task();
        }
        let [ip, selector, image] = self.stack_slots(wide)?;
        let selector = Selector(selector as u16);
        if image & flags::VM != 0 && wide && self.cpl == 0 {
            return Err(self.unsupported("return to virtual-8086 mode"));
        }
        let before = self.cpl;
        if selector.rpl() > before {
            self.return_outward(ip, selector, 3, 0, wide)?;
        } else {
            let code = self.return_code(selector)?;
            self.return_same(ip, selector, code, 3, 0, wide)?;
        }
        self.load_flags(image, wide, before);
        self.load_resume_flag(image, wide);
        Ok(())
    }

    /// The `n`th slot from the top of the stack.
    #[inline]
    pub(crate) fn stack_slot(&mut self, n: u64, wide: bool) -> Result<u32, Stop> {
        if wide {
            self.load::<u32>(seg::SS, (self.sp() + 4 * n) & self.stack_mask)
        } else {
            Ok(u32::from(self.load::<u16>(seg::SS, (self.sp() + 2 * n) & self.stack_mask)?))
        }
    }

    /// The first `N` slots.
    #[inline]
    pub(crate) fn stack_slots<const N: usize>(&mut self, wide: bool) -> Result<[u32; N], Stop> {
        let (sp, size) = (self.sp(), 4 * N as u64);
        let ss = &self.segs[seg::SS as usize];
        if wide && sp + size <= ss.read_end {
            let linear = (ss.base + sp) & 0xFFFF_FFFF;
            let slot = self.tlb.current(linear).for_read(linear, size);
            let bytes = slot.and_then(|at| self.memory.ram().get(at as usize..)?.first_chunk::<20>());
            if let Some(bytes) = bytes.filter(|_| N <= 5) {
                let word =
                    |i: usize| u32::from_le_bytes([bytes[4 * i], bytes[4 * i + 1], bytes[4 * i + 2], bytes[4 * i + 3]]);
                return Ok(std::array::from_fn(word));
            }
        }
        let mut values = [0; N];
        for (i, value) in values.iter_mut().enumerate() {
            *value = self.stack_slot(i as u64, wide)?;
        }
        Ok(values)
    }

    /// The end of a far return at the same privilege level, `slots` popped and `release` bytes more.
    pub(crate) fn return_same(
        &mut self,
        ip: u32,
        selector: Selector,
        code: Descriptor,
        slots: u64,
        release: u64,
        wide: bool,
    ) -> Flow {
        self.note_checks(|_| [Check::new(Rule::CodeLimit, ip, code.limit(), ip <= code.limit())]);
        if ip > code.limit() {
            return Err(self.gp(0));
        }
        let cs = self.take_segment(selector, code)?;
        self.set_sp(self.sp() + slots * if wide { 4 } else { 2 } + release);
        self.set_cs(cs, self.cpl);
        self.ip = u64::from(ip);
        Ok(())
    }

    /// The end of a far return to an outer privilege level: ESP and SS stand behind `slots` slots and `release` bytes.
    pub(crate) fn return_outward(&mut self, ip: u32, selector: Selector, slots: u64, release: u64, wide: bool) -> Flow {
        let code = self.return_code(selector)?;
        let size = if wide { 4 } else { 2 };
        // `release` counts bytes, and the slots behind them are found from there.
        let at = (self.sp() + slots * size + release) & self.stack_mask;
        let (sp, stack) = if wide {
            let sp = self.load::<u32>(seg::SS, at)?;
            (u64::from(sp), self.load::<u32>(seg::SS, (at + 4) & self.stack_mask)? as u16)
        } else {
            let sp = self.load::<u16>(seg::SS, at)?;
            (u64::from(sp), self.load::<u16>(seg::SS, (at + 2) & self.stack_mask)?)
        };
        let ss = self.stack_segment(Selector(stack), selector.rpl(), false)?;
        self.note_checks(|_| [Check::new(Rule::CodeLimit, ip, code.limit(), ip <= code.limit())]);
        if ip > code.limit() {
            return Err(self.gp(0));
        }
        let cs = self.take_segment(selector, code)?;
        self.set_cs(cs, selector.rpl());
        self.set_ss(ss);
        self.set_sp(sp + release);
        self.ip = u64::from(ip);
        self.drop_inner_segments();
        Ok(())
    }
}

#[cfg(test)]
mod tests;
