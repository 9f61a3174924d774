//! Windows 7, 32 bits.

use ntgate_gen::Shape;

use super::{COMMON, Limit, Profile, ThreadLayout};

/// Windows 7 (6.1). `KiFastSystemCall` stands where a published debugger session shows it, and the kernel lies around its
/// KiSystemService.
pub const WIN7: Profile = Profile {
    name: "win7",
    major_version: 6,
    minor_version: 1,
    build: 7601,
    system_root: "C:\\Windows",
    shapes: &[Shape::SharedEdx],
    checks_exit: true,
    // ReactOS sdk/include/ndk/tests/win7_x86.c.
    thread: ThreadLayout {
        debug_active: 0x03,
        initial_stack: 0x28,
        stack_limit: 0x2C,
        apc_state: 0x40,
        user_apc_pending: 0x56,
        apc_disable: 0x84,
        apc_state_index: 0x134,
        alerted: 0x3A,
        teb: 0x88,
        previous_mode: 0x13A,
        trap_frame: 0x128,
        callback_stack: 0x130,
        service_table: 0xBC,
        size: 0x200,
    },
    gdt: 0x80B9_5000,
    idt: 0x80B9_5400,
    tss: 0x801E_4000,
    fault_tss: 0x801E_8000,
    // No longer at a fixed address: the first processor's block is in the kernel's data.
    kpcr: 0x8436_D000,
    kpcr_limit: Limit::Bytes(0xFFF),
    kernel_text: 0x8424_4000,
    kernel_services: 0x8427_0000,
    kernel_data: 0x8440_0000,
    kernel_stubs: 0x8460_0000,
    initial_stack: 0x8BB9_4000,
    gui_stack: 0x8BBD_0000,
    dpc_stack: 0x8BBA_1000,
    fault_stack: 0x8BBB_1000,
    ntdll_stubs: 0x77C0_5300,
    ntdll_stub_stride: 0x10,
    fast_system_call: 0x77C0_71B0,
    int_system_call: 0x77C0_71C0,
    other_stubs: 0x77C3_0000,
    system_calls_counter: 0x6B0,
    ..COMMON
};
