//! Segment registers as operands: `MOV`, `PUSH`, `POP`, and `LDS` and its likes.

use iced_x86::{Code, Instruction, Mnemonic, OpKind};

use super::super::super::core::{Core, reg, seg};
use super::super::super::fault::{Flow, Stop};
use super::super::super::op::{After, Op, run};
use super::super::super::segment::Selector;
use super::super::super::width::Width;
use super::super::operand::{gpr, memory, segment, size};

/// `MOV r, sreg`: a 32-bit register gets the selector zero-extended.
fn read_reg<W: Width>(core: &mut Core, op: &Op) -> Flow {
    let selector = core.segs[(op.r2 & 7) as usize].selector.0;
    core.set_reg(op.r1, W::cut(u64::from(selector)));
    Ok(())
}

/// `MOV m16, sreg`: two bytes whatever the operand size.
fn read_mem(core: &mut Core, op: &Op) -> Flow {
    let selector = core.segs[(op.r2 & 7) as usize].selector.0;
    core.store(op.seg, core.address(op), selector)
}

fn load_reg(core: &mut Core, op: &Op) -> Flow {
    let (selector, mode) = (core.reg::<u16>(op.r2), core.mode());
    load(core, op.r1, selector)?;
    unless_changed(core, mode)
}

fn load_mem(core: &mut Core, op: &Op) -> Flow {
    let mode = core.mode();
    let selector = core.load::<u16>(op.seg, core.address(op))?;
    load(core, op.r1, selector)?;
    unless_changed(core, mode)
}

#[inline(always)]
fn load(core: &mut Core, register: u8, selector: u16) -> Flow {
    core.load_segment(register, Selector(selector))?;
    (core.shadow, core.inhibit) = (register == seg::SS, register == seg::SS);
    Ok(())
}

/// The rest of the block was decoded for segments of `mode`; and the run loop has to see what waits for one instruction.
fn unless_changed(core: &Core, mode: u8) -> Flow {
    if core.mode() == mode && !core.inhibit { Ok(()) } else { Err(Stop::Leave) }
}

fn push<W: Width>(core: &mut Core, op: &Op) -> Flow {
    let selector = core.segs[(op.r2 & 7) as usize].selector.0;
    core.push(W::cut(u64::from(selector)))
}

/// `POP sreg`: ESP moves by the operand size, in the stack width of before; nothing moves if the load faults.
fn pop<W: Width>(core: &mut Core, op: &Op) -> Flow {
    let (sp, mask, mode) = (core.sp(), core.stack_mask, core.mode());
    let selector = core.load::<W>(seg::SS, sp)?.zx() as u16;
    load(core, op.r1, selector)?;
    let slot = &mut core.regs[reg::SP as usize];
    *slot = *slot & !mask | sp.wrapping_add(u64::from(W::BYTES)) & mask;
    unless_changed(core, mode)
}

/// `LDS`, `LES`, `LFS`, `LGS`, `LSS`: offset, then selector, from memory.
fn far_pointer<W: Width>(core: &mut Core, op: &Op) -> Flow {
    let (address, mode) = (core.address(op), core.mode());
    let wrap = u64::MAX >> (op.narrow & 63);
    let offset = core.load::<W>(op.seg, address)?;
    let selector = core.load::<u16>(op.seg, address.wrapping_add(u64::from(W::BYTES)) & wrap)?;
    core.load_segment(op.r2, Selector(selector))?;
    core.set_reg(op.r1, offset);
    unless_changed(core, mode)
}

/// Loading CS is #UD (SDM vol. 2, MOV).
fn load_cs(core: &mut Core, _: &Op) -> Flow {
    Err(core.ud())
}

fn lower_read(instruction: &Instruction, op: &mut Op) -> Option<After> {
    op.r2 = segment(instruction.op1_register());
    if instruction.op0_kind() == OpKind::Memory {
        memory(instruction, op);
        op.run = run!(read_mem);
        return Some(After::Next);
    }
    op.r1 = gpr(instruction.op0_register())?;
    op.run = if size(instruction, 0) == 2 { run!(read_reg::<u16>) } else { run!(read_reg::<u32>) };
    Some(After::Next)
}

/// A load of SS ends the block: no interrupt comes before the next instruction, and no breakpoint on it counts.
fn after_load(register: u8) -> After {
    if register == seg::SS { After::Ends } else { After::Next }
}

fn lower_load(instruction: &Instruction, op: &mut Op) -> Option<After> {
    op.r1 = segment(instruction.op0_register());
    if op.r1 == seg::CS {
        op.run = run!(load_cs);
        return Some(After::Ends);
    }
    if instruction.op1_kind() == OpKind::Memory {
        memory(instruction, op);
        op.run = run!(load_mem);
    } else {
        op.r2 = gpr(instruction.op1_register())?;
        op.run = run!(load_reg);
    }
    Some(after_load(op.r1))
}

fn lower_far_pointer(instruction: &Instruction, op: &mut Op) -> Option<After> {
    op.r1 = gpr(instruction.op0_register())?;
    op.r2 = match instruction.mnemonic() {
        Mnemonic::Les => seg::ES,
        Mnemonic::Lds => seg::DS,
        Mnemonic::Lss => seg::SS,
        Mnemonic::Lfs => seg::FS,
        _ => seg::GS,
    };
    memory(instruction, op);
    op.run = match size(instruction, 0) {
        2 => run!(far_pointer::<u16>),
        4 => run!(far_pointer::<u32>),
        _ => run!(far_pointer::<u64>),
    };
    Some(After::Next)
}

pub(super) fn lower(instruction: &Instruction, op: &mut Op) -> Option<After> {
    match instruction.code() {
        Code::Mov_rm16_Sreg | Code::Mov_r32m16_Sreg | Code::Mov_r64m16_Sreg => lower_read(instruction, op),
        Code::Mov_Sreg_rm16 | Code::Mov_Sreg_r32m16 | Code::Mov_Sreg_r64m16 => lower_load(instruction, op),
        Code::Pushw_ES | Code::Pushw_CS | Code::Pushw_SS | Code::Pushw_DS | Code::Pushw_FS | Code::Pushw_GS => {
            op.r2 = segment(instruction.op0_register());
            op.run = run!(push::<u16>);
            Some(After::Next)
        }
        Code::Pushd_ES | Code::Pushd_CS | Code::Pushd_SS | Code::Pushd_DS | Code::Pushd_FS | Code::Pushd_GS => {
            op.r2 = segment(instruction.op0_register());
            op.run = run!(push::<u32>);
            Some(After::Next)
        }
        Code::Pushq_FS | Code::Pushq_GS => {
            op.r2 = segment(instruction.op0_register());
            op.run = run!(push::<u64>);
            Some(After::Next)
        }
        Code::Popq_FS | Code::Popq_GS => {
            op.r1 = segment(instruction.op0_register());
            op.run = run!(pop::<u64>);
            Some(After::Next)
        }
        Code::Popw_ES | Code::Popw_SS | Code::Popw_DS | Code::Popw_FS | Code::Popw_GS => {
            op.r1 = segment(instruction.op0_register());
            op.run = run!(pop::<u16>);
            Some(after_load(op.r1))
        }
        Code::Popd_ES | Code::Popd_SS | Code::Popd_DS | Code::Popd_FS | Code::Popd_GS => {
            op.r1 = segment(instruction.op0_register());
            op.run = run!(pop::<u32>);
            Some(after_load(op.r1))
        }
        _ => match instruction.mnemonic() {
            Mnemonic::Les | Mnemonic::Lds | Mnemonic::Lss | Mnemonic::Lfs | Mnemonic::Lgs => {
                lower_far_pointer(instruction, op)
            }
            _ => None,
        },
    }
}
