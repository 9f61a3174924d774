//! State: MXCSR, `FXSAVE` and `FXRSTOR`; of the FPU, whose registers nothing here can change, its control word; and the
//! instructions that order memory accesses or give hints about them (SDM vol. 1, 10.5; vol. 2).

use iced_x86::{Instruction, Mnemonic, OpKind};

use super::super::super::core::{CR0_EM, CR0_TS, CR4_OSFXSR, Core, reg};
use super::super::super::fault::{Flow, Stop, Vector};
use super::super::super::op::{Op, Run, run};
use super::super::super::paging::Access;
use super::super::operand::memory;
use super::FCW_RESET;

/// The bits of MXCSR that can be set.
const MXCSR_MASK: u32 = 0xFFFF;

/// The FXSAVE area (SDM vol. 1, figure 10-5).
mod area {
    pub(super) const SIZE: u64 = 512;
    /// MXCSR, and above it the mask of its bits that can be set.
    pub(super) const MXCSR: u64 = 24;
    /// Eight FPU registers.
    pub(super) const ST: u64 = 32;
    /// 16 registers; eight outside 64-bit mode.
    pub(super) const XMM: u64 = 160;
}

impl Core {
    /// #NM unless FPU state may be touched.
    fn allow_fpu(&mut self) -> Flow {
        if self.cr0 & (CR0_EM | CR0_TS) == 0 { Ok(()) } else { Err(self.raise(Vector::DeviceNotAvailable, 0)) }
    }

    /// The linear address of an FXSAVE area: aligned to 16, and every byte of it allows the access.
    fn area(&mut self, op: &Op, access: Access) -> Result<u64, Stop> {
        self.allow_fpu()?;
        let linear = self.checked_linear(op.seg, self.address(op), area::SIZE, access.write)?;
        if linear & 15 != 0 {
            return Err(self.gp(0));
        }
        self.probe(linear, area::SIZE, access)?;
        Ok(linear)
    }

    /// How many XMM registers there are in an FXSAVE area; none if the operating system has not said that it saves them.
    fn saved_registers(&self) -> usize {
        match (self.cr4 & CR4_OSFXSR != 0, self.is_long()) {
            (false, _) => 0,
            (true, true) => 16,
            (true, false) => 8,
        }
    }
}

fn ldmxcsr(core: &mut Core, op: &Op) -> Flow {
    core.allow_sse()?;
    let value = core.load::<u32>(op.seg, core.address(op))?;
    if value & !MXCSR_MASK != 0 {
        return Err(core.gp(0));
    }
    core.mxcsr = value;
    Ok(())
}

fn stmxcsr(core: &mut Core, op: &Op) -> Flow {
    core.allow_sse()?;
    core.store(op.seg, core.address(op), core.mxcsr)
}

/// `FXSAVE` and `FXSAVE64`, which differ in the FPU's instruction pointer only, and that is zero.
fn fxsave(core: &mut Core, op: &Op) -> Flow {
    let user = core.cpl == 3;
    let linear = core.area(op, Access::write(user))?;
    let mut values = vec![(0, u64::from(core.fcw)), (8, 0), (16, 0)];
    values.push((area::MXCSR, u64::from(MXCSR_MASK) << 32 | u64::from(core.mxcsr)));
    values.extend((0..16).map(|i| (area::ST + 8 * i, 0)));
    for (i, register) in core.xmm[..core.saved_registers()].iter().enumerate() {
        let at = area::XMM + 16 * i as u64;
        values.extend([(at, *register as u64), (at + 8, (*register >> 64) as u64)]);
    }
    let mut left = Ok(());
    for (offset, value) in values {
        match core.store_linear(linear + offset, value, user) {
            Err(Stop::Leave) => left = Err(Stop::Leave),
            other => other?,
        }
    }
    left
}

/// `FXRSTOR` and `FXRSTOR64`. FPU registers that are not as `FNINIT` leaves them can't be kept: the guest would have to
/// have made them up.
fn fxrstor(core: &mut Core, op: &Op) -> Flow {
    let user = core.cpl == 3;
    let linear = core.area(op, Access::read(user))?;
    let mxcsr: u32 = core.load_linear(linear + area::MXCSR, user)?;
    if mxcsr & !MXCSR_MASK != 0 {
        return Err(core.gp(0));
    }
    let words: u64 = core.load_linear(linear, user)?;
    if words >> 16 & 0xFFFF != 0 || words >> 32 & 0xFF != 0 {
        return Err(core.unsupported("FXRSTOR of FPU state"));
    }
    for i in 0..core.saved_registers() {
        let at = linear + area::XMM + 16 * i as u64;
        let low = core.load_linear(at, user)?;
        core.xmm[i] = super::wide(low, core.load_linear(at + 8, user)?);
    }
    if core.cr4 & CR4_OSFXSR != 0 {
        core.mxcsr = mxcsr;
    }
    core.fcw = words as u16;
    Ok(())
}

fn fninit(core: &mut Core, _: &Op) -> Flow {
    core.allow_fpu()?;
    core.fcw = FCW_RESET;
    Ok(())
}

/// `FNCLEX`: there is nothing to clear.
fn fnclex(core: &mut Core, _: &Op) -> Flow {
    core.allow_fpu()
}

fn fldcw(core: &mut Core, op: &Op) -> Flow {
    core.allow_fpu()?;
    core.fcw = core.load::<u16>(op.seg, core.address(op))?;
    Ok(())
}

fn fnstcw(core: &mut Core, op: &Op) -> Flow {
    core.allow_fpu()?;
    core.store(op.seg, core.address(op), core.fcw)
}

/// `FNSTSW`: no exception, no condition, an empty stack.
fn fnstsw<const MEM: bool>(core: &mut Core, op: &Op) -> Flow {
    core.allow_fpu()?;
    if MEM {
        return core.store(op.seg, core.address(op), 0u16);
    }
    core.set_reg(reg::AX, 0u16);
    Ok(())
}

/// Fences and prefetches: there is nothing to order or to fetch.
fn nothing(_: &mut Core, _: &Op) -> Flow {
    Ok(())
}

/// `CLFLUSH` checks what it flushes as a read.
fn clflush(core: &mut Core, op: &Op) -> Flow {
    core.load::<u8>(op.seg, core.address(op)).map(|_| ())
}

pub(super) fn lower(instruction: &Instruction, op: &mut Op) -> Option<Run> {
    use Mnemonic as M;
    let mem = instruction.op0_kind() == OpKind::Memory;
    let run = match instruction.mnemonic() {
        M::Ldmxcsr => run!(ldmxcsr),
        M::Stmxcsr => run!(stmxcsr),
        M::Fxsave | M::Fxsave64 => run!(fxsave),
        M::Fxrstor | M::Fxrstor64 => run!(fxrstor),
        M::Fninit => run!(fninit),
        M::Fnclex => run!(fnclex),
        M::Fldcw => run!(fldcw),
        M::Fnstcw => run!(fnstcw),
        M::Fnstsw if mem => run!(fnstsw::<true>),
        M::Fnstsw => run!(fnstsw::<false>),
        M::Mfence | M::Lfence | M::Sfence => run!(nothing),
        M::Prefetchnta | M::Prefetcht0 | M::Prefetcht1 | M::Prefetcht2 => run!(nothing),
        M::Clflush => run!(clflush),
        _ => return None,
    };
    if instruction.op_count() == 1 && mem {
        memory(instruction, op);
    }
    Some(run)
}
