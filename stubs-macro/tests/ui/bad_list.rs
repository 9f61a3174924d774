// Each mistake of a list is an error of its own.
ntgate_stubs_macro::stubs! { list = "tests/bad.lst", arch = "i386" }

fn main() {}
