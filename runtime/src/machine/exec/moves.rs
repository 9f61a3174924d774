//! Data movement, widening, and the instructions that choose by a condition (SDM vol. 1, 5.1.1).

use iced_x86::{ConditionCode, Instruction, Mnemonic};

use super::super::core::{Core, reg};
use super::super::fault::Flow;
use super::super::flags::{self, Flags};
use super::super::op::{After, Indexed, Op, Operand, Run, Simple, Way, run};
use super::super::width::Width;
use super::operand::{Form, binary, memory, size, sized, sized_pair, unary};

fn mov_reg_reg<W: Width>(core: &mut Core, op: &Op) -> Flow {
    core.set_reg(op.r1, core.reg::<W>(op.r2));
    Ok(())
}

fn mov_reg_imm<W: Width>(core: &mut Core, op: &Op) -> Flow {
    core.set_reg(op.r1, W::cut(op.imm));
    Ok(())
}

fn try_mov_reg_mem<O: Operand, W: Width>(core: &mut Core, op: &Op) -> Option<()> {
    let value = core.try_load_flat::<W>(O::linear(core, op))?;
    core.set_reg(op.r1, value);
    Some(())
}

fn mov_reg_mem<W: Width>(core: &mut Core, op: &Op) -> Flow {
    let value = core.load::<W>(op.seg, core.address(op))?;
    core.set_reg(op.r1, value);
    Ok(())
}

fn try_mov_mem_reg<O: Operand, W: Width>(core: &mut Core, op: &Op) -> Option<()> {
    core.try_store_flat(O::linear(core, op), core.reg::<W>(op.r2))
}

fn mov_mem_reg<W: Width>(core: &mut Core, op: &Op) -> Flow {
    core.store(op.seg, core.address(op), core.reg::<W>(op.r2))
}

fn try_mov_mem_imm<O: Operand, W: Width>(core: &mut Core, op: &Op) -> Option<()> {
    core.try_store_flat(O::linear(core, op), W::cut(op.imm))
}

fn mov_mem_imm<W: Width>(core: &mut Core, op: &Op) -> Flow {
    core.store(op.seg, core.address(op), W::cut(op.imm))
}

fn lower_mov(instruction: &Instruction, op: &mut Op) -> Option<After> {
    let form = binary(instruction, op)?;
    let size = size(instruction, 0);
    op.run = match form {
        Form::RegReg => sized!(size, mov_reg_reg),
        Form::RegMem => sized_pair!(size, op, try_mov_reg_mem, mov_reg_mem),
        Form::MemReg => sized_pair!(size, op, try_mov_mem_reg, mov_mem_reg),
        Form::RegImm => sized!(size, mov_reg_imm),
        Form::MemImm => sized_pair!(size, op, try_mov_mem_imm, mov_mem_imm),
    };
    Some(After::Next)
}

fn zx_reg<S: Width, W: Width>(core: &mut Core, op: &Op) -> Flow {
    core.set_reg(op.r1, W::cut(core.reg::<S>(op.r2).zx()));
    Ok(())
}

fn try_zx_mem<O: Operand, S: Width, W: Width>(core: &mut Core, op: &Op) -> Option<()> {
    let value = core.try_load_flat::<S>(O::linear(core, op))?;
    core.set_reg(op.r1, W::cut(value.zx()));
    Some(())
}

fn zx_mem<S: Width, W: Width>(core: &mut Core, op: &Op) -> Flow {
    let value = core.load::<S>(op.seg, core.address(op))?;
    core.set_reg(op.r1, W::cut(value.zx()));
    Ok(())
}

fn sx_reg<S: Width, W: Width>(core: &mut Core, op: &Op) -> Flow {
    core.set_reg(op.r1, W::cut(core.reg::<S>(op.r2).sx()));
    Ok(())
}

fn sx_mem<S: Width, W: Width>(core: &mut Core, op: &Op) -> Flow {
    let value = core.load::<S>(op.seg, core.address(op))?;
    core.set_reg(op.r1, W::cut(value.sx()));
    Ok(())
}

fn lower_widen(instruction: &Instruction, op: &mut Op) -> Option<After> {
    let form = binary(instruction, op)?;
    let (to, from) = (size(instruction, 0), size(instruction, 1));
    let signed = instruction.mnemonic() == Mnemonic::Movsx;
    op.run = match (form, signed, from) {
        (Form::RegReg, false, 1) => sized!(to, zx_reg, u8),
        (Form::RegReg, false, 2) => sized!(to, zx_reg, u16),
        (Form::RegReg, true, 1) => sized!(to, sx_reg, u8),
        (Form::RegReg, true, 2) => sized!(to, sx_reg, u16),
        (Form::RegMem, false, 1) => sized_pair!(to, op, try_zx_mem, zx_mem, u8),
        (Form::RegMem, false, 2) => sized_pair!(to, op, try_zx_mem, zx_mem, u16),
        (Form::RegMem, true, 1) => sized!(to, sx_mem, u8),
        (Form::RegMem, true, 2) => sized!(to, sx_mem, u16),
        _ => return None,
    };
    Some(After::Next)
}

fn xchg_reg<W: Width>(core: &mut Core, op: &Op) -> Flow {
    let (a, b) = (core.reg::<W>(op.r1), core.reg::<W>(op.r2));
    core.set_reg(op.r1, b);
    core.set_reg(op.r2, a);
    Ok(())
}

fn xchg_mem<W: Width>(core: &mut Core, op: &Op) -> Flow {
    let address = core.address(op);
    let old = core.load_for_update::<W>(op.seg, address)?;
    let flow = core.store(op.seg, address, core.reg::<W>(op.r2));
    core.set_reg(op.r2, old);
    flow
}

fn lower_xchg(instruction: &Instruction, op: &mut Op) -> Option<After> {
    let size = size(instruction, 0);
    op.run = match binary(instruction, op)? {
        Form::RegReg => sized!(size, xchg_reg),
        Form::RegMem => {
            op.r2 = op.r1;
            sized!(size, xchg_mem)
        }
        _ => sized!(size, xchg_mem),
    };
    Some(After::Next)
}

fn lea<W: Width>(core: &mut Core, op: &Op) -> Flow {
    core.set_reg(op.r1, W::cut(core.address(op)));
    Ok(())
}

fn bswap(core: &mut Core, op: &Op) -> Flow {
    core.set_reg(op.r1, core.reg::<u32>(op.r1).swap_bytes());
    Ok(())
}

/// `BSWAP` of a 16-bit register is undefined; processors give zero.
fn bswap16(core: &mut Core, op: &Op) -> Flow {
    core.set_reg(op.r1, 0u16);
    Ok(())
}

fn nop(_: &mut Core, _: &Op) -> Flow {
    Ok(())
}

fn cbw(core: &mut Core, _: &Op) -> Flow {
    core.set_reg(reg::AX, core.reg::<u8>(reg::AX).sx() as u16);
    Ok(())
}

fn cwde(core: &mut Core, _: &Op) -> Flow {
    core.set_reg(reg::AX, core.reg::<u16>(reg::AX).sx() as u32);
    Ok(())
}

fn cwd(core: &mut Core, _: &Op) -> Flow {
    core.set_reg(reg::DX, (core.reg::<u16>(reg::AX).sx() >> 16) as u16);
    Ok(())
}

fn cdq(core: &mut Core, _: &Op) -> Flow {
    core.set_reg(reg::DX, (core.reg::<u32>(reg::AX).sx() >> 32) as u32);
    Ok(())
}

fn lahf(core: &mut Core, _: &Op) -> Flow {
    core.set_reg(reg::HIGH, core.flags.get() as u8);
    Ok(())
}

fn sahf(core: &mut Core, _: &Op) -> Flow {
    const LOADED: u32 = flags::CF | flags::PF | flags::AF | flags::ZF | flags::SF;
    let value = u32::from(core.reg::<u8>(reg::HIGH));
    core.flags.set_arithmetic(core.flags.get() & !LOADED | value & LOADED);
    Ok(())
}

fn clc(core: &mut Core, _: &Op) -> Flow {
    core.flags.set_cf(false);
    Ok(())
}

fn stc(core: &mut Core, _: &Op) -> Flow {
    core.flags.set_cf(true);
    Ok(())
}

fn cmc(core: &mut Core, _: &Op) -> Flow {
    let cf = core.flags.cf();
    core.flags.set_cf(!cf);
    Ok(())
}

fn cld(core: &mut Core, _: &Op) -> Flow {
    core.flags.change_system(flags::DF, 0);
    Ok(())
}

fn std(core: &mut Core, _: &Op) -> Flow {
    core.flags.change_system(0, flags::DF);
    Ok(())
}

/// `XLAT`: AL := [eBX + AL].
fn xlat(core: &mut Core, op: &Op) -> Flow {
    let mask = u64::MAX >> (op.narrow & 63);
    let address = core.regs[reg::BX as usize].wrapping_add(core.reg::<u8>(reg::AX).zx()) & mask;
    let value = core.load::<u8>(op.seg, address)?;
    core.set_reg(reg::AX, value);
    Ok(())
}

/// Whether a condition of `Jcc`, `SETcc` and `CMOVcc` holds.
pub(super) trait Condition {
    fn holds(flags: &Flags) -> bool;
}

macro_rules! conditions {
    ($($name:ident: $test:expr),* $(,)?) => {
        $(
            pub(super) struct $name;
            impl Condition for $name {
                #[inline(always)]
                fn holds(flags: &Flags) -> bool {
                    let test: fn(&Flags) -> bool = $test;
                    test(flags)
                }
            }
        )*
    };
}

conditions! {
    Overflow: |f| f.of(),
    NotOverflow: |f| !f.of(),
    Below: |f| f.cf(),
    AboveOrEqual: |f| !f.cf(),
    Equal: |f| f.zf(),
    NotEqual: |f| !f.zf(),
    BelowOrEqual: |f| f.cf() || f.zf(),
    Above: |f| !f.cf() && !f.zf(),
    Sign: |f| f.sf(),
    NotSign: |f| !f.sf(),
    Parity: |f| f.pf(),
    NotParity: |f| !f.pf(),
    Less: |f| f.sf() != f.of(),
    GreaterOrEqual: |f| f.sf() == f.of(),
    LessOrEqual: |f| f.zf() || f.sf() != f.of(),
    Greater: |f| !f.zf() && f.sf() == f.of(),
}

/// Calls the macro `$with` with the type of a condition and what else is given; leaves `lower` with `None` where the
/// instruction has no condition.
macro_rules! with_condition {
    ($code:expr, $with:ident, $($rest:tt)*) => {
        match $code {
            ConditionCode::o => $with!(moves::Overflow, $($rest)*),
            ConditionCode::no => $with!(moves::NotOverflow, $($rest)*),
            ConditionCode::b => $with!(moves::Below, $($rest)*),
            ConditionCode::ae => $with!(moves::AboveOrEqual, $($rest)*),
            ConditionCode::e => $with!(moves::Equal, $($rest)*),
            ConditionCode::ne => $with!(moves::NotEqual, $($rest)*),
            ConditionCode::be => $with!(moves::BelowOrEqual, $($rest)*),
            ConditionCode::a => $with!(moves::Above, $($rest)*),
            ConditionCode::s => $with!(moves::Sign, $($rest)*),
            ConditionCode::ns => $with!(moves::NotSign, $($rest)*),
            ConditionCode::p => $with!(moves::Parity, $($rest)*),
            ConditionCode::np => $with!(moves::NotParity, $($rest)*),
            ConditionCode::l => $with!(moves::Less, $($rest)*),
            ConditionCode::ge => $with!(moves::GreaterOrEqual, $($rest)*),
            ConditionCode::le => $with!(moves::LessOrEqual, $($rest)*),
            ConditionCode::g => $with!(moves::Greater, $($rest)*),
            ConditionCode::None => return None,
        }
    };
}

macro_rules! condition_run {
    ($condition:ty, $f:ident $(, $g:ty)*) => { run!($f::<$condition $(, $g)*>) };
}

/// The function's instance for a condition.
macro_rules! conditional {
    ($code:expr, $($rest:tt)*) => { with_condition!($code, condition_run, $($rest)*) };
}

pub(super) use with_condition;

use super::moves;

fn set_reg<C: Condition>(core: &mut Core, op: &Op) -> Flow {
    core.set_reg(op.r1, u8::from(C::holds(&core.flags)));
    Ok(())
}

fn set_mem<C: Condition>(core: &mut Core, op: &Op) -> Flow {
    core.store(op.seg, core.address(op), u8::from(C::holds(&core.flags)))
}

fn cmov_reg<C: Condition, W: Width>(core: &mut Core, op: &Op) -> Flow {
    // A 32-bit CMOV writes its destination in any case (in 64-bit mode that clears the upper half).
    let r = if C::holds(&core.flags) { op.r2 } else { op.r1 };
    core.set_reg(op.r1, core.reg::<W>(r));
    Ok(())
}

fn cmov_mem<C: Condition, W: Width>(core: &mut Core, op: &Op) -> Flow {
    // The operand is read, and may fault, whatever the condition (SDM vol. 2, CMOVcc).
    let value = core.load::<W>(op.seg, core.address(op))?;
    let value = if C::holds(&core.flags) { value } else { core.reg(op.r1) };
    core.set_reg(op.r1, value);
    Ok(())
}

fn lower_set(instruction: &Instruction, op: &mut Op) -> Option<After> {
    let code = instruction.condition_code();
    op.run = if unary(instruction, op)? { conditional!(code, set_mem) } else { conditional!(code, set_reg) };
    Some(After::Next)
}

fn lower_cmov(instruction: &Instruction, op: &mut Op) -> Option<After> {
    let (code, size) = (instruction.condition_code(), size(instruction, 0));
    op.run = match (binary(instruction, op)?, size) {
        (Form::RegReg, 2) => conditional!(code, cmov_reg, u16),
        (Form::RegReg, 4) => conditional!(code, cmov_reg, u32),
        (Form::RegMem, 2) => conditional!(code, cmov_mem, u16),
        (Form::RegMem, 4) => conditional!(code, cmov_mem, u32),
        _ => return None,
    };
    Some(After::Next)
}

fn lower_lea(instruction: &Instruction, op: &mut Op) -> Option<After> {
    binary(instruction, op)?;
    let size = instruction.op0_register().size();
    op.run = match size {
        2 => run!(lea::<u16>),
        4 => run!(lea::<u32>),
        _ => return None,
    };
    Some(After::Next)
}

fn plain(run: Run, op: &mut Op) -> Option<After> {
    op.run = run;
    Some(After::Next)
}

pub(super) fn lower(instruction: &Instruction, op: &mut Op) -> Option<After> {
    match instruction.mnemonic() {
        Mnemonic::Mov => lower_mov(instruction, op),
        Mnemonic::Movzx | Mnemonic::Movsx => lower_widen(instruction, op),
        Mnemonic::Xchg => lower_xchg(instruction, op),
        Mnemonic::Lea => lower_lea(instruction, op),
        Mnemonic::Bswap => {
            unary(instruction, op)?;
            plain(if size(instruction, 0) == 4 { run!(bswap) } else { run!(bswap16) }, op)
        }
        // Hints: processors that do not know them execute them as NOP (SDM vol. 2, NOP and ENDBR32).
        Mnemonic::Nop | Mnemonic::Pause | Mnemonic::Endbr32 | Mnemonic::Endbr64 | Mnemonic::Reservednop => {
            plain(run!(nop), op)
        }
        Mnemonic::Cbw => plain(run!(cbw), op),
        Mnemonic::Cwde => plain(run!(cwde), op),
        Mnemonic::Cwd => plain(run!(cwd), op),
        Mnemonic::Cdq => plain(run!(cdq), op),
        Mnemonic::Lahf => plain(run!(lahf), op),
        Mnemonic::Sahf => plain(run!(sahf), op),
        Mnemonic::Clc => plain(run!(clc), op),
        Mnemonic::Stc => plain(run!(stc), op),
        Mnemonic::Cmc => plain(run!(cmc), op),
        Mnemonic::Cld => plain(run!(cld), op),
        Mnemonic::Std => plain(run!(std), op),
        Mnemonic::Xlatb => {
            memory(instruction, op);
            plain(run!(xlat), op)
        }
        _ if instruction.condition_code() == ConditionCode::None => None,
        _ if instruction.op_count() == 2 => lower_cmov(instruction, op),
        _ if size(instruction, 0) == 1 => lower_set(instruction, op),
        _ => None,
    }
}
