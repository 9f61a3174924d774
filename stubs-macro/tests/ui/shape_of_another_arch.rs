ntgate_stubs_macro::stubs! { list = "tests/small.lst", arch = "amd64", shape = "sysenter" }

fn main() {}
