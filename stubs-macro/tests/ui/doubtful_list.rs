// What is no mistake but doubtful is a warning, here denied.
#![deny(deprecated)]

ntgate_stubs_macro::stubs! { list = "tests/octal.lst", arch = "i386" }

fn main() {}
