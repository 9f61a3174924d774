//! `syscall-or-int2e`: the kernel says in the shared page which way in works, as a hypervisor may not let SYSCALL
//! through. Windows 10 since 1511, Windows 11.

use iced_x86::Code;

use super::{Body, SERVICE_VECTOR, load_number};

/// KUSER_SHARED_DATA.SystemCall as user mode sees it: the page is at 7FFE0000h, the field at +308h since Windows 10
/// 1511 (Chromium `sandbox/win/src/service_resolver_64.cc`).
const SHARED_SYSTEM_CALL: u32 = 0x7ffe_0308;

/// Set if services are called by interrupt.
const BY_INTERRUPT: u32 = 1;

pub(super) fn write(body: &mut Body, number: u32) {
    load_number(body, number)
        .test_byte(SHARED_SYSTEM_CALL, BY_INTERRUPT)
        .branch_ahead(Code::Jne_rel8_64, 3)
        .op(Code::Syscall)
        .op(Code::Retnq)
        .interrupt(SERVICE_VECTOR)
        .op(Code::Retnq);
}
