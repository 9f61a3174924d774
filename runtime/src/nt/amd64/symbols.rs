//! Names for addresses, as a debugger of NT shows them.

use super::Symbol;
use super::assembly::Assembled;
use super::data::kernel;
use super::profile::Profile;
use super::user::UserCode;

/// Names of everything that is in every image of a profile.
pub(crate) fn fixed(profile: &Profile, code: &Assembled, user: &UserCode) -> Vec<Symbol<u64>> {
    let mut symbols: Vec<Symbol<u64>> =
        code.addresses.iter().map(|(routine, address)| Symbol { name: routine.symbol(), address: *address }).collect();
    let data = |offset: u32| profile.kernel_data + u64::from(offset);
    for (name, address) in [
        ("ntgate!Start", user.start),
        ("ntgate!Recovery", user.recovery),
        ("ntgate!Direct", user.direct),
        ("ntgate!DirectSyscall", user.direct_syscall),
        ("ntgate!DirectSyscallReturn", user.direct_syscall_return),
        ("ntgate!DirectInt", user.direct_int),
        ("ntgate!DirectIntReturn", user.direct_int_return),
        ("ntgate!InstrumentationCallback", user.callback),
        ("ntgate!Block", profile.user_data),
        ("ntgate!Sets", profile.user_tables),
        ("nt!KiInitialPCR", profile.kpcr),
        ("nt!KiGdt", profile.gdt),
        ("nt!KiIdt", profile.idt),
        ("nt!KiTss", profile.tss),
        ("nt!SharedUserData", profile.shared_kernel),
        ("SharedUserData", profile.shared_user),
        ("Teb", profile.teb),
        ("nt!KiInitialThread", data(kernel::THREAD)),
        ("nt!KiInitialProcess", data(kernel::PROCESS)),
        ("nt!KeServiceDescriptorTable", data(kernel::DESCRIPTOR_TABLE)),
        ("nt!KeServiceDescriptorTableShadow", data(kernel::DESCRIPTOR_TABLE_SHADOW)),
        ("nt!KiServiceTable", data(kernel::PACKED_TABLES[0])),
        ("nt!KiArgumentTable", data(kernel::ARGUMENT_TABLES[0])),
        ("nt!MmUserProbeAddress", data(kernel::USER_PROBE_ADDRESS)),
        ("nt!NtgateRecord", data(kernel::RECORD)),
        ("win32k!W32pServiceTable", data(kernel::PACKED_TABLES[1])),
        ("win32k!W32pArgumentTable", data(kernel::ARGUMENT_TABLES[1])),
        ("reactos!KeServiceDescriptorTable", data(kernel::POINTER_TABLE)),
        ("reactos!KeServiceDescriptorTableShadow", data(kernel::POINTER_TABLE_SHADOW)),
        ("reactos!MainSSDT", data(kernel::POINTER_TABLES[0])),
    ] {
        symbols.push(Symbol { name: name.to_owned(), address });
    }
    symbols
}
