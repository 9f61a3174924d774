//! The hardware task switch between 32-bit TSSs (SDM vol. 3, 8.3): for far jumps and calls, task gates (NT's #DF and NMI),
//! and `IRET` with NT set.

use super::core::{CR0_TS, Core, seg};
use super::descriptor::{BUSY, LDT, TSS_16, TSS_32, is_tss};
use super::fault::{Flow, Stop, Vector};
use super::flags;
use super::frame::Entry;
use super::observe::What;
use super::paging::Access;
use super::segment::{Descriptor, Segment, Selector};
use super::width::Width;

/// Offsets in a 32-bit TSS (SDM vol. 3, figure 8-2).
mod field {
    pub(super) const BACKLINK: u64 = 0x00;
    pub(super) const CR3: u64 = 0x1C;
    pub(super) const EIP: u64 = 0x20;
    pub(super) const EFLAGS: u64 = 0x24;
    /// EAX, ECX, EDX, EBX, ESP, EBP, ESI, EDI.
    pub(super) const EAX: u64 = 0x28;
    /// ES, CS, SS, DS, FS, GS.
    pub(super) const ES: u64 = 0x48;
    pub(super) const LDT: u64 = 0x60;
    pub(super) const TRAP: u64 = 0x64;
    /// What a switch saves lies between `EIP` and here.
    pub(super) const SAVED_END: u64 = 0x60;
}

/// Offset of the last byte that a 32-bit TSS must have.
pub(crate) const TSS_LAST: u32 = 0x67;

/// DR6.BT: the debug exception is that of a task whose T bit is set.
const DR6_BT: u64 = 1 << 15;

/// Segment registers, LDTR apart, in the order of the TSS.
const SEGMENTS: [u8; 6] = [seg::ES, seg::CS, seg::SS, seg::DS, seg::FS, seg::GS];

/// What makes the processor switch tasks.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Switch {
    Jump,
    Call,
    /// A task gate in the IDT: error code to push in the new task, EXT, RF to save in the old one.
    Gate {
        code: Option<u32>,
        ext: u32,
        rf: u32,
    },
    /// `IRET` with NT set.
    Return,
}

impl Switch {
    fn ext(self) -> u32 {
        match self {
            Self::Gate { ext, .. } => ext,
            _ => 0,
        }
    }

    /// Whether the new task is linked back to the old one, which stays busy.
    fn nests(self) -> bool {
        matches!(self, Self::Call | Self::Gate { .. })
    }
}

/// What a TSS holds of a task.
struct State {
    cr3: u32,
    eip: u32,
    eflags: u32,
    registers: [u32; 8],
    selectors: [Selector; 6],
    ldt: Selector,
    trap: bool,
}

impl Core {
    /// `IRET` with NT set: back to the task that the backlink names.
    pub(crate) fn return_task(&mut self) -> Flow {
        let tss = self.segs[seg::TR as usize];
        let backlink: u16 = self.load_task(tss.base, field::BACKLINK)?;
        self.switch_task(Selector(backlink), Switch::Return)
    }

    /// Switches to the task of a TSS.
    ///
    /// A fault up to the point where TR changes belongs to the old task; one after it is the new task's, whose EIP is in
    /// `self.ip` then.
    pub(crate) fn switch_task(&mut self, selector: Selector, how: Switch) -> Flow {
        let target = self.target_tss(selector, how)?;
        let mut old = self.segs[seg::TR as usize];
        // One that was loaded in long mode may lie higher.
        old.base &= 0xFFFF_FFFF;
        if target.kind() & !BUSY == TSS_16 || old.descriptor.kind() & !BUSY != TSS_32 || !old.is_usable() {
            return Err(self.unsupported("task switch without a 32-bit TSS on both sides"));
        }
        if target.limit() < TSS_LAST || old.limit < TSS_LAST {
            let invalid = if target.limit() < TSS_LAST { selector } else { old.selector };
            return Err(self.raise(Vector::InvalidTss, invalid.error_code() | how.ext()));
        }
        let new = Segment::new(selector, Descriptor(target.0 | u64::from(BUSY) << 40));
        let state = self.read_task(new.base)?;
        if state.eflags & flags::VM != 0 {
            return Err(self.unsupported("task in virtual-8086 mode"));
        }
        self.probe_switch(&old, &new, how)?;
        self.save_task(&old, how)?;
        if how.nests() {
            self.store_task(new.base, field::BACKLINK, old.selector.0)?;
        } else {
            self.write_rights(old.selector, Descriptor(old.descriptor.0 & !(u64::from(BUSY) << 40)))?;
        }
        self.write_rights(selector, new.descriptor)?;
        self.segs[seg::TR as usize] = new;
        self.cr0 |= CR0_TS;
        self.enter_task(&state, how)
    }

    /// The descriptor of the TSS to switch to, checked (SDM vol. 3, 8.3, steps 2 and 3).
    fn target_tss(&mut self, selector: Selector, how: Switch) -> Result<Descriptor, Stop> {
        let returns = how == Switch::Return;
        let vector = if returns { Vector::InvalidTss } else { Vector::GeneralProtection };
        let error = selector.error_code() | how.ext();
        if selector.is_null() || selector.is_local() {
            return Err(self.raise(vector, error));
        }
        let target = self.descriptor_or(selector, vector, how.ext())?;
        if !is_tss(target) || (target.kind() & BUSY != 0) != returns {
            return Err(self.raise(vector, error));
        }
        if !target.present() {
            return Err(self.raise(Vector::SegmentNotPresent, error));
        }
        Ok(target)
    }

    /// Reads a field of a TSS.
    fn load_task<W: Width>(&mut self, base: u64, field: u64) -> Result<W, Stop> {
        self.load_system(What::Tss { offset: field as u32 }, base.wrapping_add(field))
    }

    /// Writes a field of a TSS.
    fn store_task<W: Width>(&mut self, base: u64, field: u64, value: W) -> Flow {
        self.store_system(What::Tss { offset: field as u32 }, base.wrapping_add(field), value)
    }

    fn read_task(&mut self, base: u64) -> Result<State, Stop> {
        let mut registers = [0; 8];
        for (i, register) in registers.iter_mut().enumerate() {
            *register = self.load_task(base, field::EAX + 4 * i as u64)?;
        }
        let mut selectors = [Selector(0); 6];
        for (i, selector) in selectors.iter_mut().enumerate() {
            *selector = Selector(self.load_task(base, field::ES + 4 * i as u64)?);
        }
        Ok(State {
            cr3: self.load_task(base, field::CR3)?,
            eip: self.load_task(base, field::EIP)?,
            eflags: self.load_task(base, field::EFLAGS)?,
            registers,
            selectors,
            ldt: Selector(self.load_task(base, field::LDT)?),
            trap: self.load_task::<u16>(base, field::TRAP)? & 1 != 0,
        })
    }

    /// Everything that the switch writes can be written.
    fn probe_switch(&mut self, old: &Segment, new: &Segment, how: Switch) -> Flow {
        let access = Access::write(false);
        self.probe(old.base + field::EIP, field::SAVED_END - field::EIP, access)?;
        if how.nests() {
            self.probe(new.base + field::BACKLINK, 2, access)?;
        }
        for selector in [old.selector, new.selector] {
            if let Some(at) = self.descriptor_at(selector) {
                self.probe(at, 8, access)?;
            }
        }
        Ok(())
    }

    fn save_task(&mut self, old: &Segment, how: Switch) -> Flow {
        let image = match how {
            Switch::Gate { rf, .. } => self.flags.get() | rf,
            Switch::Return => self.flags.get() & !flags::NT,
            _ => self.flags.get(),
        };
        self.store_task(old.base, field::EIP, self.ip as u32)?;
        self.store_task(old.base, field::EFLAGS, image)?;
        for r in 0..8u8 {
            self.store_task(old.base, field::EAX + 4 * u64::from(r), self.reg::<u32>(r))?;
        }
        for (i, register) in SEGMENTS.into_iter().enumerate() {
            let selector = self.segs[register as usize].selector.0;
            self.store_task(old.base, field::ES + 4 * i as u64, selector)?;
        }
        Ok(())
    }

    /// Loads the state of the new task; from here on faults are its own.
    fn enter_task(&mut self, state: &State, how: Switch) -> Flow {
        if self.paging() {
            self.cr3 = u64::from(state.cr3);
        }
        let nested = if how.nests() { flags::NT } else { 0 };
        self.flags.set((state.eflags | nested) & self.loadable_flags());
        self.ip = u64::from(state.eip);
        for (r, value) in state.registers.into_iter().enumerate() {
            self.set_reg(r as u8, value);
        }
        for (register, selector) in SEGMENTS.into_iter().zip(state.selectors) {
            self.segs[register as usize] = Segment::null(selector);
        }
        let cpl = state.selectors[1].rpl();
        self.set_cs(Segment::null(state.selectors[1]), cpl);
        self.flush_tlb();
        self.load_task_ldt(state.ldt, how.ext())?;
        self.load_task_segments(state, cpl, how.ext())?;
        if let Switch::Gate { code: Some(code), ext, .. } = how {
            let ss = self.segs[seg::SS as usize];
            let frame = self.frame(&ss, self.sp(), Entry { slots: 1, wide: true, cpl, error: ext })?;
            self.write_frame(&frame, &[code])?;
            self.set_sp(frame.sp);
        }
        if state.eip > self.segs[seg::CS as usize].limit {
            return Err(self.gp(how.ext()));
        }
        if state.trap {
            self.dr[6] |= DR6_BT;
            return Err(self.raise(Vector::Debug, 0));
        }
        Ok(())
    }

    fn load_task_ldt(&mut self, selector: Selector, ext: u32) -> Flow {
        self.segs[seg::LDTR as usize] = Segment::null(selector);
        if selector.is_null() {
            return Ok(());
        }
        let error = selector.error_code() | ext;
        if selector.is_local() {
            return Err(self.raise(Vector::InvalidTss, error));
        }
        let descriptor = self.descriptor_or(selector, Vector::InvalidTss, ext)?;
        if !descriptor.is_system() || descriptor.kind() != LDT || !descriptor.present() {
            return Err(self.raise(Vector::InvalidTss, error));
        }
        self.segs[seg::LDTR as usize] = Segment::new(selector, descriptor);
        Ok(())
    }

    /// The checks of SDM vol. 3, table 8-1, in the order CS, SS, the data segments.
    fn load_task_segments(&mut self, state: &State, cpl: u8, ext: u32) -> Flow {
        let [_, cs, ss, ..] = state.selectors;
        let code = self.task_descriptor(cs, ext)?;
        let fits = if code.is_conforming() { code.dpl() <= cpl } else { code.dpl() == cpl };
        if !code.is_code() || !fits {
            return Err(self.raise(Vector::InvalidTss, cs.error_code() | ext));
        }
        if !code.present() {
            return Err(self.raise(Vector::SegmentNotPresent, cs.error_code() | ext));
        }
        let segment = self.take_segment(cs, code)?;
        self.set_cs(segment, cpl);
        let stack = self.task_descriptor(ss, ext)?;
        if !stack.is_writable_data() || stack.dpl() != cpl || ss.rpl() != cpl {
            return Err(self.raise(Vector::InvalidTss, ss.error_code() | ext));
        }
        if !stack.present() {
            return Err(self.raise(Vector::StackFault, ss.error_code() | ext));
        }
        let segment = self.take_segment(ss, stack)?;
        self.set_ss(segment);
        for (register, selector) in SEGMENTS.into_iter().zip(state.selectors) {
            if register != seg::CS && register != seg::SS && !selector.is_null() {
                self.load_task_data(register, selector, ext)?;
            }
        }
        Ok(())
    }

    fn load_task_data(&mut self, register: u8, selector: Selector, ext: u32) -> Flow {
        let data = self.task_descriptor(selector, ext)?;
        let allowed = data.is_conforming() || data.dpl() >= self.cpl.max(selector.rpl());
        if !data.is_readable() || !allowed {
            return Err(self.raise(Vector::InvalidTss, selector.error_code() | ext));
        }
        if !data.present() {
            return Err(self.raise(Vector::SegmentNotPresent, selector.error_code() | ext));
        }
        let segment = self.take_segment(selector, data)?;
        self.set_data_segment(register, segment);
        Ok(())
    }

    /// The descriptor of a segment that must not be null.
    fn task_descriptor(&mut self, selector: Selector, ext: u32) -> Result<Descriptor, Stop> {
        if selector.is_null() {
            return Err(self.raise(Vector::InvalidTss, ext));
        }
        self.descriptor_or(selector, Vector::InvalidTss, ext)
    }
}

#[cfg(test)]
mod tests;
