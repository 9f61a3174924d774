//! String instructions (SDM vol. 1, 5.1.8), with and without a repeat prefix.
//!
//! A repeated one works in portions: after [`PORTION`] elements it ends with `Stop::Again`, so that neither the budget
//! nor a single step is passed over. What is done when a fault comes is done: eCX, eSI and eDI say how far it got.

use iced_x86::{Instruction, Mnemonic, Register};

use super::super::core::{Core, reg, seg};
use super::super::fault::{Flow, Stop};
use super::super::flags::{self, Flags};
use super::super::op::{After, Op, run};
use super::super::width::Width;
use super::operand::segment;

/// Elements that one execution of a repeated instruction does at most.
const PORTION: u32 = 4096;

/// From how many elements on it pays to look for a way to do them at once.
const BULK: u64 = 4;

/// How an instruction repeats.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Repeat {
    Once,
    Count,
    WhileEqual,
    WhileNotEqual,
}

/// One element of a string instruction.
trait Element {
    /// Whether the flags it sets can end the repetition.
    const COMPARES: bool = false;
    const SOURCE: bool;
    const DESTINATION: bool;
    fn step<W: Width>(core: &mut Core, op: &Op, source: u64, destination: u64) -> Flow;

    /// Does up to `most` elements upwards at once, where that gives what one after the other gives; says how many it did.
    #[inline(always)]
    fn many<W: Width>(_: &mut Core, _: &Op, _source: u64, _destination: u64, _most: u64) -> u64 {
        0
    }
}

struct Movs;
struct Stos;
struct Lods;
struct Scas;
struct Cmps;

impl Element for Movs {
    const SOURCE: bool = true;
    const DESTINATION: bool = true;
    #[inline(always)]
    fn step<W: Width>(core: &mut Core, op: &Op, source: u64, destination: u64) -> Flow {
        let value = core.load::<W>(op.seg, source)?;
        core.store(seg::ES, destination, value)
    }

    fn many<W: Width>(core: &mut Core, op: &Op, source: u64, destination: u64, most: u64) -> u64 {
        let (Some(from), Some(to)) = (core.readable(op.seg, source), core.writable(seg::ES, destination)) else {
            return 0;
        };
        let size = u64::from(W::BYTES);
        let count = (from.len.min(to.len) / size).min(most);
        let bytes = (count * size) as usize;
        // A destination that begins inside the source is filled with what was just copied.
        let follows = to.start > from.start && to.start < from.start + bytes;
        if follows || core.memory.copy_plain(from.start, to.start, bytes).is_none() {
            return 0;
        }
        count
    }
}

impl Element for Stos {
    const SOURCE: bool = false;
    const DESTINATION: bool = true;
    #[inline(always)]
    fn step<W: Width>(core: &mut Core, _: &Op, _: u64, destination: u64) -> Flow {
        core.store(seg::ES, destination, core.reg::<W>(reg::AX))
    }

    fn many<W: Width>(core: &mut Core, _: &Op, _: u64, destination: u64, most: u64) -> u64 {
        let Some(to) = core.writable(seg::ES, destination) else {
            return 0;
        };
        let count = (to.len / u64::from(W::BYTES)).min(most);
        let value = core.reg::<W>(reg::AX);
        if core.memory.fill_plain(to.start, value, count as usize).is_none() { 0 } else { count }
    }
}

impl Element for Lods {
    const SOURCE: bool = true;
    const DESTINATION: bool = false;
    #[inline(always)]
    fn step<W: Width>(core: &mut Core, op: &Op, source: u64, _: u64) -> Flow {
        let value = core.load::<W>(op.seg, source)?;
        core.set_reg(reg::AX, value);
        Ok(())
    }
}

fn compare<W: Width>(flags: &mut Flags, a: W, b: W) {
    flags.sub(a, b, W::cut(a.zx().wrapping_sub(b.zx())));
}

impl Element for Scas {
    const COMPARES: bool = true;
    const SOURCE: bool = false;
    const DESTINATION: bool = true;
    #[inline(always)]
    fn step<W: Width>(core: &mut Core, _: &Op, _: u64, destination: u64) -> Flow {
        let b = core.load::<W>(seg::ES, destination)?;
        let a = core.reg(reg::AX);
        compare(&mut core.flags, a, b);
        Ok(())
    }
}

impl Element for Cmps {
    const COMPARES: bool = true;
    const SOURCE: bool = true;
    const DESTINATION: bool = true;
    #[inline(always)]
    fn step<W: Width>(core: &mut Core, op: &Op, source: u64, destination: u64) -> Flow {
        // ES:eDI first, as processors do: where both fault, CR2 tells.
        let b = core.load::<W>(seg::ES, destination)?;
        let a = core.load::<W>(op.seg, source)?;
        compare(&mut core.flags, a, b);
        Ok(())
    }
}

/// Adds to an index register within the address size.
#[inline(always)]
fn advance(core: &mut Core, r: u8, step: u64, mask: u64) {
    let slot = &mut core.regs[r as usize];
    // As every 32-bit register write, a 32-bit step clears what is above.
    let keep = if mask == 0xFFFF { !mask } else { 0 };
    *slot = *slot & keep | slot.wrapping_add(step) & mask;
}

fn portion<E: Element, W: Width, const REPEAT: u8>(core: &mut Core, op: &Op) -> Flow {
    let mask = u64::MAX >> (op.narrow & 63);
    let bytes = u64::from(W::BYTES);
    let step = if core.flags.df() { bytes.wrapping_neg() } else { bytes };
    let most = if core.flags.system() & flags::TF != 0 { 1 } else { PORTION };
    let mut left = u64::from(most);
    let before = core.flags;
    while left > 0 {
        if REPEAT == Repeat::Count as u8 && !core.flags.df() {
            left -= bulk::<E, W>(core, op, mask, left - 1);
        }
        if REPEAT != Repeat::Once as u8 && core.regs[reg::CX as usize] & mask == 0 {
            return Ok(());
        }
        let (source, destination) = (core.regs[reg::SI as usize] & mask, core.regs[reg::DI as usize] & mask);
        let flow = E::step::<W>(core, op, source, destination);
        if let Err(stop) = flow
            && stop != Stop::Leave
        {
            if E::COMPARES {
                // The flags are those of before the instruction, not of the last element (SDM vol. 2, REP).
                core.flags = before;
            }
            return Err(stop);
        }
        if E::SOURCE {
            advance(core, reg::SI, step, mask);
        }
        if E::DESTINATION {
            advance(core, reg::DI, step, mask);
        }
        if REPEAT == Repeat::Once as u8 {
            return flow;
        }
        advance(core, reg::CX, u64::MAX, mask);
        let ends = E::COMPARES && core.flags.zf() != (REPEAT == Repeat::WhileEqual as u8);
        if ends || core.regs[reg::CX as usize] & mask == 0 {
            return flow;
        }
        left -= 1;
        // `Again` counts as an instruction itself.
        if flow.is_err() || left == 0 {
            return Err(Stop::Again);
        }
        core.retired += 1;
    }
    Err(Stop::Again)
}

/// Does what can be done at once of a counted repetition, at most `most` elements, but leaves its last element. Says how
/// many it did.
#[inline(always)]
fn bulk<E: Element, W: Width>(core: &mut Core, op: &Op, mask: u64, most: u64) -> u64 {
    let count = core.regs[reg::CX as usize] & mask;
    if count.min(most) < BULK {
        return 0;
    }
    let (source, destination) = (core.regs[reg::SI as usize] & mask, core.regs[reg::DI as usize] & mask);
    // Not past the end of the address size, where offsets begin again at 0.
    let room = |used: bool, at: u64| if used { (mask - at) / u64::from(W::BYTES) } else { u64::MAX };
    let most = most.min(count - 1).min(room(E::SOURCE, source)).min(room(E::DESTINATION, destination));
    let done = E::many::<W>(core, op, source, destination, most);
    let bytes = done * u64::from(W::BYTES);
    if E::SOURCE {
        advance(core, reg::SI, bytes, mask);
    }
    if E::DESTINATION {
        advance(core, reg::DI, bytes, mask);
    }
    advance(core, reg::CX, done.wrapping_neg(), mask);
    core.retired += done;
    done
}
/// The function's instance for an operand size and a repetition.
macro_rules! repeated {
    ($element:ty, $size:expr, $repeat:expr) => {
        match ($size, $repeat) {
            (1, Repeat::Once) => run!(portion::<$element, u8, { Repeat::Once as u8 }>),
            (2, Repeat::Once) => run!(portion::<$element, u16, { Repeat::Once as u8 }>),
            (4, Repeat::Once) => run!(portion::<$element, u32, { Repeat::Once as u8 }>),
            (8, Repeat::Once) => run!(portion::<$element, u64, { Repeat::Once as u8 }>),
            (1, Repeat::Count) => run!(portion::<$element, u8, { Repeat::Count as u8 }>),
            (2, Repeat::Count) => run!(portion::<$element, u16, { Repeat::Count as u8 }>),
            (4, Repeat::Count) => run!(portion::<$element, u32, { Repeat::Count as u8 }>),
            (8, Repeat::Count) => run!(portion::<$element, u64, { Repeat::Count as u8 }>),
            (1, Repeat::WhileEqual) => run!(portion::<$element, u8, { Repeat::WhileEqual as u8 }>),
            (2, Repeat::WhileEqual) => run!(portion::<$element, u16, { Repeat::WhileEqual as u8 }>),
            (4, Repeat::WhileEqual) => run!(portion::<$element, u32, { Repeat::WhileEqual as u8 }>),
            (8, Repeat::WhileEqual) => run!(portion::<$element, u64, { Repeat::WhileEqual as u8 }>),
            (1, Repeat::WhileNotEqual) => run!(portion::<$element, u8, { Repeat::WhileNotEqual as u8 }>),
            (2, Repeat::WhileNotEqual) => run!(portion::<$element, u16, { Repeat::WhileNotEqual as u8 }>),
            (4, Repeat::WhileNotEqual) => run!(portion::<$element, u32, { Repeat::WhileNotEqual as u8 }>),
            (8, Repeat::WhileNotEqual) => run!(portion::<$element, u64, { Repeat::WhileNotEqual as u8 }>),
            _ => return None,
        }
    };
}

/// How the instruction repeats, by its prefixes.
fn repeat(instruction: &Instruction, compares: bool) -> Repeat {
    match (instruction.has_rep_prefix(), instruction.has_repne_prefix(), compares) {
        (false, false, _) => Repeat::Once,
        (_, true, true) => Repeat::WhileNotEqual,
        (true, _, true) => Repeat::WhileEqual,
        _ => Repeat::Count,
    }
}

/// Which part of the index registers the instruction uses: 48 for SI, DI and CX, 32 for ESI, EDI and ECX, 0 for all of them.
pub(super) fn index_narrow(instruction: &Instruction) -> u8 {
    use iced_x86::OpKind::{MemoryESDI, MemoryESRDI, MemorySegDI, MemorySegRDI, MemorySegRSI, MemorySegSI};
    (0..instruction.op_count())
        .find_map(|i| match instruction.op_kind(i) {
            MemoryESDI | MemorySegDI | MemorySegSI => Some(48),
            MemoryESRDI | MemorySegRDI | MemorySegRSI => Some(0),
            _ => None,
        })
        .unwrap_or(32)
}

pub(super) fn lower(instruction: &Instruction, op: &mut Op) -> Option<After> {
    use Mnemonic::{Cmpsb, Cmpsd, Cmpsq, Cmpsw, Lodsb, Lodsd, Lodsq, Lodsw, Movsb, Movsd, Movsq, Movsw};
    use Mnemonic::{Scasb, Scasd, Scasq, Scasw, Stosb, Stosd, Stosq, Stosw};
    if !instruction.is_string_instruction() {
        return None;
    }
    let size = match instruction.mnemonic() {
        Movsb | Cmpsb | Stosb | Lodsb | Scasb => 1,
        Movsw | Cmpsw | Stosw | Lodsw | Scasw => 2,
        Movsd | Cmpsd | Stosd | Lodsd | Scasd => 4,
        Movsq | Cmpsq | Stosq | Lodsq | Scasq => 8,
        _ => return None,
    };
    op.seg = match instruction.memory_segment() {
        Register::None => seg::DS,
        register => segment(register),
    };
    op.narrow = index_narrow(instruction);
    let (counted, compared) = (repeat(instruction, false), repeat(instruction, true));
    op.run = match instruction.mnemonic() {
        Movsb | Movsw | Movsd | Movsq => repeated!(Movs, size, counted),
        Stosb | Stosw | Stosd | Stosq => repeated!(Stos, size, counted),
        Lodsb | Lodsw | Lodsd | Lodsq => repeated!(Lods, size, counted),
        Scasb | Scasw | Scasd | Scasq => repeated!(Scas, size, compared),
        _ => repeated!(Cmps, size, compared),
    };
    Some(After::Next)
}
