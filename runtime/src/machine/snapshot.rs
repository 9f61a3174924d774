//! The state of a machine at one moment, to come back to.
//!
//! A machine is deterministic, so a host that wants to go backwards restores a snapshot and runs forwards again.

use std::fmt;
use std::sync::Arc;

use super::core::Core;
use super::machine::Machine;
use super::memory::{Memory, PAGE};

/// Bytes of a page frame.
type Frame = [u8; PAGE as usize];

/// A frame that nothing was written to.
const ZERO: Frame = [0; PAGE as usize];

/// A machine's state: registers, devices, console and memory. Frames of zeroes take no room, and frames that are what they
/// were in an earlier snapshot are shared with it.
#[derive(Clone)]
pub struct Snapshot {
    /// All but the memory.
    core: Core,
    /// Every frame that is not zero, by its number.
    frames: Vec<(u32, Arc<Frame>)>,
}

impl Snapshot {
    /// [`Machine::retired`] at that moment.
    #[must_use]
    pub fn retired(&self) -> u64 {
        self.core.retired
    }

    fn frame(&self, number: u32) -> Option<&Arc<Frame>> {
        let found = self.frames.binary_search_by_key(&number, |(known, _)| *known).ok()?;
        self.frames.get(found).map(|(_, frame)| frame)
    }
}

impl fmt::Debug for Snapshot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Snapshot").field("retired", &self.retired()).field("frames", &self.frames.len()).finish()
    }
}

impl Machine {
    /// The machine's state. Frames that are as in `before`, an earlier snapshot, are not copied again.
    #[must_use]
    pub fn snapshot(&mut self, before: Option<&Snapshot>) -> Snapshot {
        let memory = std::mem::replace(&mut self.core.memory, Memory::new(0));
        let recorder = self.core.recorder.take();
        let core = self.core.clone();
        (self.core.memory, self.core.recorder) = (memory, recorder);
        let mut frames = Vec::new();
        for (number, now) in (0..).zip(self.core.memory.ram().chunks_exact(PAGE as usize)) {
            if now == ZERO {
                continue;
            }
            let known = before.and_then(|before| before.frame(number)).filter(|known| known[..] == *now);
            let frame = known.cloned().unwrap_or_else(|| {
                let mut copy = ZERO;
                copy.copy_from_slice(now);
                Arc::new(copy)
            });
            frames.push((number, frame));
        }
        Snapshot { core, frames }
    }

    /// Puts the machine back into a state that it was in. The snapshot has to be this machine's own, or of one with as much
    /// memory: what does not fit is left out.
    pub fn restore(&mut self, snapshot: &Snapshot) {
        let memory = std::mem::replace(&mut self.core.memory, Memory::new(0));
        // Contexts are never used twice: blocks found by one that the run has had since would not be those of this moment.
        let context = self.core.context;
        // Who looks at the machine is not a part of its state.
        let recorder = self.core.recorder.take();
        self.core = snapshot.core.clone();
        self.core.memory = memory;
        self.core.context = context;
        self.core.recorder = recorder;
        for number in 0..(self.core.memory.size() / PAGE as usize) as u32 {
            let then = snapshot.frame(number).map_or(&ZERO, |frame| &**frame);
            let at = u64::from(number) * PAGE;
            let now = self.core.memory.ram().get(at as usize..(at + PAGE) as usize);
            if now.is_some_and(|now| now != then) {
                self.core.memory.write_bytes(at, then);
            }
        }
        // Translations that allow plain writes may be of frames that hold decoded code by now.
        self.core.flush_tlb();
    }
}

#[cfg(test)]
mod tests {
    use super::super::machine::Register::{Eax, Ebx, Ecx};
    use super::super::testing::*;

    #[test]
    fn what_ran_runs_again_the_same_way() {
        let mut world = World::new();
        // mov ecx,5; l: inc eax; inc byte [l+0Ah] (the operand of the next); add ebx,1; loop l: code that changes itself.
        let at = (CODE + 5 + 1 + 6 + 2).to_le_bytes();
        let mut code = vec![0xB9, 5, 0, 0, 0, 0x40, 0xFE, 0x05];
        code.extend(at);
        code.extend([0x83, 0xC3, 1, 0xE2, 0xF4]);
        world.poke(CODE, &code);
        world.core().ip = u64::from(CODE);
        world.machine.set_register(Eax, 0);
        world.machine.set_register(Ebx, 0);
        let start = world.machine.snapshot(None);
        let mut seen = Vec::new();
        for _ in 0..21 {
            assert_eq!(world.machine.step(), Ok(()));
            seen.push((world.machine.eip(), world.register(Eax), world.register(Ebx), world.machine.retired()));
        }
        assert_eq!((world.register(Eax), world.register(Ebx), world.register(Ecx)), (5, 2 + 3 + 4 + 5 + 6, 0));
        let end = world.machine.snapshot(Some(&start));
        for _ in 0..2 {
            world.machine.restore(&start);
            assert_eq!(world.machine.retired(), start.retired());
            for expected in &seen {
                assert_eq!(world.machine.step(), Ok(()));
                let now = (world.machine.eip(), world.register(Eax), world.register(Ebx), world.machine.retired());
                assert_eq!(now, *expected);
            }
        }
        world.machine.restore(&start);
        world.machine.restore(&end);
        assert_eq!((world.register(Ebx), world.machine.retired()), (20, end.retired()));
        let operand = world.machine.read_linear(CODE + 14, 1);
        assert_eq!(operand, Some(vec![6]));
    }

    #[test]
    fn frames_that_did_not_change_are_shared_and_zeroes_take_no_room() {
        let mut world = World::new();
        world.poke(DATA, &[1]);
        let first = world.machine.snapshot(None);
        world.poke(DATA, &[2]);
        let second = world.machine.snapshot(Some(&first));
        let shared = second
            .frames
            .iter()
            .filter(|(number, frame)| first.frame(*number).is_some_and(|before| std::sync::Arc::ptr_eq(before, frame)));
        assert_eq!(shared.count(), second.frames.len() - 1);
        assert!(second.frames.len() < world.machine.memory_size() / 0x1000);
        world.machine.restore(&first);
        assert_eq!(world.machine.read_linear(DATA, 1), Some(vec![1]));
    }
}
