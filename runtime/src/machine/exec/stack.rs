//! The stack, but for segment registers and EFLAGS (SDM vol. 1, chapter 6).

use iced_x86::{Code, Instruction, Mnemonic};

use super::super::core::{Core, reg, seg};
use super::super::fault::{Flow, Stop};
use super::super::op::{self, After, Op, Operand, Way, run};
use super::super::width::Width;
use super::operand::{self, is_immediate, size, sized, sized_pair, unary};

fn try_push_reg<O: Operand, W: Width>(core: &mut Core, op: &Op) -> Option<()> {
    core.try_push(core.reg::<W>(op.r1))
}

fn push_reg<W: Width>(core: &mut Core, op: &Op) -> Flow {
    core.push(core.reg::<W>(op.r1))
}

fn try_push_imm<W: Width>(core: &mut Core, op: &Op) -> Option<()> {
    core.try_push(W::cut(op.imm))
}

fn push_imm<W: Width>(core: &mut Core, op: &Op) -> Flow {
    core.push(W::cut(op.imm))
}

fn try_push_mem<O: Operand, W: Width>(core: &mut Core, op: &Op) -> Option<()> {
    let value = core.try_load_flat::<W>(O::linear(core, op))?;
    core.try_push(value)
}

fn push_mem<W: Width>(core: &mut Core, op: &Op) -> Flow {
    let value = core.load::<W>(op.seg, core.address(op))?;
    core.push(value)
}

fn try_pop_reg<O: Operand, W: Width>(core: &mut Core, op: &Op) -> Option<()> {
    let value = core.try_load_flat::<W>(core.regs[reg::SP as usize])?;
    core.release::<W>(W::BYTES);
    // The value goes in last: POP ESP loads what was popped.
    core.set_reg(op.r1, value);
    Some(())
}

fn pop_reg<W: Width>(core: &mut Core, op: &Op) -> Flow {
    let value = core.pop::<W>()?;
    core.set_reg(op.r1, value);
    Ok(())
}

/// `POP` to memory: an address that uses ESP uses the one after the pop (SDM vol. 2, POP).
fn pop_mem<W: Width>(core: &mut Core, op: &Op) -> Flow {
    let before = core.regs[reg::SP as usize];
    let value = core.pop::<W>()?;
    let flow = core.store(op.seg, core.address(op), value);
    if flow == Err(Stop::Fault) {
        core.regs[reg::SP as usize] = before;
    }
    flow
}

/// `PUSHA`: eAX, eCX, eDX, eBX, the eSP of before, eBP, eSI, eDI.
fn pusha<W: Width>(core: &mut Core, _: &Op) -> Flow {
    let before = core.regs[reg::SP as usize];
    let mut left = Ok(());
    for r in [reg::AX, reg::CX, reg::DX, reg::BX, reg::SP, reg::BP, reg::SI, reg::DI] {
        let value = if r == reg::SP { W::cut(before) } else { core.reg::<W>(r) };
        match core.push(value) {
            Ok(()) => {}
            Err(Stop::Leave) => left = Err(Stop::Leave),
            Err(stop) => {
                core.regs[reg::SP as usize] = before;
                return Err(stop);
            }
        }
    }
    left
}

/// `POPA`: the reverse; the eSP on the stack is passed over.
fn popa<W: Width>(core: &mut Core, _: &Op) -> Flow {
    let before = core.sp();
    let mut values = [W::cut(0); 8];
    for (i, value) in values.iter_mut().enumerate() {
        *value = core.load(seg::SS, before + (i as u64) * u64::from(W::BYTES) & core.stack_mask)?;
    }
    for (r, value) in [reg::DI, reg::SI, reg::BP, reg::SP, reg::BX, reg::DX, reg::CX, reg::AX].into_iter().zip(values) {
        if r != reg::SP {
            core.set_reg(r, value);
        }
    }
    core.set_sp(before + 8 * u64::from(W::BYTES));
    Ok(())
}

/// `ENTER size, level` (SDM vol. 1, 6.6.1): the frame pointers of `level` - 1 outer frames are copied.
fn enter<W: Width>(core: &mut Core, op: &Op) -> Flow {
    let (size, level) = (op.imm, u64::from(op.r2 & 31));
    let before = core.regs[reg::SP as usize];
    let undo = |core: &mut Core, stop| {
        core.regs[reg::SP as usize] = before;
        Err(stop)
    };
    let frame_pointer = core.reg::<W>(reg::BP);
    let mut left = Ok(());
    let mut push = |core: &mut Core, value: W| match core.push(value) {
        Err(Stop::Leave) => {
            left = Err(Stop::Leave);
            Ok(())
        }
        other => other,
    };
    if let Err(stop) = push(core, frame_pointer) {
        return undo(core, stop);
    }
    // All of ESP, on a 16-bit stack too.
    let frame = core.regs[reg::SP as usize];
    for i in 1..level {
        let at = core.regs[reg::BP as usize].wrapping_sub(i * u64::from(W::BYTES)) & core.stack_mask;
        let copied = core.load::<W>(seg::SS, at).and_then(|outer| push(core, outer));
        if let Err(stop) = copied {
            return undo(core, stop);
        }
    }
    if level > 0
        && let Err(stop) = push(core, W::cut(frame))
    {
        return undo(core, stop);
    }
    let bottom = core.sp().wrapping_sub(size) & core.stack_mask;
    // A write there would have to succeed, though none is made (SDM vol. 2, ENTER, exceptions).
    if let Err(stop) = core.load_for_update::<W>(seg::SS, bottom) {
        return undo(core, stop);
    }
    core.set_sp(bottom);
    core.set_reg(reg::BP, W::cut(frame));
    left
}

/// `LEAVE`: eSP := eBP, then eBP is popped.
fn leave<W: Width>(core: &mut Core, _: &Op) -> Flow {
    let frame = core.regs[reg::BP as usize] & core.stack_mask;
    let value = core.load::<W>(seg::SS, frame)?;
    core.set_sp(frame.wrapping_add(u64::from(W::BYTES)));
    core.set_reg(reg::BP, value);
    Ok(())
}

/// The short way knows 64-bit stacks with 64-bit operands only.
fn careful_if_short(size: usize, op: &mut Op) {
    if size == 2 && matches!(op.way, Way::Long | Way::LongIndexed | Way::LongRelative) {
        op.way = Way::Careful;
    }
}

fn lower_push(instruction: &Instruction, op: &mut Op) -> Option<After> {
    if is_immediate(instruction.op0_kind()) {
        op.imm = instruction.immediate(0);
        op.run = match (instruction.code(), op.way) {
            (Code::Push_imm16 | Code::Pushw_imm8, _) => run!(push_imm::<u16>),
            (Code::Pushq_imm8 | Code::Pushq_imm32, Way::Careful) => run!(push_imm::<u64>),
            (Code::Pushq_imm8 | Code::Pushq_imm32, _) => run!(try_push_imm::<u64>, push_imm::<u64>),
            (_, Way::Careful) => run!(push_imm::<u32>),
            (_, _) => run!(try_push_imm::<u32>, push_imm::<u32>),
        };
        return Some(After::Next);
    }
    let size = size(instruction, 0);
    let by_memory = unary(instruction, op)?;
    careful_if_short(size, op);
    op.run = if by_memory {
        sized_pair!(size, op, try_push_mem, push_mem)
    } else {
        sized_pair!(size, op, try_push_reg, push_reg)
    };
    Some(After::Next)
}

fn lower_pop(instruction: &Instruction, op: &mut Op) -> Option<After> {
    let size = size(instruction, 0);
    let by_memory = unary(instruction, op)?;
    careful_if_short(size, op);
    op.run = if by_memory { sized!(size, pop_mem) } else { sized_pair!(size, op, try_pop_reg, pop_reg) };
    Some(After::Next)
}

pub(super) fn lower(instruction: &Instruction, op: &mut Op) -> Option<After> {
    match instruction.code() {
        Code::Pushaw => op.run = run!(pusha::<u16>),
        Code::Pushad => op.run = run!(pusha::<u32>),
        Code::Popaw => op.run = run!(popa::<u16>),
        Code::Popad => op.run = run!(popa::<u32>),
        Code::Leavew => op.run = run!(leave::<u16>),
        Code::Leaved => op.run = run!(leave::<u32>),
        Code::Leaveq => op.run = run!(leave::<u64>),
        Code::Enterw_imm16_imm8 | Code::Enterd_imm16_imm8 | Code::Enterq_imm16_imm8 => {
            op.imm = instruction.immediate(0);
            op.r2 = instruction.immediate8_2nd();
            op.run = match instruction.code() {
                Code::Enterw_imm16_imm8 => run!(enter::<u16>),
                Code::Enterd_imm16_imm8 => run!(enter::<u32>),
                _ => run!(enter::<u64>),
            };
        }
        _ => {
            return match instruction.mnemonic() {
                Mnemonic::Push => lower_push(instruction, op),
                Mnemonic::Pop => lower_pop(instruction, op),
                _ => None,
            };
        }
    }
    Some(After::Next)
}
