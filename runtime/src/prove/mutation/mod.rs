//! Ways to break a stub or a table, each small enough to be somebody's mistake.

mod amd64;
mod i386;
#[cfg(test)]
mod tests;

use std::fmt;

use iced_x86::{Code, Instruction, Mnemonic};
use ntgate_gen::model::limits;
use ntgate_gen::{Arch, Shape, Stub};

/// One way to break a stub, or the tables behind it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Mutation {
    /// The stub loads the next number.
    NumberPlus,
    /// The stub loads the number before.
    NumberMinus,
    /// The number's lowest table bit is the other way round: it is win32k's number, or no longer.
    OtherTable,
    /// `ret` takes four bytes more.
    ReturnPlus,
    /// `ret` takes four bytes less; of none, it takes FFFCh.
    ReturnMinus,
    /// `ret` takes nothing.
    ReturnPlain,
    /// `ret` takes a slot of the caller's stack, where it has to take none.
    ReturnSlot,
    /// `ret` takes four bytes for each argument, as ReactOS's generator once had it on amd64.
    ReturnDwords,
    /// The first argument is left in RCX, where SYSCALL puts the return address.
    NoMoveToR10,
    /// What has to be in one register is put into another.
    WrongRegister,
    /// The address that the stub passes, calls or stores through is a slot too high.
    PointerPlus,
    /// It is a slot too low.
    PointerMinus,
    /// The interrupt after the right one.
    VectorPlus,
    /// The interrupt before the right one.
    VectorMinus,
    /// `int 2Eh` in the place of `sysenter`.
    GateForSysenter,
    /// The stub looks for its way in four bytes behind the right place in the shared page.
    WrongFlag,
    /// The stub takes the way that the shared page does not say.
    WrongBranch,
    /// A kernel stub without its `pushfd` or `pushfq`.
    NoPushf,
    /// A kernel stub that does not push CS.
    NoPushCs,
    /// A kernel stub that leaves interrupts on while it makes a frame.
    NoCli,
    /// A kernel stub that leaves no room for SS in its frame.
    NoStackSegment,
    /// A kernel stub that says it has an argument more.
    CopyPlus,
    /// A kernel stub that says it has an argument less.
    CopyMinus,
    /// The service's row of the dispatch table and the next one have changed places.
    SwappedHandlers,
    /// Its rows of both tables and the next ones have changed places.
    SwappedRows,
    /// The service's byte of the argument table counts an argument more; of FCh on i386, it is 0.
    ArgumentBytesPlus,
    /// It counts an argument less; of 0 on i386, it is FCh.
    ArgumentBytesMinus,
    /// The service's packed entry counts a stack argument more.
    PackedCountPlus,
    /// It counts a stack argument less.
    PackedCountMinus,
    /// The service's entry leads to 16 bytes behind the routine: to the next one.
    OffsetPlus,
    /// It leads to 16 bytes before the routine.
    OffsetMinus,
}

impl Mutation {
    /// All of them.
    pub const ALL: [Self; 31] = [
        Self::NumberPlus,
        Self::NumberMinus,
        Self::OtherTable,
        Self::ReturnPlus,
        Self::ReturnMinus,
        Self::ReturnPlain,
        Self::ReturnSlot,
        Self::ReturnDwords,
        Self::NoMoveToR10,
        Self::WrongRegister,
        Self::PointerPlus,
        Self::PointerMinus,
        Self::VectorPlus,
        Self::VectorMinus,
        Self::GateForSysenter,
        Self::WrongFlag,
        Self::WrongBranch,
        Self::NoPushf,
        Self::NoPushCs,
        Self::NoCli,
        Self::NoStackSegment,
        Self::CopyPlus,
        Self::CopyMinus,
        Self::SwappedHandlers,
        Self::SwappedRows,
        Self::ArgumentBytesPlus,
        Self::ArgumentBytesMinus,
        Self::PackedCountPlus,
        Self::PackedCountMinus,
        Self::OffsetPlus,
        Self::OffsetMinus,
    ];

    /// The name used in every interface.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::NumberPlus => "number+1",
            Self::NumberMinus => "number-1",
            Self::OtherTable => "shadow-bit",
            Self::ReturnPlus => "ret+4",
            Self::ReturnMinus => "ret-4",
            Self::ReturnPlain => "ret-plain",
            Self::ReturnSlot => "ret+8",
            Self::ReturnDwords => "ret-4n",
            Self::NoMoveToR10 => "no-mov-r10",
            Self::WrongRegister => "wrong-register",
            Self::PointerPlus => "pointer+1",
            Self::PointerMinus => "pointer-1",
            Self::VectorPlus => "vector+1",
            Self::VectorMinus => "vector-1",
            Self::GateForSysenter => "int2e-for-sysenter",
            Self::WrongFlag => "wrong-flag",
            Self::WrongBranch => "wrong-branch",
            Self::NoPushf => "no-pushf",
            Self::NoPushCs => "no-push-cs",
            Self::NoCli => "no-cli",
            Self::NoStackSegment => "no-ss",
            Self::CopyPlus => "bytes+8",
            Self::CopyMinus => "bytes-8",
            Self::SwappedHandlers => "swapped-handlers",
            Self::SwappedRows => "swapped-rows",
            Self::ArgumentBytesPlus => "sspt+1",
            Self::ArgumentBytesMinus => "sspt-1",
            Self::PackedCountPlus => "packed+1",
            Self::PackedCountMinus => "packed-1",
            Self::OffsetPlus => "offset+16",
            Self::OffsetMinus => "offset-16",
        }
    }

    /// Whether it changes the tables and not the stub.
    #[must_use]
    pub const fn is_of_tables(self) -> bool {
        self.is_swap() || self.is_of_rows()
    }

    /// Whether two neighbours in the tables change places.
    pub(super) const fn is_swap(self) -> bool {
        matches!(self, Self::SwappedHandlers | Self::SwappedRows)
    }

    /// Whether it changes one row of the tables.
    const fn is_of_rows(self) -> bool {
        matches!(
            self,
            Self::ArgumentBytesPlus
                | Self::ArgumentBytesMinus
                | Self::PackedCountPlus
                | Self::PackedCountMinus
                | Self::OffsetPlus
                | Self::OffsetMinus
        )
    }

    /// Whether stubs of this shape, or the tables under them, can be broken so.
    #[must_use]
    pub fn applies_to(self, shape: Shape) -> bool {
        match shape.arch() {
            Arch::I386 => i386::applies_to(self, shape),
            Arch::Amd64 => amd64::applies_to(self, shape),
            Arch::Arm64 => false,
        }
    }

    /// The stub, broken; `None` if stubs of its shape cannot be broken so, or the mutation is one of tables.
    #[must_use]
    pub fn of_stub(self, stub: &Stub) -> Option<Stub> {
        if !self.applies_to(stub.shape) {
            return None;
        }
        let mut broken = stub.clone();
        match stub.arch {
            Arch::I386 => i386::break_stub(self, &mut broken),
            Arch::Amd64 => amd64::break_stub(self, &mut broken),
            Arch::Arm64 => None,
        }?;
        Some(broken)
    }

    /// Why no program can tell a broken stub from its original; `None` if one can.
    pub(super) fn is_same(stub: &Stub, broken: &Stub) -> Option<&'static str> {
        let same = matches!((stub.encode(), broken.encode()), (Ok(a), Ok(b)) if a == b);
        same.then_some("the bytes are the same: a stub without arguments ends in a plain `ret`")
    }
}

impl fmt::Display for Mutation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// Puts another instruction in the place of the first one that `find` knows.
fn change(
    stub: &mut Stub,
    find: fn(&Instruction) -> bool,
    with: &dyn Fn(&Instruction) -> Option<Instruction>,
) -> Option<()> {
    let at = stub.instructions.iter().position(find)?;
    let old = stub.instructions[at];
    let mut new = with(&old)?;
    // The address tells which instruction a branch within the stub goes to.
    new.set_ip(old.ip());
    stub.instructions[at] = new;
    Some(())
}

fn remove(stub: &mut Stub, which: fn(&Instruction) -> bool) -> Option<()> {
    let at = stub.instructions.iter().position(which)?;
    stub.remove(at);
    Some(())
}

fn is_interrupt(at: &Instruction) -> bool {
    at.mnemonic() == Mnemonic::Int
}

fn with_number(old: &Instruction, mutation: Mutation) -> Option<Instruction> {
    let number = old.immediate32();
    let number = match mutation {
        Mutation::NumberPlus => number.wrapping_add(1),
        Mutation::NumberMinus => number.wrapping_sub(1),
        // The bits above the row choose the table.
        _ => number ^ limits::SERVICES_PER_TABLE,
    };
    Instruction::with2(Code::Mov_r32_imm32, old.op0_register(), number).ok()
}

fn with_vector(old: &Instruction, mutation: Mutation) -> Option<Instruction> {
    let by = if mutation == Mutation::VectorPlus { 1 } else { -1 };
    Instruction::with1(Code::Int_imm8, u32::from(old.immediate8().wrapping_add_signed(by))).ok()
}
