//! Far jumps, calls and returns: through code descriptors, call gates, TSSs and task gates (SDM vol. 2, JMP, CALL, RET;
//! vol. 3, 5.8).

use super::core::{Core, seg};
use super::descriptor::{BUSY, TSS_16, TSS_32};
use super::fault::{Flow, Vector};
use super::frame::Entry;
use super::gate::Gate;
use super::observe::{Check, Rule, typed};
use super::segment::{Descriptor, Selector};
use super::task::Switch;

/// The most parameters that a call gate copies: its count has five bits.
const PARAMETERS: usize = 31;

/// Types of system descriptors that a far transfer can go through (SDM vol. 3, table 3-2).
mod kind {
    pub(super) const CALL_16: u8 = 4;
    pub(super) const TASK: u8 = 5;
    pub(super) const CALL_32: u8 = 12;
}

/// Whether a far transfer is to come back.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Far {
    Jump,
    /// EIP to come back to, in slots of 4 (else 2) bytes.
    Call {
        wide: bool,
    },
}

impl Core {
    /// `JMP` or `CALL` to `selector`:`offset`. EIP is that of the next instruction.
    pub(crate) fn far(&mut self, how: Far, selector: Selector, offset: u32) -> Flow {
        if self.long_mode() {
            let offset = u64::from(offset);
            return match how {
                Far::Jump => self.far_long::<u32>(false, selector, offset),
                Far::Call { wide: true } => self.far_long::<u32>(true, selector, offset),
                Far::Call { wide: false } => self.far_long::<u16>(true, selector, offset),
            };
        }
        self.note_not_null(selector);
        if selector.is_null() {
            return Err(self.gp(0));
        }
        let target = self.descriptor_or(selector, Vector::GeneralProtection, 0)?;
        if target.is_code() {
            self.allow_direct(selector, target, selector.rpl())?;
            return self.far_direct(how, selector, target, offset);
        }
        if !target.is_system() {
            return Err(self.gp(selector.error_code()));
        }
        match target.kind() {
            kind::CALL_16 | kind::CALL_32 => self.far_gate(how, selector, Gate(target.0)),
            kind::TASK => {
                self.allow_gate(selector, target)?;
                self.switch_task(Gate(target.0).selector(), switch(how))
            }
            TSS_16 | TSS_32 => {
                self.allow_gate(selector, target)?;
                self.switch_task(selector, switch(how))
            }
            _ => Err(self.gp(selector.error_code())),
        }
    }

    /// The checks of a code descriptor that is entered without a change of privilege.
    pub(crate) fn allow_direct(&mut self, selector: Selector, code: Descriptor, rpl: u8) -> Flow {
        let allowed =
            if code.is_conforming() { code.dpl() <= self.cpl } else { rpl <= self.cpl && code.dpl() == self.cpl };
        self.note_checks(|core| {
            [
                Check::of(Rule::CodeType, typed(code), code.is_code()),
                Check::new(Rule::DirectDpl, core.cpl, code.dpl(), allowed),
                Check::of(Rule::Present, selector.0, code.present()),
            ]
        });
        if !code.is_code() || !allowed {
            return Err(self.gp(selector.error_code()));
        }
        if !code.present() {
            return Err(self.raise(Vector::SegmentNotPresent, selector.error_code()));
        }
        Ok(())
    }

    /// The checks of a gate's or TSS's own descriptor.
    pub(crate) fn allow_gate(&mut self, selector: Selector, descriptor: Descriptor) -> Flow {
        self.note_checks(|core| {
            let privilege = core.cpl.max(selector.rpl());
            [
                Check::new(Rule::GateDpl, privilege, descriptor.dpl(), privilege <= descriptor.dpl()),
                Check::of(Rule::Present, selector.0, descriptor.present()),
            ]
        });
        if descriptor.dpl() < self.cpl.max(selector.rpl()) {
            return Err(self.gp(selector.error_code()));
        }
        if !descriptor.present() {
            return Err(self.raise(Vector::SegmentNotPresent, selector.error_code()));
        }
        Ok(())
    }

    /// Enters a code segment at the current privilege level.
    fn far_direct(&mut self, how: Far, selector: Selector, code: Descriptor, offset: u32) -> Flow {
        let frame = match how {
            Far::Jump => None,
            Far::Call { wide } => {
                let ss = self.segs[seg::SS as usize];
                Some(self.frame(&ss, self.sp(), Entry { slots: 2, wide, cpl: self.cpl, error: 0 })?)
            }
        };
        self.note_checks(|_| [Check::new(Rule::CodeLimit, offset, code.limit(), offset <= code.limit())]);
        if offset > code.limit() {
            return Err(self.gp(0));
        }
        let cs = self.take_segment(Selector(selector.0 & !3 | u16::from(self.cpl)), code)?;
        if let Some(frame) = frame {
            let old = u32::from(self.segs[seg::CS as usize].selector.0);
            self.write_frame(&frame, &[old, self.ip as u32])?;
            self.set_sp(frame.sp);
        }
        self.set_cs(cs, self.cpl);
        self.ip = u64::from(offset);
        Ok(())
    }

    /// Through a call gate. The offset in the instruction is ignored.
    fn far_gate(&mut self, how: Far, selector: Selector, gate: Gate) -> Flow {
        self.allow_gate(selector, Descriptor(gate.0))?;
        let selector = gate.selector();
        self.note_not_null(selector);
        if selector.is_null() {
            return Err(self.gp(0));
        }
        let code = self.descriptor_or(selector, Vector::GeneralProtection, 0)?;
        let offset = if gate.wide() { gate.offset() } else { gate.offset() & 0xFFFF };
        let inward = how != Far::Jump && code.is_code() && !code.is_conforming() && code.dpl() < self.cpl;
        if inward {
            self.note_handler_checks(selector, code);
            if !code.present() {
                return Err(self.raise(Vector::SegmentNotPresent, selector.error_code()));
            }
            return self.call_inward(gate, code, offset);
        }
        // The RPL of the gate's own selector plays no part (SDM vol. 3, table 5-1).
        self.allow_direct(selector, code, 0)?;
        let how = if how == Far::Jump { how } else { Far::Call { wide: gate.wide() } };
        self.far_direct(how, selector, code, offset)
    }

    /// `CALL` through a gate to a more privileged level: stack switch and copied parameters.
    fn call_inward(&mut self, gate: Gate, code: Descriptor, offset: u32) -> Flow {
        let cpl = code.dpl();
        let (ss, sp) = self.inner_stack(cpl, 0)?;
        let (wide, count) = (gate.wide(), usize::from(gate.count()));
        let slots = 4 + count as u64;
        let frame = self.frame(&ss, sp, Entry { slots, wide, cpl, error: ss.selector.error_code() })?;
        self.note_checks(|_| [Check::new(Rule::CodeLimit, offset, code.limit(), offset <= code.limit())]);
        if offset > code.limit() {
            return Err(self.gp(0));
        }
        let mut image = [0; PARAMETERS + 4];
        image[0] = u32::from(self.segs[seg::SS as usize].selector.0);
        image[1] = self.regs[super::core::reg::SP as usize] as u32;
        for i in 0..count {
            image[2 + i] = self.stack_slot((count - 1 - i) as u64, wide)?;
        }
        image[2 + count] = u32::from(self.segs[seg::CS as usize].selector.0);
        image[3 + count] = self.ip as u32;
        let cs = self.take_segment(Selector(gate.selector().0 & !3 | u16::from(cpl)), code)?;
        self.write_frame(&frame, &image[..slots as usize])?;
        self.set_cs(cs, cpl);
        self.set_ss(ss);
        self.set_sp(frame.sp);
        self.ip = u64::from(offset);
        Ok(())
    }

    /// `RETF imm16`: `release` bytes of parameters are dropped, from both stacks if there are two.
    pub(crate) fn far_return(&mut self, release: u16, wide: bool) -> Flow {
        if self.long_mode() {
            return if wide { self.far_return_long::<u32>(release) } else { self.far_return_long::<u16>(release) };
        }
        let ip = self.stack_slot(0, wide)?;
        let selector = Selector(self.stack_slot(1, wide)? as u16);
        if selector.rpl() > self.cpl {
            return self.return_outward(ip, selector, 2, u64::from(release), wide);
        }
        let code = self.return_code(selector)?;
        self.return_same(ip, selector, code, 2, u64::from(release), wide)
    }
}

fn switch(how: Far) -> Switch {
    match how {
        Far::Jump => Switch::Jump,
        Far::Call { .. } => Switch::Call,
    }
}

/// Whether the descriptor names a TSS that a task switch may enter.
pub(crate) fn is_available_tss(descriptor: Descriptor) -> bool {
    descriptor.is_system() && matches!(descriptor.kind(), TSS_16 | TSS_32) && descriptor.kind() & BUSY == 0
}

#[cfg(test)]
mod tests;
