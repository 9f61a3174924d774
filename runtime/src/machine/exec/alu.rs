//! Addition, subtraction, logic and comparison (SDM vol. 1, 5.1.2 and 5.1.4).

use iced_x86::{Instruction, Mnemonic};

use super::super::core::{Core, reg};
use super::super::fault::Flow;
use super::super::flags::Flags;
use super::super::op::{self, After, Op, Operand, Way, run};
use super::super::width::Width;
use super::operand::{self, Form, binary, memory, size, sized, sized_pair, unary};

/// An operation on two operands. Pure: a test needs no machine.
trait Binary {
    /// Whether the result goes to the destination (`CMP` and `TEST` only set flags).
    const WRITES: bool = true;
    fn apply<W: Width>(flags: &mut Flags, a: W, b: W) -> W;
}

struct Add;
struct Adc;
struct Sub;
struct Sbb;
struct Cmp;
struct And;
struct Or;
struct Xor;
struct Test;

impl Binary for Add {
    #[inline(always)]
    fn apply<W: Width>(flags: &mut Flags, a: W, b: W) -> W {
        let result = W::cut(a.zx().wrapping_add(b.zx()));
        flags.add(a, b, result);
        result
    }
}

impl Binary for Adc {
    #[inline(always)]
    fn apply<W: Width>(flags: &mut Flags, a: W, b: W) -> W {
        let result = W::cut(a.zx().wrapping_add(b.zx()).wrapping_add(u64::from(flags.cf())));
        flags.add(a, b, result);
        result
    }
}

impl Binary for Sub {
    #[inline(always)]
    fn apply<W: Width>(flags: &mut Flags, a: W, b: W) -> W {
        let result = W::cut(a.zx().wrapping_sub(b.zx()));
        flags.sub(a, b, result);
        result
    }
}

impl Binary for Sbb {
    #[inline(always)]
    fn apply<W: Width>(flags: &mut Flags, a: W, b: W) -> W {
        let result = W::cut(a.zx().wrapping_sub(b.zx()).wrapping_sub(u64::from(flags.cf())));
        flags.sub(a, b, result);
        result
    }
}

impl Binary for Cmp {
    const WRITES: bool = false;
    #[inline(always)]
    fn apply<W: Width>(flags: &mut Flags, a: W, b: W) -> W {
        Sub::apply(flags, a, b)
    }
}

macro_rules! logic {
    ($name:ident, $operator:tt, $writes:expr) => {
        impl Binary for $name {
            const WRITES: bool = $writes;
            #[inline(always)]
            fn apply<W: Width>(flags: &mut Flags, a: W, b: W) -> W {
                let result = W::cut(a.zx() $operator b.zx());
                flags.logic(result);
                result
            }
        }
    };
}

logic!(And, &, true);
logic!(Or, |, true);
logic!(Xor, ^, true);
logic!(Test, &, false);

fn reg_reg<B: Binary, W: Width>(core: &mut Core, op: &Op) -> Flow {
    let (a, b) = (core.reg::<W>(op.r1), core.reg(op.r2));
    let result = B::apply(&mut core.flags, a, b);
    if B::WRITES {
        core.set_reg(op.r1, result);
    }
    Ok(())
}

fn reg_imm<B: Binary, W: Width>(core: &mut Core, op: &Op) -> Flow {
    let a = core.reg::<W>(op.r1);
    let result = B::apply(&mut core.flags, a, W::cut(op.imm));
    if B::WRITES {
        core.set_reg(op.r1, result);
    }
    Ok(())
}

fn try_reg_mem<O: Operand, B: Binary, W: Width>(core: &mut Core, op: &Op) -> Option<()> {
    let b = core.try_load_flat::<W>(O::linear(core, op))?;
    reg_with::<B, W>(core, op, b);
    Some(())
}

fn reg_mem<B: Binary, W: Width>(core: &mut Core, op: &Op) -> Flow {
    let b = core.load::<W>(op.seg, core.address(op))?;
    reg_with::<B, W>(core, op, b);
    Ok(())
}

#[inline(always)]
fn reg_with<B: Binary, W: Width>(core: &mut Core, op: &Op, b: W) {
    let a = core.reg(op.r1);
    let result = B::apply(&mut core.flags, a, b);
    if B::WRITES {
        core.set_reg(op.r1, result);
    }
}

/// Memory with `b`, the short way. The flags are changed only when nothing can fail any more.
#[inline(always)]
fn try_mem<O: Operand, B: Binary, W: Width>(core: &mut Core, op: &Op, b: W) -> Option<()> {
    let linear = O::linear(core, op);
    if B::WRITES {
        let a = core.try_load_for_update(linear)?;
        let mut flags = core.flags;
        let result = B::apply(&mut flags, a, b);
        core.try_store_flat(linear, result)?;
        core.flags = flags;
    } else {
        let a = core.try_load_flat(linear)?;
        B::apply(&mut core.flags, a, b);
    }
    Some(())
}

/// Memory with `b`, the careful way.
fn mem_any<B: Binary, W: Width>(core: &mut Core, op: &Op, b: W) -> Flow {
    let address = core.address(op);
    if !B::WRITES {
        let a = core.load(op.seg, address)?;
        B::apply(&mut core.flags, a, b);
        return Ok(());
    }
    let a = core.load_for_update(op.seg, address)?;
    let result = B::apply(&mut core.flags, a, b);
    core.store(op.seg, address, result)
}

fn try_mem_reg<O: Operand, B: Binary, W: Width>(core: &mut Core, op: &Op) -> Option<()> {
    try_mem::<O, B, W>(core, op, core.reg(op.r2))
}

fn mem_reg<B: Binary, W: Width>(core: &mut Core, op: &Op) -> Flow {
    mem_any::<B, W>(core, op, core.reg(op.r2))
}

fn try_mem_imm<O: Operand, B: Binary, W: Width>(core: &mut Core, op: &Op) -> Option<()> {
    try_mem::<O, B, W>(core, op, W::cut(op.imm))
}

fn mem_imm<B: Binary, W: Width>(core: &mut Core, op: &Op) -> Flow {
    mem_any::<B, W>(core, op, W::cut(op.imm))
}

fn lower_binary<B: Binary>(instruction: &Instruction, op: &mut Op) -> Option<After> {
    let form = binary(instruction, op)?;
    let size = size(instruction, 0);
    op.run = match form {
        Form::RegReg => sized!(size, reg_reg, B),
        Form::RegMem => sized_pair!(size, op, try_reg_mem, reg_mem, B),
        Form::MemReg => sized_pair!(size, op, try_mem_reg, mem_reg, B),
        Form::RegImm => sized!(size, reg_imm, B),
        Form::MemImm => sized_pair!(size, op, try_mem_imm, mem_imm, B),
    };
    Some(After::Next)
}

/// An operation on one operand.
trait Unary {
    fn apply<W: Width>(flags: &mut Flags, a: W) -> W;
}

struct Inc;
struct Dec;
struct Neg;
struct Not;

impl Unary for Inc {
    #[inline(always)]
    fn apply<W: Width>(flags: &mut Flags, a: W) -> W {
        let cf = flags.cf();
        let result = Add::apply(flags, a, W::cut(1));
        flags.set_cf(cf);
        result
    }
}

impl Unary for Dec {
    #[inline(always)]
    fn apply<W: Width>(flags: &mut Flags, a: W) -> W {
        let cf = flags.cf();
        let result = Sub::apply(flags, a, W::cut(1));
        flags.set_cf(cf);
        result
    }
}

impl Unary for Neg {
    #[inline(always)]
    fn apply<W: Width>(flags: &mut Flags, a: W) -> W {
        Sub::apply(flags, W::cut(0), a)
    }
}

impl Unary for Not {
    #[inline(always)]
    fn apply<W: Width>(_: &mut Flags, a: W) -> W {
        W::cut(!a.zx())
    }
}

fn unary_reg<U: Unary, W: Width>(core: &mut Core, op: &Op) -> Flow {
    let a = core.reg::<W>(op.r1);
    let result = U::apply(&mut core.flags, a);
    core.set_reg(op.r1, result);
    Ok(())
}

fn unary_mem<U: Unary, W: Width>(core: &mut Core, op: &Op) -> Flow {
    let address = core.address(op);
    let a = core.load_for_update::<W>(op.seg, address)?;
    let result = U::apply(&mut core.flags, a);
    core.store(op.seg, address, result)
}

fn lower_unary<U: Unary>(instruction: &Instruction, op: &mut Op) -> Option<After> {
    let size = size(instruction, 0);
    op.run = if unary(instruction, op)? { sized!(size, unary_mem, U) } else { sized!(size, unary_reg, U) };
    Some(After::Next)
}

/// `XADD`: the register gets the old destination, the destination the sum.
fn xadd_reg<W: Width>(core: &mut Core, op: &Op) -> Flow {
    let (a, b) = (core.reg::<W>(op.r1), core.reg::<W>(op.r2));
    let sum = Add::apply(&mut core.flags, a, b);
    core.set_reg(op.r2, a);
    core.set_reg(op.r1, sum);
    Ok(())
}

fn xadd_mem<W: Width>(core: &mut Core, op: &Op) -> Flow {
    let address = core.address(op);
    let (a, b) = (core.load_for_update::<W>(op.seg, address)?, core.reg::<W>(op.r2));
    let sum = Add::apply(&mut core.flags, a, b);
    let flow = core.store(op.seg, address, sum);
    core.set_reg(op.r2, a);
    flow
}

/// `CMPXCHG`: the accumulator is compared with the destination, which takes the source if they are equal.
fn cmpxchg_reg<W: Width>(core: &mut Core, op: &Op) -> Flow {
    let (accumulator, old) = (core.reg::<W>(reg::AX), core.reg::<W>(op.r1));
    Sub::apply(&mut core.flags, accumulator, old);
    if accumulator == old {
        core.set_reg(op.r1, core.reg::<W>(op.r2));
    } else {
        core.set_reg(reg::AX, old);
    }
    Ok(())
}

fn cmpxchg_mem<W: Width>(core: &mut Core, op: &Op) -> Flow {
    let address = core.address(op);
    let old = core.load_for_update::<W>(op.seg, address)?;
    let accumulator = core.reg::<W>(reg::AX);
    Sub::apply(&mut core.flags, accumulator, old);
    // The destination is written in both cases (SDM vol. 2, CMPXCHG).
    if accumulator == old {
        core.store(op.seg, address, core.reg::<W>(op.r2))
    } else {
        core.set_reg(reg::AX, old);
        core.store(op.seg, address, old)
    }
}

/// `CMPXCHG8B`: EDX:EAX against memory, ECX:EBX into it. ZF alone changes.
fn cmpxchg8b(core: &mut Core, op: &Op) -> Flow {
    let address = core.address(op);
    let old = core.load_for_update::<u64>(op.seg, address)?;
    let pair = |high: u32, low: u32| u64::from(high) << 32 | u64::from(low);
    let expected = pair(core.reg(reg::DX), core.reg(reg::AX));
    core.flags.set_zf(expected == old);
    if expected == old {
        let new = pair(core.reg(reg::CX), core.reg(reg::BX));
        return core.store(op.seg, address, new);
    }
    core.set_reg(reg::AX, old as u32);
    core.set_reg(reg::DX, (old >> 32) as u32);
    core.store(op.seg, address, old)
}

/// `CMPXCHG16B`: RDX:RAX against 16 aligned bytes, RCX:RBX into them.
fn cmpxchg16b(core: &mut Core, op: &Op) -> Flow {
    let address = core.address(op);
    let origin = core.segs[(op.seg & 7) as usize].origin;
    if origin.wrapping_add(address) & 15 != 0 {
        return Err(core.gp(0));
    }
    // Aligned, so both halves are in one page and the second cannot fault after the first.
    let low = core.load_for_update::<u64>(op.seg, address)?;
    let high = core.load_for_update::<u64>(op.seg, address.wrapping_add(8))?;
    let equal = (core.reg::<u64>(reg::DX), core.reg::<u64>(reg::AX)) == (high, low);
    core.flags.set_zf(equal);
    let (new_high, new_low) = if equal { (core.reg(reg::CX), core.reg(reg::BX)) } else { (high, low) };
    if !equal {
        core.set_reg(reg::AX, low);
        core.set_reg(reg::DX, high);
    }
    let first = core.store(op.seg, address, new_low);
    core.store(op.seg, address.wrapping_add(8), new_high).and(first)
}

fn lower_exchange(instruction: &Instruction, op: &mut Op) -> Option<After> {
    let size = size(instruction, 0);
    let form = binary(instruction, op)?;
    op.run = match (instruction.mnemonic(), form) {
        (Mnemonic::Xadd, Form::RegReg) => sized!(size, xadd_reg),
        (Mnemonic::Xadd, _) => sized!(size, xadd_mem),
        (_, Form::RegReg) => sized!(size, cmpxchg_reg),
        (_, _) => sized!(size, cmpxchg_mem),
    };
    Some(After::Next)
}

pub(super) fn lower(instruction: &Instruction, op: &mut Op) -> Option<After> {
    match instruction.mnemonic() {
        Mnemonic::Add => lower_binary::<Add>(instruction, op),
        Mnemonic::Adc => lower_binary::<Adc>(instruction, op),
        Mnemonic::Sub => lower_binary::<Sub>(instruction, op),
        Mnemonic::Sbb => lower_binary::<Sbb>(instruction, op),
        Mnemonic::Cmp => lower_binary::<Cmp>(instruction, op),
        Mnemonic::And => lower_binary::<And>(instruction, op),
        Mnemonic::Or => lower_binary::<Or>(instruction, op),
        Mnemonic::Xor => lower_binary::<Xor>(instruction, op),
        Mnemonic::Test => lower_binary::<Test>(instruction, op),
        Mnemonic::Inc => lower_unary::<Inc>(instruction, op),
        Mnemonic::Dec => lower_unary::<Dec>(instruction, op),
        Mnemonic::Neg => lower_unary::<Neg>(instruction, op),
        Mnemonic::Not => lower_unary::<Not>(instruction, op),
        Mnemonic::Xadd | Mnemonic::Cmpxchg => lower_exchange(instruction, op),
        Mnemonic::Cmpxchg16b => {
            memory(instruction, op);
            op.run = run!(cmpxchg16b);
            Some(After::Next)
        }
        Mnemonic::Cmpxchg8b => {
            memory(instruction, op);
            op.run = run!(cmpxchg8b);
            Some(After::Next)
        }
        _ => None,
    }
}
