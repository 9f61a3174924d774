//! A file in the form that the guest loads: pieces of bytes, what is changed in them, and the functions.

use std::borrow::Cow;

use ntgate_gen::Arch;

use super::guest::{Access, PAGE, RESERVED};

/// What a file is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    /// A PE image as it is on disk.
    Pe,
    /// A PE image as it is in memory.
    Mapped,
    /// A COFF object.
    Coff,
    /// An ELF object.
    Elf,
    /// An archive of objects.
    Archive,
}

impl Kind {
    /// The name used in every interface.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Pe => "pe",
            Self::Mapped => "mapped",
            Self::Coff => "coff",
            Self::Elf => "elf",
            Self::Archive => "archive",
        }
    }
}

/// Consecutive bytes.
#[derive(Clone, Debug)]
pub(super) struct Piece<'a> {
    pub(super) rva: u32,
    /// What lies beyond the bytes is zero.
    pub(super) size: u32,
    pub(super) bytes: Cow<'a, [u8]>,
    /// Where the file has it.
    pub(super) offset: u64,
    pub(super) access: Access,
}

impl Piece<'_> {
    fn end(&self) -> u32 {
        self.rva.saturating_add(self.size)
    }
}

/// A field that loading fills in.
#[derive(Clone, Copy, Debug)]
pub(super) struct Patch {
    pub(super) rva: u32,
    /// 1 to 8.
    pub(super) size: u8,
    pub(super) value: u64,
}

/// What a name stands for.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Target {
    /// A place in the image.
    Rva(u32),
    /// An export of another DLL.
    Forward(String),
}

/// A name, or a number, that a file gives to the outside.
#[derive(Clone, Debug)]
pub(super) struct Symbol {
    /// As it is called in lists: without the decoration of 32-bit Windows.
    pub(super) name: String,
    /// `@n` of that decoration.
    pub(super) decorated_bytes: Option<u32>,
    pub(super) target: Target,
}

/// A file, loaded.
#[derive(Debug)]
pub(super) struct Image<'a> {
    pub(super) arch: Arch,
    pub(super) kind: Kind,
    pub(super) base: u64,
    /// Whole pages.
    pub(super) size: u32,
    /// In the order of their places.
    pieces: Vec<Piece<'a>>,
    /// The furthest end of this piece and those before it.
    ends: Vec<u32>,
    /// In the order of their places.
    patches: Vec<Patch>,
    pub(super) symbols: Vec<Symbol>,
    /// Names of what lies outside, each with [`EXTERNAL`] bytes of addresses from `externals_at` on.
    pub(super) externals: Vec<String>,
    pub(super) externals_at: u64,
    /// Wine made it.
    pub(super) is_wine: bool,
    /// Argument bytes of each service, where the file has a table of them: the number of the first and the bytes.
    pub(super) argument_bytes: Vec<u8>,
}

/// Bytes of addresses that something outside has.
pub(super) const EXTERNAL: u64 = 16;

/// The end of the addresses that an image may have.
const fn user_end(arch: Arch) -> u64 {
    match arch {
        Arch::I386 => 0x7FFB_0000,
        Arch::Amd64 | Arch::Arm64 => 0x7FFF_FFFE_0000,
    }
}

/// Whether an image of this size, with what lies behind it, can be at an address.
pub(super) fn fits(arch: Arch, base: u64, size: u64) -> bool {
    let end = base.saturating_add(size);
    base.is_multiple_of(PAGE)
        && base >= 0x1_0000
        && end <= user_end(arch)
        && (end <= RESERVED.start || base >= RESERVED.end)
}

/// Where an image goes that cannot be where it wants to be.
pub(super) const fn other_base(arch: Arch) -> u64 {
    match arch {
        Arch::I386 => 0x1000_0000,
        Arch::Amd64 | Arch::Arm64 => 0x1_8000_0000,
    }
}

/// Room for what lies outside, behind an image of this size: the distance to it and its size, together.
pub(super) fn room_behind(size: u64, externals: usize) -> u64 {
    size.next_multiple_of(0x1_0000) + 0x1_0000 + EXTERNAL * externals as u64
}

/// Where what lies outside is, behind an image.
pub(super) fn externals_at(base: u64, size: u64) -> u64 {
    base + size.next_multiple_of(0x1_0000) + 0x1_0000
}

impl<'a> Image<'a> {
    pub(super) fn new(arch: Arch, kind: Kind, base: u64, size: u32, mut pieces: Vec<Piece<'a>>) -> Self {
        pieces.sort_by_key(|piece| piece.rva);
        let mut furthest = 0;
        let ends = pieces.iter().map(|piece| {
            furthest = piece.end().max(furthest);
            furthest
        });
        let ends = ends.collect();
        Self {
            arch,
            kind,
            base,
            size: size.next_multiple_of(PAGE as u32),
            pieces,
            ends,
            patches: Vec::new(),
            symbols: Vec::new(),
            externals: Vec::new(),
            externals_at: externals_at(base, size.into()),
            is_wine: false,
            argument_bytes: Vec::new(),
        }
    }

    pub(super) fn set_patches(&mut self, mut patches: Vec<Patch>) {
        patches.sort_by_key(|patch| patch.rva);
        self.patches = patches;
    }

    /// The place in the image of an address.
    pub(super) fn rva(&self, address: u64) -> Option<u32> {
        let rva = address.checked_sub(self.base)?;
        (rva < self.size.into()).then_some(rva as u32)
    }

    /// What lies outside at an address.
    pub(super) fn external(&self, address: u64) -> Option<&str> {
        let index = address.checked_sub(self.externals_at)? / EXTERNAL;
        self.externals.get(usize::try_from(index).ok()?).map(String::as_str)
    }

    /// Pieces that have something in a range, later ones first.
    fn pieces(&self, start: u32, end: u32) -> impl Iterator<Item = &Piece<'a>> {
        let behind = self.pieces.partition_point(|piece| piece.rva < end);
        let near = (0..behind).rev().take_while(move |&index| self.ends[index] > start);
        near.map(|index| &self.pieces[index]).filter(move |piece| piece.end() > start)
    }

    /// The page of a place as it is when the image has been loaded, and who may do what with it.
    pub(super) fn page(&self, rva: u32) -> Option<([u8; PAGE as usize], Access)> {
        let start = rva & !(PAGE as u32 - 1);
        let end = start.saturating_add(PAGE as u32);
        let mut page = [0; PAGE as usize];
        let access = self.fill(start, end, &mut page)?;
        Some((page, access))
    }

    /// Bytes as they are when the image has been loaded; what nothing is at is zero, `None` if that is all.
    pub(super) fn bytes(&self, rva: u32, size: u32) -> Option<Vec<u8>> {
        let end = rva.checked_add(size)?;
        let mut bytes = vec![0; size as usize];
        self.fill(rva, end, &mut bytes)?;
        Some(bytes)
    }

    fn fill(&self, start: u32, end: u32, into: &mut [u8]) -> Option<Access> {
        let mut access: Option<Access> = None;
        let found: Vec<_> = self.pieces(start, end).collect();
        for piece in found.into_iter().rev() {
            let before = access.unwrap_or_default();
            access = Some(Access {
                write: before.write || piece.access.write,
                execute: before.execute || piece.access.execute,
            });
            let from = start.max(piece.rva);
            let to = end.min(piece.rva.saturating_add(piece.bytes.len() as u32)).min(piece.end());
            if from < to {
                let source = &piece.bytes[(from - piece.rva) as usize..(to - piece.rva) as usize];
                into[(from - start) as usize..(to - start) as usize].copy_from_slice(source);
            }
        }
        let access = access?;
        // A field may begin before.
        let first = self.patches.partition_point(|patch| patch.rva < start.saturating_sub(7));
        for patch in self.patches[first..].iter().take_while(|patch| patch.rva < end) {
            for (at, byte) in (patch.rva..).zip(patch.value.to_le_bytes()).take(patch.size.into()) {
                if (start..end).contains(&at) {
                    into[(at - start) as usize] = byte;
                }
            }
        }
        Some(access)
    }

    /// The offset in the file of a place that the file has bytes for.
    pub(super) fn file_offset(&self, rva: u32) -> Option<u64> {
        let piece = self.pieces(rva, rva.checked_add(1)?).next()?;
        let inside = rva - piece.rva;
        ((inside as usize) < piece.bytes.len()).then_some(piece.offset + u64::from(inside))
    }

    /// Bytes of code from a place on, to the end of its piece and no more than `most`; none if it is not executable.
    pub(super) fn code_bytes(&self, rva: u32, most: u32) -> Vec<u8> {
        let end = self.pieces(rva, rva.saturating_add(1)).filter(|piece| piece.access.execute).map(Piece::end).max();
        let size = end.map_or(0, |end| (end - rva).min(most));
        self.bytes(rva, size).unwrap_or_default()
    }
}
