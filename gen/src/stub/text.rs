//! Stubs as text.

use iced_x86::{Formatter, GasFormatter, Instruction, IntelFormatter, SymbolResolver, SymbolResult};

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
}

/// One instruction as text.
pub(crate) struct Line {
    /// The local label in front of it, if a branch of the stub goes here.
    pub(crate) label: Option<&'static str>,
    pub(crate) text: String,
}

/// The one label that a stub may have within. GNU as calls such a label local; `1f` is the next one of that name.
const LABEL: &str = "1";
const LABEL_AHEAD: &str = "1f";

impl Stub {
    /// The instructions as text, one string each. The target of a branch within the stub has `1: ` in front.
    #[must_use]
    pub fn text(&self, syntax: Syntax) -> Vec<String> {
        let lines = write_lines(self, syntax).into_iter();
        lines.map(|line| line.label.map_or(line.text.clone(), |label| format!("{label}: {}", line.text))).collect()
    }
}

/// The instructions as text, labels apart.
pub(crate) fn write_lines(stub: &Stub, syntax: Syntax) -> Vec<Line> {
    if stub.arch == Arch::Arm64 {
        return a64::write(stub.number).map(|text| Line { label: None, text }).into();
    }
    let symbols = Box::new(Names::of(stub));
    let label = symbols.label;
    let mut formatter: Box<dyn Formatter> = match syntax {
        Syntax::Gas => Box::new(GasFormatter::with_options(Some(symbols), None)),
        Syntax::Intel => Box::new(IntelFormatter::with_options(Some(symbols), None)),
    };
    formatter.options_mut().set_uppercase_hex(true);
    formatter.options_mut().set_rip_relative_addresses(true);
    let mut lines = Vec::with_capacity(stub.instructions.len());
    for instruction in &stub.instructions {
        let mut text = String::new();
        formatter.format(instruction, &mut text);
        let label = label.filter(|&target| target == instruction.ip()).map(|_| LABEL);
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
}

impl Names {
    fn of(stub: &Stub) -> Self {
        let instruction = |index: usize| stub.instructions.get(index);
        let symbols: Vec<_> = stub
            .relocations
            .iter()
            .filter_map(|relocation| Some((instruction(relocation.instruction)?.ip(), relocation.symbol.clone())))
            .collect();
        let branch = |at: &&Instruction| is_near_branch(at) && !symbols.iter().any(|(ip, _)| *ip == at.ip());
        let label = stub.instructions.iter().find(branch).map(Instruction::near_branch_target);
        Self { symbols, label }
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
        (self.label == Some(address)).then(|| SymbolResult::with_str(address, LABEL_AHEAD))
    }
}
