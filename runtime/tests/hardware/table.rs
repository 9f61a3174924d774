//! The table of instructions. A row is an opcode in the manual's notation and what its operands need.
//!
//! Notation: hexadecimal opcode bytes, then
//! `/r` ModRM with any register, `/0`../`7` ModRM with that digit, `+r` register in the opcode's low bits,
//! `ib iw iz` immediate (`iz`: operand size), `cb cz` branch displacement, `moffs` address;
//! `b` byte operands, `z` 16 or 32 bits by prefix, `w` 16 bits; `mem` or `reg` restrict ModRM; `lock` allows that prefix.

use super::case::{AF, CF, OF, PF, SF, ZF};

/// Which flags the manual (SDM vol. 2) leaves undefined after the instruction.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Undefined {
    /// These, always.
    Always(u32),
    /// As "SAL/SAR/SHL/SHR" has it: AF for counts other than 0, OF for counts other than 1, CF for counts of the width on.
    Shift,
    /// The same, but CF is defined ("SAR").
    ShiftArithmetic,
    /// As "RCL/RCR/ROL/ROR" has it: OF for counts other than 1 (0 changes no flag).
    Rotate,
    /// As "SHLD" and "SHRD" have it: AF, and OF for counts other than 1.
    Double,
}

/// What operands an instruction needs to do something worth seeing.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Setup {
    /// Any.
    Plain,
    /// Counts around the interesting ones, in CL or as immediate.
    Shift,
    /// Dividends that often have a quotient.
    Divide,
    /// A bit index within the window.
    BitString,
    /// ESI, EDI in the operand window, a small count.
    Strings,
    /// ESP in the stack window.
    Stack,
    /// ESP and EBP in the stack window, a nesting level.
    Frame,
    /// A place to go, in the operand, on the stack or as displacement.
    Branch,
    /// No memory is touched: any address will do.
    Address,
    /// EBX + AL in the operand window.
    Table,
}

/// A row.
pub(crate) struct Row {
    pub(crate) name: &'static str,
    /// The file of vectors: the family's.
    pub(crate) family: &'static str,
    pub(crate) code: String,
    pub(crate) setup: Setup,
    pub(crate) undefined: Undefined,
}

struct Table {
    rows: Vec<Row>,
    family: &'static str,
}

impl Table {
    fn add(&mut self, name: &'static str, codes: &[&str], setup: Setup, undefined: Undefined) {
        for code in codes {
            self.rows.push(Row { name, family: self.family, code: (*code).to_owned(), setup, undefined });
        }
    }

    fn plain(&mut self, name: &'static str, codes: &[&str], undefined: u32) {
        self.add(name, codes, Setup::Plain, Undefined::Always(undefined));
    }
}

/// All rows.
pub(crate) fn rows() -> Vec<Row> {
    let mut table = Table { rows: Vec::new(), family: "" };
    for add in [alu, bcd, bits, branch, moves, muldiv, shift, stack, strings] {
        add(&mut table);
    }
    table.rows
}

fn alu(table: &mut Table) {
    table.family = "alu";
    // "AND", "OR", "XOR", "TEST": AF is undefined.
    let operations = [("add", 0), ("or", AF), ("adc", 0), ("sbb", 0), ("and", AF), ("sub", 0), ("xor", AF), ("cmp", 0)];
    for (n, (name, undefined)) in operations.into_iter().enumerate() {
        let (base, lock) = (n * 8, if name == "cmp" { "" } else { "lock" });
        let codes = [
            format!("{:02x} /r b {lock}", base),
            format!("{:02x} /r z {lock}", base + 1),
            format!("{:02x} /r b", base + 2),
            format!("{:02x} /r z", base + 3),
            format!("{:02x} b ib", base + 4),
            format!("{:02x} z iz", base + 5),
            format!("80 /{n} b ib {lock}"),
            format!("81 /{n} z iz {lock}"),
            format!("82 /{n} b ib {lock}"),
            format!("83 /{n} z ib {lock}"),
        ];
        table.plain(name, &codes.each_ref().map(String::as_str), undefined);
    }
    table.plain("test", &["84 /r b", "85 /r z", "a8 b ib", "a9 z iz"], AF);
    table.plain("test", &["f6 /0 b ib", "f7 /0 z iz", "f6 /1 b ib", "f7 /1 z iz"], AF);
    table.plain("inc", &["fe /0 b lock", "ff /0 z lock", "40 +r z"], 0);
    table.plain("dec", &["fe /1 b lock", "ff /1 z lock", "48 +r z"], 0);
    table.plain("not", &["f6 /2 b lock", "f7 /2 z lock"], 0);
    table.plain("neg", &["f6 /3 b lock", "f7 /3 z lock"], 0);
    table.plain("xadd", &["0fc0 /r b lock", "0fc1 /r z lock"], 0);
    table.plain("cmpxchg", &["0fb0 /r b lock", "0fb1 /r z lock"], 0);
    table.plain("cmpxchg8b", &["0fc7 /1 mem lock"], 0);
    // An operand in a register may not be locked: #UD.
    table.plain("lock #ud", &["f001 /r reg z", "f039 /r mem z", "f08b /r mem z"], 0);
}

fn bcd(table: &mut Table) {
    table.family = "bcd";
    table.plain("daa", &["27"], OF);
    table.plain("das", &["2f"], OF);
    table.plain("aaa", &["37"], OF | SF | ZF | PF);
    table.plain("aas", &["3f"], OF | SF | ZF | PF);
    table.plain("aam", &["d4 ib", "d40a"], OF | AF | CF);
    table.plain("aad", &["d5 ib", "d50a"], OF | AF | CF);
    table.plain("salc", &["d6"], 0);
}

fn bits(table: &mut Table) {
    table.family = "bits";
    let rows = [("bt", "a3", 4), ("bts", "ab", 5), ("btr", "b3", 6), ("btc", "bb", 7)];
    for (name, opcode, digit) in rows {
        let lock = if name == "bt" { "" } else { "lock" };
        let undefined = Undefined::Always(OF | SF | AF | PF);
        table.add(name, &[&format!("0f{opcode} /r z {lock}")], Setup::BitString, undefined);
        table.plain(name, &[&format!("0fba /{digit} z ib {lock}")], OF | SF | AF | PF);
    }
    table.plain("bsf", &["0fbc /r z"], CF | OF | SF | AF | PF);
    table.plain("bsr", &["0fbd /r z"], CF | OF | SF | AF | PF);
}

fn branch(table: &mut Table) {
    table.family = "branch";
    const NAMES: [&str; 16] =
        ["jo", "jno", "jb", "jae", "je", "jne", "jbe", "ja", "js", "jns", "jp", "jnp", "jl", "jge", "jle", "jg"];
    let none = Undefined::Always(0);
    for (n, name) in NAMES.into_iter().enumerate() {
        table.add(name, &[&format!("7{n:x} z cb"), &format!("0f8{n:x} z cz")], Setup::Branch, none);
    }
    table.add("jmp", &["eb z cb", "e9 z cz", "ff /4 z"], Setup::Branch, none);
    table.add("call", &["e8 z cz", "ff /2 z"], Setup::Branch, none);
    table.add("ret", &["c3 z", "c2 z iw"], Setup::Branch, none);
    table.add("loop", &["e0 z cb", "e1 z cb", "e2 z cb"], Setup::Branch, none);
    table.add("jecxz", &["e3 z cb"], Setup::Branch, none);
    table.plain("ud2", &["0f0b"], 0);
}

fn moves(table: &mut Table) {
    table.family = "moves";
    table.plain("mov", &["88 /r b", "89 /r z", "8a /r b", "8b /r z", "b0 +r b ib", "b8 +r z iz"], 0);
    table.plain("mov", &["c6 /0 b ib", "c7 /0 z iz", "a0 b moffs", "a1 z moffs", "a2 b moffs", "a3 z moffs"], 0);
    table.plain("movzx", &["0fb6 /r z", "0fb7 /r z"], 0);
    table.plain("movsx", &["0fbe /r z", "0fbf /r z"], 0);
    table.plain("xchg", &["86 /r b lock", "87 /r z lock", "90 +r z"], 0);
    table.add("lea", &["8d /r mem z"], Setup::Address, Undefined::Always(0));
    table.plain("bswap", &["0fc8 +r"], 0);
    table.plain("cbw", &["98 z", "99 z"], 0);
    table.plain("flags", &["9e", "9f", "f5", "f8", "f9", "fc", "fd"], 0);
    table.plain("nop", &["90", "0f1f /0 z", "f390"], 0);
    table.add("xlat", &["d7"], Setup::Table, Undefined::Always(0));
    for n in 0..16 {
        table.plain("setcc", &[&format!("0f9{n:x} /0 b")], 0);
        table.plain("cmovcc", &[&format!("0f4{n:x} /r z")], 0);
    }
}

fn muldiv(table: &mut Table) {
    table.family = "muldiv";
    table.plain("mul", &["f6 /4 b", "f7 /4 z"], SF | ZF | AF | PF);
    table.plain("imul", &["f6 /5 b", "f7 /5 z", "0faf /r z", "69 /r z iz", "6b /r z ib"], SF | ZF | AF | PF);
    let all = Undefined::Always(CF | OF | SF | ZF | AF | PF);
    table.add("div", &["f6 /6 b", "f7 /6 z"], Setup::Divide, all);
    table.add("idiv", &["f6 /7 b", "f7 /7 z"], Setup::Divide, all);
}

fn shift(table: &mut Table) {
    table.family = "shift";
    let names = ["rol", "ror", "rcl", "rcr", "shl", "shr", "sal", "sar"];
    for (digit, name) in names.into_iter().enumerate() {
        let undefined = match digit {
            0..4 => Undefined::Rotate,
            7 => Undefined::ShiftArithmetic,
            _ => Undefined::Shift,
        };
        for opcode in ["c0 b ib", "c1 z ib", "d0 b", "d1 z", "d2 b", "d3 z"] {
            let (opcode, rest) = opcode.split_at(2);
            table.add(name, &[&format!("{opcode} /{digit} {rest}")], Setup::Shift, undefined);
        }
    }
    table.add("shld", &["0fa4 /r z ib", "0fa5 /r z"], Setup::Shift, Undefined::Double);
    table.add("shrd", &["0fac /r z ib", "0fad /r z"], Setup::Shift, Undefined::Double);
}

fn stack(table: &mut Table) {
    table.family = "stack";
    let none = Undefined::Always(0);
    table.add("push", &["50 +r z", "68 z iz", "6a z ib", "ff /6 z"], Setup::Stack, none);
    table.add("pop", &["58 +r z", "8f /0 z"], Setup::Stack, none);
    table.add("pusha", &["60 z"], Setup::Stack, none);
    table.add("popa", &["61 z"], Setup::Stack, none);
    table.add("pushf", &["9c z"], Setup::Stack, none);
    table.add("popf", &["9d z"], Setup::Stack, none);
    table.add("enter", &["c8 z iw ib"], Setup::Frame, none);
    table.add("leave", &["c9 z"], Setup::Frame, none);
}

fn strings(table: &mut Table) {
    table.family = "strings";
    let none = Undefined::Always(0);
    for (name, opcode) in [("movs", 0xA4), ("cmps", 0xA6), ("stos", 0xAA), ("lods", 0xAC), ("scas", 0xAE)] {
        for prefix in ["", "f3", "f2"] {
            let codes = [format!("{prefix}{opcode:02x} b"), format!("{prefix}{:02x} z", opcode + 1)];
            table.add(name, &codes.each_ref().map(String::as_str), Setup::Strings, none);
        }
    }
}
