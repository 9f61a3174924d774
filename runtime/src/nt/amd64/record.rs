//! What the 64-bit guest logs about one call, and the values that the harness and the service routines put in.
//!
//! One place for both sides: the guest's code is assembled from these constants, and whoever judges the log computes
//! the expected values with the same functions.
//!
//! # The log
//!
//! Lines of ASCII text, each ended by a line feed, in this order:
//!
//! ```text
//! ntgate 1 profile win7-x64 services 298 sets 6
//! cpu family f model 6b stepping 1                                  from the guest's own CPUID, hexadecimal
//! set 3 syscall lstar fffff80002801234 shared 00000000              MSR C0000082h, and the dword at SharedUserData+308h
//! c 00030000 00000001 ... fffff88002007e70 ...                      one call: DWORDS facts of 8 digits, then facts of 16
//! end 3
//! done 000006f6                                                     number of records; then OUT F4h, 0
//! bugcheck 00000050 0000000e 00000000 RIP CR2 RSP 00000010 00010202 instead: a fault in ring 0 (RIP, CR2 and RSP have
//!                                                                   16 digits; CS and RFLAGS follow); then OUT F4h, 1
//! ```
//!
//! A CPU without long mode gets `no long mode` as the only line, then OUT F4h, 2.
//!
//! # What a correct stub leaves
//!
//! With set `s`, call `n` (a stub's index), the service's `args` parameters, `layout = image.sets[s]`, and *user* meaning
//! a set of ring 3:
//!
//! | fact | value |
//! |---|---|
//! | `CALL` | `s << 16 \| n` |
//! | `HANDLER_RUNS`, `HANDLER` | 1, `n` |
//! | `NUMBER` | the stub's number (0 for `zw-reactos`, which has none) |
//! | `ENTRY` | [`entry`]: `syscall` 1, or 4 where the table form is [`Pointers`](super::TableForm::Pointers); `int 2Eh` 2; `zw` 3; `zw-reactos` 5 |
//! | `EXIT` | [`exit`]: SYSRET 1 for `syscall`, IRET 2 for `int 2Eh`, RET 3 from ring 0 |
//! | `FRAME_CS_SS` | user 002B0033h; `zw`: the low half is 10h; `zw-reactos`: 0 |
//! | `FRAME_RFLAGS` | `syscall`: equal to `R11_AT_ENTRY`; all of user: IF set, DF and TF clear; `zw`: IF and DF clear; `zw-reactos`: 0 |
//! | `PREVIOUS_MODE` | user 1, else 0 |
//! | `FRAME_PREVIOUS_MODE` | user 0 (not kept), else 1 |
//! | `RESERVED` | Windows: 0 or [`COPY_AREA`](super::layout::COPY_AREA) as there are stack arguments; ReactOS: see there |
//! | `STACK_ARGUMENTS` | [`stack_arguments`]`(args)`: slots that were written |
//! | `RSP_ALIGNMENT` | 8 |
//! | `KERNEL_MXCSR` | user 1F80h, else [`MXCSR_BEFORE`] |
//! | `SYSTEM_CALL_NUMBER` | `ENTRY` 1 and 2: the number, else 0 |
//! | `MXCSR` | [`MXCSR_BEFORE`] |
//! | `RFLAGS` | IF set, DF and TF clear; user: equal to `FRAME_RFLAGS` |
//! | `CS_SS` | user 002B0033h, else 00180010h |
//! | `DS_ES`, `FS_GS` | 002B002Bh, 002B0053h |
//! | `XMM_KEPT` | bits 6 to 15 set; kernel: all 16 |
//! | `XMM_ZERO` | user 003Fh, else 0 |
//! | `CALLBACKS` | 1 if the set has the instrumentation callback, else 0 |
//! | `AFTER_PREVIOUS_MODE` | 1 |
//! | `FAULT_VECTOR`, `FAULT_ERROR` | 0 |
//! | `ARGUMENT_COUNT` | `4 + stack_arguments(args)` |
//! | `R10_AT_ENTRY` | `syscall` and `int 2Eh`: the first argument |
//! | `RCX_AT_ENTRY` | `syscall`: equal to `FRAME_RIP` (SYSCALL stores it); else the first argument |
//! | `R11_AT_ENTRY` | `syscall`: RFLAGS before (SYSCALL stores them); `int 2Eh`: `POISON_R11 \| n` |
//! | `FRAME_RIP` | the instruction behind the stub's `syscall` or `int`; `zw`: symbol `nt!KiServiceLinkage`; `zw-reactos`: 0 |
//! | `FRAME_RSP` | `layout.rsp_before - 8`, the return address's place; `zw-reactos`: 0 |
//! | `FRAME` | user `layout.frame` |
//! | `TRAP_FRAME` | equal to `FRAME` |
//! | `FRAME_LINK` | `zw`, `zw-reactos` and `ENTRY` 4: `layout.trap_frame`, else 0 |
//! | `FIRST_ARGUMENT` | `ENTRY` 1 and 2: the first argument, else 0 |
//! | `RAX` | [`status`]`(n, s)` |
//! | `RBX` `RSI` `RDI` `RBP` `R12` to `R15` | their poison, ored with `n` |
//! | `RCX`, `R11` | user: `FRAME_RIP` and `FRAME_RFLAGS`, what SYSRET leaves |
//! | `RDX` | user 0 |
//! | `R8`, `R9` | user: `FRAME_RSP`, and `RBP`'s poison |
//! | `R10` | user: 0, or `FRAME_RIP` where the callback ran |
//! | `RSP`, `RSP_BEFORE` | `layout.rsp_before` |
//! | `GS_SELF` | `layout.gs_self`: the base of GS is that of the caller's ring |
//! | `AFTER_TRAP_FRAME`, `AFTER_RSP_BASE`, `AFTER_RSP0` | `layout.trap_frame`, `layout.stack_top` twice |
//! | `CALLBACK_R10` | `FRAME_RIP` where the callback ran, else 0 |
//! | `HOME` + i | `syscall-home`: `first_argument + i`; else [`SENTINEL`]` + i` |
//! | `ARGUMENTS` + k | `first_argument(s, n) + k`, of the first four all, then those of the stack |
//!
//! Refusals: `PAST_END` has status C000001Ch and no handler; `KERNEL_POINTER` and `UNMAPPED_POINTER` from ring 3 C0000005h
//! and no handler (the first is brought down to `MmUserProbeAddress`, where nothing is mapped); `KERNEL_POINTER` from
//! ring 0 runs its service with the arguments that stand at the pointer.

use super::layout::eflags;

/// Position of each fact in a call record: the first [`DWORDS`] have eight digits, the others sixteen.
pub mod fact {
    /// `set << 16 | call`.
    pub const CALL: usize = 0;
    /// Service routines that ran since the last record.
    pub const HANDLER_RUNS: usize = 1;
    /// Index of the service whose routine ran, [`NO_HANDLER`](super::NO_HANDLER) if none did.
    pub const HANDLER: usize = 2;
    /// Number at dispatch: EAX where the entries come together.
    pub const NUMBER: usize = 3;
    /// Which entry built the frame (`KTRAP_FRAME.Logging`): [`entry`](super::entry).
    pub const ENTRY: usize = 4;
    /// How the kernel was left: [`exit`](super::exit).
    pub const EXIT: usize = 5;
    /// `KTRAP_FRAME.SegCs | SegSs << 16`, of a frame from ring 0 `SegCs` alone.
    pub const FRAME_CS_SS: usize = 6;
    /// `KTRAP_FRAME.EFlags`.
    pub const FRAME_RFLAGS: usize = 7;
    /// `KTHREAD.PreviousMode` while the service routine ran.
    pub const PREVIOUS_MODE: usize = 8;
    /// `KTRAP_FRAME.PreviousMode` of a frame from ring 0, else zero.
    pub const FRAME_PREVIOUS_MODE: usize = 9;
    /// Bytes between the frame and RSP as the routine was called.
    pub const RESERVED: usize = 10;
    /// Stack-argument slots of the routine up to the last that was written since the call began.
    pub const STACK_ARGUMENTS: usize = 11;
    /// RSP modulo 16 at the routine's first instruction.
    pub const RSP_ALIGNMENT: usize = 12;
    /// MXCSR in the routine.
    pub const KERNEL_MXCSR: usize = 13;
    /// `KTHREAD.SystemCallNumber`.
    pub const SYSTEM_CALL_NUMBER: usize = 14;
    /// First of six dwords of the harness: MXCSR after the call.
    pub const MXCSR: usize = 15;
    /// RFLAGS after the call, without RF (emulators differ in the RF they push for faults).
    pub const RFLAGS: usize = 16;
    /// `CS | SS << 16` after the call.
    pub const CS_SS: usize = 17;
    /// `DS | ES << 16` after the call.
    pub const DS_ES: usize = 18;
    /// `FS | GS << 16` after the call.
    pub const FS_GS: usize = 19;
    /// Times the instrumentation callback ran.
    pub const CALLBACKS: usize = 20;
    /// Bit i: XMMi is after the call what it was before.
    pub const XMM_KEPT: usize = 21;
    /// Bit i: XMMi is zero after the call.
    pub const XMM_ZERO: usize = 22;
    /// `KTHREAD.PreviousMode` when the record is made.
    pub const AFTER_PREVIOUS_MODE: usize = 23;
    /// Vector + 1 of a fault in ring 3, zero if there was none.
    pub const FAULT_VECTOR: usize = 24;
    /// Its error code.
    pub const FAULT_ERROR: usize = 25;
    /// Number of argument qwords that follow; zero if no routine ran.
    pub const ARGUMENT_COUNT: usize = 26;
    /// First fact of sixteen digits: R10 at the kernel's first instruction.
    pub const R10_AT_ENTRY: usize = 28;
    /// RCX there.
    pub const RCX_AT_ENTRY: usize = 29;
    /// R11 there.
    pub const R11_AT_ENTRY: usize = 30;
    /// `KTRAP_FRAME.Rip`.
    pub const FRAME_RIP: usize = 31;
    /// `KTRAP_FRAME.Rsp`.
    pub const FRAME_RSP: usize = 32;
    /// Address of the trap frame.
    pub const FRAME: usize = 33;
    /// `KTHREAD.TrapFrame` while the service routine ran.
    pub const TRAP_FRAME: usize = 34;
    /// The previous trap frame, where the entry keeps it: `KTRAP_FRAME.TrapFrame`, KiZwSystemService `KTRAP_FRAME.Rdx`.
    pub const FRAME_LINK: usize = 35;
    /// `KTHREAD.FirstArgument`.
    pub const FIRST_ARGUMENT: usize = 36;
    /// First of 23 qwords of the harness: RAX after the call.
    pub const RAX: usize = 37;
    /// RCX after the call.
    pub const RCX: usize = 38;
    /// RDX after the call.
    pub const RDX: usize = 39;
    /// RBX after the call.
    pub const RBX: usize = 40;
    /// RSI after the call.
    pub const RSI: usize = 41;
    /// RDI after the call.
    pub const RDI: usize = 42;
    /// RBP after the call.
    pub const RBP: usize = 43;
    /// R8 after the call; the seven others follow.
    pub const R8: usize = 44;
    /// R9 after the call.
    pub const R9: usize = 45;
    /// R10 after the call.
    pub const R10: usize = 46;
    /// R11 after the call.
    pub const R11: usize = 47;
    /// R12 after the call.
    pub const R12: usize = 48;
    /// R13 after the call.
    pub const R13: usize = 49;
    /// R14 after the call.
    pub const R14: usize = 50;
    /// R15 after the call.
    pub const R15: usize = 51;
    /// RSP after the call.
    pub const RSP: usize = 52;
    /// RSP before the call.
    pub const RSP_BEFORE: usize = 53;
    /// What stands at GS:30h after the call in ring 3, at GS:18h in ring 0: the structure's own address.
    pub const GS_SELF: usize = 54;
    /// R10 as the instrumentation callback got it.
    pub const CALLBACK_R10: usize = 55;
    /// The caller's home area after the call, four qwords.
    pub const HOME: usize = 56;
    /// `KTHREAD.TrapFrame` when the record is made.
    pub const AFTER_TRAP_FRAME: usize = 60;
    /// `KPRCB.RspBase` when the record is made.
    pub const AFTER_RSP_BASE: usize = 61;
    /// `TSS.Rsp0` when the record is made.
    pub const AFTER_RSP0: usize = 62;
    /// RIP of a fault in ring 3.
    pub const FAULT_RIP: usize = 63;
    /// CR2 of a page fault, else zero.
    pub const FAULT_CR2: usize = 64;
    /// First argument as the service routine saw it.
    pub const ARGUMENTS: usize = 65;
}

/// Facts that have eight digits. One more is printed than named, so that the qwords behind are aligned; it is zero.
pub const DWORDS: usize = 28;

/// Dwords that the harness takes, from [`fact::MXCSR`] on; the kernel computes the two about XMM from what it takes.
pub(crate) const HARNESS_DWORDS: usize = fact::XMM_KEPT - fact::MXCSR;

/// Qwords that the harness takes, from [`fact::RAX`] on.
pub(crate) const HARNESS_QWORDS: usize = fact::AFTER_TRAP_FRAME - fact::RAX;

/// Where a fact stands in the record.
pub(crate) const fn offset(fact: usize) -> u32 {
    if fact < DWORDS { 4 * fact as u32 } else { (4 * DWORDS + 8 * (fact - DWORDS)) as u32 }
}

/// Argument qwords that a record can hold: four in registers and the most that fit on the stack.
pub const MAX_ARGUMENTS: usize = 24;

/// [`fact::HANDLER`] when no service routine ran.
pub const NO_HANDLER: u32 = 0xFFFF_FFFF;

pub use crate::nt::record::{KERNEL_POINTER, PAST_END, STATUS_BASE, UNMAPPED_POINTER, status};

/// Values of [`fact::ENTRY`].
pub mod entry {
    pub use super::super::layout::trap_frame::{
        BY_SERVICE_INTERNAL, BY_SYSTEM_CALL, BY_SYSTEM_CALL_ENTRY, BY_SYSTEM_SERVICE, BY_ZW_SYSTEM_SERVICE,
    };
}

/// Values of [`fact::EXIT`].
pub mod exit {
    /// `sysretq`.
    pub const SYSRET: u32 = 1;
    /// `iretq`.
    pub const IRET: u32 = 2;
    /// `ret` to a caller in ring 0.
    pub const RET: u32 = 3;
}

/// Slots for arguments that the harness's stack has: four of the home area and twenty for arguments.
pub const SLOTS: u32 = 24;

/// What a slot of the harness's stack holds that is no argument of the service; ored with the slot's number.
pub const SENTINEL: u64 = 0x5E5E_5E5E_5E5E_5E00;

/// What the guest fills the kernel stack with before each call, to see how much of it a copy changes.
pub const FILL: u64 = 0xF111_F111_F111_F111;

/// RFLAGS when the stub is called: all status flags set, interrupts on.
pub const RFLAGS_BEFORE: u32 = eflags::STATUS | eflags::IF;

/// MXCSR when the stub is called: rounding toward zero, so that it differs from the kernel's.
pub const MXCSR_BEFORE: u32 = 0x7F80;

/// RAX before the call; ored with the call number, like all poisons.
pub const POISON_RAX: u64 = 0xEA00_00EA_EA00_0000;
/// RBX before the call.
pub const POISON_RBX: u64 = 0xB000_00B0_B000_0000;
/// RSI before the call.
pub const POISON_RSI: u64 = 0x5100_0051_5100_0000;
/// RDI before the call.
pub const POISON_RDI: u64 = 0xD100_00D1_D100_0000;
/// RBP before the call.
pub const POISON_RBP: u64 = 0xEB00_00EB_EB00_0000;
/// R10 before the call.
pub const POISON_R10: u64 = 0x1000_0010_1000_0000;
/// R11 before the call.
pub const POISON_R11: u64 = 0x1100_0011_1100_0000;
/// R12 before the call.
pub const POISON_R12: u64 = 0x1200_0012_1200_0000;
/// R13 before the call.
pub const POISON_R13: u64 = 0x1300_0013_1300_0000;
/// R14 before the call.
pub const POISON_R14: u64 = 0x1400_0014_1400_0000;
/// R15 before the call.
pub const POISON_R15: u64 = 0x1500_0015_1500_0000;

/// Both halves of XMMi before the call: this plus `i`.
pub const POISON_XMM: u64 = 0x3D3D_3D00_3D3D_3D00;

/// Argument 0 of call `call` (a service index or the number of a refusal) in set `set`; argument k is this plus k. No
/// canonical address, and both halves are its own.
#[must_use]
pub const fn first_argument(set: u32, call: u32) -> u64 {
    0xA640_0000_0000_0000 | (set as u64) << 32 | (call as u64) << 8
}

/// Arguments that go over the stack: all but those in registers.
#[must_use]
pub const fn stack_arguments(args: u32) -> u32 {
    args.saturating_sub(ntgate_gen::table::REGISTER_ARGS)
}
