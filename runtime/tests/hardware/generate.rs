//! Cases from the rows of the table: encodes the instruction and arranges what its operands name.
//!
//! The encoder is this file's own, so that neither side of the comparison has made the bytes that it reads.

use super::case::{AF, CF, CODE, CODE_SIZE, Case, DATA, DATA_SIZE, FLAGS, OF, STACK, State};
use super::random::Random;
use super::table::{Row, Setup, Undefined};

const ECX: usize = 1;
const EBX: usize = 3;
const ESP: usize = 4;
const EBP: usize = 5;
const ESI: usize = 6;
const EDI: usize = 7;

/// The base and index of 16-bit addresses, by the rm field (SDM vol. 2, table 2-1).
const PAIRS: [&[usize]; 8] = [&[EBX, ESI], &[EBX, EDI], &[EBP, ESI], &[EBP, EDI], &[ESI], &[EDI], &[EBP], &[EBX]];

/// A case being made.
struct Draft<'a> {
    random: &'a mut Random,
    row: &'a Row,
    state: State,
    /// Registers whose value an address may no longer change.
    fixed: u8,
    code: Vec<u8>,
    code_at: u32,
    /// Operand size in bytes, and whether addresses have 16 bits.
    size: u32,
    short: bool,
    /// Where the memory operand is.
    target: u32,
    /// The shift count that the instruction has, if an immediate.
    count: Option<u8>,
    /// Memory is addressed by displacement alone: registers will have changed by then.
    absolute: bool,
}

/// Makes one case of a row. `sparse`: memory is zero but for the operands, as the vector files like it.
pub(crate) fn case(random: &mut Random, index: usize, row: &Row, sparse: bool) -> Case {
    let state = a_state(random, sparse);
    let code_at = a_place(random);
    let mut draft = Draft::new(random, row, state, code_at, false);
    draft.plant_operand();
    draft.set_up();
    draft.encode();
    assert!(draft.code.len() <= 15, "{}: {} bytes", row.code, draft.code.len());
    let undefined = draft.undefined();
    let Draft { state, code, .. } = draft;
    Case { row: index, code_at, code, before: state, undefined }
}

/// Makes a case of several instructions, some of them skipped by conditional branches: one lives off the flags and
/// registers that another has left.
pub(crate) fn sequence(random: &mut Random, index: usize, rows: &[Row]) -> Case {
    let suits = |row: &&Row| {
        let shift = row.setup == Setup::Shift && (row.code.starts_with("d0") || row.code.starts_with("d1"));
        // At most AF may be undefined, and nothing may read it: LAHF does.
        let plain = row.setup == Setup::Plain && matches!(row.undefined, Undefined::Always(0 | AF)) && row.code != "9f";
        (shift || plain) && matches!(row.family, "alu" | "moves" | "shift") && row.name != "lock #ud"
    };
    let rows: Vec<&Row> = rows.iter().filter(suits).collect();
    let mut state = a_state(random, false);
    let code_at = a_place(random);
    let (mut all, room) = (Vec::new(), CODE_SIZE - 17);
    for _ in 0..3 + random.below(8) {
        let row = random.pick(&rows);
        let mut draft = Draft::new(random, row, state, code_at, true);
        draft.plant_operand();
        draft.set_up();
        draft.encode();
        let Draft { state: planted, code, .. } = draft;
        state = planted;
        if all.len() + code.len() > room {
            break;
        }
        if random.one_in(3) {
            all.extend([0x70 | random.below(16) as u8, code.len() as u8]);
        }
        all.extend(code);
    }
    Case { row: index, code_at, code: all, before: state, undefined: AF }
}

fn a_state(random: &mut Random, sparse: bool) -> State {
    let mut state = State::zero();
    for register in &mut state.registers {
        *register = random.value();
    }
    if random.one_in(5) {
        state.registers[random.below(8) as usize] = state.registers[random.below(8) as usize];
    }
    state.flags = random.next() as u32 & FLAGS;
    if !sparse {
        state.data.fill_with(|| random.next() as u8);
        state.stack.fill_with(|| random.next() as u8);
    }
    state
}

/// Around a page boundary: now and then the instruction crosses it.
fn a_place(random: &mut Random) -> u32 {
    0x5FF4 + random.below(40)
}

impl<'a> Draft<'a> {
    fn new(random: &'a mut Random, row: &'a Row, state: State, code_at: u32, absolute: bool) -> Self {
        let has = |word: &str| row.code.split(' ').any(|token| token == word);
        let prefixed = random.one_in(3);
        let size = match (has("b"), has("z") && prefixed) {
            (true, _) => 1,
            (_, true) => 2,
            _ => 4,
        };
        let short = random.one_in(6);
        let across = random.one_in(3);
        let inside = DATA + 16 + random.below(DATA_SIZE as u32 - 40);
        // Across the page boundary, or anywhere.
        let target = if across { 0xA000 - 1 - random.below(7) } else { inside };
        let (fixed, code, count) = (0, Vec::new(), None);
        Self { random, row, state, fixed, code, code_at, size, short, target, count, absolute }
    }

    /// Puts a value worth computing with where the memory operand is going to be.
    fn plant_operand(&mut self) {
        let (mut low, mut high) = (self.random.value(), self.random.value());
        if self.random.one_in(3) {
            (low, high) = (self.state.registers[0], self.state.registers[2]);
        }
        self.state.plant(self.target, &low.to_le_bytes());
        self.state.plant(self.target + 4, &high.to_le_bytes());
    }

    /// Fixes a register's value.
    fn fix(&mut self, register: usize, value: u32) {
        self.state.registers[register] = value;
        self.fixed |= 1 << register;
    }

    fn set_up(&mut self) {
        match self.row.setup {
            Setup::Plain | Setup::BitString | Setup::Address => {}
            Setup::Shift => {
                let count = self.a_count();
                let rest = self.random.value() & !0xFF;
                self.fix(ECX, rest | u32::from(count));
            }
            Setup::Divide => self.set_up_division(),
            Setup::Strings => self.set_up_strings(),
            Setup::Stack => self.set_up_stack(),
            Setup::Frame => {
                self.set_up_stack();
                let frame = STACK + 0xA0 + self.random.below(24);
                self.fix(EBP, frame);
            }
            Setup::Branch => self.set_up_branch(),
            Setup::Table => {
                let al = self.state.registers[0] & 0xFF;
                let high = if self.short { self.random.value() & !0xFFFF } else { 0 };
                self.fix(EBX, high | (self.target - al));
            }
        }
    }

    fn a_count(&mut self) -> u8 {
        const COUNTS: [u8; 16] = [0, 1, 1, 2, 7, 8, 9, 15, 16, 17, 18, 31, 32, 33, 0x80, 0xFF];
        let count = if self.random.one_in(3) { self.random.next() as u8 } else { self.random.pick(&COUNTS) };
        // "If the count is greater than the operand size, the result is undefined" (SHLD, SHRD).
        if self.row.undefined == Undefined::Double && self.size == 2 && count & 31 > 16 { count & 0xEF } else { count }
    }

    fn set_up_division(&mut self) {
        if self.random.one_in(4) {
            return;
        }
        let sign = if self.random.one_in(2) { u32::MAX } else { 0 };
        let small = self.random.below(4).wrapping_sub(2);
        let high = self.random.pick(&[0, sign, small]);
        if self.size == 1 {
            self.state.registers[0] = self.state.registers[0] & !0xFF00 | high << 8 & 0xFF00;
        } else {
            self.state.registers[2] = high;
        }
        self.fixed |= 5;
    }

    fn set_up_strings(&mut self) {
        let near = |random: &mut Random| DATA + 56 + random.below(16);
        let (source, destination) = (near(self.random), near(self.random));
        let count = self.random.below(if self.size == 4 { 12 } else { 24 });
        let high = |random: &mut Random, short: bool| if short { random.value() & !0xFFFF } else { 0 };
        for (register, value) in [(ESI, source), (EDI, destination), (ECX, count)] {
            let value = value | high(self.random, self.short);
            self.fix(register, value);
        }
        // Runs of equal elements, so that comparisons go on for a while.
        if self.random.one_in(2) {
            let byte = self.random.pick(&[0, 0x80, 0xFF]);
            self.state.data.fill(byte);
            let odd = self.random.below(DATA_SIZE as u32) as usize;
            self.state.data[odd] ^= 1;
            if self.random.one_in(2) {
                self.state.registers[0] = u32::from(byte) * 0x0101_0101;
            }
        }
    }

    fn set_up_stack(&mut self) {
        let at = STACK + 0xA8 + self.random.below(32);
        let at = if self.random.one_in(2) { at & !3 } else { at };
        self.fix(ESP, at);
        for i in 0..8 {
            let value = self.random.value();
            self.state.plant(at + 4 * i, &value.to_le_bytes());
        }
        if self.row.name == "popf" {
            // Arithmetic flags and DF, IF set, IOPL 0: the part that ring 3 and ring 0 load alike.
            let image = self.random.next() as u32 & FLAGS | 0x202;
            self.state.plant(at, &image.to_le_bytes());
        }
        if self.random.one_in(2) {
            self.target = STACK + 0x90 + self.random.below(0x60);
        }
    }

    /// A place in the code to go to that is not in the instruction.
    fn place(&mut self) -> u32 {
        let low = self.random.one_in(2);
        if low { CODE.start + 0x20 + self.random.below(0x1F00) } else { 0x6100 + self.random.below(0x1E00) }
    }

    fn set_up_branch(&mut self) {
        let (stack, count) = (STACK + 0xB0 + self.random.below(16), self.random.pick(&[0, 1, 2, 0x1_0000, 0x1_0001]));
        if self.row.name == "call" || self.row.name == "ret" {
            self.fix(ESP, stack);
        }
        if self.row.name == "loop" || self.row.name == "jecxz" {
            self.fix(ECX, count);
        }
        let place = self.place();
        self.state.plant(self.target, &place.to_le_bytes());
        self.state.plant(stack, &place.to_le_bytes());
    }

    fn encode(&mut self) {
        let row = self.row;
        let tokens: Vec<&str> = row.code.split(' ').filter(|token| !token.is_empty()).collect();
        let has = |word: &str| tokens.contains(&word);
        let memory = has("mem") || !has("reg") && !self.random.one_in(3);
        let touches = memory && tokens.iter().any(|token| token.starts_with('/'));
        if touches && has("lock") && self.random.one_in(6) {
            self.code.push(0xF0);
        }
        if self.size == 2 {
            self.code.push(0x66);
        }
        if self.short {
            self.code.push(0x67);
        }
        if touches && self.random.one_in(8) {
            // ES, SS, DS: as flat as the default.
            let prefix = self.random.pick(&[0x26, 0x36, 0x3E]);
            self.code.push(prefix);
        }
        for token in tokens {
            self.token(token, memory);
        }
    }

    fn token(&mut self, token: &str, memory: bool) {
        match token {
            "b" | "z" | "w" | "mem" | "reg" | "lock" => {}
            "+r" => {
                let register = self.random.below(8) as u8;
                if let Some(last) = self.code.last_mut() {
                    *last |= register;
                }
            }
            "/r" => {
                let register = self.random.below(8) as u8;
                self.modrm(register, memory);
            }
            "ib" => {
                let value = match self.row.setup {
                    Setup::Shift => self.a_count(),
                    Setup::Frame => self.random.below(40) as u8,
                    _ => self.random.value() as u8,
                };
                self.count = Some(value);
                self.code.push(value);
            }
            "iw" => {
                let value = self.random.below(0x200) as u16;
                self.code.extend(value.to_le_bytes());
            }
            "iz" => {
                let value = self.random.value();
                self.code.extend(&value.to_le_bytes()[..self.size as usize]);
            }
            "moffs" => {
                let bytes = if self.short { 2 } else { 4 };
                self.code.extend(&self.target.to_le_bytes()[..bytes]);
            }
            "cb" | "cz" => self.displacement(token),
            digit if digit.starts_with('/') => {
                let digit = digit[1..].parse().unwrap_or(0);
                self.modrm(digit, memory);
            }
            opcode => {
                let bytes = super::case::from_hex(opcode).unwrap_or_default();
                self.code.extend(bytes);
            }
        }
    }

    fn displacement(&mut self, token: &str) {
        if token == "cb" {
            let forward = self.random.below(0x80) as u8;
            let backward = 0x80 + self.random.below(0x60) as u8;
            let value = self.random.pick(&[forward, backward]);
            self.code.push(value);
        } else {
            let bytes = self.size.max(2) as usize;
            let end = self.code_at + self.code.len() as u32 + bytes as u32;
            let value = self.place().wrapping_sub(end);
            self.code.extend(&value.to_le_bytes()[..bytes]);
        }
    }

    /// ModRM, SIB and displacement, and the registers changed so that the address is the target.
    fn modrm(&mut self, mut register: u8, memory: bool) {
        if !memory {
            let mut rm = self.random.below(8) as u8;
            if self.row.setup == Setup::Branch {
                // Through the register itself, which must not be the stack pointer.
                rm = self.random.pick(&[0, 1, 2, 3, 5, 6, 7]);
                let place = self.place();
                self.fix(usize::from(rm), place);
            }
            self.code.push(0xC0 | register << 3 | rm);
            return;
        }
        if self.row.setup == Setup::BitString {
            // Bits around the operand that the window still has.
            register = self.random.pick(&[0, 1, 2, 3, 6, 7]);
            let index = self.random.below(12 * 8).wrapping_sub(12 * 8);
            let index = if self.random.one_in(2) { index } else { self.random.below(12 * 8) };
            let high = if self.size == 2 { self.random.value() & !0xFFFF | index & 0xFFFF } else { index };
            self.fix(usize::from(register), high);
        }
        if self.short { self.address_16(register) } else { self.address_32(register) }
    }

    fn address_16(&mut self, register: u8) {
        let rm = self.random.below(8) as usize;
        let form = if self.absolute { 0 } else { self.random.below(4) };
        if form == 0 {
            self.code.push(register << 3 | 6);
            self.code.extend(&self.target.to_le_bytes()[..2]);
            return;
        }
        let parts = PAIRS[rm];
        let free =
            parts.iter().copied().find(|&r| self.fixed & 1 << r == 0 && parts.iter().filter(|&&p| p == r).count() == 1);
        let sum = |draft: &Self| parts.iter().fold(0u32, |all, &r| all.wrapping_add(draft.state.registers[r]));
        let displacement: u32 = match (form, free) {
            (1, Some(_)) if rm != 6 => 0,
            (1 | 2, Some(_)) => i32::from(self.random.next() as i8) as u32,
            _ => self.target.wrapping_sub(sum(self)),
        };
        let missing = self.target.wrapping_sub(sum(self)).wrapping_sub(displacement) & 0xFFFF;
        let digits = register << 3 | rm as u8;
        match (form, free) {
            (1 | 2, Some(free)) => {
                let old = self.state.registers[free];
                self.state.registers[free] = old & !0xFFFF | old.wrapping_add(missing) & 0xFFFF;
                if displacement == 0 && rm != 6 {
                    self.code.push(digits);
                } else {
                    self.code.extend([0x40 | digits, displacement as u8]);
                }
            }
            _ => {
                self.code.push(0x80 | digits);
                self.code.extend(&displacement.to_le_bytes()[..2]);
            }
        }
    }

    fn address_32(&mut self, register: u8) {
        let digits = register << 3;
        let base = self.random.below(8) as usize;
        let with_index = !self.absolute && self.random.one_in(2);
        let index = if with_index { self.random.pick(&[0, 1, 2, 3, 5, 6, 7]) } else { ESP };
        let scale = self.random.below(4) as u8;
        let scaled = if index == ESP { 0 } else { self.state.registers[index] << scale };
        let sib = [scale << 6 | (index as u8) << 3 | base as u8];
        let needs_sib = !self.absolute && (with_index || base == ESP || self.random.one_in(8));
        let (rm, sib): (u8, &[u8]) = if needs_sib { (4, &sib) } else { (base as u8, &[]) };
        if self.absolute || self.random.one_in(6) {
            // Displacement alone, or index and displacement.
            let rm = if needs_sib { 4 } else { 5 };
            self.code.push(digits | rm);
            self.code.extend(sib.iter().map(|sib| sib & !7 | 5));
            let scaled = if needs_sib { scaled } else { 0 };
            self.code.extend(self.target.wrapping_sub(scaled).to_le_bytes());
            return;
        }
        let near = i32::from(self.random.next() as i8) as u32;
        let distance = self.target.wrapping_sub(scaled).wrapping_sub(self.state.registers[base]);
        let movable = self.fixed & 1 << base == 0 && base != index;
        let form = self.random.below(3);
        if movable && form == 0 && base != EBP {
            self.state.registers[base] = self.target.wrapping_sub(scaled);
            self.code.push(digits | rm);
            self.code.extend(sib);
        } else if movable && form <= 1 || distance as i32 == i32::from(distance as i8) {
            let near = if movable && form <= 1 { near } else { distance };
            self.state.registers[base] = if movable && form <= 1 {
                self.target.wrapping_sub(scaled).wrapping_sub(near)
            } else {
                self.state.registers[base]
            };
            self.code.push(0x40 | digits | rm);
            self.code.extend(sib);
            self.code.push(near as u8);
        } else {
            self.code.push(0x80 | digits | rm);
            self.code.extend(sib);
            self.code.extend(distance.to_le_bytes());
        }
    }

    /// The flags that the manual leaves open for this case.
    fn undefined(&self) -> u32 {
        let by_one = self.row.code.starts_with("d0") || self.row.code.starts_with("d1");
        let last = self.count.unwrap_or(if by_one { 1 } else { self.state.registers[ECX] as u8 });
        let count = u32::from(last & 31);
        let not_one = if count > 1 { OF } else { 0 };
        match self.row.undefined {
            Undefined::Always(flags) => flags,
            _ if count == 0 => 0,
            Undefined::Rotate => not_one,
            Undefined::Shift => AF | not_one | if count >= 8 * self.size { CF } else { 0 },
            Undefined::ShiftArithmetic => AF | not_one,
            Undefined::Double => AF | not_one,
        }
    }
}
