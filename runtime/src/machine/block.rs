//! Decoded code, kept by physical page, and the short way from an EIP to its block.

use iced_x86::{Decoder, DecoderOptions, Instruction};

use super::core::{Core, seg};
use super::exec;
use super::fault::{Flow, Stop};
use super::memory::{PAGE, PAGE_MASK};
use super::mode::is_canonical;
use super::op::{After, Op, Way, run};
use super::paging::Access;

/// The longest instruction (SDM vol. 2, 2.3.11).
const LONGEST: usize = 15;
/// Blocks end after this many instructions even without a branch, so that the budget is looked at often enough.
const BLOCK_OPS: usize = 64;
/// Slots of the direct way from EIP to block; a power of two.
const JUMPS: usize = 4096;
/// Bytes of decoded code that are kept. Beyond that all of it is forgotten: a guest that enters every page at every byte
/// must not fill the host's memory. (Little in tests, which could not wait for so much.)
const MOST_BYTES: usize = if cfg!(test) { 1 << 20 } else { 64 << 20 };

/// A run of instructions that is entered only at its start and left only at its end (or by a fault).
pub(crate) struct Block {
    pub(crate) ops: Box<[Op]>,
    /// Bytes of code.
    pub(crate) len: u16,
    /// What it was decoded for: `Core::mode`.
    mode: u8,
}

impl Block {
    /// Bytes of the host's memory that it takes.
    fn bytes(&self) -> usize {
        size_of::<Self>() + size_of_val(&*self.ops)
    }
}

/// The blocks that begin in one physical page.
struct PageBlocks {
    /// By offset in the page: 1 + index into `Blocks::all`, or 0.
    starts: Box<[u32; PAGE as usize]>,
}

impl PageBlocks {
    /// Bytes of the host's memory that one takes.
    const BYTES: usize = size_of::<[u32; PAGE as usize]>();
}

#[derive(Clone, Copy)]
struct Jump {
    ip: u64,
    context: u64,
    block: u32,
}

/// All decoded blocks.
pub(crate) struct Blocks {
    all: Vec<Block>,
    free: Vec<u32>,
    /// Where the one block stands that is decoded each time.
    scratch: Option<u32>,
    pages: Vec<Option<PageBlocks>>,
    jumps: Box<[Jump; JUMPS]>,
    /// Bytes that all this takes, free blocks included; counted to keep below `MOST_BYTES`.
    held: usize,
}

impl Blocks {
    pub(crate) fn new(memory: usize) -> Self {
        let none = Jump { ip: 0, context: u64::MAX, block: 0 };
        let mut pages = Vec::new();
        pages.resize_with(memory / PAGE as usize, || None);
        Self { all: Vec::new(), free: Vec::new(), scratch: None, pages, jumps: Box::new([none; JUMPS]), held: 0 }
    }

    /// The block at the core's EIP, decoded if need be. A fault in fetching it is the first instruction's.
    #[inline(always)]
    pub(crate) fn at_ip(&mut self, core: &mut Core) -> Result<&Block, Stop> {
        let slot = (core.ip ^ core.ip >> 12) as usize % JUMPS;
        let jump = self.jumps[slot];
        let index = if jump.ip == core.ip && jump.context == core.context {
            jump.block
        } else {
            let (block, lasting) = self.find(core)?;
            if lasting {
                self.jumps[slot] = Jump { ip: core.ip, context: core.context, block };
            }
            block
        };
        Ok(&self.all[index as usize])
    }

    /// The block's index, and whether the same EIP will lead to it again.
    #[cold]
    fn find(&mut self, core: &mut Core) -> Result<(u32, bool), Stop> {
        core.block_ip = core.ip;
        let linear = core.fetch_linear(core.ip, 1)?;
        let physical = core.translate(linear, Access::fetch(core.cpl == 3))?;
        let mode = core.mode();
        if let Some(index) = self.cached(physical, mode)
            && core.in_code_segment(self.all[index as usize].len)
        {
            return Ok((index, true));
        }
        let (block, in_page) = decode(core, physical)?;
        if !in_page || !core.in_code_segment(block.len) {
            // Decoded each time: an instruction that crosses into another page, whose second half may change unseen, and
            // one beyond the code segment's limit, which is a good one under another limit.
            return Ok((self.put_scratch(block), false));
        }
        if self.held > MOST_BYTES {
            self.forget(core);
        }
        core.watch_code(physical, u64::from(block.len));
        let index = self.insert(block);
        self.remember(physical, index);
        Ok((index, true))
    }

    fn put_scratch(&mut self, block: Block) -> u32 {
        match self.scratch {
            Some(index) => {
                self.replace(index, block);
                index
            }
            None => {
                let index = self.insert(block);
                self.scratch = Some(index);
                index
            }
        }
    }

    fn cached(&self, physical: u64, mode: u8) -> Option<u32> {
        let page = self.pages.get((physical / PAGE) as usize)?.as_ref()?;
        let index = page.starts[(physical % PAGE) as usize].checked_sub(1)?;
        (self.all[index as usize].mode == mode).then_some(index)
    }

    fn insert(&mut self, block: Block) -> u32 {
        if let Some(index) = self.free.pop() {
            self.replace(index, block);
            return index;
        }
        self.held += block.bytes();
        self.all.push(block);
        (self.all.len() - 1) as u32
    }

    fn replace(&mut self, index: u32, block: Block) {
        let old = &mut self.all[index as usize];
        self.held = self.held - old.bytes() + block.bytes();
        *old = block;
    }

    fn remember(&mut self, physical: u64, index: u32) {
        if let Some(page) = self.pages.get_mut((physical / PAGE) as usize) {
            let page = page.get_or_insert_with(|| {
                self.held += PageBlocks::BYTES;
                PageBlocks { starts: Box::new([0; PAGE as usize]) }
            });
            let slot = &mut page.starts[(physical % PAGE) as usize];
            if let Some(old) = slot.checked_sub(1) {
                // The same code under another mode. Another linear address may still lead to the old block.
                for jump in self.jumps.iter_mut().filter(|jump| jump.block == old) {
                    jump.context = u64::MAX;
                }
                self.free.push(old);
            }
            *slot = index + 1;
        }
    }

    /// Forgets the blocks of pages that were written to.
    #[cold]
    pub(crate) fn drop_stale(&mut self, core: &mut Core) {
        for page in core.memory.take_stale() {
            if let Some(dropped) = self.pages[page as usize].take() {
                self.free.extend(dropped.starts.iter().filter_map(|start| start.checked_sub(1)));
                self.held -= PageBlocks::BYTES;
            }
        }
        core.new_context();
    }

    /// Forgets everything. Pages stay watched; that only makes the next write to each a slow one.
    #[cold]
    fn forget(&mut self, core: &mut Core) {
        self.all.clear();
        self.free.clear();
        self.scratch = None;
        self.pages.iter_mut().for_each(|page| *page = None);
        self.held = 0;
        core.new_context();
    }
}

impl Core {
    /// The linear address to fetch `size` bytes from; #GP(0) outside the code segment.
    fn fetch_linear(&mut self, ip: u64, size: u64) -> Result<u64, Stop> {
        let code = &self.segs[seg::CS as usize];
        let inside = if self.is_long() { is_canonical(ip) } else { code.contains(ip, size) };
        if !inside {
            return Err(self.gp(0));
        }
        Ok(self.segs[seg::CS as usize].linear(ip, self.ip_mask))
    }

    /// The default size of code, as a decoder takes it.
    fn bitness(&self) -> u32 {
        match (self.is_long(), self.segs[seg::CS as usize].descriptor.big()) {
            (true, _) => 64,
            (false, true) => 32,
            (false, false) => 16,
        }
    }

    /// Which way decoded instructions may reach memory.
    fn way(&self) -> Way {
        match (self.is_long(), self.is_flat()) {
            (true, _) => Way::Long,
            (false, true) => Way::Simple,
            (false, false) => Way::Careful,
        }
    }

    /// Whether `len` bytes from EIP on lie in the code segment.
    fn in_code_segment(&self, len: u16) -> bool {
        self.is_long() || self.segs[seg::CS as usize].contains(self.ip, u64::from(len))
    }

    /// The text of the instruction at an address of the current code segment, for a message; what can't be read is left out.
    pub(crate) fn disassemble(&mut self, ip: u64) -> String {
        let mut bytes = Vec::new();
        let base = self.segs[seg::CS as usize].origin;
        for i in 0..LONGEST as u64 {
            let saved = (self.fault, self.cr2);
            match self.load_unseen::<u8>(base.wrapping_add(ip).wrapping_add(i) & self.ip_mask, false) {
                Ok(byte) => bytes.push(byte),
                Err(_) => {
                    (self.fault, self.cr2) = saved;
                    break;
                }
            }
        }
        let bitness = self.bitness();
        let mut decoder = Decoder::with_ip(bitness, &bytes, ip, DecoderOptions::NONE);
        let mut text = String::new();
        let mut formatter = iced_x86::IntelFormatter::new();
        iced_x86::Formatter::format(&mut formatter, &decoder.decode(), &mut text);
        text
    }
}

/// Decodes from the core's EIP, which is at `physical`, to the end of the block or of the page.
///
/// The flag says whether all of it lies in one page of RAM; if not, the block is the one instruction that crosses into the
/// next page, or the zeroes that are read where there is no RAM.
fn decode(core: &mut Core, physical: u64) -> Result<(Block, bool), Stop> {
    let room = (PAGE - physical % PAGE) as usize;
    let start = physical as usize;
    let page = core.memory.ram().get(start..start + room).map(<[u8]>::to_vec).unwrap_or_else(|| vec![0; room]);
    let (ops, len) = decode_run(core, &page);
    if len > 0 {
        let block = Block { ops: ops.into_boxed_slice(), len: len as u16, mode: core.mode() };
        return Ok((block, inside(core, physical)));
    }
    let bytes = crossing(core, page)?;
    let (mut ops, len) = decode_run(core, &bytes);
    ops.truncate(1);
    let len = ops.first().map_or(len, |op| usize::from(op.end));
    Ok((Block { ops: ops.into_boxed_slice(), len: len as u16, mode: core.mode() }, false))
}

fn inside(core: &Core, physical: u64) -> bool {
    (physical & PAGE_MASK) + PAGE <= core.memory.size() as u64
}

/// The bytes of the instruction that begins at the end of a page: the rest of the page and the beginning of the next.
/// Faults as the fetch of the second part does.
fn crossing(core: &mut Core, mut bytes: Vec<u8>) -> Result<Vec<u8>, Stop> {
    let missing = LONGEST - bytes.len().min(LONGEST);
    for _ in 0..missing {
        let linear = core.fetch_linear(core.ip.wrapping_add(bytes.len() as u64), 1)?;
        let physical = core.translate(linear, Access::fetch(core.cpl == 3))?;
        bytes.push(core.memory.read(physical));
        if whole_instruction(core, &bytes) {
            break;
        }
    }
    Ok(bytes)
}

fn decoder<'a>(core: &Core, bytes: &'a [u8]) -> Decoder<'a> {
    let bitness = core.bitness();
    // IPs count from the block's start: blocks do not know where they will run.
    Decoder::with_ip(bitness, bytes, 0, DecoderOptions::NO_MPFX_0FBC | DecoderOptions::NO_MPFX_0FBD)
}

fn whole_instruction(core: &Core, bytes: &[u8]) -> bool {
    let mut decoder = decoder(core, bytes);
    let _ = decoder.decode();
    decoder.last_error() != iced_x86::DecoderError::NoMoreBytes
}

/// The operations that `bytes` begin with, up to the first that ends a block, and how many bytes they take; none if the
/// first is not complete. An instruction beyond the code segment's limit is left to fault on its own.
fn decode_run(core: &Core, bytes: &[u8]) -> (Vec<Op>, usize) {
    let mut decoder = decoder(core, bytes);
    let mut instruction = Instruction::default();
    let (mut ops, mut len) = (Vec::new(), 0);
    while decoder.can_decode() && ops.len() < BLOCK_OPS {
        decoder.decode_out(&mut instruction);
        if decoder.last_error() == iced_x86::DecoderError::NoMoreBytes {
            break;
        }
        let end = decoder.position();
        let limit = u64::from(core.segs[seg::CS as usize].limit);
        let beyond = !core.is_long() && core.ip + end as u64 - 1 > limit;
        if beyond && !ops.is_empty() {
            break;
        }
        let too_long = instruction.is_invalid() && end - len >= LONGEST;
        let mut op = Op::new(run!(outside), len as u16, end as u16, core.way());
        let after = if beyond || too_long { After::Ends } else { exec::lower(&instruction, &mut op, core.model) };
        ops.push(op);
        len = end;
        if after == After::Ends {
            break;
        }
    }
    (ops, len)
}

/// The instruction reaches past the code segment's limit, or has more than 15 bytes.
fn outside(core: &mut Core, _: &Op) -> Flow {
    Err(core.gp(0))
}

#[cfg(test)]
mod tests {
    use super::super::cpuid::Model;
    use super::super::machine::Machine;
    use super::*;

    #[test]
    fn a_guest_that_enters_code_at_every_byte_does_not_fill_memory() {
        const MEMORY: usize = 16 * PAGE as usize;
        let mut machine = Machine::new(Model::by_name("486").unwrap(), MEMORY);
        machine.write_physical(0, &[0x90; MEMORY]).unwrap();
        let mut blocks = Blocks::new(MEMORY);
        let core = &mut machine.core;
        for round in 0..2 {
            for ip in 0..0x2000 {
                core.ip = ip;
                let rest = PAGE - ip % PAGE;
                let block = blocks.at_ip(core).unwrap_or_else(|_| panic!("{ip:X}"));
                assert_eq!(u64::from(block.len), rest.min(BLOCK_OPS as u64), "{round}: {ip:X}");
                assert!(blocks.held <= MOST_BYTES + 0x8000);
            }
        }
        let held: usize = blocks.all.iter().map(Block::bytes).sum();
        let pages = blocks.pages.iter().flatten().count() * PageBlocks::BYTES;
        assert_eq!(blocks.held, held + pages);
    }
}
