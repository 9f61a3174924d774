//! Structure offsets and constants of 64-bit NT, each at one place.
//!
//! Offsets are in bytes from the start of the structure. What differs from version to version is not here but in
//! [`Profile`](super::profile::Profile); what is as in 32-bit NT is in [`nt::layout`](crate::nt::layout). Names follow
//! the ReactOS headers, which follow Microsoft's public symbols; the source of each group stands above it.

mod ring3;

pub use crate::nt::layout::{PAGE, bugcheck, eflags, irql, mode, status, vector};
pub use ring3::{
    apc, callout_frame, exception_frame, exception_record, machine_frame, peb, user_context, user_exception,
};

/// I/O ports: what is as in 32-bit NT, and those of the clock.
pub mod port {
    pub use crate::nt::layout::port::{DEBUG_CONSOLE, EXIT, PIC1_DATA, PIC2_DATA};

    /// Command port of the first 8259A.
    pub const PIC1: u32 = 0x20;
    /// Command port of the second 8259A.
    pub const PIC2: u32 = 0xA0;
    /// Counter 0 of the 8254.
    pub const TIMER: u32 = 0x40;
    /// Control port of the 8254.
    pub const TIMER_CONTROL: u32 = 0x43;
}

/// `KTRAP_FRAME` (ReactOS `sdk/include/ndk/amd64/ketypes.h`). The kernel's code addresses it through RBP, which holds
/// [`RBP_BIAS`](trap_frame::RBP_BIAS) more than the frame's address, so that most displacements fit a byte.
pub mod trap_frame {
    /// Home of a called routine's first register argument; three more follow.
    pub const P1_HOME: u32 = 0x000;
    /// A fifth argument.
    pub const P5: u32 = 0x020;
    /// `KTHREAD.PreviousMode` as it was before this entry, one byte; written for calls from ring 0.
    pub const PREVIOUS_MODE: u32 = 0x028;
    /// Interrupt level before this entry, one byte.
    pub const PREVIOUS_IRQL: u32 = 0x029;
    /// Write access of a page fault, one byte.
    pub const FAULT_INDICATOR: u32 = 0x02A;
    /// One byte: [`INTERRUPT`], [`EXCEPTION`] or [`SERVICE`].
    pub const EXCEPTION_ACTIVE: u32 = 0x02B;
    /// MXCSR of the interrupted code.
    pub const MXCSR: u32 = 0x02C;
    /// RAX.
    pub const RAX: u32 = 0x030;
    /// RCX.
    pub const RCX: u32 = 0x038;
    /// RDX.
    pub const RDX: u32 = 0x040;
    /// R8.
    pub const R8: u32 = 0x048;
    /// R9.
    pub const R9: u32 = 0x050;
    /// R10.
    pub const R10: u32 = 0x058;
    /// R11.
    pub const R11: u32 = 0x060;
    /// GS base.
    pub const GS_BASE: u32 = 0x068;
    /// First of XMM0 to XMM5, sixteen bytes each.
    pub const XMM0: u32 = 0x070;
    /// Address of a page fault.
    pub const FAULT_ADDRESS: u32 = 0x0D0;
    /// First of Dr0, Dr1, Dr2, Dr3, Dr6, Dr7.
    pub const DR0: u32 = 0x0D8;
    /// Status of the debug registers.
    pub const DR6: u32 = 0x0F8;
    /// Debug control; its low word is zero if no debug register was saved.
    pub const DR7: u32 = 0x100;
    /// Debug control MSR.
    pub const DEBUG_CONTROL: u32 = 0x108;
    /// DS, two bytes; ES, FS and GS follow. No entry of the kernel stores them.
    pub const SEG_DS: u32 = 0x130;
    /// ES.
    pub const SEG_ES: u32 = 0x132;
    /// FS.
    pub const SEG_FS: u32 = 0x134;
    /// GS.
    pub const SEG_GS: u32 = 0x136;
    /// The previous `KTHREAD.TrapFrame`.
    pub const TRAP_FRAME: u32 = 0x138;
    /// RBX.
    pub const RBX: u32 = 0x140;
    /// RDI.
    pub const RDI: u32 = 0x148;
    /// RSI.
    pub const RSI: u32 = 0x150;
    /// RBP.
    pub const RBP: u32 = 0x158;
    /// Error code, pushed by the CPU or reserved by the handler.
    pub const ERROR_CODE: u32 = 0x160;
    /// RIP; from here on the CPU's own frame.
    pub const RIP: u32 = 0x168;
    /// CS.
    pub const SEG_CS: u32 = 0x170;
    /// Byte behind CS that tells, as in 32-bit NT, which entry built the frame: one of the `BY_` values.
    pub const LOGGING: u32 = 0x173;
    /// RFLAGS.
    pub const EFLAGS: u32 = 0x178;
    /// RSP.
    pub const RSP: u32 = 0x180;
    /// SS.
    pub const SEG_SS: u32 = 0x188;
    /// Size of the structure.
    pub const SIZE: u32 = 0x190;
    /// What RBP holds beyond the frame's address.
    pub const RBP_BIAS: u32 = 0x80;
    /// Value of [`EXCEPTION_ACTIVE`]: an interrupt's frame.
    pub const INTERRUPT: u32 = 0;
    /// Value of [`EXCEPTION_ACTIVE`]: an exception's frame.
    pub const EXCEPTION: u32 = 1;
    /// Value of [`EXCEPTION_ACTIVE`]: a system call's frame.
    pub const SERVICE: u32 = 2;
    /// Value of [`LOGGING`]: KiSystemCall64.
    pub const BY_SYSTEM_CALL: u32 = 1;
    /// Value of [`LOGGING`]: KiSystemService, vector 2Eh.
    pub const BY_SYSTEM_SERVICE: u32 = 2;
    /// Value of [`LOGGING`]: KiServiceInternal.
    pub const BY_SERVICE_INTERNAL: u32 = 3;
    /// Value of [`LOGGING`]: KiSystemCallEntry64 of ReactOS.
    pub const BY_SYSTEM_CALL_ENTRY: u32 = 4;
    /// Value of [`LOGGING`]: KiZwSystemService of ReactOS.
    pub const BY_ZW_SYSTEM_SERVICE: u32 = 5;
}

/// Stack that KiSystemServiceCopyStart takes for arguments, below the frame. The frame's four homes are part of the
/// room too, so that [`COPY_RUN`] arguments fit behind the callee's own home area.
pub const COPY_AREA: u32 = 0x70;

/// Instructions in Windows's copy run: stack arguments a service can have.
pub const COPY_RUN: usize = 14;

/// Arguments of a service that ReactOS's KiSystemCallHandler makes room for, and copies at most
/// (`ntoskrnl/ke/amd64/traphandler.c`). The guest copies what any other kernel would too, so that the stubs of larger
/// services can be tried; what is beyond the room is the frame's own home area.
pub const MAX_SYSCALL_PARAMS: u32 = 16;

/// Bytes of that room, right below the frame.
pub const REACTOS_COPY_AREA: u32 = 8 * MAX_SYSCALL_PARAMS;

/// Home area that a caller leaves for the four register arguments.
pub const HOME_AREA: u32 = 0x20;

/// `KTSS64` (ReactOS `sdk/include/ndk/amd64/ketypes.h`; Intel SDM volume 3, 8.7).
pub mod tss {
    /// Stack pointer for entries from ring 3.
    pub const RSP0: u32 = 0x04;
    /// Stack pointer of interrupt stack 1; six more follow.
    pub const IST1: u32 = 0x24;
    /// Offset of the I/O permission map; the size of the structure when there is none.
    pub const IO_MAP_BASE: u32 = 0x66;
    /// Size of the structure.
    pub const SIZE: u32 = 0x68;
}

/// `KPCR` with the part of `KPRCB` that is used (ReactOS `sdk/include/ndk/amd64/ketypes.h`).
pub mod kpcr {
    /// Global descriptor table.
    pub const GDT: u32 = 0x000;
    /// Task state segment.
    pub const TSS: u32 = 0x008;
    /// RSP of ring 3, from `syscall` to the frame.
    pub const USER_RSP: u32 = 0x010;
    /// Address of the structure itself.
    pub const SELF: u32 = 0x018;
    /// Address of the `KPRCB`.
    pub const CURRENT_PRCB: u32 = 0x020;
    /// `NtTib.Self`: the TEB of the running thread.
    pub const USED_SELF: u32 = 0x030;
    /// Interrupt descriptor table.
    pub const IDT: u32 = 0x038;
    /// Version of this structure: 1, two bytes.
    pub const MAJOR_VERSION: u32 = 0x060;
    /// Version of this structure: 1, two bytes.
    pub const MINOR_VERSION: u32 = 0x062;
    /// `Prcb`, the embedded `KPRCB`; its first field is [`MXCSR`].
    pub const PRCB: u32 = 0x180;
    /// `Prcb.MxCsr`: what the kernel runs with.
    pub const MXCSR: u32 = 0x180;
    /// `Prcb.CurrentThread`.
    pub const CURRENT_THREAD: u32 = 0x188;
    /// `Prcb.RspBase`: end of the running thread's kernel stack.
    pub const RSP_BASE: u32 = 0x1A8;
    /// Bytes to reserve: beyond `KeSystemCalls` in every version.
    pub const SIZE: u32 = 0x5000;
}

/// What the kernel loads into MXCSR: all exceptions masked.
pub const INITIAL_MXCSR: u32 = 0x1F80;

/// `DISPATCHER_HEADER` (ReactOS `sdk/include/ndk/amd64/ketypes.h`).
pub mod dispatcher_header {
    /// `DebugActive`, one byte.
    pub const DEBUG_ACTIVE: u32 = 0x03;
    /// Bits of [`DEBUG_ACTIVE`] for which the debug registers are saved: active DR7, instrumented.
    pub const DEBUG_REGISTERS: u32 = 0x03;
}

/// `KUSER_SHARED_DATA`: [`nt::layout`](crate::nt::layout)'s, and what 64-bit systems have beyond it.
pub mod shared {
    pub use crate::nt::layout::shared::{
        ACTIVE_CONSOLE_ID, COOKIE, IMAGE_NUMBER_HIGH, IMAGE_NUMBER_LOW, INTERRUPT_TIME, LARGE_PAGE_MINIMUM,
        NATIVE_PROCESSOR_ARCHITECTURE, NT_BUILD_NUMBER, NT_MAJOR_VERSION, NT_MINOR_VERSION, NT_PRODUCT_TYPE,
        NT_SYSTEM_ROOT, NUMBER_OF_PHYSICAL_PAGES, NX_SUPPORT_POLICY, PROCESSOR_FEATURES, PRODUCT_TYPE_IS_VALID,
        RESERVED_1, RESERVED_3, RET, SUITE_MASK, SYSTEM_TIME, TEST_RET_INSTRUCTION, TICK_COUNT, TICK_COUNT_MULTIPLIER,
        TIME_ZONE_ID, system_time,
    };

    /// Since Windows 8: ticks of the performance counter in a second, eight bytes.
    pub const QPC_FREQUENCY: u32 = 0x300;
    /// `SystemCall` since Windows 10 1511: bit 0 set, the stubs use `int 2Eh`.
    pub const SYSTEM_CALL: u32 = 0x308;
    /// Value of [`IMAGE_NUMBER_LOW`] and [`IMAGE_NUMBER_HIGH`] (`IMAGE_FILE_MACHINE_AMD64`).
    pub const IMAGE_AMD64: u32 = 0x8664;
    /// Value of [`NATIVE_PROCESSOR_ARCHITECTURE`] (`PROCESSOR_ARCHITECTURE_AMD64`).
    pub const ARCHITECTURE_AMD64: u32 = 9;
    /// A tick of the clock, in units of 100 ns: 15.625 ms.
    pub const CLOCK_TICK: u32 = 156_250;
    /// Value of [`TICK_COUNT_MULTIPLIER`] for such ticks: 15.625 times 2^24.
    pub const CLOCK_MULTIPLIER: u32 = 0x0FA0_0000;

    /// Indices of `ProcessorFeatures` (`PF_*` of `winnt.h`) that this guest decides by CPUID.
    pub mod processor_feature {
        /// CMPXCHG8B.
        pub const COMPARE_EXCHANGE_DOUBLE: u32 = 2;
        /// MMX.
        pub const MMX: u32 = 3;
        /// SSE.
        pub const XMMI: u32 = 6;
        /// RDTSC.
        pub const RDTSC: u32 = 8;
        /// PAE.
        pub const PAE: u32 = 9;
        /// SSE2.
        pub const XMMI64: u32 = 10;
        /// Pages can forbid execution, and the system makes use of it.
        pub const NX: u32 = 12;
        /// SSE3.
        pub const SSE3: u32 = 13;
        /// CMPXCHG16B.
        pub const COMPARE_EXCHANGE128: u32 = 14;
    }
}

/// `KSERVICE_TABLE_DESCRIPTOR` and how a number is split (ReactOS `sdk/include/ndk/ketypes.h`).
pub mod service_table {
    pub use crate::nt::layout::service_table::{MAX_SERVICES, NUMBER_MASK};

    /// Array of entries.
    pub const BASE: u32 = 0x00;
    /// Number of services.
    pub const LIMIT: u32 = 0x10;
    /// Array of argument sizes, one byte each: eight for each parameter.
    pub const NUMBER: u32 = 0x18;
    /// Size of one descriptor.
    pub const SIZE: u32 = 0x20;
    /// Right shift that turns a service number into the byte offset of its descriptor (before the mask).
    pub const SHIFT: u32 = 7;
    /// Mask for the byte offset of the descriptor: two tables.
    pub const MASK: u32 = 0x20;
    /// Offset of the win32k descriptor.
    pub const TEST: u32 = 0x20;
    /// Bits of a packed entry that hold the number of stack arguments.
    pub const COUNT_MASK: u32 = 0xF;
    /// Bits that the routine's distance from the table stands above.
    pub const OFFSET_SHIFT: u32 = 4;
}

/// The TEB: its `NT_TIB` and one field of GDI (ReactOS `sdk/include/ndk/peb_teb.h`).
pub mod teb {
    /// End of the stack (highest address).
    pub const STACK_BASE: u32 = 0x0008;
    /// Start of the stack (lowest address).
    pub const STACK_LIMIT: u32 = 0x0010;
    /// Address of the TEB itself.
    pub const SELF: u32 = 0x0030;
    /// The process's PEB.
    pub const PEB: u32 = 0x0060;
    /// Drawing commands that wait to be sent to the kernel.
    pub const GDI_BATCH_COUNT: u32 = 0x1740;
    /// Bytes to reserve for the structure.
    pub const SIZE: u32 = 0x2000;
}

/// Selectors (ReactOS `sdk/include/ndk/amd64/ketypes.h`, `KGDT64_*`), with the RPL they are used with.
pub mod selector {
    /// Ring-0 code.
    pub const R0_CODE: u32 = 0x10;
    /// Ring-0 stack.
    pub const R0_DATA: u32 = 0x18;
    /// Ring-3 code of 32-bit programs.
    pub const R3_CMCODE: u32 = 0x23;
    /// Ring-3 data and stack.
    pub const R3_DATA: u32 = 0x2B;
    /// Ring-3 code.
    pub const R3_CODE: u32 = 0x33;
    /// Task state segment, a descriptor of 16 bytes.
    pub const TSS: u32 = 0x40;
    /// TEB of 32-bit programs: FS in ring 3.
    pub const R3_CMTEB: u32 = 0x53;
    /// The privilege bit that tells ring-3 selectors from ring-0 selectors (`MODE_MASK`).
    pub const MODE_MASK: u32 = 1;
}

/// Model-specific registers (Intel SDM volume 4, table 2-2).
pub mod msr {
    /// `IA32_EFER`.
    pub const EFER: u32 = 0xC000_0080;
    /// `IA32_STAR`: selectors of `syscall` (bits 32-47) and `sysret` (48-63).
    pub const STAR: u32 = 0xC000_0081;
    /// `IA32_LSTAR`: entry from 64-bit code.
    pub const LSTAR: u32 = 0xC000_0082;
    /// `IA32_CSTAR`: entry from 32-bit code, on AMD's processors.
    pub const CSTAR: u32 = 0xC000_0083;
    /// `IA32_FMASK`: flags that `syscall` clears.
    pub const FMASK: u32 = 0xC000_0084;
    /// Base of GS.
    pub const GS_BASE: u32 = 0xC000_0101;
    /// What `swapgs` exchanges with [`GS_BASE`].
    pub const KERNEL_GS_BASE: u32 = 0xC000_0102;
    /// [`EFER`]: `syscall` and `sysret` exist.
    pub const EFER_SCE: u32 = 0x001;
    /// [`EFER`]: paging starts long mode.
    pub const EFER_LME: u32 = 0x100;
    /// [`EFER`]: pages can forbid execution.
    pub const EFER_NXE: u32 = 0x800;
    /// Value of [`STAR`]'s upper half: CS 10h in the kernel, CS 33h (23h + 10h) after `sysretq`.
    pub const STAR_SELECTORS: u32 = super::selector::R3_CMCODE << 16 | super::selector::R0_CODE;
    /// Value of [`FMASK`]: NT, DF, IF and TF.
    pub const SYSCALL_FMASK: u32 = 0x4700;
}
