//! Stubs as text.

use iced_x86::{
    Formatter, GasFormatter, Instruction, IntelFormatter, MasmFormatter, NasmFormatter, SymbolResolver, SymbolResult,
};

use super::encode::{has_distance, is_near_branch};
use super::{Stub, a64};
use crate::model::Arch;

/// Whose spelling of instructions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Syntax {
    /// GNU as: `mov $1,%eax`. Arm's own syntax for arm64.
    Gas,
    /// Intel's manuals: `mov eax,1`. The same as `Gas` for arm64.
    Intel,
    /// Intel's as LLVM reads it, and so Rust's `asm!`. The same as `Gas` for arm64.
    Rust,
    /// Microsoft's assembler. The same as `Gas` for arm64.
    Masm,
    /// The Netwide Assembler. The same as `Gas` for arm64.
    Nasm,
}

/// One instruction as text.
pub(crate) struct Line {
    /// The local label in front of it, if a branch of the stub goes here.
    pub(crate) label: Option<String>,
    pub(crate) text: String,
}

/// The one label that a stub may have within: what stands before the instruction, and what a branch calls it.
fn label_names(stub: &Stub, syntax: Syntax) -> (String, String) {
    match syntax {
        // GNU as calls such a label local; `1f` is the next one of that name.
        Syntax::Gas | Syntax::Intel => ("1".to_owned(), "1f".to_owned()),
        // LLVM takes labels of zeros and ones for binary numbers in Intel's syntax.
        Syntax::Rust => ("2".to_owned(), "2f".to_owned()),
        // Without `PROC`, which not every assembler of this syntax has in the same way, no label is local.
        Syntax::Masm => (format!("L_{}", stub.service), format!("L_{}", stub.service)),
        // Belongs to the symbol before it.
        Syntax::Nasm => (".1".to_owned(), ".1".to_owned()),
    }
}

impl Stub {
    /// The instructions as text, one string each. The target of a branch within the stub has its label in front,
    /// `1: ` in GNU as.
    #[must_use]
    pub fn text(&self, syntax: Syntax) -> Vec<String> {
        let lines = write_lines(self, syntax).into_iter();
        lines
            .map(|line| match line.label {
                Some(label) => format!("{label}: {}", line.text),
                None => line.text,
            })
            .collect()
    }
}

/// The instructions as text, labels apart.
pub(crate) fn write_lines(stub: &Stub, syntax: Syntax) -> Vec<Line> {
    if stub.arch == Arch::Arm64 {
        return a64::write(stub.number).map(|text| Line { label: None, text }).into();
    }
    let (label, ahead) = label_names(stub, syntax);
    let symbols = Box::new(Names::of(stub, ahead));
    let target = symbols.label;
    let mut formatter: Box<dyn Formatter> = match syntax {
        Syntax::Gas => Box::new(GasFormatter::with_options(Some(symbols), None)),
        Syntax::Intel | Syntax::Rust => Box::new(IntelFormatter::with_options(Some(symbols), None)),
        Syntax::Masm => Box::new(MasmFormatter::with_options(Some(symbols), None)),
        Syntax::Nasm => Box::new(NasmFormatter::with_options(Some(symbols), None)),
    };
    formatter.options_mut().set_uppercase_hex(true);
    if syntax == Syntax::Rust {
        formatter.options_mut().set_hex_prefix("0x");
        formatter.options_mut().set_hex_suffix("");
    }
    // An assembler knows how far a label is.
    formatter.options_mut().set_show_branch_size(syntax == Syntax::Intel);
    // The other two have no name for RIP.
    formatter.options_mut().set_rip_relative_addresses(!matches!(syntax, Syntax::Masm | Syntax::Nasm));
    let mut lines = Vec::with_capacity(stub.instructions.len());
    for instruction in &stub.instructions {
        let mut text = String::new();
        formatter.format(instruction, &mut text);
        let label = target.filter(|&target| target == instruction.ip()).map(|_| label.clone());
        lines.push(Line { label, text });
    }
    lines
}

/// What branches and references are called: by the relocation's symbol, or by the label within the stub.
struct Names {
    /// The addresses of instructions that have a relocation, and their symbols.
    symbols: Vec<(u64, String)>,
    /// The address of the label.
    label: Option<u64>,
    /// What a branch calls it.
    ahead: String,
}

impl Names {
    fn of(stub: &Stub, ahead: String) -> Self {
        let instruction = |index: usize| stub.instructions.get(index);
        let symbols: Vec<_> = stub
            .relocations
            .iter()
            .filter_map(|relocation| Some((instruction(relocation.instruction)?.ip(), relocation.symbol.clone())))
            .collect();
        let branch = |at: &&Instruction| is_near_branch(at) && !symbols.iter().any(|(ip, _)| *ip == at.ip());
        let label = stub.instructions.iter().find(branch).map(Instruction::near_branch_target);
        Self { symbols, label, ahead }
    }
}

impl SymbolResolver for Names {
    fn symbol(
        &mut self,
        instruction: &Instruction,
        _operand: u32,
        _instruction_operand: Option<u32>,
        address: u64,
        _address_size: u32,
    ) -> Option<SymbolResult<'_>> {
        if !has_distance(instruction) {
            return None;
        }
        if let Some((_, symbol)) = self.symbols.iter().find(|(ip, _)| *ip == instruction.ip()) {
            return Some(SymbolResult::with_str(address, symbol));
        }
        (self.label == Some(address)).then(|| SymbolResult::with_str(address, &self.ahead))
    }
}
