//! Moves between XMM registers, memory and general registers (SDM vol. 1, 10.4.1, 11.4.1, 11.4.2).

use iced_x86::{Code, Instruction, Mnemonic, OpKind};

use super::super::super::core::Core;
use super::super::super::fault::Flow;
use super::super::super::op::{Op, Run, run};
use super::super::super::width::Width;
use super::super::operand::{gpr, memory};
use super::xmm;

/// The low half of a register.
const LOW: u128 = u64::MAX as u128;

fn copy(core: &mut Core, op: &Op) -> Flow {
    core.allow_sse()?;
    let value = core.x(op.r2);
    core.set_x(op.r1, value);
    Ok(())
}

fn load<const ALIGNED: bool>(core: &mut Core, op: &Op) -> Flow {
    core.allow_sse()?;
    let value = core.load_x(op.seg, core.address(op), ALIGNED)?;
    core.set_x(op.r1, value);
    Ok(())
}

fn store<const ALIGNED: bool>(core: &mut Core, op: &Op) -> Flow {
    core.allow_sse()?;
    core.store_x(op.seg, core.address(op), core.x(op.r2), ALIGNED)
}

/// `MOVSS`, `MOVSD` between registers: the rest of the destination stays.
fn merge<W: Width>(core: &mut Core, op: &Op) -> Flow {
    core.allow_sse()?;
    let mask = u128::from(W::MASK);
    let value = core.x(op.r1) & !mask | core.x(op.r2) & mask;
    core.set_x(op.r1, value);
    Ok(())
}

/// From memory, the rest cleared.
fn load_part<W: Width>(core: &mut Core, op: &Op) -> Flow {
    core.allow_sse()?;
    let value = core.load::<W>(op.seg, core.address(op))?.zx();
    core.set_x(op.r1, u128::from(value));
    Ok(())
}

fn store_part<W: Width>(core: &mut Core, op: &Op) -> Flow {
    core.allow_sse()?;
    core.store(op.seg, core.address(op), W::cut(core.x(op.r2) as u64))
}

/// `MOVQ` between registers: the upper half is cleared.
fn copy_low(core: &mut Core, op: &Op) -> Flow {
    core.allow_sse()?;
    let value = core.x(op.r2) & LOW;
    core.set_x(op.r1, value);
    Ok(())
}

fn from_gpr<W: Width>(core: &mut Core, op: &Op) -> Flow {
    core.allow_sse()?;
    let value = core.reg::<W>(op.r2).zx();
    core.set_x(op.r1, u128::from(value));
    Ok(())
}

fn to_gpr<W: Width>(core: &mut Core, op: &Op) -> Flow {
    core.allow_sse()?;
    core.set_reg(op.r1, W::cut(core.x(op.r2) as u64));
    Ok(())
}

/// `MOVLPS`, `MOVHPS` and their likes: one half from memory, the other stays.
fn load_half<const HIGH: bool>(core: &mut Core, op: &Op) -> Flow {
    core.allow_sse()?;
    let value = u128::from(core.load::<u64>(op.seg, core.address(op))?);
    let old = core.x(op.r1);
    core.set_x(op.r1, if HIGH { value << 64 | old & LOW } else { old & !LOW | value });
    Ok(())
}

fn store_half<const HIGH: bool>(core: &mut Core, op: &Op) -> Flow {
    core.allow_sse()?;
    let value = core.x(op.r2);
    core.store(op.seg, core.address(op), if HIGH { (value >> 64) as u64 } else { value as u64 })
}

fn high_to_low(core: &mut Core, op: &Op) -> Flow {
    core.allow_sse()?;
    let value = core.x(op.r1) & !LOW | core.x(op.r2) >> 64;
    core.set_x(op.r1, value);
    Ok(())
}

fn low_to_high(core: &mut Core, op: &Op) -> Flow {
    core.allow_sse()?;
    let value = core.x(op.r2) << 64 | core.x(op.r1) & LOW;
    core.set_x(op.r1, value);
    Ok(())
}

/// `MOVNTI`: a store like any other here, and one that asks nothing of SSE's state.
fn store_gpr<W: Width>(core: &mut Core, op: &Op) -> Flow {
    core.store(op.seg, core.address(op), core.reg::<W>(op.r2))
}

/// Destination and source: the functions for register to register, from memory, and to memory.
fn lower_shapes(instruction: &Instruction, op: &mut Op, shapes: [Option<Run>; 3]) -> Option<Run> {
    let [between, from, to] = shapes;
    match (instruction.op0_kind(), instruction.op1_kind()) {
        (OpKind::Register, OpKind::Register) => {
            op.r1 = xmm(instruction.op0_register())?;
            op.r2 = xmm(instruction.op1_register())?;
            between
        }
        (OpKind::Register, OpKind::Memory) => {
            op.r1 = xmm(instruction.op0_register())?;
            memory(instruction, op);
            from
        }
        (OpKind::Memory, OpKind::Register) => {
            op.r2 = xmm(instruction.op1_register())?;
            memory(instruction, op);
            to
        }
        _ => None,
    }
}

/// `MOVD` and `MOVQ` to XMM registers from registers and memory.
fn lower_in(instruction: &Instruction, op: &mut Op) -> Option<Run> {
    op.r1 = xmm(instruction.op0_register())?;
    let wide = instruction.code() != Code::Movd_xmm_rm32;
    if instruction.op1_kind() == OpKind::Memory {
        memory(instruction, op);
        return Some(if wide { run!(load_part::<u64>) } else { run!(load_part::<u32>) });
    }
    op.r2 = gpr(instruction.op1_register())?;
    Some(if wide { run!(from_gpr::<u64>) } else { run!(from_gpr::<u32>) })
}

/// And out of them.
fn lower_out(instruction: &Instruction, op: &mut Op) -> Option<Run> {
    op.r2 = xmm(instruction.op1_register())?;
    let wide = instruction.code() != Code::Movd_rm32_xmm;
    if instruction.op0_kind() == OpKind::Memory {
        memory(instruction, op);
        return Some(if wide { run!(store_part::<u64>) } else { run!(store_part::<u32>) });
    }
    op.r1 = gpr(instruction.op0_register())?;
    Some(if wide { run!(to_gpr::<u64>) } else { run!(to_gpr::<u32>) })
}

fn lower_nti(instruction: &Instruction, op: &mut Op) -> Option<Run> {
    op.r2 = gpr(instruction.op1_register())?;
    memory(instruction, op);
    Some(if instruction.code() == Code::Movnti_m64_r64 { run!(store_gpr::<u64>) } else { run!(store_gpr::<u32>) })
}

pub(super) fn lower(instruction: &Instruction, op: &mut Op) -> Option<Run> {
    match instruction.code() {
        Code::Movd_xmm_rm32 | Code::Movq_xmm_rm64 => return lower_in(instruction, op),
        Code::Movd_rm32_xmm | Code::Movq_rm64_xmm => return lower_out(instruction, op),
        Code::Movnti_m32_r32 | Code::Movnti_m64_r64 => return lower_nti(instruction, op),
        _ => {}
    }
    let shapes = match instruction.mnemonic() {
        Mnemonic::Movaps | Mnemonic::Movapd | Mnemonic::Movdqa => {
            [Some(run!(copy)), Some(run!(load::<true>)), Some(run!(store::<true>))]
        }
        Mnemonic::Movups | Mnemonic::Movupd | Mnemonic::Movdqu => {
            [Some(run!(copy)), Some(run!(load::<false>)), Some(run!(store::<false>))]
        }
        Mnemonic::Movntps | Mnemonic::Movntpd | Mnemonic::Movntdq => [None, None, Some(run!(store::<true>))],
        Mnemonic::Movss => [Some(run!(merge::<u32>)), Some(run!(load_part::<u32>)), Some(run!(store_part::<u32>))],
        Mnemonic::Movsd => [Some(run!(merge::<u64>)), Some(run!(load_part::<u64>)), Some(run!(store_part::<u64>))],
        Mnemonic::Movq => [Some(run!(copy_low)), Some(run!(load_part::<u64>)), Some(run!(store_part::<u64>))],
        Mnemonic::Movlps | Mnemonic::Movlpd => [None, Some(run!(load_half::<false>)), Some(run!(store_half::<false>))],
        Mnemonic::Movhps | Mnemonic::Movhpd => [None, Some(run!(load_half::<true>)), Some(run!(store_half::<true>))],
        Mnemonic::Movhlps => [Some(run!(high_to_low)), None, None],
        Mnemonic::Movlhps => [Some(run!(low_to_high)), None, None],
        _ => return None,
    };
    lower_shapes(instruction, op, shapes)
}
