//! Refers to three stubs by four names, and calls none: this may not be the system that they are for.

unsafe extern "C" {
    fn NtClose(handle: usize) -> i32;
    fn ZwClose(handle: usize) -> i32;
    fn NtWriteFile(handle: usize) -> i32;
    fn ZwYieldExecution() -> i32;
}

/// The stubs of another machine.
static I386: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/services.bin"));

fn main() {
    let stubs: [(&str, *const ()); 4] = [
        ("NtClose", NtClose as *const ()),
        ("ZwClose", ZwClose as *const ()),
        ("NtWriteFile", NtWriteFile as *const ()),
        ("ZwYieldExecution", ZwYieldExecution as *const ()),
    ];
    for (name, address) in stubs {
        println!("{name} {address:p}");
    }
    println!("i386 {} bytes", I386.len());
}
