//! i386 and amd64, whose stubs are shapes.

use iced_x86::{Code, Instruction};

use super::Stubs;
use crate::model::Service;
use crate::stub::{self, Encoding, Relocation, RelocationKind, Shape, Stub, Syntax};

/// `shared-ecx` and `zw`. The old text always named the bytes, also where there are none.
pub(super) fn i386(service: &Service, kind: Stubs) -> Vec<String> {
    let shape = if kind == Stubs::Kernel { Shape::Zw } else { Shape::SharedEcx };
    let mut stub = stub::build(shape, service, Encoding::Gnu);
    if let (Some(last), Ok(mut ret)) = (stub.instructions.last_mut(), Instruction::with1(Code::Retnd_imm16, 0))
        && last.code() == Code::Retnd
    {
        ret.set_ip(last.ip());
        *last = ret;
    }
    stub.text(Syntax::Gas)
}

/// `syscall-reactos`; in the kernel a call of KiSystemService with the number, as the old kernel took it.
pub(super) fn amd64(service: &Service, kind: Stubs) -> Vec<String> {
    let mut stub = stub::build(Shape::SyscallReactos, service, Encoding::Gnu);
    if kind == Stubs::Kernel {
        call_in_place_of_syscall(&mut stub);
    }
    stub.text(Syntax::Gas)
}

/// Keeps the load of the number, and the return.
fn call_in_place_of_syscall(stub: &mut Stub) {
    let Some(at) = stub.instructions.iter().position(|instruction| instruction.code() == Code::Syscall) else {
        return;
    };
    if let Ok(mut call) = Instruction::with_branch(Code::Call_rel32_64, 0) {
        call.set_ip(stub.instructions[at].ip());
        stub.instructions[at] = call;
        let symbol = "KiSystemService".to_owned();
        stub.relocations.push(Relocation { instruction: at, symbol, kind: RelocationKind::Rel32 });
    }
    // The move of the first argument out of RCX, which only SYSCALL overwrites.
    stub.remove(1);
}
