//! An 8259A interrupt controller: fully nested, with ends of interrupt that the handler sends (Intel 8259A data sheet).

use super::Beyond;

/// Command port: ICW1 follows.
const ICW1: u8 = 0x10;
/// ICW1: ICW4 will come.
const ICW1_ICW4: u8 = 0x01;
/// ICW1: only one controller, level-triggered.
const ICW1_BEYOND: u8 = 0x02 | 0x08;
/// ICW4: the modes that are not here (automatic end of interrupt, buffered, special fully nested), and 8080 mode, which
/// is this bit clear.
const ICW4_BEYOND: u8 = 0x1E;
const ICW4_8086: u8 = 0x01;
/// Command port: OCW3, else OCW2.
const OCW3: u8 = 0x08;
/// OCW3: read the service or the request register.
const READ_REGISTER: u8 = 0x02;
/// OCW2: an end of interrupt of the highest in service, or of the one in the low bits.
const EOI: u8 = 0x20;
const SPECIFIC_EOI: u8 = 0x60;
/// OCW2: no operation.
const NOTHING: u8 = 0x40;

/// What the data port expects.
#[derive(Clone, Copy, PartialEq, Eq, Default)]
enum Next {
    #[default]
    Mask,
    Base,
    Cascade,
    Mode,
}

/// One controller. Nothing is let through before it was set up.
#[derive(Clone)]
pub(super) struct Pic {
    ready: bool,
    base: u8,
    requested: u8,
    in_service: u8,
    mask: u8,
    next: Next,
    wants_mode: bool,
    reads_service: bool,
}

impl Default for Pic {
    fn default() -> Self {
        Self {
            ready: false,
            base: 0,
            requested: 0,
            in_service: 0,
            mask: 0xFF,
            next: Next::Mask,
            wants_mode: false,
            reads_service: false,
        }
    }
}

impl Pic {
    /// Reads the data port, or the command port.
    pub(super) fn read(&self, data: bool) -> u8 {
        match (data, self.reads_service) {
            (true, _) => self.mask,
            (false, true) => self.in_service,
            (false, false) => self.requested,
        }
    }

    /// Writes the data port, or the command port.
    pub(super) fn write(&mut self, data: bool, value: u8) -> Result<(), Beyond> {
        if data { self.write_data(value) } else { self.command(value) }
    }

    fn write_data(&mut self, value: u8) -> Result<(), Beyond> {
        self.next = match self.next {
            Next::Mask => {
                self.mask = value;
                Next::Mask
            }
            Next::Base => {
                self.base = value & 0xF8;
                Next::Cascade
            }
            Next::Cascade if self.wants_mode => Next::Mode,
            Next::Cascade => {
                self.ready = true;
                Next::Mask
            }
            Next::Mode => {
                if value & ICW4_BEYOND != 0 || value & ICW4_8086 == 0 {
                    return Err("this mode of the interrupt controller");
                }
                self.ready = true;
                Next::Mask
            }
        };
        Ok(())
    }

    fn command(&mut self, value: u8) -> Result<(), Beyond> {
        if value & ICW1 != 0 {
            if value & ICW1_BEYOND != 0 {
                return Err("this set-up of the interrupt controller");
            }
            let wants_mode = value & ICW1_ICW4 != 0;
            *self = Self { next: Next::Base, wants_mode, mask: 0, ..Self::default() };
            return Ok(());
        }
        if value & OCW3 != 0 {
            if value & !(OCW3 | 0x03) != 0 || value & READ_REGISTER == 0 {
                return Err("polling or special masks of the interrupt controller");
            }
            self.reads_service = value & 1 != 0;
            return Ok(());
        }
        match value {
            EOI => self.in_service &= self.in_service.wrapping_sub(1),
            _ if value & !7 == SPECIFIC_EOI => self.in_service &= !(1 << (value & 7)),
            _ if value & !7 == NOTHING => {}
            _ => return Err("rotating priorities of the interrupt controller"),
        }
        Ok(())
    }

    /// A device asks.
    pub(super) fn request(&mut self, input: u8) {
        self.requested |= 1 << input;
    }

    /// Whether an input cannot interrupt.
    pub(super) fn is_masked(&self, input: u8) -> bool {
        !self.ready || self.mask >> input & 1 != 0
    }

    /// The input that is to interrupt next: asked for, not masked, and before all that are in service.
    pub(super) fn pending(&self) -> Option<u8> {
        let open = self.requested & !self.mask;
        let first = open.trailing_zeros();
        (self.ready && open != 0 && first < self.in_service.trailing_zeros()).then_some(first as u8)
    }

    /// The interrupt is taken: its vector. Without one it is that of input 7, as the controller does it.
    pub(super) fn acknowledge(&mut self) -> u8 {
        let Some(input) = self.pending() else {
            return self.base + 7;
        };
        self.requested &= !(1 << input);
        self.in_service |= 1 << input;
        self.base + input
    }
}
