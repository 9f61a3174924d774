//! The run loop: block after block, and what happens when an instruction stops one.

use super::block::Blocks;
use super::core::Core;
use super::fault::{Exit, Stop, Vector};
use super::flags;
use super::op::Op;

/// DR6.BS: a single step (SDM vol. 3, 17.2.3).
pub(crate) const DR6_BS: u64 = 1 << 14;

/// Runs until an exit, or until `limit` instructions have been completed since the machine was made.
pub(crate) fn run(core: &mut Core, blocks: &mut Blocks, limit: u64) -> Exit {
    loop {
        if core.memory.has_stale() {
            blocks.drop_stale(core);
        }
        if let Some(exit) = core.exit.take() {
            return exit;
        }
        if core.retired >= limit {
            return Exit::Budget;
        }
        core.advance_devices();
        let stop = if core.is_interrupted() {
            core.external_interrupt()
        } else if core.halted {
            core.wait(limit)
        } else if core.inhibit || core.flags.system() & flags::TF != 0 || core.has_breakpoints() {
            single_step(core, blocks)
        } else {
            core.pause = limit.min(core.devices.next_event());
            run_blocks(core, blocks)
        };
        if let Err(exit) = after_stop(core, stop) {
            return exit;
        }
    }
}

/// One turn: an interrupt, waiting for one, or an instruction with the exception that it raises.
pub(crate) fn step(core: &mut Core, blocks: &mut Blocks) -> Result<(), Exit> {
    if core.memory.has_stale() {
        blocks.drop_stale(core);
    }
    core.advance_devices();
    let stop = if core.is_interrupted() {
        core.external_interrupt()
    } else if core.halted {
        core.wait(u64::MAX)
    } else {
        single_step(core, blocks)
    };
    after_stop(core, stop)?;
    // A write to the exit port is complete, and is told at once.
    core.exit.take().map_or(Ok(()), Err)
}

/// Runs blocks until something needs a look.
fn run_blocks(core: &mut Core, blocks: &mut Blocks) -> Result<(), Stop> {
    while core.retired < core.pause && !core.memory.has_stale() {
        let block = blocks.at_ip(core)?;
        core.block_ip = core.ip;
        core.ip = core.ip.wrapping_add(u64::from(block.len)) & core.ip_mask;
        if let Some((op, rest)) = block.ops.split_first()
            && let Err(stop) = (op.run)(core, op, rest)
        {
            let done = block.ops.len() - 1 - core.left;
            core.retired += done as u64;
            return stopped(core, &block.ops[done], stop, core.left == 0);
        }
        core.retired += (block.ops.len() - core.left) as u64;
        if core.flags.system() & flags::TF != 0 {
            break;
        }
    }
    Ok(())
}

impl Core {
    /// Lets the devices do what is due.
    #[inline(always)]
    fn advance_devices(&mut self) {
        if self.retired >= self.devices.next_event() {
            self.devices.advance(self.retired);
        }
    }

    /// Whether a device asks for an interrupt and may have it.
    #[inline(always)]
    fn is_interrupted(&self) -> bool {
        self.devices.is_pending() && self.flags.system() & flags::IF != 0 && !self.inhibit
    }

    /// Takes the interrupt that a device asks for.
    fn external_interrupt(&mut self) -> Result<(), Stop> {
        self.halted = false;
        let vector = self.devices.acknowledge();
        self.interrupt(vector)
    }

    /// Lets the time pass up to what ends a `HLT`, but not beyond `limit`.
    fn wait(&mut self, limit: u64) -> Result<(), Stop> {
        let next = self.devices.next_event();
        if next == u64::MAX {
            self.halted = false;
            return Err(self.leave(Exit::Halted));
        }
        self.retired = next.min(limit);
        Ok(())
    }
}

/// One instruction, with what may come before and after it: a breakpoint; and with EFLAGS.TF set a #DB follows, unless it was
/// an instruction that holds it back. Behind a load of SS a breakpoint does not count (SDM vol. 3, 6.8.3).
fn single_step(core: &mut Core, blocks: &mut Blocks) -> Result<(), Stop> {
    // Both are set behind a load of SS only.
    let after_ss = core.inhibit && core.shadow;
    core.inhibit = false;
    if !after_ss {
        core.instruction_breakpoint()?;
    }
    let traced = core.flags.system() & flags::TF != 0;
    let block = blocks.at_ip(core)?;
    core.block_ip = core.ip;
    core.shadow = false;
    let mut repeats = false;
    if let Some(op) = block.ops.first() {
        core.ip = core.ip_after(op);
        match (op.run)(core, op, &[]) {
            Ok(()) => core.retired += 1,
            Err(stop) => {
                repeats = stop == Stop::Again;
                stopped(core, op, stop, true)?;
            }
        }
    }
    if repeats && core.has_breakpoints() {
        // The instruction's breakpoint has been dealt with until it is complete.
        core.flags.change_system(0, flags::RF);
    }
    if core.shadow || !traced {
        return Ok(());
    }
    if repeats {
        // Between two iterations the trap saves RF set (SDM vol. 3, 17.3.1.1). Delivery clears it again.
        core.flags.change_system(0, flags::RF);
    }
    core.dr[6] |= DR6_BS;
    Err(core.raise(Vector::Debug, 0))
}

/// Puts EIP where the stop says that it belongs. An error is left to be dealt with.
///
/// `last`: EIP is already behind the instruction, or where it branched to.
fn stopped(core: &mut Core, op: &Op, stop: Stop, last: bool) -> Result<(), Stop> {
    match stop {
        Stop::Leave => {
            core.retired += 1;
            if !last {
                core.ip = core.ip_after(op);
            }
            Ok(())
        }
        Stop::Again => {
            core.retired += 1;
            core.ip = core.ip_of(op);
            Ok(())
        }
        Stop::Fault | Stop::Exit => {
            core.ip = core.ip_of(op);
            Err(stop)
        }
    }
}

/// Delivers a fault, or hands out the exit.
fn after_stop(core: &mut Core, stop: Result<(), Stop>) -> Result<(), Exit> {
    match stop {
        Err(Stop::Fault) => core.deliver_fault(core.fault),
        Err(Stop::Exit) => {
            let ip = core.ip;
            Err(match core.exit.take() {
                Some(Exit::Unsupported { instruction, .. }) => {
                    let text = if instruction.is_empty() { core.disassemble(ip) } else { instruction };
                    Exit::Unsupported { address: ip, instruction: text }
                }
                Some(exit) => exit,
                None => Exit::Halted,
            })
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::super::machine::Register::{Eax, Ebx, Ecx, Esp};
    use super::super::testing::*;
    use super::*;

    /// mov ecx,3; l: inc eax; push eax; loop l; int 40h
    const CODE_HERE: [u8; 11] = [0xB9, 3, 0, 0, 0, 0x40, 0x50, 0xE2, 0xFC, 0xCD, 0x40];

    #[test]
    fn a_step_is_one_instruction() {
        let mut world = World::new();
        world.poke(CODE, &CODE_HERE);
        world.core().ip = u64::from(CODE);
        world.machine.set_register(Eax, 0);
        let at = |offsets: &[u32]| offsets.iter().map(|offset| CODE + offset).collect::<Vec<_>>();
        let mut seen = Vec::new();
        for _ in 0..11 {
            seen.push(world.machine.eip());
            assert_eq!(world.machine.step(), Ok(()));
        }
        assert_eq!(seen, at(&[0, 5, 6, 7, 5, 6, 7, 5, 6, 7, 9]));
        assert_eq!((world.register(Eax), world.register(Ecx)), (3, 0));
        assert_eq!(world.machine.eip(), handler(0x40));
        // The handler is a HLT that nothing can end.
        assert_eq!(world.machine.step(), Err(Exit::Halted));
    }

    #[test]
    fn a_step_that_writes_to_the_exit_port_says_so_and_is_complete() {
        let mut world = World::new();
        // out 0F4h,al; inc ebx
        world.poke(CODE, &[0xE6, 0xF4, 0x43]);
        world.core().ip = u64::from(CODE);
        world.machine.set_register(Eax, 3);
        world.machine.set_register(Ebx, 0);
        assert_eq!(world.machine.step(), Err(Exit::Port(3)));
        assert_eq!(world.machine.eip(), CODE + 2);
        assert_eq!(world.machine.step(), Ok(()));
        assert_eq!(world.register(Ebx), 1);
    }

    #[test]
    fn a_step_goes_from_an_instruction_that_faults_to_its_handler() {
        let mut world = World::new();
        world.poke(CODE, &[0x0F, 0x0B]);
        world.core().ip = u64::from(CODE);
        assert_eq!(world.machine.step(), Ok(()));
        assert_eq!(world.machine.eip(), handler(6));
    }

    #[test]
    fn code_that_is_written_from_outside_is_what_the_next_step_executes() {
        let mut world = World::new();
        world.poke(CODE, &[0x43, 0x43, 0x90]);
        world.core().ip = u64::from(CODE);
        world.machine.set_register(Ebx, 7);
        assert_eq!(world.machine.step(), Ok(()));
        assert_eq!(world.machine.write_linear(u64::from(CODE) + 1, &[0x4B]), Some(()));
        assert_eq!(world.machine.step(), Ok(()));
        assert_eq!(world.register(Ebx), 7);
        assert!(world.register(Esp) != 0);
    }
}
