//! `IN`, `OUT`, `INS`, `OUTS` (SDM vol. 1, chapter 19). What is at the ports is in `ports`.

use iced_x86::{Code, Instruction};

use super::super::super::core::{Core, reg, seg};
use super::super::super::fault::{Flow, Stop};
use super::super::super::flags;
use super::super::super::op::{After, Op, Run, run};
use super::super::super::ports::CONSOLE;
use super::super::super::width::Width;
use super::super::operand::segment;
use super::super::strings::index_narrow;

/// Elements that one execution of a repeated instruction moves at most, so that the budget counts.
const PORTION: u64 = 4096;

/// The port: in the instruction, or in DX.
#[inline(always)]
fn port<const DX: bool>(core: &Core, op: &Op) -> u16 {
    if DX { core.reg::<u16>(reg::DX) } else { op.imm as u16 }
}

fn input<W: Width, const DX: bool>(core: &mut Core, op: &Op) -> Flow {
    let port = port::<DX>(core, op);
    core.allow_port(port, W::BYTES)?;
    let value: W = core.port_in(port);
    core.set_reg(reg::AX, value);
    Ok(())
}

fn output<W: Width, const DX: bool>(core: &mut Core, op: &Op) -> Flow {
    let port = port::<DX>(core, op);
    core.allow_port(port, W::BYTES)?;
    core.port_out(port, core.reg::<W>(reg::AX))
}

/// Moves an index register on by `bytes`, in the direction that DF says, within the address size.
fn advance(core: &mut Core, register: u8, bytes: u64, mask: u64) {
    let slot = &mut core.regs[register as usize];
    let next = if core.flags.df() { slot.wrapping_sub(bytes) } else { slot.wrapping_add(bytes) };
    // As every 32-bit register write, a 32-bit step clears what is above.
    let keep = if mask == 0xFFFF { !mask } else { 0 };
    *slot = *slot & keep | next & mask;
}

/// How many elements are to be moved at most; 0 if a repeated instruction's count is.
fn wanted(core: &Core, op: &Op, mask: u64) -> u64 {
    if op.r2 == 0 { 1 } else { core.regs[reg::CX as usize] & mask }
}

/// Counts `done` elements. `Stop::Again` if more are left.
fn count(core: &mut Core, op: &Op, done: u64, mask: u64) -> Flow {
    if op.r2 == 0 {
        return Ok(());
    }
    let slot = &mut core.regs[reg::CX as usize];
    let left = (*slot & mask) - done;
    let keep = if mask == 0xFFFF { !mask } else { 0 };
    *slot = *slot & keep | left;
    // The run loop counts one for the instruction itself.
    core.retired += done.saturating_sub(1);
    if left == 0 { Ok(()) } else { Err(Stop::Again) }
}

fn outs<W: Width>(core: &mut Core, op: &Op) -> Flow {
    let mask = u64::MAX >> (op.narrow & 63);
    let port = core.reg::<u16>(reg::DX);
    core.allow_port(port, W::BYTES)?;
    let wanted = wanted(core, op, mask);
    let portion = if core.flags.system() & flags::TF != 0 { 1 } else { PORTION };
    let (mut done, most) = (0, wanted.min(portion));
    while done < most {
        let step = match outs_some::<W>(core, op, port, most - done, mask) {
            Ok(step) => step,
            Err(stop) => {
                // What is done is done: eCX and eSI say how far it got.
                let _ = count(core, op, done, mask);
                return Err(stop);
            }
        };
        advance(core, reg::SI, step * u64::from(W::BYTES), mask);
        done += step;
        if core.exit.is_some() {
            // The element went to the exit port. What is left of them comes when the run goes on.
            return count(core, op, done, mask).and(Err(Stop::Leave));
        }
    }
    if done == 0 { Ok(()) } else { count(core, op, done, mask) }
}

/// Some of the elements: as many bytes as lie in a row if they go to the console, else one.
fn outs_some<W: Width>(core: &mut Core, op: &Op, port: u16, most: u64, mask: u64) -> Result<u64, Stop> {
    let offset = core.regs[reg::SI as usize] & mask;
    if W::BITS == 8 && port == CONSOLE && !core.flags.df() {
        return core.print_run(op.seg, offset, most.min((mask - offset).saturating_add(1)));
    }
    let value = core.load::<W>(op.seg, offset)?;
    match core.port_out(port, value) {
        Ok(()) | Err(Stop::Leave) => Ok(1),
        Err(stop) => Err(stop),
    }
}

fn ins<W: Width>(core: &mut Core, op: &Op) -> Flow {
    let mask = u64::MAX >> (op.narrow & 63);
    let port = core.reg::<u16>(reg::DX);
    core.allow_port(port, W::BYTES)?;
    if wanted(core, op, mask) == 0 {
        return Ok(());
    }
    let value: W = core.port_in(port);
    let written = core.store(seg::ES, core.regs[reg::DI as usize] & mask, value);
    if !matches!(written, Ok(()) | Err(Stop::Leave)) {
        return written;
    }
    advance(core, reg::DI, u64::from(W::BYTES), mask);
    count(core, op, 1, mask)?;
    written
}

/// The address size, the segment of the string operand, and whether the instruction repeats.
fn lower_string(instruction: &Instruction, op: &mut Op) {
    op.narrow = index_narrow(instruction);
    op.seg = segment(instruction.memory_segment());
    op.r2 = u8::from(instruction.has_rep_prefix() || instruction.has_repne_prefix());
}

fn lower_single(instruction: &Instruction, op: &mut Op) -> Option<Run> {
    Some(match instruction.code() {
        Code::In_AL_imm8 | Code::In_AX_imm8 | Code::In_EAX_imm8 => {
            op.imm = instruction.immediate(1);
            match instruction.code() {
                Code::In_AL_imm8 => run!(input::<u8, false>),
                Code::In_AX_imm8 => run!(input::<u16, false>),
                _ => run!(input::<u32, false>),
            }
        }
        Code::Out_imm8_AL | Code::Out_imm8_AX | Code::Out_imm8_EAX => {
            op.imm = instruction.immediate(0);
            match instruction.code() {
                Code::Out_imm8_AL => run!(output::<u8, false>),
                Code::Out_imm8_AX => run!(output::<u16, false>),
                _ => run!(output::<u32, false>),
            }
        }
        Code::In_AL_DX => run!(input::<u8, true>),
        Code::In_AX_DX => run!(input::<u16, true>),
        Code::In_EAX_DX => run!(input::<u32, true>),
        Code::Out_DX_AL => run!(output::<u8, true>),
        Code::Out_DX_AX => run!(output::<u16, true>),
        Code::Out_DX_EAX => run!(output::<u32, true>),
        _ => return None,
    })
}

pub(super) fn lower(instruction: &Instruction, op: &mut Op) -> Option<After> {
    if let Some(run) = lower_single(instruction, op) {
        op.run = run;
        return Some(After::Next);
    }
    let run: Run = match instruction.code() {
        Code::Insb_m8_DX => run!(ins::<u8>),
        Code::Insw_m16_DX => run!(ins::<u16>),
        Code::Insd_m32_DX => run!(ins::<u32>),
        Code::Outsb_DX_m8 => run!(outs::<u8>),
        Code::Outsw_DX_m16 => run!(outs::<u16>),
        Code::Outsd_DX_m32 => run!(outs::<u32>),
        _ => return None,
    };
    op.run = run;
    lower_string(instruction, op);
    Some(After::Next)
}

#[cfg(test)]
mod tests;
