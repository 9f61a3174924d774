//! Images, good and bad.

use super::super::cpuid::Model;
use super::super::fault::Exit;
use super::super::machine::{Machine, Register};
use super::*;

/// `mov al, 7; out F4h, al`
const CODE: [u8; 4] = [0xB0, 7, 0xE6, 0xF4];
const AT: u32 = 0x10_0000;

fn words(words: &[u32]) -> Vec<u8> {
    words.iter().flat_map(|word| word.to_le_bytes()).collect()
}

fn header(flags: u32, addresses: &[u32]) -> Vec<u8> {
    let checksum = 0u32.wrapping_sub(HEADER_MAGIC).wrapping_sub(flags);
    [words(&[HEADER_MAGIC, flags, checksum]), words(addresses)].concat()
}

/// An ELF file with one segment: its headers, the multiboot header, the code.
struct Elf {
    class: u8,
    machine: u16,
    entry: u32,
    virtual_at: u32,
    physical_at: u32,
    memory: u32,
    file: Option<u32>,
    flags: u32,
}

const START: u32 = 52 + 32 + 12;

impl Elf {
    fn good() -> Self {
        Self {
            class: 1,
            machine: 3,
            entry: AT + START,
            virtual_at: AT,
            physical_at: AT,
            memory: 0x1000,
            file: None,
            flags: 3,
        }
    }

    fn bytes(&self) -> Vec<u8> {
        let mut bytes = vec![0x7F, b'E', b'L', b'F', self.class, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0];
        bytes.extend([2, 0]);
        bytes.extend(self.machine.to_le_bytes());
        bytes.extend(words(&[1, self.entry, 52, 0, 0]));
        for half in [52u16, 32, 1, 40, 0, 0] {
            bytes.extend(half.to_le_bytes());
        }
        let size = START + CODE.len() as u32;
        bytes.extend(words(&[
            1,
            0,
            self.virtual_at,
            self.physical_at,
            self.file.unwrap_or(size),
            self.memory,
            7,
            0x1000,
        ]));
        bytes.extend(header(self.flags, &[]));
        bytes.extend(CODE);
        bytes
    }
}

fn machine() -> Machine {
    Machine::new(Model::by_name("pentium2").unwrap(), 4 << 20)
}

fn error(image: &[u8]) -> LoadError {
    let mut machine = machine();
    let error = machine.load(image).unwrap_err();
    assert_eq!(machine.register(Register::Eax), 0, "nothing is changed on an error");
    assert!(machine.read_physical(u64::from(AT), 16).unwrap().iter().all(|byte| *byte == 0));
    error
}

#[test]
fn an_elf_image_runs_from_its_entry_in_qemus_state() {
    let mut machine = machine();
    machine.load(&Elf::good().bytes()).unwrap();
    assert_eq!((machine.register(Register::Eax), machine.register(Register::Ebx)), (LOADER_MAGIC, INFO_AT));
    assert_eq!((machine.control(0), machine.cpl(), machine.flags().get()), (Some(0x11), 0, 2));
    let (gdtr, _) = machine.tables();
    let table = machine.read_physical(gdtr.base, 40).unwrap();
    assert_eq!(&table[8..16], &GDT[1].to_le_bytes());
    let info = machine.read_physical(u64::from(INFO_AT), 116).unwrap();
    assert_eq!((word(info, 0), word(info, 4), word(info, 8)), (Some(0x24F), Some(639), Some(3 << 10)));
    let name = word(info, 64).unwrap();
    assert_eq!(machine.read_physical(u64::from(name), 7).unwrap(), b"ntgate\0");
    assert_eq!(machine.run(100), Exit::Port(7));
}

#[test]
fn a_machine_that_has_run_is_loaded_as_a_new_one() {
    let mut machine = machine();
    machine.core.msrs.sysenter_cs = 8;
    machine.core.cr3 = 0x1000;
    machine.core.dr[6] |= 1 << 14;
    machine.core.dr[0] = 5;
    machine.core.cpl = 3;
    machine.load(&Elf::good().bytes()).unwrap();
    assert_eq!((machine.msrs().sysenter_cs, machine.control(3), machine.cpl()), (0, Some(0), 0));
    assert_eq!(machine.core.dr, DR_RESET);
}

#[test]
fn segments_that_together_are_larger_than_memory_are_refused() {
    let mut image = Elf { memory: 3 << 20, ..Elf::good() }.bytes();
    // The program header again, behind the rest; then the table is there, with both.
    let segment = image[52..84].to_vec();
    let table = (image.len() as u32).to_le_bytes();
    image.extend_from_slice(&segment);
    image.extend_from_slice(&segment);
    image[28..32].copy_from_slice(&table);
    image[44] = 2;
    assert_eq!(error(&image), LoadError::OutsideMemory { address: AT, size: 3 << 20, memory: 4 << 20 });
}

#[test]
fn a_virtual_entry_is_entered_at_its_physical_address() {
    let elf = Elf { entry: 0x8010_0000 + START, virtual_at: 0x8010_0000, ..Elf::good() };
    let mut machine = machine();
    machine.load(&elf.bytes()).unwrap();
    assert_eq!(machine.eip(), AT + START);
    assert_eq!(machine.run(100), Exit::Port(7));
}

#[test]
fn address_fields_do_without_elf() {
    for (load_end, bss_end) in [(0, 0), (AT + 36, 0), (AT + 36, AT + 0x2000)] {
        let mut image = vec![0; 16];
        image.extend(header(1 << 16, &[AT, AT, load_end, bss_end, AT + 32]));
        image.extend(CODE);
        let mut machine = machine();
        machine.write_physical(u64::from(AT) + 0x1000, &[1]).unwrap();
        machine.load(&image).unwrap();
        assert_eq!(machine.read_physical(u64::from(AT) + 0x1000, 1).unwrap()[0], u8::from(bss_end == 0));
        assert_eq!(machine.run(100), Exit::Port(7));
    }
}

#[test]
fn bad_images_are_named() {
    let good = Elf::good().bytes();
    assert_eq!(error(b""), LoadError::NoHeader);
    assert_eq!(error(&[0x7F; 100_000]), LoadError::NoHeader);
    let mut far = vec![0; 8192];
    far.extend(header(0, &[]));
    assert_eq!(error(&far), LoadError::NoHeader);
    let mut broken = good.clone();
    broken[84 + 8] ^= 1;
    assert_eq!(error(&broken), LoadError::Checksum { offset: 84 });
    assert_eq!(error(&Elf { flags: 0x13, ..Elf::good() }.bytes()), LoadError::Requirements { flags: 0x10 });
    assert_eq!(error(&header(0, &[])), LoadError::NotElf);
    assert_eq!(error(&Elf { class: 2, ..Elf::good() }.bytes()), LoadError::NotI386);
    assert_eq!(error(&Elf { machine: 62, ..Elf::good() }.bytes()), LoadError::NotI386);
    let outside = LoadError::OutsideMemory { address: AT, size: 0x30_0001, memory: 4 << 20 };
    assert_eq!(error(&Elf { memory: 0x30_0001, ..Elf::good() }.bytes()), outside);
    let end = Elf { physical_at: 0xFFFF_FF00, memory: 0x1000, ..Elf::good() };
    assert!(matches!(error(&end.bytes()), LoadError::OutsideMemory { .. }));
    assert_eq!(error(&Elf { entry: 0, ..Elf::good() }.bytes()), LoadError::Entry { address: 0 });
    assert_eq!(
        error(&Elf { file: Some(0x1000), ..Elf::good() }.bytes()),
        LoadError::Truncated { what: "an ELF segment" }
    );
    assert!(matches!(error(&Elf { memory: 8, ..Elf::good() }.bytes()), LoadError::Truncated { .. }));
    assert_eq!(error(&Elf { file: Some(0), memory: 0, ..Elf::good() }.bytes()), LoadError::Empty);
    assert_eq!(error(&header(1 << 16, &[AT, AT, 0])), LoadError::Truncated { what: "the multiboot header" });
    assert_eq!(error(&header(1 << 16, &[AT, AT + 4, 0, 0, AT])), LoadError::Addresses);
    assert_eq!(error(&header(1 << 16, &[AT + 4, AT, 0, 0, AT])), LoadError::Addresses);
    assert_eq!(error(&header(1 << 16, &[AT, AT, AT - 4, 0, AT])), LoadError::Addresses);
    assert_eq!(error(&header(1 << 16, &[AT, AT, 0, AT + 1, AT])), LoadError::Addresses);
    assert_eq!(error(&header(1 << 16, &[AT, AT, 0, 0, AT + 0x100])), LoadError::Entry { address: AT + 0x100 });
    assert!(matches!(error(&header(1 << 16, &[AT, AT, AT + 0x1000, 0, AT])), LoadError::Truncated { .. }));
}

#[test]
fn no_cut_of_an_image_is_taken_or_panics() {
    let good = Elf::good().bytes();
    for len in 0..good.len() {
        let error = error(&good[..len]);
        assert!(error.to_string().len() > 20);
    }
}

#[test]
fn small_machines_are_not_overrun() {
    let mut machine = Machine::new(Model::by_name("486").unwrap(), 0x1000);
    let elf = Elf { entry: START, virtual_at: 0, physical_at: 0, memory: 0x200, ..Elf::good() };
    machine.load(&elf.bytes()).unwrap();
    assert_eq!(machine.run(100), Exit::Port(7));
}
