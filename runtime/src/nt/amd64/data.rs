//! Where the guest's own variables are: offsets from [`Profile::kernel_data`](super::profile::Profile::kernel_data),
//! from the harness blocks and in the tables that tell the harness what to do.

pub(crate) use crate::nt::request;

/// Variables of the kernel, as offsets from the start of its data.
pub(crate) mod kernel {
    use super::super::layout::{PAGE, apc, exception_record, machine_frame, service_table, user_context};

    /// `KTHREAD` of the only thread.
    pub(crate) const THREAD: u32 = 0x000;
    /// `KPROCESS` of the only process.
    pub(crate) const PROCESS: u32 = 0x400;
    /// `KeServiceDescriptorTable`, two descriptors.
    pub(crate) const DESCRIPTOR_TABLE: u32 = 0x800;
    /// `KeServiceDescriptorTableShadow`, two descriptors.
    pub(crate) const DESCRIPTOR_TABLE_SHADOW: u32 = 0x840;
    /// The same of ReactOS, whose tables hold addresses.
    pub(crate) const POINTER_TABLE: u32 = 0x880;
    /// The same of ReactOS, for GUI threads.
    pub(crate) const POINTER_TABLE_SHADOW: u32 = 0x8C0;
    /// Operand of `lgdt`.
    pub(crate) const GDT_POINTER: u32 = 0x900;
    /// Operand of `lidt`.
    pub(crate) const IDT_POINTER: u32 = 0x910;
    /// `MmUserProbeAddress`.
    pub(crate) const USER_PROBE_ADDRESS: u32 = 0x920;
    /// The set that runs, null before the first.
    pub(crate) const CURRENT_SET: u32 = 0x928;
    /// Records written.
    pub(crate) const RECORDS: u32 = 0x930;
    /// What CPUID told: family, model, stepping.
    pub(crate) const CPU: u32 = 0x940;
    /// What a bug check prints, eight qwords.
    pub(crate) const BUGCHECK: u32 = 0x960;
    /// Block of the kernel harness, see [`harness`](super::harness).
    pub(crate) const HARNESS: u32 = 0xA00;
    /// Non-zero in a proof: faults of ring 3 are recorded and the harness goes on.
    pub(crate) const PROOF: u32 = 0xD20;
    /// Session: non-zero, the clock is to tick.
    pub(crate) const CLOCK: u32 = 0xD24;
    /// Session: what is to stand at SharedUserData+308h.
    pub(crate) const SYSTEM_CALL: u32 = 0xD28;
    /// The bits that MXCSR can have.
    pub(crate) const MXCSR_MASK: u32 = 0xD2C;
    /// Session: where `syscall` goes.
    pub(crate) const LSTAR: u32 = 0xD30;
    /// `ntdll!KiUserExceptionDispatcher`.
    pub(crate) const EXCEPTION_DISPATCHER: u32 = 0xD38;
    /// `ntdll!KiUserApcDispatcher`.
    pub(crate) const APC_DISPATCHER: u32 = 0xD40;
    /// `ntdll!KiUserCallbackDispatcher`.
    pub(crate) const CALLBACK_DISPATCHER: u32 = 0xD48;
    /// End of the stack for a GUI thread; 0 if there is no GUI, 1 if there is no memory for it.
    pub(crate) const GUI_STACK: u32 = 0xD50;
    /// One qword for whoever needs it.
    pub(crate) const SCRATCH: u32 = 0xD58;
    /// The four parameters of a bug check.
    pub(crate) const PARAMETERS: u32 = 0xD60;
    /// An `EXCEPTION_RECORD` on its way.
    pub(crate) const EXCEPTION_RECORD: u32 = 0xD80;
    /// Texts of the kernel's own log lines.
    pub(crate) const TEXTS: u32 = PAGE;
    /// Two hex digits for each byte value.
    pub(crate) const HEX: u32 = PAGE + 0x400;
    /// `KAPC`s, free where `Inserted` is clear.
    pub(crate) const APCS: u32 = PAGE + 0x600;
    /// Their end.
    pub(crate) const APCS_END: u32 = APCS + 16 * apc::SIZE;
    /// The record in the making.
    pub(crate) const RECORD: u32 = 2 * PAGE;
    /// A `CONTEXT` on its way, and behind it a `MACHINE_FRAME`.
    pub(crate) const CONTEXT: u32 = 2 * PAGE + 0x280;
    /// The log line in the making.
    pub(crate) const LINE: u32 = 2 * PAGE + 0x800;

    const _: () = assert!(EXCEPTION_RECORD + exception_record::SIZE <= TEXTS && APCS_END <= RECORD);
    const _: () = assert!(CONTEXT.is_multiple_of(16) && CONTEXT + user_context::SIZE + machine_frame::SIZE <= LINE);
    /// End of what every image has; the plan's tables follow.
    pub(crate) const END: u32 = 3 * PAGE;
    /// Room for a packed table and the byte table that win32k's has behind it.
    const PACKED: u32 = 4 * service_table::MAX_SERVICES as u32 + PAGE;
    /// Room for a table of addresses.
    const POINTERS: u32 = 8 * service_table::MAX_SERVICES as u32;
    /// Room for an argument table.
    const COUNTS: u32 = service_table::MAX_SERVICES as u32;
    /// `KiServiceTable` and `W32pServiceTable`, packed.
    pub(crate) const PACKED_TABLES: [u32; 2] = [END, END + PACKED];
    /// The same with addresses.
    pub(crate) const POINTER_TABLES: [u32; 2] = [END + 2 * PACKED, END + 2 * PACKED + POINTERS];
    /// `KiArgumentTable` and `W32pArgumentTable`.
    pub(crate) const ARGUMENT_TABLES: [u32; 2] = {
        let first = POINTER_TABLES[1] + POINTERS;
        [first, first + COUNTS]
    };
    /// Arguments in kernel space for the refusals, [`ARGUMENT_BLOCK`] bytes a set.
    pub(crate) const ARGUMENTS: u32 = ARGUMENT_TABLES[1] + COUNTS;
    /// Size of one set's arguments.
    pub(crate) const ARGUMENT_BLOCK: u32 = 0x100;
}

/// The block a harness works with; one in ring 3, one in the kernel.
pub(crate) mod harness {
    use super::super::record::{HARNESS_DWORDS, HARNESS_QWORDS, fact};

    /// Dwords in the order of the record, from MXCSR on.
    pub(crate) const DWORDS: u32 = 0x00;
    /// Qwords in the order of the record, from RAX on.
    pub(crate) const QWORDS: u32 = 0x20;
    /// Qwords from the block's start to the end of what is saved.
    pub(crate) const SAVED: u32 = QWORDS / 8 + HARNESS_QWORDS as u32;
    /// Current entry of the call table.
    pub(crate) const ENTRY: u32 = 0xE0;
    /// End of the call table.
    pub(crate) const ENTRY_END: u32 = 0xE8;
    /// What to call.
    pub(crate) const TARGET: u32 = 0xF0;
    /// Where calls without a stub enter the kernel.
    pub(crate) const DIRECT: u32 = 0xF8;
    /// Stack pointer to start every call from.
    pub(crate) const STACK: u32 = 0x100;
    /// The harness's RSP while a call without a stub has another.
    pub(crate) const SAVED_RSP: u32 = 0x108;
    /// RSP for a call without a stub.
    pub(crate) const POINTER: u32 = 0x110;
    /// MXCSR to call with.
    pub(crate) const MXCSR: u32 = 0x118;
    /// XMM0 to XMM15 to call with.
    pub(crate) const XMM_BEFORE: u32 = 0x120;
    /// XMM0 to XMM15 after the call.
    pub(crate) const XMM_AFTER: u32 = 0x220;
    /// Size of the block.
    pub(crate) const SIZE: u32 = 0x320;

    const _: () = assert!(DWORDS + 4 * HARNESS_DWORDS as u32 <= QWORDS && 8 * SAVED <= ENTRY);

    /// Offset of a register fact in the block.
    pub(crate) const fn save(f: usize) -> u32 {
        if f < fact::RAX { DWORDS + 4 * (f - fact::MXCSR) as u32 } else { QWORDS + 8 * (f - fact::RAX) as u32 }
    }
}

/// One entry of the call table.
pub(crate) mod call {
    /// Address to call.
    pub(crate) const TARGET: u32 = 0x00;
    /// The first argument's value.
    pub(crate) const FIRST_ARGUMENT: u32 = 0x08;
    /// RAX before the call.
    pub(crate) const RAX: u32 = 0x10;
    /// RSP of a call without a stub.
    pub(crate) const POINTER: u32 = 0x18;
    /// Number of arguments, four bytes.
    pub(crate) const ARGUMENTS: u32 = 0x20;
    /// `set << 16 | call`, four bytes.
    pub(crate) const CALL: u32 = 0x24;
    /// Size of one entry.
    pub(crate) const SIZE: u32 = 0x28;
}

/// What stands before the sets.
pub(crate) mod head {
    /// First set to run.
    pub(crate) const SETS: u32 = 0x00;
    /// End of the sets.
    pub(crate) const SETS_END: u32 = 0x08;
    /// Text and length of the first line of the log.
    pub(crate) const TEXT: u32 = 0x10;
    /// Size.
    pub(crate) const SIZE: u32 = 0x20;
}

/// One set. Qwords first.
pub(crate) mod set {
    /// Call table.
    pub(crate) const ENTRIES: u32 = 0x00;
    /// End of the call table.
    pub(crate) const ENTRIES_END: u32 = 0x08;
    /// Text and length of the line that opens the set.
    pub(crate) const BEGIN_TEXT: u32 = 0x10;
    /// Text and length of the line that closes it.
    pub(crate) const END_TEXT: u32 = 0x20;
    /// Number of the set.
    pub(crate) const INDEX: u32 = 0x30;
    /// Non-zero: the stubs are called in ring 0.
    pub(crate) const KERNEL: u32 = 0x34;
    /// Non-zero: `syscall` goes to ReactOS's entry.
    pub(crate) const POINTERS: u32 = 0x38;
    /// SharedUserData+308h.
    pub(crate) const SYSTEM_CALL: u32 = 0x3C;
    /// Non-zero: the process has an instrumentation callback.
    pub(crate) const CALLBACK: u32 = 0x40;
    /// Size of one set.
    pub(crate) const SIZE: u32 = 0x48;
}
