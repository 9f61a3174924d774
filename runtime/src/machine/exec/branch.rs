//! Near jumps, calls, returns and loops (SDM vol. 1, 5.1.7). A target outside the code segment is #GP(0), raised by the
//! branch itself.

use iced_x86::{Code, ConditionCode, Instruction, Mnemonic, OpKind};

use super::super::core::{Core, reg, seg};
use super::super::fault::{Flow, Stop};
use super::super::op::{After, Op, Run, Way, go_on, run};
use super::super::width::Width;
use super::moves::{self, Condition};
use super::operand::{is_immediate, size, unary};

/// The instruction-pointer width that a branch has: 16 with an operand-size prefix, else 32.
trait Pointer: Width {}
impl Pointer for u16 {}
impl Pointer for u32 {}

impl Core {
    /// Goes on at `target`, if the code segment has it.
    fn jump(&mut self, target: u64) -> Flow {
        if target > u64::from(self.segs[seg::CS as usize].limit) {
            return Err(self.gp(0));
        }
        self.ip = target;
        Ok(())
    }

    /// The same; `None` if it does not.
    #[inline(always)]
    fn try_jump(&mut self, target: u64) -> Option<()> {
        if target > u64::from(self.segs[seg::CS as usize].limit) {
            return None;
        }
        self.ip = target;
        Some(())
    }

    /// The target of a relative branch.
    #[inline(always)]
    fn relative<P: Pointer>(&self, op: &Op) -> u64 {
        self.block_ip.wrapping_add(op.imm) & P::MASK
    }

    /// Pushes the return address, then goes on at `target`.
    fn call<P: Pointer>(&mut self, op: &Op, target: u64) -> Flow {
        if target > u64::from(self.segs[seg::CS as usize].limit) {
            return Err(self.gp(0));
        }
        let pushed = self.push(P::cut(self.ip_after(op)));
        if matches!(pushed, Ok(()) | Err(Stop::Leave)) {
            self.ip = target;
        }
        pushed
    }

    /// The same, the short way.
    #[inline(always)]
    fn try_call<P: Pointer>(&mut self, op: &Op, target: u64) -> Option<()> {
        if target > u64::from(self.segs[seg::CS as usize].limit) {
            return None;
        }
        self.try_push(P::cut(self.ip_after(op)))?;
        self.ip = target;
        Some(())
    }
}

fn try_jmp<P: Pointer>(core: &mut Core, op: &Op) -> Option<()> {
    core.try_jump(core.relative::<P>(op))
}

fn jmp<P: Pointer>(core: &mut Core, op: &Op) -> Flow {
    core.jump(core.relative::<P>(op))
}

/// A conditional branch. Code goes on after it in the same block; a taken one leaves the block.
fn jcc<C: Condition, P: Pointer>(core: &mut Core, op: &Op, rest: &[Op]) -> Flow {
    if !C::holds(&core.flags) {
        return go_on(core, rest);
    }
    core.left = rest.len();
    match core.try_jump(core.relative::<P>(op)) {
        Some(()) => Ok(()),
        None => Err(core.gp(0)),
    }
}

fn jmp_reg<P: Pointer>(core: &mut Core, op: &Op) -> Flow {
    core.jump(core.reg::<P>(op.r1).zx())
}

fn jmp_mem<P: Pointer>(core: &mut Core, op: &Op) -> Flow {
    let target = core.load::<P>(op.seg, core.address(op))?;
    core.jump(target.zx())
}

fn try_call_near<P: Pointer>(core: &mut Core, op: &Op) -> Option<()> {
    core.try_call::<P>(op, core.relative::<P>(op))
}

fn call_near<P: Pointer>(core: &mut Core, op: &Op) -> Flow {
    core.call::<P>(op, core.relative::<P>(op))
}

fn try_call_reg<P: Pointer>(core: &mut Core, op: &Op) -> Option<()> {
    core.try_call::<P>(op, core.reg::<P>(op.r1).zx())
}

fn call_reg<P: Pointer>(core: &mut Core, op: &Op) -> Flow {
    core.call::<P>(op, core.reg::<P>(op.r1).zx())
}

fn try_call_mem<P: Pointer>(core: &mut Core, op: &Op) -> Option<()> {
    let target = core.try_load::<P>(op.seg, core.address(op))?;
    core.try_call::<P>(op, target.zx())
}

fn call_mem<P: Pointer>(core: &mut Core, op: &Op) -> Flow {
    let target = core.load::<P>(op.seg, core.address(op))?;
    core.call::<P>(op, target.zx())
}

/// `RET imm16`: pops EIP, then releases that many bytes.
fn try_ret<P: Pointer>(core: &mut Core, op: &Op) -> Option<()> {
    let target = core.try_load_flat::<P>(core.regs[reg::SP as usize])?;
    core.try_jump(target.zx())?;
    core.release(P::BYTES + op.imm as u32);
    Some(())
}

fn ret<P: Pointer>(core: &mut Core, op: &Op) -> Flow {
    let sp = core.sp();
    let target = core.load::<P>(seg::SS, sp)?;
    core.jump(target.zx())?;
    core.set_sp(sp + u64::from(P::BYTES) + op.imm);
    Ok(())
}

/// Counts eCX down, by the address size, and says whether it is not zero. `LOOP` changes no flag.
fn count_down(core: &mut Core, op: &Op) -> bool {
    if op.narrow == 48 {
        let count = core.reg::<u16>(reg::CX).wrapping_sub(1);
        core.set_reg(reg::CX, count);
        count != 0
    } else {
        let count = core.reg::<u32>(reg::CX).wrapping_sub(1);
        core.set_reg(reg::CX, count);
        count != 0
    }
}

fn loop_while<P: Pointer>(core: &mut Core, op: &Op, condition: bool) -> Flow {
    let before = core.regs[reg::CX as usize];
    if count_down(core, op) && condition {
        let flow = core.jump(core.relative::<P>(op));
        if flow.is_err() {
            core.regs[reg::CX as usize] = before;
        }
        return flow;
    }
    Ok(())
}

fn loop_always<P: Pointer>(core: &mut Core, op: &Op) -> Flow {
    loop_while::<P>(core, op, true)
}

fn loop_equal<P: Pointer>(core: &mut Core, op: &Op) -> Flow {
    let zf = core.flags.zf();
    loop_while::<P>(core, op, zf)
}

fn loop_not_equal<P: Pointer>(core: &mut Core, op: &Op) -> Flow {
    let zf = core.flags.zf();
    loop_while::<P>(core, op, !zf)
}

fn jcxz<P: Pointer>(core: &mut Core, op: &Op) -> Flow {
    let zero = if op.narrow == 48 { core.reg::<u16>(reg::CX) == 0 } else { core.reg::<u32>(reg::CX) == 0 };
    if zero { core.jump(core.relative::<P>(op)) } else { Ok(()) }
}

/// The function's instance for the branch's pointer width.
macro_rules! pointer {
    ($short:expr, $f:ident) => {
        if $short { run!($f::<u16>) } else { run!($f::<u32>) }
    };
    ($short:expr, $op:expr, $fast:ident, $careful:ident) => {
        match ($short, $op.way) {
            (true, _) => run!($careful::<u16>),
            (false, Way::Careful) => run!($careful::<u32>),
            (false, _) => run!($fast::<u32>, $careful::<u32>),
        }
    };
}

macro_rules! branch_run {
    ($condition:ty, $pointer:ty) => {
        jcc::<$condition, $pointer> as Run
    };
}

/// The instance of `jcc` for a condition and a pointer width.
macro_rules! branch {
    ($code:expr, $pointer:ty) => {
        moves::with_condition!($code, branch_run, $pointer)
    };
}

/// A branch to a place given in the instruction.
fn lower_relative(instruction: &Instruction, op: &mut Op) -> Option<After> {
    let short = match instruction.op0_kind() {
        OpKind::NearBranch16 => true,
        OpKind::NearBranch32 => false,
        _ => return None,
    };
    op.imm = if short { u64::from(instruction.near_branch16()) } else { u64::from(instruction.near_branch32()) };
    let code = instruction.condition_code();
    op.run = match instruction.mnemonic() {
        Mnemonic::Jmp => pointer!(short, op, try_jmp, jmp),
        Mnemonic::Call => pointer!(short, op, try_call_near, call_near),
        Mnemonic::Loop => pointer!(short, loop_always),
        Mnemonic::Loope => pointer!(short, loop_equal),
        Mnemonic::Loopne => pointer!(short, loop_not_equal),
        Mnemonic::Jcxz | Mnemonic::Jecxz => pointer!(short, jcxz),
        _ => {
            op.run = if short { branch!(code, u16) } else { branch!(code, u32) };
            return Some(After::Next);
        }
    };
    op.narrow = counter_narrow(instruction);
    Some(After::Ends)
}

/// 48 where `LOOP` and `JCXZ` count in CX, else 32.
fn counter_narrow(instruction: &Instruction) -> u8 {
    match instruction.code() {
        Code::Loop_rel8_16_CX
        | Code::Loop_rel8_32_CX
        | Code::Loope_rel8_16_CX
        | Code::Loope_rel8_32_CX
        | Code::Loopne_rel8_16_CX
        | Code::Loopne_rel8_32_CX
        | Code::Jcxz_rel8_16
        | Code::Jcxz_rel8_32 => 48,
        _ => 32,
    }
}

fn lower_indirect(instruction: &Instruction, op: &mut Op) -> Option<After> {
    let short = match size(instruction, 0) {
        2 => true,
        4 => false,
        _ => return None,
    };
    let is_call = instruction.mnemonic() == Mnemonic::Call;
    op.run = match (is_call, unary(instruction, op)?) {
        (false, false) => pointer!(short, jmp_reg),
        (false, true) => pointer!(short, jmp_mem),
        (true, false) => pointer!(short, op, try_call_reg, call_reg),
        (true, true) => pointer!(short, op, try_call_mem, call_mem),
    };
    Some(After::Ends)
}

fn lower_ret(instruction: &Instruction, op: &mut Op) -> Option<After> {
    if is_immediate(instruction.op0_kind()) && instruction.op_count() == 1 {
        op.imm = instruction.immediate(0);
    }
    let short = matches!(instruction.code(), Code::Retnw | Code::Retnw_imm16);
    op.run = pointer!(short, op, try_ret, ret);
    Some(After::Ends)
}

pub(super) fn lower(instruction: &Instruction, op: &mut Op) -> Option<After> {
    match instruction.mnemonic() {
        Mnemonic::Ret => lower_ret(instruction, op),
        Mnemonic::Jmp | Mnemonic::Call => lower_relative(instruction, op)
            .or_else(|| if is_far(instruction) { None } else { lower_indirect(instruction, op) }),
        _ => lower_relative(instruction, op),
    }
}

fn is_far(instruction: &Instruction) -> bool {
    instruction.is_jmp_far()
        || instruction.is_call_far()
        || instruction.is_jmp_far_indirect()
        || instruction.is_call_far_indirect()
}
