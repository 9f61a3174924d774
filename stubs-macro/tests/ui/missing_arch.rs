ntgate_stubs_macro::stubs! { list = "tests/small.lst" }

fn main() {}
