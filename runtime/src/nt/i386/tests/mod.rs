//! Tests of the guest. What needs no CPU is here; `boots` runs images and judges every record by the formulas that
//! [`record`](super::record) states.

/// Makes two tests of one: on the bundled machine, and under QEMU if asked for.
macro_rules! on_both_machines {
    ($($name:ident)*) => {
        mod on_the_bundled_machine {
            $(#[test] fn $name() { super::$name(super::bundled); })*
        }
        mod under_qemu {
            $(#[test] #[ignore = "needs qemu-system-i386"] fn $name() { super::$name(super::qemu); })*
        }
    };
}

mod apcs;
mod boots;
mod bugchecks;
mod callbacks;
mod exceptions;
mod frames;
mod gui;
mod mutants;
mod profiles;
mod session;
mod shared_page;

use ntgate_gen::{Arch, Shape, read_list, stub};
use object::LittleEndian;
use object::elf::FileHeader32;
use object::read::elf::{FileHeader, ProgramHeader};

use super::assembly::Routine;
use super::descriptors::{gate_descriptor, gdt, idt};
use super::layout::{PAGE, selector, trap_frame, tss};
use super::profile::SRV2003;
use super::user::UserCode;
use super::*;

/// The list of the repository.
const LIST: &str = include_str!("../../../../../sysfuncs.lst");

/// A plan with a set for each of the shapes.
pub(super) fn plan(list: &str, shapes: &[Shape]) -> Plan {
    let read = read_list("test.lst", list.as_bytes()).expect("the list is right");
    let table = read.list.primary();
    let mut plan = Plan::default();
    let mut all = Vec::new();
    for table in read.list.tables() {
        let rows = table.limit() as usize;
        let (mut ssdt, mut sspt) = (vec![usize::MAX; rows], vec![0; rows]);
        for service in table.services() {
            let row = (service.number() - table.base()) as usize;
            let args_bytes = service.arg_bytes(Arch::I386);
            (ssdt[row], sspt[row]) = (plan.services.len(), args_bytes as u8);
            plan.services.push(PlannedService { name: service.name().nt().to_owned(), args_bytes });
            all.push(service);
        }
        if table.base() == 0 {
            (plan.ssdt, plan.sspt) = (ssdt, sspt);
        } else {
            (plan.shadow_ssdt, plan.shadow_sspt) = (ssdt, sspt);
        }
    }
    let past_end = format!("NtPastTheEnd 0 @{}\n", table.limit());
    let past_end = read_list("end.lst", past_end.as_bytes());
    for shape in shapes {
        let build = |service| stub::build(*shape, service, shape.default_encoding());
        plan.sets.push(StubSet {
            label: shape.name().to_owned(),
            form: match shape {
                Shape::SharedCallEdx => SystemCallForm::Code,
                Shape::SharedEdx | Shape::SharedEcx => SystemCallForm::Pointer,
                _ => SystemCallForm::Unused,
            },
            ring: if *shape == Shape::Zw { Ring::Kernel } else { Ring::User },
            needs_sysenter: *shape == Shape::Sysenter,
            stubs: all.iter().map(|service| build(service)).collect(),
            past_end: past_end.as_ref().ok().map(|read| build(&read.list.primary().services()[0])),
            refusals: true,
        });
    }
    plan
}

/// The address of a symbol.
pub(super) fn address(image: &Image, name: &str) -> u32 {
    let symbol = image.symbols.iter().find(|symbol| symbol.name == name);
    symbol.unwrap_or_else(|| panic!("no symbol {name}")).address
}

#[test]
fn frames_and_task_segments_have_nts_sizes() {
    assert_eq!(trap_frame::SIZE, 0x8C);
    assert_eq!(trap_frame::V86_ES + 4 * 4, trap_frame::SIZE);
    assert_eq!(trap_frame::HARDWARE_SEG_SS + 4, trap_frame::V86_ES);
    assert_eq!(tss::SIZE, 0x20AC);
    assert_eq!(SRV2003.base_frame(), SRV2003.initial_stack - 0x29C);
    assert_eq!(SRV2003.esp0(), SRV2003.initial_stack - 0x220);
    assert_eq!(SRV2003.esp0() - 0x7C, SRV2003.base_frame());
}

#[test]
fn gdt_has_the_descriptors_of_the_boot_loader() {
    let table = gdt(&SRV2003);
    for (selector, descriptor) in [
        (0, 0),
        (selector::R0_CODE, 0x00CF_9A00_0000_FFFF),
        (selector::R0_DATA, 0x00CF_9200_0000_FFFF),
        (selector::R3_CODE, 0x00CF_FA00_0000_FFFF),
        (selector::R3_DATA, 0x00CF_F200_0000_FFFF),
        (selector::TSS, 0x8000_8904_2000_20AB),
        (selector::R0_PCR, 0xFFC0_92DF_F000_0001),
        (selector::R3_TEB, 0x7F40_F3FD_F000_0FFF),
        (selector::VDM, 0x0000_F200_0400_FFFF),
    ] {
        assert_eq!(table[selector as usize / 8], descriptor, "selector {selector:#x}");
    }
}

#[test]
fn idt_has_the_gates_of_nt() {
    // The bytes of a published dump of entry 2Eh.
    let dump = [0xC0, 0x62, 0x08, 0x00, 0x00, 0xEE, 0x46, 0x80];
    assert_eq!(gate_descriptor(0x8046_62C0, selector::R0_CODE, 0xEE00).to_le_bytes(), dump);
    let table = idt(&SRV2003, |routine| if routine == Routine::KiSystemService { 0x8046_62C0 } else { 0 });
    assert_eq!(table.len(), 256);
    assert_eq!(table[0x2E].to_le_bytes(), dump);
    for (number, descriptor) in table.iter().enumerate() {
        let attribute = match number {
            0x02 | 0x08 => 0x8500,
            0x03 | 0x04 | 0x2A..=0x2E => 0xEE00,
            _ => 0x8E00,
        };
        assert_eq!(descriptor >> 32 & 0xFFFF, attribute, "vector {number:#x}");
    }
    assert_eq!(table[0x08] >> 16 & 0xFFFF, 0x50);
    assert_eq!(table[0x02] >> 16 & 0xFFFF, 0x58);
}

#[test]
fn ntdll_enters_the_kernel_with_the_published_bytes() {
    let user = UserCode::assemble(&SRV2003).expect("it assembles");
    let bytes = [
        0x8B, 0xD4, 0x0F, 0x34, // mov edx,esp; sysenter
        0xC3, // ret
        0x8D, 0xA4, 0x24, 0, 0, 0, 0, 0x8D, 0x64, 0x24, 0, // padding
        0x8D, 0x54, 0x24, 0x08, 0xCD, 0x2E, 0xC3, // lea edx,[esp+8]; int 2Eh; ret
    ];
    assert_eq!(user.ntdll, bytes);
    assert_eq!(user.shared_fast, [0x340F_D48B, 0xC3]);
    assert_eq!(user.shared_int, [0x0824_548D, 0x00C3_2ECD]);
}

#[test]
fn stubs_of_ntdll_stand_where_the_debugger_saw_them() {
    let image = build(&SRV2003, &plan(LIST, Shape::of(Arch::I386))).expect("it builds");
    let set = Shape::of(Arch::I386).iter().position(|shape| *shape == Shape::SharedEdx).expect("it is one of them");
    let stubs = &image.sets[set].stub_addresses;
    assert_eq!(stubs[0x11C], 0x7C95_7B9D);
    assert_eq!(stubs[1] - stubs[0], 15);
    assert_eq!(address(&image, "ntdll!NtWriteFile"), 0x7C95_7B9D);
    assert_eq!(address(&image, "ntdll!ZwWriteFile"), 0x7C95_7B9D);
    assert_eq!(address(&image, "ntdll!KiFastSystemCall"), 0x7C95_ED50);
    assert_eq!(address(&image, "ntdll!KiFastSystemCallRet"), 0x7C95_ED54);
    assert_eq!(address(&image, "ntdll!KiIntSystemCall"), 0x7C95_ED60);
    assert!(address(&image, "nt!ZwWriteFile") > 0x8000_0000);
    assert!(address(&image, "nt!KiSystemService") >= SRV2003.kernel_text);
    assert!(image.symbols.is_sorted_by_key(|symbol| symbol.address));
    // The routine's fourteenth byte is the next routine's first: `mov`, `call`, `ret n`.
    assert_eq!(address(&image, "nt!NtWriteVirtualMemory") - address(&image, "nt!NtWriteRequestData"), 13);
}

/// Physical memory as a loader leaves it, from 1 MB on.
fn load(elf: &[u8]) -> Vec<u8> {
    let header = FileHeader32::<LittleEndian>::parse(elf).expect("it is an ELF file");
    let endian = header.endian().expect("it has a byte order");
    let mut memory = Vec::new();
    for program in header.program_headers(endian, elf).expect("it has program headers") {
        let start = (program.p_paddr(endian) - SRV2003.boot_physical) as usize;
        assert_eq!(start, memory.len(), "segments follow each other");
        memory.extend_from_slice(program.data(endian, elf).expect("the data is in the file"));
        memory.resize(start + program.p_memsz(endian) as usize, 0);
    }
    memory
}

/// The page-table entry of a virtual address, zero if there is none.
fn entry(memory: &[u8], address: u32) -> u32 {
    let read = |physical: u32| {
        let offset = (physical - SRV2003.boot_physical) as usize;
        u32::from_le_bytes(memory[offset..offset + 4].try_into().expect("four bytes"))
    };
    let directory = SRV2003.boot_physical + PAGE;
    let table = read(directory + (address >> 22) * 4);
    if table & 1 == 0 { 0 } else { read((table & !0xFFF) + (address >> 12 & 0x3FF) * 4) }
}

#[test]
fn pages_are_mapped_for_those_who_may_use_them() {
    let image = build(&SRV2003, &plan(LIST, Shape::of(Arch::I386))).expect("it builds");
    let memory = load(&image.elf);
    let (present, write, user) = (1, 2, 4);
    for (address, bits) in [
        (SRV2003.shared_user, present | user),
        (SRV2003.shared_kernel, present | write),
        (SRV2003.teb, present | user | write),
        (SRV2003.user_stack - 4, present | user | write),
        (SRV2003.user_text, present | user),
        (SRV2003.user_tables, present | user),
        (SRV2003.fast_system_call, present | user),
        (SRV2003.kernel_text, present),
        (SRV2003.kernel_services, present),
        (SRV2003.kernel_stubs, present),
        (SRV2003.kernel_data, present | write),
        (SRV2003.gdt, present | write),
        (SRV2003.initial_stack - 4, present | write),
        (SRV2003.boot_physical, present),
        (SRV2003.user_unmapped, 0),
        (SRV2003.initial_stack, 0),
        (SRV2003.user_probe_address, 0),
        (SRV2003.user_probe_address + 0xF000, 0),
        (0, 0),
    ] {
        assert_eq!(entry(&memory, address) & 0xFFF, bits, "page {address:08x}");
    }
    let frame = |address| entry(&memory, address) >> 12;
    assert_eq!(frame(SRV2003.shared_user), frame(SRV2003.shared_kernel));
    assert_eq!(frame(SRV2003.boot_physical), SRV2003.boot_physical >> 12);
    // The header is where a boot loader looks for it.
    let magic = 0x1BAD_B002u32.to_le_bytes();
    assert!(image.elf[..8192].chunks_exact(4).any(|dword| dword == magic));
}

#[test]
fn the_largest_plan_fits() {
    let list: String = (0..4096).map(|number| format!("NtService{number} {}\n", number % 18)).collect();
    let image = build(&SRV2003, &plan(&list, Shape::of(Arch::I386))).expect("it fits");
    assert_eq!(image.sets.len(), Shape::of(Arch::I386).len());
    // Too many for ntdll, so they have pages of their own.
    assert_eq!(image.sets[3].stub_addresses.len(), 4096);
    assert!(image.sets[3].stub_addresses[0] >= SRV2003.other_stubs);
    assert_eq!(image.sets[0].refusals[0].args_bytes, 17 * 4);
}

#[test]
fn plans_that_contradict_themselves_are_refused() {
    let good = plan("NtA 1\nNtB 2\n", &[Shape::Int2e]);
    let error = |change: &dyn Fn(&mut Plan)| {
        let mut plan = good.clone();
        change(&mut plan);
        build(&SRV2003, &plan).err()
    };
    assert_eq!(error(&|_| ()), None);
    let tables = BuildError::TablesDiffer { ssdt: 2, sspt: 1 };
    assert_eq!(error(&|plan| plan.sspt.truncate(1)), Some(tables));
    let service = PlannedService { name: "NtC".to_owned(), args_bytes: 0 };
    let many = BuildError::TooManyServices { count: 4097, max: 4096 };
    assert_eq!(error(&|plan| plan.services.resize(4097, service.clone())), Some(many));
    let many = BuildError::TooManySets { count: 4097, max: 4096 };
    assert_eq!(error(&|plan| plan.sets.resize(4097, plan.sets[0].clone())), Some(many));
    assert_eq!(error(&|plan| plan.start.set = 1), Some(BuildError::NoSuchStart { set: 1 }));
    assert_eq!(error(&|plan| plan.services.truncate(1)), Some(BuildError::TooManyStubs { set: 0 }));
    let arguments = BuildError::TooManyArguments { service: 1 };
    assert_eq!(error(&|plan| plan.services[1].args_bytes = 0x100), Some(arguments));
    let symbol = error(&|plan| {
        plan.sets[0].stubs[1].relocations.push(stub::Relocation {
            instruction: 0,
            symbol: "_Nowhere".to_owned(),
            kind: stub::RelocationKind::Rel32,
        })
    });
    let symbol = symbol.expect("the symbol is unknown").to_string();
    assert!(symbol.starts_with("set 0, stub 1: "), "{symbol}");
    let profile = Profile { kernel_services: SRV2003.kernel_text + PAGE, ..SRV2003 };
    assert_eq!(build(&profile, &good).err(), Some(BuildError::DoesNotFit { what: "kernel code" }));
    let profile = Profile { fault_tss: SRV2003.tss + PAGE, ..SRV2003 };
    assert_eq!(build(&profile, &good).err(), Some(BuildError::Overlap { address: (SRV2003.tss + PAGE).into() }));
    let profile = Profile { user_data: SRV2003.boot_physical, ..SRV2003 };
    let boot = SRV2003.boot_physical.into();
    assert_eq!(build(&profile, &good).err(), Some(BuildError::Overlap { address: boot }));
    let profile = Profile { fault_tss: 0xC000_1000, ..SRV2003 };
    assert_eq!(build(&profile, &good).err(), Some(BuildError::Overlap { address: 0xC000_1000 }));
    let profile = Profile { fast_system_call: SRV2003.ntdll_stubs - 1, ..SRV2003 };
    assert_eq!(build(&profile, &good).err(), Some(BuildError::Order { low: "ntdll_stubs", high: "fast_system_call" }));
    // No set, no service: still an image.
    assert!(build(&SRV2003, &Plan::default()).is_ok());
}
