//! Model-specific registers (SDM vol. 2, RDMSR, WRMSR; vol. 4, table 2-2). One that the processor does not have is #GP(0),
//! as are a reserved bit and an address that is not canonical.

use super::super::super::core::msr::{
    CSTAR, EFER, FMASK, FS_BASE, GS_BASE, KERNEL_GS_BASE, LSTAR, STAR, SYSENTER_CS, SYSENTER_EIP, SYSENTER_ESP, TSC,
    TSC_AUX,
};
use super::super::super::core::{Core, reg, seg};
use super::super::super::cpuid::{extended, feature};
use super::super::super::fault::{Flow, Stop};
use super::super::super::mode::is_canonical;
use super::super::super::observe::Event;
use super::super::super::op::Op;

/// Whether the processor has the register.
fn exists(core: &Core, number: u32) -> bool {
    let model = core.model;
    match number {
        TSC => model.has(feature::TSC),
        SYSENTER_CS | SYSENTER_ESP | SYSENTER_EIP => model.has(feature::SEP),
        EFER => model.has_extended(extended::LM | extended::NX | extended::SYSCALL),
        STAR | LSTAR | CSTAR | FMASK | FS_BASE | GS_BASE | KERNEL_GS_BASE => model.has_extended(extended::LM),
        TSC_AUX => model.has_extended(extended::RDTSCP),
        _ => false,
    }
}

pub(super) fn rdmsr(core: &mut Core, _: &Op) -> Flow {
    core.privileged()?;
    let number = core.reg::<u32>(reg::CX);
    let Some(value) = read(core, number) else { return Err(core.gp(0)) };
    core.note(|_| Event::ReadMsr { number, value });
    core.set_pair(value);
    Ok(())
}

/// What the register holds; `None` if the processor does not have it.
pub(crate) fn read(core: &Core, number: u32) -> Option<u64> {
    if !exists(core, number) {
        return None;
    }
    let msrs = &core.msrs;
    Some(match number {
        TSC => core.retired,
        SYSENTER_CS => u64::from(msrs.sysenter_cs),
        SYSENTER_ESP => msrs.sysenter_esp,
        SYSENTER_EIP => msrs.sysenter_eip,
        EFER => msrs.efer,
        STAR => msrs.star,
        LSTAR => msrs.lstar,
        CSTAR => msrs.cstar,
        FMASK => msrs.fmask,
        FS_BASE => core.segs[seg::FS as usize].base,
        GS_BASE => core.segs[seg::GS as usize].base,
        KERNEL_GS_BASE => msrs.kernel_gs_base,
        _ => u64::from(msrs.tsc_aux),
    })
}

/// The value, if it is canonical.
fn canonical(core: &mut Core, value: u64) -> Result<u64, Stop> {
    if is_canonical(value) { Ok(value) } else { Err(core.gp(0)) }
}

/// The value, if its upper half is clear.
fn short(core: &mut Core, value: u64) -> Result<u32, Stop> {
    u32::try_from(value).map_err(|_| core.gp(0))
}

pub(super) fn wrmsr(core: &mut Core, _: &Op) -> Flow {
    core.privileged()?;
    let value = u64::from(core.reg::<u32>(reg::DX)) << 32 | u64::from(core.reg::<u32>(reg::AX));
    let number = core.reg::<u32>(reg::CX);
    if exists(core, number) {
        core.note(|_| Event::WriteMsr { number, value });
    }
    write(core, number, value)
}

/// Changes the register, with the faults of the instruction.
pub(crate) fn write(core: &mut Core, number: u32, value: u64) -> Flow {
    if !exists(core, number) {
        return Err(core.gp(0));
    }
    let low = value as u32;
    // The SYSENTER addresses of a processor without long mode have 32 bits.
    let address = if core.model.has_extended(extended::LM) { value } else { u64::from(low) };
    match number {
        TSC => return Err(core.unsupported("writing the time-stamp counter")),
        SYSENTER_CS => core.msrs.sysenter_cs = low,
        SYSENTER_ESP => core.msrs.sysenter_esp = canonical(core, address)?,
        SYSENTER_EIP => core.msrs.sysenter_eip = canonical(core, address)?,
        EFER => core.write_efer(value)?,
        STAR => core.msrs.star = value,
        LSTAR => core.msrs.lstar = canonical(core, value)?,
        CSTAR => core.msrs.cstar = canonical(core, value)?,
        FMASK => core.msrs.fmask = u64::from(short(core, value)?),
        FS_BASE => {
            let base = canonical(core, value)?;
            core.set_base(seg::FS, base);
        }
        GS_BASE => {
            let base = canonical(core, value)?;
            core.set_base(seg::GS, base);
        }
        KERNEL_GS_BASE => core.msrs.kernel_gs_base = canonical(core, value)?,
        _ => core.msrs.tsc_aux = short(core, value)?,
    }
    Ok(())
}
