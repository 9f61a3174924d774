//! Code of ntdll that stubs need and that is no stub.

use super::{Encoding, Shape, Stub, i386};
use crate::model::Arch;

/// A routine of ntdll, and the names that the kernel finds it by.
#[derive(Clone, Debug, PartialEq)]
pub struct Routine {
    /// Its code. Number and arguments are those of whatever stub has called it: here they are 0.
    pub code: Stub,
    /// Each name, undecorated, and its offset in the code in bytes.
    pub names: Vec<(&'static str, u64)>,
}

/// The routines that SharedUserData+300h leads the stubs of an architecture to: on i386 `KiFastSystemCall`, within it
/// `KiFastSystemCallRet`, and `KiIntSystemCall`; elsewhere there are none.
#[must_use]
pub fn system_calls(arch: Arch, encoding: Encoding) -> Vec<Routine> {
    if arch != Arch::I386 {
        return Vec::new();
    }
    let fast = code("KiFastSystemCall", i386::fast_system_call(encoding).finish());
    let int = code("KiIntSystemCall", i386::int_system_call(encoding).finish());
    // The kernel gives the processor this address to return to: the `ret` behind `sysenter`.
    let ret = fast.instructions.last().map_or(0, iced_x86::Instruction::ip);
    vec![
        Routine { code: fast, names: vec![("KiFastSystemCall", 0), ("KiFastSystemCallRet", ret)] },
        Routine { code: int, names: vec![("KiIntSystemCall", 0)] },
    ]
}

fn code(name: &str, (instructions, relocations): (Vec<iced_x86::Instruction>, Vec<super::Relocation>)) -> Stub {
    Stub {
        service: name.to_owned(),
        number: 0,
        args: 0,
        shape: Shape::SharedEdx,
        arch: Arch::I386,
        symbols: vec![format!("_{name}@0")],
        instructions,
        relocations,
    }
}
