//! A crate that lets nothing pass: whatever the macros expand to has documentation and no warning.
#![deny(missing_docs, warnings, clippy::pedantic)]
#![no_std]

/// The services, to be looked up.
#[derive(ntgate::SystemServices)]
#[services(list = "services.lst", shape = "shared-edx")]
pub struct Ntdll;

/// The stubs.
pub mod stubs {
    ntgate::stubs! { list = "services.lst", shape = "syscall", zw, export }
}

/// The stubs of 32 bits.
pub mod stubs32 {
    ntgate::stubs! { list = "services.lst", shape = "shared-edx", zw, export, code32 }
}

/// Stubs for this crate alone.
mod private {
    ntgate::stubs! { list = "services.lst", shape = "syscall-home", visibility = pub(super), doc = false }
}

/// What a private stub looks like.
#[must_use]
pub const fn close() -> &'static [u8] {
    &private::code::NtClose
}

ntgate::service_numbers! { list = "services.lst", name = Service }

/// Names and numbers, by a macro of this crate's.
macro_rules! names {
    ($(($nt:ident, $zw:ident, $number:literal, $dwords:literal, $params:literal, $doc:literal))*) => {
        /// The names of the services.
        pub const NAMES: &[&str] = &[$(stringify!($nt)),*];
    };
}
ntgate::for_each_service! { list = "services.lst", callback = names, except(NtUserCall) }

/// The dispatch table.
#[cfg(target_arch = "x86_64")]
pub mod table {
    ntgate::service_table! { list = "services.lst", handlers = crate::handlers, table = "win32k", packed }
}

#[cfg(target_arch = "x86_64")]
#[allow(non_snake_case)]
mod handlers {
    pub(crate) unsafe extern "win64" fn NtGdiFlush() -> i32 {
        0
    }

    pub(crate) unsafe extern "win64" fn NtUserCall(_: u32, _: u32, _: usize, _: usize, _: i32) -> i32 {
        0
    }
}
