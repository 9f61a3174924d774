//! Names for addresses, as a debugger of NT shows them.

use super::Symbol;
use super::assembly::Assembled;
use super::data::kernel;
use super::layout::shared;
use super::profile::{Profile, SystemCallWay};
use super::user::UserCode;

/// Names of everything that is in every image of a profile.
pub(crate) fn fixed(profile: &Profile, code: &Assembled, user: &UserCode) -> Vec<Symbol> {
    let mut symbols: Vec<Symbol> =
        code.addresses.iter().map(|(routine, at)| Symbol { name: routine.symbol(), address: *at as u32 }).collect();
    // Other systems have none; there the code is only for the stubs of those that do.
    let fast = [
        ("ntdll!KiFastSystemCall", profile.fast_system_call),
        ("ntdll!KiFastSystemCallRet", profile.fast_system_call_ret()),
        ("ntdll!KiIntSystemCall", profile.int_system_call),
    ];
    let has_fast = matches!(profile.way, SystemCallWay::SharedPointer | SystemCallWay::Sysenter);
    let fast = fast.into_iter().filter(|_| has_fast);
    let all = [
        ("ntgate!Start", user.start),
        ("ntgate!Recovery", user.recovery),
        ("ntgate!Direct", user.direct),
        ("ntgate!DirectInt", user.direct_int),
        ("ntgate!DirectFast", user.direct_fast),
        ("ntgate!Block", profile.user_data),
        ("ntgate!Sets", profile.user_tables),
        ("nt!KiInitialPCR", profile.kpcr),
        ("nt!KiGdt", profile.gdt),
        ("nt!KiIdt", profile.idt),
        ("nt!KiTss", profile.tss),
        ("nt!KiDoubleFaultTSS", profile.double_fault_tss()),
        ("nt!KiNMITSS", profile.nmi_tss()),
        ("nt!SharedUserData", profile.shared_kernel),
        ("SharedUserData", profile.shared_user),
        ("Teb", profile.teb),
        ("nt!KiInitialThread", profile.kernel_data + kernel::THREAD),
        ("nt!KeServiceDescriptorTable", profile.kernel_data + kernel::DESCRIPTOR_TABLE),
        ("nt!KeServiceDescriptorTableShadow", profile.kernel_data + kernel::DESCRIPTOR_TABLE_SHADOW),
        ("nt!KiServiceTable", profile.kernel_data + kernel::SERVICE_TABLE),
        ("nt!KiArgumentTable", profile.kernel_data + kernel::ARGUMENT_TABLE),
        ("nt!W32pServiceTable", profile.kernel_data + kernel::W32P_SERVICE_TABLE),
        ("nt!MmUserProbeAddress", profile.kernel_data + kernel::USER_PROBE_ADDRESS),
        ("nt!KiFastSystemCallDisable", profile.kernel_data + kernel::FAST_SYSTEM_CALL_DISABLE),
        ("nt!NtgateRecord", profile.kernel_data + kernel::RECORD),
    ];
    // The name that debuggers give to the pointer.
    let stub = (profile.way == SystemCallWay::SharedPointer)
        .then_some(("SharedUserData!SystemCallStub", profile.shared_user + shared::SYSTEM_CALL));
    symbols.extend(fast.chain(all).chain(stub).map(|(name, address)| Symbol { name: name.to_owned(), address }));
    symbols
}

/// A decorated name without its decoration: `_ZwClose@4` is ZwClose.
pub(crate) fn undecorated(symbol: &str) -> &str {
    let name = symbol.strip_prefix('_').unwrap_or(symbol);
    name.split_once('@').map_or(name, |(name, _)| name)
}
