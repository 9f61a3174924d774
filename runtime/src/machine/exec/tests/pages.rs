//! Paging as instructions see it (SDM vol. 3, 4.6 to 4.8).

use super::super::super::core::{CR0_AM, CR0_WP, CR4_PSE};
use super::super::super::fault::Exit;
use super::super::super::flags;
use super::super::super::machine::Register;
use super::super::super::testing::{CODE, DATA, Seen, World};
use super::with;

const PRESENT: u32 = 1;
const WRITABLE: u32 = 2;
const USER: u32 = 4;
const ACCESSED: u32 = 0x20;
const DIRTY: u32 = 0x40;
const LARGE: u32 = 0x80;
/// Everything from here on is the user's: the stack of ring 3, code and data.
const USER_FROM: u32 = 0x7000;

fn directory(world: &mut World) -> u32 {
    world.core().cr3 as u32
}

/// Address of the entry of a page in the page table.
fn entry(world: &mut World, linear: u32) -> u32 {
    let at = directory(world);
    (world.peek32(at) & !0xFFF) + (linear >> 12) * 4
}

/// `mov eax, [at]` or `mov [at], eax`, then `hlt`, which in ring 3 is #GP.
fn access(at: u32, write: bool) -> Vec<u8> {
    with(&[if write { 0xA3 } else { 0xA1 }], at, &[0xF4])
}

/// Runs the access; the page fault it raised, if it did.
fn fault_of(world: &mut World, cpl: u8, at: u32, write: bool) -> Option<Seen> {
    world.ring(cpl);
    assert_eq!(world.run(&access(at, write)), Exit::Halted);
    world.frame().filter(|seen| seen.vector == 14)
}

#[test]
fn every_combination_of_rights_gives_the_fault_that_the_manual_says() {
    for choice in 0..256u32 {
        let bit = |n: u32| choice >> n & 1 != 0;
        let (cpl, write, protect) = (if bit(0) { 3 } else { 0 }, bit(1), bit(2));
        let upper = u32::from(bit(3)) * WRITABLE | u32::from(bit(4)) * USER;
        let lower = u32::from(bit(5)) * WRITABLE | u32::from(bit(6)) * USER | u32::from(bit(7)) * PRESENT;
        let mut world = World::new();
        world.page(USER_FROM);
        if !protect {
            world.core().cr0 &= !CR0_WP;
        }
        // A second page table, with the rights of its own directory entry.
        let (table, linear) = (0x2_0000, 0x40_3000);
        let upper_at = directory(&mut world) + 4;
        world.poke32(upper_at, table | upper | PRESENT);
        world.poke32(table + 3 * 4, DATA | lower);
        world.core().flush_tlb();

        let rights = upper & lower;
        let user = cpl == 3;
        let allowed =
            bit(7) && (!user || rights & USER != 0) && (!write || rights & WRITABLE != 0 || !user && !protect);
        let seen = fault_of(&mut world, cpl, linear + 4, write);
        assert_eq!(seen.is_none(), allowed, "{choice:08b}");
        let (upper_now, lower_now) = (world.peek32(upper_at), world.peek32(table + 12));
        if let Some(seen) = seen {
            let code = u32::from(bit(7)) | u32::from(write) * 2 | u32::from(user) * 4;
            assert_eq!((seen.code, seen.eip), (code, CODE), "{choice:08b}");
            assert_eq!(world.core().cr2, u64::from(linear + 4));
            assert_eq!(lower_now & (ACCESSED | DIRTY), 0, "{choice:08b}");
        } else {
            assert_eq!(upper_now & (ACCESSED | DIRTY), ACCESSED, "{choice:08b}");
            assert_eq!(lower_now & (ACCESSED | DIRTY), if write { ACCESSED | DIRTY } else { ACCESSED }, "{choice:08b}");
        }
    }
}

#[test]
fn a_directory_entry_that_is_not_present_is_not_a_protection_fault() {
    let mut world = World::new();
    world.page(USER_FROM);
    let seen = fault_of(&mut world, 3, 0x80_0000, true).expect("the page is missing");
    assert_eq!((seen.code, world.core().cr2), (6, 0x80_0000));
}

#[test]
fn a_page_that_was_read_becomes_dirty_when_it_is_written() {
    let mut world = World::new();
    world.page(USER_FROM);
    let at = entry(&mut world, DATA);
    assert!(fault_of(&mut world, 3, DATA, false).is_none());
    assert_eq!(world.peek32(at) & (ACCESSED | DIRTY), ACCESSED);
    assert!(fault_of(&mut world, 3, DATA, true).is_none());
    assert_eq!(world.peek32(at) & (ACCESSED | DIRTY), ACCESSED | DIRTY);
}

#[test]
fn large_pages() {
    let mut world = World::new();
    world.page(USER_FROM);
    world.poke32(DATA, 0x1234_5678);
    let (at, linear) = (directory(&mut world) + 8, 0x80_0000);
    world.poke32(at, LARGE | PRESENT | USER);
    world.core().cr4 |= CR4_PSE;
    world.core().flush_tlb();
    assert!(fault_of(&mut world, 3, linear + DATA, false).is_none());
    assert_eq!(world.register(Register::Eax), 0x1234_5678);
    assert_eq!(world.peek32(at), LARGE | PRESENT | USER | ACCESSED);
    // Not writable, and then so.
    assert_eq!(fault_of(&mut world, 3, linear + DATA, true).map(|seen| seen.code), Some(7));
    world.poke32(at, LARGE | PRESENT | USER | WRITABLE);
    world.core().flush_tlb();
    assert!(fault_of(&mut world, 3, linear + DATA, true).is_none());
    assert_eq!(world.peek32(at), LARGE | PRESENT | USER | WRITABLE | ACCESSED | DIRTY);
    // A reserved bit, at any level and for any access.
    world.poke32(at, LARGE | PRESENT | USER | WRITABLE | 1 << 13);
    world.core().flush_tlb();
    assert_eq!(fault_of(&mut world, 3, linear + DATA, false).map(|seen| seen.code), Some(0xD));
    assert_eq!(fault_of(&mut world, 0, linear + DATA, true).map(|seen| seen.code), Some(0xB));
    world.poke32(at, LARGE | PRESENT | USER | WRITABLE);
    // Without CR4.PSE the bit means nothing and the entry names a page table, here page 0.
    world.core().cr4 &= !CR4_PSE;
    world.core().flush_tlb();
    assert_eq!(fault_of(&mut world, 3, linear + DATA, false).map(|seen| seen.code), Some(4));
}

#[test]
fn an_operand_across_two_pages_faults_as_a_whole() {
    let mut world = World::new();
    world.page(USER_FROM);
    world.poke(DATA + 0xFFC, &[1, 2, 3, 4]);
    world.map(DATA + 0x1000, 0);
    for (write, code) in [(false, 4), (true, 6)] {
        let seen = fault_of(&mut world, 3, DATA + 0xFFE, write).expect("the second page is missing");
        assert_eq!((seen.code, world.core().cr2), (code, u64::from(DATA + 0x1000)));
    }
    assert_eq!(world.peek32(DATA + 0xFFC), 0x0403_0201);
    // The first page missing: CR2 is the operand's address.
    world.map(DATA + 0x1000, DATA + 0x1000 | 7);
    world.map(DATA, 0);
    assert!(fault_of(&mut world, 3, DATA + 0xFFE, true).is_some());
    assert_eq!(world.core().cr2, u64::from(DATA + 0xFFE));
}

#[test]
fn an_operand_across_two_pages_goes_to_both_frames() {
    let mut world = World::new();
    world.page(USER_FROM);
    world.map(0x2_0000, DATA | 7);
    world.map(0x2_1000, DATA + 0x3000 | 7);
    world.machine.set_register(Register::Eax, 0x1122_3344);
    assert!(fault_of(&mut world, 3, 0x2_0FFF, true).is_none());
    assert_eq!(world.peek32(DATA + 0xFFC) >> 24, 0x44);
    assert_eq!(world.peek32(DATA + 0x3000) & 0xFF_FFFF, 0x11_2233);
    world.machine.set_register(Register::Eax, 0);
    assert!(fault_of(&mut world, 3, 0x2_0FFF, false).is_none());
    assert_eq!(world.register(Register::Eax), 0x1122_3344);
}

#[test]
fn code_on_a_missing_page_faults_where_the_page_begins() {
    let mut world = World::new();
    world.page(USER_FROM);
    world.map(DATA + 0x1000, 0);
    // mov eax, imm32 that begins two bytes before
    world.poke(DATA + 0xFFE, &[0xB8, 0]);
    world.ring(3);
    let code = with(&[0xE9], (DATA + 0xFFE).wrapping_sub(CODE + 5), &[]);
    let seen = world.seen(&code);
    assert_eq!((seen.vector, seen.code, seen.eip), (14, 4, DATA + 0xFFE));
    assert_eq!(world.core().cr2, u64::from(DATA + 0x1000));
}

#[test]
fn alignment_is_checked_in_ring_3_alone() {
    let attempt = |cpl: u8, mask: bool, flag: bool, at: u32| {
        let mut world = World::new();
        world.ring(cpl);
        if mask {
            world.core().cr0 |= CR0_AM;
        }
        world.core().flags.change_system(0, if flag { flags::AC } else { 0 });
        world.core().flush_tlb();
        assert_eq!(world.run(&access(at, true)), Exit::Halted);
        world.frame().filter(|seen| seen.vector == 17).map(|seen| (seen.code, seen.eip))
    };
    assert_eq!(attempt(3, true, true, DATA + 2), Some((0, CODE)));
    assert_eq!(attempt(3, true, true, DATA + 4), None);
    assert_eq!(attempt(3, false, true, DATA + 2), None);
    assert_eq!(attempt(3, true, false, DATA + 2), None);
    assert_eq!(attempt(0, true, true, DATA + 2), None);
}

#[test]
fn popfd_switches_alignment_checks_on_and_off() {
    let mut world = World::new();
    world.ring(3);
    world.core().cr0 |= CR0_AM;
    // mov eax, [A002]; popfd; mov eax, [A002]
    let load = with(&[0xA1], DATA + 2, &[]);
    world.stack(&[flags::AC | 2]);
    let code = [load.as_slice(), &[0x9D], &load].concat();
    let seen = world.seen(&code);
    assert_eq!((seen.vector, seen.eip), (17, CODE + 6));
}
