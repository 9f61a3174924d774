//! One call of one export, in one environment.

mod fault;
mod kernel;

use iced_x86::{Decoder, DecoderOptions};
use ntgate_gen::Arch;

use super::environment::{self, Question};
use super::guest::{
    Access, Event, Exhausted, Guest, KERNEL_32, KERNEL_64, KERNEL_DATA, PAGE, RETURN, ROUTINES, Registers,
    STACK_POINTER, USER_32, USER_64, USER_DATA, reg,
};
use super::image::Image;

/// A way into the kernel.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Way {
    /// `INT 2Eh`.
    Int2e,
    /// `SYSENTER`.
    Sysenter,
    /// `SYSCALL`.
    Syscall,
    /// The far jump of WoW64 into 64-bit code.
    Wow64,
    /// Wine's dispatcher, which is called.
    Wine,
    /// KiSystemService, KiServiceInternal or KiZwSystemService, which kernel code calls or jumps to.
    Zw,
}

impl Way {
    /// The name used in every interface.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Int2e => "int2e",
            Self::Sysenter => "sysenter",
            Self::Syscall => "syscall",
            Self::Wow64 => "wow64",
            Self::Wine => "wine",
            Self::Zw => "zw",
        }
    }
}

/// What to call, and how.
#[derive(Clone, Copy, Debug)]
pub(super) struct Call<'a> {
    pub(super) rva: u32,
    /// It is kernel code.
    pub(super) is_kernel: bool,
    /// What the registers and the stack hold that nobody has set.
    pub(super) seed: u32,
    /// Answers that are given; to what else is asked the answer is 0.
    pub(super) answers: &'a [(Question, u8)],
    /// The most instructions.
    pub(super) budget: u32,
}

/// The kernel was entered.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Crossing {
    pub(super) way: Way,
    pub(super) eax: u64,
    /// Which register has the arguments, if the kernel finds the caller's there.
    pub(super) register: Option<&'static str>,
    /// The place in the image of the last instruction there.
    pub(super) from: Option<u32>,
    /// `zw-reactos`: the routine, and its argument bytes.
    pub(super) routine: Option<(String, u64)>,
}

/// How a call ended.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Stop {
    /// It returned to its caller.
    Returned,
    /// It went to something that the image imports, or that an object leaves open.
    External(String),
    /// It went to an address that is not the image's.
    Foreign(u64),
    /// It asked for memory that there is not, or may not be used so; or did what a program may not.
    Fault(String),
    /// It asked for something of the system's that is there in reality, and not here.
    Unmodelled(String),
    /// The machine cannot execute what it found.
    Unsupported(String),
    /// The budget is used up.
    Budget,
    /// It touched more memory than there is room for.
    Memory,
}

/// What was seen.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Run {
    pub(super) crossings: Vec<Crossing>,
    pub(super) stop: Stop,
    /// What was asked, in order, and what was answered.
    pub(super) asked: Vec<(Question, u8)>,
    /// Places of the instructions that were executed in the image, in order.
    pub(super) trace: Vec<u32>,
    /// The stack pointer at the end, relative to where it is when no argument is taken off the stack.
    pub(super) popped: i64,
    /// Registers that the caller wants back and did not get.
    pub(super) lost: Vec<&'static str>,
    /// RAX is what the kernel returned.
    pub(super) keeps_status: bool,
}

/// What the kernel returns here.
const STATUS: u64 = 0x1234_5678;
/// More crossings than one are seen in no stub.
const MOST_CROSSINGS: usize = 4;
/// Instructions whose places are kept.
const TRACE: usize = 64;

/// Values that nobody has set, as far as their lower 32 bits go: no image is there.
const POISON: std::ops::Range<u32> = 0x9000_0000..0xB000_0000;
/// What is above them in 64-bit code, for the first seed.
const POISON_HIGH: u64 = 0x5A5A_0000_0000;
/// What another seed changes: something in every byte.
const OTHER_SEED: u64 = 0x2525_3A5A_5A5A;

/// A value that nobody has set. Neither small nor an address of anything. `seed` is 0 or 1.
fn poison(seed: u32, index: u64, arch: Arch) -> u64 {
    // Values of different places are different: the factor is odd.
    let low = 0xA000_0000 | index.wrapping_mul(0x00D_3C57) & 0x0FFF_FFFF;
    let value = (POISON_HIGH | low) ^ OTHER_SEED * u64::from(seed);
    if arch == Arch::I386 { value & 0xFFFF_FFFF } else { value }
}

/// Whether an address is such a value, or not far from one.
pub(super) fn is_poison(address: u64, arch: Arch) -> bool {
    let is_high =
        arch == Arch::I386 || [0, 1].iter().any(|seed| address >> 32 == (POISON_HIGH ^ OTHER_SEED * seed) >> 32);
    is_high && address >> 48 == 0 && POISON.contains(&(address as u32))
}

/// The state of a run.
pub(super) struct Caller<'g, 'i, 'a> {
    guest: &'g mut Guest,
    image: &'i Image<'a>,
    call: Call<'g>,
    run: Run,
    initial: Registers,
    /// Pages that were written, and have to be put back.
    dirty: &'g mut Vec<u64>,
    /// A page of fields that is open for one instruction.
    window: Option<u64>,
    last: u64,
}

/// Calls an export.
pub(super) fn call(guest: &mut Guest, image: &Image<'_>, call: Call<'_>) -> Run {
    let mut dirty = Vec::new();
    let mut caller = Caller::new(guest, image, call, &mut dirty);
    caller.run();
    let run = caller.run;
    for page in dirty {
        restore(guest, image, page);
    }
    run
}

/// Puts a page back that was written.
fn restore(guest: &mut Guest, image: &Image<'_>, page: u64) {
    let original = image.rva(page).and_then(|rva| image.page(rva));
    // It has been mapped, so that there is room.
    let _ = match original {
        Some((bytes, access)) => guest.map(page, &bytes, Access { write: false, ..access }),
        None => guest.protect(page, None),
    };
}

impl<'g, 'i, 'a> Caller<'g, 'i, 'a> {
    fn new(guest: &'g mut Guest, image: &'i Image<'a>, call: Call<'g>, dirty: &'g mut Vec<u64>) -> Self {
        let mut general = [0; 16];
        for (index, value) in (0..).zip(&mut general) {
            *value = poison(call.seed, index, image.arch);
        }
        general[reg::SP] = STACK_POINTER;
        let (cs, ss) = match (image.arch, call.is_kernel) {
            (Arch::I386, true) => (KERNEL_32, KERNEL_DATA),
            (Arch::I386, false) => (USER_32, USER_DATA),
            (_, true) => (KERNEL_64, KERNEL_DATA),
            (_, false) => (USER_64, USER_DATA),
        };
        let initial = Registers { general, rip: image.base + u64::from(call.rva), cs, flags: 0x202, ss };
        let run = Run {
            crossings: Vec::new(),
            stop: Stop::Budget,
            asked: Vec::new(),
            trace: Vec::new(),
            popped: 0,
            lost: Vec::new(),
            keeps_status: false,
        };
        Self { guest, image, call, run, initial, dirty, window: None, last: 0 }
    }

    /// Bytes of a stack slot.
    fn word(&self) -> u64 {
        self.image.arch.word_bytes().into()
    }

    fn run(&mut self) {
        let (seed, arch) = (self.call.seed, self.image.arch);
        self.guest.set_xmm(|index| poison(seed, 0x40 + index, arch));
        if self.prepare().is_err() {
            self.run.stop = Stop::Memory;
            return;
        }
        let mut registers = self.initial;
        self.guest.resume(&registers);
        for _ in 0..self.call.budget {
            self.last = self.guest.rip();
            if let Some(rva) = self.image.rva(self.last)
                && self.run.trace.len() < TRACE
            {
                self.run.trace.push(rva);
            }
            let Some(event) = self.guest.step() else { continue };
            match self.after(event) {
                Ok(next) => registers = next,
                Err(stop) => {
                    self.run.stop = stop;
                    break;
                }
            }
            self.guest.resume(&registers);
        }
        self.close_window();
        // The machine stays in the monitor for the next call, whatever the last instruction was.
        self.guest.park();
    }

    /// Stack and routines.
    fn prepare(&mut self) -> Result<(), Exhausted> {
        if !self.guest.is_mapped(ROUTINES) {
            self.guest.map(ROUTINES, &environment::routines(), Access::EXECUTE)?;
        }
        let page = STACK_POINTER & !(PAGE - 1);
        let mut bytes = self.stack_page(page);
        let at = (STACK_POINTER - page) as usize;
        let word = self.word() as usize;
        bytes[at..at + word].copy_from_slice(&RETURN.to_le_bytes()[..word]);
        self.guest.map(page, &bytes, Access::WRITE)
    }

    fn stack_page(&self, page: u64) -> [u8; PAGE as usize] {
        let word = self.word();
        let mut bytes = [0; PAGE as usize];
        for (slot, field) in (page / word..).zip(bytes.chunks_exact_mut(word as usize)) {
            let value = poison(self.call.seed, 0x100 + slot % 0x700, self.image.arch);
            field.copy_from_slice(&value.to_le_bytes()[..word as usize]);
        }
        bytes
    }

    fn after(&mut self, event: Event) -> Result<Registers, Stop> {
        match event {
            Event::Unsupported(what) => Err(Stop::Unsupported(what)),
            Event::Sysenter { registers } => self.sysenter(registers),
            Event::Syscall { registers } => self.enter(Way::Syscall, registers, Self::after_syscall),
            Event::Vector { vector: 14, code, registers } => self.page_fault(code, registers),
            Event::Vector { vector: 1, registers, .. } if self.window.is_some() => {
                self.close_window();
                Ok(Registers { flags: registers.flags & !(1 << 8), ..registers })
            }
            Event::Vector { vector: 0x2E, registers, .. } => self.enter(Way::Int2e, registers, Self::after_interrupt),
            Event::Vector { vector, code, registers } => Err(Stop::Fault(self.exception(vector, code, &registers))),
        }
    }

    fn close_window(&mut self) {
        if let Some(page) = self.window.take() {
            // It has been mapped, so that its tables are there.
            let _ = self.guest.protect(page, None);
        }
    }

    fn exception(&self, vector: u8, code: u64, registers: &Registers) -> String {
        let at = self.place(registers.rip);
        match vector {
            0 => format!("divides by zero at {at}"),
            3 => format!("a breakpoint (int 3) before {at}"),
            6 => format!("an invalid instruction at {at}"),
            13 if code & 2 != 0 => format!("int {:X}h at {at}", code >> 3),
            13 => format!("#GP at {at}: {}", self.instruction(registers)),
            0x29 => format!("int 29h (fail fast) before {at}"),
            0x2A..=0x2D => format!("int {vector:X}h before {at}"),
            _ => format!("exception {vector:X}h at {at}"),
        }
    }

    /// An address, as a place in the image if it is one.
    fn place(&self, address: u64) -> String {
        match self.image.rva(address) {
            Some(rva) => format!("+{rva:X}h"),
            None => format!("{address:X}h"),
        }
    }

    fn decode(&self, registers: &Registers) -> iced_x86::Instruction {
        let bits = if registers.cs == USER_64 || registers.cs == KERNEL_64 { 64 } else { 32 };
        let bytes: Vec<u8> =
            (0..15).map_while(|i| self.guest.peek::<1>(registers.rip.wrapping_add(i))).map(|[byte]| byte).collect();
        Decoder::with_ip(bits, &bytes, registers.rip, DecoderOptions::NONE).decode()
    }

    fn instruction(&self, registers: &Registers) -> String {
        self.decode(registers).to_string()
    }

    fn returned(&mut self, registers: &Registers) -> Stop {
        let word = self.word();
        self.run.popped = registers.general[reg::SP].wrapping_sub(STACK_POINTER + word).cast_signed();
        let kept: &[(usize, &str)] = match self.image.arch {
            Arch::I386 => &[(reg::BX, "ebx"), (reg::BP, "ebp"), (reg::SI, "esi"), (reg::DI, "edi")],
            _ => &[
                (reg::BX, "rbx"),
                (reg::BP, "rbp"),
                (reg::SI, "rsi"),
                (reg::DI, "rdi"),
                (12, "r12"),
                (13, "r13"),
                (14, "r14"),
                (15, "r15"),
            ],
        };
        let is_lost = |(index, _): &&(usize, &str)| registers.general[*index] != self.initial.general[*index];
        self.run.lost = kept.iter().filter(is_lost).map(|(_, name)| *name).collect();
        self.run.keeps_status = registers.general[reg::AX] == STATUS;
        Stop::Returned
    }
}
