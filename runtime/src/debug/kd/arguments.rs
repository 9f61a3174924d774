//! What stands behind a command's name.

use super::Kd;
use super::error::Error;
use super::expression;

/// The most objects that an address range may have, so that a slip of the hand does not print for hours.
const MOST: u64 = 0x10_0000;

/// A command's arguments, taken one after the other.
pub(super) struct Arguments<'a> {
    /// The whole line, up to the end of this command.
    line: &'a str,
    /// Where the command begins.
    start: usize,
    at: usize,
}

/// How far an address goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Extent {
    /// Nobody has said.
    Usual,
    /// So many objects.
    Count(u64),
    /// Up to this address, that one included.
    Through(u64),
}

/// Memory that a command is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Range {
    pub(super) start: u64,
    /// How many objects.
    pub(super) count: u64,
}

impl<'a> Arguments<'a> {
    pub(super) fn new(line: &'a str, start: usize, at: usize) -> Self {
        Self { line, start, at }
    }

    /// The command as it was typed.
    pub(super) fn command(&self) -> &'a str {
        self.line.get(self.start..).unwrap_or_default().trim()
    }

    /// Where the next argument begins.
    pub(super) fn place(&mut self) -> usize {
        let rest = self.line.get(self.at..).unwrap_or_default();
        self.at += rest.len() - rest.trim_start().len();
        self.at
    }

    /// All that is left.
    pub(super) fn rest(&mut self) -> &'a str {
        let at = self.place();
        self.line.get(at..).unwrap_or_default()
    }

    pub(super) fn is_empty(&mut self) -> bool {
        self.rest().is_empty()
    }

    /// The next argument, up to a space; `None` at the end.
    pub(super) fn word(&mut self) -> Option<&'a str> {
        let word = self.rest().split(char::is_whitespace).next().filter(|word| !word.is_empty())?;
        self.at += word.len();
        Some(word)
    }

    /// Takes the next argument if it is this one.
    pub(super) fn take(&mut self, wanted: &str) -> bool {
        let found = self.rest().split(char::is_whitespace).next() == Some(wanted);
        if found {
            self.at += wanted.len();
        }
        found
    }

    /// Takes these characters if they are next.
    pub(super) fn take_prefix(&mut self, wanted: &str) -> bool {
        let found = self.rest().starts_with(wanted);
        if found {
            self.at += wanted.len();
        }
        found
    }

    /// The name that is next: letters, digits and what else names have.
    pub(super) fn name(&mut self) -> &'a str {
        let rest = self.rest();
        let name = rest.split(|c| !expression::is_word(c)).next().unwrap_or_default();
        self.at += name.len();
        name
    }

    /// Takes all that is left.
    pub(super) fn take_rest(&mut self) -> &'a str {
        let rest = self.rest();
        self.at += rest.len();
        rest.trim_end()
    }

    /// The next argument as an expression.
    pub(super) fn expression(&mut self, kd: &Kd) -> Result<u64, Error> {
        let at = self.place();
        let (value, end) = expression::evaluate(kd, self.line, at)?;
        self.at = end;
        Ok(value)
    }

    /// The same as an address, as wide as the guest's are.
    pub(super) fn address(&mut self, kd: &Kd) -> Result<u64, Error> {
        Ok(kd.narrow(self.expression(kd)?))
    }

    /// An expression if there is one.
    pub(super) fn optional(&mut self, kd: &Kd) -> Result<Option<u64>, Error> {
        if self.is_empty() { Ok(None) } else { self.expression(kd).map(Some) }
    }

    /// `ADDR`, `ADDR lCOUNT` or `ADDR END`. The address, `next` if it is left out, and how far it goes.
    pub(super) fn extent(&mut self, kd: &Kd, next: u64) -> Result<(u64, Extent), Error> {
        let start = if self.is_empty() || self.is_count(kd) { next } else { self.address(kd)? };
        if self.is_empty() {
            return Ok((start, Extent::Usual));
        }
        let place = self.place();
        if self.is_count(kd) {
            self.at += 1;
            self.take_prefix("?");
            let count = self.expression(kd)?;
            if count > MOST {
                return Err(Error::at(place, format!("Range error: at most {MOST:x} objects")));
            }
            return Ok((start, Extent::Count(count)));
        }
        let end = self.address(kd)?;
        if end < start {
            return Err(Error::at(place, "Range error: the end is before the start"));
        }
        if end - start > MOST {
            return Err(Error::at(place, format!("Range error: at most {MOST:x} bytes")));
        }
        Ok((start, Extent::Through(end)))
    }

    /// The same of objects of `size` bytes, `usual` of them if nobody says how many.
    pub(super) fn range(&mut self, kd: &Kd, next: u64, size: u64, usual: u64) -> Result<Range, Error> {
        let (start, extent) = self.extent(kd, next)?;
        let count = match extent {
            Extent::Usual => usual,
            Extent::Count(count) => count,
            Extent::Through(end) => (end - start) / size + 1,
        };
        Ok(Range { start, count })
    }

    /// Whether what is next is a count: `l` and a number, and no symbol.
    fn is_count(&mut self, kd: &Kd) -> bool {
        let at = self.place();
        // Behind a wrong one nothing is a number either, but it may be a symbol's end.
        let wrong = self.rest().chars().nth(1).is_some_and(|c| c.is_ascii_alphabetic() && !c.is_ascii_hexdigit())
            && expression::evaluate(kd, self.line, at + 1).is_err();
        self.rest().starts_with(['l', 'L']) && !wrong && expression::evaluate(kd, self.line, at).is_err()
    }

    /// Nothing may be left.
    pub(super) fn end(&mut self) -> Result<(), Error> {
        let at = self.place();
        if self.rest().is_empty() { Ok(()) } else { Err(Error::at(at, "Extra character error")) }
    }
}
