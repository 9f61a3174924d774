//! Transfers of control that may change the privilege level or the task: interrupts, far branches, fast system calls.

use iced_x86::{Code, Instruction, Mnemonic, OpKind};

use super::super::super::core::{Core, seg};
use super::super::super::far::Far;
use super::super::super::fault::{Exit, Flow, Stop, Vector};
use super::super::super::flags;
use super::super::super::op::{After, Op, run};
use super::super::super::run::DR6_BS;
use super::super::super::segment::Selector;
use super::super::super::width::Width;
use super::super::operand::{gpr, memory};

/// Runs what may switch tasks. A fault after the switch is the new task's, so EIP must not go back to `op`.
fn across_tasks(core: &mut Core, op: &Op, f: impl FnOnce(&mut Core) -> Flow) -> Flow {
    let task = core.segs[seg::TR as usize].selector;
    let flow = f(core);
    if flow == Err(Stop::Fault) && core.segs[seg::TR as usize].selector != task {
        core.block_ip = core.ip.wrapping_sub(u64::from(op.start)) & 0xFFFF_FFFF;
    }
    flow
}

fn int(core: &mut Core, op: &Op) -> Flow {
    across_tasks(core, op, |core| core.software_interrupt(op.imm as u8))
}

fn int1(core: &mut Core, op: &Op) -> Flow {
    across_tasks(core, op, Core::debug_interrupt)
}

/// `INTO`: goes on where OF is clear.
fn into(core: &mut Core, op: &Op) -> Flow {
    if core.flags.of() { int(core, op) } else { Ok(()) }
}

/// `BOUND`: the index against two signed bounds in memory.
fn bound<W: Width>(core: &mut Core, op: &Op) -> Flow {
    let address = core.address(op);
    let wrap = u64::MAX >> (op.narrow & 63);
    let low = core.load::<W>(op.seg, address)?;
    let high = core.load::<W>(op.seg, (address + u64::from(W::BYTES)) & wrap)?;
    let index = core.reg::<W>(op.r1).sx() as i64;
    if index < low.sx() as i64 || index > high.sx() as i64 {
        return Err(core.raise(Vector::BoundRange, 0));
    }
    Ok(())
}

fn iret_16(core: &mut Core, op: &Op) -> Flow {
    across_tasks(core, op, |core| core.iret(false))
}

fn iret_32(core: &mut Core, op: &Op) -> Flow {
    across_tasks(core, op, |core| core.iret(true))
}

fn iret_64(core: &mut Core, _: &Op) -> Flow {
    core.iret_long::<u64>()
}

/// The far pointer in the instruction: `imm` is selector:offset, 16 and 32 bits.
fn immediate(op: &Op) -> (Selector, u32) {
    (Selector((op.imm >> 32) as u16), op.imm as u32)
}

/// The far pointer in memory, its offset of width `W`.
fn indirect<W: Width>(core: &mut Core, op: &Op) -> Result<(Selector, u64), Stop> {
    let address = core.address(op);
    let wrap = u64::MAX >> (op.narrow & 63);
    let offset = core.load::<W>(op.seg, address)?;
    let selector = core.load::<u16>(op.seg, address.wrapping_add(u64::from(W::BYTES)) & wrap)?;
    Ok((Selector(selector), offset.zx()))
}

fn jmp_immediate(core: &mut Core, op: &Op) -> Flow {
    let (selector, offset) = immediate(op);
    across_tasks(core, op, |core| core.far(Far::Jump, selector, offset))
}

fn jmp_indirect<W: Width>(core: &mut Core, op: &Op) -> Flow {
    let (selector, offset) = indirect::<W>(core, op)?;
    if W::BITS == 64 {
        return core.far_long::<u64>(false, selector, offset);
    }
    across_tasks(core, op, |core| core.far(Far::Jump, selector, offset as u32))
}

fn call_immediate<W: Width>(core: &mut Core, op: &Op) -> Flow {
    let (selector, offset) = immediate(op);
    across_tasks(core, op, |core| core.far(Far::Call { wide: W::BITS == 32 }, selector, offset))
}

fn call_indirect<W: Width>(core: &mut Core, op: &Op) -> Flow {
    let (selector, offset) = indirect::<W>(core, op)?;
    if W::BITS == 64 {
        return core.far_long::<u64>(true, selector, offset);
    }
    across_tasks(core, op, |core| core.far(Far::Call { wide: W::BITS == 32 }, selector, offset as u32))
}

fn ret_16(core: &mut Core, op: &Op) -> Flow {
    core.far_return(op.imm as u16, false)
}

fn ret_32(core: &mut Core, op: &Op) -> Flow {
    core.far_return(op.imm as u16, true)
}

fn ret_64(core: &mut Core, op: &Op) -> Flow {
    core.far_return_long::<u64>(op.imm as u16)
}

fn sysenter(core: &mut Core, _: &Op) -> Flow {
    core.sysenter()
}

fn sysexit_32(core: &mut Core, _: &Op) -> Flow {
    core.sysexit(false)
}

fn sysexit_64(core: &mut Core, _: &Op) -> Flow {
    core.sysexit(true)
}

fn syscall(core: &mut Core, _: &Op) -> Flow {
    core.syscall()
}

fn sysret<const WIDE: bool>(core: &mut Core, op: &Op) -> Flow {
    if core.sysret(WIDE)? {
        return Err(core.trap_here(op));
    }
    Ok(())
}

fn swapgs(core: &mut Core, _: &Op) -> Flow {
    core.swapgs()
}

/// Only an interrupt ends it: without one to come, the run.
fn hlt(core: &mut Core, _: &Op) -> Flow {
    core.privileged()?;
    let none_to_come = core.devices.next_event() == u64::MAX && !core.devices.is_pending();
    if core.flags.system() & flags::IF == 0 || none_to_come {
        return Err(core.leave(Exit::Halted));
    }
    (core.halted, core.pause) = (true, 0);
    Ok(())
}

fn undefined(core: &mut Core, _: &Op) -> Flow {
    Err(core.ud())
}

impl Core {
    /// The single-step trap after an instruction that set TF itself: the EIP to save is where execution goes on.
    #[cold]
    fn trap_here(&mut self, op: &Op) -> Stop {
        self.dr[6] |= DR6_BS;
        self.block_ip = self.ip.wrapping_sub(u64::from(op.start));
        self.raise(Vector::Debug, 0)
    }
}

fn lower_immediate(instruction: &Instruction, op: &mut Op) {
    let offset = match instruction.op0_kind() {
        OpKind::FarBranch16 => u64::from(instruction.far_branch16()),
        _ => u64::from(instruction.far_branch32()),
    };
    op.imm = u64::from(instruction.far_branch_selector()) << 32 | offset;
}

fn lower_bound(instruction: &Instruction, op: &mut Op) -> Option<()> {
    op.r1 = gpr(instruction.op0_register())?;
    memory(instruction, op);
    Some(())
}

pub(super) fn lower(instruction: &Instruction, op: &mut Op) -> Option<After> {
    op.run = match instruction.code() {
        Code::Int_imm8 => {
            op.imm = instruction.immediate(0);
            run!(int)
        }
        Code::Int3 => {
            op.imm = Vector::Breakpoint as u64;
            run!(int)
        }
        Code::Int1 => run!(int1),
        Code::Into => {
            op.imm = Vector::Overflow as u64;
            run!(into)
        }
        Code::Bound_r16_m1616 => {
            lower_bound(instruction, op)?;
            run!(bound::<u16>)
        }
        Code::Bound_r32_m3232 => {
            lower_bound(instruction, op)?;
            run!(bound::<u32>)
        }
        Code::Iretw => run!(iret_16),
        Code::Iretd => run!(iret_32),
        Code::Iretq => run!(iret_64),
        Code::Jmp_ptr1616 | Code::Jmp_ptr1632 => {
            lower_immediate(instruction, op);
            run!(jmp_immediate)
        }
        Code::Call_ptr1616 => {
            lower_immediate(instruction, op);
            run!(call_immediate::<u16>)
        }
        Code::Call_ptr1632 => {
            lower_immediate(instruction, op);
            run!(call_immediate::<u32>)
        }
        Code::Jmp_m1616
        | Code::Jmp_m1632
        | Code::Jmp_m1664
        | Code::Call_m1616
        | Code::Call_m1632
        | Code::Call_m1664 => {
            memory(instruction, op);
            match instruction.code() {
                Code::Jmp_m1616 => run!(jmp_indirect::<u16>),
                Code::Jmp_m1632 => run!(jmp_indirect::<u32>),
                Code::Jmp_m1664 => run!(jmp_indirect::<u64>),
                Code::Call_m1616 => run!(call_indirect::<u16>),
                Code::Call_m1632 => run!(call_indirect::<u32>),
                _ => run!(call_indirect::<u64>),
            }
        }
        Code::Retfw | Code::Retfd | Code::Retfq | Code::Retfw_imm16 | Code::Retfd_imm16 | Code::Retfq_imm16 => {
            op.imm = if instruction.op_count() == 1 { instruction.immediate(0) } else { 0 };
            match instruction.code() {
                Code::Retfw | Code::Retfw_imm16 => run!(ret_16),
                Code::Retfd | Code::Retfd_imm16 => run!(ret_32),
                _ => run!(ret_64),
            }
        }
        Code::Swapgs => {
            op.run = run!(swapgs);
            return Some(After::Next);
        }
        _ => return lower_plain(instruction, op),
    };
    Some(After::Ends)
}

fn lower_plain(instruction: &Instruction, op: &mut Op) -> Option<After> {
    op.run = match instruction.mnemonic() {
        Mnemonic::Sysenter => run!(sysenter),
        Mnemonic::Sysexit => run!(sysexit_32),
        Mnemonic::Sysexitq => run!(sysexit_64),
        Mnemonic::Syscall => run!(syscall),
        Mnemonic::Sysret => run!(sysret::<false>),
        Mnemonic::Sysretq => run!(sysret::<true>),
        Mnemonic::Hlt => run!(hlt),
        Mnemonic::Ud0 | Mnemonic::Ud1 | Mnemonic::Ud2 => run!(undefined),
        _ => return None,
    };
    Some(After::Ends)
}
