//! Physical memory, and which parts of it hold decoded instructions.

use super::width::Width;

/// Bytes in a page frame.
pub(crate) const PAGE: u64 = 0x1000;
/// The part of an address that names its page.
pub(crate) const PAGE_MASK: u64 = !(PAGE - 1);
/// Each page is watched in 64 pieces of this many bytes: one bit each of a `u64`.
const PIECE_SHIFT: u64 = 6;

/// RAM from address 0 on. What lies beyond reads as zero and ignores writes, as QEMU's unassigned memory does.
#[derive(Clone)]
pub(crate) struct Memory {
    ram: Vec<u8>,
    /// For each page, the pieces that hold bytes of decoded blocks.
    code: Vec<u64>,
    /// Pages whose decoded blocks have been written over since the run loop last looked.
    stale: Vec<u32>,
}

impl Memory {
    /// `size` bytes of zeroes, rounded up to whole pages.
    pub(crate) fn new(size: usize) -> Self {
        let size = size.div_ceil(PAGE as usize) * PAGE as usize;
        Self { ram: vec![0; size], code: vec![0; size / PAGE as usize], stale: Vec::new() }
    }

    /// Bytes of RAM.
    pub(crate) fn size(&self) -> usize {
        self.ram.len()
    }

    /// RAM as it is.
    #[inline(always)]
    pub(crate) fn ram(&self) -> &[u8] {
        &self.ram
    }

    /// Reads an operand; it must not cross the end of RAM by part, or all of it reads as zero.
    #[inline(always)]
    pub(crate) fn read<W: Width>(&self, address: u64) -> W {
        W::read(&self.ram, address as usize).unwrap_or_else(|| W::cut(0))
    }

    /// Writes an operand to a page that is known to hold no decoded code.
    #[inline(always)]
    pub(crate) fn write_plain<W: Width>(&mut self, address: u32, value: W) -> Option<()> {
        value.write(&mut self.ram, address as usize)
    }

    /// Copies bytes to a page that is known to hold no decoded code; the ranges may overlap.
    pub(crate) fn copy_plain(&mut self, from: usize, to: usize, len: usize) -> Option<()> {
        let size = self.ram.len();
        if from.checked_add(len)? > size || to.checked_add(len)? > size {
            return None;
        }
        self.ram.copy_within(from..from + len, to);
        Some(())
    }

    /// Fills a part of a page that is known to hold no decoded code.
    pub(crate) fn fill_plain<W: Width>(&mut self, to: usize, value: W, count: usize) -> Option<()> {
        let bytes = value.zx().to_le_bytes();
        let size = W::BYTES as usize;
        let target = self.ram.get_mut(to..to.checked_add(count.checked_mul(size)?)?)?;
        for element in target.chunks_exact_mut(size) {
            element.copy_from_slice(&bytes[..size]);
        }
        Some(())
    }

    /// Writes an operand that lies in one page. True if decoded instructions were hit, so the block must be left.
    pub(crate) fn write<W: Width>(&mut self, address: u64, value: W) -> bool {
        if value.write(&mut self.ram, address as usize).is_none() {
            return false;
        }
        self.touched(address, u64::from(W::BYTES))
    }

    /// Writes bytes, over pages, as the loader does it.
    pub(crate) fn write_bytes(&mut self, address: u64, bytes: &[u8]) -> Option<()> {
        let start = usize::try_from(address).ok()?;
        self.ram.get_mut(start..start.checked_add(bytes.len())?)?.copy_from_slice(bytes);
        let mut at = address;
        let end = address + bytes.len() as u64;
        while at < end {
            let next = (at & PAGE_MASK) + PAGE;
            self.touched(at, next.min(end) - at);
            at = next;
        }
        Some(())
    }

    /// The pieces of one page that `len` bytes at `address` lie in.
    fn pieces(address: u64, len: u64) -> u64 {
        let first = (address & (PAGE - 1)) >> PIECE_SHIFT;
        let last = ((address & (PAGE - 1)) + len.max(1) - 1).min(PAGE - 1) >> PIECE_SHIFT;
        (u64::MAX >> (63 - (last - first))) << first
    }

    fn touched(&mut self, address: u64, len: u64) -> bool {
        let page = (address / PAGE) as usize;
        match self.code.get(page) {
            Some(&pieces) if pieces & Self::pieces(address, len) != 0 => {
                self.code[page] = 0;
                self.stale.push(page as u32);
                true
            }
            _ => false,
        }
    }

    /// Notes that `len` bytes at `address` (one page) have been decoded. True if the page had no code before, so the
    /// translations that allow plain writes to it must go.
    pub(crate) fn watch(&mut self, address: u64, len: u64) -> bool {
        match self.code.get_mut((address / PAGE) as usize) {
            Some(pieces) => {
                let first = *pieces == 0;
                *pieces |= Self::pieces(address, len);
                first
            }
            None => false,
        }
    }

    /// Whether the page holds decoded code (or is not RAM), so that writes to it need a look.
    pub(crate) fn is_watched(&self, address: u64) -> bool {
        self.code.get((address / PAGE) as usize).is_none_or(|pieces| *pieces != 0)
    }

    /// The pages whose blocks are stale, once.
    pub(crate) fn take_stale(&mut self) -> Vec<u32> {
        std::mem::take(&mut self.stale)
    }

    /// Whether there are any.
    #[inline(always)]
    pub(crate) fn has_stale(&self) -> bool {
        !self.stale.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_write_is_noticed_only_where_code_was_decoded() {
        let mut memory = Memory::new(0x2000);
        assert!(memory.watch(0x1040, 0x41));
        assert!(!memory.watch(0x1044, 4));
        assert!(!memory.write(0x1000, 1u32));
        assert!(!memory.write(0x10C0, 1u32));
        assert!(memory.write(0x1080, 1u8));
        assert_eq!(memory.take_stale(), [1]);
        assert!(!memory.write(0x1080, 1u8));
    }

    #[test]
    fn beyond_ram_reads_zero_and_ignores_writes() {
        let mut memory = Memory::new(0x1000);
        assert!(!memory.write(0xFFE, 0x1234_5678u32));
        assert_eq!(memory.read::<u32>(0xFFE), 0);
        assert_eq!(memory.read::<u32>(u64::MAX), 0);
        assert!(memory.write_bytes(0xFFF, &[1, 2]).is_none());
    }
}
