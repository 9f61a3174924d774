//! What SharedUserData leads to: routines of ntdll that enter the kernel for every stub that calls through the page
//! (Windows XP SP2 to 7; ReactOS `dll/ntdll/dispatch/i386/dispatch.S`).

use iced_x86::{Code, Register};

use super::{Body, SERVICE_VECTOR};
use crate::stub::Encoding;

/// KiFastSystemCall. Its last instruction is KiFastSystemCallRet, where the kernel lets user mode go on.
pub(in crate::stub) fn fast_system_call(encoding: Encoding) -> Body {
    let mut body = Body::new(32, encoding);
    body.copy(Register::EDX, Register::ESP).op(Code::Sysenter).op(Code::Retnd);
    body
}

/// KiIntSystemCall.
pub(in crate::stub) fn int_system_call(encoding: Encoding) -> Body {
    let mut body = Body::new(32, encoding);
    // Above ESP: the return addresses into the stub and into its caller, the arguments.
    body.point_edx(Register::ESP, 8).interrupt(SERVICE_VECTOR).op(Code::Retnd);
    body
}
