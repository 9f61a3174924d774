//! Descriptor tables, task register, and the instructions that ask what a selector is good for (SDM vol. 2, LGDT, LLDT,
//! LTR, SGDT, SLDT, STR, LAR, LSL, VERR, VERW, ARPL).

use iced_x86::{Code, Instruction, Mnemonic, OpKind};

use super::super::super::core::{Core, TableRegister, seg};
use super::super::super::descriptor::{BUSY, LDT, TSS_16, TSS_32};
use super::super::super::far::is_available_tss;
use super::super::super::fault::{Flow, Stop, Vector};
use super::super::super::mode::is_canonical;
use super::super::super::op::{After, Op, Run, run};
use super::super::super::paging::Access;
use super::super::super::segment::{Descriptor, Segment, Selector};
use super::super::super::width::Width;
use super::super::operand::{gpr, memory, size};

/// The base that a 16-bit operand size leaves of a table register.
const BASE_24: u64 = 0x00FF_FFFF;
/// And the other sizes.
const BASE_32: u64 = 0xFFFF_FFFF;
const BASE_64: u64 = u64::MAX;

/// The selector operand: register or memory, by `MEM`.
#[inline(always)]
fn selector<const MEM: bool>(core: &mut Core, op: &Op) -> Result<Selector, Stop> {
    let value = if MEM { core.load::<u16>(op.seg, core.address(op))? } else { core.reg::<u16>(op.r2) };
    Ok(Selector(value))
}

fn read_table(core: &mut Core, op: &Op) -> Result<TableRegister, Stop> {
    core.privileged()?;
    let address = core.address(op);
    let wrap = u64::MAX >> (op.narrow & 63);
    let limit = core.load::<u16>(op.seg, address)?;
    let at = address.wrapping_add(2) & wrap;
    if op.imm == BASE_64 {
        let base = core.load::<u64>(op.seg, at)?;
        if !is_canonical(base) {
            return Err(core.gp(0));
        }
        return Ok(TableRegister { base, limit });
    }
    let base = core.load::<u32>(op.seg, at)?;
    Ok(TableRegister { base: u64::from(base & op.imm as u32), limit })
}

fn lgdt(core: &mut Core, op: &Op) -> Flow {
    core.gdtr = read_table(core, op)?;
    Ok(())
}

fn lidt(core: &mut Core, op: &Op) -> Flow {
    core.idtr = read_table(core, op)?;
    Ok(())
}

/// `SGDT` and `SIDT`, at any CPL. All six (in 64-bit mode ten) bytes are found writable before the first is written.
fn write_table(core: &mut Core, op: &Op, table: TableRegister) -> Flow {
    let address = core.address(op);
    let size = if op.imm == BASE_64 { 10 } else { 6 };
    let linear = core.checked_linear(op.seg, address, size, true)?;
    core.probe(linear, size, Access::write(core.cpl == 3))?;
    let limit = core.store(op.seg, address, table.limit);
    let at = address.wrapping_add(2);
    let base = if op.imm == BASE_64 {
        core.store(op.seg, at, table.base)
    } else {
        core.store(op.seg, at, table.base as u32 & op.imm as u32)
    };
    limit.and(base)
}

fn sgdt(core: &mut Core, op: &Op) -> Flow {
    let table = core.gdtr;
    write_table(core, op, table)
}

fn sidt(core: &mut Core, op: &Op) -> Flow {
    let table = core.idtr;
    write_table(core, op, table)
}

/// The descriptor for `LLDT` and `LTR`: in the GDT, accepted by `fits`, present.
fn system_descriptor(core: &mut Core, selector: Selector, fits: fn(Descriptor) -> bool) -> Result<Descriptor, Stop> {
    if selector.is_local() {
        return Err(core.gp(selector.error_code()));
    }
    let descriptor = core.descriptor_or(selector, Vector::GeneralProtection, 0)?;
    if !fits(descriptor) {
        return Err(core.gp(selector.error_code()));
    }
    if !descriptor.present() {
        return Err(core.raise(Vector::SegmentNotPresent, selector.error_code()));
    }
    Ok(descriptor)
}

/// The cache for LDTR or TR: in IA-32e mode with a base of 64 bits.
fn system_segment(core: &mut Core, selector: Selector, descriptor: Descriptor) -> Result<Segment, Stop> {
    let mut segment = Segment::new(selector, descriptor);
    if core.long_mode() {
        segment.base = core.upper_base(selector, descriptor)?;
    }
    Ok(segment)
}

fn lldt<const MEM: bool>(core: &mut Core, op: &Op) -> Flow {
    core.privileged()?;
    let selector = selector::<MEM>(core, op)?;
    core.segs[seg::LDTR as usize] = if selector.is_null() {
        Segment::null(selector)
    } else {
        let descriptor = system_descriptor(core, selector, |d| d.is_system() && d.kind() == LDT)?;
        system_segment(core, selector, descriptor)?
    };
    Ok(())
}

/// `LTR`: marks the TSS busy.
fn ltr<const MEM: bool>(core: &mut Core, op: &Op) -> Flow {
    core.privileged()?;
    let selector = selector::<MEM>(core, op)?;
    core.note_not_null(selector);
    if selector.is_null() {
        return Err(core.gp(0));
    }
    // A TSS of 16 bits is no TSS in IA-32e mode.
    let fits = if core.long_mode() { |d: Descriptor| d.is_system() && d.kind() == TSS_32 } else { is_available_tss };
    let descriptor = system_descriptor(core, selector, fits)?;
    let busy = Descriptor(descriptor.0 | u64::from(BUSY) << 40);
    let segment = system_segment(core, selector, busy)?;
    core.write_rights(selector, busy)?;
    core.segs[seg::TR as usize] = segment;
    Ok(())
}

/// `SLDT` and `STR`: LDTR or TR (`op.r2`) to a register of width `W`.
fn store_reg<W: Width>(core: &mut Core, op: &Op) -> Flow {
    let selector = core.segs[(op.r2 & 7) as usize].selector.0;
    core.set_reg(op.r1, W::cut(u64::from(selector)));
    Ok(())
}

/// The same, to memory: two bytes whatever the operand size.
fn store_mem(core: &mut Core, op: &Op) -> Flow {
    let selector = core.segs[(op.r2 & 7) as usize].selector.0;
    core.store(op.seg, core.address(op), selector)
}

/// The descriptor that `LAR`, `LSL`, `VERR` and `VERW` may look at: nothing here faults but the table access itself.
fn visible(core: &mut Core, selector: Selector) -> Result<Option<Descriptor>, Stop> {
    if selector.is_null() {
        return Ok(None);
    }
    let privilege = core.cpl.max(selector.rpl());
    Ok(core.descriptor(selector)?.filter(|d| d.is_conforming() || privilege <= d.dpl()))
}

/// Segments, TSSs and LDTs, which have a limit (SDM vol. 2, LSL).
fn has_limit(descriptor: Descriptor) -> bool {
    !descriptor.is_system() || descriptor.kind() == LDT || matches!(descriptor.kind() & !BUSY, TSS_16 | TSS_32)
}

/// Those, call gates and task gates (SDM vol. 2, LAR).
fn has_rights(descriptor: Descriptor) -> bool {
    has_limit(descriptor) || matches!(descriptor.kind(), 4 | 5 | 12)
}

fn lar<W: Width, const MEM: bool>(core: &mut Core, op: &Op) -> Flow {
    let selector = selector::<MEM>(core, op)?;
    let found = visible(core, selector)?.filter(|d| has_rights(*d));
    if let Some(descriptor) = found {
        core.set_reg(op.r1, W::cut(descriptor.0 >> 32 & 0x00F0_FF00));
    }
    core.flags.set_zf(found.is_some());
    Ok(())
}

fn lsl<W: Width, const MEM: bool>(core: &mut Core, op: &Op) -> Flow {
    let selector = selector::<MEM>(core, op)?;
    let found = visible(core, selector)?.filter(|d| has_limit(*d));
    if let Some(descriptor) = found {
        core.set_reg(op.r1, W::cut(u64::from(descriptor.limit())));
    }
    core.flags.set_zf(found.is_some());
    Ok(())
}

fn verr<const MEM: bool>(core: &mut Core, op: &Op) -> Flow {
    let selector = selector::<MEM>(core, op)?;
    let found = visible(core, selector)?.is_some_and(Descriptor::is_readable);
    core.flags.set_zf(found);
    Ok(())
}

fn verw<const MEM: bool>(core: &mut Core, op: &Op) -> Flow {
    let selector = selector::<MEM>(core, op)?;
    let found = visible(core, selector)?.is_some_and(Descriptor::is_writable_data);
    core.flags.set_zf(found);
    Ok(())
}

/// `ARPL`: raises the first selector's RPL to the second's. Memory is written only where that changes it: processors
/// execute it on a read-only page otherwise.
fn arpl<const MEM: bool>(core: &mut Core, op: &Op) -> Flow {
    let source = core.reg::<u16>(op.r2) & 3;
    let address = core.address(op);
    let old = if MEM { core.load::<u16>(op.seg, address)? } else { core.reg::<u16>(op.r1) };
    let raises = old & 3 < source;
    let new = old & !3 | source;
    let mut flow = Ok(());
    if raises && MEM {
        flow = core.store(op.seg, address, new);
        if flow == Err(Stop::Fault) {
            return flow;
        }
    } else if raises {
        core.set_reg(op.r1, new);
    }
    core.flags.set_zf(raises);
    flow
}

/// The function's instance for a selector in a register or in memory.
macro_rules! operand {
    ($mem:expr, $f:ident $(, $g:ty)*) => {
        if $mem { run!($f::<$($g,)* true>) } else { run!($f::<$($g,)* false>) }
    };
}

/// Fills in the selector operand at `index`; true if it is memory.
fn lower_selector(instruction: &Instruction, op: &mut Op, index: u32) -> Option<bool> {
    if instruction.op_kind(index) == OpKind::Memory {
        memory(instruction, op);
        return Some(true);
    }
    op.r2 = gpr(instruction.op_register(index))?;
    Some(false)
}

fn lower_query(instruction: &Instruction, op: &mut Op) -> Option<Run> {
    op.r1 = gpr(instruction.op0_register())?;
    let (mem, short) = (lower_selector(instruction, op, 1)?, size(instruction, 0) == 2);
    Some(match (instruction.mnemonic(), short) {
        (Mnemonic::Lar, true) => operand!(mem, lar, u16),
        (Mnemonic::Lar, false) => operand!(mem, lar, u32),
        (_, true) => operand!(mem, lsl, u16),
        (_, false) => operand!(mem, lsl, u32),
    })
}

fn lower_store(instruction: &Instruction, op: &mut Op) -> Option<Run> {
    op.r2 = if instruction.mnemonic() == Mnemonic::Sldt { seg::LDTR } else { seg::TR };
    if instruction.op0_kind() == OpKind::Memory {
        memory(instruction, op);
        return Some(run!(store_mem));
    }
    op.r1 = gpr(instruction.op0_register())?;
    Some(if size(instruction, 0) == 2 { run!(store_reg::<u16>) } else { run!(store_reg::<u32>) })
}

fn lower_arpl(instruction: &Instruction, op: &mut Op) -> Option<Run> {
    op.r2 = gpr(instruction.op1_register())?;
    if instruction.op0_kind() == OpKind::Memory {
        memory(instruction, op);
        return Some(run!(arpl::<true>));
    }
    op.r1 = gpr(instruction.op0_register())?;
    Some(run!(arpl::<false>))
}

fn lower_table(instruction: &Instruction, op: &mut Op) -> Run {
    memory(instruction, op);
    let short = matches!(
        instruction.code(),
        Code::Lgdt_m1632_16 | Code::Lidt_m1632_16 | Code::Sgdt_m1632_16 | Code::Sidt_m1632_16
    );
    let wide = matches!(instruction.code(), Code::Lgdt_m1664 | Code::Lidt_m1664 | Code::Sgdt_m1664 | Code::Sidt_m1664);
    op.imm = match (short, wide) {
        (true, _) => BASE_24,
        (_, true) => BASE_64,
        _ => BASE_32,
    };
    match instruction.mnemonic() {
        Mnemonic::Lgdt => run!(lgdt),
        Mnemonic::Lidt => run!(lidt),
        Mnemonic::Sgdt => run!(sgdt),
        _ => run!(sidt),
    }
}

pub(super) fn lower(instruction: &Instruction, op: &mut Op) -> Option<After> {
    op.run = match instruction.mnemonic() {
        Mnemonic::Lgdt | Mnemonic::Lidt | Mnemonic::Sgdt | Mnemonic::Sidt => lower_table(instruction, op),
        Mnemonic::Lldt => operand!(lower_selector(instruction, op, 0)?, lldt),
        Mnemonic::Ltr => operand!(lower_selector(instruction, op, 0)?, ltr),
        Mnemonic::Verr => operand!(lower_selector(instruction, op, 0)?, verr),
        Mnemonic::Verw => operand!(lower_selector(instruction, op, 0)?, verw),
        Mnemonic::Lar | Mnemonic::Lsl => lower_query(instruction, op)?,
        Mnemonic::Sldt | Mnemonic::Str => lower_store(instruction, op)?,
        Mnemonic::Arpl => lower_arpl(instruction, op)?,
        _ => return None,
    };
    Some(After::Next)
}
