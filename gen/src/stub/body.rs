//! Instructions while a shape is written down.

use iced_x86::{Code, Encoder, IcedError, Instruction, MemoryOperand, Register};

use super::encode::retarget;
use super::{Encoding, Relocation, RelocationKind};

/// The interrupt of system services, on i386 and on amd64.
pub(super) const SERVICE_VECTOR: u32 = 0x2e;

/// No shape has more instructions.
const LONGEST: usize = 10;

/// The instructions of an x86 stub, and where they refer to.
pub(super) struct Body {
    /// 32 or 64.
    bits: u32,
    encoding: Encoding,
    instructions: Vec<Instruction>,
    relocations: Vec<Relocation>,
    /// A branch to an instruction of this body: the index of the branch and of its target.
    branches: Vec<(usize, usize)>,
}

impl Body {
    /// An empty body of 32-bit or of 64-bit code.
    pub(super) fn new(bits: u32, encoding: Encoding) -> Self {
        let instructions = Vec::with_capacity(LONGEST);
        Self { bits, encoding, instructions, relocations: Vec::new(), branches: Vec::new() }
    }

    /// An instruction without operands.
    pub(super) fn op(&mut self, code: Code) -> &mut Self {
        self.push(Ok(Instruction::with(code)))
    }

    /// An instruction with a register.
    pub(super) fn op_register(&mut self, code: Code, register: Register) -> &mut Self {
        self.push(Instruction::with1(code, register))
    }

    /// An instruction with a memory operand `[base]`.
    pub(super) fn op_memory(&mut self, code: Code, base: Register) -> &mut Self {
        self.push(Instruction::with1(code, MemoryOperand::with_base(base)))
    }

    /// `mov register,value`.
    pub(super) fn load(&mut self, register: Register, value: u32) -> &mut Self {
        self.push(Instruction::with2(Code::Mov_r32_imm32, register, value))
    }

    /// `mov to,from`, in the encoding that was asked for.
    pub(super) fn copy(&mut self, to: Register, from: Register) -> &mut Self {
        let code = match (self.encoding, to.is_gpr64()) {
            (Encoding::Msvc, false) => Code::Mov_r32_rm32,
            (Encoding::Gnu, false) => Code::Mov_rm32_r32,
            (Encoding::Msvc, true) => Code::Mov_r64_rm64,
            (Encoding::Gnu, true) => Code::Mov_rm64_r64,
        };
        self.push(Instruction::with2(code, to, from))
    }

    /// `lea edx,[base+displacement]`: the caller's arguments.
    pub(super) fn point_edx(&mut self, base: Register, displacement: i8) -> &mut Self {
        let memory = MemoryOperand::with_base_displ(base, i64::from(displacement));
        self.push(Instruction::with2(Code::Lea_r32_m, Register::EDX, memory))
    }

    /// `mov [rsp+displacement],register`: the argument's place in the caller's home area.
    pub(super) fn store_home(&mut self, displacement: i8, register: Register) -> &mut Self {
        let memory = MemoryOperand::with_base_displ(Register::RSP, i64::from(displacement));
        self.push(Instruction::with2(Code::Mov_rm64_r64, memory, register))
    }

    /// `test byte [address],value` at an address in the low 2 GiB.
    pub(super) fn test_byte(&mut self, address: u32, value: u32) -> &mut Self {
        // Eight bytes of displacement are an address of 64 bits, which the instruction holds in four, sign extended.
        let memory = MemoryOperand::with_displ(address.into(), 8);
        self.push(Instruction::with2(Code::Test_rm8_imm8, memory, value))
    }

    /// An instruction with a register and a number, which it extends by its sign.
    pub(super) fn op_number(&mut self, code: Code, register: Register, value: i32) -> &mut Self {
        self.push(Instruction::with2(code, register, value))
    }

    /// `int vector`.
    pub(super) fn interrupt(&mut self, vector: u32) -> &mut Self {
        self.push(Instruction::with1(Code::Int_imm8, vector))
    }

    /// `push value`, the value as one byte.
    pub(super) fn push_byte(&mut self, value: i32) -> &mut Self {
        let code = if self.bits == 64 { Code::Pushq_imm8 } else { Code::Pushd_imm8 };
        self.push(Instruction::with1(code, value))
    }

    /// `ret` of 32-bit code, which takes the arguments off the stack if there are any.
    pub(super) fn ret(&mut self, arg_bytes: u32) -> &mut Self {
        match arg_bytes {
            0 => self.op(Code::Retnd),
            bytes => self.push(Instruction::with1(Code::Retnd_imm16, bytes)),
        }
    }

    /// `call symbol` of 32-bit code.
    pub(super) fn call_symbol(&mut self, symbol: &str) -> &mut Self {
        self.relocate(symbol).push(Instruction::with_branch(Code::Call_rel32_32, 0))
    }

    /// `jmp symbol` of 64-bit code.
    pub(super) fn jump_symbol(&mut self, symbol: &str) -> &mut Self {
        self.relocate(symbol).push(Instruction::with_branch(Code::Jmp_rel32_64, 0))
    }

    /// `lea register,[rip+symbol]`: the address of the symbol.
    pub(super) fn point_to_symbol(&mut self, register: Register, symbol: &str) -> &mut Self {
        let memory = MemoryOperand::with_base_displ(Register::RIP, 0);
        self.relocate(symbol).push(Instruction::with2(Code::Lea_r64_m, register, memory))
    }

    /// `call` in 32-bit code to the instruction that comes `ahead` instructions after the call.
    pub(super) fn call_ahead(&mut self, ahead: usize) -> &mut Self {
        self.branch_ahead(Code::Call_rel32_32, ahead)
    }

    /// A branch to the instruction that comes `ahead` instructions after it.
    pub(super) fn branch_ahead(&mut self, code: Code, ahead: usize) -> &mut Self {
        let branch = self.instructions.len();
        self.branches.push((branch, branch + ahead));
        self.push(Instruction::with_branch(code, 0))
    }

    /// The instructions at addresses from 0 on, and their relocations.
    pub(super) fn finish(mut self) -> (Vec<Instruction>, Vec<Relocation>) {
        let mut encoder = Encoder::new(self.bits);
        let mut address = 0;
        for instruction in &mut self.instructions {
            instruction.set_ip(address);
            // No length depends on where a branch goes, so the targets can wait until the addresses are known.
            address += encoder.encode(instruction, address).map_or(0, |length| length as u64);
        }
        for (branch, target) in self.branches {
            let target = self.instructions.get(target).map_or(0, Instruction::ip);
            retarget(&mut self.instructions[branch], target);
        }
        (self.instructions, self.relocations)
    }

    /// Has the next instruction refer to a symbol.
    fn relocate(&mut self, symbol: &str) -> &mut Self {
        let instruction = self.instructions.len();
        self.relocations.push(Relocation { instruction, symbol: symbol.to_owned(), kind: RelocationKind::Rel32 });
        self
    }

    fn push(&mut self, instruction: Result<Instruction, IcedError>) -> &mut Self {
        // Every call here pairs a `Code` with operands of its kinds; the tests build every shape.
        self.instructions.push(instruction.expect("the operands are of the kinds of the code"));
        self
    }
}
