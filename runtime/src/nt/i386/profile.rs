//! Which system the guest is: its addresses and the structure offsets that only its version has.

use super::layout;

/// Offsets of the `KTHREAD` fields that the system-call path uses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ThreadLayout {
    /// `Header.DebugActive`, one byte.
    pub debug_active: u32,
    /// `InitialStack`.
    pub initial_stack: u32,
    /// `ApcState.UserApcPending`, one byte.
    pub user_apc_pending: u32,
    /// `Alerted[KernelMode]`, one byte.
    pub alerted: u32,
    /// `Teb`.
    pub teb: u32,
    /// `PreviousMode`, one byte.
    pub previous_mode: u32,
    /// `TrapFrame`.
    pub trap_frame: u32,
    /// `CallbackStack`.
    pub callback_stack: u32,
    /// `ServiceTable`.
    pub service_table: u32,
    /// Bytes to reserve for the structure.
    pub size: u32,
}

/// One system: names, versions, addresses. All addresses are virtual unless the name says otherwise.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Profile {
    /// Short name, as in `--profile`.
    pub name: &'static str,
    /// `NtMajorVersion`.
    pub major_version: u32,
    /// `NtMinorVersion`.
    pub minor_version: u32,
    /// `NtProductType`.
    pub product_type: u32,
    /// `NtSystemRoot`.
    pub system_root: &'static str,
    /// `KTHREAD` offsets.
    pub thread: ThreadLayout,
    /// Global descriptor table.
    pub gdt: u32,
    /// Interrupt descriptor table.
    pub idt: u32,
    /// `KTSS` of the running system.
    pub tss: u32,
    /// Page with the task segments of the double-fault and NMI handlers.
    pub fault_tss: u32,
    /// `KPCR`.
    pub kpcr: u32,
    /// `SharedUserData` as the kernel sees it.
    pub shared_kernel: u32,
    /// `SharedUserData` as ring 3 sees it, read-only.
    pub shared_user: u32,
    /// TEB of the only thread.
    pub teb: u32,
    /// First code of the kernel image.
    pub kernel_text: u32,
    /// One small routine for each service.
    pub kernel_services: u32,
    /// Kernel stubs (`Zw`) under test.
    pub kernel_stubs: u32,
    /// Data of the kernel image.
    pub kernel_data: u32,
    /// `KTHREAD.InitialStack`: the end of the thread's kernel stack.
    pub initial_stack: u32,
    /// Pages of the thread's kernel stack.
    pub kernel_stack_pages: u32,
    /// End of the DPC stack, which NT puts into `IA32_SYSENTER_ESP`.
    pub dpc_stack: u32,
    /// End of the stack of the double-fault and NMI tasks.
    pub fault_stack: u32,
    /// `ntdll!KiFastSystemCall`.
    pub fast_system_call: u32,
    /// `ntdll!KiIntSystemCall`.
    pub int_system_call: u32,
    /// Label of the set whose stubs stand in ntdll itself; others have pages of their own.
    pub ntdll_set: &'static str,
    /// Address of that set's first stub.
    pub ntdll_stubs: u32,
    /// Distance of these stubs from each other.
    pub ntdll_stub_stride: u32,
    /// First address for stubs of all other sets.
    pub other_stubs: u32,
    /// Address of the harness in ring 3.
    pub user_text: u32,
    /// Data of the harness in ring 3.
    pub user_data: u32,
    /// What the harness is to do: read-only in ring 3.
    pub user_tables: u32,
    /// End of the stack in ring 3.
    pub user_stack: u32,
    /// Pages of the stack in ring 3.
    pub user_stack_pages: u32,
    /// A page that is never mapped.
    pub user_unmapped: u32,
    /// `MmUserProbeAddress`: argument pointers from ring 3 have to be below.
    pub user_probe_address: u32,
    /// `KPCR` offset of the counter `KeSystemCalls`.
    pub system_calls_counter: u32,
    /// Physical address at which boot starts, outside paging equal to the virtual one.
    pub boot_physical: u32,
}

impl Profile {
    /// Address of a system-call frame that came from ring 3: right below the FX save area.
    #[must_use]
    pub const fn base_frame(&self) -> u32 {
        self.initial_stack - layout::NPX_FRAME_LENGTH - layout::trap_frame::SIZE
    }

    /// `TSS.Esp0`: the V86Es field of the base frame, so that the CPU's pushes end where `HardwareSegSs` is.
    #[must_use]
    pub const fn esp0(&self) -> u32 {
        self.base_frame() + layout::trap_frame::V86_ES
    }

    /// Task segment of the double-fault handler.
    #[must_use]
    pub const fn double_fault_tss(&self) -> u32 {
        self.fault_tss
    }

    /// Task segment of the NMI handler.
    #[must_use]
    pub const fn nmi_tss(&self) -> u32 {
        self.fault_tss + 0x100
    }

    /// `ntdll!KiFastSystemCallRet`: the `ret` after `mov edx,esp; sysenter`.
    #[must_use]
    pub const fn fast_system_call_ret(&self) -> u32 {
        self.fast_system_call + 4
    }

    /// Return address of a fast system call before Windows XP SP2: behind the `sysenter` in the shared page.
    #[must_use]
    pub const fn shared_code_return(&self) -> u32 {
        self.shared_user + layout::shared::SYSTEM_CALL_RETURN
    }
}

/// Windows Server 2003 (5.2). `KiFastSystemCall` and stub 11Ch (`NtWriteFile` in the ReactOS list) stand where a
/// published debugger session on that system shows them.
pub const SRV2003: Profile = Profile {
    name: "srv2003",
    major_version: 5,
    minor_version: 2,
    product_type: 3,
    system_root: "C:\\WINDOWS",
    // ReactOS sdk/include/ndk/tests/win2003_x86.c.
    thread: ThreadLayout {
        debug_active: 0x03,
        initial_stack: 0x18,
        user_apc_pending: 0x3E,
        alerted: 0x5E,
        teb: 0x74,
        previous_mode: 0xD7,
        trap_frame: 0x110,
        callback_stack: 0x114,
        service_table: 0x118,
        size: 0x1C0,
    },
    gdt: 0x8003_6000,
    idt: 0x8003_6400,
    tss: 0x8004_2000,
    fault_tss: 0x8004_5000,
    kpcr: 0xFFDF_F000,
    shared_kernel: 0xFFDF_0000,
    shared_user: 0x7FFE_0000,
    teb: 0x7FFD_F000,
    kernel_text: 0x8080_1000,
    kernel_services: 0x8082_0000,
    kernel_stubs: 0x80C0_0000,
    kernel_data: 0x80A0_0000,
    initial_stack: 0xF7A0_4000,
    kernel_stack_pages: 3,
    dpc_stack: 0xF7A1_1000,
    fault_stack: 0xF7A2_1000,
    fast_system_call: 0x7C95_ED50,
    int_system_call: 0x7C95_ED60,
    ntdll_set: "shared-edx",
    ntdll_stubs: 0x7C95_6AF9,
    ntdll_stub_stride: 0xF,
    other_stubs: 0x7C98_0000,
    user_text: 0x0040_1000,
    user_data: 0x0041_0000,
    user_tables: 0x0042_0000,
    user_stack: 0x0013_0000,
    user_stack_pages: 2,
    user_unmapped: 0x0020_0000,
    user_probe_address: 0x7FFF_0000,
    system_calls_counter: 0x6B8,
    boot_physical: 0x0010_0000,
};
