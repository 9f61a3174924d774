//! A small world for tests of the system instructions: descriptor tables, a stack for each ring, and an IDT whose
//! handlers halt, so that a test sees which one was entered and reads the frame from memory.

use super::core::{Core, TableRegister, reg, seg};
use super::cpuid::Model;
use super::fault::Exit;
use super::machine::{Machine, Register};
use super::segment::{Descriptor, Segment, Selector};

pub(crate) const GDT: u32 = 0x1000;
pub(crate) const IDT: u32 = 0x2000;
pub(crate) const TSS: u32 = 0x3000;
pub(crate) const OTHER_TSS: u32 = 0x3400;
/// The handler of vector n is a `HLT` at `HANDLERS + 16 n`.
pub(crate) const HANDLERS: u32 = 0x4000;
/// The ends of the stacks: of rings 0, 1 and 3, and of the task in `OTHER_TSS`.
pub(crate) const STACK_0: u32 = 0x6000;
pub(crate) const STACK_1: u32 = 0x6800;
pub(crate) const STACK_3: u32 = 0x8000;
pub(crate) const OTHER_STACK: u32 = 0x8800;
pub(crate) const CODE: u32 = 0x9000;
pub(crate) const DATA: u32 = 0xA000;
const DIRECTORY: u32 = 0x1_0000;
const TABLE: u32 = 0x1_1000;
const MEMORY: usize = 0x4_0000;

/// Flat descriptors; a byte of rights (P, DPL, S, type) makes them complete.
pub(crate) const fn flat(rights: u64) -> u64 {
    0x00CF_0000_0000_FFFF | rights << 40
}

/// A system descriptor of this base and limit.
pub(crate) const fn system(rights: u64, base: u32, limit: u32) -> u64 {
    let base = base as u64;
    limit as u64 & 0xFFFF | (base & 0xFF_FFFF) << 16 | rights << 40 | (base >> 24) << 56
}

/// A gate: rights (P, DPL, S, type), selector, offset, parameter count.
pub(crate) const fn gate(rights: u64, selector: u16, offset: u32, count: u64) -> u64 {
    offset as u64 & 0xFFFF | (selector as u64) << 16 | count << 32 | rights << 40 | (offset as u64 >> 16) << 48
}

pub(crate) const CODE_0: u16 = 0x08;
pub(crate) const DATA_0: u16 = 0x10;
pub(crate) const CODE_3: u16 = 0x1B;
pub(crate) const DATA_3: u16 = 0x23;
pub(crate) const TASK: u16 = 0x28;
pub(crate) const OTHER_TASK: u16 = 0x30;
pub(crate) const CODE_1: u16 = 0x39;
pub(crate) const DATA_1: u16 = 0x41;
/// Conforming code of DPL 0.
pub(crate) const CONFORMING: u16 = 0x48;
/// Free for the test.
pub(crate) const FREE: u16 = 0x50;

/// What a handler found.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Seen {
    pub(crate) vector: u8,
    /// 0 where the vector pushes none.
    pub(crate) code: u32,
    pub(crate) eip: u32,
    pub(crate) cs: u32,
    pub(crate) eflags: u32,
}

pub(crate) struct World {
    pub(crate) machine: Machine,
}

impl World {
    /// In ring 0, with everything in place.
    pub(crate) fn new() -> Self {
        Self::of(Model::by_name("core2").unwrap())
    }

    pub(crate) fn of(model: &'static Model) -> Self {
        let mut world = Self { machine: Machine::new(model, MEMORY) };
        let table = [
            (CODE_0, flat(0x9B)),
            (DATA_0, flat(0x93)),
            (CODE_3, flat(0xFB)),
            (DATA_3, flat(0xF3)),
            (TASK, system(0x8B, TSS, 0x67)),
            (OTHER_TASK, system(0x89, OTHER_TSS, 0x67)),
            (CODE_1, flat(0xBB)),
            (DATA_1, flat(0xB3)),
            (CONFORMING, flat(0x9F)),
        ];
        for (selector, descriptor) in table {
            world.gdt(selector, descriptor);
        }
        for vector in 0..=255u8 {
            world.idt(vector, gate(0x8E, CODE_0, handler(vector), 0));
            world.poke(handler(vector), &[0xF4]);
        }
        for (offset, value) in
            [(4, STACK_0), (8, u32::from(DATA_0)), (0xC, STACK_1), (0x10, u32::from(DATA_1)), (0x64, 0x68 << 16)]
        {
            world.poke32(TSS + offset, value);
        }
        world.other_task();
        let core = &mut world.machine.core;
        core.gdtr = TableRegister { base: u64::from(GDT), limit: 0x7F };
        core.idtr = TableRegister { base: u64::from(IDT), limit: 0x7FF };
        core.segs[seg::TR as usize] = Segment::new(Selector(TASK), Descriptor(system(0x8B, TSS, 0x67)));
        world.ring(0);
        world
    }

    /// A ring 0 task that begins at the handler of vector 8.
    fn other_task(&mut self) {
        let (code, data) = (u32::from(CODE_0), u32::from(DATA_0));
        let fields = [
            (0x1C, DIRECTORY),
            (0x20, handler(8)),
            (0x24, 2),
            (0x38, OTHER_STACK),
            (0x48, data),
            (0x4C, code),
            (0x50, data),
            (0x54, data),
            (0x58, data),
            (0x5C, data),
        ];
        for (offset, value) in fields {
            self.poke32(OTHER_TSS + offset, value);
        }
    }

    pub(crate) fn gdt(&mut self, selector: u16, descriptor: u64) {
        self.poke(GDT + u32::from(selector & !7), &descriptor.to_le_bytes());
    }

    pub(crate) fn gdt_of(&self, selector: u16) -> u64 {
        let bytes = self.machine.read_physical(u64::from(GDT + u32::from(selector & !7)), 8).unwrap();
        u64::from_le_bytes(bytes.try_into().unwrap())
    }

    pub(crate) fn idt(&mut self, vector: u8, gate: u64) {
        self.poke(IDT + u32::from(vector) * 8, &gate.to_le_bytes());
    }

    /// Puts the processor into ring 0, 1 or 3, on that ring's stack, with its flat segments.
    pub(crate) fn ring(&mut self, cpl: u8) {
        let (code, data, stack) = match cpl {
            0 => (CODE_0, DATA_0, STACK_0),
            1 => (CODE_1, DATA_1, STACK_1),
            _ => (CODE_3, DATA_3, STACK_3),
        };
        let (code, data) = (self.cache(code), self.cache(data));
        let core = &mut self.machine.core;
        for register in [seg::ES, seg::DS, seg::FS, seg::GS] {
            core.set_data_segment(register, data);
        }
        core.set_ss(data);
        core.set_cs(code, cpl);
        core.ip = u64::from(CODE);
        core.regs[reg::SP as usize] = u64::from(stack);
    }

    fn cache(&self, selector: u16) -> Segment {
        Segment::new(Selector(selector), Descriptor(self.gdt_of(selector)))
    }

    /// Identity paging of all memory but page 0; pages below `user_from` are the supervisor's.
    pub(crate) fn page(&mut self, user_from: u32) {
        self.poke32(DIRECTORY, TABLE | 7);
        for page in 1..(MEMORY as u32 / 0x1000) {
            let user = if page * 0x1000 >= user_from { 4 } else { 0 };
            self.map(page * 0x1000, (page * 0x1000) | 3 | user);
        }
        let core = self.core();
        core.cr3 = u64::from(DIRECTORY);
        core.cr0 |= super::core::CR0_PG | super::core::CR0_WP;
        core.flush_tlb();
    }

    /// A page's entry.
    pub(crate) fn map(&mut self, linear: u32, entry: u32) {
        self.poke32(TABLE + (linear >> 12) * 4, entry);
        self.core().flush_tlb();
    }

    pub(crate) fn core(&mut self) -> &mut Core {
        &mut self.machine.core
    }

    pub(crate) fn poke(&mut self, at: u32, bytes: &[u8]) {
        self.machine.write_physical(u64::from(at), bytes).unwrap();
    }

    pub(crate) fn poke32(&mut self, at: u32, value: u32) {
        self.poke(at, &value.to_le_bytes());
    }

    pub(crate) fn peek32(&self, at: u32) -> u32 {
        u32::from_le_bytes(self.machine.read_physical(u64::from(at), 4).unwrap().try_into().unwrap())
    }

    pub(crate) fn register(&self, register: Register) -> u32 {
        self.machine.register(register)
    }

    /// Puts dwords on the current stack, the first one on top.
    pub(crate) fn stack(&mut self, values: &[u32]) {
        let sp = self.register(Register::Esp) - 4 * values.len() as u32;
        for (i, value) in values.iter().enumerate() {
            self.poke32(sp + 4 * i as u32, *value);
        }
        self.machine.set_register(Register::Esp, sp);
    }

    /// Runs `code` from `CODE` on, until something halts.
    pub(crate) fn run(&mut self, code: &[u8]) -> Exit {
        self.poke(CODE, code);
        self.machine.core.ip = u64::from(CODE);
        self.machine.run(1000)
    }

    /// Runs `code`, which must end in a handler, and reads its frame.
    pub(crate) fn seen(&mut self, code: &[u8]) -> Seen {
        let exit = self.run(code);
        assert_eq!(exit, Exit::Halted, "{code:02X?} at {:X}", self.machine.eip());
        self.frame().unwrap_or_else(|| panic!("{code:02X?} did not end in a handler but at {:X}", self.machine.eip()))
    }

    /// The frame of the handler that has halted.
    pub(crate) fn frame(&self) -> Option<Seen> {
        let index = self.machine.eip().checked_sub(HANDLERS)?;
        let vector = u8::try_from(index / 16).ok()?;
        let has_code = matches!(vector, 8 | 10..=14 | 17);
        let sp = self.register(Register::Esp);
        let at = if has_code { sp + 4 } else { sp };
        Some(Seen {
            vector,
            code: if has_code { self.peek32(sp) } else { 0 },
            eip: self.peek32(at),
            cs: self.peek32(at + 4),
            eflags: self.peek32(at + 8),
        })
    }
}

/// Address of a vector's handler.
pub(crate) fn handler(vector: u8) -> u32 {
    HANDLERS + 16 * u32::from(vector)
}
