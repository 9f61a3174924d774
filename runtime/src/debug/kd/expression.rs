//! Expressions in the syntax that WinDbg calls MASM: numbers are hexadecimal, a symbol is its address.
//!
//! Written by hand rather than as a grammar: whether `l2` or `add` is a number, a register or a symbol, and whether an
//! expression ends at a space, hangs on what the session knows and on what follows. Precedence is WinDbg's, from the strongest:
//! what stands before its operand; `* / % + -`; `<< >>` (`shl`, `shr`); comparisons; `& and`; `^ xor`; `| or`. Within a group it goes from
//! left to right.

use super::Kd;
use super::error::Error;
use super::register;

/// How deep an expression may be nested.
const DEEPEST: u32 = 64;

/// What two operands become; `None` where it has no result, as with a division by zero.
type Binary = fn(u64, u64) -> Option<u64>;

/// Operators with two operands and how strong they are; of those that begin alike, the longest first.
const BINARY: [(&str, u8, Binary); 23] = [
    ("<<", 4, shl),
    (">>", 4, shr),
    ("<=", 3, |a, b| Some(u64::from(a <= b))),
    (">=", 3, |a, b| Some(u64::from(a >= b))),
    ("==", 3, |a, b| Some(u64::from(a == b))),
    ("!=", 3, |a, b| Some(u64::from(a != b))),
    ("<", 3, |a, b| Some(u64::from(a < b))),
    (">", 3, |a, b| Some(u64::from(a > b))),
    ("=", 3, |a, b| Some(u64::from(a == b))),
    ("*", 5, |a, b| Some(a.wrapping_mul(b))),
    ("/", 5, u64::checked_div),
    ("%", 5, u64::checked_rem),
    ("mod", 5, u64::checked_rem),
    ("+", 5, |a, b| Some(a.wrapping_add(b))),
    ("-", 5, |a, b| Some(a.wrapping_sub(b))),
    ("&", 2, |a, b| Some(a & b)),
    ("and", 2, |a, b| Some(a & b)),
    ("^", 1, |a, b| Some(a ^ b)),
    ("xor", 1, |a, b| Some(a ^ b)),
    ("|", 0, |a, b| Some(a | b)),
    ("or", 0, |a, b| Some(a | b)),
    ("shl", 4, shl),
    ("shr", 4, shr),
];

/// Bits beyond the last fall off.
fn shl(value: u64, by: u64) -> Option<u64> {
    Some(u32::try_from(by).ok().and_then(|by| value.checked_shl(by)).unwrap_or(0))
}

fn shr(value: u64, by: u64) -> Option<u64> {
    Some(u32::try_from(by).ok().and_then(|by| value.checked_shr(by)).unwrap_or(0))
}

/// Operators that stand before their operand.
const UNARY: [&str; 8] = ["not", "hi", "low", "by", "wo", "dwo", "qwo", "poi"];

/// The value of the expression that begins at a byte of a line, and where it ends.
///
/// # Errors
/// What is wrong with it, and where.
pub(super) fn evaluate(kd: &Kd, line: &str, at: usize) -> Result<(u64, usize), Error> {
    let mut parser = Parser { kd, line, at, depth: 0 };
    let value = parser.binary(0)?;
    Ok((value, parser.at))
}

/// Whether a character belongs to a number, a register or a symbol.
pub(super) fn is_word(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '_' | '$' | '!' | '`' | '?' | '@')
}

/// The word at a byte of a line: empty if there is none.
fn word(line: &str, at: usize) -> &str {
    let rest = line.get(at..).unwrap_or_default();
    rest.split(|c| !is_word(c)).next().unwrap_or_default()
}

struct Parser<'a> {
    kd: &'a Kd,
    line: &'a str,
    at: usize,
    depth: u32,
}

impl Parser<'_> {
    /// Operands and operators that are at least so strong.
    fn binary(&mut self, least: u8) -> Result<u64, Error> {
        let mut value = self.operand()?;
        while let Some((symbol, strength, apply)) = self.operator().filter(|(_, strength, _)| *strength >= least) {
            let place = self.spaces();
            self.at = place + symbol.len();
            let right = self.binary(strength + 1)?;
            value = apply(value, right).ok_or_else(|| Error::at(place, "Divide by zero error"))?;
        }
        Ok(value)
    }

    /// The place behind the spaces that come next.
    fn spaces(&self) -> usize {
        let rest = self.line.get(self.at..).unwrap_or_default();
        self.at + (rest.len() - rest.trim_start().len())
    }

    /// The operator that comes next, if one does.
    fn operator(&self) -> Option<(&'static str, u8, Binary)> {
        let at = self.spaces();
        let (rest, word) = (self.line.get(at..)?, word(self.line, at));
        let fits = |symbol: &str| {
            if symbol.starts_with(|c: char| c.is_ascii_alphabetic()) {
                word.eq_ignore_ascii_case(symbol)
            } else {
                rest.starts_with(symbol)
            }
        };
        BINARY.into_iter().find(|(symbol, _, _)| fits(symbol))
    }

    fn operand(&mut self) -> Result<u64, Error> {
        self.at = self.spaces();
        if self.depth == DEEPEST {
            return Err(Error::at(self.at, "The expression is nested too deep"));
        }
        self.depth += 1;
        let value = self.nested();
        self.depth -= 1;
        value
    }

    fn nested(&mut self) -> Result<u64, Error> {
        let at = self.at;
        let rest = self.line.get(at..).unwrap_or_default();
        match rest.chars().next() {
            None => Err(Error::at(at, "Numeric expression missing")),
            Some('(') => {
                self.at += 1;
                let value = self.binary(0)?;
                self.at = self.spaces();
                if !self.line.get(self.at..).is_some_and(|rest| rest.starts_with(')')) {
                    return Err(Error::at(self.at, "Missing )"));
                }
                self.at += 1;
                Ok(value)
            }
            Some('-') => {
                self.at += 1;
                Ok(self.operand()?.wrapping_neg())
            }
            Some('+') => {
                self.at += 1;
                self.operand()
            }
            Some('.') => {
                self.at += 1;
                Ok(self.kd.current_address())
            }
            Some(_) => self.word(at),
        }
    }

    fn word(&mut self, at: usize) -> Result<u64, Error> {
        let word = word(self.line, at);
        if word.is_empty() {
            return Err(Error::at(at, "Syntax error"));
        }
        self.at = at + word.len();
        let lower = word.to_ascii_lowercase();
        if let Some(name) = UNARY.iter().find(|name| **name == lower) {
            let operand = self.operand()?;
            return self.unary(name, operand, at);
        }
        if let Some(name) = lower.strip_prefix('@') {
            return self.register(name).ok_or_else(|| Error::at(at, format!("Bad register '{word}'")));
        }
        if let Some(number) = number(&lower) {
            return number.ok_or_else(|| Error::at(at, format!("Overflow error: '{word}' has more than 64 bits")));
        }
        if let Some(value) = self.register(&lower) {
            return Ok(value);
        }
        self.kd.symbol_address(word).ok_or_else(|| self.kd.unknown_symbol(word, at))
    }

    fn register(&self, name: &str) -> Option<u64> {
        register::find(name, self.kd.guest()).and_then(|register| self.kd.register(register))
    }

    fn unary(&self, name: &str, operand: u64, at: usize) -> Result<u64, Error> {
        let size = match name {
            "not" => return Ok(u64::from(operand == 0)),
            "hi" => return Ok(operand >> 16 & 0xFFFF),
            "low" => return Ok(operand & 0xFFFF),
            "by" => 1,
            "wo" => 2,
            "dwo" => 4,
            "qwo" => 8,
            _ => self.kd.guest().pointer(),
        };
        let value = self.kd.read_number(operand, size);
        value.ok_or_else(|| Error::at(at, format!("Memory access error at {}", self.kd.address(operand))))
    }
}

/// The number that a word of small letters is: `None` if it is none, `Some(None)` if it does not fit 64 bits.
fn number(word: &str) -> Option<Option<u64>> {
    let (digits, radix) = match word.split_at_checked(2) {
        Some(("0x", rest)) => (rest, 16),
        Some(("0n", rest)) => (rest, 10),
        Some(("0t", rest)) => (rest, 8),
        Some(("0y", rest)) => (rest, 2),
        _ => (word.strip_suffix('h').unwrap_or(word), 16),
    };
    let digits: String = digits.chars().filter(|c| *c != '`').collect();
    if digits.is_empty() {
        // A prefix alone is zero, as in WinDbg.
        return (word.len() == 2 && word.starts_with('0')).then_some(Some(0));
    }
    if !digits.chars().all(|c| c.is_digit(radix)) {
        return None;
    }
    Some(u64::from_str_radix(&digits, radix).ok())
}
