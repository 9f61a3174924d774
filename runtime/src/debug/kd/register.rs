//! Registers by name, and the set of them that a command looks at: the processor's, or those that a trap frame keeps.

use crate::debug::Guest;
use crate::machine::{Machine, SegmentRegister, flags};

/// A register that has a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Register {
    /// A general register: its number, bytes of it, and where in it they begin.
    General { number: u8, size: u8, shift: u8 },
    /// EIP or RIP.
    Ip,
    /// EFLAGS.
    Flags,
    /// One flag.
    Flag(u32),
    /// A selector.
    Segment(SegmentRegister),
    /// A control register.
    Control(u8),
    /// A debug register.
    Debug(u8),
    /// `gdtr`, `idtr`: the base; `gdtl`, `idtl`: the limit.
    Table { interrupts: bool, limit: bool },
}

/// The names of the general registers, as wide as they are.
pub(super) const NAMES_32: [&str; 8] = ["eax", "ecx", "edx", "ebx", "esp", "ebp", "esi", "edi"];
pub(super) const NAMES_64: [&str; 16] =
    ["rax", "rcx", "rdx", "rbx", "rsp", "rbp", "rsi", "rdi", "r8", "r9", "r10", "r11", "r12", "r13", "r14", "r15"];
const NAMES_16: [&str; 8] = ["ax", "cx", "dx", "bx", "sp", "bp", "si", "di"];
const NAMES_8: [&str; 4] = ["a", "c", "d", "b"];

const SEGMENTS: [(&str, SegmentRegister); 8] = [
    ("cs", SegmentRegister::Cs),
    ("ss", SegmentRegister::Ss),
    ("ds", SegmentRegister::Ds),
    ("es", SegmentRegister::Es),
    ("fs", SegmentRegister::Fs),
    ("gs", SegmentRegister::Gs),
    ("tr", SegmentRegister::Tr),
    ("ldtr", SegmentRegister::Ldtr),
];

const FLAGS: [(&str, u32); 9] = [
    ("cf", flags::CF),
    ("pf", flags::PF),
    ("af", flags::AF),
    ("zf", flags::ZF),
    ("sf", flags::SF),
    ("tf", flags::TF),
    ("if", flags::IF),
    ("df", flags::DF),
    ("of", flags::OF),
];

/// The register of this name, in small letters. Those of 64 bits are for guests that have them.
pub(super) fn find(name: &str, guest: Guest) -> Option<Register> {
    let long = matches!(guest, Guest::Amd64(_));
    general(name, long).or_else(|| system(name, long))
}

fn general(name: &str, long: bool) -> Option<Register> {
    let among = |names: &[&str], size, shift| {
        let number = names.iter().position(|known| *known == name)? as u8;
        Some(Register::General { number, size, shift })
    };
    if let Some(found) = among(&NAMES_32, 4, 0).or_else(|| among(&NAMES_16, 2, 0)) {
        return Some(found);
    }
    let byte = |end: &str| NAMES_8.iter().position(|known| name.strip_suffix(end) == Some(known));
    if let Some(number) = byte("l") {
        return Some(Register::General { number: number as u8, size: 1, shift: 0 });
    }
    if let Some(number) = byte("h") {
        return Some(Register::General { number: number as u8, size: 1, shift: 8 });
    }
    if !long {
        return None;
    }
    if let Some(found) = among(&NAMES_64, 8, 0) {
        return Some(found);
    }
    let (stem, size) =
        [("d", 4), ("w", 2), ("b", 1)].iter().find_map(|(end, size)| Some((name.strip_suffix(end)?, *size)))?;
    let number = NAMES_64.iter().skip(8).position(|known| *known == stem)? as u8 + 8;
    Some(Register::General { number, size, shift: 0 })
}

fn system(name: &str, long: bool) -> Option<Register> {
    let numbered = |prefix: &str, known: &[u8]| {
        let number = name.strip_prefix(prefix)?.parse().ok()?;
        known.contains(&number).then_some(number)
    };
    let table = |interrupts, limit| Some(Register::Table { interrupts, limit });
    match name {
        "eip" | "$ip" => return Some(Register::Ip),
        "rip" if long => return Some(Register::Ip),
        "efl" => return Some(Register::Flags),
        "gdtr" => return table(false, false),
        "gdtl" => return table(false, true),
        "idtr" => return table(true, false),
        "idtl" => return table(true, true),
        "$csp" => return Some(Register::General { number: 4, size: if long { 8 } else { 4 }, shift: 0 }),
        "$retreg" => return Some(Register::General { number: 0, size: if long { 8 } else { 4 }, shift: 0 }),
        _ => {}
    }
    if let Some((_, segment)) = SEGMENTS.iter().find(|(known, _)| *known == name) {
        return Some(Register::Segment(*segment));
    }
    if let Some((_, flag)) = FLAGS.iter().find(|(known, _)| *known == name) {
        return Some(Register::Flag(*flag));
    }
    let control: &[u8] = if long { &[0, 2, 3, 4, 8] } else { &[0, 2, 3, 4] };
    numbered("cr", control).map(Register::Control).or_else(|| numbered("dr", &[0, 1, 2, 3, 6, 7]).map(Register::Debug))
}

/// The names of the registers that completion offers.
pub(super) fn names(guest: Guest) -> Vec<&'static str> {
    let (general, ip): (&[&str], _) = match guest {
        Guest::I386(_) => (&NAMES_32, "eip"),
        Guest::Amd64(_) => (&NAMES_64, "rip"),
    };
    let segments = SEGMENTS.iter().map(|(name, _)| *name);
    general.iter().copied().chain([ip, "efl", "cr0", "cr2", "cr3", "cr4", "gdtr", "idtr"]).chain(segments).collect()
}

/// Registers as they were at one place: what the processor has now, or what a trap frame keeps of the interrupted code.
#[derive(Debug, Clone, Copy)]
pub(super) struct Context {
    pub(super) general: [u64; 16],
    pub(super) ip: u64,
    pub(super) flags: u32,
    /// ES, CS, SS, DS, FS, GS.
    pub(super) segments: [u16; 6],
}

impl Context {
    /// The processor's.
    pub(super) fn of_machine(machine: &Machine) -> Self {
        use SegmentRegister::{Cs, Ds, Es, Fs, Gs, Ss};
        Self {
            general: std::array::from_fn(|number| machine.register64(number as u8).unwrap_or_default()),
            ip: machine.rip(),
            flags: machine.flags().get(),
            segments: [Es, Cs, Ss, Ds, Fs, Gs].map(|register| machine.segment(register).selector.0),
        }
    }

    /// A register of these; `None` for one that belongs to the processor alone.
    pub(super) fn get(&self, register: Register) -> Option<u64> {
        match register {
            Register::General { number, size, shift } => {
                let whole = self.general.get(usize::from(number))?;
                Some(whole >> shift & (u64::MAX >> (64 - 8 * u32::from(size))))
            }
            Register::Ip => Some(self.ip),
            Register::Flags => Some(self.flags.into()),
            Register::Flag(flag) => Some(u64::from(self.flags & flag != 0)),
            Register::Segment(segment) => self.segments.get(segment as usize).map(|selector| u64::from(*selector)),
            _ => None,
        }
    }

    /// The privilege level.
    pub(super) fn cpl(&self) -> u16 {
        self.segments[SegmentRegister::Cs as usize] & 3
    }

    pub(super) fn sp(&self) -> u64 {
        self.general[4]
    }
}

/// A register that the processor alone has.
pub(super) fn of_processor(machine: &Machine, register: Register) -> Option<u64> {
    match register {
        Register::Segment(segment) => Some(machine.segment(segment).selector.0.into()),
        Register::Control(number) => machine.control64(number),
        Register::Debug(number) => machine.debug_register(number),
        Register::Table { interrupts, limit } => {
            let (gdtr, idtr) = machine.tables();
            let table = if interrupts { idtr } else { gdtr };
            Some(if limit { table.limit.into() } else { table.base })
        }
        _ => None,
    }
}
