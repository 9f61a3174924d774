//! `SYSENTER`, `SYSEXIT`, `SYSCALL`, `SYSRET` and `SWAPGS` (SDM vol. 2): no table is read and nothing is pushed; the
//! segments are flat by definition.

use super::core::{Core, EFER_SCE, msr, reg, seg};
use super::fault::Flow;
use super::flags;
use super::mode::is_canonical;
use super::observe::{Check, Event, Rule};
use super::segment::{Descriptor, Segment, Selector};

/// Flat 4 GiB segments, accessed, 32-bit, of DPL 0; the DPL is ORed in.
const CODE: u64 = 0x00CF_9B00_0000_FFFF;
const DATA: u64 = 0x00CF_9300_0000_FFFF;
/// The same for 64-bit code.
const CODE_64: u64 = 0x00AF_9B00_0000_FFFF;
const DPL_3: u64 = 3 << 45;

/// Bytes in a flat segment.
const ALL: u64 = 1 << 32;

/// What `SYSRET` loads of R11: every flag but RF and VM.
const SYSRET_FLAGS: u64 = 0x003C_7FD7;
/// R11.
const R11: usize = 11;

fn flat(selector: u16, descriptor: u64, write_end: u64) -> Segment {
    let (selector, descriptor) = (Selector(selector), Descriptor(descriptor));
    Segment { selector, base: 0, limit: u32::MAX, descriptor, origin: 0, read_end: ALL, write_end }
}

impl Core {
    /// Enters ring 0 at what the MSRs say. TF, DF and NT stay as they are: with TF set a #DB comes before the first
    /// instruction of the handler. In IA-32e mode the handler is 64-bit code.
    pub(crate) fn sysenter(&mut self) -> Flow {
        let selector = self.msrs.sysenter_cs as u16 & 0xFFFC;
        self.note_msrs(|msrs| [(msr::SYSENTER_CS, msrs.sysenter_cs.into())]);
        self.note_checks(|_| [Check::of(Rule::SysenterCs, selector, selector != 0)]);
        if selector == 0 {
            return Err(self.gp(0));
        }
        self.note_msrs(|msrs| [(msr::SYSENTER_ESP, msrs.sysenter_esp), (msr::SYSENTER_EIP, msrs.sysenter_eip)]);
        let long = self.long_mode();
        self.flags.change_system(flags::VM | flags::IF | flags::RF, 0);
        self.set_cs(flat(selector, if long { CODE_64 } else { CODE }, 0), 0);
        self.set_ss(flat(selector.wrapping_add(8), DATA, ALL));
        let mask = self.system_mask();
        self.regs[reg::SP as usize] = self.msrs.sysenter_esp & mask;
        self.ip = self.msrs.sysenter_eip & mask;
        Ok(())
    }

    /// Back to ring 3: EIP from EDX, ESP from ECX; `wide`: RIP and RSP, in 64-bit code. EFLAGS and the data segments stay.
    pub(crate) fn sysexit(&mut self, wide: bool) -> Flow {
        let selector = self.msrs.sysenter_cs as u16 & 0xFFFC;
        self.note_msrs(|msrs| [(msr::SYSENTER_CS, msrs.sysenter_cs.into())]);
        self.note_checks(|core| {
            [Check::of(Rule::SysenterCs, selector, selector != 0), Check::of(Rule::Cpl0, core.cpl, core.cpl == 0)]
        });
        if selector == 0 || self.cpl != 0 {
            return Err(self.gp(0));
        }
        let (ip, sp) = (self.regs[reg::DX as usize], self.regs[reg::CX as usize]);
        if wide {
            self.note_checks(|_| [ip, sp].map(|at| Check::of(Rule::Canonical, at, is_canonical(at))));
        }
        if wide && !(is_canonical(ip) && is_canonical(sp)) {
            return Err(self.gp(0));
        }
        let (code, offset, mask) = if wide { (CODE_64, 32, u64::MAX) } else { (CODE, 16, 0xFFFF_FFFF) };
        self.set_cs(flat(selector.wrapping_add(offset) | 3, code | DPL_3, 0), 3);
        self.set_ss(flat(selector.wrapping_add(offset + 8) | 3, DATA | DPL_3, ALL));
        self.regs[reg::SP as usize] = sp & mask;
        self.ip = ip & mask;
        Ok(())
    }

    /// `SYSCALL`: of 64-bit mode only, as Intel's processors have it. EIP is that of the next instruction.
    pub(crate) fn syscall(&mut self) -> Flow {
        if !self.allows_syscall() {
            return Err(self.ud());
        }
        self.note_msrs(|msrs| [(msr::LSTAR, msrs.lstar), (msr::FMASK, msrs.fmask), (msr::STAR, msrs.star)]);
        let before = self.flags.system();
        let image = self.flags.get() & !flags::RF;
        self.regs[reg::CX as usize] = self.ip;
        self.regs[R11] = u64::from(image);
        let clears = self.msrs.fmask as u32;
        if clears & flags::ARITHMETIC == 0 {
            self.flags.change_system(clears | flags::RF, 0);
        } else {
            self.flags.set(image & !clears);
        }
        let selector = (self.msrs.star >> 32) as u16 & 0xFFFC;
        self.set_cs(flat(selector, CODE_64, 0), 0);
        self.set_ss(flat(selector.wrapping_add(8), DATA, ALL));
        self.ip = self.msrs.lstar;
        self.alignment_changed(before);
        // No single-step trap follows if FMASK took TF away.
        self.shadow = self.flags.system() & flags::TF == 0;
        Ok(())
    }

    /// Whether `SYSCALL` and `SYSRET` are instructions here.
    #[inline(always)]
    fn allows_syscall(&mut self) -> bool {
        let enabled = self.is_long() && self.msrs.efer & EFER_SCE != 0;
        self.note_msrs(|msrs| [(msr::EFER, msrs.efer)]);
        self.note_checks(|core| [Check::of(Rule::SyscallEnable, core.msrs.efer, enabled)]);
        enabled
    }

    /// `SYSRET` to 64-bit code, or (`wide` false) to compatibility mode. True if it set TF: the trap comes at once, before
    /// the first instruction of ring 3.
    pub(crate) fn sysret(&mut self, wide: bool) -> Result<bool, super::fault::Stop> {
        if !self.allows_syscall() {
            return Err(self.ud());
        }
        let ip = self.regs[reg::CX as usize];
        self.note_checks(|core| {
            // Of 32 bits there is nothing to check.
            let canonical = wide.then(|| Check::of(Rule::Canonical, ip, is_canonical(ip)));
            [Some(Check::of(Rule::Cpl0, core.cpl, core.cpl == 0)), canonical]
        });
        // At CPL 0, on the stack that is already ring 3's: the processor's well-known trap for careless kernels.
        if self.cpl != 0 || wide && !is_canonical(ip) {
            return Err(self.gp(0));
        }
        let before = self.flags.system();
        self.note_msrs(|msrs| [(msr::STAR, msrs.star)]);
        let selector = (self.msrs.star >> 48) as u16;
        let (code, offset, mask) = if wide { (CODE_64, 16, u64::MAX) } else { (CODE, 0, 0xFFFF_FFFF) };
        self.set_cs(flat(selector.wrapping_add(offset) | 3, code | DPL_3, 0), 3);
        self.set_ss(flat(selector.wrapping_add(8) | 3, DATA | DPL_3, ALL));
        self.ip = ip & mask;
        let image = (self.regs[R11] & SYSRET_FLAGS) as u32;
        self.flags.set(image & self.loadable_flags());
        self.alignment_changed(before);
        self.shadow = self.flags.system() & flags::TF == 0;
        Ok(self.flags.system() & !before & flags::TF != 0)
    }

    /// `SWAPGS`: the bases of GS and of IA32_KERNEL_GS_BASE change places.
    pub(crate) fn swapgs(&mut self) -> Flow {
        self.note_checks(|core| [Check::of(Rule::Cpl0, core.cpl, core.cpl == 0)]);
        if self.cpl != 0 {
            return Err(self.gp(0));
        }
        self.note_msrs(|msrs| [(msr::KERNEL_GS_BASE, msrs.kernel_gs_base)]);
        self.note(|core| Event::WriteMsr { number: msr::KERNEL_GS_BASE, value: core.segs[seg::GS as usize].base });
        let gs = &mut self.segs[seg::GS as usize];
        std::mem::swap(&mut gs.base, &mut self.msrs.kernel_gs_base);
        gs.origin = gs.base;
        Ok(())
    }
}

#[cfg(test)]
mod tests;
