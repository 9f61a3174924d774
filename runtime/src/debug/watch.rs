//! Data that is watched.

use crate::machine::{Event, Machine, MemoryAccess};

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

/// Bytes at a linear address that stop the target when they are accessed: by an instruction, or by the processor itself, which
/// reads descriptor tables and pushes trap frames. Fetches of instructions and of the paging structures do not count.
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
    fn is_hit(&self, access: &MemoryAccess) -> bool {
        let kind = match self.on {
            Watched::Write => access.write,
            Watched::Read => !access.write,
            Watched::Access => true,
        };
        // Distances, as either range may end at the top of the address space.
        kind && (access.address.wrapping_sub(self.address) < self.length
            || self.address.wrapping_sub(access.address) < u64::from(access.size))
    }
}

/// The first watchpoint that one of the machine's events has hit.
pub(super) fn hit<'a>(machine: &Machine, mut points: impl Iterator<Item = &'a Watchpoint>) -> Option<Watchpoint> {
    let accesses = || {
        machine.events().iter().filter_map(|event| match event {
            Event::Memory(access) => Some(access),
            _ => None,
        })
    };
    points.find(|point| accesses().any(|access| point.is_hit(access))).copied()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::machine::Register as Machines;
    use crate::machine::What;
    use crate::machine::cpuid::Model;

    /// The watchpoint that the first instruction of some code hits, in flat segments, with EBX = 2000h, ESI = 3000h,
    /// EDI = 4000h, ECX = 4, ESP = 8000h.
    fn hit_by(code: &[u8], points: &[Watchpoint]) -> Option<Watchpoint> {
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
        machine.observe();
        machine.step().expect("it goes on");
        hit(&machine, points.iter())
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
                assert_eq!(hit_by(code, &[on(at, 1, Watched::Read)]).is_some(), reads, "{what}: read");
                assert_eq!(hit_by(code, &[on(at, 1, Watched::Write)]).is_some(), writes, "{what}: written");
                assert!(hit_by(code, &[on(at, 1, Watched::Access)]).is_some(), "{what}");
            }
            let around = [on(at - 1, 1, Watched::Access), on(at + length, 1, Watched::Access)];
            assert_eq!(hit_by(code, &around), None, "{what}");
            assert!(hit_by(code, &[on(at - 4, 5, Watched::Access)]).is_some(), "{what}: a wider watchpoint");
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
            assert_eq!(hit_by(code, &all), None, "{what}");
        }
    }

    #[test]
    fn the_ends_of_the_address_space_are_no_different() {
        let last = MemoryAccess { what: What::Operand, write: false, user: true, address: u64::MAX, size: 1, value: 0 };
        assert!(on(u64::MAX - 3, 4, Watched::Read).is_hit(&last));
        assert!(!on(0, 4, Watched::Read).is_hit(&last));
        assert!(!on(u64::MAX - 3, 3, Watched::Read).is_hit(&last));
    }
}
