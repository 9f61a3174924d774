//! A trace of service calls made readable: an enumeration of the numbers, and a table that a macro of the program's own makes
//! of the list.
//!
//! `cargo run --example numbers`

ntgate::service_numbers! { list = "sysfuncs.lst", name = Service }

/// How many dwords of arguments each service has on i386.
macro_rules! dwords {
    ($(($nt:ident, $zw:ident, $number:literal, $dwords:literal, $params:literal, $doc:literal))*) => {
        /// How many dwords of arguments a service takes.
        const fn dwords(service: Service) -> usize {
            match service {
                $(Service::$nt => $dwords,)*
            }
        }
    };
}

ntgate::for_each_service! { list = "sysfuncs.lst", callback = dwords }

/// What a trace has of one call: the number, and what was on the stack.
fn describe(number: u32, stack: &[u32]) -> Result<String, UnknownService> {
    let service = Service::try_from(number)?;
    let arguments: Vec<_> = stack.iter().take(dwords(service)).map(|dword| format!("{dword:#x}")).collect();
    Ok(format!("{service}({})", arguments.join(", ")))
}

#[expect(clippy::print_stdout, reason = "it is a program")]
fn main() {
    for (number, stack) in [(0x1b, [0x40, 0x1234]), (0x116, [0x3, 0x2]), (0x1000, [0, 0])] {
        match describe(number, &stack) {
            Ok(call) => println!("{call}"),
            Err(error) => println!("? {error}"),
        }
    }
}
