//! Breaking 32-bit stubs.

use iced_x86::{Code, Instruction, MemoryOperand, Mnemonic, OpKind, Register};
use ntgate_gen::{Shape, Stub};

use super::{Mutation, change, is_interrupt, remove, with_number, with_vector};

/// Whether stubs of this shape, or the tables under them, can be broken so.
pub(super) fn applies_to(mutation: Mutation, shape: Shape) -> bool {
    use Mutation as M;
    match mutation {
        M::VectorPlus | M::VectorMinus => matches!(shape, Shape::Int2e | Shape::Int2eFrame),
        M::GateForSysenter => shape == Shape::Sysenter,
        M::NoPushf | M::NoPushCs => shape == Shape::Zw,
        M::NumberPlus
        | M::NumberMinus
        | M::OtherTable
        | M::ReturnPlus
        | M::ReturnMinus
        | M::ReturnPlain
        | M::WrongRegister
        | M::PointerPlus
        | M::PointerMinus
        | M::SwappedHandlers
        | M::SwappedRows
        | M::ArgumentBytesPlus
        | M::ArgumentBytesMinus => true,
        _ => false,
    }
}

/// Breaks a stub; `None` if there is no place to do it.
pub(super) fn break_stub(mutation: Mutation, stub: &mut Stub) -> Option<()> {
    use Mutation as M;
    match mutation {
        M::NumberPlus | M::NumberMinus | M::OtherTable => change(stub, loads_number, &|old| with_number(old, mutation)),
        M::ReturnPlus => change(stub, is_return, &|old| with_return(old, 4)),
        M::ReturnMinus => change(stub, is_return, &|old| with_return(old, -4)),
        M::ReturnPlain => change(stub, is_return, &|_| Some(Instruction::with(Code::Retnd))),
        M::WrongRegister => change(stub, loads_pointer, &with_other_register),
        M::PointerPlus => change(stub, loads_pointer, &|old| with_pointer(old, 4)),
        M::PointerMinus => change(stub, loads_pointer, &|old| with_pointer(old, -4)),
        M::VectorPlus | M::VectorMinus => change(stub, is_interrupt, &|old| with_vector(old, mutation)),
        M::GateForSysenter => change(stub, is_sysenter, &|_| Instruction::with1(Code::Int_imm8, SERVICE_VECTOR).ok()),
        M::NoPushf => remove(stub, |at| at.mnemonic() == Mnemonic::Pushfd),
        M::NoPushCs => remove(stub, |at| at.mnemonic() == Mnemonic::Push),
        _ => None,
    }
}

/// `int 2Eh`'s vector.
const SERVICE_VECTOR: u32 = crate::nt::layout::vector::SYSTEM_SERVICE;

/// `mov eax,number`
pub(super) fn loads_number(at: &Instruction) -> bool {
    at.code() == Code::Mov_r32_imm32 && at.op0_register() == Register::EAX
}

/// The instruction that the argument pointer depends on: `lea edx,[esp+4]`, `mov edx,esp`, or the one that loads the
/// address in the shared page.
fn loads_pointer(at: &Instruction) -> bool {
    match at.mnemonic() {
        Mnemonic::Lea => true,
        Mnemonic::Mov if at.op1_kind() == OpKind::Immediate32 => at.op0_register() != Register::EAX,
        Mnemonic::Mov => at.op0_register() == Register::EDX,
        _ => false,
    }
}

/// The `ret` that goes back to the caller: the first one. (The `sysenter` shape has another, to which the kernel returns.)
fn is_return(at: &Instruction) -> bool {
    at.mnemonic() == Mnemonic::Ret
}

fn is_sysenter(at: &Instruction) -> bool {
    at.mnemonic() == Mnemonic::Sysenter
}

/// A stub that takes nothing back has a `ret` without operand.
fn with_return(old: &Instruction, by: i16) -> Option<Instruction> {
    let bytes = if old.op0_kind() == OpKind::Immediate16 { old.immediate16() } else { 0 };
    Instruction::with1(Code::Retnd_imm16, u32::from(bytes.wrapping_add_signed(by))).ok()
}

fn with_other_register(old: &Instruction) -> Option<Instruction> {
    let mut new = *old;
    new.set_op0_register(match old.op0_register() {
        Register::EDX => Register::ECX,
        _ => Register::EDX,
    });
    Some(new)
}

fn with_pointer(old: &Instruction, by: i32) -> Option<Instruction> {
    match old.mnemonic() {
        Mnemonic::Lea => {
            let displacement = i64::from((old.memory_displacement32() as i32).wrapping_add(by));
            let memory = MemoryOperand::with_base_displ(old.memory_base(), displacement);
            Instruction::with2(Code::Lea_r32_m, old.op0_register(), memory).ok()
        }
        _ if old.op1_kind() == OpKind::Immediate32 => {
            Instruction::with2(Code::Mov_r32_imm32, old.op0_register(), old.immediate32().wrapping_add_signed(by)).ok()
        }
        // `mov edx,esp`
        _ => {
            let memory = MemoryOperand::with_base_displ(old.op1_register(), i64::from(by));
            Instruction::with2(Code::Lea_r32_m, old.op0_register(), memory).ok()
        }
    }
}
