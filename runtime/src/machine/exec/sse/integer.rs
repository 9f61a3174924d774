//! Bitwise and packed integer operations, shuffles, shifts (SDM vol. 1, 10.4.2, 10.4.4, 11.4.2).

use iced_x86::{Instruction, Mnemonic, OpKind};

use super::super::super::core::Core;
use super::super::super::fault::Flow;
use super::super::super::op::{Op, Run, run};
use super::super::operand::{gpr, memory};
use super::xmm;

/// What an instruction makes of destination, source and immediate.
trait Operation {
    fn apply(a: u128, b: u128, imm: u8) -> u128;
}

macro_rules! operations {
    ($($name:ident: $f:expr),* $(,)?) => {
        $(
            struct $name;
            impl Operation for $name {
                #[inline(always)]
                fn apply(a: u128, b: u128, imm: u8) -> u128 {
                    let f: fn(u128, u128, u8) -> u128 = $f;
                    f(a, b, imm)
                }
            }
        )*
    };
}

/// The bits of a lane.
const fn mask(bits: u32) -> u128 {
    u128::MAX >> (128 - bits)
}

/// Lane `i` of `bits` bits.
fn lane(value: u128, bits: u32, i: u32) -> u64 {
    (value >> (bits * i) & mask(bits)) as u64
}

/// The same, signed.
fn signed(value: u128, bits: u32, i: u32) -> i64 {
    let up = 64 - bits;
    (lane(value, bits, i) << up) as i64 >> up
}

/// A register of lanes, each made by `f` from its number.
fn each(bits: u32, f: impl Fn(u32) -> u64) -> u128 {
    (0..128 / bits).fold(0, |all, i| all | (u128::from(f(i)) & mask(bits)) << (bits * i))
}

fn add(bits: u32, a: u128, b: u128) -> u128 {
    each(bits, |i| lane(a, bits, i).wrapping_add(lane(b, bits, i)))
}

fn sub(bits: u32, a: u128, b: u128) -> u128 {
    each(bits, |i| lane(a, bits, i).wrapping_sub(lane(b, bits, i)))
}

fn equal(bits: u32, a: u128, b: u128) -> u128 {
    each(bits, |i| if lane(a, bits, i) == lane(b, bits, i) { u64::MAX } else { 0 })
}

fn greater(bits: u32, a: u128, b: u128) -> u128 {
    each(bits, |i| if signed(a, bits, i) > signed(b, bits, i) { u64::MAX } else { 0 })
}

/// Lanes of both operands in turn, from their low halves or, with `high` set, from their high ones.
fn unpack(bits: u32, high: bool, a: u128, b: u128) -> u128 {
    let first = if high { 64 / bits } else { 0 };
    each(bits, |i| lane(if i % 2 == 0 { a } else { b }, bits, first + i / 2))
}

/// Which of four lanes an immediate names for lane `i`.
fn chosen(imm: u8, i: u32) -> u32 {
    u32::from(imm >> (2 * (i & 3)) & 3)
}

fn shuffle_words(b: u128, imm: u8, first: u32) -> u128 {
    each(16, |i| lane(b, 16, if i & 4 == first { first + chosen(imm, i) } else { i }))
}

fn left(bits: u32, a: u128, count: u64) -> u128 {
    if count >= u64::from(bits) { 0 } else { each(bits, |i| lane(a, bits, i) << count) }
}

fn right(bits: u32, a: u128, count: u64) -> u128 {
    if count >= u64::from(bits) { 0 } else { each(bits, |i| lane(a, bits, i) >> count) }
}

fn right_signed(bits: u32, a: u128, count: u64) -> u128 {
    let count = count.min(u64::from(bits) - 1);
    each(bits, |i| (signed(a, bits, i) >> count) as u64)
}

operations! {
    Xor: |a, b, _| a ^ b,
    Or: |a, b, _| a | b,
    And: |a, b, _| a & b,
    AndNot: |a, b, _| !a & b,
    AddB: |a, b, _| add(8, a, b),
    AddW: |a, b, _| add(16, a, b),
    AddD: |a, b, _| add(32, a, b),
    AddQ: |a, b, _| add(64, a, b),
    SubB: |a, b, _| sub(8, a, b),
    SubW: |a, b, _| sub(16, a, b),
    SubD: |a, b, _| sub(32, a, b),
    SubQ: |a, b, _| sub(64, a, b),
    EqualB: |a, b, _| equal(8, a, b),
    EqualW: |a, b, _| equal(16, a, b),
    EqualD: |a, b, _| equal(32, a, b),
    GreaterB: |a, b, _| greater(8, a, b),
    GreaterW: |a, b, _| greater(16, a, b),
    GreaterD: |a, b, _| greater(32, a, b),
    MinUB: |a, b, _| each(8, |i| lane(a, 8, i).min(lane(b, 8, i))),
    MaxUB: |a, b, _| each(8, |i| lane(a, 8, i).max(lane(b, 8, i))),
    MinSW: |a, b, _| each(16, |i| signed(a, 16, i).min(signed(b, 16, i)) as u64),
    MaxSW: |a, b, _| each(16, |i| signed(a, 16, i).max(signed(b, 16, i)) as u64),
    MulLW: |a, b, _| each(16, |i| lane(a, 16, i).wrapping_mul(lane(b, 16, i))),
    MulHW: |a, b, _| each(16, |i| (signed(a, 16, i).wrapping_mul(signed(b, 16, i)) >> 16) as u64),
    MulHUW: |a, b, _| each(16, |i| lane(a, 16, i).wrapping_mul(lane(b, 16, i)) >> 16),
    MulUDQ: |a, b, _| each(64, |i| lane(a, 32, 2 * i).wrapping_mul(lane(b, 32, 2 * i))),
    MAddWD: |a, b, _| each(32, |i| {
        let product = |k: u32| signed(a, 16, k).wrapping_mul(signed(b, 16, k));
        product(2 * i).wrapping_add(product(2 * i + 1)) as u64
    }),
    LowBW: |a, b, _| unpack(8, false, a, b),
    LowWD: |a, b, _| unpack(16, false, a, b),
    LowDQ: |a, b, _| unpack(32, false, a, b),
    LowQDQ: |a, b, _| unpack(64, false, a, b),
    HighBW: |a, b, _| unpack(8, true, a, b),
    HighWD: |a, b, _| unpack(16, true, a, b),
    HighDQ: |a, b, _| unpack(32, true, a, b),
    HighQDQ: |a, b, _| unpack(64, true, a, b),
    PackUSWB: |a, b, _| each(8, |i| signed(if i < 8 { a } else { b }, 16, i & 7).clamp(0, 255) as u64),
    PackSSWB: |a, b, _| each(8, |i| signed(if i < 8 { a } else { b }, 16, i & 7).clamp(-128, 127) as u64),
    PackSSDW: |a, b, _| each(16, |i| signed(if i < 4 { a } else { b }, 32, i & 3).clamp(-0x8000, 0x7FFF) as u64),
    ShuffleD: |_, b, imm| each(32, |i| lane(b, 32, chosen(imm, i))),
    ShuffleLW: |_, b, imm| shuffle_words(b, imm, 0),
    ShuffleHW: |_, b, imm| shuffle_words(b, imm, 4),
    ShufflePS: |a, b, imm| each(32, |i| lane(if i < 2 { a } else { b }, 32, chosen(imm, i))),
    ShufflePD: |a, b, imm| each(64, |i| lane(if i == 0 { a } else { b }, 64, u32::from(imm >> i & 1))),
    LeftW: |a, b, _| left(16, a, b as u64),
    LeftD: |a, b, _| left(32, a, b as u64),
    LeftQ: |a, b, _| left(64, a, b as u64),
    RightW: |a, b, _| right(16, a, b as u64),
    RightD: |a, b, _| right(32, a, b as u64),
    RightQ: |a, b, _| right(64, a, b as u64),
    RightSignedW: |a, b, _| right_signed(16, a, b as u64),
    RightSignedD: |a, b, _| right_signed(32, a, b as u64),
    LeftBytes: |a, b, _| a.checked_shl(8 * (b as u64).min(16) as u32).unwrap_or(0),
    RightBytes: |a, b, _| a.checked_shr(8 * (b as u64).min(16) as u32).unwrap_or(0),
}

fn by_register<O: Operation>(core: &mut Core, op: &Op) -> Flow {
    core.allow_sse()?;
    let value = O::apply(core.x(op.r1), core.x(op.r2), op.imm as u8);
    core.set_x(op.r1, value);
    Ok(())
}

/// A source in memory has to be aligned.
fn by_memory<O: Operation>(core: &mut Core, op: &Op) -> Flow {
    core.allow_sse()?;
    let b = core.load_x(op.seg, core.address(op), true)?;
    let value = O::apply(core.x(op.r1), b, op.imm as u8);
    core.set_x(op.r1, value);
    Ok(())
}

/// Shifts, by the count in the instruction.
fn by_immediate<O: Operation>(core: &mut Core, op: &Op) -> Flow {
    core.allow_sse()?;
    let value = O::apply(core.x(op.r1), u128::from(op.imm as u8), 0);
    core.set_x(op.r1, value);
    Ok(())
}

/// `PMOVMSKB`, `MOVMSKPS`, `MOVMSKPD`: the lanes' sign bits.
fn signs<const BITS: u32>(core: &mut Core, op: &Op) -> Flow {
    core.allow_sse()?;
    let value = core.x(op.r2);
    let signs = (0..128 / BITS).fold(0u32, |all, i| all | u32::from(signed(value, BITS, i) < 0) << i);
    core.set_reg(op.r1, signs);
    Ok(())
}

/// `PEXTRW`.
fn extract(core: &mut Core, op: &Op) -> Flow {
    core.allow_sse()?;
    core.set_reg(op.r1, lane(core.x(op.r2), 16, op.imm as u32 & 7) as u32);
    Ok(())
}

/// `PINSRW`.
fn insert<const MEM: bool>(core: &mut Core, op: &Op) -> Flow {
    core.allow_sse()?;
    let word = if MEM { core.load::<u16>(op.seg, core.address(op))? } else { core.reg::<u16>(op.r2) };
    let at = 16 * (op.imm as u32 & 7);
    let value = core.x(op.r1) & !(mask(16) << at) | u128::from(word) << at;
    core.set_x(op.r1, value);
    Ok(())
}

fn lower_signs(instruction: &Instruction, op: &mut Op, run: Run) -> Option<Run> {
    op.r1 = gpr(instruction.op0_register())?;
    op.r2 = xmm(instruction.op1_register())?;
    Some(run)
}

fn lower_word(instruction: &Instruction, op: &mut Op) -> Option<Run> {
    op.imm = instruction.immediate(2);
    if instruction.mnemonic() == Mnemonic::Pextrw {
        op.r1 = gpr(instruction.op0_register())?;
        op.r2 = xmm(instruction.op1_register())?;
        return Some(run!(extract));
    }
    op.r1 = xmm(instruction.op0_register())?;
    if instruction.op1_kind() == OpKind::Memory {
        memory(instruction, op);
        return Some(run!(insert::<true>));
    }
    op.r2 = gpr(instruction.op1_register())?;
    Some(run!(insert::<false>))
}

/// The functions of an operation: by register, by memory, by immediate.
macro_rules! functions {
    ($o:ty) => {
        [run!(by_register::<$o>), run!(by_memory::<$o>), run!(by_immediate::<$o>)]
    };
}

fn functions(mnemonic: Mnemonic) -> Option<[Run; 3]> {
    use Mnemonic as M;
    Some(match mnemonic {
        M::Xorps | M::Xorpd | M::Pxor => functions!(Xor),
        M::Orps | M::Orpd | M::Por => functions!(Or),
        M::Andps | M::Andpd | M::Pand => functions!(And),
        M::Andnps | M::Andnpd | M::Pandn => functions!(AndNot),
        M::Paddb => functions!(AddB),
        M::Paddw => functions!(AddW),
        M::Paddd => functions!(AddD),
        M::Paddq => functions!(AddQ),
        M::Psubb => functions!(SubB),
        M::Psubw => functions!(SubW),
        M::Psubd => functions!(SubD),
        M::Psubq => functions!(SubQ),
        M::Pcmpeqb => functions!(EqualB),
        M::Pcmpeqw => functions!(EqualW),
        M::Pcmpeqd => functions!(EqualD),
        M::Pcmpgtb => functions!(GreaterB),
        M::Pcmpgtw => functions!(GreaterW),
        M::Pcmpgtd => functions!(GreaterD),
        M::Pminub => functions!(MinUB),
        M::Pmaxub => functions!(MaxUB),
        M::Pminsw => functions!(MinSW),
        M::Pmaxsw => functions!(MaxSW),
        M::Pmullw => functions!(MulLW),
        M::Pmulhw => functions!(MulHW),
        M::Pmulhuw => functions!(MulHUW),
        M::Pmuludq => functions!(MulUDQ),
        M::Pmaddwd => functions!(MAddWD),
        M::Punpcklbw => functions!(LowBW),
        M::Punpcklwd => functions!(LowWD),
        M::Punpckldq | M::Unpcklps => functions!(LowDQ),
        M::Punpcklqdq | M::Unpcklpd => functions!(LowQDQ),
        M::Punpckhbw => functions!(HighBW),
        M::Punpckhwd => functions!(HighWD),
        M::Punpckhdq | M::Unpckhps => functions!(HighDQ),
        M::Punpckhqdq | M::Unpckhpd => functions!(HighQDQ),
        M::Packuswb => functions!(PackUSWB),
        M::Packsswb => functions!(PackSSWB),
        M::Packssdw => functions!(PackSSDW),
        M::Pshufd => functions!(ShuffleD),
        M::Pshuflw => functions!(ShuffleLW),
        M::Pshufhw => functions!(ShuffleHW),
        M::Shufps => functions!(ShufflePS),
        M::Shufpd => functions!(ShufflePD),
        M::Psllw => functions!(LeftW),
        M::Pslld => functions!(LeftD),
        M::Psllq => functions!(LeftQ),
        M::Psrlw => functions!(RightW),
        M::Psrld => functions!(RightD),
        M::Psrlq => functions!(RightQ),
        M::Psraw => functions!(RightSignedW),
        M::Psrad => functions!(RightSignedD),
        M::Pslldq => functions!(LeftBytes),
        M::Psrldq => functions!(RightBytes),
        _ => return None,
    })
}

pub(super) fn lower(instruction: &Instruction, op: &mut Op) -> Option<Run> {
    match instruction.mnemonic() {
        Mnemonic::Pmovmskb => return lower_signs(instruction, op, run!(signs::<8>)),
        Mnemonic::Movmskps => return lower_signs(instruction, op, run!(signs::<32>)),
        Mnemonic::Movmskpd => return lower_signs(instruction, op, run!(signs::<64>)),
        Mnemonic::Pextrw | Mnemonic::Pinsrw => return lower_word(instruction, op),
        _ => {}
    }
    let [by_register, by_memory, by_immediate] = functions(instruction.mnemonic())?;
    op.r1 = xmm(instruction.op0_register())?;
    if instruction.op_count() == 3 {
        op.imm = instruction.immediate(2);
    }
    match instruction.op1_kind() {
        OpKind::Register => {
            op.r2 = xmm(instruction.op1_register())?;
            Some(by_register)
        }
        OpKind::Memory => {
            memory(instruction, op);
            Some(by_memory)
        }
        OpKind::Immediate8 => {
            op.imm = instruction.immediate(1);
            Some(by_immediate)
        }
        _ => None,
    }
}
