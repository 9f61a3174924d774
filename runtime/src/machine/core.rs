//! The processor's state and the memory it works on: everything that an instruction may read or change.
//!
//! Plain data and small accessors; what instructions do with it is in `exec`, `gate`, `task` and their neighbours.

use super::cpuid::Model;
use super::devices::Devices;
use super::fault::{Exit, Fault, Stop, Vector};
use super::flags::Flags;
use super::memory::Memory;
use super::observe::Recorder;
use super::paging::Tlb;
use super::segment::Segment;
use super::width::Width;

/// Register numbers as instructions encode them.
pub(crate) mod reg {
    pub(crate) const AX: u8 = 0;
    pub(crate) const CX: u8 = 1;
    pub(crate) const DX: u8 = 2;
    pub(crate) const BX: u8 = 3;
    pub(crate) const SP: u8 = 4;
    pub(crate) const BP: u8 = 5;
    pub(crate) const SI: u8 = 6;
    pub(crate) const DI: u8 = 7;
    /// Always zero: the base or index that an address does not have.
    pub(crate) const ZERO: u8 = 16;
    /// Not a register: the base of an address that is relative to the next instruction.
    pub(crate) const IP: u8 = 17;
    /// Not a register: the base of an address that stands in the instruction, 64 bits of it.
    pub(crate) const ABSOLUTE: u8 = 18;
    /// Added to a byte register's number for AH, CH, DH, BH.
    pub(crate) const HIGH: u8 = 0x80;
}

/// Segment register numbers as instructions encode them, and the two system segments behind them.
pub(crate) mod seg {
    pub(crate) const ES: u8 = 0;
    pub(crate) const CS: u8 = 1;
    pub(crate) const SS: u8 = 2;
    pub(crate) const DS: u8 = 3;
    pub(crate) const FS: u8 = 4;
    pub(crate) const GS: u8 = 5;
    pub(crate) const LDTR: u8 = 6;
    pub(crate) const TR: u8 = 7;
}

/// CR0: protection enable.
pub(crate) const CR0_PE: u32 = 1 << 0;
/// CR0: monitor coprocessor (`WAIT` asks for CR0.TS too).
pub(crate) const CR0_MP: u32 = 1 << 1;
/// CR0: emulation (no FPU).
pub(crate) const CR0_EM: u32 = 1 << 2;
/// CR0: task switched.
pub(crate) const CR0_TS: u32 = 1 << 3;
/// CR0: extension type; always set.
pub(crate) const CR0_ET: u32 = 1 << 4;
/// CR0: write protect.
pub(crate) const CR0_WP: u32 = 1 << 16;
/// CR0: alignment mask.
pub(crate) const CR0_AM: u32 = 1 << 18;
/// CR0: paging.
pub(crate) const CR0_PG: u32 = 1 << 31;
/// CR4: page-size extensions (4 MiB pages).
pub(crate) const CR4_PSE: u32 = 1 << 4;
/// CR4: physical-address extension (8-byte paging entries).
pub(crate) const CR4_PAE: u32 = 1 << 5;
/// CR4: time-stamp disable: `RDTSC` only at CPL 0.
pub(crate) const CR4_TSD: u32 = 1 << 2;
/// CR4: global pages. No effect here: the whole TLB goes at every change of CR3.
pub(crate) const CR4_PGE: u32 = 1 << 7;
/// CR4: the operating system saves SSE state, and so SSE instructions may be used.
pub(crate) const CR4_OSFXSR: u32 = 1 << 9;
/// CR4: unmasked SSE floating-point exceptions are #XM.
pub(crate) const CR4_OSXMMEXCPT: u32 = 1 << 10;

/// EFER: `SYSCALL` enable.
pub(crate) const EFER_SCE: u64 = 1 << 0;
/// EFER: long mode enable.
pub(crate) const EFER_LME: u64 = 1 << 8;
/// EFER: long mode active; set by the processor when paging comes on with LME set.
pub(crate) const EFER_LMA: u64 = 1 << 10;
/// EFER: no-execute enable.
pub(crate) const EFER_NXE: u64 = 1 << 11;

/// DR6 bits that are always set (SDM vol. 3, 17.2.3).
pub(crate) const DR6_ALWAYS: u64 = 0xFFFF_0FF0;
/// DR7 bits that are always set (SDM vol. 3, 17.2.4).
pub(crate) const DR7_ALWAYS: u64 = 0x400;
/// The debug registers after a reset.
pub(crate) const DR_RESET: [u64; 8] = [0, 0, 0, 0, 0, 0, DR6_ALWAYS, DR7_ALWAYS];

/// Numbers of the model-specific registers of this machine (SDM vol. 4, table 2-2).
pub(crate) mod msr {
    /// IA32_TIME_STAMP_COUNTER.
    pub(crate) const TSC: u32 = 0x10;
    /// IA32_SYSENTER_CS.
    pub(crate) const SYSENTER_CS: u32 = 0x174;
    /// IA32_SYSENTER_ESP.
    pub(crate) const SYSENTER_ESP: u32 = 0x175;
    /// IA32_SYSENTER_EIP.
    pub(crate) const SYSENTER_EIP: u32 = 0x176;
    /// IA32_EFER.
    pub(crate) const EFER: u32 = 0xC000_0080;
    /// IA32_STAR.
    pub(crate) const STAR: u32 = 0xC000_0081;
    /// IA32_LSTAR.
    pub(crate) const LSTAR: u32 = 0xC000_0082;
    /// IA32_CSTAR.
    pub(crate) const CSTAR: u32 = 0xC000_0083;
    /// IA32_FMASK.
    pub(crate) const FMASK: u32 = 0xC000_0084;
    /// IA32_FS_BASE.
    pub(crate) const FS_BASE: u32 = 0xC000_0100;
    /// IA32_GS_BASE.
    pub(crate) const GS_BASE: u32 = 0xC000_0101;
    /// IA32_KERNEL_GS_BASE.
    pub(crate) const KERNEL_GS_BASE: u32 = 0xC000_0102;
    /// IA32_TSC_AUX.
    pub(crate) const TSC_AUX: u32 = 0xC000_0103;
}

/// GDTR or IDTR.
#[derive(Clone, Copy, Default, Debug, PartialEq, Eq)]
pub struct TableRegister {
    /// Linear address of the table.
    pub base: u64,
    /// Offset of its last byte.
    pub limit: u16,
}

/// What the model-specific registers hold, but for the time-stamp counter.
#[derive(Clone, Copy, Default, Debug)]
pub struct Msrs {
    /// IA32_SYSENTER_CS.
    pub sysenter_cs: u32,
    /// IA32_SYSENTER_ESP.
    pub sysenter_esp: u64,
    /// IA32_SYSENTER_EIP.
    pub sysenter_eip: u64,
    /// IA32_EFER, C0000080h.
    pub efer: u64,
    /// IA32_STAR, C0000081h.
    pub star: u64,
    /// IA32_LSTAR, C0000082h.
    pub lstar: u64,
    /// IA32_CSTAR, C0000083h.
    pub cstar: u64,
    /// IA32_FMASK, C0000084h.
    pub fmask: u64,
    /// IA32_KERNEL_GS_BASE, C0000102h. IA32_FS_BASE and IA32_GS_BASE are the bases of FS and GS themselves.
    pub kernel_gs_base: u64,
    /// IA32_TSC_AUX, C0000103h: what `RDTSCP` puts into ECX.
    pub tsc_aux: u32,
}

/// What instructions work on. `Machine` adds the decoded blocks and the run loop.
#[derive(Clone)]
pub(crate) struct Core {
    /// General registers 0 to 15, then zeroes (`reg::ZERO`); as many as a byte can name, so that no index needs a check.
    pub(crate) regs: [u64; 256],
    /// EIP of the block that is running.
    pub(crate) block_ip: u64,
    /// Where execution goes on after the block. A branch overwrites it.
    pub(crate) ip: u64,
    pub(crate) flags: Flags,
    /// ES, CS, SS, DS, FS, GS, LDTR, TR: selector and descriptor cache.
    pub(crate) segs: [Segment; 8],
    /// Current privilege level, 0 to 3.
    pub(crate) cpl: u8,
    /// All ones of the stack pointer's width: FFFFh or FFFFFFFFh by SS.B, 64 ones in 64-bit mode.
    pub(crate) stack_mask: u64,
    /// All ones of an instruction pointer's and a linear address's width: FFFFFFFFh, or 64 ones in 64-bit mode.
    pub(crate) ip_mask: u64,
    /// The highest instruction pointer that a branch may go to, after `ip_bias` was added: the code segment's limit, or in
    /// 64-bit mode the end of the canonical addresses.
    pub(crate) ip_limit: u64,
    /// 0; in 64-bit mode what moves the two canonical halves together, so that one comparison is enough.
    pub(crate) ip_bias: u64,
    /// Base and limit of the last code segment that was not a 64-bit one: what `context` counts besides translations.
    pub(crate) code_window: (u64, u32),
    pub(crate) gdtr: TableRegister,
    pub(crate) idtr: TableRegister,
    pub(crate) cr0: u32,
    pub(crate) cr2: u64,
    pub(crate) cr3: u64,
    pub(crate) cr4: u32,
    /// The task priority, 0 to 15. It holds back nothing: interrupts come from the 8259A only.
    pub(crate) cr8: u8,
    pub(crate) dr: [u64; 8],
    pub(crate) msrs: Msrs,
    /// XMM0 to XMM15.
    pub(crate) xmm: [u128; 16],
    pub(crate) mxcsr: u32,
    /// The FPU's control word; its other state is always that after `FNINIT`.
    pub(crate) fcw: u16,
    pub(crate) model: &'static Model,
    pub(crate) memory: Memory,
    pub(crate) tlb: Tlb,
    /// Names everything that a decoded block depends on besides its address: translations, CPL, code segment. Two equal
    /// values of it mean that the same EIP leads to the same block.
    pub(crate) context: u64,
    /// Instructions completed since the machine was made; also the time-stamp counter.
    pub(crate) retired: u64,
    /// No single-step trap after this instruction: `MOV SS` and `POP SS` hold it back (SDM vol. 3, 6.8.3), `INT n` and its
    /// kin clear TF on the way.
    pub(crate) shadow: bool,
    /// No interrupt before the next instruction: `STI` and loads of SS hold it back (SDM vol. 3, 6.8.1 and 6.8.3).
    pub(crate) inhibit: bool,
    /// `HLT` was executed, and an interrupt can end it.
    pub(crate) halted: bool,
    /// Where the run loop is to look around, as a count of instructions: 0 as soon as the block is done.
    pub(crate) pause: u64,
    /// What interrupts from outside.
    pub(crate) devices: Devices,
    /// How many instructions of the block were left when one stopped it, or branched out of it.
    pub(crate) left: usize,
    /// Details of `Stop::Fault`.
    pub(crate) fault: Fault,
    /// Details of `Stop::Exit`.
    pub(crate) exit: Option<Exit>,
    /// What the guest wrote to the debug console, port E9h.
    pub(crate) console: Vec<u8>,
    /// What happens is noted here while the machine is observed.
    pub(crate) recorder: Option<Box<Recorder>>,
}

impl Core {
    /// The general register's low `W` bits.
    #[inline(always)]
    pub(crate) fn reg<W: Width>(&self, r: u8) -> W {
        if W::BITS == 8 && r & reg::HIGH != 0 {
            return W::cut(self.regs[(r & 3) as usize] >> 8);
        }
        W::cut(self.regs[r as usize])
    }

    /// Writes the general register; a 32-bit write clears the upper half, a shorter one leaves the rest.
    #[inline(always)]
    pub(crate) fn set_reg<W: Width>(&mut self, r: u8, value: W) {
        if W::BITS == 8 && r & reg::HIGH != 0 {
            let slot = &mut self.regs[(r & 3) as usize];
            *slot = *slot & !0xFF00 | value.zx() << 8;
            return;
        }
        let slot = &mut self.regs[r as usize];
        *slot = if W::BITS >= 32 { value.zx() } else { *slot & !W::MASK | value.zx() };
    }

    /// ESP within the stack's width.
    #[inline(always)]
    pub(crate) fn sp(&self) -> u64 {
        self.regs[reg::SP as usize] & self.stack_mask
    }

    /// Changes ESP within the stack's width; the bits above stay.
    #[inline(always)]
    pub(crate) fn set_sp(&mut self, value: u64) {
        let slot = &mut self.regs[reg::SP as usize];
        *slot = *slot & !self.stack_mask | value & self.stack_mask;
    }

    /// Makes a fault the reason to stop.
    #[cold]
    pub(crate) fn raise(&mut self, vector: Vector, code: u32) -> Stop {
        self.fault = Fault { vector, code };
        Stop::Fault
    }

    /// #GP with this error code.
    #[cold]
    pub(crate) fn gp(&mut self, code: u32) -> Stop {
        self.raise(Vector::GeneralProtection, code)
    }

    /// #UD.
    #[cold]
    pub(crate) fn ud(&mut self) -> Stop {
        self.raise(Vector::InvalidOpcode, 0)
    }

    /// Ends the run.
    #[cold]
    pub(crate) fn leave(&mut self, exit: Exit) -> Stop {
        self.exit = Some(exit);
        Stop::Exit
    }

    /// Ends the run because of something this machine does not have. `what` names it; the run loop puts in the address.
    #[cold]
    pub(crate) fn unsupported(&mut self, what: &str) -> Stop {
        self.leave(Exit::Unsupported { address: self.ip, instruction: what.to_owned() })
    }

    /// Whether the code segment is a 64-bit one (and long mode is active).
    #[inline(always)]
    pub(crate) fn is_long(&self) -> bool {
        self.ip_mask == u64::MAX
    }

    /// Whether long mode is active, 64-bit or compatibility mode.
    #[inline(always)]
    pub(crate) fn long_mode(&self) -> bool {
        self.msrs.efer & EFER_LMA != 0
    }

    /// Whether paging is on.
    #[inline(always)]
    pub(crate) fn paging(&self) -> bool {
        self.cr0 & CR0_PG != 0
    }
}
