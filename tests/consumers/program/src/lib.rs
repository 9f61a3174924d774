//! The stubs of a program in user mode, in every shape, as functions; and 32-bit code within a 64-bit program.

/// `int2e-frame`, i386.
pub mod int2e_frame {
    ntgate::stubs! { list = "services.lst", shape = "int2e-frame" }
}

/// `int2e`, i386.
pub mod int2e {
    ntgate::stubs! { list = "services.lst", shape = "int2e" }
}

/// `shared-call-edx`, i386.
pub mod shared_call_edx {
    ntgate::stubs! { list = "services.lst", shape = "shared-call-edx" }
}

/// `shared-edx`, i386.
pub mod shared_edx {
    ntgate::stubs! { list = "services.lst", shape = "shared-edx", zw, export }
}

/// `shared-ecx`, i386.
pub mod shared_ecx {
    ntgate::stubs! { list = "services.lst", shape = "shared-ecx" }
}

/// `sysenter`, i386.
pub mod sysenter {
    ntgate::stubs! { list = "services.lst", shape = "sysenter" }
}

/// `syscall`, amd64.
pub mod syscall {
    ntgate::stubs! { list = "services.lst", shape = "syscall", zw, export }
}

/// `syscall-reactos`, amd64.
pub mod syscall_reactos {
    ntgate::stubs! { list = "services.lst", shape = "syscall-reactos" }
}

/// `syscall-home`, amd64.
pub mod syscall_home {
    ntgate::stubs! { list = "services.lst", shape = "syscall-home" }
}

/// `syscall-or-int2e`, amd64.
pub mod syscall_or_int2e {
    ntgate::stubs! { list = "services.lst", shape = "syscall-or-int2e" }
}

/// Every service of ReactOS, 64 bits.
pub mod all {
    ntgate::stubs! { list = "../../../sysfuncs.lst", shape = "syscall" }
}

/// Every service of ReactOS, 32 bits; on a 64-bit target as 32-bit code within it.
pub mod all32 {
    ntgate::stubs! { list = "../../../sysfuncs.lst", shape = "shared-edx", code32 }
}

/// With moves between registers as Microsoft's assembler writes them.
pub mod msvc {
    ntgate::stubs! { list = "services.lst", shape = "syscall", encoding = "msvc" }
}

/// With the program's own types.
pub mod typed {
    ntgate::stubs! { list = "services.lst", shape = "syscall", types = crate::types, only(NtClose, NtReadFile) }
}

/// Types that signatures name.
#[allow(clippy::upper_case_acronyms, non_camel_case_types)]
pub mod types {
    /// A handle.
    #[repr(transparent)]
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub struct HANDLE(pub usize);
    /// A status.
    #[repr(transparent)]
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub struct NTSTATUS(pub i32);
    /// A pointer.
    pub type PVOID = *mut core::ffi::c_void;
    /// 32 bits.
    pub type ULONG = u32;
    /// A pointer to 32 bits.
    pub type PULONG = *mut u32;
    /// 64 bits.
    pub type LARGE_INTEGER = i64;
}
