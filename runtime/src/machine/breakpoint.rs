//! Breakpoints of the debug registers, those on instructions (SDM vol. 3, 17.2): a #DB before the instruction whose linear
//! address is in Dr0 to Dr3.
//!
//! It is a fault, so the handler comes back to the same instruction; RF in the EFLAGS that it loads lets that pass once, and it
//! is the handler that sets it there.

use super::core::{Core, seg};
use super::fault::{Stop, Vector};
use super::flags;

/// DR7: L0 to G3.
const ENABLES: u64 = 0xFF;
/// DR7: an access to a debug register is a #DB.
const DETECT: u64 = 1 << 13;

/// Those on data and on input and output are not here: a run ends where DR7 asks for one, as the kernel does for a program that
/// puts one into the context of `NtContinue`. Whether DR7 asks for no more than breakpoints on instructions: R/W and LEN clear where a breakpoint is on.
pub(crate) fn is_supported(dr7: u64) -> bool {
    let on_instruction = |n: u64| dr7 >> (2 * n) & 3 == 0 || dr7 >> (16 + 4 * n) & 0xF == 0;
    dr7 & DETECT == 0 && (0..4).all(on_instruction)
}

impl Core {
    /// Whether any breakpoint is on.
    #[inline(always)]
    pub(crate) fn has_breakpoints(&self) -> bool {
        self.dr[7] & ENABLES != 0
    }

    /// #DB if there is a breakpoint at EIP, unless RF is set; either way RF has done its work.
    ///
    /// The RF that is saved is the current one, clear: this fault is the one that does not set it, and the handler has to
    /// (SDM vol. 3, 17.3.1.1).
    pub(crate) fn instruction_breakpoint(&mut self) -> Result<(), Stop> {
        let resumes = self.flags.system() & flags::RF != 0;
        self.flags.change_system(flags::RF, 0);
        if resumes || !self.has_breakpoints() {
            return Ok(());
        }
        let linear = self.segs[seg::CS as usize].linear(self.ip, self.ip_mask);
        let on = |n: &u64| self.dr[7] >> (2 * n) & 3 != 0 && self.dr[*n as usize] == linear;
        let hits = (0..4).filter(on).fold(0, |hits, n| hits | 1 << n);
        if hits == 0 {
            return Ok(());
        }
        self.dr[6] |= hits;
        self.block_ip = self.ip;
        Err(self.raise(Vector::Debug, 0))
    }

    /// `IRETD` loads RF, where a breakpoint could see it.
    #[inline(always)]
    pub(crate) fn load_resume_flag(&mut self, image: u32, wide: bool) {
        if wide && self.has_breakpoints() && image & flags::RF != 0 {
            self.flags.change_system(0, flags::RF);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::fault::Exit;
    use super::super::machine::Register::{Eax, Ebp, Ecx, Edi, Esi, Esp};
    use super::super::testing::*;
    use super::*;

    #[test]
    fn a_breakpoint_comes_before_its_instruction_and_rf_lets_it_pass() {
        let mut world = World::new();
        // inc eax; inc eax; inc eax; ud2. The handler of #DB sets RF: or dword [esp+8],10000h; iretd.
        world.core().dr[0] = u64::from(CODE) + 1;
        world.core().dr[3] = u64::from(CODE) + 2;
        world.core().dr[7] = 0x401;
        world.poke(handler(1), &[0x81, 0x4C, 0x24, 0x08, 0, 0, 1, 0, 0xCF]);
        let seen = world.seen(&[0x40, 0x40, 0x40, 0x0F, 0x0B]);
        assert_eq!((seen.vector, seen.eip, world.register(Eax)), (6, CODE + 3, 3), "each ran once");
        assert_eq!(world.core().dr[6] & 0xF, 1);

        // Both are on, and the handler stops: what it was told.
        let mut world = World::new();
        world.core().dr[0] = u64::from(CODE) + 1;
        world.core().dr[1] = u64::from(CODE) + 1;
        world.core().dr[7] = 0x40B;
        let seen = world.seen(&[0x40, 0x40, 0x40, 0x0F, 0x0B]);
        assert_eq!((seen.vector, seen.eip, seen.eflags & flags::RF), (1, CODE + 1, 0));
        assert_eq!((world.core().dr[6] & 0xF, world.register(Eax)), (3, 1));
    }

    #[test]
    fn a_handler_that_does_not_set_rf_comes_back_to_the_breakpoint() {
        let mut world = World::new();
        world.core().dr[0] = u64::from(CODE) + 1;
        world.core().dr[7] = 0x401;
        // The handler counts, and sets RF the third time: inc ebp; cmp ebp,3; jb +8; or dword [esp+8],10000h; iretd.
        world.poke(handler(1), &[0x45, 0x83, 0xFD, 3, 0x72, 8, 0x81, 0x4C, 0x24, 0x08, 0, 0, 1, 0, 0xCF]);
        world.machine.set_register(Ebp, 0);
        let seen = world.seen(&[0x40, 0x40, 0x0F, 0x0B]);
        assert_eq!((seen.vector, world.register(Eax), world.register(Ebp)), (6, 2, 3));
    }

    #[test]
    fn a_breakpoint_behind_a_load_of_ss_does_not_count() {
        for (code, vector) in [
            // mov ss,ax; inc ecx; ud2, and the same with ds.
            (&[0x8E, 0xD0, 0x41, 0x0F, 0x0B][..], 6),
            (&[0x8E, 0xD8, 0x41, 0x0F, 0x0B], 1),
            // pop ss, with nothing between it and the start.
            (&[0x17, 0x90, 0x41, 0x0F, 0x0B], 1),
        ] {
            let mut world = World::new();
            world.core().dr[0] = u64::from(CODE) + 2;
            world.core().dr[7] = 0x401;
            world.machine.set_register(Eax, DATA_0.into());
            let sp = world.register(Esp) - 4;
            world.poke(sp, &u32::from(DATA_0).to_le_bytes());
            world.machine.set_register(Esp, sp);
            assert_eq!(world.seen(code).vector, vector, "{code:02X?}");
        }
    }

    #[test]
    fn a_repeated_instruction_is_met_once() {
        let mut world = World::new();
        world.core().dr[0] = u64::from(CODE);
        world.core().dr[7] = 0x401;
        // The handler counts in EBP and lets it go on: inc ebp; or dword [esp+8],10000h; iretd.
        world.poke(handler(1), &[0x45, 0x81, 0x4C, 0x24, 0x08, 0, 0, 1, 0, 0xCF]);
        world.machine.set_register(Ecx, 9_000);
        world.machine.set_register(Ebp, 0);
        world.machine.set_register(Esi, DATA);
        world.machine.set_register(Edi, DATA);
        world.poke(CODE, &[0xF3, 0xA4, 0x0F, 0x0B]);
        world.core().ip = u64::from(CODE);
        assert_eq!((world.machine.run(100_000), world.machine.eip()), (Exit::Halted, handler(6)));
        assert_eq!((world.register(Ecx), world.register(Ebp)), (0, 1));
    }

    #[test]
    fn breakpoints_on_data_are_refused() {
        for (dr7, supported) in
            [(0u64, true), (0x55, true), (0x2000, false), (0x1_0001, false), (0x1_0004, true), (0x30_0004, false)]
        {
            assert_eq!(is_supported(dr7), supported, "{dr7:x}");
        }
        let mut world = World::new();
        // mov eax, 10001h; mov dr7, eax
        let exit = world.run(&[0xB8, 1, 0, 1, 0, 0x0F, 0x23, 0xF8]);
        assert!(matches!(exit, Exit::Unsupported { ref instruction, .. } if instruction.contains("data")), "{exit:?}");
        assert!(world.register(Esp) != 0);
    }
}
