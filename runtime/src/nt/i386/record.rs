//! What the guest logs about one call, and the values that the harness and the service routines put in.
//!
//! One place for both sides: the guest's code is assembled from these constants, and whoever judges the log computes
//! the expected values with the same functions.

use super::layout::eflags;

/// Position of each fact in a call record. Every fact is one dword.
pub mod fact {
    /// `set << 16 | call`.
    pub const CALL: usize = 0;
    /// Service routines that ran since the last record.
    pub const HANDLER_RUNS: usize = 1;
    /// Index of the service whose routine ran, [`NO_HANDLER`](super::NO_HANDLER) if none did.
    pub const HANDLER: usize = 2;
    /// Number at dispatch (`KTRAP_FRAME.Eax`).
    pub const NUMBER: usize = 3;
    /// Argument pointer at kernel entry (`KTRAP_FRAME.DbgArgPointer`).
    pub const ARG_POINTER: usize = 4;
    /// Which entry built the frame: 1 KiSystemService, 2 KiFastCallEntry.
    pub const ENTRY: usize = 5;
    /// `KTRAP_FRAME.SegCs`.
    pub const FRAME_CS: usize = 6;
    /// `KTRAP_FRAME.Eip`.
    pub const FRAME_EIP: usize = 7;
    /// `KTRAP_FRAME.HardwareEsp`, zero for a frame from ring 0.
    pub const FRAME_ESP: usize = 8;
    /// `KTRAP_FRAME.EFlags`.
    pub const FRAME_EFLAGS: usize = 9;
    /// `KTHREAD.PreviousMode` while the service routine ran.
    pub const PREVIOUS_MODE: usize = 10;
    /// `KTRAP_FRAME.PreviousPreviousMode`.
    pub const PREVIOUS_PREVIOUS_MODE: usize = 11;
    /// Address of the trap frame.
    pub const FRAME: usize = 12;
    /// Bytes of arguments that were copied to the kernel stack.
    pub const COPIED: usize = 13;
    /// `KTHREAD.TrapFrame` while the service routine ran.
    pub const TRAP_FRAME: usize = 14;
    /// `KTRAP_FRAME.Edx`: the previous trap frame.
    pub const FRAME_LINK: usize = 15;
    /// First of thirteen facts of the harness: EAX after the call.
    pub const EAX: usize = 16;
    /// ECX after the call.
    pub const ECX: usize = 17;
    /// EDX after the call.
    pub const EDX: usize = 18;
    /// EBX after the call.
    pub const EBX: usize = 19;
    /// ESI after the call.
    pub const ESI: usize = 20;
    /// EDI after the call.
    pub const EDI: usize = 21;
    /// EBP after the call.
    pub const EBP: usize = 22;
    /// ESP after the call.
    pub const ESP: usize = 23;
    /// ESP before the arguments were pushed.
    pub const ESP_BEFORE: usize = 24;
    /// EFLAGS after the call, without RF (emulators differ in the RF they push for faults).
    pub const EFLAGS: usize = 25;
    /// `CS | SS << 16` after the call.
    pub const CS_SS: usize = 26;
    /// `DS | ES << 16` after the call.
    pub const DS_ES: usize = 27;
    /// `FS | GS << 16` after the call.
    pub const FS_GS: usize = 28;
    /// `KTHREAD.TrapFrame` when the record is made.
    pub const AFTER_TRAP_FRAME: usize = 29;
    /// `KTHREAD.PreviousMode` when the record is made.
    pub const AFTER_PREVIOUS_MODE: usize = 30;
    /// `KPCR.NtTib.ExceptionList` when the record is made.
    pub const AFTER_EXCEPTION_LIST: usize = 31;
    /// `TSS.Esp0` when the record is made.
    pub const AFTER_ESP0: usize = 32;
    /// Vector + 1 of a fault in ring 3, zero if there was none.
    pub const FAULT_VECTOR: usize = 33;
    /// Its error code.
    pub const FAULT_ERROR: usize = 34;
    /// Its EIP.
    pub const FAULT_EIP: usize = 35;
    /// CR2 of a page fault, else zero.
    pub const FAULT_CR2: usize = 36;
    /// Number of argument dwords that follow, at most [`MAX_ARGUMENTS`](super::MAX_ARGUMENTS).
    pub const ARGUMENT_COUNT: usize = 37;
    /// First argument as the service routine saw it.
    pub const ARGUMENTS: usize = 38;
}

/// Argument dwords that a record can hold.
pub const MAX_ARGUMENTS: usize = 64;

/// [`fact::HANDLER`] when no service routine ran.
pub const NO_HANDLER: u32 = 0xFFFF_FFFF;

/// Call number of the call one past the end of the service table.
pub const PAST_END: u32 = 0x8000;
/// Call number of the call with an argument pointer in kernel space.
pub const KERNEL_POINTER: u32 = 0x8001;
/// Call number of the call with an argument pointer on a page that is not mapped.
pub const UNMAPPED_POINTER: u32 = 0x8002;

/// The dwords that stand above the arguments in memory, lowest address first.
pub const SENTINELS: [u32; 4] = [0x5E00_00E0, 0x5E00_00E1, 0x5E00_00E2, 0x5E00_00E3];

/// EFLAGS when the stub is called: all status flags set, interrupts on.
pub const EFLAGS_BEFORE: u32 = eflags::STATUS | eflags::IF;

/// EAX before the call, where a refusal does not need another value; ored with the call number.
pub const POISON_EAX: u32 = 0xEA00_0000;
/// ECX before the call, ored with the call number.
pub const POISON_ECX: u32 = 0xEC00_0000;
/// EDX before the call, where a refusal does not need another value; ored with the call number.
pub const POISON_EDX: u32 = 0xED00_0000;
/// EBX before the call, ored with the call number.
pub const POISON_EBX: u32 = 0xB000_0000;
/// ESI before the call, ored with the call number.
pub const POISON_ESI: u32 = 0x5100_0000;
/// EDI before the call, ored with the call number.
pub const POISON_EDI: u32 = 0xD100_0000;
/// EBP before the call, ored with the call number.
pub const POISON_EBP: u32 = 0xEB00_0000;

/// First part of every status that a service routine returns.
pub const STATUS_BASE: u32 = 0x2000_0000;

/// Argument 0 of call `call` (a service index or the number of a refusal) in set `set`; argument k is this plus k.
#[must_use]
pub const fn first_argument(set: u32, call: u32) -> u32 {
    let n = if call >= PAST_END { call & 0xFFF | 0x800 } else { call };
    0xA000_0000u32.wrapping_add(set << 24).wrapping_add(n << 8)
}

/// What the routine of service `handler` returns in set `set`.
#[must_use]
pub const fn status(handler: u32, set: u32) -> u32 {
    STATUS_BASE.wrapping_add(handler << 8).wrapping_add(set & 0xFF)
}
