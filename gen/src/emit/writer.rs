//! The layout of assembler text.

use iced_x86::{Code, Instruction, OpKind};

/// Writes GNU as source: what stands where on a line is decided here and nowhere else.
#[derive(Default)]
pub(super) struct AsmWriter {
    text: String,
}

impl AsmWriter {
    /// A comment on a line of its own. It ends at the end of the line, so `text` must be one line.
    pub(super) fn comment(&mut self, text: &str) {
        self.line(&["# ", text]);
    }

    /// An empty line.
    pub(super) fn blank(&mut self) {
        self.line(&[]);
    }

    /// Starts the code section.
    pub(super) fn section_text(&mut self) {
        self.line(&["\t.text"]);
    }

    /// Aligns what follows, in bytes as a power of two; `fill` in between.
    pub(super) fn align(&mut self, power: u32, fill: u8) {
        // In code LLVM takes a fill of 0 for none and writes NOPs, but not where the fill is words.
        let directive = if fill == 0 { "\t.p2alignl " } else { "\t.p2align " };
        self.line(&[directive, &power.to_string(), ",", &format!("{fill:#x}")]);
    }

    /// Makes a symbol visible to the linker.
    pub(super) fn global(&mut self, symbol: &str) {
        self.line(&["\t.globl ", &quote(symbol)]);
    }

    /// A symbol's place.
    pub(super) fn symbol(&mut self, symbol: &str) {
        self.line(&[&quote(symbol), ":"]);
    }

    /// A local label.
    pub(super) fn label(&mut self, label: &str) {
        self.line(&[label, ":"]);
    }

    /// An instruction as text. Of one of x86 as must make the bytes that iced makes of `x86`.
    pub(super) fn instruction(&mut self, x86: Option<&Instruction>, text: &str) {
        self.line(&["\t", x86.map_or("", form_prefix), text]);
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

/// Symbols of stdcall functions have an `@`, which as takes in quotes only when it makes ELF.
fn quote(symbol: &str) -> String {
    format!("\"{symbol}\"")
}

/// Of the two encodings of a move between registers as takes `mov r/m, r`; the other must be asked for.
fn form_prefix(instruction: &Instruction) -> &'static str {
    let registers = instruction.op0_kind() == OpKind::Register && instruction.op1_kind() == OpKind::Register;
    let is_load = matches!(instruction.code(), Code::Mov_r32_rm32 | Code::Mov_r64_rm64);
    if is_load && registers { "{load} " } else { "" }
}
