//! Windows 7, 64 bits.

use ntgate_gen::Shape;

use super::{COMMON, Profile, ThreadLayout};

/// Windows 7 (6.1) for x64. `KTHREAD`: ReactOS `sdk/include/ndk/tests/win7_x64.c`. `KPROCESS`: Geoff Chappell, "KPROCESS"
/// (geoffchappell.com, `studies/windows/km/ntoskrnl/inc/ntos/ke/kprocess`), who has it from Microsoft's symbol files. The
/// counter: public disassemblies of its KiSystemCall64, `inc dword ptr gs:2238h`.
pub const WIN7_X64: Profile = Profile {
    name: "win7-x64",
    major_version: 6,
    minor_version: 1,
    build: 7601,
    // The second is Windows 8's: see `Profile::of_shape`.
    shapes: &[Shape::Syscall, Shape::SyscallHome, Shape::ZwAmd64],
    thread: ThreadLayout {
        initial_stack: 0x28,
        stack_limit: 0x30,
        flags: 0x100,
        gui_thread: 0x80,
        service_table: None,
        alerted: 0x4A,
        apc_state: 0x50,
        process: 0x70,
        user_apc_pending: 0x7A,
        combined_apc_disable: 0x1C4,
        apc_state_index: 0x1F0,
        teb: 0xB8,
        system_call_number: 0x1F8,
        first_argument: 0x1E0,
        trap_frame: 0x1D8,
        previous_mode: 0x1F6,
        callback_stack: 0x1E8,
        instrumentation_callback: 0x100,
    },
    gdt: 0xFFFF_F800_00B9_5000,
    idt: 0xFFFF_F800_00B9_5080,
    tss: 0xFFFF_F800_00B9_6080,
    kpcr: 0xFFFF_F800_0100_0000,
    teb: 0x0000_07FF_FFFD_C000,
    peb: 0x0000_07FF_FFFD_9000,
    kernel_text: 0xFFFF_F800_0280_1000,
    kernel_services: 0xFFFF_F800_0284_0000,
    kernel_data: 0xFFFF_F800_02A0_0000,
    kernel_stubs: 0xFFFF_F800_02C0_0000,
    initial_stack: 0xFFFF_F880_0200_8000,
    gui_stack: 0xFFFF_F880_0208_0000,
    interrupt_stacks: 0xFFFF_F880_0201_8000,
    ntdll_set: "syscall",
    ntdll_stubs: 0x7783_1340,
    ntdll_stub_stride: 0x10,
    ntdll_dispatchers: 0x7785_1000,
    other_stubs: 0x0000_07FE_F000_0000,
    user_probe_address: 0x0000_07FF_FFFF_0000,
    system_calls_counter: 0x2238,
    ..COMMON
};
