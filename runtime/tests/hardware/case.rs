//! One instruction with everything that it can see, and what it left behind.
//!
//! Processor and machine lay memory out alike, all of it below 64 KiB so that 16-bit addresses reach it:
//!
//! ```text
//!   4000h..8000h   breakpoints, with the instruction somewhere in them
//!   9000h..B000h   zeroes, with the operand window around the page boundary A000h
//!   C000h..E000h   zeroes, with the stack window around the page boundary D000h
//! ```

use std::fmt::Write;

/// Where code may be, and where branches may lead.
pub(crate) const CODE: std::ops::Range<u32> = 0x4000..0x8000;
/// Where the window of memory operands begins, and its bytes.
pub(crate) const DATA: u32 = 0x9FC0;
pub(crate) const DATA_SIZE: usize = 128;
/// Where the window of the stack begins, and its bytes.
pub(crate) const STACK: u32 = 0xCF40;
pub(crate) const STACK_SIZE: usize = 256;
/// Room for the instruction, or several.
pub(crate) const CODE_SIZE: usize = 80;

/// The flags that are compared: the arithmetic ones and DF.
pub(crate) const FLAGS: u32 = 0x8D5 | DF;
pub(crate) const CF: u32 = 1;
pub(crate) const PF: u32 = 4;
pub(crate) const AF: u32 = 0x10;
pub(crate) const ZF: u32 = 0x40;
pub(crate) const SF: u32 = 0x80;
pub(crate) const DF: u32 = 0x400;
pub(crate) const OF: u32 = 0x800;

const REGISTERS: [&str; 8] = ["eax", "ecx", "edx", "ebx", "esp", "ebp", "esi", "edi"];
const FLAG_NAMES: [(u32, &str); 7] =
    [(CF, "CF"), (PF, "PF"), (AF, "AF"), (ZF, "ZF"), (SF, "SF"), (DF, "DF"), (OF, "OF")];

/// What can be seen before and after.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct State {
    pub(crate) registers: [u32; 8],
    pub(crate) flags: u32,
    pub(crate) data: [u8; DATA_SIZE],
    pub(crate) stack: [u8; STACK_SIZE],
}

/// An instruction and the state that it starts from.
#[derive(Clone)]
pub(crate) struct Case {
    /// Index of the row of the table that it came from.
    pub(crate) row: usize,
    pub(crate) code_at: u32,
    pub(crate) code: Vec<u8>,
    pub(crate) before: State,
    /// Flags that the manual leaves undefined.
    pub(crate) undefined: u32,
}

/// What came of it.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Outcome {
    pub(crate) after: State,
    /// Offset from the instruction of where execution went on; the offset 0 and `faulted` for a fault.
    pub(crate) went: i32,
    pub(crate) faulted: bool,
}

impl State {
    /// All zero.
    pub(crate) fn zero() -> Self {
        Self { registers: [0; 8], flags: 0, data: [0; DATA_SIZE], stack: [0; STACK_SIZE] }
    }

    /// The byte of a window at an address.
    pub(crate) fn byte(&mut self, address: u32) -> Option<&mut u8> {
        if address >= STACK {
            self.stack.get_mut((address - STACK) as usize)
        } else {
            self.data.get_mut(address.checked_sub(DATA)? as usize)
        }
    }

    /// Writes bytes; what lies outside the windows is passed over.
    pub(crate) fn plant(&mut self, address: u32, bytes: &[u8]) {
        for (address, &value) in (address..).zip(bytes) {
            if let Some(byte) = self.byte(address) {
                *byte = value;
            }
        }
    }

    fn windows(&self) -> [(u32, &[u8]); 2] {
        [(DATA, &self.data), (STACK, &self.stack)]
    }

    /// What is different from `base`, as words of the vector files.
    pub(crate) fn difference(&self, base: &Self) -> String {
        let mut text = String::new();
        for (i, name) in REGISTERS.iter().enumerate() {
            if self.registers[i] != base.registers[i] {
                let _ = write!(text, " {name}={:x}", self.registers[i]);
            }
        }
        if self.flags != base.flags {
            let _ = write!(text, " flags={}", flag_names(self.flags));
        }
        for ((start, mine), (_, theirs)) in self.windows().into_iter().zip(base.windows()) {
            let mut open = false;
            for (i, (mine, theirs)) in mine.iter().zip(theirs).enumerate() {
                if mine != theirs {
                    if !open {
                        let _ = write!(text, " {:x}:", start + i as u32);
                    }
                    let _ = write!(text, "{mine:02x}");
                }
                open = mine != theirs;
            }
        }
        text
    }

    /// Puts in what [`State::difference`] has written; what it does not know it returns.
    pub(crate) fn apply(&mut self, words: &str) -> Result<(), String> {
        for word in words.split_whitespace() {
            let wrong = || word.to_owned();
            if let Some((address, bytes)) = word.split_once(':') {
                let address = u32::from_str_radix(address, 16).map_err(|_| wrong())?;
                self.plant(address, &from_hex(bytes).ok_or_else(wrong)?);
            } else if let Some(("flags", names)) = word.split_once('=') {
                self.flags = flags_from(names).ok_or_else(wrong)?;
            } else {
                let (name, value) = word.split_once('=').ok_or_else(wrong)?;
                let register = REGISTERS.iter().position(|r| *r == name).ok_or_else(wrong)?;
                self.registers[register] = u32::from_str_radix(value, 16).map_err(|_| wrong())?;
            }
        }
        Ok(())
    }
}

/// `CF,ZF`; `-` for none.
pub(crate) fn flag_names(flags: u32) -> String {
    let names: Vec<_> = FLAG_NAMES.iter().filter(|(mask, _)| flags & mask != 0).map(|(_, name)| *name).collect();
    if names.is_empty() { "-".to_owned() } else { names.join(",") }
}

/// The reverse of [`flag_names`].
pub(crate) fn flags_from(names: &str) -> Option<u32> {
    if names == "-" {
        return Some(0);
    }
    names.split(',').try_fold(0, |all, name| Some(all | FLAG_NAMES.iter().find(|(_, known)| *known == name)?.0))
}

/// `0fa4c1` for bytes.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The reverse of [`hex`].
pub(crate) fn from_hex(text: &str) -> Option<Vec<u8>> {
    let digits = text.as_bytes();
    digits.chunks(2).map(|pair| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()).collect()
}

impl Case {
    /// The instruction in Intel's syntax, or several, one after the other.
    pub(crate) fn disassembly(&self) -> String {
        use iced_x86::{Decoder, DecoderOptions, Formatter, IntelFormatter};
        let decoder = Decoder::with_ip(32, &self.code, u64::from(self.code_at), DecoderOptions::NONE);
        let mut formatter = IntelFormatter::new();
        let lines = decoder.into_iter().map(|instruction| {
            let mut text = String::new();
            formatter.format(&instruction, &mut text);
            text
        });
        lines.collect::<Vec<_>>().join("; ")
    }
}
