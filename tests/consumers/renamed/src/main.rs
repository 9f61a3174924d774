//! The facade under another name.

use nt::SystemServices;

#[derive(nt::SystemServices)]
#[services(list = "services.lst", shape = "syscall", crate = nt)]
struct Ntdll;

mod stubs {
    nt::stubs! { list = "services.lst", shape = "syscall" }
}

/// Names and numbers, by a macro of this program's.
macro_rules! names {
    ($(($nt:ident, $zw:ident, $number:literal, $dwords:literal, $params:literal, $doc:literal))*) => {
        const NAMES: &[(&str, u32)] = &[$((stringify!($zw), $number)),*];
    };
}
nt::for_each_service! { list = "services.lst", callback = names }

nt::service_numbers! { list = "services.lst", name = Service, visibility = pub(crate) }

fn main() {
    assert_eq!(Ntdll::by_number(0).map(|service| service.name()), Some("NtClose"));
    assert_eq!(stubs::code::NAMES[0], "NtClose");
    assert_eq!(NAMES[2], ("ZwReadFile", 0x10));
    assert_eq!(Service::try_from(0x10).map(Service::name), Ok("NtReadFile"));
    println!("{}", Service::NtReadFile);
}
