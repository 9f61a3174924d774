//! Decimal adjustment (SDM vol. 2, AAA, AAD, AAM, AAS, DAA, DAS). Flags that the manual leaves undefined keep their value
//! or follow the result.

use iced_x86::{Instruction, Mnemonic};

use super::super::core::{Core, reg};
use super::super::fault::{Flow, Vector};
use super::super::flags;
use super::super::op::{After, Op, run};

/// SF, ZF and PF from AL; CF and AF as given; OF clear.
fn set_flags(core: &mut Core, result: u8, cf: bool, af: bool) {
    core.flags.logic(result);
    let all = core.flags.get() | u32::from(cf) * flags::CF | u32::from(af) * flags::AF;
    core.flags.set_arithmetic(all);
}

fn daa(core: &mut Core, _: &Op) -> Flow {
    let (old, cf, af) = (core.reg::<u8>(reg::AX), core.flags.cf(), core.flags.af());
    let low = old & 15 > 9 || af;
    let high = old > 0x99 || cf;
    let result = old.wrapping_add(u8::from(low) * 6).wrapping_add(u8::from(high) * 0x60);
    core.set_reg(reg::AX, result);
    set_flags(core, result, high, low);
    Ok(())
}

fn das(core: &mut Core, _: &Op) -> Flow {
    let (old, cf, af) = (core.reg::<u8>(reg::AX), core.flags.cf(), core.flags.af());
    let low = old & 15 > 9 || af;
    let high = old > 0x99 || cf;
    let result = old.wrapping_sub(u8::from(low) * 6).wrapping_sub(u8::from(high) * 0x60);
    // Subtracting 6 may itself borrow.
    let borrow = low && old < 6;
    core.set_reg(reg::AX, result);
    set_flags(core, result, high || borrow, low);
    Ok(())
}

fn ascii_adjust(core: &mut Core, subtract: bool) {
    let al = core.reg::<u8>(reg::AX);
    let adjust = al & 15 > 9 || core.flags.af();
    if adjust {
        let ax = core.reg::<u16>(reg::AX);
        let ax = if subtract { ax.wrapping_sub(0x106) } else { ax.wrapping_add(0x106) };
        core.set_reg(reg::AX, ax);
    }
    let al = core.reg::<u8>(reg::AX) & 15;
    core.set_reg(reg::AX, al);
    set_flags(core, al, adjust, adjust);
}

fn aaa(core: &mut Core, _: &Op) -> Flow {
    ascii_adjust(core, false);
    Ok(())
}

fn aas(core: &mut Core, _: &Op) -> Flow {
    ascii_adjust(core, true);
    Ok(())
}

fn aam(core: &mut Core, op: &Op) -> Flow {
    let (al, base) = (core.reg::<u8>(reg::AX), op.imm as u8);
    if base == 0 {
        return Err(core.raise(Vector::DivideError, 0));
    }
    core.set_reg(reg::HIGH, al / base);
    core.set_reg(reg::AX, al % base);
    set_flags(core, al % base, false, false);
    Ok(())
}

fn aad(core: &mut Core, op: &Op) -> Flow {
    let (al, ah) = (core.reg::<u8>(reg::AX), core.reg::<u8>(reg::HIGH));
    let result = ah.wrapping_mul(op.imm as u8).wrapping_add(al);
    core.set_reg(reg::AX, u16::from(result));
    set_flags(core, result, false, false);
    Ok(())
}

/// `SALC` (D6h): AL := CF ? FFh : 0. Not in the manual, in every processor.
fn salc(core: &mut Core, _: &Op) -> Flow {
    let value = if core.flags.cf() { 0xFFu8 } else { 0 };
    core.set_reg(reg::AX, value);
    Ok(())
}

pub(super) fn lower(instruction: &Instruction, op: &mut Op) -> Option<After> {
    op.run = match instruction.mnemonic() {
        Mnemonic::Daa => run!(daa),
        Mnemonic::Das => run!(das),
        Mnemonic::Aaa => run!(aaa),
        Mnemonic::Aas => run!(aas),
        Mnemonic::Aam => run!(aam),
        Mnemonic::Aad => run!(aad),
        Mnemonic::Salc => run!(salc),
        _ => return None,
    };
    if matches!(instruction.mnemonic(), Mnemonic::Aam | Mnemonic::Aad) {
        op.imm = instruction.immediate(0);
    }
    Some(After::Next)
}
