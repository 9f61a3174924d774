//! From iced's operands to the fields of an `Op`.

use iced_x86::{Instruction, OpKind, Register};

use super::super::core::{reg, seg};
use super::super::op::{Op, Way};

/// The five shapes that an instruction with a destination and a source has.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Form {
    RegReg,
    RegMem,
    MemReg,
    RegImm,
    MemImm,
}

/// The number of a general register.
pub(super) fn gpr(register: Register) -> Option<u8> {
    match register {
        Register::AH => Some(reg::HIGH),
        Register::CH => Some(reg::HIGH | 1),
        Register::DH => Some(reg::HIGH | 2),
        Register::BH => Some(reg::HIGH | 3),
        r if r.is_gpr() => Some(r.full_register().number() as u8),
        _ => None,
    }
}

/// The number of a segment register.
pub(super) fn segment(register: Register) -> u8 {
    match register {
        Register::ES => seg::ES,
        Register::CS => seg::CS,
        Register::SS => seg::SS,
        Register::FS => seg::FS,
        Register::GS => seg::GS,
        _ => seg::DS,
    }
}

/// Fills in the memory operand.
pub(super) fn memory(instruction: &Instruction, op: &mut Op) {
    let part = |register: Register| gpr(register).unwrap_or(reg::ZERO);
    op.base = part(instruction.memory_base());
    op.index = part(instruction.memory_index());
    op.scale = instruction.memory_index_scale().trailing_zeros() as u8;
    op.disp = instruction.memory_displacement64() as i32;
    if op.way == Way::Long {
        return long_memory(instruction, op);
    }
    op.seg = segment(instruction.memory_segment());
    let short = |register: Register| register.is_gpr16();
    let none = instruction.memory_base() == Register::None && instruction.memory_index() == Register::None;
    let by_size = none && instruction.memory_displ_size() == 2;
    let sixteen = short(instruction.memory_base()) || short(instruction.memory_index()) || by_size;
    op.narrow = if sixteen { 48 } else { 32 };
    let odd = sixteen || matches!(op.seg, seg::CS | seg::FS | seg::GS);
    op.way = match op.way {
        Way::Careful => Way::Careful,
        _ if odd => Way::Careful,
        _ if op.index == reg::ZERO => Way::Simple,
        _ => Way::Indexed,
    };
}

/// The same in 64-bit mode.
fn long_memory(instruction: &Instruction, op: &mut Op) {
    op.seg = segment(instruction.memory_segment());
    let (base, index) = (instruction.memory_base(), instruction.memory_index());
    op.narrow = 0;
    op.way = if op.index == reg::ZERO { Way::Long } else { Way::LongIndexed };
    if instruction.is_ip_rel_memory_operand() {
        // iced gives the target, counted from the block's start.
        op.disp = instruction.ip_rel_memory_address().wrapping_sub(u64::from(op.end)) as i32;
        op.base = reg::IP;
        op.way = Way::LongRelative;
    } else if instruction.memory_displacement64() != op.disp as i64 as u64 && instruction.memory_displ_size() == 8 {
        // `MOV` between the accumulator and an address of 64 bits, which has no immediate operand besides.
        (op.base, op.imm, op.disp, op.way) = (reg::ABSOLUTE, instruction.memory_displacement64(), 0, Way::Careful);
    }
    let short = base.is_gpr32() || index.is_gpr32() || base == Register::EIP;
    let short = short || base == Register::None && index == Register::None && instruction.memory_displ_size() == 4;
    if short {
        op.narrow = 32;
    }
    if short || matches!(op.seg, seg::FS | seg::GS) {
        op.way = Way::Careful;
    }
}

/// Bytes of an operand; 0 if it is neither register nor memory.
pub(super) fn size(instruction: &Instruction, operand: u32) -> usize {
    match instruction.op_kind(operand) {
        OpKind::Register => instruction.op_register(operand).size(),
        OpKind::Memory => instruction.memory_size().size(),
        _ => 0,
    }
}

/// Whether the operand is an immediate.
pub(super) fn is_immediate(kind: OpKind) -> bool {
    matches!(
        kind,
        OpKind::Immediate8
            | OpKind::Immediate8to16
            | OpKind::Immediate8to32
            | OpKind::Immediate8to64
            | OpKind::Immediate16
            | OpKind::Immediate32
            | OpKind::Immediate32to64
            | OpKind::Immediate64
    )
}

/// Fills in destination and source, the first two operands, and says which shape they have.
pub(super) fn binary(instruction: &Instruction, op: &mut Op) -> Option<Form> {
    match (instruction.op0_kind(), instruction.op1_kind()) {
        (OpKind::Register, OpKind::Register) => {
            op.r1 = gpr(instruction.op0_register())?;
            op.r2 = gpr(instruction.op1_register())?;
            Some(Form::RegReg)
        }
        (OpKind::Register, OpKind::Memory) => {
            op.r1 = gpr(instruction.op0_register())?;
            memory(instruction, op);
            Some(Form::RegMem)
        }
        (OpKind::Memory, OpKind::Register) => {
            op.r2 = gpr(instruction.op1_register())?;
            memory(instruction, op);
            Some(Form::MemReg)
        }
        (OpKind::Register, kind) if is_immediate(kind) => {
            op.r1 = gpr(instruction.op0_register())?;
            op.imm = instruction.immediate(1);
            Some(Form::RegImm)
        }
        (OpKind::Memory, kind) if is_immediate(kind) => {
            memory(instruction, op);
            op.imm = instruction.immediate(1);
            Some(Form::MemImm)
        }
        _ => None,
    }
}

/// Fills in a single operand that is a register or memory; true if it is memory.
pub(super) fn unary(instruction: &Instruction, op: &mut Op) -> Option<bool> {
    match instruction.op0_kind() {
        OpKind::Register => {
            op.r1 = gpr(instruction.op0_register())?;
            Some(false)
        }
        OpKind::Memory => {
            memory(instruction, op);
            Some(true)
        }
        _ => None,
    }
}

/// The function's instance for an operand size in bytes; leaves `lower` with `None` for a size it does not have.
macro_rules! sized {
    ($size:expr, $f:ident $(, $g:ty)*) => {
        match $size {
            1 => $crate::machine::op::run!($f::<$($g,)* u8>),
            2 => $crate::machine::op::run!($f::<$($g,)* u16>),
            4 => $crate::machine::op::run!($f::<$($g,)* u32>),
            8 => $crate::machine::op::run!($f::<$($g,)* u64>),
            _ => return None,
        }
    };
}
/// The same of a pair: the short way, which has an instance for each kind of operand, and the careful way.
macro_rules! sized_pair {
    ($size:expr, $op:expr, $fast:ident, $careful:ident $(, $g:ty)*) => {
        match $size {
            1 => operand::by_way!($op, $fast, $careful $(, $g)*, u8),
            2 => operand::by_way!($op, $fast, $careful $(, $g)*, u16),
            4 => operand::by_way!($op, $fast, $careful $(, $g)*, u32),
            8 => operand::by_way!($op, $fast, $careful $(, $g)*, u64),
            _ => return None,
        }
    };
}

/// One width of [`sized_pair`].
macro_rules! by_way {
    ($op:expr, $fast:ident, $careful:ident, $($g:ty),*) => {
        match $op.way {
            Way::Simple => run!($fast::<op::Simple, $($g),*>, $careful::<$($g),*>),
            Way::Indexed => run!($fast::<op::Indexed, $($g),*>, $careful::<$($g),*>),
            Way::Long => run!($fast::<op::Long, $($g),*>, $careful::<$($g),*>),
            Way::LongIndexed => run!($fast::<op::LongIndexed, $($g),*>, $careful::<$($g),*>),
            Way::LongRelative => run!($fast::<op::LongRelative, $($g),*>, $careful::<$($g),*>),
            Way::Careful => run!($careful::<$($g),*>),
        }
    };
}
pub(super) use {by_way, sized, sized_pair};
