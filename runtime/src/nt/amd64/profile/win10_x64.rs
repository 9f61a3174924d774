//! Windows 10, 64 bits.

use ntgate_gen::Shape;

use super::{COMMON, Profile, ThreadLayout};

/// Windows 10 (10.0) for x64, an early build. `KTHREAD`: ReactOS `sdk/include/ndk/tests/win10_x64.c`. `KPROCESS` and the
/// counter: as for [`WIN7_X64`](super::WIN7_X64); both moved from build to build.
pub const WIN10_X64: Profile = Profile {
    name: "win10-x64",
    major_version: 10,
    minor_version: 0,
    build: 10586,
    shapes: &[Shape::SyscallOrInt2e, Shape::ZwAmd64],
    has_vector_29: true,
    // Wine dlls/ntdll/unix/signal_x86_64.c, `struct exc_stack_layout`.
    context_ex: 0x20,
    thread: ThreadLayout {
        initial_stack: 0x28,
        stack_limit: 0x30,
        flags: 0x78,
        gui_thread: 0x80,
        service_table: None,
        alerted: 0x72,
        apc_state: 0x98,
        process: 0xB8,
        user_apc_pending: 0xC2,
        combined_apc_disable: 0x1E4,
        apc_state_index: 0x24A,
        teb: 0xF0,
        system_call_number: 0x80,
        first_argument: 0x88,
        trap_frame: 0x90,
        previous_mode: 0x232,
        callback_stack: 0x3F0,
        instrumentation_callback: 0x2C8,
    },
    gdt: 0xFFFF_F803_5C27_5000,
    idt: 0xFFFF_F803_5C27_5080,
    tss: 0xFFFF_F803_5C27_6080,
    kpcr: 0xFFFF_F803_5B00_0000,
    teb: 0x0000_0000_7FFD_8000,
    peb: 0x0000_0000_7FFD_5000,
    kernel_text: 0xFFFF_F803_5D00_1000,
    kernel_services: 0xFFFF_F803_5D04_0000,
    kernel_data: 0xFFFF_F803_5D20_0000,
    kernel_stubs: 0xFFFF_F803_5D40_0000,
    initial_stack: 0xFFFF_D001_2F40_8000,
    gui_stack: 0xFFFF_D001_2F48_0000,
    interrupt_stacks: 0xFFFF_D001_2F41_8000,
    ntdll_set: "syscall-or-int2e",
    ntdll_stubs: 0x0000_7FFA_9E24_0660,
    ntdll_stub_stride: 0x20,
    ntdll_dispatchers: 0x0000_7FFA_9E28_1000,
    other_stubs: 0x0000_7FFA_A000_0000,
    user_probe_address: 0x0000_7FFF_FFFF_0000,
    system_calls_counter: 0x2EB8,
    ..COMMON
};
