//! Control and debug registers, CPUID, the time-stamp counter, caches and TLB (SDM vol. 2; vol. 3, 2.5).

use iced_x86::{Code, Instruction, Mnemonic, OpKind};

use super::super::super::breakpoint;
use super::super::super::core::{CR0_EM, CR0_MP, CR0_TS, CR4_TSD, Core, DR6_ALWAYS, DR7_ALWAYS, reg};
use super::super::super::fault::Flow;
use super::super::super::op::{After, Op, Run, run};
use super::super::super::width::Width;
use super::super::operand::{gpr, memory, size};
use super::msr;

/// The bits of DR6 that can be written: B0 to B3, BD, BS, BT.
const DR6_WRITABLE: u64 = 0xE00F;
/// The bits of DR7 that are always clear.
const DR7_CLEAR: u64 = 0xD800;

/// `MOV r, CRn` (`op.imm` = n).
fn read_cr<W: Width>(core: &mut Core, op: &Op) -> Flow {
    core.privileged()?;
    let value = match op.imm {
        0 => u64::from(core.cr0),
        2 => core.cr2,
        3 => core.cr3,
        4 if core.model.has_cpuid => u64::from(core.cr4),
        8 if W::BITS == 64 => u64::from(core.cr8),
        _ => return Err(core.ud()),
    };
    core.set_reg(op.r1, W::cut(value));
    Ok(())
}

fn write_cr<W: Width>(core: &mut Core, op: &Op) -> Flow {
    core.privileged()?;
    let value = core.reg::<W>(op.r2).zx();
    match op.imm {
        0 => core.write_cr0(value),
        2 => {
            core.cr2 = value;
            Ok(())
        }
        3 => core.write_cr3(value),
        4 if core.model.has_cpuid => core.write_cr4(value),
        8 if W::BITS == 64 => {
            if value > 15 {
                return Err(core.gp(0));
            }
            core.cr8 = value as u8;
            Ok(())
        }
        _ => Err(core.ud()),
    }
}

/// `MOV r, DRn`: 4 and 5 are other names of 6 and 7.
fn read_dr<W: Width>(core: &mut Core, op: &Op) -> Flow {
    core.privileged()?;
    let value = match op.imm {
        4 | 6 => core.dr[6] & DR6_WRITABLE | DR6_ALWAYS,
        5 | 7 => core.dr[7] | DR7_ALWAYS,
        n => core.dr[(n & 3) as usize],
    };
    core.set_reg(op.r1, W::cut(value));
    Ok(())
}

fn write_dr<W: Width>(core: &mut Core, op: &Op) -> Flow {
    core.privileged()?;
    let value = core.reg::<W>(op.r2).zx();
    if op.imm > 3 && value >> 32 != 0 {
        return Err(core.gp(0));
    }
    match op.imm {
        4 | 6 => core.dr[6] = value & DR6_WRITABLE | DR6_ALWAYS,
        5 | 7 => {
            if !breakpoint::is_supported(value) {
                return Err(core.unsupported("debug-register breakpoint on data"));
            }
            core.pause = 0;
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

/// `RDTSCP`: the same, and IA32_TSC_AUX.
fn rdtscp(core: &mut Core, op: &Op) -> Flow {
    rdtsc(core, op)?;
    core.set_reg(reg::CX, core.msrs.tsc_aux);
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
    pub(super) fn set_pair(&mut self, value: u64) {
        self.set_reg(reg::AX, value as u32);
        self.set_reg(reg::DX, (value >> 32) as u32);
    }
}

fn lower_moves(instruction: &Instruction, op: &mut Op) -> Option<Run> {
    let number = |operand: u32| instruction.op_register(operand).number() as u64;
    Some(match instruction.code() {
        Code::Mov_r32_cr | Code::Mov_r32_dr | Code::Mov_r64_cr | Code::Mov_r64_dr => {
            op.r1 = gpr(instruction.op0_register())?;
            op.imm = number(1);
            match instruction.code() {
                Code::Mov_r32_cr => run!(read_cr::<u32>),
                Code::Mov_r64_cr => run!(read_cr::<u64>),
                Code::Mov_r32_dr => run!(read_dr::<u32>),
                _ => run!(read_dr::<u64>),
            }
        }
        Code::Mov_cr_r32 | Code::Mov_dr_r32 | Code::Mov_cr_r64 | Code::Mov_dr_r64 => {
            op.r2 = gpr(instruction.op1_register())?;
            op.imm = number(0);
            match instruction.code() {
                Code::Mov_cr_r32 => run!(write_cr::<u32>),
                Code::Mov_cr_r64 => run!(write_cr::<u64>),
                Code::Mov_dr_r32 => run!(write_dr::<u32>),
                _ => run!(write_dr::<u64>),
            }
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
        Mnemonic::Rdmsr => run!(msr::rdmsr),
        Mnemonic::Wrmsr => run!(msr::wrmsr),
        Mnemonic::Cpuid => run!(cpuid),
        Mnemonic::Rdtsc => run!(rdtsc),
        Mnemonic::Rdtscp => run!(rdtscp),
        Mnemonic::Rdpmc => run!(rdpmc),
        Mnemonic::Invd | Mnemonic::Wbinvd => run!(cache),
        Mnemonic::Invlpg => run!(invlpg),
        _ => return None,
    };
    Some(After::Ends)
}
