//! The macros as a crate uses them.
#![deny(warnings, missing_docs)]

/// A short list with its tables.
mod small {
    ntgate_stubs_macro::stubs! {
        list = "tests/small.lst", arch = "i386", shape = "int2e-frame", encoding = "msvc", bytes,
    }
}

/// Kernel stubs.
mod kernel {
    ntgate_stubs_macro::stubs! { shape = "zw", arch = "x86", list = "tests/small.lst" }
}

/// 64-bit Windows.
mod amd64 {
    ntgate_stubs_macro::stubs! { list = "tests/small.lst", arch = "amd64", shape = "syscall-or-int2e", zw, export }
}

/// Its kernel stubs.
mod amd64_kernel {
    ntgate_stubs_macro::stubs! { list = "tests/small.lst", arch = "x64", shape = "zw", bytes }
}

/// Windows on ARM, in the only shape.
mod arm64 {
    ntgate_stubs_macro::stubs! { list = "tests/small.lst", arch = "arm64" }
}

/// The default list in the default shape.
mod reactos {
    ntgate_stubs_macro::stubs! { list = "../sysfuncs.lst", arch = "i386" }
}

#[test]
fn tables_are_in_the_order_of_the_list() {
    assert_eq!(small::code::NAMES, ["NtNone", "NtOne", "NtGdiNine"]);
    assert_eq!(small::code::NUMBERS, [0, 1, 0x1000]);
    assert_eq!(small::code::ARG_BYTES, [0, 4, 36]);
    assert_eq!(small::code::STUBS, [&small::code::NtNone[..], &small::code::NtOne, &small::code::NtGdiNine]);
    assert_eq!(small::code::RELOCATIONS, [[]; 3]);
}

#[test]
fn stubs_are_code() {
    const ONE: [u8; 17] = [0x55, 0x8b, 0xec, 0xb8, 1, 0, 0, 0, 0x8d, 0x55, 8, 0xcd, 0x2e, 0x5d, 0xc2, 4, 0];
    assert_eq!(small::code::NtOne, ONE);
}

#[test]
fn kernel_stubs_have_relocations() {
    assert_eq!(kernel::code::RELOCATIONS, [[(13, "_KiSystemService")]; 3]);
    assert_eq!(kernel::code::NtNone.len(), 18);
}

#[test]
fn other_architectures_have_their_own() {
    assert_eq!(amd64::code::ARG_BYTES, [0, 8, 72]);
    assert_eq!(
        amd64::code::NtOne,
        *b"\x4c\x8b\xd1\xb8\x01\0\0\0\xf6\x04\x25\x08\x03\xfe\x7f\x01\x75\x03\x0f\x05\xc3\xcd\x2e\xc3"
    );
    assert_eq!(amd64_kernel::code::RELOCATIONS, [[(15, "KiServiceLinkage"), (26, "KiServiceInternal")]; 3]);
    assert_eq!(arm64::code::NtOne, [0x21, 0, 0, 0xd4, 0xc0, 0x03, 0x5f, 0xd6]);
}

#[test]
fn the_default_list_has_its_services() {
    assert_eq!(reactos::code::NAMES.len(), 298);
    // Windows Server 2003: mov eax,11Ch; mov edx,7FFE0300h; call [edx]; ret 24h.
    assert_eq!(reactos::code::NtWriteFile, *b"\xb8\x1c\x01\0\0\xba\0\x03\xfe\x7f\xff\x12\xc2\x24\0");
}

ntgate_stubs_macro::service_numbers! { list = "tests/small.lst", name = Service }

#[test]
fn numbers_convert_both_ways() {
    assert_eq!(Service::ALL.map(u32::from), [0, 1, 0x1000]);
    for service in Service::ALL {
        assert_eq!(Service::try_from(service.number()), Ok(service));
        assert_eq!(service.to_string(), service.name());
    }
    assert_eq!(Service::try_from(2), Err(UnknownService(2)));
}

/// The services as a macro of the user's sees them.
macro_rules! groups {
    ($(($nt:ident, $zw:ident, $number:literal, $dwords:literal, $params:literal, $doc:literal))*) => {
        [$((stringify!($nt), stringify!($zw), $number, $dwords, $params, $doc)),*]
    };
}

#[test]
fn every_service_is_given_to_a_macro() {
    let groups = ntgate_stubs_macro::for_each_service! {
        list = "tests/small.lst", callback = groups, except(NtNone), expression
    };
    assert_eq!(groups[0], ("NtOne", "ZwOne", 1, 1, 1, "Takes one."));
    assert_eq!(groups[1].0, "NtGdiNine");
}
