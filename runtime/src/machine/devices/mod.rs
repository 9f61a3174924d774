//! The devices that interrupt: two 8259A interrupt controllers and channel 0 of an 8254 timer, as a PC has them. Time is
//! counted in instructions, so a run with interrupts is as repeatable as one without.

mod pic;
mod pit;

use self::pic::Pic;
use self::pit::Pit;

/// Input of the first controller that the timer is wired to.
const TIMER: u8 = 0;

/// Something that a port asks for and these devices do not have, in words.
pub(crate) type Beyond = &'static str;

/// The controllers and the timer.
#[derive(Clone, Default)]
pub(crate) struct Devices {
    first: Pic,
    second: Pic,
    timer: Pit,
}

impl Devices {
    /// What a port reads as; `None` if it belongs to none of these.
    pub(crate) fn read(&mut self, port: u16, now: u64) -> Option<u8> {
        self.advance(now);
        match port {
            0x20 | 0x21 => Some(self.first.read(port & 1 != 0)),
            0xA0 | 0xA1 => Some(self.second.read(port & 1 != 0)),
            0x40 => Some(self.timer.read(now)),
            _ => None,
        }
    }

    /// Writes a port; nothing happens if it belongs to none of these.
    ///
    /// # Errors
    /// What the write asks for and is not there.
    pub(crate) fn write(&mut self, port: u16, value: u8, now: u64) -> Result<(), Beyond> {
        self.advance(now);
        match port {
            0x20 | 0x21 => self.first.write(port & 1 != 0, value),
            0xA0 | 0xA1 => self.second.write(port & 1 != 0, value),
            0x40 => {
                self.timer.write(value, now);
                Ok(())
            }
            0x43 => self.timer.control(value, now),
            _ => Ok(()),
        }
    }

    /// When something will happen that may interrupt, as a count of instructions: `u64::MAX` if nothing will.
    pub(crate) fn next_event(&self) -> u64 {
        if self.first.is_masked(TIMER) { u64::MAX } else { self.timer.next_event() }
    }

    /// Lets the time up to `now` pass.
    pub(crate) fn advance(&mut self, now: u64) {
        if self.timer.advance(now) {
            self.first.request(TIMER);
        }
    }

    /// Whether an interrupt is asked for.
    pub(crate) fn is_pending(&self) -> bool {
        self.first.pending().is_some()
    }

    /// The processor takes the interrupt: its vector.
    pub(crate) fn acknowledge(&mut self) -> u8 {
        self.first.acknowledge()
    }
}

#[cfg(test)]
mod tests;
