ntgate_stubs_macro::stubs! { list = "tests/small.lst", arch = "vax" }

fn main() {}
