//! Windows 8, 32 bits.

use ntgate_gen::Shape;

use super::{COMMON, Limit, Profile, SystemCallWay, ThreadLayout, Vector29};

/// Windows 8 (6.2): the stubs execute `sysenter` themselves, so the CPU must have it.
pub const WIN8: Profile = Profile {
    name: "win8",
    major_version: 6,
    minor_version: 2,
    build: 9200,
    system_root: "C:\\Windows",
    shapes: &[Shape::Sysenter],
    // The system also asks for PAE, NX and SSE2; of the path, SYSENTER is what matters.
    cpus: &["pentium2", "core2"],
    way: SystemCallWay::Sysenter,
    vector_29: Vector29::FailFast,
    checks_exit: true,
    // ReactOS sdk/include/ndk/tests/win8_x86.c.
    thread: ThreadLayout {
        debug_active: 0x03,
        initial_stack: 0x20,
        stack_limit: 0x24,
        apc_state: 0x70,
        user_apc_pending: 0x86,
        apc_disable: 0x13C,
        apc_state_index: 0x166,
        alerted: 0x56,
        teb: 0xA8,
        previous_mode: 0x15A,
        trap_frame: 0x6C,
        callback_stack: 0x1E8,
        service_table: 0x3C,
        size: 0x1EC,
    },
    gdt: 0x8083_4000,
    idt: 0x8083_4400,
    tss: 0x8083_8000,
    fault_tss: 0x8084_0000,
    kpcr: 0x8176_9000,
    kpcr_limit: Limit::Bytes(0xFFF),
    kernel_text: 0x8140_1000,
    kernel_services: 0x8143_0000,
    kernel_data: 0x8180_0000,
    kernel_stubs: 0x81A0_0000,
    initial_stack: 0x8BB9_4000,
    gui_stack: 0x8BBD_0000,
    dpc_stack: 0x8BBA_1000,
    fault_stack: 0x8BBB_1000,
    ntdll_set: "sysenter",
    ntdll_stubs: 0x7741_5A00,
    // With the `mov edi,edi` that fills up.
    ntdll_stub_stride: 0x14,
    fast_system_call: 0x7741_C000,
    int_system_call: 0x7741_C010,
    other_stubs: 0x7745_0000,
    system_calls_counter: 0x6B0,
    ..COMMON
};
