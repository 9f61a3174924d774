//! Guest faults, and the three ways an instruction can end other than by going on.
//!
//! A fault is the guest's own business (it goes through the guest's IDT); an [`Exit`] ends the run and goes to the host.

use std::fmt;

/// An exception vector (Intel SDM vol. 3, table 6-1).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub enum Vector {
    /// #DE, divide error.
    DivideError = 0x00,
    /// #DB, debug exception.
    Debug = 0x01,
    /// #BP, breakpoint (`INT3`).
    Breakpoint = 0x03,
    /// #OF, overflow (`INTO`).
    Overflow = 0x04,
    /// #BR, `BOUND` range exceeded.
    BoundRange = 0x05,
    /// #UD, invalid opcode.
    InvalidOpcode = 0x06,
    /// #NM, device not available.
    DeviceNotAvailable = 0x07,
    /// #DF, double fault.
    DoubleFault = 0x08,
    /// #TS, invalid TSS.
    InvalidTss = 0x0A,
    /// #NP, segment not present.
    SegmentNotPresent = 0x0B,
    /// #SS, stack fault.
    StackFault = 0x0C,
    /// #GP, general protection.
    GeneralProtection = 0x0D,
    /// #PF, page fault.
    PageFault = 0x0E,
    /// #AC, alignment check.
    AlignmentCheck = 0x11,
}

impl Vector {
    /// Whether delivering this exception pushes an error code (SDM vol. 3, table 6-1).
    pub fn has_error_code(self) -> bool {
        matches!(
            self,
            Self::DoubleFault
                | Self::InvalidTss
                | Self::SegmentNotPresent
                | Self::StackFault
                | Self::GeneralProtection
                | Self::PageFault
                | Self::AlignmentCheck
        )
    }
}

/// An exception that is to be delivered: vector and error code (0 where the vector pushes none).
///
/// CR2 is written when a #PF is raised, as the processor does it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Fault {
    /// Which exception.
    pub vector: Vector,
    /// Its error code; pushed only if [`Vector::has_error_code`].
    pub code: u32,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} ({:02X}h, error {:X}h)", self.vector, self.vector as u8, self.code)
    }
}

/// Why an instruction did not simply go on to the next one. The details are in the core, so that this stays one byte.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Stop {
    /// `Core::fault` is to be delivered; EIP goes back to the instruction.
    Fault,
    /// The instruction is complete, but the rest of the block may no longer be what was decoded.
    Leave,
    /// The instruction did a part of its work (a long `rep`) and is to be started again.
    Again,
    /// `Core::exit` says why the machine stops; EIP goes back to the instruction.
    Exit,
}

/// What every instruction returns.
pub(crate) type Flow = Result<(), Stop>;

/// Why [`Machine::run`](super::Machine::run) returned.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum Exit {
    /// The guest wrote this value to the exit port (F4h, as QEMU's `isa-debug-exit` has it). EIP is behind the instruction.
    Port(u32),
    /// `HLT` with no interrupt that could end it.
    Halted,
    /// The instruction budget is used up.
    Budget,
    /// A third fault while a double fault was being delivered; the processor shuts down (SDM vol. 3, 6.15, interrupt 8).
    TripleFault {
        /// EIP of the instruction that began it.
        address: u64,
    },
    /// The guest asked for something that this machine does not have.
    Unsupported {
        /// EIP of the instruction.
        address: u64,
        /// What it was, disassembled or described.
        instruction: String,
    },
}

impl Exit {
    /// The exit status that `qemu-system-i386 -device isa-debug-exit` gives for the same port write: `(value << 1) | 1`,
    /// cut to the eight bits that a parent process sees; `None` for any other exit.
    pub fn status(&self) -> Option<u8> {
        match self {
            Self::Port(value) => Some((value << 1 | 1) as u8),
            _ => None,
        }
    }
}

impl fmt::Display for Exit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Port(value) => write!(f, "the guest wrote {value:#x} to its exit port"),
            Self::Halted => write!(f, "halted with no interrupt to come"),
            Self::Budget => write!(f, "the instruction budget is used up"),
            Self::TripleFault { address } => write!(f, "triple fault that began at {address:08X}h"),
            Self::Unsupported { address, instruction } => {
                write!(f, "not supported by this machine, at {address:08X}h: {instruction}")
            }
        }
    }
}
