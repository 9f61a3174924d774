//! Multiplication and division (SDM vol. 2, MUL, IMUL, DIV, IDIV).
//!
//! SF, ZF, AF and PF are undefined after a multiplication; here SF, ZF and PF follow the low half of the product, as on
//! processors since the Pentium 4.

use iced_x86::{Instruction, Mnemonic, OpKind};

use super::super::core::{Core, reg};
use super::super::fault::{Flow, Stop, Vector};
use super::super::op::{After, Op};
use super::super::width::Width;
use super::operand::{gpr, memory, size, sized, unary};

/// The register pair of a width up to 32 bits: AX for bytes, else eDX:eAX.
fn pair<W: Width>(core: &Core) -> u64 {
    if W::BITS == 8 {
        core.reg::<u16>(reg::AX).zx()
    } else {
        core.reg::<W>(reg::DX).zx() << (W::BITS & 63) | core.reg::<W>(reg::AX).zx()
    }
}

fn set_pair<W: Width>(core: &mut Core, high: W, low: W) {
    core.set_reg(reg::AX, low);
    core.set_reg(if W::BITS == 8 { reg::HIGH } else { reg::DX }, high);
}

/// A kind of arithmetic on eDX:eAX and one operand.
trait Wide {
    fn apply<W: Width>(core: &mut Core, b: W) -> Flow;
}

struct Mul;
struct Imul;
struct Div;
struct Idiv;

impl Wide for Mul {
    fn apply<W: Width>(core: &mut Core, b: W) -> Flow {
        let product = u128::from(core.reg::<W>(reg::AX).zx()) * u128::from(b.zx());
        let (high, low) = (W::cut((product >> W::BITS) as u64), W::cut(product as u64));
        set_pair(core, high, low);
        core.flags.logic(low);
        let carry = high.zx() != 0;
        core.flags.set_cf_of(carry, carry);
        Ok(())
    }
}

impl Wide for Imul {
    fn apply<W: Width>(core: &mut Core, b: W) -> Flow {
        let product = product(core.reg::<W>(reg::AX), b);
        let (high, low) = (W::cut((product >> W::BITS) as u64), W::cut(product as u64));
        set_pair(core, high, low);
        core.flags.logic(low);
        let carry = i128::from(low.sx() as i64) != product;
        core.flags.set_cf_of(carry, carry);
        Ok(())
    }
}

/// The signed product, whole.
#[inline(always)]
fn product<W: Width>(a: W, b: W) -> i128 {
    i128::from(a.sx() as i64) * i128::from(b.sx() as i64)
}

#[cold]
fn divide_error(core: &mut Core) -> Stop {
    core.raise(Vector::DivideError, 0)
}

impl Wide for Div {
    fn apply<W: Width>(core: &mut Core, b: W) -> Flow {
        if W::BITS == 64 {
            return divide_wide(core, b.zx());
        }
        let (a, b) = (pair::<W>(core), b.zx());
        if b == 0 || a / b > W::MASK {
            return Err(divide_error(core));
        }
        set_pair(core, W::cut(a % b), W::cut(a / b));
        Ok(())
    }
}

/// RDX:RAX.
fn wide_pair(core: &Core) -> u128 {
    u128::from(core.reg::<u64>(reg::DX)) << 64 | u128::from(core.reg::<u64>(reg::AX))
}

fn divide_wide(core: &mut Core, b: u64) -> Flow {
    let a = wide_pair(core);
    // The quotient fits if the high half is below the divisor; so neither is zero division.
    if (a >> 64) as u64 >= b {
        return Err(divide_error(core));
    }
    set_pair(core, (a % u128::from(b)) as u64, (a / u128::from(b)) as u64);
    Ok(())
}

fn divide_wide_signed(core: &mut Core, b: i64) -> Flow {
    let a = wide_pair(core) as i128;
    let (Some(quotient), Some(remainder)) = (a.checked_div(b.into()), a.checked_rem(b.into())) else {
        return Err(divide_error(core));
    };
    if i64::try_from(quotient).is_err() {
        return Err(divide_error(core));
    }
    set_pair(core, remainder as u64, quotient as u64);
    Ok(())
}

impl Wide for Idiv {
    fn apply<W: Width>(core: &mut Core, b: W) -> Flow {
        if W::BITS == 64 {
            return divide_wide_signed(core, b.sx() as i64);
        }
        let spare = 64u32.saturating_sub(2 * W::BITS);
        let (a, b) = ((pair::<W>(core) << spare) as i64 >> spare, b.sx() as i64);
        // The one overflow of i64 itself: i64::MIN / -1.
        let (Some(quotient), Some(remainder)) = (a.checked_div(b), a.checked_rem(b)) else {
            return Err(divide_error(core));
        };
        let cut = W::cut(quotient as u64);
        if cut.sx() as i64 != quotient {
            return Err(divide_error(core));
        }
        set_pair(core, W::cut(remainder as u64), cut);
        Ok(())
    }
}

fn wide_reg<A: Wide, W: Width>(core: &mut Core, op: &Op) -> Flow {
    let b = core.reg::<W>(op.r1);
    A::apply(core, b)
}

fn wide_mem<A: Wide, W: Width>(core: &mut Core, op: &Op) -> Flow {
    let b = core.load::<W>(op.seg, core.address(op))?;
    A::apply(core, b)
}

fn lower_wide<A: Wide>(instruction: &Instruction, op: &mut Op) -> Option<After> {
    let size = size(instruction, 0);
    op.run = if unary(instruction, op)? { sized!(size, wide_mem, A) } else { sized!(size, wide_reg, A) };
    Some(After::Next)
}

#[inline(always)]
fn multiply<W: Width>(core: &mut Core, r: u8, a: W, b: W) {
    let product = product(a, b);
    let low = W::cut(product as u64);
    core.set_reg(r, low);
    core.flags.logic(low);
    let carry = i128::from(low.sx() as i64) != product;
    core.flags.set_cf_of(carry, carry);
}

fn imul_reg<W: Width>(core: &mut Core, op: &Op) -> Flow {
    let (a, b) = (core.reg::<W>(op.r1), core.reg::<W>(op.r2));
    multiply(core, op.r1, a, b);
    Ok(())
}

fn imul_mem<W: Width>(core: &mut Core, op: &Op) -> Flow {
    let b = core.load::<W>(op.seg, core.address(op))?;
    let a = core.reg::<W>(op.r1);
    multiply(core, op.r1, a, b);
    Ok(())
}

fn imul_reg_imm<W: Width>(core: &mut Core, op: &Op) -> Flow {
    let a = core.reg::<W>(op.r2);
    multiply(core, op.r1, a, W::cut(op.imm));
    Ok(())
}

fn imul_mem_imm<W: Width>(core: &mut Core, op: &Op) -> Flow {
    let a = core.load::<W>(op.seg, core.address(op))?;
    multiply(core, op.r1, a, W::cut(op.imm));
    Ok(())
}

fn lower_imul(instruction: &Instruction, op: &mut Op) -> Option<After> {
    let operands = instruction.op_count();
    if operands == 1 {
        return lower_wide::<Imul>(instruction, op);
    }
    op.r1 = gpr(instruction.op0_register())?;
    let from_memory = instruction.op1_kind() == OpKind::Memory;
    if from_memory {
        memory(instruction, op);
    } else {
        op.r2 = gpr(instruction.op1_register())?;
    }
    if operands == 3 {
        op.imm = instruction.immediate(2);
    }
    let size = size(instruction, 0);
    op.run = match (operands, from_memory) {
        (2, false) => sized!(size, imul_reg),
        (2, true) => sized!(size, imul_mem),
        (_, false) => sized!(size, imul_reg_imm),
        (_, true) => sized!(size, imul_mem_imm),
    };
    Some(After::Next)
}

pub(super) fn lower(instruction: &Instruction, op: &mut Op) -> Option<After> {
    match instruction.mnemonic() {
        Mnemonic::Mul => lower_wide::<Mul>(instruction, op),
        Mnemonic::Imul => lower_imul(instruction, op),
        Mnemonic::Div => lower_wide::<Div>(instruction, op),
        Mnemonic::Idiv => lower_wide::<Idiv>(instruction, op),
        _ => None,
    }
}
