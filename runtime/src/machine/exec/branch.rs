//! Near jumps, calls, returns and loops (SDM vol. 1, 5.1.7). A target outside the code segment is #GP(0), raised by the
//! branch itself.

use iced_x86::{Code, ConditionCode, Instruction, Mnemonic, OpKind};

use super::super::core::{Core, reg, seg};
use super::super::fault::{Flow, Stop};
use super::super::op::{After, Op, Run, Way, go_on, run};
use super::super::width::Width;
use super::moves::{self, Condition};
use super::operand::{is_immediate, size, unary};

/// The instruction-pointer width that a branch has: 64 in 64-bit mode; else 16 with an operand-size prefix, or 32.
trait Pointer: Width {}
impl Pointer for u16 {}
impl Pointer for u32 {}
impl Pointer for u64 {}

impl Core {
    /// Goes on at `target`, if the code segment has it.
    fn jump(&mut self, target: u64) -> Flow {
        if !self.may_go_to(target) {
            return Err(self.gp(0));
        }
        self.ip = target;
        Ok(())
    }

    /// The same; `None` if it does not.
    #[inline(always)]
    fn try_jump(&mut self, target: u64) -> Option<()> {
        if !self.may_go_to(target) {
            return None;
        }
        self.ip = target;
        Some(())
    }

    /// Whether the code segment has this instruction pointer; in 64-bit mode, whether it is canonical.
    #[inline(always)]
    fn may_go_to(&self, target: u64) -> bool {
        target.wrapping_add(self.ip_bias) <= self.ip_limit
    }

    /// The target of a relative branch.
    #[inline(always)]
    fn relative<P: Pointer>(&self, op: &Op) -> u64 {
        self.block_ip.wrapping_add(op.imm) & P::MASK
    }

    /// Pushes the return address, then goes on at `target`.
    fn call<P: Pointer>(&mut self, op: &Op, target: u64) -> Flow {
        if !self.may_go_to(target) {
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
        if !self.may_go_to(target) {
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
        None => core.jump(core.relative::<P>(op)),
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
    core.release::<P>(P::BYTES + op.imm as u32);
    Some(())
}

fn ret<P: Pointer>(core: &mut Core, op: &Op) -> Flow {
    let sp = core.sp();
    let target = core.load::<P>(seg::SS, sp)?;
    core.jump(target.zx())?;
    core.set_sp(sp.wrapping_add(u64::from(P::BYTES)).wrapping_add(op.imm));
    Ok(())
}

/// Counts eCX down, by the address size, and says whether it is not zero. `LOOP` changes no flag.
fn count_down(core: &mut Core, op: &Op) -> bool {
    fn down<W: Width>(core: &mut Core) -> bool {
        let count = W::cut(core.regs[reg::CX as usize].wrapping_sub(1));
        core.set_reg(reg::CX, count);
        count.zx() != 0
    }
    match op.narrow {
        48 => down::<u16>(core),
        32 => down::<u32>(core),
        _ => down::<u64>(core),
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
    let zero = core.regs[reg::CX as usize] & u64::MAX >> (op.narrow & 63) == 0;
    if zero { core.jump(core.relative::<P>(op)) } else { Ok(()) }
}

/// The function's instance for the branch's pointer width, in bytes; of a pair, the short way and the careful way.
macro_rules! pointer {
    ($width:expr, $f:ident) => {
        match $width {
            2 => run!($f::<u16>),
            4 => run!($f::<u32>),
            _ => run!($f::<u64>),
        }
    };
    ($width:expr, $op:expr, $fast:ident, $careful:ident) => {
        match ($width, $op.way) {
            (2, _) => run!($careful::<u16>),
            (4, Way::Careful) => run!($careful::<u32>),
            (4, _) => run!($fast::<u32>, $careful::<u32>),
            (_, Way::Careful) => run!($careful::<u64>),
            (_, _) => run!($fast::<u64>, $careful::<u64>),
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
    let (width, target) = match instruction.op0_kind() {
        OpKind::NearBranch16 => (2, u64::from(instruction.near_branch16())),
        OpKind::NearBranch32 => (4, u64::from(instruction.near_branch32())),
        OpKind::NearBranch64 => (8, instruction.near_branch64()),
        _ => return None,
    };
    op.imm = target;
    let code = instruction.condition_code();
    op.run = match instruction.mnemonic() {
        Mnemonic::Jmp => pointer!(width, op, try_jmp, jmp),
        Mnemonic::Call => pointer!(width, op, try_call_near, call_near),
        Mnemonic::Loop => pointer!(width, loop_always),
        Mnemonic::Loope => pointer!(width, loop_equal),
        Mnemonic::Loopne => pointer!(width, loop_not_equal),
        Mnemonic::Jcxz | Mnemonic::Jecxz | Mnemonic::Jrcxz => pointer!(width, jcxz),
        _ => {
            op.run = match width {
                2 => branch!(code, u16),
                4 => branch!(code, u32),
                _ => branch!(code, u64),
            };
            return Some(After::Next);
        }
    };
    op.narrow = counter_narrow(instruction);
    Some(After::Ends)
}

/// Which part of rCX `LOOP` and `JCXZ` count in: 48 for CX, 32 for ECX, 0 for RCX.
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
        Code::Loop_rel8_16_RCX
        | Code::Loop_rel8_64_RCX
        | Code::Loope_rel8_16_RCX
        | Code::Loope_rel8_64_RCX
        | Code::Loopne_rel8_16_RCX
        | Code::Loopne_rel8_64_RCX
        | Code::Jrcxz_rel8_16
        | Code::Jrcxz_rel8_64 => 0,
        _ => 32,
    }
}

fn lower_indirect(instruction: &Instruction, op: &mut Op) -> Option<After> {
    let width = size(instruction, 0);
    if !matches!(width, 2 | 4 | 8) {
        return None;
    }
    let is_call = instruction.mnemonic() == Mnemonic::Call;
    op.run = match (is_call, unary(instruction, op)?) {
        (false, false) => pointer!(width, jmp_reg),
        (false, true) => pointer!(width, jmp_mem),
        (true, false) => pointer!(width, op, try_call_reg, call_reg),
        (true, true) => pointer!(width, op, try_call_mem, call_mem),
    };
    Some(After::Ends)
}

fn lower_ret(instruction: &Instruction, op: &mut Op) -> Option<After> {
    if is_immediate(instruction.op0_kind()) && instruction.op_count() == 1 {
        op.imm = instruction.immediate(0);
    }
    let width = match instruction.code() {
        Code::Retnw | Code::Retnw_imm16 => 2,
        Code::Retnq | Code::Retnq_imm16 => 8,
        _ => 4,
    };
    op.run = pointer!(width, op, try_ret, ret);
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
