//! Bit tests and scans (SDM vol. 2, BT, BTC, BTR, BTS, BSF, BSR).

use iced_x86::{Instruction, Mnemonic};

use super::super::core::Core;
use super::super::fault::Flow;
use super::super::op::{After, Op};
use super::super::width::Width;
use super::operand::{Form, binary, size, sized};

/// What happens to the bit that was tested.
trait Change {
    const WRITES: bool = true;
    fn apply(value: u64, bit: u64) -> u64;
}

struct Keep;
struct Set;
struct Reset;
struct Complement;

impl Change for Keep {
    const WRITES: bool = false;
    fn apply(value: u64, _: u64) -> u64 {
        value
    }
}

impl Change for Set {
    fn apply(value: u64, bit: u64) -> u64 {
        value | bit
    }
}

impl Change for Reset {
    fn apply(value: u64, bit: u64) -> u64 {
        value & !bit
    }
}

impl Change for Complement {
    fn apply(value: u64, bit: u64) -> u64 {
        value ^ bit
    }
}

fn bit_in_reg<C: Change, W: Width>(core: &mut Core, op: &Op, index: u64) -> Flow {
    let (value, bit) = (core.reg::<W>(op.r1).zx(), 1 << (index % u64::from(W::BITS)));
    core.flags.set_cf(value & bit != 0);
    if C::WRITES {
        core.set_reg(op.r1, W::cut(C::apply(value, bit)));
    }
    Ok(())
}

fn bit_in_mem<C: Change, W: Width>(core: &mut Core, op: &Op, address: u64, index: u64) -> Flow {
    let bit = 1 << (index % u64::from(W::BITS));
    if !C::WRITES {
        let value = core.load::<W>(op.seg, address)?.zx();
        core.flags.set_cf(value & bit != 0);
        return Ok(());
    }
    let value = core.load_for_update::<W>(op.seg, address)?.zx();
    core.flags.set_cf(value & bit != 0);
    core.store(op.seg, address, W::cut(C::apply(value, bit)))
}

fn reg_by_reg<C: Change, W: Width>(core: &mut Core, op: &Op) -> Flow {
    let index = core.reg::<W>(op.r2).zx();
    bit_in_reg::<C, W>(core, op, index)
}

fn reg_by_imm<C: Change, W: Width>(core: &mut Core, op: &Op) -> Flow {
    bit_in_reg::<C, W>(core, op, op.imm)
}

/// The register counts bits from the operand on, in both directions: a bit string.
fn mem_by_reg<C: Change, W: Width>(core: &mut Core, op: &Op) -> Flow {
    let index = core.reg::<W>(op.r2).sx() as i64;
    let units = index.div_euclid(i64::from(W::BITS)) * i64::from(W::BYTES);
    let address = core.address(op).wrapping_add(units as u64) & u64::MAX >> (op.narrow & 63);
    bit_in_mem::<C, W>(core, op, address, index.rem_euclid(i64::from(W::BITS)) as u64)
}

fn mem_by_imm<C: Change, W: Width>(core: &mut Core, op: &Op) -> Flow {
    bit_in_mem::<C, W>(core, op, core.address(op), op.imm)
}

fn lower_test<C: Change>(instruction: &Instruction, op: &mut Op) -> Option<After> {
    let size = size(instruction, 0);
    op.run = match binary(instruction, op)? {
        Form::RegReg => sized!(size, reg_by_reg, C),
        Form::RegImm => sized!(size, reg_by_imm, C),
        Form::MemReg => sized!(size, mem_by_reg, C),
        Form::MemImm => sized!(size, mem_by_imm, C),
        Form::RegMem => return None,
    };
    Some(After::Next)
}

/// Which end a scan begins at.
trait Scan {
    fn find(value: u64) -> u64;
}

struct Forward;
struct Reverse;

impl Scan for Forward {
    fn find(value: u64) -> u64 {
        u64::from(value.trailing_zeros())
    }
}

impl Scan for Reverse {
    fn find(value: u64) -> u64 {
        u64::from(63 - value.leading_zeros())
    }
}

/// ZF says that the source was zero; the destination then keeps its value, as AMD documents and Intel does. The other
/// flags are undefined; here they follow the source.
fn scan<S: Scan, W: Width>(core: &mut Core, op: &Op, value: W) {
    core.flags.logic(value);
    if value.zx() != 0 {
        core.set_reg(op.r1, W::cut(S::find(value.zx())));
    }
}

fn scan_reg<S: Scan, W: Width>(core: &mut Core, op: &Op) -> Flow {
    let value = core.reg::<W>(op.r2);
    scan::<S, W>(core, op, value);
    Ok(())
}

fn scan_mem<S: Scan, W: Width>(core: &mut Core, op: &Op) -> Flow {
    let value = core.load::<W>(op.seg, core.address(op))?;
    scan::<S, W>(core, op, value);
    Ok(())
}

fn lower_scan<S: Scan>(instruction: &Instruction, op: &mut Op) -> Option<After> {
    let size = size(instruction, 0);
    op.run = match binary(instruction, op)? {
        Form::RegReg => sized!(size, scan_reg, S),
        Form::RegMem => sized!(size, scan_mem, S),
        _ => return None,
    };
    Some(After::Next)
}

pub(super) fn lower(instruction: &Instruction, op: &mut Op) -> Option<After> {
    match instruction.mnemonic() {
        Mnemonic::Bt => lower_test::<Keep>(instruction, op),
        Mnemonic::Bts => lower_test::<Set>(instruction, op),
        Mnemonic::Btr => lower_test::<Reset>(instruction, op),
        Mnemonic::Btc => lower_test::<Complement>(instruction, op),
        Mnemonic::Bsf => lower_scan::<Forward>(instruction, op),
        Mnemonic::Bsr => lower_scan::<Reverse>(instruction, op),
        _ => None,
    }
}
