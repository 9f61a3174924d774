//! Descriptors in the GDT and the LDT, and loading the data segment registers with every check of the manual
//! (SDM vol. 2, MOV, LDS; vol. 3, 3.4 and 5.2 to 5.7).

use super::core::{Core, seg};
use super::fault::{Flow, Stop, Vector};
use super::mode::is_canonical;
use super::observe::{Check, Rule, What, typed};
use super::segment::{Descriptor, Segment, Selector};

/// Type of a system descriptor that names an LDT (SDM vol. 3, table 3-2).
pub(crate) const LDT: u8 = 2;
/// Type of an available 16-bit TSS; 2 more when busy.
pub(crate) const TSS_16: u8 = 1;
/// Type of an available 32-bit TSS; 2 more when busy.
pub(crate) const TSS_32: u8 = 9;
/// The bit of a TSS descriptor's type that says that the task is busy.
pub(crate) const BUSY: u8 = 2;

/// The accessed bit, as the descriptor has it.
const ACCESSED: u64 = 1 << 40;
/// The byte of a descriptor that holds type, S, DPL and P.
const RIGHTS: u64 = 5;

impl Core {
    /// Linear address of the selector's descriptor; `None` if the table does not reach that far.
    #[inline]
    pub(crate) fn descriptor_at(&self, selector: Selector) -> Option<u64> {
        self.descriptor_of(selector, 8)
    }

    /// The same for a descriptor of `size` bytes.
    #[inline(always)]
    fn descriptor_of(&self, selector: Selector, size: u32) -> Option<u64> {
        let last = selector.offset() + (size - 1);
        if selector.is_local() {
            let table = &self.segs[seg::LDTR as usize];
            (table.is_usable() && last <= table.limit).then(|| table.base.wrapping_add(u64::from(selector.offset())))
        } else {
            (last <= u32::from(self.gdtr.limit)).then(|| self.gdtr.base.wrapping_add(u64::from(selector.offset())))
        }
    }

    /// The selector's descriptor; `None` if the table does not reach that far.
    #[inline(always)]
    pub(crate) fn descriptor(&mut self, selector: Selector) -> Result<Option<Descriptor>, Stop> {
        let at = self.descriptor_at(selector);
        self.note_checks(|core| {
            let limit = if selector.is_local() { core.segs[seg::LDTR as usize].limit } else { core.gdtr.limit.into() };
            [Check::new(Rule::TableLimit, selector.offset() + 7, limit, at.is_some())]
        });
        match at {
            Some(at) => Ok(Some(Descriptor(self.load_system(What::Descriptor { selector: selector.0 }, at)?))),
            None => Ok(None),
        }
    }

    /// The selector's descriptor; outside the table, a fault with the selector (and `ext`) as its error code.
    #[inline(always)]
    pub(crate) fn descriptor_or(&mut self, selector: Selector, vector: Vector, ext: u32) -> Result<Descriptor, Stop> {
        match self.descriptor(selector)? {
            Some(descriptor) => Ok(descriptor),
            None => Err(self.raise(vector, selector.error_code() | ext)),
        }
    }

    /// The upper half of a 16-byte descriptor (LDT, TSS in IA-32e mode: SDM vol. 3, 3.5.2): bits 63 to 32 of the base.
    /// #GP(selector) if the table ends before it, its type bits are not clear, or the base is not canonical.
    pub(crate) fn upper_base(&mut self, selector: Selector, lower: Descriptor) -> Result<u64, Stop> {
        let Some(at) = self.descriptor_of(selector, 16) else {
            return Err(self.gp(selector.error_code()));
        };
        let upper: u64 = self.load_system(What::Descriptor { selector: selector.0 }, at.wrapping_add(8))?;
        let base = u64::from(lower.base()) | upper << 32;
        if upper >> 40 & 0x1F != 0 || !is_canonical(base) {
            return Err(self.gp(selector.error_code()));
        }
        Ok(base)
    }

    /// The segment cache for a code or data descriptor that has passed its checks. Sets the descriptor's accessed bit.
    #[inline(always)]
    pub(crate) fn take_segment(&mut self, selector: Selector, descriptor: Descriptor) -> Result<Segment, Stop> {
        let marked = Descriptor(descriptor.0 | ACCESSED);
        if marked != descriptor {
            self.write_rights(selector, marked)?;
        }
        Ok(Segment::new(selector, marked))
    }

    /// Stores the byte with type, DPL and P back to the table.
    pub(crate) fn write_rights(&mut self, selector: Selector, descriptor: Descriptor) -> Flow {
        match self.descriptor_at(selector) {
            Some(at) => {
                let what = What::Descriptor { selector: selector.0 };
                self.store_system(what, at.wrapping_add(RIGHTS), (descriptor.0 >> 40) as u8)
            }
            None => Ok(()),
        }
    }

    /// Loads ES, DS, FS, GS or SS as `MOV` does it. CS is for the instructions that branch.
    ///
    /// What was decoded for the old segments may not fit the new ones: the caller compares [`Core::mode`].
    pub(crate) fn load_segment(&mut self, register: u8, selector: Selector) -> Flow {
        if register == seg::SS {
            let segment = self.stack_segment(selector, self.cpl, self.is_long())?;
            self.set_ss(segment);
            return Ok(());
        }
        if selector.is_null() {
            self.set_data_segment(register, Segment::null(selector));
            return Ok(());
        }
        let descriptor = self.descriptor_or(selector, Vector::GeneralProtection, 0)?;
        let privilege = self.cpl.max(selector.rpl());
        // A kernel's entry code loads the selector that is there already, most of the time.
        let old = &self.segs[(register & 7) as usize];
        let same = old.selector == selector && old.descriptor == descriptor && old.base == u64::from(descriptor.base());
        self.note_checks(|_| {
            let allowed = descriptor.is_conforming() || privilege <= descriptor.dpl();
            [
                Check::of(Rule::DataType, typed(descriptor), descriptor.is_readable()),
                Check::new(Rule::DataDpl, privilege, descriptor.dpl(), allowed),
                Check::of(Rule::Present, selector.0, descriptor.present()),
            ]
        });
        if same && privilege <= descriptor.dpl() {
            return Ok(());
        }
        if !descriptor.is_readable() || !descriptor.is_conforming() && privilege > descriptor.dpl() {
            return Err(self.gp(selector.error_code()));
        }
        if !descriptor.present() {
            return Err(self.raise(Vector::SegmentNotPresent, selector.error_code()));
        }
        let segment = self.take_segment(selector, descriptor)?;
        self.set_data_segment(register, segment);
        Ok(())
    }

    /// The cache for SS at privilege level `cpl`, with the error codes that `MOV`, `POP`, `RET` and `IRET` share. `long`:
    /// for 64-bit code, which needs no SS but at CPL 3.
    #[inline(always)]
    pub(crate) fn stack_segment(&mut self, selector: Selector, cpl: u8, long: bool) -> Result<Segment, Stop> {
        if selector.is_null() && long && cpl < 3 && selector.rpl() == cpl {
            return Ok(Segment::null(selector));
        }
        self.note_not_null(selector);
        if selector.is_null() {
            return Err(self.gp(0));
        }
        let descriptor = self.descriptor_or(selector, Vector::GeneralProtection, 0)?;
        self.note_checks(|_| {
            let [rpl, dpl, kind, present] = stack_checks(selector, descriptor, cpl);
            [rpl, kind, dpl, present]
        });
        if selector.rpl() != cpl || descriptor.dpl() != cpl || !descriptor.is_writable_data() {
            return Err(self.gp(selector.error_code()));
        }
        if !descriptor.present() {
            return Err(self.raise(Vector::StackFault, selector.error_code()));
        }
        self.take_segment(selector, descriptor)
    }

    /// Notes that a selector must not be null.
    #[inline(always)]
    pub(crate) fn note_not_null(&mut self, selector: Selector) {
        self.note_checks(|_| [Check::of(Rule::NotNull, selector.0, !selector.is_null())]);
    }

    /// The code descriptor that `RET` and `IRET` return to: a privilege level not above the current one.
    #[inline]
    pub(crate) fn return_code(&mut self, selector: Selector) -> Result<Descriptor, Stop> {
        self.note_not_null(selector);
        if selector.is_null() {
            return Err(self.gp(0));
        }
        let descriptor = self.descriptor_or(selector, Vector::GeneralProtection, 0)?;
        let rpl = selector.rpl();
        let fits = if descriptor.is_conforming() { descriptor.dpl() <= rpl } else { descriptor.dpl() == rpl };
        let mixed = self.is_long_code(descriptor) && descriptor.big();
        self.note_checks(|core| {
            [
                Check::of(Rule::CodeType, typed(descriptor), descriptor.is_code() && !mixed),
                Check::new(Rule::ReturnRpl, core.cpl, rpl, core.cpl <= rpl),
                Check::new(Rule::ReturnDpl, descriptor.dpl(), rpl, fits),
                Check::of(Rule::Present, selector.0, descriptor.present()),
            ]
        });
        if rpl < self.cpl || !descriptor.is_code() || !fits || mixed {
            return Err(self.gp(selector.error_code()));
        }
        if !descriptor.present() {
            return Err(self.raise(Vector::SegmentNotPresent, selector.error_code()));
        }
        Ok(descriptor)
    }

    /// After a return to an outer privilege level: data segments that it may not use become null (SDM vol. 2, RET).
    pub(crate) fn drop_inner_segments(&mut self) {
        for register in [seg::ES, seg::FS, seg::GS, seg::DS] {
            let kind = self.segs[register as usize].descriptor;
            if kind.present() && !kind.is_conforming() && kind.dpl() < self.cpl {
                self.set_data_segment(register, Segment::null(Selector(0)));
            }
        }
    }
}

/// What is checked of a stack's descriptor, in the order of `INT n`; `MOV`, `RET` and `IRET` ask for the type before the DPL.
pub(crate) fn stack_checks(selector: Selector, descriptor: Descriptor, cpl: u8) -> [Check; 4] {
    [
        Check::new(Rule::StackRpl, selector.rpl(), cpl, selector.rpl() == cpl),
        Check::new(Rule::StackDpl, descriptor.dpl(), cpl, descriptor.dpl() == cpl),
        Check::of(Rule::StackType, typed(descriptor), descriptor.is_writable_data()),
        Check::of(Rule::Present, selector.0, descriptor.present()),
    ]
}

/// Whether a system descriptor is a TSS, of either width, busy or not.
pub(crate) fn is_tss(descriptor: Descriptor) -> bool {
    descriptor.is_system() && matches!(descriptor.kind() & !BUSY, TSS_16 | TSS_32)
}
