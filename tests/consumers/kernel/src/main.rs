//! Calls the kernel's services through its tables.

use std::ffi::c_void;

use ntgate_consumer_kernel::services::{self, Handle};
use ntgate_consumer_kernel::{Number, table, win32k};

#[cfg(target_arch = "x86")]
type Close = unsafe extern "stdcall" fn(Handle) -> i32;
#[cfg(target_arch = "x86")]
type Nothing = unsafe extern "stdcall" fn() -> i32;
#[cfg(target_arch = "x86_64")]
type Close = unsafe extern "win64" fn(Handle) -> i32;
#[cfg(target_arch = "x86_64")]
type Nothing = unsafe extern "win64" fn() -> i32;

fn main() {
    let word = size_of::<usize>() as u8;
    assert_eq!((table::BASE, win32k::BASE), (0, 0x1000));
    assert_eq!((table::SERVICES.len(), win32k::SERVICES.len()), (0x11, 1));
    assert_eq!(table::ARGUMENTS[..3], [word, 0, 0]);
    assert_eq!(table::ARGUMENTS[0x10], if word == 4 { 40 } else { 72 });
    assert_eq!(table::SERVICES[0] as usize, services::NtClose as Close as usize);

    let number = Number::NtClose.number() as usize;
    // SAFETY: the row is that of a service with this parameter.
    let close = unsafe { std::mem::transmute::<_, Close>(table::SERVICES[number]) };
    // SAFETY: the service looks at no memory.
    assert_eq!(unsafe { close(Handle(0x1234 as *mut c_void)) }, 0x1234);
    for (row, status) in [(1, 0x4000_0024_u32), (2, 0xC000_001C)] {
        // SAFETY: neither the service nor the routine of a row without one has parameters.
        let status_of = unsafe { std::mem::transmute::<_, Nothing>(table::SERVICES[row])() };
        assert_eq!(status_of as u32, status);
    }
    #[cfg(target_arch = "x86_64")]
    packed();
    println!("{} has number {number:#x}", Number::NtClose);
}

/// Each entry leads from the packed table to the routine, and counts the arguments on the stack.
#[cfg(target_arch = "x86_64")]
fn packed() {
    use ntgate_consumer_kernel::packed;

    static mut PACKED: [i32; 0x11] = [0; 0x11];
    // SAFETY: nobody else has it.
    let entries = unsafe { &mut *&raw mut PACKED };
    packed::pack(entries).expect("a program is not that long");
    let base = entries.as_ptr() as usize;
    for (row, (entry, routine)) in entries.iter().zip(packed::SERVICES).enumerate() {
        assert_eq!(base.wrapping_add_signed((entry >> 4) as isize), routine as usize);
        assert_eq!(entry & 15, if row == 0x10 { 5 } else { 0 });
    }
    // The stack is at the other end of the address space; the heap may be right behind the program.
    assert!(packed::pack(&mut [0; 0x11]).is_err());
}
