//! Registers, and what an instruction changed of them.

use crate::machine::{Machine, SegmentRegister};

/// A register that got another value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Change {
    /// Its name: `eax`, `rax`, `efl`, `cs`.
    pub register: &'static str,
    /// What it held.
    pub before: u64,
    /// What it holds now.
    pub after: u64,
    /// Hexadecimal digits that it has.
    pub digits: usize,
}

const NAMES_32: [&str; 8] = ["eax", "ecx", "edx", "ebx", "esp", "ebp", "esi", "edi"];

const NAMES_64: [&str; 16] =
    ["rax", "rcx", "rdx", "rbx", "rsp", "rbp", "rsi", "rdi", "r8", "r9", "r10", "r11", "r12", "r13", "r14", "r15"];

const SEGMENTS: [(&str, SegmentRegister); 6] = [
    ("es", SegmentRegister::Es),
    ("cs", SegmentRegister::Cs),
    ("ss", SegmentRegister::Ss),
    ("ds", SegmentRegister::Ds),
    ("fs", SegmentRegister::Fs),
    ("gs", SegmentRegister::Gs),
];

/// The registers at one moment.
pub(super) struct State {
    long: bool,
    general: [u64; 16],
    flags: u64,
    selectors: [u16; 6],
    gs_base: u64,
    mxcsr: u32,
}

impl State {
    pub(super) fn of(machine: &Machine) -> Self {
        let mut general = [0; 16];
        for (number, slot) in (0..).zip(&mut general) {
            *slot = machine.register64(number).unwrap_or_default();
        }
        Self {
            long: machine.long_mode().0,
            general,
            flags: machine.flags().get().into(),
            selectors: SEGMENTS.map(|(_, register)| machine.segment(register).selector.0),
            gs_base: machine.segment(SegmentRegister::Gs).base,
            mxcsr: machine.mxcsr(),
        }
    }

    /// What is no longer as it was, in the order of the registers' numbers.
    pub(super) fn changes_from(&self, before: &Self) -> Vec<Change> {
        let mut changes = Vec::new();
        let mut compare = |register: &'static str, before: u64, after: u64, digits: usize| {
            if before != after {
                changes.push(Change { register, before, after, digits });
            }
        };
        let (names, digits) = if self.long { (&NAMES_64[..], 16) } else { (&NAMES_32[..], 8) };
        for (index, name) in names.iter().enumerate() {
            compare(name, before.general[index], self.general[index], digits);
        }
        for (index, (name, _)) in SEGMENTS.iter().enumerate() {
            compare(name, before.selectors[index].into(), self.selectors[index].into(), 4);
        }
        compare("efl", before.flags, self.flags, 8);
        if self.long {
            compare("gsbase", before.gs_base, self.gs_base, 16);
            compare("mxcsr", before.mxcsr.into(), self.mxcsr.into(), 8);
        }
        changes
    }
}
