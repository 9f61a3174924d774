//! ReactOS.

use ntgate_gen::Shape;

use super::{COMMON, Profile, Vector29};

/// ReactOS, which calls itself 5.2. Its stubs went through four shapes: `int 2Eh` in two forms until 2004, then
/// SharedUserData through ECX, today through EDX.
pub const REACTOS: Profile = Profile {
    name: "reactos",
    major_version: 5,
    minor_version: 2,
    build: 3790,
    product_type: 3,
    system_root: "C:\\ReactOS",
    shapes: &[Shape::SharedEdx, Shape::SharedEcx, Shape::Int2eFrame, Shape::Int2e],
    vector_29: Vector29::Exception,
    kernel_text: 0x8040_1000,
    kernel_services: 0x8043_0000,
    kernel_data: 0x8060_0000,
    kernel_stubs: 0x8080_0000,
    ntdll_stubs: 0x7C92_6000,
    ntdll_stub_stride: 0x10,
    fast_system_call: 0x7C93_F000,
    int_system_call: 0x7C93_F010,
    other_stubs: 0x7C98_0000,
    ..COMMON
};
