//! The layout of assembler text.

use iced_x86::{Code, Encoder, Instruction, OpKind};

use super::comment::shortened;
use crate::model::Arch;
use crate::stub::Encoding;

/// The assemblers that text is written for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Dialect {
    /// GNU as.
    Gas,
    /// Microsoft's ml and ml64, and LLVM's llvm-ml.
    Masm,
    /// The Netwide Assembler.
    Nasm,
}

/// Writes assembler source: what stands where on a line, and how the assemblers differ, is decided here and nowhere
/// else.
pub(super) struct AsmWriter {
    dialect: Dialect,
    arch: Arch,
    /// The encoding of moves that the text must give; `None` leaves it to the assembler.
    moves: Option<Encoding>,
    text: String,
}

impl AsmWriter {
    /// Nothing yet.
    pub(super) const fn new(dialect: Dialect, arch: Arch, moves: Option<Encoding>) -> Self {
        Self { dialect, arch, moves, text: String::new() }
    }

    /// A comment on a line of its own. It ends at the end of the line, so `text` must be one line.
    pub(super) fn comment(&mut self, text: &str) {
        let mark = if self.dialect == Dialect::Gas { "# " } else { "; " };
        // To ml and NASM a backslash at the end of a line, comment or not, joins it with the next one.
        let end = if self.dialect != Dialect::Gas && text.ends_with('\\') { " ." } else { "" };
        let text = if self.dialect == Dialect::Masm { &shortened(text) } else { text };
        self.line(&[mark, text, end]);
    }

    /// An empty line.
    pub(super) fn blank(&mut self) {
        self.line(&[]);
    }

    /// A directive, as it stands.
    pub(super) fn directive(&mut self, text: &str) {
        self.line(&["\t", text]);
    }

    /// Lines, as they stand.
    pub(super) fn lines(&mut self, text: &str) {
        self.text.push_str(text);
    }

    /// Starts the code section.
    pub(super) fn section_text(&mut self) {
        self.directive(match self.dialect {
            Dialect::Gas => ".text",
            Dialect::Masm => ".CODE",
            Dialect::Nasm => "section .text align=16",
        });
    }

    /// Aligns what follows, in bytes as a power of two; `fill` in between. `place` is how many bytes the section has.
    pub(super) fn align(&mut self, power: u32, fill: u8, place: usize) {
        let bytes = 1 << power;
        match self.dialect {
            // In code LLVM takes a fill of 0 for none and writes NOPs, but not where the fill is words.
            Dialect::Gas if fill == 0 => self.directive(&format!(".p2alignl {power},{fill:#x}")),
            Dialect::Gas => self.directive(&format!(".p2align {power},{fill:#x}")),
            Dialect::Nasm => self.directive(&format!("align {bytes}, db {fill:#x}")),
            Dialect::Masm => {
                // ALIGN has no fill but NOPs; after these bytes it has nothing to do and says what is meant.
                let gap = place.next_multiple_of(bytes) - place;
                if gap > 0 {
                    self.directive(&format!("DB {gap} DUP (0{fill:02X}h)"));
                }
                self.directive(&format!("ALIGN {bytes}"));
            }
        }
    }

    /// Makes a symbol visible to the linker.
    pub(super) fn global(&mut self, symbol: &str) {
        match self.dialect {
            Dialect::Gas => self.directive(&format!(".globl {}", quote(symbol))),
            Dialect::Masm => self.directive(&format!("PUBLIC {symbol}")),
            Dialect::Nasm => self.directive(&format!("global {symbol}")),
        }
    }

    /// A symbol's place.
    pub(super) fn symbol(&mut self, symbol: &str) {
        match self.dialect {
            Dialect::Gas => self.line(&[&quote(symbol), ":"]),
            Dialect::Masm | Dialect::Nasm => self.line(&[symbol, ":"]),
        }
    }

    /// A local label.
    pub(super) fn label(&mut self, label: &str) {
        self.line(&[label, ":"]);
    }

    /// An instruction as text. Of one of x86 the assembler must make the bytes that iced makes of `x86`, but for moves
    /// between registers if their encoding is left to it.
    pub(super) fn instruction(&mut self, x86: Option<&Instruction>, text: &str) {
        let Some(x86) = x86 else {
            return self.directive(text);
        };
        match self.dialect {
            Dialect::Gas => self.line(&["\t", load_prefix(x86), text]),
            Dialect::Masm if self.is_other_in_masm(x86) => self.bytes("DB", &hex_bytes(x86, self.arch, "0", "h"), text),
            Dialect::Nasm if self.moves == Some(Encoding::Msvc) && is_copy(x86) => {
                self.bytes("db", &hex_bytes(x86, self.arch, "0x", ""), text);
            }
            Dialect::Masm => self.directive(&spell_masm(x86, text)),
            Dialect::Nasm => self.directive(&spell_nasm(x86, text)),
        }
    }

    /// Whether assemblers of this dialect make other bytes of an instruction, or each its own.
    fn is_other_in_masm(&self, instruction: &Instruction) -> bool {
        // ml writes the load form, llvm-ml the store form.
        let is_exact_copy = self.moves.is_some() && is_copy(instruction);
        // An address without a register is a number to ml unless a segment is named, which makes a prefix in llvm-ml.
        is_exact_copy || is_absolute(instruction)
    }

    /// An instruction as bytes, and its text as a comment.
    fn bytes(&mut self, directive: &str, bytes: &str, text: &str) {
        self.line(&["\t", directive, " ", bytes, " ; ", text]);
    }

    pub(super) fn finish(self) -> String {
        self.text
    }

    fn line(&mut self, parts: &[&str]) {
        for part in parts {
            self.text.push_str(part);
        }
        self.text.push('\n');
    }
}

/// How the address of a symbol is taken. `ml64` makes it a distance from RIP, a register that it has no name for; llvm-ml
/// makes it an absolute address unless RIP is named.
pub(super) const MASM_ADDRESS: &str = "\
NTGATE_ADDRESS MACRO register,symbol
\tIFDEF rip
\tlea register,[rip+symbol]
\tELSE
\tlea register,symbol
\tENDIF
\tENDM
";

/// Symbols of stdcall functions have an `@`, which as takes in quotes only when it makes ELF.
fn quote(symbol: &str) -> String {
    format!("\"{symbol}\"")
}

/// Whether an instruction is a move between registers, which has two encodings.
pub(super) fn is_copy(instruction: &Instruction) -> bool {
    let registers = instruction.op0_kind() == OpKind::Register && instruction.op1_kind() == OpKind::Register;
    let code = instruction.code();
    registers && matches!(code, Code::Mov_r32_rm32 | Code::Mov_r64_rm64 | Code::Mov_rm32_r32 | Code::Mov_rm64_r64)
}

fn is_absolute(instruction: &Instruction) -> bool {
    instruction.code() == Code::Test_rm8_imm8 && instruction.memory_base() == iced_x86::Register::None
}

/// Of the two encodings of a move between registers as takes `mov r/m, r`; the other must be asked for.
fn load_prefix(instruction: &Instruction) -> &'static str {
    let is_load = matches!(instruction.code(), Code::Mov_r32_rm32 | Code::Mov_r64_rm64);
    if is_load && is_copy(instruction) { "{load} " } else { "" }
}

/// The bytes of an instruction that refers to no address of the stub, each between two strings.
pub(super) fn hex_bytes(instruction: &Instruction, arch: Arch, before: &str, after: &str) -> String {
    let mut encoder = Encoder::new(arch.word_bytes() * 8);
    // Every instruction of a stub that was built encodes; one that was changed is reported when the stub is encoded.
    let _ = encoder.encode(instruction, 0);
    let bytes: Vec<_> = encoder.take_buffer().iter().map(|byte| format!("{before}{byte:02X}{after}")).collect();
    bytes.join(",")
}

/// `push` of a number has no suffix that every assembler knows; of addresses see [`MASM_ADDRESS`].
fn spell_masm(instruction: &Instruction, text: &str) -> String {
    match instruction.code() {
        Code::Lea_r64_m if instruction.is_ip_rel_memory_operand() => {
            text.replacen("lea", "NTGATE_ADDRESS", 1).replace(['[', ']'], "")
        }
        Code::Pushd_imm8 | Code::Pushq_imm8 => text.replacen("pushd", "push", 1).replacen("pushq", "push", 1),
        _ => text.to_owned(),
    }
}

/// NASM makes a 64-bit move of a small number a 32-bit one unless the size of the number is named.
fn spell_nasm(instruction: &Instruction, text: &str) -> String {
    match instruction.code() {
        Code::Mov_rm64_imm32 => text.replacen(',', ",strict dword ", 1),
        _ => text.to_owned(),
    }
}
