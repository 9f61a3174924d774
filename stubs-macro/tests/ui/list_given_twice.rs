ntgate_stubs_macro::stubs! { list = "tests/small.lst", arch = "i386", list = "tests/bad.lst" }

fn main() {}
