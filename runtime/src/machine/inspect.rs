//! A machine looked at and changed from outside, as a debugger does it: nothing here runs an instruction, raises an exception,
//! or leaves a mark in the paging structures.

use super::exec::system::msr;
use super::machine::Machine;
use super::memory::PAGE;
use super::mode::is_canonical;

/// An entry of a paging structure.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct PageEntry {
    /// Physical address at which it stands.
    pub address: u64,
    /// What it holds.
    pub value: u64,
    /// Its size: 4 bytes, or 8 with PAE and in long mode.
    pub size: u8,
}

/// The way from a linear address to a physical one.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PageWalk {
    /// The entries that were read, from the one that CR3 leads to; the last is the page's own, or the one that says that there
    /// is none. Empty if paging is off, or the address is not canonical.
    pub entries: Vec<PageEntry>,
    /// Where it leads; `None` if no page is mapped there.
    pub physical: Option<u64>,
    /// Bytes of the page.
    pub page: u64,
}

impl Machine {
    /// The way of a linear address through the paging structures. The guest does not notice.
    pub fn page_walk(&self, address: u64) -> PageWalk {
        let linear = address & self.core.system_mask();
        if !self.core.paging() {
            return PageWalk { entries: Vec::new(), physical: Some(linear), page: PAGE };
        }
        if !is_canonical(linear) {
            return PageWalk { entries: Vec::new(), physical: None, page: PAGE };
        }
        self.core.page_walk(linear)
    }

    /// The physical address that a linear one is mapped to; `None` if it is not, or not canonical in long mode. The guest does
    /// not notice.
    pub fn physical(&self, address: u64) -> Option<u64> {
        self.page_walk(address).physical
    }

    /// What a model-specific register holds; `None` if this processor does not have it.
    pub fn msr(&self, number: u32) -> Option<u64> {
        msr::read(&self.core, number)
    }

    /// Changes a model-specific register; `None`, and nothing changed, where `WRMSR` would fault or the machine has no way to.
    pub fn set_msr(&mut self, number: u32, value: u64) -> Option<()> {
        let (fault, exit) = (self.core.fault, self.core.exit.take());
        let done = msr::write(&mut self.core, number, value).ok();
        (self.core.fault, self.core.exit) = (fault, exit);
        done
    }

    /// Goes on at another offset in CS. A processor that waits in `HLT` waits no longer.
    pub fn set_rip(&mut self, offset: u64) {
        self.core.ip = offset & self.core.ip_mask;
        self.core.halted = false;
    }

    /// Changes EFLAGS as `POPFD` does in ring 0: bits that are reserved, or that it does not load, stay.
    pub fn set_flags(&mut self, value: u32) {
        self.core.load_flags(value, true, 0);
    }

    /// DR0 to DR3, DR6 and DR7; `None` for other numbers.
    pub fn debug_register(&self, number: u8) -> Option<u64> {
        matches!(number, 0..=3 | 6 | 7).then(|| self.core.dr[usize::from(number)])
    }
}

#[cfg(test)]
mod tests {
    use super::super::core::msr;
    use super::super::testing::*;

    #[test]
    fn a_look_at_the_page_tables_leaves_no_mark() {
        let mut world = World::new();
        world.page(0);
        world.map(DATA + 0x1000, 0x2_0001);
        world.map(DATA + 0x2000, 0x3_0000);
        world.core().flush_tlb();
        let at = u64::from(DATA) + 0x1004;
        let walk = world.machine.page_walk(at);
        assert_eq!((walk.physical, walk.page), (Some(0x2_0004), 0x1000));
        let [directory, table] = walk.entries[..] else { panic!("two entries: {walk:?}") };
        assert_eq!((directory.size, table.size, table.value), (4, 4, 0x2_0001));
        assert_eq!(world.machine.read_linear64(at, 4).map(|bytes| bytes.len()), Some(4));
        assert_eq!(world.machine.page_walk(at), walk);
        // The entry that says that there is no page is the last.
        let walk = world.machine.page_walk(at + 0x1000);
        assert_eq!((walk.physical, walk.entries.len(), walk.entries[1].value), (None, 2, 0x3_0000));
    }

    #[test]
    fn registers_are_changed_as_by_instructions_or_not_at_all() {
        let mut world = World::new();
        assert_eq!(world.machine.set_msr(msr::SYSENTER_EIP, 0x8080_1000), Some(()));
        assert_eq!(world.machine.msr(msr::SYSENTER_EIP), Some(0x8080_1000));
        assert_eq!((world.machine.msr(msr::LSTAR), world.machine.set_msr(msr::LSTAR, 1)), (None, None));
        assert_eq!((world.machine.set_msr(msr::TSC, 1), world.machine.step()), (None, Ok(())));
        world.machine.set_rip(0x12_3456_7890);
        world.machine.set_flags(0x202);
        assert_eq!((world.machine.rip(), world.machine.flags().get()), (0x3456_7890, 0x202));
        world.machine.set_flags(u32::MAX);
        assert_eq!(world.machine.flags().get(), 0x0024_7FD7, "no reserved bit, RF, VM, VIF or VIP");
        assert_eq!((world.machine.debug_register(7), world.machine.debug_register(4)), (Some(0x400), None));
    }
}
