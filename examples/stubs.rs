//! The code of stubs for three architectures in one program, whichever it runs on; where it can run, the stub is a function
//! too.
//!
//! `cargo run --example stubs`

/// 32-bit Windows XP to 7.
mod i386 {
    ntgate::stubs! { list = "sysfuncs.lst", shape = "shared-edx", only(NtClose, NtWriteFile) }
}

/// 64-bit Windows 10.
mod amd64 {
    ntgate::stubs! { list = "sysfuncs.lst", shape = "syscall-or-int2e", only(NtClose, NtWriteFile) }
}

/// Windows on ARM.
mod arm64 {
    ntgate::stubs! { list = "sysfuncs.lst", shape = "svc", only(NtClose, NtWriteFile), bytes }
}

#[expect(clippy::print_stdout, reason = "it is a program")]
fn main() {
    for (arch, names, stubs) in [
        ("i386", i386::code::NAMES, i386::code::STUBS),
        ("amd64", amd64::code::NAMES, amd64::code::STUBS),
        ("arm64", arm64::code::NAMES, arm64::code::STUBS),
    ] {
        for (name, stub) in names.iter().zip(stubs) {
            let code: String = stub.iter().map(|byte| format!(" {byte:02X}")).collect();
            println!("{arch:5} {name:11}{code}");
        }
    }
    // It is there to be linked to, not to be called: this may be no system with such a service.
    #[cfg(target_arch = "x86_64")]
    println!("amd64::NtClose is at {:p}", amd64::NtClose as *const ());
}
