//! Which 64-bit system the guest is: its addresses and the structure offsets that only its version has.
//!
//! One file a system; [`Profile::ALL`] has them all. Addresses are those of the system where a public source shows them, else
//! such as it used. They are data, not contract: a kernel's routines are not where the system had them.

use ntgate_gen::Shape;

use crate::machine::cpuid::Model;

mod reactos_amd64;
mod win10_x64;
mod win7_x64;

pub use reactos_amd64::REACTOS_AMD64;
pub use win7_x64::WIN7_X64;
pub use win10_x64::WIN10_X64;

/// Offsets of the `KTHREAD` and `KPROCESS` fields that the system-call path uses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ThreadLayout {
    /// `InitialStack`.
    pub initial_stack: u32,
    /// `StackLimit`.
    pub stack_limit: u32,
    /// `ThreadFlags`, or the dword that has the bit `GuiThread`. Systems without the bit have it behind the structure here.
    pub flags: u32,
    /// The bit `GuiThread` in it: the win32k table can be called.
    pub gui_thread: u32,
    /// `ServiceTable`, on systems where it tells which tables the thread calls; the others look at the bit.
    pub service_table: Option<u32>,
    /// `Alerted[KernelMode]`, one byte; that of user mode follows.
    pub alerted: u32,
    /// `ApcState.ApcListHead[KernelMode]`; the one of user mode follows.
    pub apc_state: u32,
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
    /// `SystemCallNumber`, four bytes. Behind the structure where there is none, as is [`Self::first_argument`].
    pub system_call_number: u32,
    /// `FirstArgument`.
    pub first_argument: u32,
    /// `TrapFrame`.
    pub trap_frame: u32,
    /// `PreviousMode`, one byte.
    pub previous_mode: u32,
    /// `CallbackStack`. Since Windows 8 there is none; the guest keeps it behind the part of the structure that it uses.
    pub callback_stack: u32,
    /// `KPROCESS.InstrumentationCallback`; behind the structure where there is none.
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
    /// Build number, `NtBuildNumber` without its flags.
    pub build: u32,
    /// `NtProductType`.
    pub product_type: u32,
    /// `NtSystemRoot`.
    pub system_root: &'static str,
    /// The shapes of its stubs, the usual one first, and the kernel's own.
    pub shapes: &'static [Shape],
    /// The CPU models of the bundled machine that the system runs on.
    pub cpus: &'static [&'static str],
    /// Vector 29h is KiRaiseSecurityCheckFailure; else it is like any other.
    pub has_vector_29: bool,
    /// A process can have an instrumentation callback.
    pub has_instrumentation: bool,
    /// Bytes between the `CONTEXT` and the `EXCEPTION_RECORD` that KiUserExceptionDispatcher finds: room for a `CONTEXT_EX`
    /// where the system keeps one.
    pub context_ex: u32,
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
    /// PEB of the only process.
    pub peb: u64,
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
    /// The end of the kernel stack that a thread gets when it becomes a GUI thread.
    pub gui_stack: u64,
    /// Its pages.
    pub gui_stack_pages: u32,
    /// End of the interrupt stacks, one page each, of the double fault, the machine check and the NMI.
    pub interrupt_stacks: u64,
    /// Label of the set whose stubs stand in ntdll itself; others have pages of their own.
    pub ntdll_set: &'static str,
    /// Address of that set's first stub.
    pub ntdll_stubs: u64,
    /// Distance of these stubs from each other.
    pub ntdll_stub_stride: u32,
    /// ntdll's dispatchers of exceptions, APCs and callbacks, in a session.
    pub ntdll_dispatchers: u64,
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
    /// All profiles.
    pub const ALL: [&'static Self; 3] = [&WIN7_X64, &WIN10_X64, &REACTOS_AMD64];

    /// The profile of this name.
    #[must_use]
    pub fn by_name(name: &str) -> Option<&'static Self> {
        Self::ALL.into_iter().find(|profile| profile.name == name)
    }

    /// The profile of a system that had stubs of this shape: `None` for shapes of another architecture.
    ///
    /// Windows 8, which had [`Shape::SyscallHome`], has no profile; Windows 7 stands in, as the same stub enters its kernel in
    /// the same way. The kernel's own shape of Windows is that of every version; Windows 7 stands for them all.
    #[must_use]
    pub fn of_shape(shape: Shape) -> Option<&'static Self> {
        Self::ALL.into_iter().find(|profile| profile.shapes.contains(&shape))
    }

    /// Whether the system runs on a CPU.
    #[must_use]
    pub fn runs_on(&self, model: &Model) -> bool {
        self.cpus.contains(&model.name)
    }

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
    build: 0,
    product_type: 1,
    system_root: "C:\\Windows",
    shapes: &[],
    cpus: &["core2duo", "nehalem"],
    has_vector_29: false,
    has_instrumentation: true,
    context_ex: 0,
    thread: ThreadLayout {
        initial_stack: 0x28,
        stack_limit: 0x30,
        flags: 0,
        gui_thread: 0,
        service_table: None,
        alerted: 0,
        apc_state: 0,
        process: 0,
        user_apc_pending: 0,
        combined_apc_disable: 0,
        apc_state_index: 0,
        teb: 0,
        system_call_number: 0,
        first_argument: 0,
        trap_frame: 0,
        previous_mode: 0,
        callback_stack: 0,
        instrumentation_callback: 0,
    },
    gdt: 0,
    idt: 0,
    tss: 0,
    kpcr: 0,
    shared_kernel: 0xFFFF_F780_0000_0000,
    shared_user: 0x7FFE_0000,
    teb: 0,
    peb: 0,
    kernel_text: 0,
    kernel_services: 0,
    kernel_data: 0,
    kernel_stubs: 0,
    initial_stack: 0,
    kernel_stack_pages: 6,
    gui_stack: 0,
    // KERNEL_LARGE_STACK_SIZE, ReactOS sdk/include/ndk/amd64/ketypes.h.
    gui_stack_pages: 18,
    interrupt_stacks: 0,
    ntdll_set: "",
    ntdll_stubs: 0,
    ntdll_stub_stride: 0,
    ntdll_dispatchers: 0,
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
