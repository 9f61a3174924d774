//! Tests of the 64-bit guest. What needs no CPU is here; `boots` runs images and judges every record by the formulas that
//! [`record`](super::record) states; the others run programs of ring 3.

/// Makes two tests of one: on the bundled machine, and under QEMU if asked for.
macro_rules! on_both_machines {
    ($($name:ident)*) => {
        mod on_the_bundled_machine {
            $(#[test] fn $name() { super::$name(super::bundled); })*
        }
        mod under_qemu {
            $(#[test] #[ignore = "needs qemu-system-x86_64"] fn $name() { super::$name(super::qemu); })*
        }
    };
}

mod apcs;
mod boots;
mod callbacks;
mod contexts;
mod exceptions;
mod expected;
mod frames;
mod gui;
mod instrumentation;
mod mutants;
mod profiles;
mod session;
mod shared_page;

use ntgate_gen::model::Service;
use ntgate_gen::{Arch, Shape, read_list, stub};

use super::assembly::Routine;
use super::descriptors::{gate_descriptor, gdt, idt};
use super::profile::{WIN7_X64, WIN10_X64};
use super::*;

/// The list of the repository.
const LIST: &str = include_str!("../../../../../sysfuncs.lst");

/// Two services of win32k, to stand behind a list.
const WIN32K: &str = "#! table win32k base=0x1000\nNtGdiA 1\nNtGdiB 9\n";

/// A plan with a set for each of the shapes. `syscall-or-int2e` has two: one for each way.
pub(super) fn plan(list: &str, shapes: &[Shape]) -> Plan {
    let read = read_list("test.lst", list.as_bytes()).expect("the list is right");
    let mut plan = Plan::default();
    let mut all: Vec<&Service> = Vec::new();
    for table in read.list.tables() {
        let mut rows = vec![Row::unused(); table.limit() as usize];
        for service in table.services() {
            let args = u32::from(service.args(Arch::Amd64));
            rows[(service.number() - table.base()) as usize] = Row::new(plan.services.len(), args);
            plan.services.push(PlannedService { name: service.name().nt().to_owned(), args });
            all.push(service);
        }
        plan.tables.push(rows);
    }
    let past_end = format!("NtPastTheEnd 0 @{}\n", read.list.primary().limit());
    let past_end = read_list("end.lst", past_end.as_bytes()).expect("the list is right");
    for shape in shapes {
        let build = |service: &Service| stub::build(*shape, service, shape.default_encoding());
        let set = StubSet {
            label: shape.name().to_owned(),
            ring: if shape.is_kernel() { Ring::Kernel } else { Ring::User },
            tables: if *shape == Shape::SyscallReactos { TableForm::Pointers } else { TableForm::Packed },
            system_call: SystemCall::Syscall,
            callback: false,
            stubs: all.iter().map(|service| build(service)).collect(),
            past_end: (*shape != Shape::ZwReactos).then(|| build(&past_end.list.primary().services()[0])),
            refusals: *shape != Shape::ZwReactos,
        };
        if *shape == Shape::SyscallOrInt2e {
            plan.sets.push(StubSet { system_call: SystemCall::Interrupt, ..set.clone() });
        }
        plan.sets.push(set);
    }
    plan
}

/// The address of a symbol.
pub(super) fn address(image: &Image, name: &str) -> u64 {
    let symbol = image.symbols.iter().find(|symbol| symbol.name == name);
    symbol.unwrap_or_else(|| panic!("no symbol {name}")).address
}

#[test]
fn frames_have_nts_sizes_and_offsets() {
    use layout::{kpcr, trap_frame, tss};
    assert_eq!(trap_frame::SIZE, 0x190);
    for (field, from_rbp) in [
        (trap_frame::PREVIOUS_MODE, -0x58),
        (trap_frame::EXCEPTION_ACTIVE, -0x55),
        (trap_frame::MXCSR, -0x54),
        (trap_frame::RAX, -0x50),
        (trap_frame::XMM0, -0x10),
        (trap_frame::DR7, 0x80),
        (trap_frame::TRAP_FRAME, 0xB8),
        (trap_frame::RBX, 0xC0),
        (trap_frame::RIP, 0xE8),
        (trap_frame::SEG_CS, 0xF0),
        (trap_frame::EFLAGS, 0xF8),
        (trap_frame::RSP, 0x100),
    ] {
        assert_eq!(field as i32 - trap_frame::RBP_BIAS as i32, from_rbp);
    }
    assert_eq!(trap_frame::SEG_SS + 8, trap_frame::SIZE);
    assert_eq!((tss::SIZE, tss::IST1), (0x68, 0x24));
    assert_eq!((kpcr::USER_RSP, kpcr::CURRENT_THREAD, kpcr::RSP_BASE, kpcr::MXCSR), (0x10, 0x188, 0x1A8, 0x180));
    // The last argument of the run stands in the frame's fourth home, the callee's own home area is below the first.
    let area = layout::COPY_AREA + layout::HOME_AREA;
    assert_eq!(area, layout::HOME_AREA + 8 * layout::COPY_RUN as u32);
}

#[test]
fn gdt_has_the_descriptors_of_the_boot_loader() {
    use layout::selector;
    let table = gdt(&WIN7_X64);
    for (selector, descriptor) in [
        (0x00, 0),
        (selector::R0_CODE, 0x0020_9B00_0000_0000),
        (selector::R0_DATA, 0x00CF_9300_0000_FFFF),
        (selector::R3_CMCODE, 0x00CF_FB00_0000_FFFF),
        (selector::R3_DATA, 0x00CF_F300_0000_FFFF),
        (selector::R3_CODE, 0x0020_FB00_0000_0000),
        (selector::TSS, 0x0000_89B9_6080_0067),
        (selector::TSS + 8, 0xFFFF_F800),
        (selector::R3_CMTEB, 0xFF40_F3FD_5000_3C00),
    ] {
        assert_eq!(table[selector as usize / 8], descriptor, "selector {selector:#x}");
    }
    // What SYSCALL and SYSRET compute from the register.
    let star = layout::msr::STAR_SELECTORS;
    assert_eq!(star, 0x0023_0010);
    assert_eq!((star & 0xFFFF, (star & 0xFFFF) + 8), (selector::R0_CODE, selector::R0_DATA));
    assert_eq!(((star >> 16) + 8, (star >> 16) + 16), (selector::R3_DATA, selector::R3_CODE));
}

#[test]
fn idt_has_the_gates_of_nt() {
    assert_eq!(gate_descriptor(0xFFFF_F800_0280_1234, 3, 0), [0x0280_EE00_0010_1234, 0xFFFF_F800]);
    for profile in Profile::ALL {
        let table = idt(profile, |routine| if routine == Routine::KiSystemService { 0xFFFF_F800_0280_1234 } else { 0 });
        assert_eq!(table.len(), 512);
        assert_eq!(table[2 * 0x2E..][..2], [0x0280_EE00_0010_1234, 0xFFFF_F800]);
        for (number, gate) in table.chunks(2).enumerate() {
            let open = [0x03, 0x04, 0x2C, 0x2D, 0x2E].contains(&number) || number == 0x29 && profile == &WIN10_X64;
            assert_eq!(gate[0] >> 45 & 3, if open { 3 } else { 0 }, "{}, vector {number:#x}", profile.name);
            let stack = match number {
                0x08 => 1,
                0x12 => 2,
                0x02 => 3,
                _ => 0,
            };
            assert_eq!(gate[0] >> 32 & 7, stack, "vector {number:#x}");
        }
    }
}

#[test]
fn stubs_of_ntdll_stand_at_their_systems_distance() {
    let image = build(&WIN7_X64, &plan(LIST, Shape::of(Arch::Amd64))).expect("it builds");
    let stubs = &image.sets[0].stub_addresses;
    assert_eq!((stubs[0], stubs[1]), (0x7783_1340, 0x7783_1350));
    assert_eq!(address(&image, "ntdll!NtAcceptConnectPort"), 0x7783_1340);
    assert_eq!(address(&image, "ntdll!ZwAcceptConnectPort"), 0x7783_1340);
    assert_eq!(address(&image, "nt!NtAccessCheck") - address(&image, "nt!NtAcceptConnectPort"), 16);
    assert!(address(&image, "nt!ZwClose") > 0xFFFF_F800_0000_0000);
    assert!(image.symbols.is_sorted_by_key(|symbol| symbol.address));
    let image = build(&WIN10_X64, &plan(LIST, &[Shape::SyscallOrInt2e])).expect("it builds");
    assert_eq!(address(&image, "ntdll!NtAcceptConnectPort"), 0x7FFA_9E24_0660);
    assert_eq!(image.sets[0].stub_addresses[1] - image.sets[0].stub_addresses[0], 0x20);
    // The second set of the same shape has pages of its own.
    assert_eq!(image.sets[1].stub_addresses[0], WIN10_X64.other_stubs);
}

#[test]
fn the_largest_plan_fits() {
    let list: String = (0..4095).map(|number| format!("NtService{number} {}\n", number % 19)).collect();
    let image = build(&WIN7_X64, &plan(&list, Shape::of(Arch::Amd64))).expect("it fits");
    assert_eq!(image.sets.len(), 7);
    assert_eq!(image.sets[0].refusals[0].stack_arguments, 14);
}

#[test]
fn plans_that_contradict_themselves_are_refused() {
    let good = plan("NtA 1\nNtB 2\n", &[Shape::Syscall, Shape::ZwReactos]);
    let error = |change: &dyn Fn(&mut Plan)| {
        let mut plan = good.clone();
        change(&mut plan);
        build(&WIN7_X64, &plan).err()
    };
    assert_eq!(error(&|_| ()), None);
    let many = |service| Some(BuildError::TooManyStackArguments { service, max: 14 });
    assert_eq!(error(&|plan| plan.services[1].args = 19), many(1));
    assert_eq!(error(&|plan| plan.tables[0][1].stack_arguments = 15), many(1));
    let row = Row::unused();
    let rows = BuildError::TooManyServices { count: 4097, max: 4096 };
    assert_eq!(error(&|plan| plan.tables[0].resize(4097, row)), Some(rows));
    let tables = BuildError::TooManyTables { count: 3, max: 2 };
    assert_eq!(error(&|plan| plan.tables.resize(3, Vec::new())), Some(tables));
    let sets = BuildError::TooManySets { count: 4097, max: 4096 };
    assert_eq!(error(&|plan| plan.sets.resize(4097, plan.sets[0].clone())), Some(sets));
    assert_eq!(error(&|plan| plan.start.set = 2), Some(BuildError::NoSuchStart { set: 2 }));
    assert_eq!(error(&|plan| plan.services.truncate(1)), Some(BuildError::TooManyStubs { set: 0 }));
    let far = BuildError::OutOfReach { service: 1 };
    assert_eq!(error(&|plan| plan.tables[0][1].displacement = -0x800_0000), Some(far));
    // A kernel stub of ReactOS refers to its service by name.
    let symbol = error(&|plan| plan.services[1].name = "NtC".to_owned()).expect("the symbol is unknown");
    assert!(symbol.to_string().starts_with("set 1, stub 1: "), "{symbol}");
    let profile = Profile { kernel_services: WIN7_X64.kernel_text + 0x1000, ..WIN7_X64 };
    assert_eq!(build(&profile, &good).err(), Some(BuildError::DoesNotFit { what: "kernel code" }));
    let profile = Profile { idt: WIN7_X64.gdt, ..WIN7_X64 };
    assert_eq!(build(&profile, &good).err(), Some(BuildError::Order { low: "gdt", high: "idt" }));
    let profile = Profile { teb: WIN7_X64.user_data, ..WIN7_X64 };
    assert_eq!(build(&profile, &good).err(), Some(BuildError::Overlap { address: WIN7_X64.user_data }));
    let profile = Profile { teb: 0xFFFF_F6FB_7DBE_D000, ..WIN7_X64 };
    assert_eq!(build(&profile, &good).err(), Some(BuildError::Overlap { address: 0xFFFF_F6FB_7DBE_D000 }));
    // No set, no service: still an image.
    assert!(build(&WIN7_X64, &Plan::default()).is_ok());
}
