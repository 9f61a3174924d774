//! The three architectures that only the old tool knew, as text.

use super::Stubs;

/// Where user mode finds the address of the way into the kernel.
const SHARED_SYSTEM_CALL: u32 = 0x7ffe_0300;

/// The number in r0, the link register kept on the stack; the same in user mode and in the kernel.
pub(super) fn powerpc(number: u32) -> Vec<String> {
    let load = format!("li 0,{number:#x}");
    let lines = ["stwu 1,-16(1)", "mflr 0", "stw 0,0(1)", &load, "sc", "lwz 0,0(1)", "mtlr 0", "addi 1,1,16", "blr"];
    lines.map(str::to_owned).into()
}

/// The number in `$2` (v0), where Windows NT on MIPS has it. Delay slots are the assembler's.
pub(super) fn mips(number: u32, kind: Stubs) -> Vec<String> {
    let mut lines = vec![format!("li $2,{number:#x}")];
    match kind {
        Stubs::Kernel => lines.push("j KiSystemService".to_owned()),
        Stubs::Nt | Stubs::Zw => {
            lines.push(format!("li $8,{SHARED_SYSTEM_CALL:#x}"));
            lines.push("lw $8,0($8)".to_owned());
            lines.push("j $8".to_owned());
        }
    }
    lines.push("nop".to_owned());
    lines
}

/// The number within the instruction. In the kernel it overwrites the link register, which is kept in ip.
pub(super) fn arm(number: u32, kind: Stubs) -> Vec<String> {
    let service = format!("swi #{number:#x}");
    match kind {
        Stubs::Kernel => vec!["mov ip,lr".to_owned(), service, "bx ip".to_owned()],
        Stubs::Nt | Stubs::Zw => vec![service, "bx lr".to_owned()],
    }
}
