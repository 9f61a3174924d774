//! Instructions while a shape is written down.

use iced_x86::{Code, Encoder, IcedError, Instruction, MemoryOperand, Register};

use super::{Encoding, Relocation, RelocationKind};

/// The instructions of a 32-bit stub, and where they refer to.
pub(super) struct Body {
    encoding: Encoding,
    instructions: Vec<Instruction>,
    relocations: Vec<Relocation>,
    /// A call to an instruction of this body: the index of the call and of its target.
    calls: Vec<(usize, usize)>,
}

impl Body {
    pub(super) fn new(encoding: Encoding) -> Self {
        Self { encoding, instructions: Vec::new(), relocations: Vec::new(), calls: Vec::new() }
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
        let code = match self.encoding {
            Encoding::Msvc => Code::Mov_r32_rm32,
            Encoding::Gnu => Code::Mov_rm32_r32,
        };
        self.push(Instruction::with2(code, to, from))
    }

    /// `lea edx,[base+displacement]`: the caller's arguments.
    pub(super) fn point_edx(&mut self, base: Register, displacement: i8) -> &mut Self {
        let memory = MemoryOperand::with_base_displ(base, i64::from(displacement));
        self.push(Instruction::with2(Code::Lea_r32_m, Register::EDX, memory))
    }

    /// `int vector`.
    pub(super) fn interrupt(&mut self, vector: u32) -> &mut Self {
        self.push(Instruction::with1(Code::Int_imm8, vector))
    }

    /// `push value`, the value as one byte.
    pub(super) fn push_byte(&mut self, value: i32) -> &mut Self {
        self.push(Instruction::with1(Code::Pushd_imm8, value))
    }

    /// `ret`, which takes the arguments off the stack if there are any.
    pub(super) fn ret(&mut self, arg_bytes: u32) -> &mut Self {
        match arg_bytes {
            0 => self.op(Code::Retnd),
            bytes => self.push(Instruction::with1(Code::Retnd_imm16, bytes)),
        }
    }

    /// `call symbol`.
    pub(super) fn call_symbol(&mut self, symbol: &str) -> &mut Self {
        let instruction = self.instructions.len();
        self.relocations.push(Relocation { instruction, symbol: symbol.to_owned(), kind: RelocationKind::Rel32 });
        self.push(Instruction::with_branch(Code::Call_rel32_32, 0))
    }

    /// `call` to the instruction that comes `ahead` instructions after the call.
    pub(super) fn call_ahead(&mut self, ahead: usize) -> &mut Self {
        let call = self.instructions.len();
        self.calls.push((call, call + ahead));
        self.push(Instruction::with_branch(Code::Call_rel32_32, 0))
    }

    /// The instructions at addresses from 0 on, and their relocations.
    pub(super) fn finish(mut self) -> (Vec<Instruction>, Vec<Relocation>) {
        let mut encoder = Encoder::new(32);
        let mut address = 0;
        for instruction in &mut self.instructions {
            instruction.set_ip(address);
            // No length depends on where a call goes, so the targets can wait until the addresses are known.
            address += encoder.encode(instruction, address).map_or(0, |length| length as u64);
        }
        for (call, target) in self.calls {
            let target = self.instructions.get(target).map_or(0, Instruction::ip);
            self.instructions[call].set_near_branch32(u32::try_from(target).unwrap_or(0));
        }
        (self.instructions, self.relocations)
    }

    fn push(&mut self, instruction: Result<Instruction, IcedError>) -> &mut Self {
        // Every call here pairs a `Code` with operands of its kinds; the tests build every shape.
        self.instructions.push(instruction.expect("the operands are of the kinds of the code"));
        self
    }
}
