//! Data that is watched: which accesses an instruction made.
//!
//! What an instruction names or implies is worked out before it runs. What the processor does beside it, such as pushing a trap
//! frame's head, shows as bytes that changed.

use iced_x86::{Decoder, DecoderOptions, Instruction, InstructionInfoFactory, OpAccess, Register, UsedMemory};

use crate::machine::{Machine, Rights, SegmentRegister};

/// Bytes of the longest instruction.
const LONGEST: usize = 15;

/// Which accesses a watchpoint is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Watched {
    /// Writes, of the same value too.
    Write,
    /// Reads.
    Read,
    /// Both.
    Access,
}

/// Bytes at a linear address that stop the target when they are accessed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Watchpoint {
    /// The first byte.
    pub address: u64,
    /// How many.
    pub length: u64,
    /// Which accesses count.
    pub on: Watched,
}

impl Watchpoint {
    /// Whether an access is one that it waits for.
    fn is_hit(&self, touch: &Touch) -> bool {
        let kind = match self.on {
            Watched::Write => touch.writes,
            Watched::Read => touch.reads,
            Watched::Access => true,
        };
        // Distances, as either range may end at the top of the address space.
        kind && (touch.address.wrapping_sub(self.address) < self.length
            || self.address.wrapping_sub(touch.address) < touch.length)
    }
}

/// An access to memory.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Touch {
    address: u64,
    length: u64,
    reads: bool,
    writes: bool,
}

/// What is known before an instruction.
pub(super) struct Watch {
    touches: Vec<Touch>,
    /// Of a string instruction: index registers as they are before, by their place in `touches`.
    strings: Vec<(usize, u8, u64)>,
    /// What is at each watchpoint.
    bytes: Vec<Option<Vec<u8>>>,
}

impl Watch {
    /// Looks at the instruction that is next.
    pub(super) fn before<'a>(machine: &mut Machine, points: impl Iterator<Item = &'a Watchpoint>) -> Self {
        let bytes = points.map(|point| contents(machine, point)).collect();
        let mut watch = Self { touches: Vec::new(), strings: Vec::new(), bytes };
        let Some(instruction) = next_instruction(machine) else { return watch };
        let mut factory = InstructionInfoFactory::new();
        for memory in factory.info(&instruction).used_memory() {
            if let Some(touch) = touch(machine, memory).filter(|touch| is_allowed(machine, touch)) {
                let index = memory.base();
                if instruction.is_string_instruction() && index != Register::None {
                    let number = index.full_register().number() as u8;
                    watch.strings.push((watch.touches.len(), number, register(machine, index)));
                }
                watch.touches.push(touch);
            }
        }
        watch
    }

    /// The first watchpoint that the instruction has hit.
    pub(super) fn after<'a>(
        mut self,
        machine: &mut Machine,
        points: impl Iterator<Item = &'a Watchpoint>,
    ) -> Option<Watchpoint> {
        for (place, number, before) in &self.strings {
            let (after, touch) = (machine.register64(*number)?, self.touches.get_mut(*place)?);
            // As many elements as it got through, upwards or downwards.
            let (up, down) = (after.wrapping_sub(*before), before.wrapping_sub(after));
            if up <= down {
                touch.length = up;
            } else {
                touch.address = touch.address.wrapping_add(touch.length).wrapping_sub(down);
                touch.length = down;
            }
        }
        self.touches.retain(|touch| touch.length > 0);
        let changed = |machine: &mut Machine, point: &Watchpoint, before: &Option<Vec<u8>>| {
            point.on != Watched::Read && before.is_some() && contents(machine, point) != *before
        };
        let mut all = points.zip(&self.bytes);
        let hit = all.find(|(point, before)| {
            self.touches.iter().any(|touch| point.is_hit(touch)) || changed(machine, point, before)
        });
        hit.map(|(point, _)| *point)
    }
}

/// What is at a watchpoint for writes.
fn contents(machine: &mut Machine, point: &Watchpoint) -> Option<Vec<u8>> {
    if point.on == Watched::Read {
        return None;
    }
    machine.read_linear64(point.address, usize::try_from(point.length).ok()?)
}

/// The instruction at CS:EIP, if it can be read.
fn next_instruction(machine: &mut Machine) -> Option<Instruction> {
    let code = machine.segment(SegmentRegister::Cs);
    let long = machine.long_mode().1;
    let bitness = if long {
        64
    } else if code.descriptor.big() {
        32
    } else {
        16
    };
    let at = linear(machine, code.origin.wrapping_add(machine.rip()));
    // The longest, or what there is of it up to the end of a page.
    let here = (0x1000 - at % 0x1000) as usize;
    let bytes = machine.read_linear64(at, LONGEST).or_else(|| machine.read_linear64(at, LONGEST.min(here)))?;
    let mut decoder = Decoder::with_ip(bitness, &bytes, machine.rip(), DecoderOptions::NONE);
    let instruction = decoder.decode();
    (!instruction.is_invalid()).then_some(instruction)
}

/// An address within the width that addresses have now.
fn linear(machine: &Machine, address: u64) -> u64 {
    if machine.long_mode().1 { address } else { address & 0xFFFF_FFFF }
}

/// Where an operand is; `None` if it is not accessed.
fn touch(machine: &Machine, memory: &UsedMemory) -> Option<Touch> {
    let (reads, writes) = match memory.access() {
        OpAccess::Read | OpAccess::CondRead => (true, false),
        OpAccess::Write | OpAccess::CondWrite => (false, true),
        OpAccess::ReadWrite | OpAccess::ReadCondWrite => (true, true),
        OpAccess::None | OpAccess::NoMemAccess => return None,
    };
    let address = memory.virtual_address(0, |wanted, _, _| Some(register(machine, wanted)))?;
    let length = memory.memory_size().size() as u64;
    Some(Touch { address: linear(machine, address), length, reads, writes })
}

/// A general register in its width, or a segment register's base.
fn register(machine: &Machine, wanted: Register) -> u64 {
    let segment = match wanted {
        Register::ES => SegmentRegister::Es,
        Register::CS => SegmentRegister::Cs,
        Register::SS => SegmentRegister::Ss,
        Register::DS => SegmentRegister::Ds,
        Register::FS => SegmentRegister::Fs,
        Register::GS => SegmentRegister::Gs,
        _ => {
            let whole = machine.register64(wanted.full_register().number() as u8).unwrap_or_default();
            let unused = 64 - 8 * wanted.size().clamp(1, 8) as u32;
            return whole << unused >> unused;
        }
    };
    machine.segment(segment).origin
}

/// Whether the access does not fault.
fn is_allowed(machine: &mut Machine, touch: &Touch) -> bool {
    let rights = if machine.cpl() == 3 { Rights::User } else { Rights::Supervisor };
    let probe = if touch.writes { Machine::probe_write } else { Machine::probe_read };
    probe(machine, rights, touch.address, touch.length).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::machine::Register as Machines;
    use crate::machine::cpuid::Model;

    /// The watchpoint that the first instruction of some code hits, in flat segments, with EBX = 2000h, ESI = 3000h,
    /// EDI = 4000h, ECX = 4, ESP = 8000h.
    fn hit(code: &[u8], points: &[Watchpoint]) -> Option<Watchpoint> {
        let model = Model::by_name("pentium2").expect("there is such a model");
        let mut machine = Machine::flat(model, 0x10000, 0x1000, code);
        for (register, value) in [
            (Machines::Ebx, 0x2000),
            (Machines::Esi, 0x3000),
            (Machines::Edi, 0x4000),
            (Machines::Ecx, 4),
            (Machines::Esp, 0x8000),
        ] {
            machine.set_register(register, value);
        }
        let watch = Watch::before(&mut machine, points.iter());
        machine.step().expect("it goes on");
        watch.after(&mut machine, points.iter())
    }

    fn on(address: u64, length: u64, on: Watched) -> Watchpoint {
        Watchpoint { address, length, on }
    }

    #[test]
    fn an_instruction_hits_what_it_accesses_and_nothing_else() {
        for (what, code, at, length, reads, writes) in [
            ("mov eax,[ebx+10h]", &[0x8B, 0x43, 0x10][..], 0x2010, 4, true, false),
            ("mov [ebx],ax", &[0x66, 0x89, 0x03], 0x2000, 2, false, true),
            ("inc dword [ebx]", &[0xFF, 0x03], 0x2000, 4, true, true),
            ("push eax", &[0x50], 0x7FFC, 4, false, true),
            ("pop eax", &[0x58], 0x8000, 4, true, false),
            ("call $+5", &[0xE8, 0, 0, 0, 0], 0x7FFC, 4, false, true),
            ("ret", &[0xC3], 0x8000, 4, true, false),
            ("pushad", &[0x60], 0x7FE0, 32, false, true),
            ("lodsd", &[0xAD], 0x3000, 4, true, false),
            ("stosb", &[0xAA], 0x4000, 1, false, true),
            ("rep stosd", &[0xF3, 0xAB], 0x4000, 16, false, true),
            ("rep lodsw", &[0xF3, 0x66, 0xAD], 0x3000, 8, true, false),
            ("mov eax,[2000h]", &[0xA1, 0, 0x20, 0, 0], 0x2000, 4, true, false),
            ("mov eax,[bx]", &[0x67, 0x66, 0x8B, 0x07], 0x2000, 2, true, false),
        ] {
            for at in [at, at + length - 1] {
                assert_eq!(hit(code, &[on(at, 1, Watched::Read)]).is_some(), reads, "{what}: read");
                assert_eq!(hit(code, &[on(at, 1, Watched::Write)]).is_some(), writes, "{what}: written");
                assert!(hit(code, &[on(at, 1, Watched::Access)]).is_some(), "{what}");
            }
            let around = [on(at - 1, 1, Watched::Access), on(at + length, 1, Watched::Access)];
            assert_eq!(hit(code, &around), None, "{what}");
            assert!(hit(code, &[on(at - 4, 5, Watched::Access)]).is_some(), "{what}: a wider watchpoint");
        }
    }

    #[test]
    fn what_is_not_accessed_is_not_hit() {
        let all = [on(0x1800, 0xE800, Watched::Access)];
        for (what, code) in [
            ("lea eax,[ebx]", &[0x8D, 0x03][..]),
            ("nop dword [ebx]", &[0x0F, 0x1F, 0x03]),
            ("mov eax,ebx", &[0x89, 0xD8]),
            ("out 0E9h,al", &[0xE6, 0xE9]),
        ] {
            assert_eq!(hit(code, &all), None, "{what}");
        }
    }

    #[test]
    fn the_ends_of_the_address_space_are_no_different() {
        let touch = Touch { address: u64::MAX, length: 1, reads: true, writes: false };
        assert!(on(u64::MAX - 3, 4, Watched::Read).is_hit(&touch));
        assert!(!on(0, 4, Watched::Read).is_hit(&touch));
        assert!(!on(u64::MAX - 3, 3, Watched::Read).is_hit(&touch));
    }
}
