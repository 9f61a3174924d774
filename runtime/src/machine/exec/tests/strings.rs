//! Long repetitions against a model that does them element by element: however they are done at once, nobody can tell.

use super::super::super::core::seg;
use super::super::super::fault::Exit;
use super::super::super::flags;
use super::super::super::machine::Register;
use super::super::super::testing::{CODE, World};
use super::{descriptor, load_data};

/// What the instruction works on: 16 pages.
const WINDOW: u32 = 0x2_0000;
const SIZE: usize = 0x1_0000;

struct Repetition {
    /// `A4h` MOVS, `AAh` STOS, `ACh` LODS; and bytes an element.
    opcode: u8,
    bytes: u32,
    down: bool,
    /// 67h: SI, DI and CX.
    short: bool,
    /// Bases of DS and ES.
    bases: (u32, u32),
    source: u32,
    destination: u32,
    count: u32,
}

impl Repetition {
    fn code(&self) -> Vec<u8> {
        let mut code = Vec::new();
        if self.short {
            code.push(0x67);
        }
        if self.bytes == 2 {
            code.push(0x66);
        }
        code.extend([0xF3, self.opcode | u8::from(self.bytes > 1), 0xF4]);
        code
    }

    /// ESI, EDI and the last element loaded, after it was done on `memory`.
    fn model(&self, memory: &mut [u8], eax: u32) -> (u32, u32, u32) {
        let mask = if self.short { 0xFFFF } else { u32::MAX };
        let (mut source, mut destination, mut eax) = (self.source, self.destination, eax);
        let step = if self.down { self.bytes.wrapping_neg() } else { self.bytes };
        let next = |at: u32| at & !mask | at.wrapping_add(step) & mask;
        let at = |base: u32, offset: u32| (base.wrapping_add(offset & mask).wrapping_sub(WINDOW)) as usize;
        for _ in 0..self.count {
            let (from, to) = (at(self.bases.0, source), at(self.bases.1, destination));
            // The whole element is read before any of it is written.
            let mut element = eax.to_le_bytes();
            if self.opcode != 0xAA {
                element[..self.bytes as usize].copy_from_slice(&memory[from..from + self.bytes as usize]);
            }
            if self.opcode == 0xAC {
                eax = u32::from_le_bytes(element);
            } else {
                memory[to..to + self.bytes as usize].copy_from_slice(&element[..self.bytes as usize]);
            }
            source = if self.opcode == 0xAA { source } else { next(source) };
            destination = if self.opcode == 0xAC { destination } else { next(destination) };
        }
        (source, destination, eax)
    }

    fn check(&self, paged: bool) {
        let mut world = World::new();
        if paged {
            world.page(0);
        }
        let mut memory: Vec<u8> = (0..SIZE as u32).map(|i| (i.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
        world.poke(WINDOW, &memory);
        load_data(&mut world, seg::DS, descriptor(0x93, 0xC, self.bases.0, 0xF_FFFF));
        load_data(&mut world, seg::ES, descriptor(0x93, 0xC, self.bases.1, 0xF_FFFF));
        let eax = 0x1234_5678;
        let registers = [
            (Register::Eax, eax),
            (Register::Ecx, self.count | if self.short { 0xABCD_0000 } else { 0 }),
            (Register::Esi, self.source),
            (Register::Edi, self.destination),
        ];
        for (register, value) in registers {
            world.machine.set_register(register, value);
        }
        world.core().flags.change_system(flags::DF, if self.down { flags::DF } else { 0 });
        world.poke(CODE, &self.code());
        world.core().ip = u64::from(CODE);
        assert_eq!(world.machine.run(1_000_000), Exit::Halted);
        let expected = self.model(&mut memory, eax);
        let seen = (world.register(Register::Esi), world.register(Register::Edi), world.register(Register::Eax));
        let name = format!("{:02X?} {:X?} from {:X} to {:X}", self.code(), self.bases, self.source, self.destination);
        assert_eq!(seen, expected, "{name}");
        assert_eq!(world.register(Register::Ecx), if self.short { 0xABCD_0000 } else { 0 }, "{name}");
        assert_eq!(world.machine.retired(), u64::from(self.count.max(1)), "{name}");
        let after = world.machine.read_physical(u64::from(WINDOW), SIZE).expect("it is RAM");
        let wrong = after.iter().zip(&memory).position(|(a, b)| a != b);
        assert_eq!(wrong, None, "{name}");
    }
}

#[test]
fn copies_fills_and_loads_in_flat_segments() {
    let middle = WINDOW + 0x8000;
    for opcode in [0xA4, 0xAA, 0xAC] {
        for bytes in [1, 2, 4] {
            for down in [false, true] {
                // Apart, overlapping either way, by less than an element, and on the same place.
                for distance in [0x3000, 5, 1, 0, -1, -4] {
                    for (count, shift) in [(0, 0), (4, 1), (700, 0xFF0), (4096, 3)] {
                        let source = middle + shift;
                        let destination = source.wrapping_add_signed(distance);
                        let (count, bases) = (count.min(0x4000 / bytes), (0, 0));
                        let this = Repetition { opcode, bytes, down, short: false, bases, source, destination, count };
                        this.check(distance > 0);
                    }
                }
            }
        }
    }
}

#[test]
fn offsets_of_16_bits_wrap_at_64_kib_wherever_the_segment_begins() {
    for opcode in [0xA4, 0xAA, 0xAC] {
        for bytes in [1, 2, 4] {
            for down in [false, true] {
                // From within the window, whose two ends the wrapped offsets reach.
                let (source, destination) = if down { (0x30, 0x50) } else { (0xFFD0, 0xFFB0) };
                let (source, destination) = (source | 0x5_0000, destination | 0x6_0000);
                let (bases, count) = ((WINDOW, WINDOW), 64 / bytes);
                let this = Repetition { opcode, bytes, down, short: true, bases, source, destination, count };
                this.check(false);
            }
        }
    }
}

#[test]
fn a_segment_that_does_not_begin_at_a_page_wraps_inside_one() {
    let mut world = World::new();
    // The destination wraps from linear 307FFh to 20800h.
    let base = WINDOW + 0x800;
    load_data(&mut world, seg::ES, descriptor(0x93, 0xC, base, 0xF_FFFF));
    world.machine.set_register(Register::Eax, 0x55);
    world.machine.set_register(Register::Edi, 0xFFF8);
    world.machine.set_register(Register::Ecx, 16);
    // A store that puts the translation of the page into the TLB, then the repetition.
    assert_eq!(world.run(&[0x67, 0x26, 0x88, 0x05, 0x67, 0xF3, 0xAA, 0xF4]), Exit::Halted);
    let (top, wrapped) = (base + 0xFFF8, base);
    assert_eq!((world.peek32(top + 4), world.peek32(top + 8)), (0x5555_5555, 0));
    assert_eq!((world.peek32(wrapped), world.peek32(wrapped + 4)), (0x5555_5555, 0x5555_5555));
    assert_eq!(world.register(Register::Edi), 8);
}

#[test]
fn a_budget_ends_a_fill_of_all_memory_in_time() {
    let mut world = World::new();
    world.machine.set_register(Register::Edi, WINDOW);
    world.machine.set_register(Register::Ecx, u32::MAX);
    // rep stosb with only 64 KiB to the end of memory; what lies beyond ignores writes.
    world.poke(CODE, &[0xF3, 0xAA]);
    world.core().ip = u64::from(CODE);
    assert_eq!(world.machine.run(10_000), Exit::Budget);
    assert_eq!(world.machine.eip(), CODE);
    let done = u64::from(u32::MAX - world.register(Register::Ecx));
    assert_eq!(world.machine.retired(), done);
    assert!((10_000..20_000).contains(&done), "{done}");
}
