//! The guest: the machine with the monitor in it, and the pages of the code under audit.

mod monitor;
mod space;

use crate::machine::{Exit, Machine, SegmentRegister, cpuid::Model};
use monitor::{Slot, mailbox, place};
use space::{Space, write};

pub(crate) use monitor::selector::{KERNEL_32, KERNEL_64, KERNEL_DATA, USER_32, USER_64, USER_DATA};
pub(crate) use space::{
    Access, Exhausted, PAGE, PEB, RESERVED, RETURN, ROUTINES, SHARED, SHARED_NEXT, STACK, STACK_POINTER, TEB,
    VARIABLES, WINE_DISPATCHER, WINE_UNIX_CALL, WOW64,
};

/// Physical memory: the monitor's and 14 MiB of pages. Only what is touched takes memory of the host.
const MEMORY: usize = 16 << 20;

/// Numbers of general registers.
pub(crate) mod reg {
    pub(crate) const AX: usize = 0;
    pub(crate) const CX: usize = 1;
    pub(crate) const DX: usize = 2;
    pub(crate) const BX: usize = 3;
    pub(crate) const SP: usize = 4;
    pub(crate) const BP: usize = 5;
    pub(crate) const SI: usize = 6;
    pub(crate) const DI: usize = 7;
}

/// RFLAGS.TF.
const TF: u64 = 1 << 8;

/// What is loaded into the processor, or was found in it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Registers {
    /// RAX, RCX, RDX, RBX, RSP, RBP, RSI, RDI, R8 to R15.
    pub(crate) general: [u64; 16],
    pub(crate) rip: u64,
    pub(crate) cs: u16,
    pub(crate) flags: u64,
    pub(crate) ss: u16,
}

/// What a step ended in, if not in the next instruction.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Event {
    /// An interrupt or exception; the registers are those that it saved.
    Vector { vector: u8, code: u64, registers: Registers },
    /// `SYSENTER`: RIP is not known, and RSP is not either.
    Sysenter { registers: Registers },
    /// `SYSCALL`: RIP and RFLAGS are those that it saved.
    Syscall { registers: Registers },
    /// The machine cannot execute it.
    Unsupported(String),
}

/// The guest.
pub(crate) struct Guest {
    machine: Machine,
    space: Space,
    /// Instructions from a slot to the code under audit.
    way_out: u64,
}

impl Guest {
    /// Boots the monitor.
    ///
    /// # Errors
    /// If the monitor does not start, which its tests rule out.
    pub(crate) fn new() -> Result<Self, String> {
        let image = monitor::image().map_err(|error| error.to_string())?;
        let model = Model::by_name("nehalem").ok_or("no such model")?;
        let mut machine = Machine::flat(model, MEMORY, monitor::START, &[]);
        for (at, bytes) in &image.pieces {
            write(&mut machine, *at, bytes);
        }
        let exit = machine.run(1000);
        if exit != Exit::Port(0) {
            return Err(format!("the monitor: {exit}"));
        }
        let mut space = Space::new(MEMORY as u64);
        space.clear(&mut machine);
        Ok(Self { machine, space, way_out: image.instructions })
    }

    /// Takes all pages away.
    pub(crate) fn clear(&mut self) {
        self.space.clear(&mut self.machine);
    }

    /// Pages that can still be mapped, at least.
    pub(crate) fn room(&self) -> u64 {
        self.space.room()
    }

    /// Maps the page of an address with this content, or changes that and its rights.
    pub(crate) fn map(&mut self, linear: u64, bytes: &[u8], access: Access) -> Result<(), Exhausted> {
        self.space.map(&mut self.machine, linear, bytes, access)
    }

    /// Changes the rights to a page that has been mapped; `None` takes it out of reach.
    pub(crate) fn protect(&mut self, linear: u64, access: Option<Access>) -> Result<(), Exhausted> {
        self.space.protect(&mut self.machine, linear, access)
    }

    /// Whether a page has been mapped since all were taken away.
    pub(crate) fn is_mapped(&self, linear: u64) -> bool {
        self.space.physical(linear).is_some()
    }

    /// Writes to a page that has been mapped, whatever its rights.
    pub(crate) fn poke(&mut self, linear: u64, bytes: &[u8]) {
        if let Some(physical) = self.space.physical(linear) {
            write(&mut self.machine, physical + linear % PAGE, bytes);
        }
    }

    /// `N` bytes of pages that have been mapped.
    pub(crate) fn peek<const N: usize>(&self, linear: u64) -> Option<[u8; N]> {
        let mut bytes = [0; N];
        for (index, byte) in (0..).zip(&mut bytes) {
            let at = linear.wrapping_add(index);
            let physical = self.space.physical(at)? + at % PAGE;
            *byte = *self.machine.read_physical(physical, 1)?.first()?;
        }
        Some(bytes)
    }

    /// Loads XMM0 to XMM15 with these values, at the next [`resume`](Self::resume).
    pub(crate) fn set_xmm(&mut self, value: impl Fn(u64) -> u64) {
        let mut image = [0; 512];
        image[..2].copy_from_slice(&0x37F_u16.to_le_bytes());
        image[24..28].copy_from_slice(&0x1F80_u32.to_le_bytes());
        for (index, field) in image[160..416].chunks_exact_mut(8).enumerate() {
            field.copy_from_slice(&value(index as u64).to_le_bytes());
        }
        write(&mut self.machine, place::MAILBOX + mailbox::FX, &image);
        write(&mut self.machine, place::MAILBOX + mailbox::LOADS_FX, &[1]);
    }

    /// Goes on with these registers. The processor has to be in the monitor: at boot, or after an event.
    pub(crate) fn resume(&mut self, registers: &Registers) {
        let mut letter = Vec::with_capacity(8 * 20);
        let general = registers.general.iter().enumerate().rev().filter(|(number, _)| *number != reg::SP);
        // They are popped in the order R15 to R8, RDI, RSI, RBP, RBX, RDX, RCX, RAX: from the last to the first.
        letter.extend(general.flat_map(|(_, value)| value.to_le_bytes()));
        let frame =
            [registers.rip, registers.cs.into(), registers.flags, registers.general[reg::SP], registers.ss.into()];
        letter.extend(frame.iter().flat_map(|value| value.to_le_bytes()));
        write(&mut self.machine, place::MAILBOX + mailbox::REGISTERS, &letter);
        // It counts as the end of the run that its last instruction was the last one allowed.
        let _ = self.machine.run(self.way_out);
        for _ in 0..8 {
            if !monitor::contains(self.machine.rip()) {
                break;
            }
            if self.machine.step().is_err() {
                break;
            }
        }
        write(&mut self.machine, place::MAILBOX + mailbox::LOADS_FX, &[0]);
    }

    /// Brings the processor back into the monitor, wherever the code under audit has left it.
    pub(crate) fn park(&mut self) {
        const INT3: [u8; 1] = [0xCC];
        for _ in 0..4 {
            let rip = self.machine.rip();
            if monitor::contains(rip) {
                return;
            }
            // With no page there, or one that may not be executed, the fetch comes back by itself.
            let before = self.peek::<1>(rip);
            self.poke(rip, &INT3);
            // What ends the machine's run leaves it where it is, and the next turn tries again.
            let _ = self.machine.step();
            if let Some(before) = before {
                self.poke(rip, &before);
            }
        }
    }

    /// The linear address of the next instruction: all code segments are flat.
    pub(crate) fn rip(&self) -> u64 {
        self.machine.rip()
    }

    /// One instruction of the code under audit; `None` if it led to another one.
    pub(crate) fn step(&mut self) -> Option<Event> {
        if let Err(exit) = self.machine.step() {
            return Some(Event::Unsupported(match exit {
                Exit::Unsupported { instruction, .. } => instruction,
                other => other.to_string(),
            }));
        }
        let rip = self.machine.rip();
        if !monitor::contains(rip) {
            return None;
        }
        let registers = self.registers();
        Some(match monitor::slot_at(rip) {
            Some(Slot::Vector(1)) if self.is_behind_sysenter() => self.sysenter(registers),
            Some(Slot::Vector(vector)) => self.vector(vector, registers),
            Some(Slot::Sysenter) => self.sysenter(registers),
            Some(Slot::Syscall) => {
                let [rip, flags] = [registers.general[reg::CX], registers.general[11]];
                Event::Syscall { registers: Registers { rip, flags, cs: USER_64, ss: USER_DATA, ..registers } }
            }
            // A jump of ring-0 code into the monitor.
            None => Event::Unsupported(format!("the way to {rip:X}h, which is the monitor's")),
        })
    }

    fn registers(&self) -> Registers {
        let mut general = [0; 16];
        for (number, value) in (0..).zip(&mut general) {
            *value = self.machine.register64(number).unwrap_or(0);
        }
        let segment = |register| self.machine.segment(register).selector.0;
        let [cs, ss] = [SegmentRegister::Cs, SegmentRegister::Ss].map(segment);
        Registers { general, rip: self.machine.rip(), cs, flags: self.machine.flags().get().into(), ss }
    }

    /// A single step over `SYSENTER`, which leaves TF: its trap comes before the first instruction of the slot.
    fn is_behind_sysenter(&self) -> bool {
        monitor::slot_at(self.saved(0)) == Some(Slot::Sysenter)
    }

    fn sysenter(&self, registers: Registers) -> Event {
        Event::Sysenter {
            registers: Registers { cs: USER_32, ss: USER_DATA, flags: registers.flags & !TF, ..registers },
        }
    }

    /// The frame that the processor has pushed, behind the error code if there is one.
    fn vector(&self, vector: u8, registers: Registers) -> Event {
        let has_code = matches!(vector, 8 | 10..=14 | 17);
        let first = u64::from(has_code);
        let [rip, cs, flags, sp, ss] = [0, 1, 2, 3, 4].map(|slot| self.saved(first + slot));
        let mut registers = Registers { rip, cs: cs as u16, flags, ss: ss as u16, ..registers };
        registers.general[reg::SP] = sp;
        let code = if has_code { self.saved(0) } else { 0 };
        Event::Vector { vector, code, registers }
    }

    /// A quadword of the monitor's stack.
    fn saved(&self, index: u64) -> u64 {
        let rsp = self.machine.register64(reg::SP as u8).unwrap_or(0);
        let at = rsp.wrapping_add(8 * index).wrapping_sub(monitor::BASE);
        let bytes = self.machine.read_physical(at, 8).and_then(|bytes| bytes.first_chunk().copied());
        bytes.map_or(0, u64::from_le_bytes)
    }

    /// The address of the last page fault.
    pub(crate) fn fault_address(&self) -> u64 {
        self.machine.control64(2).unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn registers(rip: u64, cs: u16) -> Registers {
        let mut general = [0; 16];
        for (index, value) in (0..).zip(&mut general) {
            *value = 0x1000 + index;
        }
        general[reg::SP] = STACK_POINTER;
        Registers { general, rip, cs, flags: 0x202, ss: if cs & 3 == 3 { USER_DATA } else { KERNEL_DATA } }
    }

    fn with_code(code: &[u8]) -> Guest {
        let mut guest = Guest::new().expect("the monitor boots");
        guest.map(0x40_0000, code, Access::EXECUTE).expect("there is room");
        guest.map(STACK_POINTER, &[], Access::WRITE).expect("there is room");
        guest
    }

    fn until_event(guest: &mut Guest) -> Event {
        (0..20).find_map(|_| guest.step()).expect("the code ends")
    }

    #[test]
    fn every_way_into_the_kernel_comes_back_with_its_registers() {
        // mov eax,12h, then int 2Eh; sysenter; syscall.
        for (cs, ways) in [(USER_32, &[[0xCD, 0x2E], [0x0F, 0x34]][..]), (USER_64, &[[0xCD, 0x2E], [0x0F, 0x05]][..])] {
            for way in ways {
                let mut guest = with_code(&[&[0xB8, 0x12, 0, 0, 0], &way[..]].concat());
                let before = registers(0x40_0000, cs);
                guest.resume(&before);
                assert_eq!(guest.rip(), 0x40_0000);
                let event = until_event(&mut guest);
                let after = match &event {
                    Event::Vector { vector: 0x2E, registers, .. } if way[0] == 0xCD => registers,
                    Event::Sysenter { registers } if way[1] == 0x34 => registers,
                    Event::Syscall { registers } if way[1] == 5 => registers,
                    other => panic!("{other:?}"),
                };
                assert_eq!((after.general[reg::AX], after.cs), (0x12, cs));
                assert_eq!(after.general[reg::DX], before.general[reg::DX]);
                assert_eq!(after.general[reg::DI], before.general[reg::DI]);
                if way[1] != 0x34 {
                    assert_eq!((after.rip, after.general[reg::SP]), (0x40_0007, STACK_POINTER));
                }
            }
        }
    }

    #[test]
    fn ring_0_runs_too() {
        // pushfd; push 8; jmp to nowhere
        for cs in [KERNEL_32, KERNEL_64] {
            let mut guest = with_code(&[0x9C, 0x6A, 8, 0xE9, 0, 0, 0x10, 0]);
            guest.resume(&registers(0x40_0000, cs));
            let Event::Vector { vector: 14, code, registers } = until_event(&mut guest) else { panic!("it faults") };
            // A fetch, from ring 0.
            assert_eq!((code, registers.rip, registers.cs), (0x10, 0x50_0008, cs));
            assert_eq!(guest.fault_address(), 0x50_0008);
        }
    }

    #[test]
    fn pages_are_what_they_are_mapped_as() {
        // mov [7FFE0000h],eax; and with a page that can only be read, and then one that can be written.
        let mut guest = with_code(&[0xA3, 0, 0, 0xFE, 0x7F, 0x90, 0x90]);
        guest.resume(&registers(0x40_0000, USER_32));
        let mut seen = Vec::new();
        for access in [Some(Access::READ), Some(Access::WRITE)] {
            let Some(Event::Vector { vector: 14, code, registers }) = guest.step() else { panic!("it faults") };
            seen.push(code);
            if !guest.is_mapped(SHARED) {
                guest.map(SHARED, &[], Access::READ).expect("there is room");
            }
            guest.protect(SHARED, access).expect("there is room");
            guest.resume(&registers);
        }
        assert_eq!(seen, [6, 7]);
        assert_eq!(guest.step(), None);
        assert_eq!(guest.peek(SHARED), Some(0x1000_u32.to_le_bytes()));
    }
}
