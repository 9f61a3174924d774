//! ReactOS, 64 bits.

use ntgate_gen::Shape;

use super::{COMMON, Profile, ThreadLayout};

/// ReactOS for amd64, which calls itself 5.2. `KTHREAD`: ReactOS `sdk/include/ndk/tests/win2003_x64.c`, and the part of
/// `KAPC_STATE` as in `sdk/include/ndk/ketypes.h`. What that structure lacks and Windows's way in would write is behind it;
/// the counter is where Windows 7 has it.
///
/// Vector 2Eh, which its kernel does not have (`ntoskrnl/ke/amd64/except.c`), is there as in every profile, so that a stub of
/// any shape can be tried.
pub const REACTOS_AMD64: Profile = Profile {
    name: "reactos-amd64",
    major_version: 5,
    minor_version: 2,
    build: 3790,
    product_type: 3,
    system_root: "C:\\ReactOS",
    shapes: &[Shape::SyscallReactos, Shape::ZwReactos],
    has_instrumentation: false,
    thread: ThreadLayout {
        initial_stack: 0x28,
        stack_limit: 0x30,
        flags: 0x330,
        gui_thread: 0x80,
        service_table: Some(0x1D8),
        alerted: 0x96,
        apc_state: 0x48,
        process: 0x68,
        user_apc_pending: 0x72,
        combined_apc_disable: 0x1B4,
        apc_state_index: 0x1E4,
        teb: 0xB0,
        system_call_number: 0x340,
        first_argument: 0x338,
        trap_frame: 0x1C8,
        previous_mode: 0x153,
        callback_stack: 0x1D0,
        instrumentation_callback: 0x300,
    },
    gdt: 0xFFFF_F800_0013_5000,
    idt: 0xFFFF_F800_0013_5080,
    tss: 0xFFFF_F800_0013_6080,
    kpcr: 0xFFFF_F800_0100_0000,
    teb: 0x0000_07FF_FFFD_C000,
    peb: 0x0000_07FF_FFFD_9000,
    kernel_text: 0xFFFF_F800_0040_1000,
    kernel_services: 0xFFFF_F800_0044_0000,
    kernel_data: 0xFFFF_F800_0060_0000,
    kernel_stubs: 0xFFFF_F800_0080_0000,
    initial_stack: 0xFFFF_F880_0200_8000,
    gui_stack: 0xFFFF_F880_0208_0000,
    interrupt_stacks: 0xFFFF_F880_0201_8000,
    ntdll_set: "syscall-reactos",
    ntdll_stubs: 0x7C92_6000,
    ntdll_stub_stride: 0x10,
    ntdll_dispatchers: 0x7C94_6000,
    other_stubs: 0x0000_07FE_F000_0000,
    user_probe_address: 0x0000_07FF_FFFF_0000,
    system_calls_counter: 0x2238,
    ..COMMON
};
