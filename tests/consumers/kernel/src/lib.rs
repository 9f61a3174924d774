//! What a kernel has of a list: the dispatch table, its own stubs, and the numbers of services for its messages.
#![no_std]

#[cfg(target_arch = "x86")]
macro_rules! service {
    ($($(#[$doc:meta])* fn $name:ident($($argument:ident: $type:ty),*) -> i32 $body:block)*) => {
        $($(#[$doc])* #[unsafe(no_mangle)] pub unsafe extern "stdcall" fn $name($($argument: $type),*) -> i32 $body)*
    };
}

#[cfg(target_arch = "x86_64")]
macro_rules! service {
    ($($(#[$doc:meta])* fn $name:ident($($argument:ident: $type:ty),*) -> i32 $body:block)*) => {
        $($(#[$doc])* #[unsafe(no_mangle)] pub unsafe extern "win64" fn $name($($argument: $type),*) -> i32 $body)*
    };
}

/// The services themselves.
#[allow(non_snake_case)]
pub mod services {
    use core::ffi::c_void;

    /// A handle.
    #[repr(transparent)]
    pub struct Handle(pub *mut c_void);

    service! {
        /// Says which handle it was.
        fn NtClose(handle: Handle) -> i32 { handle.0 as i32 }
        /// `STATUS_NO_YIELD_PERFORMED`.
        fn NtYieldExecution() -> i32 { 0x4000_0024 }
        /// Says where it was to read.
        fn NtReadFile(
            _file: Handle, _event: Handle, _apc: usize, _context: usize, _status: usize, _buffer: *mut u8, length: u32,
            at: i64, _key: *mut u32
        ) -> i32 { at as i32 + length as i32 }
        /// Nothing to flush.
        fn NtGdiFlush() -> i32 { 0 }
    }
}

/// The kernel's entries, which its own stubs refer to. Here they are only to be found.
mod entries {
    #[unsafe(no_mangle)]
    extern "C" fn KiServiceInternal() {}
    #[unsafe(no_mangle)]
    extern "C" fn KiServiceLinkage() {}
    #[unsafe(no_mangle)]
    extern "C" fn KiZwSystemService() {}
    #[unsafe(export_name = "_KiSystemService")]
    extern "C" fn ki_system_service() {}
}

/// The kernel's own table, for the target's architecture.
pub mod table {
    ntgate::service_table! { list = "services.lst", handlers = crate::services }
}

/// win32k's.
pub mod win32k {
    ntgate::service_table! { list = "services.lst", handlers = crate::services, table = "win32k" }
}

/// The packed form.
#[cfg(target_arch = "x86_64")]
pub mod packed {
    ntgate::service_table! { list = "services.lst", arch = "amd64", handlers = crate::services, packed }
}

/// Stubs for the kernel's own calls: Windows's, and ReactOS's. They refer to the kernel's entries.
pub mod zw {
    ntgate::stubs! { list = "services.lst", arch = "amd64", shape = "zw", export }
    /// ReactOS's.
    pub mod reactos {
        ntgate::stubs! { list = "services.lst", shape = "zw-reactos" }
    }
    /// Those of 32 bits.
    pub mod i386 {
        ntgate::stubs! { list = "services.lst", arch = "i386", shape = "zw", export, code32 }
    }
}

ntgate::service_numbers! { list = "services.lst", name = Number }
