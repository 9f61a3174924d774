//! The machine as a host sees it.

use super::block::Blocks;
use super::core::{CR0_ET, CR0_PE, Core, DR_RESET, Msrs, TableRegister, seg};
use super::cpuid::Model;
use super::devices::Devices;
use super::exec::sse;
use super::fault::{Exit, Fault, Vector};
use super::flags::Flags;
use super::memory::{Memory, PAGE};
use super::multiboot::{self, LoadError};
use super::paging::Tlb;
use super::run;
use super::segment::Segment;

/// A general register of 32 bits, numbered as instructions encode it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Register {
    /// Accumulator.
    Eax,
    /// Counter.
    Ecx,
    /// Data.
    Edx,
    /// Base.
    Ebx,
    /// Stack pointer.
    Esp,
    /// Frame pointer.
    Ebp,
    /// Source index.
    Esi,
    /// Destination index.
    Edi,
}

/// A segment register, or one of the two system segment registers.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum SegmentRegister {
    /// Extra.
    Es,
    /// Code.
    Cs,
    /// Stack.
    Ss,
    /// Data.
    Ds,
    /// Extra, where NT keeps its per-thread and per-processor blocks.
    Fs,
    /// Extra.
    Gs,
    /// Local descriptor table.
    Ldtr,
    /// Task.
    Tr,
}

/// A processor with its memory, console and exit port.
pub struct Machine {
    pub(super) core: Core,
    pub(super) blocks: Blocks,
}

impl Machine {
    /// A machine of this model with zeroed memory (`memory` bytes, rounded up to pages), in flat 32-bit protected mode at
    /// EIP 0 with empty descriptor tables. [`Machine::load`] gives it something to do.
    pub fn new(model: &'static Model, memory: usize) -> Self {
        let core = Core::new(model, memory);
        let blocks = Blocks::new(core.memory.size());
        Self { core, blocks }
    }

    /// A machine that starts at `code` (as much of it as fits into memory at address `code_at`), with flat segments, no
    /// tables and the stack at the end of memory: for trying out a few instructions.
    pub fn flat(model: &'static Model, memory: usize, code_at: u32, code: &[u8]) -> Self {
        let mut machine = Self::new(model, memory);
        let room = machine.core.memory.size().saturating_sub(code_at as usize);
        machine.write_physical(u64::from(code_at), &code[..code.len().min(room)]);
        machine.core.ip = u64::from(code_at);
        machine.set_register(Register::Esp, machine.core.memory.size() as u32);
        machine
    }

    /// Loads a multiboot-1 image: an ELF file for i386, or one whose header has the address fields. The state is then that
    /// of the image's entry, as QEMU's `-kernel` gives it; memory that the image does not take stays as it is. Nothing is
    /// changed on an error.
    ///
    /// # Errors
    /// What is wrong with the image, or that it does not fit into memory.
    pub fn load(&mut self, image: &[u8]) -> Result<(), LoadError> {
        multiboot::load(&mut self.core, image)
    }

    /// Runs for at most `budget` instructions, and a few more to the end of a block; an exception counts as one. After
    /// [`Exit::Port`] and [`Exit::Budget`] it may be called again: the guest goes on with its next instruction.
    pub fn run(&mut self, budget: u64) -> Exit {
        let limit = self.core.retired.saturating_add(budget);
        run::run(&mut self.core, &mut self.blocks, limit)
    }

    /// One instruction, and if it raises an exception that exception's delivery; or, in its place, an interrupt.
    ///
    /// # Errors
    /// The exit, if this ended the run.
    pub fn step(&mut self) -> Result<(), Exit> {
        run::step(&mut self.core, &mut self.blocks)
    }

    /// The processor's model.
    pub fn model(&self) -> &'static Model {
        self.core.model
    }

    /// A general register.
    pub fn register(&self, register: Register) -> u32 {
        self.core.reg(register as u8)
    }

    /// A general register of 64 bits, by its number in instructions: RAX, RCX, RDX, RBX, RSP, RBP, RSI, RDI, R8 to R15.
    /// `None` for a number beyond 15.
    pub fn register64(&self, number: u8) -> Option<u64> {
        (number < 16).then(|| self.core.regs[number as usize])
    }

    /// Changes a general register of 64 bits; `None`, and nothing changed, for a number beyond 15.
    pub fn set_register64(&mut self, number: u8, value: u64) -> Option<()> {
        if number >= 16 {
            return None;
        }
        self.core.regs[number as usize] = value;
        Some(())
    }

    /// XMM0 to XMM15; `None` for a number beyond 15.
    pub fn xmm(&self, number: u8) -> Option<u128> {
        self.core.xmm.get(usize::from(number)).copied()
    }

    /// The control word of the floating-point unit, whose other state is always that after `FNINIT`.
    pub fn fcw(&self) -> u16 {
        self.core.fcw
    }

    /// MXCSR.
    pub fn mxcsr(&self) -> u32 {
        self.core.mxcsr
    }

    /// Changes a general register.
    pub fn set_register(&mut self, register: Register, value: u32) {
        self.core.set_reg(register as u8, value);
    }

    /// The instruction pointer: offset in CS of the next instruction, or of the one that ended the run.
    pub fn eip(&self) -> u32 {
        self.core.ip as u32
    }

    /// The same in 64 bits.
    pub fn rip(&self) -> u64 {
        self.core.ip
    }

    /// Whether long mode is active (64-bit or compatibility mode), and whether the code segment is a 64-bit one.
    pub fn long_mode(&self) -> (bool, bool) {
        (self.core.long_mode(), self.core.is_long())
    }

    /// EFLAGS.
    pub fn flags(&self) -> Flags {
        self.core.flags
    }

    /// A segment register with its descriptor cache.
    pub fn segment(&self, register: SegmentRegister) -> Segment {
        self.core.segs[register as usize]
    }

    /// The current privilege level, 0 to 3.
    pub fn cpl(&self) -> u8 {
        self.core.cpl
    }

    /// CR0, CR2, CR3 and CR4; `None` for numbers that are no control register.
    pub fn control(&self, number: u8) -> Option<u32> {
        match number {
            0 => Some(self.core.cr0),
            2 => Some(self.core.cr2 as u32),
            3 => Some(self.core.cr3 as u32),
            4 => Some(self.core.cr4),
            _ => None,
        }
    }

    /// CR0, CR2, CR3, CR4 and CR8 in 64 bits; `None` for numbers that are no control register.
    pub fn control64(&self, number: u8) -> Option<u64> {
        match number {
            2 => Some(self.core.cr2),
            3 => Some(self.core.cr3),
            8 => Some(u64::from(self.core.cr8)),
            number => self.control(number).map(u64::from),
        }
    }

    /// GDTR and IDTR.
    pub fn tables(&self) -> (TableRegister, TableRegister) {
        (self.core.gdtr, self.core.idtr)
    }

    /// The model-specific registers.
    pub fn msrs(&self) -> Msrs {
        self.core.msrs
    }

    /// Instructions completed (and exceptions delivered) since the machine was made.
    pub fn retired(&self) -> u64 {
        self.core.retired
    }

    /// What the guest has written to the debug console.
    pub fn console(&self) -> &[u8] {
        &self.core.console
    }

    /// The same, taken away.
    pub fn take_console(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.core.console)
    }

    /// Bytes of memory.
    pub fn memory_size(&self) -> usize {
        self.core.memory.size()
    }

    /// `size` bytes at a physical address; `None` if they are not all RAM.
    pub fn read_physical(&self, address: u64, size: usize) -> Option<&[u8]> {
        let start = usize::try_from(address).ok()?;
        self.core.memory.ram().get(start..start.checked_add(size)?)
    }

    /// Writes at a physical address; `None`, and nothing written, if it is not all RAM.
    pub fn write_physical(&mut self, address: u64, bytes: &[u8]) -> Option<()> {
        self.core.memory.write_bytes(address, bytes)
    }

    /// `size` bytes at a linear address, with supervisor rights; `None` if a page of them is not mapped to RAM. The
    /// guest does not notice.
    pub fn read_linear(&self, address: u32, size: usize) -> Option<Vec<u8>> {
        self.read_linear64(u64::from(address), size)
    }

    /// The same with an address of long mode; `None` also if it is not canonical.
    pub fn read_linear64(&self, address: u64, size: usize) -> Option<Vec<u8>> {
        let mut bytes = Vec::new();
        for (physical, piece) in self.pieces(address, size)? {
            bytes.extend_from_slice(self.read_physical(physical, piece)?);
        }
        Some(bytes)
    }

    /// Writes at a linear address as a debugger does: with supervisor rights, on read-only pages too. `None`, and nothing
    /// written, if a page is not mapped to RAM.
    pub fn write_linear(&mut self, address: u64, bytes: &[u8]) -> Option<()> {
        let pieces = self.pieces(address, bytes.len())?;
        for (physical, piece) in &pieces {
            self.read_physical(*physical, *piece)?;
        }
        let mut rest = bytes;
        for (physical, piece) in pieces {
            let (now, later) = rest.split_at(piece);
            self.write_physical(physical, now)?;
            rest = later;
        }
        Some(())
    }

    /// The physical pieces, in order, of `size` bytes at a linear address.
    fn pieces(&self, address: u64, size: usize) -> Option<Vec<(u64, usize)>> {
        let (mut linear, mut left) = (address, size);
        let mut pieces = Vec::new();
        while left > 0 {
            let piece = (PAGE - linear % PAGE).min(left as u64) as usize;
            pieces.push((self.physical(linear)?, piece));
            linear = linear.wrapping_add(piece as u64);
            left -= piece;
        }
        Some(pieces)
    }
}

impl Core {
    /// The state of [`Machine::new`].
    fn new(model: &'static Model, memory: usize) -> Self {
        let mut core = Self {
            regs: [0; 256],
            block_ip: 0,
            ip: 0,
            flags: Flags::default(),
            segs: [Segment::default(); 8],
            cpl: 0,
            stack_mask: 0xFFFF_FFFF,
            ip_mask: 0xFFFF_FFFF,
            ip_limit: 0xFFFF_FFFF,
            ip_bias: 0,
            code_window: (0, 0xFFFF_FFFF),
            gdtr: TableRegister::default(),
            idtr: TableRegister::default(),
            cr0: CR0_PE | CR0_ET,
            cr2: 0,
            cr3: 0,
            cr4: 0,
            cr8: 0,
            dr: DR_RESET,
            msrs: Msrs::default(),
            xmm: [0; 16],
            mxcsr: sse::MXCSR_RESET,
            fcw: sse::FCW_RESET,
            model,
            memory: Memory::new(memory),
            tlb: Tlb::new(),
            context: 0,
            retired: 0,
            shadow: false,
            inhibit: false,
            halted: false,
            pause: 0,
            devices: Devices::default(),
            left: 0,
            fault: Fault { vector: Vector::InvalidOpcode, code: 0 },
            exit: None,
            console: Vec::new(),
            recorder: None,
        };
        multiboot::flat_segments(&mut core);
        core
    }
}

/// `SegmentRegister` counts as the core does.
const _: () = assert!(SegmentRegister::Tr as u8 == seg::TR && SegmentRegister::Cs as u8 == seg::CS);

#[cfg(test)]
mod tests {
    use super::super::testing::*;

    #[test]
    fn what_is_written_at_a_linear_address_is_at_its_physical_one() {
        let mut world = World::new();
        world.page(0);
        // The second of the two pages is elsewhere, and read-only.
        world.map(DATA + 0x1000, 0x2_0001);
        let at = u64::from(DATA) + 0xFFE;
        assert_eq!(world.machine.write_linear(at, &[1, 2, 3, 4]), Some(()));
        assert_eq!([at, at + 2].map(|at| world.machine.physical(at)), [Some(at), Some(0x2_0000)]);
        assert_eq!(world.machine.read_physical(at, 2), Some(&[1, 2][..]));
        assert_eq!(world.machine.read_physical(0x2_0000, 2), Some(&[3, 4][..]));
        assert_eq!(world.machine.read_linear(at as u32, 4), Some(vec![1, 2, 3, 4]));
    }

    #[test]
    fn nothing_is_written_if_a_page_is_missing() {
        let mut world = World::new();
        let end = world.machine.memory_size() as u64;
        assert_eq!(world.machine.write_linear(end - 2, &[1, 2, 3]), None);
        assert_eq!(world.machine.read_physical(end - 2, 2), Some(&[0, 0][..]));
        assert_eq!(world.machine.write_linear(end - 2, &[1, 2]), Some(()));
        world.page(0);
        let at = u64::from(DATA) + 0xFFF;
        world.map(DATA + 0x1000, 0);
        assert_eq!([at, at + 1].map(|at| world.machine.physical(at)), [Some(at), None]);
        assert_eq!(world.machine.write_linear(at, &[1, 2]), None);
        assert_eq!(world.machine.read_physical(at, 1), Some(&[0][..]));
    }
}
