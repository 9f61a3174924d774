//! Which 64-bit system the guest is: its addresses and the structure offsets that only its version has.

/// Offsets of the `KTHREAD` and `KPROCESS` fields that the system-call path uses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ThreadLayout {
    /// `InitialStack`.
    pub initial_stack: u32,
    /// `ThreadFlags`, or the dword that has the bit `GuiThread`.
    pub flags: u32,
    /// The bit `GuiThread` in it: the win32k table can be called.
    pub gui_thread: u32,
    /// `ApcState.Process`.
    pub process: u32,
    /// `ApcState.UserApcPending`, one byte.
    pub user_apc_pending: u32,
    /// `CombinedApcDisable`, four bytes.
    pub combined_apc_disable: u32,
    /// `ApcStateIndex`, one byte.
    pub apc_state_index: u32,
    /// `Teb`.
    pub teb: u32,
    /// `SystemCallNumber`, four bytes.
    pub system_call_number: u32,
    /// `FirstArgument`.
    pub first_argument: u32,
    /// `TrapFrame`.
    pub trap_frame: u32,
    /// `PreviousMode`, one byte.
    pub previous_mode: u32,
    /// `KPROCESS.InstrumentationCallback`.
    pub instrumentation_callback: u32,
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
    pub gdt: u64,
    /// Interrupt descriptor table.
    pub idt: u64,
    /// `KTSS64`.
    pub tss: u64,
    /// `KPCR`.
    pub kpcr: u64,
    /// `SharedUserData` as the kernel sees it.
    pub shared_kernel: u64,
    /// `SharedUserData` as ring 3 sees it, read-only. Below 2 GB, as stubs address it.
    pub shared_user: u64,
    /// TEB of the only thread.
    pub teb: u64,
    /// First code of the kernel image.
    pub kernel_text: u64,
    /// One small routine for each service.
    pub kernel_services: u64,
    /// Data of the kernel image.
    pub kernel_data: u64,
    /// Kernel stubs (`Zw`) under test. Like everything of the kernel image within 2 GB of [`Self::kernel_text`].
    pub kernel_stubs: u64,
    /// `KTHREAD.InitialStack`: the end of the thread's kernel stack.
    pub initial_stack: u64,
    /// Pages of the thread's kernel stack.
    pub kernel_stack_pages: u32,
    /// End of the interrupt stacks, one page each, of the double fault, the machine check and the NMI.
    pub interrupt_stacks: u64,
    /// Label of the set whose stubs stand in ntdll itself; others have pages of their own.
    pub ntdll_set: &'static str,
    /// Address of that set's first stub.
    pub ntdll_stubs: u64,
    /// Distance of these stubs from each other.
    pub ntdll_stub_stride: u32,
    /// First address for stubs of all other sets.
    pub other_stubs: u64,
    /// Address of the harness in ring 3.
    pub user_text: u64,
    /// Data of the harness in ring 3. Below 2 GB.
    pub user_data: u64,
    /// What the harness is to do: read-only in ring 3. Below 2 GB, and above what physical memory the image takes.
    pub user_tables: u64,
    /// End of the stack in ring 3.
    pub user_stack: u64,
    /// Pages of the stack in ring 3.
    pub user_stack_pages: u32,
    /// A page that is never mapped.
    pub user_unmapped: u64,
    /// `MmUserProbeAddress`: argument pointers from ring 3 are brought down to it. The page there is never mapped.
    pub user_probe_address: u64,
    /// `KPCR` offset of the counter `KeSystemCalls`.
    pub system_calls_counter: u32,
    /// Physical address at which boot starts, mapped to the same virtual one.
    pub boot_physical: u32,
}

impl Profile {
    /// Address of a system-call frame that came from ring 3: at the end of the kernel stack.
    #[must_use]
    pub const fn base_frame(&self) -> u64 {
        self.initial_stack - super::layout::trap_frame::SIZE as u64
    }
}

/// What no version changes, or what none has to.
const COMMON: Profile = Profile {
    name: "",
    major_version: 0,
    minor_version: 0,
    product_type: 1,
    system_root: "C:\\Windows",
    thread: ThreadLayout {
        initial_stack: 0x28,
        flags: 0,
        gui_thread: 0,
        process: 0,
        user_apc_pending: 0,
        combined_apc_disable: 0,
        apc_state_index: 0,
        teb: 0,
        system_call_number: 0,
        first_argument: 0,
        trap_frame: 0,
        previous_mode: 0,
        instrumentation_callback: 0,
    },
    gdt: 0,
    idt: 0,
    tss: 0,
    kpcr: 0,
    shared_kernel: 0xFFFF_F780_0000_0000,
    shared_user: 0x7FFE_0000,
    teb: 0,
    kernel_text: 0,
    kernel_services: 0,
    kernel_data: 0,
    kernel_stubs: 0,
    initial_stack: 0,
    kernel_stack_pages: 6,
    interrupt_stacks: 0,
    ntdll_set: "",
    ntdll_stubs: 0,
    ntdll_stub_stride: 0,
    other_stubs: 0,
    user_text: 0x6000_0000,
    user_data: 0x6801_0000,
    user_tables: 0x7000_0000,
    user_stack: 0x6404_0000,
    user_stack_pages: 2,
    user_unmapped: 0x6200_0000,
    user_probe_address: 0,
    system_calls_counter: 0,
    boot_physical: 0x0010_0000,
};

/// Windows 7 (6.1) for x64. `KTHREAD`: ReactOS `sdk/include/ndk/tests/win7_x64.c`. `KPROCESS`: Geoff Chappell, "KPROCESS"
/// (geoffchappell.com, `studies/windows/km/ntoskrnl/inc/ntos/ke/kprocess`), who has it from Microsoft's symbol files. The
/// counter: public disassemblies of its KiSystemCall64, `inc dword ptr gs:2238h`.
pub const WIN7_X64: Profile = Profile {
    name: "win7-x64",
    major_version: 6,
    minor_version: 1,
    thread: ThreadLayout {
        initial_stack: 0x28,
        flags: 0x100,
        gui_thread: 0x80,
        process: 0x70,
        user_apc_pending: 0x7A,
        combined_apc_disable: 0x1C4,
        apc_state_index: 0x1F0,
        teb: 0xB8,
        system_call_number: 0x1F8,
        first_argument: 0x1E0,
        trap_frame: 0x1D8,
        previous_mode: 0x1F6,
        instrumentation_callback: 0x100,
    },
    gdt: 0xFFFF_F800_00B9_5000,
    idt: 0xFFFF_F800_00B9_5080,
    tss: 0xFFFF_F800_00B9_6080,
    kpcr: 0xFFFF_F800_0100_0000,
    teb: 0x0000_07FF_FFFD_C000,
    kernel_text: 0xFFFF_F800_0280_1000,
    kernel_services: 0xFFFF_F800_0284_0000,
    kernel_data: 0xFFFF_F800_02A0_0000,
    kernel_stubs: 0xFFFF_F800_02C0_0000,
    initial_stack: 0xFFFF_F880_0200_8000,
    interrupt_stacks: 0xFFFF_F880_0201_8000,
    ntdll_set: "syscall",
    ntdll_stubs: 0x7783_1340,
    ntdll_stub_stride: 0x10,
    other_stubs: 0x0000_07FE_F000_0000,
    user_probe_address: 0x0000_07FF_FFFF_0000,
    system_calls_counter: 0x2238,
    ..COMMON
};

/// Windows 10 (10.0) for x64, an early build. `KTHREAD`: ReactOS `sdk/include/ndk/tests/win10_x64.c`. `KPROCESS` and the
/// counter: as for [`WIN7_X64`]; both moved from build to build.
pub const WIN10_X64: Profile = Profile {
    name: "win10-x64",
    major_version: 10,
    minor_version: 0,
    thread: ThreadLayout {
        initial_stack: 0x28,
        flags: 0x78,
        gui_thread: 0x80,
        process: 0xB8,
        user_apc_pending: 0xC2,
        combined_apc_disable: 0x1E4,
        apc_state_index: 0x24A,
        teb: 0xF0,
        system_call_number: 0x80,
        first_argument: 0x88,
        trap_frame: 0x90,
        previous_mode: 0x232,
        instrumentation_callback: 0x2C8,
    },
    gdt: 0xFFFF_F803_5C27_5000,
    idt: 0xFFFF_F803_5C27_5080,
    tss: 0xFFFF_F803_5C27_6080,
    kpcr: 0xFFFF_F803_5B00_0000,
    teb: 0x0000_0000_7FFD_8000,
    kernel_text: 0xFFFF_F803_5D00_1000,
    kernel_services: 0xFFFF_F803_5D04_0000,
    kernel_data: 0xFFFF_F803_5D20_0000,
    kernel_stubs: 0xFFFF_F803_5D40_0000,
    initial_stack: 0xFFFF_D001_2F40_8000,
    interrupt_stacks: 0xFFFF_D001_2F41_8000,
    ntdll_set: "syscall-or-int2e",
    ntdll_stubs: 0x0000_7FFA_9E24_0660,
    ntdll_stub_stride: 0x20,
    other_stubs: 0x0000_7FFA_A000_0000,
    user_probe_address: 0x0000_7FFF_FFFF_0000,
    system_calls_counter: 0x2EB8,
    ..COMMON
};
