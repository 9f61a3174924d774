//! Channel 0 of an 8254 timer (Intel 8254 data sheet): one interrupt, or one after the other.

use super::Beyond;

/// Instructions for each tick of the timer's input, which on a PC is 1.193182 MHz: those of a processor of about ten
/// million instructions a second.
const INSTRUCTIONS: u64 = 8;

/// How the counter's two bytes are read and written.
#[derive(Clone, Copy, PartialEq, Eq, Default)]
enum Bytes {
    Low,
    High,
    #[default]
    Both,
}

/// The channel.
#[derive(Clone, Default)]
pub(super) struct Pit {
    /// Ticks of a round; 0 as long as no count was written.
    count: u64,
    /// Instructions when the count was written.
    start: u64,
    /// Rounds that have ended, and were told of.
    rounds: u64,
    /// Ticks of the rounds after this one, if they are others.
    next: Option<u64>,
    /// One round only: mode 0.
    once: bool,
    /// The counter goes down by two, twice in a round: mode 3.
    square: bool,
    bytes: Bytes,
    /// The low byte that was written first.
    written: Option<u8>,
    /// The high byte is to be read next.
    reads_high: bool,
    latched: Option<u16>,
}

impl Pit {
    /// Writes the control port.
    pub(super) fn control(&mut self, value: u8, now: u64) -> Result<(), Beyond> {
        match (value >> 6, value >> 4 & 3) {
            (0, 0) => {
                let _ = self.latched.get_or_insert(self.counter(now));
                return Ok(());
            }
            (0, bytes) => {
                let mode = value >> 1 & 7;
                let once = mode == 0;
                if value & 1 != 0 || !(once || matches!(mode & 3, 2 | 3)) {
                    return Err("this mode of the timer");
                }
                let bytes = [Bytes::Low, Bytes::High, Bytes::Both][usize::from(bytes - 1)];
                *self = Self { once, square: mode & 3 == 3, bytes, ..Self::default() };
            }
            (3, _) => return Err("the timer's read-back"),
            // The other two channels drive nothing that would be here.
            _ => {}
        }
        Ok(())
    }

    /// Writes the counter's port. A count that is complete begins at once; but where rounds follow each other, the current one
    /// is completed. (Of mode 3 the data sheet says: the half of it.)
    pub(super) fn write(&mut self, value: u8, now: u64) {
        let count = match (self.bytes, self.written.take()) {
            (Bytes::Low, _) => u16::from(value),
            (Bytes::High, _) => u16::from(value) << 8,
            (Bytes::Both, Some(low)) => u16::from_le_bytes([low, value]),
            (Bytes::Both, None) => {
                self.written = Some(value);
                return;
            }
        };
        let count = if count == 0 { 0x1_0000 } else { count.into() };
        if !self.once && self.count > 0 {
            self.next = Some(count);
        } else {
            (self.count, self.start, self.rounds) = (count, now, 0);
        }
    }

    /// Reads the counter's port.
    pub(super) fn read(&mut self, now: u64) -> u8 {
        let [low, high] = self.latched.unwrap_or_else(|| self.counter(now)).to_le_bytes();
        let both = self.bytes == Bytes::Both;
        let value = if self.bytes == Bytes::High || both && self.reads_high { high } else { low };
        if !both || self.reads_high {
            self.latched = None;
        }
        self.reads_high = both && !self.reads_high;
        value
    }

    /// What the counter has come to.
    fn counter(&self, now: u64) -> u16 {
        if self.count == 0 {
            return 0;
        }
        let ticks = now.saturating_sub(self.start) / INSTRUCTIONS;
        match (self.once, self.square) {
            // A counter that has run out goes on below zero.
            (true, _) => self.count.wrapping_sub(ticks) as u16,
            (false, false) => (self.count - ticks % self.count) as u16,
            (false, true) => (self.count - 2 * ticks % self.count) as u16,
        }
    }

    /// When the current round ends; `u64::MAX` if there is none.
    pub(super) fn next_event(&self) -> u64 {
        if self.count == 0 || self.once && self.rounds > 0 {
            return u64::MAX;
        }
        let ticks = self.count.saturating_mul(self.rounds + 1);
        self.start.saturating_add(ticks.saturating_mul(INSTRUCTIONS))
    }

    /// Lets time pass. True if a round has ended; several in one look like one, as its output is only an edge.
    pub(super) fn advance(&mut self, now: u64) -> bool {
        if now < self.next_event() {
            return false;
        }
        if let Some(count) = self.next.take() {
            (self.start, self.count, self.rounds) = (self.next_event(), count, 0);
        }
        self.rounds = if self.once { 1 } else { (now - self.start) / (self.count * INSTRUCTIONS) };
        true
    }
}
