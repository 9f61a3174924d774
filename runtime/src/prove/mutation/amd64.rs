//! Breaking 64-bit stubs.

use iced_x86::{Code, Instruction, Mnemonic, OpKind, Register};
use ntgate_gen::{Shape, Stub};

use super::i386::loads_number;
use super::{Mutation, change, is_interrupt, remove, with_number, with_vector};

/// Whether stubs of this shape, or the tables under them, can be broken so.
pub(super) fn applies_to(mutation: Mutation, shape: Shape) -> bool {
    use Mutation as M;
    let user = !shape.is_kernel();
    match mutation {
        // ReactOS's kernel stubs know no number and no table.
        M::NumberPlus
        | M::NumberMinus
        | M::OtherTable
        | M::SwappedHandlers
        | M::SwappedRows
        | M::OffsetPlus
        | M::OffsetMinus => shape != Shape::ZwReactos,
        M::PackedCountPlus | M::PackedCountMinus => !matches!(shape, Shape::ZwReactos | Shape::SyscallReactos),
        M::ArgumentBytesPlus | M::ArgumentBytesMinus => shape == Shape::SyscallReactos,
        M::ReturnSlot | M::ReturnDwords | M::NoMoveToR10 => user,
        M::VectorPlus | M::VectorMinus | M::WrongFlag | M::WrongBranch => shape == Shape::SyscallOrInt2e,
        M::PointerPlus | M::PointerMinus => shape == Shape::SyscallHome,
        M::NoPushf | M::NoPushCs | M::NoCli | M::NoStackSegment => shape == Shape::ZwAmd64,
        M::CopyPlus | M::CopyMinus => shape == Shape::ZwReactos,
        _ => false,
    }
}

/// Breaks a stub; `None` if there is no place to do it.
pub(super) fn break_stub(mutation: Mutation, stub: &mut Stub) -> Option<()> {
    use Mutation as M;
    let args = u32::from(stub.args);
    match mutation {
        M::NumberPlus | M::NumberMinus | M::OtherTable => change(stub, loads_number, &|old| with_number(old, mutation)),
        M::ReturnSlot => returns(stub, 8),
        M::ReturnDwords => returns(stub, 4 * args),
        M::NoMoveToR10 => remove(stub, moves_to_r10),
        M::VectorPlus | M::VectorMinus => change(stub, is_interrupt, &|old| with_vector(old, mutation)),
        M::WrongFlag => change(stub, is_test, &|old| with_displacement(old, 4)),
        M::WrongBranch => change(stub, is_branch, &|old| {
            let mut new = *old;
            new.negate_condition_code();
            Some(new)
        }),
        M::PointerPlus => change(stub, stores_home, &|old| with_displacement(old, 8)),
        M::PointerMinus => change(stub, stores_home, &|old| with_displacement(old, -8)),
        M::NoPushf => remove(stub, |at| at.mnemonic() == Mnemonic::Pushfq),
        M::NoPushCs => remove(stub, |at| at.mnemonic() == Mnemonic::Push && at.op0_kind() != OpKind::Register),
        M::NoCli => remove(stub, |at| at.mnemonic() == Mnemonic::Cli),
        M::NoStackSegment => remove(stub, |at| at.mnemonic() == Mnemonic::Sub),
        M::CopyPlus => change(stub, loads_bytes, &|old| with_bytes(old, 8)),
        M::CopyMinus => change(stub, loads_bytes, &|old| with_bytes(old, -8)),
        _ => None,
    }
}

/// Every `ret` of the stub takes this many bytes.
fn returns(stub: &mut Stub, bytes: u32) -> Option<()> {
    let mut new = Instruction::with(Code::Retnq);
    if bytes > 0 {
        new = Instruction::with1(Code::Retnq_imm16, bytes).ok()?;
    }
    let mut found = None;
    for at in stub.instructions.iter_mut().filter(|at| at.mnemonic() == Mnemonic::Ret) {
        // The address tells which instruction a branch within the stub goes to.
        new.set_ip(at.ip());
        *at = new;
        found = Some(());
    }
    found
}

/// `mov r10,rcx`
fn moves_to_r10(at: &Instruction) -> bool {
    at.mnemonic() == Mnemonic::Mov && at.op0_register() == Register::R10
}

/// `mov r10,bytes`
fn loads_bytes(at: &Instruction) -> bool {
    at.code() == Code::Mov_rm64_imm32 && at.op0_register() == Register::R10
}

/// `test byte ptr [7FFE0308h],1`
fn is_test(at: &Instruction) -> bool {
    at.mnemonic() == Mnemonic::Test
}

fn is_branch(at: &Instruction) -> bool {
    at.is_jcc_short_or_near()
}

/// `mov [rsp+8],rcx`, the first of the four.
fn stores_home(at: &Instruction) -> bool {
    at.mnemonic() == Mnemonic::Mov && at.op0_kind() == OpKind::Memory
}

fn with_displacement(old: &Instruction, by: i64) -> Option<Instruction> {
    let mut new = *old;
    new.set_memory_displacement64(old.memory_displacement64().wrapping_add_signed(by));
    Some(new)
}

fn with_bytes(old: &Instruction, by: i32) -> Option<Instruction> {
    let bytes = i32::try_from(old.immediate(1).cast_signed()).ok()?;
    Instruction::with2(Code::Mov_rm64_imm32, Register::R10, bytes.wrapping_add(by)).ok()
}
