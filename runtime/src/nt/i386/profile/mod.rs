//! Which system the guest is: its addresses, the structure offsets that only its version has, and the few things that its
//! kernel did in another way.
//!
//! One file a system; [`Profile::ALL`] has them all. Addresses are those of the system where a public source
//! shows them, else such as it used. They are data, not contract: a kernel's routines are not where the system had them.
//!
//! The offsets of `KTHREAD` are in public headers: Windows 2000 in `w2k_def.h` of Schreiber's "Undocumented Windows 2000
//! Secrets", Windows XP in the symbols that debuggers load, the later ones in ReactOS `sdk/include/ndk/tests/win*_x86.c`.

use ntgate_gen::Shape;

use super::layout;
use crate::machine::cpuid::Model;

mod nt4;
mod reactos;
mod srv2003;
mod win2000;
mod win7;
mod win8;
mod winxp;
mod winxp_sp2;

pub use nt4::NT4;
pub use reactos::REACTOS;
pub use srv2003::SRV2003;
pub use win7::WIN7;
pub use win8::WIN8;
pub use win2000::WIN2000;
pub use winxp::WINXP;
pub use winxp_sp2::WINXP_SP2;

/// How the stubs of a system's ntdll get into its kernel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SystemCallWay {
    /// By `int 2Eh` only; the kernel does not use SYSENTER, whatever the CPU can do.
    Interrupt,
    /// They call code that the kernel puts into SharedUserData.
    SharedCode,
    /// They call what SharedUserData points to.
    SharedPointer,
    /// They execute `sysenter` themselves. A CPU without it cannot run the system.
    Sysenter,
}

/// How ntdll comes back from a user callback.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CallbackReturn {
    /// `int 2Bh`.
    Interrupt,
    /// The service NtCallbackReturn.
    Service,
}

/// What is behind vector 2Ch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Vector2c {
    /// KiSetLowWaitHighThread, a part of the event pairs.
    EventPair,
    /// KiRaiseAssertion.
    Assertion,
}

/// What is behind vector 29h.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Vector29 {
    /// Nothing of its own, and ring 3 may not use it.
    Reserved,
    /// KiRaiseSecurityCheckFailure, which raises an exception that handlers see.
    Exception,
    /// KiRaiseSecurityCheckFailure, which ends the program: no handler is asked.
    FailFast,
}

/// The limit of a segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Limit {
    /// Offset of the last byte.
    Bytes(u32),
    /// Number of the last page.
    Pages(u32),
}

/// Offsets of the `KTHREAD` fields that the system-call path uses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ThreadLayout {
    /// `Header.DebugActive`, one byte.
    pub debug_active: u32,
    /// `InitialStack`.
    pub initial_stack: u32,
    /// `StackLimit`.
    pub stack_limit: u32,
    /// `ApcState.ApcListHead[KernelMode]`; the one of user mode follows.
    pub apc_state: u32,
    /// `ApcState.UserApcPending`, one byte.
    pub user_apc_pending: u32,
    /// `CombinedApcDisable`, `KernelApcDisable` before Server 2003; four bytes.
    pub apc_disable: u32,
    /// `ApcStateIndex`, one byte.
    pub apc_state_index: u32,
    /// `Alerted[KernelMode]`, one byte.
    pub alerted: u32,
    /// `Teb`.
    pub teb: u32,
    /// `PreviousMode`, one byte.
    pub previous_mode: u32,
    /// `TrapFrame`.
    pub trap_frame: u32,
    /// `CallbackStack`. Since Windows 8 there is none; the guest keeps it right behind the structure.
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
    /// Build number, `NtBuildNumber` without its flags.
    pub build: u32,
    /// `NtProductType`.
    pub product_type: u32,
    /// `NtSystemRoot`.
    pub system_root: &'static str,
    /// The shapes of its stubs, the usual one first. A kernel's own are `Zw` everywhere.
    pub shapes: &'static [Shape],
    /// The CPU models of the bundled machine that the system runs on. The guest runs on others too, as long as they have
    /// SYSENTER where the system has no other way.
    pub cpus: &'static [&'static str],
    /// How its stubs get into the kernel.
    pub way: SystemCallWay,
    /// Mask for the byte offset of a service table: 10h for two tables, 30h for four.
    pub table_mask: u32,
    /// How its ntdll comes back from a callback.
    pub callback_return: CallbackReturn,
    /// What is behind vector 2Ch.
    pub vector_2c: Vector2c,
    /// What is behind vector 29h.
    pub vector_29: Vector29,
    /// The exit of a system call to ring 3 stops a system whose IRQL is raised or whose APCs are disabled.
    pub checks_exit: bool,
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
    /// Limit of the segment that FS is in the kernel.
    pub kpcr_limit: Limit,
    /// `SharedUserData` as the kernel sees it.
    pub shared_kernel: u32,
    /// `SharedUserData` as ring 3 sees it, read-only.
    pub shared_user: u32,
    /// TEB of the only thread.
    pub teb: u32,
    /// PEB of the only process.
    pub peb: u32,
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
    /// The end of the kernel stack that a thread gets when it becomes a GUI thread.
    pub gui_stack: u32,
    /// Its pages.
    pub gui_stack_pages: u32,
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
    /// All profiles, about in the order of the systems: Server 2003, though with its first service pack younger than Windows XP
    /// SP2, comes before it, as the one that stands for their common shape.
    pub const ALL: [&'static Self; 8] = [&NT4, &WIN2000, &WINXP, &SRV2003, &WINXP_SP2, &WIN7, &WIN8, &REACTOS];

    /// The profile of this name.
    #[must_use]
    pub fn by_name(name: &str) -> Option<&'static Self> {
        Self::ALL.into_iter().find(|profile| profile.name == name)
    }

    /// The first profile of [`ALL`](Self::ALL) whose ntdll had stubs of this shape: `None` for shapes of another architecture.
    ///
    /// The kernel's own shape is that of every system; Server 2003 stands for them all.
    #[must_use]
    pub fn of_shape(shape: Shape) -> Option<&'static Self> {
        if shape == Shape::Zw {
            return Some(&SRV2003);
        }
        Self::ALL.into_iter().find(|profile| profile.shapes.contains(&shape))
    }

    /// Whether the system runs on a CPU.
    #[must_use]
    pub fn runs_on(&self, model: &Model) -> bool {
        self.cpus.contains(&model.name)
    }

    /// Whether the kernel uses SYSENTER where the CPU has it.
    #[must_use]
    pub const fn uses_sysenter(&self) -> bool {
        !matches!(self.way, SystemCallWay::Interrupt)
    }

    /// Whether SharedUserData+300h belongs to the system call; Windows 8 has a frequency there, the guest zero.
    #[must_use]
    pub const fn has_shared_system_call(&self) -> bool {
        matches!(self.way, SystemCallWay::SharedCode | SystemCallWay::SharedPointer)
    }

    /// Whether ticks are counted at SharedUserData+320h, as since Server 2003, and no longer at its start.
    #[must_use]
    pub const fn counts_ticks_at_320(&self) -> bool {
        self.build >= 3790
    }

    /// Whether SharedUserData has a cookie: since Windows XP SP2 and Server 2003 SP1.
    #[must_use]
    pub const fn has_cookie(&self) -> bool {
        matches!(self.way, SystemCallWay::SharedPointer | SystemCallWay::Sysenter)
    }

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

    /// Address of what KiFastCallEntry pushes as the caller's EIP: in SharedUserData, where that has room for it.
    pub(crate) const fn system_call_return(&self) -> u32 {
        match self.way {
            SystemCallWay::Sysenter => self.kernel_data + super::data::kernel::SYSTEM_CALL_RETURN,
            _ => self.shared_kernel + layout::shared::SYSTEM_CALL_RETURN,
        }
    }

    /// Return address of a fast system call before Windows XP SP2: behind the `sysenter` in the shared page.
    #[must_use]
    pub const fn shared_code_return(&self) -> u32 {
        self.shared_user + layout::shared::SYSTEM_CALL_RETURN
    }
}

/// What no system changes, or what none has to: the harness in ring 3, the tables of the boot loader, stacks.
const COMMON: Profile = Profile {
    name: "",
    major_version: 0,
    minor_version: 0,
    build: 0,
    product_type: 1,
    system_root: "C:\\WINDOWS",
    shapes: &[],
    cpus: P5,
    way: SystemCallWay::SharedPointer,
    table_mask: 0x10,
    callback_return: CallbackReturn::Service,
    vector_2c: Vector2c::Assertion,
    vector_29: Vector29::Reserved,
    checks_exit: false,
    thread: THREAD_2003,
    gdt: 0x8003_6000,
    idt: 0x8003_6400,
    tss: 0x8004_2000,
    fault_tss: 0x8004_5000,
    kpcr: 0xFFDF_F000,
    kpcr_limit: Limit::Pages(1),
    shared_kernel: 0xFFDF_0000,
    shared_user: 0x7FFE_0000,
    teb: 0x7FFD_F000,
    peb: 0x7FFD_E000,
    kernel_text: 0x8080_1000,
    kernel_services: 0x8082_0000,
    kernel_stubs: 0x80C0_0000,
    kernel_data: 0x80A0_0000,
    initial_stack: 0xF7A0_4000,
    kernel_stack_pages: 3,
    gui_stack: 0xF7A4_0000,
    gui_stack_pages: 15,
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

/// Every CPU that there is.
const I486: &[&str] = &["486", "pentium", "pentium-pro", "pentium2", "core2"];

/// Those with CMPXCHG8B, which kernels execute since Windows XP.
const P5: &[&str] = &["pentium", "pentium-pro", "pentium2", "core2"];

/// `KTHREAD` of Server 2003, and of ReactOS (`sdk/include/ndk/tests/win2003_x86.c`).
const THREAD_2003: ThreadLayout = ThreadLayout {
    debug_active: 0x03,
    initial_stack: 0x18,
    stack_limit: 0x1C,
    apc_state: 0x28,
    user_apc_pending: 0x3E,
    apc_disable: 0x70,
    apc_state_index: 0x11C,
    alerted: 0x5E,
    teb: 0x74,
    previous_mode: 0xD7,
    trap_frame: 0x110,
    callback_stack: 0x114,
    service_table: 0x118,
    size: 0x1C0,
};

/// `KTHREAD` of Windows 2000 (`w2k_def.h`).
const THREAD_2000: ThreadLayout = ThreadLayout {
    debug_active: 0x2C,
    initial_stack: 0x18,
    stack_limit: 0x1C,
    apc_state: 0x34,
    user_apc_pending: 0x4A,
    apc_disable: 0xD0,
    apc_state_index: 0x159,
    alerted: 0x2E,
    teb: 0x20,
    previous_mode: 0x134,
    trap_frame: 0x128,
    callback_stack: 0x120,
    service_table: 0xDC,
    size: 0x1B0,
};

/// `KTHREAD` of Windows XP: as in Windows 2000, and from the middle on a little more.
const THREAD_XP: ThreadLayout = ThreadLayout {
    apc_disable: 0xD4,
    apc_state_index: 0x165,
    previous_mode: 0x140,
    trap_frame: 0x134,
    callback_stack: 0x12C,
    service_table: 0xE0,
    size: 0x1C0,
    ..THREAD_2000
};
