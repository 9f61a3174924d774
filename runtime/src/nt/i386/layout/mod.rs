//! Structure offsets and constants of 32-bit NT, each at one place.
//!
//! Offsets are in bytes from the start of the structure. What differs from version to version (the KTHREAD fields) is
//! not here but in [`Profile`](super::profile::Profile). Names follow the ReactOS headers, which follow Microsoft's
//! public symbols; the source of each group stands above it.

mod codes;
mod ring3;
pub mod shared;

pub use codes::{bugcheck, status};
pub use ring3::{apc, apc_frame, callback_frame, callout, exception_record, peb, registration, user_context};

/// `KTRAP_FRAME`, every field four bytes (ReactOS `sdk/include/ndk/i386/ketypes.h`).
pub mod trap_frame {
    /// EBP of the interrupted code, repeated for debuggers that walk stacks.
    pub const DBG_EBP: u32 = 0x00;
    /// EIP of the interrupted code, repeated for debuggers.
    pub const DBG_EIP: u32 = 0x04;
    /// Holds [`DEBUG_MARK`], which tells a debugger that the four debug fields are valid.
    pub const DBG_ARG_MARK: u32 = 0x08;
    /// Address of the first system-call argument.
    pub const DBG_ARG_POINTER: u32 = 0x0C;
    /// Real CS of an edited frame (low 16 bits).
    pub const TEMP_SEG_CS: u32 = 0x10;
    /// Byte inside [`TEMP_SEG_CS`] that Windows 7 calls Logging; here it tells which entry built the frame.
    pub const LOGGING: u32 = 0x12;
    /// Real ESP of an edited frame.
    pub const TEMP_ESP: u32 = 0x14;
    /// First of Dr0, Dr1, Dr2, Dr3, Dr6, Dr7.
    pub const DR0: u32 = 0x18;
    /// Debug status register.
    pub const DR6: u32 = 0x28;
    /// Debug control register; zero means that no debug register was saved.
    pub const DR7: u32 = 0x2C;
    /// GS.
    pub const SEG_GS: u32 = 0x30;
    /// ES.
    pub const SEG_ES: u32 = 0x34;
    /// DS.
    pub const SEG_DS: u32 = 0x38;
    /// EDX; in a system-call frame the previous `KTHREAD.TrapFrame`.
    pub const EDX: u32 = 0x3C;
    /// ECX.
    pub const ECX: u32 = 0x40;
    /// EAX.
    pub const EAX: u32 = 0x44;
    /// `KTHREAD.PreviousMode` as it was before this entry.
    pub const PREVIOUS_PREVIOUS_MODE: u32 = 0x48;
    /// `KPCR.NtTib.ExceptionList` as it was before this entry.
    pub const EXCEPTION_LIST: u32 = 0x4C;
    /// FS.
    pub const SEG_FS: u32 = 0x50;
    /// EDI.
    pub const EDI: u32 = 0x54;
    /// ESI.
    pub const ESI: u32 = 0x58;
    /// EBX.
    pub const EBX: u32 = 0x5C;
    /// EBP.
    pub const EBP: u32 = 0x60;
    /// Error code, pushed by the CPU or as zero by the handler.
    pub const ERR_CODE: u32 = 0x64;
    /// EIP; from here on the CPU's own frame.
    pub const EIP: u32 = 0x68;
    /// CS.
    pub const SEG_CS: u32 = 0x6C;
    /// EFLAGS.
    pub const EFLAGS: u32 = 0x70;
    /// ESP; only there when the privilege level changed.
    pub const HARDWARE_ESP: u32 = 0x74;
    /// SS; only there when the privilege level changed.
    pub const HARDWARE_SEG_SS: u32 = 0x78;
    /// First of four selectors that exist only for virtual-8086 mode but are always reserved on the base frame.
    pub const V86_ES: u32 = 0x7C;
    /// Size of the structure.
    pub const SIZE: u32 = 0x8C;
    /// Value of [`DBG_ARG_MARK`].
    pub const DEBUG_MARK: u32 = 0xBADB_0D00;
    /// Bits of [`SEG_CS`] that are all zero in an edited frame (`FRAME_EDITED`).
    pub const FRAME_EDITED: u32 = 0xFFF8;
    /// Bits of [`DR7`] that mean nothing; any other set bit means debug registers have to be reloaded.
    pub const DR7_RESERVED: u32 = 0x0000_DC00;
    /// Values of [`LOGGING`]: the frame was built by KiSystemService.
    pub const BY_SYSTEM_SERVICE: u32 = 1;
    /// Values of [`LOGGING`]: the frame was built by KiFastCallEntry.
    pub const BY_FAST_CALL_ENTRY: u32 = 2;
}

/// `FX_SAVE_AREA` between the base trap frame and `KTHREAD.InitialStack` (ReactOS `ketypes.h`, `NPX_FRAME_LENGTH`).
pub const NPX_FRAME_LENGTH: u32 = 0x210;

/// `KTSS` (ReactOS `sdk/include/ndk/i386/ketypes.h`; Intel SDM volume 3, 8.2.1 for the first 68h bytes).
pub mod tss {
    /// Stack pointer for entries from an outer ring.
    pub const ESP0: u32 = 0x04;
    /// Stack segment for entries from an outer ring.
    pub const SS0: u32 = 0x08;
    /// Page directory.
    pub const CR3: u32 = 0x1C;
    /// Instruction pointer.
    pub const EIP: u32 = 0x20;
    /// Flags.
    pub const EFLAGS: u32 = 0x24;
    /// EAX.
    pub const EAX: u32 = 0x28;
    /// ECX.
    pub const ECX: u32 = 0x2C;
    /// EDX.
    pub const EDX: u32 = 0x30;
    /// EBX.
    pub const EBX: u32 = 0x34;
    /// Stack pointer.
    pub const ESP: u32 = 0x38;
    /// EBP.
    pub const EBP: u32 = 0x3C;
    /// ESI.
    pub const ESI: u32 = 0x40;
    /// EDI.
    pub const EDI: u32 = 0x44;
    /// ES.
    pub const ES: u32 = 0x48;
    /// CS.
    pub const CS: u32 = 0x4C;
    /// SS.
    pub const SS: u32 = 0x50;
    /// DS.
    pub const DS: u32 = 0x54;
    /// FS.
    pub const FS: u32 = 0x58;
    /// GS.
    pub const GS: u32 = 0x5C;
    /// Offset of the I/O permission map; the size of the structure when no map is active.
    pub const IO_MAP_BASE: u32 = 0x66;
    /// Size of the architectural part; also the limit NT gives to the double-fault and NMI task segments.
    pub const HARDWARE_SIZE: u32 = 0x68;
    /// Size of `KTSS`: the hardware part, one direction map and I/O map (2024h) and the interrupt map (20h).
    pub const SIZE: u32 = HARDWARE_SIZE + 0x2024 + 0x20;
}

/// `KPCR` with the part of `KPRCB` that is used (ReactOS `sdk/include/ndk/i386/ketypes.h`).
pub mod kpcr {
    /// `NtTib.ExceptionList`: head of the chain of exception handlers.
    pub const EXCEPTION_LIST: u32 = 0x00;
    /// `NtTib.StackBase`.
    pub const STACK_BASE: u32 = 0x04;
    /// `NtTib.StackLimit`.
    pub const STACK_LIMIT: u32 = 0x08;
    /// `NtTib.Self`: the TEB of the running thread.
    pub const TEB: u32 = 0x18;
    /// Address of the structure itself.
    pub const SELF_PCR: u32 = 0x1C;
    /// Address of the `KPRCB`.
    pub const PRCB: u32 = 0x20;
    /// The interrupt level, one byte.
    pub const IRQL: u32 = 0x24;
    /// Interrupt descriptor table.
    pub const IDT: u32 = 0x38;
    /// Global descriptor table.
    pub const GDT: u32 = 0x3C;
    /// Task state segment.
    pub const TSS: u32 = 0x40;
    /// Version of this structure: 1, two bytes.
    pub const MAJOR_VERSION: u32 = 0x44;
    /// Version of this structure: 1, two bytes.
    pub const MINOR_VERSION: u32 = 0x46;
    /// One bit, that of this processor.
    pub const SET_MEMBER: u32 = 0x48;
    /// `PrcbData`, the embedded `KPRCB`.
    pub const PRCB_DATA: u32 = 0x120;
    /// `PrcbData.CurrentThread`.
    pub const CURRENT_THREAD: u32 = 0x124;
    /// In the `KPRCB`: `ProcessorState.SpecialRegisters.KernelDr0`, first of Dr0, Dr1, Dr2, Dr3, Dr6, Dr7.
    pub const PRCB_KERNEL_DR0: u32 = 0x2F8;
    /// End of an empty chain of exception handlers.
    pub const EXCEPTION_CHAIN_END: u32 = 0xFFFF_FFFF;
}

/// Interrupt levels (`KIRQL`).
pub mod irql {
    /// Threads run.
    pub const PASSIVE: u32 = 0;
    /// No APC is delivered.
    pub const APC: u32 = 1;
    /// The clock interrupts (`CLOCK2_LEVEL`).
    pub const CLOCK: u32 = 28;
}

/// `KSERVICE_TABLE_DESCRIPTOR` and how a number is split (ReactOS `sdk/include/ndk/ketypes.h`).
pub mod service_table {
    /// Array of routine addresses.
    pub const BASE: u32 = 0x0;
    /// Per-service counters of checked builds, else null.
    pub const COUNT: u32 = 0x4;
    /// Number of services.
    pub const LIMIT: u32 = 0x8;
    /// Array of argument sizes, one byte each.
    pub const NUMBER: u32 = 0xC;
    /// Size of one descriptor.
    pub const SIZE: u32 = 0x10;
    /// Right shift that turns a service number into the byte offset of its descriptor (before the mask).
    pub const SHIFT: u32 = 8;
    /// Offset of the win32k descriptor.
    pub const TEST: u32 = 0x10;
    /// Mask for the number within a table.
    pub const NUMBER_MASK: u32 = 0xFFF;
    /// Services a table can hold: as many as [`NUMBER_MASK`] can tell apart.
    pub const MAX_SERVICES: usize = NUMBER_MASK as usize + 1;
}

/// The `NT_TIB` at the start of a TEB (ReactOS `sdk/include/xdk/winnt_old.h`).
pub mod teb {
    /// Head of the chain of exception handlers.
    pub const EXCEPTION_LIST: u32 = 0x00;
    /// End of the stack (highest address).
    pub const STACK_BASE: u32 = 0x04;
    /// Start of the stack (lowest address).
    pub const STACK_LIMIT: u32 = 0x08;
    /// Address of the TEB itself.
    pub const SELF: u32 = 0x18;
    /// The process's PEB.
    pub const PEB: u32 = 0x30;
    /// `GdiBatchCount`: drawing calls that GDI has gathered.
    pub const GDI_BATCH_COUNT: u32 = 0xF70;
}

/// Selectors (ReactOS `sdk/include/ndk/i386/ketypes.h`, `KGDT_*`), with the RPL they are used with.
pub mod selector {
    /// Ring-0 code.
    pub const R0_CODE: u32 = 0x08;
    /// Ring-0 data and stack.
    pub const R0_DATA: u32 = 0x10;
    /// Ring-3 code.
    pub const R3_CODE: u32 = 0x1B;
    /// Ring-3 data and stack; also DS and ES in the kernel.
    pub const R3_DATA: u32 = 0x23;
    /// Task state segment.
    pub const TSS: u32 = 0x28;
    /// `KPCR`: FS in the kernel.
    pub const R0_PCR: u32 = 0x30;
    /// `TEB`: FS in ring 3.
    pub const R3_TEB: u32 = 0x3B;
    /// Virtual DOS machines.
    pub const VDM: u32 = 0x40;
    /// Task segment of the double-fault handler.
    pub const DF_TSS: u32 = 0x50;
    /// Task segment of the NMI handler.
    pub const NMI_TSS: u32 = 0x58;
    /// The privilege bit that tells ring-3 selectors from ring-0 selectors (`MODE_MASK`).
    pub const MODE_MASK: u32 = 1;
}

/// EFLAGS bits: the machine's.
pub mod eflags {
    pub use crate::machine::flags::{ALWAYS, DF, ID, IF, NT, RF, TF};

    /// Carry, parity, adjust, zero, sign and the bit that is always one.
    pub const STATUS: u32 = crate::machine::flags::ARITHMETIC & 0xFF | ALWAYS;
}

/// `KPROCESSOR_MODE`.
pub mod mode {
    /// Called by the kernel.
    pub const KERNEL: u32 = 0;
    /// Called from ring 3.
    pub const USER: u32 = 1;
    /// What hardware trap frames hold as previous mode.
    pub const NONE: u32 = 0xFFFF_FFFF;
}

/// Model-specific registers of the fast system call: the machine's.
pub mod msr {
    use crate::machine::msr;

    /// `IA32_SYSENTER_CS`.
    pub const SYSENTER_CS: u32 = msr::SYSENTER_CS;
    /// `IA32_SYSENTER_ESP`.
    pub const SYSENTER_ESP: u32 = msr::SYSENTER_ESP;
    /// `IA32_SYSENTER_EIP`.
    pub const SYSENTER_EIP: u32 = msr::SYSENTER_EIP;
}

/// I/O ports.
pub mod port {
    /// Command port of the first 8259A.
    pub const PIC1: u32 = 0x20;
    /// Command port of the second 8259A.
    pub const PIC2: u32 = 0xA0;
    /// Counter 0 of the 8254.
    pub const TIMER: u32 = 0x40;
    /// Control port of the 8254.
    pub const TIMER_CONTROL: u32 = 0x43;
    /// Data port of the first 8259A.
    pub const PIC1_DATA: u32 = 0x21;
    /// Data port of the second 8259A.
    pub const PIC2_DATA: u32 = 0xA1;
    /// Debug console (QEMU `-debugcon`, Bochs port E9 hack).
    pub const DEBUG_CONSOLE: u32 = crate::machine::CONSOLE as u32;
    /// Exit port (QEMU `-device isa-debug-exit,iobase=0xf4`).
    pub const EXIT: u32 = crate::machine::EXIT as u32;
}

/// Interrupt vectors with a meaning of their own (ReactOS `ntoskrnl/ke/i386/trap.s`).
pub mod vector {
    /// Debug exception.
    pub const DEBUG: u32 = 0x01;
    /// Non-maskable interrupt, a task gate.
    pub const NMI: u32 = 0x02;
    /// `int 3`.
    pub const BREAKPOINT: u32 = 0x03;
    /// Double fault, a task gate.
    pub const DOUBLE_FAULT: u32 = 0x08;
    /// General-protection fault.
    pub const GENERAL_PROTECTION: u32 = 0x0D;
    /// Page fault.
    pub const PAGE_FAULT: u32 = 0x0E;
    /// KiRaiseSecurityCheckFailure, since Windows 8.
    pub const SECURITY_CHECK: u32 = 0x29;
    /// KiGetTickCount.
    pub const GET_TICK_COUNT: u32 = 0x2A;
    /// KiCallbackReturn.
    pub const CALLBACK_RETURN: u32 = 0x2B;
    /// KiRaiseAssertion.
    pub const RAISE_ASSERTION: u32 = 0x2C;
    /// KiDebugService.
    pub const DEBUG_SERVICE: u32 = 0x2D;
    /// KiSystemService.
    pub const SYSTEM_SERVICE: u32 = 0x2E;
    /// The clock's interrupt, the first of the controllers'.
    pub const CLOCK: u32 = 0x30;
    /// Number of vectors.
    pub const COUNT: u32 = 0x100;
}

/// Size of a page.
pub const PAGE: u32 = 0x1000;
