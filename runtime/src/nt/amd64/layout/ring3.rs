//! What the kernel puts on ring 3's stack and its own for exceptions, APCs and callbacks.

/// `CONTEXT`, size 4D0h, at a multiple of 16 (Microsoft, `winnt.h`; ReactOS `sdk/include/psdk/winnt.h`).
pub mod user_context {
    /// Home of a first register argument, three more follow; the kernel passes APC routines their arguments here.
    pub const P1_HOME: u32 = 0x000;
    /// Which parts are valid.
    pub const FLAGS: u32 = 0x030;
    /// MXCSR.
    pub const MXCSR: u32 = 0x034;
    /// CS, two bytes.
    pub const SEG_CS: u32 = 0x038;
    /// DS, two bytes.
    pub const SEG_DS: u32 = 0x03A;
    /// ES, two bytes.
    pub const SEG_ES: u32 = 0x03C;
    /// FS, two bytes.
    pub const SEG_FS: u32 = 0x03E;
    /// GS, two bytes.
    pub const SEG_GS: u32 = 0x040;
    /// SS, two bytes.
    pub const SEG_SS: u32 = 0x042;
    /// RFLAGS, four bytes.
    pub const EFLAGS: u32 = 0x044;
    /// First of Dr0, Dr1, Dr2, Dr3, Dr6, Dr7.
    pub const DR0: u32 = 0x048;
    /// Debug status register.
    pub const DR6: u32 = 0x068;
    /// Debug control register.
    pub const DR7: u32 = 0x070;
    /// RAX.
    pub const RAX: u32 = 0x078;
    /// RCX.
    pub const RCX: u32 = 0x080;
    /// RDX.
    pub const RDX: u32 = 0x088;
    /// RBX.
    pub const RBX: u32 = 0x090;
    /// RSP.
    pub const RSP: u32 = 0x098;
    /// RBP.
    pub const RBP: u32 = 0x0A0;
    /// RSI.
    pub const RSI: u32 = 0x0A8;
    /// RDI.
    pub const RDI: u32 = 0x0B0;
    /// R8; the seven others follow.
    pub const R8: u32 = 0x0B8;
    /// R12.
    pub const R12: u32 = 0x0D8;
    /// RIP.
    pub const RIP: u32 = 0x0F8;
    /// The image of FXSAVE.
    pub const FLT_SAVE: u32 = 0x100;
    /// MXCSR in it.
    pub const FLT_MXCSR: u32 = FLT_SAVE + 0x18;
    /// The bits that MXCSR can have, in it; zero means [`MXCSR_MASK`].
    pub const FLT_MXCSR_MASK: u32 = FLT_SAVE + 0x1C;
    /// First of XMM0 to XMM15 in it, sixteen bytes each.
    pub const XMM0: u32 = FLT_SAVE + 0xA0;
    /// Size of the structure.
    pub const SIZE: u32 = 0x4D0;

    /// [`FLAGS`]: a context of this architecture.
    pub const AMD64: u32 = 0x10_0000;
    /// [`FLAGS`]: RIP, CS, RFLAGS, RSP, SS.
    pub const CONTROL: u32 = 0x01;
    /// [`FLAGS`]: the other general registers.
    pub const INTEGER: u32 = 0x02;
    /// [`FLAGS`]: DS, ES, FS, GS, which are what they always are.
    pub const SEGMENTS: u32 = 0x04;
    /// [`FLAGS`]: MXCSR and the XMM registers.
    pub const FLOATING_POINT: u32 = 0x08;
    /// [`FLAGS`]: Dr0 to Dr7.
    pub const DEBUG: u32 = 0x10;
    /// [`FLAGS`]: everything that the kernel gives.
    pub const ALL: u32 = AMD64 | CONTROL | INTEGER | SEGMENTS | FLOATING_POINT | DEBUG;

    /// The flags that ring 3 may choose, IF set for it: `EFLAGS_USER_SANITIZE`, 3F4DD7h, without VM, VIF and VIP, which mean
    /// nothing in long mode.
    pub const USER_EFLAGS: u32 = 0x3F_4DD7 & !0x1A_0000;
    /// The bits of Dr7 that ring 3 may choose (`DR7_LEGAL`).
    pub const USER_DR7: u32 = 0xFFFF_0155;
    /// The bits of Dr7 that switch a breakpoint on (`DR7_ACTIVE`).
    pub const ACTIVE_DR7: u32 = 0x55;
    /// The bits that MXCSR has in every processor (Intel SDM volume 1, 11.6.6).
    pub const MXCSR_MASK: u32 = 0xFFBF;
}

/// `EXCEPTION_RECORD`, size 98h (Microsoft, `winnt.h`).
pub mod exception_record {
    /// The exception's `NTSTATUS`.
    pub const CODE: u32 = 0x00;
    /// [`NONCONTINUABLE`] or zero.
    pub const FLAGS: u32 = 0x04;
    /// An exception that came up in the handling of which this one did.
    pub const RECORD: u32 = 0x08;
    /// Where it came up.
    pub const ADDRESS: u32 = 0x10;
    /// Parameters that follow, at most fifteen; four bytes.
    pub const PARAMETER_COUNT: u32 = 0x18;
    /// The first parameter.
    pub const PARAMETERS: u32 = 0x20;
    /// Size of the structure with all parameters.
    pub const SIZE: u32 = 0x98;
    /// The most parameters.
    pub const MAX_PARAMETERS: u32 = 15;
    /// [`FLAGS`]: nobody may go on from here.
    pub const NONCONTINUABLE: u32 = 1;
}

/// `MACHINE_FRAME`, size 28h: what an interrupt pushes (ReactOS `sdk/include/ndk/amd64/ketypes.h`).
pub mod machine_frame {
    /// RIP.
    pub const RIP: u32 = 0x00;
    /// CS, two bytes.
    pub const SEG_CS: u32 = 0x08;
    /// RFLAGS, four bytes.
    pub const EFLAGS: u32 = 0x10;
    /// RSP.
    pub const RSP: u32 = 0x18;
    /// SS, two bytes.
    pub const SEG_SS: u32 = 0x20;
    /// Size of the structure.
    pub const SIZE: u32 = 0x28;
}

/// What is on ring 3's stack when KiUserExceptionDispatcher begins, behind the `CONTEXT`, and behind the `CONTEXT_EX` of systems
/// that have one (ReactOS, `KUSER_EXCEPTION_STACK`; Wine `dlls/ntdll/unix/signal_x86_64.c`). Its `MACHINE_FRAME` lets
/// debuggers walk on.
pub mod user_exception {
    use super::{exception_record, machine_frame};

    /// The `EXCEPTION_RECORD`.
    pub const RECORD: u32 = 0x00;
    /// The `MACHINE_FRAME`: eight bytes between, so that the whole is aligned.
    pub const MACHINE_FRAME: u32 = exception_record::SIZE + 8;
    /// Size of this part.
    pub const SIZE: u32 = MACHINE_FRAME + machine_frame::SIZE;
}

/// `UCALLOUT_FRAME`, what is on ring 3's stack when KiUserCallbackDispatcher begins (ReactOS
/// `sdk/include/ndk/amd64/ketypes.h`).
pub mod callout_frame {
    /// Address of the argument.
    pub const BUFFER: u32 = 0x20;
    /// Its length, four bytes.
    pub const LENGTH: u32 = 0x28;
    /// Number of the callback, four bytes.
    pub const API_NUMBER: u32 = 0x2C;
    /// A `MACHINE_FRAME`.
    pub const MACHINE_FRAME: u32 = 0x30;
    /// Size of the structure.
    pub const SIZE: u32 = 0x58;
}

/// `KEXCEPTION_FRAME`, what a trap frame lacks of the registers: those that routines keep. A callback's is also how it comes
/// back: `KTHREAD.CallbackStack` is its address (ReactOS `sdk/include/ndk/amd64/ketypes.h`).
pub mod exception_frame {
    /// `KTHREAD.InitialStack` before a callback.
    pub const INITIAL_STACK: u32 = 0x028;
    /// First of XMM6 to XMM15, sixteen bytes each.
    pub const XMM6: u32 = 0x030;
    /// `KTHREAD.TrapFrame` before a callback.
    pub const TRAP_FRAME: u32 = 0x0D0;
    /// `KTHREAD.CallbackStack` before a callback.
    pub const CALLBACK_STACK: u32 = 0x0D8;
    /// Where the address of a callback's result goes.
    pub const OUTPUT_BUFFER: u32 = 0x0E0;
    /// Where the length of a callback's result goes.
    pub const OUTPUT_LENGTH: u32 = 0x0E8;
    /// RBP.
    pub const RBP: u32 = 0x0F8;
    /// RBX.
    pub const RBX: u32 = 0x100;
    /// RDI.
    pub const RDI: u32 = 0x108;
    /// RSI.
    pub const RSI: u32 = 0x110;
    /// R12; R13, R14 and R15 follow.
    pub const R12: u32 = 0x118;
    /// The return address of the routine that keeps the registers.
    pub const RETURN: u32 = 0x138;
    /// Size of the structure.
    pub const SIZE: u32 = 0x140;
}

/// `KAPC` (ReactOS `sdk/include/xdk/ketypes.h`).
pub mod apc {
    /// The kind of object, 12h; one byte.
    pub const TYPE: u32 = 0x00;
    /// Size of the structure, one byte.
    pub const LENGTH: u32 = 0x02;
    /// The thread.
    pub const THREAD: u32 = 0x08;
    /// Links to the next and the previous in the thread's queue.
    pub const LIST_ENTRY: u32 = 0x10;
    /// What ring 3 is to call.
    pub const NORMAL_ROUTINE: u32 = 0x30;
    /// Its first argument.
    pub const NORMAL_CONTEXT: u32 = 0x38;
    /// Its second argument.
    pub const SYSTEM_ARGUMENT_1: u32 = 0x40;
    /// Its third argument.
    pub const SYSTEM_ARGUMENT_2: u32 = 0x48;
    /// 1 for user mode, one byte.
    pub const MODE: u32 = 0x51;
    /// In a queue, one byte.
    pub const INSERTED: u32 = 0x52;
    /// Size of the structure.
    pub const SIZE: u32 = 0x58;
    /// Value of [`TYPE`] (`ApcObject`).
    pub const OBJECT: u32 = 0x12;
    /// Offset of the user-mode queue in `KTHREAD.ApcState`.
    pub const USER_QUEUE: u32 = 0x10;
}

/// The part of a `PEB` that is used (Microsoft's public symbols; ReactOS `sdk/include/ndk/peb_teb.h`).
pub mod peb {
    /// `KernelCallbackTable`.
    pub const KERNEL_CALLBACK_TABLE: u32 = 0x58;
}
