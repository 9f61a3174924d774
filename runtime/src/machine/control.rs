//! Control registers and IA32_EFER: what may be written, and how the processor comes into and out of its modes
//! (SDM vol. 3, 2.2.1, 2.5 and 9.8.5).

use super::core::{
    CR0_AM, CR0_EM, CR0_ET, CR0_MP, CR0_PE, CR0_PG, CR0_TS, CR0_WP, CR4_OSFXSR, CR4_OSXMMEXCPT, CR4_PAE, CR4_PGE,
    CR4_PSE, CR4_TSD, Core, EFER_LMA, EFER_LME, EFER_NXE, EFER_SCE, seg,
};
use super::cpuid::{extended, feature};
use super::descriptor::{BUSY, TSS_16};
use super::fault::Flow;
use super::walk;

/// CR0: numeric error.
const CR0_NE: u32 = 1 << 5;
/// CR0: not write-through.
const CR0_NW: u32 = 1 << 29;
/// CR0: cache disable.
const CR0_CD: u32 = 1 << 30;
/// The bits of CR0 that can be written; the rest read as zero.
const CR0_WRITABLE: u32 = CR0_PE | CR0_MP | CR0_EM | CR0_TS | CR0_NE | CR0_WP | CR0_AM | CR0_NW | CR0_CD | CR0_PG;

/// The bits of CR4 that this machine has, each with the feature that a processor must have for it.
const CR4_FEATURES: [(u32, u32); 6] = [
    (CR4_PSE, feature::PSE),
    (CR4_TSD, feature::TSC),
    (CR4_PAE, feature::PAE),
    (CR4_PGE, feature::PGE),
    (CR4_OSFXSR, feature::FXSR),
    (CR4_OSXMMEXCPT, feature::SSE),
];

impl Core {
    pub(crate) fn write_cr0(&mut self, value: u64) -> Flow {
        let new = value as u32 & CR0_WRITABLE | CR0_ET;
        let paging_unprotected = new & CR0_PG != 0 && new & CR0_PE == 0;
        let write_through_uncached = new & CR0_NW != 0 && new & CR0_CD == 0;
        if value >> 32 != 0 || paging_unprotected || write_through_uncached {
            return Err(self.gp(0));
        }
        if new & CR0_PE == 0 {
            return Err(self.unsupported("leaving protected mode"));
        }
        let changed = self.cr0 ^ new;
        if changed & CR0_PG != 0 {
            self.switch_paging(new & CR0_PG != 0)?;
        }
        self.cr0 = new;
        if changed & (CR0_PG | CR0_WP | CR0_AM) != 0 {
            self.flush_tlb();
        }
        Ok(())
    }

    /// Paging goes on or off, and with IA32_EFER.LME set long mode too: into compatibility mode, and out of it.
    fn switch_paging(&mut self, on: bool) -> Flow {
        if !on {
            if self.is_long() {
                return Err(self.gp(0));
            }
            self.msrs.efer &= !EFER_LMA;
            return Ok(());
        }
        if self.msrs.efer & EFER_LME == 0 {
            return self.check_directory_pointers(self.cr3, self.cr4);
        }
        let tr = self.segs[seg::TR as usize];
        let short_tss = tr.is_usable() && tr.descriptor.kind() & !BUSY == TSS_16;
        if self.cr4 & CR4_PAE == 0 || self.segs[seg::CS as usize].descriptor.long() || short_tss {
            return Err(self.gp(0));
        }
        self.msrs.efer |= EFER_LMA;
        Ok(())
    }

    pub(crate) fn write_cr3(&mut self, value: u64) -> Flow {
        if self.long_mode() {
            if value & walk::BEYOND != 0 {
                return Err(self.gp(0));
            }
        } else if self.paging() {
            self.check_directory_pointers(value, self.cr4)?;
        }
        self.cr3 = value;
        self.flush_tlb();
        Ok(())
    }

    pub(crate) fn write_cr4(&mut self, value: u64) -> Flow {
        let model = self.model;
        let has = |(bit, feature): &(u32, u32)| if model.has(*feature) { *bit } else { 0 };
        let known = CR4_FEATURES.iter().map(has).fold(0, |all, bit| all | bit);
        let new = value as u32;
        let beyond = new & !known;
        let leaves_wide_tables = self.long_mode() && new & CR4_PAE == 0;
        if value >> 32 != 0 || beyond & !model.cr4_beyond != 0 || leaves_wide_tables {
            return Err(self.gp(0));
        }
        if beyond != 0 {
            let what = if beyond & CR4_PAE != 0 { "physical-address extension (CR4.PAE)" } else { "this bit of CR4" };
            return Err(self.unsupported(what));
        }
        let changed = self.cr4 ^ new;
        if changed & CR4_PAE != 0 && self.paging() {
            self.check_directory_pointers(self.cr3, new)?;
        }
        if changed & (CR4_PSE | CR4_PAE | CR4_PGE) != 0 {
            self.flush_tlb();
        }
        self.cr4 = new;
        Ok(())
    }

    /// PAE paging loads its four directory pointers when paging or PAE comes on and with CR3: #GP(0) if one that is
    /// present has reserved bits set (SDM vol. 3, 4.4.1).
    fn check_directory_pointers(&mut self, cr3: u64, cr4: u32) -> Flow {
        if cr4 & CR4_PAE == 0 {
            return Ok(());
        }
        let table = cr3 & 0xFFFF_FFE0;
        let bad = (0..4).any(|i| walk::is_bad_pointer(self.memory.read(table + 8 * i)));
        if bad { Err(self.gp(0)) } else { Ok(()) }
    }

    /// Writes IA32_EFER. LMA is the processor's own: what is written there does not count.
    pub(crate) fn write_efer(&mut self, value: u64) -> Flow {
        let known = [(EFER_SCE, extended::SYSCALL), (EFER_LME, extended::LM), (EFER_NXE, extended::NX)];
        let writable =
            known.iter().filter(|(_, feature)| self.model.has_extended(*feature)).fold(0, |all, (bit, _)| all | bit);
        let changed = self.msrs.efer ^ value;
        if value & !(writable | EFER_LMA) != 0 || changed & EFER_LME != 0 && self.paging() {
            return Err(self.gp(0));
        }
        self.msrs.efer = value & writable | self.msrs.efer & EFER_LMA;
        if changed & EFER_NXE != 0 {
            self.flush_tlb();
        }
        Ok(())
    }
}
