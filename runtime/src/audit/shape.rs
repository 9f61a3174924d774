//! The names of shapes: the instructions of a stub, without what differs from service to service, beside those of the
//! shapes that are known.

use iced_x86::{Code, Decoder, DecoderOptions, Instruction, Mnemonic, OpKind, Register};
use ntgate_gen::{Arch, Encoding, Shape, Stub, read_list, stub};

/// A shape: its name and its instructions.
struct Known {
    name: &'static str,
    instructions: Vec<String>,
}

/// The shapes of one architecture.
pub(super) struct Shapes {
    arch: Arch,
    known: Vec<Known>,
}

/// What was recognised.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Recognised {
    pub(super) name: &'static str,
    /// Bytes of the stub.
    pub(super) length: usize,
}

/// Shapes that are not generated here, in the bytes of an example: WoW64's (Chromium `service_resolver_32.cc`, DynamoRIO
/// `core/win32/syscall.c`), Wine's (`include/wine/asm.h`), and ReactOS's of 2005 with the code in the page.
const OTHERS: [(Arch, &str, &[u8]); 9] = [
    (Arch::I386, "shared-call-ecx", &[0xB8, 1, 0, 0, 0, 0xB9, 0, 3, 0xFE, 0x7F, 0xFF, 0xD1, 0xC3]),
    (
        Arch::I386,
        "wow64-fs",
        &[0xB8, 1, 0, 0, 0, 0x33, 0xC9, 0x8D, 0x54, 0x24, 4, 0x64, 0xFF, 0x15, 0xC0, 0, 0, 0, 0xC3],
    ),
    (
        Arch::I386,
        "wow64-fs",
        &[0xB8, 1, 0, 0, 0, 0xB9, 5, 0, 0, 0, 0x8D, 0x54, 0x24, 4, 0x64, 0xFF, 0x15, 0xC0, 0, 0, 0, 0xC3],
    ),
    (
        Arch::I386,
        "wow64-fs-pop",
        &[0xB8, 1, 0, 0, 0, 0x33, 0xC9, 0x8D, 0x54, 0x24, 4, 0x64, 0xFF, 0x15, 0xC0, 0, 0, 0, 0x83, 0xC4, 4, 0xC3],
    ),
    (
        Arch::I386,
        "wow64-fs-pop",
        &[
            0xB8, 1, 0, 0, 0, 0xB9, 5, 0, 0, 0, 0x8D, 0x54, 0x24, 4, 0x64, 0xFF, 0x15, 0xC0, 0, 0, 0, 0x83, 0xC4, 4,
            0xC3,
        ],
    ),
    (Arch::I386, "wow64-fs-turbo", &[0xB8, 1, 0, 0, 0, 0x64, 0xFF, 0x15, 0xC0, 0, 0, 0, 0xC3]),
    // Wine's 32-bit stubs have the same instructions: the way tells them apart.
    (Arch::I386, "wow64-call", &[0xB8, 1, 0, 0, 0, 0xBA, 0, 0, 0, 0x10, 0xFF, 0xD2, 0xC3]),
    (
        Arch::Amd64,
        "wine-syscall",
        &[
            0x4C, 0x8B, 0xD1, 0xB8, 1, 0, 0, 0, 0xF6, 4, 0x25, 8, 3, 0xFE, 0x7F, 1, 0x75, 3, 0x0F, 5, 0xC3, 0xEB, 1,
            0xC3, 0xFF, 0x14, 0x25, 0, 0x10, 0xFE, 0x7F, 0xC3,
        ],
    ),
    (Arch::Amd64, "int2e", &[0x4C, 0x8B, 0xD1, 0xB8, 1, 0, 0, 0, 0xCD, 0x2E, 0xC3]),
];

/// The most instructions of a shape.
const LONGEST: usize = 12;

impl Shapes {
    /// The shapes that can be generated, and the others.
    pub(super) fn of(arch: Arch) -> Self {
        let mut known = Vec::new();
        if let Ok(read) = read_list("shapes", b"NtShape 3\n")
            && let Some(service) = read.list.services().next()
        {
            let body = |shape: &Shape| Known {
                name: shape.name(),
                instructions: generated(&stub::build(*shape, service, Encoding::Msvc)),
            };
            known.extend(Shape::of(arch).iter().map(body));
        }
        let others = OTHERS.iter().filter(|(of, ..)| *of == arch);
        known.extend(others.map(|(_, name, bytes)| Known { name, instructions: normal(&decode(arch, bytes)) }));
        Self { arch, known }
    }

    /// The shape that some code begins with.
    pub(super) fn recognise(&self, code: &[u8]) -> Option<Recognised> {
        let instructions = decode(self.arch, code);
        let matches = |known: &&Known| {
            let count = known.instructions.len();
            instructions.len() >= count && normal(&instructions[..count]) == known.instructions
        };
        let found = self.known.iter().find(matches)?;
        let last = instructions.get(found.instructions.len() - 1)?;
        Some(Recognised { name: found.name, length: last.next_ip() as usize })
    }
}

/// The first instructions, from address 0 on.
fn decode(arch: Arch, code: &[u8]) -> Vec<Instruction> {
    let bits = if arch == Arch::I386 { 32 } else { 64 };
    Decoder::with_ip(bits, code, 0, DecoderOptions::NONE).iter().take(LONGEST).collect()
}

/// The instructions of a stub that is not linked yet: what refers to a symbol goes outside.
fn generated(stub: &Stub) -> Vec<String> {
    // A decoded instruction has what its text depends on; one that was made has not all of it.
    let code = stub.encode().map(|code| code.bytes).unwrap_or_default();
    let mut instructions = decode(stub.arch, &code);
    for relocation in &stub.relocations {
        if let Some(instruction) = instructions.get_mut(relocation.instruction)
            && is_near(instruction)
        {
            instruction.set_near_branch64(u64::MAX);
        }
    }
    normal(&instructions)
}

/// Instructions as text without numbers, distances and addresses of an image's own.
fn normal(instructions: &[Instruction]) -> Vec<String> {
    let index_of = |ip: u64| instructions.iter().position(|instruction| instruction.ip() == ip);
    let one = |instruction: &Instruction| match instruction.mnemonic() {
        Mnemonic::Ret => "ret".to_owned(),
        Mnemonic::Mov if is_immediate(instruction) => match instruction.op0_register() {
            // Of these only the page's addresses say something.
            register if is_shared_page(instruction.immediate32()) => {
                format!("mov {register:?},{:X}", instruction.immediate32())
            }
            register => format!("mov {register:?},n"),
        },
        Mnemonic::Mov if instruction.op1_kind() == OpKind::Immediate32to64 => {
            format!("mov {:?},n", instruction.op0_register())
        }
        _ if is_near(instruction) => match index_of(instruction.near_branch_target()) {
            Some(index) => format!("{:?} #{index}", instruction.mnemonic()),
            None => format!("{:?} outside", instruction.mnemonic()),
        },
        Mnemonic::Lea if instruction.is_ip_rel_memory_operand() => {
            format!("lea {:?},outside", instruction.op0_register())
        }
        _ => instruction.to_string(),
    };
    instructions.iter().map(one).collect()
}

fn is_immediate(instruction: &Instruction) -> bool {
    instruction.code() == Code::Mov_r32_imm32 && instruction.op0_register() != Register::None
}

fn is_near(instruction: &Instruction) -> bool {
    matches!(instruction.op0_kind(), OpKind::NearBranch16 | OpKind::NearBranch32 | OpKind::NearBranch64)
}

fn is_shared_page(value: u32) -> bool {
    value & 0xFFFF_F000 == 0x7FFE_0000
}

/// The bytes of the instruction that some code begins with; 1 if it is none.
pub(super) fn length(arch: Arch, code: &[u8]) -> usize {
    decode(arch, &code[..code.len().min(15)]).first().map_or(1, Instruction::len)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_linked_stub_has_the_instructions_of_the_generated_one() {
        let code = [0xB8, 0, 0, 0, 0, 0x8D, 0x54, 0x24, 4, 0x9C, 0x6A, 8, 0xE8, 0, 0, 0x10, 0, 0xC2, 0x18, 0];
        let shapes = Shapes::of(Arch::I386);
        let zw = shapes.known.iter().find(|known| known.name == "zw").expect("it is known");
        assert_eq!(normal(&decode(Arch::I386, &code)), zw.instructions);
        assert_eq!(shapes.recognise(&code), Some(Recognised { name: "zw", length: code.len() }));
    }
}
