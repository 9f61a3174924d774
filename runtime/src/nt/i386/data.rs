//! Where the guest's own variables are: offsets from [`Profile::kernel_data`](super::profile::Profile::kernel_data),
//! from the harness blocks and in the tables that tell the harness what to do.

pub(crate) use crate::nt::request;

/// Variables of the kernel, as offsets from the start of its data.
pub(crate) mod kernel {
    use super::super::layout::PAGE;

    /// `KTHREAD` of the only thread.
    pub(crate) const THREAD: u32 = 0x000;
    /// `KeServiceDescriptorTable`, four descriptors.
    pub(crate) const DESCRIPTOR_TABLE: u32 = 0x200;
    /// `KeServiceDescriptorTableShadow`, four descriptors.
    pub(crate) const DESCRIPTOR_TABLE_SHADOW: u32 = 0x240;
    /// Operand of `lgdt`.
    pub(crate) const GDT_POINTER: u32 = 0x280;
    /// Operand of `lidt`.
    pub(crate) const IDT_POINTER: u32 = 0x288;
    /// Plan: text and length of the first line of the log.
    pub(crate) const HEADER_TEXT: u32 = 0x290;
    /// Plan: first set to run.
    pub(crate) const SETS: u32 = 0x298;
    /// Plan: end of the sets.
    pub(crate) const SETS_END: u32 = 0x29C;
    /// `KiFastSystemCallDisable`: non-zero, the exit to ring 3 is `iretd`.
    pub(crate) const FAST_SYSTEM_CALL_DISABLE: u32 = 0x2A0;
    /// `MmUserProbeAddress`.
    pub(crate) const USER_PROBE_ADDRESS: u32 = 0x2A4;
    /// The set that runs, null before the first.
    pub(crate) const CURRENT_SET: u32 = 0x2A8;
    /// Records written.
    pub(crate) const RECORDS: u32 = 0x2AC;
    /// What CPUID told: family, model, stepping, SEP bit, and whether there is CPUID at all.
    pub(crate) const CPU: u32 = 0x2B0;
    /// An exception registration that is current while the kernel harness runs.
    pub(crate) const REGISTRATION: u32 = 0x2D0;
    /// What a bug check prints.
    pub(crate) const BUGCHECK: u32 = 0x2E0;
    /// Block of the kernel harness, see [`harness`](super::harness).
    pub(crate) const HARNESS: u32 = 0x300;
    /// Where a fast system call returns to on systems that do not keep it in SharedUserData.
    pub(crate) const SYSTEM_CALL_RETURN: u32 = 0x380;
    /// First instruction of ring 3.
    pub(crate) const START: u32 = 0x384;
    /// Non-zero in a proof: faults of ring 3 are recorded and the harness goes on.
    pub(crate) const PROOF: u32 = 0x388;
    /// `ntdll!KiUserExceptionDispatcher`.
    pub(crate) const EXCEPTION_DISPATCHER: u32 = 0x38C;
    /// `ntdll!KiUserApcDispatcher`.
    pub(crate) const APC_DISPATCHER: u32 = 0x390;
    /// `ntdll!KiUserCallbackDispatcher`.
    pub(crate) const CALLBACK_DISPATCHER: u32 = 0x394;
    /// End of the stack for a GUI thread; 0 if there is no GUI, 1 if there is no memory for it.
    pub(crate) const GUI_STACK: u32 = 0x398;
    /// Non-zero: the clock is to tick.
    pub(crate) const CLOCK: u32 = 0x39C;
    /// The four parameters of a bug check.
    pub(crate) const PARAMETERS: u32 = 0x3A0;
    /// One dword for whoever needs it.
    pub(crate) const SCRATCH: u32 = 0x3B0;
    /// `KAPC`s, free where `Inserted` is clear.
    pub(crate) const APCS: u32 = 0x400;
    /// Their end.
    pub(crate) const APCS_END: u32 = APCS + 16 * super::super::layout::apc::SIZE;
    /// A `CONTEXT` on its way. Before it is room for what goes before one.
    pub(crate) const CONTEXT: u32 = 0x800;
    /// An `EXCEPTION_RECORD` on its way.
    pub(crate) const EXCEPTION_RECORD: u32 = 0xB00;
    /// Texts of the kernel's own log lines.
    pub(crate) const TEXTS: u32 = PAGE;
    /// Two hex digits for each byte value.
    pub(crate) const HEX: u32 = PAGE + 0x400;
    /// The record in the making.
    pub(crate) const RECORD: u32 = 2 * PAGE;
    /// The log line in the making.
    pub(crate) const LINE: u32 = 2 * PAGE + 0x400;
    /// `W32pServiceTable` of a system without GUI: no service, then the byte table of return values.
    pub(crate) const W32P_SERVICE_TABLE: u32 = 3 * PAGE;
    /// End of what every image has; the plan's tables follow.
    pub(crate) const END: u32 = 4 * PAGE;
    /// `KiServiceTable`.
    pub(crate) const SERVICE_TABLE: u32 = END;
    /// `KiArgumentTable`.
    pub(crate) const ARGUMENT_TABLE: u32 = SERVICE_TABLE + 4 * PAGE;
    /// Arguments in kernel space for the refusals, [`ARGUMENT_BLOCK`] bytes a set.
    pub(crate) const ARGUMENTS: u32 = ARGUMENT_TABLE + PAGE;
    /// Size of one set's arguments.
    pub(crate) const ARGUMENT_BLOCK: u32 = 0x100;
}

/// The block a harness works with; one in ring 3, one in the kernel.
pub(crate) mod harness {
    /// Thirteen dwords in the order of the record: registers after the call.
    pub(crate) const SAVE: u32 = 0x00;
    /// Dwords in [`SAVE`].
    pub(crate) const SAVE_COUNT: u32 = 13;
    /// Current entry of the call table.
    pub(crate) const ENTRY: u32 = 0x40;
    /// End of the call table.
    pub(crate) const ENTRY_END: u32 = 0x44;
    /// What to call.
    pub(crate) const TARGET: u32 = 0x48;
    /// Where calls without a stub enter the kernel.
    pub(crate) const DIRECT: u32 = 0x4C;
    /// Stack pointer to start every call from.
    pub(crate) const STACK: u32 = 0x50;

    /// Offset of a register fact in the block.
    pub(crate) const fn save(fact: usize) -> u32 {
        SAVE + 4 * (fact - super::super::record::fact::EAX) as u32
    }
}

/// One entry of the call table.
pub(crate) mod call {
    /// Address to call.
    pub(crate) const TARGET: u32 = 0x00;
    /// Arguments to push.
    pub(crate) const ARGUMENTS: u32 = 0x04;
    /// `set << 16 | call`.
    pub(crate) const CALL: u32 = 0x08;
    /// The first argument's value.
    pub(crate) const FIRST_ARGUMENT: u32 = 0x0C;
    /// EAX before the call.
    pub(crate) const EAX: u32 = 0x10;
    /// EDX before the call.
    pub(crate) const EDX: u32 = 0x14;
    /// Size of one entry.
    pub(crate) const SIZE: u32 = 0x18;
}

/// One set.
pub(crate) mod set {
    /// 0 pointer at SharedUserData+300h, 1 code, 2 not used.
    pub(crate) const FORM: u32 = 0x00;
    /// Non-zero: the stubs themselves execute `sysenter`.
    pub(crate) const NEEDS_SYSENTER: u32 = 0x04;
    /// Non-zero: the stubs are called in ring 0.
    pub(crate) const KERNEL: u32 = 0x08;
    /// Call table.
    pub(crate) const ENTRIES: u32 = 0x0C;
    /// End of the call table.
    pub(crate) const ENTRIES_END: u32 = 0x10;
    /// Text and length of the line that opens the set.
    pub(crate) const BEGIN_TEXT: u32 = 0x14;
    /// Text and length of the line that says it can't run.
    pub(crate) const SKIP_TEXT: u32 = 0x1C;
    /// Text and length of the line that closes it.
    pub(crate) const END_TEXT: u32 = 0x24;
    /// Number of the set.
    pub(crate) const INDEX: u32 = 0x2C;
    /// Size of one set.
    pub(crate) const SIZE: u32 = 0x30;
}
