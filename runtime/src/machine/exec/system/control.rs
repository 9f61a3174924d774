//! Control, debug and model-specific registers, CPUID, the time-stamp counter, caches and TLB (SDM vol. 2; vol. 3, 2.5).

use iced_x86::{Code, Instruction, Mnemonic, OpKind};

use super::super::super::core::{
    CR0_AM, CR0_EM, CR0_ET, CR0_MP, CR0_PE, CR0_PG, CR0_TS, CR0_WP, CR4_PSE, CR4_TSD, Core, DR6_ALWAYS, DR7_ALWAYS,
    msr, reg,
};
use super::super::super::cpuid::feature;
use super::super::super::fault::Flow;
use super::super::super::op::{After, Op, Run, run};
use super::super::super::width::Width;
use super::super::operand::{gpr, memory, size};

/// CR0: numeric error.
const CR0_NE: u32 = 1 << 5;
/// CR0: not write-through.
const CR0_NW: u32 = 1 << 29;
/// CR0: cache disable.
const CR0_CD: u32 = 1 << 30;
/// The bits of CR0 that can be written; the rest read as zero.
const CR0_WRITABLE: u32 = CR0_PE | CR0_MP | CR0_EM | CR0_TS | CR0_NE | CR0_WP | CR0_AM | CR0_NW | CR0_CD | CR0_PG;
/// CR4: physical-address extension.
const CR4_PAE: u32 = 1 << 5;

/// The bits of DR6 that can be written: B0 to B3, BD, BS, BT.
const DR6_WRITABLE: u64 = 0xE00F;
/// The bits of DR7 that switch something on: L0 to G3 and GD.
const DR7_ENABLES: u64 = 0x20FF;
/// The bits of DR7 that are always clear.
const DR7_CLEAR: u64 = 0xD800;

/// `MOV r32, CRn` (`op.imm` = n).
fn read_cr(core: &mut Core, op: &Op) -> Flow {
    core.privileged()?;
    let value = match op.imm {
        0 => core.cr0,
        2 => core.cr2 as u32,
        3 => core.cr3 as u32,
        4 if core.model.has_cpuid => core.cr4,
        _ => return Err(core.ud()),
    };
    core.set_reg(op.r1, value);
    Ok(())
}

fn write_cr(core: &mut Core, op: &Op) -> Flow {
    core.privileged()?;
    let value = core.reg::<u32>(op.r2);
    match op.imm {
        0 => write_cr0(core, value),
        2 => {
            core.cr2 = u64::from(value);
            Ok(())
        }
        3 => {
            core.cr3 = u64::from(value);
            core.flush_tlb();
            Ok(())
        }
        4 if core.model.has_cpuid => write_cr4(core, value),
        _ => Err(core.ud()),
    }
}

fn write_cr0(core: &mut Core, value: u32) -> Flow {
    let new = value & CR0_WRITABLE | CR0_ET;
    let paging_unprotected = new & CR0_PG != 0 && new & CR0_PE == 0;
    let write_through_uncached = new & CR0_NW != 0 && new & CR0_CD == 0;
    if paging_unprotected || write_through_uncached {
        return Err(core.gp(0));
    }
    if new & CR0_PE == 0 {
        return Err(core.unsupported("leaving protected mode"));
    }
    let changed = core.cr0 ^ new;
    core.cr0 = new;
    if changed & (CR0_PG | CR0_WP | CR0_AM) != 0 {
        core.flush_tlb();
    }
    Ok(())
}

fn write_cr4(core: &mut Core, value: u32) -> Flow {
    let model = core.model;
    let page_sizes = if model.has(feature::PSE) { CR4_PSE } else { 0 };
    let time_stamp = if model.has(feature::TSC) { CR4_TSD } else { 0 };
    let beyond = value & !(page_sizes | time_stamp);
    if beyond & !model.cr4_beyond != 0 {
        return Err(core.gp(0));
    }
    if beyond != 0 {
        let what = if beyond & CR4_PAE != 0 { "physical-address extension (CR4.PAE)" } else { "this bit of CR4" };
        return Err(core.unsupported(what));
    }
    if core.cr4 ^ value & CR4_PSE != 0 {
        core.flush_tlb();
    }
    core.cr4 = value;
    Ok(())
}

/// `MOV r32, DRn`: 4 and 5 are other names of 6 and 7.
fn read_dr(core: &mut Core, op: &Op) -> Flow {
    core.privileged()?;
    let value = match op.imm {
        4 | 6 => core.dr[6] & DR6_WRITABLE | DR6_ALWAYS,
        5 | 7 => core.dr[7] | DR7_ALWAYS,
        n => core.dr[(n & 3) as usize],
    };
    core.set_reg(op.r1, value as u32);
    Ok(())
}

fn write_dr(core: &mut Core, op: &Op) -> Flow {
    core.privileged()?;
    let value = u64::from(core.reg::<u32>(op.r2));
    match op.imm {
        4 | 6 => core.dr[6] = value & DR6_WRITABLE | DR6_ALWAYS,
        5 | 7 => {
            if value & DR7_ENABLES != 0 {
                return Err(core.unsupported("debug-register breakpoint"));
            }
            core.dr[7] = value & !DR7_CLEAR | DR7_ALWAYS;
        }
        n => core.dr[(n & 3) as usize] = value,
    }
    Ok(())
}

fn clts(core: &mut Core, _: &Op) -> Flow {
    core.privileged()?;
    core.cr0 &= !CR0_TS;
    Ok(())
}

/// `SMSW` to a register: as much of CR0 as the register takes.
fn smsw_reg<W: Width>(core: &mut Core, op: &Op) -> Flow {
    core.set_reg(op.r1, W::cut(u64::from(core.cr0)));
    Ok(())
}

fn smsw_mem(core: &mut Core, op: &Op) -> Flow {
    core.store(op.seg, core.address(op), core.cr0 as u16)
}

/// `LMSW`: the four low bits of CR0; PE can be set this way, not cleared.
fn lmsw<const MEM: bool>(core: &mut Core, op: &Op) -> Flow {
    core.privileged()?;
    let value = if MEM { core.load::<u16>(op.seg, core.address(op))? } else { core.reg::<u16>(op.r2) };
    let mask = CR0_MP | CR0_EM | CR0_TS;
    core.cr0 = core.cr0 & !mask | u32::from(value) & mask;
    Ok(())
}

fn rdmsr(core: &mut Core, _: &Op) -> Flow {
    core.privileged()?;
    let sep = core.model.has(feature::SEP);
    let value = match core.reg::<u32>(reg::CX) {
        msr::TSC if core.model.has(feature::TSC) => core.retired,
        msr::SYSENTER_CS if sep => u64::from(core.msrs.sysenter_cs),
        msr::SYSENTER_ESP if sep => core.msrs.sysenter_esp,
        msr::SYSENTER_EIP if sep => core.msrs.sysenter_eip,
        _ => return Err(core.gp(0)),
    };
    core.set_pair(value);
    Ok(())
}

fn wrmsr(core: &mut Core, _: &Op) -> Flow {
    core.privileged()?;
    let sep = core.model.has(feature::SEP);
    let value = core.reg::<u32>(reg::AX);
    match core.reg::<u32>(reg::CX) {
        msr::TSC if core.model.has(feature::TSC) => return Err(core.unsupported("writing the time-stamp counter")),
        msr::SYSENTER_CS if sep => core.msrs.sysenter_cs = value,
        msr::SYSENTER_ESP if sep => core.msrs.sysenter_esp = u64::from(value),
        msr::SYSENTER_EIP if sep => core.msrs.sysenter_eip = u64::from(value),
        _ => return Err(core.gp(0)),
    }
    Ok(())
}

fn cpuid(core: &mut Core, _: &Op) -> Flow {
    let [eax, ebx, ecx, edx] = core.model.leaf(core.reg(reg::AX));
    core.set_reg(reg::AX, eax);
    core.set_reg(reg::BX, ebx);
    core.set_reg(reg::CX, ecx);
    core.set_reg(reg::DX, edx);
    Ok(())
}

/// `RDTSC`: one tick an instruction, as counted when its block began. It ends the block, so two never read the same.
fn rdtsc(core: &mut Core, _: &Op) -> Flow {
    if core.cr4 & CR4_TSD != 0 {
        core.privileged()?;
    }
    core.set_pair(core.retired);
    Ok(())
}

/// `RDPMC`: CR4.PCE can't be set, so it is for CPL 0; and there it would have to count.
fn rdpmc(core: &mut Core, _: &Op) -> Flow {
    core.privileged()?;
    Err(core.unsupported("performance counter"))
}

/// `INVD` and `WBINVD`: no cache whose contents could be seen.
fn cache(core: &mut Core, _: &Op) -> Flow {
    core.privileged()
}

/// `INVLPG`. All translations go: the manual allows more than the page that is asked for.
fn invlpg(core: &mut Core, _: &Op) -> Flow {
    core.privileged()?;
    core.flush_tlb();
    Ok(())
}

impl Core {
    /// EDX:EAX.
    fn set_pair(&mut self, value: u64) {
        self.set_reg(reg::AX, value as u32);
        self.set_reg(reg::DX, (value >> 32) as u32);
    }
}

fn lower_moves(instruction: &Instruction, op: &mut Op) -> Option<Run> {
    let number = |operand: u32| instruction.op_register(operand).number() as u64;
    Some(match instruction.code() {
        Code::Mov_r32_cr | Code::Mov_r32_dr => {
            op.r1 = gpr(instruction.op0_register())?;
            op.imm = number(1);
            if instruction.code() == Code::Mov_r32_cr { run!(read_cr) } else { run!(read_dr) }
        }
        Code::Mov_cr_r32 | Code::Mov_dr_r32 => {
            op.r2 = gpr(instruction.op1_register())?;
            op.imm = number(0);
            if instruction.code() == Code::Mov_cr_r32 { run!(write_cr) } else { run!(write_dr) }
        }
        _ => return None,
    })
}

fn lower_status(instruction: &Instruction, op: &mut Op) -> Option<Run> {
    let mem = instruction.op0_kind() == OpKind::Memory;
    if mem {
        memory(instruction, op);
    } else {
        let register = gpr(instruction.op0_register())?;
        (op.r1, op.r2) = (register, register);
    }
    Some(match (instruction.mnemonic(), mem) {
        (Mnemonic::Smsw, true) => run!(smsw_mem),
        (Mnemonic::Smsw, false) if size(instruction, 0) == 2 => run!(smsw_reg::<u16>),
        (Mnemonic::Smsw, false) => run!(smsw_reg::<u32>),
        (_, true) => run!(lmsw::<true>),
        (_, false) => run!(lmsw::<false>),
    })
}

pub(super) fn lower(instruction: &Instruction, op: &mut Op) -> Option<After> {
    if let Some(run) = lower_moves(instruction, op) {
        op.run = run;
        return Some(After::Ends);
    }
    op.run = match instruction.mnemonic() {
        Mnemonic::Smsw | Mnemonic::Lmsw => lower_status(instruction, op)?,
        Mnemonic::Clts => run!(clts),
        Mnemonic::Rdmsr => run!(rdmsr),
        Mnemonic::Wrmsr => run!(wrmsr),
        Mnemonic::Cpuid => run!(cpuid),
        Mnemonic::Rdtsc => run!(rdtsc),
        Mnemonic::Rdpmc => run!(rdpmc),
        Mnemonic::Invd | Mnemonic::Wbinvd => run!(cache),
        Mnemonic::Invlpg => run!(invlpg),
        _ => return None,
    };
    Some(After::Ends)
}
