//! Windows 2000.

use ntgate_gen::Shape;

use super::{COMMON, CallbackReturn, I486, Profile, SystemCallWay, THREAD_2000, Vector2c};

/// Windows 2000 (5.0): `int 2Eh` only. A published dump of its descriptor tables shows where they are.
pub const WIN2000: Profile = Profile {
    name: "win2000",
    major_version: 5,
    minor_version: 0,
    build: 2195,
    system_root: "C:\\WINNT",
    shapes: &[Shape::Int2e],
    cpus: I486,
    way: SystemCallWay::Interrupt,
    table_mask: 0x30,
    callback_return: CallbackReturn::Interrupt,
    vector_2c: Vector2c::EventPair,
    thread: THREAD_2000,
    kernel_text: 0x8046_5000,
    kernel_services: 0x8048_4000,
    kernel_data: 0x8060_0000,
    kernel_stubs: 0x8080_0000,
    ntdll_set: "int2e",
    ntdll_stubs: 0x77F8_2000,
    ntdll_stub_stride: 0x10,
    fast_system_call: 0x77F9_0000,
    int_system_call: 0x77F9_0010,
    other_stubs: 0x77FC_0000,
    system_calls_counter: 0x638,
    ..COMMON
};
