ntgate_stubs_macro::stubs! { list = "tests/small.lst", arch = "i386", abi = "stdcall" }

fn main() {}
