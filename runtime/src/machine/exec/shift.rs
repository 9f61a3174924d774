//! Shifts and rotates (SDM vol. 2, SAL/SAR/SHL/SHR, RCL/RCR/ROL/ROR, SHLD, SHRD).
//!
//! OF is defined for counts of one only; for others it is what the same rule gives, as processors do.

use iced_x86::{Instruction, Mnemonic, OpKind};

use super::super::core::{Core, reg};
use super::super::fault::Flow;
use super::super::flags::Flags;
use super::super::op::{After, Op, run};
use super::super::width::Width;
use super::operand::{gpr, memory, size, sized};

/// An operation on a value and a count of 1 to 31, pure.
trait Shift {
    fn apply<W: Width>(flags: &mut Flags, a: W, count: u32) -> W;
}

struct Shl;
struct Shr;
struct Sar;
struct Rol;
struct Ror;
struct Rcl;
struct Rcr;

impl Shift for Shl {
    #[inline(always)]
    fn apply<W: Width>(flags: &mut Flags, a: W, count: u32) -> W {
        let wide = u128::from(a.zx()) << count;
        let result = W::cut(wide as u64);
        let cf = wide >> W::BITS & 1 != 0;
        flags.logic(result);
        flags.set_cf_of(cf, cf ^ result.sign());
        result
    }
}

impl Shift for Shr {
    #[inline(always)]
    fn apply<W: Width>(flags: &mut Flags, a: W, count: u32) -> W {
        let result = W::cut(a.zx() >> count);
        flags.logic(result);
        flags.set_cf_of(a.zx() >> (count - 1) & 1 != 0, a.sign());
        result
    }
}

impl Shift for Sar {
    #[inline(always)]
    fn apply<W: Width>(flags: &mut Flags, a: W, count: u32) -> W {
        let wide = a.sx() as i64;
        let result = W::cut((wide >> count) as u64);
        flags.logic(result);
        flags.set_cf_of(wide >> (count - 1) & 1 != 0, false);
        result
    }
}

impl Shift for Rol {
    #[inline(always)]
    fn apply<W: Width>(flags: &mut Flags, a: W, count: u32) -> W {
        let turn = count % W::BITS;
        let result = if turn == 0 { a } else { W::cut(a.zx() << turn | a.zx() >> (W::BITS - turn)) };
        let cf = result.zx() & 1 != 0;
        flags.set_cf_of(cf, cf ^ result.sign());
        result
    }
}

impl Shift for Ror {
    #[inline(always)]
    fn apply<W: Width>(flags: &mut Flags, a: W, count: u32) -> W {
        let turn = count % W::BITS;
        let result = if turn == 0 { a } else { W::cut(a.zx() >> turn | a.zx() << (W::BITS - turn)) };
        let next = result.zx() >> (W::BITS - 2) & 1 != 0;
        flags.set_cf_of(result.sign(), result.sign() ^ next);
        result
    }
}

/// The value turned left through the carry by `turn`, 1 to its width; and the carry that comes out.
#[inline(always)]
fn through_carry<W: Width>(flags: &Flags, a: W, turn: u32) -> (W, bool) {
    let wide = u128::from(flags.cf()) << W::BITS | u128::from(a.zx());
    let wide = wide << turn | wide >> (W::BITS + 1 - turn);
    (W::cut(wide as u64), wide >> W::BITS & 1 != 0)
}

impl Shift for Rcl {
    #[inline(always)]
    fn apply<W: Width>(flags: &mut Flags, a: W, count: u32) -> W {
        let turn = count % (W::BITS + 1);
        if turn == 0 {
            return a;
        }
        let (result, cf) = through_carry(flags, a, turn);
        flags.set_cf_of(cf, cf ^ result.sign());
        result
    }
}

impl Shift for Rcr {
    #[inline(always)]
    fn apply<W: Width>(flags: &mut Flags, a: W, count: u32) -> W {
        let turn = count % (W::BITS + 1);
        if turn == 0 {
            return a;
        }
        let (result, cf) = through_carry(flags, a, W::BITS + 1 - turn);
        let next = result.zx() >> (W::BITS - 2) & 1 != 0;
        flags.set_cf_of(cf, result.sign() ^ next);
        result
    }
}

/// The count: an immediate or CL, as many bits of it as matter.
#[inline(always)]
fn count<W: Width, const BY_CL: bool>(core: &Core, op: &Op) -> u32 {
    (if BY_CL { core.reg::<u8>(reg::CX) } else { op.imm as u8 }) as u32 & count_mask::<W>()
}

/// Bits of a count that matter: six with 64-bit operands, else five.
const fn count_mask<W: Width>() -> u32 {
    if W::BITS == 64 { 63 } else { 31 }
}

fn shift_reg<S: Shift, W: Width, const BY_CL: bool>(core: &mut Core, op: &Op) -> Flow {
    let count = count::<W, BY_CL>(core, op);
    if count != 0 {
        let a = core.reg::<W>(op.r1);
        let result = S::apply(&mut core.flags, a, count);
        core.set_reg(op.r1, result);
    }
    Ok(())
}

fn shift_mem<S: Shift, W: Width, const BY_CL: bool>(core: &mut Core, op: &Op) -> Flow {
    let (address, count) = (core.address(op), count::<W, BY_CL>(core, op));
    let a = core.load_for_update::<W>(op.seg, address)?;
    if count == 0 {
        return Ok(());
    }
    let result = S::apply(&mut core.flags, a, count);
    core.store(op.seg, address, result)
}

fn lower_shift<S: Shift>(instruction: &Instruction, op: &mut Op) -> Option<After> {
    let by_cl = instruction.op1_kind() == OpKind::Register;
    if !by_cl {
        op.imm = instruction.immediate(1);
    }
    let size = size(instruction, 0);
    op.run = if instruction.op0_kind() == OpKind::Register {
        op.r1 = gpr(instruction.op0_register())?;
        match (by_cl, size) {
            (false, 1) => run!(shift_reg::<S, u8, false>),
            (false, 2) => run!(shift_reg::<S, u16, false>),
            (false, 4) => run!(shift_reg::<S, u32, false>),
            (false, 8) => run!(shift_reg::<S, u64, false>),
            (true, 1) => run!(shift_reg::<S, u8, true>),
            (true, 2) => run!(shift_reg::<S, u16, true>),
            (true, 4) => run!(shift_reg::<S, u32, true>),
            (true, 8) => run!(shift_reg::<S, u64, true>),
            _ => return None,
        }
    } else {
        memory(instruction, op);
        match (by_cl, size) {
            (false, 1) => run!(shift_mem::<S, u8, false>),
            (false, 2) => run!(shift_mem::<S, u16, false>),
            (false, 4) => run!(shift_mem::<S, u32, false>),
            (false, 8) => run!(shift_mem::<S, u64, false>),
            (true, 1) => run!(shift_mem::<S, u8, true>),
            (true, 2) => run!(shift_mem::<S, u16, true>),
            (true, 4) => run!(shift_mem::<S, u32, true>),
            (true, 8) => run!(shift_mem::<S, u64, true>),
            _ => return None,
        }
    };
    Some(After::Next)
}

/// Which way a double shift goes.
trait Double {
    fn apply<W: Width>(flags: &mut Flags, a: W, fill: W, count: u32) -> W;
}

struct Shld;
struct Shrd;

/// With 16-bit operands counts over 16 are undefined; here the source fills again from its top.
impl Double for Shld {
    fn apply<W: Width>(flags: &mut Flags, a: W, fill: W, count: u32) -> W {
        let (result, cf) = if W::BITS == 64 {
            // The count is 1 to 63 here.
            (a.zx() << count | fill.zx() >> (64 - count), a.zx() >> (64 - count) & 1 != 0)
        } else {
            let pair = u128::from(a.zx()) << (2 * W::BITS) | u128::from(fill.zx()) << W::BITS | u128::from(fill.zx());
            let shifted = pair << count;
            ((shifted >> (2 * W::BITS)) as u64, shifted >> (3 * W::BITS) & 1 != 0)
        };
        double_result(flags, a, W::cut(result), cf)
    }
}

impl Double for Shrd {
    fn apply<W: Width>(flags: &mut Flags, a: W, fill: W, count: u32) -> W {
        let cf =
            if count <= W::BITS { a.zx() >> (count - 1) & 1 != 0 } else { fill.zx() >> (count - W::BITS - 1) & 1 != 0 };
        let result = if W::BITS == 64 {
            a.zx() >> count | fill.zx() << (64 - count)
        } else {
            let pair = u128::from(fill.zx()) << (2 * W::BITS) | u128::from(fill.zx()) << W::BITS | u128::from(a.zx());
            (pair >> count) as u64
        };
        double_result(flags, a, W::cut(result), cf)
    }
}

fn double_result<W: Width>(flags: &mut Flags, before: W, result: W, cf: bool) -> W {
    flags.logic(result);
    flags.set_cf_of(cf, result.sign() ^ before.sign());
    result
}

fn double_reg<D: Double, W: Width>(core: &mut Core, op: &Op) -> Flow {
    let count = double_count::<W>(core, op);
    if count != 0 {
        let (a, fill) = (core.reg::<W>(op.r1), core.reg::<W>(op.r2));
        let result = D::apply(&mut core.flags, a, fill, count);
        core.set_reg(op.r1, result);
    }
    Ok(())
}

fn double_mem<D: Double, W: Width>(core: &mut Core, op: &Op) -> Flow {
    let (address, count) = (core.address(op), double_count::<W>(core, op));
    let (a, fill) = (core.load_for_update::<W>(op.seg, address)?, core.reg::<W>(op.r2));
    if count == 0 {
        return Ok(());
    }
    let result = D::apply(&mut core.flags, a, fill, count);
    core.store(op.seg, address, result)
}

/// `imm` is the count, or this where CL has it.
const BY_CL: u64 = 0x100;

fn double_count<W: Width>(core: &Core, op: &Op) -> u32 {
    (if op.imm == BY_CL { core.reg::<u8>(reg::CX) } else { op.imm as u8 }) as u32 & count_mask::<W>()
}

fn lower_double<D: Double>(instruction: &Instruction, op: &mut Op) -> Option<After> {
    op.imm = if instruction.op2_kind() == OpKind::Register { BY_CL } else { instruction.immediate(2) & 0xFF };
    op.r2 = gpr(instruction.op1_register())?;
    let size = size(instruction, 0);
    op.run = if instruction.op0_kind() == OpKind::Register {
        op.r1 = gpr(instruction.op0_register())?;
        sized!(size, double_reg, D)
    } else {
        memory(instruction, op);
        sized!(size, double_mem, D)
    };
    Some(After::Next)
}

pub(super) fn lower(instruction: &Instruction, op: &mut Op) -> Option<After> {
    match instruction.mnemonic() {
        Mnemonic::Shl | Mnemonic::Sal => lower_shift::<Shl>(instruction, op),
        Mnemonic::Shr => lower_shift::<Shr>(instruction, op),
        Mnemonic::Sar => lower_shift::<Sar>(instruction, op),
        Mnemonic::Rol => lower_shift::<Rol>(instruction, op),
        Mnemonic::Ror => lower_shift::<Ror>(instruction, op),
        Mnemonic::Rcl => lower_shift::<Rcl>(instruction, op),
        Mnemonic::Rcr => lower_shift::<Rcr>(instruction, op),
        Mnemonic::Shld => lower_double::<Shld>(instruction, op),
        Mnemonic::Shrd => lower_double::<Shrd>(instruction, op),
        _ => None,
    }
}
