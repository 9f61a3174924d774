//! Windows NT 4.0.

use ntgate_gen::Shape;

use super::{COMMON, CallbackReturn, I486, Profile, SystemCallWay, THREAD_2000, Vector2c};

/// Windows NT 4.0: `int 2Eh` only, on every CPU from the 486 on.
///
/// No public header has its `KTHREAD`; it has the offsets of Windows 2000 here.
pub const NT4: Profile = Profile {
    name: "nt4",
    major_version: 4,
    minor_version: 0,
    build: 1381,
    system_root: "C:\\WINNT",
    shapes: &[Shape::Int2e],
    cpus: I486,
    way: SystemCallWay::Interrupt,
    table_mask: 0x30,
    callback_return: CallbackReturn::Interrupt,
    vector_2c: Vector2c::EventPair,
    thread: THREAD_2000,
    kernel_text: 0x8010_1000,
    kernel_services: 0x8012_0000,
    kernel_data: 0x8020_0000,
    kernel_stubs: 0x8040_0000,
    ntdll_set: "int2e",
    ntdll_stubs: 0x77F6_7340,
    // As `lea edx,[esp+4]; int 2Eh; ret n` is long, and a byte.
    ntdll_stub_stride: 0xF,
    fast_system_call: 0x77F7_6000,
    int_system_call: 0x77F7_6010,
    other_stubs: 0x77FA_0000,
    system_calls_counter: 0x638,
    ..COMMON
};
