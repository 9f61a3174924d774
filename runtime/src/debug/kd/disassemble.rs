//! `u`, `ub`, `uf`: machine code as WinDbg shows it.

use std::collections::{BTreeMap, BTreeSet};

use iced_x86::{
    FlowControl, Formatter, Instruction, IntelFormatter, MasmFormatter, MemorySizeOptions, OpKind, Register,
    SymbolResolver, SymbolResult,
};

use super::arguments::{Arguments, Extent};
use super::error::Error;
use super::{Kd, say};
use crate::machine::SegmentRegister;

/// Instructions that `u` shows when nobody says how many.
const USUAL: u64 = 8;

/// The longest instruction.
const LONGEST: u64 = 15;

/// The most instructions that `uf` follows.
const MOST: usize = 4096;

/// Columns of the bytes.
const BYTES: usize = 16;

/// The instruction at an address.
pub(super) fn decode(kd: &Kd, address: u64) -> Option<Instruction> {
    kd.target().instruction(kd.narrow(address))
}

/// The line of an instruction, and its length.
pub(super) fn line(kd: &Kd, address: u64) -> (String, u64) {
    let digits = kd.address(address);
    let Some(instruction) = decode(kd, address) else {
        let byte = kd.read_number(address, 1).map_or("??".to_owned(), |byte| format!("{byte:02x}"));
        return (format!("{digits} {byte:<BYTES$}???"), 1);
    };
    let length = instruction.len() as u64;
    let bytes = kd.read(address, length).unwrap_or_default();
    let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    let width = BYTES - 1;
    (format!("{digits} {hex:<width$} {}", text(kd, &instruction)), length)
}

/// The label of an address that has a symbol of its own.
fn label(kd: &Kd, address: u64, first: bool) -> Option<String> {
    let (_, offset) = kd.symbol(address)?;
    (first || offset == 0).then(|| format!("{}:", kd.describe(address)))
}

/// `u`: instructions from an address on.
pub(super) fn u(kd: &mut Kd, arguments: &mut Arguments<'_>, out: &mut String) -> Result<(), Error> {
    let next = kd.code.unwrap_or_else(|| kd.current_address());
    let (start, extent) = arguments.extent(kd, next)?;
    arguments.end()?;
    let (mut at, mut shown) = (start, 0);
    let wanted = |at: u64, shown: u64| match extent {
        Extent::Usual => shown < USUAL,
        Extent::Count(count) => shown < count,
        Extent::Through(end) => at <= end,
    };
    while wanted(at, shown) {
        if kd.read(at, 1).is_none() {
            say!(out, "{}", line(kd, at).0);
            return Err(Error::memory(&kd.address(at), arguments.command()));
        }
        let before = at;
        at = instruction(kd, at, shown == 0, out);
        shown += 1;
        if at < before {
            break;
        }
    }
    kd.code = Some(at);
    Ok(())
}

/// One instruction with its label; the address of the next.
fn instruction(kd: &Kd, at: u64, first: bool, out: &mut String) -> u64 {
    if let Some(label) = label(kd, at, first) {
        say!(out, "{label}");
    }
    let (line, length) = line(kd, at);
    say!(out, "{line}");
    kd.narrow(at.wrapping_add(length))
}

/// `ub`: the instructions before an address.
pub(super) fn ub(kd: &mut Kd, arguments: &mut Arguments<'_>, out: &mut String) -> Result<(), Error> {
    let next = kd.code.unwrap_or_else(|| kd.current_address());
    let (end, extent) = arguments.extent(kd, next)?;
    let Extent::Count(wanted) = (if extent == Extent::Usual { Extent::Count(USUAL) } else { extent }) else {
        return Err(Error::at(arguments.place(), "ub takes an address and a count"));
    };
    arguments.end()?;
    let before = instructions_before(kd, end, wanted as usize);
    if before.is_empty() {
        return Err(Error::of_target(format!("Unable to find instructions that end at {}", kd.address(end))));
    }
    for (index, at) in before.iter().enumerate() {
        instruction(kd, *at, index == 0, out);
    }
    kd.code = before.first().copied();
    Ok(())
}

/// The last instructions that lead to an address: from the symbol before it on, or where there is none, or it leads elsewhere,
/// from as far before as leads there.
fn instructions_before(kd: &Kd, end: u64, wanted: usize) -> Vec<u64> {
    let far = LONGEST * (wanted as u64).min(64);
    let symbol = kd.symbol(end.wrapping_sub(1)).map(|(_, offset)| end.wrapping_sub(1).wrapping_sub(offset));
    let starts = symbol.into_iter().chain((1..=far).rev().map(|back| end.wrapping_sub(back)));
    for start in starts {
        let mut path = Vec::new();
        let mut at = start;
        while at < end {
            let Some(instruction) = decode(kd, at) else { break };
            path.push(at);
            at = at.wrapping_add(instruction.len() as u64);
        }
        if at == end && !path.is_empty() {
            return path.split_off(path.len().saturating_sub(wanted));
        }
    }
    Vec::new()
}

/// `uf`: all of a routine, along its branches.
pub(super) fn uf(kd: &mut Kd, arguments: &mut Arguments<'_>, out: &mut String) -> Result<(), Error> {
    let address = if arguments.is_empty() { kd.current_address() } else { arguments.address(kd)? };
    arguments.end()?;
    if decode(kd, address).is_none() {
        return Err(Error::of_target(format!("No code found at {}", kd.address(address))));
    }
    let start = kd.symbol(address).map_or(address, |(_, offset)| address.wrapping_sub(offset));
    let (code, targets) = routine(kd, start);
    let mut expected = None;
    for (at, length) in code {
        if expected.is_some_and(|expected| expected != at) {
            say!(out);
        }
        if expected != Some(at) || targets.contains(&at) || kd.symbol(at).is_some_and(|(_, offset)| offset == 0) {
            say!(out, "{}:", kd.describe(at));
        }
        say!(out, "{}", line(kd, at).0);
        expected = Some(at.wrapping_add(length));
    }
    Ok(())
}

/// The instructions of a routine with their lengths, and where its branches lead.
fn routine(kd: &Kd, start: u64) -> (BTreeMap<u64, u64>, BTreeSet<u64>) {
    let (mut code, mut targets, mut open) = (BTreeMap::new(), BTreeSet::new(), vec![start]);
    while let Some(mut at) = open.pop() {
        while code.len() < MOST && !code.contains_key(&at) {
            let Some(instruction) = decode(kd, at) else { break };
            code.insert(at, instruction.len() as u64);
            let flow = instruction.flow_control();
            if matches!(flow, FlowControl::ConditionalBranch | FlowControl::UnconditionalBranch) {
                targets.insert(instruction.near_branch_target());
                open.push(instruction.near_branch_target());
            }
            let ends = matches!(
                flow,
                FlowControl::Return
                    | FlowControl::UnconditionalBranch
                    | FlowControl::IndirectBranch
                    | FlowControl::Exception
            );
            if ends {
                break;
            }
            at = instruction.next_ip();
        }
    }
    (code, targets)
}

/// An instruction in words, without its address.
pub(super) fn text(kd: &Kd, instruction: &Instruction) -> String {
    let names = Names::of(kd, instruction);
    let mut formatter = MasmFormatter::with_options(Some(Box::new(names)), None);
    let options = formatter.options_mut();
    options.set_first_operand_char_index(8);
    options.set_memory_size_options(MemorySizeOptions::Always);
    options.set_show_branch_size(false);
    options.set_branch_leading_zeros(true);
    options.set_uppercase_hex(true);
    let bare = instruction.memory_base() == Register::None && instruction.memory_index() == Register::None;
    options.set_displacement_leading_zeros(bare && kd.guest().pointer() == 4);
    let mut text = String::new();
    formatter.format(instruction, &mut text);
    if bare && kd.guest().pointer() == 4 {
        // Zero is an address here, and written as long as others.
        text = text.replace("s:[0]", "s:[00000000h]");
    }
    if instruction.is_string_instruction() {
        let text = string(instruction);
        // EDI is always relative to ES, which only means something in 32 bits.
        return if kd.guest().pointer() == 4 { text.replace(" [edi]", " es:[edi]") } else { text };
    }
    // A target without a symbol is told as an address.
    if is_near_branch(instruction) && kd.symbol(instruction.near_branch_target()).is_none() {
        let mnemonic = text.split_whitespace().next().unwrap_or_default();
        return format!("{mnemonic:<7} {}", kd.address(instruction.near_branch_target()));
    }
    text
}

/// A string instruction, with both its operands.
fn string(instruction: &Instruction) -> String {
    let mut formatter = IntelFormatter::new();
    formatter.options_mut().set_memory_size_options(MemorySizeOptions::Always);
    let mut text = String::new();
    formatter.format(instruction, &mut text);
    // `movsd dword ptr ...` is `movs dword ptr ...` in WinDbg: the operands tell the size.
    let words: Vec<&str> = text.splitn(2, ' ').collect();
    let (prefix, rest) = match words[..] {
        [prefix, rest] if prefix.starts_with("rep") => (format!("{prefix} "), rest),
        _ => (String::new(), text.as_str()),
    };
    let (mnemonic, operands) = rest.split_once(' ').unwrap_or((rest, ""));
    let stem = mnemonic.get(..mnemonic.len().saturating_sub(1)).unwrap_or_default();
    if prefix.is_empty() { format!("{stem:<7} {operands}") } else { format!("{prefix}{stem} {operands}") }
}

fn is_near_branch(instruction: &Instruction) -> bool {
    matches!(instruction.op0_kind(), OpKind::NearBranch16 | OpKind::NearBranch32 | OpKind::NearBranch64)
}

/// The names of the addresses in an instruction.
struct Names(Vec<(u64, String)>);

impl Names {
    fn of(kd: &Kd, instruction: &Instruction) -> Self {
        let mut names = Vec::new();
        let mut name = |address: u64, exact: bool| {
            let address = kd.narrow(address);
            if kd.symbol(address).is_some_and(|(_, offset)| !exact || offset == 0) {
                names.push((address, kd.describe_with_address(address)));
            }
        };
        if is_near_branch(instruction) {
            name(instruction.near_branch_target(), false);
        }
        for operand in 0..instruction.op_count() {
            match instruction.op_kind(operand) {
                OpKind::Immediate32 => name(instruction.immediate32().into(), true),
                OpKind::Immediate64 => name(instruction.immediate64(), true),
                OpKind::Memory => {
                    let rip = instruction.is_ip_rel_memory_operand();
                    let bare =
                        instruction.memory_base() == Register::None && instruction.memory_index() == Register::None;
                    let segment = matches!(instruction.memory_segment(), Register::FS | Register::GS);
                    if !segment {
                        name(instruction.memory_displacement64(), !(rip || bare));
                    }
                }
                _ => {}
            }
        }
        Self(names)
    }
}

impl SymbolResolver for Names {
    fn symbol(&mut self, _: &Instruction, _: u32, _: Option<u32>, address: u64, _: u32) -> Option<SymbolResult<'_>> {
        let (_, name) = self.0.iter().find(|(known, _)| *known == address)?;
        Some(SymbolResult::with_str(address, name))
    }
}

/// What the instruction that is next will find: its memory operand with the value there, and whether it will branch.
pub(super) fn outlook(kd: &Kd, instruction: &Instruction) -> String {
    let mut text = String::new();
    let memory = (0..instruction.op_count()).find(|operand| instruction.op_kind(*operand) == OpKind::Memory);
    if let Some(operand) = memory
        && instruction.mnemonic() != iced_x86::Mnemonic::Lea
        && let Some(address) = effective_address(kd, instruction, operand)
    {
        let segment = instruction.memory_segment();
        let name = format!("{segment:?}").to_lowercase();
        let selector = segment_register(segment).map(|segment| kd.target().machine().segment(segment).selector.0);
        text += &format!(" {name}:{:04x}:{}=", selector.unwrap_or_default(), kd.address(address));
        text += &operand_value(kd, instruction, address);
    }
    if instruction.flow_control() == FlowControl::ConditionalBranch && instruction.is_jcc_short_or_near() {
        text += &format!(" [br={}]", u8::from(branches(kd, instruction)));
    }
    text
}

fn operand_value(kd: &Kd, instruction: &Instruction, address: u64) -> String {
    let size = instruction.memory_size().size() as u64;
    if !(1..=8).contains(&size) {
        return "..".to_owned();
    }
    let Some(value) = kd.read_number(address, size) else { return "?".repeat(2 * size as usize) };
    let jumps = matches!(instruction.flow_control(), FlowControl::IndirectCall | FlowControl::IndirectBranch);
    if jumps { format!("{{{}}}", kd.describe_with_address(value)) } else { super::number(value, size) }
}

fn effective_address(kd: &Kd, instruction: &Instruction, operand: u32) -> Option<u64> {
    let machine = kd.target().machine();
    let value = |register: Register, _: usize, _: usize| {
        if register.is_segment_register() {
            let segment = machine.segment(segment_register(register)?);
            let has_base = kd.guest().pointer() == 4 || matches!(register, Register::FS | Register::GS);
            return Some(if has_base { segment.base } else { 0 });
        }
        let number = register.full_register().number() as u8;
        let whole = machine.register64(number)?;
        Some(whole & (u64::MAX >> (64 - 8 * register.size() as u32)))
    };
    instruction.virtual_address(operand, 0, value).map(|address| kd.narrow(address))
}

fn segment_register(register: Register) -> Option<SegmentRegister> {
    Some(match register {
        Register::ES => SegmentRegister::Es,
        Register::CS => SegmentRegister::Cs,
        Register::SS => SegmentRegister::Ss,
        Register::DS => SegmentRegister::Ds,
        Register::FS => SegmentRegister::Fs,
        Register::GS => SegmentRegister::Gs,
        _ => return None,
    })
}

/// Whether a conditional jump's condition holds.
fn branches(kd: &Kd, instruction: &Instruction) -> bool {
    use iced_x86::ConditionCode;

    let flags = kd.target().machine().flags();
    match instruction.condition_code() {
        ConditionCode::o => flags.of(),
        ConditionCode::no => !flags.of(),
        ConditionCode::b => flags.cf(),
        ConditionCode::ae => !flags.cf(),
        ConditionCode::e => flags.zf(),
        ConditionCode::ne => !flags.zf(),
        ConditionCode::be => flags.cf() || flags.zf(),
        ConditionCode::a => !(flags.cf() || flags.zf()),
        ConditionCode::s => flags.sf(),
        ConditionCode::ns => !flags.sf(),
        ConditionCode::p => flags.pf(),
        ConditionCode::np => !flags.pf(),
        ConditionCode::l => flags.sf() != flags.of(),
        ConditionCode::ge => flags.sf() == flags.of(),
        ConditionCode::le => flags.zf() || flags.sf() != flags.of(),
        ConditionCode::g => !flags.zf() && flags.sf() == flags.of(),
        ConditionCode::None => false,
    }
}
