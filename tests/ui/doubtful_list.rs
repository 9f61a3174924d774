// A warning of the list is one of the compiler's.
#![deny(deprecated)]

ntgate::stubs! { list = "tests/ui/octal.lst", arch = "i386" }

fn main() {}
