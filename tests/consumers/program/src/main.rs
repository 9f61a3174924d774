//! Reads its own stubs back: the functions are where they are said to be, and the 32-bit ones are the bytes of the list.

use std::ffi::c_void;

#[cfg(target_arch = "x86")]
use ntgate_consumer_program::shared_edx;
use ntgate_consumer_program::{int2e, syscall};

#[cfg(target_arch = "x86_64")]
fn main() {
    use ntgate_consumer_program::{all, all32, msvc, typed, types};

    // Types are those of the signatures, and machine words where there is none.
    let close: unsafe extern "win64" fn(*mut c_void) -> i32 = syscall::NtClose;
    let _: unsafe extern "win64" fn(u32, u32, *mut c_void, *mut c_void, i32) -> i32 = syscall::NtUserCall;
    let _: unsafe extern "win64" fn(
        usize,
        usize,
        usize,
        usize,
        usize,
        usize,
        usize,
        usize,
        usize,
        usize,
        usize,
    ) -> i32 = syscall::ZwCreateFile;
    let _: unsafe extern "win64" fn(types::HANDLE) -> types::NTSTATUS = typed::NtClose;
    assert_eq!(close as usize, syscall::ZwClose as *const () as usize);

    // The code of a function is that of its constant where the encoding was asked for.
    let code = msvc::NtClose as *const [u8; msvc::code::NtClose.len()];
    // SAFETY: so many bytes of code are there.
    assert_eq!(unsafe { *code }, msvc::code::NtClose);

    // What the assembler made of 32-bit stubs: mov eax,11Ch; mov edx,7FFE0300h; call [edx]; ret 24h.
    assert_eq!(all32::code32::NtWriteFile, all32::code::NtWriteFile);
    assert_eq!(all32::code32::NtWriteFile, *b"\xb8\x1c\x01\0\0\xba\0\x03\xfe\x7f\xff\x12\xc2\x24\0");
    assert_eq!((all::code::NUMBERS.len(), all::code::NUMBERS[297]), (298, 297));
    // Without a function the code is there all the same.
    println!("{} bytes of i386 code", int2e::code::STUBS.iter().map(|code| code.len()).sum::<usize>());
}

#[cfg(target_arch = "x86")]
fn main() {
    let close: unsafe extern "stdcall" fn(*mut c_void) -> i32 = shared_edx::NtClose;
    assert_eq!(close as usize, shared_edx::ZwClose as *const () as usize);
    let code = int2e::NtClose as *const [u8; int2e::code::NtClose.len()];
    // SAFETY: so many bytes of code are there.
    assert_eq!(unsafe { *code }, int2e::code::NtClose);
    println!("{} bytes of amd64 code", syscall::code::STUBS.iter().map(|code| code.len()).sum::<usize>());
}
