//! Windows XP as it came out.

use ntgate_gen::Shape;

use super::{COMMON, CallbackReturn, Profile, SystemCallWay, THREAD_XP, Vector2c};

/// Windows XP (5.1) without service pack or with the first: the stubs call code in SharedUserData.
pub const WINXP: Profile = Profile {
    name: "winxp",
    major_version: 5,
    minor_version: 1,
    build: 2600,
    shapes: &[Shape::SharedCallEdx],
    way: SystemCallWay::SharedCode,
    table_mask: 0x30,
    callback_return: CallbackReturn::Interrupt,
    vector_2c: Vector2c::EventPair,
    thread: THREAD_XP,
    gdt: 0x8003_F000,
    idt: 0x8003_F400,
    kernel_text: 0x804D_5000,
    kernel_services: 0x8050_0000,
    kernel_data: 0x8070_0000,
    kernel_stubs: 0x8090_0000,
    ntdll_set: "shared-call-edx",
    ntdll_stubs: 0x77F7_5900,
    ntdll_stub_stride: 0x10,
    fast_system_call: 0x77F8_0000,
    int_system_call: 0x77F8_0010,
    other_stubs: 0x77FB_0000,
    system_calls_counter: 0x638,
    ..COMMON
};
