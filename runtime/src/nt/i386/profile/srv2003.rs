//! Windows Server 2003 with service pack 1.

use ntgate_gen::Shape;

use super::{COMMON, Profile};

/// Windows Server 2003 (5.2), service pack 1. `KiFastSystemCall` and stub 11Ch (`NtWriteFile` in the ReactOS list) stand
/// where a published debugger session on that system shows them.
pub const SRV2003: Profile = Profile {
    name: "srv2003",
    major_version: 5,
    minor_version: 2,
    build: 3790,
    product_type: 3,
    shapes: &[Shape::SharedEdx],
    ..COMMON
};
