//! Ways to break a stub or a table, each small enough to be somebody's mistake.

use std::fmt;

use iced_x86::{Code, Instruction, MemoryOperand, Mnemonic, OpKind, Register};
use ntgate_gen::{Arch, Shape, Stub};

/// One way to break a stub, or the tables behind it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Mutation {
    /// The stub loads the next number.
    NumberPlus,
    /// The stub loads the number before.
    NumberMinus,
    /// `ret` takes four bytes more.
    ReturnPlus,
    /// `ret` takes four bytes less; of none, it takes FFFCh.
    ReturnMinus,
    /// `ret` takes nothing.
    ReturnPlain,
    /// What has to be in one register is put into another.
    WrongRegister,
    /// The address loaded for the kernel, or for the call into the shared page, is four too high.
    PointerPlus,
    /// It is four too low.
    PointerMinus,
    /// The interrupt after the right one.
    VectorPlus,
    /// The interrupt before the right one.
    VectorMinus,
    /// `int 2Eh` in the place of `sysenter`.
    GateForSysenter,
    /// A kernel stub without its `pushfd`.
    NoPushfd,
    /// A kernel stub that does not push CS.
    NoPushCs,
    /// The service's row of the dispatch table and the next one have changed places.
    SwappedHandlers,
    /// Its rows of both tables and the next ones have changed places.
    SwappedRows,
    /// The service's byte of the argument table is four too high; of FCh, it is 0.
    ArgumentBytesPlus,
    /// It is four too low; of 0, it is FCh.
    ArgumentBytesMinus,
}

impl Mutation {
    /// All of them.
    pub const ALL: [Self; 17] = [
        Self::NumberPlus,
        Self::NumberMinus,
        Self::ReturnPlus,
        Self::ReturnMinus,
        Self::ReturnPlain,
        Self::WrongRegister,
        Self::PointerPlus,
        Self::PointerMinus,
        Self::VectorPlus,
        Self::VectorMinus,
        Self::GateForSysenter,
        Self::NoPushfd,
        Self::NoPushCs,
        Self::SwappedHandlers,
        Self::SwappedRows,
        Self::ArgumentBytesPlus,
        Self::ArgumentBytesMinus,
    ];

    /// The name used in every interface.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::NumberPlus => "number+1",
            Self::NumberMinus => "number-1",
            Self::ReturnPlus => "ret+4",
            Self::ReturnMinus => "ret-4",
            Self::ReturnPlain => "ret-plain",
            Self::WrongRegister => "wrong-register",
            Self::PointerPlus => "pointer+4",
            Self::PointerMinus => "pointer-4",
            Self::VectorPlus => "vector+1",
            Self::VectorMinus => "vector-1",
            Self::GateForSysenter => "int2e-for-sysenter",
            Self::NoPushfd => "no-pushfd",
            Self::NoPushCs => "no-push-cs",
            Self::SwappedHandlers => "swapped-handlers",
            Self::SwappedRows => "swapped-rows",
            Self::ArgumentBytesPlus => "sspt+4",
            Self::ArgumentBytesMinus => "sspt-4",
        }
    }

    /// Whether it changes the tables and not the stub.
    #[must_use]
    pub const fn is_of_tables(self) -> bool {
        matches!(self, Self::SwappedHandlers | Self::SwappedRows | Self::ArgumentBytesPlus | Self::ArgumentBytesMinus)
    }

    /// Whether stubs of this shape, or the tables under them, can be broken so.
    #[must_use]
    pub fn applies_to(self, shape: Shape) -> bool {
        match self {
            Self::VectorPlus | Self::VectorMinus => matches!(shape, Shape::Int2e | Shape::Int2eFrame),
            Self::GateForSysenter => shape == Shape::Sysenter,
            Self::NoPushfd | Self::NoPushCs => shape == Shape::Zw,
            _ => shape.arch() == Arch::I386,
        }
    }

    /// The stub, broken; `None` if stubs of its shape cannot be broken so, or the mutation is one of tables.
    #[must_use]
    pub fn of_stub(self, stub: &Stub) -> Option<Stub> {
        if !self.applies_to(stub.shape) {
            return None;
        }
        let mut broken = stub.clone();
        let change =
            |stub: &mut Stub, find: fn(&Instruction) -> bool, with: &dyn Fn(&Instruction) -> Option<Instruction>| {
                let at = stub.instructions.iter().position(find)?;
                let old = stub.instructions[at];
                let mut new = with(&old)?;
                // The address tells which instruction a branch within the stub goes to.
                new.set_ip(old.ip());
                stub.instructions[at] = new;
                Some(())
            };
        match self {
            Self::NumberPlus => change(&mut broken, loads_number, &|old| with_number(old, 1)),
            Self::NumberMinus => change(&mut broken, loads_number, &|old| with_number(old, -1)),
            Self::ReturnPlus => change(&mut broken, is_return, &|old| with_return(old, 4)),
            Self::ReturnMinus => change(&mut broken, is_return, &|old| with_return(old, -4)),
            Self::ReturnPlain => change(&mut broken, is_return, &|_| Some(Instruction::with(Code::Retnd))),
            Self::WrongRegister => change(&mut broken, loads_pointer, &with_other_register),
            Self::PointerPlus => change(&mut broken, loads_pointer, &|old| with_pointer(old, 4)),
            Self::PointerMinus => change(&mut broken, loads_pointer, &|old| with_pointer(old, -4)),
            Self::VectorPlus => change(&mut broken, is_interrupt, &|old| with_vector(old, 1)),
            Self::VectorMinus => change(&mut broken, is_interrupt, &|old| with_vector(old, -1)),
            Self::GateForSysenter => {
                change(&mut broken, is_sysenter, &|_| Instruction::with1(Code::Int_imm8, SERVICE_VECTOR).ok())
            }
            Self::NoPushfd => remove(&mut broken, |at| at.mnemonic() == Mnemonic::Pushfd),
            Self::NoPushCs => remove(&mut broken, |at| at.mnemonic() == Mnemonic::Push),
            _ => None,
        }?;
        Some(broken)
    }
}

impl fmt::Display for Mutation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// `int 2Eh`'s vector.
const SERVICE_VECTOR: u32 = crate::nt::layout::vector::SYSTEM_SERVICE;

fn remove(stub: &mut Stub, which: fn(&Instruction) -> bool) -> Option<()> {
    let at = stub.instructions.iter().position(which)?;
    stub.remove(at);
    Some(())
}

/// `mov eax,number`
fn loads_number(at: &Instruction) -> bool {
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

fn is_interrupt(at: &Instruction) -> bool {
    at.mnemonic() == Mnemonic::Int
}

fn is_sysenter(at: &Instruction) -> bool {
    at.mnemonic() == Mnemonic::Sysenter
}

fn with_number(old: &Instruction, by: i32) -> Option<Instruction> {
    let number = old.immediate32().wrapping_add_signed(by);
    Instruction::with2(Code::Mov_r32_imm32, Register::EAX, number).ok()
}

/// A stub that takes nothing back has a `ret` without operand.
fn with_return(old: &Instruction, by: i16) -> Option<Instruction> {
    let bytes = if old.op0_kind() == OpKind::Immediate16 { old.immediate16() } else { 0 };
    Instruction::with1(Code::Retnd_imm16, u32::from(bytes.wrapping_add_signed(by))).ok()
}

fn with_vector(old: &Instruction, by: i8) -> Option<Instruction> {
    Instruction::with1(Code::Int_imm8, u32::from(old.immediate8().wrapping_add_signed(by))).ok()
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

#[cfg(test)]
mod tests {
    use super::*;
    use ntgate_gen::stub::Syntax;
    use ntgate_gen::{read_list, stub};

    fn stub(shape: Shape, args: u8) -> Stub {
        let read = read_list("t", format!("NtA {args} @5\n").as_bytes()).expect("the list is right");
        stub::build(shape, &read.list.primary().services()[0], shape.default_encoding())
    }

    fn broken(mutation: Mutation, shape: Shape, args: u8) -> Vec<String> {
        mutation.of_stub(&stub(shape, args)).expect("it can be broken so").text(Syntax::Intel)
    }

    #[test]
    fn each_mutation_changes_one_thing() {
        use Mutation as M;
        use Shape as S;
        for (mutation, shape, args, line, expected) in [
            (M::NumberPlus, S::Int2e, 1, 0, "mov eax,6"),
            (M::NumberMinus, S::Zw, 1, 0, "mov eax,4"),
            (M::ReturnPlus, S::SharedEdx, 2, 3, "ret 0Ch"),
            (M::ReturnMinus, S::SharedEdx, 2, 3, "ret 4"),
            (M::ReturnMinus, S::Int2e, 0, 3, "ret 0FFFCh"),
            (M::ReturnPlain, S::Sysenter, 2, 2, "ret"),
            (M::WrongRegister, S::Int2e, 1, 1, "lea ecx,[esp+4]"),
            (M::WrongRegister, S::SharedEcx, 1, 1, "mov edx,7FFE0300h"),
            (M::WrongRegister, S::Sysenter, 1, 3, "1: mov ecx,esp"),
            (M::PointerPlus, S::Int2eFrame, 1, 3, "lea edx,[ebp+0Ch]"),
            (M::PointerMinus, S::Zw, 1, 1, "lea edx,[esp]"),
            (M::PointerPlus, S::SharedCallEdx, 1, 1, "mov edx,7FFE0304h"),
            (M::PointerMinus, S::Sysenter, 1, 3, "1: lea edx,[esp-4]"),
            (M::VectorPlus, S::Int2e, 1, 2, "int 2Fh"),
            (M::VectorMinus, S::Int2eFrame, 1, 4, "int 2Dh"),
            (M::GateForSysenter, S::Sysenter, 1, 4, "int 2Eh"),
            (M::NoPushfd, S::Zw, 1, 2, "push 8"),
            (M::NoPushCs, S::Zw, 1, 3, "call _KiSystemService"),
        ] {
            let text = broken(mutation, shape, args);
            assert_eq!(text.get(line).map(String::as_str), Some(expected), "{mutation} of {shape}: {text:?}");
            let whole = stub(shape, args).text(Syntax::Intel);
            let removed = matches!(mutation, M::NoPushfd | M::NoPushCs);
            let same = whole.iter().filter(|line| text.contains(line)).count();
            assert_eq!(same, whole.len() - 1, "{mutation} of {shape} changes one line");
            assert_eq!(text.len(), whole.len() - usize::from(removed));
        }
    }

    #[test]
    fn every_mutation_that_applies_breaks_a_stub_that_can_be_encoded() {
        for mutation in Mutation::ALL {
            for shape in Shape::ALL {
                for args in [0, 1, 63] {
                    let stub = stub(shape, args);
                    let broken = mutation.of_stub(&stub);
                    let expected = mutation.applies_to(shape) && !mutation.is_of_tables();
                    assert_eq!(broken.is_some(), expected, "{mutation} of {shape}");
                    let Some(broken) = broken else { continue };
                    let same = broken.encode().expect("it encodes").bytes == stub.encode().expect("it encodes").bytes;
                    // Without arguments there is no operand to leave out.
                    assert_eq!(same, mutation == Mutation::ReturnPlain && args == 0, "{mutation} of {shape}");
                }
            }
        }
    }
}
