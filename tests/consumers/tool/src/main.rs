//! A tool that knows the services by name and by number: of the list that ReactOS has, in two shapes.
#![forbid(unsafe_code)]

use ntgate::{SystemService, SystemServices};

/// 64-bit Windows 7.
#[derive(SystemServices)]
#[services(list = "../../../sysfuncs.lst", shape = "syscall")]
struct Amd64;

/// ReactOS, 32 bits, with stubs of the kernel.
#[derive(SystemServices)]
#[services(list = "../../../sysfuncs.lst", arch = "i386", shape = "zw", except(NtClose))]
struct Kernel<'a, T: Copy>(#[allow(dead_code)] &'a T);

fn main() {
    assert_eq!((Amd64::LIST, Amd64::ARCH, Amd64::SHAPE), ("sysfuncs.lst", "amd64", "syscall"));
    assert_eq!((Amd64::SERVICES.len(), <Kernel<'_, u8>>::SERVICES.len()), (298, 297));
    // Every service is found both ways, and nothing else is.
    for service in Amd64::iter() {
        assert_eq!(Amd64::by_name(service.name()), Some(service));
        assert_eq!(Amd64::by_number(service.number()), Some(service));
        assert_eq!(service.code()[3..8], [&[0xb8][..], &service.number().to_le_bytes()].concat());
        assert!(Amd64::by_name(&service.name()[1..]).is_none());
    }
    assert!(Amd64::by_number(298).is_none() && Amd64::by_name("").is_none() && Amd64::by_name("Zz").is_none());
    assert!(<Kernel<'_, u8>>::by_name("NtClose").is_none());
    let read = <Kernel<'_, u8>>::by_name("NtReadFile").expect("it is in the list");
    assert_eq!((read.args(), read.relocations()), (9, &[(13, "_KiSystemService")][..]));

    let longest = Amd64::iter().map(SystemService::name).max_by_key(|name| name.len()).unwrap_or_default();
    println!("{longest}");
}
