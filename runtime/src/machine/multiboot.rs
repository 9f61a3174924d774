//! Multiboot-1 images (Multiboot Specification 0.6.96): finding the header, loading the ELF file or what its address
//! fields say, and the state in which QEMU's `-kernel` enters such an image.

use std::fmt;

use object::LittleEndian;
use object::elf::{EM_386, FileHeader32, PT_LOAD};
use object::read::elf::{FileHeader, ProgramHeader};

use super::core::{CR0_ET, CR0_PE, Core, DR_RESET, Msrs, TableRegister, reg, seg};
use super::devices::Devices;
use super::exec::sse;
use super::flags;
use super::segment::{Descriptor, Segment, Selector};

/// The header lies in this many bytes at the beginning of the file.
const SEARCH: usize = 8192;
/// What a multiboot header begins with.
pub(crate) const HEADER_MAGIC: u32 = 0x1BAD_B002;
/// What EAX holds at the entry.
const LOADER_MAGIC: u32 = 0x2BAD_B002;

/// Header flags: modules on page boundaries; memory information; video mode (QEMU passes over that one too).
const KNOWN_FLAGS: u32 = 0b111;
/// Header flags 0 to 15 are requirements.
const REQUIREMENTS: u32 = 0xFFFF;
/// Header flag 16: the address fields are valid.
const ADDRESSES: u32 = 1 << 16;

/// Where the information goes, at QEMU's addresses.
const MEMORY_MAP_AT: u32 = 0x9000;
const INFO_AT: u32 = 0x9500;
const STRINGS_AT: u32 = 0x9600;
/// The option ROM's GDT that an image starts with, and its address in QEMU 7.2.
const GDT_AT: u32 = 0xC_B2B8;
const GDT: [u64; 5] = [0, 0x00CF_9A00_0000_FFFF, 0x00CF_9300_0000_FFFF, 0x0000_9E00_0000_FFFF, 0x0000_9200_0000_FFFF];
/// The option ROM's stack pointer. An image must not count on it.
const STACK: u64 = 0x6F08;

const LOADER_NAME: &[u8] = b"ntgate\0";
const COMMAND_LINE: &[u8] = b"\0";

/// Why an image can't be loaded.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum LoadError {
    /// No multiboot header in the first 8192 bytes.
    NoHeader,
    /// There is one, but its three first fields do not add up to zero.
    Checksum {
        /// Its offset in the file.
        offset: usize,
    },
    /// The header demands what this loader does not have.
    Requirements {
        /// The flags that are not known.
        flags: u32,
    },
    /// The header's address fields contradict each other.
    Addresses,
    /// Not an ELF file, and no address fields that would do instead.
    NotElf,
    /// An ELF file for another processor, or not a 32-bit one.
    NotI386,
    /// The file ends before something that it promises.
    Truncated {
        /// What is missing.
        what: &'static str,
    },
    /// A segment does not fit into memory, by its address or with those before it.
    OutsideMemory {
        /// Physical address of the segment.
        address: u32,
        /// Its bytes in memory.
        size: u32,
        /// Bytes of memory that the machine has.
        memory: usize,
    },
    /// No segment is to be loaded.
    Empty,
    /// The entry point is in no loaded segment.
    Entry {
        /// The entry point.
        address: u32,
    },
}

impl std::error::Error for LoadError {}

impl fmt::Display for LoadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoHeader => write!(
                f,
                "not a multiboot image: no header (magic 1BADB002h) in the first {SEARCH} bytes; link the header's section first"
            ),
            Self::Checksum { offset } => write!(
                f,
                "the multiboot header at {offset:#x} has a wrong checksum; magic, flags and checksum must add up to zero"
            ),
            Self::Requirements { flags } => {
                write!(
                    f,
                    "the multiboot header requires features {flags:#x}, which this loader does not have; clear those flags"
                )
            }
            Self::Addresses => write!(
                f,
                "the multiboot header's address fields contradict each other; clear flag 16 to have the ELF headers used"
            ),
            Self::NotElf => {
                write!(f, "not an ELF file; build one, or set flag 16 of the multiboot header and its address fields")
            }
            Self::NotI386 => write!(f, "not a 32-bit little-endian i386 ELF file; build with -m32 (ld: -m elf_i386)"),
            Self::Truncated { what } => {
                write!(f, "the image is cut off: {what} is not all there; build or copy it again")
            }
            Self::OutsideMemory { address, size, memory } => write!(
                f,
                "a segment of {size:#x} bytes at {address:#x} does not fit into {memory:#x} bytes of memory; give the machine more, or link the image lower"
            ),
            Self::Empty => {
                write!(f, "the image has nothing to load; it needs at least one PT_LOAD segment with contents")
            }
            Self::Entry { address } => {
                write!(
                    f,
                    "the entry point {address:#x} is in no loaded segment; check the linker's -e and the addresses"
                )
            }
        }
    }
}

/// What the multiboot header says.
struct Header {
    /// In the file.
    offset: usize,
    flags: u32,
    /// header_addr, load_addr, load_end_addr, bss_end_addr, entry_addr; zeroes without flag 16.
    addresses: [u32; 5],
}

/// A part of the image, checked to lie in the file.
struct Part<'a> {
    /// Physical.
    address: u32,
    bytes: &'a [u8],
    /// Bytes in memory; what goes beyond `bytes` is cleared.
    size: u32,
}

/// Loads a multiboot image and puts the machine into the state of its entry. Nothing is changed on an error.
pub(crate) fn load(core: &mut Core, image: &[u8]) -> Result<(), LoadError> {
    let header = find_header(image)?;
    let (parts, entry) = if header.flags & ADDRESSES != 0 { by_addresses(image, &header)? } else { by_elf(image)? };
    let memory = core.memory.size();
    let mut total = 0;
    for part in &parts {
        let end = u64::from(part.address) + u64::from(part.size);
        // Parts have no reason to overlap; thousands of them, each as large as memory, would take hours to load.
        total += u64::from(part.size);
        if end.max(total) > memory as u64 {
            return Err(LoadError::OutsideMemory { address: part.address, size: part.size, memory });
        }
    }
    for part in &parts {
        put(core, part.address, part.bytes);
        let rest = part.size as usize - part.bytes.len();
        put(core, part.address + part.bytes.len() as u32, &vec![0; rest]);
    }
    write_information(core);
    enter(core, entry);
    Ok(())
}

fn word(bytes: &[u8], at: usize) -> Option<u32> {
    let slice = bytes.get(at..at.checked_add(4)?)?;
    Some(u32::from_le_bytes(slice.try_into().ok()?))
}

fn find_header(image: &[u8]) -> Result<Header, LoadError> {
    let head = &image[..image.len().min(SEARCH)];
    let mut wrong = None;
    for offset in (0..head.len()).step_by(4) {
        let (Some(HEADER_MAGIC), Some(flags), Some(checksum)) =
            (word(head, offset), word(head, offset + 4), word(head, offset + 8))
        else {
            continue;
        };
        if HEADER_MAGIC.wrapping_add(flags).wrapping_add(checksum) != 0 {
            wrong.get_or_insert(LoadError::Checksum { offset });
            continue;
        }
        let unknown = flags & REQUIREMENTS & !KNOWN_FLAGS;
        if unknown != 0 {
            return Err(LoadError::Requirements { flags: unknown });
        }
        let mut addresses = [0; 5];
        if flags & ADDRESSES != 0 {
            for (i, address) in addresses.iter_mut().enumerate() {
                *address =
                    word(image, offset + 12 + 4 * i).ok_or(LoadError::Truncated { what: "the multiboot header" })?;
            }
        }
        return Ok(Header { offset, flags, addresses });
    }
    Err(wrong.unwrap_or(LoadError::NoHeader))
}

/// The image as the header's address fields describe it: one run of bytes, then a cleared one.
fn by_addresses<'a>(image: &'a [u8], header: &Header) -> Result<(Vec<Part<'a>>, u32), LoadError> {
    let [header_at, start, load_end, bss_end, entry] = header.addresses;
    let before = header_at.checked_sub(start).ok_or(LoadError::Addresses)? as usize;
    let from = header.offset.checked_sub(before).ok_or(LoadError::Addresses)?;
    let rest = image.get(from..).ok_or(LoadError::Addresses)?;
    let bytes = if load_end == 0 {
        rest
    } else {
        let len = load_end.checked_sub(start).ok_or(LoadError::Addresses)? as usize;
        rest.get(..len).ok_or(LoadError::Truncated { what: "the part that the header's addresses name" })?
    };
    let loaded = u32::try_from(bytes.len()).map_err(|_| LoadError::Addresses)?;
    let size = match bss_end {
        0 => loaded,
        end => end.checked_sub(start).filter(|size| *size >= loaded).ok_or(LoadError::Addresses)?,
    };
    if !(start..start.saturating_add(loaded)).contains(&entry) {
        return Err(LoadError::Entry { address: entry });
    }
    Ok((vec![Part { address: start, bytes, size }], entry))
}

fn by_elf(image: &[u8]) -> Result<(Vec<Part<'_>>, u32), LoadError> {
    if !image.starts_with(b"\x7FELF") {
        return Err(LoadError::NotElf);
    }
    // Class ELFCLASS32 and data ELFDATA2LSB, before the reader takes the layout for granted.
    if image.get(4..6).is_some_and(|ident| ident != [1, 1]) {
        return Err(LoadError::NotI386);
    }
    let header =
        FileHeader32::<LittleEndian>::parse(image).map_err(|_| LoadError::Truncated { what: "the ELF header" })?;
    let endian = LittleEndian;
    if header.e_machine(endian) != EM_386 {
        return Err(LoadError::NotI386);
    }
    let headers = header
        .program_headers(endian, image)
        .map_err(|_| LoadError::Truncated { what: "the ELF program header table" })?;
    let virtual_entry = header.e_entry(endian);
    let (mut parts, mut entry) = (Vec::new(), None);
    for segment in headers.iter().filter(|segment| segment.p_type(endian) == PT_LOAD) {
        let bytes = segment.data(endian, image).map_err(|()| LoadError::Truncated { what: "an ELF segment" })?;
        let (address, size) = (segment.p_paddr(endian), segment.p_memsz(endian));
        if (size as usize) < bytes.len() {
            return Err(LoadError::Truncated { what: "an ELF segment's memory (smaller than its contents)" });
        }
        // The entry point is a virtual address; what is entered is the physical one of the same byte.
        let offset = virtual_entry.wrapping_sub(segment.p_vaddr(endian));
        if (offset as usize) < bytes.len() {
            entry = entry.or(Some(address.wrapping_add(offset)));
        }
        if size > 0 {
            parts.push(Part { address, bytes, size });
        }
    }
    if parts.iter().all(|part| part.bytes.is_empty()) {
        return Err(LoadError::Empty);
    }
    Ok((parts, entry.ok_or(LoadError::Entry { address: virtual_entry })?))
}

fn put(core: &mut Core, address: u32, bytes: &[u8]) {
    // Parts were checked; the information below 1 MiB is left out where a small machine has no room for it.
    let _ = core.memory.write_bytes(u64::from(address), bytes);
}

/// The information structure (Multiboot Specification, 3.3), the memory map, the strings and the GDT.
fn write_information(core: &mut Core) {
    const FLAGS: u32 = 1 << 0 | 1 << 1 | 1 << 2 | 1 << 3 | 1 << 6 | 1 << 9;
    const KIB: u64 = 1024;
    const MIB: u64 = KIB * KIB;
    const RAM: u32 = 1;
    const RESERVED: u32 = 2;
    let size = core.memory.size() as u64;
    let map = [
        (0, 0x9_FC00.min(size), RAM),
        (0x9_FC00, 0x400, RESERVED),
        (0xF_0000, 0x1_0000, RESERVED),
        (MIB, size.saturating_sub(MIB), RAM),
    ];
    let mut bytes = Vec::new();
    for (base, length, kind) in map {
        bytes.extend_from_slice(&20u32.to_le_bytes());
        bytes.extend_from_slice(&base.to_le_bytes());
        bytes.extend_from_slice(&length.to_le_bytes());
        bytes.extend_from_slice(&u32::to_le_bytes(kind));
    }
    put(core, MEMORY_MAP_AT, &bytes);
    let command_line = STRINGS_AT;
    let loader_name = STRINGS_AT + COMMAND_LINE.len() as u32;
    put(core, command_line, COMMAND_LINE);
    put(core, loader_name, LOADER_NAME);
    let mut info = [0u32; 29];
    info[0] = FLAGS;
    info[1] = (size.min(639 * KIB) / KIB) as u32;
    info[2] = (size.saturating_sub(MIB) / KIB) as u32;
    info[3] = 0x8000_FFFF; // boot device: first disk, no partition
    info[4] = command_line;
    info[11] = bytes.len() as u32;
    info[12] = MEMORY_MAP_AT;
    info[16] = loader_name;
    put(core, INFO_AT, &info.map(u32::to_le_bytes).concat());
    put(core, GDT_AT, &GDT.map(u64::to_le_bytes).concat());
}

/// The state at the entry: flat 32-bit segments, paging and interrupts off.
fn enter(core: &mut Core, entry: u32) {
    core.regs.fill(0);
    core.regs[reg::AX as usize] = u64::from(LOADER_MAGIC);
    core.regs[reg::BX as usize] = u64::from(INFO_AT);
    core.regs[reg::CX as usize] = u64::from(entry);
    core.regs[reg::SP as usize] = STACK;
    core.gdtr = TableRegister { base: u64::from(GDT_AT), limit: 8 * GDT.len() as u16 - 1 };
    core.idtr = TableRegister { base: 0, limit: 0x3FF };
    core.cr0 = CR0_PE | CR0_ET;
    (core.cr2, core.cr3, core.cr4) = (0, 0, 0);
    (core.dr, core.msrs, core.cr8) = (DR_RESET, Msrs::default(), 0);
    (core.devices, core.halted, core.inhibit) = (Devices::default(), false, false);
    (core.xmm, core.mxcsr, core.fcw) = ([0; 16], sse::MXCSR_RESET, sse::FCW_RESET);
    core.flags.set(flags::ALWAYS);
    flat_segments(core);
    core.ip = u64::from(entry);
    core.flush_tlb();
}

/// Code at selector 08 and data at 10, as the GDT above has them; no LDT and no task.
pub(crate) fn flat_segments(core: &mut Core) {
    let data = Segment::new(Selector(0x10), Descriptor(GDT[2]));
    for register in [seg::ES, seg::DS, seg::FS, seg::GS] {
        core.set_data_segment(register, data);
    }
    core.segs[seg::LDTR as usize] = Segment::null(Selector(0));
    core.segs[seg::TR as usize] = Segment::null(Selector(0));
    core.set_ss(data);
    core.set_cs(Segment::new(Selector(8), Descriptor(GDT[1])), 0);
}

#[cfg(test)]
mod tests;
