//! The kernel as a call meets it: what it finds in the registers, and how it returns.

use ntgate_gen::Arch;

use super::super::environment::{self, Question};
use super::super::guest::{KERNEL_64, Registers, STACK_POINTER, USER_32, USER_DATA, reg};
use super::{Caller, Crossing, MOST_CROSSINGS, STATUS, Stop, TRACE, Way, poison};

impl Caller<'_, '_, '_> {
    fn peek_word(&self, address: u64) -> Option<u64> {
        match self.image.arch {
            Arch::I386 => self.guest.peek::<4>(address).map(|bytes| u32::from_le_bytes(bytes).into()),
            _ => self.guest.peek::<8>(address).map(u64::from_le_bytes),
        }
    }

    /// Notes an entry, and returns from the kernel as `back` does.
    pub(super) fn enter(
        &mut self,
        way: Way,
        registers: Registers,
        back: fn(&mut Self, Registers) -> Result<Registers, Stop>,
    ) -> Result<Registers, Stop> {
        let eax = match self.image.arch {
            Arch::I386 => registers.general[reg::AX] & 0xFFFF_FFFF,
            _ => registers.general[reg::AX],
        };
        let register = match self.image.arch {
            Arch::I386 => self.arguments_32(way, &registers),
            _ => self.arguments_64(way, &registers),
        };
        let from = self.run.trace.last().copied().filter(|_| self.run.trace.len() < TRACE);
        let external = self.image.external(eax).map(str::to_owned);
        let routine = external.filter(|_| way == Way::Zw).map(|name| (name, registers.general[10]));
        self.run.crossings.push(Crossing { way, eax, register, from, routine });
        if self.run.crossings.len() > MOST_CROSSINGS {
            return Err(Stop::Budget);
        }
        self.close_window();
        let mut registers = Registers { flags: registers.flags & !(1 << 8), ..registers };
        registers.general[reg::AX] = STATUS;
        // What no caller may count on.
        for index in [reg::CX, reg::DX] {
            registers.general[index] = poison(self.call.seed, 0x80 + index as u64, self.image.arch);
        }
        back(self, registers)
    }

    /// Which register leads to the caller's arguments, which are behind its return address.
    fn arguments_32(&self, way: Way, registers: &Registers) -> Option<&'static str> {
        let arguments = STACK_POINTER + 4;
        let low = |index: usize| registers.general[index] & 0xFFFF_FFFF;
        match way {
            Way::Int2e | Way::Zw => (low(reg::DX) == arguments).then_some("edx"),
            Way::Sysenter => (low(reg::DX) + 8 == arguments).then_some("edx+8"),
            Way::Wow64 if low(reg::DX) == arguments => Some("edx"),
            Way::Wow64 | Way::Wine => (low(reg::SP) + 8 == arguments).then_some("esp+8"),
            Way::Syscall => None,
        }
    }

    /// The first argument is in R10, or still in RCX; the others and the stack are as the caller left them.
    fn arguments_64(&self, way: Way, registers: &Registers) -> Option<&'static str> {
        let is = |now: usize, before: usize| registers.general[now] == self.initial.general[before];
        let others = is(reg::DX, reg::DX) && is(8, 8) && is(9, 9);
        let sp = registers.general[reg::SP];
        let (first, stack, name) = match way {
            Way::Syscall | Way::Int2e => (is(10, reg::CX), sp == STACK_POINTER, "r10"),
            Way::Wine => (is(10, reg::CX), sp.wrapping_add(8) == STACK_POINTER, "r10"),
            // The frame: RIP, CS, RFLAGS, RSP.
            Way::Zw if sp != STACK_POINTER => {
                (is(reg::CX, reg::CX), self.peek_word(sp.wrapping_add(0x18)) == Some(STACK_POINTER), "rcx")
            }
            Way::Zw => (is(reg::CX, reg::CX), true, "rcx"),
            Way::Sysenter | Way::Wow64 => return None,
        };
        (first && others && stack).then_some(name)
    }

    pub(super) fn after_interrupt(&mut self, registers: Registers) -> Result<Registers, Stop> {
        Ok(registers)
    }

    pub(super) fn after_syscall(&mut self, mut registers: Registers) -> Result<Registers, Stop> {
        // What `SYSRET` leaves in them.
        registers.general[reg::CX] = registers.rip;
        registers.general[11] = registers.flags;
        Ok(registers)
    }

    /// `ret`.
    pub(super) fn after_call(&mut self, registers: Registers) -> Result<Registers, Stop> {
        self.pop(registers, true)
    }

    fn pop(&mut self, mut registers: Registers, takes: bool) -> Result<Registers, Stop> {
        let sp = registers.general[reg::SP];
        let Some(rip) = self.peek_word(sp) else {
            return Err(Stop::Fault("enters the kernel without a stack".to_owned()));
        };
        registers.rip = rip;
        if takes {
            registers.general[reg::SP] = sp.wrapping_add(self.word());
        }
        Ok(registers)
    }

    /// `SYSENTER` does not say where it came from: the kernel goes to KiFastSystemCallRet, with the stack that EDX says.
    pub(super) fn sysenter(&mut self, mut registers: Registers) -> Result<Registers, Stop> {
        registers.general[reg::SP] = registers.general[reg::DX] & 0xFFFF_FFFF;
        registers.rip = environment::FAST_CALL_RET;
        self.enter(Way::Sysenter, registers, Self::after_interrupt)
    }

    pub(super) fn after_wow64(&mut self, registers: Registers) -> Result<Registers, Stop> {
        let leaves = Self::answer(&mut self.run, self.call.answers, Question::Wow64Return);
        let registers = Registers { cs: USER_32, ss: USER_DATA, ..registers };
        self.pop(registers, leaves == 0)
    }

    /// KiServiceExit to kernel code: the return address, CS and EFLAGS are taken off the stack.
    pub(super) fn after_kernel_call(&mut self, mut registers: Registers) -> Result<Registers, Stop> {
        let sp = registers.general[reg::SP];
        let [rip, cs, flags] = [0, 4, 8].map(|offset| self.peek_word(sp.wrapping_add(offset)));
        let (Some(rip), Some(cs), Some(flags)) = (rip, cs, flags) else {
            return Err(Stop::Fault("calls KiSystemService without a stack".to_owned()));
        };
        if cs != 8 || flags & 2 == 0 {
            return Err(Stop::Fault("calls KiSystemService without CS and EFLAGS on the stack".to_owned()));
        }
        registers.rip = rip;
        registers.flags = flags & 0xCD7 | 0x202;
        registers.general[reg::SP] = sp.wrapping_add(12);
        Ok(registers)
    }

    /// `IRETQ` from the frame that the stub built.
    pub(super) fn after_internal(&mut self, mut registers: Registers) -> Result<Registers, Stop> {
        let sp = registers.general[reg::SP];
        let [rip, cs, flags, before] = [0, 8, 16, 24].map(|offset| self.peek_word(sp.wrapping_add(offset)));
        let (Some(rip), Some(cs), Some(flags), Some(before)) = (rip, cs, flags, before) else {
            return Err(Stop::Fault("jumps to KiServiceInternal without a frame".to_owned()));
        };
        if cs != u64::from(KERNEL_64) || flags & 2 == 0 {
            return Err(Stop::Fault("jumps to KiServiceInternal without CS and RFLAGS in its frame".to_owned()));
        }
        registers.rip = rip;
        registers.flags = flags & 0xCD7 | 0x202;
        registers.general[reg::SP] = before;
        Ok(registers)
    }
}
