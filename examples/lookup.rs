//! Names and numbers of system services in both directions, with the stub of each: everything is a constant of the program.
//!
//! `cargo run --example lookup NtClose 0x11c`

use std::process::ExitCode;

use ntgate::{SystemService, SystemServices};

/// The services of ReactOS as 32-bit programs call them.
#[derive(SystemServices)]
#[services(list = "sysfuncs.lst", shape = "shared-edx")]
struct Ntdll;

#[expect(clippy::print_stdout, clippy::print_stderr, reason = "it is a program")]
fn main() -> ExitCode {
    let mut status = ExitCode::SUCCESS;
    for wanted in std::env::args().skip(1) {
        if let Some(service) = find(&wanted) {
            println!("{}", describe(service));
        } else {
            eprintln!("{} has no {wanted}", Ntdll::LIST);
            status = ExitCode::FAILURE;
        }
    }
    status
}

/// By name, or by number as `27` or `0x1b`.
fn find(wanted: &str) -> Option<&'static SystemService> {
    let number = match wanted.strip_prefix("0x") {
        Some(digits) => u32::from_str_radix(digits, 16),
        None => wanted.parse(),
    };
    number.map_or_else(|_| Ntdll::by_name(wanted), Ntdll::by_number)
}

/// `0x01b NtClose 1 B8 1B 00 00 00 ...`.
fn describe(service: &SystemService) -> String {
    let code: String = service.code().iter().map(|byte| format!(" {byte:02X}")).collect();
    format!("{:#05x} {} {}{code}", service.number(), service.name(), service.args())
}
