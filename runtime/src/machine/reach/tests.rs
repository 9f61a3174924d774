//! Every right, the bits that an access leaves, and what the guest must not notice.

use super::super::core::CR0_WP;
use super::super::cpuid::Model;
use super::super::fault::{Exit, Vector};
use super::super::machine::{Machine, Register};
use super::super::testing::{CODE, DATA, World};
use super::*;

const PRESENT: u32 = 1;
const WRITABLE: u32 = 2;
const USER: u32 = 4;
const ACCESSED: u32 = 0x20;
const DIRTY: u32 = 0x40;

/// Pages below are the supervisor's.
const USER_FROM: u32 = 0x7000;

/// The page-table entry of a page.
fn entry(world: &mut World, linear: u32) -> u32 {
    let directory = world.core().cr3 as u32;
    let table = world.peek32(directory) & !0xFFF;
    world.peek32(table + (linear >> 12) * 4)
}

#[test]
fn rights_are_those_of_the_guests_own_accesses() {
    for choice in 0..64u32 {
        let bit = |n: u32| choice >> n & 1 != 0;
        let (user, write, protect) = (bit(0), bit(1), bit(2));
        let (present, writable, for_user) = (bit(3), bit(4), bit(5));
        let mut world = World::new();
        world.page(USER_FROM);
        if !protect {
            world.core().cr0 &= !CR0_WP;
        }
        let rights = u32::from(present) * PRESENT | u32::from(writable) * WRITABLE | u32::from(for_user) * USER;
        world.map(DATA, DATA | rights);
        world.core().cr2 = 0x1234;

        let with = if user { Rights::User } else { Rights::Supervisor };
        let at = u64::from(DATA) + 8;
        let done = if write {
            world.machine.write_as(with, at, &[1, 2, 3, 4])
        } else {
            world.machine.read_as(with, at, 4).map(|bytes| assert_eq!(bytes, [0; 4]))
        };

        let allowed = present && (!user || for_user) && (!write || writable || !user && !protect);
        let (bits, content) = (entry(&mut world, DATA) & (ACCESSED | DIRTY), world.peek32(DATA + 8));
        if allowed {
            assert_eq!(done, Ok(()), "{choice:06b}");
            assert_eq!(bits, if write { ACCESSED | DIRTY } else { ACCESSED }, "{choice:06b}");
        } else {
            let code = u32::from(present) | u32::from(write) * 2 | u32::from(user) * 4;
            let fault = Fault { vector: Vector::PageFault, code };
            assert_eq!(done, Err(Denied { address: at, fault }), "{choice:06b}");
            assert_eq!(bits, 0, "{choice:06b}");
        }
        assert_eq!(content, if allowed && write { 0x0403_0201 } else { 0 }, "{choice:06b}");
        assert_eq!(world.core().cr2, 0x1234, "{choice:06b}");
    }
}

#[test]
fn nothing_is_written_if_a_later_page_refuses() {
    let mut world = World::new();
    world.page(USER_FROM);
    world.map(DATA + 0x1000, (DATA + 0x1000) | PRESENT | USER);
    let at = u64::from(DATA) + 0xFFE;
    let denied = world.machine.write_as(Rights::User, at, &[1, 2, 3, 4]);
    assert_eq!(denied.map_err(|denied| denied.address), Err(u64::from(DATA) + 0x1000));
    assert_eq!(world.peek32(DATA + 0xFFC), 0);
    assert_eq!(world.machine.probe_write(Rights::User, at, 2), Ok(()));
    assert!(world.machine.probe_write(Rights::User, at, 3).is_err());
    assert_eq!(world.machine.probe_read(Rights::User, at, 3), Ok(()));
    assert_eq!(world.machine.read_as(Rights::User, at, 4), Ok(vec![0; 4]));
}

#[test]
fn pages_need_not_follow_each_other() {
    let mut world = World::new();
    world.page(USER_FROM);
    world.map(DATA + 0x1000, 0x2_0000 | PRESENT | WRITABLE | USER);
    assert_eq!(world.machine.write_as(Rights::User, u64::from(DATA) + 0xFFD, &[1, 2, 3, 4, 5, 6]), Ok(()));
    assert_eq!((world.peek32(DATA + 0xFFC), world.peek32(0x2_0000)), (0x0302_0100, 0x0006_0504));
    assert_eq!(world.machine.read_as(Rights::User, u64::from(DATA) + 0xFFD, 6), Ok(vec![1, 2, 3, 4, 5, 6]));
}

#[test]
fn a_size_without_end_ends_at_the_first_page_that_is_not_there() {
    let mut world = World::new();
    world.page(0);
    let denied = world.machine.read_as(Rights::Supervisor, u64::from(DATA), u64::MAX).expect_err("memory ends");
    assert_eq!(denied.address, 0x4_0000);
    assert_eq!(world.machine.read_as(Rights::User, u64::MAX, 0), Ok(Vec::new()));
}

#[test]
fn without_paging_all_ram_is_there_and_the_rest_reads_as_zero() {
    let mut machine = Machine::new(Model::by_name("486").unwrap(), 0x1000);
    assert_eq!(machine.write_as(Rights::User, 0xFFE, &[1, 2, 3, 4]), Ok(()));
    assert_eq!(machine.read_as(Rights::User, 0xFFE, 4), Ok(vec![1, 2, 0, 0]));
    // Addresses have 32 bits.
    assert_eq!(machine.read_as(Rights::User, 0x1_0000_0FFE, 2), Ok(vec![1, 2]));
    assert_eq!(machine.write_as(Rights::User, 0, &[7]), Ok(()));
    assert_eq!(machine.read_as(Rights::User, 0xFFFF_FFFF, 2), Ok(vec![0, 7]));
}

#[test]
fn code_that_is_written_over_is_executed_as_it_is() {
    let mut world = World::new();
    world.page(0);
    // mov al, 1; out F4h, al; jmp back
    assert_eq!(world.run(&[0xB0, 1, 0xE6, 0xF4, 0xEB, 0xFA]), Exit::Port(1));
    assert_eq!(world.machine.run(100), Exit::Port(1));
    assert_eq!(world.machine.write_as(Rights::Supervisor, u64::from(CODE) + 1, &[2]), Ok(()));
    assert_eq!(world.machine.run(100), Exit::Port(2));
    assert_eq!(world.register(Register::Eax), 2);
}

#[test]
fn addresses_of_long_mode_have_to_be_canonical() {
    let mut machine = Machine::new(Model::by_name("nehalem").unwrap(), 0x1000);
    machine.core.msrs.efer |= super::super::core::EFER_LMA;
    for (address, size, first) in
        [(1 << 47, 1, 1 << 47), ((1 << 47) - 1, 2, 1 << 47), (u64::MAX >> 1, 8, u64::MAX >> 1)]
    {
        let fault = Fault { vector: Vector::GeneralProtection, code: 0 };
        assert_eq!(machine.read_as(Rights::User, address, size), Err(Denied { address: first, fault }));
    }
}
