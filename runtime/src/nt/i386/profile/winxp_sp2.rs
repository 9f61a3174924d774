//! Windows XP with service pack 2 or 3.

use ntgate_gen::Shape;

use super::{COMMON, CallbackReturn, Profile, THREAD_XP, Vector2c};

/// Windows XP (5.1) since service pack 2: SharedUserData has a pointer. The addresses of ntdll are those of service pack 3,
/// where many published debugger sessions show KiFastSystemCallRet at 7C90E514h and ZwClose at 7C90CFEEh.
pub const WINXP_SP2: Profile = Profile {
    name: "winxp-sp2",
    major_version: 5,
    minor_version: 1,
    build: 2600,
    shapes: &[Shape::SharedEdx],
    table_mask: 0x30,
    callback_return: CallbackReturn::Interrupt,
    vector_2c: Vector2c::EventPair,
    thread: THREAD_XP,
    gdt: 0x8003_F000,
    idt: 0x8003_F400,
    kernel_text: 0x804D_8000,
    kernel_services: 0x8050_0000,
    kernel_data: 0x8070_0000,
    kernel_stubs: 0x8090_0000,
    ntdll_stubs: 0x7C90_CE5E,
    ntdll_stub_stride: 0x10,
    fast_system_call: 0x7C90_E510,
    int_system_call: 0x7C90_E520,
    other_stubs: 0x7C92_0000,
    system_calls_counter: 0x638,
    ..COMMON
};
