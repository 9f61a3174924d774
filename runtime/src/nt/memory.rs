//! The guest's address space: what is mapped where, the page tables for it, and the ELF file that loads it.

use object::elf;
use object::endian::LittleEndian;
use object::pod::bytes_of;
use object::read::elf::{FileHeader, ProgramHeader};

use super::BuildError;
use super::i386::layout::PAGE;
use super::paging::{Mode, PageTables};
use crate::machine::HEADER_MAGIC;

/// Multiboot 1 header: magic, flags, checksum (Multiboot Specification 0.6.96, 3.1). No flags: the ELF headers tell all.
pub(crate) const MULTIBOOT_HEADER: [u32; 3] = [HEADER_MAGIC, 0, HEADER_MAGIC.wrapping_neg()];

/// Who may do what with a page.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Access {
    /// Ring 0 reads and executes.
    Kernel,
    /// Ring 0 reads and writes.
    KernelWrite,
    /// All read and execute.
    User,
    /// All read. In a mode that can't tell, as [`User`](Self::User).
    UserRead,
    /// All read and write.
    UserWrite,
}

impl Access {
    fn segment_flags(self) -> elf::ProgramFlags {
        match self {
            Access::Kernel | Access::User => elf::PF_R | elf::PF_X,
            Access::UserRead => elf::PF_R,
            Access::KernelWrite | Access::UserWrite => elf::PF_R | elf::PF_W,
        }
    }
}

/// Consecutive pages with their content.
#[derive(Debug, Clone)]
pub(crate) struct Region {
    /// First address, on a page boundary.
    pub(crate) address: u64,
    /// Content from the first address on; what is missing up to `size` is zero.
    pub(crate) bytes: Vec<u8>,
    /// Size, whole pages.
    pub(crate) size: u32,
    /// Who may do what.
    pub(crate) access: Access,
    /// A second address of the same pages.
    pub(crate) alias: Option<(u64, Access)>,
}

impl Region {
    /// A region that holds `bytes` and at least `size` bytes.
    pub(crate) fn new(address: impl Into<u64>, bytes: Vec<u8>, size: u32, access: Access) -> Self {
        let address = address.into();
        let size = pages(size.max(bytes.len() as u32));
        Self { address, bytes, size, access, alias: None }
    }
}

/// Rounded up to whole pages.
pub(crate) fn pages(size: u32) -> u32 {
    size.div_ceil(PAGE) * PAGE
}

/// Physical address of the page tables, the root first: the page after the boot code.
pub(crate) fn page_tables(boot_physical: u32) -> u32 {
    boot_physical + PAGE
}

/// Lays the regions out in physical memory behind the boot page and gives the file. `boot` begins with the multiboot
/// header and is loaded at, and mapped to, `boot_physical`.
pub(crate) fn elf_image(
    boot: Vec<u8>,
    boot_physical: u32,
    entry: u32,
    mode: Mode,
    regions: &[Region],
) -> Result<Vec<u8>, BuildError> {
    check_overlap(mode, boot_physical, regions)?;
    let root = page_tables(boot_physical);
    let boot = Region::new(boot_physical, boot, PAGE, Access::Kernel);
    if boot.size != PAGE {
        return Err(BuildError::DoesNotFit { what: "boot code" });
    }
    let mut tables = PageTables::new(mode, root);
    tables.map(boot.address, boot_physical, boot.size, boot.access);
    // The tables' number depends only on the virtual addresses, so a first pass finds it.
    for region in regions {
        tables.reserve(region.address, region.size);
        if let Some((alias, _)) = region.alias {
            tables.reserve(alias, region.size);
        }
    }
    let mut physical = root + tables.size();
    let mut segments = vec![(boot_physical, boot_physical, &boot)];
    for region in regions {
        tables.map(region.address, physical, region.size, region.access);
        if let Some((alias, access)) = region.alias {
            tables.map(alias, physical, region.size, access);
        }
        segments.push((file_address(region.address, physical), physical, region));
        physical += region.size;
    }
    let paging = Region::new(root, tables.bytes(), 0, Access::KernelWrite);
    segments.insert(1, (root, root, &paging));
    Ok(write_elf(entry, &segments))
}

/// What the file gives as a segment's virtual address: its fields have 32 bits, and loaders go by the physical one.
fn file_address(address: u64, physical: u32) -> u32 {
    u32::try_from(address).unwrap_or(physical)
}

/// No page has two contents, and none is the boot code's or where the page tables show themselves.
fn check_overlap(mode: Mode, boot: u32, regions: &[Region]) -> Result<(), BuildError> {
    let mut spans = vec![(boot.into(), PAGE.into()), mode.window()];
    for region in regions {
        spans.push((region.address, region.size.into()));
        if let Some((alias, _)) = region.alias {
            spans.push((alias, region.size.into()));
        }
    }
    spans.sort_unstable();
    let overlap = spans.windows(2).find_map(|pair| match pair {
        [(low, size), (high, _)] if low.saturating_add(*size) > *high => Some(*high),
        _ => None,
    });
    overlap.map_or(Ok(()), |address| Err(BuildError::Overlap { address }))
}

/// Writes the file: header, program headers, then each segment's bytes up to its last that is not zero.
fn write_elf(entry: u32, segments: &[(u32, u32, &Region)]) -> Vec<u8> {
    let header_size = size_of::<elf::FileHeader32<LittleEndian>>();
    let program_size = size_of::<elf::ProgramHeader32<LittleEndian>>();
    let mut offset = (header_size + program_size * segments.len()).next_multiple_of(16);
    let mut programs = Vec::with_capacity(segments.len());
    let mut content = Vec::with_capacity(segments.len());
    for (address, physical, region) in segments {
        let used = region.bytes.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
        let bytes = &region.bytes[..used];
        programs.push(elf::ProgramHeader32::<LittleEndian> {
            p_type: elf::PT_LOAD.into(),
            p_offset: (offset as u32).into(),
            p_vaddr: (*address).into(),
            p_paddr: (*physical).into(),
            p_filesz: (used as u32).into(),
            p_memsz: (region.size).into(),
            p_flags: region.access.segment_flags().into(),
            p_align: 1.into(),
        });
        content.push((offset, bytes));
        offset = (offset + used).next_multiple_of(16);
    }
    let header = elf::FileHeader32::<LittleEndian> {
        e_ident: elf::Ident {
            magic: elf::ELFMAG,
            class: elf::ELFCLASS32,
            data: elf::ELFDATA2LSB,
            version: elf::EV_CURRENT,
            os_abi: elf::ELFOSABI_NONE,
            abi_version: 0,
            padding: [0; 7],
        },
        e_type: elf::ET_EXEC.into(),
        e_machine: elf::EM_386.into(),
        e_version: u32::from(elf::EV_CURRENT.0).into(),
        e_entry: entry.into(),
        e_phoff: (header_size as u32).into(),
        e_shoff: 0.into(),
        e_flags: elf::FileFlags(0).into(),
        e_ehsize: (header_size as u16).into(),
        e_phentsize: (program_size as u16).into(),
        e_phnum: (segments.len() as u16).into(),
        e_shentsize: 0.into(),
        e_shnum: 0.into(),
        e_shstrndx: elf::SHN_UNDEF.into(),
    };
    let mut file = Vec::with_capacity(offset);
    file.extend_from_slice(bytes_of(&header));
    for program in &programs {
        file.extend_from_slice(bytes_of(program));
    }
    for (offset, bytes) in content {
        file.resize(offset, 0);
        file.extend_from_slice(bytes);
    }
    file
}

/// Where in a file made by [`elf_image`] the byte at a virtual address is, if it is not one of the zeros left out.
pub(crate) fn file_offset(file: &[u8], address: u32) -> Option<usize> {
    let header = elf::FileHeader32::<LittleEndian>::parse(file).ok()?;
    let endian = header.endian().ok()?;
    let holds = |program: &&elf::ProgramHeader32<LittleEndian>| {
        let start = program.p_vaddr(endian);
        address.checked_sub(start).is_some_and(|offset| offset < program.p_filesz(endian))
    };
    let program = header.program_headers(endian, file).ok()?.iter().find(holds)?;
    Some((program.p_offset(endian) + (address - program.p_vaddr(endian))) as usize)
}
