//! What the kernel puts on ring 3's stack and its own for exceptions, APCs and callbacks.

/// `CONTEXT`, size 2CCh (Microsoft, `winnt.h`; ReactOS `sdk/include/psdk/winnt.h`).
pub mod user_context {
    /// Which parts are valid.
    pub const FLAGS: u32 = 0x00;
    /// First of Dr0, Dr1, Dr2, Dr3, Dr6, Dr7.
    pub const DR0: u32 = 0x04;
    /// Debug status register.
    pub const DR6: u32 = 0x14;
    /// Debug control register.
    pub const DR7: u32 = 0x18;
    /// GS.
    pub const SEG_GS: u32 = 0x8C;
    /// FS.
    pub const SEG_FS: u32 = 0x90;
    /// ES.
    pub const SEG_ES: u32 = 0x94;
    /// DS.
    pub const SEG_DS: u32 = 0x98;
    /// EDI.
    pub const EDI: u32 = 0x9C;
    /// ESI.
    pub const ESI: u32 = 0xA0;
    /// EBX.
    pub const EBX: u32 = 0xA4;
    /// EDX.
    pub const EDX: u32 = 0xA8;
    /// ECX.
    pub const ECX: u32 = 0xAC;
    /// EAX.
    pub const EAX: u32 = 0xB0;
    /// EBP.
    pub const EBP: u32 = 0xB4;
    /// EIP.
    pub const EIP: u32 = 0xB8;
    /// CS.
    pub const SEG_CS: u32 = 0xBC;
    /// EFLAGS.
    pub const EFLAGS: u32 = 0xC0;
    /// ESP.
    pub const ESP: u32 = 0xC4;
    /// SS.
    pub const SEG_SS: u32 = 0xC8;
    /// Size of the structure.
    pub const SIZE: u32 = 0x2CC;

    /// [`FLAGS`]: a context of this architecture.
    pub const I386: u32 = 0x1_0000;
    /// [`FLAGS`]: EBP, EIP, CS, EFLAGS, ESP, SS.
    pub const CONTROL: u32 = 0x01;
    /// [`FLAGS`]: the other general registers.
    pub const INTEGER: u32 = 0x02;
    /// [`FLAGS`]: DS, ES, FS, GS.
    pub const SEGMENTS: u32 = 0x04;
    /// [`FLAGS`]: Dr0 to Dr7.
    pub const DEBUG: u32 = 0x10;
    /// [`FLAGS`]: everything that the kernel gives. This guest leaves the FPU alone.
    pub const ALL: u32 = I386 | CONTROL | INTEGER | SEGMENTS | DEBUG;

    /// The flags that ring 3 may choose; IF is set for it. NT takes VM, VIF and VIP too (`EFLAGS_USER_SANITIZE`, 3F4DD7h), as
    /// it runs programs for DOS; this guest does not.
    pub const USER_EFLAGS: u32 = 0x3F_4DD7 & !0x1A_0000;
    /// The bits of Dr7 that ring 3 may choose (`DR7_LEGAL`).
    pub const USER_DR7: u32 = 0xFFFF_0155;
    /// The bits of Dr7 that switch a breakpoint on (`DR7_ACTIVE`).
    pub const ACTIVE_DR7: u32 = 0x55;
}

/// `EXCEPTION_RECORD` (Microsoft, `winnt.h`).
pub mod exception_record {
    /// The exception's `NTSTATUS`.
    pub const CODE: u32 = 0x00;
    /// [`NONCONTINUABLE`] or zero.
    pub const FLAGS: u32 = 0x04;
    /// An exception that came up in the handling of which this one did.
    pub const RECORD: u32 = 0x08;
    /// Where it came up.
    pub const ADDRESS: u32 = 0x0C;
    /// Parameters that follow, at most fifteen.
    pub const PARAMETER_COUNT: u32 = 0x10;
    /// The first parameter.
    pub const PARAMETERS: u32 = 0x14;
    /// Size of the structure with all parameters.
    pub const SIZE: u32 = 0x50;
    /// The most parameters.
    pub const MAX_PARAMETERS: u32 = 15;
    /// [`FLAGS`]: nobody may go on from here.
    pub const NONCONTINUABLE: u32 = 1;
    /// [`FLAGS`]: the handler is called because its frame goes away (`EXCEPTION_UNWINDING`).
    pub const UNWINDING: u32 = 2;
}

/// A registration in the chain of exception handlers that begins at FS:\[0\].
pub mod registration {
    /// The next one.
    pub const NEXT: u32 = 0x00;
    /// The handler.
    pub const HANDLER: u32 = 0x04;
    /// Size of the structure.
    pub const SIZE: u32 = 0x08;
}

/// `KAPC` (ReactOS `sdk/include/xdk/ketypes.h`).
pub mod apc {
    /// The kind of object, 12h; two bytes.
    pub const TYPE: u32 = 0x00;
    /// Size of the structure, two bytes.
    pub const LENGTH: u32 = 0x02;
    /// The thread.
    pub const THREAD: u32 = 0x08;
    /// Links to the next and the previous in the thread's queue.
    pub const LIST_ENTRY: u32 = 0x0C;
    /// What ring 3 is to call.
    pub const NORMAL_ROUTINE: u32 = 0x1C;
    /// Its first argument.
    pub const NORMAL_CONTEXT: u32 = 0x20;
    /// Its second argument.
    pub const SYSTEM_ARGUMENT_1: u32 = 0x24;
    /// Its third argument.
    pub const SYSTEM_ARGUMENT_2: u32 = 0x28;
    /// 1 for user mode, one byte.
    pub const MODE: u32 = 0x2D;
    /// In a queue, one byte.
    pub const INSERTED: u32 = 0x2E;
    /// Size of the structure.
    pub const SIZE: u32 = 0x30;
    /// Value of [`TYPE`] (`ApcObject`).
    pub const OBJECT: u32 = 0x12;
    /// Offset of the user-mode queue in `KTHREAD.ApcState`.
    pub const USER_QUEUE: u32 = 0x08;
}

/// What is on ring 3's stack when KiUserApcDispatcher begins (ReactOS `ntoskrnl/ke/i386/usercall.c`).
pub mod apc_frame {
    use super::user_context;

    /// The routine to call.
    pub const NORMAL_ROUTINE: u32 = 0x00;
    /// Its first argument.
    pub const NORMAL_CONTEXT: u32 = 0x04;
    /// Its second argument.
    pub const SYSTEM_ARGUMENT_1: u32 = 0x08;
    /// Its third argument.
    pub const SYSTEM_ARGUMENT_2: u32 = 0x0C;
    /// Where the thread was.
    pub const CONTEXT: u32 = 0x10;
    /// What the kernel writes.
    pub const SIZE: u32 = CONTEXT + user_context::SIZE;
    /// Room above for the dispatcher's exception registration.
    pub const REGISTRATION: u32 = SIZE;
}

/// What is on ring 3's stack when KiUserCallbackDispatcher begins (ReactOS `ntoskrnl/ke/i386/usercall.c`).
pub mod callback_frame {
    /// In place of a return address.
    pub const RETURN: u32 = 0x00;
    /// Number of the callback.
    pub const INDEX: u32 = 0x04;
    /// Address of the argument.
    pub const ARGUMENT: u32 = 0x08;
    /// Its length.
    pub const LENGTH: u32 = 0x0C;
    /// Room for the dispatcher's exception registration.
    pub const REGISTRATION: u32 = 0x10;
    /// Size of the structure.
    pub const SIZE: u32 = 0x18;
}

/// `KCALLOUT_FRAME` (ReactOS `sdk/include/ndk/i386/ketypes.h`).
pub mod callout {
    /// `KTHREAD.InitialStack` before the callback.
    pub const INITIAL_STACK: u32 = 0x00;
    /// `KTHREAD.TrapFrame` before the callback.
    pub const TRAP_FRAME: u32 = 0x04;
    /// `KTHREAD.CallbackStack` before the callback.
    pub const CALLBACK_STACK: u32 = 0x08;
    /// First of EDI, ESI, EBX, EBP and the return address.
    pub const EDI: u32 = 0x0C;
    /// Where the result's address goes.
    pub const RESULT: u32 = 0x20;
    /// Where the result's length goes.
    pub const RESULT_LENGTH: u32 = 0x24;
    /// Size of the structure.
    pub const SIZE: u32 = 0x28;
}

/// The part of a `PEB` that is used (Microsoft's public symbols; ReactOS `sdk/include/ndk/pebteb.h`).
pub mod peb {
    /// `KernelCallbackTable`.
    pub const KERNEL_CALLBACK_TABLE: u32 = 0x2C;
}
