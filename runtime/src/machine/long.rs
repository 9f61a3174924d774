//! Interrupts, `IRET` and far transfers in IA-32e mode (SDM vol. 3, 6.14 and 5.8; vol. 2, INT n, IRET, JMP, CALL, RET).
//!
//! What differs from 32-bit protected mode: gates and TSS descriptors have 16 bytes, the handler's code is 64-bit code, the
//! frame always has SS:RSP and begins at a multiple of 16, an inner stack has no segment, and there are no task switches.

use super::core::{Core, reg, seg};
use super::fault::{Flow, Stop, Vector};
use super::flags;
use super::gate::{Event, Gate, IDT, kind};
use super::mode::is_canonical;
use super::observe::{Check, Rule, What};
use super::paging::Access;
use super::segment::{Descriptor, Segment, Selector};
use super::width::Width;

/// Offsets in a 64-bit TSS (SDM vol. 3, figure 8-11).
mod field {
    /// RSP0, RSP1, RSP2.
    pub(super) const RSP: u32 = 0x04;
    /// Eight bytes before IST1, which has the number 1.
    pub(super) const IST: u32 = 0x1C;
}

/// Type of a call gate (SDM vol. 3, table 3-2).
const CALL_GATE: u8 = 12;

/// A return: where to, and what it takes off the stack.
#[derive(Clone, Copy)]
struct Return {
    ip: u64,
    selector: Selector,
    /// Bytes up to the stack pointer and SS, or up to the end.
    behind: u64,
    /// Bytes dropped from the outer stack too.
    release: u64,
    /// Stack pointer and SS are there even if the privilege level stays.
    has_stack: bool,
}

impl Core {
    /// Through an interrupt or trap gate, from 64-bit or compatibility mode.
    pub(crate) fn deliver_long(&mut self, event: Event) -> Flow {
        let error = u32::from(event.vector) * 8 | IDT | event.ext;
        let offset = u32::from(event.vector) * 16;
        let inside = offset + 15 <= u32::from(self.idtr.limit);
        self.note_checks(|core| [Check::new(Rule::IdtLimit, offset + 15, core.idtr.limit, inside)]);
        if !inside {
            return Err(self.gp(error));
        }
        let at = self.idtr.base.wrapping_add(u64::from(offset));
        let what = What::Gate { vector: event.vector };
        let gate = Gate(self.load_system(what, at)?);
        let known = matches!(gate.kind(), kind::INTERRUPT_32 | kind::TRAP_32);
        self.note_gate_checks(event, gate, known);
        if !known || event.software && gate.dpl() < self.cpl {
            return Err(self.gp(error));
        }
        if !gate.present() {
            return Err(self.raise(Vector::SegmentNotPresent, error));
        }
        let upper: u32 = self.load_system(what, at.wrapping_add(8))?;
        self.enter_long(gate, u64::from(gate.offset()) | u64::from(upper) << 32, event)
    }

    fn enter_long(&mut self, gate: Gate, target: u64, event: Event) -> Flow {
        let selector = gate.selector();
        let code = self.gate_code(selector, event.ext)?;
        let inner = !code.is_conforming() && code.dpl() < self.cpl;
        let cpl = if inner { code.dpl() } else { self.cpl };
        let top = match (gate.0 >> 32 & 7) as u32 {
            0 if inner => self.tss_pointer(field::RSP + 8 * u32::from(cpl), event.ext)?,
            0 => self.regs[reg::SP as usize],
            ist => self.tss_pointer(field::IST + 8 * ist, event.ext)?,
        } & !15;
        let slots = 5 + usize::from(event.code.is_some());
        let low = top.wrapping_sub(8 * slots as u64);
        self.note_checks(|_| [low, target].map(|at| Check::of(Rule::Canonical, at, is_canonical(at))));
        if !is_canonical(low) || !is_canonical(top.wrapping_sub(1)) {
            return Err(self.raise(Vector::StackFault, event.ext));
        }
        if !is_canonical(target) {
            return Err(self.gp(event.ext));
        }
        let cs = self.take_segment(Selector(selector.0 & !3 | u16::from(cpl)), code)?;
        let frame = [
            u64::from(event.code.unwrap_or(0)),
            self.ip,
            u64::from(self.segs[seg::CS as usize].selector.0),
            u64::from(self.flags.get() | event.rf),
            self.regs[reg::SP as usize],
            u64::from(self.segs[seg::SS as usize].selector.0),
        ];
        self.write_quadwords(low, &frame[6 - slots..], cpl == 3)?;
        // Nothing below can fail.
        self.set_cs(cs, cpl);
        if inner {
            self.set_ss(Segment::null(Selector(u16::from(cpl))));
        }
        self.regs[reg::SP as usize] = low;
        self.ip = target;
        let masks = gate.kind() == kind::INTERRUPT_32;
        let cleared = flags::TF | flags::NT | flags::RF | flags::VM | if masks { flags::IF } else { 0 };
        self.flags.change_system(cleared, 0);
        Ok(())
    }

    /// The code descriptor that a gate names, checked: it must be one of 64-bit code.
    fn gate_code(&mut self, selector: Selector, ext: u32) -> Result<Descriptor, Stop> {
        self.note_not_null(selector);
        if selector.is_null() {
            return Err(self.gp(ext));
        }
        let error = selector.error_code() | ext;
        let code = self.descriptor_or(selector, Vector::GeneralProtection, ext)?;
        self.note_handler_checks(selector, code);
        if !code.is_code() || code.dpl() > self.cpl {
            return Err(self.gp(error));
        }
        if !code.present() {
            return Err(self.raise(Vector::SegmentNotPresent, error));
        }
        let wide = code.long() && !code.big();
        self.note_checks(|_| [Check::of(Rule::Code64, selector.0, wide)]);
        if !wide {
            return Err(self.gp(error));
        }
        Ok(code)
    }

    /// A stack pointer in the TSS.
    fn tss_pointer(&mut self, at: u32, ext: u32) -> Result<u64, Stop> {
        let tss = &self.segs[seg::TR as usize];
        let (inside, limit) = (tss.is_usable() && at + 7 <= tss.limit, tss.limit);
        let (error, linear) = (tss.selector.error_code() | ext, tss.base.wrapping_add(u64::from(at)));
        self.note_checks(|_| [Check::new(Rule::TssLimit, at + 7, limit, inside)]);
        if !inside {
            return Err(self.raise(Vector::InvalidTss, error));
        }
        self.load_system(What::Tss { offset: at }, linear)
    }

    /// Writes values from `linear` upwards: all of them or, with a #PF, none.
    fn write_quadwords(&mut self, linear: u64, values: &[u64], user: bool) -> Flow {
        let size = 8 * values.len() as u64;
        if let Some(physical) = self.tlb.entry(user, linear).for_write(linear, size) {
            let mut at = physical;
            for value in values {
                // Cannot fail: the TLB holds whole pages of RAM only.
                let _ = self.memory.write_plain(at, *value);
                at += 8;
            }
            return Ok(());
        }
        self.write_slots(linear, values, user)
    }

    /// The same with slots of any width.
    #[cold]
    fn write_slots<W: Width>(&mut self, linear: u64, values: &[W], user: bool) -> Flow {
        let size = u64::from(W::BYTES);
        self.probe(linear, size * values.len() as u64, Access::write(user))?;
        for (i, value) in values.iter().enumerate() {
            let written = self.store_for(What::Push, linear.wrapping_add(size * i as u64), *value, user);
            // Over decoded code: the block ends here anyway, and the run loop looks for stale ones then.
            if written == Err(Stop::Fault) {
                return written;
            }
        }
        Ok(())
    }

    /// The slot `bytes` above the top of the stack.
    #[inline(always)]
    fn slot<W: Width>(&mut self, bytes: u64) -> Result<u64, Stop> {
        let at = self.sp().wrapping_add(bytes) & self.stack_mask;
        Ok(self.load::<W>(seg::SS, at)?.zx())
    }

    /// `IRET`, `IRETD` and `IRETQ`.
    pub(crate) fn iret_long<W: Width>(&mut self) -> Flow {
        if self.flags.system() & flags::NT != 0 {
            return Err(self.gp(0));
        }
        let size = u64::from(W::BYTES);
        let ip = self.slot::<W>(0)?;
        let selector = Selector(self.slot::<W>(size)? as u16);
        let image = self.slot::<W>(2 * size)? as u32;
        let (before, has_stack) = (self.cpl, self.is_long());
        self.return_long::<W>(Return { ip, selector, behind: 3 * size, release: 0, has_stack })?;
        self.load_flags(image, W::BITS > 16, before);
        self.load_resume_flag(image, W::BITS > 16);
        Ok(())
    }

    /// `RETF imm16`.
    pub(crate) fn far_return_long<W: Width>(&mut self, release: u16) -> Flow {
        let size = u64::from(W::BYTES);
        let ip = self.slot::<W>(0)?;
        let selector = Selector(self.slot::<W>(size)? as u16);
        let release = u64::from(release);
        self.return_long::<W>(Return { ip, selector, behind: 2 * size + release, release, has_stack: false })
    }

    #[inline(always)]
    fn return_long<W: Width>(&mut self, to: Return) -> Flow {
        let rpl = to.selector.rpl();
        let outer = rpl > self.cpl;
        let stack = if outer || to.has_stack {
            let sp = self.slot::<W>(to.behind)?;
            Some((sp, Selector(self.slot::<W>(to.behind + u64::from(W::BYTES))? as u16)))
        } else {
            None
        };
        let code = self.return_code(to.selector)?;
        let long = self.is_long_code(code);
        let stack = match stack {
            Some((sp, selector)) => Some((sp, self.stack_segment(selector, rpl, long)?)),
            None => None,
        };
        let fits = self.fits_code(code, to.ip);
        self.note_checks(|_| {
            [if long {
                Check::of(Rule::Canonical, to.ip, fits)
            } else {
                Check::new(Rule::CodeLimit, to.ip, code.limit(), fits)
            }]
        });
        if !fits {
            return Err(self.gp(0));
        }
        let cs = self.take_segment(to.selector, code)?;
        // Nothing below can fail.
        let Some((sp, ss)) = stack else {
            self.set_sp(self.sp().wrapping_add(to.behind));
            self.set_cs(cs, rpl);
            self.ip = to.ip;
            return Ok(());
        };
        self.set_cs(cs, rpl);
        self.set_ss(ss);
        let sp = sp.wrapping_add(to.release);
        if self.stack_mask == 0xFFFF {
            self.set_sp(sp);
        } else {
            self.regs[reg::SP as usize] = sp;
        }
        self.ip = to.ip;
        if outer {
            self.drop_inner_segments();
        }
        Ok(())
    }

    /// `JMP` and, if it is to come back, `CALL` to `selector`:`offset`, with an operand size of `W`.
    pub(crate) fn far_long<W: Width>(&mut self, comes_back: bool, selector: Selector, offset: u64) -> Flow {
        self.note_not_null(selector);
        if selector.is_null() {
            return Err(self.gp(0));
        }
        let target = self.descriptor_or(selector, Vector::GeneralProtection, 0)?;
        if target.is_system() && target.kind() == CALL_GATE {
            self.allow_gate(selector, target)?;
            return Err(self.unsupported("call gate in IA-32e mode"));
        }
        // TSSs and task gates are no targets here.
        if !target.is_code() || target.long() && target.big() {
            return Err(self.gp(selector.error_code()));
        }
        self.allow_direct(selector, target, selector.rpl())?;
        let size = 2 * u64::from(W::BYTES);
        let at = self.sp().wrapping_sub(size) & self.stack_mask;
        let linear = if comes_back { self.checked_linear(seg::SS, at, size, true)? } else { 0 };
        self.note_checks(|core| [Check::of(Rule::CodeLimit, offset, core.fits_code(target, offset))]);
        if !self.fits_code(target, offset) {
            return Err(self.gp(0));
        }
        let cs = self.take_segment(Selector(selector.0 & !3 | u16::from(self.cpl)), target)?;
        if comes_back {
            let old = u64::from(self.segs[seg::CS as usize].selector.0);
            self.write_slots(linear, &[W::cut(self.ip), W::cut(old)], self.cpl == 3)?;
            self.set_sp(at);
        }
        self.set_cs(cs, self.cpl);
        self.ip = offset;
        Ok(())
    }
}
